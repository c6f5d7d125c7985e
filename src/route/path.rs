//! The one canonical path: what rules match and what an upstream sees are two spellings of the same thing.
//!
//! A path that could mean one thing here and another behind the gateway is refused, never repaired, with one
//! exception: empty segments (`//`) are merged, since players' playlists and old links contain them. This file does
//! not know routes.

use std::borrow::Cow;

use thiserror::Error;

/// Longest request path in bytes. Tokens travel in the query, so a path has no reason to be longer.
pub const MAX_PATH: usize = 16 << 10;

/// A path in canonical form. The default, which is empty, is of a request that has none: no route has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    encoded: String,
    /// Where it differs from `encoded`: mostly it does not, and nothing is kept twice.
    decoded: Option<String>,
    has_params: bool,
    has_encoded_semicolon: bool,
}

impl Path {
    /// Percent-encoded, normalised as RFC 3986 section 6.2.2 says: this goes upstream.
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// Percent-decoded, `;parameters` removed: this is matched against routes, rules and file names.
    pub fn decoded(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.encoded)
    }

    /// Has any segment `;parameters`? Only a route with `path_params = true` takes such a path.
    pub fn has_params(&self) -> bool {
        self.has_params
    }

    /// Is there a `%3B`? Some servers decode it before they look for parameters.
    pub fn has_encoded_semicolon(&self) -> bool {
        self.has_encoded_semicolon
    }

    /// The canonical form of a request's path (no query), or why there is none.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        if raw.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        if !raw.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if raw.bytes().all(is_plain) && !raw.contains("//") {
            // The way of nearly every request: nothing to decode, nothing to merge. Dots remain to be looked at.
            refuse_dot_segments(raw)?;
            return Ok(Self {
                encoded: raw.to_owned(),
                decoded: None,
                has_params: false,
                has_encoded_semicolon: false,
            });
        }
        Self::parse_slowly(raw)
    }

    fn parse_slowly(raw: &str) -> Result<Self, PathError> {
        let mut encoded = String::with_capacity(raw.len());
        let mut decoded = Vec::with_capacity(raw.len());
        let mut has_params = false;
        let mut has_encoded_semicolon = false;
        let mut in_params = false;
        let mut bytes = raw.bytes();
        while let Some(byte) = bytes.next() {
            let (value, was_encoded) = match byte {
                b'%' => (decode_hex(bytes.next(), bytes.next())?, true),
                _ => (byte, false),
            };
            match value {
                b'/' if was_encoded => return Err(PathError::EncodedSlash),
                b'.' if was_encoded => return Err(PathError::EncodedDot),
                b'\\' => return Err(PathError::Backslash),
                0..=0x1f | 0x7f => return Err(PathError::Control),
                b'?' | b'#' if !was_encoded => return Err(PathError::Delimiter),
                b'/' => {
                    in_params = false;
                    if decoded.last() == Some(&b'/') && encoded.ends_with('/') {
                        continue;
                    }
                }
                // Data, no delimiter (RFC 3986 section 2.2), and it goes on as it came.
                b';' if was_encoded => has_encoded_semicolon = true,
                b';' => {
                    has_params = true;
                    in_params = true;
                }
                _ => {}
            }
            push_encoded(&mut encoded, value, was_encoded);
            if !in_params {
                decoded.push(value);
            }
        }
        let decoded = String::from_utf8(decoded).map_err(|_| PathError::NotUtf8)?;
        refuse_dot_segments(&decoded)?;
        if decoded.contains("//") {
            return Err(PathError::OnlyParams);
        }
        let decoded = (decoded != encoded).then_some(decoded);
        Ok(Self {
            encoded,
            decoded,
            has_params,
            has_encoded_semicolon,
        })
    }

    /// The canonical path with a route's `strip` taken off, encoded and decoded.
    /// `strip` is literal and a whole number of segments, so it has the same length in the two spellings unless the
    /// client encoded letters of it that need no encoding, which the canonical form has undone.
    pub fn stripped(&self, strip: &str) -> (Cow<'_, str>, Cow<'_, str>) {
        (
            below(self.encoded(), &encode_literal(strip)),
            below(self.decoded(), strip),
        )
    }
}

/// Why a path has no canonical form. The text is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("the path is longer than {MAX_PATH} bytes")]
    TooLong,
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    #[error("a segment is `.` or `..`")]
    DotSegment,
    #[error("a segment has parameters but no name")]
    OnlyParams,
    #[error("an encoded slash (%2F)")]
    EncodedSlash,
    #[error("an encoded dot (%2E)")]
    EncodedDot,
    #[error("a backslash")]
    Backslash,
    #[error("a control character")]
    Control,
    #[error("`?` or `#` inside the path")]
    Delimiter,
    #[error("an invalid percent-encoding")]
    Percent,
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
}

fn below<'a>(path: &'a str, prefix: &str) -> Cow<'a, str> {
    match path.strip_prefix(prefix) {
        Some("") => Cow::Borrowed("/"),
        Some(rest) if rest.starts_with('/') => Cow::Borrowed(rest),
        _ => Cow::Borrowed(path),
    }
}

/// Percent-encodes a literal of the configuration the way [`Path::parse`] leaves it.
fn encode_literal(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        push_encoded(&mut encoded, byte, false);
    }
    Cow::Owned(encoded)
}

/// RFC 3986 section 3.3, without `%` and without `;`, which need a closer look.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        )
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// An encoded byte stays encoded unless it is unreserved: `%2B` and `+` may differ for whoever is behind us.
fn push_encoded(encoded: &mut String, value: u8, was_encoded: bool) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    let plain = if was_encoded {
        is_unreserved(value)
    } else {
        is_plain(value) || value == b';'
    };
    if plain {
        encoded.push(char::from(value));
    } else {
        encoded.push('%');
        for nibble in [value >> 4, value & 0xf] {
            encoded.push(HEX.get(usize::from(nibble)).copied().unwrap_or('0'));
        }
    }
}

fn decode_hex(high: Option<u8>, low: Option<u8>) -> Result<u8, PathError> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16))
            .ok_or(PathError::Percent)
    };
    let value = digit(high)? * 16 + digit(low)?;
    u8::try_from(value).map_err(|_| PathError::Percent)
}

/// Segments that name a parent or the same folder, also where only parameters follow: `decoded` has those of `..;x`
/// removed already, and servers that decode first would remove those of `..%3Bx`.
fn refuse_dot_segments(decoded: &str) -> Result<(), PathError> {
    if decoded.contains("/.")
        && decoded
            .split(['/', ';'])
            .any(|segment| segment == "." || segment == "..")
    {
        return Err(PathError::DotSegment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn forms(raw: &str) -> (String, String) {
        let path = Path::parse(raw).unwrap_or_else(|error| panic!("{raw}: {error}"));
        (path.encoded().to_owned(), path.decoded().to_owned())
    }

    #[test]
    fn one_spelling_for_one_path() {
        let cases = [
            ("/", "/", "/"),
            ("/static/org/file.mp4", "/static/org/file.mp4", "/static/org/file.mp4"),
            ("//static///org//", "/static/org/", "/static/org/"),
            ("/%73tatic/%7euser", "/static/~user", "/static/~user"),
            ("/a%20b/%c3%bc", "/a%20b/%C3%BC", "/a b/ü"),
            ("/ü", "/%C3%BC", "/ü"),
            ("/a+b%2Bc", "/a+b%2Bc", "/a+b+c"),
            ("/100%25", "/100%25", "/100%"),
            ("/%2561", "/%2561", "/%61"),
            ("/a..b/...", "/a..b/...", "/a..b/..."),
            ("/a%3Fb", "/a%3Fb", "/a?b"),
            ("/x;v=1/y", "/x;v=1/y", "/x/y"),
            ("/x%3bv/y", "/x%3Bv/y", "/x;v/y"),
            ("/x;a%3Bb/y", "/x;a%3Bb/y", "/x/y"),
        ];
        for (raw, encoded, decoded) in cases {
            assert_eq!(forms(raw), (encoded.to_owned(), decoded.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        let cases = [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("http://host/", PathError::NotAbsolute),
            ("/a/../b", PathError::DotSegment),
            ("/..", PathError::DotSegment),
            ("/./a", PathError::DotSegment),
            ("/a/..;x=1/b", PathError::DotSegment),
            ("/a/.;/b", PathError::DotSegment),
            ("/a/..%3Bx/b", PathError::DotSegment),
            ("/a//../b", PathError::DotSegment),
            ("/a/%2e%2e/b", PathError::EncodedDot),
            ("/a%2Emp4", PathError::EncodedDot),
            ("/a/;x/b", PathError::OnlyParams),
            ("/a%2Fb", PathError::EncodedSlash),
            ("/a%2fb", PathError::EncodedSlash),
            ("/a\\b", PathError::Backslash),
            ("/a%5Cb", PathError::Backslash),
            ("/a%00b", PathError::Control),
            ("/a%0d%0ab", PathError::Control),
            ("/a\u{7f}", PathError::Control),
            ("/a%", PathError::Percent),
            ("/a%2", PathError::Percent),
            ("/a%zz", PathError::Percent),
            ("/a%+1", PathError::Percent),
            ("/%ff", PathError::NotUtf8),
            ("/%c3", PathError::NotUtf8),
            ("/a#b", PathError::Delimiter),
        ];
        for (raw, error) in cases {
            assert_eq!(Path::parse(raw), Err(error), "{raw}");
        }
        assert_eq!(Path::parse(&"/a".repeat(MAX_PATH)), Err(PathError::TooLong));
    }

    #[test]
    fn parameters_are_told() {
        assert!(Path::parse("/a;b/c").unwrap().has_params());
        let encoded = Path::parse("/a%3bb/c").unwrap();
        assert!(!encoded.has_params() && encoded.has_encoded_semicolon());
        assert!(!Path::parse("/a/b").unwrap().has_params());
    }

    #[test]
    fn strip_takes_whole_segments_off_both_spellings() {
        let path = Path::parse("/st%C3%A4tic/a%20b").unwrap();
        assert_eq!(
            path.stripped("/stätic"),
            (Cow::Borrowed("/a%20b"), Cow::Borrowed("/a b"))
        );
        let path = Path::parse("/static").unwrap();
        assert_eq!(path.stripped("/static"), (Cow::Borrowed("/"), Cow::Borrowed("/")));
        assert_eq!(path.stripped(""), (Cow::Borrowed("/static"), Cow::Borrowed("/static")));
        let path = Path::parse("/staticx/a").unwrap();
        assert_eq!(path.stripped("/static").0, "/staticx/a");
    }

    /// What a plain server behind us makes of the encoded path: decode once, split at slashes.
    fn upstream_view(encoded: &str) -> String {
        percent_encoding::percent_decode_str(encoded)
            .decode_utf8()
            .unwrap()
            .into_owned()
    }

    proptest! {
        #[test]
        fn any_text_gives_a_safe_path_or_an_error(raw in "[/.%;a-f0-9\\\\ü~+? ]{0,40}") {
            if let Ok(path) = Path::parse(&format!("/{raw}")) {
                prop_assert!(path.encoded().starts_with('/'));
                prop_assert!(path.encoded().is_ascii());
                prop_assert!(!path.encoded().contains("//"));
                for segment in path.decoded().split('/') {
                    prop_assert!(segment != "." && segment != "..");
                }
                if !path.has_params() {
                    prop_assert_eq!(upstream_view(path.encoded()), path.decoded());
                }
                // Canonical means: once more changes nothing.
                let again = Path::parse(path.encoded());
                prop_assert_eq!(again, Ok(path));
            }
        }

        #[test]
        fn every_name_survives_its_encoding(name in "[^/\\\\;.\\x00-\\x1f\\x7f]{1,20}") {
            let encoded = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC).to_string();
            let path = Path::parse(&format!("/{encoded}")).unwrap();
            prop_assert_eq!(path.decoded(), format!("/{name}"));
        }
    }
}
