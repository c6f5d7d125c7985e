//! What of a key may be published (RFC 7517 section 4, RFC 7518 section 6): its public members, known by name.
//!
//! Whether a key can verify tokens is not asked here.

use serde_json::{Map, Value, json};

use crate::text::without_mark;

/// Bytes of one key set.
pub const MAX_KEY_SET: usize = 256 * 1024;

const PUBLIC: [&str; 16] = [
    "kty", "use", "key_ops", "alg", "kid", "x5u", "x5c", "x5t", "x5t#S256", "crv", "x", "y", "n", "e", "exp", "nbf",
];
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// Why a document is not published.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotPublishable {
    #[error("it is larger than {MAX_KEY_SET} bytes")]
    TooLarge,
    #[error("it is no key set: {0}")]
    NoKeySet(String),
    #[error("key {0} is private: whoever reads it could make tokens (`{1}`)")]
    Private(usize, &'static str),
    #[error("key {0} is a shared secret (oct): whoever reads it could make tokens")]
    Secret(usize),
}

/// A key's public members; private ones and those of unknown meaning stay behind.
pub fn public_part(jwk: &Map<String, Value>) -> Map<String, Value> {
    let members = jwk.iter().filter(|(name, _)| PUBLIC.contains(&name.as_str()));
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What a text is that is no JSON.
fn no_json(text: &[u8], error: &serde_json::Error) -> String {
    let has = |part: &[u8]| text.windows(part.len()).any(|found| found == part);
    match () {
        () if text.trim_ascii().is_empty() => "it is empty".to_owned(),
        () if has(b"-----BEGIN ") => "it is PEM".to_owned(),
        () if error.is_eof() => "its end is missing".to_owned(),
        () => format!("it is no JSON (line {}, column {})", error.line(), error.column()),
    }
}

/// Reads a key set (RFC 7517 section 5) and gives what may be published of it, as JSON.
///
/// Errors: a private or secret key is in it. It is refused and not just left out: the file is in the wrong place.
pub fn publishable(text: &[u8]) -> Result<String, NotPublishable> {
    if text.len() > MAX_KEY_SET {
        return Err(NotPublishable::TooLarge);
    }
    let text = without_mark(text);
    let set: Value = serde_json::from_slice(text).map_err(|error| NotPublishable::NoKeySet(no_json(text, &error)))?;
    let Some(Value::Array(keys)) = set.get("keys") else {
        return Err(NotPublishable::NoKeySet("no array \"keys\" in it".to_owned()));
    };
    let mut public = Vec::with_capacity(keys.len());
    for (number, key) in (1..).zip(keys) {
        let Some(key) = key.as_object() else {
            return Err(NotPublishable::NoKeySet(format!("key {number} is no object")));
        };
        if key.get("kty").and_then(Value::as_str) == Some("oct") || key.contains_key("k") {
            return Err(NotPublishable::Secret(number));
        }
        if let Some(member) = PRIVATE.into_iter().find(|member| key.contains_key(*member)) {
            return Err(NotPublishable::Private(number, member));
        }
        public.push(public_part(key));
    }
    Ok(json!({ "keys": public }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_members_leave() {
        let set = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","kid":"k","note":"mine"}],"owner":"me"}"#;
        let published: Value = serde_json::from_str(&publishable(set.as_bytes()).unwrap()).unwrap();
        let expected = json!({"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","kid":"k"}]});
        assert_eq!(published, expected);
    }

    #[test]
    fn what_is_not_public_is_refused() {
        let refused = |set: &str| publishable(set.as_bytes()).unwrap_err();
        for member in PRIVATE {
            let set = format!(r#"{{"keys":[{{"kty":"EC"}},{{"kty":"EC","{member}":"secret"}}]}}"#);
            assert_eq!(refused(&set), NotPublishable::Private(2, member));
            assert!(!refused(&set).to_string().contains("secret"));
        }
        assert_eq!(
            refused(r#"{"keys":[{"kty":"oct","k":"x"}]}"#),
            NotPublishable::Secret(1)
        );
        for (text, told) in [
            ("", "it is no key set: it is empty"),
            ("\u{feff}\n", "it is no key set: it is empty"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n", "it is no key set: it is PEM"),
            (r#"{"keys":[{"kty""#, "it is no key set: its end is missing"),
            ("{\n  keys: []\n}", "it is no key set: it is no JSON (line 2, column 3)"),
        ] {
            assert_eq!(refused(text).to_string(), told);
        }
        for text in ["", "[]", r#"{"keys":{}}"#, r#"{"keys":[7]}"#, r#"{"kty":"EC"}"#] {
            assert!(matches!(refused(text), NotPublishable::NoKeySet(_)), "{text}");
        }
        assert_eq!(refused(&" ".repeat(MAX_KEY_SET + 1)), NotPublishable::TooLarge);
    }
}
