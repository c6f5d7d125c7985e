//! `Content-Disposition: attachment` with the file's name, for names in any script (RFC 6266, RFC 8187).

use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::ascii;

/// All but `attr-char` of RFC 8187 section 3.2.1.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// Says that the file is to be saved as `name`. A name that a quoted string cannot carry in every browser is given
/// twice: without the doubtful characters, and exactly.
pub(super) fn attachment(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|char| if is_plain(char) { char } else { '_' })
        .collect();
    if plain == name {
        return ascii(format!("attachment; filename=\"{plain}\""));
    }
    ascii(format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, ENCODED)
    ))
}

/// Quotes and backslashes are escaped in as many ways as there are browsers, and some decode `%` (RFC 6266 appendix D).
fn is_plain(char: char) -> bool {
    matches!(char, ' '..='~') && !matches!(char, '"' | '\\' | '%' | '/')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_are_given_once_and_others_twice() {
        for (name, expected) in [
            ("lecture 1.mp4", r#"attachment; filename="lecture 1.mp4""#),
            ("a;b=c.mp4", r#"attachment; filename="a;b=c.mp4""#),
            (
                "Prüfung.mp4",
                r#"attachment; filename="Pr_fung.mp4"; filename*=UTF-8''Pr%C3%BCfung.mp4"#,
            ),
            (
                "🎓.mp4",
                r#"attachment; filename="_.mp4"; filename*=UTF-8''%F0%9F%8E%93.mp4"#,
            ),
            (
                r#"a"b\c.mp4"#,
                r#"attachment; filename="a_b_c.mp4"; filename*=UTF-8''a%22b%5Cc.mp4"#,
            ),
            (
                "100%25.mp4",
                r#"attachment; filename="100_25.mp4"; filename*=UTF-8''100%2525.mp4"#,
            ),
            (
                "a\r\nSet-Cookie: b",
                r#"attachment; filename="a__Set-Cookie: b"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20b"#,
            ),
        ] {
            assert_eq!(attachment(name), expected);
        }
    }

    proptest! {
        #[test]
        fn any_name_makes_a_whole_header(name: String) {
            let value = attachment(&name);
            let text = value.to_str().unwrap();
            prop_assert!(text.starts_with("attachment; filename=\""));
            prop_assert_eq!(text.matches('"').count(), 2);
            if let Some((_, encoded)) = text.split_once("filename*=UTF-8''") {
                prop_assert_eq!(percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap(), name);
            }
        }
    }
}
