//! The keys of all issuers as one collection: which keys a token is tried with, and whose they are.
//!
//! A token names no issuer (facts 1.1): the key set that verifies it is its issuer. A key that several issuers publish
//! is one key here, with several issuers.

use std::collections::HashMap;

use super::jwk::{Key, KeySet};
use crate::config::Algorithm;

/// Keys that one token may cost a trial.
const MAX_TRIALS: usize = 8;

/// All keys at one moment. Replaced as a whole whenever a key set changes.
#[derive(Default)]
pub(super) struct Keyring {
    /// Counts the replacements: what was verified by an older ring has to be verified again.
    pub(super) generation: u64,
    /// In the order of the issuers, then of their sets; equal keys are one entry.
    entries: Vec<Entry>,
    by_kid: HashMap<String, Vec<usize>>,
}

pub(super) struct Entry {
    /// One for each issuer's spelling of the key: names and permitted algorithms may differ, the material does not.
    spellings: Vec<Key>,
    /// Ascending, without duplicates.
    pub(super) issuers: Vec<usize>,
}

impl Entry {
    /// The key in a spelling that permits the algorithm.
    pub(super) fn fitting(&self, algorithm: Algorithm) -> Option<&Key> {
        self.spellings.iter().find(|key| key.fits(algorithm))
    }
}

impl Keyring {
    /// Unites the sets; `sets[i]` belongs to issuer `i`, `None` while it has no usable key.
    pub(super) fn new<'a>(generation: u64, sets: impl IntoIterator<Item = Option<&'a KeySet>>) -> Self {
        let mut ring = Self {
            generation,
            ..Self::default()
        };
        let mut known: HashMap<[u8; 32], usize> = HashMap::new();
        for (issuer, set) in sets.into_iter().enumerate() {
            for key in set.into_iter().flat_map(|set| &set.keys) {
                let place = *known.entry(key.thumbprint).or_insert(ring.entries.len());
                if let Some(kid) = &key.kid {
                    let places = ring.by_kid.entry(kid.clone()).or_default();
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
                match ring.entries.get_mut(place) {
                    Some(entry) => {
                        entry.spellings.push(key.clone());
                        if entry.issuers.last() != Some(&issuer) {
                            entry.issuers.push(issuer);
                        }
                    }
                    None => ring.entries.push(Entry {
                        spellings: vec![key.clone()],
                        issuers: vec![issuer],
                    }),
                }
            }
        }
        ring
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The keys to try, at most eight: those that the `kid` names; if it names none, those without a kid; for a token
    /// without one, all. Of these, the ones that fit the algorithm.
    pub(super) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = (&Entry, &Key)> {
        let named = kid
            .map(|kid| self.by_kid.get(kid).map_or(&[][..], Vec::as_slice))
            .unwrap_or_default();
        let others = if named.is_empty() { self.entries.as_slice() } else { &[] };
        let any = kid.is_none();
        let nameless = move |entry: &&Entry| any || entry.spellings.iter().any(|key| key.kid.is_none());
        named
            .iter()
            .filter_map(|&place| self.entries.get(place))
            .chain(others.iter().filter(nameless))
            .filter_map(move |entry| Some((entry, entry.fitting(algorithm)?)))
            .take(MAX_TRIALS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Signer;
    use super::*;

    fn set(keys: &[(&Signer, Option<&str>)]) -> KeySet {
        let jwks: Vec<_> = keys.iter().map(|(signer, kid)| signer.jwk(*kid)).collect();
        KeySet::parse(serde_json::json!({"keys":jwks}).to_string().as_bytes())
            .ok()
            .unwrap()
    }

    fn issuers(ring: &Keyring, kid: Option<&str>) -> Vec<Vec<usize>> {
        let found = ring.candidates(kid, Algorithm::Es256);
        found.map(|(entry, _)| entry.issuers.clone()).collect()
    }

    #[test]
    fn a_kid_that_names_a_key_means_that_key() {
        let (a, b, c) = (Signer::new(), Signer::new(), Signer::new());
        let first = set(&[(&a, Some("a")), (&b, None)]);
        let third = set(&[(&c, Some("a"))]);
        let ring = Keyring::new(1, [Some(&first), None, Some(&third)]);
        assert_eq!(issuers(&ring, Some("a")), [[0], [2]], "both keys of that name");
        assert_eq!(issuers(&ring, Some("unknown")), [[0]], "only b has no kid");
        assert_eq!(issuers(&ring, None), [[0], [0], [2]]);
        assert_eq!(ring.candidates(Some("a"), Algorithm::Es384).count(), 0);
        assert_eq!(ring.candidates(None, Algorithm::Rs256).count(), 0);
    }

    #[test]
    fn the_same_key_in_two_sets_is_one_key_of_two_issuers() {
        let (a, b) = (Signer::new(), Signer::new());
        let first = set(&[(&a, Some("a")), (&a, Some("again"))]);
        let second = set(&[(&b, None), (&a, None)]);
        let ring = Keyring::new(1, [Some(&first), Some(&second)]);
        assert_eq!(issuers(&ring, Some("a")), [[0, 1]]);
        assert_eq!(issuers(&ring, Some("again")), [[0, 1]]);
        assert_eq!(issuers(&ring, None), [vec![0, 1], vec![1]]);
    }

    #[test]
    fn trials_are_bounded() {
        let signers: Vec<_> = (0..10).map(|_| Signer::new()).collect();
        let all: Vec<_> = signers.iter().map(|signer| (signer, None)).collect();
        let ring = Keyring::new(1, [Some(&set(&all))]);
        assert_eq!(ring.candidates(None, Algorithm::Es256).count(), 8);
    }
}
