//! How reloads went, for metrics and the status page.

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;

use crate::observe::metrics::{Metrics, ReloadMetrics};
use crate::time::unix_seconds;

#[derive(Debug, Clone, Default)]
pub struct ConfigStatus {
    /// Since the configuration that serves now was taken.
    pub age: Duration,
    /// Since when, and why, gateway.toml is refused.
    pub refused: Option<(Duration, String)>,
}

/// The last configuration that was taken, and the one refused since.
pub struct ReloadStatus {
    metrics: ReloadMetrics,
    last: Mutex<Last>,
}

struct Last {
    taken: Instant,
    refused: Option<(Instant, String)>,
}

impl ReloadStatus {
    /// The configuration of the start is taken now; it is no reload.
    pub fn new(metrics: &Metrics) -> Self {
        let status = Self {
            metrics: metrics.reloads(),
            last: Mutex::new(Last {
                taken: Instant::now(),
                refused: None,
            }),
        };
        status.good();
        status
    }

    pub fn taken(&self) {
        self.metrics.taken.inc();
        self.good();
        *self.last.lock() = Last {
            taken: Instant::now(),
            refused: None,
        };
    }

    /// `why` is shown to the operator: one line.
    pub fn refused(&self, why: String) {
        self.metrics.refused.inc();
        self.metrics.last_ok.set(0);
        self.last.lock().refused = Some((Instant::now(), why));
    }

    pub fn status(&self) -> ConfigStatus {
        let last = self.last.lock();
        let refused = last.refused.as_ref();
        ConfigStatus {
            age: last.taken.elapsed(),
            refused: refused.map(|(when, why)| (when.elapsed(), why.clone())),
        }
    }

    fn good(&self) {
        let now = unix_seconds(SystemTime::now());
        self.metrics.loaded.set(i64::try_from(now).unwrap_or(i64::MAX));
        self.metrics.last_ok.set(1);
    }
}
