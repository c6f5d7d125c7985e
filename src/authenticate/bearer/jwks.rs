//! Access tokens that are JWTs (RFC 9068): verified by the keys of their server, which are fetched when they are needed and
//! serve on while the server is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Map, Value};
use url::Url;

use super::SetupError;
use crate::authenticate::oauth::cached::Cached;
use crate::authenticate::oauth::error::words;
use crate::authenticate::oauth::metadata::{self, LONGEST};
use crate::authenticate::oauth::{Failed, read_keys};
use crate::authenticate::token::jws::{ServerKeys, Signed, Unbelieved};
use crate::backchannel::Backchannel;
use crate::config::bearer::BearerJwks;
use crate::rejection::{Reason, Rejection};

/// Keys are fetched again after so long, and metadata...
const FRESH: Duration = Duration::from_secs(600);
const METADATA_FRESH: Duration = Duration::from_secs(3600);
/// ...and keys after this already, where a token needs another one.
const FRESH_FOR_NEW_KEY: Duration = Duration::from_secs(5);
/// A verified token is verified again after so long: its key may be gone.
pub(super) const VERIFIED_FOR: Duration = Duration::from_secs(600);

/// The keys of a server.
pub(super) struct Jwks {
    /// Of the bearer.
    name: Arc<str>,
    config: BearerJwks,
    backchannel: Backchannel,
    jwks_uri: Cached<Url>,
    keys: Cached<ServerKeys>,
    /// Are they fetched in the background now?
    is_refreshing: AtomicBool,
}

impl Jwks {
    pub(super) fn new(name: &Arc<str>, config: &BearerJwks) -> Result<Self, SetupError> {
        Ok(Self {
            name: Arc::clone(name),
            config: config.clone(),
            backchannel: Backchannel::new(&config.outgoing)?,
            jwks_uri: Cached::default(),
            keys: Cached::default(),
            is_refreshing: AtomicBool::new(false),
        })
    }

    /// What the token says, if the server has signed it. Keys are fetched once more for one that none verifies. `may_verify`
    /// is asked after each wait: others of the address may have used its budget up meanwhile.
    pub(super) async fn believed(
        self: &Arc<Self>,
        token: &str,
        may_verify: impl Fn() -> Result<(), Rejection>,
    ) -> Result<Map<String, Value>, Rejection> {
        let keys = self.keys().await.map_err(unavailable)?;
        may_verify()?;
        let signed = match keys.verify(token, &self.config.algorithms) {
            Err(Unbelieved::UnknownKey | Unbelieved::Signature) => {
                let newer = self.keys.newer(FRESH_FOR_NEW_KEY, self.fetch_keys()).await;
                let newer = newer.map_err(unavailable)?;
                may_verify()?;
                newer.verify(token, &self.config.algorithms)
            }
            judged => judged,
        };
        self.typed(signed.map_err(refusal)?)
    }

    /// RFC 9068 section 4: the type tells an access token from the server's others.
    fn typed(&self, signed: Signed) -> Result<Map<String, Value>, Rejection> {
        let bare = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.strip_prefix("application/").map(str::to_owned).unwrap_or(text)
        };
        let is_known = |typ: &str| self.config.types.iter().any(|known| bare(known) == bare(typ));
        match signed.typ {
            Some(typ) if is_known(&typ) => Ok(signed.claims),
            typ => {
                let typ = typ.map_or_else(|| "missing".to_owned(), |typ| format!("{:?}", words(&typ)));
                let name = &self.name;
                let detail = format!(
                    "typ is {typ}, which is none of bearer.{name}.jwks.types: add it there if the server's access tokens have it"
                );
                Err(Rejection::because(Reason::WrongType, detail))
            }
        }
    }

    /// The keys as they are known. Old ones serve on while newer ones are fetched beside the requests, so that a server that
    /// hangs keeps nobody waiting.
    async fn keys(self: &Arc<Self>) -> Result<Arc<ServerKeys>, Failed> {
        let Some((last, age)) = self.keys.last() else {
            return self.keys.get(FRESH, self.fetch_keys()).await;
        };
        if age >= FRESH && !self.is_refreshing.swap(true, Ordering::Relaxed) {
            let refreshed = Arc::clone(self);
            tokio::spawn(async move {
                // A failure is logged there, and the last keys stay.
                drop(refreshed.keys.get(FRESH, refreshed.fetch_keys()).await);
                refreshed.is_refreshing.store(false, Ordering::Relaxed);
            });
        }
        Ok(last)
    }

    async fn fetch_keys(&self) -> Result<ServerKeys, Failed> {
        let jwks = self.jwks_uri.get(METADATA_FRESH, self.fetch_jwks_uri()).await?;
        let fetched = self.backchannel.get(&jwks, LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("keys"))?;
        read_keys(&fetched.body, &jwks)
    }

    async fn fetch_jwks_uri(&self) -> Result<Url, Failed> {
        let Some(discovery) = &self.config.discovery else {
            return metadata::needed(&Map::new(), self.config.jwks_uri.as_ref(), "jwks_uri");
        };
        let fetched = self.backchannel.get(discovery, LONGEST).await;
        let fetched = fetched.map_err(Failed::fetch("metadata"))?;
        let members = metadata::read(&fetched.body, &self.config.issuer)?;
        metadata::needed(&members, self.config.jwks_uri.as_ref(), "jwks_uri")
    }

    /// For people: a line for each key that may verify. Error: they cannot be had, or none is of use.
    pub(super) async fn check(&self) -> Result<Vec<String>, Failed> {
        let keys = self.fetch_keys().await?;
        let usable = keys.told(&self.config.algorithms);
        match usable.is_empty() {
            true => Err(Failed::Answer(
                "no key of the server is for one of `algorithms`".to_owned(),
            )),
            false => Ok(usable),
        }
    }
}

fn unavailable(failed: Failed) -> Rejection {
    Rejection::because(Reason::KeysUnavailable, failed.to_string())
}

fn refusal(why: Unbelieved) -> Rejection {
    match why {
        Unbelieved::Malformed(detail) => Rejection::because(Reason::MalformedToken, detail),
        Unbelieved::Algorithm => Reason::AlgorithmNotAllowed.into(),
        Unbelieved::UnknownKey => Reason::UnknownKey.into(),
        Unbelieved::Signature => Reason::BadSignature.into(),
    }
}
