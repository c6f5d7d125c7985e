//! The store without a file: gone with the process.
//!
//! A map beats redb in memory here: a B-tree's half-full pages would take twice the room of the sessions in them.

use std::convert::Infallible;

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::place::Place;
use super::record::{self, Change, Millis, Record, Shelf};

/// Records that one change looks at, and removes if they have expired: more than it can add, so that they do not pile up.
const SWEEP: usize = 8;

#[derive(Default)]
pub(super) struct Memory {
    shelf: Mutex<Map>,
}

#[derive(Default)]
struct Map {
    /// A table without holes, since there may be hundreds of thousands.
    records: IndexMap<Place, Record>,
    /// Where the next sweep begins.
    swept: usize,
}

impl Memory {
    pub(super) fn get(&self, place: Place) -> Option<Record> {
        let Ok(record) = self.shelf.lock().get(place);
        record::alive(record, record::now())
    }

    pub(super) fn change(&self, place: Place, change: Change) -> bool {
        let now = record::now();
        let mut map = self.shelf.lock();
        map.sweep(now);
        let Ok(changed) = record::apply(&mut *map, place, change, now);
        changed
    }

    /// Up to `limit` records behind `after` that `wanted` takes, in the order of their places, and the place to go on
    /// behind.
    pub(super) fn page(
        &self,
        after: Option<Place>,
        wanted: impl Fn(&[u8]) -> bool,
        limit: usize,
    ) -> (Vec<(Place, Record)>, Option<Place>) {
        let (map, now) = (self.shelf.lock(), record::now());
        let behind = map.records.iter().filter(|(place, record)| {
            after.is_none_or(|after| **place > after) && record.expires > now && wanted(&record.bytes)
        });
        let mut places: Vec<Place> = behind.map(|(place, _)| *place).collect();
        places.sort_unstable();
        let next = places.get(limit).and(places.get(limit.saturating_sub(1))).copied();
        places.truncate(limit);
        let found = places
            .into_iter()
            .filter_map(|place| Some((place, map.records.get(&place)?.clone())));
        (found.collect(), next)
    }
}

impl Map {
    fn sweep(&mut self, now: Millis) {
        for _ in 0..SWEEP {
            match self.records.get_index(self.swept) {
                Some((_, record)) if record.expires > now => self.swept += 1,
                Some(_) => drop(self.records.swap_remove_index(self.swept)),
                None => return self.swept = 0,
            }
        }
    }
}

impl Shelf for Map {
    type Error = Infallible;

    fn get(&self, place: Place) -> Result<Option<Record>, Infallible> {
        Ok(self.records.get(&place).cloned())
    }

    fn set(&mut self, place: Place, record: Record) -> Result<(), Infallible> {
        self.records.insert(place, record);
        Ok(())
    }

    fn remove(&mut self, place: Place) -> Result<(), Infallible> {
        self.records.swap_remove(&place);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_dead_goes_while_others_come() {
        let memory = Memory::default();
        for number in 0..1000 {
            let bytes = vec![0; 700];
            let change = Change::Put {
                bytes,
                ttl: (number < 900).then_some(Duration::ZERO),
                only_new: false,
            };
            memory.change(Place::new("t", &number.to_string()), change);
        }
        let map = memory.shelf.lock();
        assert_eq!(map.records.len(), 100, "the dead ones are gone");
    }
}
