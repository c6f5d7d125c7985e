//! Who is signed in, and who is about to be: sessions, attempts, and how many tickets are judged at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::Refusal;
use super::attempt::Attempts;
use super::cas::proxy::Grants;
use super::tabs::Tabs;
use crate::authenticate::launch::Launches;
use crate::authenticate::lti;
use crate::authenticate::session::{SessionKey, Sessions};
use crate::fair::{Asker, NoPlace, Place, Places, Shares};
use crate::observe::metrics::SessionMetrics;
use crate::rate::Rate;
use crate::rate::{Keyed, address_key};
use crate::rejection::{Reason, Rejection};
use crate::sealing::MasterKeys;
use crate::store::Store;

/// Who is signed in, and who is about to be. One for the process; a reload leaves it as it is.
#[derive(Clone)]
pub struct People {
    pub sessions: Arc<Sessions>,
    pub launches: Arc<Launches>,
    pub attempts: Attempts,
    /// Launches by LTI that are under way.
    pub lti: lti::Attempts,
    pub tabs: Arc<Tabs>,
    pub metrics: SessionMetrics,
    pub grants: Grants,
    /// Tickets and codes that may be judged at once, by sign-in: whoever floods a callback shall not flood its server, and a
    /// server that hangs keeps nobody from another one.
    judging: Arc<Mutex<HashMap<String, Judging>>>,
    /// Tickets that were refused, by address.
    refused: Arc<Keyed<IpAddr>>,
    /// Tickets that came for whoever was signed in already, by session.
    further: Arc<Keyed<SessionKey>>,
    /// Proxy-granting tickets that were brought, by address.
    brought: Arc<Keyed<IpAddr>>,
}

/// Places of one sign-in.
#[derive(Clone)]
struct Judging {
    usual: Places,
    /// For addresses whose tickets were refused too often.
    suspects: Places,
}

/// A server and all that is asked of it for one ticket or code has so long.
const LONGEST_QUESTION: Duration = Duration::from_secs(12);
/// Tickets that are judged at once, for each sign-in.
const SHARES: Shares = Shares {
    all: 64,
    each: 16,
    kept: 0,
    queue: 512,
    wait: Duration::from_secs(10),
};
/// Good tickets may come from such an address as well: they wait for their turn there.
const SHARES_OF_SUSPECTS: Shares = Shares {
    all: 16,
    each: 8,
    ..SHARES
};
/// Tickets that a CAS server may refuse, for each address, before it is suspected. A whole campus may come from one.
const REFUSED: Rate = Rate {
    per_second: 1.0,
    burst: 60,
};
/// Tickets that are judged for one session beyond its first: a browser that opens its tabs again brings some at once. Each
/// is remembered for as long as the session may live.
const FURTHER: Rate = Rate {
    per_second: 1.0 / 60.0,
    burst: 32,
};

/// Proxy-granting tickets that each address may bring: a CAS server brings one for each sign-in. What others bring is
/// kept for half a minute.
const BROUGHT: Rate = Rate {
    per_second: 50.0,
    burst: 500,
};

impl People {
    /// Sessions are kept in `store`; what browsers carry is sealed and signed by `keys`.
    pub fn new(store: &Store, keys: &MasterKeys, metrics: &SessionMetrics) -> Self {
        Self {
            sessions: Sessions::new(store, keys, Some(metrics.clone())),
            launches: Launches::new(store, keys, None),
            attempts: Attempts::new(keys),
            lti: lti::Attempts::new(store, keys),
            tabs: Arc::default(),
            metrics: metrics.clone(),
            grants: Grants::new(store),
            judging: Arc::default(),
            refused: Arc::new(Keyed::new(REFUSED)),
            further: Arc::new(Keyed::new(FURTHER)),
            brought: Arc::new(Keyed::new(BROUGHT)),
        }
    }

    /// A place to have a ticket of this client judged by this sign-in's server. Error: nothing was free in time; no ticket is
    /// lost by that.
    pub async fn place_to_judge(&self, sign_in: &str, client: IpAddr) -> Result<Place, Refusal> {
        let Judging { usual, suspects } = self.judging_of(sign_in);
        let is_trusted = || self.refused.peek(&address_key(client), Instant::now());
        let taken = |place: Result<Place, NoPlace>| place.map_err(|full| (full.into(), "overloaded").into());
        if is_trusted() {
            let place = taken(usual.take(Asker::at(client)).await)?;
            // Others of its tickets were judged meanwhile.
            if is_trusted() {
                return Ok(place);
            }
        }
        taken(suspects.take(Asker::at(client)).await)
    }

    /// Names of sign-ins are the configuration's: there are few.
    fn judging_of(&self, sign_in: &str) -> Judging {
        let mut all = self.judging.lock();
        let new = || Judging {
            usual: Places::new(SHARES),
            suspects: Places::new(SHARES_OF_SUSPECTS),
        };
        all.entry(sign_in.to_owned()).or_insert_with(new).clone()
    }

    /// Something that this client brought was refused. Beyond a rate its next ones wait for their turn.
    pub fn suspect(&self, client: IpAddr) {
        // Empty by now: then the next look says so.
        self.refused.take(address_key(client), Instant::now()).ok();
    }

    /// What the server says to a question about a ticket of this client, which has its place.
    pub async fn judged<T, E: Into<Refusal>>(
        &self,
        client: IpAddr,
        sign_in: &str,
        _place: Place,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Refusal> {
        let started = Instant::now();
        let answer = match timeout(LONGEST_QUESTION, question).await {
            Ok(answer) => answer.map_err(Into::into),
            Err(_) => Err((
                Rejection::because(Reason::SignInUnavailable, "the sign-in server takes too long"),
                "timeout",
            )
                .into()),
        };
        self.metrics.asked_cas(sign_in, started.elapsed());
        answer.inspect_err(|refusal| {
            if refusal.rejection.reason == Reason::SignInRefused {
                self.suspect(client);
            }
        })
    }

    /// May one more proxy-granting ticket come from this address?
    pub fn may_bring_grant(&self, client: IpAddr) -> bool {
        self.brought.take(address_key(client), Instant::now()).is_ok()
    }

    /// May one more ticket be judged for this session?
    pub fn may_bring_another(&self, session: SessionKey) -> bool {
        self.further.take(session, Instant::now()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;
    use crate::observe::metrics::Metrics;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn nobody_fills_the_store_with_tickets_for_tickets() {
        let people = People::new(&Store::in_memory(), &MasterKeys::random(), &Metrics::new().sessions());
        assert!(people.may_bring_grant(CLIENT));
        people.brought.spend(address_key(CLIENT), 10_000, Instant::now());
        assert!(!people.may_bring_grant(CLIENT));
        assert!(
            people.may_bring_grant(OTHER),
            "the CAS server's own are not counted with it"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn tickets_of_a_suspected_address_wait_for_their_turn() {
        let people = People::new(&Store::in_memory(), &MasterKeys::random(), &Metrics::new().sessions());
        people.refused.spend(address_key(CLIENT), 10_000, Instant::now());
        let mut held = Vec::new();
        for _ in 0..SHARES_OF_SUSPECTS.each {
            held.push(people.place_to_judge("campus", CLIENT).await.unwrap());
        }
        let mut next = pin!(people.place_to_judge("campus", CLIENT));
        assert!(next.as_mut().now_or_never().is_none());
        assert!(
            people
                .place_to_judge("campus", OTHER)
                .now_or_never()
                .is_some_and(|place| place.is_ok())
        );
        assert!(
            people
                .place_to_judge("guests", CLIENT)
                .now_or_never()
                .is_some_and(|place| place.is_ok()),
            "each sign-in has places of its own"
        );
        drop(held);
        assert!(next.await.is_ok(), "nobody is refused");
    }
}
