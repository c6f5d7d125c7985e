//! Everybody that the file names: the store, key sets, upstreams, Opencast, CAS servers and Moodles. All are asked at once,
//! and none is waited for without end.

use std::cell::RefCell;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;
use url::Url;

use super::servers::{Servers, server_of};
use super::{Report, moodle, state};
use crate::act::proxy::{Server, Unwell, Upstream};
use crate::authenticate::bearer::{self, Section};
use crate::authenticate::token::{FoundKeys, Tokens};
use crate::config::{self, Config, JwksLocation, PublicUrl, Rule, SignIn};
use crate::event::Question;
use crate::named_file::{Owner, UnfitFile};
use crate::observe::metrics::Metrics;
use crate::opencast::Opencast;
use crate::sign_in::{Provider, Unfit};
use crate::store::Store;
use crate::text::count;

/// For everything that one of them is asked. Each question has a limit of its own; the look-up of a name has none.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Asks all of them, but those that cannot be asked without a file that is not fit.
pub(super) async fn check(config: &Config, file: &Path, unfit: &[UnfitFile], report: &Report) {
    let metrics = &Metrics::new();
    let servers = &Servers::new(report);
    // Without the proxy's password nobody can be asked but the servers of upstreams.
    let by_proxy = |owner: &Owner| {
        matches!(
            owner,
            Owner::SignIn(_) | Owner::Bearer(_) | Owner::Lti(_) | Owner::Moodle(_) | Owner::Issuer(_)
        )
    };
    let keeps = |file: &UnfitFile, owner: &Owner| match file.owner {
        Owner::Outgoing => by_proxy(owner),
        _ => file.owner == *owner,
    };
    let is_fit = |owner: &Owner| !unfit.iter().any(|file| keeps(file, owner));
    let of_upstream = |index: usize| {
        config
            .upstreams
            .get(index)
            .filter(|upstream| is_fit(&upstream_of(upstream)))
    };
    let store = async {
        if is_fit(&Owner::State) {
            bounded("state", report, state::check(config, file, false, metrics, report)).await;
        }
    };
    let upstreams = config.upstreams.iter().filter(|one| is_fit(&upstream_of(one)));
    let upstreams = upstreams.map(|upstream| async {
        let what = format!("upstream {}", upstream.name);
        bounded(&what, report, check_upstream(upstream, metrics, report, servers)).await;
    });
    let upstreams = async {
        join_all(upstreams).await;
        servers.upstreams_are_asked();
    };
    let opencasts = config.opencasts.iter().filter_map(|opencast| {
        let upstream = of_upstream(opencast.upstream)?;
        is_fit(&Owner::Opencast(opencast.name.clone())).then_some((opencast, upstream))
    });
    let opencasts = opencasts.map(|(opencast, upstream)| async move {
        let asked = in_time(check_opencast(opencast, upstream, config, metrics)).await;
        let what = format!("opencast {}", opencast.name);
        match asked.flatten() {
            Ok(found) => report.good(&what, &found),
            Err(error) => servers.failed(&what, &servers_of(upstream), &error, &error).await,
        }
    });
    let sign_ins = config.sign_ins.iter();
    let sign_ins = sign_ins.filter(|sign_in| is_fit(&Owner::SignIn(Arc::clone(&sign_in.name))));
    let sign_ins = sign_ins.map(|sign_in| check_sign_in(sign_in, config, report, servers));
    let bearers = config.bearers.iter();
    let bearers = bearers.filter(|bearer| is_fit(&Owner::Bearer(Arc::clone(&bearer.name))));
    let bearers = bearers.map(|bearer| check_bearer(bearer, metrics, report, servers));
    let platforms = config.lti.iter();
    let platforms = platforms.filter(|lti| is_fit(&Owner::Lti(Arc::clone(&lti.name))));
    let platforms = platforms.map(|lti| super::lti::check(lti, config, report, servers));
    let moodles = config.moodles.iter();
    let moodles = moodles.filter(|moodle| is_fit(&Owner::Moodle(moodle.name.clone())));
    let moodles = moodles.filter_map(|moodle| Some((moodle, of_upstream(moodle.upstream)?)));
    let moodles = moodles.map(|(moodle, upstream)| async move {
        let asked = in_time(moodle::check(moodle, config, metrics, report)).await;
        if let Err(error) = asked.flatten() {
            let what = format!("moodle {}", moodle.name);
            servers.failed(&what, &servers_of(upstream), &error, &error).await;
        }
    });
    let mut jwt = config.jwt.clone();
    jwt.issuers
        .retain(|issuer| is_fit(&Owner::Issuer(Arc::clone(&issuer.name))));
    tokio::join!(
        check_issuers(&jwt, metrics, report, servers),
        store,
        upstreams,
        join_all(opencasts),
        join_all(sign_ins),
        join_all(bearers),
        join_all(platforms),
        join_all(moodles),
    );
}

fn upstream_of(upstream: &config::Upstream) -> Owner {
    Owner::Upstream(Arc::clone(&upstream.name))
}

fn servers_of(upstream: &config::Upstream) -> Vec<String> {
    let servers = upstream.servers.iter();
    servers
        .map(|server| format!("{}:{}", server.host, server.port))
        .collect()
}

/// Reads the key sets and the state that are files here, and nothing else.
pub(super) async fn files(config: &Config, file: &Path, report: &Report) {
    let metrics = Metrics::new();
    state::check(config, file, true, &metrics, report).await;
    let mut jwt = config.jwt.clone();
    jwt.issuers
        .retain(|issuer| matches!(issuer.jwks, JwksLocation::File(_)));
    let servers = Servers::new(report);
    servers.upstreams_are_asked();
    check_issuers(&jwt, &metrics, report, &servers).await;
}

async fn bounded(what: &str, report: &Report, asking: impl Future<Output = ()>) {
    if let Err(error) = in_time(asking).await {
        report.bad(what, &error);
    }
}

pub(super) async fn in_time<T>(asking: impl Future<Output = T>) -> Result<T, String> {
    let asked = timeout(TIMEOUT, asking).await;
    asked.map_err(|_| format!("no answer within {} s", TIMEOUT.as_secs()))
}

async fn check_issuers(config: &config::Jwt, metrics: &Metrics, report: &Report, servers: &Servers<'_>) {
    let tokens = match Tokens::new(config, &Store::in_memory(), metrics, None) {
        Ok(tokens) => tokens,
        Err(error) => return report.bad("issuers", &error.to_string()),
    };
    let failed = RefCell::new(Vec::new());
    let probe = tokens.probe(|issuer| match &issuer.found {
        Ok(keys) => tell_keys(&issuer.issuer, keys, report),
        Err(error) => failed.borrow_mut().push((Arc::clone(&issuer.issuer), error.clone())),
    });
    let found = in_time(probe).await;
    for (issuer, error) in failed.into_inner() {
        let what = format!("issuer {issuer}");
        let url = url_of(&issuer, config);
        match url.and_then(example_host) {
            Some(host) => report.note(
                &what,
                &format!("{host} stands for your own server: until `jwks` names that, no token counts"),
            ),
            None => {
                let at = url.map_or(Vec::new(), server_of);
                servers.failed(&what, &at, &error, &error).await;
            }
        }
    }
    let found = match found {
        Ok(found) => found,
        Err(error) => return report.bad("issuers", &error),
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
}

fn tell_keys(issuer: &str, keys: &FoundKeys, report: &Report) {
    let what = format!("issuer {issuer}");
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

/// Where an issuer's key set is fetched.
fn url_of<'a>(issuer: &str, config: &'a config::Jwt) -> Option<&'a Url> {
    let mut issuers = config.issuers.iter();
    match &issuers.find(|known| *known.name == *issuer)?.jwks {
        JwksLocation::Url(url) => Some(url),
        JwksLocation::File(_) => None,
    }
}

/// The host, if it is one of those that `janua config example` and other manuals write: nobody's (RFC 2606), or the American
/// universities' registry's.
fn example_host(url: &Url) -> Option<&str> {
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

async fn check_upstream(config: &config::Upstream, metrics: &Metrics, report: &Report, servers: &Servers<'_>) {
    let name = format!("upstream {}", config.name);
    let what = |server: &str| format!("{name} {server}");
    match Upstream::new(config, metrics) {
        Ok(upstream) => {
            let told = |server: &Server, answer: Result<(), Unwell>| match answer {
                Ok(()) if config.health.path.is_some() => report.good(&what(&server.label), "answers"),
                Ok(()) => {
                    let over = if server.is_https() { " over TLS" } else { "" };
                    let told = match config.s3.is_some() {
                        true => format!("takes connections{over}; the bucket and its key are not tried"),
                        false => format!("takes connections{over}; with `health` it would be asked for a page"),
                    };
                    report.good(&what(&server.label), &told);
                }
                Err(unwell) if unwell.is_away => servers.away(&name, &server.label, &unwell.error),
                Err(unwell) => report.bad(&what(&server.label), &unwell.error),
            };
            upstream.probe(told).await;
        }
        Err(error) => report.bad(&name, &error.to_string()),
    }
}

/// Asks about an event that nobody made, as the gateway would about others.
async fn check_opencast(
    opencast: &config::Opencast,
    of: &config::Upstream,
    config: &Config,
    metrics: &Metrics,
) -> Result<String, String> {
    let upstream = Upstream::new(of, metrics).map_err(|error| error.to_string())?;
    let upstream = Arc::new(upstream);
    upstream.resolve().await;
    let ca_file = of.ca_file.as_deref();
    let asked = Opencast::new(opencast, upstream, ca_file, metrics.opencast(&opencast.name), false);
    let asked = asked.map_err(|error| error.to_string())?;
    let public = config.server.public_urls.first();
    let index = config.opencasts.iter().position(|known| known.name == opencast.name);
    let mut routes = config.routes.iter().filter(|route| route.opencast == index);
    let asks = |route: &Arc<config::Route>| {
        route
            .allow
            .iter()
            .flat_map(Rule::asks)
            .any(|asked| asked == Question::Playlist)
    };
    asked.probe(public.ok_or("no public URL")?, routes.any(asks)).await?;
    Ok(format!(
        "tells {} of events and their lists; that this user may see every event cannot be seen from here",
        opencast.username
    ))
}

/// Asks the sign-in server something that shows that it is one, and looks whether the apps can have a session at all.
async fn check_sign_in(sign_in: &SignIn, config: &Config, report: &Report, servers: &Servers<'_>) {
    let what = format!("sign_in {}", sign_in.name);
    let what = what.as_str();
    let server = sign_in.provider.server();
    let asked = config.server.public_urls.iter().map(|public| async move {
        let provider = match Provider::new(sign_in, config, None) {
            Ok(provider) => provider,
            Err(error) => return report.bad(what, &format!("{server}: sign_in.{}: {error}", sign_in.name)),
        };
        let callback = provider.callback(&public.origin(), &sign_in.name);
        let probed = in_time(provider.check(&callback)).await;
        let failed = |text: String| Unfit {
            cause: text.clone(),
            text,
        };
        match probed.map_err(failed).flatten() {
            Ok(answer) => report.good(what, &answer),
            Err(Unfit { text, cause }) => {
                let error = format!("{server}: {text}");
                servers.failed(what, &server_of(server), &error, &cause).await;
            }
        }
        for told in provider.registration(&public.origin(), &sign_in.name) {
            report.note(what, &told);
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

/// Has the server keys, or does it refuse a token that nobody made?
async fn check_bearer(bearer: &config::Bearer, metrics: &Metrics, report: &Report, servers: &Servers<'_>) {
    let what = format!("bearer {}", bearer.name);
    let section = match Section::new(bearer, metrics.bearer(&bearer.name)) {
        Ok(section) => section,
        Err(error) => return report.bad(&what, &error.to_string()),
    };
    let failed = |text: String| bearer::Unfit {
        cause: text.clone(),
        text,
    };
    match in_time(section.check()).await.map_err(failed).flatten() {
        Ok(answer) => report.good(&what, &answer),
        Err(bearer::Unfit { text, cause }) => servers.failed(&what, &server_of(bearer.server()), &text, &cause).await,
    }
    if let Some(told) = section.registration() {
        report.note(&what, &told);
    }
    if ["preferred_username", "username", "email", "name", "nickname", "upn"].contains(&&*bearer.username) {
        let name = &bearer.username;
        report.note(
            &what,
            &format!(
                "username = \"{name}\": people may be able to change it at the server, and to become somebody else here"
            ),
        );
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
