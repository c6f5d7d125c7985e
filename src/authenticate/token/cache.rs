//! Tokens whose signature was verified before, so that a lecture's thousand requests cost one signature check.
//!
//! Remembered is what never changes about a token; whether it is in time, and still vouched for by its key, is asked
//! again on every use.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use moka::Expiry;
use moka::sync::Cache;

use crate::identity::Identity;
use crate::rejection::{Reason, Rejection};

/// SHA-256 of the whole token: a token that differs in one bit is another token.
pub(super) type Digest = [u8; 32];

/// A token with a good signature, and the times between which it counts, leeway included.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) identity: Arc<Identity>,
    /// Of the keys that verified it.
    pub(super) generation: u64,
    pub(super) not_before: Option<SystemTime>,
    /// Earlier than this, `exp` is further away than the issuer may grant.
    pub(super) lifetime_from: SystemTime,
    pub(super) until: SystemTime,
    /// Why it counts at no time: it is not what its issuer requires.
    pub(super) refusal: Option<(Reason, Arc<str>)>,
}

impl Verified {
    /// Does the token count at this moment? Expiry is told first, then `nbf`, then the lifetime.
    pub(super) fn at(&self, now: SystemTime) -> Result<(), Reason> {
        if now >= self.until {
            Err(Reason::TokenExpired)
        } else if self.not_before.is_some_and(|from| now < from) {
            Err(Reason::TokenNotYetValid)
        } else if now < self.lifetime_from {
            Err(Reason::LifetimeTooLong)
        } else {
            Ok(())
        }
    }

    /// The same, with what its issuer requires of it.
    pub(super) fn counts(&self, now: SystemTime) -> Result<(), Rejection> {
        self.at(now)?;
        match &self.refusal {
            None => Ok(()),
            Some((reason, detail)) => Err(Rejection::because(*reason, detail.to_string())),
        }
    }

    /// Bytes of memory, roughly: what it holds, and the cache's own book-keeping.
    fn weight(&self) -> u32 {
        const BOOK_KEEPING: usize = 256;
        let roles = self
            .identity
            .roles
            .iter()
            .map(|role| role.capacity() + size_of::<String>());
        let grants = self
            .identity
            .grants
            .iter()
            .map(|grant| grant.id.capacity() + grant.action.capacity() + 64);
        let subject = self.identity.subject.as_ref().map_or(0, String::capacity);
        let issuers = self.identity.issuers.len() * size_of::<usize>();
        let fixed = BOOK_KEEPING + size_of::<Digest>() + size_of::<Self>() + size_of::<Identity>();
        let refusal = self.refusal.as_ref().map_or(0, |(_, detail)| detail.len());
        let bytes = fixed + refusal + subject + issuers + roles.sum::<usize>() + grants.sum::<usize>();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// A table made with room for many entries need not be rebuilt while it fills: one place, of eight bytes, for each of
/// so many bytes that the cache may have.
const BYTES_PER_PLACE: u64 = 4096;

/// The remembered tokens, weighed in bytes.
pub(super) struct TokenCache {
    tokens: Cache<Digest, Verified>,
}

impl TokenCache {
    pub(super) fn new(max_bytes: u64) -> Self {
        let tokens = Cache::builder()
            .max_capacity(max_bytes)
            .initial_capacity(usize::try_from(max_bytes / BYTES_PER_PLACE).unwrap_or(usize::MAX))
            .weigher(|_: &Digest, verified: &Verified| verified.weight())
            .expire_after(AtExpiry)
            .build();
        Self { tokens }
    }

    /// The token, if it was verified by the keys of this generation.
    pub(super) fn get(&self, digest: &Digest, generation: u64) -> Option<Verified> {
        self.tokens
            .get(digest)
            .filter(|verified| verified.generation == generation)
    }

    pub(super) fn insert(&self, digest: Digest, verified: Verified) {
        self.tokens.insert(digest, verified);
    }
}

/// A token leaves the cache when it expires. One that has expired already stays for a moment all the same: a player
/// that goes on sending it shall not cost a signature check each time.
struct AtExpiry;

const SHORTEST: Duration = Duration::from_secs(30);
/// A token that is refused for its long life needs no longer place than this.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl AtExpiry {
    fn left(verified: &Verified) -> Option<Duration> {
        let left = verified.until.duration_since(SystemTime::now()).unwrap_or_default();
        Some(left.clamp(SHORTEST, LONGEST))
    }
}

impl Expiry<Digest, Verified> for AtExpiry {
    fn expire_after_create(&self, _: &Digest, verified: &Verified, _: Instant) -> Option<Duration> {
        Self::left(verified)
    }

    fn expire_after_update(
        &self,
        _: &Digest,
        verified: &Verified,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Self::left(verified)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::digest::sha256;

    fn verified(roles: usize, generation: u64) -> Verified {
        Verified {
            identity: Arc::new(Identity {
                issuers: vec![0],
                source: Arc::from("a"),
                subject: None,
                named: false,
                roles: vec!["ROLE_STUDIO".to_owned(); roles],
                grants: Vec::new(),
                expires: UNIX_EPOCH,
                access: None,
            }),
            generation,
            not_before: Some(at(50)),
            lifetime_from: at(100),
            until: at(200),
            refusal: None,
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_judged_in_order() {
        let token = verified(0, 1);
        assert_eq!(token.at(at(200)), Err(Reason::TokenExpired));
        assert_eq!(token.at(at(199)), Ok(()));
        assert_eq!(token.at(at(100)), Ok(()));
        assert_eq!(token.at(at(99)), Err(Reason::LifetimeTooLong));
        assert_eq!(token.at(at(49)), Err(Reason::TokenNotYetValid));
    }

    #[test]
    fn another_generation_knows_nothing() {
        let cache = TokenCache::new(1 << 20);
        let digest = sha256(b"a.b.c");
        cache.insert(digest, verified(1, 7));
        assert!(cache.get(&digest, 7).is_some());
        assert!(cache.get(&digest, 8).is_none());
        assert!(cache.get(&sha256(b"a.b.d"), 7).is_none());
    }

    #[test]
    fn the_cache_is_bounded_in_bytes() {
        let cache = TokenCache::new(100_000);
        for token in 0..1000 {
            cache.insert(sha256(token.to_string().as_bytes()), verified(100, 1));
        }
        cache.tokens.run_pending_tasks();
        assert!(cache.tokens.weighted_size() <= 100_000);
        let entries = cache.tokens.entry_count();
        assert!((1..=100_000 / 1100).contains(&entries), "{entries}");
    }
}
