//! A launch on its way: what must be known again when the browser comes back from the platform, and that it is the same browser.
//!
//! Nothing is kept for it: `state` is sealed and travels with the browser, a cookie of its own binds it to that browser (login
//! CSRF), and the nonce is made of what the cookie says. What is kept is which nonces were used, in the store that all
//! replicas share: only who brings a message of a platform's, signed for such a nonce, writes there.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::{hex, sha256};
use crate::rate::{Keyed, Rate, address_key};
use crate::rejection::{Reason, Rejection};
use crate::sealing::{MasterKeys, Purpose, Sealer, random};
use crate::store::{Store, StoreError, Table};
use crate::time::unix_seconds;

/// From the login to the launch: redirects alone, and a login at the platform at most.
pub const LIFE: Duration = Duration::from_secs(10 * 60);
/// What the cookies of launches under way are called; the name of the attempt follows.
pub const COOKIE: &str = "janua-lti-";
/// What a state is sealed for, so that none of a sign-in opens as one.
const CONTEXT: &[u8] = b"lti";
const CHOICE: &[u8] = b"lti choice";

/// Launches that one address may have refused: a whole course may be behind one, whose platform has lost its key.
const REFUSED: Rate = Rate {
    per_second: 10.0,
    burst: 300,
};

/// Seals, opens and spends attempts. One for the process.
#[derive(Clone)]
pub struct Attempts {
    sealer: Sealer,
    store: Store,
    refused: Arc<Keyed<IpAddr>>,
}

/// A launch, as it was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    #[serde(rename = "p")]
    pub platform: String,
    /// What the platform called this tool.
    #[serde(rename = "c")]
    pub client_id: String,
    /// The public origin that it was begun at.
    #[serde(rename = "o")]
    pub origin: String,
    /// A hash of the page that the platform has named.
    #[serde(rename = "t")]
    target: [u8; 32],
    /// Unix seconds.
    #[serde(rename = "s")]
    started: u64,
    #[serde(rename = "b")]
    browser: [u8; 32],
}

/// What the browser and the platform get at the beginning.
pub struct Begun {
    pub state: String,
    pub nonce: String,
    /// Name and value.
    pub cookie: (String, String),
}

/// What becomes of an attempt.
pub struct Wanted<'a> {
    pub platform: &'a str,
    pub client_id: &'a str,
    pub origin: &'a str,
    /// As the platform has named it.
    pub target: &'a str,
}

impl Attempts {
    /// Used nonces are kept in `store`.
    pub fn new(store: &Store, keys: &MasterKeys) -> Self {
        Self {
            sealer: keys.sealer(Purpose::LoginState),
            store: store.clone(),
            refused: Arc::new(Keyed::new(REFUSED)),
        }
    }

    /// A new attempt.
    pub fn begin(&self, wanted: &Wanted<'_>, now: SystemTime) -> Begun {
        let started = unix_seconds(now);
        let secret: [u8; 16] = random();
        // The time stands in front, so that the oldest of many can be told.
        let value = format!("{started}.{}", BASE64_URL_SAFE_NO_PAD.encode(secret));
        let attempt = Attempt {
            platform: wanted.platform.to_owned(),
            client_id: wanted.client_id.to_owned(),
            origin: wanted.origin.to_owned(),
            target: sha256(wanted.target.as_bytes()),
            started,
            browser: sha256(value.as_bytes()),
        };
        Begun {
            state: self.sealer.seal_text(CONTEXT, &attempt),
            nonce: nonce(&value),
            cookie: (attempt.cookie(), value),
        }
    }

    /// The attempt of a `state` that was made here, however long ago.
    pub fn open(&self, state: &str) -> Option<Attempt> {
        self.sealer.open_text(CONTEXT, state)
    }

    /// Seals what a form of the gateway's own brings back.
    pub fn seal_choice(&self, choice: &impl Serialize) -> String {
        self.sealer.seal_text(CHOICE, choice)
    }

    /// What was sealed so.
    pub fn open_choice<T: DeserializeOwned>(&self, choice: &str) -> Option<T> {
        self.sealer.open_text(CHOICE, choice)
    }

    /// A message for this nonce comes. True: it is the first one, at whichever replica. The signature was good, so that nobody
    /// fills the store but platforms.
    pub async fn spend(&self, platform: &str, nonce: &str) -> Result<bool, StoreError> {
        // An attempt is too old after that.
        let ttl = LIFE.saturating_add(Duration::from_secs(60));
        let name = format!("{platform} {nonce}");
        self.store.put_new(Table::LtiNonces, &name, b"", Some(ttl)).await
    }

    /// May a message of this address be looked at? Not after too many that were refused.
    pub fn may_try(&self, client: IpAddr) -> Result<(), Rejection> {
        match self.refused.peek(&address_key(client), Instant::now()) {
            true => Ok(()),
            false => Err(Reason::RateLimited.into()),
        }
    }

    /// One of this address was refused.
    pub fn refuse(&self, client: IpAddr) {
        // Empty by now: then the next look says so.
        self.refused.take(address_key(client), Instant::now()).ok();
    }
}

impl Attempt {
    /// The name of its cookie.
    pub fn cookie(&self) -> String {
        format!("{COOKIE}{}", hex(self.browser.get(..4).unwrap_or_default()))
    }

    /// Of the values of that cookie, the one of the browser that has begun it.
    pub fn of_browser<'a>(&self, cookies: &[&'a str]) -> Option<&'a str> {
        let is_it = |cookie: &&&str| verify_slices_are_equal(&sha256(cookie.as_bytes()), &self.browser).is_ok();
        cookies.iter().find(is_it).copied()
    }

    pub fn is_young(&self, now: SystemTime) -> bool {
        let age = unix_seconds(now).checked_sub(self.started);
        age.is_some_and(|age| age <= LIFE.as_secs())
    }

    /// Is this the page that the platform has named at the beginning?
    pub fn leads_to(&self, target: &str) -> bool {
        sha256(target.as_bytes()) == self.target
    }
}

/// OIDC Core 1.0 section 15.5.2: a hash of what the browser's cookie says.
pub fn nonce(cookie: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256(format!("lti nonce {cookie}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn wanted() -> Wanted<'static> {
        Wanted {
            platform: "moodle",
            client_id: "abc",
            origin: "https://video.test",
            target: "https://video.test/play/1",
        }
    }

    #[test]
    fn an_attempt_is_known_again_by_its_browser_alone() {
        let keys = MasterKeys::random();
        let attempts = Attempts::new(&Store::in_memory(), &keys);
        let (begun, other) = (attempts.begin(&wanted(), NOW), attempts.begin(&wanted(), NOW));
        let attempt = attempts.open(&begun.state).unwrap();
        assert_eq!(
            (attempt.platform.as_str(), attempt.client_id.as_str()),
            ("moodle", "abc")
        );
        assert_eq!(attempt.cookie(), begun.cookie.0);
        assert!(attempt.leads_to(wanted().target) && !attempt.leads_to("https://video.test/play/2"));
        assert!(attempt.is_young(NOW + LIFE) && !attempt.is_young(NOW + LIFE + Duration::from_secs(1)));
        let (mine, theirs) = (begun.cookie.1.as_str(), other.cookie.1.as_str());
        assert_eq!(attempt.of_browser(&[theirs, mine]), Some(mine));
        assert_eq!(attempt.of_browser(&[theirs, ""]), None);
        assert_eq!(nonce(mine), begun.nonce);
        assert_ne!(begun.nonce, other.nonce);
        let foreign = keys.sealer(Purpose::LoginState).seal_text(b"", &attempt);
        assert_eq!(attempts.open(&foreign), None, "one of a sign-in is none");
    }

    #[tokio::test]
    async fn a_nonce_is_good_for_once_at_all_replicas() {
        let (store, keys) = (Store::in_memory(), MasterKeys::random());
        let (here, there) = (Attempts::new(&store, &keys), Attempts::new(&store, &keys));
        assert!(here.spend("moodle", "n").await.unwrap());
        assert!(!there.spend("moodle", "n").await.unwrap());
        assert!(there.spend("ilias", "n").await.unwrap());
    }

    #[test]
    fn who_brings_rubbish_waits() {
        let attempts = Attempts::new(&Store::in_memory(), &MasterKeys::random());
        let (client, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        for _ in 0..2 * REFUSED.burst {
            attempts.refuse(client);
        }
        assert_eq!(attempts.may_try(client).unwrap_err().reason, Reason::RateLimited);
        assert!(attempts.may_try(other).is_ok());
    }
}
