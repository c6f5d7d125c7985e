//! A browser on its way to the provider at which people log in to Moodle: what the gateway must know again when the provider
//! sends it to Moodle's callback.
//!
//! A sealed cookie on Moodle's host, one for each tab, holds the session in Moodle that the login was begun in, and by which
//! `state` the provider answers it. Any replica can go on with it; no other browser can.

use std::time::SystemTime;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::MoodleTokens;
use super::launch_flow::{self, LIFE, LaunchFlow};
use super::login_flow::LoginFlow;
use super::tokens::Cookie;
use super::tokens::oidc_launch::Begun;
use crate::authenticate::session::SessionKey;
use crate::config::LoginPlugin;
use crate::digest::{hex, sha256};
use crate::time::unix_seconds;

const CONTEXT: &[u8] = b"moodle provider";

/// A way by the provider as it was begun. Its names are short in the cookie: a dozen tabs have one each.
#[derive(Serialize, Deserialize)]
pub struct ProviderFlow {
    #[serde(rename = "m")]
    pub moodle: String,
    /// Which of `moodle.tokens` the browser goes for.
    #[serde(rename = "f")]
    pub source: usize,
    /// Where the browser goes on: a whole URL that was judged.
    #[serde(rename = "t")]
    pub target: String,
    #[serde(rename = "s")]
    session: String,
    #[serde(rename = "b")]
    started: u64,
    /// Is it Microsoft's plugin?
    #[serde(rename = "o")]
    is_oidc: bool,
    /// The session in Moodle, as [`Cookie`] writes it.
    #[serde(rename = "k")]
    moodle_session: String,
    /// SHA-256 of the state, in hexadecimal digits.
    #[serde(rename = "d")]
    state: String,
}

impl ProviderFlow {
    /// `source` is one that sends browsers to a provider.
    pub fn new(of: &LoginFlow, source: usize, begun: &Begun, now: SystemTime) -> Self {
        Self {
            moodle: of.moodle.clone(),
            source,
            target: of.target.clone(),
            session: of.session.clone(),
            started: unix_seconds(now),
            is_oidc: begun.plugin == LoginPlugin::Oidc,
            moodle_session: begun.session.reveal(),
            state: digest(&begun.to.state),
        }
    }

    pub fn session(&self) -> Option<SessionKey> {
        SessionKey::parse(&self.session)
    }

    pub fn plugin(&self) -> LoginPlugin {
        match self.is_oidc {
            true => LoginPlugin::Oidc,
            false => LoginPlugin::OAuth2,
        }
    }

    pub fn moodle_session(&self) -> Option<Cookie> {
        Cookie::parse(&self.moodle_session)
    }

    /// What its cookie is called by.
    pub fn id(&self) -> &str {
        self.state.get(..launch_flow::ID).unwrap_or_default()
    }

    /// By what it is known whether its end has come.
    pub fn key(&self) -> &str {
        &self.state
    }

    /// Is this the state by which the provider answers it? Compared in constant time.
    pub fn is_by(&self, state: &str) -> bool {
        verify_slices_are_equal(self.state.as_bytes(), digest(state).as_bytes()).is_ok()
    }

    /// The provider may have to ask the person something, where Moodle says so itself.
    pub fn is_alive(&self, now: SystemTime) -> bool {
        let age = unix_seconds(now).checked_sub(self.started);
        age.is_some_and(|age| age < LIFE.as_secs())
    }

    /// Seconds of its life.
    pub fn life() -> u32 {
        u32::try_from(LIFE.as_secs()).unwrap_or_default()
    }
}

/// What the cookie of a state is called by.
pub fn id_of(state: &str) -> String {
    let mut id = digest(state);
    id.truncate(launch_flow::ID);
    id
}

fn digest(state: &str) -> String {
    hex(&sha256(state.as_bytes()))
}

impl MoodleTokens {
    /// As it stands in a cookie.
    pub fn seal_provider(&self, flow: &ProviderFlow) -> String {
        self.0.sealer.seal_text(CONTEXT, flow)
    }

    pub fn open_provider(&self, sealed: &str) -> Option<ProviderFlow> {
        self.0.sealer.open_text(CONTEXT, sealed)
    }

    /// When the way began that a cookie is of, of whichever kind it is, in Unix seconds. `Ok(None)`: it is over. `Err`: it is of
    /// none.
    pub fn began(&self, sealed: &str, now: SystemTime) -> Result<Option<u64>, NoWay> {
        let launch = || {
            let flow: LaunchFlow = self.open_launch(sealed)?;
            Some(flow.is_alive(now).then(|| flow.started()))
        };
        let provider = || {
            let flow = self.open_provider(sealed)?;
            Some(flow.is_alive(now).then_some(flow.started))
        };
        launch().or_else(provider).ok_or(NoWay)
    }
}

/// A cookie that is of no way of a browser's to Moodle.
pub struct NoWay;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_unix;

    #[test]
    fn a_state_is_known_again_and_has_its_time() {
        let flow = ProviderFlow {
            moodle: "campus".to_owned(),
            source: 0,
            target: "https://moodle.test/x".to_owned(),
            session: "s".to_owned(),
            started: 1000,
            is_oidc: true,
            moodle_session: "MoodleSession=abc".to_owned(),
            state: digest("the-state"),
        };
        assert!(flow.is_by("the-state") && !flow.is_by("the-stat") && !flow.is_by(""));
        assert_eq!(flow.id(), id_of("the-state"));
        assert!(launch_flow::is_id(flow.id()));
        assert!(flow.is_alive(from_unix(1000)) && flow.is_alive(from_unix(1899)));
        assert!(!flow.is_alive(from_unix(1900)) && !flow.is_alive(from_unix(999)));
        assert_eq!(flow.moodle_session().unwrap().reveal(), "MoodleSession=abc");
    }
}
