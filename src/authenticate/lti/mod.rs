//! Launches by LTI 1.3: a learning platform opens a page here and names the person by a signed message (LTI Core 1.3; IMS
//! Security Framework 1.0 section 5.1: OpenID Connect, implicit flow with `form_post`, begun by the platform).
//!
//! ```text
//! login (begun) ─ attempt          the platform          launch ─ attempt ─ Platform::believed ─ message ─ Attempts::spend ─ said
//! ```
//!
//! Decides who launches, and that a message is the answer to a question which this very browser has brought there, once. To
//! which page it leads, and what the browser gets, is decided by who asks.

pub mod attempt;
pub mod message;
pub mod said;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub use self::attempt::{Attempt, Attempts};
pub use self::message::Message;
pub use self::said::Said;
use super::oauth::cached::Cached;
use super::oauth::metadata::LONGEST;
use super::oauth::{Failed, SetupError, read_keys};
use super::token::jws::{ServerKeys, Signed, Unbelieved};
use crate::backchannel::Backchannel;
use crate::client_key::ClientKey;
use crate::config::Lti;
use crate::rejection::{Reason, Rejection};

/// Keys are fetched again after so long...
const FRESH: Duration = Duration::from_secs(600);
/// ...and after this already, where a message needs another one.
const FRESH_FOR_NEW_KEY: Duration = Duration::from_secs(5);

/// A learning platform, with its keys.
pub struct Platform {
    pub config: Lti,
    /// The key by which the platform knows this tool.
    key: Option<ClientKey>,
    backchannel: Backchannel,
    /// Of the platform, over reloads.
    keys: Arc<Cached<ServerKeys>>,
}

impl Platform {
    /// Error: its CA file or its key cannot be used.
    pub fn new(config: &Lti, before: Option<&Self>) -> Result<Self, SetupError> {
        let same =
            before.filter(|known| known.config.issuer == config.issuer && known.config.jwks_url == config.jwks_url);
        Ok(Self {
            key: config.signing_key().as_ref().map(ClientKey::load_rsa).transpose()?,
            config: config.clone(),
            backchannel: Backchannel::new(&config.outgoing)?,
            keys: same.map(|known| Arc::clone(&known.keys)).unwrap_or_default(),
        })
    }

    /// The key by which the platform knows this tool, if it has one.
    pub fn key(&self) -> Option<&ClientKey> {
        self.key.as_ref()
    }

    /// Its public part (RFC 7517), for the platform.
    pub fn key_set(&self) -> Value {
        json!({ "keys": self.key().map(ClientKey::jwk).into_iter().collect::<Vec<_>>() })
    }

    /// What a message says whose signature is the platform's. Keys are fetched once more for one that none verifies.
    pub async fn believed(&self, token: &str) -> Result<Signed, Rejection> {
        let algorithms = &self.config.algorithms;
        let keys = self.keys.get(FRESH, self.fetch_keys()).await;
        let signed = match keys
            .map_err(|failed| self.unavailable(&failed))?
            .verify(token, algorithms)
        {
            Err(Unbelieved::UnknownKey | Unbelieved::Signature) => {
                let newer = self.keys.newer(FRESH_FOR_NEW_KEY, self.fetch_keys()).await;
                newer
                    .map_err(|failed| self.unavailable(&failed))?
                    .verify(token, algorithms)
            }
            judged => judged,
        };
        signed.map_err(|why| self.unbelieved(why))
    }

    async fn fetch_keys(&self) -> Result<ServerKeys, Failed> {
        let jwks = &self.config.jwks_url;
        let fetched = self.backchannel.get(jwks, LONGEST).await;
        read_keys(&fetched.map_err(Failed::fetch("keys"))?.body, jwks)
    }

    /// For people: a line for each key that may verify. Error: they cannot be had, or none is of use.
    pub async fn check(&self) -> Result<Vec<String>, Failed> {
        let usable = self.fetch_keys().await?.told(&self.config.algorithms);
        match usable.is_empty() {
            true => Err(Failed::Answer(
                "no key of the platform is for one of `algorithms`".to_owned(),
            )),
            false => Ok(usable),
        }
    }

    fn unavailable(&self, failed: &Failed) -> Rejection {
        Rejection::because(Reason::KeysUnavailable, format!("lti.{}: {failed}", self.config.name))
    }

    fn unbelieved(&self, why: Unbelieved) -> Rejection {
        let detail = format!("lti.{}: {why}", self.config.name);
        let reason = match why {
            Unbelieved::Malformed(_) => Reason::MalformedToken,
            Unbelieved::Algorithm => Reason::AlgorithmNotAllowed,
            Unbelieved::UnknownKey => Reason::UnknownKey,
            Unbelieved::Signature => Reason::BadSignature,
        };
        Rejection::because(reason, detail)
    }
}

/// The platforms of a configuration. Those that `before` has the same stay, with their keys.
pub fn platforms(wanted: &[Lti], before: &[Arc<Platform>]) -> Result<Vec<Arc<Platform>>, (Arc<str>, SetupError)> {
    let platform = |wanted: &Lti| {
        // What a file holds may have changed: those are read again.
        let by_password = wanted
            .outgoing
            .proxy
            .as_ref()
            .is_some_and(|proxy| proxy.password_file.is_some());
        let has_files = by_password || wanted.outgoing.ca_file.is_some() || wanted.key_file.is_some();
        let same = before.iter().find(|known| known.config == *wanted && !has_files);
        match same {
            Some(same) => Ok(Arc::clone(same)),
            None => Platform::new(
                wanted,
                before
                    .iter()
                    .find(|known| known.config.name == wanted.name)
                    .map(|known| &**known),
            )
            .map(Arc::new)
            .map_err(|error| (Arc::clone(&wanted.name), error)),
        }
    };
    wanted.iter().map(platform).collect()
}
