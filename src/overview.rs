//! What the admin listener tells of a running gateway: its metrics, whether requests should be sent here, how it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;

use crate::admin::status::{IssuerStatus, RouteStatus, ServerStatus, Status};
use crate::admin::{Readiness, Source, Why};
use crate::explain::{render, why};
use crate::gateway::recent::Recent;
use crate::observe::denials::{Denial, Denials};
use crate::observe::metrics::Metrics;
use crate::observe::reload_status::ReloadStatus;
use crate::snapshot::{Action, Snapshot};

pub struct Overview {
    metrics: Arc<Metrics>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    reloads: Arc<ReloadStatus>,
    denials: Arc<Denials>,
    recent: Arc<Recent>,
    started: Instant,
    draining: AtomicBool,
}

impl Overview {
    pub fn new(
        metrics: Arc<Metrics>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        reloads: Arc<ReloadStatus>,
        denials: Arc<Denials>,
        recent: Arc<Recent>,
    ) -> Self {
        Self {
            metrics,
            snapshot,
            reloads,
            denials,
            recent,
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
        let snapshot = self.snapshot.load();
        let issuers = snapshot.tokens.issuers();
        let without_keys = issuers.iter().filter(|issuer| issuer.keys == 0);
        let mut problems: Vec<String> = without_keys
            .map(|issuer| format!("issuer {}: no usable key", issuer.name))
            .collect();
        let draining = self.draining.load(Ordering::Relaxed);
        if draining {
            problems.push("shutting down".to_owned());
        }
        Readiness {
            // A key that `jwt.algorithms` does not name verifies nothing.
            ready: !draining && (issuers.is_empty() || issuers.iter().any(|issuer| issuer.keys > 0)),
            problems,
        }
    }

    fn hosts(&self) -> Vec<String> {
        self.snapshot.load().config.server.admin_hosts.clone()
    }

    fn denials(&self) -> Vec<Denial> {
        self.denials.latest()
    }

    fn why(&self, id: &str) -> Why {
        let which = why::Which::Id(id.to_owned());
        let generation = self.snapshot.load().generation;
        match why::answer(&self.recent, &which, generation, SystemTime::now()) {
            why::Answer::Found(report) => Why::Found {
                text: render::render(&report, false),
                json: serde_json::to_value(&report).unwrap_or_default(),
            },
            why::Answer::Several(ids) => Why::Several(ids),
            why::Answer::Nothing(told) => Why::Nothing(told),
        }
    }

    fn refusals(&self, most: usize) -> Vec<serde_json::Value> {
        let (generation, now) = (self.snapshot.load().generation, SystemTime::now());
        let latest = self.recent.refusals().into_iter().take(most);
        let reports = latest.map(|entry| why::report(&entry, generation, now));
        reports
            .map(|report| serde_json::to_value(report).unwrap_or_default())
            .collect()
    }

    fn status(&self) -> Status {
        let now = SystemTime::now();
        let snapshot = self.snapshot.load();
        let routes = snapshot.config.routes.iter().zip(&snapshot.routes);
        let routes = routes.map(|(configured, route)| RouteStatus {
            name: configured.name.to_string(),
            host: configured.hosts.names().collect::<Vec<_>>().join(", "),
            path: configured.path.clone(),
            action: match &route.action {
                Action::Upstream(upstream) => format!("upstream {}", upstream.name),
                Action::Files(_) => "files".to_owned(),
                Action::KeySet(_) | Action::OwnKeys => "key set".to_owned(),
                Action::Accel(_) => "accel".to_owned(),
                Action::Decide(_) => "decide".to_owned(),
                Action::Launch(_) => "launch".to_owned(),
                Action::Presigned(upstream) => format!("presigned {}", upstream.name),
                Action::SignedRedirect => "signed redirect".to_owned(),
                Action::Reply(fixed) => fixed.status.as_u16().to_string(),
            },
        });
        let issuers = snapshot.tokens.issuers().into_iter().map(|issuer| IssuerStatus {
            name: issuer.name.to_string(),
            keys: issuer.keys,
            age: issuer
                .fetched
                .map(|fetched| now.duration_since(fetched).unwrap_or_default()),
        });
        let servers = snapshot.upstreams.iter().flat_map(|upstream| {
            let servers = upstream.servers().into_iter();
            servers.map(|(address, healthy)| ServerStatus {
                upstream: upstream.name.to_string(),
                address,
                healthy,
            })
        });
        Status {
            uptime: self.started.elapsed(),
            config: self.reloads.status(),
            routes: routes.collect(),
            issuers: issuers.collect(),
            servers: servers.collect(),
        }
    }
}
