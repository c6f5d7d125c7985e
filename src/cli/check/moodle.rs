//! Every `[moodle.<name>]` of the configuration: asked as the gateway would ask it, and what the site must switch on.

use std::sync::Arc;

use super::Report;
use crate::act::proxy::Upstream;
use crate::config::{self, Config};
use crate::moodle::{Bridge, Moodle};
use crate::observe::metrics::Metrics;
use crate::present::moodle::tokens::site::{self, Finding};
use crate::sealing::MasterKeys;
use crate::store::Store;

pub(super) async fn check(moodle: &config::Moodle, config: &Config, metrics: &Metrics, report: &Report) {
    let what = format!("moodle {}", moodle.name);
    let asked = match made(moodle, config, metrics).await {
        Ok(asked) => asked,
        Err(error) => return report.bad(&what, &error),
    };
    let settings = match asked.public_config().await {
        Ok(settings) => settings,
        Err(error) => return report.bad(&what, &error.to_string()),
    };
    let found = site::findings(&settings, moodle);
    let is_bad = found.iter().any(|(_, finding)| matches!(finding, Finding::Bad(_)));
    for (source, finding) in found {
        let what = match source {
            Some(source) => format!("{what}, {}", source.label()),
            None => what.clone(),
        };
        match finding {
            Finding::Good(text) => report.good(&what, &text),
            Finding::Note(text) => report.note(&what, &text),
            Finding::Bad(text) => report.bad(&what, &text),
        }
    }
    match asked.takes_calls().await {
        Ok(()) => report.good(&what, &format!("takes web service calls as {}", settings.wwwroot)),
        // It has been told why.
        Err(_) if is_bad => {}
        Err(error) => report.bad(&what, &error.to_string()),
    }
}

/// With a store of its own: nothing is asked for in anybody's name.
async fn made(moodle: &config::Moodle, config: &Config, metrics: &Metrics) -> Result<Moodle, String> {
    let of = config.upstreams.get(moodle.upstream);
    let of = of.ok_or_else(|| "its upstream is not among the upstreams".to_owned())?;
    let upstream = Upstream::new(of, metrics).map_err(|error| error.to_string())?;
    upstream.resolve().await;
    let bridge = Bridge::new(&Store::in_memory(), &MasterKeys::random(), metrics.moodle());
    Moodle::new(moodle, of, Arc::new(upstream), bridge).map_err(|error| error.to_string())
}
