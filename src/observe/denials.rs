//! Refusals by the rules, told so that an operator can act on one: who held what, and what would have let them pass.
//!
//! The latest are kept in memory, and each is a line of the log, within bounds: repeats are counted instead of kept, no
//! one has more than a tenth of the places, and one address writes no more than so many lines. What is told is cut,
//! cleared of tokens and of what turns a terminal's direction. Which refusals count is decided by the caller.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Instant, SystemTime};

use http::Method;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use super::mask;
use crate::rate::Rate;
use crate::rate::{Keyed, address_key};
use crate::redact;
use crate::rejection::Reason;
use crate::text::push_safe;
use crate::time;

/// Of each list so many items are told.
pub const MAX_LISTED: usize = 16;
/// Roles are short, and there may be many of a person's.
const MAX_ROLES: usize = 32;
const LONGEST_NAME: usize = 256;
const LONGEST_ROLE: usize = 128;
const LONGEST_PATH: usize = 512;
const LONGEST_RULE: usize = 1024;
/// Of the lines of one address.
const LINES: Rate = Rate {
    per_second: 1.0,
    burst: 20,
};

/// A refusal as it came: text is made harmless by [`Denials::add`].
#[derive(Debug, Clone)]
pub struct Denied<'a> {
    pub time: SystemTime,
    pub request_id: &'a str,
    pub client: IpAddr,
    pub method: &'a Method,
    /// Without a query.
    pub path: &'a str,
    pub route: &'a str,
    pub reason: Reason,
    /// Issuer or sign-in; `None` if nobody was there.
    pub source: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub roles: &'a [String],
    pub grants: Vec<String>,
    /// Rules of `allow` in words, with what Opencast's lists say.
    pub would_allow: Vec<String>,
    /// Rules of `deny` that held.
    pub denied_by: Vec<String>,
}

/// A refusal as it is kept, with how often the same one came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The last time; so are client, method, path and request id.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    #[serde(serialize_with = "rfc3339")]
    pub first: SystemTime,
    pub count: u64,
    pub client: IpAddr,
    pub method: String,
    pub path: String,
    pub request_id: String,
    pub route: String,
    pub reason: &'static str,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub roles: Vec<String>,
    pub grants: Vec<String>,
    pub would_allow: Vec<String>,
    pub denied_by: Vec<String>,
}

/// The latest refusals.
pub struct Denials {
    capacity: usize,
    /// The oldest first.
    kept: Mutex<VecDeque<Denial>>,
    lines: Keyed<IpAddr>,
}

impl Denials {
    /// Room for so many; 0 keeps none.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            kept: Mutex::default(),
            lines: Keyed::new(LINES),
        }
    }

    /// Does anyone want refusals? Lets a caller save the work of gathering one.
    pub fn is_enabled(&self) -> bool {
        self.capacity > 0
    }

    /// Keeps a refusal, and writes its line at `now`.
    pub fn add(&self, denied: &Denied<'_>, now: Instant) {
        let denial = Denial::of(denied);
        if self.lines.take(address_key(denied.client), now).is_ok() {
            denial.write();
        }
        self.keep(denial);
    }

    /// The latest first.
    pub fn latest(&self) -> Vec<Denial> {
        let kept = self.kept.lock();
        kept.iter().rev().cloned().collect()
    }

    fn keep(&self, mut denial: Denial) {
        let mut kept = self.kept.lock();
        let theirs = |known: &Denial| known.whose() == denial.whose();
        let place = match kept.iter().position(|known| known.is_repeated_by(&denial)) {
            Some(same) => Some(same),
            None if kept.iter().filter(|known| theirs(known)).count() >= self.share() => kept.iter().position(theirs),
            None => (kept.len() >= self.capacity).then_some(0),
        };
        let gone = place.and_then(|place| kept.remove(place));
        if let Some(same) = gone.filter(|gone| gone.is_repeated_by(&denial)) {
            denial.first = same.first;
            denial.count = same.count.saturating_add(1);
        }
        if self.is_enabled() {
            kept.push_back(denial);
        }
    }

    /// What one person, or one address without a name, may have of the places.
    fn share(&self) -> usize {
        (self.capacity / 10).max(1)
    }
}

impl Denial {
    fn of(denied: &Denied<'_>) -> Self {
        let rules = |rules: &[String]| listed(rules, MAX_LISTED, LONGEST_RULE);
        Self {
            time: denied.time,
            first: denied.time,
            count: 1,
            client: mask::address(denied.client),
            method: harmless(denied.method.as_str(), 32),
            path: harmless(&redact::path(denied.path), LONGEST_PATH),
            request_id: denied.request_id.to_owned(),
            route: harmless(denied.route, LONGEST_NAME),
            reason: denied.reason.label(),
            issuer: denied.source.map(|source| harmless(source, LONGEST_NAME)),
            subject: denied
                .subject
                .map(|subject| harmless(&mask::subject(subject), LONGEST_NAME)),
            roles: listed(denied.roles, MAX_ROLES, LONGEST_ROLE),
            grants: listed(&denied.grants, MAX_LISTED, LONGEST_NAME),
            would_allow: rules(&denied.would_allow),
            denied_by: rules(&denied.denied_by),
        }
    }

    /// Who it was, in words: as the access log has it.
    pub fn who(&self) -> Option<String> {
        let issuer = self.issuer.as_ref()?;
        let subject = self.subject.as_ref();
        Some(subject.map_or_else(|| issuer.clone(), |subject| format!("{issuer}/{subject}")))
    }

    /// A person; a token without a name at one address; all that is nobody's together.
    fn whose(&self) -> (Option<&str>, Option<&str>, Option<IpAddr>) {
        let (issuer, subject) = (self.issuer.as_deref(), self.subject.as_deref());
        let address = (issuer.is_some() && subject.is_none()).then(|| address_key(self.client));
        (issuer, subject, address)
    }

    /// The same person refused the same thing for the same reasons: once in the list, with a count.
    fn is_repeated_by(&self, later: &Self) -> bool {
        self.whose() == later.whose()
            && self.reason == later.reason
            && self.route == later.route
            && self.roles == later.roles
            && self.grants == later.grants
            && self.would_allow == later.would_allow
            && self.denied_by == later.denied_by
    }

    fn write(&self) {
        let joined = |items: &[String], between| (!items.is_empty()).then(|| items.join(between));
        let (roles, grants) = (joined(&self.roles, ", "), joined(&self.grants, ", "));
        let (would_allow, denied_by) = (joined(&self.would_allow, "; "), joined(&self.denied_by, "; "));
        tracing::info!(
            request_id = self.request_id,
            route = self.route,
            reason = self.reason,
            subject = self.who(),
            roles,
            grants,
            would_allow,
            denied_by,
            "refused by the rules"
        );
    }
}

/// At most so many, and a word about the others.
fn listed(items: &[String], most: usize, longest: usize) -> Vec<String> {
    let told = items.iter().take(most).map(|item| harmless(item, longest));
    let others = items.len().saturating_sub(most);
    told.chain((others > 0).then(|| format!("{others} more"))).collect()
}

/// Without tokens and without what could move a cursor, cut to about `longest` bytes.
pub fn harmless(text: &str, longest: usize) -> String {
    let mut kept = String::new();
    for character in redact::tokens(text).chars() {
        if kept.len() >= longest {
            kept.push('…');
            break;
        }
        push_safe(&mut kept, character);
    }
    kept
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time::rfc3339(*time))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::is_unsafe;
    use std::time::Duration;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl";

    fn denied<'a>(subject: Option<&'a str>, would_allow: &str) -> Denied<'a> {
        Denied {
            time: SystemTime::UNIX_EPOCH,
            request_id: "4f2a",
            client: IpAddr::from([192, 0, 2, 1]),
            method: &Method::GET,
            path: "/static/o/c/e/v.mp4",
            route: "media",
            reason: Reason::MissingRole,
            source: Some("moodle"),
            subject,
            roles: &[],
            grants: Vec::new(),
            would_allow: vec![would_allow.to_owned()],
            denied_by: Vec::new(),
        }
    }

    fn add(denials: &Denials, denied: &Denied<'_>) {
        denials.add(denied, Instant::now());
    }

    #[test]
    fn repeats_are_counted_and_the_latest_stand_first() {
        let denials = Denials::new(100);
        add(&denials, &denied(Some("anna"), "role = \"A\""));
        add(&denials, &denied(Some("bert"), "role = \"A\""));
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let again = Denied {
            time: later,
            path: "/static/o/c/e/other.mp4",
            ..denied(Some("anna"), "role = \"A\"")
        };
        add(&denials, &again);
        let latest = denials.latest();
        let told: Vec<_> = latest.iter().map(|one| (one.who().unwrap(), one.count)).collect();
        assert_eq!(told, [("moodle/anna".to_owned(), 2), ("moodle/bert".to_owned(), 1)]);
        assert_eq!((latest[0].first, latest[0].time), (SystemTime::UNIX_EPOCH, later));
        assert_eq!(latest[0].path, "/static/o/c/e/other.mp4");
        // Other roles are another matter.
        let roles = ["B".to_owned()];
        let promoted = Denied {
            roles: &roles,
            ..denied(Some("anna"), "role = \"A\"")
        };
        add(&denials, &promoted);
        assert_eq!(denials.latest().len(), 3);
    }

    #[test]
    fn nobody_flushes_out_the_others() {
        let denials = Denials::new(100);
        add(&denials, &denied(Some("anna"), "role = \"A\""));
        let nameless = |octet: u8| Denied {
            client: IpAddr::from([192, 0, 2, octet]),
            ..denied(None, "role = \"A\"")
        };
        add(&denials, &nameless(7));
        for number in 0..1000 {
            let rule = number.to_string();
            add(&denials, &denied(Some("mallory"), &rule));
            let of_one_address = Denied {
                would_allow: vec![rule.clone()],
                ..nameless(8)
            };
            add(&denials, &of_one_address);
            let of_nobody = Denied {
                source: None,
                client: IpAddr::from([10, 0, 0, (number % 250) as u8]),
                ..denied(None, &rule)
            };
            add(&denials, &of_nobody);
        }
        let latest = denials.latest();
        assert_eq!(latest.len(), 32);
        assert_eq!(
            latest
                .iter()
                .filter(|one| one.subject.as_deref() == Some("anna"))
                .count(),
            1
        );
        assert_eq!(
            latest
                .iter()
                .filter(|one| one.client == nameless(7).client && one.subject.is_none())
                .count(),
            1
        );
        assert_eq!(latest[0].would_allow, ["999"]);
        // Many people: the oldest go.
        for number in 0..1000 {
            add(&denials, &denied(Some(&number.to_string()), "x"));
        }
        let latest = denials.latest();
        assert_eq!((latest.len(), latest[99].subject.as_deref()), (100, Some("900")));
    }

    #[test]
    fn what_is_kept_is_bounded_and_holds_no_token() {
        let denials = Denials::new(1);
        let roles: Vec<String> = (0..100)
            .map(|number| format!("{number}ä{}", "x".repeat(10_000)))
            .collect();
        let path = format!("/static/{TOKEN}/{}", "y".repeat(10_000));
        let huge = Denied {
            path: &path,
            subject: Some(TOKEN),
            roles: &roles,
            grants: roles.clone(),
            would_allow: roles.iter().cloned().chain([TOKEN.to_owned()]).collect(),
            denied_by: vec![format!("{TOKEN}\u{1b}[2J\n\u{202e}")],
            ..denied(None, "")
        };
        add(&denials, &huge);
        let told = serde_json::to_string(&denials.latest()).unwrap();
        assert!(told.len() < 40_000, "{}", told.len());
        assert!(told.contains("68 more") && told.contains("84 more") && told.contains("1970-01-01T00:00:00.000Z"));
        for bad in ["eyJ", "c2ln"] {
            assert!(!told.contains(bad), "{bad}");
        }
        assert!(
            denials
                .latest()
                .iter()
                .all(|kept| !kept.denied_by.concat().contains(is_unsafe))
        );
    }

    #[test]
    fn none_are_kept_where_none_are_wanted() {
        let denials = Denials::new(0);
        assert!(!denials.is_enabled());
        add(&denials, &denied(Some("anna"), "x"));
        assert!(denials.latest().is_empty());
    }
}
