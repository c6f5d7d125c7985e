//! `[moodle.<name>]` and a route's `functions`, as the running gateway sees them.

use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::moodle_username::MoodleUsername;
use super::pattern::{NoParams, RolePattern};
use super::section::words;

/// Attributes by which Apereo's CAS says that somebody acts as another person.
pub const SURROGATE: [&str; 2] = ["surrogateEnabled", "surrogatePrincipal"];

/// A Moodle whose web services are called with tokens that the gateway puts in.
#[derive(Debug, Clone, PartialEq)]
pub struct Moodle {
    pub name: String,
    /// Index into [`super::Config::upstreams`]; no two have the same.
    pub upstream: usize,
    /// Moodle's `$CFG->wwwroot` exactly, without a slash at its end: what launch signatures are made of.
    pub wwwroot: String,
    /// The same, taken apart.
    pub public_url: Url,
    /// Index into [`super::Config::sign_ins`]: whose people get tokens.
    pub sign_in: usize,
    /// Where a session says who that is in Moodle.
    pub username: MoodleUsername,
    /// Short name of the external service whose tokens are wanted.
    pub service: String,
    /// Tried in this order; at least one, none twice.
    pub tokens: Vec<MoodleSource>,
    /// Lower case.
    pub never: Vec<String>,
    /// Only with [`MoodleSource::CasFacade`], and then always.
    pub facade: Option<Facade>,
    /// Only with [`MoodleSource::Attribute`], and then always: the attribute or claim that is a person's token.
    pub attribute: Option<String>,
    /// Only with [`MoodleSource::ClearPass`], and then always.
    pub clearpass: Option<ClearPass>,
    /// Only with [`MoodleSource::Page`], and then always.
    pub page: Option<Page>,
    pub own_tokens: OwnTokens,
}

impl Moodle {
    pub fn has_vault(&self) -> bool {
        self.tokens.contains(&MoodleSource::Vault)
    }

    /// The attributes that its tokens are made of: secrets, of which nothing else may be made.
    pub fn secret_attributes(&self) -> impl Iterator<Item = &str> {
        let password = self.clearpass.iter().map(|clearpass| clearpass.attribute.as_str());
        self.attribute.as_deref().into_iter().chain(password)
    }
}

impl MoodleSource {
    /// Does it serve nobody but people who sign in at a CAS server?
    pub(super) fn needs_cas(self) -> bool {
        match self {
            Self::CasLaunch | Self::CasToken | Self::CasFacade | Self::ClearPass | Self::Page => true,
            Self::Vault | Self::Attribute => false,
        }
    }
}

words! {
    /// What becomes of calls without a session that bring a token of their own.
    pub enum OwnTokens {
        /// They go on to Moodle as they are.
        Pass = "pass",
        /// They get what everybody without a session gets.
        Refuse = "refuse",
    }
}

words! {
    /// Where tokens come from: as it is told in logs and counted in metrics, too.
    pub enum MoodleSource {
        Vault = "vault",
        CasLaunch = "cas-launch",
        CasToken = "cas-token",
        CasFacade = "cas-facade",
        Attribute = "attribute",
        ClearPass = "clearpass",
        Page = "page",
    }
    later {
        "moodle-login" => "use \"cas-launch\"",
        "exchange" => "use \"page\"",
        "password" => "use \"clearpass\"",
    }
}

/// By what a person's password comes from the CAS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClearPass {
    /// The private key for which the CAS server encrypts it: RSA, PKCS#8 in PEM.
    pub key_file: PathBuf,
    /// The attribute that holds it.
    pub attribute: String,
}

/// The campus's own page that gives people's tokens for proxy tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What proxy tickets are made for, too.
    pub url: Url,
    pub method: PageMethod,
    /// In which parameter the ticket comes.
    pub parameter: String,
    /// Where in the JSON of its answer the token stands, and the person's name in Moodle (RFC 6901).
    pub token: String,
    pub username: Option<String>,
    /// Further roots for https.
    pub ca_file: Option<PathBuf>,
}

words! {
    /// How the page is asked.
    pub enum PageMethod {
        /// With a form.
        Post = "POST",
        /// With a query.
        Get = "GET",
    }
}

/// Where the gateway is the CAS server that Moodle asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facade {
    /// Without a slash at its end.
    pub path: String,
    /// Moodle's addresses.
    pub from: Vec<IpNet>,
}

/// An entry of a route's `functions`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionRule {
    pub names: Vec<FunctionPattern>,
    /// `None`: for everyone whom the route lets in.
    pub roles: Option<Vec<RolePattern>>,
}

/// `"core_enrol_*"`: a web service function's name, `*` for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPattern {
    pattern: RolePattern,
    /// Without `*`.
    whole: bool,
}

impl FunctionPattern {
    /// Lower-case letters, digits, `_` and `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'*');
        text.bytes()
            .all(sound)
            .then(|| RolePattern::parse(text).ok())
            .flatten()
            .map(|pattern| Self {
                pattern,
                whole: !text.contains('*'),
            })
    }

    pub fn matches(&self, function: &str) -> bool {
        self.pattern.matches(function, &NoParams)
    }

    /// Does it name this function in full?
    pub fn is_exactly(&self, function: &str) -> bool {
        self.whole && self.matches(function)
    }
}
