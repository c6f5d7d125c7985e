//! Is Opencast away, so that nobody needs to ask it for a moment?
//!
//! A question without an answer is no proof: one client could choose events that Opencast is slow to answer.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::fair::Asker;

/// How long nobody asks again.
pub(super) const AWAY_FOR: Duration = Duration::from_secs(2);
/// So many different askers without an answer, and no answer to anybody between.
const ASKERS: usize = 3;

/// What the last questions say about Opencast.
#[derive(Default)]
pub(super) struct Away(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whose questions had no answer since the last answer; fewer than [`ASKERS`].
    unanswered: Vec<Asker>,
    until: Option<Instant>,
}

impl Away {
    pub(super) fn is_now(&self, now: Instant) -> bool {
        self.0.lock().until.is_some_and(|until| now < until)
    }

    /// A server has answered, whatever it was.
    pub(super) fn answered(&self) {
        *self.0.lock() = State::default();
    }

    /// A server was reached, and this client's question had no whole answer in time.
    pub(super) fn unanswered(&self, asker: &Asker, now: Instant) {
        let mut state = self.0.lock();
        if !state.unanswered.contains(asker) {
            state.unanswered.push(asker.clone());
        }
        if state.unanswered.len() >= ASKERS {
            *state = State::since(now);
        }
    }

    /// No server can be reached.
    pub(super) fn unreachable(&self, now: Instant) {
        *self.0.lock() = State::since(now);
    }
}

impl State {
    fn since(now: Instant) -> Self {
        Self {
            unanswered: Vec::new(),
            until: Some(now + AWAY_FOR),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn asker(last: u8) -> Asker {
        Asker::at(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn no_client_alone_makes_it_away() {
        let (away, now) = (Away::default(), Instant::now());
        for _ in 0..100 {
            away.unanswered(&asker(1), now);
            away.unanswered(&asker(2), now);
        }
        assert!(!away.is_now(now));
        away.answered();
        away.unanswered(&asker(3), now);
        assert!(!away.is_now(now), "somebody had an answer meanwhile");
    }

    #[test]
    fn it_is_away_for_a_moment_when_nobody_has_an_answer() {
        let (away, now) = (Away::default(), Instant::now());
        for last in 1..=3 {
            away.unanswered(&asker(last), now);
        }
        assert!(away.is_now(now));
        assert!(!away.is_now(now + AWAY_FOR));
        away.unreachable(now);
        assert!(away.is_now(now));
        away.answered();
        assert!(!away.is_now(now), "a late answer is an answer");
    }
}
