//! `janua import`: a gateway.toml out of what another gateway was told.

mod gateway;
mod lines;
mod octoka;
mod sources;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the gateway.toml that does what an Octoka 1.3 with this configuration does
    #[command(after_help = EXAMPLES)]
    Octoka(Octoka),
}

#[derive(Debug, clap::Args)]
pub struct Octoka {
    /// Octoka's configuration, often /etc/octoka/config.toml
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
}

const EXAMPLES: &str = "\
Example:
  janua import octoka /etc/octoka/config.toml > gateway.toml && janua check

Read the comments in the result: WARNING marks what Octoka lets pass without being asked
and what is left out, NOTE what is different here.";

/// Runs the command. Errors: the file is unreadable, or is none that Octoka takes, or says what has no counterpart.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Octoka(args) = command;
    let context = || args.config.display().to_string();
    let text = std::fs::read_to_string(&args.config).with_context(context)?;
    // Octoka's relative paths begin where its file is, not where a link to it is.
    let file = args
        .config
        .canonicalize()
        .or_else(|_| std::path::absolute(&args.config));
    let file = file.with_context(context)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let written = octoka::read(&text)
        .and_then(|octoka| gateway::write(&octoka, folder))
        .with_context(context)?;
    super::put(&written)?;
    Ok(ExitCode::SUCCESS)
}
