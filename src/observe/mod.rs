//! Tell: metrics, access log, diagnostics, request ids. Counts and writes what happened; decides nothing.

pub mod access_log;
mod combined;
pub mod denials;
mod fields;
pub mod log_file;
pub mod logging;
pub mod look;
pub mod mask;
pub mod metrics;
pub mod reload_status;
pub mod request_id;
pub mod ring;
pub mod sink;

use std::sync::Arc;

use prometheus::IntCounter;

use self::access_log::{AccessLog, Entry, Outcome};
use self::denials::Denials;
use self::metrics::{Metrics, RouteMetrics};
use self::request_id::RequestId;
use crate::rejection::{Reason, Rejection};

/// Counts and logs what became of requests.
pub struct Observer {
    access: AccessLog,
    /// What the rules refuse.
    pub denials: Arc<Denials>,
    panics: IntCounter,
}

impl Observer {
    pub fn new(metrics: &Metrics, access: AccessLog, denials: Arc<Denials>) -> Self {
        Self {
            access,
            denials,
            panics: metrics.panics(),
        }
    }

    /// A request has ended. One that was allowed counts as allowed whatever became of it, with the reason why it came to
    /// nothing.
    pub fn finished(&self, route: &RouteMetrics, entry: &Entry<'_>) {
        route.finished(entry.method, entry.status, entry.took, entry.bytes_in, entry.bytes_out);
        match (entry.outcome, entry.reason) {
            (Outcome::Allow, None) => route.allowed(),
            (Outcome::Allow, Some(reason)) => route.failed(reason),
            (Outcome::Deny, Some(reason)) => route.refused(reason),
            // The client went before anything was decided.
            (Outcome::Deny, None) => route.refused(Reason::ClientGone),
        }
        self.access.write(entry);
    }

    /// A request panicked: a defect. The panic's text is in the log already; the client gets a 500.
    pub fn panicked(&self, id: &RequestId) -> Rejection {
        self.panics.inc();
        Rejection::because(Reason::Internal, format!("panic while serving request {id}"))
    }
}
