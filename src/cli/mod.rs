//! The command line: one file a command. Output for people goes to stdout, diagnostics to stderr.

pub mod check;
pub mod completions;
pub mod config;
pub mod demo;
pub mod explain;
pub mod import;
pub mod jwks;
pub mod keys;
pub mod revoke;
pub mod run;
pub mod token;
pub mod token_show;
pub mod vault;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::Loaded;

/// The gate in front of a campus's Opencast and Moodle.
#[derive(Debug, Parser)]
#[command(version, about, long_about = LONG_ABOUT, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str = "\
The gate in front of a campus's Opencast and Moodle: verifies the tokens of media players against cached key sets, \
checks roles and grants against the rule of each path, and serves lectures from disk or from an upstream.

Everything is set in one file, gateway.toml.";

const EXAMPLES: &str = "\
Examples:
  janua demo                                   see a gateway at work, without any set-up
  janua check                                  is gateway.toml sound, do key sets and upstreams answer?
  janua run --config /etc/janua/gateway.toml   serve
  janua explain GET 'https://…?jwt=…'          why is it allowed or refused?
  janua keys new --out keys                    make a key pair for a token issuer
  janua token mint --key keys/private.pem --event lecture-1=read --expires 4h
  janua token show --jwks keys/jwks.json -     what does the token on stdin say, and is it good?
  janua vault import tokens.csv                give people the Moodle tokens in this file
  janua config example > gateway.toml          a commented file to start from
  janua completions bash > /etc/bash_completion.d/janua";

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value in a process")]
enum Command {
    /// Serve until SIGTERM or SIGINT; SIGHUP, or a change of gateway.toml, reloads it
    Run(run::Args),
    /// Read gateway.toml, then ask every key set, upstream, CAS server and Moodle, and say what was found
    Check(check::Args),
    Explain(explain::Args),
    /// End the watch passes of a person or an event, on every replica, within a second
    Revoke(revoke::Args),
    /// Tokens for Moodle that you provide, and the master key that seals the state store
    #[command(subcommand)]
    Vault(vault::Command),
    /// Show a gateway at work, with everything around it, on a page to click through
    Demo(demo::Args),
    /// Make key pairs and key sets
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make tokens, and look into them
    #[command(subcommand)]
    Token(token::Command),
    /// Tell what may stand in gateway.toml, and what is in force
    #[command(subcommand)]
    Config(config::Command),
    /// Make a gateway.toml from the configuration of another gateway
    #[command(subcommand)]
    Import(import::Command),
    /// Print completions for a shell
    Completions(completions::Completions),
    /// Print the manual page
    #[command(hide = true)]
    Man,
}

impl Cli {
    /// Runs the command. The exit code is 0 for success and 1 for failure; clap itself exits with 2 for a command
    /// line it cannot read.
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Revoke(args) => revoke::run(&args),
            Command::Vault(command) => vault::run(&command),
            Command::Keys(command) => keys::run(&command),
            Command::Token(command) => token::run(&command),
            Command::Config(command) => config::run(&command),
            Command::Import(command) => import::run(&command),
            Command::Completions(args) => completions::completions(&args),
            Command::Man => completions::man(),
        };
        match result {
            Ok(code) => code,
            Err(error) => {
                // `{:#}` writes the causes in one line; RUST_BACKTRACE must not bury them.
                eprintln!("janua: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// `--config`, for every command that reads gateway.toml.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: ./gateway.toml, then /etc/janua/gateway.toml]
    #[arg(long, value_name = "FILE", env = "JANUA_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    /// The file that is meant: named, here, or where the system has it.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(named) = &self.config {
            return Ok(named.clone());
        }
        let places = ["gateway.toml", "/etc/janua/gateway.toml"];
        places
            .iter()
            .map(PathBuf::from)
            .find(|place| place.exists())
            .ok_or_else(|| {
                anyhow::anyhow!(
                    "no gateway.toml here and none in /etc/janua: name one with --config FILE or JANUA_CONFIG=FILE"
                )
            })
    }
}

/// Reads the configuration; tells everything that is wrong with it on stderr. `None`: it cannot be used.
fn load(path: &Path) -> Option<Loaded> {
    let colour = std::io::stderr().is_terminal();
    match crate::config::load(path) {
        Ok(loaded) => {
            eprint!("{}", loaded.warnings.render(colour));
            Some(loaded)
        }
        Err(diagnostics) => {
            eprint!("{}", diagnostics.render(colour));
            None
        }
    }
}
