//! The entries of a route's `functions`: files of names are read, and names that no Moodle has are told.

use std::sync::Arc;

use super::Checker;
use super::named::small_text;
use super::server::values;
use crate::config::diagnostics::{Diagnostic, Span, closest};
use crate::config::file::FunctionEntry;
use crate::config::moodle_functions::{
    LARGEST_FUNCTION_FILE, Place, is_moodles_own, nearest_function, parse_function_file,
};
use crate::config::read::At;
use crate::config::value::FunctionWord;
use crate::config::{FunctionGroup, FunctionPattern, FunctionRule, KNOWN_VERSIONS};

/// Problems that are told of one file: a picture, named by mistake, has thousands of lines.
const MOST_TOLD: usize = 10;
/// Names of one entry that are looked for among Moodle's own when they are not there: each look takes milliseconds.
const MOST_LOOKED_FOR: usize = 100;

impl Checker<'_> {
    pub(super) fn functions(&mut self, entry: At<FunctionEntry>) -> Option<FunctionRule> {
        let table = match entry.value {
            FunctionEntry::Name(value) => {
                let names = self.named_functions(vec![At { at: entry.at, value }])?;
                return Some(FunctionRule { names, roles: None });
            }
            FunctionEntry::Table(table) => table,
        };
        let names = self.required(table.names, "names", table.place, "names = [\"core_enrol_*\"]")?;
        self.not_empty(&names, "names", "name at least one function")?;
        let names = self.named_functions(names.value);
        let roles = table.role.checked(|roles| Some(values(roles.value.0)))?;
        Some(FunctionRule { names: names?, roles })
    }

    fn named_functions(&mut self, words: Vec<At<FunctionWord>>) -> Option<Vec<FunctionPattern>> {
        let mut patterns = Vec::new();
        let mut is_complete = true;
        for At { at, value } in words {
            let found = match value {
                FunctionWord::Pattern(pattern) => {
                    let line = self.line(at);
                    let file = Arc::clone(&self.name);
                    Some(pattern.at(Place { file, line }))
                }
                FunctionWord::File(path) => self.functions_of_file(at, path),
            };
            match found {
                Some(found) => {
                    self.unknown_functions(at, found.each());
                    patterns.push(found);
                }
                None => is_complete = false,
            }
        }
        is_complete.then_some(patterns)
    }

    /// The number of the line in which this begins.
    fn line(&self, at: Span) -> usize {
        let before = self.source.get(..at.start).unwrap_or_default();
        1 + before.bytes().filter(|byte| *byte == b'\n').count()
    }

    fn functions_of_file(&mut self, at: Span, path: String) -> Option<FunctionPattern> {
        let absolute = self.existing_file(&At { at, value: path }, "functions")?;
        let name: Arc<str> = self.written(at).trim_start_matches('@').into();
        let text = match small_text(&absolute, LARGEST_FUNCTION_FILE) {
            Ok(text) => text,
            Err(why) => {
                let problem = Diagnostic::error(at, format!("`functions`: {name} {why}"));
                self.report(problem.help("one name or pattern of functions a line; `#` begins a comment"));
                return None;
            }
        };
        let listed = parse_function_file(&text, &name);
        for (line, why) in listed.bad.iter().take(MOST_TOLD) {
            let problem = Diagnostic::error(at, format!("`functions`: {name}:{line}: {why}"));
            self.report(
                problem.help("lower-case letters, digits and `_`; `*` is any characters, `#` begins a comment"),
            );
        }
        if let Some(more) = listed.bad.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
            let message = format!("`functions`: {name}: {more} more such lines");
            self.report(Diagnostic::error(at, message).help("is this the file that is meant?"));
        }
        if listed.names.is_empty() && listed.bad.is_empty() {
            let problem = Diagnostic::warning(at, format!("`functions`: {name} names no function"));
            self.report(problem.help("this entry allows nothing: write one name or pattern a line"));
        }
        let is_good = listed.bad.is_empty();
        is_good.then(|| FunctionPattern::of_file(&format!("@{name}"), listed.names.into_iter().collect()))
    }

    /// Warns of names and patterns that name none of Moodle's own functions. Those of other plugins are not told: nobody here
    /// knows them.
    fn unknown_functions(&mut self, at: Span, patterns: &[FunctionPattern]) {
        let unknown = patterns.iter().filter(|pattern| !pattern.names_known());
        let mut told = 0;
        for pattern in unknown.take(MOST_LOOKED_FOR) {
            let text = pattern.text();
            let groups = FunctionGroup::ALL.iter().map(|group| group.label());
            let meant = closest(text, groups).or_else(|| nearest_function(text));
            if meant.is_none() && !is_moodles_own(text) {
                continue;
            }
            told += 1;
            if told > MOST_TOLD {
                let problem = Diagnostic::warning(at, "`functions`: and more names that Moodle does not have");
                return self.report(problem.help("`janua check` tells what the service has of this route's list"));
            }
            let place = pattern.place().filter(|place| place.file != self.name);
            let place = place
                .map(|place| format!("{}:{}: ", place.file, place.line))
                .unwrap_or_default();
            let message = format!("`functions`: {place}{KNOWN_VERSIONS} have no function of this name");
            let problem = Diagnostic::warning(at, message);
            self.report(match meant {
                Some(meant) => problem.help(format!("did you mean \"{meant}\"?")),
                None => problem.help("a newer Moodle may have it; the names are those of its db/services.php files"),
            });
        }
    }
}
