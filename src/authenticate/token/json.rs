//! JSON as strictly as a security token needs it: no duplicate members (RFC 7515 section 4, RFC 7519 section 4 allow
//! either; a lenient reader next to a strict one lets two parties see two different tokens). serde_json bounds the
//! nesting, at 127 levels.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::text::without_mark;

/// Parses one JSON text, which must be an object. Size is bounded by the caller. A byte order mark before it is passed over
/// (RFC 8259 section 8.1).
///
/// Errors: syntax, text after the object, a member named twice anywhere, too deep. The message quotes no value.
pub(crate) fn parse_object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    parse(text, Doubled::Refused)
}

/// The same for a list of things that do not depend on each other: an object within it that names a member twice counts
/// as null and spoils nothing else.
pub(super) fn parse_list(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    parse(text, Doubled::Null)
}

fn parse(text: &[u8], doubled: Doubled) -> Result<Map<String, Value>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(without_mark(text));
    let value = doubled.deserialize(&mut deserializer)?;
    deserializer.end()?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(Error::custom(
            "not an object, or one with a member that stands there twice",
        )),
    }
}

/// A member that is set: not null, false, or an empty list or object, which libraries write where a value is not set.
pub(super) fn set<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => true,
    })
}

/// A text. A whole number is taken for its digits: PHP makes one of an identifier that looks like one. Another number is
/// none, since several texts could have become the same.
pub(crate) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// One or several values, as JSON libraries write them: an array; one string, which stands for an array of itself (ILIAS);
/// or an object with whole numbers for names, which is an array with gaps of PHP (after `array_unique` or `array_filter`).
/// `None` for anything else.
pub(crate) fn list(value: &Value) -> Option<Vec<&Value>> {
    match value {
        Value::String(_) => Some(vec![value]),
        Value::Array(many) => Some(many.iter().collect()),
        Value::Object(numbered) => numbered
            .iter()
            .map(|(name, value)| name.parse::<i64>().is_ok().then_some(value))
            .collect(),
        _ => None,
    }
}

/// What an object is in which a member stands twice.
#[derive(Clone, Copy, PartialEq)]
enum Doubled {
    Refused,
    Null,
}

impl<'de> DeserializeSeed<'de> for Doubled {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Doubled {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        let mut is_doubled = false;
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            is_doubled |= members.insert(name, value).is_some();
            if is_doubled && self == Self::Refused {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(match is_doubled {
            true => Value::Null,
            false => Value::Object(members),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn duplicates_are_refused_at_every_level() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":[{"c":1,"c":2}]}}"#,
        ] {
            let error = parse_object(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("twice"), "{text}: {error}");
        }
        assert!(parse_object(br#"{"a":1,"A":2,"b":{"a":3}}"#).is_ok());
    }

    #[test]
    fn in_a_list_a_duplicate_spoils_its_own_object_alone() {
        let read = parse_list(br#"{"a":[{"b":1,"b":{"c":2}},{"d":3}],"e":{"f":1,"f":2}}"#).unwrap();
        assert_eq!(
            Value::Object(read),
            serde_json::json!({ "a": [null, { "d": 3 }], "e": null })
        );
        assert!(parse_list(br#"{"a":1,"a":1}"#).is_err());
    }

    #[test]
    fn numbers_that_could_be_several_texts_are_none() {
        let read = |text: &str| super::text(&serde_json::from_str(text).unwrap());
        assert_eq!(read("42").as_deref(), Some("42"));
        assert_eq!(read("-1").as_deref(), Some("-1"));
        for other in ["18446744073709551616", "1.5", "1e3", "true", "null", "[1]"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(parse_object(nested(126).as_bytes()).is_ok());
        assert!(parse_object(nested(127).as_bytes()).is_err());
        assert!(parse_object("[".repeat(16_000).as_bytes()).is_err());
        assert!(parse_object(r#"{"a":"#.repeat(3_000).as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            &b""[..],
            b"{}x",
            b"{}{}",
            b"{'a':1}",
            b"{\"a\":1,}",
            b"{\"a\":NaN}",
            b"\"\xff\"",
            b"1e999",
        ] {
            assert!(parse_object(text).is_err(), "{}", text.escape_ascii());
        }
        assert!(parse_object(b"[]").is_err());
    }

    proptest! {
        #[test]
        fn accepts_only_what_serde_json_accepts_and_reads_the_same(text in r#"[\[\]{}":,a1e.\\ ]{0,40}"#) {
            let text = format!("{{{text}}}");
            if let Ok(members) = parse_object(text.as_bytes()) {
                prop_assert_eq!(Value::Object(members), serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
