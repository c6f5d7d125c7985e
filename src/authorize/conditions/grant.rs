//! `grant`: was this action granted on exactly this event, series or playlist?
//!
//! A grant on a series or playlist covers that item alone, not the videos in it, unless a rule asks for the
//! series of an event; and `write` does not include `read`: issuers name both.

use super::item::Item;
use super::{
    Aspect, Checks, Condition, Diagnostic, Facts, Key, Keys as _, List, Params, Question, Table, filled, keys,
    of_person, or_none, words,
};
use crate::config::pattern::Template;
use crate::identity::{GrantKind, Identity};

keys! {
    /// A granted action; with one of event, series, playlist, series_of.
    grant: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Grant {
    pub(crate) action: String,
    pub(crate) item: Item,
}

impl Grant {
    fn is_held(&self, who: &Identity, kind: GrantKind, is_it: impl Fn(&str) -> bool) -> bool {
        let mut grants = who.grants.iter();
        grants.any(|grant| grant.kind == kind && grant.action == self.action && is_it(&grant.id))
    }
}

impl Condition for Grant {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::Grant;

    fn check(keys: &Keys, rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let items = rule.item.items();
        for (item, _) in &items {
            checks.params_exist(item.at, item.value.params());
        }
        match (&keys.grant, items.as_slice()) {
            // That it is the event is seen to beside `event_acl`.
            (Key::Absent, [_]) if rule.event_acl.count() > 0 => {}
            (Key::Absent, [(item, _), ..]) => {
                let problem = Diagnostic::error(
                    item.at,
                    "`event`, `series`, `series_of` and `playlist` mean nothing without `grant`",
                );
                checks.report(problem.help("add grant = \"read\""));
            }
            (Key::Given(grant), [(_, item)]) => {
                checks.action(grant, "grant");
                return Some(Self {
                    action: grant.value.clone(),
                    item: item.clone(),
                });
            }
            (Key::Given(grant), []) if rule.item.count() == 0 => {
                let problem = Diagnostic::error(grant.at, "`grant` on nothing");
                checks.report(problem.help("add event = \"{event}\", or series, or playlist"));
            }
            (Key::Given(_), [(first, _), (second, _), ..]) => {
                let problem =
                    Diagnostic::error(second.at, "a grant is about one thing").also(first.at, "the other one");
                checks.report(problem.help("write two tables: any of them is enough"));
            }
            (Key::Absent | Key::Given(_), []) | (Key::Bad, _) => {}
        }
        None
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for grant in list.given(|rule| &rule.grant.grant) {
            if !list.may_grant(&grant.value) {
                let problem = Diagnostic::warning(grant.at, "nobody can grant this action here: the rule is never met");
                checks.report(problem.help("a grant counts from a token of an issuer whose `allow_actions` has it"));
            }
        }
        for rule in list.rules {
            if let (Some(series_of), None) = (
                rule.value.item.series_of.given(),
                rule.value.event_acl.event_acl.given(),
            ) {
                list.denies_without_asking(series_of.at, checks);
            }
        }
    }

    fn asks_about_events(&self) -> bool {
        matches!(self.item, Item::SeriesOf(_))
    }

    /// Not where no grant is on a series.
    fn question(&self, facts: &Facts<'_>) -> Option<(Question, String)> {
        let Item::SeriesOf(event) = &self.item else { return None };
        if !self.is_held(facts.identity?, GrantKind::Series, |_| true) {
            return None;
        }
        facts.unknown(Question::Series, event)
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let Some(who) = facts.identity else { return false };
        let is = |kind, id: &Template| self.is_held(who, kind, |held| id.matches(held, facts.params));
        match &self.item {
            Item::Event(id) => is(GrantKind::Event, id),
            Item::Series(id) => is(GrantKind::Series, id),
            Item::Playlist(id) => is(GrantKind::Playlist, id),
            Item::SeriesOf(event) => {
                let event = event.filled(facts.params);
                let series = event.and_then(|event| facts.events.series(&event).flatten());
                series.is_some_and(|series| self.is_held(who, GrantKind::Series, |held| held == series))
            }
        }
    }

    fn value(&self, params: &dyn Params) -> String {
        let (key, parts) = self.item.key();
        format!("{:?}, {key} = {:?}", self.action, filled(parts, params))
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        of_person(facts, |who| {
            let (key, parts) = self.item.key();
            let (wanted, known) = (filled(parts, facts.params), self.known(facts, usize::MAX));
            let held: Vec<String> = who.grants.iter().map(words::grant).collect();
            format!(
                "needs {} on {key} {wanted:?}{known}; held: {}",
                self.action,
                or_none(held.join(", "))
            )
        })
    }

    fn known(&self, facts: &Facts<'_>, _most: usize) -> String {
        let Item::SeriesOf(event) = &self.item else {
            return String::new();
        };
        match facts.events.series(&filled(&event.parts, facts.params)) {
            Some(Some(series)) => format!(", which is series {series:?}"),
            Some(None) => ", which is in no series".to_owned(),
            None => ", which was not asked for".to_owned(),
        }
    }
}
