//! A browser on its way through Moodle's `launch.php`: what the gateway must know again when Moodle leads it there.
//!
//! People type passwords and read policies on this way. A sealed cookie on Moodle's host holds the passport that `launch.php`
//! was asked with, so that this browser alone comes to an end by it; each tab has a cookie of its own.

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::MoodleTokens;
use super::login_flow::LoginFlow;
use crate::authenticate::session::SessionKey;
use crate::time::unix_seconds;

/// As long as Moodle remembers it (`tool_mobile_launch`).
pub const LIFE: Duration = Duration::from_secs(15 * 60);
/// Where `launch.php` does not give a token at once, so often the browser is sent to sign in.
const MOST_TURNS: u8 = 3;
/// Digits of the passport by which its cookie is called.
pub(super) const ID: usize = 8;
const CONTEXT: &[u8] = b"moodle launch";

/// A way through `launch.php` as it was begun. Its names are short in the cookie: a dozen tabs have one each.
#[derive(Serialize, Deserialize)]
pub struct LaunchFlow {
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
    /// 128 bits, in hexadecimal digits.
    #[serde(rename = "p")]
    pub passport: String,
    #[serde(rename = "b")]
    started: u64,
    #[serde(rename = "n")]
    turns: u8,
    /// Moodle is asked without the MoodleSession that the browser has, so that it begins another one.
    #[serde(rename = "a")]
    pub anew: bool,
}

impl LaunchFlow {
    /// With a passport of its own. `source` is one that sends browsers to `launch.php`.
    pub fn new(of: &LoginFlow, source: usize, now: SystemTime) -> Self {
        Self {
            moodle: of.moodle.clone(),
            source,
            target: of.target.clone(),
            session: of.session.clone(),
            passport: passport(),
            started: unix_seconds(now),
            turns: 0,
            anew: false,
        }
    }

    pub fn session(&self) -> Option<SessionKey> {
        SessionKey::parse(&self.session)
    }

    /// What its cookie is called by.
    pub fn id(&self) -> &str {
        id_of(&self.passport).unwrap_or_default()
    }

    /// Is this its passport? Compared in constant time.
    pub fn is_by(&self, passport: &str) -> bool {
        verify_slices_are_equal(self.passport.as_bytes(), passport.as_bytes()).is_ok()
    }

    /// Unix seconds.
    pub fn started(&self) -> u64 {
        self.started
    }

    pub fn is_alive(&self, now: SystemTime) -> bool {
        let age = unix_seconds(now).checked_sub(self.started);
        age.is_some_and(|age| age < LIFE.as_secs())
    }

    /// Seconds that are left of its life.
    pub fn left(&self, now: SystemTime) -> u32 {
        let age = unix_seconds(now).saturating_sub(self.started);
        u32::try_from(LIFE.as_secs().saturating_sub(age)).unwrap_or_default()
    }

    /// May the browser be sent to sign in?
    pub fn may_turn(&self) -> bool {
        self.turns < MOST_TURNS
    }

    /// The same after one turn more. `None`: there were enough.
    pub fn turned(self) -> Option<Self> {
        self.may_turn().then(|| Self {
            turns: self.turns + 1,
            ..self
        })
    }

    /// The same once Moodle has begun another MoodleSession.
    pub fn as_usual(self) -> Self {
        Self { anew: false, ..self }
    }

    /// The same for a MoodleSession that is still to begin: by another passport, with a life of its own.
    pub fn begun_anew(self, now: SystemTime) -> Self {
        Self {
            passport: passport(),
            started: unix_seconds(now),
            anew: true,
            ..self
        }
    }
}

/// What the cookie of a passport is called by. `None`: it is none of the gateway's.
pub fn id_of(passport: &str) -> Option<&str> {
    let is_own = passport.len() == 32 && passport.bytes().all(|byte| byte.is_ascii_hexdigit());
    passport.get(..ID).filter(|_| is_own)
}

/// Can this be what a cookie is called by?
pub fn is_id(text: &str) -> bool {
    text.len() == ID && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn passport() -> String {
    format!("{:032x}", rand::random::<u128>())
}

impl MoodleTokens {
    /// As it stands in a cookie.
    pub fn seal_launch(&self, launch: &LaunchFlow) -> String {
        self.0.sealer.seal_text(CONTEXT, launch)
    }

    pub fn open_launch(&self, sealed: &str) -> Option<LaunchFlow> {
        self.0.sealer.open_text(CONTEXT, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_unix;

    fn launch() -> LaunchFlow {
        LaunchFlow {
            moodle: "campus".to_owned(),
            source: 0,
            target: "https://moodle.test/x".to_owned(),
            session: "s".to_owned(),
            passport: passport(),
            started: 1000,
            turns: 0,
            anew: false,
        }
    }

    #[test]
    fn a_passport_is_the_browsers_alone_and_has_its_time() {
        let (one, other) = (launch(), launch());
        assert!(one.is_by(&one.passport) && !one.is_by(&other.passport) && !one.is_by(""));
        assert_eq!(id_of(&one.passport), Some(one.id()));
        for foreign in [
            "",
            "0.123456789",
            &one.passport[1..],
            "zz0000000000000000000000000000000",
        ] {
            assert_eq!(id_of(foreign), None, "{foreign}");
        }
        assert!(one.is_alive(from_unix(1000)) && one.is_alive(from_unix(1899)));
        assert!(!one.is_alive(from_unix(1900)) && !one.is_alive(from_unix(999)));
        assert_eq!((one.left(from_unix(1000)), one.left(from_unix(5000))), (900, 0));
    }

    #[test]
    fn turns_come_to_an_end() {
        let mut launch = launch();
        for _ in 0..MOST_TURNS {
            let before = launch.passport.clone();
            launch = launch.turned().unwrap().begun_anew(from_unix(2000));
            assert!(launch.anew && !launch.is_by(&before));
        }
        assert!(!launch.may_turn() && launch.turned().is_none());
    }
}
