//! Answers of Opencast's external API, read strictly: what is not complete and of the known shape is no
//! answer at all, so that nothing is ever decided by half of a list.

use serde::Deserialize;

use crate::event::{Acl, Playlist};
use crate::text::without_mark;

/// More entries in one list are no list of a lecture's any more, and no playlist.
const MAX_ENTRIES: usize = 20_000;

#[derive(Deserialize)]
struct Entry {
    role: String,
    action: String,
    allow: bool,
}

#[derive(Deserialize)]
struct Event {
    identifier: String,
    /// The series. Missing or empty: in none.
    #[serde(default)]
    is_part_of: Option<String>,
}

/// `playlistToJson` of Opencast's `PlaylistsEndpoint`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    id: String,
    entries: Vec<Item>,
    access_control_entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    content_id: Option<String>,
    /// `EVENT`; `INACCESSIBLE` is what the one who saved it last could not see.
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

/// The body of `GET /api/events/{id}/acl`. The error says what is odd about it and quotes none of it.
pub(super) fn acl(body: &[u8]) -> Result<Acl, String> {
    let entries: Vec<Entry> =
        serde_json::from_slice(without_mark(body)).map_err(|error| odd("an access control list", &error))?;
    bounded(entries.len())?;
    Ok(of_entries(entries))
}

fn of_entries(entries: Vec<Entry>) -> Acl {
    Acl::new(entries.into_iter().map(|entry| (entry.role, entry.action, entry.allow)))
}

fn bounded(entries: usize) -> Result<(), String> {
    match entries > MAX_ENTRIES {
        true => Err(format!("more than {MAX_ENTRIES} entries")),
        false => Ok(()),
    }
}

/// The body of `GET /api/playlists/{id}`, which must be about the playlist that was asked for.
pub(super) fn playlist(body: &[u8], id: &str) -> Result<Playlist, String> {
    let told: List = serde_json::from_slice(without_mark(body)).map_err(|error| odd("a playlist", &error))?;
    if told.id != id {
        return Err("it is about another playlist".to_owned());
    }
    bounded(told.entries.len())?;
    bounded(told.access_control_entries.len())?;
    let events = told.entries.into_iter();
    let events = events.filter(|item| item.kind.as_deref() == Some("EVENT"));
    let events = events.filter_map(|item| item.content_id);
    Ok(Playlist::new(of_entries(told.access_control_entries), events))
}

/// The series in the body of `GET /api/events/{id}`, which must be about the event that was asked for.
pub(super) fn series(body: &[u8], event: &str) -> Result<Option<String>, String> {
    let told: Event = serde_json::from_slice(without_mark(body)).map_err(|error| odd("an event", &error))?;
    if told.identifier != event {
        return Err("it is about another event".to_owned());
    }
    Ok(told.is_part_of.filter(|series| !series.is_empty()))
}

fn odd(what: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    format!("not {what} ({:?} at {line}:{column})", error.classify())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_whole_or_it_is_none() {
        let good =
            br#"[{"allow":true,"action":"read","role":"A","more":1},{"role":"B","action":"read","allow":false}]"#;
        let list = acl(good).unwrap();
        assert!(list.permits("read", ["A"]) && !list.permits("read", ["A", "B"]));
        assert_eq!(acl(b"[]"), Ok(Acl::default()));
        for length in 0..good.len() {
            assert!(acl(&good[..length]).is_err(), "{length} bytes of it");
        }
        for odd in [
            &br#"[{"action":"read","role":"A"}]"#[..],
            br#"[{"allow":"true","action":"read","role":"A"}]"#,
            br#"[{"allow":true,"action":["read"],"role":"A"}]"#,
            br#"[{"allow":true,"role":"A","action":"read"},null]"#,
            br#"{"acl":[]}"#,
            b"null",
            b"<html>",
            b"[] []",
            b"\xff",
        ] {
            let error = acl(odd).unwrap_err();
            assert!(!error.contains("role") && !error.contains("html"), "{error}");
        }
    }

    #[test]
    fn a_playlist_is_whole_or_it_is_none() {
        let good = br#"{"id":"p1","entries":[{"id":7,"contentId":"e1","type":"EVENT"},{"id":8,"contentId":"e2",
            "type":"INACCESSIBLE"},{"id":9,"type":"EVENT"},{"id":9,"contentId":"e3","type":null}],"title":"","description":"",
            "creator":"","updated":"","accessControlEntries":[{"id":1,"allow":true,"role":"A","action":"read"}]}"#;
        let list = playlist(good, "p1").unwrap();
        assert!(list.has("e1") && list.acl.permits("read", ["A"]));
        assert_eq!(
            list.count(),
            1,
            "what is no event, and what could not be seen, is not in it"
        );
        assert!(playlist(good, "p2").is_err(), "another one's");
        for length in 0..good.len() {
            assert!(playlist(&good[..length], "p1").is_err(), "{length} bytes of it");
        }
        for odd in [
            r#"{"id":"p1","entries":[]}"#,
            r#"{"id":"p1","accessControlEntries":[]}"#,
            r#"{"id":"p1","entries":"","accessControlEntries":[]}"#,
            r#"{"id":"p1","entries":[],"accessControlEntries":[{"role":"A"}]}"#,
            "[]",
        ] {
            assert!(playlist(odd.as_bytes(), "p1").is_err(), "{odd}");
        }
    }

    #[test]
    fn a_series_is_told_by_the_event_that_was_asked_for() {
        let told = |body: &str| series(body.as_bytes(), "e1");
        assert_eq!(
            told(r#"{"identifier":"e1","is_part_of":"s1"}"#),
            Ok(Some("s1".to_owned()))
        );
        for none in [
            r#"{"identifier":"e1","is_part_of":""}"#,
            r#"{"identifier":"e1","is_part_of":null}"#,
            r#"{"identifier":"e1"}"#,
        ] {
            assert_eq!(told(none), Ok(None));
        }
        for odd in [
            r#"{"identifier":"e2","is_part_of":"s1"}"#,
            r#"{"is_part_of":"s1"}"#,
            r#"{"identifier":"e1","is_part_of":["s1"]}"#,
            "[]",
        ] {
            assert!(told(odd).is_err(), "{odd}");
        }
    }
}
