//! Launch sessions: what a token allowed when a learning platform opened a page here with it, remembered by the server
//! for as long as the page is used.
//!
//! A launch session is no sign-in. It holds the roles and grants of one token, within the caps of its issuer as they are
//! now, and lives by a clock of its own. Decides which secret names which living launch session; where one may begin and
//! where it counts is decided by the routes.

mod record;

use std::sync::Arc;
use std::time::SystemTime;

use moka::future::Cache;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

use self::record::Record;
pub use self::record::{LaunchSession, NewLaunch};
use crate::authenticate::session::secret::{Stamp, key_of};
use crate::authenticate::session::{Ended, NoSession, REMEMBERED, SessionKey};
use crate::config::Config;
use crate::sealing::{MasterKeys, Purpose};
use crate::store::{Index, Notice, Store, StoreError, Table};
use crate::time::unix_millis;

/// Launch sessions remembered at most, some kB each. Beyond it the store is asked more often.
const MOST_REMEMBERED: u64 = 10_000;
/// What a notice about an ended launch session begins with; its key follows.
const ENDED: &str = "launch-ended ";

/// All launch sessions. One for the process; a reload leaves it as it is.
pub struct Launches {
    store: Store,
    stamp: Stamp,
    remembered: Cache<SessionKey, Option<Remembered>>,
    ended: Ended,
}

/// A record, and the session that it is by one configuration.
#[derive(Clone)]
struct Remembered {
    record: Arc<Record>,
    config: Arc<Config>,
    session: Option<Arc<LaunchSession>>,
}

impl Remembered {
    fn new(key: SessionKey, record: Arc<Record>, config: &Arc<Config>) -> Self {
        Self {
            session: record.session(key, config).map(Arc::new),
            config: Arc::clone(config),
            record,
        }
    }
}

impl Launches {
    pub fn new(store: &Store, keys: &MasterKeys) -> Arc<Self> {
        let remembered = Cache::builder().max_capacity(MOST_REMEMBERED);
        Arc::new(Self {
            store: store.clone(),
            stamp: Stamp::new(keys, Purpose::LaunchCookie),
            remembered: remembered.time_to_live(REMEMBERED).build(),
            ended: Ended::default(),
        })
    }

    /// Forgets here what ends elsewhere, until aborted.
    pub fn follow(self: &Arc<Self>) -> JoinHandle<()> {
        let launches = Arc::clone(self);
        let mut notices = self.store.subscribe();
        tokio::spawn(async move {
            loop {
                match notices.recv().await {
                    Ok(Notice::Message(text)) => {
                        if let Some(key) = text.strip_prefix(ENDED).and_then(SessionKey::parse) {
                            launches.ended.add(key);
                            launches.remembered.invalidate(&key).await;
                        }
                    }
                    Ok(Notice::Missed) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        launches.remembered.invalidate_all();
                    }
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        })
    }

    /// The living launch session of what a cookie holds, and it lives on: its idle time begins anew. What it may do is
    /// what `config` says now: without its issuer, or the route where it began, there is none.
    pub async fn find(
        &self,
        secret: &str,
        config: &Arc<Config>,
        now: SystemTime,
    ) -> Result<Arc<LaunchSession>, NoSession> {
        let key = key_of(secret);
        let found = match self.remembered.get(&key).await {
            Some(found) => found,
            None if self.ended.has(&key) => return Err(NoSession::Unknown),
            None if !self.stamp.made(secret) => return Err(NoSession::Unknown),
            None => self
                .remembered
                .try_get_with(key, Box::pin(self.load(key, config)))
                .await
                .map_err(NoSession::Store)?,
        };
        let found = found.ok_or(NoSession::Unknown)?;
        // For the seconds until it is forgotten after a reload.
        let session = match Arc::ptr_eq(&found.config, config) {
            true => found.session,
            false => Remembered::new(key, found.record, config).session,
        };
        alive(session, now)
    }

    /// The same without a trace: nothing lives on, and nothing is remembered.
    pub async fn peek(
        &self,
        secret: &str,
        config: &Arc<Config>,
        now: SystemTime,
    ) -> Result<Arc<LaunchSession>, NoSession> {
        let key = key_of(secret);
        if !self.stamp.made(secret) || self.ended.has(&key) {
            return Err(NoSession::Unknown);
        }
        let record = match self.remembered.get(&key).await {
            Some(found) => found.map(|found| found.record),
            None => {
                let bytes = self.store.get(Table::Launches, &key.text()).await;
                let bytes = bytes.map_err(|error| NoSession::Store(Arc::new(error)))?;
                bytes.as_deref().and_then(Record::parse).map(Arc::new)
            }
        };
        let session = record.and_then(|record| record.session(key, config));
        alive(session.map(Arc::new), now)
    }

    async fn load(&self, key: SessionKey, config: &Arc<Config>) -> Result<Option<Remembered>, StoreError> {
        let idle_times = config.routes.iter().filter_map(|route| route.launch);
        let Some(longest) = idle_times.map(|launch| launch.idle).max() else {
            return Ok(None);
        };
        let text = key.text();
        let Some(bytes) = self.store.touch(Table::Launches, &text, longest).await? else {
            return Ok(None);
        };
        let Some(record) = Record::parse(&bytes) else {
            return Ok(None);
        };
        let found = Remembered::new(key, Arc::new(record), config);
        let idle = found.session.as_ref().map(|session| session.idle);
        if let Some(idle) = idle.filter(|idle| *idle < longest) {
            self.store.touch(Table::Launches, &text, idle).await?;
        }
        Ok(Some(found))
    }

    /// A new launch session, and the secret that its browser gets.
    pub async fn begin(&self, new: NewLaunch<'_>, now: SystemTime) -> Result<String, StoreError> {
        let secret = self.stamp.make();
        let name = key_of(&secret).text();
        let life = new.launch.idle.min(new.launch.absolute);
        let lives = Some(new.launch.absolute);
        let record = Record::new(new, now);
        self.store
            .put(Table::Launches, &name, &record.bytes(), Some(life))
            .await?;
        let (index, group) = (Index::LaunchesByOrigin, &record.group);
        self.store
            .index_add(index, group, &name, unix_millis(now), lives)
            .await?;
        let all = self.store.index_members(index, group).await?;
        let surplus = all.len().saturating_sub(record::most(group));
        for (oldest, _) in all.iter().take(surplus).filter(|(oldest, _)| *oldest != name) {
            self.end_named(oldest, group).await?;
        }
        Ok(secret)
    }

    /// Ends a launch session, here and on every replica.
    pub async fn end(&self, key: SessionKey) -> Result<(), StoreError> {
        let name = key.text();
        let record = self.store.get(Table::Launches, &name).await?;
        let group = record.as_deref().and_then(Record::parse).map(|record| record.group);
        self.end_named(&name, group.as_deref().unwrap_or_default()).await
    }

    /// Ends those of a person whom the issuer may name.
    pub async fn end_all(&self, issuer: &str, subject: &str) -> Result<(), StoreError> {
        let group = record::of_subject(issuer, subject);
        for (name, _) in self.store.index_members(Index::LaunchesByOrigin, &group).await? {
            self.end_named(&name, &group).await?;
        }
        Ok(())
    }

    async fn end_named(&self, name: &str, group: &str) -> Result<(), StoreError> {
        self.store.delete(Table::Launches, name).await?;
        if let Some(key) = SessionKey::parse(name) {
            // Forgotten here before anybody hears that it is done; elsewhere within a second.
            self.ended.add(key);
            self.remembered.insert(key, None).await;
        }
        self.store.index_remove(Index::LaunchesByOrigin, group, name).await?;
        self.store.notify(&format!("{ENDED}{name}")).await
    }
}

fn alive(found: Option<Arc<LaunchSession>>, now: SystemTime) -> Result<Arc<LaunchSession>, NoSession> {
    found
        .filter(|session| session.identity.expires > now)
        .ok_or(NoSession::Unknown)
}

#[cfg(test)]
mod tests;
