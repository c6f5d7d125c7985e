//! Who signed in, remembered by the server: sessions in the state store, found by what a client carries.
//!
//! Decides which secret names which living session. Who may have one is decided by the sign-in, what a person may do by
//! the route's rules. For some seconds a session is remembered here, so that the store is asked about it at most once in
//! [`REMEMBERED`]; what ends anywhere is forgotten everywhere at once (`Store::notify`).

pub mod cookie;
mod record;
pub mod secret;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

pub use self::record::NewSession;
use self::record::Record;
use self::secret::Secrets;
pub use self::secret::{Carried, Carrier, SessionKey};
use crate::authenticate::sign_in::cas::{Attributes, Ticket};
use crate::config::SignIn;
use crate::identity::Identity;
use crate::observe::metrics::SessionMetrics;
use crate::sealing::MasterKeys;
use crate::store::{Index, Notice, Store, StoreError, Table};
use crate::time::unix_millis;

/// How long a session is believed without asking the store again: what was missed of the others' notices ends here.
pub const REMEMBERED: Duration = Duration::from_secs(5);
/// Sessions remembered at most, some 1.6 kB each: more people than press anything within [`REMEMBERED`]. Beyond it the store
/// is asked more often.
const MOST_REMEMBERED: u64 = 10_000;
/// Ended sessions that are remembered, and for how long: longer than any should last. Whoever can write to the store can put
/// a record back that was taken out of it.
const MOST_ENDED: u64 = 200_000;
const ENDED_FOR: Duration = Duration::from_secs(31 * 24 * 3600);
/// What a notice about an ended session begins with; its key follows.
pub const ENDED: &str = "session-ended ";

/// A person's session, alive when it was looked up.
#[derive(Debug, Clone)]
pub struct Session {
    pub key: SessionKey,
    pub carrier: Carrier,
    /// The name of the sign-in is its source.
    pub identity: Arc<Identity>,
    /// What the CAS server called the user.
    pub user: String,
    pub attributes: Attributes,
    pub created: SystemTime,
    /// Whatever happens.
    pub expires: SystemTime,
    /// After the last request.
    pub idle: Duration,
}

impl Session {
    /// A cookie is sent by the browser whoever made it send the request.
    pub fn is_by_cookie(&self) -> bool {
        self.carrier == Carrier::Cookie
    }
}

/// Why nobody is signed in who carries a secret.
#[derive(Debug)]
pub enum NoSession {
    /// Ended, expired, or never there.
    Unknown,
    /// Nobody knows: the store does not answer.
    Store(Arc<StoreError>),
}

/// All sessions. One for the process; a reload leaves it as it is.
pub struct Sessions {
    store: Store,
    secrets: Secrets,
    remembered: Cache<SessionKey, Option<Arc<Session>>>,
    ended: Ended,
    metrics: SessionMetrics,
}

impl Sessions {
    pub fn new(store: &Store, keys: &MasterKeys, metrics: SessionMetrics) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            secrets: Secrets::new(keys),
            remembered: Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .time_to_live(REMEMBERED)
                .build(),
            ended: Ended::default(),
            metrics,
        })
    }

    /// Forgets here what ends elsewhere, and counts what is in use, until aborted.
    pub fn follow(self: &Arc<Self>) -> JoinHandle<()> {
        let sessions = Arc::clone(self);
        let mut notices = self.store.subscribe();
        let mut counted = tokio::time::interval(REMEMBERED);
        counted.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::spawn(async move {
            loop {
                let notice = tokio::select! {
                    notice = notices.recv() => notice,
                    _ = counted.tick() => {
                        sessions.count().await;
                        continue;
                    }
                };
                match notice {
                    Ok(Notice::Message(text)) => {
                        if let Some(key) = text.strip_prefix(ENDED).and_then(SessionKey::parse) {
                            sessions.ended.add(key);
                            sessions.remembered.invalidate(&key).await;
                        }
                    }
                    Ok(Notice::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        sessions.remembered.invalidate_all();
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        })
    }

    async fn count(&self) {
        self.remembered.run_pending_tasks().await;
        let count = i64::try_from(self.remembered.entry_count()).unwrap_or(i64::MAX);
        self.metrics.in_use(count);
    }

    /// The living session of a secret, and it lives on: its idle time begins anew. `sign_ins` are those of the running
    /// configuration: whoever signed in by one that is gone has no session.
    pub async fn find(
        &self,
        carried: &Carried<'_>,
        sign_ins: &[SignIn],
        now: SystemTime,
    ) -> Result<Arc<Session>, NoSession> {
        let key = carried.key();
        let found = match self.remembered.get(&key).await {
            Some(found) => found,
            None if self.ended.has(&key) => return Err(NoSession::Unknown),
            None if !self.secrets.made(carried) => return Err(NoSession::Unknown),
            // Requests that come together ask the store once.
            None => self
                .remembered
                .try_get_with(key, Box::pin(self.load(key, sign_ins)))
                .await
                .map_err(NoSession::Store)?,
        };
        alive(found, carried, now)
    }

    /// The same without a trace: nothing lives on, and nothing is remembered.
    pub async fn peek(
        &self,
        carried: &Carried<'_>,
        sign_ins: &[SignIn],
        now: SystemTime,
    ) -> Result<Arc<Session>, NoSession> {
        let key = carried.key();
        if !self.secrets.made(carried) || self.ended.has(&key) {
            return Err(NoSession::Unknown);
        }
        let found = match self.remembered.get(&key).await {
            Some(found) => found,
            None => {
                let bytes = self.store.get(Table::Sessions, &key.text()).await;
                let bytes = bytes.map_err(|error| NoSession::Store(Arc::new(error)))?;
                let record = bytes.as_deref().and_then(Record::parse);
                record.and_then(|record| record.session(key, sign_ins)).map(Arc::new)
            }
        };
        alive(found, carried, now)
    }

    /// The living session of this name, without its secret: for what the gateway has sealed itself.
    pub async fn named(
        &self,
        key: SessionKey,
        sign_ins: &[SignIn],
        now: SystemTime,
    ) -> Result<Option<Arc<Session>>, Arc<StoreError>> {
        if self.ended.has(&key) {
            return Ok(None);
        }
        let found = self
            .remembered
            .try_get_with(key, Box::pin(self.load(key, sign_ins)))
            .await?;
        Ok(found.filter(|session| session.expires > now))
    }

    async fn load(&self, key: SessionKey, sign_ins: &[SignIn]) -> Result<Option<Arc<Session>>, StoreError> {
        // Mostly there is one idle time for all, and one question is enough.
        let longest = sign_ins.iter().map(|sign_in| sign_in.session.idle).max();
        let Some(longest) = longest else { return Ok(None) };
        let text = key.text();
        let Some(bytes) = self.store.touch(Table::Sessions, &text, longest).await? else {
            return Ok(None);
        };
        let session = Record::parse(&bytes).and_then(|record| record.session(key, sign_ins));
        if let Some(session) = session.as_ref().filter(|session| session.idle < longest) {
            self.store.touch(Table::Sessions, &text, session.idle).await?;
        }
        Ok(session.map(Arc::new))
    }

    /// A new session and the secret that its owner gets. Beyond `per_subject` the person's oldest one ends.
    pub async fn begin(
        &self,
        sign_in: &SignIn,
        new: NewSession,
        carrier: Carrier,
        now: SystemTime,
    ) -> Result<(String, Arc<Session>), StoreError> {
        let (secret, key) = self.secrets.make(carrier);
        let limits = sign_in.session;
        let record = Record::new(sign_in, new, carrier, now);
        let (name, group) = (key.text(), group(&sign_in.name, &record.subject));
        let life = limits.idle.min(limits.absolute);
        // The ticket first: a logout that overtakes us finds what to end.
        if let Some(ticket) = &record.ticket {
            let lives = Some(limits.absolute);
            self.store.put(Table::Tickets, ticket, name.as_bytes(), lives).await?;
        }
        self.store
            .put(Table::Sessions, &name, &record.bytes(), Some(life))
            .await?;
        let lives = Some(limits.absolute);
        self.store
            .index_add(Index::SessionsBySubject, &group, &name, unix_millis(now), lives)
            .await?;
        let all = self.store.index_members(Index::SessionsBySubject, &group).await?;
        let surplus = all.len().saturating_sub(limits.per_subject);
        for (oldest, _) in all.iter().take(surplus).filter(|(oldest, _)| *oldest != name) {
            if let Some(oldest) = SessionKey::parse(oldest)
                && !self.end(oldest, "too_many").await?
            {
                // It has expired by itself, and only its name was left.
                let index = Index::SessionsBySubject;
                self.store.index_remove(index, &group, &oldest.text()).await?;
            }
        }
        self.metrics.begun(&sign_in.name);
        let session = record.session(key, std::slice::from_ref(sign_in));
        let session = session.ok_or(StoreError::Worker)?;
        Ok((secret, Arc::new(session)))
    }

    /// Ends a session, here and on every replica. True: there was one. `how` is told to the metrics.
    pub async fn end(&self, key: SessionKey, how: &'static str) -> Result<bool, StoreError> {
        let name = key.text();
        let record = self.store.get(Table::Sessions, &name).await?;
        let was_there = self.store.delete(Table::Sessions, &name).await?;
        // Forgotten here before anybody hears that it is done; elsewhere within a second.
        self.ended.add(key);
        self.remembered.insert(key, None).await;
        if let Some(record) = record.as_deref().and_then(Record::parse) {
            let group = group(&record.sign_in, &record.subject);
            self.store.index_remove(Index::SessionsBySubject, &group, &name).await?;
            if let Some(ticket) = &record.ticket {
                self.store.delete(Table::Tickets, ticket).await?;
            }
        }
        self.store.notify(&format!("{ENDED}{name}")).await?;
        if was_there {
            self.metrics.ended(how);
        }
        Ok(was_there)
    }

    /// Another ticket of the same person came to this session: single logout may name either of them. The record stays as
    /// it is, since a change of it could bring back what ends meanwhile.
    pub async fn also_by(&self, session: &Session, ticket: &Ticket, now: SystemTime) -> Result<(), StoreError> {
        let lives = session.expires.duration_since(now).unwrap_or_default();
        let name = session.key.text();
        self.store
            .put(Table::Tickets, ticket.as_str(), name.as_bytes(), Some(lives))
            .await
    }

    /// Ends the session that this ticket began, or was added to.
    pub async fn end_by_ticket(&self, ticket: &str) -> Result<Option<SessionKey>, StoreError> {
        let key = self.store.get(Table::Tickets, ticket).await?;
        let key = key.and_then(|bytes| SessionKey::parse(std::str::from_utf8(&bytes).ok()?));
        let Some(key) = key else { return Ok(None) };
        Ok(self.end(key, "single_logout").await?.then_some(key))
    }
}

/// The sessions that this process saw the end of: none of them lives again, whatever the store says.
pub struct Ended(moka::sync::Cache<SessionKey, ()>);

impl Default for Ended {
    fn default() -> Self {
        let ended = moka::sync::Cache::builder()
            .max_capacity(MOST_ENDED)
            .time_to_live(ENDED_FOR);
        // The latest ends matter most, and every one of them is new.
        Self(ended.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Ended {
    pub fn add(&self, key: SessionKey) {
        self.0.insert(key, ());
    }

    pub fn has(&self, key: &SessionKey) -> bool {
        self.0.contains_key(key)
    }
}

fn alive(found: Option<Arc<Session>>, carried: &Carried<'_>, now: SystemTime) -> Result<Arc<Session>, NoSession> {
    let alive = found.filter(|session| session.expires > now && session.carrier == carried.carrier);
    alive.ok_or(NoSession::Unknown)
}

/// The name is the sign-in's, which has no slash in it.
fn group(sign_in: &str, subject: &str) -> String {
    format!("{sign_in}/{subject}")
}

#[cfg(test)]
mod tests;
