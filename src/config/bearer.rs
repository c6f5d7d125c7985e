//! Whose access tokens are taken: `[bearer.<name>]`, checked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::cas::RoleRule;
use super::{Algorithm, ClientAuth, ClientKey, Outgoing};
use crate::rate::Rate;

/// Where access tokens come from. Its name is the source of its people; no sign-in and no issuer has the same one.
#[derive(Debug, Clone, PartialEq)]
pub struct Bearer {
    pub name: Arc<str>,
    /// The claim or member that is the person's name.
    pub username: String,
    /// The sign-in whose people these are; `None`: people of their own.
    pub people: Option<Arc<str>>,
    pub roles: Vec<RoleRule>,
    /// What is kept of what tokens say of a person: what the Moodles of these people ask for. Empty: none does.
    pub attributes: Vec<String>,
    /// One of which tokens must be meant for; empty: `clients` decides.
    pub audience: Vec<String>,
    /// The clients whose tokens are taken; empty: `audience` decides. Where both are written, both must hold.
    pub clients: Vec<String>,
    /// Tokens that one address may bring in vain.
    pub bad_tokens: Rate,
    pub by: BearerBy,
}

/// How it is found out what a token says.
#[derive(Debug, Clone, PartialEq)]
pub enum BearerBy {
    Jwks(Box<BearerJwks>),
    Introspection(Box<Introspection>),
    Profile(Box<BearerProfile>),
}

/// `[bearer.<name>.jwks]`
#[derive(Debug, Clone, PartialEq)]
pub struct BearerJwks {
    /// To the letter, as tokens name it.
    pub issuer: String,
    pub issuer_url: Url,
    /// Where the metadata is; `None`: `jwks_uri` is written out.
    pub discovery: Option<Url>,
    pub jwks_uri: Option<Url>,
    /// What the header of tokens may say as `typ`.
    pub types: Vec<String>,
    pub algorithms: Vec<Algorithm>,
    pub leeway: Duration,
    pub max_lifetime: Duration,
    pub outgoing: Outgoing,
}

/// `[bearer.<name>.introspection]`
#[derive(Debug, Clone, PartialEq)]
pub struct Introspection {
    pub endpoint: Url,
    pub client_id: String,
    /// This, or a key.
    pub client_secret_file: Option<PathBuf>,
    pub client_key: Option<ClientKey>,
    pub client_auth: ClientAuth,
    pub cache: Duration,
    pub serve_stale: Duration,
    pub issuer: Option<String>,
    pub outgoing: Outgoing,
}

/// `[bearer.<name>.profile]`
#[derive(Debug, Clone, PartialEq)]
pub struct BearerProfile {
    pub endpoint: Url,
    pub cache: Duration,
    pub serve_stale: Duration,
    pub outgoing: Outgoing,
}

impl Bearer {
    /// Its table below `bearer.<name>`.
    pub fn key(&self) -> &'static str {
        match self.by {
            BearerBy::Jwks(_) => "jwks",
            BearerBy::Introspection(_) => "introspection",
            BearerBy::Profile(_) => "profile",
        }
    }

    /// The authorization server's issuer, where it is known.
    pub fn issuer(&self) -> Option<&str> {
        match &self.by {
            BearerBy::Jwks(jwks) => Some(&jwks.issuer),
            BearerBy::Introspection(introspection) => introspection.issuer.as_deref(),
            BearerBy::Profile(_) => None,
        }
    }

    /// An address of the server.
    pub fn server(&self) -> &Url {
        match &self.by {
            BearerBy::Jwks(jwks) => &jwks.issuer_url,
            BearerBy::Introspection(introspection) => &introspection.endpoint,
            BearerBy::Profile(profile) => &profile.endpoint,
        }
    }

    /// How the server is reached.
    pub fn outgoing(&self) -> &Outgoing {
        match &self.by {
            BearerBy::Jwks(jwks) => &jwks.outgoing,
            BearerBy::Introspection(introspection) => &introspection.outgoing,
            BearerBy::Profile(profile) => &profile.outgoing,
        }
    }

    /// Further roots for https.
    pub fn ca_file(&self) -> Option<&Path> {
        self.outgoing().ca_file.as_deref()
    }

    /// The file with the secret by which the gateway proves itself to the server.
    pub fn secret_file(&self) -> Option<&Path> {
        match &self.by {
            BearerBy::Introspection(introspection) => introspection.client_secret_file.as_deref(),
            BearerBy::Jwks(_) | BearerBy::Profile(_) => None,
        }
    }

    /// The key by which it does, in its place.
    pub fn client_key(&self) -> Option<&ClientKey> {
        match &self.by {
            BearerBy::Introspection(introspection) => introspection.client_key.as_ref(),
            BearerBy::Jwks(_) | BearerBy::Profile(_) => None,
        }
    }
}
