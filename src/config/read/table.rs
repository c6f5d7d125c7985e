//! Keys as they are declared, and tables as they are read by their declarations.

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::{At, Key, Later, Read, Reader};
use crate::config::diagnostics::{Diagnostic, Span};

/// Keys that people write where they do not belong, and what to do.
pub(super) const ELSEWHERE: Later = &[
    (
        "client_secret",
        "use client_secret_file: a file that holds the secret alone",
    ),
    (
        "people",
        "it belongs one table higher: [sign_in.<name>] or [bearer.<name>]",
    ),
    (
        "issuer",
        "it belongs one table lower: [bearer.<name>.jwks] or [sign_in.<name>.oidc]",
    ),
    (
        "jwks_uri",
        "it belongs one table lower: [bearer.<name>.jwks] or [sign_in.<name>.oidc]",
    ),
    ("types", "it belongs one table lower: [bearer.<name>.jwks]"),
    (
        "endpoint",
        "it belongs one table lower: [bearer.<name>.introspection] or [bearer.<name>.profile]",
    ),
];

/// A key of a table, as [`section`](crate::config::section::section) declares it.
pub(crate) struct Declared {
    pub(crate) name: &'static str,
    /// Its doc comment.
    pub(crate) doc: &'static str,
    /// As it would be written.
    pub(crate) default: Option<&'static str>,
    /// The least and the most, as they would be written.
    pub(crate) bounds: Option<[&'static str; 2]>,
    /// It must be there: what to add where it is missing.
    pub(crate) example: Option<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) schema: fn() -> Value,
}

/// Where there are tables with fixed keys in a type.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Value,
    Table(&'static [Declared]),
    List(&'static Self),
    /// A table whose keys are names.
    Named(&'static Self),
}

/// The bounds of a key, both included, and its default; as they are declared.
pub(crate) struct Bounds<T = &'static str> {
    pub(in crate::config) least: T,
    pub(in crate::config) most: T,
    pub(in crate::config) default: T,
}

impl<T> Bounds<T> {
    pub(super) fn map<U>(self, read: impl Fn(T) -> Option<U>) -> Option<Bounds<U>> {
        Some(Bounds {
            least: read(self.least)?,
            most: read(self.most)?,
            default: read(self.default)?,
        })
    }

    /// `below` or `above`, if the value is.
    pub(in crate::config) fn tell<W>(&self, value: &T, below: W, above: W) -> Option<W>
    where
        T: PartialOrd,
    {
        let above = (*value > self.most).then_some(above);
        if *value < self.least { Some(below) } else { above }
    }
}

/// How a value is not within its bounds.
pub(crate) struct Outside {
    /// Completes "`key` is …".
    pub(in crate::config) why: &'static str,
    /// Stands before the bounds.
    pub(in crate::config) allowed: &'static str,
    pub(in crate::config) help: Option<String>,
}

/// A table that is being read, key after key in the order of their declaration.
pub(crate) struct Table<'r, 'a, 't, 'i> {
    pub(crate) place: Span,
    pub(crate) has_unknown_keys: bool,
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) table: &'t DeTable<'i>,
    pub(super) declared: std::vec::IntoIter<&'static Declared>,
}

impl Table<'_, '_, '_, '_> {
    /// The next key, which has no default. One that is missing although it must be there is as good as a bad one.
    pub(crate) fn key<T: Read>(&mut self) -> Option<Key<T>> {
        let declared = self.declared.next()?;
        let Some(value) = self.table.get(declared.name) else {
            let Some(example) = declared.example else {
                return Some(Key::Absent);
            };
            self.reader.report(missing(declared.name, self.place, example));
            return Some(Key::Bad);
        };
        Some(match self.reader.named(declared.name, value) {
            Some(read) => Key::Given(At {
                at: self.reader.place(value),
                value: read,
            }),
            None => Key::Bad,
        })
    }

    /// The next key, which has a default. That stands for a bad value, too: the others are looked at all the same.
    pub(crate) fn default<T: Read>(&mut self) -> Option<T> {
        let declared = self.declared.next()?;
        if let Some(value) = self.table.get(declared.name)
            && let Some(read) = self.reader.named::<T>(declared.name, value)
        {
            if let (Some([least, most]), Some(default)) = (declared.bounds, declared.default)
                && let Some(outside) = read.outside(Bounds { least, most, default })
            {
                let [least, most] = [least, most].map(|bound| bound.trim_matches('"').replace('_', ""));
                let message = format!("`{}` is {}", declared.name, outside.why);
                let problem = Diagnostic::error(self.reader.place(value), message)
                    .label(format!("{} {least} to {most}", outside.allowed));
                self.reader.report(match outside.help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            }
            return Some(read);
        }
        let read = default(declared.name, declared.default?);
        if read.is_none() {
            let message = format!("the default of `{}` is wrong", declared.name);
            self.reader.report(Diagnostic::error_nowhere(message));
        }
        read
    }
}

/// What is not in the file, read from its declaration; `None` only if that is wrong.
pub(super) fn default<T: Read>(name: &str, source: &str) -> Option<T> {
    let mut reader = Reader {
        source,
        env: &|_| None,
        key: name.to_owned(),
        is_default: true,
        problems: Vec::new(),
    };
    T::read(&DeValue::parse(source).ok()?, &mut reader)
}

/// A key that must be there is not in the table that begins at `place`.
pub(in crate::config) fn missing(name: &str, place: Span, example: &str) -> Diagnostic {
    let message = format!("`{name}` is missing");
    let problem = match place == Span::default() {
        true => Diagnostic::error_nowhere(message),
        false => Diagnostic::error(place, message).label("in this table"),
    };
    problem.help(format!("add {example}"))
}
