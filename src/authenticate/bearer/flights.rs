//! One question at a time about each token, however many wait for its answer. It goes on when those who wait are gone.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::timeout;

/// The questions that are on their way, by what they are about.
pub(super) struct Flights<K: Eq + Hash, V>(Arc<Mutex<Under<K, V>>>);

type Under<K, V> = HashMap<K, Waiting<V>>;

/// Whoever waits for an answer.
type Waiting<V> = watch::Receiver<Option<V>>;

impl<K: Eq + Hash, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to the question that is on its way about `key`, or else to this one. `None`: it did not come in time.
    pub(super) async fn join<F>(&self, key: K, limit: Duration, question: impl FnOnce() -> F) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut waiting = self.waiting(key, question);
        let answer = timeout(limit, waiting.wait_for(Option::is_some)).await;
        answer.ok()?.ok()?.clone()
    }

    fn waiting<F>(&self, key: K, question: impl FnOnce() -> F) -> Waiting<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under = self.0.lock();
        if let Some(waiting) = under.get(&key) {
            return waiting.clone();
        }
        let (answers, waiting) = watch::channel(None);
        under.insert(key.clone(), waiting.clone());
        drop(under);
        let landing = Landing {
            under: Arc::clone(&self.0),
            key,
        };
        let question = question();
        tokio::spawn(async move {
            let answer = question.await;
            // What came of it is remembered by now: whoever comes next looks there first.
            drop(landing);
            answers.send_replace(Some(answer));
        });
        waiting
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

/// Takes the question off the list, even where it panics.
struct Landing<K: Eq + Hash, V> {
    under: Arc<Mutex<Under<K, V>>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.under.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn five_thousand_who_ask_the_same_are_one_question() {
        let (flights, asked) = (Flights::<u8, usize>::default(), Arc::new(AtomicUsize::new(0)));
        let ask = || {
            let asked = Arc::clone(&asked);
            flights.join(1, LIMIT, move || async move {
                tokio::task::yield_now().await;
                asked.fetch_add(1, Ordering::Relaxed)
            })
        };
        let all = join_all((0..5000).map(|_| ask())).await;
        assert!(all.into_iter().all(|answer| answer == Some(0)));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(flights.count(), 0);
    }

    #[tokio::test]
    async fn a_question_goes_on_without_whoever_asked_first() {
        let flights = Flights::<u8, u8>::default();
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        let mut first = Box::pin(flights.join(1, LIMIT, || async move {
            answered.await.ok();
            7
        }));
        assert!(first.as_mut().now_or_never().is_none());
        drop(first);
        let second = flights.join(1, LIMIT, || async { unreachable!("one is on its way") });
        answer.send(()).unwrap();
        assert_eq!(second.await, Some(7));
    }

    #[tokio::test]
    async fn one_that_fails_keeps_nobody_from_asking_again() {
        let flights = Flights::<u8, u8>::default();
        let broken = flights.join(1, LIMIT, || async { std::panic::panic_any("a defect") });
        assert_eq!(broken.await, None);
        assert_eq!(flights.join(1, LIMIT, || async { 1 }).await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_without_end() {
        let flights = Flights::<u8, u8>::default();
        assert_eq!(flights.join(1, LIMIT, std::future::pending).await, None);
        assert_eq!(flights.count(), 1, "it goes on");
    }
}
