//! Tokens (JWS in compact form, RFC 7515 and 7519): which of a request's tokens counts, and who it speaks for.
//!
//! ```text
//! carrier ─ where tokens stand     header, claims, json ─ what a token is      jwk, source ─ what a key is, where from
//!     └→ Tokens::authenticate ←── judge ←── recent, cache ←── verify ←── signature ←── keyring ←── refresh
//! ```
//!
//! What the bearer may do is decided by the route's rules.

pub mod carrier;
pub mod inspect;
pub mod jws;
pub mod offline;

mod cache;
mod claims;
mod examine;
mod header;
pub(crate) mod json;
mod judge;
mod jwk;
mod keyring;
mod ours;
mod recent;
mod refresh;
mod required;
mod signature;
mod source;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod verify;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use moka::sync::Cache;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use self::cache::{Digest, TokenCache};
use self::carrier::Carried;
pub(in crate::authenticate) use self::claims::cap;
pub use self::examine::{Capped, Examined, KeySource};
use self::judge::Payer;
use self::jwk::KeySet;
use self::keyring::Keyring;
use self::ours::Foreign;
pub use self::ours::Whose;
pub use self::recent::Recent;
use self::refresh::{Keys, Refresher};
use self::source::Source;
use crate::backchannel::BackchannelError;
use crate::config::{self, Algorithm};
use crate::identity::Identity;
use crate::observe::metrics::{Metrics, TokenCacheMetrics};
use crate::rate::Keyed;
use crate::rejection::{Reason, Rejection};
use crate::store::Store;
use crate::watch_file;

/// How long a request waits for keys that may verify its token.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(2);

/// Tokens that no key verifies and that are remembered, and for how long.
const MOST_UNVERIFIABLE: u64 = 10_000;
const UNVERIFIABLE_TTL: Duration = Duration::from_secs(60);

/// Everything that judges tokens: key sets, remembered tokens, the budget for bad signatures.
pub struct Tokens {
    config: config::Jwt,
    keys: Arc<Keys>,
    refreshers: Vec<Arc<Refresher>>,
    cache: TokenCache,
    bad_signatures: Arc<Keyed<IpAddr>>,
    foreign: Foreign,
    /// Tokens that no key verifies, with the generation of the keys that did not.
    unverifiable: Cache<Digest, (u64, Reason)>,
    metrics: TokenCacheMetrics,
}

/// What the tokens of a request say.
#[derive(Debug)]
pub enum Outcome {
    /// There is none.
    Nobody,
    /// The first valid one speaks for this person.
    Person(Arc<Identity>),
    /// None is valid: why the first one is not.
    Refused(Rejection),
}

/// Keeps the keys fresh until dropped.
pub struct Refreshing {
    /// Dropping the set ends its tasks.
    _tasks: JoinSet<()>,
    _watches: Vec<watch_file::Guard>,
}

/// How an issuer's key set is.
#[derive(Debug, Clone)]
pub struct IssuerState {
    pub name: Arc<str>,
    /// Usable keys.
    pub keys: usize,
    /// The last good fetch, by an earlier run too.
    pub fetched: Option<SystemTime>,
    /// Why the last fetch brought no keys.
    pub problem: Option<String>,
}

/// What was found at an issuer's `jwks`.
#[derive(Debug)]
pub struct IssuerReport {
    pub issuer: Arc<str>,
    /// The keys, or the exact error.
    pub found: Result<FoundKeys, String>,
}

/// One line a key, for people.
#[derive(Debug)]
pub struct FoundKeys {
    /// `ES256 kid "a"`.
    pub usable: Vec<String>,
    /// With so many of them a token without a kid may be tried.
    pub trials: usize,
    /// With the reason; never empty text.
    pub refused: Vec<String>,
}

impl FoundKeys {
    fn of(set: &KeySet, permitted: &[Algorithm]) -> Self {
        let (usable, refused) = set.told(permitted);
        Self {
            trials: Keyring::new(0, [Some(set)]).most_trials(),
            usable,
            refused,
        }
    }
}

impl Tokens {
    /// Reads what can be had without asking anyone: key files, and the key sets that an earlier run kept. An issuer
    /// without keys is no error; see [`ready`](Self::ready).
    ///
    /// Errors: an issuer's `ca_file` is unusable.
    pub async fn start(config: &config::Jwt, store: &Store, metrics: &Metrics) -> Result<Arc<Self>, BackchannelError> {
        let tokens = Self::new(config, store, metrics, None)?;
        tokens.prepare(None).await;
        Ok(Arc::new(tokens))
    }

    /// The same in two halves, for a reload: this one may fail and changes nothing, [`prepare`](Self::prepare) cannot
    /// fail. `before` is what serves now.
    pub fn new(
        config: &config::Jwt,
        store: &Store,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Result<Self, BackchannelError> {
        let keys = Arc::new(Keys::new(config.issuers.len()));
        let mut refreshers = Vec::with_capacity(config.issuers.len());
        for (index, issuer) in config.issuers.iter().enumerate() {
            let source = Source::new(issuer, config.max_key_set, store)?;
            let refresher = Refresher::new(index, source, Arc::clone(&keys), config, metrics.issuer(&issuer.name));
            refreshers.push(Arc::new(refresher));
        }
        let spent = before.filter(|before| before.config.bad_signatures == config.bad_signatures);
        Ok(Self {
            config: config.clone(),
            keys,
            refreshers,
            cache: TokenCache::new(config.cache),
            foreign: Foreign::new(config.bad_signatures),
            unverifiable: Cache::builder()
                .max_capacity(MOST_UNVERIFIABLE)
                .time_to_live(UNVERIFIABLE_TTL)
                .build(),
            bad_signatures: spent.map_or_else(
                || Arc::new(Keyed::new(config.bad_signatures)),
                |before| Arc::clone(&before.bad_signatures),
            ),
            metrics: metrics.token_cache(),
        })
    }

    /// Takes over the key sets that `before` has from the same places, and reads what else can be had without asking
    /// anyone. Tokens are not taken over: what they may say could have changed.
    pub async fn prepare(&self, before: Option<&Self>) {
        for (refresher, issuer) in self.refreshers.iter().zip(&self.config.issuers) {
            let mut running = before.into_iter().flat_map(|before| &before.refreshers);
            let running = running.find(|running| running.source.is_of(issuer));
            refresher.prepare(running.and_then(|running| running.held())).await;
        }
    }

    /// Would these be made anew from this configuration? Then they may stay, remembered tokens and all.
    pub fn are_of(&self, config: &config::Jwt) -> bool {
        let mut sources = self.refreshers.iter().zip(&config.issuers);
        self.config == *config && sources.all(|(refresher, issuer)| refresher.source.is_of(issuer))
    }

    /// Begins to fetch all key sets, at once and then in the background, on the current tokio runtime, which must be
    /// one that outlives every request. Key files are watched.
    pub fn spawn_refresh(&self) -> Refreshing {
        let mut tasks = JoinSet::new();
        let mut watches = Vec::new();
        for refresher in &self.refreshers {
            // Watched first: the task reads the file once more, so no change falls between.
            if let Some(path) = refresher.source.file() {
                let waking = Arc::clone(refresher);
                match watch_file::watch(path, move || waking.wake()) {
                    Ok(watch) => watches.push(watch),
                    Err(error) => tracing::warn!(
                        issuer = %refresher.source.issuer, %error,
                        "changes of the key file will be noticed at the next refresh only"
                    ),
                }
            }
            tasks.spawn(Arc::clone(refresher).run());
        }
        Refreshing {
            _tasks: tasks,
            _watches: watches,
        }
    }

    /// Is there any usable key at all?
    pub fn ready(&self) -> bool {
        !self.keys.ring().is_empty()
    }

    /// How each issuer's key set is, in the order of the configuration.
    pub fn issuers(&self) -> Vec<IssuerState> {
        self.refreshers.iter().map(|refresher| refresher.report()).collect()
    }

    /// Fetches every key set once and tells what is there, each when it has come. Changes nothing. Gives the good ones.
    pub async fn probe(&self, tell: impl Fn(&IssuerReport)) -> Vec<FoundKeys> {
        let tell = &tell;
        let reports = self.refreshers.iter().map(|refresher| async move {
            let fetched = refresher.source.fetch().await;
            let found = fetched.map(|brought| FoundKeys::of(&brought.set, &self.config.algorithms));
            let report = IssuerReport {
                issuer: Arc::clone(&refresher.source.issuer),
                found: found.map_err(|error| error.to_string()),
            };
            tell(&report);
            report.found.ok()
        });
        join_all(reports).await.into_iter().flatten().collect()
    }

    /// Judges a request's tokens in their order; the first valid one counts. `issuers` are those whose tokens the route
    /// looks at, as indices into the configuration; `None`: all.
    ///
    /// `recent` is what the request's connection remembers.
    ///
    /// Waits, two seconds at most, only if no token is valid and fresh keys may change that.
    pub async fn authenticate(
        &self,
        candidates: &Carried<'_>,
        issuers: Option<&[usize]>,
        client: IpAddr,
        recent: &Recent,
        now: SystemTime,
    ) -> Outcome {
        let payer = Payer::Sender(client, recent);
        self.first_valid(candidates, issuers, payer, now).await
    }

    /// [`authenticate`](Self::authenticate) for any payer.
    async fn first_valid(
        &self,
        candidates: &Carried<'_>,
        issuers: Option<&[usize]>,
        mut payer: Payer<'_>,
        now: SystemTime,
    ) -> Outcome {
        let judged = self.keys.ring().generation;
        let mut refusals = Vec::new(); // allocates on the first refusal only
        let (mut valid, mut remembered) = (None, true);
        for token in candidates.iter() {
            let judged = self.judge(token, issuers, now, payer);
            if !judged.remembered {
                remembered = false;
                // The one look at the budget has found something left.
                if !is_over_budget(&judged.verdict) {
                    payer = payer.again();
                }
            }
            match judged.verdict {
                Ok(identity) => {
                    valid = Some(identity);
                    break;
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        if !remembered {
            // A check takes as long as five other requests: those that have come meanwhile go first. The answers of
            // several checks then leave one after the other, and a client that waits for them is woken once.
            tokio::task::yield_now().await;
        }
        if let Some(identity) = valid {
            return Outcome::Person(identity);
        }
        if refusals.iter().any(new_keys_may_help) {
            let again =
                |refusals: &mut Vec<Rejection>| self.judge_again(candidates, refusals, issuers, payer.again(), now);
            if let Some(identity) = self.with_fresh_keys(judged, payer.asker(), &mut refusals, again).await {
                return Outcome::Person(identity);
            }
        }
        refusals.into_iter().next().map_or(Outcome::Nobody, Outcome::Refused)
    }

    /// Asks all issuers for fresh keys, on behalf of an address, and judges again with each change, until that helps, all have answered, or the
    /// time is over. `judged` is the generation that the refusals come from.
    async fn with_fresh_keys(
        &self,
        mut judged: u64,
        asker: IpAddr,
        refusals: &mut Vec<Rejection>,
        again: impl Fn(&mut Vec<Rejection>) -> Option<Arc<Identity>>,
    ) -> Option<Arc<Identity>> {
        let mut changes = self.keys.changes();
        let refreshers = self.refreshers.iter();
        let asked: Vec<_> = refreshers.filter_map(|refresher| refresher.ask(asker)).collect();
        let mut over = asked.is_empty();
        let mut all_answered = join_all(
            asked
                .into_iter()
                .map(|mut finished| async move { finished.changed().await.is_ok() }),
        );
        let deadline = tokio::time::Instant::now() + WAIT_FOR_KEYS;
        loop {
            let current = self.keys.ring().generation;
            if current != judged {
                judged = current;
                if let Some(identity) = again(refusals) {
                    return Some(identity);
                }
            }
            if over || !refusals.iter().any(new_keys_may_help) {
                return None;
            }
            over = tokio::select! {
                change = changes.changed() => change.is_err(),
                _ = &mut all_answered => true,
                () = sleep_until(deadline) => true,
            };
        }
    }

    /// Judges anew the tokens that failed for want of a key; their refusals are replaced in place.
    fn judge_again(
        &self,
        candidates: &Carried<'_>,
        refusals: &mut [Rejection],
        issuers: Option<&[usize]>,
        payer: Payer<'_>,
        now: SystemTime,
    ) -> Option<Arc<Identity>> {
        for (token, refusal) in candidates.iter().zip(refusals) {
            if new_keys_may_help(refusal) {
                match self.judge(token, issuers, now, payer).verdict {
                    Ok(identity) => return Some(identity),
                    Err(new) => *refusal = new,
                }
            }
        }
        None
    }
}

fn is_over_budget(verdict: &Result<Arc<Identity>, Rejection>) -> bool {
    matches!(verdict, Err(refusal) if refusal.reason == Reason::RateLimited)
}

/// Is it the keys that lack, not the token?
fn new_keys_may_help(refusal: &Rejection) -> bool {
    matches!(
        refusal.reason,
        Reason::BadSignature | Reason::UnknownKey | Reason::KeysUnavailable
    )
}
