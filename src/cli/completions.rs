//! `janua completions`: what shells want to know, made from the command line itself.
//!
//! Names out of gateway.toml (routes, issuers) are not completed: the engine of clap_complete that could ask the program for
//! them is not stable.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, clap::Args)]
pub struct Completions {
    /// The shell that the completions are for
    shell: Shell,
}

/// Prints the completions for a shell.
pub fn completions(args: &Completions) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "janua", &mut script);
    super::put(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
