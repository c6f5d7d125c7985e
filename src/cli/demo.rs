//! `janua demo`: a gateway with everything around it, to be clicked through. Nothing of it outlives the command.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode, Stdio};

use janua_demo::{Demo, Folder};
use serde_json::Value;

use super::keys::{KeyAlgorithm, New, write_pair};
use super::load;
use crate::rejection::Reason;
use crate::reload::ConfigFile;
use crate::server;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  janua demo                          a page in your browser, at an address that is free
  janua demo --port 8080 --no-open    at http://127.0.0.1:8080/, for a browser you open yourself
  janua demo --listen '[::1]:8080'    the same over IPv6

Everything stays on this machine: the gateway, a key endpoint, servers like Opencast, CAS and Moodle, an OpenID
provider, and a lecture of twelve seconds.")]
pub struct Args {
    /// Where the gateway listens: an address that only this machine reaches, and a port; 0 lets the system choose
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0", value_parser = listen)]
    listen: SocketAddr,
    /// The gateway's port on 127.0.0.1
    #[arg(long, value_name = "PORT", conflicts_with = "listen")]
    port: Option<u16>,
    /// Print the link, open no browser
    #[arg(long)]
    no_open: bool,
}

fn listen(text: &str) -> Result<SocketAddr, &'static str> {
    let hint = "an address and a port are needed, such as 127.0.0.1:8080 or [::1]:8080";
    text.parse().map_err(|_| hint)
}

/// Exit code 0 after Ctrl-C or SIGTERM; 1, with the reason on stderr, if the demo cannot start.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    server::install_crypto();
    // One thread is plenty for what stands around the gateway, which brings threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listen = args
        .port
        .map_or(args.listen, |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let folder = Folder::new()?;
    let keys = write_pair(&New {
        out: folder.path().join("keys"),
        alg: KeyAlgorithm::Es256,
        kid: None,
    })?;
    let demo = runtime.block_on(Demo::start(listen, folder, &keys.private, &keys.jwks, modules()))?;
    let file = ConfigFile::watched(demo.config());
    let Some(loaded) = load(file.path()) else {
        return Ok(ExitCode::FAILURE);
    };
    let (served, invitation, link) = (demo.served(), invitation(&demo), demo.link());
    let open = !args.no_open;
    runtime.spawn(async move {
        served.await;
        // Whoever closed our output still has a gateway, which Ctrl-C ends.
        drop(tell(&invitation));
        if open {
            open_browser(&link);
        }
    });
    server::run(file, loaded.config, super::wanted_colour())?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

fn invitation(demo: &Demo) -> String {
    let folder = demo.folder().display();
    let [cas_app, token_app] = demo.apps();
    format!(
        "\n  A lecture behind a gate:           {link}\n  \
         Courses of Moodle, signed in once: {link}courses/\n  \
         Studio, by OpenID Connect:         {link}studio/\n  \
         A page that calls Moodle:          {link}campus-app/\n\n  \
         Back ends that call Moodle (docs/moodle-app.md), to be started in another shell:\n  \
         a CAS client      {cas_app}\n  \
         an access token   {token_app}\n\n  \
         its gateway.toml  {folder}/gateway.toml\n  \
         its log           {folder}/janua.log\n  \
         the issuer's key  {folder}/keys/private.pem   (for `janua token mint --key`)\n  \
         its status page   {status}\n  \
         around it         http://{around}/   (CAS and OpenID as localhost, Moodle, Opencast, the key set)\n\n  \
         Ctrl-C ends it and removes the folder.\n",
        link = demo.link(),
        status = demo.status(),
        around = demo.around()
    )
}

fn tell(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// In which module of the gateway each reason arises.
fn modules() -> Value {
    let modules = Reason::ALL
        .iter()
        .map(|reason| (reason.label().to_owned(), module(*reason).into()));
    Value::Object(modules.collect())
}

fn module(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::RequestTimeout | R::HeadersTooLarge | R::BadRequest | R::NotImplemented => "listen",
        R::BadPath | R::PathTooLong | R::UnknownHost | R::NoRoute | R::MethodNotAllowed => "route",
        R::DeniedByRule | R::MissingRole | R::EventNotGranted | R::NotAllowed | R::RateLimited => "authorize",
        _ if reason.is_challenge() || reason == R::KeysUnavailable => "authenticate",
        _ => "act",
    }
}

/// Best effort: the link has been printed anyway.
fn open_browser(link: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started = Command::new(opener)
        .arg(link)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        // Waited for, so that it does not stay as a zombie for as long as the demo runs.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => tracing::debug!(%error, "no browser was opened"),
    }
}
