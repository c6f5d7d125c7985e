//! Waiting for something to become true. The only place that lets time pass, and it never decides a test by how much.

use std::time::{Duration, Instant};

/// Far longer than anything takes, so that only what never happens runs into it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until there is an answer; panics with `what` at the deadline.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, what, ask)
}

/// The same with a deadline of its own, for what takes minutes.
pub fn within<T>(deadline: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
