//! Condition `grant`: was this action granted on exactly this event, series or playlist?
//!
//! A grant on a series or playlist covers that item alone, not the videos in it, unless a rule asks for the
//! series of an event; and `write` does not include `read`: issuers name both.

use super::Facts;
use crate::config::GrantItem;
use crate::identity::{GrantKind, Identity};

pub(super) fn held(identity: &Identity, action: &str, item: &GrantItem, facts: &Facts<'_>) -> bool {
    let on = |kind: GrantKind, is_it: &dyn Fn(&str) -> bool| {
        let mut grants = identity.grants.iter();
        grants.any(|grant| grant.kind == kind && grant.action == action && is_it(&grant.id))
    };
    match item {
        GrantItem::Event(id) => on(GrantKind::Event, &|held| id.matches(held, facts.params)),
        GrantItem::Series(id) => on(GrantKind::Series, &|held| id.matches(held, facts.params)),
        GrantItem::Playlist(id) => on(GrantKind::Playlist, &|held| id.matches(held, facts.params)),
        GrantItem::SeriesOf(event) => {
            let event = event.filled(facts.params);
            let series = event.and_then(|event| facts.events.series(&event).flatten());
            series.is_some_and(|series| on(GrantKind::Series, &|held| held == series))
        }
    }
}

/// Could it matter which series an event is in?
pub(super) fn held_on_any_series(identity: &Identity, action: &str) -> bool {
    let mut grants = identity.grants.iter();
    grants.any(|grant| grant.kind == GrantKind::Series && grant.action == action)
}
