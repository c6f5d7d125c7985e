//! The latest of something, in a bounded number of places that clients share: whoever causes many entries removes their own.
//!
//! A client has at most a quarter of the places; its oldest entry goes first. Where all places are taken, the oldest entry of
//! the most frequent kind goes, so that a flood of one kind, from whatever addresses, leaves the rare ones. What an entry is,
//! and of which kind, is decided by the caller.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::fair::Asker;

/// Entries `T` of kinds `K`.
pub struct Ring<K, T> {
    capacity: usize,
    held: Mutex<Held<K, T>>,
}

struct Held<K, T> {
    /// The oldest first.
    slots: VecDeque<Slot<K, T>>,
    of_clients: HashMap<Asker, usize>,
    of_kinds: HashMap<K, usize>,
    reach: Reach,
}

struct Slot<K, T> {
    whose: Asker,
    kind: K,
    at: SystemTime,
    what: Arc<T>,
}

/// How far the entries reach back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reach {
    pub kept: usize,
    /// Everything that came after this is there, but for what `crowded` says. `None`: nothing was removed.
    pub since: Option<SystemTime>,
    /// The last entry that was removed because its own client had too many.
    pub crowded: Option<SystemTime>,
}

impl<K: Copy + Eq + Hash, T> Ring<K, T> {
    /// Room for so many; 0 keeps none.
    pub fn new(capacity: usize) -> Self {
        let held = Held {
            slots: VecDeque::new(),
            of_clients: HashMap::new(),
            of_kinds: HashMap::new(),
            reach: Reach::default(),
        };
        Self {
            capacity,
            held: Mutex::new(held),
        }
    }

    /// Does anyone want entries? Lets a caller save the work of gathering one.
    pub fn is_enabled(&self) -> bool {
        self.capacity > 0
    }

    /// Keeps an entry of a client's, which came at `at`.
    pub fn add(&self, whose: Asker, kind: K, at: SystemTime, what: T) {
        if !self.is_enabled() {
            return;
        }
        let share = (self.capacity / 4).max(1);
        let mut held = self.held.lock();
        if held.of_clients.get(&whose).is_some_and(|count| *count >= share) {
            let gone = held.remove(|slot| slot.whose == whose);
            held.reach.crowded = gone.max(held.reach.crowded);
        } else if held.slots.len() >= self.capacity {
            let most = held.of_kinds.values().copied().max().unwrap_or_default();
            let frequent: Vec<K> = held
                .of_kinds
                .iter()
                .filter(|(_, count)| **count == most)
                .map(|(kind, _)| *kind)
                .collect();
            let gone = held.remove(|slot| frequent.contains(&slot.kind));
            held.reach.since = gone.max(held.reach.since);
        }
        *held.of_clients.entry(whose.clone()).or_default() += 1;
        *held.of_kinds.entry(kind).or_default() += 1;
        held.slots.push_back(Slot {
            whose,
            kind,
            at,
            what: Arc::new(what),
        });
    }

    /// The latest first.
    pub fn latest(&self) -> Vec<Arc<T>> {
        let held = self.held.lock();
        held.slots.iter().rev().map(|slot| Arc::clone(&slot.what)).collect()
    }

    pub fn reach(&self) -> Reach {
        let held = self.held.lock();
        Reach {
            kept: held.slots.len(),
            ..held.reach
        }
    }
}

impl<K: Copy + Eq + Hash, T> Held<K, T> {
    /// Removes the oldest of these, and says when it came.
    fn remove(&mut self, is_meant: impl Fn(&Slot<K, T>) -> bool) -> Option<SystemTime> {
        let place = self.slots.iter().position(is_meant)?;
        let gone = self.slots.remove(place)?;
        take_one(&mut self.of_clients, &gone.whose);
        take_one(&mut self.of_kinds, &gone.kind);
        Some(gone.at)
    }
}

/// Counts one off; what has none any more is forgotten.
fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, of: &K) {
    if let Some(count) = counts.get_mut(of) {
        *count -= 1;
        if *count == 0 {
            counts.remove(of);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    fn client(number: u32) -> Asker {
        Asker::at(IpAddr::from(number.to_be_bytes()))
    }

    fn kept(ring: &Ring<char, u64>) -> Vec<u64> {
        ring.latest().iter().map(|entry| **entry).collect()
    }

    #[test]
    fn one_client_removes_its_own_entries_only() {
        let ring = Ring::new(8);
        ring.add(client(1), 'a', at(0), 0);
        for second in 1..=100 {
            ring.add(client(2), 'a', at(second), second);
        }
        assert_eq!(kept(&ring), [100, 99, 0]);
        let reach = ring.reach();
        assert_eq!((reach.kept, reach.since, reach.crowded), (3, None, Some(at(98))));
    }

    #[test]
    fn a_flood_of_one_kind_leaves_the_others() {
        let ring = Ring::new(8);
        for second in 0..2 {
            ring.add(client(second as u32), 'r', at(second), second);
        }
        for second in 2..1000 {
            ring.add(client(second as u32), 'f', at(second), second);
        }
        assert_eq!(kept(&ring), [999, 998, 997, 996, 995, 994, 1, 0]);
        assert_eq!(ring.reach().since, Some(at(993)));
        let held = ring.held.lock();
        assert_eq!(
            (held.of_clients.len(), held.of_kinds.len()),
            (8, 2),
            "nobody else is remembered"
        );
    }

    #[test]
    fn none_are_kept_where_none_are_wanted() {
        let ring = Ring::new(0);
        ring.add(client(1), 'a', at(0), 0);
        assert!(!ring.is_enabled() && kept(&ring).is_empty());
        assert_eq!(ring.reach(), Reach::default());
        let smallest = Ring::new(1);
        smallest.add(client(1), 'a', at(0), 0);
        smallest.add(client(2), 'b', at(1), 1);
        assert_eq!(kept(&smallest), [1]);
    }
}
