//! How people sign in at the demo's servers: a form that believes whoever says to be a student, and a cookie that makes the
//! second sign-in silent.

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use http::{HeaderValue, Method, Request, Response, StatusCode};

use super::kept::Kept;
use super::loopback::{cookie, parameter, text};
use super::people::{PEOPLE, Person};

const PAGE: &str = include_str!("../../../assets/demo/sign-in.html");

/// Who is signed in at a server.
pub(super) struct SignedIn {
    /// What it is, for people: "CAS server".
    pub(super) server: &'static str,
    /// Name and path of its cookie.
    pub(super) cookie: &'static str,
    pub(super) path: &'static str,
    /// What sessions are called by.
    pub(super) prefix: &'static str,
    pub(super) sessions: Kept<&'static Person>,
}

impl SignedIn {
    /// Who says in the form to be whom; with a new session and its cookie.
    pub(super) fn by_form(&self, request: &Request<Bytes>) -> Option<(&'static Person, String, HeaderValue)> {
        let username = parameter(request, "username").filter(|_| request.method() == Method::POST)?;
        let person = Person::named(&username)?;
        let session = self.sessions.keep(self.prefix, person);
        let set = self.set(&session, "")?;
        Some((person, session, set))
    }

    pub(super) fn by_cookie(&self, request: &Request<Bytes>) -> Option<&'static Person> {
        self.sessions.get(cookie(request, self.cookie)?)
    }

    /// Ends the session of this browser, whose cookie the answer takes away.
    pub(super) fn end(&self, request: &Request<Bytes>, mut answer: Response<String>) -> Response<String> {
        if let Some(session) = cookie(request, self.cookie) {
            self.sessions.take(session);
        }
        answer
            .headers_mut()
            .extend(self.set("", "; Max-Age=0").map(|set| (SET_COOKIE, set)));
        answer
    }

    /// The form, which leads on to addresses that begin with `leads_to`: its policy has to allow that.
    pub(super) fn form(&self, leads_to: &str) -> Response<String> {
        let people = PEOPLE.iter().map(|person| {
            let (username, name) = (person.username, person.name());
            format!("<button class=\"button\" name=\"username\" value=\"{username}\">{name}</button>\n")
        });
        let page = PAGE.replace("@PEOPLE@", &people.collect::<String>());
        let page = page.replace("@SERVER@", self.server);
        let mut answer = text(StatusCode::OK, "text/html; charset=utf-8", page);
        let policy = format!(
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self' {leads_to}; frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        answer
    }

    fn set(&self, value: &str, life: &str) -> Option<HeaderValue> {
        let (name, path) = (self.cookie, self.path);
        HeaderValue::try_from(format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{life}")).ok()
    }
}
