//! A browser on its way to Moodle for a token, where a ticket brings it: what the gateway must know again when it lands at
//! Moodle's login address. How it goes through `launch.php` stands in `launch_flow`.
//!
//! A short-lived cookie on Moodle's host, sealed, tells such a landing from an ordinary login at Moodle, which is none of
//! the gateway's business. Strict CAS servers take no further parameters in a service's address.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Moodle, MoodleTokens};
use crate::authenticate::session::{Session, SessionKey};
use crate::time::unix_seconds;

/// What the cookie is called; the name of the Moodle follows.
pub const COOKIE: &str = "janua-moodle-";
/// From the redirect to the landing nobody types anything: the CAS server knows the browser.
pub const LIFE: Duration = Duration::from_secs(120);
/// Longer addresses would not fit into a cookie.
const LONGEST_TARGET: usize = 1024;
const CONTEXT: &[u8] = b"moodle visit";

/// A visit as it was begun.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoginFlow {
    pub moodle: String,
    /// Which of `moodle.tokens` the browser goes for.
    pub source: usize,
    /// Where the browser goes on: a whole URL that was judged.
    pub target: String,
    pub(super) session: String,
    started: u64,
}

impl LoginFlow {
    /// `None`: this Moodle needs no browser, from this source on.
    pub fn new(moodle: &Moodle, from: usize, session: &Session, target: &str, now: SystemTime) -> Option<Self> {
        let (source, _) = moodle.by_browser(from)?;
        let target = match target.len() > LONGEST_TARGET {
            true => format!("{}/", moodle.config.wwwroot),
            false => target.to_owned(),
        };
        Some(Self {
            moodle: moodle.config.name.clone(),
            source,
            target,
            session: session.key.text(),
            started: unix_seconds(now),
        })
    }

    pub fn session(&self) -> Option<SessionKey> {
        SessionKey::parse(&self.session)
    }

    /// Was it begun a moment ago?
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        let age = unix_seconds(now).checked_sub(self.started);
        age.is_some_and(|age| age <= LIFE.as_secs())
    }
}

impl MoodleTokens {
    /// As it stands in an address and in a cookie.
    pub fn seal(&self, visit: &LoginFlow) -> String {
        self.0.sealer.seal_text(CONTEXT, visit)
    }

    pub fn open(&self, sealed: &str) -> Option<LoginFlow> {
        self.0.sealer.open_text(CONTEXT, sealed)
    }
}
