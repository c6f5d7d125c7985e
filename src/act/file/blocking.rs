//! Where file operations wait that may take long: a bounded number of threads beside the workers.
//!
//! A mount that hangs holds its own places and nothing else: no worker thread, and no other root's places. Nor does a
//! client hold those of others, which asks for what is slow again and again: a file on a bad sector, or on a tape.

use std::net::IpAddr;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::fair::{self, Asker, Shares};

/// Operations at the same time, for each root: more would only queue up in the disk, and how many are good for it does not
/// depend on who asks. Half of them are more than a whole campus behind one address needs; all of its players may wait.
const SHARES: Shares = Shares {
    all: 64,
    each: 32,
    kept: 0,
    queue: 4096,
    wait: Duration::from_secs(5),
};
/// How long an operation may take before its request gives up; the place stays taken until it really ends.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The places of one root.
pub(super) struct Places(fair::Places);

/// Why an operation brought no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stalled {
    #[error("no free place for a file operation within {} s", SHARES.wait.as_secs())]
    NoPlace,
    #[error("the file system did not answer within {} s", TIMEOUT.as_secs())]
    NoAnswer,
    #[error("a file operation ended without a result")]
    Lost,
}

impl Places {
    pub(super) fn new() -> Self {
        Self(fair::Places::new(SHARES))
    }

    /// Runs `work` for a client on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        client: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stalled> {
        let place = self.0.take(Asker::at(client)).await.map_err(|_| Stalled::NoPlace)?;
        let running = spawn_blocking(move || {
            let result = work();
            // Released here and not by the request: one that went away must not free a thread that is still stuck.
            drop(place);
            result
        });
        timeout(TIMEOUT, running)
            .await
            .map_err(|_| Stalled::NoAnswer)?
            .map_err(|_| Stalled::Lost)
    }

    /// Takes every place, for as many clients.
    #[cfg(test)]
    pub(super) async fn take_all(&self) -> Vec<fair::Place> {
        let mut all = Vec::new();
        for last in 0..SHARES.all {
            let client = IpAddr::from([192, 0, 2, u8::try_from(last).unwrap()]);
            all.push(self.0.take(Asker::at(client)).await.unwrap());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));
    const ANOTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));

    #[tokio::test]
    async fn runs_work_and_gives_the_place_back() {
        let places = Places::new();
        for n in 0..SHARES.all * 2 {
            assert_eq!(places.run(CLIENT, move || n).await, Ok(n));
        }
        assert_eq!(places.0.taken(), 0);
    }

    #[tokio::test]
    async fn a_panic_costs_its_request_only() {
        let places = Places::new();
        let lost = places.run(CLIENT, || panic!("on purpose")).await;
        assert_eq!(lost, Err::<(), _>(Stalled::Lost));
        assert_eq!(places.0.taken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_when_all_places_stay_taken() {
        let places = Places::new();
        let _taken = places.take_all().await;
        assert_eq!(places.run(CLIENT, || ()).await, Err(Stalled::NoPlace));
    }

    /// Starts an operation that goes on until the sender is dropped.
    async fn stuck(places: &Places, client: IpAddr) -> mpsc::Sender<()> {
        let (started, has_started) = oneshot::channel();
        let (end, ended) = mpsc::channel::<()>();
        let work = places.run(client, move || {
            started.send(()).unwrap();
            ended.recv().ok();
        });
        tokio::select! {
            _ = work => panic!("cannot end by itself"),
            result = has_started => result.unwrap(),
        }
        end
    }

    #[tokio::test]
    async fn an_abandoned_operation_keeps_its_place_until_it_ends() {
        let places = Places::new();
        let end = stuck(&places, CLIENT).await;
        assert_eq!(places.0.taken(), 1);
        drop(end);
        while places.0.taken() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_client_that_asks_for_what_hangs_leaves_places_to_others() {
        let places = Places::new();
        let mut flood = Vec::new();
        for _ in 0..SHARES.each {
            flood.push(stuck(&places, CLIENT).await);
        }
        let mut next = std::pin::pin!(places.run(CLIENT, || ()));
        tokio::select! {
            biased;
            _ = &mut next => panic!("a client has more than its share"),
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(places.run(ANOTHER, || 7).await, Ok(7));
        drop(flood);
        assert_eq!(next.await, Ok(()));
    }
}
