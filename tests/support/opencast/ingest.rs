//! What is uploaded to the double: bodies of any size, taken in without being kept, held back where a test says so.

use std::io;
use std::sync::{Condvar, Mutex};

use crate::support::http::{Wire, values};
use crate::support::upstream::Seen;
use crate::support::wait::DEADLINE;

/// So much of the beginning of a body is kept: all of a form, and of a recording the fields before it.
const KEPT: usize = 64 * 1024;

/// The way of bodies into the double.
#[derive(Default)]
pub struct Tap {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    received: u64,
    /// No more than so many bytes in all are taken.
    closed_at: Option<u64>,
}

impl Tap {
    /// Bytes of bodies that have come in so far.
    pub fn received(&self) -> u64 {
        self.state.lock().unwrap().received
    }

    /// Waits until so many bytes have come in.
    pub fn wait_for(&self, bytes: u64) {
        let state = self.state.lock().unwrap();
        let wait = self
            .changed
            .wait_timeout_while(state, DEADLINE, |state| state.received < bytes);
        let (state, waited) = wait.unwrap();
        assert!(!waited.timed_out(), "{} of {bytes} bytes came in", state.received);
    }

    /// Nothing beyond so many bytes is read until [`Tap::open`].
    pub fn close_at(&self, bytes: u64) {
        self.state.lock().unwrap().closed_at = Some(bytes);
    }

    pub fn open(&self) {
        self.state.lock().unwrap().closed_at = None;
        self.changed.notify_all();
    }

    fn take(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap();
        state.received += bytes;
        self.changed.notify_all();
        let is_closed = |state: &mut State| state.closed_at.is_some_and(|limit| state.received >= limit);
        // A test that ends without opening it must not keep this thread.
        drop(self.changed.wait_timeout_while(state, DEADLINE, is_closed).unwrap());
    }
}

/// A body that has come in whole.
#[derive(Debug, Clone, Default)]
pub struct Body {
    /// Its first bytes: [`KEPT`] at most.
    pub begins: Vec<u8>,
    pub length: u64,
}

impl Body {
    pub fn read(wire: &mut Wire, headers: &[(String, String)], tap: &Tap) -> io::Result<Self> {
        let mut body = Self::default();
        wire.body_into(headers, false, |piece| {
            let room = KEPT.saturating_sub(body.begins.len()).min(piece.len());
            body.begins.extend_from_slice(&piece[..room]);
            body.length += piece.len() as u64;
            tap.take(piece.len() as u64);
        })?;
        Ok(body)
    }
}

/// A part of a multipart form, as far as it was kept.
#[derive(Debug, Clone)]
struct Part {
    name: String,
    text: String,
}

/// What somebody has uploaded.
#[derive(Debug, Clone)]
pub struct Upload {
    parts: Vec<Part>,
    /// Of the whole form.
    pub length: u64,
}

impl Upload {
    /// `None`: no multipart form (RFC 7578).
    pub fn of(seen: &Seen, body: &Body) -> Option<Self> {
        let kind = values(&seen.headers, "content-type").first().copied()?;
        let delimiter = format!("--{}", kind.strip_prefix("multipart/form-data; boundary=")?);
        let text = String::from_utf8_lossy(&body.begins);
        let parts = text.split(&*delimiter).filter_map(|part| {
            let (head, content) = part.split_once("\r\n\r\n")?;
            let (_, name) = head.split_once("name=\"")?;
            Some(Part {
                name: name.split('"').next()?.to_owned(),
                text: content.strip_suffix("\r\n").unwrap_or(content).to_owned(),
            })
        });
        Some(Self {
            parts: parts.collect(),
            length: body.length,
        })
    }

    pub fn part(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|part| part.name == name).map(|part| &*part.text)
    }
}
