//! `grant`: was this action granted on exactly this event, series or playlist?
//!
//! A grant on a series or playlist covers that item alone, not the videos in it, unless a rule asks for the series of an
//! event, or for a playlist that has it; and `write` does not include `read`: issuers name both.

use super::item::Item;
use super::{
    Aspect, Checks, Condition, Diagnostic, Facts, Key, Keys as _, List, Params, Question, Table, filled, identity,
    keys, of_person, or_none, words,
};
use crate::config::pattern::Template;
use crate::identity::{GrantKind, Identity};

keys! {
    /// A granted action; with one of event, series, playlist, series_of, playlist_of.
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

    /// The playlists on which the person has the grant.
    fn playlists<'a>(&self, who: &'a Identity) -> impl Iterator<Item = &'a str> {
        let held = who.grants.iter();
        let held = held.filter(|grant| grant.kind == GrantKind::Playlist && grant.action == self.action);
        held.map(|grant| grant.id.as_str())
    }

    /// Of the person's playlists: which has the event, or how many have not, and how many were not asked for.
    fn known_playlists(&self, facts: &Facts<'_>, event: &Template) -> String {
        let held: Vec<&str> = facts
            .identity
            .map_or_else(Vec::new, |who| self.playlists(who).collect());
        let event = filled(&event.parts, facts.params);
        let known = |id: &&str| facts.events.playlist(id);
        if let Some(id) = held.iter().find(|id| known(id).is_some_and(|list| list.has(&event))) {
            return format!(", which is in playlist {id:?}");
        }
        match (held.len(), held.iter().filter(|id| known(id).is_some()).count()) {
            (0, _) => String::new(),
            (_, 0) => ", whose playlists were not asked for".to_owned(),
            (held, asked) if held == asked => format!(", which is in none of {held} playlists"),
            (held, asked) => format!(
                ", which is in none of {asked} playlists; {} were not asked for",
                held - asked
            ),
        }
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
            // That it is the event, or the playlist, is seen to beside `event_acl` and `playlist_acl`.
            (Key::Absent, items)
                if !items.is_empty() && items.len() <= rule.event_acl.count() + rule.playlist_acl.count() => {}
            (Key::Absent, [(item, _), ..]) => {
                let problem = Diagnostic::error(
                    item.at,
                    "`event`, `series`, `series_of`, `playlist` and `playlist_of` mean nothing without `grant`",
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
            let (item, acl) = (&rule.value.item, &rule.value.event_acl.event_acl);
            let asking = [&item.series_of, &item.playlist_of].into_iter().filter_map(Key::given);
            for item in asking.filter(|_| acl.given().is_none()) {
                list.denies_without_asking(item.at, checks);
            }
        }
    }

    fn asks(&self) -> Option<Question> {
        match self.item {
            Item::SeriesOf(_) => Some(Question::Series),
            Item::PlaylistOf(_) => Some(Question::Playlist),
            Item::Event(_) | Item::Series(_) | Item::Playlist(_) => None,
        }
    }

    /// Not where no grant is on a series, or playlist. Which playlists an event is in Opencast does not say: each that the
    /// person has a grant on is asked for, until one has the event.
    fn questions(&self, facts: &Facts<'_>) -> Vec<(Question, String)> {
        let Some(who) = facts.identity else { return Vec::new() };
        match &self.item {
            Item::SeriesOf(event) if self.is_held(who, GrantKind::Series, |_| true) => {
                facts.unknown(Question::Series, event)
            }
            Item::PlaylistOf(event) if event.filled(facts.params).is_some() && !self.meets(facts) => {
                let unknown = self
                    .playlists(who)
                    .filter(|id| !facts.events.knows(Question::Playlist, id));
                unknown.map(|id| (Question::Playlist, id.to_owned())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn is_carried_by_pass(&self) -> bool {
        matches!(self.item, Item::PlaylistOf(_))
    }

    fn carried(&self, facts: &Facts<'_>) -> Vec<identity::Grant> {
        let (Item::PlaylistOf(event), Some(who)) = (&self.item, facts.identity) else {
            return Vec::new();
        };
        let Some(event) = event.text(facts.params) else {
            return Vec::new();
        };
        let has_it = |id: &str| facts.events.playlist(id).is_some_and(|playlist| playlist.has(&event));
        let held = who.grants.iter();
        let held = held.filter(|grant| grant.kind == GrantKind::Playlist && grant.action == self.action);
        held.filter(|grant| has_it(&grant.id)).cloned().collect()
    }

    fn event_of_pass(&self) -> Option<&str> {
        match &self.item {
            Item::PlaylistOf(event) => event.only_param(),
            _ => None,
        }
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let Some(who) = facts.identity else { return false };
        let is = |kind, id: &Template| {
            let wanted = id.text(facts.params);
            wanted.is_some_and(|wanted| self.is_held(who, kind, |held| held == wanted))
        };
        match &self.item {
            Item::Event(id) => is(GrantKind::Event, id),
            Item::Series(id) => is(GrantKind::Series, id),
            Item::Playlist(id) => is(GrantKind::Playlist, id),
            Item::SeriesOf(event) => {
                let event = event.filled(facts.params);
                let series = event.and_then(|event| facts.events.series(&event).flatten());
                series.is_some_and(|series| self.is_held(who, GrantKind::Series, |held| held == series))
            }
            Item::PlaylistOf(event) => event.text(facts.params).is_some_and(|event| {
                let has_it = |id: &str| facts.events.playlist(id).is_some_and(|playlist| playlist.has(&event));
                self.is_held(who, GrantKind::Playlist, has_it)
            }),
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
        let event = match &self.item {
            Item::SeriesOf(event) => event,
            Item::PlaylistOf(event) => return self.known_playlists(facts, event),
            Item::Event(_) | Item::Series(_) | Item::Playlist(_) => return String::new(),
        };
        match facts.events.series(&filled(&event.parts, facts.params)) {
            Some(Some(series)) => format!(", which is series {series:?}"),
            Some(None) => ", which is in no series".to_owned(),
            None => ", which was not asked for".to_owned(),
        }
    }
}
