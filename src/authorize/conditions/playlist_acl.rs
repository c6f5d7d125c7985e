//! `playlist_acl`: does the playlist's own access control list, as Opencast has it, permit the action? Only in `allow`. It
//! is about the playlist alone, not about the events in it.

use std::fmt::Write as _;

use super::{Aspect, Checks, Condition, Diagnostic, Facts, Key, List, Params, Question, Table, filled, keys, or_none};
use crate::config::pattern::Template;

keys! {
    /// An action that the playlist's own access control list must permit, for the roles held; with playlist. Opencast is
    /// asked: see `[opencast.<name>]`. Not in `deny`.
    playlist_acl: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlaylistAcl {
    pub(crate) action: String,
    pub(crate) playlist: Template,
}

impl PlaylistAcl {
    /// Whom the list permits the action: `most` of them, and of those whom it denies it.
    fn permitted(&self, facts: &Facts<'_>, most: usize) -> String {
        let id = filled(&self.playlist.parts, facts.params);
        let Some(playlist) = facts.events.playlist(&id) else {
            return format!("the list of playlist {id:?} was not asked for");
        };
        let roles = |may| playlist.acl.roles(&self.action, may, most);
        let (permitted, denied) = (roles(true), roles(false));
        let mut text = format!(
            "playlist {id:?} permits {} to {}",
            self.action,
            or_none(permitted.join(", "))
        );
        if !denied.is_empty() {
            // Writing into a String cannot fail.
            write!(text, ", denies it to {}", denied.join(", ")).ok();
        }
        text
    }
}

impl Condition for PlaylistAcl {
    type Keys = Keys;

    const ABOUT: Aspect = Aspect::EventList;

    fn check(keys: &Keys, rule: &Table, checks: &mut Checks<'_, '_>) -> Option<Self> {
        let action = keys.playlist_acl.given()?;
        checks.action(action, "playlist_acl");
        match &rule.item.playlist {
            Key::Given(playlist) => {
                return Some(Self {
                    action: action.value.clone(),
                    playlist: playlist.value.clone(),
                });
            }
            Key::Absent => {
                let problem = Diagnostic::error(action.at, "`playlist_acl` of no playlist");
                checks.report(problem.help("add playlist = \"{playlist}\""));
            }
            Key::Bad => {}
        }
        None
    }

    fn check_list(list: &List<'_>, checks: &mut Checks<'_, '_>) {
        for action in list.given(|rule| &rule.playlist_acl.playlist_acl) {
            list.denies_without_asking(action.at, checks);
        }
    }

    /// A list may permit everyone.
    fn needs_somebody(_keys: &Keys) -> bool {
        false
    }

    fn asks(&self) -> Option<Question> {
        Some(Question::Playlist)
    }

    fn questions(&self, facts: &Facts<'_>) -> Vec<(Question, String)> {
        facts.unknown(Question::Playlist, &self.playlist)
    }

    fn meets(&self, facts: &Facts<'_>) -> bool {
        let roles = facts.identity.map_or(&[][..], |who| &who.roles);
        let id = self.playlist.filled(facts.params);
        let playlist = id.and_then(|id| facts.events.playlist(&id));
        playlist.is_some_and(|playlist| playlist.acl.permits(&self.action, roles.iter().map(String::as_str)))
    }

    fn value(&self, params: &dyn Params) -> String {
        let playlist = filled(&self.playlist.parts, params);
        format!("{:?}, playlist = {playlist:?}", self.action)
    }

    fn met(&self, facts: &Facts<'_>) -> String {
        let permitted = self.permitted(facts, usize::MAX);
        match facts.identity {
            Some(who) => format!("{permitted}; held: {}", or_none(who.roles.join(", "))),
            None => permitted,
        }
    }

    fn known(&self, facts: &Facts<'_>, most: usize) -> String {
        format!(" ({})", self.permitted(facts, most))
    }
}
