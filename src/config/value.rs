//! Single values as they are written in gateway.toml: durations, sizes, rates, words, patterns.
//!
//! Only their syntax is decided here; what is too much or too little is decided where it is used.

use std::time::Duration;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostics::closest;
use super::moodle_functions::{FunctionGroup, FunctionPattern};
use super::pattern::{PatternError, RolePattern, Template};
use super::read::{Bounds, FromText, Outside, Read, Reader, Refusal};
use super::section::words;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size(pub(super) u64);

impl Size {
    /// More than fits into memory is as good as what fits.
    pub(super) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// So many per second; more than none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PerSecond(pub(super) f64);

words! {
    /// `state.store`.
    pub(super) enum Store {
        Memory = "memory",
        Embedded = "embedded",
        Valkey = "valkey",
    }
}

words! {
    /// One entry of `routes.permissions`: a device, by its name in a `Permissions-Policy`.
    pub(super) enum Permission {
        Camera = "camera",
        Microphone = "microphone",
        DisplayCapture = "display-capture",
    }
}

/// An element of `functions`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FunctionWord {
    /// A name, a pattern or a group.
    Pattern(FunctionPattern),
    /// `"@functions.txt"`: the path of a file of them.
    File(String),
}

/// `respond.jwks`: a path, or `true` for the gateway's own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeySetFile {
    Own,
    File(String),
}

impl Read for KeySetFile {
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().as_bool() == Some(true) {
            return Some(Self::Own);
        }
        String::read(value, reader).map(Self::File)
    }

    fn schema() -> Value {
        serde_json::json!({ "oneOf": [{ "const": true }, String::schema()] })
    }
}

const UNITS: &[(&str, Duration)] = &[
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(60 * 60)),
    ("d", Duration::from_secs(24 * 60 * 60)),
];

impl FromText for Duration {
    const EXPECTED: &'static str = "a duration such as \"300ms\", \"10s\", \"4h\" or \"1h30m\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let mut total = Self::ZERO;
        let mut smaller_than = Self::MAX;
        let mut rest = text;
        while !rest.is_empty() {
            let (number, after) = leading_number(rest).ok_or_else(|| Refusal::new("a number is missing"))?;
            let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
            let (name, after) = after.split_at(letters);
            let Some((_, unit)) = UNITS.iter().find(|(known, _)| *known == name) else {
                return Err(match name {
                    "" if after.starts_with('.') => Refusal::new("there are no fractions").help("write \"1s500ms\""),
                    "" if after.starts_with(' ') => Refusal::new("there is a space before the unit"),
                    "" => Refusal::new("the unit is missing").help("units: ms, s, m, h, d"),
                    _ => Refusal::new("there is no such unit").help("units: ms, s, m, h, d"),
                });
            };
            if *unit >= smaller_than {
                return Err(Refusal::new("units go from large to small, each one once").help("write \"1h30m\""));
            }
            let amount = u32::try_from(number).ok().and_then(|number| unit.checked_mul(number));
            let sum = amount.and_then(|amount| total.checked_add(amount));
            total = sum.ok_or_else(|| Refusal::new("the number is too large"))?;
            smaller_than = *unit;
            rest = after;
        }
        match text {
            "" => Err(Refusal::new("it is empty")),
            _ => Ok(total),
        }
    }

    fn outside(&self, bounds: Bounds<Self>) -> Option<Outside> {
        Some(Outside {
            why: bounds.tell(self, "too short", "too long")?,
            allowed: "allowed:",
            help: Some(format!("the default is \"{}\"", duration_text(bounds.default))),
        })
    }
}

/// A duration in the largest unit that needs no fraction: the way back, for messages.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    // A day is told as 24h, as everybody says it.
    let units = if millis < 2 * 86_400_000 {
        UNITS.split_last().map_or(UNITS, |(_, init)| init)
    } else {
        UNITS
    };
    let fits = units
        .iter()
        .rev()
        .find(|(_, unit)| millis >= unit.as_millis() && millis.is_multiple_of(unit.as_millis()));
    match fits {
        Some((name, unit)) => format!("{}{name}", millis / unit.as_millis()),
        None => "0s".to_owned(),
    }
}

impl FromText for Size {
    const EXPECTED: &'static str = "a size such as \"64KiB\", \"128MiB\", \"10MB\" or \"0\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let (number, unit) = leading_number(text).ok_or_else(|| Refusal::new("a number is missing"))?;
        let factor: u64 = match unit {
            "B" => 1,
            "" if number == 0 => 1,
            "kB" | "KB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "" => return Err(Refusal::new("the unit is missing").help("units: B, kB, KiB, MB, MiB, GB, GiB")),
            _ => return Err(Refusal::new("there is no such unit").help("units: B, kB, KiB, MB, MiB, GB, GiB")),
        };
        let bytes = number.checked_mul(factor);
        bytes.map(Self).ok_or_else(|| Refusal::new("the number is too large"))
    }

    fn outside(&self, bounds: Bounds<Self>) -> Option<Outside> {
        Some(Outside {
            why: bounds.tell(self, "out of bounds", "out of bounds")?,
            allowed: "allowed: from",
            help: None,
        })
    }
}

impl FromText for PerSecond {
    const EXPECTED: &'static str = "a rate such as \"200/s\" or \"30/m\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let (number, unit) = leading_number(text).ok_or_else(|| Refusal::new("a number is missing"))?;
        let seconds = match unit {
            "/s" => 1.0,
            "/m" => 60.0,
            "/h" => 3600.0,
            "" => return Err(Refusal::new("the unit is missing").help("units: /s, /m, /h")),
            _ => return Err(Refusal::new("there is no such unit").help("units: /s, /m, /h")),
        };
        match u32::try_from(number) {
            Ok(0) => Err(Refusal::new("a rate of none would refuse every request")),
            Ok(number) => Ok(Self(f64::from(number) / seconds)),
            Err(_) => Err(Refusal::new("the number is too large")),
        }
    }
}

/// Decimal digits at the start and what follows; a number beyond `u64` is the largest one.
fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, after) = text.split_at(digits);
    (!number.is_empty()).then(|| (number.parse().unwrap_or(u64::MAX), after))
}

impl FromText for FunctionWord {
    const EXPECTED: &'static str = "a web service function such as \"core_enrol_*\", a group such as \"read-only\", or a file such as \"@functions.txt\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if let Some(path) = text.strip_prefix('@') {
            return Ok(Self::File(path.to_owned()));
        }
        FunctionPattern::word(text).map(Self::Pattern).ok_or_else(|| {
            let refusal = Refusal::new("this cannot be the name of a function");
            match closest(text, FunctionGroup::ALL.iter().map(|group| group.label())) {
                Some(meant) => refusal.help(format!("did you mean \"{meant}\"?")),
                None => refusal.help("lower-case letters, digits and `_`; `*` is any characters"),
            }
        })
    }
}

impl FromText for RolePattern {
    const EXPECTED: &'static str = "a role such as \"ROLE_STUDIO\", \"*_Instructor\" or \"{course}_Learner\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| not_a_pattern(&error))
    }
}

impl FromText for Template {
    const EXPECTED: &'static str = "a text or parameter of the path, such as \"{event}\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Self::parse(text).map_err(|error| not_a_pattern(&error))
    }
}

fn not_a_pattern(error: &PatternError) -> Refusal {
    Refusal::new(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: FromText>(text: &str) -> Result<T, String> {
        T::from_text(text).map_err(|refusal| refusal.why)
    }

    #[test]
    fn durations() {
        let seconds = Duration::from_secs;
        assert_eq!(read("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(read("0s"), Ok(Duration::ZERO));
        assert_eq!(read("1h30m"), Ok(seconds(5400)));
        assert_eq!(read("7d"), Ok(seconds(7 * 86400)));
        for wrong in [
            "",
            "10",
            "s",
            "10 s",
            "1.5s",
            "-1s",
            "10x",
            "1m1h",
            "1s1s",
            "99999999999999999999d",
            "10S",
        ] {
            assert!(read::<Duration>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_told_as_they_are_written() {
        for text in ["300ms", "1500ms", "90s", "10m", "24h", "7d", "0s"] {
            let again = duration_text(read(text).unwrap());
            assert_eq!(read::<Duration>(&again), read::<Duration>(text));
        }
        assert_eq!(duration_text(Duration::from_secs(600)), "10m");
    }

    #[test]
    fn sizes() {
        assert_eq!(read("0"), Ok(Size(0)));
        assert_eq!(read("64KiB"), Ok(Size(65_536)));
        assert_eq!(read("10MB"), Ok(Size(10_000_000)));
        for wrong in ["", "10", "MiB", "1.5MiB", "10mib", "99999999999999GiB", "-1B"] {
            assert!(read::<Size>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(read("200/s"), Ok(PerSecond(200.0)));
        assert_eq!(read("30/m"), Ok(PerSecond(0.5)));
        for wrong in ["", "200", "0/s", "/s", "1/d", "1 /s", "9999999999/s"] {
            assert!(read::<PerSecond>(wrong).is_err(), "{wrong}");
        }
    }
}
