//! Tell: metrics, access log, diagnostics, request ids. Counts and writes what happened; decides nothing.

pub mod access_log;
mod fields;
pub mod logging;
pub mod metrics;
pub mod redact;
pub mod request_id;
mod sink;
mod timestamp;
