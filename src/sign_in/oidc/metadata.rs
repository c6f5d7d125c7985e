//! Where a provider's endpoints are: what it publishes (OIDC Discovery 1.0 section 3), and what the configuration says instead.

use serde_json::{Map, Value};
use url::Url;

use crate::authenticate::token::json;
use crate::config;
use crate::sign_in::oauth::error::{Failed, words};

/// Longest document that is read, in bytes.
pub(super) const LONGEST: usize = 256 << 10;

/// A provider's endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) jwks: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) end_session: Option<Url>,
    /// Does it name itself in every answer at the callback (RFC 9207)?
    pub(super) names_itself: bool,
    /// Scopes that it tells of; none: it does not say.
    pub(super) scopes: Vec<String>,
}

impl Metadata {
    /// Reads the document. What is written out in the configuration counts instead. Error: it is of another issuer, or an
    /// endpoint is missing or cannot be used.
    pub(super) fn read(document: &[u8], config: &config::Oidc) -> Result<Self, Failed> {
        let members = json::parse_object(document)
            .map_err(|error| Failed::Answer(format!("the sign-in server's metadata cannot be used: {error}")))?;
        match members.get("issuer").and_then(Value::as_str) {
            Some(issuer) if issuer == config.issuer => {}
            Some(other) => {
                let (other, issuer) = (words(other), &config.issuer);
                return Err(Failed::Answer(format!(
                    "the metadata is of the issuer {other:?}, and `issuer` is {issuer:?}: they must be equal to the letter, \
                     slashes at the end included"
                )));
            }
            None => {
                return Err(Failed::Answer(
                    "the sign-in server's metadata names no issuer".to_owned(),
                ));
            }
        }
        Self::of(&members, config)
    }

    /// The endpoints that are written out, where there is no discovery.
    pub(super) fn written_out(config: &config::Oidc) -> Result<Self, Failed> {
        Self::of(&Map::new(), config)
    }

    fn of(members: &Map<String, Value>, config: &config::Oidc) -> Result<Self, Failed> {
        let endpoint = |written: &Option<Url>, name: &str| match (written, members.get(name)) {
            (Some(written), _) => Ok(Some(written.clone())),
            (None, None | Some(Value::Null)) => Ok(None),
            (None, Some(said)) => {
                let url = said
                    .as_str()
                    .and_then(|said| Url::parse(said).ok())
                    .filter(config::is_provider_url);
                let unusable = || {
                    let text = format!(
                        "{name} in the sign-in server's metadata is no https address: write it into the configuration"
                    );
                    Failed::Answer(text)
                };
                url.map(Some).ok_or_else(unusable)
            }
        };
        let needed = |written: &Option<Url>, name: &str| {
            let missing = || {
                Failed::Answer(format!(
                    "the sign-in server's metadata has no {name}: write it into the configuration"
                ))
            };
            endpoint(written, name)?.ok_or_else(missing)
        };
        let written = &config.endpoints;
        let scopes = members.get("scopes_supported").and_then(Value::as_array);
        Ok(Self {
            authorization: needed(&written.authorization, "authorization_endpoint")?,
            token: needed(&written.token, "token_endpoint")?,
            jwks: needed(&written.jwks, "jwks_uri")?,
            userinfo: endpoint(&written.userinfo, "userinfo_endpoint")?,
            end_session: endpoint(&written.end_session, "end_session_endpoint")?,
            names_itself: members.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
            scopes: scopes
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sign_in::oidc::testing::config;

    fn document() -> Value {
        json!({
            "issuer": "https://idp.test", "authorization_endpoint": "https://idp.test/auth", "token_endpoint": "https://api.idp.test/token",
            "jwks_uri": "https://idp.test/jwks", "end_session_endpoint": "https://idp.test/end",
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn read(document: &Value, config: &config::Oidc) -> Result<Metadata, Failed> {
        Metadata::read(document.to_string().as_bytes(), config)
    }

    #[test]
    fn the_document_of_this_issuer_tells_endpoints() {
        let mut config = config("https://idp.test");
        let metadata = read(&document(), &config).unwrap();
        assert_eq!(
            metadata.token.as_str(),
            "https://api.idp.test/token",
            "on another host, too"
        );
        assert!(metadata.names_itself && metadata.userinfo.is_none());
        config.endpoints.token = Some(Url::parse("https://idp.test/other").unwrap());
        assert_eq!(read(&document(), &config).unwrap().token.path(), "/other");
        assert!(
            read(&document(), &super::super::testing::config("https://idp.test/")).is_err(),
            "a slash matters"
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let config = config("https://idp.test");
        for (name, value) in [
            ("issuer", json!("https://evil.test")),
            ("issuer", Value::Null),
            ("token_endpoint", json!("http://idp.test/token")),
            ("token_endpoint", Value::Null),
            ("jwks_uri", json!("file:///etc/passwd")),
            ("authorization_endpoint", json!("javascript:alert(1)")),
        ] {
            let mut bad = document();
            bad[name] = value;
            assert!(read(&bad, &config).is_err(), "{bad}");
        }
        assert!(Metadata::read(b"<html>", &config).is_err());
        assert!(Metadata::written_out(&config).is_err());
    }
}
