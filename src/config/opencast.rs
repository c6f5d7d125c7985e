//! `[opencast.<name>]`, as the running gateway sees it.

use std::path::PathBuf;
use std::time::Duration;

use crate::rate::Rate;

/// An Opencast that the gateway itself asks about events.
#[derive(Debug, Clone, PartialEq)]
pub struct Opencast {
    pub name: String,
    /// Index into [`super::Config::upstreams`]; no two have the same.
    pub upstream: usize,
    pub username: String,
    pub password_file: PathBuf,
    /// How long an answer holds.
    pub acl_ttl: Duration,
    /// How long it holds on while there is no new one.
    pub acl_stale: Duration,
    /// How long one question may take, on all servers that are tried together.
    pub acl_timeout: Duration,
    /// Questions about events that Opencast does not know, for each client.
    pub unknown_events: Rate,
    /// The private key of the tokens that it is shown; made if missing, but not where gateways share a store.
    pub sign_key_file: PathBuf,
    /// Names that such a token never carries, in lower case; `username` among them.
    pub never: Vec<String>,
}
