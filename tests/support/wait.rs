//! Waiting for something to become true. The only place that lets time pass, and it never decides a test by how much.

use std::time::{Duration, Instant};

/// Far longer than anything takes, so that only what never happens runs into it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until there is an answer; panics with `what` at the deadline.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
