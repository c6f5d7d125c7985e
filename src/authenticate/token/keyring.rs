//! The keys of all issuers as one collection: which keys a token is tried with, and whose they are.
//!
//! A token names no issuer: the key set that verifies it is its issuer. A key that several issuers publish
//! is one key here, with several issuers.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::jwk::{Key, KeySet};
use crate::config::Algorithm;

/// All keys at one moment. Replaced as a whole whenever a key set changes.
#[derive(Default)]
pub(super) struct Keyring {
    /// Counts the replacements: what was verified by an older ring has to be verified again.
    pub(super) generation: u64,
    /// In the order of the issuers, then of their sets; equal keys are one entry.
    entries: Vec<Entry>,
    by_kid: HashMap<String, Vec<usize>>,
    /// Counts the tokens that were verified by another key than the first that was tried.
    clock: AtomicU64,
    /// No issuer is without a key.
    is_complete: bool,
}

pub(super) struct Entry {
    /// One for each issuer's spelling of the key: names and permitted algorithms may differ, the material does not.
    spellings: Vec<Key>,
    /// Ascending, without duplicates.
    pub(super) issuers: Vec<usize>,
    /// The ring's clock when the key last verified a token.
    succeeded: AtomicU64,
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
            is_complete: true,
            ..Self::default()
        };
        let mut known: HashMap<[u8; 32], usize> = HashMap::new();
        for (issuer, set) in sets.into_iter().enumerate() {
            ring.is_complete &= set.is_some();
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
                        succeeded: AtomicU64::new(0),
                    }),
                }
            }
        }
        ring
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Has every issuer a key here, so that of a token which none of these verifies nobody is the issuer?
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// The keys to try: those that the `kid` names, then those without a kid; for a token without one, all. Of these, the
    /// ones that fit the algorithm. Keys of `claimed` issuers come first, then those that last succeeded: what is tried in
    /// vain costs time, and the sender's budget.
    pub(super) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        claimed: impl Fn(usize) -> bool,
    ) -> Vec<(&Entry, &Key)> {
        let named = kid
            .map(|kid| self.by_kid.get(kid).map_or(&[][..], Vec::as_slice))
            .unwrap_or_default();
        let is_other = |(place, entry): &(usize, &Entry)| {
            let nameless = || entry.spellings.iter().any(|key| key.kid.is_none());
            kid.is_none() || (nameless() && !named.contains(place))
        };
        let fitting = |entry: &'_ Entry| entry.fitting(algorithm).is_some();
        let order = |entry: &&Entry| {
            let is_claimed = entry.issuers.iter().any(|&issuer| claimed(issuer));
            Reverse((is_claimed, entry.succeeded.load(Ordering::Relaxed)))
        };
        let mut first: Vec<&Entry> = named.iter().filter_map(|&place| self.entries.get(place)).collect();
        let mut others: Vec<&Entry> = self
            .entries
            .iter()
            .enumerate()
            .filter(is_other)
            .map(|(_, entry)| entry)
            .collect();
        for some in [&mut first, &mut others] {
            some.retain(|entry| fitting(entry));
            some.sort_by_key(order);
        }
        first.append(&mut others);
        let fitting = first.into_iter();
        fitting
            .filter_map(|entry| Some((entry, entry.fitting(algorithm)?)))
            .collect()
    }

    /// The key verified a token, after others had been tried in vain.
    pub(super) fn succeeded(&self, entry: &Entry) {
        let tick = self.clock.fetch_add(1, Ordering::Relaxed) + 1;
        entry.succeeded.store(tick, Ordering::Relaxed);
    }

    /// The most keys that a token without a kid may be tried with.
    pub(super) fn most_trials(&self) -> usize {
        let fitting = |algorithm| self.candidates(None, algorithm, |_| false).len();
        Algorithm::ALL.map(fitting).into_iter().max().unwrap_or_default()
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
        let found = ring.candidates(kid, Algorithm::Es256, |_| false);
        found.into_iter().map(|(entry, _)| entry.issuers.clone()).collect()
    }

    #[test]
    fn a_kid_that_names_a_key_means_that_key() {
        let (a, b, c) = (Signer::new(), Signer::new(), Signer::new());
        let first = set(&[(&a, Some("a")), (&b, None)]);
        let third = set(&[(&c, Some("a"))]);
        let ring = Keyring::new(1, [Some(&first), None, Some(&third)]);
        assert_eq!(
            issuers(&ring, Some("a")),
            [[0], [2], [0]],
            "both keys of that name, then b"
        );
        assert_eq!(issuers(&ring, Some("unknown")), [[0]], "only b has no kid");
        assert_eq!(issuers(&ring, None), [[0], [0], [2]]);
        assert_eq!(ring.candidates(Some("a"), Algorithm::Es384, |_| true).len(), 0);
        assert_eq!(ring.candidates(None, Algorithm::Rs256, |_| true).len(), 0);
    }

    #[test]
    fn the_same_key_in_two_sets_is_one_key_of_two_issuers() {
        let (a, b) = (Signer::new(), Signer::new());
        let first = set(&[(&a, Some("a")), (&a, Some("again"))]);
        let second = set(&[(&b, None), (&a, None)]);
        let ring = Keyring::new(1, [Some(&first), Some(&second)]);
        assert_eq!(issuers(&ring, Some("a")), [vec![0, 1], vec![1]]);
        assert_eq!(issuers(&ring, Some("again")), [vec![0, 1], vec![1]]);
        assert_eq!(issuers(&ring, None), [vec![0, 1], vec![1]]);
    }

    #[test]
    fn every_key_is_tried_the_likely_ones_first() {
        let sets: Vec<_> = (0..20).map(|_| set(&[(&Signer::new(), None)])).collect();
        let ring = Keyring::new(1, sets.iter().map(Some));
        let order = |claimed: Option<usize>| -> Vec<usize> {
            let found = ring.candidates(None, Algorithm::Es256, |issuer| Some(issuer) == claimed);
            found.iter().map(|(entry, _)| entry.issuers[0]).collect()
        };
        assert_eq!(order(None), (0..20).collect::<Vec<_>>());
        assert_eq!(ring.most_trials(), 20);
        ring.succeeded(&ring.entries[7]);
        ring.succeeded(&ring.entries[19]);
        assert_eq!(order(None)[..4], [19, 7, 0, 1]);
        assert_eq!(order(Some(5))[..4], [5, 19, 7, 0]);
    }
}
