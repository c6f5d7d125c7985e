//! The cookies of a request (RFC 6265 section 4.2): bytes, one pair at a time. What one pair holds, a byte beyond ASCII or
//! no `=` at all, says nothing about the others.

use http::{HeaderMap, HeaderValue, header};
use percent_encoding::percent_decode;

use crate::text::starts_in_any_case;

/// Cookies whose names begin so are the gateway's own; over plain HTTP on loopback they have no `__` prefix.
const OWN_PREFIXES: [&[u8]; 3] = [b"__host-janua", b"__secure-janua", b"janua-"];
const OWN_NAME: &[u8] = b"janua";

/// Name and value of every pair, over all `Cookie` fields in their order, without the space around them. A pair without
/// `=` has an empty name, as browsers send a cookie that has none.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    raw_pairs(headers).map(|pair| match memchr::memchr(b'=', pair) {
        Some(at) => {
            let (name, value) = pair.split_at(at);
            (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
        }
        None => (&b""[..], pair),
    })
}

/// The values of the cookies with this very name. One that is no UTF-8 is left out; the quotes around another are taken
/// off: some clients add them.
pub fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    pairs(headers)
        .filter(move |(known, _)| *known == name.as_bytes())
        .filter_map(|(_, value)| text(value))
}

/// A value as text, without quotes around it. `None`: it is no UTF-8.
pub fn text(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(inner.unwrap_or(value))
}

/// What makes a browser keep a cookie in a frame of another site, and apart from those in other sites' frames (CHIPS: a
/// partitioned cookie is a `Secure` one).
pub const IN_A_FRAME: &str = "; Secure; SameSite=None; Partitioned";

/// A line of `Set-Cookie` for a cookie that no script reads. `path`: where it is sent; `seconds`: how long it is kept, 0 takes
/// it away; `site`: the attributes that say which sites' pages it comes with, such as [`IN_A_FRAME`].
pub fn set(name: &str, value: &str, path: &str, seconds: u64, site: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!(
        "{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly{site}"
    ))
    .ok()
}

/// The client's cookies without the gateway's own in one field, since HTTP/1.1 servers read only one (RFC 9113 section
/// 8.2.3). `None`: there are no others.
pub fn foreign(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut line = Vec::new();
    for pair in raw_pairs(headers).filter(|pair| !holds_own(pair)) {
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(pair);
    }
    (!line.is_empty())
        .then(|| HeaderValue::from_bytes(&line).ok())
        .flatten()
}

/// Must the `Cookie` of a request be written anew for an upstream: one of the gateway's own is in it, or it came in
/// several fields?
pub fn must_change(headers: &HeaderMap) -> bool {
    headers.get_all(header::COOKIE).iter().nth(1).is_some() || raw_pairs(headers).any(holds_own)
}

/// Is one of the gateway's own in this pair? nginx and readers of RFC 2965 separate cookies by commas, too.
fn holds_own(pair: &[u8]) -> bool {
    pair.split(|byte| *byte == b',').any(is_own)
}

/// Is this `name=value`, of a `Cookie` or at the beginning of a `Set-Cookie`, a cookie of the gateway's to anybody? To a
/// browser, which looks at the prefixes without regard to case, takes off space, and sends a cookie without a name, `=a=b`,
/// back as `a=b`; and to a server that takes quotes, escapes or blanks off the name (PHP does).
pub fn is_own(pair: &[u8]) -> bool {
    let is_odd = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'"';
    let mut names = pair.split(|byte| *byte == b'=' || *byte == b';');
    let name = names.find(|name| !name.iter().all(is_odd)).unwrap_or_default();
    if name.iter().any(|byte| is_odd(byte) || *byte == b'%') {
        let decoded = percent_decode(name).filter(|byte| *byte > b' ' && *byte != b'"');
        return is_own_name(&decoded.collect::<Vec<u8>>());
    }
    is_own_name(name)
}

fn is_own_name(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(OWN_NAME) || OWN_PREFIXES.iter().any(|prefix| starts_in_any_case(name, prefix))
}

fn raw_pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn one_odd_pair_hides_no_other() {
        let headers = headers(&[
            b"x=\xfc; janua=a; =; nothing; y=\"q; janua=b\"; janua=\xff",
            b"janua=\"c\";janua = d",
        ]);
        let values: Vec<_> = values(&headers, "janua").collect();
        assert_eq!(values, ["a", "b\"", "c", "d"]);
        assert_eq!(pairs(&headers).count(), 9);
    }

    #[test]
    fn the_gateways_own_are_known_in_any_spelling() {
        for own in [
            "janua=x",
            " janua =x",
            "janua\t=x",
            "=janua=x",
            "= janua=x",
            "==janua=x",
            "__HOST-janua=x",
            "__hoSt-Janua-login-1=x",
            "=__Secure-janua-watch=x",
            "janua-login-1=x",
            "\"janua\"=x",
            "%6aanua=x",
            "__Host%2Djanua=x",
            "janua",
            "\"\"janua=x",
            "%00janua=x",
            "jan\tua=x",
        ] {
            assert!(is_own(own.as_bytes()), "{own}");
        }
        for theirs in [
            "januar=x",
            "a=janua=x",
            "JSESSIONID=1",
            "not-janua=x",
            "=x",
            "janus=janua",
            "a=__Host-janua",
            "%61=janua",
        ] {
            assert!(!is_own(theirs.as_bytes()), "{theirs}");
        }
    }

    #[test]
    fn upstreams_get_one_field_without_the_gateways_own() {
        let line = |lines: &[&[u8]]| foreign(&headers(lines)).map(|value| value.as_bytes().to_vec());
        assert_eq!(line(&[b"a=1", b"b=2; c=3"]).unwrap(), b"a=1; b=2; c=3");
        assert_eq!(line(&[b"x=\xfc; __Host-janua=s", b"b"]).unwrap(), b"x=\xfc; b");
        assert_eq!(line(&[b"janua=s", b" janua-watch=p;"]), None);
        assert_eq!(line(&[b"a=1, janua=s; b=2,3"]).unwrap(), b"b=2,3");
        assert!(must_change(&headers(&[b"a=1", b"b=2"])));
        assert!(must_change(&headers(&[b"x=\xfc; janua=s"])));
        assert!(!must_change(&headers(&[b"a=1; b=2"])));
        assert!(!must_change(&HeaderMap::new()));
    }
}
