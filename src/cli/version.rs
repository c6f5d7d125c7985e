//! `janua version`: what runs, for a report of a fault.

use std::env::consts::{ARCH, OS};
use std::process::ExitCode;

/// The commit that it was built from, if whoever built it said so (`make release`, `deploy/Containerfile`).
const COMMIT: Option<&str> = option_env!("JANUA_COMMIT");

/// Prints it, a line for each.
pub fn run() -> anyhow::Result<ExitCode> {
    super::put(&text())?;
    Ok(ExitCode::SUCCESS)
}

fn text() -> String {
    let commit = COMMIT.filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    let build = if cfg!(debug_assertions) { "debug" } else { "optimised" };
    format!(
        "janua     {}\ncommit    {commit}\nbuild     {build}, {ARCH}-{OS}\nfeatures  HTTP/1.1, HTTP/2, TLS 1.2 and 1.3 \
         (rustls, aws-lc); state in memory, embedded, valkey\n",
        env!("CARGO_PKG_VERSION")
    )
}
