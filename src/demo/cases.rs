//! What can be tried on the page: a request, the token it carries, and what the gateway promises to answer.
//!
//! The promise is what the page and the tests hold the real answer against.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::folder;
use super::platform::{Platform, Wish};
use crate::rejection::Reason;

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
    answer: Result<StatusCode, Reason>,
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
            Ok(StatusCode::PARTIAL_CONTENT),
        ),
        case(
            "role",
            "By a role",
            "Anna is a learner in course 4, and the rule asks for that.",
            COURSE,
            Some((Query, Wish::Good(roles(&["4_Learner"])))),
            BEGINNING,
            Ok(StatusCode::PARTIAL_CONTENT),
        ),
        case(
            "playlist",
            "An HLS playlist",
            "The same grant, carried in a header.",
            PLAYLIST,
            Some((Header, Wish::Good(read("lecture-1")))),
            &[],
            Ok(StatusCode::OK),
        ),
        case(
            "upstream",
            "What Opencast gets",
            "Passed on to the upstream: the token stays at the gate.",
            ME,
            Some((Header, Wish::Good(roles(&["4_Learner"])))),
            &[],
            Ok(StatusCode::OK),
        ),
        case(
            "nothing",
            "Without a token",
            "A bare link, copied into a chat.",
            VIDEO,
            None,
            &[],
            Err(Reason::NoCredentials),
        ),
        case(
            "expired",
            "An expired token",
            "Ten minutes late: the link was good once.",
            VIDEO,
            Some((Query, Wish::Expired(read("lecture-1")))),
            &[],
            Err(Reason::TokenExpired),
        ),
        case(
            "other-event",
            "For another lecture",
            "A good token, but it grants lecture-2.",
            VIDEO,
            Some((Query, Wish::Good(read("lecture-2")))),
            &[],
            Err(Reason::EventNotGranted),
        ),
        case(
            "other-role",
            "From another course",
            "A learner of course 5 knocks at course 4.",
            COURSE,
            Some((Header, Wish::Good(roles(&["5_Learner"])))),
            &[],
            Err(Reason::MissingRole),
        ),
        case(
            "denied",
            "Denied by a rule",
            "In the course, but suspended: deny wins over allow.",
            COURSE,
            Some((Header, Wish::Good(roles(&["4_Learner", "ROLE_SUSPENDED"])))),
            &[],
            Err(Reason::DeniedByRule),
        ),
        case(
            "rewritten",
            "A rewritten token",
            "Signed for lecture-2, then changed by hand.",
            VIDEO,
            Some((Query, Wish::Rewritten(read("lecture-2"), read("lecture-1")))),
            &[],
            Err(Reason::BadSignature),
        ),
        case(
            "unsigned",
            "An unsigned token",
            "It says \u{201c}alg: none\u{201d} and hopes for the best.",
            VIDEO,
            Some((Query, Wish::Unsigned(read("lecture-1")))),
            &[],
            Err(Reason::AlgorithmNotAllowed),
        ),
        case(
            "crooked",
            "A crooked path",
            "Through lecture-2 and back, with ..%2F on the way.",
            CROOKED,
            Some((Query, Wish::Good(read("lecture-2")))),
            &[],
            Err(Reason::BadPath),
        ),
    ]
}

impl Case {
    /// The case as the page reads it, with a token made at `now`.
    pub(super) fn told(&self, platform: &Platform, now: SystemTime) -> Value {
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
        let (status, reason) = match self.answer {
            Ok(status) => (status, None),
            Err(reason) => (reason.status(), Some(reason.label())),
        };
        json!({
            "id": self.id, "title": self.title, "text": self.text, "url": url, "headers": headers, "token": token,
            "rule": self.route.and_then(folder::route),
            "video": self.answer == Ok(StatusCode::PARTIAL_CONTENT),
            "promise": { "status": status.as_u16(), "reason": reason },
        })
    }
}

/// In which room of the gateway each reason arises.
pub(super) fn rooms() -> Value {
    let rooms = Reason::ALL
        .iter()
        .map(|reason| (reason.label().to_owned(), room(*reason).into()));
    Value::Object(rooms.collect())
}

fn room(reason: Reason) -> &'static str {
    use Reason as R;
    match reason {
        R::RequestTimeout | R::HeadersTooLarge | R::BadRequest | R::NotImplemented => "listen",
        R::BadPath | R::PathTooLong | R::UnknownHost | R::NoRoute | R::MethodNotAllowed => "route",
        R::DeniedByRule | R::MissingRole | R::EventNotGranted | R::NotAllowed | R::RateLimited => "authorize",
        _ if reason.is_challenge() || reason == R::KeysUnavailable => "authenticate",
        _ => "act",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_shows_the_route_that_it_names() {
        for case in all() {
            let Some(name) = case.route else {
                assert_eq!(case.answer, Err(Reason::BadPath), "{}", case.id);
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
