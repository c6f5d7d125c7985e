//! The token that a connection keeps sending: a player brings the same one for every segment of a lecture, and to compare
//! two texts is quicker than to look one up.
//!
//! What is remembered is what the cache would say; whether it counts now is asked again on every use.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::cache::{Digest, Verified};
use crate::authenticate::bearer::Known;

/// Longer tokens are looked up each time: there may be very many connections.
const LONGEST: usize = 4096;

/// What one connection remembers. A proxy in front may send many people's requests over it: a token is taken in when it
/// comes a second time in a row, and compared in constant time.
#[derive(Default)]
pub struct Recent {
    token: Mutex<Option<Last<Verified>>>,
    /// The access token of an authorization server.
    bearer: Mutex<Option<Box<Last<Arc<Known>>>>>,
}

struct Last<V> {
    digest: Digest,
    known: Option<(Box<str>, V)>,
}

impl<V: Clone> Last<V> {
    fn get(&self, token: &str) -> Option<&V> {
        let (text, value) = self.known.as_ref()?;
        let same = verify_slices_are_equal(text.as_bytes(), token.as_bytes()).is_ok();
        same.then_some(value)
    }

    /// What is remembered after this token was looked up; `last` is what was before.
    fn after(last: Option<&Self>, token: &str, digest: &Digest, value: &V) -> Self {
        let again = last.is_some_and(|last| last.digest == *digest) && token.len() <= LONGEST;
        Self {
            digest: *digest,
            known: again.then(|| (token.into(), value.clone())),
        }
    }
}

impl Recent {
    /// The token, if it is the one, and was verified by the keys of this generation.
    pub(super) fn get(&self, token: &str, generation: u64) -> Option<Verified> {
        let last = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        let verified = last.as_ref()?.get(token)?;
        (verified.generation == generation).then(|| verified.clone())
    }

    /// A genuine token was looked up.
    pub(super) fn saw(&self, token: &str, digest: &Digest, verified: &Verified) {
        let mut last = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Last::after(last.as_ref(), token, digest, verified));
    }

    /// The access token, if it is the one. Whether it is known still is asked by the caller.
    pub(in crate::authenticate) fn bearer(&self, token: &str) -> Option<Arc<Known>> {
        let last = self.bearer.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref()?.get(token).cloned()
    }

    /// Is this the access token that the connection keeps sending?
    pub fn knows_bearer(&self, token: &str) -> bool {
        self.bearer(token).is_some()
    }

    /// An access token was looked up that counts.
    pub(in crate::authenticate) fn saw_bearer(&self, token: &str, digest: &Digest, known: &Arc<Known>) {
        let mut last = self.bearer.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Box::new(Last::after(last.as_deref(), token, digest, known)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::digest::sha256;
    use crate::identity::Identity;

    fn verified(generation: u64) -> Verified {
        Verified {
            identity: Arc::new(Identity {
                issuers: vec![0],
                source: Arc::from("a"),
                subject: None,
                named: false,
                roles: Vec::new(),
                grants: Vec::new(),
                expires: UNIX_EPOCH,
                access: None,
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
