//! What the gateway asks Opencast itself: an event's access control list and its series, a playlist's list and its
//! events, remembered for a while.
//!
//! An answer holds for `acl_ttl`; where a new one cannot be had, it holds on for `acl_stale`, so that lectures play on
//! while Opencast is away. What was never known stays unknown then, and the request fails at once instead of waiting.
//! One question about an event is on its way at a time. What an answer means for a rule is decided in `authorize`.

mod answer;
mod away;
mod key;
mod known;
mod question;
mod signer;
mod token;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use moka::sync::Cache;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::Mutex;
use tokio::time::timeout;

use self::away::{AWAY_FOR, Away};
use self::known::{Answer, Key, Known, nothing, sound};
use self::question::credentials;
use self::signer::Signer;
use crate::act::proxy::Upstream;
use crate::backchannel::{Backchannel, BackchannelError};
use crate::config::{self, Outgoing, PublicUrl};
use crate::event::{Events, Question};
use crate::fair::{Asker, NoPlace, Places, Shares};
use crate::identity::Identity;
use crate::key_file::PasswordError;
use crate::observe::metrics::OpencastMetrics;
use crate::rate::Keyed;
use crate::rejection::{Hint, Reason, Rejection};

/// How long it holds that Opencast does not know an event or a playlist: a new lecture is there soon.
const UNKNOWN_FOR: Duration = Duration::from_secs(10);
/// Questions on their way at once. Strangers leave half of them to people with a credential.
const SHARES: Shares = Shares {
    all: 64,
    each: 16,
    kept: 32,
    queue: 512,
    wait: Duration::from_secs(5),
};
/// For a place, for others that ask the same, and for the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is remembered, in bytes.
const MEMORY: u64 = 64 << 20;
const MAX_FLIGHTS: u64 = 10_000;

/// Why the key in this file cannot sign; `None` where there is none yet. The text has a remedy, and not the file's name.
pub fn unfit_key(path: &Path) -> Option<io::Error> {
    let unfit = key::SigningKey::load(path, false).err();
    unfit.filter(|error| error.kind() != io::ErrorKind::NotFound)
}

/// An `[opencast.<name>]`, ready to be asked.
pub struct Opencast {
    name: String,
    upstream: Arc<Upstream>,
    backchannel: Backchannel,
    credentials: HeaderValue,
    ttl: Duration,
    stale: Duration,
    /// For all servers that are tried, together.
    time_limit: Duration,
    known: Cache<Key, Known>,
    flights: Cache<Key, Arc<Mutex<()>>>,
    places: Places,
    unknown: Keyed<Asker>,
    away: Away,
    metrics: OpencastMetrics,
    /// What it was made of, for [`Opencast::is_same`].
    config: config::Opencast,
    signer: Signer,
}

/// Why Opencast could not be asked by what is configured.
#[derive(Debug, Error)]
pub enum SetupError {
    #[error("the password file {0}")]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Backchannel(#[from] BackchannelError),
}

/// Why there is no answer.
#[derive(Debug, Error)]
enum Failure {
    /// No server can be reached, whatever is asked.
    #[error("{0}")]
    Away(String),
    /// A server was reached, and this question had no whole answer in time.
    #[error("{0}")]
    Unanswered(String),
    #[error("{0}")]
    Odd(String),
    /// It was not asked: the gateway has no place for the question.
    #[error("{0}")]
    Busy(NoPlace),
    /// It was not asked: too many questions of this client have failed.
    #[error("too many events or playlists that Opencast does not know")]
    TooMany,
}

impl Opencast {
    /// Reads the password. `ca_file` is the upstream's; a missing key for its tokens is made when it is needed if
    /// `make_key` says so.
    pub fn new(
        config: &config::Opencast,
        upstream: Arc<Upstream>,
        ca_file: Option<&Path>,
        metrics: OpencastMetrics,
        make_key: bool,
    ) -> Result<Self, SetupError> {
        let weight = |key: &Key, known: &Known| {
            let answer = known.answer.as_ref().map_or(0, |(answer, _)| answer.weight());
            u32::try_from(256 + key.host.len() + key.id.len() + answer).unwrap_or(u32::MAX)
        };
        Ok(Self {
            name: config.name.clone(),
            upstream,
            backchannel: Backchannel::for_questions(&Outgoing::direct(ca_file.map(Path::to_owned)))?,
            credentials: credentials(config)?,
            ttl: config.acl_ttl,
            stale: config.acl_stale,
            time_limit: config.acl_timeout,
            known: Cache::builder().max_capacity(MEMORY).weigher(weight).build(),
            flights: Cache::builder()
                .max_capacity(MAX_FLIGHTS)
                .time_to_idle(Duration::from_secs(10))
                .build(),
            places: Places::new(SHARES),
            unknown: Keyed::new(config.unknown_events),
            away: Away::default(),
            metrics,
            signer: Signer::new(config.sign_key_file.clone(), make_key, config.never.clone()),
            config: config.clone(),
        })
    }

    /// Does `config` ask the same Opencast as the same user? Then what this one knows may be used on.
    pub fn is_same(&self, config: &config::Opencast, upstream: &Arc<Upstream>) -> bool {
        let user = credentials(config).is_ok_and(|credentials| credentials == self.credentials);
        user && self.config == *config && Arc::ptr_eq(&self.upstream, upstream)
    }

    /// Puts what Opencast says about the event, or the playlist, of this id into `events`; the question is `asker`'s. Error:
    /// nobody knows it, and Opencast does not say, or is not asked since the asker has asked too much.
    pub async fn ask(
        &self,
        question: Question,
        id: &str,
        public: &PublicUrl,
        asker: &Asker,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        let answer = match sound(id) {
            true => self.answer(question, id, public, asker).await?,
            false => nothing(question),
        };
        answer.tell(id, events);
        Ok(())
    }

    /// The same of what needs no question now, because it is remembered. `None`: Opencast has to be asked.
    pub fn recall(
        &self,
        question: Question,
        id: &str,
        public: &PublicUrl,
        events: &mut Events,
    ) -> Option<Result<(), Rejection>> {
        let key = Key::new(&self.host(public), question, id);
        Some(self.fresh(&key)?.map(|answer| answer.tell(id, events)))
    }

    /// The key with which its tokens are signed: read, or made, now instead of when it is needed.
    pub fn prepare(&self) -> io::Result<()> {
        self.signer.prepare().map(|_| ())
    }

    /// The public part of that key (RFC 7517).
    pub fn jwk(&self) -> io::Result<Value> {
        self.signer.jwk()
    }

    /// `Authorization` of a request to Opencast on behalf of somebody. `named`: may their name be told? Error: it is one
    /// that never is.
    pub fn authorization(&self, who: &Identity, named: bool, now: SystemTime) -> Result<HeaderValue, Rejection> {
        self.signer.authorization(who, named, now)
    }

    async fn answer(
        &self,
        question: Question,
        id: &str,
        public: &PublicUrl,
        asker: &Asker,
    ) -> Result<Answer, Rejection> {
        let host = self.host(public);
        let key = Key::new(&host, question, id);
        if let Some(known) = self.fresh(&key) {
            return known;
        }
        let asking = timeout(TIMEOUT, self.learn(&key, public, &host, asker)).await;
        asking.unwrap_or_else(|_| self.failed(key, &Failure::Busy(NoPlace::within(TIMEOUT)), asker))
    }

    /// Asks, or waits for the answer to the same question of another client.
    async fn learn(
        &self,
        key: &Key,
        public: &PublicUrl,
        host: &HeaderValue,
        asker: &Asker,
    ) -> Result<Answer, Rejection> {
        let flight = self.flights.get_with(key.clone(), Arc::default);
        loop {
            if !self.unknown.peek(asker, Instant::now()) {
                return self.failed(key.clone(), &Failure::TooMany, asker);
            }
            // Before the flight: nobody else waits for the turn of this client.
            let place = match self.places.take(asker.clone()).await {
                Ok(place) => place,
                Err(none) => return self.failed(key.clone(), &Failure::Busy(none), asker),
            };
            let Ok(_only) = flight.try_lock() else {
                // Whoever asks has a place; those who wait for the same answer need none.
                drop(place);
                drop(flight.lock().await);
                if let Some(known) = self.fresh(key) {
                    return known;
                }
                continue;
            };
            if let Some(known) = self.fresh(key) {
                return known;
            }
            if self.away.is_now(Instant::now()) {
                let failure = Failure::Away("it was away a moment ago".to_owned());
                return self.failed(key.clone(), &failure, asker);
            }
            let limit = self.time_limit;
            let asked = timeout(limit, self.fetch(key.question, &key.id, public, host)).await;
            let late = || Failure::Unanswered(format!("no answer within {limit:?} (`acl_timeout`)"));
            let asked = asked.unwrap_or_else(|_| Err(late()));
            self.judge(asked.as_ref().err(), asker);
            return match asked {
                Ok(answer) => {
                    if answer.is_none() {
                        // Empty by now: then the next look says so.
                        self.unknown.take(asker.clone(), Instant::now()).ok();
                    }
                    Ok(self.learned(key.clone(), answer))
                }
                Err(failure) => self.failed(key.clone(), &failure, asker),
            };
        }
    }

    /// What needs no question now.
    fn fresh(&self, key: &Key) -> Option<Result<Answer, Rejection>> {
        let known = self.known.get(key).filter(|known| Instant::now() < known.ask_again)?;
        self.metrics.hit.inc();
        Some(match known.answer {
            Some((answer, since)) if since.elapsed() < self.stale.max(self.ttl) => Ok(answer),
            _ => Err(self.unavailable("it failed a moment ago")),
        })
    }

    fn learned(&self, key: Key, answer: Option<Answer>) -> Answer {
        self.metrics.miss.inc();
        let holds = match answer {
            Some(_) => self.ttl,
            None => UNKNOWN_FOR.min(self.ttl),
        };
        let answer = answer.unwrap_or_else(|| nothing(key.question));
        let now = Instant::now();
        let known = Known {
            answer: Some((answer.clone(), now)),
            ask_again: now + holds,
        };
        self.known.insert(key, known);
        answer
    }

    /// What the end of a question says about Opencast itself.
    fn judge(&self, failure: Option<&Failure>, asker: &Asker) {
        match failure {
            Some(Failure::Away(_)) => self.away.unreachable(Instant::now()),
            Some(Failure::Unanswered(_)) => self.away.unanswered(asker, Instant::now()),
            _ => self.away.answered(),
        }
        match failure {
            Some(Failure::Odd(why)) => {
                tracing::warn!(opencast = self.name, failure = why, "Opencast's answer cannot be used");
            }
            Some(failure) => tracing::warn!(opencast = self.name, %failure, "Opencast does not answer"),
            None => {}
        }
    }

    /// The last good answer serves on, if there is one. If there is none, a question that Opencast was asked in vain
    /// costs its asker as much as one about an event that Opencast does not know.
    fn failed(&self, key: Key, failure: &Failure, asker: &Asker) -> Result<Answer, Rejection> {
        let now = Instant::now();
        let before = self.known.get(&key).and_then(|known| known.answer);
        let answer = before.filter(|(_, since)| since.elapsed() < self.stale);
        if !matches!(failure, Failure::Busy(_) | Failure::TooMany) {
            let known = Known {
                answer: answer.clone(),
                ask_again: now + AWAY_FOR,
            };
            self.known.insert(key, known);
        }
        if let Some((answer, _)) = answer {
            self.metrics.stale.inc();
            return Ok(answer);
        }
        if matches!(failure, Failure::Unanswered(_) | Failure::Odd(_)) {
            self.unknown.spend(asker.clone(), 1, now);
        }
        match failure {
            Failure::Busy(none) => Err((*none).into()),
            Failure::TooMany => {
                let detail = format!("{failure} (opencast.{}.unknown_events)", self.name);
                Err(Rejection::because(Reason::RateLimited, detail).with_hint(Hint::RetryAfter(1)))
            }
            Failure::Away(_) | Failure::Unanswered(_) | Failure::Odd(_) => {
                self.metrics.failed.inc();
                Err(self.unavailable(&failure.to_string()))
            }
        }
    }

    fn unavailable(&self, why: &str) -> Rejection {
        Rejection::because(Reason::AclUnavailable, format!("opencast.{}: {why}", self.name))
    }
}

impl fmt::Debug for Opencast {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Opencast")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
