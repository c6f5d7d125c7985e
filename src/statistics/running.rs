//! Views that run: for each the time of its last request. Bounded in all, and for each address where views begin, so that one
//! client with ten thousand credentials leaves room for the views of the others; none is forgotten for another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::rate::address_key;

/// So many requests at once find their view without waiting for each other.
const SHARDS: usize = 64;

/// A digest of viewer and event.
type Key = [u8; 32];

/// What a request is to its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// It goes on.
    No,
    Yes,
    /// It would be one more than may run.
    Full,
    /// It would be one more than may have begun at this address.
    FullOfAddress,
}

pub(super) struct Running {
    shards: Vec<Mutex<HashMap<Key, View>>>,
    ends_after: Duration,
    most: usize,
    most_per_address: usize,
    all: AtomicUsize,
    /// Those that have begun there. Locked within a shard, never the other way round.
    of_address: Mutex<HashMap<IpAddr, usize>>,
}

struct View {
    last: Instant,
    address: IpAddr,
}

impl Running {
    pub(super) fn new(ends_after: Duration, most: usize, most_per_address: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            ends_after,
            most,
            most_per_address,
            all: AtomicUsize::new(0),
            of_address: Mutex::default(),
        }
    }

    /// A request of the view was answered.
    pub(super) fn seen(&self, key: Key, address: IpAddr, now: Instant) -> Begins {
        let Some(shard) = self.shards.get(usize::from(key[0]) % SHARDS) else {
            return Begins::Full;
        };
        let mut views = shard.lock();
        if let Some(view) = views.get_mut(&key) {
            let last = std::mem::replace(&mut view.last, now);
            let goes_on = now.saturating_duration_since(last) < self.ends_after;
            return if goes_on { Begins::No } else { Begins::Yes };
        }
        let address = address_key(address);
        let taken = self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| {
            (all < self.most).then_some(all + 1)
        });
        if taken.is_err() {
            return Begins::Full;
        }
        let mut of_address = self.of_address.lock();
        let begun = of_address.entry(address).or_default();
        if *begun >= self.most_per_address {
            self.all.fetch_sub(1, Ordering::Relaxed);
            return Begins::FullOfAddress;
        }
        *begun += 1;
        drop(of_address);
        views.insert(key, View { last: now, address });
        Begins::Yes
    }

    /// Forgets those that have ended.
    pub(super) fn forget(&self, now: Instant) {
        for shard in &self.shards {
            let mut ended = Vec::new();
            shard.lock().retain(|_, view| {
                let goes_on = now.saturating_duration_since(view.last) < self.ends_after;
                if !goes_on {
                    ended.push(view.address);
                }
                goes_on
            });
            self.all.fetch_sub(ended.len(), Ordering::Relaxed);
            let mut of_address = self.of_address.lock();
            for address in ended {
                if let Some(begun) = of_address.get_mut(&address) {
                    *begun -= 1;
                    if *begun == 0 {
                        of_address.remove(&address);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
    const IDLE: Duration = Duration::from_secs(60);

    fn key(number: usize) -> Key {
        crate::digest::sha256(&number.to_be_bytes())
    }

    #[test]
    fn a_view_goes_on_while_requests_follow_and_begins_again_after_a_pause() {
        let (running, begin) = (Running::new(IDLE, 10, 10), Instant::now());
        let at = |seconds| running.seen(key(1), HERE, begin + Duration::from_secs(seconds));
        assert_eq!(at(0), Begins::Yes);
        for seconds in [0, 59, 118, 177] {
            assert_eq!(at(seconds), Begins::No, "{seconds}");
        }
        assert_eq!(at(237), Begins::Yes);
        running.forget(begin + Duration::from_secs(290));
        assert_eq!(at(291), Begins::No);
        running.forget(begin + Duration::from_secs(351));
        assert_eq!(running.all.load(Ordering::Relaxed), 0);
        assert!(running.of_address.lock().is_empty());
        assert_eq!(at(352), Begins::Yes);
    }

    #[test]
    fn one_address_leaves_room_for_the_others_and_none_is_forgotten_for_another() {
        let (running, now) = (Running::new(IDLE, 100, 60), Instant::now());
        for number in 0..1000 {
            let expected = if number < 60 {
                Begins::Yes
            } else {
                Begins::FullOfAddress
            };
            assert_eq!(running.seen(key(number), HERE, now), expected, "{number}");
        }
        for number in 1000..1040 {
            assert_eq!(running.seen(key(number), THERE, now), Begins::Yes, "{number}");
        }
        assert_eq!(running.seen(key(2000), THERE, now), Begins::Full);
        assert!(
            (0..60)
                .chain(1000..1040)
                .all(|number| running.seen(key(number), HERE, now) == Begins::No)
        );
        running.forget(now + IDLE);
        assert_eq!(running.seen(key(2000), THERE, now + IDLE), Begins::Yes);
    }

    #[test]
    fn many_threads_count_exactly() {
        let (running, now) = (Running::new(IDLE, 10_000, 10_000), Instant::now());
        let begun = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for number in 0..2000 {
                        let begins = running.seen(key(number), HERE, now) == Begins::Yes;
                        begun.fetch_add(usize::from(begins), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(begun.into_inner(), 2000);
        assert_eq!(running.all.load(Ordering::Relaxed), 2000);
        assert_eq!(running.of_address.lock().get(&HERE), Some(&2000));
    }
}
