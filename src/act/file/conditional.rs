//! Conditional requests (RFC 9110 section 13): does the client's knowledge of the file change the answer?
//!
//! Decides between sending, 304 and 412, and whether a `Range` counts. Knows the file by its validators only.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName};

use crate::headers::single;

/// What tells one version of a file from another (RFC 9110 section 8.8).
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// A strong entity tag, quotes included.
    pub(super) etag: String,
    /// In whole seconds, as the header shows it; `None` where the header cannot (before 1970, after 9999).
    pub(super) last_modified: Option<SystemTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send the file; a `Range` counts only where `range_applies`.
    Send {
        range_applies: bool,
    },
    NotModified,
    Failed,
}

/// Evaluates in the order of RFC 9110 section 13.2.2, for GET and HEAD.
pub(super) fn evaluate(headers: &HeaderMap, validators: &Validators, now: SystemTime) -> Verdict {
    let holds = if headers.contains_key(IF_MATCH) {
        any_tag(headers, &IF_MATCH, |tag| tag.matches_strongly(validators))
    } else {
        !date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| validators.modified_after(date))
    };
    if !holds {
        return Verdict::Failed;
    }
    let known = if headers.contains_key(IF_NONE_MATCH) {
        any_tag(headers, &IF_NONE_MATCH, |tag| tag.matches_weakly(validators))
    } else {
        date(headers, &IF_MODIFIED_SINCE)
            .is_some_and(|date| validators.last_modified.is_some() && !validators.modified_after(date))
    };
    if known {
        return Verdict::NotModified;
    }
    Verdict::Send {
        range_applies: !headers.contains_key(IF_RANGE) || if_range_holds(headers, validators, now),
    }
}

/// RFC 9110 section 13.1.5. A mismatch is no error: the client gets the whole file instead of a part of another one.
fn if_range_holds(headers: &HeaderMap, validators: &Validators, now: SystemTime) -> bool {
    if let Some(date) = date(headers, &IF_RANGE) {
        // A file may change twice within the second that its date names; the date is a strong validator only once
        // that second has passed (section 8.8.2.2).
        let strong = now.duration_since(date).is_ok_and(|age| age >= Duration::from_secs(1));
        return strong && validators.last_modified == Some(date);
    }
    let Some(mut tag) = single(headers, &IF_RANGE).map(|tag| Tags(tag.as_bytes())) else {
        return false;
    };
    tag.next().is_some_and(|tag| tag.matches_strongly(validators)) && tag.next().is_none()
}

impl Validators {
    /// `mtime` as shown to clients: whole seconds, and never later than `now` (RFC 9110 section 8.8.2.1).
    pub(super) fn last_modified(mtime_seconds: i64, now: SystemTime) -> Option<SystemTime> {
        /// The first second of the year 10000, which the header has no digits for.
        const END_OF_TIME: u64 = 253_402_300_800;
        let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let seconds = u64::try_from(mtime_seconds).ok()?.min(now);
        (seconds < END_OF_TIME).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// A file without a date counts as modified after any.
    fn modified_after(&self, date: SystemTime) -> bool {
        self.last_modified.is_none_or(|modified| modified > date)
    }
}

/// An entity tag of a request (RFC 9110 section 8.8.3).
struct Tag<'a> {
    weak: bool,
    /// Without the quotes.
    opaque: &'a [u8],
}

impl Tag<'_> {
    fn matches_weakly(&self, validators: &Validators) -> bool {
        self.opaque == validators.etag.trim_matches('"').as_bytes()
    }

    fn matches_strongly(&self, validators: &Validators) -> bool {
        !self.weak && self.matches_weakly(validators)
    }
}

/// Is the field `*` (the file exists, or we would not be here), or does one of its tags match?
fn any_tag(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(&Tag<'_>) -> bool) -> bool {
    headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes())
        .any(|value| value.trim_ascii() == b"*" || Tags(value).any(|tag| matches(&tag)))
}

/// The tags of a list, up to the first thing that is none. A comma inside the quotes belongs to the tag.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let start = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let (_, rest) = self.0.split_at_checked(start)?;
        let (weak, rest) = match rest.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let (opaque, rest) = rest.split_at_checked(rest.iter().position(|&byte| byte == b'"')?)?;
        self.0 = rest.strip_prefix(b"\"")?;
        Some(Tag { weak, opaque })
    }
}

/// A date field; anything but one valid date is as good as absent (RFC 9110 sections 13.1.3 and 13.1.4).
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(single(headers, name)?.as_bytes()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const OLDER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NEWER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const MODIFIED: u64 = 784_111_777;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn validators() -> Validators {
        Validators {
            etag: "\"a,b\"".to_owned(),
            last_modified: Some(at(MODIFIED)),
        }
    }

    fn verdict(fields: &[(&'static str, &str)]) -> Verdict {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        evaluate(&headers, &validators(), at(MODIFIED + 3600))
    }

    const SEND: Verdict = Verdict::Send { range_applies: true };
    const SEND_WHOLE: Verdict = Verdict::Send { range_applies: false };

    #[test]
    fn every_condition_alone() {
        for (name, value, expected) in [
            ("accept", "*/*", SEND),
            ("if-match", "*", SEND),
            ("if-match", "\"a,b\"", SEND),
            ("if-match", "\"x\" , \"a,b\"", SEND),
            ("if-match", "W/\"a,b\"", Verdict::Failed),
            ("if-match", "\"a\"", Verdict::Failed),
            ("if-match", "a,b", Verdict::Failed),
            ("if-match", "", Verdict::Failed),
            ("if-unmodified-since", OLDER, Verdict::Failed),
            ("if-unmodified-since", SAME, SEND),
            ("if-unmodified-since", NEWER, SEND),
            ("if-unmodified-since", "yesterday", SEND),
            ("if-none-match", "*", Verdict::NotModified),
            ("if-none-match", "\"a,b\"", Verdict::NotModified),
            ("if-none-match", "W/\"a,b\"", Verdict::NotModified),
            ("if-none-match", "\"x\",W/\"y\",,\"a,b\"", Verdict::NotModified),
            ("if-none-match", "\"x\"", SEND),
            ("if-none-match", "\"a,b", SEND),
            ("if-none-match", "x \"a,b\"", SEND),
            ("if-modified-since", OLDER, SEND),
            ("if-modified-since", SAME, Verdict::NotModified),
            ("if-modified-since", NEWER, Verdict::NotModified),
            (
                "if-modified-since",
                "Sunday, 06-Nov-94 08:49:37 GMT",
                Verdict::NotModified,
            ),
            ("if-modified-since", "Sun Nov  6 08:49:37 1994", Verdict::NotModified),
            ("if-modified-since", "", SEND),
            ("if-range", "\"a,b\"", SEND),
            ("if-range", "W/\"a,b\"", SEND_WHOLE),
            ("if-range", "\"x\"", SEND_WHOLE),
            ("if-range", "\"a,b\", \"x\"", SEND_WHOLE),
            ("if-range", "*", SEND_WHOLE),
            ("if-range", SAME, SEND),
            ("if-range", OLDER, SEND_WHOLE),
            ("if-range", NEWER, SEND_WHOLE),
        ] {
            assert_eq!(verdict(&[(name, value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn earlier_conditions_win() {
        let cases: &[(&[(&str, &str)], Verdict)] = &[
            (&[("if-match", "\"a,b\""), ("if-unmodified-since", OLDER)], SEND),
            (&[("if-match", "\"x\""), ("if-none-match", "\"a,b\"")], Verdict::Failed),
            (
                &[("if-match", "\"a,b\""), ("if-none-match", "\"a,b\"")],
                Verdict::NotModified,
            ),
            (
                &[("if-unmodified-since", OLDER), ("if-modified-since", NEWER)],
                Verdict::Failed,
            ),
            (&[("if-none-match", "\"x\""), ("if-modified-since", NEWER)], SEND),
            (
                &[("if-none-match", "\"a,b\""), ("if-modified-since", OLDER)],
                Verdict::NotModified,
            ),
            (
                &[("if-none-match", "\"a,b\""), ("if-range", "\"x\"")],
                Verdict::NotModified,
            ),
            (&[("if-none-match", "\"x\""), ("if-range", "\"x\"")], SEND_WHOLE),
            // Several lines of one field: lists add up, dates cancel each other.
            (
                &[("if-none-match", "\"x\""), ("if-none-match", "\"a,b\"")],
                Verdict::NotModified,
            ),
            (&[("if-modified-since", NEWER), ("if-modified-since", NEWER)], SEND),
            (&[("if-range", "\"a,b\""), ("if-range", "\"a,b\"")], SEND_WHOLE),
        ];
        for (fields, expected) in cases {
            assert_eq!(verdict(fields), *expected, "{fields:?}");
        }
    }

    #[test]
    fn a_date_of_this_very_second_is_no_strong_validator() {
        let headers = HeaderMap::from_iter([(IF_RANGE, HeaderValue::from_static(SAME))]);
        let half = at(MODIFIED) + Duration::from_millis(500);
        assert_eq!(evaluate(&headers, &validators(), half), SEND_WHOLE);
        assert_eq!(evaluate(&headers, &validators(), at(MODIFIED + 1)), SEND);
    }

    #[test]
    fn a_file_without_a_presentable_date_is_always_new() {
        let undated = Validators {
            last_modified: None,
            ..validators()
        };
        let with = |name, value| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        assert_eq!(evaluate(&with(IF_MODIFIED_SINCE, NEWER), &undated, at(MODIFIED)), SEND);
        assert_eq!(
            evaluate(&with(IF_UNMODIFIED_SINCE, NEWER), &undated, at(MODIFIED)),
            Verdict::Failed
        );
    }

    #[test]
    fn the_date_shown_is_neither_negative_nor_in_the_future() {
        let now = at(MODIFIED) + Duration::from_millis(900);
        assert_eq!(Validators::last_modified(5, now), Some(at(5)));
        assert_eq!(Validators::last_modified(i64::MAX, now), Some(at(MODIFIED)));
        assert_eq!(Validators::last_modified(-1, now), None);
        assert_eq!(Validators::last_modified(i64::MAX, at(300_000_000_000)), None);
    }

    proptest! {
        #[test]
        fn any_field_value_is_survived(value in "[ -~\\t]{0,40}", field in 0..5usize) {
            let name = [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE][field].clone();
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(&value).unwrap())]);
            evaluate(&headers, &validators(), at(MODIFIED));
        }
    }
}
