//! The gateway's own addresses, all under `/_janua/`: signing in and out, who one is, and what a CAS server calls.
//!
//! | address | for |
//! | --- | --- |
//! | `/_janua/me` | apps and people: who am I, until when |
//! | `/_janua/sign-in?return=…` | goes to the sign-in server and comes back to `return` |
//! | `/_janua/sign-out` | a page with a button; POST ends the session |
//! | `/_janua/cas/<sign-in>/callback` | the browser on its way back; the CAS server's single logout |
//! | `/_janua/moodle/<moodle>/start?state=…` | the browser on its way to Moodle for a ticket |
//! | `/_janua/cas/<sign-in>/session` | a back end with a proxy ticket: gets a bearer for its user |
//!
//! Decides what each of them answers. Tickets are judged by `authenticate`, and nothing here touches a socket of a client.

mod back_end;
mod callback;
pub mod isolation;
pub mod launch;
mod logout;
mod me;
pub mod moodle;
mod sign_in;
mod sign_out;
pub mod visit;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use self::isolation::Purpose;
pub use self::sign_in::{asks_silently, begin, begin_in_frame, choose, page_load, where_to, where_to_and_back};
use crate::authenticate::session::cookie::{Jar, SESSION};
use crate::authenticate::session::{Carried, Record, Session, SessionStore};
use crate::config::{Cors, Provider, PublicUrl, SignIn};
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::{Reply, cors, page, security};
use crate::route::path::Path;
use crate::snapshot::Snapshot;
use crate::{headers, query};

const HTML: &str = "text/html; charset=utf-8";

/// What everything of the gateway's own begins with.
const PREFIX: &str = "/_janua/";

/// Bytes of a body that is read here: a ticket, or a logout request.
pub const LONGEST_BODY: usize = 64 << 10;

/// For such a body to arrive.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A request to one of these addresses.
pub struct Asked<'a> {
    pub method: &'a Method,
    /// Decoded and canonical.
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Whole.
    pub body: Bytes,
    pub request_id: &'a str,
    /// Its address.
    pub client: IpAddr,
    pub here: Here<'a>,
}

/// Where and when a request is judged, and by what.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    pub snapshot: &'a Snapshot,
    /// The public URL that the client has used.
    pub public: &'a PublicUrl,
    pub now: SystemTime,
    /// Only looked at, by who explains: nobody's session lives on for it.
    pub looks_only: bool,
}

/// Is this path the gateway's own?
pub fn is_own(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// The answer. 404 for addresses that there are not, 405 for methods that they do not have.
pub async fn answer(asked: &Asked<'_>) -> Result<Reply, Rejection> {
    let rest = asked.path.strip_prefix(PREFIX).unwrap_or_default();
    let mut segments = rest.split('/');
    let segments = (segments.next(), segments.next(), segments.next(), segments.next());
    let reads = |what: &'static [Method]| move |method: &Method| only(method, what);
    const GET: &[Method] = &[Method::GET, Method::HEAD];
    const POST: &[Method] = &[Method::POST];
    const BOTH: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
    let config = &asked.here.snapshot.config;
    let is_about_launches = || segments == (Some("sign-out"), None, None, None) && launch::are_begun(config);
    if config.sign_ins.is_empty() && !is_about_launches() {
        return Err(Reason::NoRoute.into());
    }
    let reply = match segments {
        (Some("me" | "sign-out"), None, ..) if *asked.method == Method::OPTIONS => {
            let policy = app_policy(asked.here.snapshot);
            let preflight = cors::preflight(&policy, asked.method, asked.headers, Some(BOTH));
            return preflight.ok_or_else(|| not_this_method(BOTH));
        }
        (Some("me"), None, ..) => {
            reads(GET)(asked.method)?;
            me::answer(asked).await
        }
        (Some("sign-in"), None, ..) => {
            reads(GET)(asked.method)?;
            sign_in::answer(asked).await
        }
        (Some("sign-out"), None, ..) => {
            reads(BOTH)(asked.method)?;
            sign_out::answer(asked).await
        }
        (Some("cas"), Some(name), Some("callback"), None) => {
            reads(BOTH)(asked.method)?;
            callback::answer(asked, index_of(asked.here.snapshot, name)?).await
        }
        (Some("moodle"), Some(name), Some("start"), None) => {
            reads(GET)(asked.method)?;
            moodle::start(asked, name)
        }
        (Some("cas"), Some(name), Some("session"), None) => {
            reads(POST)(asked.method)?;
            back_end::answer(asked, index_of(asked.here.snapshot, name)?).await
        }
        _ => Err(Reason::NoRoute.into()),
    };
    let mut reply = reply?;
    if matches!(segments, (Some("me" | "sign-out"), ..)) {
        let policy = app_policy(asked.here.snapshot);
        reply
            .headers
            .extend(cors::headers(&policy, asked.headers.get(header::ORIGIN)));
    }
    Ok(reply)
}

/// Does answering change nothing, so that who explains may ask for the answer? Going to a sign-in and asking who is
/// there does; tickets are good for once, and whoever signs out is gone.
pub fn is_harmless(method: &Method, path: &str) -> bool {
    let is_cas = path.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with("cas/"));
    !is_cas && method != Method::POST
}

fn only(method: &Method, known: &'static [Method]) -> Result<(), Rejection> {
    match known.contains(method) {
        true => Ok(()),
        false => Err(not_this_method(known)),
    }
}

fn not_this_method(known: &[Method]) -> Rejection {
    Rejection::new(Reason::MethodNotAllowed).with_hint(Hint::Allow(known.to_vec()))
}

fn index_of(snapshot: &Snapshot, name: &str) -> Result<usize, Rejection> {
    let mut sign_ins = snapshot.config.sign_ins.iter();
    let found = sign_ins.position(|sign_in| *sign_in.name == *name);
    found.ok_or_else(|| Reason::NoRoute.into())
}

impl<'a> Here<'a> {
    /// For a request to this host.
    pub fn of(snapshot: &'a Snapshot, host: &str, now: SystemTime) -> Result<Self, Rejection> {
        Ok(Self {
            snapshot,
            public: snapshot.config.server.public_url(host).ok_or(Reason::UnknownHost)?,
            now,
            looks_only: false,
        })
    }

    /// How cookies are called and set at this public URL.
    pub fn jar(&self) -> Jar {
        Jar {
            https: self.public.https,
        }
    }

    /// The session that a request carries: a bearer's if it has one, else the cookie's. `Ok(None)`: there is none.
    pub async fn session(&self, headers: &HeaderMap) -> Result<Option<Arc<Session>>, Rejection> {
        let sessions = &self.snapshot.people.sessions;
        self.first(sessions, self.carried(headers), |_| true).await
    }

    /// The first living session that `counts` of those that a request carries.
    async fn first<R: Record>(
        &self,
        sessions: &SessionStore<R>,
        carried: Vec<Carried<'_>>,
        counts: impl Fn(&Session<R>) -> bool,
    ) -> Result<Option<Arc<Session<R>>>, Rejection> {
        let config = &self.snapshot.config;
        for carried in &carried {
            let found = match self.looks_only {
                true => Box::pin(sessions.peek(carried, config, self.now)).await,
                false => sessions.find(carried, config, self.now).await,
            };
            let found = found.map_err(|error| callback::unavailable(&error))?;
            if let Some(session) = found.filter(|session| counts(session)) {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// The secrets of sessions in a request. A bearer counts alone; cookies may be several, since a sibling host can add
    /// one to ours.
    pub fn carried<'h>(&self, headers: &'h HeaderMap) -> Vec<Carried<'h>> {
        const MOST: usize = 4;
        let authorization = headers::text(headers, header::AUTHORIZATION);
        let bearer = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if let Some(bearer) = bearer.and_then(Carried::bearer) {
            return vec![bearer];
        }
        let cookies = self.jar().all(headers, SESSION);
        cookies.into_iter().take(MOST).map(Carried::cookie).collect()
    }

    /// May a request with a cookie use the session for this? `sign_in` is the session's.
    pub fn is_isolated(
        &self,
        purpose: Purpose,
        (method, headers): (&Method, &HeaderMap),
        app_origins: &[String],
        sign_in: Option<&SignIn>,
    ) -> Result<(), Rejection> {
        let asked = isolation::Asked {
            method,
            headers,
            own: &self.public.origin(),
            app_origins,
            sign_in: sign_in.map(
                |SignIn {
                     provider: Provider::Cas(cas),
                     ..
                 }| &cas.server,
            ),
        };
        isolation::judge(purpose, &asked).map_err(|refusal| {
            let text = refusal.text();
            Rejection::because(Reason::CrossSite, text).with_hint(Hint::Remedy(text))
        })
    }
}

/// Which other origins may ask who somebody is, and sign them out: those of the sign-ins' apps.
fn app_policy(snapshot: &Snapshot) -> Cors {
    Cors {
        apps: app_origins(snapshot),
        ..Cors::default()
    }
}

/// The origins of the apps of all sign-ins.
fn app_origins(snapshot: &Snapshot) -> Vec<String> {
    let sign_ins = snapshot.config.sign_ins.iter();
    sign_ins.flat_map(|sign_in| sign_in.app_origins.clone()).collect()
}

fn redirect(location: &str) -> Result<Reply, Rejection> {
    let location = HeaderValue::from_str(location)
        .map_err(|_| Rejection::because(Reason::Internal, "a redirect to what is no URL"))?;
    let mut headers: Vec<(HeaderName, HeaderValue)> = security::own().into_iter().collect();
    headers.push((header::LOCATION, location));
    Ok(Reply {
        status: StatusCode::SEE_OTHER,
        headers,
        body: Bytes::new(),
    })
}

/// To where a browser was going before it was sent to a sign-in server.
///
/// A redirect, but to a file of Moodle's. That is judged by the page which sends the browser there, and of a chain of
/// redirects it is known only that another site took part in it: `Sec-Fetch-Site` is `cross-site`, and the `Referer` is the
/// sign-in server's, somebody else's whom that one asked, or missing. A page of the gateway's own sends it on then.
fn go_to(here: &Here<'_>, target: &str) -> Result<Reply, Rejection> {
    let mut reply = redirect(target)?;
    if !is_file_of_moodle(here, target) {
        return Ok(reply);
    }
    let refresh = HeaderValue::try_from(format!("0; url={target}"));
    let refresh = refresh.map_err(|_| Rejection::because(Reason::Internal, "a refresh to what is no URL"))?;
    let body = format!("<p><a href=\"{}\">Open the file</a></p>", page::Escaped(target));
    reply.status = StatusCode::OK;
    reply.headers = security::page().collect();
    // The address of this page has the ticket in it; its origin is all that the next one is told.
    reply.headers.retain(|(name, _)| name != header::REFERRER_POLICY);
    reply.headers.extend([
        (header::REFERRER_POLICY, HeaderValue::from_static("origin")),
        (header::REFRESH, refresh),
        (header::CONTENT_TYPE, HeaderValue::from_static(HTML)),
    ]);
    reply.body = page::whole("You are signed in", &body).into();
    Ok(reply)
}

fn is_file_of_moodle(here: &Here<'_>, target: &str) -> bool {
    let origin = here.public.origin();
    let below = target.strip_prefix(&origin).unwrap_or(target);
    let path = below.split(['?', '#']).next().unwrap_or_default();
    let Ok(path) = Path::parse(path) else { return false };
    let snapshot = here.snapshot;
    let found = snapshot.table.find(&here.public.host, path.decoded(), &Method::GET);
    let route = found.ok().and_then(|found| snapshot.routes.get(found.route));
    route.is_some_and(|route| route.injects().is_some())
}

fn json(status: StatusCode, value: &Value) -> Reply {
    let mut headers: Vec<(HeaderName, HeaderValue)> = security::own().into_iter().collect();
    headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    Reply {
        status,
        headers,
        body: value.to_string().into(),
    }
}

/// A page, which no other site may frame: its buttons are for the person alone.
fn html(title: &str, body: &str) -> Reply {
    let mut headers: Vec<(HeaderName, HeaderValue)> = security::form().collect();
    headers.push((header::CONTENT_TYPE, HeaderValue::from_static(HTML)));
    Reply {
        status: StatusCode::OK,
        headers,
        body: page::whole(title, body).into(),
    }
}

/// The first value of a parameter of a form or query.
fn parameter(form: &[u8], name: &str) -> Option<String> {
    query::values(form, name).next().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_uses_something_up_is_no_matter_of_asking() {
        for path in ["/_janua/me", "/_janua/sign-in", "/_janua/sign-out", "/_janua/unknown"] {
            assert!(is_harmless(&Method::GET, path), "{path}");
            assert!(!is_harmless(&Method::POST, path), "{path}");
        }
        for path in ["/_janua/cas/campus/callback", "/_janua/cas/campus/session"] {
            assert!(!is_harmless(&Method::GET, path), "{path}");
            assert!(!is_harmless(&Method::POST, path), "{path}");
        }
        assert!(!is_own("/_janua") && !is_own("/janua/me") && is_own("/_janua/"));
    }
}
