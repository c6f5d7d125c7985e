//! The `path` of a route as it is written: literal segments, `{parameters}`, those with an ending such as `{id}.json`, and a
//! last `{*rest}`.
//!
//! Only patterns that a canonical request path can match are let through. Which of several patterns wins is decided
//! by the route table.

use super::pattern::is_param_name;
use super::read::{FromText, Refusal};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPattern {
    /// As written.
    pub(super) text: String,
    pub(super) segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Param(String),
    /// A parameter, and what the segment ends in: `.json`.
    Ending(String, String),
    Rest(String),
}

impl PathPattern {
    /// The names of its parameters, the rest of the path too.
    pub(super) fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Param(name) | Segment::Ending(name, _) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// How many segments there are up to this parameter, itself included. The rest of the path does not count.
    pub(super) fn depth_of(&self, name: &str) -> Option<usize> {
        let is_it =
            |segment: &Segment| matches!(segment, Segment::Param(param) | Segment::Ending(param, _) if param == name);
        self.segments.iter().position(is_it).map(|index| index + 1)
    }

    /// The parameters before the rest of the path: how many, and which segment the last of them is, counted from 1.
    /// `None` if there is no rest, or nothing before it to tell one thing from another.
    pub(super) fn params_before_rest(&self) -> Option<(usize, usize)> {
        let has_rest = matches!(self.segments.last(), Some(Segment::Rest(_)));
        let is_param = |segment: &Segment| matches!(segment, Segment::Param(_) | Segment::Ending(..));
        let last = self.segments.iter().rposition(is_param).filter(|_| has_rest)?;
        let params = self.segments.iter().filter(|segment| is_param(segment)).count();
        Some((params, last + 1))
    }

    /// The pattern without the names of its parameters: two routes of the same shape match the same paths.
    pub(super) fn shape(&self) -> String {
        let parts = self.segments.iter().map(|segment| match segment {
            Segment::Literal(literal) => format!("/{literal}"),
            Segment::Param(_) => "/{}".to_owned(),
            Segment::Ending(_, ending) => format!("/{{}}{ending}"),
            Segment::Rest(_) => "/{*}".to_owned(),
        });
        parts.collect()
    }

    /// The longest `strip` it could have: the literal segments it begins with, less its last segment. May be empty.
    pub(super) fn longest_strip(&self) -> String {
        let before_last = self.segments.len().saturating_sub(1);
        let literals = self
            .segments
            .iter()
            .take(before_last)
            .map_while(|segment| match segment {
                Segment::Literal(literal) => Some(format!("/{literal}")),
                Segment::Param(_) | Segment::Ending(..) | Segment::Rest(_) => None,
            });
        literals.collect()
    }

    /// Would it shadow what the gateway keeps for itself?
    pub(super) fn is_reserved(&self) -> bool {
        matches!(self.segments.first(), Some(Segment::Literal(first)) if first == "_janua")
    }
}

impl FromText for PathPattern {
    const EXPECTED: &'static str = "a path such as \"/static/{org}/{*file}\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let inside = text
            .strip_prefix('/')
            .ok_or_else(|| Refusal::new("a path begins with `/`"))?;
        if text.len() > MAX_LENGTH {
            return Err(Refusal::new(format!("a path has at most {MAX_LENGTH} bytes")));
        }
        let mut pattern = Self {
            text: text.to_owned(),
            segments: Vec::new(),
        };
        let count = inside.split('/').count();
        for (index, segment) in inside.split('/').enumerate() {
            let is_last = index + 1 == count;
            if segment.is_empty() && !is_last {
                return Err(Refusal::new("`//` never matches: empty segments are merged before").help("write one `/`"));
            }
            let segment = self::segment(segment, is_last)?;
            if let Segment::Param(name) | Segment::Ending(name, _) | Segment::Rest(name) = &segment
                && pattern.params().any(|known| known == name)
            {
                return Err(Refusal::new("two parameters have the same name"));
            }
            pattern.segments.push(segment);
        }
        Ok(pattern)
    }
}

/// As long as a request path may be.
const MAX_LENGTH: usize = 4096;

fn segment(text: &str, is_last: bool) -> Result<Segment, Refusal> {
    if let Some(name) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        let (name, is_rest) = match name.strip_prefix('*') {
            Some(name) => (name, true),
            None => (name, false),
        };
        if !is_param_name(name) {
            return Err(Refusal::new(
                "a parameter's name is letters, digits and `_`, and does not begin with a digit",
            ));
        }
        return match (is_rest, is_last) {
            (true, true) => Ok(Segment::Rest(name.to_owned())),
            (true, false) => Err(Refusal::new("the rest of a path, `{*…}`, can only be its end")),
            (false, _) => Ok(Segment::Param(name.to_owned())),
        };
    }
    let ending = text.strip_prefix('{').and_then(|text| text.split_once('}'));
    if let Some((name, ending)) = ending.filter(|(name, ending)| is_param_name(name) && is_ending(ending)) {
        return Ok(Segment::Ending(name.to_owned(), ending.to_owned()));
    }
    let why = match text {
        "." | ".." => "`.` and `..` never match: such requests are refused before",
        _ if text.contains(['{', '}']) => {
            "a parameter is a whole segment, from `/` to `/`, or all of it before an ending such as `.json`"
        }
        _ if text.contains('*') => "`*` is no wildcard here",
        _ if text.contains(';') => "`;parameters` are never part of what is matched",
        _ if text.contains('%') => "paths are matched percent-decoded",
        _ if text.contains('\\') => "a backslash never matches: such requests are refused before",
        _ if text.contains(['?', '#']) => "a query or fragment is no part of the path",
        _ if text.contains(char::is_control) => "control characters never match: such requests are refused before",
        _ => return Ok(Segment::Literal(text.to_owned())),
    };
    let refusal = Refusal::new(why);
    Err(match text {
        _ if text.contains('*') => refusal.help("the rest of a path is \"{*rest}\""),
        _ if text.contains('%') => refusal.help("write the character itself"),
        _ => refusal,
    })
}

/// `.json`: the kind of a file, which some paths name behind an identifier.
fn is_ending(text: &str) -> bool {
    let kind = text.strip_prefix('.').unwrap_or_default();
    !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        let pattern = PathPattern::from_text("/static/{org}/é x/{*file}").unwrap();
        assert_eq!(pattern.shape(), "/static/{}/é x/{*}");
        assert_eq!(pattern.longest_strip(), "/static");
        assert_eq!(pattern.params().collect::<Vec<_>>(), ["org", "file"]);
        let pattern = PathPattern::from_text("/playlists/{id}.json").unwrap();
        assert_eq!(pattern.shape(), "/playlists/{}.json");
        assert_eq!(
            (pattern.params().collect::<Vec<_>>(), pattern.depth_of("id")),
            (vec!["id"], Some(2))
        );
        assert_eq!(PathPattern::from_text("/").unwrap().shape(), "/");
        assert_eq!(PathPattern::from_text("/studio/").unwrap().shape(), "/studio/");
    }

    #[test]
    fn what_can_never_match_is_refused() {
        for wrong in [
            "",
            "static",
            "//",
            "/a//b",
            "/./a",
            "/a/..",
            "/a;b",
            "/%41",
            "/a\\b",
            "/a\u{7}",
            "/a?b",
            "/a#b",
            "/*",
            "/{*rest}/a",
            "/{a}/{a}",
            "/{}",
            "/{a}mp4",
            "/{a}.",
            "/{a}.{b}",
            "/{a}.m*",
            "/{a}.json.gz",
            "/{*a}.json",
            "/{}.json",
            "/a{b}.json",
            "/{a}.json/{a}",
            "/{4}",
            "/a{",
            "/{{a}}",
            "/{*}",
        ] {
            assert!(PathPattern::from_text(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_the_gateways_own_paths_are_reserved() {
        for (path, reserved) in [
            ("/_janua", true),
            ("/_janua/me", true),
            ("/_januar", false),
            ("/{a}/_janua", false),
        ] {
            assert_eq!(PathPattern::from_text(path).unwrap().is_reserved(), reserved, "{path}");
        }
    }
}
