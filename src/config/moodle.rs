//! `[moodle.<name>]` and a route's `functions`, as the running gateway sees them.

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
    pub own_tokens: OwnTokens,
}

impl Moodle {
    pub fn has_vault(&self) -> bool {
        self.tokens.contains(&MoodleSource::Vault)
    }

    /// What it asks for of a person, by the names of attributes or claims.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let name = self.username.attribute();
        // Whoever may write any address there becomes anybody: it counts only where nobody says that it is not theirs.
        let confirmed = name.filter(|name| *name == "email").map(|_| "email_verified");
        let told = self.facade.iter().flat_map(|facade| &facade.attributes);
        name.into_iter().chain(confirmed).chain(told.map(String::as_str))
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
        Launch = "launch",
    }
    later {
        "moodle-login" => "use \"cas-launch\"",
        "attribute" => "use \"vault\"",
        "exchange" => "use \"cas-token\"",
        "password" => "use \"vault\"",
    }
}

impl MoodleSource {
    /// Does only a sign-in by CAS serve it, since it needs a ticket of the CAS server?
    pub fn needs_cas(self) -> bool {
        matches!(self, Self::CasLaunch | Self::CasToken)
    }
}

/// Where the gateway is the CAS server that Moodle asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facade {
    /// Without a slash at its end.
    pub path: String,
    /// Moodle's addresses.
    pub from: Vec<IpNet>,
    /// What Moodle is told of a person beside the name.
    pub attributes: Vec<String>,
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
