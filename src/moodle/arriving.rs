//! People whose password is on its way from their sign-in to Moodle (`clearpass`), or whose access token is on its way to a
//! page (`page`): one at a time for each, and few of each Moodle, so that one whose page is slow takes nothing from the others.
//!
//! The browser goes on meanwhile, and its calls wait for the token that comes of it, for a short time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Moodle;
use super::caller::Caller;
use super::tokens::TokenError;
use crate::authenticate::session::Session;
use crate::fair::{Asker, Places, Shares};

/// Of one Moodle, what waits or is sent, of all people.
const MOST: usize = 1024;
/// Of these, sent at once.
const SHARES: Shares = Shares {
    all: 16,
    each: 1,
    kept: 0,
    queue: 4,
    wait: Duration::from_secs(10),
};
/// For which a call of the person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of one Moodle. Clones share what is on its way.
#[derive(Clone)]
pub(super) struct Arriving(Arc<Inner>);

struct Inner {
    /// By what the person's token is kept under.
    people: Mutex<HashMap<String, watch::Sender<()>>>,
    places: Places,
}

/// What of one person is on its way. Dropped: it has arrived, whatever came of it.
struct Arrival {
    of: Arriving,
    key: String,
}

impl Arriving {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner {
            people: Mutex::default(),
            places: Places::new(SHARES),
        }))
    }

    /// `None`: one of this person is on its way, or too many are.
    fn begin(&self, key: &str) -> Option<Arrival> {
        let mut people = self.0.people.lock();
        if people.len() >= MOST || people.contains_key(key) {
            return None;
        }
        people.insert(key.to_owned(), watch::Sender::new(()));
        Some(Arrival {
            of: self.clone(),
            key: key.to_owned(),
        })
    }

    fn is_on_its_way(&self, key: &str) -> bool {
        self.0.people.lock().contains_key(key)
    }

    /// Until what is on its way of the person, if anything is, has arrived.
    pub(super) async fn wait(&self, key: &str) {
        let arriving = self.0.people.lock().get(key).map(watch::Sender::subscribe);
        if let Some(mut arriving) = arriving {
            // Both ends mean that there is nothing to wait for any more.
            timeout(PATIENCE, arriving.changed()).await.ok();
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.of.0.people.lock().remove(&self.key);
    }
}

impl Moodle {
    /// The password that the CAS server told when the session began, encrypted for the gateway: makes a token of it in the
    /// background, unless one is kept or another source has one. What comes of it is told in the log. `None`: the sources are
    /// asked now, since what the session began with is not good for long. Who has a token takes no place, but for a password.
    pub fn bring(self: &Arc<Self>, session: &Arc<Session>, told: Option<String>) {
        let caller = Caller::Session(session);
        let Ok(username) = self.username(caller) else { return };
        let (name, key) = (&self.config.name, self.key(&username));
        let Some(arrival) = self.arriving.begin(&key) else {
            tracing::warn!(
                moodle = name,
                "no token is made of a sign-in: one of this person, or too many, are on their way"
            );
            return;
        };
        let (moodle, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move {
            moodle.ask_anew(&session).await;
            if told.is_none() && moodle.keeps(&key).await {
                return;
            }
            let asker = Asker::person(&session.identity);
            let Ok(_place) = moodle.arriving.0.places.take(asker).await else {
                let error = TokenError::Misconfigured("it takes too long to answer about others");
                tracing::warn!(moodle = moodle.config.name, %error, "no token is made of a sign-in");
                return;
            };
            // A call may have been refused while this one waited.
            moodle.ask_anew(&session).await;
            let caller = Caller::Session(&session);
            // A password comes with a sign-in alone: it is not dropped for a token that Moodle has deleted meanwhile.
            if let Ok(Some(kept)) = moodle.tokens.kept(&key).await {
                match moodle.is_alive(&kept.token).await {
                    Ok(false) => drop(moodle.drop_token(caller, &kept.token).await),
                    _ => return,
                }
            }
            // `find` has told of it.
            drop(moodle.token_by(caller, told.as_deref()).await);
            drop(arrival);
        });
    }

    /// Until what the person has just signed in with, if it is on its way, has brought a token. Who has one does not wait.
    pub(super) async fn wait_for_arrival(&self, key: &str) {
        if self.arriving.is_on_its_way(key) && !self.keeps(key).await {
            self.arriving.wait(key).await;
        }
    }

    /// Is a token kept? A store that does not answer keeps none.
    async fn keeps(&self, key: &str) -> bool {
        self.tokens.kept(key).await.is_ok_and(|kept| kept.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_of_each_person_is_on_its_way_and_its_calls_wait() {
        let arriving = Arriving::new();
        assert!(arriving.wait("alice").now_or_never().is_some());
        let first = arriving.begin("alice").unwrap();
        assert!(arriving.begin("alice").is_none());
        let _other = arriving.begin("bob").unwrap();
        let mut waits = pin!(arriving.wait("alice"));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(first);
        assert!(waits.now_or_never().is_some());
        assert!(arriving.begin("alice").is_some());
        // Who never arrives keeps nobody for ever.
        arriving.wait("bob").await;
    }

    #[test]
    fn there_are_never_too_many() {
        let arriving = Arriving::new();
        let all: Vec<_> = (0..MOST)
            .filter_map(|number| arriving.begin(&number.to_string()))
            .collect();
        assert_eq!(all.len(), MOST);
        assert!(arriving.begin("one more").is_none());
        drop(all);
        assert!(arriving.begin("one more").is_some());
    }
}
