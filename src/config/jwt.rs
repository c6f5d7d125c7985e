//! `[jwt]`: whose tokens are believed, as the running gateway sees it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::pattern::RolePattern;
use super::{Algorithm, Outgoing};
use crate::rate::Rate;

#[derive(Debug, Clone, PartialEq)]
pub struct Jwt {
    pub algorithms: Vec<Algorithm>,
    pub sources: Vec<TokenSource>,
    pub roles_claims: Vec<String>,
    pub leeway: Duration,
    pub refresh: Duration,
    pub keep_stale: Duration,
    /// Bytes.
    pub cache: u64,
    /// Signature checks in vain that an address may cause.
    pub bad_signatures: Rate,
    /// Bytes of one token.
    pub max_token: usize,
    /// Bytes of one key set.
    pub max_key_set: usize,
    pub max_roles: usize,
    pub max_grants: usize,
    pub issuers: Vec<Issuer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A header whose value is `<scheme> <token>`; the scheme's case does not matter (RFC 9110 section 11.1).
    Header { name: HeaderName, scheme: String },
    /// A parameter of the query.
    Query { parameter: String },
    /// A field of the form that [`Action::Launch`] reads.
    Form { parameter: String },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Issuer {
    pub name: Arc<str>,
    pub jwks: JwksLocation,
    /// How its key set is fetched.
    pub outgoing: Outgoing,
    pub allow_roles: Vec<RolePattern>,
    pub allow_actions: Vec<String>,
    pub max_lifetime: Duration,
    pub may_name_users: bool,
    /// What its tokens must name as `iss`, if anything.
    pub iss: Option<String>,
    /// One of which its tokens must name as `aud`; none: whatever they say.
    pub aud: Vec<String>,
    /// What the header of its tokens must say as `typ`, if anything.
    pub typ: Option<String>,
    pub watch_max: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksLocation {
    Url(url::Url),
    File(PathBuf),
}
