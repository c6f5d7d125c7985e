//! What access tokens count.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::declare::metrics;

metrics! {
    pub(super) struct Declared {
        tokens: IntCounterVec = "janua_bearer_tokens_total" ["bearer", "verdict"]
            "Access tokens judged, not remembered ones: ok, or the reason why one does not count.",
        asks: IntCounterVec = "janua_bearer_asks_total" ["bearer", "result"]
            "Access tokens by where the answer came from: hit (memory), miss (judged now), stale (the server is away); error: none.",
        seconds: HistogramVec = "janua_bearer_seconds" ["bearer"]
            "Seconds that the server took to answer about an access token.",
    }
}

/// Handles for the access tokens of one `[bearer.<name>]`.
#[derive(Clone)]
pub struct BearerMetrics {
    name: String,
    tokens: IntCounterVec,
    pub hit: IntCounter,
    pub miss: IntCounter,
    pub stale: IntCounter,
    pub failed: IntCounter,
    seconds: Histogram,
}

impl BearerMetrics {
    pub(super) fn new(of: &Declared, name: &str) -> Self {
        let count = |result: &str| of.asks.with_label_values(&[name, result]);
        Self {
            name: name.to_owned(),
            tokens: of.tokens.clone(),
            hit: count("hit"),
            miss: count("miss"),
            stale: count("stale"),
            failed: count("error"),
            seconds: of.seconds.with_label_values(&[name]),
        }
    }

    /// A token was judged. `verdict` is "ok" or a reason's label.
    pub fn judged(&self, verdict: &'static str) {
        self.tokens.with_label_values(&[self.name.as_str(), verdict]).inc();
    }

    /// The server has answered, or failed to.
    pub fn asked(&self, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
    }
}
