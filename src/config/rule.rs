//! What the conditions of a rule are declared and checked with; each is in a file of `authorize::conditions`.

use serde_json::Value;
use toml::de::DeTable;

pub(crate) use super::compile::{Checks, List};
pub(crate) use super::diagnostics::{Diagnostic, Span};
pub(crate) use super::read::{At, Key, OneOrMany, Read, Reader};
pub(crate) use super::schema::table as table_schema;
pub use crate::authorize::Rule;
pub(super) use crate::authorize::Table;

/// Keys of one condition, in a table that it shares with the others.
pub(crate) trait Keys: Sized {
    const NAMES: &'static [&'static str];

    fn read(table: &DeTable<'_>, reader: &mut Reader<'_>) -> Self;

    /// Name, documentation and type of each.
    fn schema() -> Vec<(&'static str, &'static str, Value)>;

    /// How many of them are written, wrong ones too.
    fn count(&self) -> usize;
}

/// `Keys`, whose doc comments are the reference: meaning, default, bounds.
macro_rules! keys {
    ($( $(#[doc = $doc:literal])* $name:ident: $kind:ty, )*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Keys {
            $( $(#[doc = $doc])* pub(super) $name: $crate::config::rule::Key<$kind>, )*
        }

        impl $crate::config::rule::Keys for Keys {
            const NAMES: &'static [&'static str] = &[$( stringify!($name), )*];

            fn read(
                table: &toml::de::DeTable<'_>,
                reader: &mut $crate::config::rule::Reader<'_>,
            ) -> Self {
                Self { $( $name: reader.key(table, stringify!($name)), )* }
            }

            fn schema() -> Vec<(&'static str, &'static str, serde_json::Value)> {
                vec![$( (
                    stringify!($name),
                    concat!($( $doc, "\n", )*),
                    <$kind as $crate::config::rule::Read>::schema(),
                ), )*]
            }

            fn count(&self) -> usize {
                0 $( + usize::from(!self.$name.is_absent()) )*
            }
        }
    };
}

pub(crate) use keys;

/// What a list holds, without where it stands.
pub(crate) fn values<T: Clone>(list: &[At<T>]) -> Vec<T> {
    list.iter().map(|item| item.value.clone()).collect()
}
