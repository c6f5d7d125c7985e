//! A published key set (RFC 7517 section 5), read again when its file changes.
//!
//! Only public members leave (`config::public_keys`). A file that becomes unusable changes nothing: the last good set
//! is answered on, and the log says why.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Reply;
use crate::config::public_keys::{MAX_KEY_SET, publishable};
use crate::digest::sha256;
use crate::headers::list;
use crate::watch_file;

/// Public keys are no secret, so any cache may keep them; a new key is everywhere five minutes after it is published.
const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The set as it is now.
pub struct KeySet {
    current: Arc<ArcSwap<Reply>>,
    /// `None`: there is no file, or its folder cannot be watched, and that was told.
    _watch: Option<watch_file::Guard>,
}

impl KeySet {
    /// Reads the file and watches it. Errors: it is unreadable, or not to be published.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Filled below; watched first, so that no change falls between.
        let current = Arc::new(ArcSwap::from_pointee(Reply {
            status: StatusCode::OK,
            headers: Vec::new(),
            body: bytes::Bytes::new(),
        }));
        let watched = watch_file::watch(path, refresh(path.to_owned(), Arc::clone(&current)));
        current.store(Arc::new(read(path)?));
        let watch = watched.inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "changes of this key set will be noticed at a restart only");
        });
        Ok(Self {
            current,
            _watch: watch.ok(),
        })
    }

    /// The set in this text, which does not change. Errors: it is not to be published.
    pub fn of(text: &[u8]) -> io::Result<Self> {
        Ok(Self {
            current: Arc::new(ArcSwap::from_pointee(published(text)?)),
            _watch: None,
        })
    }

    /// The set; or 304 to a client that has it (RFC 9110 section 13.1.2).
    pub fn answer(&self, request: &HeaderMap) -> Reply {
        let current = self.current.load();
        let tag = current.headers.iter().find(|(name, _)| name == ETAG);
        let has_it = tag.is_some_and(|(_, tag)| names(request, tag));
        match has_it {
            true => Reply {
                status: StatusCode::NOT_MODIFIED,
                headers: current
                    .headers
                    .iter()
                    .filter(|(name, _)| name != CONTENT_TYPE)
                    .cloned()
                    .collect(),
                body: bytes::Bytes::new(),
            },
            false => Reply::clone(&current),
        }
    }
}

fn refresh(path: PathBuf, current: Arc<ArcSwap<Reply>>) -> impl Fn() + Send + 'static {
    move || match read(&path) {
        Ok(set) => {
            current.store(Arc::new(set));
            tracing::info!(path = %path.display(), "the published key set has changed");
        }
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the published key set stays as it was");
        }
    }
}

fn read(path: &Path) -> io::Result<Reply> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_KEY_SET as u64 + 1).read_to_end(&mut text)?;
    published(&text)
}

fn published(text: &[u8]) -> io::Result<Reply> {
    let body = publishable(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(body.as_bytes())));
    let tag = HeaderValue::from_str(&tag).map_err(io::Error::other)?;
    let headers: [(HeaderName, HeaderValue); 4] = [
        // RFC 7517 section 8.5.2.
        (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, FRESH),
        (ETAG, tag),
    ];
    Ok(Reply {
        status: StatusCode::OK,
        headers: headers.into(),
        body: body.into(),
    })
}

/// Does `If-None-Match` name this tag? Tags of this file hold no comma, so the lists need no parser.
fn names(request: &HeaderMap, tag: &HeaderValue) -> bool {
    list(request, IF_NONE_MATCH).any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes())
}
