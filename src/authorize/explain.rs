//! What each condition of a rule came to, in words: the same judgement as [`decide`](super::decide), laid out.

use std::fmt::Write as _;

use super::{Facts, holds, meets};
use crate::config::pattern::{Params, Part, Template};
use crate::config::{Condition, GrantItem, Rule};
use crate::identity::{Grant, GrantKind};

/// One table of `allow` or `deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// All of its conditions hold.
    pub holds: bool,
    pub conditions: Vec<Judged>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// As it could stand in the file: `grant = "read", event = "{event}"`.
    pub condition: String,
    pub holds: bool,
    /// What it met: the values of its parameters, and what the request brought.
    pub met: String,
}

/// Every rule of the list, in the order of the file.
pub fn explain(rules: &[Rule], facts: &Facts<'_>) -> Vec<Verdict> {
    let judged = |condition: &Condition| Judged {
        condition: written(condition),
        holds: meets(condition, facts),
        met: met(condition, facts),
    };
    let verdict = |rule: &Rule| Verdict {
        holds: holds(rule, facts),
        conditions: rule.conditions.iter().map(judged).collect(),
    };
    rules.iter().map(verdict).collect()
}

/// Every rule of the list as it would hold for this request: its parameters filled in, what Opencast says about the event
/// added, and marked what was met already. At most `most` rules, and of a list in Opencast so many roles.
pub fn in_question(rules: &[Rule], facts: &Facts<'_>, most: usize) -> Vec<String> {
    let one = |rule: &Rule| {
        let marks = rule.conditions.len() > 1;
        let conditions = rule.conditions.iter().map(|condition| {
            let text = wording(condition, &|parts| filled(parts, facts.params));
            let more = match condition {
                Condition::EventAcl { action, event } => format!(" ({})", list_of_event(action, event, facts, most)),
                Condition::Grant {
                    item: GrantItem::SeriesOf(event),
                    ..
                } => series_in_words(event, facts),
                _ => String::new(),
            };
            let met = if marks && meets(condition, facts) { " (met)" } else { "" };
            format!("{text}{more}{met}")
        });
        conditions.collect::<Vec<_>>().join(", ")
    };
    rules.iter().take(most).map(one).collect()
}

/// The rules of the list that hold, in the same words.
pub fn holding(rules: &[Rule], facts: &Facts<'_>, most: usize) -> Vec<String> {
    let held = rules.iter().filter(|rule| holds(rule, facts));
    let told = held.flat_map(|rule| in_question(std::slice::from_ref(rule), facts, most));
    told.take(most).collect()
}

fn written(condition: &Condition) -> String {
    wording(condition, &plain)
}

/// As it could stand in the file, with patterns as `shown` shows them.
fn wording(condition: &Condition, shown: &dyn Fn(&[Part]) -> String) -> String {
    match condition {
        Condition::Anyone => "anyone = true".to_owned(),
        Condition::SignedIn(expected) => format!("signed_in = {expected}"),
        Condition::Role(patterns) => format!("role = {}", list(patterns.iter().map(|one| shown(&one.parts)))),
        Condition::Grant { action, item } => {
            let (kind, parts) = item_parts(item);
            format!("grant = {action:?}, {kind} = {:?}", shown(parts))
        }
        Condition::EventAcl { action, event } => {
            format!("event_acl = {action:?}, event = {:?}", shown(&event.parts))
        }
        Condition::Subject(names) => format!("subject = {}", list(names.iter().map(|one| shown(&one.parts)))),
        Condition::Issuer(names) => format!("issuer = {}", list(names.iter().map(ToString::to_string))),
        Condition::SignIn(names) => format!("sign_in = {}", list(names.iter().map(ToString::to_string))),
        Condition::Methods(methods) => format!("methods = {}", list(methods.iter().map(ToString::to_string))),
        Condition::From(nets) => format!("from = {}", list(nets.iter().map(ToString::to_string))),
    }
}

fn met(condition: &Condition, facts: &Facts<'_>) -> String {
    let nobody = || "nobody is signed in".to_owned();
    let Some(who) = facts.identity else {
        return match condition {
            Condition::Anyone => String::new(),
            Condition::EventAcl { action, event } => list_of_event(action, event, facts, usize::MAX),
            Condition::Methods(_) | Condition::From(_) => circumstance(condition, facts),
            _ => nobody(),
        };
    };
    match condition {
        Condition::Anyone => String::new(),
        Condition::EventAcl { action, event } => {
            let listed = list_of_event(action, event, facts, usize::MAX);
            format!("{listed}; held: {}", or_none(who.roles.join(", ")))
        }
        Condition::Methods(_) | Condition::From(_) => circumstance(condition, facts),
        Condition::SignedIn(_) => format!("signed in by {}", who.source),
        Condition::Role(patterns) => {
            let needed = list(patterns.iter().map(|one| filled(&one.parts, facts.params)));
            format!("needs {needed}; held: {}", or_none(who.roles.join(", ")))
        }
        Condition::Grant { action, item } => {
            let (kind, parts) = item_parts(item);
            let mut needed = format!("{action} on {kind} {:?}", filled(parts, facts.params));
            if let GrantItem::SeriesOf(event) = item {
                needed += &series_in_words(event, facts);
            }
            let held: Vec<String> = who.grants.iter().map(grant).collect();
            format!("needs {needed}; held: {}", or_none(held.join(", ")))
        }
        Condition::Subject(names) => {
            let needed = list(names.iter().map(|one| filled(&one.parts, facts.params)));
            let subject = who.subject.as_ref().map(|subject| format!("{subject:?}"));
            let untold = match (&subject, who.named) {
                (Some(_), false) => ", which does not count: its issuer has no `may_name_users`",
                _ => "",
            };
            format!("needs {needed}; sub: {}{untold}", or_none(subject.unwrap_or_default()))
        }
        Condition::Issuer(_) | Condition::SignIn(_) => format!("known by {:?}", &*who.source),
    }
}

/// Whom the event's own list permits the action: `most` of them, and of those whom it denies it.
fn list_of_event(action: &str, event: &Template, facts: &Facts<'_>, most: usize) -> String {
    let id = filled(&event.parts, facts.params);
    let Some(acl) = facts.events.acl(&id) else {
        return format!("the list of event {id:?} was not asked for");
    };
    let (permitted, denied) = (acl.roles(action, true, most), acl.roles(action, false, most));
    let mut text = format!("event {id:?} permits {action} to {}", or_none(permitted.join(", ")));
    if !denied.is_empty() {
        // Writing into a String cannot fail.
        write!(text, ", denies it to {}", denied.join(", ")).ok();
    }
    text
}

fn series_in_words(event: &Template, facts: &Facts<'_>) -> String {
    match facts.events.series(&filled(&event.parts, facts.params)) {
        Some(Some(series)) => format!(", which is series {series:?}"),
        Some(None) => ", which is in no series".to_owned(),
        None => ", which was not asked for".to_owned(),
    }
}

fn circumstance(condition: &Condition, facts: &Facts<'_>) -> String {
    match condition {
        Condition::Methods(_) => format!("the method is {}", facts.method),
        _ => format!("the client is {}", facts.client.to_canonical()),
    }
}

/// A grant in words: `read on event "lecture-1"`.
pub fn grant(grant: &Grant) -> String {
    let kind = match grant.kind {
        GrantKind::Event => "event",
        GrantKind::Series => "series",
        GrantKind::Playlist => "playlist",
    };
    format!("{} on {kind} {:?}", grant.action, grant.id)
}

fn item_parts(item: &GrantItem) -> (&'static str, &[Part]) {
    match item {
        GrantItem::Event(id) => ("event", &id.parts),
        GrantItem::Series(id) => ("series", &id.parts),
        GrantItem::Playlist(id) => ("playlist", &id.parts),
        GrantItem::SeriesOf(event) => ("series_of", &event.parts),
    }
}

/// The pattern as it stands in the file.
fn plain(parts: &[Part]) -> String {
    text(parts, &|name| format!("{{{name}}}"))
}

/// The pattern with what the path holds at its parameters.
fn filled(parts: &[Part], params: &dyn Params) -> String {
    text(parts, &|name| {
        params.get(name).map_or_else(|| format!("{{{name}}}"), str::to_owned)
    })
}

fn text(parts: &[Part], param: &dyn Fn(&str) -> String) -> String {
    let pieces = parts.iter().map(|part| match part {
        Part::Literal(literal) => literal.to_string(),
        Part::Param(name) => param(name),
        Part::Any => "*".to_owned(),
    });
    pieces.collect()
}

/// `"a"`, or `["a", "b"]`.
fn list(items: impl Iterator<Item = String>) -> String {
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

fn or_none(text: String) -> String {
    if text.is_empty() { "none".to_owned() } else { text }
}
