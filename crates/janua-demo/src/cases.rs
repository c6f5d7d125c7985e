//! What can be tried on the page: a request, the token it carries, and what the gateway promises to answer.
//!
//! The promise is what the page and the tests hold the real answer against.

use std::path::Path;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::folder;
use super::platform::{Platform, Wish};

/// One thing to try.
pub(super) struct Case {
    id: &'static str,
    title: &'static str,
    text: &'static str,
    path: &'static str,
    token: Option<(Carried, Wish)>,
    headers: &'static [(&'static str, &'static str)],
    /// The name of the route that it comes to.
    route: Option<&'static str>,
    /// Status, and the reason of a refusal.
    answer: (u16, Option<&'static str>),
}

/// How a token travels.
#[derive(Clone, Copy)]
enum Carried {
    /// `?jwt=…`, as in links of a learning platform.
    Query,
    /// `Authorization: Bearer …`
    Header,
}

const VIDEO: &str = "/static/mh_default_org/engage-player/lecture-1/video/lecture.mp4";
const COURSE: &str = "/static/mh_default_org/course/4/video/lecture.mp4";
const PLAYLIST: &str = "/static/mh_default_org/engage-player/lecture-1/hls/playlist.m3u8";
const ME: &str = "/info/me.json";
/// The rule would see `lecture-2`, the disk `lecture-1`: such a path is refused before anyone has to wonder.
const CROOKED: &str = "/static/mh_default_org/engage-player/lecture-2/..%2Flecture-1/video/lecture.mp4";
/// What a file answers to [`BEGINNING`].
const PARTIAL: (u16, Option<&str>) = (206, None);
/// As players begin.
const BEGINNING: &[(&str, &str)] = &[("Range", "bytes=0-1023")];

/// Everything that can be tried, in the order of the page: first what gets in.
pub(super) fn all() -> Vec<Case> {
    use Carried::{Header, Query};
    let read = |event: &str| json!({ "oc": { (format!("e:{event}")): ["read"] } });
    let roles = |roles: &[&str]| json!({ "sub": "anna", "name": "Anna Atkins", "roles": roles });
    let case = |id, title, text, path, token, headers, answer| Case {
        id,
        title,
        text,
        path,
        token,
        headers,
        route: match path {
            VIDEO | PLAYLIST => Some("event"),
            COURSE => Some("course"),
            ME => Some("info"),
            _ => None,
        },
        answer,
    };
    vec![
        case(
            "event",
            "With a token",
            "The course\u{2019}s link: it grants this one lecture.",
            VIDEO,
            Some((Query, Wish::Good(read("lecture-1")))),
            BEGINNING,
            PARTIAL,
        ),
        case(
            "role",
            "By a role",
            "Anna is a learner in course 4, and the rule asks for that.",
            COURSE,
            Some((Query, Wish::Good(roles(&["4_Learner"])))),
            BEGINNING,
            PARTIAL,
        ),
        case(
            "playlist",
            "An HLS playlist",
            "The same grant, carried in a header.",
            PLAYLIST,
            Some((Header, Wish::Good(read("lecture-1")))),
            &[],
            (200, None),
        ),
        case(
            "upstream",
            "What Opencast gets",
            "Passed on to the upstream: the token stays at the gate.",
            ME,
            Some((Header, Wish::Good(roles(&["4_Learner"])))),
            &[],
            (200, None),
        ),
        case(
            "nothing",
            "Without a token",
            "A bare link, copied into a chat.",
            VIDEO,
            None,
            &[],
            (401, Some("no_credentials")),
        ),
        case(
            "expired",
            "An expired token",
            "Ten minutes late: the link was good once.",
            VIDEO,
            Some((Query, Wish::Expired(read("lecture-1")))),
            &[],
            (401, Some("token_expired")),
        ),
        case(
            "other-event",
            "For another lecture",
            "A good token, but it grants lecture-2.",
            VIDEO,
            Some((Query, Wish::Good(read("lecture-2")))),
            &[],
            (403, Some("event_not_granted")),
        ),
        case(
            "other-role",
            "From another course",
            "A learner of course 5 asks for course 4.",
            COURSE,
            Some((Header, Wish::Good(roles(&["5_Learner"])))),
            &[],
            (403, Some("missing_role")),
        ),
        case(
            "denied",
            "Denied by a rule",
            "In the course, but suspended: deny wins over allow.",
            COURSE,
            Some((Header, Wish::Good(roles(&["4_Learner", "ROLE_SUSPENDED"])))),
            &[],
            (403, Some("denied_by_rule")),
        ),
        case(
            "rewritten",
            "A rewritten token",
            "Signed for lecture-2, then changed by hand.",
            VIDEO,
            Some((Query, Wish::Rewritten(read("lecture-2"), read("lecture-1")))),
            &[],
            (401, Some("bad_signature")),
        ),
        case(
            "unsigned",
            "An unsigned token",
            "It says \u{201c}alg: none\u{201d} and hopes for the best.",
            VIDEO,
            Some((Query, Wish::Unsigned(read("lecture-1")))),
            &[],
            (401, Some("algorithm_not_allowed")),
        ),
        case(
            "crooked",
            "A crooked path",
            "Through lecture-2 and back, with ..%2F on the way.",
            CROOKED,
            Some((Query, Wish::Good(read("lecture-2")))),
            &[],
            (400, Some("bad_path")),
        ),
    ]
}

impl Case {
    /// The case as the page reads it, with a token made at `now`. `gateway` is its origin, `config` its configuration.
    pub(super) fn told(&self, platform: &Platform, now: SystemTime, gateway: &str, config: &Path) -> Value {
        let mut url = self.path.to_owned();
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), json!(value)));
        let mut headers: Map<String, Value> = headers.collect();
        let mut token = None;
        if let Some((carried, wish)) = &self.token {
            let made = platform.token(wish, now).unwrap_or_default();
            match carried {
                Carried::Query => url.push_str(&format!("?jwt={made}")),
                Carried::Header => {
                    headers.insert("Authorization".to_owned(), format!("Bearer {made}").into());
                }
            }
            token = Some(made);
        }
        let (status, reason) = self.answer;
        let lines = headers
            .iter()
            .filter_map(|(name, value)| Some(format!(" -H '{name}: {}'", value.as_str()?)));
        let asked = format!("{} '{gateway}{url}'", lines.collect::<String>());
        let shown = if self.answer == PARTIAL {
            "-D - -o /dev/null"
        } else {
            "-i"
        };
        json!({
            "id": self.id, "title": self.title, "text": self.text, "url": url, "headers": headers, "token": token,
            "curl": format!("curl -sS {shown}{asked}"),
            "explain": format!("janua explain --config '{}' GET{asked}", config.display()),
            "rule": self.route.and_then(folder::route),
            "video": self.answer == PARTIAL,
            "promise": { "status": status, "reason": reason },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_shows_the_route_that_it_names() {
        for case in all() {
            let Some(name) = case.route else {
                assert_eq!(case.answer.1, Some("bad_path"), "{}", case.id);
                continue;
            };
            let route = folder::route(name).unwrap();
            assert!(
                route.contains(&format!("= \"{name}\"\n")) && route.contains("\nallow"),
                "{route}"
            );
            assert_eq!(
                route.matches("[[").count(),
                1 + route.matches("= [[").count(),
                "{route}"
            );
        }
    }
}
