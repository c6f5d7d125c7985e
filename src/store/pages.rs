//! Everything that stands in the store, some at a time: to list a table, and to seal all values with the newest key.
//!
//! A walk has a bounded step and a cursor, so that it can be made over a socket, stopped, and begun again. What is put
//! while it runs may be met or not; what stands there all the while is met.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::envelope::{self, Again};
use super::place::{Location, Place, Table};
use super::record::{Change, is_group};
use super::{Store, StoreError};
use crate::observe::metrics::StoreOperation;
use crate::sealing::{MasterKeys, Purpose};

/// Records that one step looks at: a file is searched through for those of one table.
const LOOKED_AT: usize = 5_000;
/// Records that one step of a rotation seals at most.
const SEALED: usize = 500;

/// Some values of a table, in no order.
pub struct Page {
    pub values: Vec<Vec<u8>>,
    /// Where to go on; `None`: that was all.
    pub next: Option<String>,
}

/// A step of a rotation: how many values were met.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Sealed with the newest key by this step.
    pub resealed: u64,
    /// Sealed so already.
    pub newest: u64,
    /// None of the keys opens them: they count as absent.
    pub unreadable: u64,
    /// Where to go on; `None`: that was all.
    pub next: Option<String>,
}

impl Store {
    /// The values of a table behind a cursor that an earlier page gave. A value may come twice.
    pub async fn page(&self, table: Table, after: Option<&str>) -> Result<Page, StoreError> {
        let page = self.inner.backend.page(Some(table), after, LOOKED_AT);
        let (found, next) = self.timed(StoreOperation::Get, page).await?;
        let sealer = self.inner.sealer.as_ref();
        let values = found
            .into_iter()
            .filter_map(|(place, record)| envelope::unwrap_at(sealer, place, &record.bytes));
        Ok(Page {
            values: values.collect(),
            next,
        })
    }

    /// Seals some values behind a cursor with the newest key. Who changes one at the same moment wins. On return they are
    /// on disk as they are now.
    pub async fn rotate(&self, after: Option<&str>) -> Result<Rotated, StoreError> {
        let Some(sealer) = &self.inner.sealer else {
            return Ok(Rotated::default());
        };
        let page = self.inner.backend.page(None, after, SEALED);
        let (found, next) = self.timed(StoreOperation::Get, page).await?;
        let mut rotated = Rotated {
            next,
            ..Rotated::default()
        };
        let mut changes = Vec::new();
        for (place, record) in found {
            match envelope::again(sealer, place, &record.bytes) {
                Again::Sealed(bytes) => changes.push(self.replace(place, record.bytes, bytes)),
                Again::IsNewest => rotated.newest += 1,
                // Groups are not sealed.
                Again::Unreadable if is_group(&record.bytes) => {}
                Again::Unreadable => rotated.unreadable += 1,
            }
        }
        for replaced in self.timed(StoreOperation::Put, try_join_all(changes)).await? {
            match replaced {
                true => rotated.resealed += 1,
                // Put, prolonged or deleted a moment ago, by a process that seals with the newest key.
                false => rotated.newest += 1,
            }
        }
        Ok(rotated)
    }

    /// Would `keys`, read from their file now, seal as this store does?
    pub fn seals_with(&self, keys: &MasterKeys) -> bool {
        let sealer = self.inner.sealer.as_ref();
        sealer.is_none_or(|sealer| sealer.seals_like(&keys.sealer(Purpose::Store)))
    }

    async fn replace(&self, place: Place, before: Arc<[u8]>, bytes: Vec<u8>) -> Result<bool, StoreError> {
        let table = before.first().and_then(|tag| Table::tagged(*tag));
        let at = Location {
            space: table.map_or("", Table::name),
            place,
            is_durable: true,
        };
        self.inner.backend.change(at, Change::Replace { before, bytes }).await
    }
}
