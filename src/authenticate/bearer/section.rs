//! One `[bearer.<name>]`, ready to judge tokens, with what it remembers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::asked::Asked;
use super::budget::Budget;
use super::claims::{Expected, judged};
use super::jwks::{Jwks, VERIFIED_FOR};
use super::question::Question;
use super::remembered::{Digest, GOOD_FOR, Known, Memory};
use super::shape::Shape;
use super::{SetupError, Unfit};
use crate::authenticate::oauth::Failed;
use crate::config::bearer::{Bearer, BearerBy, BearerJwks};
use crate::observe::metrics::BearerMetrics;
use crate::rate::{Rate, address_key};
use crate::rejection::{Hint, Reason, Rejection};

/// Counted for the whole process: what one section has found out means nothing to another.
static SECTIONS: AtomicU64 = AtomicU64::new(1);

/// A bearer of the configuration.
pub struct Section {
    pub(super) id: u64,
    pub(super) config: Bearer,
    /// The content of the files that it names.
    files: Files,
    way: Way,
    pub(super) metrics: BearerMetrics,
}

type Files = [Option<Vec<u8>>; 4];

enum Way {
    Verified(Box<Verified>),
    Asked(Arc<Asked>),
}

/// Tokens are verified here.
struct Verified {
    config: BearerJwks,
    jwks: Arc<Jwks>,
    memory: Memory,
    bad_tokens: Budget,
}

impl Section {
    /// Error: a file that it names cannot be used.
    pub fn new(config: &Bearer, metrics: BearerMetrics) -> Result<Self, SetupError> {
        let id = SECTIONS.fetch_add(1, Ordering::Relaxed);
        // Before they are used: one that is replaced meanwhile is another one at the next reload.
        let files = files(config);
        let asked = |question| Way::Asked(Arc::new(Asked::new(id, config, question, metrics.clone())));
        let way = match &config.by {
            BearerBy::Introspection(introspection) => asked(Question::introspection(introspection)?),
            BearerBy::Profile(profile) => asked(Question::profile(profile)?),
            BearerBy::Jwks(jwks) => Way::Verified(Box::new(Verified {
                config: BearerJwks::clone(jwks),
                jwks: Arc::new(Jwks::new(&config.name, jwks)?),
                memory: Memory::new(VERIFIED_FOR + GOOD_FOR),
                bad_tokens: Budget::new(config.bad_tokens),
            })),
        };
        Ok(Self {
            id,
            config: config.clone(),
            files,
            way,
            metrics,
        })
    }

    /// Would one made of this now be the same? Then what it remembers may be used on.
    pub fn is_of(&self, config: &Bearer) -> bool {
        self.config == *config && self.files == files(config)
    }

    /// Can a token of this shape be of its server? An issuer that it names is not to be believed yet, and tells all the same
    /// that no other server has to be shown it. `others`: whose issuers are known.
    pub(super) fn may_know(&self, shape: &Shape, others: impl Fn(&str) -> bool) -> bool {
        let named = match shape {
            Shape::Opaque => return matches!(self.way, Way::Asked(_)),
            Shape::Jwt(named) => named.as_deref(),
        };
        match (named, self.config.issuer(), &self.way) {
            (Some(named), Some(issuer), _) => named == issuer,
            (Some(named), None, _) => !others(named),
            // One that is verified here must name its issuer.
            (None, _, way) => matches!(way, Way::Asked(_)),
        }
    }

    fn memory(&self) -> &Memory {
        match &self.way {
            Way::Verified(verified) => &verified.memory,
            Way::Asked(asked) => asked.memory(),
        }
    }

    fn bad_tokens(&self) -> &Budget {
        match &self.way {
            Way::Verified(verified) => &verified.bad_tokens,
            Way::Asked(asked) => asked.bad_tokens(),
        }
    }

    /// How many tokens an address may bring in vain, and whether it may bring none now.
    pub(super) fn budget(&self, address: IpAddr) -> (Rate, bool) {
        let budget = self.bad_tokens();
        (budget.rate(), !budget.has_some(&address_key(address)))
    }

    /// The token counts at another bearer: whoever has paid here for it gets that back.
    pub(super) fn give_back(&self, digest: &Digest) {
        self.bad_tokens().give_back(digest);
    }

    /// Was it good here a moment ago?
    pub(super) fn knew(&self, digest: &Digest, now: SystemTime) -> bool {
        self.memory().known(digest).is_some_and(|known| known.was_good(now))
    }

    /// A token that counts, as far as is known without judging it.
    pub(super) fn known(&self, digest: &Digest, now: SystemTime) -> Option<Arc<Known>> {
        self.memory().known(digest).filter(|known| known.is_fresh(now))
    }

    /// One that was refused a moment ago.
    pub(super) fn refused(&self, digest: &Digest) -> Option<Rejection> {
        self.memory().refused(digest)
    }

    /// Whose token it is, and what is remembered of that.
    pub(super) async fn judge(&self, token: &str, digest: Digest, address: IpAddr) -> Result<Arc<Known>, Rejection> {
        let verified = match &self.way {
            Way::Asked(asked) => return asked.judge(token, digest, address).await,
            Way::Verified(verified) => verified,
        };
        let (address, now) = (address_key(address), SystemTime::now());
        let was_good = self.knew(&digest, now);
        let may_verify = || match was_good || verified.bad_tokens.has_some(&address) {
            true => Ok(()),
            false => Err(too_many(&self.config.name)),
        };
        may_verify()?;
        self.metrics.miss.inc();
        match self.verify(verified, token, now, may_verify).await {
            Ok(known) => {
                self.metrics.judged("ok");
                let known = Arc::new(known);
                verified.memory.learned(digest, Arc::clone(&known));
                Ok(known)
            }
            Err(refusal) => {
                if refusal.reason == Reason::RateLimited {
                    return Err(refusal);
                }
                self.metrics.judged(refusal.reason.label());
                if refusal.reason == Reason::KeysUnavailable {
                    self.metrics.failed.inc();
                } else {
                    verified.memory.refuse(digest, refusal.clone());
                    verified.bad_tokens.charge(address, digest);
                }
                Err(refusal)
            }
        }
    }

    /// The same for who only asks: nothing is taken from a budget, counted or remembered, and no server is asked about the
    /// token.
    pub(super) async fn look(
        &self,
        token: &str,
        digest: Digest,
        now: SystemTime,
        payer: Option<IpAddr>,
    ) -> Result<Arc<Known>, Rejection> {
        let is_spent = || payer.is_some_and(|payer| self.budget(payer).1);
        match &self.way {
            Way::Verified(_) if is_spent() && !self.knew(&digest, now) => Err(too_many(&self.config.name)),
            Way::Verified(verified) => self.verify(verified, token, now, || Ok(())).await.map(Arc::new),
            Way::Asked(asked) => asked.last(&digest, now).unwrap_or_else(|| {
                if is_spent() && asked.memory().known(&digest).is_none() {
                    return Err(too_many(&self.config.name));
                }
                let detail = "the server is not asked for an explanation, and the running gateway alone (--live) knows what it \
                              has said before";
                Err(Rejection::because(Reason::TokenServerUnavailable, detail))
            }),
        }
    }

    async fn verify(
        &self,
        verified: &Verified,
        token: &str,
        now: SystemTime,
        may_verify: impl Fn() -> Result<(), Rejection>,
    ) -> Result<Known, Rejection> {
        let claims = verified.jwks.believed(token, may_verify).await?;
        let told = judged(
            &claims,
            &Expected {
                config: &self.config,
                issuer: Some((&verified.config.issuer, true)),
                says_kind: false,
                signed: Some(verified.config.max_lifetime),
                leeway: verified.config.leeway,
                holds: Duration::ZERO,
                now,
            },
        )?;
        let fresh_until = now + VERIFIED_FOR;
        Ok(Known {
            identity: Arc::new(told.identity),
            section: self.id,
            until: told.until,
            not_before: told.not_before,
            fresh_until,
            stale_until: fresh_until,
            is_unanswered: false,
        })
    }

    /// What `janua check` asks.
    pub async fn check(&self) -> Result<String, Unfit> {
        match &self.way {
            Way::Verified(verified) => {
                let issuer = &verified.config.issuer;
                let keys = verified.jwks.check().await.map_err(|failed| Unfit {
                    cause: match &failed {
                        Failed::Fetch(_, error) => error.to_string(),
                        other => other.to_string(),
                    },
                    text: failed.to_string(),
                })?;
                Ok(format!("{issuer} has keys ({})", keys.join(", ")))
            }
            Way::Asked(asked) => asked.question().check().await.map_err(|failure| Unfit {
                cause: failure.to_string(),
                text: format!("{}: {failure}", asked.question().endpoint()),
            }),
        }
    }

    /// What has to be registered at the server, if the gateway proves itself there by a key.
    pub fn registration(&self) -> Option<String> {
        match &self.way {
            Way::Verified(_) => None,
            Way::Asked(asked) => asked.question().registration(),
        }
    }
}

/// The address has brought too many in vain.
pub(super) fn too_many(bearer: &str) -> Rejection {
    let detail = format!("too many tokens that count nowhere (bearer.{bearer}.bad_tokens)");
    Rejection::because(Reason::RateLimited, detail).with_hint(Hint::RetryAfter(1))
}

fn files(config: &Bearer) -> Files {
    let key = config.client_key().map(|key| key.file.as_path());
    let proxy = config.outgoing().proxy.as_ref();
    let password = proxy.and_then(|proxy| proxy.password_file.as_deref());
    [config.ca_file(), config.secret_file(), key, password].map(|path| std::fs::read(path?).ok())
}
