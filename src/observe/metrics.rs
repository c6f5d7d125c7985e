//! Every metric the gateway has, named in one place. All begin with `janua_`.
//!
//! Label sets are closed: routes, issuers and upstreams come from the configuration, methods and status classes
//! from fixed lists, reasons from [`Reason`]. Handles are looked up once per route, so that a request touches
//! atomics only.

mod moodle;
mod opencast;
mod route;
mod sessions;
mod store;

use std::sync::OnceLock;

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

pub use self::moodle::MoodleMetrics;
pub use self::opencast::OpencastMetrics;
pub use self::route::RouteMetrics;
pub use self::sessions::SessionMetrics;
pub use self::store::{StoreMetrics, StoreOperation};
use crate::rate::Limiter;
use crate::rejection::Reason;

/// All metrics of a process.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    bytes: IntCounterVec,
    decisions: IntCounterVec,
    token_cache: IntCounterVec,
    tokens_withheld: IntCounter,
    roles_cut: IntCounterVec,
    else_ask: IntCounterVec,
    keyset_keys: IntGaugeVec,
    keyset_fetched: IntGaugeVec,
    keyset_refreshes: IntCounterVec,
    upstream_healthy: IntGaugeVec,
    upstream_connect_errors: IntCounterVec,
    upstream_seconds: HistogramVec,
    connections: IntGauge,
    connections_refused: IntCounterVec,
    panics: IntCounter,
    log_lines_dropped: IntCounter,
    config_reloads: IntCounterVec,
    config_loaded: IntGauge,
    config_last_reload_ok: IntGauge,
    store: StoreMetrics,
    opencast: IntCounterVec,
    sessions: SessionMetrics,
    moodle: MoodleMetrics,
}

impl Metrics {
    /// Registers everything. Names and labels are constants, so registration cannot fail for an operator's reason.
    pub fn new() -> Self {
        let registry = Registry::new();
        let build = gauges(
            &registry,
            "janua_build_info",
            "Always 1; the labels say what runs.",
            &["version"],
        );
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            requests: counters(
                &registry,
                "janua_requests_total",
                "Requests answered.",
                &["route", "method", "status"],
            ),
            seconds: histograms(
                &registry,
                "janua_request_seconds",
                "Seconds from the request's header to the end of its answer.",
                &["route"],
            ),
            bytes: counters(
                &registry,
                "janua_bytes_total",
                "Body bytes: in from clients, out to clients.",
                &["route", "direction"],
            ),
            decisions: counters(
                &registry,
                "janua_decisions_total",
                "Requests allowed and refused, with the reason why one was refused or came to nothing.",
                &["route", "outcome", "reason"],
            ),
            token_cache: counters(
                &registry,
                "janua_token_cache_total",
                "Look-ups of tokens among those verified before.",
                &["result"],
            ),
            tokens_withheld: counter(
                &registry,
                "janua_tokens_withheld_total",
                "Tokens on routes open to everyone that were not passed on because their address had used up its checks.",
            ),
            roles_cut: counters(
                &registry,
                "janua_identity_roles_cut_total",
                "Requests whose upstream was not told of all roles of a person, since their header may have 8 KiB.",
                &["route"],
            ),
            else_ask: counters(
                &registry,
                "janua_else_ask_total",
                "Questions of else_ask: answered from memory, or sent to the upstream.",
                &["route", "result"],
            ),
            keyset_keys: gauges(
                &registry,
                "janua_keyset_keys",
                "Usable keys of an issuer; 0 means that no token of it verifies.",
                &["issuer"],
            ),
            keyset_fetched: gauges(
                &registry,
                "janua_keyset_fetched_timestamp_seconds",
                "Unix time of the last good fetch of an issuer's keys; 0 before the first.",
                &["issuer"],
            ),
            keyset_refreshes: counters(
                &registry,
                "janua_keyset_refreshes_total",
                "Attempts to fetch an issuer's keys.",
                &["issuer", "outcome"],
            ),
            upstream_healthy: gauges(
                &registry,
                "janua_upstream_healthy",
                "1 while an upstream's server takes requests, 0 while it is left out.",
                &["upstream", "server"],
            ),
            upstream_connect_errors: counters(
                &registry,
                "janua_upstream_connect_errors_total",
                "Connections to an upstream's server that failed.",
                &["upstream", "server"],
            ),
            upstream_seconds: histograms(
                &registry,
                "janua_upstream_seconds",
                "Seconds from the choice of a server to the header of its answer.",
                &["upstream"],
            ),
            connections: gauge(&registry, "janua_connections_open", "Open client connections."),
            connections_refused: counters(
                &registry,
                "janua_connections_refused_total",
                "Client connections closed at once because a limit was reached.",
                &["limit"],
            ),
            panics: counter(
                &registry,
                "janua_panics_total",
                "Requests that ended in a panic: each is a defect.",
            ),
            log_lines_dropped: counter(
                &registry,
                "janua_log_lines_dropped_total",
                "Log lines lost because their target was too slow or failed.",
            ),
            config_reloads: counters(
                &registry,
                "janua_config_reloads_total",
                "Reloads of gateway.toml: taken (ok) or refused (error).",
                &["outcome"],
            ),
            config_loaded: gauge(
                &registry,
                "janua_config_loaded_timestamp_seconds",
                "Unix time at which the configuration that serves now was taken.",
            ),
            config_last_reload_ok: gauge(
                &registry,
                "janua_config_last_reload_ok",
                "0 while gateway.toml on disk is refused and an earlier one serves on.",
            ),
            store: StoreMetrics::new(&registry),
            opencast: opencast::asks(&registry),
            sessions: SessionMetrics::new(&registry),
            moodle: MoodleMetrics::new(&registry),
            registry,
        }
    }

    /// The text exposition format, version 0.0.4, as Prometheus scrapes it.
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(16 * 1024);
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be encoded");
        }
        text
    }

    /// The handles of one route. `route` is the configured name, or `-` for requests that matched none.
    pub fn route(&self, route: &str) -> RouteMetrics {
        RouteMetrics {
            name: route.to_owned(),
            all_requests: self.requests.clone(),
            all_decisions: self.decisions.clone(),
            requests: Default::default(),
            seconds: self.seconds.with_label_values(&[route]),
            bytes_in: self.bytes.with_label_values(&[route, "in"]),
            bytes_out: self.bytes.with_label_values(&[route, "out"]),
            allowed: self.decisions.with_label_values(&[route, "allow", "none"]),
            refused: Reason::ALL.iter().map(|_| OnceLock::new()).collect(),
            failed: Reason::ALL.iter().map(|_| OnceLock::new()).collect(),
            all_cut: self.roles_cut.clone(),
            cut_told: Limiter::of_log(),
        }
    }

    /// Handles for the cache of verified tokens.
    pub fn token_cache(&self) -> TokenCacheMetrics {
        TokenCacheMetrics {
            hit: self.token_cache.with_label_values(&["hit"]),
            miss: self.token_cache.with_label_values(&["miss"]),
            withheld: self.tokens_withheld.clone(),
        }
    }

    /// Handles for the remembered answers of a route's `else_ask`.
    pub fn else_ask(&self, route: &str) -> ElseAskMetrics {
        ElseAskMetrics {
            hit: self.else_ask.with_label_values(&[route, "hit"]),
            miss: self.else_ask.with_label_values(&[route, "miss"]),
        }
    }

    /// Handles for one issuer's key set.
    pub fn issuer(&self, issuer: &str) -> IssuerMetrics {
        IssuerMetrics {
            keys: self.keyset_keys.with_label_values(&[issuer]),
            fetched: self.keyset_fetched.with_label_values(&[issuer]),
            refreshed: self.keyset_refreshes.with_label_values(&[issuer, "ok"]),
            failed: self.keyset_refreshes.with_label_values(&[issuer, "error"]),
        }
    }

    /// Seconds to the first byte of an upstream, over all its servers.
    pub fn upstream_seconds(&self, upstream: &str) -> Histogram {
        self.upstream_seconds.with_label_values(&[upstream])
    }

    /// Handles for one server of an upstream.
    pub fn upstream_server(&self, upstream: &str, server: &str) -> UpstreamServerMetrics {
        UpstreamServerMetrics {
            healthy: self.upstream_healthy.with_label_values(&[upstream, server]),
            connect_errors: self.upstream_connect_errors.with_label_values(&[upstream, server]),
        }
    }

    /// Open client connections.
    pub fn connections(&self) -> IntGauge {
        self.connections.clone()
    }

    /// Connections refused by `max` or `per_address`.
    pub fn connections_refused(&self, limit: &str) -> IntCounter {
        self.connections_refused.with_label_values(&[limit])
    }

    /// Handles for reloads of the configuration.
    pub fn reloads(&self) -> ReloadMetrics {
        ReloadMetrics {
            taken: self.config_reloads.with_label_values(&["ok"]),
            refused: self.config_reloads.with_label_values(&["error"]),
            loaded: self.config_loaded.clone(),
            last_ok: self.config_last_reload_ok.clone(),
        }
    }

    /// Handles for the state store.
    pub fn store(&self) -> StoreMetrics {
        self.store.clone()
    }

    /// Handles for the questions to one `[opencast.<name>]`.
    pub fn opencast(&self, name: &str) -> OpencastMetrics {
        opencast::of(&self.opencast, name)
    }

    /// Handles for tokens of Moodle's and calls with them.
    pub fn moodle(&self) -> MoodleMetrics {
        self.moodle.clone()
    }

    /// Handles for sign-ins and sessions.
    pub fn sessions(&self) -> SessionMetrics {
        self.sessions.clone()
    }

    /// Ends the gauges of an issuer that is no longer configured. Its counters stay until the process ends: requests
    /// that began before may still count.
    pub fn forget_issuer(&self, issuer: &str) {
        // An error says that there was no such series.
        self.keyset_keys.remove_label_values(&[issuer]).ok();
        self.keyset_fetched.remove_label_values(&[issuer]).ok();
    }

    /// The same for a server of an upstream.
    pub fn forget_upstream_server(&self, upstream: &str, server: &str) {
        self.upstream_healthy.remove_label_values(&[upstream, server]).ok();
    }

    /// Requests that panicked.
    pub fn panics(&self) -> IntCounter {
        self.panics.clone()
    }

    /// Log lines that were given up.
    pub fn log_lines_dropped(&self) -> IntCounter {
        self.log_lines_dropped.clone()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What reloads of the configuration show.
#[derive(Clone)]
pub struct ReloadMetrics {
    pub taken: IntCounter,
    pub refused: IntCounter,
    pub loaded: IntGauge,
    pub last_ok: IntGauge,
}

/// What the cache of verified tokens counts, and the tokens that nobody could look at.
#[derive(Clone)]
pub struct TokenCacheMetrics {
    pub hit: IntCounter,
    pub miss: IntCounter,
    pub withheld: IntCounter,
}

/// What a route's `else_ask` counts: questions answered from memory or by one that is on its way, and those asked.
#[derive(Clone)]
pub struct ElseAskMetrics {
    pub hit: IntCounter,
    pub miss: IntCounter,
}

/// What one issuer's key set shows.
#[derive(Clone)]
pub struct IssuerMetrics {
    pub keys: IntGauge,
    pub fetched: IntGauge,
    pub refreshed: IntCounter,
    pub failed: IntCounter,
}

/// What one server of an upstream shows.
#[derive(Clone)]
pub struct UpstreamServerMetrics {
    pub healthy: IntGauge,
    pub connect_errors: IntCounter,
}

/// From a tenth of a millisecond (a remembered token) to ten minutes (an upload, a lecture).
const BUCKETS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 600.0,
];

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::new(name, help))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(name, help))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
    registered(registry, HistogramVec::new(options, labels))
}

/// Names, labels and buckets are constants of this file: a failure here is a programming error that the first
/// test meets, never something that input or configuration can cause.
#[expect(clippy::expect_used, reason = "constants of this file only; see above")]
fn registered<C: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    collector: prometheus::Result<C>,
) -> C {
    let collector = collector.expect("a metric's name and labels are valid");
    registry
        .register(Box::new(collector.clone()))
        .expect("a metric is registered once");
    collector
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Method;

    use super::*;

    #[test]
    fn a_finished_request_shows_in_the_text() {
        let metrics = Metrics::new();
        let route = metrics.route("media");
        route.finished(&Method::GET, 206, Duration::from_millis(3), 0, 1000);
        route.finished(&Method::from_bytes(b"BREW").unwrap(), 404, Duration::ZERO, 0, 0);
        route.refused(Reason::TokenExpired);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains(r#"janua_requests_total{method="GET",route="media",status="2xx"} 1"#));
        assert!(text.contains(r#"janua_requests_total{method="other",route="media",status="4xx"} 1"#));
        assert!(text.contains(r#"janua_bytes_total{direction="out",route="media"} 1000"#));
        assert!(text.contains(r#"janua_decisions_total{outcome="deny",reason="token_expired",route="media"} 1"#));
    }
}
