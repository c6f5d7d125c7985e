//! Is a token on a route that is open to everyone one of a configured issuer's? Nobody is judged there, and a foreign
//! `Authorization` goes on to the upstream; a token that would count elsewhere must not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use super::Tokens;
use super::cache::{Digest, digest_of};
use super::carrier::Carried;
use super::header::too_long;
use super::verify::Unverified;
use crate::config::Rate;
use crate::rate::{Keyed, address_key};

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
    /// Is any of these a session's secret, or a token that a key of a configured issuer verifies? Expired ones, too. An
    /// address that has sent too many foreign ones gets yes: then nothing goes on. `client`: `None` takes nothing.
    pub fn are_ours(&self, carried: &Carried<'_>, client: Option<IpAddr>) -> bool {
        carried.iter().any(|token| self.is_ours(token, client))
    }

    fn is_ours(&self, token: &str, client: Option<IpAddr>) -> bool {
        if token.starts_with(SESSION) {
            return true;
        }
        let Some(unverified) = Some(token)
            .filter(|token| too_long(token, &self.config).is_none())
            .and_then(|token| Unverified::read(token, &self.config).ok())
        else {
            return false;
        };
        let (ring, digest) = (self.keys.ring(), digest_of(token));
        if self.cache.get(&digest, ring.generation).is_some() {
            return true;
        }
        if self.foreign.known.get(&digest) == Some(ring.generation) {
            return false;
        }
        let has_left = |client: IpAddr| self.foreign.checks.take(address_key(client), Instant::now()).is_ok();
        if !client.is_none_or(has_left) {
            return true;
        }
        let is_foreign = unverified.key(&ring, &self.config).is_err();
        if is_foreign && client.is_some() {
            self.foreign.known.insert(digest, ring.generation);
        }
        !is_foreign
    }
}
