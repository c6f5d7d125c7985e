//! Tell: metrics, access log, tracing, health. Counts and writes what happened; decides nothing.

pub mod metrics;
