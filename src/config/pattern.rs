//! Patterns that only the operator can write: role globs and templates over the path's parameters.
//!
//! What a token or a path brings is always literal here, never a pattern: a role `*` in a token matches only a
//! pattern that would match any role anyway, and an event id `*` is just an odd id.

use std::borrow::Cow;
use std::sync::Arc;

use thiserror::Error;

/// The values of a route's path parameters, by name: `{event}` of the pattern → what the canonical path holds there.
pub trait Params: Sync {
    fn get(&self, name: &str) -> Option<&str>;
}

/// Where no path is: none has a value.
pub struct NoParams;

impl Params for NoParams {
    fn get(&self, _name: &str) -> Option<&str> {
        None
    }
}

/// `"{event}"`, `"course-{course}"` or plain text: literal parts and parameters, no wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
}

/// `"ROLE_STUDIO"`, `"*_Instructor"`, `"{course}_Learner"`: literal parts, parameters and `*` (any characters, also none).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePattern {
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(Arc<str>),
    Param(Arc<str>),
    /// `*`; only in a [`RolePattern`].
    Any,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PatternError {
    #[error("it is empty")]
    Empty,
    #[error("a `{{` without its `}}`")]
    Unclosed,
    #[error("a `}}` without its `{{`")]
    Unopened,
    #[error("a parameter's name is letters, digits and `_`, and does not begin with a digit")]
    BadName,
    #[error("a parameter that is the rest of the path is named without its `*` here")]
    Star,
    #[error("`*` has no meaning here: this is compared, not matched")]
    Wildcard,
}

impl Template {
    /// Reads `"course-{course}"`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let parts = parse(text)?;
        match parts.contains(&Part::Any) {
            true => Err(PatternError::Wildcard),
            false => Ok(Self { parts }),
        }
    }

    /// Is `value` this text, with the parameters put in? Not without all of them. Allocates nothing.
    pub fn matches(&self, value: &str, params: &dyn Params) -> bool {
        strip_start(value, &self.parts, params) == Some("")
    }

    /// The text, with the parameters put in; `None` without all of them. Copies nothing of a single parameter.
    pub fn text<'a>(&'a self, params: &'a dyn Params) -> Option<Cow<'a, str>> {
        match self.parts.as_slice() {
            [one] => text(one, params).map(Cow::Borrowed),
            _ => self.filled(params).map(Cow::Owned),
        }
    }

    /// The text, with the parameters put in; `None` without all of them.
    pub fn filled(&self, params: &dyn Params) -> Option<String> {
        self.parts.iter().map(|part| text(part, params)).collect()
    }

    /// The parameter that it is, and nothing else.
    pub fn only_param(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Param(name)] => Some(name),
            _ => None,
        }
    }

    /// The names of the parameters it needs, in order, repeated ones too.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        params(&self.parts)
    }
}

impl RolePattern {
    /// Reads `"{course}_*"`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        parse(text).map(|parts| Self { parts })
    }

    /// Does it match the whole of `role`? Not without all its parameters. Linear in the length of both, whatever the
    /// role: each piece between two `*` is looked for once, at its leftmost place, and never given back.
    pub fn matches(&self, role: &str, params: &dyn Params) -> bool {
        if self.params().any(|name| params.get(name).is_none()) {
            return false;
        }
        let mut pieces = self.parts.split(|part| *part == Part::Any);
        let Some(first) = pieces.next() else { return false };
        let Some(mut rest) = strip_start(role, first, params) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        for piece in pieces {
            let needle = fill(piece, params);
            let Some((_, after)) = rest.split_once(needle.as_ref()) else {
                return false;
            };
            rest = after;
        }
        strip_end(rest, last, params).is_some()
    }

    /// Does it match every role there is?
    pub fn is_any(&self) -> bool {
        matches!(self.parts.as_slice(), [Part::Any])
    }

    /// The names of the parameters it needs, in order, repeated ones too.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        params(&self.parts)
    }
}

/// Is this a parameter's name? Letters, digits and `_`, not a digit first.
pub(super) fn is_param_name(name: &str) -> bool {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn parse(text: &str) -> Result<Vec<Part>, PatternError> {
    if text.is_empty() {
        return Err(PatternError::Empty);
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.find(['{', '}', '*']) {
        let (literal, special) = rest.split_at(next);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        if let Some(after) = special.strip_prefix('*') {
            if parts.last() != Some(&Part::Any) {
                parts.push(Part::Any);
            }
            rest = after;
            continue;
        }
        let inside = special.strip_prefix('{').ok_or(PatternError::Unopened)?;
        let (name, after) = inside.split_once('}').ok_or(PatternError::Unclosed)?;
        match name.strip_prefix('*') {
            Some(_) => return Err(PatternError::Star),
            None if is_param_name(name) => parts.push(Part::Param(name.into())),
            None => return Err(PatternError::BadName),
        }
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.into()));
    }
    Ok(parts)
}

fn params(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Param(name) => Some(name.as_ref()),
        Part::Literal(_) | Part::Any => None,
    })
}

/// The text that a part stands for; `Any` stands for none.
fn text<'a>(part: &'a Part, params: &'a dyn Params) -> Option<&'a str> {
    match part {
        Part::Literal(literal) => Some(literal),
        Part::Param(name) => params.get(name),
        Part::Any => None,
    }
}

fn strip_start<'a>(value: &'a str, parts: &[Part], params: &dyn Params) -> Option<&'a str> {
    parts
        .iter()
        .try_fold(value, |rest, part| rest.strip_prefix(text(part, params)?))
}

fn strip_end<'a>(value: &'a str, parts: &[Part], params: &dyn Params) -> Option<&'a str> {
    parts
        .iter()
        .rev()
        .try_fold(value, |rest, part| rest.strip_suffix(text(part, params)?))
}

fn fill<'a>(parts: &'a [Part], params: &'a dyn Params) -> Cow<'a, str> {
    match parts {
        [one] => text(one, params).unwrap_or_default().into(),
        _ => parts.iter().filter_map(|part| text(part, params)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    impl Params for HashMap<&str, &str> {
        fn get(&self, name: &str) -> Option<&str> {
            Self::get(self, name).copied()
        }
    }

    fn role(pattern: &str, role: &str) -> bool {
        let params = HashMap::from([("course", "4"), ("glob", "*"), ("brace", "{course}")]);
        RolePattern::parse(pattern).unwrap().matches(role, &params)
    }

    #[test]
    fn role_patterns_match_whole_roles() {
        for (pattern, yes, no) in [
            ("ROLE_STUDIO", "ROLE_STUDIO", "ROLE_STUDIO2"),
            ("*_Instructor", "4_Instructor", "4_Instructors"),
            ("ROLE_*", "ROLE_", "role_x"),
            ("{course}_Learner", "4_Learner", "44_Learner"),
            ("a*b*c", "a-b-b-c", "a-c-b"),
            ("a*{course}_*c", "ax4_yc", "ax4-yc"),
            ("*ab", "aab", "aba"),
            ("a*a", "aa", "a"),
            ("{glob}_Learner", "*_Learner", "4_Learner"),
            ("{brace}", "{course}", "4"),
        ] {
            assert!(role(pattern, yes), "{pattern} {yes}");
            assert!(!role(pattern, no), "{pattern} {no}");
        }
        assert!(role("**", "") && role("*", "ä") && RolePattern::parse("**").unwrap().is_any());
    }

    #[test]
    fn a_missing_parameter_matches_nothing() {
        let none = HashMap::new();
        assert!(!RolePattern::parse("*{absent}*").unwrap().matches("anything", &none));
        assert!(!Template::parse("{absent}").unwrap().matches("", &none));
    }

    #[test]
    fn templates_compare() {
        let params = HashMap::from([("event", "a*"), ("course", "7")]);
        let template = Template::parse("e-{event}/{course}").unwrap();
        assert!(template.matches("e-a*/7", &params));
        assert!(!template.matches("e-ab/7", &params));
        assert!(!template.matches("e-a*/78", &params));
        assert_eq!(template.params().collect::<Vec<_>>(), ["event", "course"]);
    }

    #[test]
    fn what_is_no_pattern() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("{event", PatternError::Unclosed),
            ("event}", PatternError::Unopened),
            ("{}", PatternError::BadName),
            ("{4}", PatternError::BadName),
            ("{{event}}", PatternError::BadName),
            ("{*file}", PatternError::Star),
        ] {
            assert_eq!(Template::parse(text), Err(error.clone()), "{text}");
            assert_eq!(RolePattern::parse(text), Err(error), "{text}");
        }
        assert_eq!(Template::parse("a*"), Err(PatternError::Wildcard));
    }

    /// The obvious matcher, exponential but plainly right, over the parts with parameters already put in.
    fn plainly(parts: &[Part], role: &str, params: &dyn Params) -> bool {
        match parts {
            [] => role.is_empty(),
            [Part::Any, rest @ ..] => role
                .char_indices()
                .map(|(at, _)| at)
                .chain([role.len()])
                .any(|at| plainly(rest, role.split_at(at).1, params)),
            [part, rest @ ..] => role
                .strip_prefix(text(part, params).unwrap())
                .is_some_and(|role| plainly(rest, role, params)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_plain_matcher(pattern in r"([ab_]|\*|\{p\}){1,6}", value in "[ab*]{0,3}", role in "[ab_*]{0,8}") {
            let params = HashMap::from([("p", value.as_str())]);
            let pattern = RolePattern::parse(&pattern).unwrap();
            prop_assert_eq!(pattern.matches(&role, &params), plainly(&pattern.parts, &role, &params));
        }

        #[test]
        fn a_parameters_value_is_never_a_pattern(value in r"[ab*{}]{1,6}", role in r"[ab*{}]{0,8}") {
            let params = HashMap::from([("p", value.as_str()), ("a", "b"), ("b", "a")]);
            let same = role == value;
            prop_assert_eq!(RolePattern::parse("{p}").unwrap().matches(&role, &params), same);
            prop_assert_eq!(Template::parse("{p}").unwrap().matches(&role, &params), same);
            let after = role.strip_suffix(&value).is_some();
            prop_assert_eq!(RolePattern::parse("*{p}").unwrap().matches(&role, &params), after);
        }
    }
}
