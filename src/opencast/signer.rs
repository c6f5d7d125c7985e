//! Tokens for Opencast, made when they are needed and used again until shortly before their end, so that Opencast's own
//! memory of verified tokens serves too.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use moka::sync::Cache;
use parking_lot::Mutex;
use serde_json::Value;

use super::key::SigningKey;
use super::token::Shown;
use crate::identity::Identity;
use crate::rejection::{Reason, Rejection};

/// From making to its end. It may outlive the credential behind it by that: nobody but Opencast ever sees it, and who
/// may still ask is judged at every request.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long it is used again.
const USED_FOR: Duration = Duration::from_secs(60);
const MAX_TOKENS: u64 = 20_000;

/// The key, once it is needed, and the tokens in use.
pub(super) struct Signer {
    path: PathBuf,
    make: bool,
    key: Mutex<Option<Arc<SigningKey>>>,
    /// In lower case.
    never: Vec<String>,
    tokens: Cache<[u8; 32], HeaderValue>,
}

impl Signer {
    pub(super) fn new(path: PathBuf, make: bool, never: Vec<String>) -> Self {
        Self {
            path,
            make,
            key: Mutex::new(None),
            never,
            tokens: Cache::builder().max_capacity(MAX_TOKENS).time_to_live(USED_FOR).build(),
        }
    }

    /// Reads the key, or makes it.
    pub(super) fn prepare(&self) -> io::Result<Arc<SigningKey>> {
        let mut key = self.key.lock();
        if let Some(key) = &*key {
            return Ok(Arc::clone(key));
        }
        let loaded = SigningKey::load(&self.path, self.make);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        Ok(Arc::clone(key.insert(Arc::new(loaded.map_err(named)?))))
    }

    pub(super) fn jwk(&self) -> io::Result<Value> {
        Ok(self.prepare()?.jwk().clone())
    }

    /// `Bearer <token>`, never shown by `Debug`. `named`: may the source of this person name users?
    pub(super) fn authorization(&self, who: &Identity, named: bool, now: SystemTime) -> Result<HeaderValue, Rejection> {
        let shown = Shown::new(who, named, &self.never).map_err(|_| {
            let detail = "opencast-jwt: this name is never told (opencast.….never), or is no name";
            Rejection::because(Reason::DeniedByRule, detail)
        })?;
        let key = shown.key();
        if let Some(token) = self.tokens.get(&key) {
            return Ok(token);
        }
        let failed = |error: io::Error| Rejection::because(Reason::Internal, format!("opencast-jwt: {error}"));
        let signer = self.prepare().map_err(failed)?;
        let token = signer.sign(&shown.claims(now, LIFETIME)).map_err(failed)?;
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.map_err(|error| failed(io::Error::other(error)))?;
        value.set_sensitive(true);
        self.tokens.insert(key, value.clone());
        Ok(value)
    }
}
