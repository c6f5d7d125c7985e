//! Access tokens that were judged before, by their SHA-256: good ones until their answer is to be had anew, refused ones for a
//! moment. Those stand in a cache of their own, so that junk does not push out what is good.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moka::sync::Cache;

use crate::digest::sha256;
use crate::identity::Identity;
use crate::rejection::{Reason, Rejection};

/// How long it is known of a token that it was good, beyond what the answer about it holds.
pub(super) const GOOD_FOR: Duration = Duration::from_secs(600);

/// SHA-256 of the whole token.
pub(super) type Digest = [u8; 32];

/// Bytes for good tokens of one bearer.
const MEMORY: u64 = 32 << 20;
/// Refused tokens of one bearer, and for how long.
const MOST_REFUSED: u64 = 10_000;
const REFUSED_FOR: Duration = Duration::from_secs(5);

/// A token that counts, and until when that is known.
#[derive(Debug, Clone)]
pub struct Known {
    pub identity: Arc<Identity>,
    /// Of the bearer that knows it: see [`Section`](super::Section).
    pub(super) section: u64,
    /// From then on it counts no more.
    pub(super) until: Option<SystemTime>,
    pub(super) not_before: Option<SystemTime>,
    /// From then on it is judged anew.
    pub(super) fresh_until: SystemTime,
    /// And until then it counts where that cannot be done.
    pub(super) stale_until: SystemTime,
    /// There was no answer when it was to be had anew.
    pub(super) is_unanswered: bool,
}

impl Known {
    /// Does it count now, if it is known still?
    pub(super) fn counts(&self, now: SystemTime) -> Result<(), Reason> {
        if self.until.is_some_and(|until| until <= now) {
            return Err(Reason::TokenExpired);
        }
        match self.not_before.is_some_and(|from| now < from) {
            true => Err(Reason::TokenNotYetValid),
            false => Ok(()),
        }
    }

    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        now < self.fresh_until
    }

    pub(super) fn is_usable_without_answer(&self, now: SystemTime) -> bool {
        now < self.stale_until && self.counts(now).is_ok()
    }

    /// It counted a moment ago: whoever brings it brings no junk, though it has to be judged anew.
    pub(super) fn was_good(&self, now: SystemTime) -> bool {
        now < self.fresh_until.max(self.stale_until) + GOOD_FOR
    }

    /// Bytes of memory, roughly: what it holds, and the cache's own book-keeping.
    fn weight(&self) -> u32 {
        const BOOK_KEEPING: usize = 512;
        let texts = |list: &[String]| -> usize { list.iter().map(|text| text.capacity() + size_of::<String>()).sum() };
        let who = &self.identity;
        let access = who.access.as_ref().map_or(0, |access| {
            texts(&access.scopes) + access.client.as_ref().map_or(0, String::capacity)
        });
        let bytes = BOOK_KEEPING + texts(&who.roles) + access + who.subject.as_ref().map_or(0, String::capacity);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// What one bearer remembers.
pub(super) struct Memory {
    known: Cache<Digest, Arc<Known>>,
    refused: Cache<Digest, Rejection>,
}

impl Memory {
    /// `longest`: no answer is of use after so long.
    pub(super) fn new(longest: Duration) -> Self {
        Self {
            known: Cache::builder()
                .max_capacity(MEMORY)
                .weigher(|_: &Digest, known: &Arc<Known>| known.weight())
                .time_to_live(longest.max(Duration::from_secs(1)))
                .build(),
            refused: Cache::builder()
                .max_capacity(MOST_REFUSED)
                .time_to_live(REFUSED_FOR)
                .build(),
        }
    }

    pub(super) fn known(&self, digest: &Digest) -> Option<Arc<Known>> {
        self.known.get(digest)
    }

    pub(super) fn refused(&self, digest: &Digest) -> Option<Rejection> {
        self.refused.get(digest)
    }

    pub(super) fn learned(&self, digest: Digest, known: Arc<Known>) {
        self.known.insert(digest, known);
    }

    pub(super) fn refuse(&self, digest: Digest, refusal: Rejection) {
        self.known.invalidate(&digest);
        self.refused.insert(digest, refusal);
    }
}

pub(super) fn digest(token: &str) -> Digest {
    sha256(token.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::from_unix;

    fn known(until: u64, scopes: usize) -> Arc<Known> {
        Arc::new(Known {
            identity: Arc::new(Identity {
                issuers: Vec::new(),
                source: Arc::from("campus"),
                subject: Some("anna".to_owned()),
                named: true,
                roles: vec!["ROLE_USER".to_owned(); scopes],
                grants: Vec::new(),
                expires: from_unix(until),
                access: None,
            }),
            section: 1,
            until: Some(from_unix(until)),
            not_before: Some(from_unix(50)),
            fresh_until: from_unix(150),
            stale_until: from_unix(180),
            is_unanswered: false,
        })
    }

    #[test]
    fn what_is_known_ends_with_the_token_whatever_else() {
        let one = known(160, 0);
        assert!(one.is_fresh(from_unix(149)) && !one.is_fresh(from_unix(150)));
        assert!(one.is_usable_without_answer(from_unix(159)) && !one.is_usable_without_answer(from_unix(160)));
        assert!(!known(999, 0).is_usable_without_answer(from_unix(180)));
        assert_eq!(one.counts(from_unix(160)), Err(Reason::TokenExpired));
        assert_eq!(one.counts(from_unix(49)), Err(Reason::TokenNotYetValid));
    }

    #[test]
    fn memory_is_bounded_and_junk_pushes_nothing_out() {
        let memory = Memory::new(Duration::from_secs(60));
        let good = digest("good");
        memory.learned(good, known(200, 1));
        for number in 0..2 * MOST_REFUSED {
            memory.refuse(digest(&number.to_string()), Reason::TokenNotActive.into());
        }
        memory.refused.run_pending_tasks();
        assert!(memory.refused.entry_count() <= MOST_REFUSED);
        assert!(memory.known(&good).is_some());
        for number in 0..2000 {
            memory.learned(digest(&format!("k{number}")), known(200, 1000));
        }
        memory.known.run_pending_tasks();
        assert!(memory.known.weighted_size() <= MEMORY);
    }

    #[test]
    fn a_refusal_takes_the_place_of_what_was_known() {
        let memory = Memory::new(Duration::from_secs(60));
        memory.learned(digest("a"), known(200, 1));
        memory.refuse(digest("a"), Reason::TokenNotActive.into());
        assert!(memory.known(&digest("a")).is_none());
        assert_eq!(memory.refused(&digest("a")), Some(Reason::TokenNotActive.into()));
    }
}
