//! What outlives a request, and mostly a restart: sealed values and small ordered sets, in memory, in one crash-safe
//! file or on a Valkey that several gateways share.
//!
//! One contract for all three, held by one set of tests. The store knows keys, bytes and how long they live; what they
//! mean is decided by who wrote them.

mod embedded;
mod envelope;
mod error;
mod memory;
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

use self::embedded::Embedded;
pub use self::embedded::Seen;
pub use self::error::StoreError;
use self::memory::Memory;
pub use self::pages::{Page, Rotated};
pub use self::place::{Index, Table};
use self::place::{Name, Place};
use self::record::{Change, members};
use self::valkey::{Heard, Valkey};
use crate::config::State;
use crate::observe::metrics::{Metrics, StoreMetrics, StoreOperation};
use crate::sealing::{MasterKeys, Purpose, Sealer};

/// What published notices are sealed for.
const NOTICE: &[u8] = b"notice";
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

enum Backend {
    Memory(Memory),
    Embedded(Embedded),
    Valkey(Valkey),
}

/// What a subscriber hears. A receiver that lagged has missed something too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// What some process gave to [`Store::notify`].
    Message(Arc<str>),
    /// Messages may have been lost: forget whatever is remembered of the store.
    Missed,
}

impl Store {
    /// Opens what the configuration names; values are sealed by `keys`, for [`Purpose::Store`].
    ///
    /// A missing file is made (0600), a missing folder too (0700). A Valkey need not be there yet. Errors: the file
    /// cannot be used.
    pub fn open(state: &State, keys: &MasterKeys, metrics: &Metrics) -> Result<Self, StoreError> {
        let sealer = keys.sealer(Purpose::Store);
        let metrics = metrics.store();
        let notices = broadcast::Sender::new(NOTICES);
        let (backend, sealer) = match state {
            State::Memory => (Backend::Memory(Memory::default()), None),
            State::Embedded { path, .. } => (Backend::Embedded(Embedded::open(path)?), Some(sealer)),
            State::Valkey(config) => {
                let (opener, out) = (sealer.clone(), notices.clone());
                let hear = move |heard: Heard<'_>| {
                    if let Some(notice) = notice(&opener, heard) {
                        out.send(notice).ok(); // an error says that nobody listens
                    }
                };
                (Backend::Valkey(Valkey::start(config, &metrics, hear)?), Some(sealer))
            }
        };
        if !matches!(backend, Backend::Valkey(_)) {
            metrics.up.set(1);
        }
        Ok(Self::new(backend, sealer, notices, metrics))
    }

    /// Looks at an existing state file, and changes nothing of it: could [`open`](Self::open) use it now?
    ///
    /// # Errors
    /// The one that opening it would give.
    pub fn look(path: &Path) -> Result<Seen, StoreError> {
        Embedded::look(path)
    }

    /// An empty store that is gone with its last handle, for what asks the rooms something without being a gateway.
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
        let place = name.place();
        let found = self.timed(StoreOperation::Get, async {
            match &self.inner.backend {
                Backend::Memory(memory) => Ok(memory.get(place).map(|record| record.bytes.into_vec())),
                Backend::Embedded(file) => Ok(file.get(place).await?.map(|record| record.bytes.into_vec())),
                Backend::Valkey(valkey) => valkey.get(table.name(), place).await,
            }
        });
        Ok(found.await?.and_then(|bytes| self.opened(table, &name, &bytes)))
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

    /// The value under `key`, which from now on lives for another `ttl`. What was deleted meanwhile stays so.
    pub async fn touch(&self, table: Table, key: &str, ttl: Duration) -> Result<Option<Vec<u8>>, StoreError> {
        let name = Name::new(table, key);
        let place = name.place();
        let change = Change::Extend {
            expires: record::expiry(Some(ttl), record::now()),
        };
        let found = self.timed(StoreOperation::Put, async {
            let record = match &self.inner.backend {
                Backend::Memory(memory) => match memory.change(place, change) {
                    true => memory.get(place),
                    false => None,
                },
                Backend::Embedded(file) => match file.change(place, change, table.is_durable()).await? {
                    true => file.get(place).await?,
                    false => None,
                },
                Backend::Valkey(valkey) => return valkey.touch(table.name(), place, ttl).await,
            };
            Ok(record.map(|record| record.bytes.into_vec()))
        });
        Ok(found.await?.and_then(|bytes| self.opened(table, &name, &bytes)))
    }

    /// Removes what stands under `key`. True: there was something. Of several at once exactly one is told so.
    pub async fn delete(&self, table: Table, key: &str) -> Result<bool, StoreError> {
        let place = Place::new(table.name(), key);
        self.timed(StoreOperation::Delete, async {
            match &self.inner.backend {
                Backend::Memory(memory) => Ok(memory.change(place, Change::Delete)),
                Backend::Embedded(file) => file.change(place, Change::Delete, table.is_durable()).await,
                Backend::Valkey(valkey) => valkey.delete(table.name(), place).await,
            }
        })
        .await
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
        let place = Place::new(index.name(), group);
        let change = || Change::AddMember {
            member: member.to_owned(),
            score,
            expires: record::expiry(ttl, record::now()),
        };
        self.timed(StoreOperation::Index, async {
            match &self.inner.backend {
                Backend::Memory(memory) => {
                    memory.change(place, change());
                    Ok(())
                }
                Backend::Embedded(file) => file.change(place, change(), false).await.map(drop),
                Backend::Valkey(valkey) => valkey.add_member(index.name(), place, member, score, ttl).await,
            }
        })
        .await
    }

    /// The members of a group with their scores, the lowest first; none if there is no such group.
    pub async fn index_members(&self, index: Index, group: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let place = Place::new(index.name(), group);
        self.timed(StoreOperation::Index, async {
            match &self.inner.backend {
                Backend::Memory(memory) => Ok(members(memory.get(place).as_ref())),
                Backend::Embedded(file) => Ok(members(file.get(place).await?.as_ref())),
                Backend::Valkey(valkey) => valkey.members(index.name(), place).await,
            }
        })
        .await
    }

    /// Takes `member` out of a group. True: it was in it.
    pub async fn index_remove(&self, index: Index, group: &str, member: &str) -> Result<bool, StoreError> {
        let place = Place::new(index.name(), group);
        let change = || Change::RemoveMember {
            member: member.to_owned(),
        };
        self.timed(StoreOperation::Index, async {
            match &self.inner.backend {
                Backend::Memory(memory) => Ok(memory.change(place, change())),
                Backend::Embedded(file) => file.change(place, change(), false).await,
                Backend::Valkey(valkey) => valkey.remove_member(index.name(), place, member).await,
            }
        })
        .await
    }

    /// Tells every subscriber of every process on this store, this one too, within a second.
    pub async fn notify(&self, message: &str) -> Result<(), StoreError> {
        self.timed(StoreOperation::Notify, async {
            match &self.inner.backend {
                // An error says that nobody listens.
                Backend::Memory(_) | Backend::Embedded(_) => {
                    self.inner.notices.send(Notice::Message(message.into())).ok();
                    Ok(())
                }
                Backend::Valkey(valkey) => {
                    let sealed = self
                        .inner
                        .sealer
                        .as_ref()
                        .map(|sealer| sealer.seal(NOTICE, message.as_bytes()));
                    valkey.publish(&sealed.unwrap_or_default()).await
                }
            }
        })
        .await
    }

    /// What [`notify`](Self::notify) says from now on. A receiver that is too slow gets `Lagged` and may take it as
    /// [`Notice::Missed`].
    pub fn subscribe(&self) -> broadcast::Receiver<Notice> {
        self.inner.notices.subscribe()
    }

    /// Does the store answer right now? For people and probes; the gateway itself just uses it.
    pub async fn healthy(&self) -> Result<(), StoreError> {
        self.timed(StoreOperation::Get, async {
            match &self.inner.backend {
                Backend::Memory(_) => Ok(()),
                Backend::Embedded(file) => file.get(Place::new("", "")).await.map(drop),
                Backend::Valkey(valkey) => valkey.ping().await,
            }
        })
        .await
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
        let place = name.place();
        let bytes = envelope::wrap(self.inner.sealer.as_ref(), &name, value);
        let change = |bytes| {
            let expires = record::expiry(ttl, record::now());
            match only_new {
                false => Change::Put { bytes, expires },
                true => Change::PutNew { bytes, expires },
            }
        };
        self.timed(StoreOperation::Put, async {
            match &self.inner.backend {
                Backend::Memory(memory) => Ok(memory.change(place, change(bytes))),
                Backend::Embedded(file) => file.change(place, change(bytes), table.is_durable()).await,
                Backend::Valkey(valkey) => valkey.put(table.name(), place, &bytes, ttl, only_new).await,
            }
        })
        .await
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

    fn opened(&self, table: Table, name: &Name, bytes: &[u8]) -> Option<Vec<u8>> {
        let plain = envelope::unwrap(self.inner.sealer.as_ref(), name, bytes);
        if plain.is_none() {
            self.inner.metrics.unreadable.inc();
            if !self.inner.has_met_unreadable.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    table = table.name(),
                    "a stored value opens with none of the master keys and counts as absent; after a change of the \
                     key the former one has to stay in state.key_file, below the new one (told once; \
                     janua_store_unreadable_total counts)"
                );
            }
        }
        plain
    }
}

/// What was not sealed by a gateway of ours is no notice.
fn notice(opener: &Sealer, heard: Heard<'_>) -> Option<Notice> {
    match heard {
        Heard::Missed => Some(Notice::Missed),
        Heard::Published(payload) => {
            let text = String::from_utf8(opener.open(NOTICE, payload)?).ok()?;
            Some(Notice::Message(text.into()))
        }
    }
}

#[cfg(test)]
mod tests;
