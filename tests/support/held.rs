//! Requests that a double leaves waiting until it is told to let them go, and how many of them there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::wait::eventually;

#[derive(Debug)]
pub struct Held {
    waiting: AtomicUsize,
    most: AtomicUsize,
    /// Then a request goes on by itself.
    longest: Duration,
    is_free: Mutex<bool>,
    freed: Condvar,
}

impl Held {
    pub fn for_at_most(longest: Duration) -> Self {
        Self {
            longest,
            waiting: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            is_free: Mutex::new(false),
            freed: Condvar::new(),
        }
    }

    pub fn wait(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(waiting, Ordering::SeqCst);
        let is_free = self.is_free.lock().unwrap();
        drop(
            self.freed
                .wait_timeout_while(is_free, self.longest, |free| !*free)
                .unwrap(),
        );
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    pub fn let_go(&self) {
        *self.is_free.lock().unwrap() = true;
        self.freed.notify_all();
    }

    /// Comes back when so many have waited at once.
    pub fn holds(&self, count: usize) {
        eventually("the flood is there", || (self.most() >= count).then_some(()));
    }

    /// The most that ever waited at once.
    pub fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}
