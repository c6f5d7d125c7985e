//! What the questions to Opencast count.

use prometheus::{IntCounter, IntCounterVec};

/// What one `[opencast.<name>]` counts: questions answered from memory, by Opencast, by an old answer because Opencast
/// gave none, and not at all.
#[derive(Clone)]
pub struct OpencastMetrics {
    pub hit: IntCounter,
    pub miss: IntCounter,
    pub stale: IntCounter,
    pub failed: IntCounter,
}

pub(super) fn of(asks: &IntCounterVec, opencast: &str) -> OpencastMetrics {
    let count = |result: &str| asks.with_label_values(&[opencast, result]);
    OpencastMetrics {
        hit: count("hit"),
        miss: count("miss"),
        stale: count("stale"),
        failed: count("error"),
    }
}
