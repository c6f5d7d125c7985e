//! Parameters of queries and of urlencoded forms (URL standard section 5.1).

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The values of the parameters with this name.
pub fn values<'a>(form: &'a [u8], name: &str) -> impl Iterator<Item = Cow<'a, str>> {
    form_urlencoded::parse(form)
        .filter(move |(known, _)| known == name)
        .map(|(_, value)| value)
}

/// The first value of the parameters with this name.
pub fn first(form: &[u8], name: &str) -> Option<String> {
    values(form, name).next().map(Cow::into_owned)
}

/// The value of a parameter that stands exactly once.
pub fn single<'a>(form: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = values(form, name);
    values.next().filter(|_| values.next().is_none())
}

/// The values of the parameters with this name, as they are written.
pub fn raw_values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    query
        .split('&')
        .filter(move |pair| is_named(pair.as_bytes(), name))
        .filter_map(|pair| Some(pair.split_once('=')?.1))
}

/// Has `name` or `name=value` this name, once it is percent-decoded?
pub fn is_named(pair: &[u8], name: &str) -> bool {
    let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
    percent_decode(pair.get(..end).unwrap_or_default()).eq(name.bytes())
}

/// A name or value as it is meant: `+` is a space, and a `%` without two hexadecimal digits stands for itself.
pub fn decoded(text: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaced).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_by_their_decoded_names() {
        assert!(values(b"a=1&%61=%2B+&b=2&a", "a").eq(["1", "+ ", ""]));
        assert_eq!(single(b"a=1&b=2", "a").as_deref(), Some("1"));
        assert_eq!(single(b"a=1&a=1", "a"), None);
        assert!(raw_values("a=1&%61=%2B&b=2&a&ab=3", "a").eq(["1", "%2B"]));
        assert!(is_named(b"%61=b=c", "a") && is_named(b"a", "a") && !is_named(b"ab=", "a") && !is_named(b"+=", " "));
        assert_eq!(decoded(b"%41+%2b%zz%"), b"A +%zz%");
    }
}
