//! Which of the three stores it is: what each operation does is asked here, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use super::StoreError;
use super::embedded::Embedded;
use super::envelope;
use super::memory::Memory;
use super::place::{Location, Place, Table};
use super::record::{Change, Record, members};
use super::valkey::{Heard, Valkey};
use crate::config::State;
use crate::observe::metrics::StoreMetrics;

pub(super) enum Backend {
    Memory(Memory),
    Embedded(Embedded),
    Valkey(Valkey),
}

/// Records and where to go on.
pub(super) type Found = (Vec<(Place, Record)>, Option<String>);

impl Backend {
    /// `hear` gets what other processes publish; it must not block.
    pub(super) fn open(
        state: &State,
        metrics: &StoreMetrics,
        hear: impl Fn(Heard<'_>) + Send + Sync + 'static,
    ) -> Result<Self, StoreError> {
        let own = match state {
            State::Memory => Self::Memory(Memory::default()),
            State::Embedded { path, .. } => Self::Embedded(Embedded::open(path)?),
            State::Valkey(config) => return Valkey::start(config, metrics, hear).map(Self::Valkey),
        };
        metrics.up.set(1);
        Ok(own)
    }

    pub(super) async fn get(&self, at: Location) -> Result<Option<Arc<[u8]>>, StoreError> {
        let record = match self {
            Self::Memory(memory) => memory.get(at.place),
            Self::Embedded(file) => file.get(at.place).await?,
            Self::Valkey(valkey) => return Ok(valkey.get(at).await?.map(Into::into)),
        };
        Ok(record.map(|record| record.bytes))
    }

    /// The value, which lives for `ttl` from now.
    pub(super) async fn touch(&self, at: Location, ttl: Duration) -> Result<Option<Arc<[u8]>>, StoreError> {
        if let Self::Valkey(valkey) = self {
            return Ok(valkey.touch(at, ttl).await?.map(Into::into));
        }
        match self.change(at, Change::Extend { ttl }).await? {
            true => self.get(at).await,
            false => Ok(None),
        }
    }

    /// True: it was made; see [`record::apply`](super::record::apply).
    pub(super) async fn change(&self, at: Location, change: Change) -> Result<bool, StoreError> {
        match self {
            Self::Memory(memory) => Ok(memory.change(at.place, change)),
            Self::Embedded(file) => file.change(at.place, change, at.is_durable).await,
            Self::Valkey(valkey) => valkey.change(at, change).await,
        }
    }

    /// Members with their scores, the lowest first.
    pub(super) async fn members(&self, at: Location) -> Result<Vec<(String, u64)>, StoreError> {
        match self {
            Self::Valkey(valkey) => valkey.members(at).await,
            Self::Memory(_) | Self::Embedded(_) => Ok(members(self.get(at).await?.as_deref())),
        }
    }

    /// Some records behind a cursor: those of one table, or all.
    pub(super) async fn page(
        &self,
        table: Option<Table>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Found, StoreError> {
        let wanted = |bytes: &[u8]| table.is_none_or(|table| envelope::is_of(bytes, table.tag()));
        let behind = after.and_then(Place::parse);
        let (found, next) = match self {
            Self::Memory(memory) => memory.page(behind, wanted, limit),
            Self::Embedded(file) => file.page(behind, wanted, limit).await?,
            Self::Valkey(valkey) => return valkey.page(table.map(Table::name), after, limit).await,
        };
        Ok((found, next.map(Place::text)))
    }

    /// Publishes to all processes on the store, this one too. False: there is no other, and nothing was published.
    pub(super) async fn publish(&self, payload: impl FnOnce() -> Vec<u8>) -> Result<bool, StoreError> {
        match self {
            Self::Valkey(valkey) => valkey.publish(&payload()).await.map(|()| true),
            Self::Memory(_) | Self::Embedded(_) => Ok(false),
        }
    }

    /// Does it answer?
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Valkey(valkey) => valkey.ping().await,
            Self::Embedded(file) => file.get(Place::new("", "")).await.map(drop),
            Self::Memory(_) => Ok(()),
        }
    }
}
