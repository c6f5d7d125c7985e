//! Tokens that a server is asked about: by whom, how often, and what counts while the server is away.
//!
//! ```text
//! remembered? ─ a turn for the address (budget, places) ─ one question for the token ─ remembered
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use moka::sync::Cache;
use parking_lot::Mutex;

use super::budget::Budget;
use super::claims::{Expected, Told, judged};
use super::flights::{Flights, Waiters};
use super::question::{Failure, Question};
use super::remembered::{Digest, GOOD_FOR, Known, Memory};
use super::section::too_many;
use crate::config;
use crate::fair::{Asker, NoPlace, Places, Shares};
use crate::observe::metrics::BearerMetrics;
use crate::rate::{Limiter, address_key};
use crate::rejection::{Reason, Rejection};

/// Questions on their way at once, for each bearer. Half of them are left to addresses from which good tokens came.
const SHARES: Shares = Shares {
    all: 64,
    each: 16,
    kept: 32,
    queue: 256,
    wait: Duration::from_secs(5),
};
/// For a turn and for the answer.
const TIMEOUT: Duration = Duration::from_secs(12);
/// How long nobody asks again after the server could not be reached, or where an old answer is there after it gave none.
const AWAY_FOR: Duration = Duration::from_secs(2);
/// By how much the clocks may differ for a token that says from when on it counts.
const LEEWAY: Duration = Duration::from_secs(60);
/// Addresses from which good tokens came.
const MOST_GOOD: u64 = 20_000;

type Verdict = Result<Arc<Known>, Rejection>;

/// A bearer whose server is asked.
pub(super) struct Asked {
    section: u64,
    config: config::Bearer,
    question: Question,
    memory: Memory,
    turns: Flights<(Digest, IpAddr), Verdict>,
    questions: Flights<Digest, Verdict>,
    places: Places,
    good: Cache<IpAddr, ()>,
    bad_tokens: Budget,
    away_until: Mutex<Option<Instant>>,
    /// The last question had no answer.
    is_failing: AtomicBool,
    telling: Limiter,
    metrics: BearerMetrics,
}

impl Asked {
    pub(super) fn new(section: u64, config: &config::Bearer, question: Question, metrics: BearerMetrics) -> Self {
        Self {
            section,
            config: config.clone(),
            memory: Memory::new((question.cache.saturating_add(question.serve_stale)).saturating_add(GOOD_FOR)),
            question,
            turns: Flights::default(),
            questions: Flights::default(),
            places: Places::new(SHARES),
            good: Cache::builder().max_capacity(MOST_GOOD).time_to_live(GOOD_FOR).build(),
            bad_tokens: Budget::new(config.bad_tokens),
            away_until: Mutex::default(),
            is_failing: AtomicBool::new(false),
            telling: Limiter::of_log(),
            metrics,
        }
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn question(&self) -> &Question {
        &self.question
    }

    pub(super) fn bad_tokens(&self) -> &Budget {
        &self.bad_tokens
    }

    /// What is known of the token now, without a question.
    pub(super) fn remembered(&self, digest: &Digest, now: SystemTime) -> Option<Verdict> {
        let fresh = |known: &Arc<Known>| known.is_fresh(now);
        self.last(digest, now)
            .filter(|verdict| verdict.as_ref().map_or(true, fresh))
    }

    /// The last answer, though it may be time for a new one; none where that was asked for in vain.
    pub(super) fn last(&self, digest: &Digest, now: SystemTime) -> Option<Verdict> {
        match self.memory.known(digest) {
            Some(known) if known.is_unanswered && !known.is_usable_without_answer(now) => None,
            Some(known) => Some(known.counts(now).map(|()| known).map_err(Into::into)),
            None => self.memory.refused(digest).map(Err),
        }
    }

    /// Whose the token is, as the server says on behalf of this address.
    pub(super) async fn judge(self: &Arc<Self>, token: &str, digest: Digest, address: IpAddr) -> Verdict {
        let address = address_key(address);
        let turn = |waiters| {
            let (asked, token) = (Arc::clone(self), Arc::from(token));
            async move { asked.take_turn(token, digest, address, waiters).await }
        };
        let verdict = self.turns.join_with((digest, address), TIMEOUT, turn).await;
        verdict.unwrap_or_else(|| Err(NoPlace::within(TIMEOUT).into()))
    }

    async fn take_turn(
        self: Arc<Self>,
        token: Arc<str>,
        digest: Digest,
        address: IpAddr,
        waiters: Waiters<(Digest, IpAddr), Verdict>,
    ) -> Verdict {
        let now = SystemTime::now();
        let last = self.memory.known(&digest).filter(|last| last.was_good(now));
        let asker = match &last {
            // It is no junk, and does not wait with what others bring from there.
            Some(last) => Asker::of(Some(&last.identity), address),
            None if self.good.contains_key(&address) => Asker::at(address).known(),
            None => Asker::at(address),
        };
        let may_ask = || last.is_some() || self.bad_tokens.has_some(&address);
        if !may_ask() {
            return Err(too_many(&self.config.name));
        }
        let taken = tokio::select! {
            biased;
            taken = self.places.take(asker) => taken,
            // Tokens whose senders have hung up fill no memory.
            () = waiters.have_left() => return Err(NoPlace::within(SHARES.wait).into()),
        };
        let _place = match taken {
            Ok(place) => place,
            // Where the gateway is busy and the server answers, nothing counts longer than it may.
            Err(none) => {
                let is_failing = self.is_failing.load(Ordering::Relaxed);
                let last = is_failing.then(|| self.last_one(digest)).flatten();
                return last.ok_or_else(|| none.into());
            }
        };
        // Another address may have brought the same one meanwhile, or others from there have used the budget up.
        if let Some(verdict) = self.remembered(&digest, SystemTime::now()) {
            return verdict;
        }
        if !may_ask() {
            return Err(too_many(&self.config.name));
        }
        let question = || {
            let (asked, token) = (Arc::clone(&self), Arc::clone(&token));
            async move { asked.ask(&token, digest, address).await }
        };
        let verdict = self.questions.join(digest, TIMEOUT, question).await;
        let verdict = verdict.unwrap_or_else(|| Err(self.unavailable("no answer in time")));
        if verdict.is_ok() {
            self.good.insert(address, ());
        }
        verdict
    }

    async fn ask(&self, token: &str, digest: Digest, address: IpAddr) -> Verdict {
        if let Some(verdict) = self.remembered(&digest, SystemTime::now()) {
            return verdict;
        }
        let until = *self.away_until.lock();
        if until.is_some_and(|until| Instant::now() < until) {
            return self.without_answer(digest, &Failure::Away("it was away a moment ago".to_owned()));
        }
        let started = Instant::now();
        let answer = self.question.ask(token).await;
        self.metrics.asked(started.elapsed());
        self.is_failing.store(answer.is_err(), Ordering::Relaxed);
        let members = match answer {
            Ok(members) => members,
            Err(failure) => {
                // Whose token it is not known to be costs nobody anything: who brings many would pay for the server.
                if matches!(failure, Failure::Away(_)) {
                    *self.away_until.lock() = Some(Instant::now() + AWAY_FOR);
                }
                if self.telling.take(Instant::now()).is_ok() {
                    tracing::warn!(bearer = %self.config.name, %failure, "a server gives no answer about access tokens");
                }
                return self.without_answer(digest, &failure);
            }
        };
        *self.away_until.lock() = None;
        self.metrics.miss.inc();
        let now = SystemTime::now();
        let told = match &members {
            Some(members) => judged(members, &self.expected(now)),
            None => Err(Reason::TokenNotActive.into()),
        };
        match told {
            Ok(told) => {
                self.metrics.judged("ok");
                let known = Arc::new(self.known(told, now));
                self.memory.learned(digest, Arc::clone(&known));
                Ok(known)
            }
            Err(refusal) => {
                self.metrics.judged(refusal.reason.label());
                self.memory.refuse(digest, refusal.clone());
                self.bad_tokens.charge(address, digest);
                Err(refusal)
            }
        }
    }

    fn expected(&self, now: SystemTime) -> Expected<'_> {
        Expected {
            config: &self.config,
            issuer: self.question.issuer.as_deref().map(|issuer| (issuer, false)),
            says_kind: self.question.knows_other_kinds(),
            signed: None,
            leeway: LEEWAY,
            holds: self.question.cache,
            now,
        }
    }

    fn known(&self, told: Told, now: SystemTime) -> Known {
        let fresh_until = now + self.question.cache;
        Known {
            identity: Arc::new(told.identity),
            section: self.section,
            until: told.until,
            not_before: told.not_before,
            fresh_until,
            stale_until: fresh_until + self.question.serve_stale,
            is_unanswered: false,
        }
    }

    /// The last answer counts on, for as long as it may. It is not asked about again at once.
    fn without_answer(&self, digest: Digest, failure: &Failure) -> Verdict {
        self.last_one(digest).ok_or_else(|| {
            self.metrics.failed.inc();
            if let Some(last) = self.memory.known(&digest).filter(|last| !last.is_unanswered) {
                let is_unanswered = true;
                let last = Known::clone(&last);
                self.memory.learned(digest, Arc::new(Known { is_unanswered, ..last }));
            }
            self.unavailable(&failure.to_string())
        })
    }

    /// The last answer, where it may be used without a new one; and again for a moment, without a question.
    fn last_one(&self, digest: Digest) -> Option<Arc<Known>> {
        let now = SystemTime::now();
        let last = self.memory.known(&digest)?;
        if !last.is_usable_without_answer(now) {
            return None;
        }
        self.metrics.stale.inc();
        let known = Arc::new(Known {
            fresh_until: last.stale_until.min(now + AWAY_FOR),
            ..Known::clone(&last)
        });
        self.memory.learned(digest, Arc::clone(&known));
        Some(known)
    }

    fn unavailable(&self, why: &str) -> Rejection {
        let detail = format!("bearer.{}: {why}", self.config.name);
        Rejection::because(Reason::TokenServerUnavailable, detail)
    }
}
