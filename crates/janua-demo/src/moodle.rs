//! The Moodle of the demo: from a ticket to a session, from a session or a ticket to a token, two web services and a file;
//! beside it on the same host, two apps that call them.
//!
//! Enough for `cas-launch`, the gateway's default source, and for `cas-facade`: the CAS server that this Moodle asks is the
//! gateway. A real Moodle has pages of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha2::Sha256;

use super::get;
use super::kept::Kept;
use super::loopback::{PLAIN, cookie, nothing, parameter, redirect, text};
use super::people::Person;

const PAGE: &str = include_str!("../../../assets/demo/courses.html");
const SCRIPT: &str = include_str!("../../../assets/demo/courses.js");
const STYLE: &str = include_str!("../../../assets/demo/campus.css");
/// The other app: one file, which calls below a prefix of its own.
const APP: &str = include_str!("../../../docs/apps/page.html");

/// Where CAS sends browsers for Moodle.
const LOGIN: &str = "/login/index.php?authCAS=CAS";
const SESSION: &str = "MoodleSession";
/// Where a ticket is taken in place of a password, and by what phpCAS knows the next request.
const TOKEN: &str = "/login/token.php";
const PHP_SESSION: &str = "PHPSESSID";
const FILES: &str = "/webservice/pluginfile.php/";
const SYLLABUS: &str = "syllabus.txt";

pub(super) struct Moodle {
    /// `$CFG->wwwroot`: the gateway, which stands in front.
    wwwroot: String,
    /// The CAS server of its settings: the gateway's facade.
    cas: String,
    client: reqwest::Client,
    /// What the apps' pages may load and where their forms lead.
    policies: [HeaderValue; 2],
    /// Whom tickets have named: at the login address, and at the token script.
    sessions: Kept<&'static Person>,
    php_sessions: Kept<&'static Person>,
    tokens: Kept<&'static Person>,
}

impl Moodle {
    /// `cas_origin` is where browsers meet the CAS server: signing out ends there. `client` asks the facade.
    pub(super) fn new(wwwroot: String, cas_origin: &str, client: reqwest::Client) -> Self {
        let policies = [
            format!(
                "default-src 'self'; base-uri 'none'; form-action 'self' {cas_origin}; frame-ancestors 'none'; object-src 'none'"
            ),
            format!(
                "default-src 'none'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'",
                STANDARD.encode(Sha256::digest(script_of(APP)))
            ),
        ];
        let policy = |text| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("default-src 'self'"));
        Self {
            cas: format!("{wwwroot}/_janua/cas-facade"),
            wwwroot,
            client,
            policies: policies.map(policy),
            sessions: Kept::new(),
            php_sessions: Kept::new(),
            tokens: Kept::new(),
        }
    }

    /// Whose ticket it is, as the CAS server says. phpCAS asks over https alone; here is no certificate.
    async fn asked(&self, service: &str, ticket: &str) -> Option<&'static Person> {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("service", service), ("ticket", ticket)])
            .finish();
        let url = format!("{}/serviceValidate?{query}", self.cas);
        let told = get(&self.client, &url).await.ok()?;
        let (_, told) = told.split_once("<cas:user>")?;
        Person::named(told.split_once("</cas:user>")?.0)
    }

    /// With a ticket, the session begins; the next request says whose it is.
    async fn login(&self, request: &Request<Bytes>) -> Response<String> {
        let service = format!("{}{LOGIN}", self.wwwroot);
        if let Some(ticket) = parameter(request, "ticket") {
            return match self.asked(&service, &ticket).await {
                Some(person) => found(&service, Some((SESSION, &self.sessions.keep("", person)))),
                None => nothing(),
            };
        }
        if parameter(request, "loginredirect").is_some() {
            return text(StatusCode::OK, PLAIN, "Invalid login, please try again.\n");
        }
        match self.of_session(request) {
            Some(Person { account: Some(id), .. }) => {
                redirect(&format!("{}/login/index.php?testsession={id}", self.wwwroot))
            }
            Some(_) => redirect(&format!("{}/login/index.php?loginredirect=1", self.wwwroot)),
            None => {
                let service: String = form_urlencoded::byte_serialize(service.as_bytes()).collect();
                found(&format!("{}/login?service={service}", self.cas), None)
            }
        }
    }

    /// What Moodle's app gets: the session's token, signed with the app's `passport`.
    fn launch(&self, request: &Request<Bytes>) -> Response<String> {
        let person = self.of_session(request).filter(|person| person.account.is_some());
        let (Some(person), Some(passport)) = (person, parameter(request, "passport")) else {
            return nothing();
        };
        let signature = md5_hex(&format!("{}{passport}", self.wwwroot));
        let token = STANDARD.encode(format!("{signature}:::{}", self.token_of(person)));
        found(&format!("moodlemobile://token={token}"), None)
    }

    /// `token.php`: a ticket is taken by one request, and the next one gets the token.
    async fn token(&self, request: &Request<Bytes>) -> Response<String> {
        let service = format!("{}{TOKEN}", self.wwwroot);
        if parameter(request, "appsitecheck").is_some() {
            return json_answer(&json!({ "appsitecheck": "ok" }));
        }
        if let Some(ticket) = parameter(request, "ticket") {
            return match self.asked(&service, &ticket).await {
                Some(person) => found(&service, Some((PHP_SESSION, &self.php_sessions.keep("", person)))),
                None => error(
                    StatusCode::OK,
                    "generalexceptionmessage",
                    "CAS authentication failed [INVALID_TICKET]",
                ),
            };
        }
        let person = cookie(request, PHP_SESSION).and_then(|session| self.php_sessions.get(session));
        let named = parameter(request, "username").unwrap_or_default().to_lowercase();
        match person.filter(|person| person.username == named && person.account.is_some()) {
            Some(person) => json_answer(&json!({ "token": self.token_of(person), "privatetoken": null })),
            None => error(StatusCode::OK, "invalidlogin", "Invalid login, please try again"),
        }
    }

    /// One that there is already, rather than another.
    fn token_of(&self, person: &'static Person) -> String {
        let known = self.tokens.name_of(|owner| owner.username == person.username);
        known.unwrap_or_else(|| self.tokens.keep("", person))
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
                "sitename": "A stand-in for Moodle", "siteurl": self.wwwroot, "userid": person.account,
                "username": person.username, "fullname": person.name(),
                "firstname": person.first_name, "lastname": person.last_name,
                // Moodle tells this key to every caller; the gateway does not pass it on.
                "userprivateaccesskey": md5_hex(&token),
            }),
            (Some(person), "core_enrol_get_users_courses") => {
                self.courses(person, parameter(request, "userid").as_deref())
            }
            (Some(_), _) => json!({
                "exception": "webservice_access_exception", "errorcode": "accessexception",
                "message": "Access control exception",
            }),
        };
        json_answer(&told)
    }

    /// Others' courses are nobody's business here.
    fn courses(&self, person: &Person, of: Option<&str>) -> Value {
        if of != person.account.map(|id| id.to_string()).as_deref() {
            return json!([]);
        }
        let courses = person.courses.iter().map(|(id, short, full)| {
            let file = format!("{}{FILES}{id}/course/overviewfiles/{SYLLABUS}", self.wwwroot);
            json!({
                "id": id, "shortname": short, "fullname": full,
                "overviewfiles": [{ "filename": SYLLABUS, "mimetype": "text/plain", "fileurl": file }],
            })
        });
        courses.collect()
    }

    /// The file of a course, for those who are in it.
    fn file(&self, request: &Request<Bytes>, path: &str) -> Response<String> {
        let Some(token) = parameter(request, "token") else {
            let told = "A required parameter (token) was missing";
            return error(StatusCode::OK, "missingparam", told);
        };
        let Some(person) = self.tokens.get(&token) else {
            return error(StatusCode::OK, "invalidtoken", "Invalid token - token not found");
        };
        let is_its = |id: &u64| path == format!("{id}/course/overviewfiles/{SYLLABUS}");
        match person.courses.iter().find(|(id, ..)| is_its(id)) {
            Some((_, short, full)) => text(
                StatusCode::OK,
                PLAIN,
                format!("{short}: {full}\n\nFor {}.\n", person.name()),
            ),
            None => error(
                StatusCode::NOT_FOUND,
                "filenotfound",
                "Sorry, the requested file could not be found",
            ),
        }
    }

    fn of_session(&self, request: &Request<Bytes>) -> Option<&'static Person> {
        self.sessions.get(cookie(request, SESSION)?)
    }

    /// `None`: the path is not one of Moodle's.
    pub(super) async fn answer(&self, request: &Request<Bytes>) -> Option<Response<String>> {
        let [courses_policy, app_policy] = &self.policies;
        Some(match request.uri().path() {
            "/login/index.php" => self.login(request).await,
            "/admin/tool/mobile/launch.php" => self.launch(request),
            TOKEN => self.token(request).await,
            "/webservice/rest/server.php" => self.rest(request),
            // What `janua check` asks.
            "/lib/ajax/service-nologin.php" => json_answer(&json!([{ "error": false, "data": {
                "wwwroot": self.wwwroot, "httpswwwroot": self.wwwroot, "sitename": "A stand-in for Moodle",
                "enablewebservices": 1, "enablemobilewebservice": 1, "maintenanceenabled": 0, "typeoflogin": 1,
                "launchurl": format!("{}/admin/tool/mobile/launch.php", self.wwwroot),
                "identityproviders": [{ "name": "CAS", "url": format!("{}{LOGIN}", self.wwwroot) }],
            } }])),
            "/courses/" => page(PAGE, courses_policy),
            "/courses/courses.js" => text(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT),
            "/courses/campus.css" => text(StatusCode::OK, "text/css; charset=utf-8", STYLE),
            "/campus-app/" => page(APP, app_policy),
            path => self.file(request, path.strip_prefix(FILES)?),
        })
    }
}

fn page(page: &'static str, policy: &HeaderValue) -> Response<String> {
    let mut page = text(StatusCode::OK, "text/html; charset=utf-8", page);
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy.clone());
    page
}

/// What stands in the one script of a page.
fn script_of(page: &str) -> &str {
    let script = page.split_once("<script type=\"module\">").map_or("", |(_, rest)| rest);
    script.split_once("</script>").map_or("", |(script, _)| script)
}

/// 302 Found, as PHP leads on, with a cookie perhaps.
fn found(to: &str, set: Option<(&str, &str)>) -> Response<String> {
    let mut answer = redirect(to);
    *answer.status_mut() = StatusCode::FOUND;
    let set = set.map(|(name, value)| HeaderValue::try_from(format!("{name}={value}; path=/; HttpOnly")));
    answer
        .headers_mut()
        .extend(set.and_then(Result::ok).map(|set| (SET_COOKIE, set)));
    answer
}

/// As PHP's `md5` gives it.
fn md5_hex(text: &str) -> String {
    Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn json_answer(told: &Value) -> Response<String> {
    text(StatusCode::OK, "application/json; charset=utf-8", told.to_string())
}

/// An error of a script that is no web service.
fn error(status: StatusCode, code: &str, told: &str) -> Response<String> {
    let told = json!({
        "error": told, "errorcode": code, "stacktrace": null, "debuginfo": null, "reproductionlink": null,
    });
    text(status, "application/json; charset=utf-8", told.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_page_has_one_script_which_its_policy_names() {
        assert_eq!(APP.matches("<script").count(), 1);
        assert!(script_of(APP).contains("await moodle("));
        let moodle = Moodle::new(
            "http://127.0.0.1:8080".to_owned(),
            "http://localhost:9000",
            reqwest::Client::new(),
        );
        let digest = STANDARD.encode(Sha256::digest(script_of(APP)));
        assert!(moodle.policies[1].to_str().unwrap().contains(&digest));
    }

    #[test]
    fn a_file_is_for_who_is_in_the_course_and_errors_are_as_moodles() {
        let moodle = Moodle::new(
            "http://127.0.0.1:8080".to_owned(),
            "http://localhost:9000",
            reqwest::Client::new(),
        );
        let token = moodle.token_of(Person::named("anna").unwrap());
        let get = |query: &str, course: u64| {
            let path = format!("{course}/course/overviewfiles/{SYLLABUS}");
            let request = Request::get(format!("{FILES}{path}{query}"))
                .body(Bytes::new())
                .unwrap();
            let answer = moodle.file(&request, &path);
            (answer.status(), answer.into_body())
        };
        let theirs = format!("?token={token}");
        let (status, told) = get(&theirs, 4);
        assert!(status == StatusCode::OK && told.contains("British Algae"), "{told}");
        assert_eq!(get(&theirs, 9).0, StatusCode::NOT_FOUND, "Bertha's");
        for (query, code) in [("", "missingparam"), ("?token=0", "invalidtoken")] {
            let (status, told) = get(query, 4);
            assert!(status == StatusCode::OK && told.contains(code), "{told}");
        }
    }
}
