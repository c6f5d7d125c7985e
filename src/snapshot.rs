//! What a running gateway decides by: routes with their rules, issuers, upstreams. One value, made whole from one
//! configuration and never changed. A reload makes another and puts it in its place; what the new configuration leaves
//! as it was is taken over from the one before, with all it has learned.

mod parts;
mod protected;
mod route;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::HeaderName;
use ipnet::IpNet;
use thiserror::Error;

use crate::act::proxy::Upstream;
use crate::ask::ElseAsk;
use crate::authenticate::bearer::{self, Bearers};
use crate::authenticate::lti::{Platform, platforms};
use crate::authenticate::session::{Session, SessionKey, SignedIn, TOO_MANY};
use crate::authenticate::signed_url::{self, SignedUrls};
use crate::authenticate::token::{Tokens, Whose};
use crate::authenticate::watch::Revocations;
use crate::backchannel::BackchannelError;
use crate::config::{self, ClientTimeouts, Config, Present, TokenSource};
use crate::fair::{Places, Shares};
use crate::moodle::{self, Moodle, MoodleTokens};
use crate::observe::metrics::{Metrics, RouteMetrics};
use crate::opencast::{Opencast, SetupError};
use crate::rate::{Keyed, Rate};
use crate::rejection::{Reason, Rejection};
use crate::respond::page::Look;
use crate::respond::{Reply, fixed};
use crate::route::table::{Entry, Table, TableError};
use crate::sealing::{Mac, MasterKeys, Purpose};
use crate::sign_in::{self, Here, People, Provider};
use crate::store::{Store, StoreError};

use self::parts::{asked_opencast, moodle_of, provider, section};
pub use self::protected::PROTECTED_RESOURCE;
pub use self::route::{Action, Route, RouteSign, RouteWatch};

/// Requests of one address, over HTTP/2 or behind a proxy, that wait until others of it have ended.
const WAITING_IN_FLIGHT: usize = 4096;

static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// Everything a request is judged by.
pub struct Snapshot {
    /// What it was made of.
    pub config: Arc<Config>,
    /// Which one of this process it is, counted from 1; one that was refused counts, too.
    pub generation: u64,
    pub table: Table,
    pub routes: Vec<Arc<Route>>,
    pub upstreams: Vec<Arc<Upstream>>,
    pub opencasts: Vec<Arc<Opencast>>,
    pub tokens: Arc<Tokens>,
    pub people: People,
    /// In the order of the configuration's sign-ins.
    pub providers: Vec<Provider>,
    pub bearers: Bearers,
    /// LTI platforms, in the order of the configuration.
    pub platforms: Vec<Arc<Platform>>,
    /// By host: what is told at [`PROTECTED_RESOURCE`].
    pub protected: HashMap<String, Reply>,
    pub token_sources: Vec<TokenSource>,
    /// The same, and where access tokens stand if any are taken: no upstream sees what stands there.
    pub judged_sources: Vec<TokenSource>,
    pub passes: Passes,
    pub moodle_tokens: MoodleTokens,
    /// In the order of the configuration.
    pub moodles: Vec<Arc<Moodle>>,
    pub trusted_proxies: Vec<IpNet>,
    /// Of all routes: no client may send them.
    pub identity_headers: Vec<HeaderName>,
    pub timeouts: ClientTimeouts,
    /// How pages look.
    pub look: Look,
    /// Requests over HTTP/2 that are under way: as many from one address as it may have connections.
    pub in_flight: Places,
    /// For requests that match no route.
    pub unrouted: RouteMetrics,
}

/// What watch passes are made and checked with.
#[derive(Clone)]
pub struct Passes {
    pub mac: Mac,
    pub revocations: Revocations,
}

impl Passes {
    /// Those made by `keys`, less what was revoked in `store`.
    pub fn new(keys: &MasterKeys, store: &Store) -> Self {
        Self {
            mac: keys.mac(Purpose::WatchPass),
            revocations: Revocations::new(store.clone()),
        }
    }

    /// For a process that serves nobody: it knows no pass.
    pub fn of_nobody() -> Self {
        Self::new(&MasterKeys::random(), &Store::in_memory())
    }
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
    #[error("route `{route}`: else_ask: {source}")]
    ElseAsk { route: Arc<str>, source: BackchannelError },
    #[error("opencast.{name}: {source}")]
    Opencast { name: String, source: SetupError },
    #[error("pages.logo: {0}")]
    Logo(io::Error),
    #[error("the key that signs for Opencast: {0}")]
    SignKey(io::Error),
    #[error("sign_in.{name}: {source}")]
    SignIn {
        name: Arc<str>,
        source: sign_in::SetupError,
    },
    #[error("bearer.{name}: {source}")]
    Bearer { name: Arc<str>, source: bearer::SetupError },
    #[error("lti.{name}: {source}")]
    Lti {
        name: Arc<str>,
        source: sign_in::SetupError,
    },
    #[error("moodle.{name}: {source}")]
    Moodle { name: String, source: moodle::SetupError },
    #[error(transparent)]
    SignedUrls(#[from] signed_url::SetupError),
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Snapshot {
    /// Reads the keys that the gateway signs with, or makes them, now instead of when they are first needed.
    pub fn prepare_keys(&self) -> Result<(), SnapshotError> {
        let publishes = self.routes.iter().any(|route| matches!(route.action, Action::OwnKeys));
        let signs = |opencast: &Arc<Opencast>| {
            let mut signing = self.routes.iter().filter_map(|route| route.opencast_jwt.as_ref());
            publishes || signing.any(|one| Arc::ptr_eq(one, opencast))
        };
        let mut used = self.opencasts.iter().filter(|opencast| signs(opencast));
        used.try_for_each(|opencast| opencast.prepare().map_err(SnapshotError::SignKey))
    }

    /// Ends the launch sessions of everyone of this name.
    pub async fn launches_ended(&self, subject: &str) -> Result<(), StoreError> {
        for issuer in &self.config.jwt.issuers {
            self.people.launches.end_all(&issuer.name, subject).await?;
        }
        for lti in &self.config.lti {
            self.people.launches.end_all(&lti.name, subject).await?;
        }
        Ok(())
    }

    /// A session has ended before its time: Moodle's sessions end with it, and tokens where the person is meant to be gone.
    pub async fn session_ended(&self, key: SessionKey, record: Arc<SignedIn>, how: &str) {
        let Some(session) = Session::new(key, record, &self.config) else {
            return;
        };
        for moodle in &self.moodles {
            moodle.left(&session, how != TOO_MANY).await;
        }
    }

    /// Opens folders, reads CA and reply files, builds the table. Of the snapshot `before`, upstreams that are the same
    /// stay with their health and look-ups, and the rate limits of routes and Moodles with what was taken of them.
    pub fn new(
        config: &Arc<Config>,
        tokens: Arc<Tokens>,
        people: People,
        passes: Passes,
        moodle_tokens: MoodleTokens,
        before: Option<&Self>,
        metrics: &Metrics,
    ) -> Result<Self, SnapshotError> {
        let upstream = |upstream: &config::Upstream| {
            if let Some(same) = before.and_then(|before| before.same_upstream(upstream)) {
                return Ok(same);
            }
            let made = Upstream::new(upstream, metrics).map_err(|source| SnapshotError::Upstream {
                name: Arc::clone(&upstream.name),
                source,
            });
            made.map(Arc::new)
        };
        let upstreams = config.upstreams.iter().map(upstream).collect::<Result<Vec<_>, _>>()?;
        let opencast = |opencast| asked_opencast(opencast, config, &upstreams, before, metrics);
        let opencasts = config.opencasts.iter().map(opencast).collect::<Result<Vec<_>, _>>()?;
        let signed_urls = SignedUrls::all(&config.signed_urls)?;
        let behind = (upstreams.as_slice(), opencasts.as_slice(), signed_urls.as_slice());
        let moodle = |moodle: &config::Moodle| moodle_of(moodle, config, &upstreams, moodle_tokens.clone(), before);
        let moodles = config.moodles.iter().map(moodle).collect::<Result<Vec<_>, _>>()?;
        let bearers = config.bearers.iter().map(|bearer| section(bearer, before, metrics));
        let bearers = Bearers::new(bearers.collect::<Result<_, _>>()?, config.jwt.max_token);
        let route = |route: &Arc<config::Route>| {
            let made = Route::new(route, config, behind, before, metrics)?;
            Ok::<_, SnapshotError>(Arc::new(made.with_moodle(&moodles)))
        };
        let routes = config.routes.iter().map(route).collect::<Result<Vec<_>, _>>()?;
        let hosts: Vec<&str> = config.server.public_urls.iter().map(|url| url.host.as_str()).collect();
        let entries = config.routes.iter().map(|route| Entry {
            hosts: route.hosts.iter().map(|host| (host.name.as_str(), host.rank)).collect(),
            pattern: &route.path,
            // A script of Moodle's is no folder: without a path behind it, it is asked otherwise (`?file=…`).
            bare: route.present != Present::MoodleToken,
            methods: route.methods.as_deref(),
        });
        Ok(Self {
            config: Arc::clone(config),
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            table: Table::new(&distinct(hosts), entries)?,
            routes,
            upstreams,
            opencasts,
            tokens,
            people,
            providers: config
                .sign_ins
                .iter()
                .map(|sign_in| provider(sign_in, config, before))
                .collect::<Result<_, _>>()?,
            bearers,
            platforms: platforms(&config.lti, before.map_or(&[], |before| &before.platforms))
                .map_err(|(name, source)| SnapshotError::Lti { name, source })?,
            protected: protected::metadata(config),
            judged_sources: judged_sources(config),
            token_sources: config.jwt.sources.clone(),
            passes,
            moodle_tokens,
            moodles,
            trusted_proxies: config.server.trusted_proxies.clone(),
            identity_headers: identity_headers(config),
            timeouts: config.server.timeouts,
            look: look(&config.pages).map_err(SnapshotError::Logo)?,
            in_flight: Places::new(Shares {
                all: usize::MAX,
                each: config.server.connections.per_address,
                kept: 0,
                queue: WAITING_IN_FLIGHT,
                wait: config.server.timeouts.header,
            }),
            unrouted: metrics.route("-"),
        })
    }

    /// What judges a request to this host. `looks_only`: it is only asked about.
    pub fn here(&self, host: &str, now: SystemTime, looks_only: bool) -> Result<Here<'_>, Rejection> {
        Ok(Here {
            config: &self.config,
            table: &self.table,
            people: &self.people,
            providers: &self.providers,
            revocations: &self.passes.revocations,
            public: self.config.server.public_url(host).ok_or(Reason::UnknownHost)?,
            now,
            looks_only,
            look: &self.look,
            accept_language: None,
        })
    }

    /// Who has made a token that may be an issuer's or another server's. `client`: `None` takes nothing.
    /// A JWT that names no issuer is no access token (RFC 9068 section 2.2), and may be of an issuer here that needs no `iss`,
    /// by a key that is not here yet: it is shown to no server.
    pub fn whose(&self, token: &str, client: Option<IpAddr>) -> Whose {
        if self.config.jwt.issuers.iter().any(|issuer| issuer.iss.is_none()) && bearer::names_no_issuer(token) {
            return Whose::Issuers;
        }
        self.tokens
            .whose(token, client, |issuer| self.bearers.is_issuer(issuer))
    }

    fn same_upstream(&self, wanted: &config::Upstream) -> Option<Arc<Upstream>> {
        let mut known = self.config.upstreams.iter().zip(&self.upstreams);
        let (_, same) = known.find(|(config, made)| *config == wanted && made.has_ca_of(wanted.ca_file.as_deref()))?;
        Some(Arc::clone(same))
    }

    /// With the answers it remembers, which are those to the same questions of the same upstream.
    fn same_ask(&self, wanted: &config::Route, upstream: &Arc<Upstream>) -> Option<Arc<ElseAsk>> {
        let made = self.routes.iter().find(|known| known.config.name == wanted.name)?;
        let config = &made.config;
        let (old, new) = (config.else_ask.as_ref()?, wanted.else_ask.as_ref()?);
        let same = (&config.hosts, &config.path, &config.strip) == (&wanted.hosts, &wanted.path, &wanted.strip)
            && (&old.method, old.event_depth) == (&new.method, new.event_depth)
            && Arc::ptr_eq(self.upstreams.get(old.upstream)?, upstream);
        made.else_ask.clone().filter(|_| same)
    }

    fn same_rate(&self, route: &str, wanted: Rate) -> Option<Arc<Keyed<String>>> {
        let known = self.routes.iter().find(|known| *known.config.name == *route)?;
        known.rate.clone().filter(|rate| rate.rate() == wanted)
    }
}

/// How pages look, with the logo as its file is now.
fn look(pages: &config::Pages) -> io::Result<Look> {
    let logo = pages.logo.as_ref();
    let logo = logo.map(|logo| Ok::<_, io::Error>((logo.kind, fixed::small(&logo.path, config::Logo::LARGEST)?)));
    Ok(Look::new(pages, logo.transpose()?))
}

fn judged_sources(config: &Config) -> Vec<TokenSource> {
    let bearer = TokenSource::Header {
        name: http::header::AUTHORIZATION,
        scheme: "Bearer".to_owned(),
    };
    let bearer = (!config.bearers.is_empty()).then_some(bearer);
    config.jwt.sources.iter().cloned().chain(bearer).collect()
}

fn identity_headers(config: &Config) -> Vec<HeaderName> {
    let named = config.routes.iter().filter_map(|route| route.identity_headers.clone());
    named.flat_map(|headers| [headers.subject, headers.roles]).collect()
}

fn distinct(mut hosts: Vec<&str>) -> Vec<&str> {
    let mut seen = std::collections::HashSet::new();
    hosts.retain(|host| seen.insert(*host));
    hosts
}
