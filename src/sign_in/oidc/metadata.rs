//! Where a provider's endpoints are: what it publishes (OIDC Discovery 1.0 section 3), and what the configuration says instead.

use serde_json::{Map, Value};
use url::Url;

use crate::authenticate::oauth::Failed;
use crate::authenticate::oauth::metadata::{self, endpoint, needed};
use crate::config;

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
        let members = metadata::read(document, &config.issuer)?;
        Self::of(&members, config)
    }

    /// The endpoints that are written out, where there is no discovery.
    pub(super) fn written_out(config: &config::Oidc) -> Result<Self, Failed> {
        Self::of(&Map::new(), config)
    }

    fn of(members: &Map<String, Value>, config: &config::Oidc) -> Result<Self, Failed> {
        let written = &config.endpoints;
        let scopes = members.get("scopes_supported").and_then(Value::as_array);
        Ok(Self {
            authorization: needed(members, written.authorization.as_ref(), "authorization_endpoint")?,
            token: needed(members, written.token.as_ref(), "token_endpoint")?,
            jwks: needed(members, written.jwks.as_ref(), "jwks_uri")?,
            userinfo: endpoint(members, written.userinfo.as_ref(), "userinfo_endpoint")?,
            end_session: endpoint(members, written.end_session.as_ref(), "end_session_endpoint")?,
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
