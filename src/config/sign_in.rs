//! How people sign in: `[sign_in.<name>]`, checked.

pub mod client;
pub mod oauth2;
pub mod oidc;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub(in crate::config) use self::client::Written as ClientProof;
pub use self::client::{ClientAuth, ClientKey};
pub use self::oauth2::OAuth2;
pub use self::oidc::{Oidc, UseUserinfo, is_provider_url};
use super::cas::{Protocol, RoleRule};
use super::{Config, Moodle, Outgoing};

/// A way to sign in. No issuer has the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Lower-case letters, digits, `-` and `_`: it stands in URLs.
    pub name: Arc<str>,
    /// What people read instead.
    pub title: Option<String>,
    /// The sign-in whose people its are: mostly itself. A person is this and a name.
    pub people: Arc<str>,
    /// What roles a person gets of which attribute.
    pub roles: Vec<RoleRule>,
    pub session: SessionLimits,
    /// Further origins that may be returned to and may call with the cookie, as browsers serialise them.
    pub app_origins: Vec<String>,
    pub provider: Provider,
}

/// Who says who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provider {
    Cas(Cas),
    OAuth2(Box<OAuth2>),
    Oidc(Box<Oidc>),
}

impl SignIn {
    /// What people read.
    pub fn shown(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

impl Provider {
    /// Its table below `sign_in.<name>`.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Cas(_) => "cas",
            Self::OAuth2(_) => "oauth2",
            Self::Oidc(_) => "oidc",
        }
    }

    /// The server, if it is one of CAS.
    pub fn as_cas(&self) -> Option<&Cas> {
        match self {
            Self::Cas(cas) => Some(cas),
            Self::OAuth2(_) | Self::Oidc(_) => None,
        }
    }

    /// The same, to tell it what a Moodle wants of it.
    pub(super) fn as_cas_mut(&mut self) -> Option<&mut Cas> {
        match self {
            Self::Cas(cas) => Some(cas),
            Self::OAuth2(_) | Self::Oidc(_) => None,
        }
    }

    /// Its access tokens are for a Moodle's page, besides. CAS has none.
    pub(super) fn hand_on_access_tokens(&mut self) {
        match self {
            Self::Cas(_) => {}
            Self::OAuth2(oauth2) => oauth2.hands_on_access_token = true,
            Self::Oidc(oidc) => oidc.hands_on_access_token = true,
        }
    }

    /// The address below which the server is.
    pub fn server(&self) -> &Url {
        match self {
            Self::Cas(cas) => &cas.server,
            Self::OAuth2(oauth2) => &oauth2.authorization,
            Self::Oidc(oidc) => &oidc.issuer_url,
        }
    }

    /// Further roots for https.
    pub fn ca_file(&self) -> Option<&Path> {
        match self {
            Self::Cas(cas) => cas.outgoing.ca_file.as_deref(),
            Self::OAuth2(oauth2) => oauth2.outgoing.ca_file.as_deref(),
            Self::Oidc(oidc) => oidc.outgoing.ca_file.as_deref(),
        }
    }

    /// The file with the secret by which the gateway proves itself to the server.
    pub fn secret_file(&self) -> Option<&Path> {
        match self {
            Self::Cas(_) => None,
            Self::OAuth2(oauth2) => oauth2.client_secret_file.as_deref(),
            Self::Oidc(oidc) => oidc.client_secret_file.as_deref(),
        }
    }

    /// The key by which it does so instead.
    pub fn client_key(&self) -> Option<&ClientKey> {
        match self {
            Self::Cas(_) => None,
            Self::OAuth2(oauth2) => oauth2.client_key.as_ref(),
            Self::Oidc(oidc) => oidc.client_key.as_ref(),
        }
    }

    /// Where the server says by what name the person is known here.
    pub fn username(&self) -> &str {
        match self {
            Self::Cas(cas) => &cas.username,
            Self::OAuth2(oauth2) => &oauth2.username,
            Self::Oidc(oidc) => &oidc.username,
        }
    }

    /// Is that what the server itself calls the person?
    pub fn names_by_user(&self) -> bool {
        match self {
            Self::Cas(cas) => cas.username == "user",
            Self::OAuth2(_) => true,
            Self::Oidc(oidc) => oidc.username == "sub",
        }
    }

    /// Is that what a person would type as the name at the server? A subject of OpenID Connect may mean nothing to anybody.
    pub fn is_typed(&self) -> bool {
        match self {
            Self::Cas(_) | Self::OAuth2(_) => true,
            Self::Oidc(oidc) => oidc.username != "sub",
        }
    }

    /// Must the person type the password again for every session?
    pub fn renew(&self) -> bool {
        match self {
            Self::Cas(cas) => cas.renew,
            Self::OAuth2(oauth2) => oauth2.renew,
            Self::Oidc(oidc) => oidc.renew,
        }
    }

    /// Is whoever is signed in at the server signed in here, and whoever is not goes on as nobody?
    pub fn passive(&self) -> bool {
        match self {
            Self::Cas(cas) => cas.passive,
            Self::OAuth2(oauth2) => oauth2.passive,
            Self::Oidc(oidc) => oidc.passive,
        }
    }
}

/// `[sign_in.<name>.cas]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cas {
    /// `https://cas.example.edu/cas`, without a slash at its end: `/login` and the others are below it.
    pub server: Url,
    pub protocol: Protocol,
    /// `user`, or the attribute that is the person's name.
    pub username: String,
    /// The person must type the password again for every session.
    pub renew: bool,
    /// Whoever is signed in at the CAS server is signed in here; whoever is not goes on as nobody.
    pub passive: bool,
    pub single_logout: bool,
    /// The back ends whose proxy tickets are taken: chains of callback URLs.
    pub proxy_chains: Vec<Vec<String>>,
    /// Attributes that are used once when a session begins, and kept no more: passwords for a Moodle.
    pub once: Vec<String>,
    /// Is it asked for proxy-granting tickets, for a Moodle?
    pub proxies: bool,
    /// Also for back ends' sessions?
    pub proxies_back_ends: bool,
    /// Further roots for https.
    pub outgoing: Outgoing,
}

/// How long sessions live, and how many a person has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// Without a request.
    pub idle: Duration,
    /// Since the sign-in.
    pub absolute: Duration,
    /// At once; the oldest one goes.
    pub per_subject: usize,
}

impl Config {
    /// The attributes of this sign-in's people that something is made of: roles, names at a Moodle, and its tokens.
    pub fn attributes_of(&self, sign_in: &SignIn) -> Vec<String> {
        let roles = sign_in.roles.iter().filter_map(|rule| rule.attribute.clone());
        let of_it = |moodle: &&Moodle| {
            self.sign_ins
                .get(moodle.sign_in)
                .is_some_and(|of| of.people == sign_in.people)
        };
        let asked = self.moodles.iter().filter(of_it).flat_map(Moodle::attributes);
        roles.chain(asked.map(str::to_owned)).collect()
    }
}
