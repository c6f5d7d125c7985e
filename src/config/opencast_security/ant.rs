//! Ant's patterns of paths, as Spring Security 3.1 compares them (`AntPathRequestMatcher`, `AntPathMatcher`): `?` is one
//! character, `*` any of a segment, `**` any segments. Letters of either case are the same.

/// A pattern, taken apart once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AntPattern {
    /// As written.
    text: String,
    /// The bytes that every path begins with that it matches.
    prefix: usize,
    segments: Vec<String>,
    has_any_segments: bool,
}

/// A path, taken apart once for many patterns.
pub(super) struct Segments<'a> {
    path: &'a str,
    segments: Vec<&'a str>,
}

impl<'a> Segments<'a> {
    /// Of a path that is decoded and without `;parameters`.
    pub(super) fn of(path: &'a str) -> Self {
        Self {
            path,
            segments: segments(path).collect(),
        }
    }
}

impl AntPattern {
    pub(super) fn new(text: &str) -> Self {
        let wild = text.find(['*', '?']).unwrap_or(text.len());
        let segments: Vec<String> = segments(text).map(str::to_owned).collect();
        Self {
            text: text.to_owned(),
            // `/img/**` matches `/img`: up to the last slash before.
            prefix: text.get(..wild).and_then(|literal| literal.rfind('/')).unwrap_or(0),
            has_any_segments: segments.iter().any(|segment| segment == "**"),
            segments,
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Does it match? In time that grows with the product of the two lengths.
    pub(super) fn matches(&self, path: &Segments<'_>) -> bool {
        let prefix = self.text.as_bytes().get(..self.prefix).unwrap_or_default();
        let begins = path.path.as_bytes().get(..self.prefix);
        if !begins.is_some_and(|begins| begins.eq_ignore_ascii_case(prefix)) {
            return false;
        }
        if self.has_any_segments {
            return glob(
                &self.segments,
                &path.segments,
                |pattern| pattern == "**",
                |pattern, segment| is_like(pattern, segment),
            );
        }
        let ends_alike = path.path.ends_with('/') == self.text.ends_with('/');
        let fits = match self.segments.len().checked_sub(path.segments.len()) {
            Some(0) => ends_alike,
            // `/play/*` matches `/play/`.
            Some(1) => path.path.ends_with('/') && self.segments.last().is_some_and(|last| last == "*"),
            _ => false,
        };
        let mut pairs = self.segments.iter().zip(&path.segments);
        fits && pairs.all(|(pattern, segment)| is_like(pattern, segment))
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// One segment.
fn is_like(pattern: &str, segment: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return pattern.eq_ignore_ascii_case(segment);
    }
    let (pattern, segment): (Vec<char>, Vec<char>) = (pattern.chars().collect(), segment.chars().collect());
    let is_same = |pattern: &char, letter: &char| *pattern == '?' || pattern.eq_ignore_ascii_case(letter);
    glob(&pattern, &segment, |pattern| *pattern == '*', is_same)
}

/// Compares with parts of which some stand for any number of others: the last of those that was met takes one more where the
/// rest does not fit.
fn glob<P, T>(pattern: &[P], text: &[T], is_any: impl Fn(&P) -> bool, is_same: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut last_any = None;
    while let Some(part) = text.get(read) {
        match pattern.get(at) {
            Some(any) if is_any(any) => {
                last_any = Some((at, read));
                at += 1;
            }
            Some(one) if is_same(one, part) => (at, read) = (at + 1, read + 1),
            _ => {
                let Some((any, taken)) = last_any else { return false };
                last_any = Some((any, taken + 1));
                (at, read) = (any + 1, taken + 1);
            }
        }
    }
    pattern.get(at..).is_some_and(|rest| rest.iter().all(is_any))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_springs_do() {
        for (pattern, path, expected) in [
            ("/", "/", true),
            ("/", "/x", false),
            ("/**", "/", true),
            ("/**", "/a/b/", true),
            ("/img/**", "/img", true),
            ("/img/**", "/img/", true),
            ("/img/**", "/img/a/b.png", true),
            ("/img/**", "/imgs/a", false),
            ("/play/*", "/play/", true),
            ("/play/*", "/play", false),
            ("/play/*", "/play/a", true),
            ("/play/*", "/play/a/", false),
            ("/play/*", "/play/a/b", false),
            ("/admin-ui/", "/admin-ui/", true),
            ("/admin-ui/", "/admin-ui", false),
            ("/admin-ui", "/admin-ui/", false),
            ("/docs.*", "/docs.html", true),
            ("/docs.*", "/docs", false),
            ("/services/available.*", "/services/available.json", true),
            ("/transcripts/watson/results*", "/transcripts/watson/results", true),
            (
                "/admin-ng/event/*/asset/media/*.json",
                "/admin-ng/event/e/asset/media/m.json",
                true,
            ),
            (
                "/admin-ng/event/*/asset/media/*.json",
                "/admin-ng/event/e/asset/media/m.jsonp",
                false,
            ),
            ("/a/**/z", "/a/z", true),
            ("/a/**/z", "/a/b/c/z", true),
            ("/a/**/z", "/a/b/c/z/", true),
            ("/a/**/z/**/y", "/a/z/z/y", true),
            ("/a?c", "/abc", true),
            ("/a?c", "/ac", false),
            ("/STUDIO/**", "/studio/Index.HTML", true),
            ("/studio/*.html", "/Studio/INDEX.html", true),
            ("/a*b*c", "/aXbXbXc", true),
            ("/ä*", "/äöü", true),
        ] {
            assert_eq!(
                AntPattern::new(pattern).matches(&Segments::of(path)),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn many_stars_take_no_longer() {
        let pattern = AntPattern::new(&format!("/{}b", "*a".repeat(50)));
        assert!(!pattern.matches(&Segments::of(&format!("/{}", "a".repeat(10_000)))));
        let pattern = AntPattern::new(&"/**/a".repeat(20));
        assert!(!pattern.matches(&Segments::of(&"/a/b".repeat(500))));
    }
}
