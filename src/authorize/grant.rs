//! Condition `grant`: was this action granted on exactly this event, series or playlist?
//!
//! A grant on a series or playlist covers that item alone, not the videos in it (facts 1.1), and `write` does not
//! include `read`: issuers name both (facts 1.1).

use crate::config::GrantItem;
use crate::config::pattern::Params;
use crate::identity::{GrantKind, Identity};

pub(super) fn held(identity: &Identity, action: &str, item: &GrantItem, params: &dyn Params) -> bool {
    let (kind, id) = match item {
        GrantItem::Event(id) => (GrantKind::Event, id),
        GrantItem::Series(id) => (GrantKind::Series, id),
        GrantItem::Playlist(id) => (GrantKind::Playlist, id),
    };
    let grants = &identity.grants;
    grants
        .iter()
        .any(|grant| grant.kind == kind && grant.action == action && id.matches(&grant.id, params))
}
