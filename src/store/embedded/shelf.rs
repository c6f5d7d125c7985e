//! How records lie in redb: one table of records, and one of their expiries in order, for the sweep.

use std::ops::Bound;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};

use crate::store::place::{PLACE, Place};
use crate::store::record::{Millis, NEVER, Record, Shelf};

/// Place → expiry (8 bytes, big-endian), then the bytes. A table's name is for ever.
const RECORDS: TableDefinition<'static, &[u8; PLACE], &[u8]> = TableDefinition::new("records");
/// What expires, the soonest first.
const EXPIRIES: TableDefinition<'static, (Millis, &[u8; PLACE]), ()> = TableDefinition::new("expiries");
/// Of the first versions, which kept nothing but key sets; they are fetched again.
const FIRST: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("key-sets");

/// The tables within one write.
pub(super) struct Records<'t> {
    records: Table<'t, &'static [u8; PLACE], &'static [u8]>,
    expiries: Table<'t, (Millis, &'static [u8; PLACE]), ()>,
}

/// Makes the tables, so that reads find them.
pub(super) fn prepare(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.delete_table(FIRST)?;
    Records::open(&transaction)?;
    Ok(transaction.commit()?)
}

pub(super) fn read(transaction: &ReadTransaction, place: Place) -> Result<Option<Record>, redb::Error> {
    let value = transaction.open_table(RECORDS)?.get(&place.0)?;
    Ok(value.and_then(|value| decode(value.value())))
}

/// Up to `limit` records behind `after`, expired ones too, in the order of their places.
pub(super) fn behind(
    transaction: &ReadTransaction,
    after: Option<Place>,
    limit: usize,
) -> Result<Vec<(Place, Record)>, redb::Error> {
    let table = transaction.open_table(RECORDS)?;
    let from = match &after {
        Some(place) => Bound::Excluded(&place.0),
        None => Bound::Unbounded,
    };
    let mut found = Vec::new();
    for entry in table.range::<&[u8; PLACE]>((from, Bound::Unbounded))?.take(limit) {
        let (place, value) = entry?;
        // What cannot be decoded was not written here; a place is kept so that the walk goes on behind it.
        let record = decode(value.value()).unwrap_or(Record {
            expires: 0,
            bytes: Arc::default(),
        });
        found.push((Place(*place.value()), record));
    }
    Ok(found)
}

#[cfg(test)]
pub(super) fn counts(transaction: &ReadTransaction) -> Result<(u64, u64), redb::Error> {
    use redb::ReadableTableMetadata;
    Ok((
        transaction.open_table(RECORDS)?.len()?,
        transaction.open_table(EXPIRIES)?.len()?,
    ))
}

impl<'t> Records<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            expiries: transaction.open_table(EXPIRIES)?,
        })
    }

    /// Removes up to `limit` records that have expired. Returns how many.
    pub(super) fn sweep(&mut self, now: Millis, limit: usize) -> Result<usize, redb::Error> {
        for swept in 0..limit {
            let soonest = self.expiries.first()?;
            let soonest = soonest.map(|(key, _)| (key.value().0, Place(*key.value().1)));
            match soonest {
                Some((expires, place)) if expires <= now => {
                    self.expiries.remove((expires, &place.0))?;
                    self.records.remove(&place.0)?;
                }
                _ => return Ok(swept),
            }
        }
        Ok(limit)
    }

    /// `before`: the record that was replaced or removed.
    fn forget_expiry(&mut self, place: Place, before: Option<Millis>) -> Result<(), redb::Error> {
        if let Some(expires) = before.filter(|expires| *expires != NEVER) {
            self.expiries.remove((expires, &place.0))?;
        }
        Ok(())
    }
}

impl Shelf for Records<'_> {
    type Error = redb::Error;

    fn get(&self, place: Place) -> Result<Option<Record>, redb::Error> {
        let value = self.records.get(&place.0)?;
        Ok(value.and_then(|value| decode(value.value())))
    }

    fn set(&mut self, place: Place, record: Record) -> Result<(), redb::Error> {
        let value = [&record.expires.to_be_bytes()[..], &record.bytes].concat();
        let before = self.records.insert(&place.0, value.as_slice())?;
        let before = before.and_then(|value| expiry(value.value()));
        self.forget_expiry(place, before)?;
        if record.expires != NEVER {
            self.expiries.insert((record.expires, &place.0), ())?;
        }
        Ok(())
    }

    fn remove(&mut self, place: Place) -> Result<(), redb::Error> {
        let before = self.records.remove(&place.0)?;
        let before = before.and_then(|value| expiry(value.value()));
        self.forget_expiry(place, before)
    }
}

fn expiry(value: &[u8]) -> Option<Millis> {
    value.first_chunk().copied().map(Millis::from_be_bytes)
}

fn decode(value: &[u8]) -> Option<Record> {
    let (expires, bytes) = value.split_first_chunk()?;
    Some(Record {
        expires: Millis::from_be_bytes(*expires),
        bytes: bytes.into(),
    })
}
