//! A document of a server: fetched when it is needed, one fetch at a time, and served on while the server is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use super::error::Failed;

/// After a failed fetch nobody asks again for so long, so that a server that hangs is not waited for by everybody.
const PAUSE: Duration = Duration::from_secs(10);

/// The last good copy of a document.
pub struct Cached<T> {
    last: ArcSwapOption<(Arc<T>, Instant)>,
    /// Held by whoever fetches: when that failed last, and why.
    turn: Mutex<Option<(Instant, Failed)>>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self {
            last: ArcSwapOption::empty(),
            turn: Mutex::new(None),
        }
    }
}

impl<T> Cached<T> {
    /// A copy younger than `fresh`, if it can be had. An older one serves while somebody else fetches, and where the fetch
    /// fails. Error: there is none.
    pub async fn get(&self, fresh: Duration, fetch: impl Future<Output = Result<T, Failed>>) -> Result<Arc<T>, Failed> {
        if let Some(young) = self.younger(fresh) {
            return Ok(young);
        }
        let mut turn = match (self.turn.try_lock(), self.last.load_full()) {
            (Ok(turn), _) => turn,
            (Err(_), Some(last)) => return Ok(Arc::clone(&last.0)),
            (Err(_), None) => self.turn.lock().await,
        };
        self.fetch(fresh, &mut turn, fetch).await
    }

    /// The same for who has seen something that the copy does not know: the fetch of somebody else is waited for.
    pub async fn newer(
        &self,
        fresh: Duration,
        fetch: impl Future<Output = Result<T, Failed>>,
    ) -> Result<Arc<T>, Failed> {
        let mut turn = self.turn.lock().await;
        self.fetch(fresh, &mut turn, fetch).await
    }

    async fn fetch(
        &self,
        fresh: Duration,
        failed: &mut Option<(Instant, Failed)>,
        fetch: impl Future<Output = Result<T, Failed>>,
    ) -> Result<Arc<T>, Failed> {
        // Somebody else's fetch may have ended meanwhile.
        if let Some(young) = self.younger(fresh) {
            return Ok(young);
        }
        let last = self.last.load_full().map(|last| Arc::clone(&last.0));
        if let Some((_, why)) = failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return last.ok_or_else(|| why.clone());
        }
        match fetch.await {
            Ok(value) => {
                *failed = None;
                let value = Arc::new(value);
                self.last.store(Some(Arc::new((Arc::clone(&value), Instant::now()))));
                Ok(value)
            }
            Err(why) => {
                tracing::warn!(error = %why, is_served_on = last.is_some(), "a document of an authorization server cannot be fetched");
                *failed = Some((Instant::now(), why.clone()));
                last.ok_or(why)
            }
        }
    }

    /// The last good copy, and how old it is.
    pub fn last(&self) -> Option<(Arc<T>, Duration)> {
        let last = self.last.load_full()?;
        Some((Arc::clone(&last.0), last.1.elapsed()))
    }

    fn younger(&self, fresh: Duration) -> Option<Arc<T>> {
        let last = self.last.load_full()?;
        (last.1.elapsed() < fresh).then(|| Arc::clone(&last.0))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn many_who_come_together_fetch_once() {
        let (cached, fetches) = (Cached::default(), AtomicUsize::new(0));
        let fetch = || async {
            tokio::task::yield_now().await;
            Ok(fetches.fetch_add(1, Ordering::Relaxed))
        };
        let all = join_all((0..50).map(|_| cached.get(HOUR, fetch()))).await;
        assert!(all.into_iter().all(|got| *got.unwrap() == 0));
        assert_eq!(*cached.get(Duration::ZERO, fetch()).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn the_last_copy_serves_on_and_failures_are_not_repeated_at_once() {
        let cached = Cached::default();
        let bad = || async { Err::<u8, _>(Failed::Answer("no".into())) };
        assert!(cached.get(HOUR, bad()).await.is_err());
        let good = || async { Ok(7) };
        assert!(cached.get(HOUR, good()).await.is_err(), "not asked again so soon");
        *cached.turn.lock().await = None;
        assert_eq!(*cached.get(HOUR, good()).await.unwrap(), 7);
        assert_eq!(*cached.newer(Duration::ZERO, bad()).await.unwrap(), 7);
    }
}
