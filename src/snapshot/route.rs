//! One route, ready to serve: its configuration with everything opened that it names.

use std::io;
use std::sync::Arc;

use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

use super::{Snapshot, SnapshotError};
use crate::act::file::Root;
use crate::act::proxy::Upstream;
use crate::ask::ElseAsk;
use crate::authenticate::signed_url::SignedUrls;
use crate::authenticate::upstream_auth::UpstreamAuth;
use crate::authorize;
use crate::authorize::settled::Fingerprinted;
use crate::config::{self, Config, Cors, Credential, Decide, Launch, Present, Rule};
use crate::moodle::Moodle;
use crate::observe::metrics::{Metrics, RouteMetrics};
use crate::opencast::Opencast;
use crate::rate::Keyed;
use crate::rejection::{Reason, Rejection};
use crate::respond::key_set::KeySet;
use crate::respond::{Reply, cors, fixed};
use crate::route::path::Path;

/// What routes refer to: upstreams, Opencasts, keys of signed addresses, in the order of the configuration.
pub(super) type Behind<'a> = (&'a [Arc<Upstream>], &'a [Arc<Opencast>], &'a [Arc<SignedUrls>]);

/// The watch passes of a route.
pub struct RouteWatch {
    pub config: config::Watch,
    pub rules: Fingerprinted,
}

/// What a route signs, and by whose key.
pub struct RouteSign {
    pub config: config::Sign,
    pub by: Arc<SignedUrls>,
}

/// A route, ready to serve: what was configured, and what that opens or comes to.
pub struct Route {
    pub config: Arc<config::Route>,
    /// Requests go, or questions are put, to the upstream of an `[opencast.*]`.
    pub is_opencast: bool,
    /// The upstream may take the method from a parameter of the query.
    pub overrides_method: bool,
    /// Requests may become websockets: by the route, or else by its upstream.
    pub websocket: bool,
    pub action: Action,
    /// Kinds of credential that are looked at, in order; none where nobody's identity could change the answer.
    pub accept: Vec<Credential>,
    /// Nobody's identity could change this route's answer: tokens are not looked at.
    pub anonymous: bool,
    pub else_ask: Option<Arc<ElseAsk>>,
    /// Whom the rules ask about events.
    pub opencast: Option<Arc<Opencast>>,
    /// Whose key signs what is presented: `present = "opencast-jwt"`.
    pub opencast_jwt: Option<Arc<Opencast>>,
    pub watch: Option<RouteWatch>,
    /// The route's own policy, and the apps of its sign-ins.
    pub cors: Option<Cors>,
    pub rate: Option<Arc<Keyed<String>>>,
    /// Behind the upstream there is this Moodle.
    pub moodle: Option<Arc<Moodle>>,
    /// Whose signed addresses are looked at.
    pub signed_urls: Vec<Arc<SignedUrls>>,
    pub sign: Option<RouteSign>,
    /// The upstream judges callers by Basic or Digest.
    pub upstream_auth: Option<UpstreamAuth>,
    pub metrics: RouteMetrics,
}

/// What a route does.
pub enum Action {
    Upstream(Arc<Upstream>),
    Files(Arc<Root>),
    /// The proxy in front sends the file: what its name begins with there.
    Accel(String),
    Reply(Reply),
    KeySet(KeySet),
    /// The gateway's own public keys.
    OwnKeys,
    /// What would become of another request?
    Decide(Decide),
    /// A launch session for the token in a form, and on to the page that it names.
    Launch(Launch),
    /// To the same path at another server, by an address that is signed.
    SignedRedirect,
    /// To the object itself, in this bucket.
    Presigned(Arc<Upstream>),
}

impl Route {
    /// The answer to a preflight of this route's CORS policy: `None` without one, `Some(None)` if it refuses.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Option<Reply>> {
        let policy = self.cors.as_ref()?;
        Some(cors::preflight(policy, method, headers, self.config.methods.as_deref()))
    }

    pub(super) fn with_moodle(mut self, moodles: &[Arc<Moodle>]) -> Self {
        if let config::Action::Upstream(index) = self.config.action {
            let mut moodles = moodles.iter();
            self.moodle = moodles.find(|moodle| moodle.config.upstream == index).map(Arc::clone);
        }
        self
    }

    /// The Moodle whose calls get a token on this route.
    pub fn injects(&self) -> Option<&Arc<Moodle>> {
        self.moodle
            .as_ref()
            .filter(|_| self.config.present == Present::MoodleToken)
    }

    /// May the path hold `;parameters` here?
    pub fn take_params(&self, has_params: bool) -> Result<(), Rejection> {
        if has_params && !self.config.path_params {
            let detail = "`;` in the path of a route without path_params";
            return Err(Rejection::because(Reason::BadPath, detail));
        }
        Ok(())
    }

    /// May a request with this path and query go on? Opencast's servlets decode `%3B` before they look for `;parameters`.
    /// Frameworks behind an upstream take the method from `_method` in the query (Apache CXF's RequestPreprocessor, which
    /// Opencast's REST has; Rails, Symfony), so that what the rules say of methods would not hold. Moodle does neither.
    pub fn take(&self, path: &Path, query: Option<&str>) -> Result<(), Rejection> {
        self.take_params(path.has_params())?;
        if self.is_opencast && path.has_encoded_semicolon() {
            return Err(Rejection::because(
                Reason::BadPath,
                "`%3B` in the path of a route to an Opencast",
            ));
        }
        if self.overrides_method && query.is_some_and(overrides_method) {
            return Err(Rejection::because(
                Reason::BadRequest,
                "`_method` in the query asks the upstream for another method",
            ));
        }
        Ok(())
    }

    pub(super) fn new(
        route: &Arc<config::Route>,
        config: &Config,
        (upstreams, opencasts, signed_urls): Behind<'_>,
        before: Option<&Snapshot>,
        metrics: &Metrics,
    ) -> Result<Self, SnapshotError> {
        let upstream = |index: usize| {
            upstreams
                .get(index)
                .map(Arc::clone)
                .ok_or_else(|| SnapshotError::Upstream {
                    name: Arc::clone(&route.name),
                    source: io::Error::other("not among the upstreams"),
                })
        };
        let else_ask = route.else_ask.as_ref().map(|ask| {
            let ca_file = config
                .upstreams
                .get(ask.upstream)
                .and_then(|one| one.ca_file.as_deref());
            let upstream = upstream(ask.upstream)?;
            if let Some(same) = before.and_then(|before| before.same_ask(route, &upstream)) {
                return Ok(same);
            }
            let made = ElseAsk::new(ask, upstream, ca_file, metrics.else_ask(&route.name)).map_err(|source| {
                SnapshotError::ElseAsk {
                    route: Arc::clone(&route.name),
                    source,
                }
            });
            made.map(Arc::new)
        });
        let action = match &route.action {
            config::Action::Upstream(index) => Action::Upstream(upstream(*index)?),
            config::Action::Presigned(index) => Action::Presigned(upstream(*index)?),
            config::Action::Accel(prefix) => Action::Accel(prefix.clone()),
            config::Action::Decide(decide) => Action::Decide(decide.clone()),
            config::Action::OwnKeys => Action::OwnKeys,
            config::Action::SignedRedirect => Action::SignedRedirect,
            config::Action::Launch => route.launch.map(Action::Launch).ok_or_else(|| SnapshotError::Reply {
                route: Arc::clone(&route.name),
                source: io::Error::other("no launch sessions"),
            })?,
            config::Action::Files(path) => {
                let root = Root::open(path).map_err(|source| SnapshotError::Files {
                    route: Arc::clone(&route.name),
                    path: path.clone(),
                    source,
                })?;
                Action::Files(Arc::new(root.serving_well_known(route.well_known)))
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
                let reply = fixed::fixed(respond).map_err(|source| SnapshotError::Reply {
                    route: Arc::clone(&route.name),
                    source,
                })?;
                Action::Reply(reply)
            }
        };
        // Whoever is known is also named to the upstream, sent to a passive sign-in, and has passes in answers, where everyone
        // may pass; and a token in the query of a page begins something.
        let tells = route.present == Present::Headers
            || route.opencast_jwt.is_some()
            || route.sign_ins.is_some()
            || route.watch_urls;
        let begins = route.launch.is_some() && route.action != config::Action::Launch;
        let depends = tells || begins || authorize::needs_identity(route.allow.iter().chain(&route.deny));
        let upstream_auth = UpstreamAuth::new(&route.accept);
        let anonymous = else_ask.is_none() && !depends && upstream_auth.is_none();
        Ok(Self {
            config: Arc::clone(route),
            is_opencast: is_opencast(config, route),
            overrides_method: may_override_method(config, route),
            websocket: route
                .websocket
                .unwrap_or_else(|| of_upstream(config, route).is_some_and(|one| one.websocket)),
            action,
            accept: if anonymous { Vec::new() } else { route.accept.clone() },
            anonymous,
            else_ask: else_ask.transpose()?,
            opencast: route.opencast.and_then(|index| opencasts.get(index)).map(Arc::clone),
            opencast_jwt: route
                .opencast_jwt
                .and_then(|index| opencasts.get(index))
                .map(Arc::clone),
            watch: route.watch.as_ref().map(|watch| RouteWatch {
                config: watch.clone(),
                rules: Fingerprinted::new(&route.allow, &route.deny),
            }),
            cors: cors_policy(route, config),
            rate: route.limits.rate.map(|rate| {
                let same = before.and_then(|before| before.same_rate(&route.name, rate));
                same.unwrap_or_else(|| Arc::new(Keyed::new(rate)))
            }),
            moodle: None,
            signed_urls: accepted_signed_urls(route, signed_urls),
            sign: route.sign.as_ref().and_then(|sign| {
                Some(RouteSign {
                    config: sign.clone(),
                    by: Arc::clone(signed_urls.get(sign.by)?),
                })
            }),
            upstream_auth,
            metrics: metrics.route(&route.name),
        })
    }
}

fn accepted_signed_urls(route: &config::Route, all: &[Arc<SignedUrls>]) -> Vec<Arc<SignedUrls>> {
    if !route.accept.contains(&Credential::SignedUrl) {
        return Vec::new();
    }
    match &route.signed_urls {
        Some(named) => named.iter().filter_map(|index| all.get(*index)).cloned().collect(),
        None => all.to_vec(),
    }
}

fn of_upstream<'a>(config: &'a Config, route: &config::Route) -> Option<&'a config::Upstream> {
    match route.action {
        config::Action::Upstream(index) => config.upstreams.get(index),
        _ => None,
    }
}

/// Does the route lead to an Opencast, or ask one?
fn is_opencast(config: &Config, route: &config::Route) -> bool {
    let leads = match route.action {
        config::Action::Upstream(index) => Some(index),
        _ => None,
    };
    let asks = route.else_ask.as_ref().map(|ask| ask.upstream);
    let mut opencasts = config.opencasts.iter();
    opencasts.any(|opencast| [leads, asks].contains(&Some(opencast.upstream)))
}

/// Does the route lead to an upstream that is no Moodle, or ask an Opencast?
fn may_override_method(config: &Config, route: &config::Route) -> bool {
    let leads = match route.action {
        config::Action::Upstream(index) => !config.moodles.iter().any(|moodle| moodle.upstream == index),
        _ => false,
    };
    leads || is_opencast(config, route)
}

/// Is there a parameter `_method`, in whatever case, with whatever space or brackets around it?
fn overrides_method(query: &str) -> bool {
    let mut names = query.split(['&', ';']).filter_map(|pair| pair.split('=').next());
    names.any(|name| {
        let name: Vec<u8> = percent_decode_str(name)
            .map(|byte| if byte == b'+' { b' ' } else { byte.to_ascii_lowercase() })
            .collect();
        let rest = name.trim_ascii().strip_prefix(b"_method");
        rest.is_some_and(|rest| rest.first().is_none_or(|byte| b"[.\0 ".contains(byte)))
    })
}

/// A route's own policy, and the apps of the sign-ins whose sessions it takes; not those where nobody needs a session.
fn cors_policy(route: &config::Route, config: &Config) -> Option<Cors> {
    let own = route.cors.clone();
    // A rule by address alone opens the route to some networks, not to everyone.
    let is_open = route.allow.iter().any(Rule::is_open);
    let is_question = matches!(route.action, config::Action::Decide(_));
    if !route.accept.contains(&Credential::Session) || is_open || is_question {
        return own;
    }
    let taken = |index: usize| route.sign_ins.as_ref().is_none_or(|taken| taken.contains(&index));
    let sign_ins = config.sign_ins.iter().enumerate().filter(|(index, _)| taken(*index));
    let apps: Vec<_> = sign_ins.flat_map(|(_, sign_in)| sign_in.app_origins.clone()).collect();
    match apps.is_empty() {
        true => own,
        false => Some(Cors {
            apps,
            ..own.unwrap_or_default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_in_the_query_is_found_in_every_spelling() {
        for query in [
            "_method=DELETE",
            "_method",
            "a=1&%5fm%65thod=PUT",
            "a;_method=PUT",
            "_METHOD=PUT",
            "+_method=PUT",
            "_method[]=PUT",
            "_method%20=PUT",
        ] {
            assert!(overrides_method(query), "{query}");
        }
        for query in [
            "method=DELETE",
            "a=_method",
            "x_method=1",
            "a=1&b=_method%3DPUT",
            "_methods=1",
        ] {
            assert!(!overrides_method(query), "{query}");
        }
    }
}
