//! From TOML to typed values with their places, collecting every problem instead of stopping at the first.
//!
//! What a type looks like in the file is said by [`Read`] and [`FromText`]; which tables there are is in `file`, and
//! what values mean together is decided in `compile`.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::diagnostics::{Diagnostic, Span, closest, list};
use super::pattern::is_param_name;
use super::schema;

mod table;
mod types;

pub(super) use self::table::missing;
pub(crate) use self::table::{Bounds, Declared, Outside, Shape, Table};
use self::table::{ELSEWHERE, default};
pub(super) use self::types::Named;
pub(crate) use self::types::OneOrMany;

/// A value and where it stands. The place of a default is that of nothing.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) at: Span,
    pub(crate) value: T,
}

impl<T> At<T> {
    /// Where it was written; `None` for a default.
    pub(super) fn written(&self) -> Option<Span> {
        (self.at != Span::default()).then_some(self.at)
    }
}

/// A key of a section.
#[derive(Debug, Default)]
pub(crate) enum Key<T> {
    #[default]
    Absent,
    /// There, but wrong; that has been said already.
    Bad,
    Given(At<T>),
}

impl<T> Key<T> {
    pub(super) fn into_given(self) -> Option<At<T>> {
        match self {
            Self::Given(given) => Some(given),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(super) fn into_value(self) -> Option<T> {
        self.into_given().map(|given| given.value)
    }

    /// An absent section is one without keys. `None`: a bad one.
    pub(super) fn or_empty(self) -> Option<T>
    where
        T: Read,
    {
        match self {
            Self::Given(given) => Some(given.value),
            Self::Absent => default("", "{}"),
            Self::Bad => None,
        }
    }

    pub(super) fn or_default(self) -> T
    where
        T: Default,
    {
        self.into_value().unwrap_or_default()
    }

    /// What `check` makes of it: `Some(None)` of nothing, and nothing of a bad value.
    pub(super) fn checked<U>(self, check: impl FnOnce(At<T>) -> Option<U>) -> Option<Option<U>> {
        match self {
            Self::Given(given) => check(given).map(Some),
            Self::Absent => Some(None),
            Self::Bad => None,
        }
    }

    pub(crate) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Bad => None,
        }
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.given().map(|given| &given.value)
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Looks up an environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What reading needs to know, and what it found to be wrong.
pub(crate) struct Reader<'a> {
    source: &'a str,
    env: Env<'a>,
    /// The key being read, for messages.
    key: String,
    /// Is it a default, which stands nowhere in the file?
    is_default: bool,
    problems: Vec<Diagnostic>,
}

/// A type that can be read from a TOML value.
pub(crate) trait Read: Sized {
    const SHAPE: Shape = Shape::Value;

    /// `None` after the problem was told to the reader.
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self>;

    /// What to say of a value that is not within the bounds of its key; `None` if it is, or its type has none.
    fn outside(&self, _bounds: Bounds) -> Option<Outside> {
        None
    }

    /// What may be written, as a JSON Schema for editors: never narrower than what [`read`](Self::read) takes.
    fn schema() -> Value;
}

/// A type that is written as one string.
pub(crate) trait FromText: Sized {
    /// Completes "expected …".
    const EXPECTED: &'static str;
    /// All there is to choose from; empty where that is no short list.
    const WORDS: &'static [&'static str] = &[];

    fn from_text(text: &str) -> Result<Self, Refusal>;

    /// As [`Read::outside`].
    fn outside(&self, _bounds: Bounds<Self>) -> Option<Outside> {
        None
    }
}

/// Why a string is not what was expected. Never quotes the string: the line is shown, and it may hold a variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Follows "`key`: ".
    pub(crate) why: String,
    pub(crate) help: Option<String>,
}

impl Refusal {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        let why = why.into();
        Self { why, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What stands after "is not available in this version yet", as help.
pub(crate) type Later = &'static [(&'static str, &'static str)];

/// Reads a whole file into its root section, with all problems of syntax, keys and types.
pub(super) fn read<T: Read>(source: &str, env: Env<'_>) -> (Option<T>, Vec<Diagnostic>) {
    let (table, errors) = DeTable::parse_recoverable(source);
    if !errors.is_empty() {
        return (None, syntax(source, &errors));
    }
    let mut reader = Reader {
        source,
        env,
        key: String::new(),
        is_default: false,
        problems: Vec::new(),
    };
    let root = Spanned::new(0..0, DeValue::Table(table.into_inner()));
    let read = T::read(&root, &mut reader);
    (read, reader.problems)
}

/// One error a line: what the parser says further on in the same line is mostly a consequence. And none after a
/// bracket that seems to be open: from there on it takes everything for elements.
fn syntax(source: &str, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    let mut last_line = None;
    let mut problems = Vec::new();
    for error in errors {
        let at = error.span().map_or(Span { start: 0, end: 0 }, Span::from);
        let before = source.get(..at.start).unwrap_or(source);
        let line = before.bytes().filter(|byte| *byte == b'\n').count();
        if last_line != Some(line) {
            let what = match error.message() {
                // The parser sees an unquoted string of no letters.
                message if message.starts_with("string values must be quoted") && at.start == at.end => "missing value",
                message => message,
            };
            let problem = Diagnostic::error(at, format!("this is not TOML: {what}"));
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let begins_line = before.get(line_start..).is_some_and(|text| text.trim().is_empty());
            if begins_line && error.message().starts_with("missing comma") {
                problems.push(problem.help("or a closing bracket is missing further up"));
                break;
            }
            problems.push(problem);
        }
        last_line = Some(line);
    }
    problems
}

impl<'a> Reader<'a> {
    pub(super) fn report(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = described(value.get_ref());
        let message = format!("`{}`: expected {expected}, found {found}", self.key);
        self.report(Diagnostic::error(value.span().into(), message).label(format!("this is {found}")));
    }

    /// Where a value of the file stands.
    fn place(&self, value: &Spanned<DeValue<'_>>) -> Span {
        match self.is_default {
            true => Span::default(),
            false => value.span().into(),
        }
    }

    /// A table of which the `declared` keys are read, one after the other. Other keys are reported.
    pub(crate) fn table<'r, 't, 'i>(
        &'r mut self,
        value: &'t Spanned<DeValue<'i>>,
        declared: Vec<&'static Declared>,
        later: Later,
    ) -> Option<Table<'r, 'a, 't, 'i>> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, "a table");
            return None;
        };
        let known: Vec<&str> = declared.iter().map(|key| key.name).collect();
        let is_strange = |key: &&Spanned<DeString<'_>>| !known.contains(&key.get_ref().as_ref());
        for key in table.keys().filter(is_strange) {
            let name = key.get_ref().as_ref();
            let at = key.span().into();
            let problem = match later.iter().find(|(later, _)| *later == name) {
                Some((_, instead)) => {
                    Diagnostic::error(at, format!("`{name}` is not available in this version yet")).help(*instead)
                }
                None => {
                    let all = known.iter().chain(later.iter().map(|(name, _)| name)).copied();
                    let help = match closest(name, all) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => match ELSEWHERE.iter().find(|(key, _)| *key == name) {
                            Some((_, help)) => (*help).to_owned(),
                            None => format!("known keys here: {}", list(&known)),
                        },
                    };
                    Diagnostic::error(at, format!("unknown key `{name}`")).help(help)
                }
            };
            self.report(problem);
        }
        Some(Table {
            place: self.place(value),
            has_unknown_keys: table.keys().any(|key| is_strange(&key)),
            reader: self,
            table,
            declared: declared.into_iter(),
        })
    }

    /// A value under its key.
    fn named<T: Read>(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let outer = std::mem::replace(&mut self.key, name.to_owned());
        let read = T::read(value, self);
        self.key = outer;
        read
    }

    /// A string with its `${NAME}`s replaced, and `$${` as `${`.
    fn string(&mut self, value: &Spanned<DeValue<'_>>, expected: &str) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) if text.contains("${") => self.expand(text, value.span().into()),
            DeValue::String(text) => Some(text.to_string()),
            _ => {
                self.wrong_type(value, expected);
                None
            }
        }
    }

    /// Not recursive: what a variable holds is taken as it is.
    fn expand(&mut self, text: &str, at: Span) -> Option<String> {
        let mut expanded = String::with_capacity(text.len());
        let mut complete = true;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                expanded.push_str(before);
                expanded.push_str("${");
                rest = after;
                continue;
            }
            expanded.push_str(before);
            let Some((name, after)) = after.split_once('}').filter(|(name, _)| is_param_name(name)) else {
                let problem = Diagnostic::error(at, format!("`{}`: a `${{` that names no variable", self.key)).help(
                    "write ${NAME}: letters, digits and `_`, not a digit first; or $${ for the two letters themselves",
                );
                self.report(problem);
                return None;
            };
            match (self.env)(name) {
                Some(found) => expanded.push_str(&found),
                None => {
                    let message = format!("`{}`: the environment variable `{name}` is not set", self.key);
                    let place = self.find(&format!("${{{name}}}"), at);
                    self.report(Diagnostic::error(place, message).help("set it where the gateway is started"));
                    complete = false;
                }
            }
            rest = after;
        }
        expanded.push_str(rest);
        complete.then_some(expanded)
    }

    /// The place of `part` inside a string literal, or the whole literal where escapes hide it.
    fn find(&self, part: &str, within: Span) -> Span {
        let literal = self.source.get(within.start..within.end).unwrap_or_default();
        literal.find(part).map_or(within, |offset| {
            let start = within.start + offset;
            let end = start + part.len();
            Span { start, end }
        })
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<T: FromText> Read for T {
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = reader.string(value, T::EXPECTED)?;
        match T::from_text(&text) {
            Ok(read) => Some(read),
            Err(refusal) => {
                let message = format!("`{}`: {}", reader.key, refusal.why);
                let problem =
                    Diagnostic::error(value.span().into(), message).label(format!("expected {}", T::EXPECTED));
                reader.report(match refusal.help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
                None
            }
        }
    }

    fn outside(&self, bounds: Bounds) -> Option<Outside> {
        FromText::outside(self, bounds.map(|bound| T::from_text(bound.trim_matches('"')).ok())?)
    }

    fn schema() -> Value {
        schema::text(T::EXPECTED, T::WORDS)
    }
}
