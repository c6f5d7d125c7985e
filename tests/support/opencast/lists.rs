//! Playlists, as Opencast's own endpoint (`PlaylistRestService`) and its external API (`PlaylistsEndpoint`) tell of them, and
//! what the search tells of an event.
//!
//! A playlist that a user may not read is refused, where an event would not be there.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ADMIN, ANONYMOUS, Answer, Site};

/// A list of events.
#[derive(Debug, Clone, Default)]
pub struct Playlist {
    /// Content and type: `EVENT`, or `INACCESSIBLE`.
    pub entries: Vec<(String, &'static str)>,
    /// Role, action, allow.
    pub acl: Vec<(String, String, bool)>,
}

impl Playlist {
    /// With these events, and for these readers.
    pub fn new(events: &[&str], readers: &[&str]) -> Self {
        Self {
            entries: events.iter().map(|event| ((*event).to_owned(), "EVENT")).collect(),
            acl: readers
                .iter()
                .map(|role| ((*role).to_owned(), "read".to_owned(), true))
                .collect(),
        }
    }

    fn may_read(&self, roles: &BTreeSet<String>) -> bool {
        let listed = |wanted: bool| {
            let mut acl = self.acl.iter();
            acl.any(|(role, action, allow)| *allow == wanted && action == "read" && roles.contains(role))
        };
        roles.contains(ADMIN) || (listed(true) && !listed(false))
    }

    fn json(&self, id: &str) -> Value {
        let entry = |(number, (content, kind)): (usize, &(String, &'static str))| json!({ "id": 1000 + number, "contentId": content, "type": kind });
        let permission = |(role, action, allow): &(String, String, bool)| json!({ "id": 1, "allow": allow, "role": role, "action": action });
        json!({
            "id": id,
            "entries": self.entries.iter().enumerate().map(entry).collect::<Value>(),
            "title": id,
            "description": "",
            "creator": "",
            "updated": "2026-11-30T12:00:00Z",
            "accessControlEntries": self.acl.iter().map(permission).collect::<Value>(),
        })
    }
}

impl Site {
    /// `/search/episode.json?id=…`: empty, and no refusal, where the event cannot be read. A list of one is no list, as in the
    /// search of Opencast; addresses are those that it was told to have.
    pub(super) fn found(&self, id: &str, may_read: bool) -> Answer {
        let result: Vec<Value> = self
            .events
            .get(id)
            .filter(|_| may_read)
            .map(|_| self.episode(id))
            .into_iter()
            .collect();
        let body = json!({ "offset": 0, "total": result.len(), "limit": 20, "result": result });
        Answer::new(200, body.to_string()).with("Content-Type", "application/json")
    }

    fn episode(&self, id: &str) -> Value {
        let url = |file: &str| format!("{}/static/mh_default_org/engage-player/{id}/{file}", self.public);
        json!({
            "mediapackage": {
                "id": id,
                "title": format!("{}/static is no address", self.public),
                "media": { "track": [
                    { "url": url("v/video.mp4"), "mimetype": "video/mp4", "type": "presenter/delivery",
                      "tags": { "tag": "engage-streaming" }, "live": false, "master": false },
                    { "url": url("h/main.m3u8"), "mimetype": "application/x-mpegURL", "type": "presenter/delivery",
                      "tags": { "tag": ["a", "b"] }, "live": false, "master": true },
                    { "url": url("c/captions.vtt"), "mimetype": "text/vtt", "type": "captions/vtt+en", "live": false },
                    { "url": "https://stream.example/live.m3u8", "mimetype": "application/x-mpegURL", "live": true },
                ] },
                "metadata": { "catalog": { "url": url("m/dublincore.xml"), "type": "dublincore/episode" } },
                "attachments": { "attachment": { "url": url("p/timeline.png"), "mimetype": "image/png",
                                                 "type": "presenter/timeline+preview" } },
            },
            "segments": { "segment": { "index": 0, "time": 0, "duration": 10, "text": "x",
                                       "previews": { "preview": { "type": "presentation", "$": url("s/0.jpg") } } } },
            "acl": [{ "role": ANONYMOUS, "action": "read", "allow": true }],
            "org": "mh_default_org",
        })
    }

    /// `refused`: what an unreadable one is answered with.
    pub(super) fn told_playlist(&self, id: &str, roles: &BTreeSet<String>, refused: u16) -> Answer {
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
        match self.playlists.get(&*id) {
            Some(playlist) if playlist.may_read(roles) => Answer::json(&playlist.json(&id)),
            Some(_) => Answer::new(refused, ""),
            None => Answer::new(404, ""),
        }
    }
}
