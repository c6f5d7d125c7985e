//! LTI platforms: whether their keys can be had, and what to register there.

use super::Report;
use super::others::in_time;
use super::servers::{Servers, server_of};
use crate::authenticate::lti::Platform;
use crate::config::{Config, Lti};
use crate::text::count;

/// Fetches the keys, and tells the addresses that the platform wants to know.
pub(super) async fn check(lti: &Lti, config: &Config, report: &Report, servers: &Servers<'_>) {
    let what = format!("lti {}", lti.name);
    let platform = match Platform::new(lti, None) {
        Ok(platform) => platform,
        Err(error) => return report.bad(&what, &error.to_string()),
    };
    let asked = in_time(platform.check()).await;
    match asked.and_then(|keys| keys.map_err(|failed| failed.to_string())) {
        Ok(keys) => report.good(
            &what,
            &format!("{} usable: {}", count(keys.len(), "key"), keys.join(", ")),
        ),
        Err(error) => servers.failed(&what, &server_of(&lti.jwks_url), &error, &error).await,
    }
    for public in &config.server.public_urls {
        let address = |endpoint: &str| format!("{}/_janua/lti/{}/{endpoint}", public.origin(), lti.name);
        report.note(
            &what,
            &format!(
                "to register at the platform: {} as initiate login URL, {} as redirection URI{}; the tool URL is the redirection URI, or a page here",
                address("login"),
                address("launch"),
                match lti.key_file {
                    Some(_) => format!(", {} as public keyset", address("jwks")),
                    None => String::new(),
                }
            ),
        );
        if !public.https {
            report.note(
                &what,
                &format!(
                    "{} is http: browsers keep no cookie there in a frame of another site, and launches need one",
                    public.origin()
                ),
            );
        }
    }
    if lti.deployment_ids.is_empty() {
        report.bad(&what, "deployment_ids names none: every launch is refused");
    }
}
