//! Answer: fixed replies, what a refusal looks like on the wire, and the one place that writes the gateway's own answers.
//!
//! [`rejection`] turns a reason into status, headers and body; [`cors`] and [`security`] add what belongs to every
//! answer; only [`mod@write`] touches the socket. Why a request is refused is decided elsewhere.

pub mod cors;
pub mod fixed;
pub mod frames;
pub mod key_set;
pub mod page;
pub mod problem;
mod reply;
pub mod security;
pub mod write;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};

pub use self::reply::{HTML, Reply};
use crate::rejection::{Hint, NEEDS_BROWSER, Reason, Rejection};
use crate::request::REQUEST_ID;

/// What of a request decides how its refusal is told.
#[derive(Clone, Copy, Default)]
pub struct Answering<'a> {
    pub request_id: &'a str,
    pub accept: Option<&'a HeaderValue>,
    pub accept_language: Option<&'a HeaderValue>,
    pub sec_fetch_mode: Option<&'a HeaderValue>,
    pub sec_fetch_dest: Option<&'a HeaderValue>,
    /// Where is told who gives tokens for this host (RFC 9728 section 5.1): a whole URL.
    pub resource_metadata: Option<&'a str>,
    /// How pages look; `None`: as of a gateway that says nothing about it.
    pub look: Option<&'a page::Look>,
}

/// The whole answer to a refused request: a page for a browser that shows it, problem JSON for everything else.
///
/// The form depends on `Accept` and `Sec-Fetch-*`, yet no `Vary` names them: these answers are `no-store`, and RFC 9110
/// section 12.5.5 asks for it on what a cache may keep. Pages say that they depend on `Accept-Language`.
pub fn rejection(rejection: &Rejection, context: &Answering<'_>) -> Reply {
    told(rejection, rejection.reason.status(), context)
}

/// The header that names the reason to a proxy that asked for a decision: it never shows the body to anyone.
pub const DECISION_REASON: HeaderName = HeaderName::from_static("x-janua-reason");

/// The answer to a proxy that asked for a decision and got a refusal: 401, or 403 for every other reason, since nginx
/// (`auth_request`) takes anything else for a failure of the gate.
pub fn decision(rejection: &Rejection, request_id: &str, resource_metadata: Option<&str>) -> Reply {
    let reason = rejection.reason;
    let status = match reason.status() {
        StatusCode::UNAUTHORIZED => StatusCode::UNAUTHORIZED,
        _ => StatusCode::FORBIDDEN,
    };
    let context = Answering {
        request_id,
        resource_metadata,
        ..Answering::default()
    };
    let mut reply = told(rejection, status, &context);
    reply.headers.extend(header(DECISION_REASON, reason.label()));
    reply
}

fn told(rejection: &Rejection, status: StatusCode, context: &Answering<'_>) -> Reply {
    let reason = rejection.reason;
    if page::is_wanted(context) {
        return told_on_a_page(rejection, status, context);
    }
    let fault = match rejection.hint {
        Hint::Fault(text) => format!("{} What is wrong: {text}.", reason.public_text()),
        _ => String::new(),
    };
    let detail = match (&rejection.hint, reason) {
        (Hint::Remedy(text), _) => text,
        // Where a session would do, there is more than tokens.
        (Hint::SignIn(_), Reason::NoCredentials) => "Nobody is signed in here.",
        (Hint::SignIn(_), Reason::NoMoodleToken) => NEEDS_BROWSER,
        (Hint::Fault(_), _) => &fault,
        _ => reason.public_text(),
    };
    let body = problem::render((reason, detail), status, context.request_id, rejection.hint.ways());
    let mut headers = Vec::with_capacity(8);
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/problem+json")));
    headers.extend(security::own());
    headers.extend(beside(rejection, context));
    Reply {
        status,
        headers,
        body: Bytes::from(body),
    }
}

fn told_on_a_page(rejection: &Rejection, status: StatusCode, context: &Answering<'_>) -> Reply {
    let look = context.look.unwrap_or_else(|| page::Look::plain());
    let reader = page::Reader::new(look, context.accept_language);
    let mut reply = Reply {
        status,
        headers: security::page(&reader).collect(),
        body: Bytes::new(),
    };
    reply.set_body(HTML, page::render(rejection, context, &reader));
    reply.headers.extend(beside(rejection, context));
    reply
}

/// The headers of a refusal beside those that its form has.
fn beside(rejection: &Rejection, context: &Answering<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    match &rejection.hint {
        Hint::Challenge(lines) => headers.extend(lines.iter().map(|line| (WWW_AUTHENTICATE, line.clone()))),
        _ => headers.extend(challenge(rejection, context.resource_metadata).map(|value| (WWW_AUTHENTICATE, value))),
    }
    headers.extend(hint(rejection));
    headers.extend(header(REQUEST_ID, context.request_id));
    headers
}

/// `WWW-Authenticate` (RFC 6750 section 3).
///
/// A request without a token is told the scheme alone, without an error code (section 3.1); since the scheme must be
/// followed by a parameter, that is the realm. 403 carries `insufficient_scope` where the token is what falls short,
/// and nothing where no better token would help.
fn challenge(rejection: &Rejection, resource_metadata: Option<&str>) -> Option<HeaderValue> {
    let reason = rejection.reason;
    let metadata = resource_metadata.map(|url| format!(", resource_metadata=\"{url}\""));
    let metadata = metadata.unwrap_or_default();
    let error = match reason {
        Reason::NoCredentials => return HeaderValue::try_from(format!("Bearer realm=\"janua\"{metadata}")).ok(),
        Reason::MissingScope | Reason::MissingRole | Reason::EventNotGranted => "insufficient_scope",
        reason if reason.is_challenge() => "invalid_token",
        _ => return None,
    };
    let text = reason.public_text();
    let scope = match &rejection.hint {
        Hint::Scope(scope) => format!(", scope=\"{scope}\""),
        _ => String::new(),
    };
    HeaderValue::try_from(format!(
        "Bearer error=\"{error}\", error_description=\"{text}\"{scope}{metadata}"
    ))
    .ok()
}

/// The header that a refusal's hint or status asks for.
fn hint(rejection: &Rejection) -> Option<(HeaderName, HeaderValue)> {
    match (&rejection.hint, rejection.reason.status()) {
        (Hint::Allow(methods), _) => {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            header(ALLOW, &methods.join(", "))
        }
        (Hint::CompleteLength(length), _) => header(CONTENT_RANGE, &format!("bytes */{length}")),
        (Hint::RetryAfter(seconds), _) => Some((RETRY_AFTER, HeaderValue::from(*seconds))),
        (Hint::None, StatusCode::TOO_MANY_REQUESTS) => Some((RETRY_AFTER, HeaderValue::from(1))),
        // As long as it takes until the keys of a failing issuer may be asked for again.
        (Hint::None, StatusCode::SERVICE_UNAVAILABLE) => Some((RETRY_AFTER, HeaderValue::from(5))),
        _ => None,
    }
}

fn header(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    HeaderValue::from_str(value).ok().map(|value| (name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rejected: &Rejection) -> Reply {
        rejection(
            rejected,
            &Answering {
                request_id: "4f2a",
                ..Answering::default()
            },
        )
    }

    fn get<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        let mut values = reply.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} stands twice");
        value
    }

    #[test]
    fn a_missing_token_is_challenged_without_an_error_and_a_bad_one_with_it() {
        let reply = told(&Reason::NoCredentials.into());
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert_eq!(get(&reply, "www-authenticate"), Some("Bearer realm=\"janua\""));
        assert_eq!(
            get(&told(&Reason::TokenExpired.into()), "www-authenticate"),
            Some("Bearer error=\"invalid_token\", error_description=\"The token has expired.\"")
        );
    }

    #[test]
    fn every_401_is_challenged_and_of_the_others_only_what_a_better_token_would_pass() {
        for reason in Reason::ALL {
            let reply = told(&Rejection::new(*reason));
            let challenge = get(&reply, "www-authenticate");
            match reply.status {
                StatusCode::UNAUTHORIZED => assert!(challenge.is_some(), "{reason:?}"),
                StatusCode::FORBIDDEN => {
                    let of_token = matches!(
                        reason,
                        Reason::MissingScope | Reason::MissingRole | Reason::EventNotGranted
                    );
                    assert_eq!(
                        challenge.is_some_and(|text| text.contains("insufficient_scope")),
                        of_token
                    );
                }
                _ => assert_eq!(challenge, None, "{reason:?}"),
            }
        }
    }

    /// RFC 6750 section 3: `error_description` must not hold quotes, backslashes or anything beyond ASCII.
    #[test]
    fn every_public_text_fits_into_a_quoted_error_description() {
        for reason in Reason::ALL {
            let text = reason.public_text();
            assert!(
                text.bytes()
                    .all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
                "{text}"
            );
        }
    }

    #[test]
    fn hints_become_headers() {
        let allow = Rejection::new(Reason::MethodNotAllowed).with_hint(Hint::Allow(vec![Method::GET, Method::HEAD]));
        assert_eq!(get(&told(&allow), "allow"), Some("GET, HEAD"));
        let range = Rejection::new(Reason::RangeNotSatisfiable).with_hint(Hint::CompleteLength(42));
        assert_eq!(get(&told(&range), "content-range"), Some("bytes */42"));
        let busy = Rejection::new(Reason::Overloaded).with_hint(Hint::RetryAfter(7));
        assert_eq!(get(&told(&busy), "retry-after"), Some("7"));
        for reason in [Reason::RateLimited, Reason::Overloaded, Reason::KeysUnavailable] {
            assert!(get(&told(&reason.into()), "retry-after").is_some(), "{reason:?}");
        }
        assert_eq!(get(&told(&Reason::NoRoute.into()), "retry-after"), None);
    }

    #[test]
    fn a_challenge_names_what_is_missing_and_where_tokens_come_from() {
        let url = "https://video.example.edu/.well-known/oauth-protected-resource";
        let challenge = |rejected: &Rejection| {
            let context = Answering {
                resource_metadata: Some(url),
                ..Answering::default()
            };
            let reply = rejection(rejected, &context);
            get(&reply, "www-authenticate").unwrap().to_owned()
        };
        let lacking = Rejection::new(Reason::MissingScope).with_hint(Hint::Scope("video".to_owned()));
        let told = challenge(&lacking);
        assert!(told.starts_with("Bearer error=\"insufficient_scope\", "), "{told}");
        assert!(
            told.ends_with(&format!(", scope=\"video\", resource_metadata=\"{url}\"")),
            "{told}"
        );
        let nobody = challenge(&Reason::NoCredentials.into());
        assert_eq!(nobody, format!("Bearer realm=\"janua\", resource_metadata=\"{url}\""));
    }

    #[test]
    fn a_decision_is_401_or_403_and_names_its_reason() {
        for reason in Reason::ALL {
            let reply = decision(&Rejection::new(*reason), "4f2a", None);
            let expected = if reason.is_challenge() { 401 } else { 403 };
            assert_eq!(reply.status.as_u16(), expected, "{reason:?}");
            assert_eq!(get(&reply, "x-janua-reason"), Some(reason.label()));
            assert!(String::from_utf8_lossy(&reply.body).contains(&format!("\"status\":{expected}")));
        }
    }

    #[test]
    fn a_challenge_of_others_takes_the_place_of_the_own_one() {
        let basic = HeaderValue::from_static("Basic realm=\"Opencast\"");
        let reply = told(&Rejection::new(Reason::NoCredentials).with_hint(Hint::Challenge(vec![basic])));
        assert_eq!(get(&reply, "www-authenticate"), Some("Basic realm=\"Opencast\""));
    }

    #[test]
    fn every_refusal_is_kept_by_no_cache_and_says_its_request_id() {
        for reason in Reason::ALL {
            let reply = told(&Rejection::because(*reason, "for the log only"));
            assert_eq!(get(&reply, "cache-control"), Some("no-store"));
            assert_eq!(get(&reply, "x-content-type-options"), Some("nosniff"));
            assert_eq!(get(&reply, "x-request-id"), Some("4f2a"));
            assert!(!String::from_utf8_lossy(&reply.body).contains("for the log"));
        }
    }
}
