//! The Moodle of the demo: from a ticket to a session, from a session to a token, and two web services; beside it
//! on the same host, an app that calls them.
//!
//! Enough for `cas-launch`, the gateway's default source. A real Moodle asks the CAS server over HTTP what is a call here,
//! and has pages of its own.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::cas::Cas;
use super::kept::Kept;
use super::loopback::{cookie, nothing, parameter, redirect, text};
use super::people::Person;

const PAGE: &str = include_str!("../../../assets/demo/courses.html");
const SCRIPT: &str = include_str!("../../../assets/demo/courses.js");
const STYLE: &str = include_str!("../../../assets/demo/campus.css");

/// Where CAS sends browsers for Moodle.
const LOGIN: &str = "/login/index.php?authCAS=CAS";
const SESSION: &str = "MoodleSession";

pub(super) struct Moodle {
    /// `$CFG->wwwroot`: the gateway, which stands in front.
    wwwroot: String,
    cas: Arc<Cas>,
    /// Where browsers sign in.
    cas_login: String,
    /// What the app's page may load and where its form leads.
    policy: HeaderValue,
    sessions: Kept<&'static Person>,
    tokens: Kept<&'static Person>,
}

impl Moodle {
    /// `cas_origin` is where browsers meet the CAS server: signing out ends there.
    pub(super) fn new(wwwroot: String, cas: Arc<Cas>, cas_origin: &str) -> Self {
        let policy = format!(
            "default-src 'self'; base-uri 'none'; form-action 'self' {cas_origin}; frame-ancestors 'none'; object-src 'none'"
        );
        Self {
            wwwroot,
            cas,
            cas_login: format!("{cas_origin}/cas/login"),
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'self'")),
            sessions: Kept::new(),
            tokens: Kept::new(),
        }
    }

    /// With a ticket, the session begins; the next request says whose it is.
    fn login(&self, request: &Request<Bytes>) -> Response<String> {
        let service = format!("{}{LOGIN}", self.wwwroot);
        if let Some(ticket) = parameter(request, "ticket") {
            let Some(person) = self.cas.validate(&service, &ticket) else {
                return nothing();
            };
            let mut answer = redirect(&service);
            *answer.status_mut() = StatusCode::FOUND;
            let set = format!("{SESSION}={}; path=/; HttpOnly", self.sessions.keep("", person));
            if let Ok(set) = HeaderValue::from_str(&set) {
                answer.headers_mut().append(SET_COOKIE, set);
            }
            return answer;
        }
        match self.person(request) {
            Some(person) => redirect(&format!("{}/login/index.php?testsession={}", self.wwwroot, person.id)),
            None => {
                let service: String = form_urlencoded::byte_serialize(service.as_bytes()).collect();
                let mut answer = redirect(&format!("{}?service={service}", self.cas_login));
                *answer.status_mut() = StatusCode::FOUND;
                answer
            }
        }
    }

    /// What Moodle's app gets: the session's token, signed with the app's `passport`.
    fn launch(&self, request: &Request<Bytes>) -> Response<String> {
        let (Some(person), Some(passport)) = (self.person(request), parameter(request, "passport")) else {
            return nothing();
        };
        let known = self.tokens.name_of(|owner| owner.username == person.username);
        let token = known.unwrap_or_else(|| self.tokens.keep("", person));
        let signature = md5_hex(&format!("{}{passport}", self.wwwroot));
        let mut answer = redirect(&format!(
            "moodlemobile://token={}",
            STANDARD.encode(format!("{signature}:::{token}"))
        ));
        *answer.status_mut() = StatusCode::FOUND;
        answer
    }

    /// Errors have status 200.
    fn rest(&self, request: &Request<Bytes>) -> Response<String> {
        let [token, function] = ["wstoken", "wsfunction"].map(|name| parameter(request, name).unwrap_or_default());
        let told = match (self.tokens.get(&token), function.as_str()) {
            (None, _) => json!({
                "exception": "moodle_exception", "errorcode": "invalidtoken",
                "message": "Invalid token - token not found",
            }),
            (Some(person), "core_webservice_get_site_info") => json!({
                "sitename": "A stand-in for Moodle", "siteurl": self.wwwroot, "userid": person.id,
                "username": person.username, "fullname": person.name(),
                "firstname": person.first_name, "lastname": person.last_name,
                // Moodle tells this key to every caller; the gateway does not pass it on.
                "userprivateaccesskey": md5_hex(&token),
            }),
            (Some(person), "core_enrol_get_users_courses") => courses(person, parameter(request, "userid").as_deref()),
            (Some(_), _) => json!({
                "exception": "webservice_access_exception", "errorcode": "accessexception",
                "message": "Access control exception",
            }),
        };
        json_answer(&told)
    }

    fn person(&self, request: &Request<Bytes>) -> Option<&'static Person> {
        self.sessions.get(cookie(request, SESSION)?)
    }

    fn page(&self) -> Response<String> {
        let mut page = text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
        page.headers_mut().insert(CONTENT_SECURITY_POLICY, self.policy.clone());
        page
    }

    /// `None`: the path is not one of Moodle's.
    pub(super) fn answer(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        Some(match request.uri().path() {
            "/login/index.php" => self.login(request),
            "/admin/tool/mobile/launch.php" => self.launch(request),
            "/webservice/rest/server.php" => self.rest(request),
            // What `janua check` asks.
            "/login/token.php" => json_answer(&json!({ "appsitecheck": "ok" })),
            "/lib/ajax/service-nologin.php" => json_answer(&json!([{ "error": false, "data": {
                "wwwroot": self.wwwroot, "httpswwwroot": self.wwwroot, "sitename": "A stand-in for Moodle",
                "enablewebservices": 1, "enablemobilewebservice": 1, "maintenanceenabled": 0, "typeoflogin": 1,
                "launchurl": format!("{}/admin/tool/mobile/launch.php", self.wwwroot),
                "identityproviders": [{ "name": "CAS", "url": format!("{}{LOGIN}", self.wwwroot) }],
            } }])),
            "/courses/" => self.page(),
            "/courses/courses.js" => text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
            "/courses/campus.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            _ => return None,
        })
    }
}

/// Others' courses are nobody's business here.
fn courses(person: &Person, of: Option<&str>) -> Value {
    if of != Some(person.id.to_string().as_str()) {
        return json!([]);
    }
    let courses = person
        .courses
        .iter()
        .map(|(id, short, full)| json!({ "id": id, "shortname": short, "fullname": full }));
    courses.collect()
}

/// As PHP's `md5` gives it.
fn md5_hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_answer(told: &Value) -> Response<String> {
    text(StatusCode::OK, "application/json; charset=utf-8", told.to_string())
}
