//! Which secret names which living session, of any kind.
//!
//! For some seconds a session is remembered here, so that the state store is asked about it at most once in
//! [`REMEMBERED`]; what ends anywhere is forgotten everywhere at once (`Store::notify`).

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::secret::{Carried, Secrets, SessionKey};
use super::{Record, Session};
use crate::config::Config;
use crate::observe::metrics::SessionMetrics;
use crate::sealing::MasterKeys;
use crate::store::{Index, Notice, Store, StoreError, Table};
use crate::time::unix_millis;

/// How long a session is believed without asking the store again: what was missed of the others' notices ends here.
pub(in crate::authenticate) const REMEMBERED: Duration = Duration::from_secs(5);
/// Sessions of a kind remembered at most, some kB each: more people than press anything within [`REMEMBERED`]. Beyond it
/// the store is asked more often.
const MOST_REMEMBERED: u64 = 10_000;
/// Ended sessions that are remembered, and for how long: longer than any should last. Whoever can write to the store can put
/// a record back that was taken out of it.
const MOST_ENDED: u64 = 200_000;
const ENDED_FOR: Duration = Duration::from_secs(31 * 24 * 3600);

/// A living session; `None`: it has ended, expired, or was never there. `Err`: nobody knows, the store does not answer.
pub type Found<R> = Result<Option<Arc<Session<R>>>, Arc<StoreError>>;

/// How a session ends because its group has too many.
pub const TOO_MANY: &str = "too_many";

/// What is done about a session that ends before its time: name, record and how it ends.
pub type AtEnd<R> = Box<dyn Fn(SessionKey, Arc<R>, &'static str) -> BoxFuture<'static, ()> + Send + Sync>;

/// All sessions of a kind. One for the process; a reload leaves it as it is.
pub struct SessionStore<R: Record> {
    pub(in crate::authenticate) store: Store,
    secrets: Secrets,
    pub(super) remembered: Cache<SessionKey, Option<Arc<Session<R>>>>,
    /// The sessions that this process saw the end of: none of them lives again, whatever the store says.
    pub(super) ended: moka::sync::Cache<SessionKey, ()>,
    metrics: Option<SessionMetrics>,
    at_end: OnceLock<AtEnd<R>>,
}

impl<R: Record> SessionStore<R> {
    /// `metrics`: where sessions of this kind are counted.
    pub fn new(store: &Store, keys: &MasterKeys, metrics: Option<SessionMetrics>) -> Arc<Self> {
        let remembered = Cache::builder().max_capacity(MOST_REMEMBERED);
        let ended = moka::sync::Cache::builder()
            .max_capacity(MOST_ENDED)
            .time_to_live(ENDED_FOR);
        Arc::new(Self {
            store: store.clone(),
            secrets: Secrets::new(keys, R::COOKIE, R::BEARER),
            remembered: remembered.time_to_live(REMEMBERED).build(),
            // The latest ends matter most, and every one of them is new.
            ended: ended.eviction_policy(EvictionPolicy::lru()).build(),
            metrics,
            at_end: OnceLock::new(),
        })
    }

    /// From now on this is done about each session that ends before its time: once, by the process that ends it, after the
    /// session is gone and before anybody hears of it. Only the first one counts.
    pub fn at_end(&self, told: AtEnd<R>) {
        self.at_end.get_or_init(|| told);
    }

    /// Forgets here what ends elsewhere, and counts what is in use, until aborted.
    pub fn follow(self: &Arc<Self>) -> JoinHandle<()> {
        let (sessions, mut notices) = (Arc::clone(self), self.store.subscribe());
        let mut counted = interval(REMEMBERED);
        counted.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::spawn(async move {
            loop {
                let notice = tokio::select! {
                    notice = notices.next() => notice,
                    _ = counted.tick() => {
                        sessions.count().await;
                        continue;
                    }
                };
                match notice {
                    Some(Notice::Message(text)) => {
                        if let Some(key) = text.strip_prefix(R::ENDED).and_then(SessionKey::parse) {
                            sessions.ended.insert(key, ());
                            sessions.remembered.invalidate(&key).await;
                        }
                    }
                    Some(Notice::Missed) => sessions.remembered.invalidate_all(),
                    None => return,
                }
            }
        })
    }

    async fn count(&self) {
        if let Some(metrics) = &self.metrics {
            self.remembered.run_pending_tasks().await;
            metrics.in_use(i64::try_from(self.remembered.entry_count()).unwrap_or(i64::MAX));
        }
    }

    /// The living session of a secret, and it lives on: its idle time begins anew. What it may do is what `config` says
    /// now; where that has not what the session began by, there is none.
    pub async fn find(&self, carried: &Carried<'_>, config: &Arc<Config>, now: SystemTime) -> Found<R> {
        let key = carried.key();
        let found = match self.remembered.get(&key).await {
            Some(found) => found,
            None if self.ended.contains_key(&key) || !self.secrets.made(carried) => return Ok(None),
            // Requests that come together ask the store once.
            None => {
                let load = Box::pin(self.load(key, config));
                self.remembered.try_get_with(key, load).await?
            }
        };
        Ok(alive(found, config, now).filter(|session| session.carrier == carried.carrier))
    }

    /// The same without a trace: nothing lives on, and nothing is remembered.
    pub async fn peek(&self, carried: &Carried<'_>, config: &Arc<Config>, now: SystemTime) -> Found<R> {
        let key = carried.key();
        if self.ended.contains_key(&key) || !self.secrets.made(carried) {
            return Ok(None);
        }
        let found = match self.remembered.get(&key).await {
            Some(found) => found,
            None => {
                let record = self.read(key).await?;
                record.and_then(|record| Session::new(key, Arc::new(record), config).map(Arc::new))
            }
        };
        Ok(alive(found, config, now).filter(|session| session.carrier == carried.carrier))
    }

    /// The living session of this name, without its secret: for what the gateway has sealed itself. It lives on.
    pub async fn named(&self, key: SessionKey, config: &Arc<Config>, now: SystemTime) -> Found<R> {
        if self.ended.contains_key(&key) {
            return Ok(None);
        }
        let load = Box::pin(self.load(key, config));
        Ok(alive(self.remembered.try_get_with(key, load).await?, config, now))
    }

    async fn load(&self, key: SessionKey, config: &Arc<Config>) -> Result<Option<Arc<Session<R>>>, StoreError> {
        // Mostly there is one idle time for all, and one question is enough.
        let Some(longest) = R::longest_idle(config) else {
            return Ok(None);
        };
        let text = key.text();
        let bytes = self.store.touch(R::TABLE, &text, longest).await?;
        let record = bytes.as_deref().and_then(parse).map(Arc::new);
        let session = record.and_then(|record| Session::new(key, record, config));
        if let Some(session) = session.as_ref().filter(|session| session.idle < longest) {
            self.store.touch(R::TABLE, &text, session.idle).await?;
        }
        Ok(session.map(Arc::new))
    }

    async fn read(&self, key: SessionKey) -> Result<Option<R>, StoreError> {
        Ok(self.store.get(R::TABLE, &key.text()).await?.as_deref().and_then(parse))
    }

    /// A new session and the secret that its owner gets. Beyond as many as its group may have the oldest one ends.
    pub async fn begin(
        &self,
        record: R,
        config: &Arc<Config>,
        now: SystemTime,
    ) -> Result<(String, Arc<Session<R>>), StoreError> {
        let (secret, key) = self.secrets.make(record.carrier());
        let session = Session::new(key, Arc::new(record), config).ok_or(StoreError::Worker)?;
        let (record, limits) = (&*session.record, session.limits);
        let (name, group, lives) = (key.text(), record.group(), Some(limits.absolute));
        // The ticket first: a logout that overtakes us finds what to end.
        if let Some(ticket) = record.ticket() {
            self.store.put(Table::Tickets, ticket, name.as_bytes(), lives).await?;
        }
        // Strings, numbers and lists always can be written.
        let bytes = serde_json::to_vec(record).unwrap_or_default();
        let life = limits.idle.min(limits.absolute);
        self.store.put(R::TABLE, &name, &bytes, Some(life)).await?;
        self.store
            .index_add(R::INDEX, &group, &name, unix_millis(now), lives)
            .await?;
        for group in record.provider_groups() {
            let index = Index::SessionsByProvider;
            self.store
                .index_add(index, &group, &name, unix_millis(now), lives)
                .await?;
            // Of those that have expired by themselves only the names were left.
            let oldest = unix_millis(now.checked_sub(limits.absolute).unwrap_or(SystemTime::UNIX_EPOCH));
            for (gone, began) in self.store.index_members(index, &group).await? {
                if began < oldest {
                    self.store.index_remove(index, &group, &gone).await?;
                }
            }
        }
        let mut all = self.store.index_members(R::INDEX, &group).await?;
        all.truncate(all.len().saturating_sub(limits.per_subject));
        all.retain(|(oldest, _)| *oldest != name);
        self.end_each(&group, all, TOO_MANY).await?;
        if let Some(metrics) = &self.metrics {
            metrics.begun(&session.identity.source);
        }
        Ok((secret, Arc::new(session)))
    }

    /// Ends a session, here and on every replica. True: there was one. `how` is told to the metrics.
    pub async fn end(&self, key: SessionKey, how: &'static str) -> Result<bool, StoreError> {
        let name = key.text();
        let record = self.read(key).await?.map(Arc::new);
        let was_there = self.store.delete(R::TABLE, &name).await?;
        // Forgotten here before anybody hears that it is done; elsewhere within a second.
        self.ended.insert(key, ());
        // Of several who end it one does what follows, to the end, even if the client that wanted it is gone.
        let ours = self.at_end.get().filter(|_| was_there).zip(record.clone());
        let follows = ours.map(|(at_end, record)| tokio::spawn(at_end(key, record, how)));
        self.remembered.insert(key, None).await;
        if let Some(record) = record {
            self.store.index_remove(R::INDEX, &record.group(), &name).await?;
            if let Some(ticket) = record.ticket() {
                self.store.delete(Table::Tickets, ticket).await?;
            }
            let groups = record.provider_groups();
            for group in &groups {
                self.store.index_remove(Index::SessionsByProvider, group, &name).await?;
            }
            if !groups.is_empty() {
                self.store.delete(Table::IdTokens, &name).await?;
            }
        }
        if let Some(follows) = follows {
            // An error says that it has panicked, which the log tells.
            follows.await.ok();
        }
        self.store.notify(&format!("{}{name}", R::ENDED)).await?;
        if let Some(metrics) = self.metrics.as_ref().filter(|_| was_there) {
            metrics.ended(how);
        }
        Ok(was_there)
    }

    /// Ends some of a group, or all of it.
    pub(in crate::authenticate) async fn end_each(
        &self,
        group: &str,
        members: Vec<(String, u64)>,
        how: &'static str,
    ) -> Result<(), StoreError> {
        for (name, _) in members {
            if let Some(key) = SessionKey::parse(&name) {
                self.end(key, how).await?;
            }
            // Of one that has expired by itself only the name was left.
            self.store.index_remove(R::INDEX, group, &name).await?;
        }
        Ok(())
    }
}

/// `None` for what an older or newer version wrote differently: that person signs in, or launches, again.
fn parse<R: Record>(bytes: &[u8]) -> Option<R> {
    serde_json::from_slice(bytes).ok()
}

fn alive<R: Record>(found: Option<Arc<Session<R>>>, config: &Arc<Config>, now: SystemTime) -> Option<Arc<Session<R>>> {
    let mut session = found?;
    // For the seconds until it is forgotten after a reload.
    if !Arc::ptr_eq(&session.config, config) {
        session = Arc::new(Session::new(session.key, Arc::clone(&session.record), config)?);
    }
    (session.expires > now).then_some(session)
}
