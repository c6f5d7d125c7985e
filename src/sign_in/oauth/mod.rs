//! What sign-ins by OAuth 2.0 (RFC 6749) and by OpenID Connect have in common: the way of the browser with a code, and PKCE
//! (RFC 7636). The client's questions are in [`crate::authenticate::oauth`].

pub mod error;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Map, Value};
use url::Url;

use super::{Asked, AttemptedBy, Callback, Refusal, Retry};
use crate::authenticate::oauth::error::words;
use crate::authenticate::session::Attributes;
use crate::digest::{sha256, sha256_of_parts};
use crate::query;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;

/// Among what is told once: the access token, then for how many seconds it is good.
pub const ACCESS_TOKEN: &str = "access_token";

/// Seconds of a token whose server does not say so (`expires_in` is only recommended).
const UNSAID: u64 = 300;

/// What is told once of the answer to a code (RFC 6749 section 5.1): a bearer token, if there is one.
pub fn told_once(answer: &Map<String, Value>) -> Attributes {
    let text = |name: &str| answer.get(name).and_then(Value::as_str);
    let is_bearer = text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
    let seconds = answer.get("expires_in").and_then(|seconds| match seconds {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    });
    let mut once = Attributes::default();
    if let Some(token) = text(ACCESS_TOKEN).filter(|_| is_bearer) {
        // Two values are not too many.
        once.add(ACCESS_TOKEN, token).ok();
        once.add(ACCESS_TOKEN, &seconds.unwrap_or(UNSAID).to_string()).ok();
    }
    once
}

/// Where a browser authenticates (RFC 6749 section 4.1.1), with a challenge that only the browser's own attempt answers.
pub fn authorization_url(
    endpoint: &Url,
    (client_id, scopes): (&str, &[String]),
    callback: Callback<'_>,
    by: AttemptedBy<'_>,
    further: &[(&str, &str)],
) -> Url {
    let mut url = endpoint.clone();
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(sha256(verifier(by).as_bytes()));
    let scope = Some(scopes.join(" ")).filter(|scope| !scope.is_empty());
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", callback.url)
        .append_pair("state", callback.state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(scope.map(|scope| ("scope", scope)))
        .extend_pairs(further);
    url
}

/// RFC 7636 section 4.1: 43 letters that only the browser of the attempt, and the gateway when it comes back, can make.
pub fn verifier(by: AttemptedBy<'_>) -> String {
    derived(b"pkce verifier ", by)
}

/// A value that belongs to the browser of the attempt, for this purpose.
pub fn derived(purpose: &[u8], by: AttemptedBy<'_>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256_of_parts([purpose, by.secret.as_bytes()]))
}

/// A server may let the browser post its answer. Cookies that are `SameSite=Lax` do not come along from another site; they do
/// with the GET that follows.
pub fn posted(asked: &Asked<'_>) -> Result<Option<Reply>, Rejection> {
    if *asked.method != Method::POST {
        return Ok(None);
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["state", "code", "iss", "error", "error_description"] {
        query.extend_pairs(query::values(&asked.body, name).map(|value| (name, value)));
    }
    let (origin, path) = (asked.here.public.origin(), asked.path);
    Reply::redirect(&format!("{origin}{path}?{}", query.finish())).map(Some)
}

/// Does the browser bring a code?
pub fn brings_code(asked: &Asked<'_>) -> bool {
    asked.in_query("code").is_some_and(|code| !code.is_empty())
}

/// What the server says where nobody comes back (RFC 6749 section 4.1.2.1). `None`: that somebody would have to authenticate,
/// or nothing.
pub fn absence(asked: &Asked<'_>) -> Option<Refusal> {
    const NOBODY: [&str; 4] = [
        "login_required",
        "interaction_required",
        "consent_required",
        "account_selection_required",
    ];
    let code = asked.in_query("error").filter(|code| !NOBODY.contains(&&**code))?;
    let (reason, label) = match &*code {
        "access_denied" => (Reason::SignInRefused, "denied"),
        _ => (Reason::SignInUnavailable, "provider_error"),
    };
    let description = asked.in_query("error_description").unwrap_or_default();
    let detail = format!(
        "the sign-in server answered {:?}: {}",
        words(&code),
        words(&description)
    );
    Some(Refusal {
        retry: Retry::Again,
        ..(Rejection::because(reason, detail), label).into()
    })
}

/// The code that comes back. There are servers that write each parameter twice; two different values are nobody's. `issuer`:
/// what `iss` must be, and whether it must be there (RFC 9207 section 2.4), against an answer of another server.
pub fn code(asked: &Asked<'_>, issuer: Option<(&str, bool)>) -> Result<String, Refusal> {
    let query = asked.query.unwrap_or_default().as_bytes();
    let refused = |detail: &str, label| Refusal {
        retry: Retry::Again,
        ..(Rejection::because(Reason::SignInRefused, detail), label).into()
    };
    let one = |name: &str| {
        let mut values = query::values(query, name);
        let first = values.next();
        match values.all(|other| Some(&other) == first.as_ref()) {
            true => Ok(first),
            false => Err(refused("a parameter stands there twice, with two values", "bad_answer")),
        }
    };
    if let Some((issuer, is_needed)) = issuer {
        match one("iss")? {
            Some(named) if *named == *issuer => {}
            None if !is_needed => {}
            _ => return Err(refused("iss is missing or names another issuer", "mix_up")),
        }
    }
    one("state")?;
    if let Some(error) = one("error")? {
        let detail = format!("a code beside the error {:?}", words(&error));
        return Err(refused(&detail, "bad_answer"));
    }
    Ok(one("code")?.unwrap_or_default().into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bearer_token_is_told_with_its_seconds() {
        let told = |answer: Value| told_once(answer.as_object().unwrap()).get(ACCESS_TOKEN).to_vec();
        for (answer, seconds) in [
            (
                json!({ "access_token": "AT-1", "token_type": "bearer", "expires_in": 60 }),
                "60",
            ),
            // As a query, which servers before RFC 6749 answer with.
            (json!({ "access_token": "AT-1", "expires_in": "60" }), "60"),
            (json!({ "access_token": "AT-1", "expires_in": 0 }), "0"),
            (json!({ "access_token": "AT-1" }), "300"),
            (json!({ "access_token": "AT-1", "expires_in": -1 }), "300"),
        ] {
            assert_eq!(told(answer.clone()), ["AT-1", seconds], "{answer}");
        }
        for answer in [
            json!({}),
            json!({ "access_token": 1 }),
            json!({ "access_token": "AT-1", "token_type": "DPoP", "expires_in": 60 }),
        ] {
            assert!(told(answer.clone()).is_empty(), "{answer}");
        }
    }
}
