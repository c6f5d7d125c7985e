//! How often something may happen: one limiter, and a bounded map of them by key.
//!
//! GCRA, the "virtual scheduling" form of the leaky bucket (ITU-T I.371): one number a limiter, no lock, no timer.
//! What is limited and what a refusal looks like is decided by the caller.

pub mod guesses;

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;

/// So many per second, with so many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    pub per_second: f64,
    pub burst: u32,
}

/// One budget: so many per second on average, so many at once.
#[derive(Debug)]
pub struct Limiter {
    /// Nanoseconds that one permit costs.
    interval: u64,
    /// Nanoseconds that the theoretical arrival time may run ahead of now: `burst` permits.
    tolerance: u64,
    origin: Instant,
    /// When the budget will be whole again, in nanoseconds after `origin` (GCRA's theoretical arrival time).
    whole_at: AtomicU64,
}

/// 146 years in nanoseconds: so far below the end of the numbers that two of them add up without saturating, since a
/// saturated sum would look like a free permit.
const LONGEST: u64 = u64::MAX / 4;

impl Limiter {
    /// A limiter whose whole burst is available. A burst of 0 counts as 1.
    pub fn new(rate: Rate) -> Self {
        Self::starting(rate, Instant::now())
    }

    /// The same with a clock that begins at `origin`; any earlier `now` counts as `origin`.
    pub fn starting(rate: Rate, origin: Instant) -> Self {
        // Float to integer casts saturate: a rate of 0 becomes "practically never"; so does what is no rate at all.
        let interval = if rate.per_second > 0.0 {
            (1e9 / rate.per_second) as u64
        } else {
            u64::MAX
        };
        let interval = interval.clamp(1, LONGEST);
        Self {
            interval,
            tolerance: interval.saturating_mul(u64::from(rate.burst.max(1))).min(LONGEST),
            origin,
            whole_at: AtomicU64::new(0),
        }
    }

    /// For a line of the log that anybody could cause over and over: one a minute.
    pub fn of_log() -> Self {
        Self::new(Rate {
            per_second: 1.0 / 60.0,
            burst: 1,
        })
    }

    /// Would a [`take`](Self::take) succeed? Takes nothing.
    pub fn peek(&self, now: Instant) -> bool {
        self.next(self.since(now), self.whole_at.load(Ordering::Relaxed))
            .is_ok()
    }

    /// Takes one permit, or says how long to wait for the next one.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let now = self.since(now);
        let mut seen = self.whole_at.load(Ordering::Relaxed);
        loop {
            let next = self.next(now, seen)?;
            // Relaxed: the number stands for itself, no other memory is published with it.
            match self
                .whole_at
                .compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }

    /// Takes permits, there or not: until the debt is paid off, none is left.
    pub fn spend(&self, permits: u32, now: Instant) {
        let now = self.since(now);
        let cost = self.interval.saturating_mul(u64::from(permits)).min(LONGEST);
        let add = |whole_at: u64| Some(whole_at.max(now).saturating_add(cost).min(LONGEST * 2));
        self.whole_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add)
            .ok();
    }

    /// Puts permits back that were spent. A budget is never more than whole by it.
    pub fn give_back(&self, permits: u32) {
        let cost = self.interval.saturating_mul(u64::from(permits));
        let subtract = |whole_at: u64| Some(whole_at.saturating_sub(cost));
        self.whole_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract)
            .ok();
    }

    /// The theoretical arrival time after one more permit, or the time until one is free.
    fn next(&self, now: u64, whole_at: u64) -> Result<u64, Duration> {
        let next = whole_at.max(now).saturating_add(self.interval);
        match (next - now).checked_sub(self.tolerance) {
            None | Some(0) => Ok(next),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.origin).as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A limiter for each key, at most 100 000 of them; those that have been idle until whole again are forgotten.
pub struct Keyed<K> {
    rate: Rate,
    origin: Instant,
    limiters: Cache<K, Arc<Limiter>>,
}

/// Bounds the memory of a [`Keyed`]: some ten megabytes. The least useful key goes first, which can only forgive.
const MAX_KEYS: u64 = 100_000;
const LONGEST_DEBT: Duration = Duration::from_secs(86_400);

impl<K: Hash + Eq + Send + Sync + 'static> Keyed<K> {
    pub fn new(rate: Rate) -> Self {
        let refill = f64::from(rate.burst.max(1)) / rate.per_second;
        let idle = Duration::try_from_secs_f64(refill.clamp(60.0, 86_400.0)).unwrap_or(Duration::from_secs(60));
        Self::remembering(rate, idle)
    }

    /// The same where more is [spent](Self::spend) than is there: a debt lasts longer than a whole budget takes, and is
    /// remembered for a day.
    pub fn with_debts(rate: Rate) -> Self {
        Self::remembering(rate, LONGEST_DEBT)
    }

    /// Forgets a key that nobody has asked about for so long.
    fn remembering(rate: Rate, idle: Duration) -> Self {
        Self {
            rate,
            origin: Instant::now(),
            limiters: Cache::builder().max_capacity(MAX_KEYS).time_to_idle(idle).build(),
        }
    }

    /// The rate of each key.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes permits of a key, there or not; see [`Limiter::spend`].
    pub fn spend(&self, key: K, permits: u32, now: Instant) {
        if permits > 0 {
            let limiter = || Arc::new(Limiter::starting(self.rate, self.origin));
            self.limiters.get_with(key, limiter).spend(permits, now);
        }
    }

    /// Puts permits of a key back; see [`Limiter::give_back`].
    pub fn give_back(&self, key: &K, permits: u32) {
        if let Some(limiter) = self.limiters.get(key) {
            limiter.give_back(permits);
        }
    }

    /// For a line of the log that anybody could cause over and over: one a minute.
    pub fn of_log() -> Self {
        Self::new(Rate {
            per_second: 1.0 / 60.0,
            burst: 1,
        })
    }

    /// Would a [`take`](Self::take) succeed? A key that is not known has its whole budget and is not remembered.
    pub fn peek(&self, key: &K, now: Instant) -> bool {
        self.limiters.get(key).is_none_or(|limiter| limiter.peek(now))
    }

    /// Takes one permit of this key, or says how long to wait for the next one.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        self.limiters
            .get_with(key, || Arc::new(Limiter::starting(self.rate, self.origin)))
            .take(now)
    }
}

/// What counts as one client address: an IPv4 address, or an IPv6 /64, the smallest block a network hands out.
/// An IPv4-mapped IPv6 address is the IPv4 address.
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10.0,
        burst: 3,
    };

    #[test]
    fn a_burst_passes_then_one_per_interval() {
        let start = Instant::now();
        let limiter = Limiter::starting(RATE, start);
        for _ in 0..3 {
            assert!(limiter.peek(start));
            assert_eq!(limiter.take(start), Ok(()));
        }
        assert!(!limiter.peek(start));
        assert_eq!(limiter.take(start), Err(Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(limiter.take(later), Ok(()));
        assert!(limiter.take(later).is_err());
        // After a long rest the burst is whole again, and not larger than that.
        let rested = start + Duration::from_secs(3600);
        assert_eq!((0..10).filter(|_| limiter.take(rested).is_ok()).count(), 3);
    }

    #[test]
    fn odd_rates_neither_panic_nor_open_the_gate() {
        let start = Instant::now();
        for per_second in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE] {
            let limiter = Limiter::starting(Rate { per_second, burst: 0 }, start);
            assert_eq!(
                (0..1000).filter(|_| limiter.take(start).is_ok()).count(),
                1,
                "{per_second}"
            );
        }
    }

    #[test]
    fn concurrent_takers_share_one_burst() {
        let start = Instant::now();
        let limiter = Limiter::starting(
            Rate {
                per_second: 1.0,
                burst: 100,
            },
            start,
        );
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..100).filter(|_| limiter.take(start).is_ok()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }

    #[test]
    fn keys_have_budgets_of_their_own() {
        let keyed = Keyed::new(Rate {
            per_second: 0.001,
            burst: 1,
        });
        let now = Instant::now();
        assert!(keyed.peek(&"a", now));
        assert!(keyed.take("a", now).is_ok());
        assert!(!keyed.peek(&"a", now));
        assert!(keyed.take("a", now).is_err());
        assert!(keyed.take("b", now).is_ok());
    }

    #[test]
    fn an_ipv6_client_is_its_64() {
        let key = |text: &str| address_key(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
