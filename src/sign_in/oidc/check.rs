//! What `janua check` asks a provider, and what its operator has to register.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use serde_json::json;

use super::{BACK_CHANNEL, FRONT_CHANNEL, KIND, Oidc};
use crate::authenticate::oauth::metadata::LONGEST;
use crate::authenticate::oauth::{Failed, read_keys};
use crate::headers;
use crate::sign_in::{Unfit, register};

impl Oidc {
    /// The provider's metadata and keys must be there.
    pub async fn check(&self, callback: &str) -> Result<String, Unfit> {
        let unfit = |failed: Failed| Unfit {
            cause: match &failed {
                Failed::Fetch(_, error) => error.to_string(),
                other => other.to_string(),
            },
            text: failed.to_string(),
        };
        let metadata = self.fetch_metadata().await.map_err(unfit)?;
        let fetched = self.client.backchannel.get(&metadata.jwks, LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("keys")).map_err(unfit)?;
        let keys = read_keys(&fetched.body, &metadata.jwks).map_err(unfit)?;
        let usable = keys.told(&self.config.algorithms);
        if usable.is_empty() {
            let failed = Failed::Answer(format!("no key at {} is for one of `algorithms`", metadata.jwks));
            return Err(unfit(failed));
        }
        let unknown = self
            .config
            .scopes
            .iter()
            .filter(|scope| !metadata.scopes.contains(scope));
        let unknown: Vec<&str> = unknown
            .filter(|_| !metadata.scopes.is_empty())
            .map(String::as_str)
            .collect();
        let probed = self.client.probe(&metadata.token, callback).await;
        probed.map_err(|why| unfit(Failed::Answer(why)))?;
        let mut told = format!(
            "{} has metadata, keys ({}), and knows this client",
            self.config.issuer,
            usable.join(", ")
        );
        if !unknown.is_empty() {
            told += &format!("; it does not tell of the scopes {}", unknown.join(", "));
        }
        if metadata.end_session.is_none() {
            told += "; it tells no end_session_endpoint: whoever signs out here stays signed in there";
        }
        if let Some(apart) = apart(&fetched.headers).filter(|apart| *apart > self.config.leeway) {
            let apart = apart.as_secs();
            told += &format!("; its clock differs by {apart} s, more than `leeway`: its tokens are refused");
        }
        Ok(told)
    }

    /// What its operator has to register.
    pub fn registration(&self, origin: &str) -> Vec<String> {
        let address = |endpoint: &str| format!("{origin}/_janua/{KIND}/{}/{endpoint}", self.name);
        let mut told = vec![format!(
            "to register at the provider, as redirect URI and as post-logout redirect URI: {}",
            address("callback")
        )];
        if self.config.single_logout {
            told.push(format!(
                "to register there for logouts: {} as back-channel logout URI (session required); a provider without one needs \
                 front_channel_logout = true",
                address(BACK_CHANNEL)
            ));
        }
        if self.config.single_logout && self.config.front_channel_logout {
            let address = address(FRONT_CHANNEL);
            told.push(format!(
                "to register there, too: {address} as front-channel logout URI (session required)"
            ));
        }
        told.extend(self.client.registration());
        told.extend(self.pasted(&address("callback"), &address(BACK_CHANNEL)));
        if ["preferred_username", "email", "name", "nickname", "upn"].contains(&&*self.config.username) {
            told.push(format!(
                "username = \"{}\": people may be able to change it at the provider, and to become somebody else here",
                self.config.username
            ));
        }
        told
    }
}

impl Oidc {
    /// The same in the words of the servers whose forms are known. Which one it is, its addresses tell.
    fn pasted(&self, callback: &str, logout: &str) -> Option<String> {
        let (config, client_id) = (&self.config, &self.config.client_id);
        let logout = Some(logout).filter(|_| config.single_logout);
        let discovery = config.discovery.as_ref().map_or("", |discovery| discovery.as_str());
        let by_cas = || {
            let more = json!({
                "clientId": client_id, "clientSecret": "…", "bypassApprovalPrompt": true,
                "logoutType": logout.map_or("NONE", |_| "BACK_CHANNEL"), "logoutUrl": logout,
            });
            let is_cas = config.issuer.ends_with("/cas/oidc");
            is_cas.then(|| register::apereo("services.OidcRegisteredService", "Janua", callback, more))
        };
        register::keycloak(&config.issuer, client_id, callback, logout)
            .or_else(|| register::oidcserver(discovery, client_id, callback))
            .or_else(by_cas)
    }
}

/// By how much the clock of a server that has just answered differs from this one (RFC 9110 section 6.6.1).
fn apart(headers: &HeaderMap) -> Option<Duration> {
    let there = httpdate::parse_http_date(headers::text(headers, DATE)?).ok()?;
    let here = SystemTime::now();
    Some(here.duration_since(there).unwrap_or_else(|early| early.duration()))
}
