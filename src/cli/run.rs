//! `janua run`: serve.

use std::process::ExitCode;

use super::{ConfigArgs, load};
use crate::reload::ConfigFile;
use crate::server;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Exit code 1 with the reason on stderr if the gateway cannot start; 0 after an orderly end.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let file = ConfigFile::watched(args.config.path()?);
    let Some(loaded) = load(file.path()) else {
        return Ok(ExitCode::FAILURE);
    };
    server::run(file, loaded.config)?;
    Ok(ExitCode::SUCCESS)
}
