//! The keys that say what [`grant`](super::grant), [`event_acl`](super::event_acl) and
//! [`playlist_acl`](super::playlist_acl) are about.

use super::{At, keys};
use crate::config::pattern::{Part, Template};

keys! {
    /// The event that `grant` or `event_acl` is about: `"{event}"`.
    event: Template,
    /// The series that `grant` is about.
    series: Template,
    /// The playlist that `grant` or `playlist_acl` is about: `"{playlist}"`.
    playlist: Template,
    /// The event in whose series `grant` must be held: `"{event}"`. Opencast is asked. Not in `deny`.
    series_of: Template,
    /// The event that must be in a playlist on which `grant` is held: `"{event}"`. Opencast is asked. Not in `deny`. In
    /// Opencast whoever may edit a playlist can put any event into it, also one that they may not read.
    playlist_of: Template,
}

/// What an `oc` grant is about: `e:`, `s:` or `p:` and an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Event(Template),
    Series(Template),
    Playlist(Template),
    /// The series that an event is in, as Opencast says. Only in `allow`.
    SeriesOf(Template),
    /// A playlist that has the event, as Opencast says. Only in `allow`.
    PlaylistOf(Template),
}

impl Item {
    /// Its key and its value.
    pub(super) fn key(&self) -> (&'static str, &[Part]) {
        match self {
            Self::Event(id) => ("event", &id.parts),
            Self::Series(id) => ("series", &id.parts),
            Self::Playlist(id) => ("playlist", &id.parts),
            Self::SeriesOf(event) => ("series_of", &event.parts),
            Self::PlaylistOf(event) => ("playlist_of", &event.parts),
        }
    }
}

impl Keys {
    /// Those that are written, and right.
    pub(super) fn items(&self) -> Vec<(&At<Template>, Item)> {
        let kinds = [
            (&self.event, Item::Event as fn(Template) -> Item),
            (&self.series, Item::Series),
            (&self.playlist, Item::Playlist),
            (&self.series_of, Item::SeriesOf),
            (&self.playlist_of, Item::PlaylistOf),
        ];
        let given = kinds.into_iter().filter_map(|(key, item)| Some((key.given()?, item)));
        given.map(|(given, item)| (given, item(given.value.clone()))).collect()
    }
}
