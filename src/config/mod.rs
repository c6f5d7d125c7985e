//! What the operator wrote, in the types that the running gateway works with.
//!
//! Two stages: `file` mirrors gateway.toml to the letter, `compile` turns it into the [`Config`] below; both collect
//! every problem on the way. [`load`] is the way in. The running code sees only what stands in this file: checked,
//! defaults filled in, paths absolute, patterns parsed. Nothing here does I/O beyond reading the file, lists of
//! functions that it names, and looking whether other named files exist and may be used.

mod algorithm;
pub mod bearer;
pub mod cas;
mod compile;
mod cors;
mod diagnostics;
mod file;
mod frames;
mod identity_headers;
mod jwt;
mod launch;
mod log;
mod lti;
mod moodle;
mod moodle_functions;
mod moodle_username;
mod net;
mod opencast;
mod opencast_security;
mod outgoing;
pub mod pages;
mod path_pattern;
pub mod pattern;
pub mod public_keys;
mod public_url;
pub(crate) mod read;
mod route_hosts;
pub(crate) mod rule;
mod schema;
pub(crate) mod section;
mod show;
pub mod sign_in;
mod signed_url;
mod state;
mod statistics;
mod upstream;
mod valkey;
mod value;
mod watch;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

pub use self::algorithm::Algorithm;
pub use self::bearer::{Bearer, BearerBy};
pub use self::compile::{Loaded, load, load_with};
pub use self::cors::Cors;
pub use self::diagnostics::{Diagnostic, Diagnostics, Severity};
pub use self::file::{ClientTimeouts, Connections, Recent};
pub use self::frames::{FrameAncestors, Frames};
pub use self::identity_headers::IdentityHeaders;
pub use self::jwt::{Issuer, JwksLocation, Jwt, TokenSource};
pub use self::launch::Launch;
pub use self::log::{Log, LogField, LogFormat, LogLevel, Masked, Rotate, When};
pub use self::lti::{Lti, LtiRole};
pub use self::moodle::{
    ClearPass, Facade, LAUNCH_SCRIPT, LoginPlugin, Moodle, MoodleSource, OidcLaunch, OwnTokens, Page, PageMethod,
    SURROGATE,
};
pub use self::moodle_functions::{
    APP_SERVICE, FunctionGroup, FunctionPattern, FunctionRule, KNOWN_VERSIONS, KnownFunction, NotReading, Place,
    WRAPPER, known_function, known_functions, reads,
};
pub use self::moodle_username::{MoodleUsername, NameOf, NoUsername};
pub use self::net::is_loopback;
pub use self::opencast::Opencast;
pub use self::opencast_security::{Entry as SecurityEntry, SecurityList};
pub use self::outgoing::{NoProxy, Outgoing, Proxy};
pub use self::pages::{Colour, Colours, Language, Logo, LogoKind, Pages, Scheme};
pub use self::public_url::PublicUrl;
pub use self::route_hosts::{HostRank, RouteHost, RouteHosts};
pub use self::rule::Rule;
pub use self::schema::schema;
use self::section::words;
pub use self::show::show;
pub use self::sign_in::{
    Cas, ClientAuth, ClientKey, OAuth2, Oidc, Provider, SessionLimits, SignIn, UseUserinfo, is_provider_url,
};
pub use self::signed_url::{Sign, SignedUrlForm, SignedUrlKey, SignedUrls};
pub use self::state::State;
pub use self::statistics::{Matomo, Statistics, Usertracking, Views};
pub use self::upstream::{Balance, Health, S3, Upstream, UpstreamAccel, UpstreamServer};
pub use self::watch::{Carry, OfPlaylist, Watch};
use crate::rate::Rate;

/// A whole gateway.toml, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub server: Server,
    pub pages: Pages,
    pub log: Log,
    pub state: State,
    pub jwt: Jwt,
    pub sign_ins: Vec<SignIn>,
    pub bearers: Vec<Bearer>,
    pub lti: Vec<Lti>,
    pub moodles: Vec<Moodle>,
    pub opencasts: Vec<Opencast>,
    pub signed_urls: Vec<SignedUrls>,
    pub upstreams: Vec<Upstream>,
    /// By which proxy the gateway's own requests go.
    pub proxy: Option<Arc<Proxy>>,
    /// `None`: nobody is told of views.
    pub statistics: Option<Statistics>,
    pub routes: Vec<Arc<Route>>,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub listen: Vec<SocketAddr>,
    pub tls: Vec<TlsListener>,
    /// Never empty; the first one is the default host of routes.
    pub public_urls: Vec<PublicUrl>,
    /// A Host that is none of theirs is refused, even where there is only one.
    pub strict_host: bool,
    pub admin: SocketAddr,
    /// Names that the admin listener answers to, in lower case.
    pub admin_hosts: Vec<String>,
    /// Refusals by rules that are kept; 0: none, and none is told.
    pub denials: usize,
    /// What is kept for `janua why`.
    pub recent: Recent,
    /// The control socket.
    pub control: PathBuf,
    /// Bytes of a request's header, request line included.
    pub max_header: usize,
    pub trusted_proxies: Vec<IpNet>,
    /// Never 0: "one per core" is resolved.
    pub threads: usize,
    pub shutdown_grace: Duration,
    pub timeouts: ClientTimeouts,
    pub connections: Connections,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsListener {
    pub listen: SocketAddr,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// How to reach a Valkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Valkey {
    pub address: ValkeyAddress,
    /// Roots for `rediss://`; the system's if there is none.
    pub ca_file: Option<PathBuf>,
    pub username: Option<String>,
    /// Read at each connect.
    pub password_file: Option<PathBuf>,
    /// Never made: all gateways need the same.
    pub key_file: PathBuf,
}

/// `state.url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValkeyAddress {
    pub kind: ValkeyKind,
    pub tls: bool,
    /// Hosts, IPv6 without brackets, and ports; at least one.
    pub nodes: Vec<(String, u16)>,
}

/// Whom the nodes of a [`ValkeyAddress`] are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValkeyKind {
    Single {
        database: u16,
    },
    /// Sentinels, who know where the master is.
    Sentinel {
        master: String,
        database: u16,
    },
    Cluster,
}

/// A route, compiled. Indices point into [`Config::upstreams`], [`Jwt::issuers`] and [`Config::sign_ins`].
#[derive(Debug, Clone)]
pub struct Route {
    pub name: Arc<str>,
    pub hosts: RouteHosts,
    /// The pattern as written: `/static/{org}/{channel}/{event}/{*file}`.
    pub path: String,
    /// Does the path of a request keep `;parameters`? Only for upstreams.
    pub path_params: bool,
    /// `None`: what the upstream says.
    pub websocket: Option<bool>,
    /// Is `.well-known` below its folder served?
    pub well_known: bool,
    /// `None`: any method.
    pub methods: Option<Vec<Method>>,
    pub action: Action,
    /// Taken off the path before it goes to the file tree or upstream; empty or a prefix of `path` that ends at a `/`.
    pub strip: String,
    pub accept: Vec<Credential>,
    /// `None`: all.
    pub issuers: Option<Vec<usize>>,
    /// Indices into [`Config::sign_ins`]: whose sessions count, and where a browser without one is sent. `None`: all
    /// count, and nobody is sent anywhere.
    pub sign_ins: Option<Vec<usize>>,
    /// Indices into [`Config::bearers`]: whose access tokens count. `None`: all.
    pub bearers: Option<Vec<usize>>,
    /// Indices into [`Config::signed_urls`]: whose signatures count. `None`: all.
    pub signed_urls: Option<Vec<usize>>,
    /// With [`Present::SignedUrl`] and [`Action::SignedRedirect`].
    pub sign: Option<Sign>,
    /// Any of these allows.
    pub allow: Vec<Rule>,
    /// Any of these refuses, and wins.
    pub deny: Vec<Rule>,
    pub else_ask: Option<ElseAsk>,
    /// Index into [`Config::opencasts`]: whom the rules ask about events; `None` where they ask nothing.
    pub opencast: Option<usize>,
    /// The same, with [`Present::OpencastJwt`]: whose key signs.
    pub opencast_jwt: Option<usize>,
    pub watch: Option<Watch>,
    /// Launch sessions begin here.
    pub launch: Option<Launch>,
    /// What is played is counted.
    pub views: Option<Views>,
    pub cors: Option<Cors>,
    pub frames: Frames,
    pub limits: Limits,
    pub present: Present,
    /// With [`Present::Headers`].
    pub identity_headers: Option<IdentityHeaders>,
    /// With [`Present::MoodleToken`]; `None`: all.
    pub functions: Option<Vec<FunctionRule>>,
    /// With [`Present::MoodleToken`]: are the addresses of files in answers written as the gateway's?
    pub rewrite_urls: bool,
    /// A redirect to this host has the query's token.
    pub keep_token: bool,
    /// The addresses of media in JSON answers have watch passes.
    pub watch_urls: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Index into [`Config::upstreams`].
    Upstream(usize),
    Files(PathBuf),
    /// What `X-Accel-Redirect` begins with: a slash first and none last.
    Accel(String),
    Respond(Respond),
    /// A key set to publish.
    KeySet(PathBuf),
    /// The gateway's own public keys.
    OwnKeys,
    Decide(Decide),
    /// Takes the form of a launch.
    Launch,
    /// Sends the client to a signed address.
    SignedRedirect,
    /// Sends the client to an object of a bucket; index into [`Config::upstreams`].
    Presigned(usize),
}

/// The headers in which a trusted proxy names the request to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decide {
    pub uri: HeaderName,
    pub method: HeaderName,
    /// `Host` unless configured.
    pub host: HeaderName,
}

/// Whom a route asks where none of its rules speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElseAsk {
    /// Index into [`Config::upstreams`].
    pub upstream: usize,
    /// HEAD or GET.
    pub method: Method,
    /// So many segments of the path end with `{event}`: what was allowed holds for all that begins with them. `None`:
    /// for the very path alone.
    pub event_depth: Option<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Respond {
    /// A status without a body, with `Location` where it redirects.
    Status {
        status: StatusCode,
        location: Option<HeaderValue>,
    },
    File(PathBuf),
}

words! {
    /// Which kinds of credential a route looks at.
    pub enum Credential {
        Jwt = "jwt",
        /// A session's cookie, or its `Authorization: Bearer jns_…`.
        Session = "session",
        /// An access token in `Authorization: Bearer`.
        Bearer = "bearer",
        /// The cookie of a launch session, begun by an earlier request with a token.
        Launch = "launch",
        /// A watch pass that an earlier request with a token has earned.
        Watch = "watch",
        /// An address that Opencast, or who else has a key, has signed.
        SignedUrl = "signed-url",
        /// HTTP Basic, which the upstream judges.
        Basic = "basic",
        /// HTTP Digest, which the upstream judges.
        Digest = "digest",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Largest request body in bytes; `None`: unlimited.
    pub body: Option<u64>,
    pub rate: Option<Rate>,
}

words! {
    /// What an upstream sees of the client's credentials.
    pub enum Present {
        /// Headers and cookies as they came, less what the gateway owns or judged.
        Pass = "pass",
        /// No `Cookie`, no `Authorization`.
        None = "none",
        /// The same, and the person's web service token where Moodle looks for it.
        MoodleToken = "moodle-token",
        /// As [`Present::Pass`], and who it is in [`Route::identity_headers`].
        Headers = "headers",
        /// As [`Present::None`], and a token of the gateway's own that tells Opencast who it is.
        OpencastJwt = "opencast-jwt",
        /// As [`Present::None`], and its address is signed ([`Route::sign`]).
        SignedUrl = "signed-url",
    }
}
