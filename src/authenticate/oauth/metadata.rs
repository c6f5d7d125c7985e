//! What an authorization server publishes about itself (OIDC Discovery 1.0 section 3, RFC 8414): whose document it is, and the
//! addresses in it.

use serde_json::{Map, Value};
use url::Url;

use super::error::{Failed, words};
use crate::authenticate::token::json;
use crate::config;

/// Longest document that is read, in bytes.
pub const LONGEST: usize = 256 << 10;

/// The members of a server's metadata. Error: it is none, or of another issuer.
pub fn read(document: &[u8], issuer: &str) -> Result<Map<String, Value>, Failed> {
    let members = json::parse_object(document)
        .map_err(|error| Failed::Answer(format!("the authorization server's metadata cannot be used: {error}")))?;
    match members.get("issuer").and_then(Value::as_str) {
        Some(named) if named == issuer => Ok(members),
        Some(other) => {
            let other = words(other);
            Err(Failed::Answer(format!(
                "the metadata is of the issuer {other:?}, and `issuer` is {issuer:?}: they must be equal to the letter, \
                 slashes at the end included"
            )))
        }
        None => Err(Failed::Answer(
            "the authorization server's metadata names no issuer".to_owned(),
        )),
    }
}

/// An address: as it is `written` in the configuration, or else in the metadata. Error: that one cannot be used.
pub fn endpoint(members: &Map<String, Value>, written: Option<&Url>, name: &str) -> Result<Option<Url>, Failed> {
    match (written, members.get(name)) {
        (Some(written), _) => Ok(Some(written.clone())),
        (None, None | Some(Value::Null)) => Ok(None),
        (None, Some(said)) => {
            let url = said
                .as_str()
                .and_then(|said| Url::parse(said).ok())
                .filter(config::is_provider_url);
            let unusable = || {
                let text = format!(
                    "{name} in the authorization server's metadata is no https address: write it into the configuration"
                );
                Failed::Answer(text)
            };
            url.map(Some).ok_or_else(unusable)
        }
    }
}

/// The same of one that must be there.
pub fn needed(members: &Map<String, Value>, written: Option<&Url>, name: &str) -> Result<Url, Failed> {
    let missing = || {
        Failed::Answer(format!(
            "the authorization server's metadata has no {name}: write it into the configuration"
        ))
    };
    endpoint(members, written, name)?.ok_or_else(missing)
}
