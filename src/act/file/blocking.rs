//! Where file operations wait that may take long: a bounded number of threads beside the workers.
//!
//! A mount that hangs holds its own places and nothing else: no worker thread, and no other root's places.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Operations at the same time, for each root: more would only queue up in the disk.
const PLACES: usize = 64;
/// How long a request waits for a place.
const WAIT: Duration = Duration::from_secs(5);
/// How long an operation may take before its request gives up; the place stays taken until it really ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// The places of one root.
pub(super) struct Places(Arc<Semaphore>);

/// Why an operation brought no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stalled {
    #[error("no free place for a file operation within {} s", WAIT.as_secs())]
    NoPlace,
    #[error("the file system did not answer within {} s", PATIENCE.as_secs())]
    NoAnswer,
    #[error("a file operation ended without a result")]
    Lost,
}

impl Places {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PLACES)))
    }

    /// Runs `work` on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stalled> {
        let place = timeout(WAIT, self.0.clone().acquire_owned()).await;
        let place = place.map_err(|_| Stalled::NoPlace)?.map_err(|_| Stalled::Lost)?;
        let running = spawn_blocking(move || {
            let result = work();
            // Released here and not by the request: one that went away must not free a thread that is still stuck.
            drop(place);
            result
        });
        timeout(PATIENCE, running)
            .await
            .map_err(|_| Stalled::NoAnswer)?
            .map_err(|_| Stalled::Lost)
    }

    #[cfg(test)]
    pub(super) fn take_all(&self) -> tokio::sync::OwnedSemaphorePermit {
        self.0.clone().try_acquire_many_owned(PLACES as u32).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_work_and_gives_the_place_back() {
        let places = Places::new();
        for n in 0..PLACES * 2 {
            assert_eq!(places.run(move || n).await, Ok(n));
        }
        assert_eq!(places.0.available_permits(), PLACES);
    }

    #[tokio::test]
    async fn a_panic_costs_its_request_only() {
        let places = Places::new();
        assert_eq!(places.run(|| panic!("on purpose")).await, Err::<(), _>(Stalled::Lost));
        assert_eq!(places.0.available_permits(), PLACES);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_when_all_places_stay_taken() {
        let places = Places::new();
        let _taken = places.take_all();
        assert_eq!(places.run(|| ()).await, Err(Stalled::NoPlace));
    }

    #[tokio::test]
    async fn an_abandoned_operation_keeps_its_place_until_it_ends() {
        let places = Places::new();
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let work = places.run(move || {
            started.send(()).unwrap();
            ended.recv()
        });
        tokio::select! {
            _ = work => panic!("cannot end by itself"),
            result = has_started => result.unwrap(),
        }
        assert_eq!(places.0.available_permits(), PLACES - 1);
        end.send(()).unwrap();
        let _all = places.0.acquire_many(PLACES as u32).await.unwrap();
    }
}
