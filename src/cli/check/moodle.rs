//! Every `[moodle.<name>]` of the configuration: asked as the gateway would ask it, and what the site must switch on.

use std::sync::Arc;

use url::Url;

use super::Report;
use crate::act::proxy::Upstream;
use crate::config::{self, Config, MoodleSource};
use crate::moodle::tokens::TokenError;
use crate::moodle::tokens::site::{self, Finding, SiteConfig};
use crate::moodle::{Moodle, MoodleTokens};
use crate::observe::metrics::Metrics;
use crate::sealing::MasterKeys;
use crate::sign_in::Provider;
use crate::store::Store;

/// Error: it does not tell its settings.
pub(super) async fn check(
    moodle: &config::Moodle,
    config: &Config,
    metrics: &Metrics,
    report: &Report,
) -> Result<(), String> {
    let what = format!("moodle {}", moodle.name);
    let asked = made(moodle, config, metrics).await?;
    let settings = asked.public_config().await.map_err(|error| error.to_string())?;
    let found = site::findings(&settings, moodle);
    let is_bad = found.iter().any(|(_, finding)| matches!(finding, Finding::Bad(_)));
    for (source, finding) in found {
        let what = match source {
            Some(source) => format!("{what}, {}", source.label()),
            None => what.clone(),
        };
        tell(&finding, &what, report);
    }
    if !is_bad {
        sign_in(&asked, &settings, config, &what, report).await;
    }
    match asked.takes_calls().await {
        Ok(()) => report.good(&what, &format!("takes web service calls as {}", settings.wwwroot)),
        // It has been told why.
        Err(_) if is_bad => {}
        Err(error) => report.bad(&what, &error.to_string()),
    }
    Ok(())
}

/// Does Moodle send people to the CAS server that the sources need?
async fn sign_in(asked: &Moodle, settings: &SiteConfig, config: &Config, what: &str, report: &Report) {
    let sources = || asked.config.tokens.iter();
    if !sources().any(|source| source.needs_sign_in()) {
        return;
    }
    let by_cas = || sources().filter(|source| source.asks_cas());
    let seen = match by_cas().next() {
        None => None,
        Some(_) => match asked.cas_server(settings).await {
            Ok(seen) => seen,
            Err(error) => return report.bad(what, &error.to_string()),
        },
    };
    for source in by_cas() {
        let what = format!("{what}, {}", source.label());
        let wanted = wanted(asked, *source, config);
        tell(
            &site::login::finding(settings, *source, seen.as_ref(), &wanted),
            &what,
            report,
        );
    }
    if asked.asks_provider() {
        provider(asked, config, what, report).await;
    }
    let unseen = "not seen without a token: whether people may make tokens (moodle/webservice:createmobiletoken), and whether \
                  the service is enabled in External services";
    report.note(what, unseen);
}

/// Does Moodle send people to the provider at which they may be asked to authenticate? Begins a login there, as a browser does.
async fn provider(asked: &Moodle, config: &Config, what: &str, report: &Report) {
    let written = asked.config.oidc_launch.clone().unwrap_or_default();
    let expected = match &written.provider {
        Some(provider) => Some(provider.clone()),
        None => authorization(asked, config).await,
    };
    // What is wrong with the sign-in is told of that.
    let Some(expected) = expected.map(|url| url.origin().ascii_serialization()) else {
        return;
    };
    match asked.login_provider(&written).await {
        Ok(Some(seen)) if seen.origin().ascii_serialization() == expected => {
            report.good(what, &format!("Moodle sends people to {expected} to log in"));
        }
        Ok(seen) => {
            let seen = seen.map_or("nowhere".to_owned(), |seen| seen.origin().ascii_serialization());
            report.bad(what, &TokenError::OtherProvider { seen, expected }.to_string());
        }
        Err(error) => report.bad(what, &error.to_string()),
    }
}

/// The authorization endpoint of the Moodle's sign-in.
async fn authorization(asked: &Moodle, config: &Config) -> Option<Url> {
    let sign_in = config.sign_ins.get(asked.config.sign_in)?;
    let provider = Provider::new(sign_in, config, None).ok()?;
    provider.authorization().await.ok().flatten()
}

fn tell(finding: &Finding, what: &str, report: &Report) {
    match finding {
        Finding::Good(text) => report.good(what, text),
        Finding::Note(text) => report.note(what, text),
        Finding::Bad(text) => report.bad(what, text),
    }
}

/// The addresses of the CAS server that Moodle has to ask for this source. A facade passes on the tickets that the other
/// sources live by.
fn wanted(asked: &Moodle, source: MoodleSource, config: &Config) -> Vec<Url> {
    let sign_in = config.sign_ins.get(asked.config.sign_in);
    let server = sign_in.filter(|_| !source.is_facade());
    let server = server.map(|sign_in| sign_in.provider.server().clone());
    let facades = asked.config.facade.iter().flat_map(|facade| {
        let urls = config.server.public_urls.iter();
        urls.filter_map(|url| Url::parse(&format!("{}{}", url.origin(), facade.path)).ok())
    });
    server.into_iter().chain(facades).collect()
}

/// With a store of its own: nothing is asked for in anybody's name.
async fn made(moodle: &config::Moodle, config: &Config, metrics: &Metrics) -> Result<Moodle, String> {
    let of = config
        .upstreams
        .get(moodle.upstream)
        .zip(config.sign_ins.get(moodle.sign_in));
    let (of, sign_in) = of.ok_or_else(|| "its upstream or sign-in is not among those that there are".to_owned())?;
    let upstream = Upstream::new(of, metrics).map_err(|error| error.to_string())?;
    upstream.resolve().await;
    let moodle_tokens = MoodleTokens::new(&Store::in_memory(), &MasterKeys::random(), metrics.moodle());
    Moodle::new(moodle, of, sign_in, Arc::new(upstream), moodle_tokens).map_err(|error| error.to_string())
}
