//! A JWKS endpoint that can be slow, broken, gone and back.

use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex};

use super::double::Double;
use super::http::Wire;
use super::tokens::Signer;
use super::wait::DEADLINE;

/// What the endpoint does with a request.
#[derive(Clone)]
enum Mood {
    /// Answers 200 with the set.
    Serves,
    /// Answers this status.
    Fails(u16),
    /// Hangs up without an answer.
    HangsUp,
    /// Answers once it is in another mood.
    Stalls,
}

struct State {
    mood: Mood,
    keys: String,
    headers: String,
    requests: usize,
}

type Shared = Arc<(Mutex<State>, Condvar)>;

/// A JWKS server; `http`, on loopback.
pub struct JwksServer {
    double: Double,
    shared: Shared,
}

impl JwksServer {
    pub fn start(signers: &[&Signer]) -> Self {
        let shared: Shared = Arc::new((
            Mutex::new(State {
                mood: Mood::Serves,
                keys: Signer::jwks(signers),
                headers: String::new(),
                requests: 0,
            }),
            Condvar::new(),
        ));
        let served = Arc::clone(&shared);
        Self {
            double: Double::start(move |wire| serve(wire, &served)),
            shared,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/.well-known/jwks.json", self.double.address)
    }

    /// From now on these keys.
    pub fn serve(&self, signers: &[&Signer]) {
        self.serve_text(&Signer::jwks(signers));
    }

    /// From now on this body.
    pub fn serve_text(&self, keys: &str) {
        self.change(|state| {
            state.mood = Mood::Serves;
            state.keys = keys.to_owned();
        });
    }

    /// A further header line of every answer.
    pub fn header(&self, name: &str, value: &str) {
        self.change(|state| state.headers = format!("{name}: {value}\r\n"));
    }

    pub fn fail(&self, status: u16) {
        self.change(|state| state.mood = Mood::Fails(status));
    }

    pub fn hang_up(&self) {
        self.change(|state| state.mood = Mood::HangsUp);
    }

    pub fn stall(&self) {
        self.change(|state| state.mood = Mood::Stalls);
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.shared.0.lock().unwrap().requests
    }

    /// Waits until it was asked so often.
    pub fn asked(&self, times: usize) {
        let (state, changed) = &*self.shared;
        let state = state.lock().unwrap();
        let (state, timeout) = changed
            .wait_timeout_while(state, DEADLINE, |state| state.requests < times)
            .unwrap();
        assert!(!timeout.timed_out(), "asked {} times, not {times}", state.requests);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.shared.0.lock().unwrap());
        self.shared.1.notify_all();
    }
}

fn serve(mut wire: Wire, (state, changed): &(Mutex<State>, Condvar)) {
    while wire.head().is_ok() {
        let mut now = state.lock().unwrap();
        now.requests += 1;
        changed.notify_all();
        let stalled = |state: &mut State| matches!(state.mood, Mood::Stalls);
        let (now, _) = changed.wait_timeout_while(now, DEADLINE, stalled).unwrap();
        let (status, body) = match now.mood {
            Mood::Serves => (200, now.keys.clone()),
            Mood::Fails(status) => (status, "no keys today".to_owned()),
            Mood::HangsUp | Mood::Stalls => return,
        };
        let answer = format!(
            "HTTP/1.1 {status} So\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{body}",
            now.headers,
            body.len()
        );
        drop(now);
        if wire.stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
