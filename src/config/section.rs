//! How what may be written is declared: tables with fixed keys, and words to choose from.
//!
//! A declaration is the only place that knows a key: its type, its default, its bounds and what it means. Reading,
//! messages, the JSON Schema and `janua config show` follow from it.

use super::diagnostics::closest;
use super::read::{Later, Refusal};

/// A table with fixed keys:
///
/// ```text
/// section! {
///     /// `[backup]`: copies of the store.
///     struct Backup {
///         /// How often one is made.
///         every: Duration = "6h" in "1m"..="7d",
///         /// May it be made while the gateway is busy?
///         anytime: bool = true,
///         /// Where they are kept.
///         #[required = "folder = \"/srv/backup\""]
///         folder: String,
///         /// Who is told of them. Default: nobody.
///         mail: String,
///     }
/// }
/// ```
///
/// - `every` has a default, written as in gateway.toml and read as if it stood there, and bounds, both included. The field
///   has the type itself. The reference says "Default: 6h." after the doc comment, unless that says "Default:" already.
///   `{}` is the default of a table whose own keys have defaults.
/// - `folder` must be there: a message says what to add. The reference says "Required." after the doc comment.
/// - `folder` and `mail` become a [`Key`](super::read::Key), at which `compile` looks. A `pub struct` is used as it was read:
///   each of its keys has a default.
///
/// A type in [`At`](super::read::At) tells whether and where a key was written. `later { "key" => "what to do instead", }`
/// after the table names keys that are known but not built yet.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $(#[required = $example:literal])?
                $field:ident: $kind:ty $(= $default:tt $(in $least:literal..=$most:literal)?)?,
            )*
        }
        $( later { $( $later:literal => $instead:expr, )* } )?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        pub(in crate::config) struct $name {
            /// Where the table begins.
            #[allow(dead_code, reason = "not every section has to point at itself")]
            pub(in crate::config) place: $crate::config::diagnostics::Span,
            /// Were there keys that are not its own? They are reported; what they were meant to be is unknown.
            #[allow(dead_code, reason = "only sections that compare their keys ask")]
            pub(in crate::config) has_unknown_keys: bool,
            $(
                $(#[doc = $doc])*
                pub(in crate::config) $field: $crate::config::section::key!(@type $kind $(, $default)?),
            )*
        }

        $crate::config::section::section! {
            @read $name [$($about)*] [place has_unknown_keys] [$($( ($later, $instead) )*)?]
            $( [$($doc)*] [$($example)?] $field: $kind $(, $default $(, $least, $most)?)?; )*
        }
    };
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derived:ident),*)])?
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident: $kind:ty = $default:tt $(in $least:literal..=$most:literal)?,
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $(#[derive($($derived),*)])?
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $kind, )*
        }

        $crate::config::section::section! {
            @read $name [$($about)*] [] []
            $( [$($doc)*] [] $field: $kind, $default $(, $least, $most)?; )*
        }
    };
    (
        @read $name:ident [$($about:literal)*] [$($own:ident)*] [$($later:tt)*]
        $(
            [$($doc:literal)*] [$($example:literal)?]
            $field:ident: $kind:ty $(, $default:tt $(, $least:literal, $most:literal)?)?;
        )*
    ) => {
        impl $name {
            pub(in crate::config) const KEYS: &'static [$crate::config::read::Declared] = &[$(
                $crate::config::read::Declared {
                    name: stringify!($field),
                    doc: concat!($( $doc, "\n" ),*),
                    default: $crate::config::section::key!(@maybe $(stringify!($default))?),
                    bounds: $crate::config::section::key!(@maybe $($([stringify!($least), stringify!($most)])?)?),
                    example: $crate::config::section::key!(@maybe $($example)?),
                    shape: <$kind as $crate::config::read::Read>::SHAPE,
                    schema: <$kind as $crate::config::read::Read>::schema,
                },
            )*];
        }

        impl $crate::config::read::Read for $name {
            const SHAPE: $crate::config::read::Shape = $crate::config::read::Shape::Table(Self::KEYS);

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                reader: &mut $crate::config::read::Reader<'_>,
            ) -> Option<Self> {
                let mut table = reader.table(value, Self::KEYS.iter().collect(), &[$($later),*])?;
                // Each takes the next key, so that all problems are reported before the first `?`.
                $( let $field = $crate::config::section::key!(@read table $kind $(, $default)?); )*
                Some(Self {
                    $( $own: table.$own, )*
                    $( $field: $field?, )*
                })
            }

            fn schema() -> serde_json::Value {
                $crate::config::schema::table(concat!($( $about, "\n" ),*), Self::KEYS)
            }
        }
    };
}

/// The parts of [`section`] that depend on whether a key has a default.
macro_rules! key {
    (@type $kind:ty) => { $crate::config::read::Key<$kind> };
    (@type $kind:ty, $default:tt) => { $kind };
    (@read $table:ident $kind:ty) => { $table.key::<$kind>() };
    (@read $table:ident $kind:ty, $default:tt) => { $table.default::<$kind>() };
    (@maybe) => { None };
    (@maybe $value:expr) => { Some($value) };
}

/// An enum that is written as one of several words; `later` words are known but not built yet, each with what to do
/// instead.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        $visible:vis enum $name:ident {
            $(#[doc = $first_doc:literal])*
            $first:ident = $first_word:literal,
            $( $(#[doc = $doc:literal])* $variant:ident = $word:literal, )*
        }
        $( later { $( $later:literal => $instead:expr, )* } )?
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visible enum $name {
            $(#[doc = $first_doc])*
            $first,
            $( $(#[doc = $doc])* $variant, )*
        }

        impl $name {
            $visible const ALL: &'static [Self] = &[Self::$first, $( Self::$variant, )*];

            /// As it is written in gateway.toml.
            $visible const fn label(self) -> &'static str {
                match self {
                    Self::$first => $first_word,
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl $crate::config::read::FromText for $name {
            const EXPECTED: &'static str = concat!("\"", $first_word, "\"", $( " or \"", $word, "\"" ),*);
            const WORDS: &'static [&'static str] = &[$first_word, $( $word, )*];

            fn from_text(text: &str) -> Result<Self, $crate::config::read::Refusal> {
                const LATER: $crate::config::read::Later = &[$( $( ($later, $instead), )* )?];
                let found = Self::ALL.iter().copied().find(|one| one.label() == text);
                found.ok_or_else(|| $crate::config::section::no_such_word(text, Self::WORDS, LATER))
            }
        }
    };
}

pub(crate) use words;
pub(super) use {key, section};

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
