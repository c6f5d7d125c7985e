//! `janua check`: is the configuration sound, is this machine ready for it, and do those it names answer?

mod certificate;
mod files;
mod functions;
mod lti;
mod moodle;
mod others;
mod ports;
mod servers;
mod state;

use std::cell::Cell;
use std::process::ExitCode;

use super::{ConfigArgs, load, put};
use crate::config::Proxy;
use crate::named_file;
use crate::server;
use crate::text::{count, safe};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Ask nobody: look at the file, and at what it names on this machine
    #[arg(long)]
    offline: bool,
}

/// Exit code 0 if everything is well, 1 if the gateway could not run, or somebody that the file names does not answer.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.config.path()?;
    let Some(loaded) = load(&path) else {
        return Ok(ExitCode::FAILURE);
    };
    let report = Report::default();
    let config = &loaded.config;
    let size = [
        count(config.routes.len(), "route"),
        count(config.jwt.issuers.len(), "issuer"),
        count(config.upstreams.len(), "upstream"),
    ];
    report.good(&path.display().to_string(), &size.join(", "));
    server::install_crypto();
    certificate::check(config, &report);
    files::check(config, &report);
    functions::check(config, &report);
    if let Some(proxy) = &config.proxy {
        report.note("outgoing", &told_of(proxy));
    }
    let unfit = named_file::unfit(config);
    for file in &unfit {
        report.bad(&file.setting, &file.fault.to_string());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.offline {
            true => others::files(config, &path, &report).await,
            false => {
                ports::check(config, &path, &report).await;
                others::check(config, &path, &unfit, &report).await;
            }
        }
    });
    // A look-up of a name that never ends is not waited for.
    runtime.shutdown_background();
    report.end();
    Ok(match report.failures.get() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Whom the lines below are about: their answers came by the proxy, or did not.
fn told_of(proxy: &Proxy) -> String {
    let user = proxy
        .username
        .as_deref()
        .map_or(String::new(), |user| format!(" as {user}"));
    format!(
        "what the gateway asks goes through the proxy {}{user}, but for this machine, `no_proxy` and the servers of [upstreams]",
        proxy.name()
    )
}

/// Lines of `ok`, `note` and `BAD`, each printed when it is known: what is asked answers in its own time.
#[derive(Default)]
struct Report {
    failures: Cell<usize>,
}

impl Report {
    fn good(&self, what: &str, found: &str) {
        line("ok  ", what, found);
    }

    fn note(&self, what: &str, found: &str) {
        line("note", what, found);
    }

    fn bad(&self, what: &str, error: &str) {
        line("BAD ", what, error);
        self.failures.set(self.failures.get() + 1);
    }

    fn end(&self) {
        print(&match self.failures.get() {
            0 => "all is well\n".to_owned(),
            1 => "1 line says BAD: it has to be corrected\n".to_owned(),
            count => format!("{count} lines say BAD: they have to be corrected\n"),
        });
    }
}

fn line(verdict: &str, what: &str, found: &str) {
    // Others said it, some of it.
    print(&format!("{verdict} {}: {}\n", safe(what), safe(found)));
}

/// Where it cannot be written, the exit code still tells.
fn print(text: &str) {
    if let Err(error) = put(text) {
        tracing::debug!(%error, "a line of the report was not taken");
    }
}
