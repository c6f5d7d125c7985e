//! What the upstream is shown of the client.
//!
//! Three things happen to every request on its way in: headers that only the gateway may set are removed whoever sent
//! them, headers that concern one hop end here, and the credentials that the gateway itself judged go no further.
//! Nothing is changed here; the gateway applies what is computed.

pub mod trace;
pub mod unsaid;

use http::header::MaxSizeReached;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use self::unsaid::{is_alike, is_unsaid};
use crate::config::{IdentityHeaders, Present, TokenSource};
use crate::headers::{self, X_REQUESTED_AUTH, cookies};
use crate::query::is_named;
use crate::request::{Client, REQUEST_ID, Request};
use crate::text::starts_in_any_case;

/// RFC 9110 section 7.6.1, and two that never were standard. `Transfer-Encoding` stays: framing is pingora's.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// What callers may say whom the upstream knows: which challenge they want, and, of an Opencast, as whom and with which roles
/// less they come (`RemoteUserAndOrganizationFilter`, which takes it from whom it lets).
const OF_CALLERS: [HeaderName; 3] = [
    X_REQUESTED_AUTH,
    HeaderName::from_static("x-run-as-user"),
    HeaderName::from_static("x-run-with-roles"),
];

/// Of an upstream's answer; those that `Connection` names come with them.
const NOT_FOR_CLIENTS: [HeaderName; 5] = [
    HeaderName::from_static("x-accel-redirect"),
    HeaderName::from_static("x-sendfile"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
];

/// Parameters of a query that hold credentials, on whatever route.
const OWN_PARAMETERS: [&str; 3] = ["jwt", "watch", "signature"];

/// What a session begins with that a back end sends as `Authorization: Bearer`.
const SESSION_BEARER: &[u8] = b"jns_";

/// Headers that nearly every request gets.
const USUALLY_SET: usize = 8;

/// Bytes of the header with the name.
const MAX_SUBJECT: usize = 1 << 10;

/// Bytes of the header with all roles: servers refuse longer ones.
const MAX_ROLES: usize = 8 << 10;

/// The names by which upstreams learn of the client.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers to remove from a request, and headers to set on it afterwards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub remove: Vec<HeaderName>,
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// The person's roles that did not fit into their header.
    pub roles_left_out: usize,
}

impl Changes {
    /// Errors: more headers than a map can hold.
    pub fn apply(self, headers: &mut HeaderMap) -> Result<(), MaxSizeReached> {
        for name in self.remove {
            headers.remove(name);
        }
        for (name, value) in self.set {
            headers.try_insert(name, value)?;
        }
        Ok(())
    }
}

/// What the gateway knows of a request that goes upstream.
pub struct Shown<'a> {
    pub request: &'a Request,
    pub headers: &'a HeaderMap,
    pub client: &'a Client,
    pub request_id: &'a str,
    /// The route's `present`.
    pub present: Present,
    /// Whom the credential that counts speaks for, as far as upstreams may know.
    pub person: Option<Person<'a>>,
    /// Headers in which some route names people: nobody else may send them anywhere.
    pub identity_headers: &'a [HeaderName],
    /// Where tokens may stand: their parameters go nowhere.
    pub sources: &'a [TokenSource],
    /// Headers whose tokens were judged, or are one of ours: those go nowhere either.
    pub judged: &'a [TokenSource],
    /// The upstream's `host`, unless it keeps the client's.
    pub host: Option<&'a HeaderValue>,
    /// It begins a websocket, which the route carries (HTTP/1.1 only).
    pub upgrade: bool,
    /// It brings credentials that the upstream judges: they go on, whatever `present` says, and no cookies.
    pub upstream_auth: bool,
}

/// Who it is, for an upstream that is told so.
pub struct Person<'a> {
    pub headers: &'a IdentityHeaders,
    /// `None`: the name is nobody's business.
    pub subject: Option<&'a str>,
    pub roles: &'a [String],
}

/// The changes that turn the client's headers into those the upstream gets.
pub fn changes(shown: &Shown<'_>) -> Changes {
    let mut changes = Changes {
        remove: Vec::new(),
        set: Vec::with_capacity(USUALLY_SET),
        roles_left_out: 0,
    };
    let nominated = Nominated::of(shown.headers);
    let named_people = |name: &HeaderName| {
        let mut names = shown.identity_headers.iter();
        names.any(|known| is_alike(name, known.as_str()))
    };
    for name in shown.headers.keys() {
        if ends_here(name) || named_people(name) || nominated.contains(name) {
            changes.remove.push(name.clone());
        }
    }
    changes.remove.extend(trace::malformed(shown.headers));
    if shown.upgrade {
        changes.set.extend([
            (header::UPGRADE, HeaderValue::from_static("websocket")),
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
        ]);
    }
    changes.remove.extend(judged_headers(shown));
    if shown.upstream_auth {
        changes.remove.retain(|name| !OF_CALLERS.contains(name));
        changes.remove.push(header::COOKIE);
    } else {
        hide_credentials(shown, &mut changes);
    }
    if let Some(person) = &shown.person {
        named(person, &mut changes);
    }
    if let Some(clean) = referer_without_tokens(shown) {
        changes.set.push((header::REFERER, clean));
    }
    let authority = authority(shown);
    let proto = HeaderValue::from_static(if shown.client.https { "https" } else { "http" });
    let mut set = |name, value: Option<HeaderValue>| changes.set.extend(value.map(|value| (name, value)));
    set(header::HOST, shown.host.or(authority.as_ref()).cloned());
    set(X_FORWARDED_HOST, authority);
    set(X_FORWARDED_PROTO, Some(proto));
    set(X_FORWARDED_FOR, HeaderValue::try_from(shown.client.chain()).ok());
    set(REQUEST_ID, HeaderValue::from_str(shown.request_id).ok());
    changes
}

/// The client's cookies and `Authorization`, as far as `present` keeps them from the upstream.
fn hide_credentials(shown: &Shown<'_>, changes: &mut Changes) {
    match shown.present {
        Present::Pass | Present::Headers => {
            if carries_session(shown.headers) {
                changes.remove.push(header::AUTHORIZATION);
            }
            if cookies::must_change(shown.headers) {
                changes.remove.push(header::COOKIE);
                let kept = cookies::foreign(shown.headers);
                changes.set.extend(kept.map(|kept| (header::COOKIE, kept)));
            }
        }
        Present::None | Present::MoodleToken | Present::OpencastJwt | Present::SignedUrl => {
            changes.remove.extend([header::AUTHORIZATION, header::COOKIE]);
        }
    }
}

/// Host and port as the client wrote them: mostly its own header, whose bytes need not be copied.
fn authority(shown: &Shown<'_>) -> Option<HeaderValue> {
    let authority = &shown.request.authority;
    let written = shown.headers.get(header::HOST);
    let written = written.filter(|host| host.as_bytes() == authority.as_bytes());
    written.cloned().or_else(|| HeaderValue::from_str(authority).ok())
}

/// Headers of an upstream's answer that must not reach a client: those of one hop, and instructions to a file server
/// that this gateway is not (`accel` is).
pub fn answer_removals(headers: &HeaderMap, upgrade: bool) -> Vec<HeaderName> {
    let nominated = Nominated::of(headers);
    let of_one_hop =
        |name: &HeaderName| [header::CONNECTION, header::UPGRADE].contains(name) || nominated.contains(name);
    let ends_here = |name: &&HeaderName| NOT_FOR_CLIENTS.contains(name) || (!upgrade && of_one_hop(name));
    headers.keys().filter(ends_here).cloned().collect()
}

/// Headers of an answer that speak to caches in front of the gateway and count there before `Cache-Control` (RFC 9213,
/// Edge Architecture 1.0, nginx's ngx_http_upstream_module): beside `private` they would make it public again.
pub fn answer_cache_overrides(headers: &HeaderMap) -> Vec<HeaderName> {
    let overrides = |name: &&HeaderName| {
        let name = name.as_str().replace('_', "-");
        name.ends_with("-cache-control")
            || name.starts_with("x-accel-")
            || name.starts_with("x-litespeed-")
            || matches!(
                name.as_str(),
                "surrogate-control" | "edge-control" | "x-reverse-proxy-ttl" | "x-varnish-ttl" | "x-cache-ttl"
            )
    };
    headers.keys().filter(overrides).cloned().collect()
}

/// Headers of an interim answer (1xx) that must not reach a client: all but the links that a browser may load early (RFC
/// 8297). Whatever the final answer is cleared of must not come before it.
pub fn interim_removals(headers: &HeaderMap) -> Vec<HeaderName> {
    headers.keys().filter(|name| *name != header::LINK).cloned().collect()
}

/// The person in headers. A name or role that could become two, or another one, on its way is left out: a control
/// character, space at an end (which who reads a header takes off, RFC 9110 section 5.5), a comma in a role; so is what
/// is beyond [`MAX_SUBJECT`] and [`MAX_ROLES`]. From the first role that finds no room none is told: which ones are is no
/// matter of how long they are.
fn named(person: &Person<'_>, changes: &mut Changes) {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).ok();
    let is_short = |subject: &&str| subject.len() <= MAX_SUBJECT && stays_itself(subject);
    let subject = person.subject.filter(is_short).and_then(value);
    changes
        .set
        .extend(subject.map(|subject| (person.headers.subject.clone(), subject)));
    let mut roles = String::new();
    for role in person
        .roles
        .iter()
        .filter(|role| stays_itself(role) && !role.contains(','))
    {
        if changes.roles_left_out > 0 || roles.len() + role.len() >= MAX_ROLES {
            changes.roles_left_out += 1;
            continue;
        }
        if !roles.is_empty() {
            roles.push(',');
        }
        roles.push_str(role);
    }
    let roles = value(&roles).filter(|_| !roles.is_empty());
    changes
        .set
        .extend(roles.map(|roles| (person.headers.roles.clone(), roles)));
}

fn stays_itself(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.contains(char::is_control)
}

/// A session of a back end's: whoever holds it is that person here.
fn carries_session(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::AUTHORIZATION).iter();
    // Whatever scheme it has, if any: what reads this behind the gateway may be lenient.
    let words = values.flat_map(|value| value.as_bytes().split(u8::is_ascii_whitespace));
    words.into_iter().any(|word| word.starts_with(SESSION_BEARER))
}

/// Meant for this hop, or for the gateway alone to say.
fn ends_here(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name) || is_unsaid(name)
}

/// Names that stand in `Connection`, so that what they name is meant for this hop only (RFC 9110 section 7.6.1).
struct Nominated<'a>(Vec<&'a [u8]>);

impl<'a> Nominated<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        Self(headers::list(headers, header::CONNECTION).collect())
    }

    fn contains(&self, name: &HeaderName) -> bool {
        // Host and what frames the body are not for the client to remove.
        let untouchable = [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        let mut names = self.0.iter();
        names.any(|nominee| nominee.eq_ignore_ascii_case(name.as_str().as_bytes())) && !untouchable.contains(name)
    }
}

/// The headers in which tokens were looked for, where they hold the scheme that was looked for.
fn judged_headers(shown: &Shown<'_>) -> impl Iterator<Item = HeaderName> {
    let holds = |name: &HeaderName, scheme: &str| {
        let mut values = shown.headers.get_all(name).iter();
        // HTTP/2 passes on blanks around a value, and a token behind some is looked at.
        values.any(|value| starts_in_any_case(value.as_bytes().trim_ascii_start(), scheme.as_bytes()))
    };
    shown.judged.iter().filter_map(move |source| match source {
        TokenSource::Header { name, scheme } if holds(name, scheme) => Some(name.clone()),
        TokenSource::Header { .. } | TokenSource::Query { .. } | TokenSource::Form { .. } => None,
    })
}

/// The `Referer` without its query, if there is a token or a pass in that: a page's address may hold one.
fn referer_without_tokens(shown: &Shown<'_>) -> Option<HeaderValue> {
    let mut lines = shown.headers.get_all(header::REFERER).iter();
    let referer = lines.next()?.as_bytes();
    // No browser sends two: the first one is all that goes on, without its query.
    let is_alone = lines.next().is_none();
    if !is_alone {
        let page = referer.split(|byte| *byte == b'?').next().unwrap_or_default();
        return HeaderValue::from_bytes(page).ok();
    }
    let (page, query) = referer.split_at(memchr::memchr(b'?', referer)?);
    let judged = shown.sources.iter().filter_map(|source| match source {
        TokenSource::Query { parameter } => Some(parameter.as_str()),
        TokenSource::Header { .. } | TokenSource::Form { .. } => None,
    });
    let hidden: Vec<&str> = OWN_PARAMETERS.into_iter().chain(judged).collect();
    let is_hidden = |pair: &[u8]| hidden.iter().any(|hidden| is_named(pair, hidden));
    let mut pairs = query.get(1..)?.split(|byte| matches!(byte, b'&' | b'#'));
    pairs.any(is_hidden).then(|| HeaderValue::from_bytes(page).ok())?
}

/// The `Set-Cookie` lines of an upstream's answer that may go on, if one of them may not: no upstream sets the gateway's
/// cookies.
pub fn foreign_set_cookies(headers: &HeaderMap) -> Option<Vec<HeaderValue>> {
    let all = headers.get_all(header::SET_COOKIE);
    all.iter()
        .any(sets_own_cookie)
        .then(|| all.iter().filter(|line| !sets_own_cookie(line)).cloned().collect())
}

/// Would a browser send this `Set-Cookie` line back as a cookie of the gateway's?
pub fn sets_own_cookie(line: &HeaderValue) -> bool {
    cookies::is_own(line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use std::net::IpAddr;

    fn shown_to_upstream(fields: &[(&'static str, &'static str)], present: Present) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let request = Request {
            method: Method::GET,
            authority: "Video.example.edu:8443".into(),
            host: "video.example.edu".into(),
            raw_path: "/".into(),
            query: None,
        };
        let client = Client {
            address: IpAddr::from([192, 0, 2, 7]),
            peer: IpAddr::from([192, 0, 2, 7]),
            https: true,
            hops: Vec::new(),
        };
        let bearer = [TokenSource::Header {
            name: header::AUTHORIZATION,
            scheme: "Bearer".into(),
        }];
        let changes = changes(&Shown {
            request: &request,
            headers: &headers,
            client: &client,
            request_id: "id",
            present,
            person: None,
            identity_headers: &[],
            sources: &bearer,
            judged: &bearer,
            host: None,
            upgrade: false,
            upstream_auth: false,
        });
        for name in changes.remove {
            headers.remove(name);
        }
        for (name, value) in changes.set {
            headers.insert(name, value);
        }
        headers
    }

    #[test]
    fn nobody_but_the_gateway_says_who_the_client_is() {
        let fields = [
            ("x-forwarded-for", "10.0.0.1"),
            ("x_forwarded_for", "10.0.0.1"),
            ("x-forwarded-user", "admin"),
            ("forwarded", "for=10.0.0.1"),
            ("x-run-as-user", "admin"),
            ("x_run-with_roles", "ROLE_ADMIN"),
            ("x-opencast-matterhorn-roles", "ROLE_ADMIN"),
            ("x-requested-auth", "Digest"),
            ("x-request-id", "forged"),
            ("x-harmless", "1"),
        ];
        let seen = shown_to_upstream(&fields, Present::Pass);
        let mut names: Vec<_> = seen.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-harmless",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(seen["x-forwarded-for"], "192.0.2.7");
        assert_eq!(seen["x-forwarded-proto"], "https");
        assert_eq!(seen["x-request-id"], "id");
        assert_eq!(seen["host"], "Video.example.edu:8443");
    }

    #[test]
    fn roles_without_room_are_counted() {
        let told = |roles: &[String]| {
            let mut changes = Changes::default();
            let headers = &IdentityHeaders::default();
            let subject = None;
            named(
                &Person {
                    headers,
                    subject,
                    roles,
                },
                &mut changes,
            );
            (changes.set[0].1.to_str().unwrap().to_owned(), changes.roles_left_out)
        };
        let long = "R".repeat(4000);
        let roles = ["A", &long, "B", &long, &long, "a,b", "C"].map(str::to_owned);
        assert_eq!(told(&roles[..4]), (format!("A,{long},B,{long}"), 0));
        assert_eq!(
            told(&roles),
            (format!("A,{long},B,{long}"), 2),
            "short ones behind neither"
        );
    }

    #[test]
    fn a_name_is_told_as_it_is_or_not_at_all() {
        let headers = IdentityHeaders::default();
        let roles = [" ROLE_A", "ROLE_B ", "ROLE_\tC", "ROLE_D,ROLE_ADMIN", "", "ROLE_E"].map(str::to_owned);
        let told = |subject: &str| {
            let mut changes = Changes::default();
            let person = Person {
                headers: &headers,
                subject: Some(subject),
                roles: &roles,
            };
            named(&person, &mut changes);
            let told: HeaderMap = changes.set.into_iter().collect();
            assert_eq!(told[&headers.roles], "ROLE_E");
            told.get(&headers.subject).cloned()
        };
        let longest = "a".repeat(MAX_SUBJECT);
        for good in ["anna", "Änna", "anna b", &longest] {
            assert_eq!(told(good).unwrap().as_bytes(), good.as_bytes());
        }
        let longer = format!("{longest}a");
        for bad in [
            "",
            " ",
            " admin",
            "admin ",
            "\tadmin",
            "ad\tmin",
            "admin\r\nX-A: b",
            "\u{a0}admin",
            &longer,
        ] {
            assert_eq!(told(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn one_hop_headers_end_here() {
        let fields = [
            ("connection", "close, X-Secret-Hop"),
            ("x-secret-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic eDp5"),
        ];
        let seen = shown_to_upstream(&fields, Present::Pass);
        for (name, _) in fields {
            assert!(!seen.contains_key(name), "{name}");
        }
        let seen = shown_to_upstream(
            &[("connection", "host, content-length"), ("content-length", "3")],
            Present::Pass,
        );
        assert_eq!(seen["content-length"], "3");
    }

    #[test]
    fn pass_keeps_what_was_not_judged() {
        let basic = shown_to_upstream(
            &[("authorization", "Basic eDp5"), ("cookie", "JSESSIONID=1")],
            Present::Pass,
        );
        assert_eq!(basic["authorization"], "Basic eDp5");
        assert_eq!(basic["cookie"], "JSESSIONID=1");
        let bearer = shown_to_upstream(&[("authorization", "bearer x.y.z")], Present::Pass);
        assert!(!bearer.contains_key("authorization"));
        let cookies = shown_to_upstream(
            &[("cookie", "a=1; __Host-janua=s; b=2"), ("cookie", "janua-watch=w")],
            Present::Pass,
        );
        assert_eq!(cookies["cookie"], "a=1; b=2");
    }

    #[test]
    fn no_referer_tells_a_token() {
        for (referer, seen) in [
            ("https://v.example/p?jwt=a.b.c", "https://v.example/p"),
            ("https://v.example/p?a=1&%77atch=x", "https://v.example/p"),
            ("https://v.example/p?a=1&xjwt=2", "https://v.example/p?a=1&xjwt=2"),
            ("https://v.example/p", "https://v.example/p"),
        ] {
            for present in [Present::Pass, Present::None] {
                assert_eq!(shown_to_upstream(&[("referer", referer)], present)["referer"], seen);
            }
        }
    }

    #[test]
    fn none_shows_no_credentials() {
        let seen = shown_to_upstream(
            &[("authorization", "Basic eDp5"), ("cookie", "JSESSIONID=1")],
            Present::None,
        );
        assert!(!seen.contains_key("authorization") && !seen.contains_key("cookie"));
    }
}
