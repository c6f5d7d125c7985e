//! The token that a connection keeps sending: a player brings the same one for every segment of a lecture, and to compare
//! two texts is quicker than to look one up.
//!
//! What is remembered is what the cache would say; whether it counts now is asked again on every use.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::cache::{Digest, Verified};

/// Longer tokens are looked up each time: there may be very many connections.
const LONGEST: usize = 4096;

/// What one connection remembers. A proxy in front may send many people's requests over it: a token is taken in when it
/// comes a second time in a row, and compared in constant time.
#[derive(Default)]
pub struct Recent(Mutex<Option<Last>>);

struct Last {
    digest: Digest,
    known: Option<(Box<str>, Verified)>,
}

impl Recent {
    /// The token, if it is the one, and was verified by the keys of this generation.
    pub(super) fn get(&self, token: &str, generation: u64) -> Option<Verified> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, verified) = last.as_ref()?.known.as_ref()?;
        let same = verify_slices_are_equal(text.as_bytes(), token.as_bytes()).is_ok();
        (same && verified.generation == generation).then(|| verified.clone())
    }

    /// A genuine token was looked up.
    pub(super) fn saw(&self, token: &str, digest: &Digest, verified: &Verified) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let again = last.as_ref().is_some_and(|last| last.digest == *digest) && token.len() <= LONGEST;
        *last = Some(Last {
            digest: *digest,
            known: again.then(|| (token.into(), verified.clone())),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::digest::sha256;
    use crate::identity::Identity;

    fn verified(generation: u64) -> Verified {
        Verified {
            identity: Arc::new(Identity {
                issuers: vec![0],
                source: Arc::from("a"),
                people: None,
                subject: None,
                named: false,
                roles: Vec::new(),
                grants: Vec::new(),
                expires: UNIX_EPOCH,
            }),
            generation,
            not_before: None,
            lifetime_from: UNIX_EPOCH,
            until: UNIX_EPOCH,
            refusal: None,
        }
    }

    fn saw(recent: &Recent, token: &str) {
        recent.saw(token, &sha256(token.as_bytes()), &verified(7));
    }

    #[test]
    fn a_token_is_taken_in_when_it_comes_twice_in_a_row() {
        let recent = Recent::default();
        saw(&recent, "a.b.c");
        assert!(recent.get("a.b.c", 7).is_none());
        saw(&recent, "a.b.c");
        assert!(recent.get("a.b.c", 7).is_some());
        assert!(recent.get("a.b.d", 7).is_none() && recent.get("a.b", 7).is_none());
        assert!(recent.get("a.b.c", 8).is_none(), "other keys");
        saw(&recent, "a.b.d");
        assert!(recent.get("a.b.c", 7).is_none() && recent.get("a.b.d", 7).is_none());
    }

    #[test]
    fn memory_is_bounded() {
        let recent = Recent::default();
        for (length, is_kept) in [(LONGEST + 1, false), (LONGEST, true)] {
            let token = "x".repeat(length);
            saw(&recent, &token);
            saw(&recent, &token);
            assert_eq!(recent.get(&token, 7).is_some(), is_kept);
        }
    }
}
