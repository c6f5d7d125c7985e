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

type Under<K, V> = HashMap<K, watch::Sender<Option<V>>>;

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
        self.join_with(key, limit, |_| question()).await
    }

    /// The same for a question that may be given up where nobody waits any more.
    pub(super) async fn join_with<F>(
        &self,
        key: K,
        limit: Duration,
        question: impl FnOnce(Waiters<K, V>) -> F,
    ) -> Option<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut waiting = self.waiting(key, question);
        let answer = timeout(limit, waiting.wait_for(Option::is_some)).await;
        answer.ok()?.ok()?.clone()
    }

    fn waiting<F>(&self, key: K, question: impl FnOnce(Waiters<K, V>) -> F) -> Waiting<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under = self.0.lock();
        if let Some(answers) = under.get(&key) {
            return answers.subscribe();
        }
        let (answers, waiting) = watch::channel(None);
        under.insert(key.clone(), answers.clone());
        drop(under);
        let waiters = || Waiters {
            under: Arc::clone(&self.0),
            key: key.clone(),
            answers: answers.clone(),
        };
        let landing = Landing(waiters());
        let question = question(waiters());
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

/// Those who wait for the answer to a question.
pub(super) struct Waiters<K: Eq + Hash, V> {
    under: Arc<Mutex<Under<K, V>>>,
    key: K,
    answers: watch::Sender<Option<V>>,
}

impl<K: Eq + Hash, V> Waiters<K, V> {
    /// Ends when nobody waits any more. Whoever comes after that asks anew.
    pub(super) async fn have_left(&self) {
        loop {
            self.answers.closed().await;
            let mut under = self.under.lock();
            // Whoever joins does so under the lock.
            if self.answers.receiver_count() == 0 {
                self.forget(&mut under);
                return;
            }
        }
    }

    /// There may be another question about the same by now.
    fn forget(&self, under: &mut Under<K, V>) {
        if under
            .get(&self.key)
            .is_some_and(|known| known.same_channel(&self.answers))
        {
            under.remove(&self.key);
        }
    }
}

/// Takes the question off the list, even where it panics.
struct Landing<K: Eq + Hash, V>(Waiters<K, V>);

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        self.0.forget(&mut self.0.under.lock());
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
    async fn a_question_learns_that_nobody_waits() {
        let flights = Flights::<u8, u8>::default();
        let given_up = Arc::new(AtomicUsize::new(0));
        let ask = || {
            let given_up = Arc::clone(&given_up);
            flights.join_with(1, LIMIT, |waiters| async move {
                waiters.have_left().await;
                given_up.fetch_add(1, Ordering::Relaxed);
                std::future::pending().await
            })
        };
        let (mut first, mut second) = (Box::pin(ask()), Box::pin(ask()));
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        drop(first);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(given_up.load(Ordering::Relaxed), 0, "the second waits");
        drop(second);
        while given_up.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(flights.count(), 0);
        assert_eq!(flights.join(1, LIMIT, || async { 1 }).await, Some(1), "asked anew");
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
