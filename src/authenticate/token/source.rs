//! Where one issuer's keys come from: fetches and reads a key set once, and keeps the last good one for a restart.
//!
//! When to fetch, and what to do when it fails, is decided in `refresh`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::CACHE_CONTROL;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use super::jwk::{KeySet, KeySetError};
use crate::backchannel::{Backchannel, BackchannelError, Files};
use crate::config::{Issuer, JwksLocation, Outgoing};
use crate::headers::list;
use crate::store::{Store, Table};
use crate::time::{from_unix, unix_seconds};

/// A good key set, and when it was fetched.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) set: KeySet,
    pub(super) fetched: SystemTime,
}

/// What one good fetch brought.
pub(super) struct Brought {
    pub(super) set: KeySet,
    /// `Cache-Control: max-age` of the answer.
    pub(super) max_age: Option<Duration>,
    body: String,
}

/// Why a fetch brought no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Request(BackchannelError),
    #[error("{path} cannot be read: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the key set of {from} is larger than {limit} bytes (`jwt.max_key_set`)")]
    TooLarge { from: String, limit: usize },
    #[error("the key set cannot be used: {0}")]
    Keys(#[from] KeySetError),
}

/// One issuer's key set at its address.
pub(super) struct Source {
    pub(super) issuer: Arc<str>,
    place: Place,
    /// Bytes of a set.
    limit: usize,
    outgoing: Outgoing,
    files: Files,
}

enum Place {
    Url {
        url: url::Url,
        backchannel: Backchannel,
        store: Store,
    },
    File(PathBuf),
}

impl Source {
    /// `limit` is in bytes. Errors: the issuer's `ca_file` is unusable.
    pub(super) fn new(issuer: &Issuer, limit: usize, store: &Store) -> Result<Self, BackchannelError> {
        let place = match &issuer.jwks {
            JwksLocation::File(path) => Place::File(path.clone()),
            JwksLocation::Url(url) => Place::Url {
                url: url.clone(),
                backchannel: Backchannel::new(&issuer.outgoing)?,
                store: store.clone(),
            },
        };
        Ok(Self {
            issuer: Arc::clone(&issuer.name),
            place,
            limit,
            outgoing: issuer.outgoing.clone(),
            files: Files::read(&issuer.outgoing),
        })
    }

    /// Would a source made of this now ask the same place in the same way? Its caps are no matter of the source.
    pub(super) fn is_of(&self, issuer: &Issuer) -> bool {
        let same_place = match (&self.place, &issuer.jwks) {
            (Place::Url { url, .. }, JwksLocation::Url(wanted)) => url == wanted,
            (Place::File(path), JwksLocation::File(wanted)) => path == wanted,
            _ => false,
        };
        same_place
            && self.issuer == issuer.name
            && self.outgoing == issuer.outgoing
            && self.files == Files::read(&issuer.outgoing)
    }

    /// The file to watch, if the keys come from one.
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Url { .. } => None,
        }
    }

    /// Fetches and reads the set once.
    pub(super) async fn fetch(&self) -> Result<Brought, FetchError> {
        let limit = self.limit;
        let too_large = |from: String| FetchError::TooLarge { from, limit };
        let (body, max_age) = match &self.place {
            Place::Url { url, backchannel, .. } => {
                let fetched = backchannel.get(url, limit).await.map_err(|error| match error {
                    BackchannelError::TooLarge { host, .. } => too_large(host),
                    error => FetchError::Request(error),
                })?;
                (fetched.body.to_vec(), max_age(&fetched.headers))
            }
            Place::File(path) => {
                let read = read_bounded(path, limit).await.map_err(|source| FetchError::File {
                    path: path.clone(),
                    source,
                })?;
                (read.ok_or_else(|| too_large(path.display().to_string()))?, None)
            }
        };
        let set = KeySet::parse(&body)?;
        // What parsed as JSON is UTF-8.
        let body = String::from_utf8(body).unwrap_or_default();
        Ok(Brought { set, max_age, body })
    }

    /// Keeps a fetched set for the next start. A file is its own memory: keys taken out of it shall not come back.
    pub(super) async fn keep(&self, brought: Brought, fetched: SystemTime) {
        let Place::Url { store, .. } = &self.place else { return };
        let kept = Kept {
            fetched: unix_seconds(fetched),
            body: brought.body,
        };
        let saved = match serde_json::to_vec(&kept) {
            Ok(bytes) => store.put(Table::KeySets, &self.store_key(), &bytes, None).await,
            Err(error) => return tracing::error!(issuer = %self.issuer, %error, "a key set cannot be serialised"),
        };
        if let Err(error) = saved {
            tracing::warn!(issuer = %self.issuer, %error, "the key set is not kept for a restart");
        }
    }

    /// The set that an earlier run kept, whatever its age.
    pub(super) async fn kept(&self) -> Option<Held> {
        let Place::Url { store, .. } = &self.place else {
            return None;
        };
        let bytes = match store.get(Table::KeySets, &self.store_key()).await {
            Ok(bytes) => bytes?,
            Err(error) => {
                tracing::warn!(issuer = %self.issuer, %error, "the kept key set cannot be read");
                return None;
            }
        };
        let kept: Kept = serde_json::from_slice(&bytes).ok()?;
        Some(Held {
            set: KeySet::parse(kept.body.as_bytes()).ok()?,
            fetched: from_unix(kept.fetched),
        })
    }

    /// By name and address: the keys of an address that is no longer configured are nobody's.
    fn store_key(&self) -> String {
        match &self.place {
            Place::Url { url, .. } => format!("{} {url}", self.issuer),
            Place::File(path) => format!("{} {}", self.issuer, path.display()),
        }
    }
}

/// A key set as the store has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Unix seconds.
    fetched: u64,
    body: String,
}

/// `None`: it is larger than `limit` bytes.
async fn read_bounded(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = tokio::fs::File::open(path).await?;
    let mut body = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut body).await?;
    Ok(Some(body).filter(|body| body.len() <= limit))
}

/// RFC 9111 section 5.2.2.1.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut directives =
        list(headers, CACHE_CONTROL).filter_map(|directive| std::str::from_utf8(directive).ok()?.split_once('='));
    let (_, seconds) = directives.find(|(name, _)| name.trim().eq_ignore_ascii_case("max-age"))?;
    seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_is_found() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, value.parse().unwrap());
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(of("public, Max-Age=600, immutable"), Some(600));
        assert_eq!(of("s-maxage=5, max-age=\"7\""), Some(7));
        assert_eq!(of("max-age=-1"), None);
        assert_eq!(of("no-store"), None);
    }
}
