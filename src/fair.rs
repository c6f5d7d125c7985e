//! How much may be done at once, shared fairly among clients: a semaphore with a share for each client, places that are
//! kept for clients with a valid credential, and a queue with a deadline.
//!
//! Clients that wait are served in turn, one place each, so that one with a thousand requests does not delay another with
//! one. What is done in a place, and what a refusal looks like, is decided by the caller.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::identity::Identity;
use crate::rate::address_key;
use crate::rejection::{Hint, Reason, Rejection};

/// Requests of all clients that may wait at once.
const MOST_WAITING_IN_ALL: usize = 16_384;

/// Who asks for a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asker {
    name: Name,
    is_known: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Name {
    Address(IpAddr),
    Person(Arc<str>),
}

impl Asker {
    /// Somebody at this address (IPv6: a host of this /64) without a credential.
    pub fn at(address: IpAddr) -> Self {
        Self {
            name: Name::Address(address_key(address)),
            is_known: false,
        }
    }

    /// The person whose valid credential came with the request; where it names nobody, the address counts.
    pub fn of(who: Option<&Identity>, address: IpAddr) -> Self {
        let Some(who) = who else { return Self::at(address) };
        match who.counts_as(address) {
            None => Self::at(address).known(),
            Some(name) => Self {
                name: Name::Person(name.into()),
                is_known: true,
            },
        }
    }

    /// A person who signed in, whose name counts at every address.
    pub fn person(who: &Identity) -> Self {
        Self::of(Some(who), IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// The same with a credential that was found valid otherwise.
    pub fn known(self) -> Self {
        Self { is_known: true, ..self }
    }
}

/// How the places are shared.
#[derive(Debug, Clone, Copy)]
pub struct Shares {
    pub all: usize,
    /// Of these, for one client.
    pub each: usize,
    /// Of all, those that only clients with a valid credential get.
    pub kept: usize,
    /// Requests of one client that may wait; the next one is refused.
    pub queue: usize,
    /// How long a request waits for a place.
    pub wait: Duration,
}

/// No place was free in time: the gateway is busy, and nobody else has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no free place within {} ms", .0.as_millis())]
pub struct NoPlace(Duration);

impl NoPlace {
    pub fn within(wait: Duration) -> Self {
        Self(wait)
    }
}

impl From<NoPlace> for Rejection {
    fn from(none: NoPlace) -> Self {
        Self::because(Reason::Overloaded, none.to_string()).with_hint(Hint::RetryAfter(5))
    }
}

/// Places to be taken. Clones share them.
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    shares: Shares,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    taken_by_unknown: usize,
    waiting: usize,
    /// Every client that holds a place or waits for one.
    lines: HashMap<Asker, Line>,
    /// The clients that wait, in the order in which they are served: those with a credential, and the others.
    known: VecDeque<Asker>,
    unknown: VecDeque<Asker>,
}

#[derive(Default)]
struct Line {
    taken: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A place; given back when dropped.
#[must_use]
pub struct Place {
    places: Arc<Inner>,
    asker: Asker,
}

impl Places {
    pub fn new(shares: Shares) -> Self {
        let state = Mutex::default();
        Self(Arc::new(Inner { shares, state }))
    }

    /// A place, after waiting for it if need be.
    pub async fn take(&self, asker: Asker) -> Result<Place, NoPlace> {
        let inner = &self.0;
        let none = NoPlace(inner.shares.wait);
        let waiting = {
            let mut state = inner.state.lock();
            let line = state.lines.get(&asker);
            let ahead = line.map_or(0, |line| line.waiting.len());
            if ahead == 0 && state.has_room(&asker, &inner.shares) {
                return Ok(state.give(inner, &asker));
            }
            if ahead >= inner.shares.queue || state.waiting >= MOST_WAITING_IN_ALL {
                return Err(none);
            }
            let (sender, receiver) = oneshot::channel();
            state.lines.entry(asker.clone()).or_default().waiting.push_back(sender);
            state.waiting += 1;
            if ahead == 0 {
                state.turns(asker.is_known).push_back(asker.clone());
            }
            Waiting {
                places: inner,
                asker,
                receiver: Some(receiver),
            }
        };
        waiting.place().await.ok_or(none)
    }

    /// Places that are taken now.
    #[cfg(test)]
    pub fn taken(&self) -> usize {
        self.0.state.lock().taken
    }
}

impl Inner {
    /// Hands free places to those who wait.
    fn serve(self: &Arc<Self>) {
        loop {
            let mut state = self.state.lock();
            let Some((asker, sender)) = state.next(&self.shares) else {
                return;
            };
            let place = state.give(self, &asker);
            drop(state);
            // Whoever has gone meanwhile leaves the place, which is dropped here and given to another.
            drop(sender.send(place));
        }
    }
}

impl State {
    fn has_room(&self, asker: &Asker, shares: &Shares) -> bool {
        let own = self.lines.get(asker).map_or(0, |line| line.taken);
        let is_open = asker.is_known || self.taken_by_unknown + shares.kept < shares.all;
        self.taken < shares.all && own < shares.each && is_open
    }

    fn give(&mut self, places: &Arc<Inner>, asker: &Asker) -> Place {
        self.taken += 1;
        self.taken_by_unknown += usize::from(!asker.is_known);
        self.lines.entry(asker.clone()).or_default().taken += 1;
        Place {
            places: Arc::clone(places),
            asker: asker.clone(),
        }
    }

    fn turns(&mut self, is_known: bool) -> &mut VecDeque<Asker> {
        match is_known {
            true => &mut self.known,
            false => &mut self.unknown,
        }
    }

    /// The request that is served next, taken out of the queue; its client goes to the end.
    fn next(&mut self, shares: &Shares) -> Option<(Asker, oneshot::Sender<Place>)> {
        if self.taken >= shares.all {
            return None;
        }
        for is_known in [true, false] {
            if !is_known && self.taken_by_unknown + shares.kept >= shares.all {
                break;
            }
            let turns = if is_known { &self.known } else { &self.unknown };
            let free = turns.iter().position(|asker| self.has_room(asker, shares));
            let Some(asker) = free.and_then(|place| self.turns(is_known).remove(place)) else {
                continue;
            };
            let line = self.lines.get_mut(&asker)?;
            let sender = line.waiting.pop_front()?;
            let more = !line.waiting.is_empty();
            self.waiting -= 1;
            if more {
                self.turns(is_known).push_back(asker.clone());
            }
            return Some((asker, sender));
        }
        None
    }

    fn forget_if_idle(&mut self, asker: &Asker) {
        let line = self.lines.get(asker);
        if line.is_some_and(|line| line.taken == 0 && line.waiting.is_empty()) {
            self.lines.remove(asker);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state.lock();
        state.taken -= 1;
        state.taken_by_unknown -= usize::from(!self.asker.is_known);
        if let Some(line) = state.lines.get_mut(&self.asker) {
            line.taken -= 1;
        }
        state.forget_if_idle(&self.asker);
        drop(state);
        self.places.serve();
    }
}

/// A request in the queue; leaves it when dropped.
struct Waiting<'a> {
    places: &'a Arc<Inner>,
    asker: Asker,
    receiver: Option<oneshot::Receiver<Place>>,
}

impl Waiting<'_> {
    async fn place(mut self) -> Option<Place> {
        let receiver = self.receiver.as_mut()?;
        let place = timeout(self.places.shares.wait, receiver).await.ok()?.ok();
        // Served, and in no queue any more.
        self.receiver = None;
        place
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(receiver) = self.receiver.take() else {
            return;
        };
        // With it goes a place that came in the last moment.
        drop(receiver);
        let mut state = self.places.state.lock();
        let Some(line) = state.lines.get_mut(&self.asker) else {
            return;
        };
        let before = line.waiting.len();
        line.waiting.retain(|sender| !sender.is_closed());
        let (gone, is_empty) = (before - line.waiting.len(), line.waiting.is_empty());
        state.waiting -= gone;
        if gone > 0 && is_empty {
            let asker = &self.asker;
            state.turns(asker.is_known).retain(|other| other != asker);
            state.forget_if_idle(asker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const SHARES: Shares = Shares {
        all: 4,
        each: 2,
        kept: 1,
        queue: 512,
        wait: Duration::from_secs(5),
    };

    fn stranger(last: u8) -> Asker {
        Asker::at(IpAddr::from([192, 0, 2, last]))
    }

    fn person(name: &str) -> Asker {
        Asker {
            name: Name::Person(name.into()),
            is_known: true,
        }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_has_its_share_and_no_more() {
        let places = Places::new(SHARES);
        let _held = [
            places.take(stranger(1)).await.unwrap(),
            places.take(stranger(1)).await.unwrap(),
        ];
        let mut third = pin!(places.take(stranger(1)));
        assert!(poll(third.as_mut()).is_none());
        let _other = places.take(stranger(2)).await.unwrap();
        assert_eq!(third.await.err(), Some(NoPlace(SHARES.wait)));
        assert_eq!(places.taken(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_kept_for_those_with_a_credential() {
        let places = Places::new(SHARES);
        let mut held = Vec::new();
        for last in 1..=3 {
            held.push(places.take(stranger(last)).await.unwrap());
        }
        assert!(places.take(stranger(4)).await.is_err());
        held.push(places.take(person("a")).await.unwrap());
        assert!(places.take(person("b")).await.is_err(), "all are taken");
        held.clear();
        assert_eq!(places.taken(), 0);
        assert!(places.0.state.lock().lines.is_empty(), "nobody is remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_wait_are_served_in_turn() {
        let places = Places::new(Shares {
            all: 1,
            kept: 0,
            ..SHARES
        });
        let held = places.take(stranger(1)).await.unwrap();
        let mut flood: Vec<_> = (0..100).map(|_| Box::pin(places.take(stranger(1)))).collect();
        for request in &mut flood {
            assert!(poll(request.as_mut()).is_none());
        }
        let mut innocent = pin!(places.take(stranger(2)));
        assert!(poll(innocent.as_mut()).is_none());
        drop(held);
        let first = poll(flood[0].as_mut()).unwrap().unwrap();
        assert!(poll(innocent.as_mut()).is_none());
        drop(first);
        assert!(poll(innocent.as_mut()).unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_leaves_the_queue_takes_no_place() {
        let places = Places::new(Shares {
            all: 1,
            kept: 0,
            ..SHARES
        });
        let held = places.take(stranger(1)).await.unwrap();
        let mut gone = Box::pin(places.take(stranger(2)));
        let mut goes = Box::pin(places.take(stranger(3)));
        let mut stays = pin!(places.take(stranger(4)));
        assert!(poll(gone.as_mut()).is_none() && poll(goes.as_mut()).is_none() && poll(stays.as_mut()).is_none());
        drop(gone);
        drop(held);
        // It has the place by now, and has not seen it.
        drop(goes);
        drop(poll(stays.as_mut()).unwrap());
        assert_eq!(places.taken(), 0);
        let state = places.0.state.lock();
        assert!(state.lines.is_empty() && state.unknown.is_empty() && state.waiting == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded() {
        let places = Places::new(SHARES);
        let _held = [
            places.take(stranger(1)).await.unwrap(),
            places.take(stranger(1)).await.unwrap(),
        ];
        let mut flood: Vec<_> = (0..SHARES.queue).map(|_| Box::pin(places.take(stranger(1)))).collect();
        for request in &mut flood {
            assert!(poll(request.as_mut()).is_none());
        }
        assert!(poll(pin!(places.take(stranger(1)))).is_some_and(|refused| refused.is_err()));
        assert!(places.take(stranger(2)).await.is_ok());
        flood.clear();
        assert_eq!(places.0.state.lock().waiting, 0);
    }

    #[test]
    fn hosts_of_one_network_are_one_client() {
        let at = |text: &str| Asker::at(text.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8::ffff"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_eq!(at("::ffff:192.0.2.1"), at("192.0.2.1"));
    }
}
