//! What the state store counts.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry};

use super::declare::metrics;

/// What is asked of the store. The label of its time and its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    Get,
    Put,
    Delete,
    Index,
    Notify,
}

const OPERATIONS: [&str; 5] = ["get", "put", "delete", "index", "notify"];

metrics! {
    struct Declared {
        seconds: HistogramVec = "janua_store_seconds" ["operation"]
            "Seconds that the state store took.",
        errors: IntCounterVec = "janua_store_errors_total" ["operation"]
            "Operations that the state store failed.",
        up: IntGauge = "janua_store_up" []
            "1 while the state store answers, 0 while what needs a session gets 503.",
        unreadable: IntCounter = "janua_store_unreadable_total" []
            "Stored values that no master key opens; they count as absent.",
    }
}

/// Handles for the state store.
#[derive(Clone)]
pub struct StoreMetrics {
    pub up: IntGauge,
    pub unreadable: IntCounter,
    /// In the order of [`StoreOperation`].
    operations: [(Histogram, IntCounter); OPERATIONS.len()],
}

impl StoreMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let Declared {
            seconds,
            errors,
            up,
            unreadable,
        } = Declared::new(registry);
        let handles = |name| (seconds.with_label_values(&[name]), errors.with_label_values(&[name]));
        Self {
            up,
            unreadable,
            operations: OPERATIONS.map(handles),
        }
    }

    /// An operation has ended.
    pub fn done(&self, operation: StoreOperation, took: Duration, is_ok: bool) {
        if let Some((seconds, errors)) = self.operations.get(operation as usize) {
            seconds.observe(took.as_secs_f64());
            if !is_ok {
                errors.inc();
            }
        }
        let up = i64::from(is_ok);
        if self.up.get() != up {
            self.up.set(up);
        }
    }
}
