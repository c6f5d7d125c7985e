//! The store in one crash-safe file: redb, which one process at a time holds.
//!
//! Reads see every write that has returned. Writes are gathered and made by one thread; see [`writer`].

pub(super) mod look;
mod open;
mod shelf;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use redb::{Database, ReadableDatabase};
use tokio::sync::{mpsc, oneshot};

use self::writer::Write;
use super::StoreError;
use super::place::Place;
use super::record::{self, Change, Record};

/// Writes that may wait for the thread; whoever comes next waits for a place among them.
const WAITING: usize = 4096;

pub(super) struct Embedded {
    database: Arc<Database>,
    /// Gone only while this is dropped.
    writes: Option<mpsc::Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Embedded {
    /// Opens the file, or makes it (0600) and its folder (0700).
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Arc::new(open::file(path)?);
        shelf::prepare(&database).map_err(|error| access("opened", error))?;
        let (writes, inbox) = mpsc::channel(WAITING);
        let thread = writer::start(Arc::clone(&database), inbox).map_err(|source| StoreError::Thread { source })?;
        Ok(Self {
            database,
            writes: Some(writes),
            thread: Some(thread),
        })
    }

    /// A read may wait for the disk, so it runs on the blocking pool.
    pub(super) async fn get(&self, place: Place) -> Result<Option<Record>, StoreError> {
        let database = Arc::clone(&self.database);
        let read = tokio::task::spawn_blocking(move || shelf::read(&database.begin_read()?, place));
        let record = read.await.map_err(|_| StoreError::Worker)?;
        Ok(record::alive(
            record.map_err(|error| access("read", error))?,
            record::now(),
        ))
    }

    /// Of the next `limit` records behind `after` those that `wanted` takes, and the place to go on behind.
    pub(super) async fn page(
        &self,
        after: Option<Place>,
        wanted: impl Fn(&[u8]) -> bool,
        limit: usize,
    ) -> Result<(Vec<(Place, Record)>, Option<Place>), StoreError> {
        let database = Arc::clone(&self.database);
        let read = tokio::task::spawn_blocking(move || shelf::behind(&database.begin_read()?, after, limit));
        let read = read.await.map_err(|_| StoreError::Worker)?;
        let mut found = read.map_err(|error| access("read", error))?;
        let next = found.last().filter(|_| found.len() == limit).map(|(place, _)| *place);
        let now = record::now();
        found.retain(|(_, record)| record.expires > now && wanted(&record.bytes));
        Ok((found, next))
    }

    /// How many records and expiries the file has.
    #[cfg(test)]
    pub(super) fn counts(&self) -> Result<(u64, u64), redb::Error> {
        shelf::counts(&self.database.begin_read()?)
    }

    /// On return everybody sees the change; it is on disk too if it is `durable`, and within 50 ms if not.
    pub(super) async fn change(&self, place: Place, change: Change, durable: bool) -> Result<bool, StoreError> {
        let (done, answer) = oneshot::channel();
        let write = Write {
            place,
            change,
            durable,
            done,
        };
        let writes = self.writes.as_ref().ok_or(StoreError::Worker)?;
        writes.send(write).await.map_err(|_| StoreError::Worker)?;
        match answer.await {
            Ok(Ok(changed)) => Ok(changed),
            Ok(Err(source)) => Err(StoreError::Access {
                action: "written",
                source,
            }),
            Err(_) => Err(StoreError::Worker),
        }
    }
}

impl Drop for Embedded {
    /// The thread ends when nobody can send any more, after it has made everything durable. The next opener finds the
    /// file free.
    fn drop(&mut self) {
        self.writes.take();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the state store's thread ended by a panic");
        }
    }
}

fn access(action: &'static str, error: redb::Error) -> StoreError {
    StoreError::Access {
        action,
        source: Arc::new(error),
    }
}

#[cfg(test)]
mod tests;
