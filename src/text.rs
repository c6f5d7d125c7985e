//! Text as editors and servers leave it, and as it may be shown.

pub mod tls;

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text without the byte order mark that Windows' editors put before UTF-8. A JSON parser may pass over it (RFC 8259
/// section 8.1), and PEM's markers stand at the beginning of a line.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// Does the text begin so, in whatever case?
pub fn starts_in_any_case(text: &[u8], beginning: &[u8]) -> bool {
    text.get(..beginning.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// `1 token`, `2 tokens`
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Could this character steer a terminal, begin a new line of a log, hide, or reorder what stands around it? Control
/// characters, line and paragraph separators, and the invisible marks of bidirectional text (Unicode TR 36 and TR 55).
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// The one way by which text from outside is made fit for a terminal, a line of a log or a page: each [unsafe
/// character](is_unsafe) is written as JSON would (RFC 8259 section 7), `\u001b`. Quotes and HTML are left to the caller.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        push_safe(&mut safe, character);
    }
    Cow::Owned(safe)
}

/// [`safe`], for one character.
pub fn push_safe(out: &mut String, character: char) {
    match character {
        '\n' => out.push_str("\\n"),
        // Writing to a String does not fail. None of them needs more than four digits.
        unsafe_one if is_unsafe(unsafe_one) => write!(out, "\\u{:04x}", u32::from(unsafe_one)).unwrap_or_default(),
        other => out.push(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_or_reorders_is_written_out() {
        let steering = "\0\u{7}\t\r\u{1b}\u{7f}\u{9b}".chars();
        let reordering = "\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\
                          \u{2068}\u{2069}\u{feff}";
        for bad in steering.chain(reordering.chars()) {
            assert_eq!(safe(&format!("a{bad}b")), format!("a\\u{:04x}b", u32::from(bad)));
        }
        assert_eq!(safe("a\nb"), "a\\nb");
        let good = "Münze \"x\" \\ 日本 مرحبا می‌خواهم 👩‍🎓";
        assert!(matches!(safe(good), Cow::Borrowed(kept) if kept == good));
    }
}
