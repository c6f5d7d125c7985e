//! The command line: one file a command. Output for people goes to stdout, diagnostics to stderr.

pub mod check;
pub mod completions;
pub mod config;
pub mod demo;
pub mod explain;
pub mod import;
pub mod init;
pub mod jwks;
pub mod keys;
pub mod manual;
pub mod revoke;
pub mod run;
pub mod token;
pub mod token_show;
pub mod vault;
pub mod version;
pub mod why;

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use clap::{Args, Parser, Subcommand};

use crate::config::{Loaded, When};
use crate::observe::look::is_colourful;
use crate::text::safe;

/// The gate in front of a campus's Opencast and Moodle.
#[derive(Debug, Parser)]
#[command(version, about, long_about = LONG_ABOUT, after_help = EXAMPLES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Colour what is written to people [default: on a terminal, unless NO_COLOR is set]
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    color: Option<Color>,
}

/// When something is coloured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// What the command line says of colours.
static COLOR: OnceLock<Color> = OnceLock::new();

const LONG_ABOUT: &str = "\
The gate in front of a campus's Opencast and Moodle: verifies the tokens of media players against cached key sets, \
checks roles and grants against the rule of each path, and serves lectures from disk or from an upstream.

Everything is set in one file, gateway.toml.";

const EXAMPLES: &str = "\
Examples:
  janua demo                                   see a gateway at work, without any set-up
  janua init                                   write a first gateway.toml
  janua check                                  is gateway.toml sound, do key sets and upstreams answer?
  janua run --config /etc/janua/gateway.toml   serve
  janua explain GET 'https://…?jwt=…'          why is it allowed or refused?
  janua why 6f1c20a9                           why was this request refused?
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
    /// Read gateway.toml, then ask every key set, upstream, Opencast, Moodle, sign-in and authorization server, and say what
    /// was found
    Check(check::Args),
    Explain(explain::Args),
    Why(why::Args),
    Init(init::Args),
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
    /// Print the manual page, or write one for each command and gateway.toml(5)
    Man(manual::Args),
    /// Say what runs: version, commit, build
    Version,
}

impl Cli {
    /// Runs the command. The exit code is 0 for success and 1 for failure, unless the command says otherwise; clap itself exits with 2 for a command
    /// line it cannot read.
    pub fn run(self) -> ExitCode {
        if let Some(color) = self.color {
            COLOR.get_or_init(|| color);
        }
        let result = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Demo(args) => demo::run(&args),
            Command::Explain(args) => explain::run(&args),
            Command::Why(args) => why::run(&args),
            Command::Init(args) => init::run(&args),
            Command::Revoke(args) => revoke::run(&args),
            Command::Vault(command) => vault::run(&command),
            Command::Keys(command) => keys::run(&command),
            Command::Token(command) => token::run(&command),
            Command::Config(command) => config::run(&command),
            Command::Import(command) => import::run(&command),
            Command::Completions(args) => completions::completions(&args),
            Command::Man(args) => manual::run(&args),
            Command::Version => version::run(),
        };
        match result {
            Ok(code) => code,
            Err(error) => {
                complain(&format!("janua: {}\n", told_once(&error)));
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes to stdout. That nobody reads on, as after `| head`, is no error: the exit code says what was found.
fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

/// Writes to stderr. That nobody reads it is no error either, as after `2>&1 | head`.
fn complain(text: &str) {
    io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// An error with its causes. Many errors tell their cause themselves: what has been said is not said again.
fn told_once(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    let lines: Vec<_> = told.lines().map(safe).collect();
    lines.join("\n")
}

/// Are colours wanted on a stream? `--color` decides, or else the stream and the environment.
fn in_colour(stream: &impl IsTerminal) -> bool {
    match COLOR.get() {
        Some(Color::Always) => true,
        Some(Color::Never) => false,
        Some(Color::Auto) | None => is_colourful(stream.is_terminal(), |name| std::env::var_os(name)),
    }
}

/// What `--color` says for the log.
fn wanted_colour() -> Option<When> {
    COLOR.get().map(|color| match color {
        Color::Auto => When::Auto,
        Color::Always => When::Always,
        Color::Never => When::Never,
    })
}

/// `--config`, for every command that reads gateway.toml.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: ./gateway.toml, then /etc/janua/gateway.toml]
    #[arg(long, short, value_name = "FILE", env = "JANUA_CONFIG")]
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
    let loaded = load_quietly(path)?;
    complain(&loaded.warnings.render(in_colour(&io::stderr())));
    Some(loaded)
}

/// The same without warnings, for commands whose answer they would bury: they are for `check`.
fn load_quietly(path: &Path) -> Option<Loaded> {
    let loaded = crate::config::load(path);
    loaded
        .map_err(|problems| complain(&problems.render(in_colour(&io::stderr()))))
        .ok()
}

/// A file, or stdin for `-`.
fn open(file: &Path) -> io::Result<Box<dyn Read>> {
    match file == Path::new("-") {
        true => Ok(Box::new(io::stdin().lock())),
        false => Ok(Box::new(File::open(file)?)),
    }
}

/// What stands in it: so many bytes at most.
fn read_text(file: &str, most: u64) -> io::Result<String> {
    let mut text = String::new();
    open(file.as_ref())?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let inner = io::Error::other("no such key");
        let outer = anyhow::Error::new(inner)
            .context("file x: no such key")
            .context("state");
        assert_eq!(told_once(&outer), "state: file x: no such key");
        let plain: anyhow::Result<()> = Err(io::Error::other("b\u{1b}[2J")).context("a");
        assert_eq!(told_once(&plain.unwrap_err()), "a: b\\u001b[2J");
    }
}
