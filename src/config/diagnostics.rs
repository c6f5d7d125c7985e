//! What is wrong with a gateway.toml, said the way rustc says it: the text, file:line:column, the line, a remedy.
//!
//! Which problems there are is decided elsewhere; here they are collected and rendered. Messages quote what stands in
//! the file, never what `${NAME}` became.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use strsim::osa_distance;

use crate::text::count;

/// Where something stands in the file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// Probably not what was meant; the gateway starts all the same.
    Warning,
}

/// One problem.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    /// The first is the place of the problem, the others explain it. Empty where there is no text to point at.
    places: Vec<Place>,
    help: Option<String>,
}

#[derive(Debug, Clone)]
struct Place {
    at: Span,
    label: String,
}

impl Diagnostic {
    pub fn severity(&self) -> Severity {
        self.severity
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// An error at a place of the file.
    pub(crate) fn error(at: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Some(at), message)
    }

    /// An error of the file as a whole.
    pub(super) fn error_nowhere(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, None, message)
    }

    /// A warning at a place of the file.
    pub(crate) fn warning(at: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Some(at), message)
    }

    /// The text beside the underlined place.
    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        if let Some(place) = self.places.first_mut() {
            place.label = label.into();
        }
        self
    }

    /// Another place that has to do with it.
    pub(crate) fn also(mut self, at: Span, label: impl Into<String>) -> Self {
        let label = label.into();
        self.places.push(Place { at, label });
        self
    }

    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn new(severity: Severity, at: Option<Span>, message: impl Into<String>) -> Self {
        let place = at.map(|at| Place {
            at,
            label: String::new(),
        });
        Self {
            severity,
            message: message.into(),
            places: place.into_iter().collect(),
            help: None,
        }
    }

    fn position(&self) -> usize {
        self.places.first().map_or(0, |place| place.at.start)
    }
}

/// All problems of one file, with the text that they point into.
#[derive(Clone)]
pub struct Diagnostics {
    path: String,
    source: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// `path` is shown as given.
    pub(super) fn new(path: &Path, source: String, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(Diagnostic::position);
        Self {
            path: path.display().to_string(),
            source,
            list,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// Everything as text for a terminal, with a last line that counts; `colour` adds ANSI sequences.
    /// Empty when there is nothing to say.
    pub fn render(&self, colour: bool) -> String {
        if self.is_empty() {
            return String::new();
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for diagnostic in &self.list {
            text.push_str(&renderer.render(&[self.group(diagnostic)]));
            text.push_str("\n\n");
        }
        text.push_str(&self.summary());
        text.push('\n');
        text
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()));
        if !diagnostic.places.is_empty() {
            let annotations = diagnostic.places.iter().enumerate().map(|(index, place)| {
                let kind = match index {
                    0 => AnnotationKind::Primary,
                    _ => AnnotationKind::Context,
                };
                let annotation = kind.span(self.inside(place.at));
                match place.label.as_str() {
                    "" => annotation,
                    label => annotation.label(label),
                }
            });
            let snippet = Snippet::source(self.source.as_str()).path(self.path.as_str());
            group = group.element(snippet.annotations(annotations));
        }
        match &diagnostic.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }

    /// The span, forced into the text: the renderer would panic outside of it.
    fn inside(&self, at: Span) -> Range<usize> {
        let end = at.end.min(self.source.len());
        let start = at.start.min(end);
        match self.source.get(start..end) {
            Some(_) => start..end,
            None => 0..0,
        }
    }

    /// `gateway.toml: 2 errors`.
    pub fn summary(&self) -> String {
        let counts = [(Severity::Error, "error"), (Severity::Warning, "warning")]
            .map(|(severity, noun)| (self.count(severity), noun))
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, noun)| count(number, noun));
        format!("{}: {}", self.path, counts.collect::<Vec<_>>().join(", "))
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|one| one.severity == severity).count()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

/// So that a failed `unwrap` in a test shows what a person would read.
impl fmt::Debug for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate that was probably meant: at most a third of the letters differ (swapped neighbours count as one).
pub(super) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (osa_distance(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or else what there is to choose from.
pub(super) fn did_you_mean(word: &str, candidates: &[&str], kind: &str) -> String {
    match (closest(word, candidates.iter().copied()), candidates) {
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, []) => format!("there are no {kind} in this file"),
        (None, _) => format!("{kind}: {}", list(candidates)),
    }
}

/// `a`, `b` and `c`, each in backticks.
pub(super) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [init @ .., last] if !init.is_empty() => format!("{} and {last}", init.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closest_does_not_guess_wildly() {
        let keys = ["listen", "tls", "admin"];
        assert_eq!(closest("Listne", keys), Some("listen"));
        assert_eq!(closest("database", keys), None);
    }

    #[test]
    fn a_place_outside_the_text_is_no_panic() {
        let list = vec![
            Diagnostic::error(Span { start: 900, end: 901 }, "far").label("here"),
            Diagnostic::error(Span { start: 1, end: 2 }, "inside a letter"),
        ];
        let text = Diagnostics::new(Path::new("x.toml"), "é".into(), list).render(true);
        assert!(text.contains("far"), "{text}");
        assert!(text.contains("x.toml: 2 errors"), "{text}");
    }
}
