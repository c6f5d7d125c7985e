//! What a running gateway decides by: routes with their rules, issuers, upstreams. One value, made whole from one
//! configuration and never changed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use ipnet::IpNet;
use thiserror::Error;

use crate::act::file::Root;
use crate::act::key_set::KeySet;
use crate::act::proxy::Upstream;
use crate::act::reply::Fixed;
use crate::authenticate::token::Tokens;
use crate::authorize;
use crate::config::{self, ClientTimeouts, Config, Cors, Present, Rule, TokenSource};
use crate::observe::metrics::{Metrics, RouteMetrics};
use crate::rate::Keyed;
use crate::route::table::{Entry, Table, TableError};

/// Everything a request is judged by.
pub struct Snapshot {
    pub table: Table,
    pub routes: Vec<Arc<Route>>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub tokens: Arc<Tokens>,
    pub token_sources: Vec<TokenSource>,
    pub trusted_proxies: Vec<IpNet>,
    pub timeouts: ClientTimeouts,
    /// For requests that match no route.
    pub unrouted: RouteMetrics,
}

/// A route, ready to serve.
pub struct Route {
    pub name: Arc<str>,
    pub path_params: bool,
    pub methods: Option<Vec<Method>>,
    pub action: Action,
    pub strip: String,
    pub issuers: Option<Vec<usize>>,
    pub allow: Vec<Rule>,
    pub deny: Vec<Rule>,
    /// Nobody's identity could change this route's answer: tokens are not looked at.
    pub anonymous: bool,
    pub cors: Option<Cors>,
    /// Bytes of a request's body.
    pub max_body: Option<u64>,
    pub rate: Option<Keyed<String>>,
    pub present: Present,
    pub metrics: RouteMetrics,
}

/// What a route does.
pub enum Action {
    Upstream(Arc<Upstream>),
    Files(Arc<Root>),
    Reply(Fixed),
    KeySet(KeySet),
}

/// Why a checked configuration cannot be served after all: something changed on disk since.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("upstream `{name}`: {source}")]
    Upstream { name: Arc<str>, source: io::Error },
    #[error("route `{route}`: {path}: {source}")]
    Files {
        route: Arc<str>,
        path: PathBuf,
        source: io::Error,
    },
    #[error("route `{route}`: {source}")]
    Reply { route: Arc<str>, source: io::Error },
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Snapshot {
    /// Opens folders, reads CA and reply files, builds the table.
    pub fn new(config: &Config, tokens: Arc<Tokens>, metrics: &Metrics) -> Result<Self, SnapshotError> {
        let upstream = |upstream: &config::Upstream| {
            let made = Upstream::new(upstream, metrics).map_err(|source| SnapshotError::Upstream {
                name: Arc::clone(&upstream.name),
                source,
            });
            made.map(Arc::new)
        };
        let upstreams = config.upstreams.iter().map(upstream).collect::<Result<Vec<_>, _>>()?;
        let route = |route: &config::Route| Route::new(route, &upstreams, metrics).map(Arc::new);
        let routes = config.routes.iter().map(route).collect::<Result<Vec<_>, _>>()?;
        let hosts: Vec<&str> = config.server.public_urls.iter().map(|url| url.host.as_str()).collect();
        let entries = config.routes.iter().map(|route| Entry {
            host: &route.host,
            pattern: &route.path,
            methods: route.methods.as_deref(),
        });
        Ok(Self {
            table: Table::new(&distinct(hosts), entries)?,
            routes,
            upstreams,
            tokens,
            token_sources: config.jwt.sources.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            timeouts: config.server.timeouts,
            unrouted: metrics.route("-"),
        })
    }
}

impl Route {
    fn new(route: &config::Route, upstreams: &[Arc<Upstream>], metrics: &Metrics) -> Result<Self, SnapshotError> {
        let action = match &route.action {
            config::Action::Upstream(index) => {
                let upstream = upstreams.get(*index).ok_or_else(|| SnapshotError::Upstream {
                    name: Arc::clone(&route.name),
                    source: io::Error::other("not among the upstreams"),
                })?;
                Action::Upstream(Arc::clone(upstream))
            }
            config::Action::Files(path) => {
                let root = Root::open(path).map_err(|source| SnapshotError::Files {
                    route: Arc::clone(&route.name),
                    path: path.clone(),
                    source,
                })?;
                Action::Files(Arc::new(root))
            }
            config::Action::KeySet(path) => {
                let set = KeySet::open(path).map_err(|source| SnapshotError::Files {
                    route: Arc::clone(&route.name),
                    path: path.clone(),
                    source,
                })?;
                Action::KeySet(set)
            }
            config::Action::Respond(respond) => {
                let reply = Fixed::new(respond).map_err(|source| SnapshotError::Reply {
                    route: Arc::clone(&route.name),
                    source,
                })?;
                Action::Reply(reply)
            }
        };
        Ok(Self {
            name: Arc::clone(&route.name),
            path_params: route.path_params,
            methods: route.methods.clone(),
            action,
            strip: route.strip.clone(),
            issuers: route.issuers.clone(),
            allow: route.allow.clone(),
            deny: route.deny.clone(),
            anonymous: !authorize::needs_identity(route.allow.iter().chain(&route.deny)),
            cors: route.cors.clone(),
            max_body: route.limits.body,
            rate: route.limits.rate.map(Keyed::new),
            present: route.present,
            metrics: metrics.route(&route.name),
        })
    }
}

fn distinct(mut hosts: Vec<&str>) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    hosts.retain(|host| seen.insert(*host));
    hosts
}
