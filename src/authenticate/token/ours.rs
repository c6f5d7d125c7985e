//! Is a token on a route that is open to everyone one of a configured issuer's? Nobody is judged there, and a foreign
//! `Authorization` goes on to the upstream; a token that would count elsewhere must not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use super::Tokens;
use super::cache::{Digest, digest_of};
use super::carrier::Carried;
use super::header::split;
use crate::config::Rate;
use crate::rate::{Keyed, address_key};
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
}

impl Foreign {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            known: Cache::builder()
                .max_capacity(MAX_FOREIGN)
                .time_to_live(FOREIGN_TTL)
                .build(),
            checks: Keyed::new(rate),
        }
    }
}

impl Tokens {
    /// Is any of these a session's secret, or a token that a key of a configured issuer verifies? Expired ones too, and
    /// those whose claims nobody here could use. Where that cannot be told it is yes, and nothing goes on: of more tokens
    /// than are looked at, of one that is too long or hardly readable, of an address that has sent too many foreign ones.
    /// `client`: `None` takes nothing.
    pub fn are_ours(&self, carried: &Carried<'_>, client: Option<IpAddr>) -> bool {
        carried.had_more() || carried.iter().any(|token| self.is_ours(token, client))
    }

    fn is_ours(&self, token: &str, client: Option<IpAddr>) -> bool {
        if token.starts_with(SESSION) {
            return true;
        }
        let parts = match split(token, &self.config) {
            Ok(parts) => parts,
            Err(refusal) => return refusal.reason != Reason::AlgorithmNotAllowed && looks_signed(token),
        };
        let (ring, digest) = (self.keys.ring(), digest_of(token));
        if self.cache.get(&digest, ring.generation).is_some() {
            return true;
        }
        if self.foreign.known.get(&digest) == Some(ring.generation) {
            return false;
        }
        let client = client.map(address_key);
        if client.is_some_and(|client| !self.foreign.checks.peek(&client, Instant::now())) {
            return true;
        }
        let Err(no_key) = parts.key(None, &ring, &self.config) else {
            return true;
        };
        if let Some(client) = client {
            self.foreign.checks.spend(client, no_key.trials, Instant::now());
            self.foreign.known.insert(digest, ring.generation);
        }
        false
    }
}

/// Has it the outer shape of a signed token: a JSON object in base64url, and two dots (RFC 7515 section 3.1)?
fn looks_signed(token: &str) -> bool {
    token.starts_with("eyJ") && token.bytes().filter(|byte| *byte == b'.').count() == 2
}
