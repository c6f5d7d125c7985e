//! What outlives a restart: named byte strings in a few tables, in redb, in memory or in one crash-safe file.
//!
//! The store knows bytes and keys only; what they mean, and when they are too old, is decided by who wrote them.

mod open;

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, TableDefinition, TableError};

use crate::config::State;

/// A handle on the store; clones share it. One process at a time holds a store's file.
#[derive(Clone)]
pub struct Store {
    database: Arc<Database>,
}

/// The tables. A name in the file is for ever: rename the variant, never the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Last good key sets, by issuer and address.
    KeySets,
}

impl Table {
    fn definition(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        match self {
            Self::KeySets => TableDefinition::new("key-sets"),
        }
    }
}

/// Why the store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the state folder {path} cannot be made: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the state file {path} cannot be opened: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("the state file {path} is in use by another process: is a gateway already running on it?")]
    InUse { path: PathBuf },
    #[error("the state file {path} is damaged or no state file ({detail}); move it away to start with an empty one")]
    Damaged { path: PathBuf, detail: String },
    #[error("the state store cannot be {action}: {source}")]
    Access {
        action: &'static str,
        #[source]
        source: Box<redb::Error>,
    },
    #[error("the state store's worker ended early")]
    Worker,
}

impl Store {
    /// Opens what the configuration names. A missing file is made (0600), a missing folder too (0700).
    pub fn open(state: &State) -> Result<Self, StoreError> {
        let database = match state {
            State::Memory => open::memory()?,
            State::Embedded { path, .. } => open::file(path)?,
        };
        Ok(Self {
            database: Arc::new(database),
        })
    }

    /// The value under `key`, if there is one.
    pub async fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.blocking("read", move |database| {
            let table = match database.begin_read()?.open_table(table.definition()) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(None), // nothing was ever put there
                Err(error) => return Err(error.into()),
            };
            Ok(table.get(key.as_str())?.map(|value| value.value().to_vec()))
        })
        .await
    }

    /// Puts `value` under `key`, over what stood there. On return it is on disk.
    pub async fn put(&self, table: Table, key: &str, value: Vec<u8>) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.blocking("written", move |database| {
            let transaction = database.begin_write()?;
            transaction
                .open_table(table.definition())?
                .insert(key.as_str(), value.as_slice())?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Removes what stands under `key`; nothing there is fine.
    pub async fn delete(&self, table: Table, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.blocking("written", move |database| {
            let transaction = database.begin_write()?;
            transaction.open_table(table.definition())?.remove(key.as_str())?;
            Ok(transaction.commit()?)
        })
        .await
    }

    /// redb blocks (reads may touch the disk, a commit waits for it), so everything runs on the blocking pool.
    async fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.database);
        tokio::task::spawn_blocking(move || work(&database))
            .await
            .map_err(|_| StoreError::Worker)?
            .map_err(|source| StoreError::Access {
                action,
                source: Box::new(source),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every store must do, whatever is below it.
    async fn keeps_its_contract(store: &Store) {
        let table = Table::KeySets;
        assert_eq!(store.get(table, "a").await.unwrap(), None);
        store.delete(table, "a").await.unwrap();
        store.put(table, "a", b"one".to_vec()).await.unwrap();
        store.put(table, "b", Vec::new()).await.unwrap();
        assert_eq!(store.get(table, "a").await.unwrap().as_deref(), Some(&b"one"[..]));
        assert_eq!(store.get(table, "b").await.unwrap().as_deref(), Some(&b""[..]));
        store.put(table, "a", vec![0xff; 300_000]).await.unwrap();
        assert_eq!(store.clone().get(table, "a").await.unwrap(), Some(vec![0xff; 300_000]));
        store.delete(table, "a").await.unwrap();
        assert_eq!(store.get(table, "a").await.unwrap(), None);
        assert!(store.get(table, "b").await.unwrap().is_some());
    }

    #[tokio::test]
    async fn in_memory() {
        keeps_its_contract(&Store::open(&State::Memory).unwrap()).await;
    }

    #[tokio::test]
    async fn in_a_file_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::Embedded {
            path: folder.path().join("state/janua.redb"),
            key_file: folder.path().join("state/master.key"),
        };
        let store = Store::open(&state).unwrap();
        keeps_its_contract(&store).await;
        store.put(Table::KeySets, "kept", b"yes".to_vec()).await.unwrap();
        drop(store);
        let store = Store::open(&state).unwrap();
        assert_eq!(
            store.get(Table::KeySets, "kept").await.unwrap().as_deref(),
            Some(&b"yes"[..])
        );
    }
}
