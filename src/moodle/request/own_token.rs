//! Clients that have a token of their own: Moodle's app, a campus management, Opencast's user directory. What they send is
//! Moodle's business; here is told whether a request brings one.

use http::{HeaderMap, header};

use super::endpoint::Endpoint;
use super::params::{Meaning, meaning, meaning_of_text};
use crate::text::starts_in_any_case;

/// Below `wwwroot`: the key that stands behind it is a token (Moodle, tokenpluginfile.php).
const KEY_IN_PATH: &str = "/tokenpluginfile.php/";

/// Does a request bring a token in its address? `below`: its path below `wwwroot`.
pub fn in_address(below: Option<&str>, query: &str) -> bool {
    let in_path = below.and_then(|below| below.strip_prefix(KEY_IN_PATH));
    in_path.is_some_and(|key| !key.is_empty()) || (judges_tokens(below) && in_pairs(query.as_bytes()))
}

/// Is it a place for calls with a token? A key in the path is one.
pub fn is_place(below: Option<&str>) -> bool {
    judges_tokens(below) || below.is_some_and(|below| below.starts_with(KEY_IN_PATH))
}

/// Is it one of the scripts that let nobody in but by a token: those which the gateway calls, and the servers of other
/// protocols? On any other page a parameter of that name says nothing.
fn judges_tokens(below: Option<&str>) -> bool {
    below.is_some_and(|below| Endpoint::of(below).is_ok() || is_server(below))
}

/// `/webservice/<protocol>/server.php`.
fn is_server(below: &str) -> bool {
    let mut segments = below.strip_prefix("/webservice/").unwrap_or_default().splitn(3, '/');
    let protocol = segments.next().unwrap_or_default();
    !protocol.is_empty()
        && protocol.bytes().all(|byte| byte.is_ascii_lowercase())
        && segments.next() == Some("server.php")
}

/// May its body name one? PHP reads parameters from two kinds.
pub fn may_be_in_body(below: Option<&str>, headers: &HeaderMap) -> bool {
    if !judges_tokens(below) {
        return false;
    }
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.is_some_and(|kind| is_form(kind) || is_multipart(kind))
}

/// Does the beginning of its body?
pub fn in_body(headers: &HeaderMap, beginning: &[u8]) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    match kind {
        Some(kind) if is_form(kind) => in_pairs(beginning),
        Some(kind) if is_multipart(kind) => in_parts(beginning),
        _ => false,
    }
}

fn is_form(kind: &[u8]) -> bool {
    starts_in_any_case(kind, b"application/x-www-form-urlencoded")
}

fn is_multipart(kind: &[u8]) -> bool {
    starts_in_any_case(kind, b"multipart/form-data")
}

fn in_pairs(form: &[u8]) -> bool {
    form.split(|byte| *byte == b'&').any(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        meaning(name) == Meaning::Token && halves.next().is_some_and(|value| !value.is_empty())
    })
}

/// The name of a part, quoted or not (RFC 7578 section 4.2).
fn in_parts(body: &[u8]) -> bool {
    const NAME: &[u8] = b"name=";
    let places = body.windows(NAME.len()).enumerate();
    // `filename=` ends the same way.
    let begins = |place: usize| {
        place
            .checked_sub(1)
            .and_then(|before| body.get(before))
            .is_none_or(|byte| !byte.is_ascii_alphanumeric())
    };
    let names = places.filter(|(place, part)| part.eq_ignore_ascii_case(NAME) && begins(*place));
    names
        .filter_map(|(place, _)| body.get(place + NAME.len()..))
        .any(|rest| {
            let (rest, quoted) = match rest.strip_prefix(b"\"") {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            let ends = |byte: &u8| {
                if quoted {
                    *byte == b'"'
                } else {
                    matches!(byte, b';' | b'\r' | b'\n' | b' ')
                }
            };
            let name = rest.iter().position(ends).and_then(|end| rest.get(..end));
            name.is_some_and(|name| meaning_of_text(name) == Meaning::Token)
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(kind: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))])
    }

    const SCRIPTS: [&str; 4] = [
        "/webservice/rest/server.php",
        "/webservice/upload.php",
        "/webservice/pluginfile.php/1/a",
        "/webservice/soap/server.php",
    ];

    #[test]
    fn a_token_is_found_wherever_php_looks_for_one() {
        for query in ["wstoken=a", "x=1&token=a", "a&%20ws%74oken=a", "token[]=a"] {
            for script in SCRIPTS {
                assert!(in_address(Some(script), query), "{script}?{query}");
            }
            for page in [
                "/",
                "/admin/index.php",
                "/webservice/",
                "/webservice/soap/simpleserver.php",
                "/login/token.php",
            ] {
                assert!(!in_address(Some(page), query), "{page}?{query}");
            }
            assert!(!in_address(None, query), "{query}");
            assert!(
                in_body(
                    &of("application/x-www-form-urlencoded; charset=UTF-8"),
                    query.as_bytes()
                ),
                "{query}"
            );
            assert!(!in_body(&of("application/json"), query.as_bytes()), "{query}");
        }
        for query in ["", "wstoken", "wstoken=", "xtoken=a", "a=token"] {
            assert!(!in_address(Some(SCRIPTS[0]), query), "{query}");
        }
        let form = of("application/x-www-form-urlencoded");
        assert!(may_be_in_body(Some(SCRIPTS[0]), &form) && !may_be_in_body(Some("/admin/settings.php"), &form));
        assert!(in_address(Some("/tokenpluginfile.php/0123/1/a"), ""));
        assert!(!in_address(Some("/tokenpluginfile.php/"), "") && !in_address(Some("/pluginfile.php/1"), ""));
    }

    #[test]
    fn a_part_is_known_by_its_name() {
        let kind = of("multipart/form-data; boundary=edge");
        for (name, expected) in [
            ("name=\"token\"", true),
            ("name=token", true),
            ("name=\"wstoken\"; x=y", true),
            ("name=\"file\"; filename=\"token\"", false),
            ("name=\"file\"; filename=\"a.png\"", false),
            ("name=\"tokens\"", false),
            ("name=\"tok", false),
        ] {
            let body = format!("--edge\r\nContent-Disposition: form-data; {name}\r\n\r\nabc\r\n--edge--\r\n");
            assert_eq!(in_body(&kind, body.as_bytes()), expected, "{name}");
        }
    }
}
