//! What the admin listener tells of a running gateway: its metrics, whether requests should be sent here, how it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use crate::admin::status::{IssuerStatus, RouteStatus, ServerStatus, Status};
use crate::admin::{Readiness, Source};
use crate::config::Config;
use crate::observe::metrics::Metrics;
use crate::snapshot::{Action, Snapshot};

pub struct Overview {
    metrics: Arc<Metrics>,
    snapshot: Arc<Snapshot>,
    routes: Vec<RouteStatus>,
    started: Instant,
    draining: AtomicBool,
}

impl Overview {
    pub fn new(metrics: Arc<Metrics>, snapshot: Arc<Snapshot>, config: &Config) -> Self {
        let route = |(configured, route): (&crate::config::Route, &Arc<crate::snapshot::Route>)| RouteStatus {
            name: configured.name.to_string(),
            host: configured.host.clone(),
            path: configured.path.clone(),
            action: match &route.action {
                Action::Upstream(upstream) => format!("upstream {}", upstream.name),
                Action::Files(_) => "files".to_owned(),
                Action::KeySet(_) => "key set".to_owned(),
                Action::Reply(fixed) => fixed.status.as_u16().to_string(),
            },
        };
        Self {
            routes: config.routes.iter().zip(&snapshot.routes).map(route).collect(),
            metrics,
            snapshot,
            started: Instant::now(),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on nothing should be sent here: the gateway is about to end.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

impl Source for Overview {
    fn metrics(&self) -> Vec<u8> {
        self.metrics.render()
    }

    /// Without any usable key no token verifies. A site without issuers needs none.
    fn readiness(&self) -> Readiness {
        let tokens = &self.snapshot.tokens;
        let issuers = tokens.issuers();
        let without_keys = issuers.iter().filter(|issuer| issuer.keys == 0);
        let mut problems: Vec<String> = without_keys
            .map(|issuer| format!("issuer {}: no usable key", issuer.name))
            .collect();
        let draining = self.draining.load(Ordering::Relaxed);
        if draining {
            problems.push("shutting down".to_owned());
        }
        Readiness {
            ready: !draining && (issuers.is_empty() || tokens.ready()),
            problems,
        }
    }

    fn status(&self) -> Status {
        let now = SystemTime::now();
        let issuers = self.snapshot.tokens.issuers().into_iter().map(|issuer| IssuerStatus {
            name: issuer.name.to_string(),
            keys: issuer.keys,
            age: issuer
                .fetched
                .map(|fetched| now.duration_since(fetched).unwrap_or_default()),
        });
        let servers = self.snapshot.upstreams.iter().flat_map(|upstream| {
            let servers = upstream.servers().into_iter();
            servers.map(|(address, healthy)| ServerStatus {
                upstream: upstream.name.to_string(),
                address,
                healthy,
            })
        });
        Status {
            uptime: self.started.elapsed(),
            routes: self.routes.clone(),
            issuers: issuers.collect(),
            servers: servers.collect(),
        }
    }
}
