//! Keeps the keys of all issuers fresh: in the background, and at once when a token needs a key that is not there.
//!
//! One task an issuer does all its fetching, so that there is never more than one fetch at a time. While fetching
//! fails, the last good keys serve on for `keep_stale`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::{ArcSwap, Guard};
use futures_util::FutureExt;
use tokio::sync::{Notify, watch};

use super::IssuerState;
use super::keyring::Keyring;
use super::source::{Brought, FetchError, Held, Source};
use crate::config::{self, Algorithm};
use crate::observe::metrics::IssuerMetrics;
use crate::rate::Rate;
use crate::rate::{Keyed, address_key};
use crate::time::{from_unix, unix_seconds};

/// A token that no key verifies may ask for a refresh of an issuer no more often than this...
const ON_DEMAND_EVERY: Duration = Duration::from_secs(5);
/// ...and one from an address that has not asked often, after this already. Whoever sends made-up names of keys does
/// not keep the others from a new key.
const ON_DEMAND_PAUSE: Duration = Duration::from_secs(1);
/// What one address may ask for: once in [`ON_DEMAND_EVERY`], and some at once, since many may come from it.
const ON_DEMAND: Rate = Rate {
    per_second: 0.2,
    burst: 3,
};
/// `Cache-Control: max-age` may not shorten `refresh` below this.
const SHORTEST_MAX_AGE: Duration = Duration::from_secs(30);
/// After a failed fetch: the first pause, doubled up to the last.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Counted for the whole process: what one configuration's keys have verified means nothing to the next one's. 0 is the
/// ring without keys.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);

/// The good key sets of all issuers, and the ring made of them.
pub(super) struct Keys {
    ring: ArcSwap<Keyring>,
    held: Mutex<Vec<Option<Held>>>,
    changes: watch::Sender<u64>,
}

impl Keys {
    pub(super) fn new(issuers: usize) -> Self {
        let held = std::iter::repeat_with(|| None).take(issuers).collect();
        Self {
            ring: ArcSwap::default(),
            held: Mutex::new(held),
            changes: watch::Sender::new(0),
        }
    }

    pub(super) fn ring(&self) -> Guard<Arc<Keyring>> {
        self.ring.load()
    }

    /// Tells of every new generation.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Puts an issuer's set in the place of its former one, `None` for none. True if that changed any key.
    fn install(&self, issuer: usize, new: Option<Held>) -> bool {
        let mut held = locked(&self.held);
        let Some(place) = held.get_mut(issuer) else {
            return false;
        };
        let old = std::mem::replace(place, new);
        if old.as_ref().map(|held| &held.set.keys) == place.as_ref().map(|held| &held.set.keys) {
            return false;
        }
        let generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
        let ring = Keyring::new(generation, held.iter().map(|held| held.as_ref().map(|held| &held.set)));
        self.ring.store(Arc::new(ring));
        // Still under the lock, so that generations are told in their order.
        self.changes.send_replace(generation);
        true
    }

    fn fetched(&self, issuer: usize) -> Option<SystemTime> {
        let held = locked(&self.held);
        Some(held.get(issuer)?.as_ref()?.fetched)
    }
}

/// What an operator decides about refreshing.
#[derive(Clone, Copy)]
struct Pace {
    refresh: Duration,
    keep_stale: Duration,
}

/// One issuer's share in the refreshing.
pub(super) struct Refresher {
    issuer: usize,
    pub(super) source: Source,
    keys: Arc<Keys>,
    pace: Pace,
    /// `jwt.algorithms`.
    permitted: Vec<Algorithm>,
    metrics: IssuerMetrics,
    /// Wakes the task for a fetch out of turn.
    wanted: Notify,
    state: Mutex<State>,
    /// Who asked for a fetch out of turn, by address.
    askers: Keyed<IpAddr>,
    /// How long the first fetch can wait, where the keys were taken over fresh.
    rest: Mutex<Option<Duration>>,
    /// Counts finished fetches.
    finished: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// Does the task run, so that asking it makes sense?
    alive: bool,
    /// Is a fetch under way or asked for?
    running: bool,
    started: Option<Instant>,
    /// Why the last fetch brought no keys.
    problem: Option<String>,
}

impl Refresher {
    pub(super) fn new(
        issuer: usize,
        source: Source,
        keys: Arc<Keys>,
        config: &config::Jwt,
        metrics: IssuerMetrics,
    ) -> Self {
        Self {
            issuer,
            source,
            keys,
            pace: Pace {
                refresh: config.refresh,
                keep_stale: config.keep_stale,
            },
            permitted: config.algorithms.clone(),
            metrics,
            wanted: Notify::new(),
            state: Mutex::default(),
            askers: Keyed::new(ON_DEMAND),
            rest: Mutex::default(),
            finished: watch::Sender::new(0),
        }
    }

    /// What can be had at once, before the first request: the file, or the set kept by an earlier run.
    /// `running` is the set that the configuration before had from the same place: it serves on, and the next fetch
    /// comes when it would have come anyway.
    pub(super) async fn prepare(&self, running: Option<Held>) {
        if let Some(running) = running.filter(|running| age(running.fetched) < self.pace.keep_stale) {
            *locked(&self.rest) = self.pace.refresh.checked_sub(age(running.fetched));
            self.hold(running);
            return;
        }
        // What another place had for an issuer of this name is not this one's.
        self.metrics.keys.set(0);
        self.metrics.fetched.set(0);
        if self.source.file().is_some() {
            self.refresh().await;
        } else if let Some(kept) = self.source.kept().await
            && age(kept.fetched) < self.pace.keep_stale
        {
            tracing::info!(issuer = %self.source.issuer, keys = kept.set.keys.len(), "starting with the last good keys");
            self.hold(kept);
        }
    }

    /// The set that serves now.
    pub(super) fn held(&self) -> Option<Held> {
        locked(&self.keys.held).get(self.issuer)?.clone()
    }

    /// How the issuer's key set is, as the metrics have it.
    pub(super) fn report(&self) -> IssuerState {
        let fetched = u64::try_from(self.metrics.fetched.get())
            .ok()
            .filter(|seconds| *seconds > 0);
        IssuerState {
            name: Arc::clone(&self.source.issuer),
            keys: usize::try_from(self.metrics.keys.get()).unwrap_or(0),
            fetched: fetched.map(from_unix),
            problem: locked(&self.state).problem.clone(),
        }
    }

    /// The task: fetches at once, then at the pace, sooner when woken. Never ends by itself.
    pub(super) async fn run(self: Arc<Self>) {
        let _alive = Alive::new(&self);
        let mut failures = 0;
        let mut rest = locked(&self.rest).take();
        loop {
            let pause = match rest.take() {
                Some(rest) => jittered(rest),
                None => self.turn(&mut failures).await,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => {}
            }
            if let Some(left) = self.left_of_pause() {
                tokio::time::sleep(left).await;
            }
        }
    }

    /// Wakes the task, whenever its last fetch was. For files that changed.
    pub(super) fn wake(&self) {
        self.wanted.notify_one();
    }

    /// Asks for a fetch out of turn, and gives what tells of its end; `None` if the last one began just now and `address` has
    /// asked often. Many askers share one fetch.
    pub(super) fn ask(&self, address: IpAddr) -> Option<watch::Receiver<u64>> {
        let mut state = locked(&self.state);
        if !state.alive {
            return None;
        }
        if !state.running {
            let is_rare = self.askers.take(address_key(address), Instant::now()).is_ok();
            let is_early = state.started.is_some_and(|started| started.elapsed() < ON_DEMAND_EVERY);
            if is_early && !is_rare {
                return None;
            }
            state.running = true;
            self.wanted.notify_one();
        }
        Some(self.finished.subscribe())
    }

    /// How long a fetch that somebody asked for has to wait after the one before.
    fn left_of_pause(&self) -> Option<Duration> {
        let state = locked(&self.state);
        let started = state.started.filter(|_| state.running)?;
        ON_DEMAND_PAUSE.checked_sub(started.elapsed())
    }

    /// One fetch and the book-keeping around it; gives the time until the next.
    async fn turn(&self, failures: &mut u32) -> Duration {
        // Whoever asked until now is served by this fetch.
        self.wanted.notified().now_or_never();
        let is_asked_for = {
            let mut state = locked(&self.state);
            state.started = Some(Instant::now());
            std::mem::replace(&mut state.running, true)
        };
        let good = self.refresh().await;
        locked(&self.state).running = false;
        self.finished.send_modify(|count| *count += 1);
        match good {
            Some(max_age) => {
                *failures = 0;
                jittered(pause_after_success(self.pace.refresh, max_age))
            }
            None => {
                let pause = jittered(pause_after_failure(self.pace.refresh, *failures));
                // Who asks out of turn makes nobody wait longer.
                *failures = failures.saturating_add(u32::from(!is_asked_for));
                // Awake when the last good keys have served long enough.
                let left = self
                    .keys
                    .fetched(self.issuer)
                    .map(|fetched| self.pace.keep_stale.saturating_sub(age(fetched)));
                left.map_or(pause, |left| pause.min(left + Duration::from_millis(1)))
            }
        }
    }

    /// Fetches once. `Some` with the answer's max-age if that brought keys; else the last good ones stay for as long as
    /// they may.
    pub(super) async fn refresh(&self) -> Option<Option<Duration>> {
        match self.source.fetch().await {
            Ok(brought) => Some(self.succeeded(brought).await),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    async fn succeeded(&self, brought: Brought) -> Option<Duration> {
        self.metrics.refreshed.inc();
        locked(&self.state).problem = None;
        let fetched = SystemTime::now();
        let max_age = brought.max_age;
        let set = brought.set.clone();
        if self.hold(Held { set, fetched }) {
            let (keys, refused) = brought.set.told(&self.permitted);
            if keys.is_empty() {
                tracing::error!(issuer = %self.source.issuer, "no key of this issuer can be used");
            } else {
                tracing::info!(issuer = %self.source.issuer, ?keys, "new keys");
            }
            for reason in refused {
                tracing::warn!(issuer = %self.source.issuer, %reason, "a key is not used");
            }
        }
        self.source.keep(brought, fetched).await;
        max_age
    }

    fn failed(&self, error: &FetchError) {
        self.metrics.failed.inc();
        locked(&self.state).problem = Some(error.to_string());
        let stale = self.keys.fetched(self.issuer).map(age);
        match stale {
            Some(age) if age >= self.pace.keep_stale => {
                self.keys.install(self.issuer, None);
                self.metrics.keys.set(0);
                tracing::error!(issuer = %self.source.issuer, %error, "no fresh keys; the last good ones are too old and dropped");
            }
            Some(_) => {
                tracing::warn!(issuer = %self.source.issuer, %error, "no fresh keys; the last good ones serve on");
            }
            None => tracing::error!(issuer = %self.source.issuer, %error, "no keys"),
        }
    }

    pub(super) fn hold(&self, held: Held) -> bool {
        let (usable, _) = held.set.told(&self.permitted);
        self.metrics.keys.set(i64::try_from(usable.len()).unwrap_or(i64::MAX));
        self.metrics
            .fetched
            .set(i64::try_from(unix_seconds(held.fetched)).unwrap_or(i64::MAX));
        self.keys.install(self.issuer, Some(held))
    }
}

/// Says that the task runs, for as long as it does.
struct Alive<'a>(&'a Refresher);

impl<'a> Alive<'a> {
    fn new(refresher: &'a Refresher) -> Self {
        locked(&refresher.state).alive = true;
        Self(refresher)
    }
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        *locked(&self.0.state) = State::default();
    }
}

/// The data behind these locks is whole at every moment, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn age(fetched: SystemTime) -> Duration {
    SystemTime::now().duration_since(fetched).unwrap_or_default()
}

fn pause_after_success(refresh: Duration, max_age: Option<Duration>) -> Duration {
    max_age.map_or(refresh, |max_age| refresh.min(max_age.max(SHORTEST_MAX_AGE)))
}

fn pause_after_failure(refresh: Duration, failures: u32) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(LAST_RETRY).min(refresh)
}

/// A tenth more or less, so that many gateways do not fetch in step; a short while at least.
fn jittered(pause: Duration) -> Duration {
    pause
        .mul_f64(rand::random_range(0.9..=1.1))
        .max(Duration::from_millis(100))
}

#[cfg(test)]
impl Refresher {
    /// One fetch out of turn; true if it brought keys.
    pub(super) async fn refresh_for_test(&self) -> bool {
        self.refresh().await.is_some()
    }

    /// As if this address had asked for many fetches.
    pub(super) fn asked_often(&self, address: IpAddr) {
        self.askers.spend(address_key(address), 100, Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_age_shortens_the_pause_within_bounds() {
        let refresh = Duration::from_secs(600);
        let after = |max_age: Option<u64>| pause_after_success(refresh, max_age.map(Duration::from_secs)).as_secs();
        assert_eq!(after(None), 600);
        assert_eq!(after(Some(60)), 60);
        assert_eq!(after(Some(0)), 30);
        assert_eq!(after(Some(86_400)), 600);
    }

    #[test]
    fn retries_back_off() {
        let pauses =
            [0, 1, 2, 3, 4, 5, u32::MAX].map(|failures| pause_after_failure(Duration::from_secs(600), failures));
        assert_eq!(pauses.map(|pause| pause.as_secs()), [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(pause_after_failure(Duration::from_secs(1), 9), Duration::from_secs(1));
    }
}
