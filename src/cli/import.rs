//! `janua import`: a gateway.toml out of what another gateway was told.

mod gateway;
mod octoka;

use std::path::PathBuf;
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

Read the comments in the result: WARNING marks what Octoka lets pass without being asked, NOTE what is different here.";

/// Runs the command. Errors: the file is unreadable, has keys that Octoka does not know, or says what has no
/// counterpart.
pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    let Command::Octoka(args) = command;
    let context = || args.config.display().to_string();
    let text = std::fs::read_to_string(&args.config).with_context(context)?;
    let written = octoka::read(&text)
        .and_then(|octoka| gateway::write(&octoka))
        .with_context(context)?;
    super::put(&written)?;
    Ok(ExitCode::SUCCESS)
}
