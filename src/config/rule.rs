//! What the conditions of a rule are declared and checked with; each is in a file of `authorize::conditions`.

pub(crate) use super::compile::{Checks, List};
pub(crate) use super::diagnostics::{Diagnostic, Span};
pub(crate) use super::read::{At, Declared, Key, OneOrMany, Read, Reader, Shape, Table as Reading};
pub(crate) use super::schema::table as table_schema;
pub use crate::authorize::Rule;
pub(super) use crate::authorize::Table;

/// Keys of one condition, in a table that it shares with the others.
pub(crate) trait Keys: Sized {
    const DECLARED: &'static [Declared];

    /// The next keys of the table. `None` only if it has no more.
    fn read(table: &mut Reading<'_, '_, '_, '_>) -> Option<Self>;

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
            const DECLARED: &'static [$crate::config::rule::Declared] = &[$(
                $crate::config::rule::Declared {
                    name: stringify!($name),
                    doc: concat!($( $doc, "\n", )*),
                    default: None,
                    bounds: None,
                    example: None,
                    shape: $crate::config::rule::Shape::Value,
                    schema: <$kind as $crate::config::rule::Read>::schema,
                },
            )*];

            fn read(table: &mut $crate::config::rule::Reading<'_, '_, '_, '_>) -> Option<Self> {
                Some(Self { $( $name: table.key()?, )* })
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
