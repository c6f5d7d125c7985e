//! `oidc-launch`: a browser brings a code of the provider's for Moodle's own client, and has no session in Moodle itself.

mod checked;
mod ended;
mod faults;
mod others;
mod way;

use url::Url;

use super::launch::lab::{Browser, Lab, ROUTES};
use crate::support::moodle::provider::{CLIENT, OAUTH2_CALLBACK, OIDC_CALLBACK};

/// What cookies of ways to Moodle begin with.
const VISIT: &str = "janua-moodle-campus-";

/// Moodle's people log in by auth_oauth2, or by auth_oidc.
#[derive(Clone, Copy, PartialEq)]
enum Plugin {
    OAuth2,
    Oidc,
}

const BOTH: [Plugin; 2] = [Plugin::OAuth2, Plugin::Oidc];

/// A Moodle with this source alone.
fn lab(plugin: Plugin) -> Lab {
    with(plugin, "[\"oidc-launch\"]", "")
}

/// The same with other sources, and lines of `[moodle.campus]`.
fn with(plugin: Plugin, tokens: &str, lines: &str) -> Lab {
    let lab = Lab::of(tokens, 1, lines, "", ROUTES);
    {
        let settings = &mut lab.moodle.site().settings;
        settings.auth_oauth2 = plugin == Plugin::OAuth2;
        settings.auth_oidc = plugin == Plugin::Oidc;
    }
    lab
}

impl Plugin {
    fn callback(self) -> &'static str {
        match self {
            Self::OAuth2 => OAUTH2_CALLBACK,
            Self::Oidc => OIDC_CALLBACK,
        }
    }
}

/// How often Moodle was asked for this path.
fn asked(lab: &Lab, path: &str) -> usize {
    let requests = lab.moodle.site().requests.clone();
    let is_it = |target: &str| target.split('?').next() == Some(path);
    requests.iter().filter(|(_, target, _)| is_it(target)).count()
}

/// Up to the provider, as an app sends a browser on; the provider's address. The person is signed in at the gateway already.
fn to_provider(browser: &Browser<'_>) -> Url {
    let mut to = "/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me".to_owned();
    for _ in 0..8 {
        let answer = browser.step(&to);
        to = answer.expect(303).header("location").unwrap().to_owned();
        if to.contains(CLIENT) {
            return to.parse().unwrap();
        }
        if to.starts_with(&browser.lab().idp.origin()) {
            to = browser.lab().idp.authorize(&to, browser.who()).to_string();
        }
    }
    panic!("never at the provider: {to}")
}

/// Signed in at the gateway alone.
fn signed_in<'a>(lab: &'a Lab, who: &'static str) -> Browser<'a> {
    let browser = lab.browser(who);
    browser
        .open("/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    browser
}

/// The provider's address says this, decoded.
fn said(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}
