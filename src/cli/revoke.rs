//! `janua revoke`: has the running gateway end watch passes and launch sessions.

use std::process::ExitCode;

use super::{ConfigArgs, load};
use crate::authenticate::watch::Revoked;
use crate::control;

/// Watch passes and launch sessions that were made until now are no longer taken; a token that is still valid earns a new
/// one.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub struct Args {
    /// Those of this subject, whoever issued its tokens
    #[arg(long, value_name = "S", group = "whose")]
    subject: Option<String>,
    /// The passes for this event, and the launch sessions with a grant on it
    #[arg(long, value_name = "ID", group = "whose")]
    event: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Exit code 0 once the running gateway takes them no more.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let subject = args.subject.clone().map(Revoked::Subject);
    let Some(revoked) = subject.or_else(|| args.event.clone().map(Revoked::Event)) else {
        anyhow::bail!("name --subject or --event");
    };
    let Some(loaded) = load(&args.config.path()?) else {
        return Ok(ExitCode::FAILURE);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(control::revoke(&loaded.config.server.control, revoked))?;
    super::put("revoked: passes and launch sessions made until now are no longer taken\n")?;
    Ok(ExitCode::SUCCESS)
}
