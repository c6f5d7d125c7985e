//! What a route counts.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use prometheus::{Histogram, IntCounter, IntCounterVec};

use crate::rate::Limiter;
use crate::rejection::Reason;

/// Methods that have a label of their own; all others share `other`, so that a client cannot invent labels.
const METHODS: [(&str, Option<Method>); 8] = [
    ("GET", Some(Method::GET)),
    ("HEAD", Some(Method::HEAD)),
    ("POST", Some(Method::POST)),
    ("PUT", Some(Method::PUT)),
    ("DELETE", Some(Method::DELETE)),
    ("OPTIONS", Some(Method::OPTIONS)),
    ("PATCH", Some(Method::PATCH)),
    ("other", None),
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What one route counts. Of its many possible series only those exist that something was counted in.
pub struct RouteMetrics {
    pub(super) name: String,
    pub(super) all_requests: IntCounterVec,
    pub(super) all_decisions: IntCounterVec,
    pub(super) requests: [[OnceLock<IntCounter>; CLASSES.len()]; METHODS.len()],
    pub(super) seconds: Histogram,
    pub(super) bytes_in: IntCounter,
    pub(super) bytes_out: IntCounter,
    pub(super) allowed: IntCounter,
    /// In the order of [`Reason::ALL`].
    pub(super) refused: Vec<OnceLock<IntCounter>>,
    /// The same for what was allowed and came to nothing.
    pub(super) failed: Vec<OnceLock<IntCounter>>,
    pub(super) all_views: IntCounterVec,
    pub(super) all_cut: IntCounterVec,
    pub(super) cut_told: Limiter,
    pub(super) all_upstream_auth: IntCounterVec,
}

impl RouteMetrics {
    /// A view begins on the route.
    pub fn view_begins(&self) {
        self.all_views.with_label_values(&[&self.name]).inc();
    }

    /// A request has ended. `status` 0 stands for "the client went before the answer" and counts as a 4xx.
    pub fn finished(&self, method: &Method, status: u16, took: Duration, bytes_in: u64, bytes_out: u64) {
        let known = METHODS.iter().position(|(_, known)| known.as_ref() == Some(method));
        let row = known.unwrap_or(METHODS.len() - 1);
        let class = match StatusCode::from_u16(status) {
            Ok(status) => usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1,
            Err(_) => 3,
        };
        let names = METHODS.get(row).zip(CLASSES.get(class));
        let cell = self.requests.get(row).and_then(|classes| classes.get(class));
        if let Some((cell, ((method, _), class))) = cell.zip(names) {
            cell.get_or_init(|| {
                self.all_requests
                    .with_label_values(&[self.name.as_str(), method, class])
            })
            .inc();
        }
        self.seconds.observe(took.as_secs_f64());
        self.bytes_in.inc_by(bytes_in);
        self.bytes_out.inc_by(bytes_out);
    }

    pub fn allowed(&self) {
        self.allowed.inc();
    }

    pub fn refused(&self, reason: Reason) {
        self.count(&self.refused, "deny", reason);
    }

    /// The rules allowed it, and something else kept it from the client.
    pub fn failed(&self, reason: Reason) {
        self.count(&self.failed, "allow", reason);
    }

    /// The upstream was not told of all roles of a person. Is it time to tell of it?
    pub fn roles_cut(&self, now: Instant) -> bool {
        self.all_cut.with_label_values(&[self.name.as_str()]).inc();
        self.cut_told.take(now).is_ok()
    }

    /// A caller with credentials of `scheme` for the upstream was answered. `outcome` is from a closed list.
    pub fn upstream_auth(&self, scheme: &str, outcome: &str) {
        let labels = [self.name.as_str(), scheme, outcome];
        self.all_upstream_auth.with_label_values(&labels).inc();
    }

    fn count(&self, cells: &[OnceLock<IntCounter>], outcome: &str, reason: Reason) {
        let place = Reason::ALL.iter().position(|known| *known == reason);
        if let Some(cell) = place.and_then(|place| cells.get(place)) {
            let counter = || {
                self.all_decisions
                    .with_label_values(&[self.name.as_str(), outcome, reason.label()])
            };
            cell.get_or_init(counter).inc();
        }
    }
}
