//! A route's `functions`: names and patterns of web service functions, groups of them, and who may call what they name.

mod file;
mod known;
mod not_reading;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

pub(super) use self::file::{LARGEST as LARGEST_FUNCTION_FILE, parse as parse_function_file};
pub use self::known::{
    APP_SERVICE, Known as KnownFunction, NotReading, VERSIONS as KNOWN_VERSIONS, WRAPPER, all as known_functions,
    known as known_function, reads,
};
pub(super) use self::known::{is_moodles_own, nearest as nearest_function};
use super::pattern::{NoParams, RolePattern};
use super::section::words;

/// An entry of a route's `functions`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionRule {
    pub names: Vec<FunctionPattern>,
    /// `None`: for everyone whom the route lets in.
    pub roles: Option<Vec<RolePattern>>,
}

/// What a file names, in its order. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionList(Arc<Inner>);

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    all: Vec<FunctionPattern>,
    /// Of these the names in full, and where each stands: a list may have thousands.
    in_full: BTreeMap<Arc<str>, usize>,
    /// Where the others stand.
    others: Vec<usize>,
}

impl FromIterator<FunctionPattern> for FunctionList {
    fn from_iter<I: IntoIterator<Item = FunctionPattern>>(patterns: I) -> Self {
        let all: Vec<_> = patterns.into_iter().collect();
        let (mut in_full, mut others) = (BTreeMap::new(), Vec::new());
        for (index, pattern) in all.iter().enumerate() {
            match pattern.names {
                Names::One => {
                    in_full.entry(Arc::clone(&pattern.text)).or_insert(index);
                }
                Names::Matching(_) | Names::Group(_) | Names::Listed(_) => others.push(index),
            }
        }
        Self(Arc::new(Inner { all, in_full, others }))
    }
}

impl Deref for FunctionList {
    type Target = [FunctionPattern];

    fn deref(&self) -> &[FunctionPattern] {
        &self.0.all
    }
}

impl FunctionList {
    /// The first of those that name a function: in full before any pattern.
    fn find(&self, function: &str) -> Option<&FunctionPattern> {
        let Inner { all, others, .. } = &*self.0;
        let mut others = others.iter().filter_map(|index| all.get(*index));
        self.find_in_full(function)
            .or_else(|| others.find(|pattern| pattern.matches(function)))
    }

    /// The one that names this function in full.
    fn find_in_full(&self, function: &str) -> Option<&FunctionPattern> {
        self.0.all.get(*self.0.in_full.get(function)?)
    }
}

words! {
    /// A group of functions.
    pub enum FunctionGroup {
        /// Those that Moodle declares `read`, less `not_reading`, and the wrapper.
        ReadOnly = "read-only",
        /// All others, also those that are not known, and the wrapper.
        Writing = "writing",
    }
}

impl FunctionGroup {
    pub fn has(self, function: &str) -> bool {
        match self {
            Self::ReadOnly => reads(function).is_ok(),
            Self::Writing => function == WRAPPER || reads(function).is_err(),
        }
    }
}

/// `"core_enrol_*"`: a web service function's name, `*` for any characters; or a group; or a file of all these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionPattern {
    /// As it was written.
    text: Arc<str>,
    names: Names,
    place: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Names {
    One,
    Matching(RolePattern),
    Group(FunctionGroup),
    Listed(FunctionList),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As gateway.toml names it.
    pub file: Arc<str>,
    pub line: usize,
}

impl FunctionPattern {
    /// A name or pattern: lower-case letters, digits, `_` and `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'*');
        let pattern = text
            .bytes()
            .all(sound)
            .then(|| RolePattern::parse(text).ok())
            .flatten()?;
        let names = match text.contains('*') {
            true => Names::Matching(pattern),
            false => Names::One,
        };
        Some(Self::new(text, names))
    }

    /// The same, or a group.
    pub fn word(text: &str) -> Option<Self> {
        let mut groups = FunctionGroup::ALL.iter();
        match groups.find(|group| group.label() == text) {
            Some(group) => Some(Self::new(text, Names::Group(*group))),
            None => Self::parse(text),
        }
    }

    /// A file, as it was written, and what it names.
    pub fn of_file(text: &str, listed: FunctionList) -> Self {
        Self::new(text, Names::Listed(listed))
    }

    fn new(text: &str, names: Names) -> Self {
        Self {
            text: text.into(),
            names,
            place: None,
        }
    }

    /// With the place where it stands.
    pub fn at(self, place: Place) -> Self {
        Self {
            place: Some(place),
            ..self
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub fn group(&self) -> Option<FunctionGroup> {
        match self.names {
            Names::Group(group) => Some(group),
            Names::One | Names::Matching(_) | Names::Listed(_) => None,
        }
    }

    pub fn matches(&self, function: &str) -> bool {
        match &self.names {
            Names::One => *self.text == *function,
            Names::Matching(pattern) => pattern.matches(function, &NoParams),
            Names::Group(group) => group.has(function),
            Names::Listed(list) => list.find(function).is_some(),
        }
    }

    /// This, or what in its file names a function.
    pub fn find(&self, function: &str) -> Option<&Self> {
        match &self.names {
            Names::Listed(list) => list.find(function),
            _ => self.matches(function).then_some(self),
        }
    }

    /// The same where it is named in full.
    pub fn find_in_full(&self, function: &str) -> Option<&Self> {
        match &self.names {
            Names::Listed(list) => list.find_in_full(function),
            Names::One => self.find(function),
            Names::Matching(_) | Names::Group(_) => None,
        }
    }

    /// This, or all in its file.
    pub fn each(&self) -> &[Self] {
        match &self.names {
            Names::Listed(list) => list,
            _ => std::slice::from_ref(self),
        }
    }

    /// Does it name any function that Moodle itself has?
    pub fn names_known(&self) -> bool {
        match &self.names {
            Names::One => known_function(&self.text).is_some(),
            Names::Matching(_) => known_functions().iter().any(|known| self.matches(known.name)),
            Names::Group(_) => true,
            Names::Listed(list) => list.iter().any(Self::names_known),
        }
    }
}

/// With its place: `core_enrol_* (functions.txt:3)`.
impl fmt::Display for FunctionPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)?;
        match &self.place {
            Some(Place { file, line }) => write!(formatter, " ({file}:{line})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> FunctionList {
        words.iter().map(|word| FunctionPattern::word(word).unwrap()).collect()
    }

    #[test]
    fn names_patterns_and_groups() {
        let both = list(&["core_*", "core_webservice_get_site_info", "mod_x", "mod_x"]);
        assert_eq!(
            both.find("core_webservice_get_site_info").unwrap().text(),
            "core_webservice_get_site_info"
        );
        assert_eq!(both.find("core_user_get_users").unwrap().text(), "core_*");
        assert!(both.find("mod_x").is_some() && both.find("mod_y").is_none());
        assert!(both.find_in_full("core_user_get_users").is_none());
        assert_eq!(both.len(), 4);
    }

    #[test]
    fn every_function_is_in_one_group_and_the_wrapper_in_both() {
        let (reading, writing) = (list(&["read-only"]), list(&["writing"]));
        for name in known_functions()
            .iter()
            .map(|known| known.name)
            .chain(["local_x", "core_"])
        {
            let in_both = reading.find(name).is_some() && writing.find(name).is_some();
            let in_any = reading.find(name).is_some() || writing.find(name).is_some();
            assert_eq!((in_any, in_both), (true, name == WRAPPER), "{name}");
        }
        assert!(reading.find("core_webservice_get_site_info").is_some());
        assert!(reading.find("mod_assign_save_submission").is_none());
        assert!(reading.find_in_full("core_webservice_get_site_info").is_none());
    }

    #[test]
    fn a_file_is_what_stands_in_it() {
        let file = FunctionPattern::of_file("@f", list(&["core_x", "mod_*"]));
        assert_eq!(file.find("mod_y").unwrap().text(), "mod_*");
        assert!(file.matches("core_x") && !file.matches("core_y"));
        assert!(file.find_in_full("core_x").is_some() && file.find_in_full("mod_y").is_none());
        assert_eq!(file.each().len(), 2);
        let name = FunctionPattern::parse("core_x").unwrap();
        assert_eq!(
            (name.each(), name.find_in_full("core_x")),
            ([name.clone()].as_slice(), Some(&name))
        );
    }

    #[test]
    fn what_is_no_name() {
        for text in ["", "Core_x", "core x", "read_only ", "readonly-", "@f", "core_{x}"] {
            assert!(FunctionPattern::word(text).is_none(), "{text}");
        }
        assert!(FunctionPattern::parse("read-only").is_none());
    }
}
