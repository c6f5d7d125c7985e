//! `janua run`: serve.

use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

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
    private_memory();
    server::run(file, loaded.config, super::wanted_colour())?;
    Ok(ExitCode::SUCCESS)
}

/// Keys, tokens and sessions stand in the memory: no core dump, and no debugger of the same user.
fn private_memory() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "core dumps cannot be switched off");
    }
}
