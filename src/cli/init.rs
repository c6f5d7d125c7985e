//! `janua init`: a first gateway.toml of some 20 lines, for one purpose. Whatever is not told is asked for on a terminal.
//!
//! Nothing is overwritten. The file is kept only if it can be used: what `janua check --offline` would say against it is
//! said at once.

mod answers;
mod templates;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use self::answers::Answers;
use super::keys::{KeyAlgorithm, New, write_pair};
use super::{complain, in_colour, put};
use crate::private_file::write_new;

/// It holds no secret; the group is often that of the service.
const MODE: u32 = 0o640;

/// Write a first gateway.toml
///
/// Asks on a terminal for what is not told. Nothing is overwritten, and what cannot be used is not kept. For everything
/// else that may stand in the file: `janua config example`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What the gateway is for
    #[arg(value_enum)]
    kind: Option<Kind>,
    /// The file that is written
    #[arg(long, short, value_name = "FILE", default_value = "gateway.toml")]
    out: PathBuf,
    /// Where the gateway listens
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// How clients call the gateway; for moodle: $CFG->wwwroot, to the letter
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The key set of whoever issues the tokens: a URL or a file
    #[arg(long, value_name = "URL|FILE", conflicts_with = "keys")]
    jwks: Option<String>,
    /// Make a key pair in this folder, and take its key set
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The folder of Opencast's that lectures are served from
    #[arg(long, value_name = "DIR")]
    files: Option<String>,
    /// Where Opencast or Moodle itself answers
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// The CAS server at which people sign in
    #[arg(long, value_name = "URL")]
    cas: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  janua init                                         asks for everything
  janua init lectures --public-url https://video.example.edu --files /srv/opencast/downloads --keys keys
  janua init moodle --public-url https://moodle.example.edu --upstream http://10.0.0.21:8080 \\
      --cas https://cas.example.edu/cas --out /etc/janua/gateway.toml

An Octoka that is configured already is taken over by `janua import octoka`.";

/// What gateways are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Lectures from a folder, for players with tokens
    Lectures,
    /// The same in Octoka's place: behind the same nginx, at the same port
    Octoka,
    /// A whole Opencast: lectures from a folder, everything else from Opencast itself
    Opencast,
    /// Moodle, whose web services apps call as the person signed in by CAS
    Moodle,
}

/// Exit code 1 if nothing was written; why goes to stderr.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if fs::symlink_metadata(&args.out).is_ok() {
        bail!("{} is there already: nothing is overwritten", args.out.display());
    }
    let answers = Answers::gather(args)?;
    // So that a key is not left behind by a file that cannot be written.
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!("{}: there is no such folder", folder.display());
    }
    let keys = match &answers.keys {
        Some(out) => Some(write_pair(&New {
            out: out.clone(),
            alg: KeyAlgorithm::Es256,
            kid: None,
        })?),
        None => None,
    };
    let text = templates::text(&answers);
    match write_new(&args.out, MODE, text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already: nothing is overwritten", args.out.display())
        }
        done => done.with_context(|| args.out.display().to_string())?,
    }
    let loaded = match crate::config::load(&args.out) {
        Ok(loaded) => loaded,
        Err(problems) => {
            complain(&problems.render(in_colour(&io::stderr())));
            fs::remove_file(&args.out).with_context(|| args.out.display().to_string())?;
            // So that the corrected command can make them.
            for made in keys.iter().flat_map(|keys| [&keys.private, &keys.public, &keys.jwks]) {
                fs::remove_file(made).with_context(|| made.display().to_string())?;
            }
            bail!(
                "{} is not written: answer otherwise, or make what is missing first",
                args.out.display()
            );
        }
    };
    complain(&loaded.warnings.render(in_colour(&io::stderr())));
    let mut told = format!("{} is written.\n", args.out.display());
    if let Some(keys) = keys {
        let private = keys.private.display();
        told += &format!(
            "{private} signs tokens: for the issuer alone. To try it:\n  janua token mint --key {private} --event EVENT=read\n"
        );
    }
    let config = match args.out.as_os_str() == "gateway.toml" {
        true => String::new(),
        false => format!(" -c {}", args.out.display()),
    };
    told += &format!("Next:\n  janua check{config}\n  janua run{config}\n");
    put(&told)?;
    Ok(ExitCode::SUCCESS)
}
