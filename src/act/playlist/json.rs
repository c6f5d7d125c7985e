//! Addresses in a JSON answer, as Opencast's `search` names tracks, captions and images: those that lead to media of this
//! gateway get a parameter. Bytes in, bytes out: all else stays as it is.
//!
//! Which addresses those are, and which parameter each gets, is decided by the caller.

use serde::de::IgnoredAny;

use super::reference::place;
use super::{MAX_PLAYLIST, within_bounds};

/// The answer with a parameter in the addresses for which `parameter` has one: strings that are values, and a URL with its
/// scheme or an absolute path. `None`: it goes out as it is, since it is no JSON, too large, or has no such address.
pub fn rewrite(answer: &[u8], parameter: &mut dyn FnMut(&str) -> Option<String>) -> Option<Vec<u8>> {
    if answer.len() > MAX_PLAYLIST {
        return None;
    }
    let text = std::str::from_utf8(answer).ok()?;
    // What follows takes for granted that a quote begins or ends a string.
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(begins) = find(text, at, b'"').map(|quote| quote + 1) {
        let ends = end_of_string(text, begins)?;
        at = ends + 1;
        let written = text.get(begins..ends)?;
        if !is_address(written) || is_key(text, at) {
            continue;
        }
        // Some write `\/`; any other escape means a character that no address has.
        let reference = written.replace("\\/", "/");
        if reference.contains('\\') {
            continue;
        }
        let Some(parameter) = parameter(&reference) else {
            continue;
        };
        let Some((place, between)) = place(written, &parameter) else {
            continue;
        };
        out.push_str(text.get(copied..begins + place)?);
        out.push_str(between);
        out.push_str(&parameter);
        within_bounds(out.len())?;
        copied = begins + place;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..)?);
    Some(out.into_bytes())
}

fn find(text: &str, from: usize, byte: u8) -> Option<usize> {
    let rest = text.as_bytes().get(from..)?;
    memchr::memchr(byte, rest).map(|at| from + at)
}

/// Where the quote is that ends the string.
fn end_of_string(text: &str, begins: usize) -> Option<usize> {
    let mut at = begins;
    loop {
        let next = memchr::memchr2(b'"', b'\\', text.as_bytes().get(at..)?)? + at;
        match text.as_bytes().get(next)? {
            b'"' => return Some(next),
            _ => at = next + 2,
        }
    }
}

/// Does a colon follow (RFC 8259 section 4)?
fn is_key(text: &str, behind: usize) -> bool {
    let rest = text.as_bytes().get(behind..).unwrap_or_default();
    let next = rest.iter().find(|byte| !b" \t\r\n".contains(byte));
    next == Some(&b':')
}

fn is_address(written: &str) -> bool {
    ["/", "\\/", "http:", "https:"]
        .iter()
        .any(|beginning| written.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(text: &str) -> Option<String> {
        let mut pass = |reference: &str| reference.starts_with("/static/").then(|| "watch=p".to_owned());
        let bytes = rewrite(text.as_bytes(), &mut pass)?;
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn addresses_that_are_values_get_it_and_nothing_else() {
        let answer = r#"{"/static/k":1, "url" : "/static/a.mp4","t":"see /static/a","x":["/static/b?q=1#f", "/other/c"],
            "e":"\/static\/d.vtt","u":"/static/\u0061","q":"a\"/static/z","has":"/static/a?watch=x","n":{"$":"/static/e#"}}"#;
        let expected = r#"{"/static/k":1, "url" : "/static/a.mp4?watch=p","t":"see /static/a","x":["/static/b?q=1&watch=p#f", "/other/c"],
            "e":"\/static\/d.vtt?watch=p","u":"/static/\u0061","q":"a\"/static/z","has":"/static/a?watch=x","n":{"$":"/static/e?watch=p#"}}"#;
        assert_eq!(rewritten(answer).as_deref(), Some(expected));
        assert_eq!(rewritten("\"/static/a\"").as_deref(), Some("\"/static/a?watch=p\""));
    }

    #[test]
    fn what_is_no_json_or_has_none_stays() {
        for text in [
            "",
            "{}",
            r#"{"url":"/other/a"}"#,
            r#"{"url":"/static/a""#,
            r#"<a href="/static/a">"#,
            r#"["/static/a"] ["/static/a"]"#,
            r#"{"/static/a":""}"#,
        ] {
            assert_eq!(rewritten(text), None, "{text}");
        }
        assert_eq!(
            rewrite(b"[\"/static/\xff\"]", &mut |_| Some("watch=p".to_owned())),
            None
        );
    }

    proptest! {
        /// Taking the parameter out again leaves what was there.
        #[test]
        fn nothing_but_the_parameter_is_added(strings in prop::collection::vec("(/static/)?[a-z\"\\\\/?#&:=é ]{0,12}", 0..8)) {
            let value = serde_json::json!({ "list": strings, "map": { "/static/x": strings } });
            let text = value.to_string();
            if let Some(text_with) = rewritten(&text) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text_with).is_ok());
                let without = |text: &str| text.replace("watch=p", "").replace(['?', '&'], "");
                prop_assert_eq!(without(&text_with), without(&text));
            }
        }
    }
}
