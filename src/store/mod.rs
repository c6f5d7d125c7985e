//! What outlives a request, and mostly a restart: sealed values and small ordered sets, in memory, in one crash-safe
//! file or on a Valkey that several gateways share.
//!
//! One contract for all three, held by one set of tests. The store knows keys, bytes and how long they live; what they
//! mean is decided by who wrote them.

mod backend;
mod embedded;
mod envelope;
mod error;
mod memory;
mod notices;
mod pages;
mod place;
mod record;
mod valkey;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use self::backend::Backend;
use self::embedded::look;
pub use self::embedded::look::Seen;
pub use self::error::StoreError;
use self::memory::Memory;
use self::notices::NOTICE;
pub use self::notices::{Notice, Notices};
pub use self::pages::{Page, Rotated};
pub use self::place::{Index, Table};
use self::place::{Location, Name};
use self::record::Change;
use self::valkey::Heard;
use crate::config::State;
use crate::observe::metrics::{Metrics, StoreMetrics, StoreOperation};
use crate::sealing::{MasterKeys, Purpose, Sealer};

/// Notices that a slow subscriber may be behind before it misses some.
const NOTICES: usize = 1024;

/// A handle on the store; clones share it.
///
/// Every call may fail with a [`StoreError`], at once or after a second or two: the store is then away, and nothing is
/// known about what it holds. Times to live are kept by the store itself; what has expired is not there.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    /// None: the values never leave this process.
    sealer: Option<Sealer>,
    notices: broadcast::Sender<Notice>,
    metrics: StoreMetrics,
    /// Was a value found that no key opens? One line in the log says it, the metric counts on.
    has_met_unreadable: AtomicBool,
}

impl Store {
    /// Opens what the configuration names; values are sealed by `keys`, for [`Purpose::Store`].
    ///
    /// A missing file is made (0600), a missing folder too (0700). A Valkey need not be there yet. Errors: the file
    /// cannot be used.
    pub fn open(state: &State, keys: &MasterKeys, metrics: &Metrics) -> Result<Self, StoreError> {
        let (metrics, notices) = (metrics.store(), broadcast::Sender::new(NOTICES));
        let sealer = keys.sealer(Purpose::Store);
        let (opener, out) = (sealer.clone(), notices.clone());
        let hear = move |heard: Heard<'_>| {
            if let Some(notice) = notices::opened(&opener, heard) {
                out.send(notice).ok(); // an error says that nobody listens
            }
        };
        let backend = Backend::open(state, &metrics, hear)?;
        let sealer = Some(sealer).filter(|_| !matches!(state, State::Memory));
        Ok(Self::new(backend, sealer, notices, metrics))
    }

    /// Looks at an existing state file, and changes nothing of it: could [`open`](Self::open) use it now?
    ///
    /// # Errors
    /// The one that opening it would give.
    pub fn look(path: &Path) -> Result<Seen, StoreError> {
        look::file(path)
    }

    /// An empty store that is gone with its last handle, for what asks the modules something without being a gateway.
    pub fn in_memory() -> Self {
        let backend = Backend::Memory(Memory::default());
        Self::new(backend, None, broadcast::Sender::new(NOTICES), Metrics::new().store())
    }

    fn new(
        backend: Backend,
        sealer: Option<Sealer>,
        notices: broadcast::Sender<Notice>,
        metrics: StoreMetrics,
    ) -> Self {
        let inner = Inner {
            backend,
            sealer,
            notices,
            metrics,
            has_met_unreadable: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The value under `key`. One that no master key opens counts as absent.
    pub async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = Name::new(table, key);
        let found = self.timed(StoreOperation::Get, self.inner.backend.get(name.location()));
        Ok(found.await?.and_then(|bytes| self.opened(&name, &bytes)))
    }

    /// Puts `value` under `key`, over what stood there, for `ttl` from now or until it is deleted.
    ///
    /// On return every process on this store sees it. In a file it survives a crash from 50 ms later on; a key set
    /// from the return on.
    pub async fn put(&self, table: Table, key: &str, value: &[u8], ttl: Option<Duration>) -> Result<(), StoreError> {
        self.put_either(table, key, value, ttl, false).await.map(drop)
    }

    /// The same, but only if nothing stands there. True: it was put. Of several at once exactly one is told so.
    pub async fn put_new(
        &self,
        table: Table,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
    ) -> Result<bool, StoreError> {
        self.put_either(table, key, value, ttl, true).await
    }

    async fn put_either(
        &self,
        table: Table,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
        only_new: bool,
    ) -> Result<bool, StoreError> {
        let name = Name::new(table, key);
        let bytes = envelope::wrap(self.inner.sealer.as_ref(), &name, value);
        let put = Change::Put { bytes, ttl, only_new };
        self.change(StoreOperation::Put, name.location(), put).await
    }

    /// The value under `key`, which from now on lives for another `ttl`. What was deleted meanwhile stays so.
    pub async fn touch(&self, table: Table, key: &str, ttl: Duration) -> Result<Option<Vec<u8>>, StoreError> {
        let name = Name::new(table, key);
        let found = self.timed(StoreOperation::Put, self.inner.backend.touch(name.location(), ttl));
        Ok(found.await?.and_then(|bytes| self.opened(&name, &bytes)))
    }

    /// Removes what stands under `key`. True: there was something. Of several at once exactly one is told so.
    pub async fn delete(&self, table: Table, key: &str) -> Result<bool, StoreError> {
        let at = Name::new(table, key).location();
        self.change(StoreOperation::Delete, at, Change::Delete).await
    }

    /// Adds `member` to a group, or gives it another score (below 2^53). The whole group lives for `ttl` from now, or
    /// longer if an earlier member said so; `None`: until it is empty.
    ///
    /// Groups are small, up to some hundred members, and members are no secrets: they are not sealed.
    pub async fn index_add(
        &self,
        index: Index,
        group: &str,
        member: &str,
        score: u64,
        ttl: Option<Duration>,
    ) -> Result<(), StoreError> {
        let member = member.to_owned();
        let add = Change::AddMember { member, score, ttl };
        let added = self.change(StoreOperation::Index, Location::of(index, group), add);
        added.await.map(drop)
    }

    /// The members of a group with their scores, the lowest first; none if there is no such group.
    pub async fn index_members(&self, index: Index, group: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let members = self.inner.backend.members(Location::of(index, group));
        self.timed(StoreOperation::Index, members).await
    }

    /// Takes `member` out of a group. True: it was in it.
    pub async fn index_remove(&self, index: Index, group: &str, member: &str) -> Result<bool, StoreError> {
        let member = member.to_owned();
        let remove = Change::RemoveMember { member };
        self.change(StoreOperation::Index, Location::of(index, group), remove)
            .await
    }

    /// Tells every subscriber of every process on this store, this one too, within a second.
    pub async fn notify(&self, message: &str) -> Result<(), StoreError> {
        let seal = || {
            let sealer = self.inner.sealer.as_ref();
            sealer.map_or_else(Vec::new, |sealer| sealer.seal(NOTICE, message.as_bytes()))
        };
        let published = self.timed(StoreOperation::Notify, self.inner.backend.publish(seal));
        if !published.await? {
            let notice = Notice::Message(message.into());
            self.inner.notices.send(notice).ok(); // an error says that nobody listens
        }
        Ok(())
    }

    /// What [`notify`](Self::notify) says from now on.
    pub fn subscribe(&self) -> Notices {
        Notices(self.inner.notices.subscribe())
    }

    /// Does the store answer right now? For people and probes; the gateway itself just uses it.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.timed(StoreOperation::Get, self.inner.backend.ping()).await
    }

    async fn change(&self, operation: StoreOperation, at: Location, change: Change) -> Result<bool, StoreError> {
        self.timed(operation, self.inner.backend.change(at, change)).await
    }

    async fn timed<T>(
        &self,
        operation: StoreOperation,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let result = work.await;
        self.inner.metrics.done(operation, started.elapsed(), result.is_ok());
        result
    }

    fn opened(&self, name: &Name, bytes: &[u8]) -> Option<Vec<u8>> {
        let plain = envelope::unwrap(self.inner.sealer.as_ref(), name, bytes);
        if plain.is_none() {
            self.inner.metrics.unreadable.inc();
            if !self.inner.has_met_unreadable.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    table = name.table.name(),
                    "a stored value opens with none of the master keys and counts as absent; after a change of the \
                     key the former one has to stay in state.key_file, below the new one (told once; \
                     janua_store_unreadable_total counts)"
                );
            }
        }
        plain
    }
}

#[cfg(test)]
mod tests;
