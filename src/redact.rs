//! What may be told of text that came from outside: everything but secrets.
//!
//! The gateway keeps tokens out of the log by not handing them over; this is the second line, for the tokens that
//! stand where nobody expects one: in a path, in a referer, in another program's error text.

use std::borrow::Cow;

const HIDDEN: &str = "***";
/// Beyond this a run of token characters after `eyJ` is taken for a JWT: even a bare header is longer.
const SHORTEST_TOKEN: usize = 16;

/// `text` with everything that looks like a JWT (base64url of `{"…`, so it begins with `eyJ`) hidden.
pub fn tokens(text: &str) -> Cow<'_, str> {
    // One letter is looked for first: that is quick, and nearly always the end of it.
    if !(text.contains('J') && text.contains("eyJ")) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("eyJ") {
        let (before, found) = rest.split_at(start);
        let is_token = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
        let end = found.find(|character| !is_token(character)).unwrap_or(found.len());
        let (run, after) = found.split_at(end);
        kept.push_str(before);
        kept.push_str(if run.len() < SHORTEST_TOKEN { run } else { HIDDEN });
        rest = after;
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// A path as the log may hold it: without a query or fragment, plain or percent-encoded by mistake; JWTs hidden, and
/// segments of 32 hex digits, which is how Moodle writes the key of a user into `tokenpluginfile.php/<key>/…`.
pub fn path(path: &str) -> Cow<'_, str> {
    let path = before_query(path);
    if !path.as_bytes().split(|byte| *byte == b'/').any(is_key) {
        return tokens(path);
    }
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| if is_key(segment.as_bytes()) { HIDDEN } else { segment })
        .collect();
    Cow::Owned(tokens(&segments.join("/")).into_owned())
}

/// A `Referer` as the log may hold it: without user, query and fragment, and then as [`path`].
pub fn referer(referer: &str) -> Cow<'_, str> {
    let referer = before_query(referer);
    let authority = referer.find("://").map_or(0, |scheme| scheme + 3);
    let (scheme, rest) = referer.split_at(authority);
    let host_ends = rest.find('/').unwrap_or(rest.len());
    match rest.get(..host_ends).and_then(|authority| authority.rfind('@')) {
        Some(at) => Cow::Owned(format!("{scheme}{}", path(rest.get(at + 1..).unwrap_or_default()))),
        None => path(referer),
    }
}

/// An address with stars for the user and password before its host. `None`: there are none.
pub fn user_info(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority);
    let (_, host) = authority.rsplit_once('@')?;
    Some(format!("{scheme}://{HIDDEN}@{host}{path}"))
}

/// Names of a query's parameters, at most eight, with commas. Values never; and a name that is no plain short word,
/// or that has no value and so may be one, is told as `*`.
pub fn query_names(query: &str) -> impl Iterator<Item = &str> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .take(8)
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_plain(name) => name,
            _ => "*",
        })
}

fn before_query(text: &str) -> &str {
    // No byte ends the look early, so that many are compared at a time.
    let may_end = |byte: u8| matches!(byte, b'?' | b'#' | b'%');
    if !text.bytes().fold(false, |ends, byte| ends | may_end(byte)) {
        return text;
    }
    let encoded = text
        .as_bytes()
        .windows(3)
        .position(|three| three.eq_ignore_ascii_case(b"%3f"));
    let plain = text.find(['?', '#']);
    // Both stand at a character's first byte.
    let end = encoded.into_iter().chain(plain).min().unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn is_key(segment: &[u8]) -> bool {
    segment.len() == 32 && segment.iter().all(u8::is_ascii_hexdigit)
}

fn is_plain(name: &str) -> bool {
    (1..=24).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl_-";

    #[test]
    fn ordinary_text_is_borrowed_as_it_is() {
        assert!(matches!(
            tokens("Mozilla/5.0 (eye)"),
            Cow::Borrowed("Mozilla/5.0 (eye)")
        ));
        assert!(matches!(path("/static/a b.mp4"), Cow::Borrowed("/static/a b.mp4")));
        assert_eq!(tokens("eyJack and eyJill"), "eyJack and eyJill");
    }

    #[test]
    fn paths_lose_queries_and_keys() {
        assert_eq!(path(&format!("/v.mp4?jwt={TOKEN}")), "/v.mp4");
        assert_eq!(path(&format!("/v.mp4%3Fjwt={TOKEN}")), "/v.mp4");
        assert_eq!(path(&format!("/x/{TOKEN}/v.mp4")), "/x/***/v.mp4");
        assert_eq!(
            path("/tokenpluginfile.php/0123456789abcdef0123456789ABCDEF/1/a"),
            "/tokenpluginfile.php/***/1/a"
        );
        assert_eq!(path("/0123456789abcdef"), "/0123456789abcdef");
    }

    #[test]
    fn referers_lose_users_and_queries() {
        assert_eq!(
            referer("https://a:b@m.example/c@d?wstoken=x#y"),
            "https://m.example/c@d"
        );
        assert_eq!(referer("https://m.example/@x?y"), "https://m.example/@x");
        assert_eq!(referer("https://a@b"), "https://b");
        assert_eq!(referer(""), "");
    }

    #[test]
    fn queries_keep_names_only_and_no_name_that_may_be_a_value() {
        let names: Vec<_> =
            query_names("jwt=a.b.c&t=3&&0123456789abcdef&a%20b=1&0123456789abcdef0123456789abcdef=").collect();
        assert_eq!(names, ["jwt", "t", "*", "*", "*"]);
        assert_eq!(query_names(&"a=1&".repeat(100)).count(), 8);
        assert_eq!(query_names("").count(), 0);
    }

    proptest! {
        #[test]
        fn no_token_survives_wherever_it_stands(before in ".{0,20}", after in "[^A-Za-z0-9._-].{0,20}") {
            let text = format!("{before}{TOKEN}{after}");
            for told in [tokens(&text), path(&text), referer(&text)] {
                prop_assert!(!told.contains("c2lnbmF0dXJl"), "{}", told);
            }
        }
    }
}
