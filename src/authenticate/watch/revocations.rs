//! Which watch passes and launch sessions an operator has ended, by subject or by event. In memory for every request; in
//! the store, as long as a pass could live, for restarts and other replicas.
//!
//! A revocation ends the passes issued up to its moment; who brings a valid token afterwards is let in again.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Pass;
use crate::store::{Index, Notice, Store, StoreError};
use crate::time::unix_seconds;

const GROUP: &str = "all";
/// The notice by which processes on the same store learn that there is a new revocation.
const NOTICE: &str = "watch-passes-revoked";
/// Between two looks at the store, should a notice be lost or the store be away.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// No pass lives longer, whatever is configured: `watch.ttl` and `watch_max` end there.
const LONGEST_PASS: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Bytes of a subject or an event's id.
const MAX_NAME: usize = 256;

/// Whose passes are ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Revoked {
    /// Those of this subject, whoever issued its tokens.
    Subject(String),
    /// Those for a path with this value at any parameter.
    Event(String),
}

/// Why a revocation may not hold.
#[derive(Debug, Error)]
pub enum RevocationError {
    #[error("a name of at most {MAX_NAME} bytes is needed")]
    Name,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The revocations in force. Clones share them.
#[derive(Clone)]
pub struct Revocations {
    store: Store,
    /// Each with its moment in seconds since 1970.
    known: Arc<ArcSwap<HashMap<Revoked, u64>>>,
    /// The store was away when it was to be read first. Until it is, it is not known what has ended, so everything has.
    is_unread: Arc<AtomicBool>,
}

impl Revocations {
    /// None known yet.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            known: Arc::default(),
            is_unread: Arc::default(),
        }
    }

    /// Reads what the store has, before the first request. One that is away is read when it is back, by
    /// [`follow`](Self::follow).
    pub async fn begin(&self, now: SystemTime) -> Result<(), StoreError> {
        match self.load(now).await {
            Err(StoreError::Away { detail }) => {
                tracing::warn!(detail, "no watch pass counts until the state store was read");
                self.is_unread.store(true, Ordering::Relaxed);
                Ok(())
            }
            read => read,
        }
    }

    /// Was the store away from the start?
    pub fn is_unread(&self) -> bool {
        self.is_unread.load(Ordering::Relaxed)
    }

    /// Ends the passes that were issued up to `now`. On return no request of this process passes with one of them; other
    /// processes on the same store follow within a second.
    pub async fn revoke(&self, revoked: Revoked, now: SystemTime) -> Result<(), RevocationError> {
        let (Revoked::Subject(name) | Revoked::Event(name)) = &revoked;
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(RevocationError::Name);
        }
        let at = unix_seconds(now);
        let member = revoked.member();
        // Here first: it holds for this process even if the store fails.
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(revoked.clone(), at);
            known
        });
        self.store
            .index_add(Index::Revocations, GROUP, &member, at, Some(LONGEST_PASS))
            .await?;
        self.store.notify(NOTICE).await?;
        Ok(())
    }

    /// Was this pass, for these path parameters, ended?
    pub fn ended<'a>(&self, pass: &Pass, params: impl IntoIterator<Item = &'a str>) -> bool {
        self.ended_since(pass.issued, pass.subject.as_deref(), params)
    }

    /// The same of anything that was given to this subject, for these events, at this moment.
    pub fn ended_since<'a>(
        &self,
        issued: SystemTime,
        subject: Option<&str>,
        events: impl IntoIterator<Item = &'a str>,
    ) -> bool {
        if self.is_unread() {
            return true;
        }
        let known = self.known.load();
        if known.is_empty() {
            return false;
        }
        let issued = unix_seconds(issued);
        let ends = |revoked: &Revoked| known.get(revoked).is_some_and(|at| issued <= *at);
        let subject = subject.map(|subject| Revoked::Subject(subject.to_owned()));
        subject.is_some_and(|subject| ends(&subject))
            || events.into_iter().any(|value| ends(&Revoked::Event(value.to_owned())))
    }

    /// Reads what the store has. What this process knows besides stays.
    pub async fn load(&self, now: SystemTime) -> Result<(), StoreError> {
        let members = self.store.index_members(Index::Revocations, GROUP).await?;
        let now = unix_seconds(now);
        let is_over = |at: u64| now.saturating_sub(at) > LONGEST_PASS.as_secs();
        for (member, _) in members.iter().filter(|(_, at)| is_over(*at)) {
            self.store.index_remove(Index::Revocations, GROUP, member).await?;
        }
        self.known.rcu(|known| {
            let mut all = HashMap::clone(known);
            for (member, at) in &members {
                if let Some(revoked) = Revoked::of_member(member) {
                    let known = all.entry(revoked).or_default();
                    *known = (*at).max(*known);
                }
            }
            all.retain(|_, at| !is_over(*at));
            all
        });
        self.is_unread.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Follows what other processes revoke. Never ends. `now` tells the time.
    pub async fn follow(self, now: impl Fn() -> SystemTime + Send) {
        let mut notices = self.store.subscribe();
        let mut is_away = false;
        loop {
            match self.load(now()).await {
                Ok(()) => is_away = false,
                Err(error) if !is_away => {
                    is_away = true;
                    tracing::warn!(%error, "revocations by other replicas are not heard while the store is away");
                }
                Err(_) => {}
            }
            let is_another = |notice| matches!(notice, Some(Notice::Message(message)) if &*message != NOTICE);
            let news = async { while is_another(notices.next().await) {} };
            tokio::time::timeout(LOOK_AGAIN, news).await.ok();
        }
    }
}

impl Revoked {
    fn member(&self) -> String {
        match self {
            Self::Subject(subject) => format!("subject:{subject}"),
            Self::Event(event) => format!("event:{event}"),
        }
    }

    fn of_member(member: &str) -> Option<Self> {
        match member.split_once(':')? {
            ("subject", subject) => Some(Self::Subject(subject.to_owned())),
            ("event", event) => Some(Self::Event(event.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Settled;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + seconds)
    }

    fn pass(issued: u64, subject: Option<&str>) -> Pass {
        Pass {
            issued: at(issued),
            expires: at(issued + 3600),
            issuer: "moodle".into(),
            subject: subject.map(str::to_owned),
            settled: Settled::default(),
            viewer: None,
        }
    }

    #[tokio::test]
    async fn ends_what_was_issued_before_and_nothing_else() {
        let store = Store::in_memory();
        let revocations = Revocations::new(store.clone());
        revocations
            .revoke(Revoked::Subject("anna".into()), at(10))
            .await
            .unwrap();
        revocations
            .revoke(Revoked::Event("lecture-1".into()), at(20))
            .await
            .unwrap();
        let other = Revocations::new(store);
        other.load(at(30)).await.unwrap();
        for revocations in [revocations, other] {
            let ended =
                |issued, subject, params: &[&str]| revocations.ended(&pass(issued, subject), params.iter().copied());
            assert!(ended(10, Some("anna"), &["mh", "lecture-2"]));
            assert!(!ended(11, Some("anna"), &["mh", "lecture-2"]));
            assert!(!ended(5, Some("bert"), &["mh", "lecture-2"]) && !ended(5, None, &["anna"]));
            assert!(ended(20, None, &["mh", "lecture-1"]) && !ended(21, None, &["mh", "lecture-1"]));
            let week = LONGEST_PASS.as_secs();
            revocations.load(at(16 + week)).await.unwrap();
            assert!(!ended(10, Some("anna"), &[]) && revocations.known.load().len() == 1);
        }
    }

    #[tokio::test]
    async fn what_another_process_revokes_is_heard() {
        let store = Store::in_memory();
        let (here, there) = (Revocations::new(store.clone()), Revocations::new(store));
        let following = tokio::spawn(there.clone().follow(|| at(50)));
        here.revoke(Revoked::Event("e".into()), at(40)).await.unwrap();
        let heard = async {
            while !there.ended(&pass(40, None), ["e"]) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), heard).await.unwrap();
        following.abort();
    }

    #[tokio::test]
    async fn a_name_is_needed() {
        let revocations = Revocations::new(Store::in_memory());
        for name in [String::new(), "x".repeat(257)] {
            let revoked = revocations.revoke(Revoked::Event(name), at(0)).await;
            assert!(matches!(revoked, Err(RevocationError::Name)));
        }
    }
}
