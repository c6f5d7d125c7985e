//! What the checks of several sections have in common: lists, names, references, keys that must be there.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Checker, every};
use crate::config::diagnostics::{Diagnostic, Span, did_you_mean};
use crate::config::read::{At, Key, missing};

impl Checker<'_> {
    /// The indices of all that are named, each once, at least one.
    pub(super) fn references(
        &mut self,
        named: &At<Vec<At<String>>>,
        (key, kind): (&str, &str),
        known: &[At<String>],
        help: &str,
    ) -> Option<Vec<usize>> {
        self.not_empty(named, key, help)?;
        self.unique(kind, &named.value);
        every(named.value.iter().map(|one| self.reference(one, kind, known)))
    }

    /// A string literal as it stands in the file, without its quotes: what messages may quote.
    pub(super) fn written(&self, at: Span) -> &str {
        let literal = self.source.get(at.start..at.end).unwrap_or_default();
        literal.trim_matches(['"', '\''])
    }

    /// The value of a key that must be there; `header` is the table that lacks it.
    pub(super) fn required<T>(&mut self, key: Key<T>, name: &str, header: Span, example: &str) -> Option<At<T>> {
        match key {
            Key::Given(given) => Some(given),
            Key::Bad => None,
            Key::Absent => {
                self.report(missing(name, header, example));
                None
            }
        }
    }

    /// A list that must not be empty.
    pub(in crate::config) fn not_empty<T>(&mut self, list: &At<Vec<At<T>>>, name: &str, why: &str) -> Option<()> {
        if list.value.is_empty() {
            self.report(Diagnostic::error(list.at, format!("`{name}` is empty")).help(why));
            return None;
        }
        Some(())
    }

    /// Reports whatever is said a second time. `what` completes "this … is there twice".
    pub(super) fn unique<'a, T: Eq + Hash + 'a>(&mut self, what: &str, items: impl IntoIterator<Item = &'a At<T>>) {
        self.unique_by(what, items, |item| item);
    }

    /// The same of what `key` makes of each.
    pub(super) fn unique_by<'a, T: 'a, K: Eq + Hash>(
        &mut self,
        what: &str,
        items: impl IntoIterator<Item = &'a At<T>>,
        key: impl Fn(&'a T) -> K,
    ) {
        let mut seen = HashMap::new();
        for item in items {
            let first = *seen.entry(key(&item.value)).or_insert(item.at);
            if first != item.at {
                let problem = Diagnostic::error(item.at, format!("this {what} is there twice"));
                self.report(problem.label("again here").also(first, "first here"));
            }
        }
    }

    /// A name for logs and metric labels.
    pub(super) fn name(&mut self, name: &At<String>) -> Option<()> {
        const LONGEST: usize = 100;
        let is_good = !name.value.trim().is_empty()
            && name.value.len() <= LONGEST
            && name.value.trim() == name.value
            && !name.value.contains(char::is_control);
        if !is_good {
            let problem = Diagnostic::error(name.at, "this cannot be a name");
            self.report(problem.help(format!(
                "a name has 1 to {LONGEST} bytes, no control characters and no space at its ends: it is a label in \
                 logs and metrics"
            )));
        }
        is_good.then_some(())
    }

    /// What may have been meant. What `${NAME}` became is kept out of it.
    pub(super) fn suggest(&self, written: &str, known: &[At<String>], kind: &str) -> String {
        let is_plain = |name: &&At<String>| !self.written(name.at).contains("${");
        let plain: Vec<&str> = known.iter().filter(is_plain).map(|name| name.value.as_str()).collect();
        match plain.is_empty() && !known.is_empty() {
            true => format!("the {kind} come from the environment here"),
            false => did_you_mean(written, &plain, kind),
        }
    }

    /// The index of what is named.
    pub(super) fn reference(&mut self, name: &At<String>, kind: &str, known: &[At<String>]) -> Option<usize> {
        let found = known.iter().position(|known| known.value == name.value);
        if found.is_none() {
            let written = self.written(name.at).to_owned();
            let help = self.suggest(&written, known, &format!("{kind}s"));
            self.report(Diagnostic::error(name.at, format!("there is no {kind} `{written}`")).help(help));
        }
        found
    }
}
