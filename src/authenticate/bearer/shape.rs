//! What can be seen of an access token before anybody has judged it: whose it claims to be. It is believed of nothing; it only
//! decides who is to judge it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::authenticate::token::json;

/// The form of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// A signed token (RFC 7515 section 3.1), and the issuer that it names.
    Jwt(Option<String>),
    /// Anything else: its server alone can tell. So is one whose claims are encrypted.
    Opaque,
}

impl Shape {
    pub(super) fn of(token: &str) -> Self {
        let mut parts = token.split('.');
        let (Some(header), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self::Opaque;
        };
        match (object(header), object(claims)) {
            (Some(header), Some(claims)) if header.contains_key("alg") => {
                Self::Jwt(claims.get("iss").and_then(Value::as_str).map(str::to_owned))
            }
            _ => Self::Opaque,
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    json::parse_object(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Can this stand in `Authorization: Bearer` (RFC 6750 section 2.1, `b64token`)?
pub(super) fn is_token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(header: &str, claims: &str) -> String {
        format!(
            "{}.{}.c2ln",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        )
    }

    #[test]
    fn only_a_signed_token_of_two_objects_is_a_jwt() {
        let shape = |header: &str, claims: &str| Shape::of(&jwt(header, claims));
        assert_eq!(
            shape(r#"{"alg":"RS256"}"#, r#"{"iss":"https://idp.test"}"#),
            Shape::Jwt(Some("https://idp.test".to_owned()))
        );
        assert_eq!(shape(r#"{ "alg":"none"}"#, "{}"), Shape::Jwt(None));
        // As Apereo's server makes them of an OAuth service: an encrypted token within a signed one.
        assert_eq!(shape(r#"{"alg":"RS512","typ":"JWT"}"#, "eyJhbGciOi"), Shape::Opaque);
        for opaque in [
            "AT-2-qXcDuVeA1--l6rZX",
            "a.b.c",
            "a.b.c.d.e",
            "",
            "..",
            "Lm6hxu_993HPA8XUL-htvyo9YaMUHO",
        ] {
            assert_eq!(Shape::of(opaque), Shape::Opaque, "{opaque}");
        }
    }

    #[test]
    fn tokens_have_no_other_letters() {
        for good in ["AT-2-q", "a.b.c", "x~+/==", "1"] {
            assert!(is_token(good), "{good}");
        }
        for bad in ["", "=", "a b", "a\tb", "a,b", "a\"b", "ä", "a=b"] {
            assert!(!is_token(bad), "{bad}");
        }
    }
}
