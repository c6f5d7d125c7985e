//! What TOML values become: text, truth, numbers, lists and tables of names.

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::{At, Bounds, FromText, Key, Outside, Read, Reader, Refusal, Shape};
use crate::config::diagnostics::Diagnostic;

/// A key with a default that is not to stand for a bad value.
impl<T: Read> Read for Key<T> {
    const SHAPE: Shape = T::SHAPE;

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        Some(At::read(value, reader).map_or(Self::Bad, Self::Given))
    }

    fn outside(&self, bounds: Bounds) -> Option<Outside> {
        self.value()?.outside(bounds)
    }

    fn schema() -> Value {
        T::schema()
    }
}

impl FromText for String {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        Ok(text.to_owned())
    }
}

impl Read for bool {
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            reader.wrong_type(value, "true or false");
        }
        read
    }

    fn schema() -> Value {
        json!({ "type": "boolean" })
    }
}

/// Whole numbers.
macro_rules! number {
    ($($number:ty),*) => { $(
        impl Read for $number {
            fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
                let DeValue::Integer(number) = value.get_ref() else {
                    reader.wrong_type(value, "a whole number");
                    return None;
                };
                let read = Self::from_str_radix(number.as_str(), number.radix()).ok();
                if read.is_none() {
                    let message = format!("`{}`: this number is out of range", reader.key);
                    reader.report(Diagnostic::error(value.span().into(), message).label("expected 0 or more"));
                }
                read
            }

            fn outside(&self, bounds: Bounds) -> Option<Outside> {
                let bounds = bounds.map(|bound| bound.replace('_', "").parse().ok())?;
                let why = bounds.tell(self, "too small", "too large")?;
                Some(Outside { why, allowed: "allowed:", help: None })
            }

            fn schema() -> Value {
                json!({ "type": "integer", "minimum": 0 })
            }
        }
    )* };
}

number!(u32, u64, usize);

/// With its place.
impl<T: Read> Read for At<T> {
    const SHAPE: Shape = T::SHAPE;

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            value: T::read(value, reader)?,
            at: reader.place(value),
        })
    }

    fn outside(&self, bounds: Bounds) -> Option<Outside> {
        self.value.outside(bounds)
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// All elements, or none when one of them is wrong.
impl<T: Read> Read for Vec<T> {
    const SHAPE: Shape = Shape::List(&T::SHAPE);

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        let array = match value.get_ref() {
            DeValue::Array(array) => array,
            DeValue::Table(_) => {
                let message = format!("`{}`: there can be several of these", reader.key);
                let problem = Diagnostic::error(value.span().into(), message).label("this is a single table");
                reader.report(problem.help("two brackets, [[…]], begin each one; within a line it is [{ … }]"));
                return None;
            }
            _ => {
                reader.wrong_type(value, "a list, such as [\"…\"]");
                return None;
            }
        };
        let mut complete = true;
        let mut items = Self::with_capacity(array.len());
        for item in array.iter() {
            match T::read(item, reader) {
                Some(read) => items.push(read),
                None => complete = false,
            }
        }
        complete.then_some(items)
    }

    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// One value, or a list of them.
#[derive(Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<At<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        if value.get_ref().is_array() {
            return Vec::read(value, reader).map(Self);
        }
        At::read(value, reader).map(|one| Self(vec![one]))
    }

    fn schema() -> Value {
        json!({ "anyOf": [T::schema(), Vec::<At<T>>::schema()] })
    }
}

/// A table whose keys are names of the operator's choice, in the order of the file.
#[derive(Debug)]
pub(in crate::config) struct Named<T>(pub(in crate::config) Vec<(At<String>, T)>);

impl<T: Read> Read for Named<T> {
    const SHAPE: Shape = Shape::Named(&T::SHAPE);

    fn read(value: &Spanned<DeValue<'_>>, reader: &mut Reader<'_>) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            reader.wrong_type(value, "a table of tables");
            return None;
        };
        let mut complete = true;
        let mut named = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = At {
                at: key.span().into(),
                value: key.get_ref().to_string(),
            };
            match reader.named(&name.value, value) {
                Some(read) => named.push((name, read)),
                None => complete = false,
            }
        }
        named.sort_by_key(|(name, _)| name.at.start);
        complete.then_some(Self(named))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}
