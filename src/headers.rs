//! Header fields: values that may stand once, lists, lengths. Read as bytes, since one odd value says nothing about the
//! others.

pub mod cookies;

use http::header::{AsHeaderName, CONTENT_LENGTH, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Which challenge a client of Opencast's wants: Basic or Digest (its `DelegatingAuthenticationEntryPoint`).
pub const X_REQUESTED_AUTH: HeaderName = HeaderName::from_static("x-requested-auth");

/// A field stands more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Several;

/// The value of a field that may stand once.
pub fn at_most_one(headers: &HeaderMap, name: impl AsHeaderName) -> Result<Option<&HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Several),
    }
}

/// The value of a field that stands exactly once.
pub fn single(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    at_most_one(headers, name).ok().flatten()
}

/// The first value of a field, if it is visible ASCII.
pub fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// The elements of a list over all its lines, without the space around them; empty ones are none (RFC 9110 section 5.6.1.2).
pub fn list(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).into_iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// The length of the body in bytes, if it is announced as a number (RFC 9110 section 8.6).
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

/// Does `Upgrade` name the websocket protocol (RFC 6455) and nothing else?
pub fn names_websocket(headers: &HeaderMap) -> bool {
    single(headers, UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, lines: &[&'static [u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn one_value_is_told_from_none_and_several() {
        let of = |lines: &[&'static [u8]]| headers("x-a", lines);
        assert_eq!(at_most_one(&of(&[]), "x-a"), Ok(None));
        assert_eq!(at_most_one(&of(&[b"1"]), "x-a").unwrap().unwrap(), "1");
        assert_eq!(at_most_one(&of(&[b"1", b"1"]), "x-a"), Err(Several));
        assert_eq!(single(&of(&[b"1"]), "x-a").unwrap(), "1");
        assert_eq!(single(&of(&[b"1", b"2"]), "x-a"), None);
    }

    #[test]
    fn a_list_is_read_over_all_lines() {
        let headers = headers("x-a", &[b" a ,,\xfc,", b"", b"b"]);
        assert!(list(&headers, "x-a").eq([&b"a"[..], b"\xfc", b"b"]));
    }

    #[test]
    fn a_length_is_a_number() {
        let of = |line: &'static [u8]| content_length(&headers("content-length", &[line]));
        assert_eq!(of(b"17"), Some(17));
        for odd in [&b""[..], b"-1", b"1, 1", b"0x1", b"18446744073709551616", b"\xb2"] {
            assert_eq!(of(odd), None);
        }
        assert_eq!(content_length(&HeaderMap::new()), None);
    }
}
