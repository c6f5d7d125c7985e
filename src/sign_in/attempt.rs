//! A sign-in on its way: what the gateway must know again when the browser comes back, and that it is the same browser.
//!
//! Nothing is kept here but which attempts are spent: an attempt is good for one ticket, so that nobody can try one ticket
//! after another with it. Where the browser is to go on stands sealed in the address it comes back to, and a cookie of its
//! own binds the attempt to the browser (login CSRF), one a tab, so that many may be under way at once. Which addresses
//! may be gone on to is decided in `target`.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use moka::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::digest::{hex, sha256};
use crate::sealing::{MasterKeys, Purpose, Sealer, random};
use crate::time::unix_seconds;

/// From the redirect to the sign-in server until the browser is back: time to find a password, and a second factor.
pub const LIFE: Duration = Duration::from_secs(15 * 60);
/// Attempts under way in one browser; beyond it the oldest is forgotten.
pub const MOST: usize = 12;
/// Spent attempts that are remembered. Each has cost a question to a CAS server, which are bounded for each address.
const MOST_SPENT: u64 = 100_000;
/// What the cookies of attempts are called; the name of the attempt follows.
pub const COOKIE: &str = "janua-login-";

/// Seals and opens attempts.
#[derive(Clone)]
pub struct Attempts {
    sealer: Sealer,
    spent: Cache<[u8; 32], ()>,
}

/// An attempt, as it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub sign_in: String,
    /// Where the browser goes on: a whole URL.
    pub target: String,
    /// The public origin that it was started at.
    pub origin: String,
    /// Was it one that may come back as nobody?
    pub passive: bool,
    /// Was it begun in place of one whose ticket was refused?
    #[serde(default)]
    pub is_second: bool,
    /// Unix seconds.
    pub(super) started: u64,
    pub(super) browser: [u8; 32],
}

/// What a [`SignedOut`] is sealed for, so that none opens as an attempt.
const SIGNED_OUT: &[u8] = b"signed out";

/// A sign-out at a sign-in server, after which the browser comes back: servers send it to registered addresses only, so it
/// comes to the one that tickets come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedOut {
    pub sign_in: String,
    /// The public origin that the person signed out at.
    pub origin: String,
    /// Where the browser goes on: a whole URL, to be judged once more.
    pub target: String,
}

/// What the browser gets at the start.
pub struct Started {
    /// For the `state` parameter: letters, digits, `-` and `_`.
    pub state: String,
    /// Name and value of the cookie.
    pub cookie: (String, String),
}

/// What becomes of an attempt.
pub struct Wanted<'a> {
    pub sign_in: &'a str,
    pub target: &'a str,
    pub origin: &'a str,
    pub passive: bool,
    /// Begun in place of one whose ticket was refused.
    pub is_second: bool,
}

impl Attempts {
    pub fn new(keys: &MasterKeys) -> Self {
        Self {
            sealer: keys.sealer(Purpose::LoginState),
            spent: Cache::builder().max_capacity(MOST_SPENT).time_to_live(LIFE).build(),
        }
    }

    /// Has a ticket come for this attempt already?
    pub fn is_spent(&self, attempt: &Attempt) -> bool {
        self.spent.contains_key(&attempt.browser)
    }

    /// A ticket comes for this attempt. True: it is the first one.
    pub fn spend(&self, attempt: &Attempt) -> bool {
        self.spent.entry(attempt.browser).or_insert(()).is_fresh()
    }

    /// A new attempt.
    pub fn start(&self, wanted: &Wanted<'_>, now: SystemTime) -> Started {
        let started = unix_seconds(now);
        let secret: [u8; 16] = random();
        // The time stands in front, so that the oldest of many can be told.
        let value = format!("{started}.{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let browser = sha256(value.as_bytes());
        let attempt = Attempt {
            sign_in: wanted.sign_in.to_owned(),
            target: wanted.target.to_owned(),
            origin: wanted.origin.to_owned(),
            passive: wanted.passive,
            is_second: wanted.is_second,
            started,
            browser,
        };
        Started {
            state: self.sealer.seal_text(b"", &attempt),
            cookie: (attempt.cookie(), value),
        }
    }

    /// The `state` that brings a browser back from signing out.
    pub fn signed_out(&self, signed_out: &SignedOut) -> String {
        self.sealer.seal_text(SIGNED_OUT, signed_out)
    }

    /// What such a `state` says, however long ago it was made. `None` for every other one.
    pub fn open_signed_out(&self, state: &str) -> Option<SignedOut> {
        self.sealer.open_text(SIGNED_OUT, state)
    }

    /// The attempt of a `state` that was made here, however long ago.
    pub fn open(&self, state: &str) -> Option<Attempt> {
        self.sealer.open_text(b"", state)
    }
}

impl Attempt {
    /// The name of its cookie.
    pub fn cookie(&self) -> String {
        format!("{COOKIE}{}", hex(self.browser.get(..4).unwrap_or_default()))
    }

    /// Is it the browser with this cookie that started it, and not too long ago?
    pub fn is_of(&self, cookie: &str, now: SystemTime) -> bool {
        let is_same = verify_slices_are_equal(&sha256(cookie.as_bytes()), &self.browser).is_ok();
        let age = unix_seconds(now).checked_sub(self.started);
        is_same && age.is_some_and(|age| age <= LIFE.as_secs())
    }
}

/// Of the cookies of attempts that a browser holds, those to take away before another one is given: the oldest beyond
/// the bound, and what is none.
pub fn surplus<'a>(held: &[(&'a str, &str)]) -> Vec<&'a str> {
    let mut held: Vec<(u64, &str)> = held.iter().map(|(name, value)| (age_of(value), *name)).collect();
    held.sort_unstable();
    let surplus = (held.len() + 1).saturating_sub(MOST);
    held.into_iter().take(surplus).map(|(_, name)| name).collect()
}

/// What the browser says; it can only confuse itself.
fn age_of(cookie: &str) -> u64 {
    let started = cookie.split_once('.').and_then(|(started, _)| started.parse().ok());
    started.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn wanted() -> Wanted<'static> {
        Wanted {
            sign_in: "campus",
            target: "https://video.example.edu/studio/?a=%2F&b",
            origin: "https://video.example.edu",
            passive: false,
            is_second: false,
        }
    }

    #[test]
    fn an_attempt_is_known_again_by_its_browser_alone() {
        let attempts = Attempts::new(&MasterKeys::random());
        let started = attempts.start(&wanted(), NOW);
        let again = attempts.open(&started.state).unwrap();
        assert_eq!(again.target, wanted().target);
        assert_eq!(
            (again.sign_in.as_str(), again.origin.as_str()),
            ("campus", wanted().origin)
        );
        let (name, value) = &started.cookie;
        assert_eq!(again.cookie(), *name);
        assert!(again.is_of(value, NOW));
        assert!(again.is_of(value, NOW + LIFE));
        assert!(!again.is_of(value, NOW + LIFE + Duration::from_secs(1)));
        let other = attempts.start(&wanted(), NOW);
        assert_ne!(other.cookie.0, *name, "two tabs, two cookies");
        assert!(!again.is_of(&other.cookie.1, NOW), "another browser's");
        assert!(!again.is_of("", NOW));
    }

    #[test]
    fn what_was_not_sealed_here_is_none() {
        let attempts = Attempts::new(&MasterKeys::random());
        let state = attempts.start(&wanted(), NOW).state;
        assert!(
            state
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(Attempts::new(&MasterKeys::random()).open(&state), None);
        for wrong in ["", "x", &state[1..], &format!("{state}="), "ä"] {
            assert_eq!(attempts.open(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_sign_out_is_no_attempt_and_the_other_way_round() {
        let attempts = Attempts::new(&MasterKeys::random());
        let signed_out = SignedOut {
            sign_in: "campus".into(),
            origin: wanted().origin.into(),
            target: wanted().target.into(),
        };
        let state = attempts.signed_out(&signed_out);
        assert_eq!(attempts.open_signed_out(&state), Some(signed_out));
        assert_eq!(attempts.open(&state), None);
        assert_eq!(attempts.open_signed_out(&attempts.start(&wanted(), NOW).state), None);
        assert_eq!(Attempts::new(&MasterKeys::random()).open_signed_out(&state), None);
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let held: Vec<(String, String)> = (0..MOST)
            .map(|number| (format!("janua-login-{number}"), format!("{}.x", 100 - number)))
            .collect();
        let held: Vec<(&str, &str)> = held
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(surplus(&held), [format!("janua-login-{}", MOST - 1)]);
        assert!(surplus(&held[1..]).is_empty());
        assert_eq!(surplus(&[("janua-login-odd", "odd")]).len(), 0);
    }
}
