//! A request to one of the gateway's own addresses, and the public origin that it was sent to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use parking_lot::Mutex;

use super::{People, Provider, SignIn};
use crate::authenticate::session::cookie::{Jar, SESSION};
use crate::authenticate::session::{Attributes, Carried, Record, Session, SessionStore};
use crate::authenticate::watch::Revocations;
use crate::config::{Config, Present, PublicUrl};
use crate::rejection::{Reason, Rejection};
use crate::respond::page::{Escaped, Look, Reader};
use crate::respond::{HTML, Reply, security};
use crate::route::path::Path;
use crate::route::table::Table;
use crate::{headers, query};

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
    pub brought: Brought,
}

/// What a sign-in server tells once, for the session that began by it. It is in nobody's record, and gone with the request.
#[derive(Default)]
pub struct Brought(Mutex<Option<(Arc<Session>, Attributes)>>);

impl Brought {
    pub(super) fn put(&self, session: &Arc<Session>, once: Attributes) {
        if !once.is_empty() {
            *self.0.lock() = Some((Arc::clone(session), once));
        }
    }

    /// The session that has begun, and what was told.
    pub fn take(&self) -> Option<(Arc<Session>, Attributes)> {
        self.0.lock().take()
    }
}

impl Asked<'_> {
    /// The first value of a parameter of the query.
    pub fn in_query(&self, name: &str) -> Option<String> {
        query::first(self.query.unwrap_or_default().as_bytes(), name)
    }

    /// The first value of a field of the form.
    pub fn in_form(&self, name: &str) -> Option<String> {
        query::first(&self.body, name)
    }
}

/// Where and when a request is judged, and by what.
#[derive(Clone, Copy)]
pub struct Here<'a> {
    pub config: &'a Arc<Config>,
    pub table: &'a Table,
    pub people: &'a People,
    /// In the order of the configuration's sign-ins.
    pub providers: &'a [Provider],
    pub revocations: &'a Revocations,
    /// The public URL that the client has used.
    pub public: &'a PublicUrl,
    pub now: SystemTime,
    /// Only looked at, by who explains: nobody's session lives on for it.
    pub looks_only: bool,
    /// How pages look, and the languages that the browser wants.
    pub look: &'a Look,
    pub accept_language: Option<&'a HeaderValue>,
}

impl<'a> Here<'a> {
    /// The same, for a request with these headers: pages are in its language.
    pub fn read_by(mut self, headers: &'a HeaderMap) -> Self {
        self.accept_language = headers.get(header::ACCEPT_LANGUAGE);
        self
    }

    /// Who reads a page.
    pub fn reader(&self) -> Reader<'a> {
        Reader::new(self.look, self.accept_language)
    }

    /// By its place in the configuration.
    pub fn sign_in(&self, index: usize) -> Option<SignIn<'a>> {
        Some(SignIn {
            index,
            config: self.config.sign_ins.get(index)?,
            provider: self.providers.get(index)?,
        })
    }

    pub fn sign_in_named(&self, name: &str) -> Option<SignIn<'a>> {
        let mut sign_ins = self.config.sign_ins.iter();
        self.sign_in(sign_ins.position(|sign_in| *sign_in.name == *name)?)
    }

    /// The origins of the apps of all sign-ins.
    pub fn app_origins(&self) -> Vec<String> {
        let sign_ins = self.config.sign_ins.iter();
        sign_ins.flat_map(|sign_in| sign_in.app_origins.clone()).collect()
    }

    /// How cookies are called and set at this public URL.
    pub fn jar(&self) -> Jar {
        Jar {
            https: self.public.https,
        }
    }

    /// The session that a request carries: a bearer's if it has one, else the cookie's. `Ok(None)`: there is none.
    pub async fn session(&self, headers: &HeaderMap) -> Result<Option<Arc<Session>>, Rejection> {
        self.first(&self.people.sessions, self.carried(headers), |_| true).await
    }

    /// The first living session that `counts` of those that a request carries.
    pub async fn first<R: Record>(
        &self,
        sessions: &SessionStore<R>,
        carried: Vec<Carried<'_>>,
        counts: impl Fn(&Session<R>) -> bool,
    ) -> Result<Option<Arc<Session<R>>>, Rejection> {
        for carried in &carried {
            let found = match self.looks_only {
                true => Box::pin(sessions.peek(carried, self.config, self.now)).await?,
                false => sessions.find(carried, self.config, self.now).await?,
            };
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

    /// To where a browser was going before it was sent to a sign-in server.
    ///
    /// A redirect, but to a file of Moodle's. That is judged by the page which sends the browser there, and of a chain of
    /// redirects it is known only that another site took part in it: `Sec-Fetch-Site` is `cross-site`, and the `Referer` is
    /// the sign-in server's, somebody else's whom that one asked, or missing. A page of the gateway's own sends it on then.
    pub fn go_to(&self, target: &str) -> Result<Reply, Rejection> {
        if !self.is_file_of_moodle(target) {
            return Reply::redirect(target);
        }
        let refresh = HeaderValue::try_from(format!("0; url={target}"));
        let refresh = refresh.map_err(|_| Rejection::because(Reason::Internal, "a refresh to what is no URL"))?;
        let reader = self.reader();
        let mut reply = Reply {
            status: StatusCode::OK,
            headers: security::page(&reader).collect(),
            body: Bytes::new(),
        };
        // The address of this page has the ticket in it; its origin is all that the next one is told.
        reply.headers.retain(|(name, _)| name != header::REFERRER_POLICY);
        reply.headers.extend([
            (header::REFERRER_POLICY, HeaderValue::from_static("origin")),
            (header::REFRESH, refresh),
        ]);
        let (target, file) = (Escaped(target), Escaped(reader.texts.open_the_file));
        let body = format!("<p><a href=\"{target}\">{file}</a></p>");
        reply.set_body(HTML, reader.whole(reader.texts.arrived_title, &body));
        Ok(reply)
    }

    fn is_file_of_moodle(&self, target: &str) -> bool {
        let below = target.strip_prefix(&self.public.origin()).unwrap_or(target);
        let Ok(path) = Path::parse(below.split(['?', '#']).next().unwrap_or_default()) else {
            return false;
        };
        let found = self.table.find(&self.public.host, path.decoded(), &Method::GET);
        let route = found.ok().and_then(|found| self.config.routes.get(found.route));
        route.is_some_and(|route| route.present == Present::MoodleToken)
    }
}
