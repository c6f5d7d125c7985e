//! How `file` and `value` declare what may be written: tables with fixed keys, and words to choose from.
//!
//! A declaration is the only list of its keys or words: any other is an error, and those of later versions are named
//! with what to do instead.

use super::diagnostics::closest;
use super::read::{Later, Refusal};

/// A table with fixed keys. Fields become [`Key`]s; `later` names keys that are known but not built yet, each with
/// what to do instead.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident: $kind:ty, )*
        }
        $( later { $( $later:literal => $instead:expr, )* } )?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Default)]
        pub(in crate::config) struct $name {
            /// Where the table begins.
            #[allow(dead_code, reason = "not every section has to point at itself")]
            pub(in crate::config) place: $crate::config::diagnostics::Span,
            /// Were there keys that are not its own? They are reported; what they were meant to be is unknown.
            #[allow(dead_code, reason = "only sections that compare their keys ask")]
            pub(in crate::config) has_strange_keys: bool,
            $( $(#[doc = $doc])* pub(in crate::config) $field: $crate::config::read::Key<$kind>, )*
        }

        impl $crate::config::read::Read for $name {
            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                const KEYS: &[&str] = &[$( stringify!($field), )*];
                const LATER: $crate::config::read::Later = &[$( $( ($later, $instead), )* )?];
                let (table, has_strange_keys) = reader.table(value, KEYS, LATER)?;
                Some(Self {
                    has_strange_keys,
                    place: value.span().into(),
                    $( $field: reader.key(table, stringify!($field)), )*
                })
            }

            fn schema() -> serde_json::Value {
                $crate::config::schema::table(
                    concat!($( $about, "\n" ),*),
                    [$( (
                        stringify!($field),
                        concat!($( $doc, "\n" ),*),
                        <$kind as $crate::config::read::Read>::schema(),
                    ), )*],
                )
            }
        }
    };
}

/// An enum that is written as one of several words; `later` words are known but not built yet, each with what to do
/// instead.
macro_rules! words {
    ($name:ty { $first:literal => $first_variant:expr, $( $word:literal => $variant:expr, )* } $( later { $( $later:literal => $instead:expr, )* } )? ) => {
        impl $crate::config::read::FromText for $name {
            const EXPECTED: &'static str = concat!("\"", $first, "\"", $( " or \"", $word, "\"" ),*);
            const WORDS: &'static [&'static str] = &[$first, $( $word, )*];

            fn from_text(text: &str) -> Result<Self, $crate::config::read::Refusal> {
                match text {
                    $first => return Ok($first_variant),
                    $( $word => return Ok($variant), )*
                    _ => {}
                }
                const LATER: $crate::config::read::Later = &[$( $( ($later, $instead), )* )?];
                Err($crate::config::section::no_such_word(text, Self::WORDS, LATER))
            }
        }
    };
}

pub(super) use section;
pub(crate) use words;

pub(crate) fn no_such_word(text: &str, words: &[&str], later: Later) -> Refusal {
    if let Some((word, instead)) = later.iter().find(|(word, _)| *word == text) {
        return Refusal::new(format!("\"{word}\" is not available in this version yet")).help(*instead);
    }
    let refusal = Refusal::new("there is no such value");
    match closest(text, words.iter().copied()) {
        Some(meant) => refusal.help(format!("did you mean \"{meant}\"?")),
        None => refusal,
    }
}
