//! Everybody that the file names: the store, key sets, upstreams, Opencast, CAS servers and Moodles. All are asked at once,
//! and none is waited for without end.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use url::Url;

use super::{Report, count, moodle, state};
use crate::act::proxy::Upstream;
use crate::authenticate::token::{IssuerReport, Tokens};
use crate::backchannel::BackchannelError;
use crate::config::{self, Config, JwksLocation, Provider, PublicUrl, SignIn};
use crate::observe::metrics::Metrics;
use crate::opencast::Opencast;
use crate::snapshot;
use crate::store::Store;

/// For everything that one of them is asked. Each question has a limit of its own; the look-up of a name has none.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks all of them.
///
/// # Errors
/// An issuer's `ca_file` cannot be used.
pub(super) async fn check(config: &Config, file: &Path, report: &Report) -> Result<(), BackchannelError> {
    let metrics = Metrics::new();
    let store = bounded("state", report, state::check(config, file, false, &metrics, report));
    let upstreams = config.upstreams.iter().map(|upstream| {
        let what = format!("upstream {}", upstream.name);
        let metrics = &metrics;
        async move { bounded(&what, report, check_upstream(upstream, metrics, report)).await }
    });
    let opencasts = config.opencasts.iter().map(|opencast| {
        let what = format!("opencast {}", opencast.name);
        let metrics = &metrics;
        async move { bounded(&what, report, check_opencast(opencast, config, metrics, report)).await }
    });
    let sign_ins = config.sign_ins.iter().map(|sign_in| {
        let what = format!("sign_in {}", sign_in.name);
        async move { bounded(&what, report, check_sign_in(sign_in, config, report)).await }
    });
    let moodles = config.moodles.iter().map(|asked| {
        let what = format!("moodle {}", asked.name);
        let metrics = &metrics;
        async move { bounded(&what, report, moodle::check(asked, config, metrics, report)).await }
    });
    let (keys, ..) = tokio::join!(
        check_issuers(&config.jwt, &metrics, report),
        store,
        join_all(upstreams),
        join_all(opencasts),
        join_all(sign_ins),
        join_all(moodles),
    );
    keys
}

/// Reads the key sets and the state that are files here, and nothing else.
///
/// # Errors
/// An issuer's `ca_file` cannot be used.
pub(super) async fn files(config: &Config, file: &Path, report: &Report) -> Result<(), BackchannelError> {
    let metrics = Metrics::new();
    state::check(config, file, true, &metrics, report).await;
    let mut jwt = config.jwt.clone();
    jwt.issuers
        .retain(|issuer| matches!(issuer.jwks, JwksLocation::File(_)));
    check_issuers(&jwt, &metrics, report).await
}

async fn bounded(what: &str, report: &Report, asking: impl Future<Output = ()>) {
    if timeout(PATIENCE, asking).await.is_err() {
        report.bad(what, &format!("no answer within {} s", PATIENCE.as_secs()));
    }
}

async fn check_issuers(config: &config::Jwt, metrics: &Metrics, report: &Report) -> Result<(), BackchannelError> {
    let tokens = Tokens::new(config, &Store::in_memory(), metrics, None)?;
    let found = timeout(PATIENCE, tokens.probe(|found| tell_keys(found, config, report))).await;
    let Ok(found) = found else {
        report.bad("issuers", &format!("no answer within {} s", PATIENCE.as_secs()));
        return Ok(());
    };
    let trials: usize = found.iter().map(|keys| keys.trials).sum();
    let budget = config.bad_signatures;
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
    Ok(())
}

fn tell_keys(issuer: &IssuerReport, config: &config::Jwt, report: &Report) {
    let what = format!("issuer {}", issuer.issuer);
    match &issuer.found {
        Ok(keys) => {
            match keys.usable.as_slice() {
                [] => report.bad(&what, "none of its keys can be used: no token of it counts"),
                usable => report.good(
                    &what,
                    &format!("{} usable: {}", count(usable.len(), "key"), usable.join(", ")),
                ),
            }
            for refused in &keys.refused {
                report.note(&what, &format!("a key is not used: {refused}"));
            }
        }
        Err(error) => match example_host(&issuer.issuer, config) {
            Some(host) => report.note(
                &what,
                &format!("{host} stands for your own server: until `jwks` names that, no token counts"),
            ),
            None => report.bad(&what, error),
        },
    }
}

/// The host of an issuer's key set, if it is one of those that `janua config example` and other manuals write: nobody's (RFC
/// 2606), or the American universities' registry's.
fn example_host<'a>(issuer: &str, config: &'a config::Jwt) -> Option<&'a str> {
    let mut issuers = config.issuers.iter();
    let JwksLocation::Url(url) = &issuers.find(|known| *known.name == *issuer)?.jwks else {
        return None;
    };
    let host = url.host_str()?;
    let ends = [
        ".example.edu",
        ".example.com",
        ".example.org",
        ".example.net",
        ".example",
    ];
    ends.iter().any(|end| host.ends_with(end)).then_some(host)
}

/// A server that signs in people for many services signs for all of them with the same keys.
fn recommend_audiences(config: &config::Jwt, report: &Report) {
    for issuer in config.issuers.iter().filter(|issuer| issuer.aud.is_empty()) {
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

async fn check_upstream(config: &config::Upstream, metrics: &Metrics, report: &Report) {
    let what = |server: &str| format!("upstream {} {server}", config.name);
    match Upstream::new(config, metrics) {
        Ok(upstream) => {
            let told = |server: &str, answer: Result<(), String>| match answer {
                Ok(()) if config.health.path.is_some() => report.good(&what(server), "answers"),
                Ok(()) => report.good(
                    &what(server),
                    "takes connections; with `health` it would be asked for a page",
                ),
                Err(error) => report.bad(&what(server), &error),
            };
            upstream.probe(told).await;
        }
        Err(error) => report.bad(&format!("upstream {}", config.name), &error.to_string()),
    }
}

/// Asks about an event that nobody made, as the gateway would about others.
async fn check_opencast(opencast: &config::Opencast, config: &Config, metrics: &Metrics, report: &Report) {
    let what = format!("opencast {}", opencast.name);
    let Some(of) = config.upstreams.get(opencast.upstream) else {
        return;
    };
    let upstream = match Upstream::new(of, metrics) {
        Ok(upstream) => Arc::new(upstream),
        // It has been told as the upstream's.
        Err(_) => return,
    };
    upstream.resolve().await;
    let ca_file = of.ca_file.as_deref();
    let asked = match Opencast::new(opencast, upstream, ca_file, metrics.opencast(&opencast.name), false) {
        Ok(asked) => asked,
        Err(error) => return report.bad(&what, &error.to_string()),
    };
    let Some(public) = config.server.public_urls.first() else {
        return;
    };
    match asked.probe(public).await {
        Ok(()) => report.good(
            &what,
            &format!(
                "tells {} of events and their lists; that this user may see every event cannot be seen from here",
                opencast.username
            ),
        ),
        Err(error) => report.bad(&what, &error),
    }
}

/// Asks the CAS server about a ticket that nobody made, and looks whether the apps can have a session at all.
async fn check_sign_in(sign_in: &SignIn, config: &Config, report: &Report) {
    let what = format!("sign_in {}", sign_in.name);
    let Provider::Cas(cas) = &sign_in.provider;
    let what = what.as_str();
    let asked = config.server.public_urls.iter().map(|public| async move {
        let service = format!("{}/_janua/cas/{}/callback", public.origin(), sign_in.name);
        let probed = match snapshot::cas_client(sign_in) {
            Ok(client) => client
                .probe(&service)
                .await
                .map_err(|error| format!("{error}{}", error.hint())),
            Err(error) => Err(error.to_string()),
        };
        match probed {
            Ok(()) => report.good(what, &format!("{} refuses a made-up ticket, as it must", cas.server)),
            Err(error) => report.bad(what, &format!("{}: {error}", cas.server)),
        }
        report.note(
            what,
            &format!("to register at the CAS server: {service}, with any `?state=` behind it"),
        );
        if !cas.proxy_chains.is_empty() {
            let session = format!("{}/_janua/cas/{}/session", public.origin(), sign_in.name);
            report.note(
                what,
                &format!(
                    "to register there for back ends: {session}, and that their own services may have proxy tickets"
                ),
            );
        }
        for app in sign_in.app_origins.iter().filter(|app| !is_same_site(app, public)) {
            report.note(
                what,
                &format!(
                    "app_origins: {app} is on another site than {}: browsers send it no cookie of the gateway's, so it \
                     is never signed in",
                    public.origin()
                ),
            );
        }
    });
    join_all(asked).await;
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
