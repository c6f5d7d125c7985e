//! Tabs of one browser that come back from the sign-in server at the same moment, as those that a browser restores: the
//! later one joins the session that the earlier one began, whose cookie is still on its way. Otherwise there would be two
//! sessions, of which the browser keeps either, and a logout at the server could end the other one.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::time::timeout;

use super::attempt::Attempt;
use crate::digest::sha256;

/// An answer has arrived by then, or never will.
const LIFE: Duration = Duration::from_secs(60);
/// Beginnings that are remembered. Each has cost a question to a CAS server, which are bounded for each address.
const MOST: u64 = 100_000;
const TURNS: usize = 64;
/// A CAS server has judged the ticket of another tab by then.
const SOON: Duration = Duration::from_secs(1);

/// The sessions that attempts have just begun.
pub struct Tabs {
    began: Cache<[u8; 32], Arc<Began>>,
    /// Told whenever a session begins.
    begun: Notify,
    /// People take turns, a 64th of them each: none begins two sessions at once.
    turns: [Mutex<()>; TURNS],
}

struct Began {
    sign_in: String,
    subject: String,
    secret: String,
}

impl Default for Tabs {
    fn default() -> Self {
        Self {
            began: Cache::builder().max_capacity(MOST).time_to_live(LIFE).build(),
            begun: Notify::new(),
            turns: [const { Mutex::const_new(()) }; TURNS],
        }
    }
}

impl Tabs {
    /// Waits until no other sign-in of this person is between asking [`began_by`](Self::began_by) and saying
    /// [`begins`](Self::begins).
    pub async fn turn(&self, subject: &str) -> Option<MutexGuard<'_, ()>> {
        let mut hash = DefaultHasher::new();
        subject.hash(&mut hash);
        let turn = usize::try_from(hash.finish() % TURNS as u64).ok()?;
        Some(self.turns.get(turn)?.lock().await)
    }

    /// This attempt has begun the session of this secret.
    pub fn begins(&self, attempt: &Attempt, subject: &str, secret: &str) {
        let began = Began {
            sign_in: attempt.sign_in.clone(),
            subject: subject.to_owned(),
            secret: secret.to_owned(),
        };
        self.began.insert(attempt.browser, Arc::new(began));
        self.begun.notify_waiters();
    }

    /// The secret of the session that one of these attempts has begun at this sign-in, or begins within a second.
    pub async fn begins_soon(&self, cookies: &[&str], sign_in: &str) -> Option<String> {
        let waiting = async {
            loop {
                let next = self.begun.notified();
                let mut began = cookies
                    .iter()
                    .filter_map(|cookie| self.began.get(&sha256(cookie.as_bytes())));
                if let Some(began) = began.find(|began| began.sign_in == sign_in) {
                    return began.secret.clone();
                }
                next.await;
            }
        };
        timeout(SOON, waiting).await.ok()
    }

    /// The secret of the session that another attempt of the same browser has begun for this person. `cookies` are the
    /// values of the attempts' cookies that came with the request.
    pub fn began_by<'c>(
        &self,
        cookies: impl IntoIterator<Item = &'c str>,
        attempt: &Attempt,
        subject: &str,
    ) -> Option<String> {
        let began = cookies
            .into_iter()
            .filter_map(|cookie| self.began.get(&sha256(cookie.as_bytes())));
        let mut same = began.filter(|began| began.subject == subject && began.sign_in == attempt.sign_in);
        same.next().map(|began| began.secret.clone())
    }
}
