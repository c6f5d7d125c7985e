//! `janua check`: is the configuration sound, and do those it names answer?

mod moodle;

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;

use url::Url;

use super::{ConfigArgs, load};
use crate::act::proxy::Upstream;
use crate::authenticate::token::Tokens;
use crate::config::{Config, JwksLocation, Provider, PublicUrl, SignIn, State};
use crate::key_file;
use crate::listen::tls;
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::server;
use crate::snapshot;
use crate::store::{Store, StoreError};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Only read the file: ask nobody
    #[arg(long)]
    offline: bool,
}

/// Exit code 0 if everything is well, 1 if the file is wrong or somebody it names does not answer.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.config.path()?;
    let Some(loaded) = load(&path) else {
        return Ok(ExitCode::FAILURE);
    };
    let mut report = Report::default();
    let config = &loaded.config;
    let size = [
        count(config.routes.len(), "route"),
        count(config.jwt.issuers.len(), "issuer"),
        count(config.upstreams.len(), "upstream"),
    ];
    report.good(&path.display().to_string(), &size.join(", "));
    server::install_crypto();
    check_certificates(config, &mut report);
    check_key_files(config, &mut report);
    if !args.offline {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(check_others(config, &mut report))?;
    }
    report.print()?;
    Ok(if report.failures == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn check_key_files(config: &Config, report: &mut Report) {
    for open in key_file::open_to_all(config) {
        match open.is_refused {
            true => report.bad("secrets", &open.to_string()),
            false => report.note("secrets", &open.to_string()),
        }
    }
}

fn check_certificates(config: &Config, report: &mut Report) {
    for listener in &config.server.tls {
        let what = format!("certificate of {}", listener.listen);
        match tls::load(&listener.certificate, &listener.key) {
            Ok(_) => report.good(&what, "fits its key"),
            Err(error) => report.bad(&what, &error.to_string()),
        }
    }
}

/// The store, every key set, every upstream's servers, every CAS server and every Moodle.
async fn check_others(config: &Config, report: &mut Report) -> anyhow::Result<()> {
    let metrics = Metrics::new();
    check_store(&config.state, &metrics, report).await;
    let tokens = Tokens::start(&config.jwt, &Store::in_memory(), &metrics).await?;
    let mut trials = 0;
    for issuer in tokens.probe().await {
        let what = format!("issuer {}", issuer.issuer);
        match issuer.found {
            Ok(keys) => {
                report.good(
                    &what,
                    &format!("{} usable: {}", count(keys.usable.len(), "key"), keys.usable.join(", ")),
                );
                trials += keys.trials;
                for refused in keys.refused {
                    report.note(&what, &format!("a key is not used: {refused}"));
                }
            }
            Err(error) => report.bad(&what, &error),
        }
    }
    let budget = config.jwt.bad_signatures;
    if trials > usize::try_from(budget.burst).unwrap_or(usize::MAX) {
        report.note(
            "jwt.bad_signatures",
            &format!(
                "a bad token without kid is tried with up to {trials} keys, more than an address may cause in a second \
                 ({}): after one, it waits",
                budget.burst
            ),
        );
    }
    recommend_audiences(config, report);
    for upstream in &config.upstreams {
        let upstream = match Upstream::new(upstream, &metrics) {
            Ok(upstream) => Arc::new(upstream),
            Err(error) => {
                report.bad(&format!("upstream {}", upstream.name), &error.to_string());
                continue;
            }
        };
        for (server, answer) in upstream.probe().await {
            let what = format!("upstream {} {server}", upstream.name);
            match answer {
                Ok(()) => report.good(&what, "answers"),
                Err(error) => report.bad(&what, &error),
            }
        }
    }
    for sign_in in &config.sign_ins {
        check_sign_in(sign_in, config, report).await;
    }
    for asked in &config.moodles {
        moodle::check(asked, config, &metrics, report).await;
    }
    Ok(())
}

/// A server that signs in people for many services signs for all of them with the same keys.
fn recommend_audiences(config: &Config, report: &mut Report) {
    for issuer in config.jwt.issuers.iter().filter(|issuer| issuer.aud.is_empty()) {
        let JwksLocation::Url(url) = &issuer.jwks else { continue };
        let path = url.path();
        if ["openid", "oidc", "oauth2", "discovery", "/realms/"]
            .iter()
            .any(|part| path.contains(part))
        {
            report.note(
                &format!("issuer {}", issuer.name),
                "its keys look like those of a server that makes tokens for other services too: set `aud` (and `iss`), so \
                 that only tokens meant for this one count",
            );
        }
    }
}

/// Asks the CAS server about a ticket that nobody made, and looks whether the apps can have a session at all.
async fn check_sign_in(sign_in: &SignIn, config: &Config, report: &mut Report) {
    let what = format!("sign_in {}", sign_in.name);
    let Provider::Cas(cas) = &sign_in.provider;
    for public in &config.server.public_urls {
        let service = format!("{}/_janua/cas/{}/callback", public.origin(), sign_in.name);
        let probed = match snapshot::cas_client(sign_in) {
            Ok(client) => client.probe(&service).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match probed {
            Ok(()) => report.good(&what, &format!("{} refuses a made-up ticket, as it must", cas.server)),
            Err(error) => report.bad(&what, &format!("{}: {error}", cas.server)),
        }
        report.note(
            &what,
            &format!("to register at the CAS server: {service}, with any `?state=` behind it"),
        );
        for app in sign_in.app_origins.iter().filter(|app| !is_same_site(app, public)) {
            report.note(
                &what,
                &format!(
                    "app_origins: {app} is on another site than {}: browsers send it no cookie of the gateway's, so it \
                     is never signed in",
                    public.origin()
                ),
            );
        }
    }
}

/// Do browsers take both for one site: same scheme, and same domain below a public suffix?
fn is_same_site(origin: &str, public: &PublicUrl) -> bool {
    let Ok(url) = Url::parse(origin) else { return false };
    let Some(host) = url.host_str() else { return false };
    // The list knows names only: of an address it would take the last two numbers for a domain.
    let is_name = |host: &str| host.parse::<IpAddr>().is_err() && !host.starts_with('[');
    let site = |host: &str| psl::domain_str(host).filter(|_| is_name(host)).map(str::to_owned);
    let same_domain = host == public.host || (site(host).is_some() && site(host) == site(&public.host));
    same_domain && (url.scheme() == "https") == public.https
}

/// Opens or asks the state store, and makes nothing: neither a file nor a key.
async fn check_store(state: &State, metrics: &Metrics, report: &mut Report) {
    let (what, missing) = match state {
        State::Memory => return,
        State::Embedded { path, key_file } => {
            let missing = [path, key_file].into_iter().find(|file| !file.exists());
            (format!("state {}", path.display()), missing)
        }
        State::Valkey(valkey) => (format!("state {}", valkey.address), None),
    };
    if let Some(file) = missing {
        return report.note(
            &what,
            &format!("{} is not there yet; the gateway makes it", file.display()),
        );
    }
    let keys = match MasterKeys::of(state) {
        Ok(keys) => keys,
        Err(error) => return report.bad(&what, &error.to_string()),
    };
    let answer = match Store::open(state, &keys, metrics) {
        Ok(store) => store.healthy().await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(()) => report.good(&what, "answers"),
        Err(StoreError::InUse { .. }) => report.good(&what, "in use by another process, as by a gateway that runs"),
        Err(error) => report.bad(&what, &error.to_string()),
    }
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Lines of `ok` and `BAD`, printed at the end so that they stand together.
#[derive(Default)]
struct Report {
    lines: String,
    failures: usize,
}

impl Report {
    fn good(&mut self, what: &str, found: &str) {
        self.lines.push_str(&format!("ok   {what}: {found}\n"));
    }

    fn note(&mut self, what: &str, found: &str) {
        self.lines.push_str(&format!("note {what}: {found}\n"));
    }

    fn bad(&mut self, what: &str, error: &str) {
        self.lines.push_str(&format!("BAD  {what}: {error}\n"));
        self.failures += 1;
    }

    fn print(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.lines.as_bytes())?;
        match self.failures {
            0 => writeln!(out, "all is well"),
            count => writeln!(out, "{count} of the above must be mended"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_a_scheme_and_what_somebody_registered() {
        let public = |host: &str, https| PublicUrl {
            https,
            host: host.to_owned(),
            port: None,
        };
        for (origin, host) in [
            ("https://app.example.edu", "video.example.edu"),
            ("https://app.example.edu:8443", "example.edu"),
            ("https://app.uni.ac.uk", "video.uni.ac.uk"),
            ("https://192.0.2.7:8443", "192.0.2.7"),
            ("https://[::1]:8443", "[::1]"),
            ("https://localhost:8443", "localhost"),
        ] {
            assert!(is_same_site(origin, &public(host, true)), "{origin} {host}");
            let over_http = origin.replace("https:", "http:");
            assert!(!is_same_site(&over_http, &public(host, true)), "{over_http} {host}");
            assert!(is_same_site(&over_http, &public(host, false)), "{over_http} {host}");
        }
        for (origin, host) in [
            ("https://app.example.org", "video.example.edu"),
            ("https://one.ac.uk", "two.ac.uk"),
            ("https://192.0.2.7", "198.51.2.7"),
            ("https://[2001:db8::1]", "[2001:db8::2]"),
        ] {
            assert!(!is_same_site(origin, &public(host, true)), "{origin} {host}");
        }
    }
}
