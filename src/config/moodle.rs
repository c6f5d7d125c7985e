//! `[moodle.<name>]`, as the running gateway sees it.

use std::path::PathBuf;

use ipnet::IpNet;
use url::Url;

use super::moodle_username::MoodleUsername;
use super::section::words;
use super::{Action, Outgoing, Present, Route};
use crate::rate::Rate;

/// Attributes by which Apereo's CAS says that somebody acts as another person.
pub const SURROGATE: [&str; 2] = ["surrogateEnabled", "surrogatePrincipal"];

/// Where Moodle gives apps their tokens, below its `wwwroot`.
pub const LAUNCH_SCRIPT: &str = "/admin/tool/mobile/launch.php";

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
    /// Is a kept token deleted when its person signs out?
    pub drop_at_logout: bool,
    /// Only with [`MoodleSource::OidcLaunch`], and then always.
    pub oidc_launch: Option<OidcLaunch>,
    pub own_tokens: OwnTokens,
    /// Calls of each person; `None`: as many as come.
    pub calls: Option<Rate>,
    /// Are calls counted by function, too?
    pub function_metrics: bool,
}

impl Moodle {
    pub fn has_vault(&self) -> bool {
        self.tokens.contains(&MoodleSource::Vault)
    }

    /// Does this route lead to it as it is, with the browser's own cookies and nobody's token?
    pub fn is_behind(&self, route: &Route) -> bool {
        route.action == Action::Upstream(self.upstream) && matches!(route.present, Present::Pass | Present::Headers)
    }

    /// What it asks for of a person, by the names of attributes or claims.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        let name = self.username.attribute();
        // Whoever may write any address there becomes anybody: it counts only where nobody says that it is not theirs.
        let confirmed = name.filter(|name| *name == "email").map(|_| "email_verified");
        let told = self.facade.iter().flat_map(|facade| &facade.attributes);
        let token = self.attribute.as_deref();
        let of_told = told.clone().filter(|name| *name == "email").map(|_| "email_verified");
        name.into_iter()
            .chain(confirmed)
            .chain(of_told)
            .chain(told.map(String::as_str))
            .chain(token)
    }

    /// The attributes that its tokens are made of: secrets, of which nothing else may be made.
    pub fn secret_attributes(&self) -> impl Iterator<Item = &str> {
        let password = self.clearpass.iter().map(|clearpass| clearpass.attribute.as_str());
        self.attribute.as_deref().into_iter().chain(password)
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
        OidcLaunch = "oidc-launch",
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

/// The campus's own page that gives people's tokens for proxy tickets, or for access tokens.
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
    /// Is it shown access tokens: those of applications, and those that sign-ins got?
    pub forward_bearer_token: bool,
    /// Are proxy tickets got for back ends' sessions, too?
    pub back_ends: bool,
    /// Further roots for https.
    pub outgoing: Outgoing,
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

/// How Moodle's people log in there by OAuth 2.0 or OpenID Connect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OidcLaunch {
    /// Where browsers may be sent to authenticate; its origin alone counts. `None`: to the authorization endpoint of
    /// `moodle.sign_in`.
    pub provider: Option<Url>,
    /// `None`: the one that Moodle offers.
    pub plugin: Option<LoginPlugin>,
    /// Which of the OAuth 2 services of Moodle's (`oauth2_issuer`), by its id. `None`: the one that Moodle offers.
    pub issuer_id: Option<u64>,
}

words! {
    /// Moodle's authentication plugins by which people log in there at a provider.
    pub enum LoginPlugin {
        /// Moodle's own.
        OAuth2 = "auth_oauth2",
        /// Microsoft's.
        Oidc = "auth_oidc",
    }
}

impl MoodleSource {
    /// Does only a sign-in by CAS serve it, since it needs a ticket of the CAS server?
    pub fn needs_cas(self) -> bool {
        matches!(self, Self::CasLaunch | Self::CasToken | Self::ClearPass | Self::Page)
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
