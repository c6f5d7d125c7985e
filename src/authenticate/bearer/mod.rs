//! Access tokens of authorization servers (RFC 6750): an application of the campus calls with one, and its server, or the
//! server's keys, say whose it is, for which client and with which scopes.
//!
//! ```text
//! carried ─ remembered? (recent, remembered) ─ shape ─ section ─┬─ jwks ──────────────┬─ claims
//!                                                               └─ asked ─ question ──┘
//! ```
//!
//! A session's secret (`jns_…`) and a token of a `[[jwt.issuers]]` are none of these: that is found out first, by the caller.
//! What the bearer may do is decided by the route's rules.

mod asked;
mod budget;
mod claims;
mod flights;
mod jwks;
mod question;
mod remembered;
mod section;
mod shape;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use self::remembered::Known;
use self::remembered::digest;
pub use self::section::Section;
use self::shape::{Shape, is_token};
pub use super::oauth::SetupError;
use super::oauth::error::words;
use super::token::carrier::after_scheme;
use super::token::{Outcome, Recent};
use crate::rate::Rate;
use crate::rejection::{Reason, Rejection};

/// What a session's secret begins with.
const SESSION: &str = "jns_";

/// Why a server is not what it should be.
pub struct Unfit {
    pub text: String,
    /// What happened there, in the words of whatever else asks that server.
    pub cause: String,
}

/// All bearers, in the order of the configuration.
#[derive(Default)]
pub struct Bearers {
    sections: Vec<Arc<Section>>,
    /// Bytes of one token.
    max_token: usize,
}

/// What was found out about a token for who only asks.
#[derive(Debug)]
pub struct Looked {
    /// The bearer that has judged it, or the first that could not.
    pub bearer: Option<Arc<str>>,
    pub verdict: Result<Arc<Known>, Rejection>,
}

/// Is it a JWT that names no issuer? An access token must name it (RFC 9068 section 2.2).
pub fn names_no_issuer(token: &str) -> bool {
    Shape::of(token) == Shape::Jwt(None)
}

/// The access token of a request: in `Authorization: Bearer`, and nowhere else (RFC 6750 section 2.1). `Ok(None)`: there is
/// none, or it is a session's secret. Error: there are several.
pub fn carried(headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
    let values = headers.get_all(AUTHORIZATION).iter();
    let mut tokens = values.filter_map(|value| after_scheme(std::str::from_utf8(value.as_bytes()).ok()?, "Bearer"));
    match (tokens.next().filter(|token| !token.is_empty()), tokens.next()) {
        (_, Some(_)) => Err(malformed("several tokens in Authorization".to_owned())),
        (Some(token), None) if !token.starts_with(SESSION) => Ok(Some(token)),
        _ => Ok(None),
    }
}

impl Bearers {
    /// `max_token` is in bytes.
    pub fn new(sections: Vec<Arc<Section>>, max_token: usize) -> Self {
        Self { sections, max_token }
    }

    pub fn is_empty(&self) -> bool {
        self.sections.is_empty()
    }

    /// The section that is the same as `config` asks for.
    pub fn same(&self, config: &crate::config::Bearer) -> Option<Arc<Section>> {
        self.sections.iter().find(|section| section.is_of(config)).cloned()
    }

    /// Is this the issuer of one of them?
    pub fn is_issuer(&self, named: &str) -> bool {
        self.sections
            .iter()
            .any(|section| section.config.issuer() == Some(named))
    }

    /// Whom a token speaks for that was judged before. `allowed`: the bearers of the route, as indices; `None`: all.
    pub fn remembered(
        &self,
        token: &str,
        allowed: Option<&[usize]>,
        recent: &Recent,
        now: SystemTime,
    ) -> Option<Outcome> {
        if let Some(known) = recent.bearer(token)
            && let Some(section) = self.allowed(allowed).find(|section| section.id == known.section)
            && known.is_fresh(now)
        {
            section.metrics.hit.inc();
            return Some(outcome(&known, now));
        }
        let digest = digest(token);
        let mut sections = self.allowed(allowed);
        let (section, known) = sections.find_map(|section| Some((section, section.known(&digest, now)?)))?;
        section.metrics.hit.inc();
        recent.saw_bearer(token, &digest, &known);
        Some(outcome(&known, now))
    }

    /// Was the token good a moment ago, at one of these bearers? Then it is no issuer's, and no junk.
    pub fn knew(&self, token: &str, allowed: Option<&[usize]>, now: SystemTime) -> bool {
        let digest = digest(token);
        self.allowed(allowed).any(|section| section.knew(&digest, now))
    }

    /// Whom another token speaks for. Waits for keys, or for what the server says.
    pub async fn judge(&self, token: &str, allowed: Option<&[usize]>, client: IpAddr) -> Outcome {
        if let Some(refusal) = self.unreadable(token) {
            return Outcome::Refused(refusal);
        }
        let (digest, now) = (digest(token), SystemTime::now());
        let shape = Shape::of(token);
        let mut refused = Refused::default();
        // The bearer that knew the token comes first: the others need not be shown it, and nobody waits for them.
        let mut judges: Vec<_> = self.judges(&shape, allowed).collect();
        judges.sort_by_key(|section| !section.knew(&digest, now));
        for (place, section) in judges.iter().enumerate() {
            if let Some(refusal) = section.refused(&digest) {
                section.metrics.hit.inc();
                refused.add(refusal);
                continue;
            }
            match section.judge(token, digest, client).await {
                Ok(known) => {
                    for before in judges.iter().take(place) {
                        before.give_back(&digest);
                    }
                    return Outcome::Person(Arc::clone(&known.identity));
                }
                Err(refusal) => refused.add(refusal),
            }
        }
        Outcome::Refused(refused.told(&shape))
    }

    /// The same for who only asks: nothing is taken, counted or remembered, and no server is asked about the token. `payer`:
    /// whose budgets would be looked at.
    pub async fn look(&self, token: &str, allowed: Option<&[usize]>, now: SystemTime, payer: Option<IpAddr>) -> Looked {
        let of = |section: &Arc<Section>| Some(Arc::clone(&section.config.name));
        if let Some(refusal) = self.unreadable(token) {
            return Looked {
                bearer: None,
                verdict: Err(refusal),
            };
        }
        let digest = digest(token);
        let shape = Shape::of(token);
        let known = self
            .allowed(allowed)
            .find_map(|section| Some((section, section.known(&digest, now)?)));
        if let Some((section, known)) = known {
            let verdict = known.counts(now).map(|()| known).map_err(Into::into);
            return Looked {
                bearer: of(section),
                verdict,
            };
        }
        let (mut refused, mut first) = (Refused::default(), None);
        for section in self.judges(&shape, allowed) {
            let verdict = match section.refused(&digest) {
                Some(refusal) => Err(refusal),
                None => section.look(token, digest, now, payer).await,
            };
            first = first.or_else(|| of(section));
            match verdict {
                Ok(known) => {
                    return Looked {
                        bearer: of(section),
                        verdict: Ok(known),
                    };
                }
                Err(refusal) => refused.add(refusal),
            }
        }
        Looked {
            bearer: first,
            verdict: Err(refused.told(&shape)),
        }
    }

    /// Would this token, which nobody has judged, count on another route? Where that cannot be told without asking a server it
    /// is yes: of one that is no JWT, where a server is asked about such, and of a JWT whose issuer is a bearer's, or may be.
    pub fn are_theirs(&self, token: &str) -> bool {
        if self.is_empty() {
            return false;
        }
        let shape = Shape::of(token);
        if let Shape::Jwt(None) = &shape {
            // Those that are verified here must name their issuer.
            return self.sections.iter().any(|section| section.config.key() != "jwks");
        }
        self.judges(&shape, None).next().is_some()
    }

    /// The budgets of the route's bearers, of this address: each with its name, and whether nothing is left.
    pub fn budgets<'a>(
        &'a self,
        allowed: Option<&'a [usize]>,
        client: IpAddr,
    ) -> impl Iterator<Item = (&'a str, Rate, bool)> {
        self.allowed(allowed).map(move |section| {
            let (rate, spent) = section.budget(client);
            (&*section.config.name, rate, spent)
        })
    }

    fn allowed<'a>(&'a self, allowed: Option<&'a [usize]>) -> impl Iterator<Item = &'a Arc<Section>> {
        let all = self.sections.iter().enumerate();
        let named = all.filter(move |(index, _)| allowed.is_none_or(|allowed| allowed.contains(index)));
        named.map(|(_, section)| section)
    }

    /// Those that may know a token of this shape, in their order.
    fn judges<'a>(&'a self, shape: &'a Shape, allowed: Option<&'a [usize]>) -> impl Iterator<Item = &'a Arc<Section>> {
        self.allowed(allowed)
            .filter(move |section| section.may_know(shape, |named| self.is_issuer(named)))
    }

    /// Why a token is refused unread.
    fn unreadable(&self, token: &str) -> Option<Rejection> {
        let (length, most) = (token.len(), self.max_token);
        if length > most {
            return Some(malformed(format!("{length} bytes long; `jwt.max_token` allows {most}")));
        }
        (!is_token(token)).then(|| malformed("letters that no token has (RFC 6750 section 2.1)".to_owned()))
    }
}

fn malformed(detail: String) -> Rejection {
    Rejection::because(Reason::MalformedToken, detail)
}

fn outcome(known: &Known, now: SystemTime) -> Outcome {
    match known.counts(now) {
        Ok(()) => Outcome::Person(Arc::clone(&known.identity)),
        Err(reason) => Outcome::Refused(reason.into()),
    }
}

/// Of several bearers none takes a token: that one cannot say says more than that another does not know it.
#[derive(Default)]
struct Refused(Option<Rejection>);

impl Refused {
    fn add(&mut self, refusal: Rejection) {
        let is_open = |refusal: &Rejection| {
            matches!(
                refusal.reason,
                Reason::TokenServerUnavailable | Reason::KeysUnavailable | Reason::Overloaded | Reason::RateLimited
            )
        };
        let keeps = self
            .0
            .as_ref()
            .is_some_and(|known| is_open(known) || !is_open(&refusal));
        if !keeps {
            self.0 = Some(refusal);
        }
    }

    fn told(self, shape: &Shape) -> Rejection {
        self.0.unwrap_or_else(|| match shape {
            Shape::Opaque => Rejection::because(
                Reason::MalformedToken,
                "it is no JWT, and no server is asked about others",
            ),
            Shape::Jwt(Some(named)) => {
                let detail = format!("no bearer of this route has its issuer: iss is {:?}", words(named));
                Rejection::because(Reason::WrongIssuer, detail)
            }
            Shape::Jwt(None) => Rejection::because(
                Reason::WrongIssuer,
                "it names no issuer (iss), and no server is asked about such",
            ),
        })
    }
}
