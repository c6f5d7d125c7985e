//! How conditions and grants are told to people.

use std::fmt::Write as _;

use super::Facts;
use crate::config::pattern::{Params, Part};
use crate::identity::{Access, Grant, GrantKind, Identity};

/// A grant in words: `read on event "lecture-1"`.
pub fn grant(grant: &Grant) -> String {
    let kind = match grant.kind {
        GrantKind::Event => "event",
        GrantKind::Series => "series",
        GrantKind::Playlist => "playlist",
    };
    format!("{} on {kind} {:?}", grant.action, grant.id)
}

/// What is to be told of the person, if there is one.
pub(super) fn of_person(facts: &Facts<'_>, told: impl FnOnce(&Identity) -> String) -> String {
    facts.identity.map_or_else(|| "nobody is signed in".to_owned(), told)
}

/// What is to be told of the access token, if there is one.
pub(super) fn of_access(facts: &Facts<'_>, told: impl FnOnce(&Access) -> String) -> String {
    of_person(facts, |who| match who.access.as_deref() {
        Some(access) => told(access),
        None => "it is no access token".to_owned(),
    })
}

/// The issuer or sign-in.
pub(super) fn known_by(facts: &Facts<'_>) -> String {
    of_person(facts, |who| format!("known by {:?}", &*who.source))
}

/// The pattern as it stands in the file, with what the path holds at its parameters.
pub(super) fn filled(parts: &[Part], params: &dyn Params) -> String {
    let pieces = parts.iter().map(|part| match part {
        Part::Literal(literal) => literal.to_string(),
        Part::Param(name) => params.get(name).map_or_else(|| format!("{{{name}}}"), str::to_owned),
        Part::Any => "*".to_owned(),
    });
    pieces.collect()
}

/// `"a"`, or `["a", "b"]`.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => format!("{one:?}"),
        [first, others @ ..] => {
            let mut text = format!("[{first:?}");
            for other in others {
                // Writing into a String cannot fail.
                write!(text, ", {other:?}").ok();
            }
            text + "]"
        }
    }
}

pub(super) fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
