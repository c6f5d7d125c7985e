//! What Opencast says about an event: who may do what with it (its access control list), and which series it is in; and
//! about a playlist: its own list, and which events are in it.
//!
//! Values only: they are fetched by `opencast` and judged by `authorize`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Held by everyone, signed in or not.
pub const EVERYONE: &str = "ROLE_ANONYMOUS";

/// An access control list. Roles and actions are compared byte for byte, `write` does not include `read`, and without
/// an entry nobody may. Opencast's own parts disagree about entries that deny; here such an entry wins
/// wherever it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    /// Action, then role: may it? At most one word for each.
    actions: HashMap<String, HashMap<String, bool>>,
}

impl Acl {
    /// Of entries `(role, action, allow)` in any order.
    pub fn new(entries: impl IntoIterator<Item = (String, String, bool)>) -> Self {
        let mut actions: HashMap<String, HashMap<String, bool>> = HashMap::new();
        for (role, action, allow) in entries {
            let may = actions.entry(action).or_default().entry(role).or_insert(true);
            *may &= allow;
        }
        Self { actions }
    }

    /// May somebody who holds these roles, and [`EVERYONE`]'s?
    pub fn permits<'a>(&self, action: &str, roles: impl IntoIterator<Item = &'a str>) -> bool {
        let Some(known) = self.actions.get(action) else {
            return false;
        };
        let mut permitted = false;
        for role in roles.into_iter().chain([EVERYONE]) {
            match known.get(role) {
                Some(true) => permitted = true,
                Some(false) => return false,
                None => {}
            }
        }
        permitted
    }

    /// The first roles, in order, that may (or that are denied): at most so many, and a word about the others.
    pub fn roles(&self, action: &str, may: bool, most: usize) -> Vec<String> {
        let known = self.actions.get(action).into_iter().flatten();
        let mut roles: Vec<&str> = known
            .filter(|(_, known)| **known == may)
            .map(|(role, _)| role.as_str())
            .collect();
        let others = roles.len().saturating_sub(most);
        if others > 0 {
            // Lists can be long: only what is told is put in order.
            roles.select_nth_unstable(most);
            roles.truncate(most);
        }
        roles.sort_unstable();
        let more = (others > 0).then(|| format!("{others} more"));
        roles.into_iter().map(str::to_owned).chain(more).collect()
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        let roles = self.actions.values().flatten();
        roles.map(|(role, _)| role.len() + 64).sum::<usize>() + self.actions.len() * 128
    }
}

/// A playlist: an ordered list of events, each of which may be in any number of playlists. Its access control list is
/// about the playlist alone, not about the events in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Playlist {
    pub acl: Acl,
    events: HashSet<Box<str>>,
}

impl Playlist {
    pub fn new(acl: Acl, events: impl IntoIterator<Item = String>) -> Self {
        let events = events.into_iter().map(String::into_boxed_str).collect();
        Self { acl, events }
    }

    pub fn has(&self, event: &str) -> bool {
        self.events.contains(event)
    }

    pub fn count(&self) -> usize {
        self.events.len()
    }

    /// About how many bytes it takes in memory.
    pub fn weight(&self) -> usize {
        self.acl.weight() + self.events.iter().map(|event| event.len() + 48).sum::<usize>()
    }
}

/// What must be known of an event, or of a playlist, to judge a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    Acl,
    Series,
    Playlist,
}

/// What is known of the events that the rules of one request are about. An event that is unknown to Opencast is known
/// here: it has an empty list and no series; a playlist that is unknown to Opencast has an empty list and no events.
#[derive(Debug, Default)]
pub struct Events {
    acls: Vec<(String, Arc<Acl>)>,
    series: Vec<(String, Option<Arc<str>>)>,
    /// A token may name hundreds.
    playlists: BTreeMap<String, Arc<Playlist>>,
}

impl Events {
    /// Of requests whose rules ask about no event.
    pub const NONE: &'static Self = &Self {
        acls: Vec::new(),
        series: Vec::new(),
        playlists: BTreeMap::new(),
    };

    pub fn add_acl(&mut self, event: String, acl: Arc<Acl>) {
        self.acls.push((event, acl));
    }

    pub fn add_series(&mut self, event: String, series: Option<Arc<str>>) {
        self.series.push((event, series));
    }

    pub fn add_playlist(&mut self, id: String, playlist: Arc<Playlist>) {
        self.playlists.insert(id, playlist);
    }

    /// Takes over all that another one knows.
    pub fn learn(&mut self, other: Self) {
        self.acls.extend(other.acls);
        self.series.extend(other.series);
        self.playlists.extend(other.playlists);
    }

    pub fn acl(&self, event: &str) -> Option<&Acl> {
        let (_, acl) = self.acls.iter().find(|(known, _)| known == event)?;
        Some(acl)
    }

    /// `Some(None)`: in no series.
    pub fn series(&self, event: &str) -> Option<Option<&str>> {
        let (_, series) = self.series.iter().find(|(known, _)| known == event)?;
        Some(series.as_deref())
    }

    pub fn playlist(&self, id: &str) -> Option<&Playlist> {
        self.playlists.get(id).map(Arc::as_ref)
    }

    /// Is the answer known for the event, or the playlist, of this id?
    pub fn knows(&self, question: Question, id: &str) -> bool {
        match question {
            Question::Acl => self.acl(id).is_some(),
            Question::Series => self.series(id).is_some(),
            Question::Playlist => self.playlists.contains_key(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(&str, &str, bool)]) -> Acl {
        Acl::new(
            entries
                .iter()
                .map(|(role, action, allow)| ((*role).to_owned(), (*action).to_owned(), *allow)),
        )
    }

    #[test]
    fn roles_and_actions_are_compared_exactly() {
        let acl = acl(&[("4_Learner", "read", true), ("4_Instructor", "write", true)]);
        assert!(acl.permits("read", ["x", "4_Learner"]));
        for (action, role) in [
            ("read", "4_learner"),
            ("read", "4_Instructor"),
            ("READ", "4_Learner"),
            ("read", "*"),
            ("read", "ROLE_ADMIN"),
        ] {
            assert!(!acl.permits(action, [role]), "{action} {role}");
        }
        assert!(!Acl::default().permits("read", ["4_Learner"]));
    }

    #[test]
    fn an_entry_that_denies_wins_wherever_it_stands() {
        for entries in [
            [("A", "read", true), ("B", "read", false)],
            [("B", "read", false), ("A", "read", true)],
        ] {
            assert!(acl(&entries).permits("read", ["A"]));
            assert!(!acl(&entries).permits("read", ["A", "B"]));
            assert!(!acl(&entries).permits("read", ["B", "A"]));
        }
        for entries in [
            [("A", "read", true), ("A", "read", false)],
            [("A", "read", false), ("A", "read", true)],
        ] {
            assert!(!acl(&entries).permits("read", ["A"]));
        }
        assert!(acl(&[("A", "read", true), ("A", "write", false)]).permits("read", ["A"]));
    }

    #[test]
    fn the_first_roles_are_told_in_order_and_the_others_counted() {
        let acl = acl(&[
            ("C", "read", true),
            ("A", "read", true),
            ("B", "read", true),
            ("X", "read", false),
        ]);
        assert_eq!(acl.roles("read", true, 9), ["A", "B", "C"]);
        assert_eq!(acl.roles("read", true, 3), ["A", "B", "C"]);
        assert_eq!(acl.roles("read", true, 2), ["A", "B", "1 more"]);
        assert_eq!(acl.roles("read", false, 2), ["X"]);
        assert!(acl.roles("write", true, 2).is_empty());
    }

    #[test]
    fn what_everyone_holds_needs_no_role() {
        let public = acl(&[(EVERYONE, "read", true)]);
        assert!(public.permits("read", []));
        assert!(!public.permits("write", []));
        let closed = acl(&[(EVERYONE, "read", false), ("A", "read", true)]);
        assert!(!closed.permits("read", ["A"]));
    }
}
