//! Which bytes a `Range` header asks for (RFC 9110 section 14).
//!
//! Decides between the whole file, some ranges of it, and "not satisfiable". Whether the header counts at all (the
//! method, `If-Range`) is decided before; how several ranges look on the wire, in `multipart`.

/// More ranges than this after merging is no player any more: the header is ignored (RFC 9110 section 14.2).
pub(super) const MAX_RANGES: usize = 16;

/// A piece of a file: never empty, never beyond its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    /// Offset of the first byte.
    pub(super) start: u64,
    /// Offset behind the last byte.
    pub(super) end: u64,
}

impl ByteRange {
    pub(super) fn len(self) -> u64 {
        self.end - self.start
    }

    /// `Content-Range` of a part (RFC 9110 section 14.4): positions are inclusive there.
    pub(super) fn content_range(self, complete: u64) -> String {
        format!("bytes {}-{}/{complete}", self.start, self.end - 1)
    }
}

/// What is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The header is to be ignored: malformed, of another unit, too fragmented.
    Whole,
    /// 1 to [`MAX_RANGES`] ranges, ascending, with a gap between any two.
    Ranges(Vec<ByteRange>),
    NotSatisfiable,
}

/// Reads the value of a `Range` header for a file of `complete` bytes.
pub(super) fn select(header: &[u8], complete: u64) -> Selection {
    let Some(asked) = parse(header) else {
        return Selection::Whole;
    };
    if complete == 0 && asked.iter().any(|spec| matches!(spec, Spec::Last(1..))) {
        // Satisfiable by the letter (section 14.1.2), but no Content-Range can say it; the whole of nothing can.
        return Selection::Whole;
    }
    let ranges = coalesce(asked.into_iter().filter_map(|spec| spec.within(complete)).collect());
    match ranges.len() {
        0 => Selection::NotSatisfiable,
        1..=MAX_RANGES => Selection::Ranges(ranges),
        _ => Selection::Whole,
    }
}

/// One `range-spec` as written (RFC 9110 section 14.1.1).
#[derive(Clone, Copy)]
enum Spec {
    /// `first-last`; without `last`, up to the end.
    From { first: u64, last: Option<u64> },
    /// `-length`: the last `length` bytes.
    Last(u64),
}

impl Spec {
    /// The bytes meant, or `None` where the file has none of them.
    fn within(self, complete: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::From { first, last } => {
                let end = last.map_or(complete, |last| last.saturating_add(1).min(complete));
                (first, end)
            }
            Self::Last(length) => (complete.saturating_sub(length), complete),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

/// `None` for anything that is not a well-formed set of byte ranges. Empty list elements are skipped, as RFC 9110
/// section 5.6.1 asks of recipients.
fn parse(header: &[u8]) -> Option<Vec<Spec>> {
    let (unit, set) = std::str::from_utf8(header).ok()?.split_once('=')?;
    if !unit.trim_matches(OWS).eq_ignore_ascii_case("bytes") {
        return None;
    }
    let elements = set.split(',').map(|element| element.trim_matches(OWS));
    let specs: Vec<_> = elements
        .filter(|element| !element.is_empty())
        .map(parse_spec)
        .collect::<Option<_>>()?;
    (!specs.is_empty()).then_some(specs)
}

const OWS: [char; 2] = [' ', '\t'];

fn parse_spec(text: &str) -> Option<Spec> {
    match text.split_once('-')? {
        ("", length) => Some(Spec::Last(position(length)?)),
        (first, "") => Some(Spec::From {
            first: position(first)?,
            last: None,
        }),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            (first <= last).then_some(Spec::From {
                first,
                last: Some(last),
            })
        }
    }
}

/// `1*DIGIT`. A number too large for 64 bits lies behind the end of any file, and so does the largest one.
fn position(digits: &str) -> Option<u64> {
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    well_formed.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Sorts, and merges what overlaps or touches, so that no byte is ever sent twice (RFC 9110 sections 14.2 and 17.15).
fn coalesce(mut ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<ByteRange> = Vec::with_capacity(ranges.len().min(MAX_RANGES));
    for range in ranges {
        match merged.last_mut() {
            Some(before) if range.start <= before.end => before.end = before.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Selection {
        Selection::Ranges(pairs.iter().map(|&(start, end)| ByteRange { start, end }).collect())
    }

    #[test]
    fn reads_what_players_send() {
        for (header, expected) in [
            ("bytes=0-", ranges(&[(0, 1000)])),
            ("bytes=0-0", ranges(&[(0, 1)])),
            ("bytes=10-19", ranges(&[(10, 20)])),
            ("bytes=990-2000", ranges(&[(990, 1000)])),
            ("bytes=999-", ranges(&[(999, 1000)])),
            ("bytes=-1", ranges(&[(999, 1000)])),
            ("bytes=-5000", ranges(&[(0, 1000)])),
            ("BYTES=5-9", ranges(&[(5, 10)])),
            ("bytes= 0-1 ,\t5-6", ranges(&[(0, 2), (5, 7)])),
            ("bytes=,0-1,,5-6,", ranges(&[(0, 2), (5, 7)])),
            ("bytes=5-6,0-1", ranges(&[(0, 2), (5, 7)])),
            ("bytes=0-5,3-9", ranges(&[(0, 10)])),
            ("bytes=0-4,5-9", ranges(&[(0, 10)])),
            ("bytes=0-4,6-9", ranges(&[(0, 5), (6, 10)])),
            ("bytes=0-9,2000-", ranges(&[(0, 10)])),
            ("bytes=0-99999999999999999999999", ranges(&[(0, 1000)])),
            ("bytes=-99999999999999999999999", ranges(&[(0, 1000)])),
        ] {
            assert_eq!(select(header.as_bytes(), 1000), expected, "{header}");
        }
    }

    #[test]
    fn tells_unsatisfiable_from_malformed() {
        for header in [
            "bytes=1000-",
            "bytes=1000-1001",
            "bytes=-0",
            "bytes=5000-,-0",
            "bytes=18446744073709551615-",
            "bytes=99999999999999999999999-99999999999999999999999",
        ] {
            assert_eq!(select(header.as_bytes(), 1000), Selection::NotSatisfiable, "{header}");
        }
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=9-1",
            "bytes=0-1,9-1",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=1-2-3",
            "bytes=--1",
            "bytes=0x1-2",
            "items=0-1",
            "bytes=0-1;5-6",
            "bytes=\u{661}-",
            "bytes 0-1",
        ] {
            assert_eq!(select(header.as_bytes(), 1000), Selection::Whole, "{header}");
        }
        assert_eq!(select(b"bytes=\xff-1", 1000), Selection::Whole);
    }

    #[test]
    fn an_empty_file_has_no_first_byte() {
        assert_eq!(select(b"bytes=0-", 0), Selection::NotSatisfiable);
        assert_eq!(select(b"bytes=-0", 0), Selection::NotSatisfiable);
        assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
    }

    #[test]
    fn too_many_ranges_are_counted_after_merging() {
        let apart = |count| {
            format!(
                "bytes={}",
                (0..count)
                    .map(|n| format!("{}-{}", n * 4, n * 4 + 1))
                    .collect::<Vec<_>>()
                    .join(",")
            )
        };
        assert!(matches!(select(apart(16).as_bytes(), 1000), Selection::Ranges(list) if list.len() == 16));
        assert_eq!(select(apart(17).as_bytes(), 1000), Selection::Whole);
        let touching = format!(
            "bytes={}",
            (0..500).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",")
        );
        assert_eq!(select(touching.as_bytes(), 1000), ranges(&[(0, 500)]));
    }

    /// Byte by byte, without intervals: which offsets does a set of specs name?
    fn named_offsets(specs: &[(Option<u64>, Option<u64>)], complete: u64) -> Vec<u64> {
        let named = |offset: &u64| {
            specs.iter().any(|spec| match *spec {
                (Some(first), Some(last)) => (first..=last).contains(offset),
                (Some(first), None) => *offset >= first,
                (None, Some(length)) => complete - offset <= length,
                (None, None) => false,
            })
        };
        (0..complete).filter(named).collect()
    }

    fn spec() -> impl Strategy<Value = (Option<u64>, Option<u64>)> {
        prop_oneof![
            (0..60u64, 0..30u64).prop_map(|(first, more)| (Some(first), Some(first + more))),
            (0..60u64).prop_map(|first| (Some(first), None)),
            (0..60u64).prop_map(|length| (None, Some(length))),
        ]
    }

    proptest! {
        #[test]
        fn any_header_yields_ranges_within_the_file(header in "(bytes=)?[-0-9, =a-f]{0,40}", complete: u64) {
            if let Selection::Ranges(list) = select(header.as_bytes(), complete) {
                prop_assert!(!list.is_empty() && list.len() <= MAX_RANGES);
                prop_assert!(list.iter().all(|range| range.start < range.end && range.end <= complete));
                prop_assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }

        #[test]
        fn any_bytes_are_survived(header: Vec<u8>, complete: u64) {
            select(&header, complete);
        }

        #[test]
        fn selects_exactly_the_bytes_named(specs in proptest::collection::vec(spec(), 1..8), complete in 1..60u64) {
            let text = |bound: Option<u64>| bound.map(|n| n.to_string()).unwrap_or_default();
            let set: Vec<_> = specs.iter().map(|&(first, last)| format!("{}-{}", text(first), text(last))).collect();
            let selected: Vec<u64> = match select(format!("bytes={}", set.join(",")).as_bytes(), complete) {
                Selection::Ranges(list) => list.iter().flat_map(|range| range.start..range.end).collect(),
                Selection::NotSatisfiable => Vec::new(),
                Selection::Whole => return Err(TestCaseError::fail("a well-formed header was ignored")),
            };
            prop_assert_eq!(selected, named_offsets(&specs, complete));
        }
    }
}
