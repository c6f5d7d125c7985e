//! Every metric the gateway has, named in one place. All begin with `janua_`, but for those that every process has.
//!
//! Label sets are closed: routes, issuers and upstreams come from the configuration, methods and status classes
//! from fixed lists, reasons from [`Reason`]. Handles are looked up once per route, so that a request touches
//! atomics only.

mod bearer;
mod declare;
mod moodle;
mod opencast;
mod process;
mod route;
mod sessions;
mod store;

use std::net::SocketAddr;
use std::sync::OnceLock;

use prometheus::{
    Encoder, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder,
};

pub use self::bearer::BearerMetrics;
use self::declare::metrics;
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
    own: Declared,
    store: StoreMetrics,
    sessions: SessionMetrics,
    moodle: MoodleMetrics,
    bearer: bearer::Declared,
}

metrics! {
    struct Declared {
        build: IntGaugeVec = "janua_build_info" ["version"]
            "Always 1; the labels say what runs.",
        requests: IntCounterVec = "janua_requests_total" ["route", "method", "status"]
            "Requests answered.",
        seconds: HistogramVec = "janua_request_seconds" ["route"]
            "Seconds from the request's header to the end of its answer.",
        bytes: IntCounterVec = "janua_bytes_total" ["route", "direction"]
            "Body bytes: in from clients, out to clients.",
        decisions: IntCounterVec = "janua_decisions_total" ["route", "outcome", "reason"]
            "Requests allowed and refused, with the reason why one was refused or came to nothing.",
        token_cache: IntCounterVec = "janua_token_cache_total" ["result"]
            "Look-ups of tokens among those verified before.",
        tokens_withheld: IntCounter = "janua_tokens_withheld_total" []
            "Tokens on routes open to everyone that were not passed on because their address had used up its checks.",
        roles_cut: IntCounterVec = "janua_identity_roles_cut_total" ["route"]
            "Requests whose upstream was not told of all roles of a person, since their header may have 8 KiB.",
        upstream_auth: IntCounterVec = "janua_upstream_auth_total" ["route", "scheme", "outcome"]
            "Answers to callers whose Basic or Digest the upstream judges: passed, refused, challenged, stale.",
        else_ask: IntCounterVec = "janua_else_ask_total" ["route", "result"]
            "Questions of else_ask: answered from memory, or sent to the upstream.",
        keyset_keys: IntGaugeVec = "janua_keyset_keys" ["issuer"]
            "Usable keys of an issuer; 0 means that no token of it verifies.",
        keyset_fetched: IntGaugeVec = "janua_keyset_fetched_timestamp_seconds" ["issuer"]
            "Unix time of the last good fetch of an issuer's keys; 0 before the first.",
        keyset_refreshes: IntCounterVec = "janua_keyset_refreshes_total" ["issuer", "outcome"]
            "Attempts to fetch an issuer's keys.",
        upstream_healthy: IntGaugeVec = "janua_upstream_healthy" ["upstream", "server"]
            "1 while an upstream's server takes requests, 0 while it is left out.",
        upstream_connect_errors: IntCounterVec = "janua_upstream_connect_errors_total" ["upstream", "server"]
            "Connections to an upstream's server that failed.",
        upstream_seconds: HistogramVec = "janua_upstream_seconds" ["upstream"]
            "Seconds from the choice of a server to the header of its answer.",
        certificate_expiry: IntGaugeVec = "janua_certificate_expiry_timestamp_seconds" ["listen"]
            "Unix time at which the certificate of a TLS listener ends.",
        connections: IntGauge = "janua_connections_open" []
            "Open client connections.",
        connections_refused: IntCounterVec = "janua_connections_refused_total" ["limit"]
            "Client connections closed at once because a limit was reached.",
        panics: IntCounter = "janua_panics_total" []
            "Requests that ended in a panic: each is a defect.",
        log_lines_dropped: IntCounter = "janua_log_lines_dropped_total" []
            "Log lines lost because their target was too slow or failed.",
        log_rotations: IntCounterVec = "janua_log_rotations_total" ["outcome"]
            "New log files that were begun because of log.rotate (ok), or could not be (error).",
        config_reloads: IntCounterVec = "janua_config_reloads_total" ["outcome"]
            "Reloads of gateway.toml: taken (ok) or refused (error).",
        config_loaded: IntGauge = "janua_config_loaded_timestamp_seconds" []
            "Unix time at which the configuration that serves now was taken.",
        config_last_reload_ok: IntGauge = "janua_config_last_reload_ok" []
            "0 while gateway.toml on disk is refused and an earlier one serves on.",
        views: IntCounterVec = "janua_views_total" ["route"]
            "Views that began, on routes with `views`.",
        statistics_dropped: IntCounterVec = "janua_statistics_dropped_total" ["at"]
            "Views that were not counted since too many ran (views, address), or not told (file, matomo, usertracking).",
        opencast: IntCounterVec = "janua_opencast_asks_total" ["opencast", "result"]
            "Questions about events by where the answer came from: hit, miss, stale; error: there was none.",
    }
}

impl Metrics {
    /// Registers everything. Names and labels are constants, so registration cannot fail for an operator's reason.
    pub fn new() -> Self {
        let registry = Registry::new();
        let own = Declared::new(&registry);
        own.build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        if let Err(error) = process::register(&registry) {
            tracing::error!(%error, "the process does not tell of itself");
        }
        Self {
            own,
            store: StoreMetrics::new(&registry),
            sessions: SessionMetrics::new(&registry),
            moodle: MoodleMetrics::new(&registry),
            bearer: bearer::Declared::new(&registry),
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
            all_requests: self.own.requests.clone(),
            all_decisions: self.own.decisions.clone(),
            requests: Default::default(),
            seconds: self.own.seconds.with_label_values(&[route]),
            bytes_in: self.own.bytes.with_label_values(&[route, "in"]),
            bytes_out: self.own.bytes.with_label_values(&[route, "out"]),
            allowed: self.own.decisions.with_label_values(&[route, "allow", "none"]),
            refused: Reason::ALL.iter().map(|_| OnceLock::new()).collect(),
            failed: Reason::ALL.iter().map(|_| OnceLock::new()).collect(),
            all_views: self.own.views.clone(),
            all_upstream_auth: self.own.upstream_auth.clone(),
            all_cut: self.own.roles_cut.clone(),
            cut_told: Limiter::of_log(),
        }
    }

    /// Handles for the cache of verified tokens.
    pub fn token_cache(&self) -> TokenCacheMetrics {
        TokenCacheMetrics {
            hit: self.own.token_cache.with_label_values(&["hit"]),
            miss: self.own.token_cache.with_label_values(&["miss"]),
            withheld: self.own.tokens_withheld.clone(),
        }
    }

    /// Handles for the remembered answers of a route's `else_ask`.
    pub fn else_ask(&self, route: &str) -> ElseAskMetrics {
        ElseAskMetrics {
            hit: self.own.else_ask.with_label_values(&[route, "hit"]),
            miss: self.own.else_ask.with_label_values(&[route, "miss"]),
        }
    }

    /// Handles for one issuer's key set.
    pub fn issuer(&self, issuer: &str) -> IssuerMetrics {
        IssuerMetrics {
            keys: self.own.keyset_keys.with_label_values(&[issuer]),
            fetched: self.own.keyset_fetched.with_label_values(&[issuer]),
            refreshed: self.own.keyset_refreshes.with_label_values(&[issuer, "ok"]),
            failed: self.own.keyset_refreshes.with_label_values(&[issuer, "error"]),
        }
    }

    /// Seconds to the first byte of an upstream, over all its servers.
    pub fn upstream_seconds(&self, upstream: &str) -> Histogram {
        self.own.upstream_seconds.with_label_values(&[upstream])
    }

    /// Handles for one server of an upstream.
    pub fn upstream_server(&self, upstream: &str, server: &str) -> UpstreamServerMetrics {
        UpstreamServerMetrics {
            healthy: self.own.upstream_healthy.with_label_values(&[upstream, server]),
            connect_errors: self.own.upstream_connect_errors.with_label_values(&[upstream, server]),
        }
    }

    /// Views that were lost at this place.
    pub fn statistics_dropped(&self, at: &str) -> IntCounter {
        self.own.statistics_dropped.with_label_values(&[at])
    }

    /// When the certificate of a listener ends.
    pub fn certificate_expiry(&self, listen: SocketAddr) -> IntGauge {
        self.own.certificate_expiry.with_label_values(&[listen.to_string()])
    }

    /// Open client connections.
    pub fn connections(&self) -> IntGauge {
        self.own.connections.clone()
    }

    /// Connections refused by `max` or `per_address`.
    pub fn connections_refused(&self, limit: &str) -> IntCounter {
        self.own.connections_refused.with_label_values(&[limit])
    }

    /// Handles for reloads of the configuration.
    pub fn reloads(&self) -> ReloadMetrics {
        ReloadMetrics {
            taken: self.own.config_reloads.with_label_values(&["ok"]),
            refused: self.own.config_reloads.with_label_values(&["error"]),
            loaded: self.own.config_loaded.clone(),
            last_ok: self.own.config_last_reload_ok.clone(),
        }
    }

    /// Handles for the state store.
    pub fn store(&self) -> StoreMetrics {
        self.store.clone()
    }

    /// Handles for the questions to one `[opencast.<name>]`.
    pub fn opencast(&self, name: &str) -> OpencastMetrics {
        opencast::of(&self.own.opencast, name)
    }

    /// Handles for the access tokens of one `[bearer.<name>]`.
    pub fn bearer(&self, name: &str) -> BearerMetrics {
        BearerMetrics::new(&self.bearer, name)
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
        self.own.keyset_keys.remove_label_values(&[issuer]).ok();
        self.own.keyset_fetched.remove_label_values(&[issuer]).ok();
    }

    /// The same for a server of an upstream.
    pub fn forget_upstream_server(&self, upstream: &str, server: &str) {
        self.own.upstream_healthy.remove_label_values(&[upstream, server]).ok();
    }

    /// Requests that panicked.
    pub fn panics(&self) -> IntCounter {
        self.own.panics.clone()
    }

    /// What the log counts of itself.
    pub fn log(&self) -> LogMetrics {
        LogMetrics {
            dropped: self.own.log_lines_dropped.clone(),
            rotated: self.own.log_rotations.with_label_values(&["ok"]),
            not_rotated: self.own.log_rotations.with_label_values(&["error"]),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// What the log counts: lines that were given up, files that were begun or could not be.
#[derive(Clone)]
pub struct LogMetrics {
    pub dropped: IntCounter,
    pub rotated: IntCounter,
    pub not_rotated: IntCounter,
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

    #[test]
    fn the_process_tells_of_itself() {
        let text = String::from_utf8(Metrics::new().render()).unwrap();
        assert!(text.contains("# TYPE process_cpu_seconds_total counter"), "{text}");
        for name in [
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_start_time_seconds",
        ] {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(value.unwrap().parse::<f64>().unwrap() > 0.0, "{name}: {text}");
        }
    }
}
