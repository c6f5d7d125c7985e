//! Names and values of an access line, in text or JSON, and their escaping.
//!
//! Writes what it is given; what may be told of a request is decided in `access_log` and `redact`.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::redact;
use crate::text::push_safe;
use crate::time::write_rfc3339;

/// A field's name as it stands before a value: one piece of text each, since a line has two dozen of them. Made by
/// [`name!`].
pub(super) struct Name {
    pub(super) text: &'static str,
    /// With the `-` for what is not known.
    pub(super) unknown: &'static str,
    pub(super) json: &'static str,
}

macro_rules! name {
    ($name:literal) => {
        &$crate::observe::fields::Name {
            text: concat!(" ", $name, "="),
            unknown: concat!(" ", $name, "=-"),
            json: concat!(",\"", $name, "\":"),
        }
    };
}
pub(super) use name;

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
    fn name<T>(&mut self, name: &Name, value: Option<T>) -> Option<T> {
        self.out.push_str(match (self.json, value.is_some()) {
            (true, true) => name.json,
            (true, false) => "",
            (false, true) => name.text,
            (false, false) => name.unknown,
        });
        value
    }

    pub(super) fn number(&mut self, name: &Name, value: Option<impl Into<u64>>) {
        if let Some(value) = self.name(name, value) {
            self.decimal(value.into());
        }
    }

    pub(super) fn milliseconds(&mut self, name: &Name, value: Option<Duration>) {
        if let Some(value) = self.name(name, value) {
            let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
            self.decimal(micros / 1000);
            let digit = |place: u64| b'0' + (micros / place % 10) as u8;
            let places = [b'.', digit(100), digit(10), digit(1)];
            self.out.push_str(std::str::from_utf8(&places).unwrap_or_default());
        }
    }

    pub(super) fn address(&mut self, name: &Name, value: IpAddr) {
        self.name(name, Some(()));
        self.quote();
        match value {
            IpAddr::V4(address) => {
                for (place, octet) in address.octets().into_iter().enumerate() {
                    self.out.push_str(if place == 0 { "" } else { "." });
                    self.decimal(octet.into());
                }
            }
            IpAddr::V6(address) => write!(self.out, "{address}").unwrap_or_default(),
        }
        self.quote();
    }

    /// A word of the gateway's own, that needs no escaping.
    pub(super) fn word(&mut self, name: &Name, value: Option<&str>) {
        if let Some(value) = self.name(name, value) {
            self.quote();
            self.out.push_str(value);
            self.quote();
        }
    }

    /// The formatting machinery would take ten times as long, ten times a line.
    fn decimal(&mut self, value: u64) {
        self.out.push_str(itoa::Buffer::new().format(value));
    }

    /// JSON quotes everything but numbers.
    fn quote(&mut self) {
        self.out.push_str(if self.json { "\"" } else { "" });
    }

    /// A value from outside, in quotes, cut to about `longest` bytes.
    pub(super) fn text(&mut self, name: &Name, value: Option<&str>, longest: usize) {
        if let Some(value) = self.name(name, value) {
            self.out.push('"');
            escape(self.out, value, longest);
            self.out.push('"');
        }
    }

    /// `"source/name"`. A slash in the name stays as it is: sources have none.
    pub(super) fn subject(&mut self, name: &Name, value: Option<(&str, &str)>) {
        if let Some((source, subject)) = self.name(name, value) {
            self.out.push('"');
            escape(self.out, source, 64);
            self.out.push('/');
            escape(self.out, &redact::tokens(subject), 256);
            self.out.push('"');
        }
    }

    /// Words with commas, in quotes.
    pub(super) fn list<'a>(&mut self, name: &Name, words: Option<impl Iterator<Item = &'a str>>) {
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
    // Nearly every text is plain. No byte ends the look early, so that many are compared at a time.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
    if text.len() <= longest && text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        return out.push_str(text);
    }
    for (place, character) in text.char_indices() {
        if place >= longest {
            out.push('…');
            break;
        }
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            character => push_safe(out, character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_unsafe;
    use proptest::prelude::*;

    proptest! {
        /// What is escaped is one JSON string on one line, and reads as it was.
        #[test]
        fn escaped_text_reads_as_it_was(text in any::<String>()) {
            let mut escaped = String::new();
            escape(&mut escaped, &text, usize::MAX);
            prop_assert!(!escaped.contains(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap(), text);
        }
    }

    fn written(write: impl Fn(&mut Fields<'_>)) -> String {
        let mut out = String::new();
        write(&mut Fields {
            out: &mut out,
            json: false,
        });
        out
    }

    #[test]
    fn milliseconds_have_three_places() {
        for (micros, text) in [(1_002_003, " ms=1002.003"), (999, " ms=0.999"), (10, " ms=0.010")] {
            let took = Duration::from_micros(micros);
            assert_eq!(written(|fields| fields.milliseconds(name!("ms"), Some(took))), text);
        }
    }

    proptest! {
        #[test]
        fn numbers_and_addresses_read_as_they_were(number in any::<u64>(), small in 0_u64..200, address in any::<IpAddr>()) {
            for number in [number, small] {
                prop_assert_eq!(written(|fields| fields.number(name!("n"), Some(number))), format!(" n={number}"));
            }
            prop_assert_eq!(written(|fields| fields.address(name!("a"), address)), format!(" a={address}"));
        }
    }
}
