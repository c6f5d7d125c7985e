//! One declaration for each metric: its field, its kind, its name, its labels and its help text.

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

/// From a tenth of a millisecond (a remembered token) to ten minutes (an upload, a lecture).
const BUCKETS: [f64; 14] = [
    0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 600.0,
];

/// A struct of metrics, and `new`, which registers them.
macro_rules! metrics {
    (
        $(#[$meta:meta])*
        $vis:vis struct $struct:ident {
            $($field:ident: $kind:ty = $name:literal [$($label:literal),*] $help:literal,)*
        }
    ) => {
        $(#[$meta])*
        $vis struct $struct {
            $($field: $kind,)*
        }

        impl $struct {
            pub(super) fn new(registry: &prometheus::Registry) -> Self {
                use crate::observe::metrics::declare::Kind;
                Self { $($field: Kind::registered(registry, $name, &[$($label),*], $help),)* }
            }
        }
    };
}
pub(super) use metrics;

/// A kind of metric. One without labels is given none.
pub(super) trait Kind: Collector + Clone + Sized + 'static {
    fn create(options: Opts, labels: &[&str]) -> Result<Self>;

    /// Names and labels are constants of the source: a failure here is a programming error that the first test meets,
    /// never something that input or configuration can cause.
    #[expect(clippy::expect_used, reason = "constants only; see above")]
    fn registered(registry: &Registry, name: &str, labels: &[&str], help: &str) -> Self {
        let metric = Self::create(Opts::new(name, help), labels).expect("a metric's name and labels are valid");
        registry
            .register(Box::new(metric.clone()))
            .expect("a metric is registered once");
        metric
    }
}

impl Kind for IntCounterVec {
    fn create(options: Opts, labels: &[&str]) -> Result<Self> {
        Self::new(options, labels)
    }
}

impl Kind for IntCounter {
    fn create(options: Opts, _: &[&str]) -> Result<Self> {
        Self::with_opts(options)
    }
}

impl Kind for IntGaugeVec {
    fn create(options: Opts, labels: &[&str]) -> Result<Self> {
        Self::new(options, labels)
    }
}

impl Kind for IntGauge {
    fn create(options: Opts, _: &[&str]) -> Result<Self> {
        Self::with_opts(options)
    }
}

impl Kind for HistogramVec {
    fn create(options: Opts, labels: &[&str]) -> Result<Self> {
        let options = HistogramOpts::from(options).buckets(BUCKETS.to_vec());
        Self::new(options, labels)
    }
}
