//! A refusal for programs: `application/problem+json` (RFC 9457) with exactly `type title status detail reason
//! request_id`, and `sign_in` where signing in may help, `visit` where something
//! has to be done elsewhere first: the URL to open.
//!
//! `type` is `about:blank`, so `title` is the status phrase (RFC 9457 section 4.2.1): there is no registered
//! namespace or page of ours that a URI could name, and `reason` is the word to match on.

use http::StatusCode;
use serde::Serialize;

use crate::rejection::Reason;

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    reason: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    visit: Option<&'a str>,
}

/// The body of the problem. `detail` is the reason's own sentence or a remedy: nothing of what the client sent; `status` is that of
/// the answer, mostly the reason's own; `sign_in` is where to sign in, `visit` what to open first.
pub(super) fn render(
    (reason, detail): (Reason, &str),
    status: StatusCode,
    request_id: &str,
    (sign_in, visit): (Option<&str>, Option<&str>),
) -> String {
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail,
        reason: reason.label(),
        request_id,
        sign_in,
        visit,
    };
    // Strings and a number always serialise.
    serde_json::to_string(&problem).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(reason: Reason, status: StatusCode, request_id: &str, sign_in: Option<&str>) -> String {
        super::render((reason, reason.public_text()), status, request_id, (sign_in, None))
    }

    #[test]
    fn it_has_the_six_members_and_no_other() {
        assert_eq!(
            render(Reason::TokenExpired, Reason::TokenExpired.status(), "4f2a", None),
            r#"{"type":"about:blank","title":"Unauthorized","status":401,"detail":"The token has expired.","reason":"token_expired","request_id":"4f2a"}"#
        );
    }

    #[test]
    fn it_tells_where_to_sign_in() {
        let problem = render(
            Reason::NoCredentials,
            StatusCode::UNAUTHORIZED,
            "",
            Some("https://a/sign-in"),
        );
        assert!(problem.ends_with(r#","sign_in":"https://a/sign-in"}"#), "{problem}");
    }

    #[test]
    fn every_reason_has_a_title() {
        for reason in Reason::ALL {
            assert!(
                !render(*reason, reason.status(), "", None).contains(r#""title":"Error""#),
                "{reason:?}"
            );
        }
    }
}
