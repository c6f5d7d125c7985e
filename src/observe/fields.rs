//! Names and values of an access line, in text or JSON, and their escaping.
//!
//! Writes what it is given; what may be told of a request is decided in `access_log` and `redact`.

use std::fmt::{Display, Write};
use std::time::{Duration, SystemTime};

use super::redact;
use super::timestamp::write_rfc3339;

/// Writes names and values in either format. Both quote text alike: as a JSON string.
pub(super) struct Fields<'a> {
    pub(super) out: &'a mut String,
    pub(super) json: bool,
}

impl Fields<'_> {
    /// The same beginning as that of diagnostic lines, which `tracing` writes.
    pub(super) fn begin(&mut self, time: SystemTime) {
        self.out.push_str(if self.json { "{\"timestamp\":\"" } else { "" });
        // Writing to a String does not fail, here and below.
        write_rfc3339(self.out, time).unwrap_or_default();
        self.out.push_str(if self.json {
            "\",\"level\":\"INFO\",\"target\":\"access\""
        } else {
            "  INFO access:"
        });
    }

    pub(super) fn end(&mut self) {
        self.out.push_str(if self.json { "}\n" } else { "\n" });
    }

    /// Writes the name, and in text `-` for what is not known. Returns what is left to write.
    fn name<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        match (self.json, value.is_some()) {
            (true, true) => {
                self.out.push_str(",\"");
                self.out.push_str(name);
                self.out.push_str("\":");
            }
            (true, false) => {}
            (false, known) => {
                self.out.push(' ');
                self.out.push_str(name);
                self.out.push_str(if known { "=" } else { "=-" });
            }
        }
        value
    }

    pub(super) fn number(&mut self, name: &str, value: Option<impl Into<u64>>) {
        if let Some(value) = self.name(name, value) {
            write!(self.out, "{}", value.into()).unwrap_or_default();
        }
    }

    pub(super) fn milliseconds(&mut self, name: &str, value: Option<Duration>) {
        if let Some(value) = self.name(name, value) {
            write!(self.out, "{}.{:03}", value.as_millis(), value.subsec_micros() % 1000).unwrap_or_default();
        }
    }

    /// A value of the gateway's own, that needs no escaping.
    pub(super) fn raw(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = self.name(name, value) {
            let quote = if self.json { "\"" } else { "" };
            write!(self.out, "{quote}{value}{quote}").unwrap_or_default();
        }
    }

    /// A value from outside, in quotes, cut to about `longest` bytes.
    pub(super) fn text(&mut self, name: &str, value: Option<&str>, longest: usize) {
        if let Some(value) = self.name(name, value) {
            self.out.push('"');
            escape(self.out, value, longest);
            self.out.push('"');
        }
    }

    /// `"source/name"`. A slash in the name stays as it is: sources have none.
    pub(super) fn subject(&mut self, name: &str, value: Option<(&str, &str)>) {
        if let Some((source, subject)) = self.name(name, value) {
            self.out.push('"');
            escape(self.out, source, 64);
            self.out.push('/');
            escape(self.out, &redact::tokens(subject), 256);
            self.out.push('"');
        }
    }

    /// Words with commas, in quotes.
    pub(super) fn list<'a>(&mut self, name: &str, words: Option<impl Iterator<Item = &'a str>>) {
        if let Some(words) = self.name(name, words) {
            self.out.push('"');
            for (place, word) in words.enumerate() {
                self.out.push_str(if place == 0 { "" } else { "," });
                escape(self.out, word, 32);
            }
            self.out.push('"');
        }
    }
}

/// Appends `text` for a place between quotes: JSON's escapes (RFC 8259 section 7), and beyond them everything that
/// could start a new line or turn a terminal's direction.
fn escape(out: &mut String, text: &str, longest: usize) {
    for (place, character) in text.char_indices() {
        if place >= longest {
            out.push('…');
            break;
        }
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            character if is_treacherous(character) => {
                write!(out, "\\u{:04x}", u32::from(character)).unwrap_or_default();
            }
            character => out.push(character),
        }
    }
}

/// Control characters, line and paragraph separators, and the marks that reorder text (Unicode TR 36).
pub(super) fn is_treacherous(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What is escaped is one JSON string on one line, and reads as it was.
        #[test]
        fn escaped_text_reads_as_it_was(text in any::<String>()) {
            let mut escaped = String::new();
            escape(&mut escaped, &text, usize::MAX);
            prop_assert!(!escaped.contains(is_treacherous));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap(), text);
        }
    }

    #[test]
    fn milliseconds_have_three_places() {
        let mut out = String::new();
        Fields {
            out: &mut out,
            json: false,
        }
        .milliseconds("ms", Some(Duration::from_micros(1_002_003)));
        assert_eq!(out, " ms=1002.003");
    }
}
