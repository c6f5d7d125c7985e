//! The servers behind the gateway: `[upstreams.<name>]`, checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use url::Url;

use super::section::words;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub name: Arc<str>,
    /// Never empty.
    pub servers: Vec<UpstreamServer>,
    pub balance: Balance,
    pub health: Health,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    /// Requests may become websockets, unless a route says otherwise.
    pub websocket: bool,
    /// `None`: keep the client's Host.
    pub host: Option<HeaderValue>,
    pub ca_file: Option<PathBuf>,
    /// `None`: its `X-Accel-Redirect` is dropped.
    pub accel: Option<UpstreamAccel>,
    /// `None`: it is no object store.
    pub s3: Option<S3>,
}

/// A bucket of an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3 {
    pub bucket: String,
    pub region: String,
    /// Scheme and host as the store sees them, without the bucket.
    pub endpoint: Url,
    /// Does the bucket stand in the path? Otherwise in the host.
    pub path_style: bool,
    /// What stands before the path in every key.
    pub prefix: String,
    pub credentials_file: PathBuf,
    pub profile: String,
    /// How long an address is good for to which clients are sent.
    pub valid: Duration,
}

/// Answers of an upstream that name a file of the gateway's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamAccel {
    /// Begins with a slash and ends with none.
    pub prefix: String,
    pub files: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamServer {
    pub https: bool,
    /// Name or address; brackets around IPv6 removed.
    pub host: String,
    pub port: u16,
}

words! {
    pub enum Balance {
        RoundRobin = "round_robin",
        /// By the canonical path (ketama), so that one server's cache sees one file.
        Consistent = "consistent",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// `None`: a TCP connect counts as healthy.
    pub path: Option<String>,
    pub every: Duration,
}
