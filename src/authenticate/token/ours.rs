//! Is a token on a route that is open to everyone one of a configured issuer's? Nobody is judged there, and a foreign
//! `Authorization` goes on to the upstream; a token that would count elsewhere must not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use moka::sync::Cache;
use serde_json::Value;

use super::cache::Digest;
use super::carrier::Carried;
use super::header::split;
use super::keyring::Keyring;
use super::{Recent, Tokens, json, required};
use crate::digest::sha256;
use crate::rate::Rate;
use crate::rate::{Keyed, Limiter, address_key};
use crate::rejection::Reason;

/// What a session's secret begins with, wherever it stands.
const SESSION: &str = "jns_";

/// Foreign tokens that are remembered, and for how long.
const MAX_FOREIGN: u64 = 10_000;
const FOREIGN_TTL: Duration = Duration::from_secs(60);

/// Tokens that no key here verifies, with the generation of the keys that did not; and a budget for each address of its
/// own: foreign tokens are no offence, but each new one costs a check.
pub(super) struct Foreign {
    known: Cache<Digest, u64>,
    checks: Keyed<IpAddr>,
    /// Whether it is told that tokens were not looked at.
    telling: Limiter,
}

impl Foreign {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            known: Cache::builder()
                .max_capacity(MAX_FOREIGN)
                .time_to_live(FOREIGN_TTL)
                .build(),
            checks: Keyed::new(rate),
            telling: Limiter::of_log(),
        }
    }
}

/// Who has made a token, as far as can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// An issuer: a key of one verifies it, or it names one of whom that key is not here.
    Issuers,
    /// No issuer.
    Others,
    /// No issuer, since it is no token that one could make.
    Nobodys,
    /// Its sender has brought too many that had to be checked.
    Untold,
}

impl Tokens {
    /// Is any of these a session's secret, or a token that a key of a configured issuer verifies? Expired ones too, and
    /// those whose claims nobody here could use. Where that cannot be told it is yes, and nothing goes on: of more tokens
    /// than are looked at, of one that is too long or hardly readable, of one of an issuer whose keys are not here, of an
    /// address that has sent too many that had to be checked. A token that names no key of these, but an issuer that is
    /// none of these, needs no check. `client`: `None` takes nothing.
    pub fn are_ours(&self, carried: &Carried<'_>, client: Option<IpAddr>) -> bool {
        carried.had_more() || carried.iter().any(|token| self.is_ours(token, client))
    }

    fn is_ours(&self, token: &str, client: Option<IpAddr>) -> bool {
        if token.starts_with(SESSION) {
            return true;
        }
        match self.whose(token, client, |_| false) {
            Whose::Issuers => true,
            Whose::Others => false,
            Whose::Nobodys => looks_signed(token),
            Whose::Untold => {
                self.metrics.withheld.inc();
                if let Some(client) = client.map(address_key)
                    && self.foreign.telling.take(Instant::now()).is_ok()
                {
                    tracing::warn!(
                        %client,
                        "tokens are not passed on, on routes open to everyone: this address has sent too many that had to be \
                         checked (jwt.bad_signatures)"
                    );
                }
                true
            }
        }
    }

    /// Does the connection remember this token of an issuer's?
    pub fn recalls(&self, token: &str, recent: &Recent) -> bool {
        recent.get(token, self.keys.ring().generation).is_some()
    }

    /// Whose is a token that may be of others, too? Foreign ones are no offence, and cost their sender nothing of
    /// `jwt.bad_signatures`. `is_others`: is this the issuer of others, to the letter? `client`: `None` takes nothing.
    pub fn whose(&self, token: &str, client: Option<IpAddr>, is_others: impl Fn(&str) -> bool) -> Whose {
        if self.config.issuers.is_empty() {
            return Whose::Others;
        }
        let (ring, digest) = (self.keys.ring(), sha256(token.as_bytes()));
        if self.cache.get(&digest, ring.generation).is_some() {
            return Whose::Issuers;
        }
        if self.foreign.known.get(&digest) == Some(ring.generation) {
            return Whose::Others;
        }
        let mut parts = match split(token, &self.config) {
            Ok(parts) => parts,
            Err(refusal) if refusal.reason == Reason::AlgorithmNotAllowed => return Whose::Others,
            Err(_) => return Whose::Nobodys,
        };
        let issuer = issuer_of(&parts.claims);
        let may_be_unknown = self.may_be_of_unknown_key(issuer.as_deref(), &ring);
        let is_of_others = issuer.as_deref().is_some_and(is_others);
        if is_of_others && !may_be_unknown {
            return Whose::Others;
        }
        let by_unknown_key = match may_be_unknown && !is_of_others {
            true => Whose::Issuers,
            false => Whose::Others,
        };
        if issuer.is_none() {
            // It may be anybody's; an issuer may have given its key another name.
            parts.kid = None;
        }
        let kid = parts.kid.as_deref();
        if ring.candidates(kid, parts.algorithm, |_| false).is_empty() {
            return by_unknown_key;
        }
        let (client, now) = (client.map(address_key), Instant::now());
        if client.is_some_and(|client| !self.foreign.checks.peek(&client, now)) {
            return Whose::Untold;
        }
        let Err(no_key) = parts.key(None, &ring, &self.config) else {
            return Whose::Issuers;
        };
        if let Some(client) = client {
            self.foreign.checks.spend(client, no_key.trials, now);
            if by_unknown_key == Whose::Others {
                self.foreign.known.insert(digest, ring.generation);
            }
        }
        by_unknown_key
    }

    /// No key here has signed it. May an issuer's key that is not here, or not yet? By the issuer that it names; one
    /// that names none may be of an issuer of whom there is no key at all.
    fn may_be_of_unknown_key(&self, named: Option<&str>, ring: &Keyring) -> bool {
        match named {
            Some(named) => (0..self.config.issuers.len()).any(|index| required::is_claimed(&self.config, index, named)),
            None => !ring.is_complete(),
        }
    }
}

fn issuer_of(claims: &[u8]) -> Option<String> {
    let members = json::parse_object(claims).unwrap_or_default();
    members.get("iss").and_then(Value::as_str).map(str::to_owned)
}

/// Has it the outer shape of a signed token: a JSON object in base64url, and two dots (RFC 7515 section 3.1)?
fn looks_signed(token: &str) -> bool {
    token.starts_with("eyJ") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}
