//! What a stand-in remembers under names that nobody can guess: tickets, sessions, tokens. It ends with the demo.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Of each kind. Nobody clicks that often: whoever does begins anew.
const MOST: usize = 1000;

pub(super) struct Kept<V>(Mutex<HashMap<String, V>>);

impl<V: Clone> Kept<V> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Its name: `prefix` and 32 hexadecimal digits.
    pub(super) fn keep(&self, prefix: &str, value: V) -> String {
        let name = format!("{prefix}{:032x}", rand::random::<u128>());
        let mut kept = self.all();
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(name.clone(), value);
        name
    }

    pub(super) fn get(&self, name: &str) -> Option<V> {
        self.all().get(name).cloned()
    }

    /// The same, for once.
    pub(super) fn take(&self, name: &str) -> Option<V> {
        self.all().remove(name)
    }

    /// The name of one of these.
    pub(super) fn name_of(&self, is_wanted: impl Fn(&V) -> bool) -> Option<String> {
        let kept = self.all();
        let found = kept.iter().find(|(_, value)| is_wanted(value));
        found.map(|(name, _)| name.clone())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
