//! A page of the campus's own gives people's tokens for a proxy ticket of CAS, which the gateway gets as a proxying client.

use std::fs::Permissions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::explained::{SCRIPT, explain};
use super::school::{Browser, SITE_INFO, School, script};
use crate::support::cas::{ProxyingBackEnd, query};
use crate::support::double::Double;
use crate::support::http::{Response, values};
use crate::support::secrets::{self, Kind};
use crate::support::{Config, Connection, Moodle, Request, Site, Valkey, eventually};

const ALICES: &str = "9a9eab1e0ddba11c0ffee0d15ea5e111";
const BOBS: &str = "9a9eab1e0ddba11c0ffee0d15ea5e222";

/// How the page answers.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    TheToken,
    Bobs,
    BobsAsAlices,
    NoJson,
    Elsewhere,
    Nothing,
    Failure,
}

/// The page: it has the CAS server tell whose a ticket is, and by way of whom it came.
struct Portal {
    double: Double,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    cas: Option<SocketAddr>,
    says: Says,
    /// The method of each question, who it was for, and the chain of proxies.
    asked: Vec<(String, String, String)>,
}

impl Portal {
    fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            cas: None,
            says: Says::TheToken,
            asked: Vec::new(),
        }));
        let served = Arc::clone(&inner);
        let double = Double::start(move |mut wire| {
            let Ok((line, headers)) = wire.head() else { return };
            let Ok((body, _)) = wire.body(&headers, false) else {
                return;
            };
            let mut words = line.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let given = match method {
                "POST" => String::from_utf8_lossy(&body).into_owned(),
                _ => target.split_once('?').map_or("", |(_, query)| query).to_owned(),
            };
            let mut pairs = form_urlencoded::parse(given.as_bytes());
            let ticket = pairs
                .find(|(name, _)| name == "ticket")
                .map(|(_, value)| value.into_owned());
            // The upstream's health is nobody's question.
            let Some(ticket) = ticket else { return };
            secrets::register(Kind::Ticket, &ticket);
            let host = values(&headers, "host")[0].to_owned();
            let (cas, says) = {
                let inner = served.lock().unwrap();
                (inner.cas.unwrap(), inner.says)
            };
            let asked = query(&[("service", &format!("http://{host}/app")), ("ticket", &ticket)]);
            let asked = Request::get(&format!("/cas/p3/proxyValidate?{asked}")).host(&cas.to_string());
            let told = Connection::open(cas)
                .exchange(asked.header("Connection", "close"))
                .text();
            let between = |before: &str| {
                told.split_once(before)
                    .map(|(_, rest)| rest.split('<').next().unwrap_or_default())
            };
            let user = between("<cas:user>").unwrap_or("nobody").to_owned();
            let chain = between("<cas:proxy>").unwrap_or("none").to_owned();
            served
                .lock()
                .unwrap()
                .asked
                .push((method.to_owned(), user.clone(), chain));
            let good = |user: &str, token: &str| json!({ "data": { "user": user, "token": token } }).to_string();
            let (head, body) = match says {
                Says::TheToken if user == "alice" => ("200 OK", good("Alice", ALICES)),
                Says::TheToken => ("404 Not Found", String::new()),
                Says::Bobs => ("200 OK", good("bob", BOBS)),
                Says::BobsAsAlices => ("200 OK", good("alice", BOBS)),
                Says::NoJson => ("200 OK", "<html>Please log in</html>".to_owned()),
                Says::Elsewhere => ("302 Found\r\nLocation: http://127.0.0.1:9/", good("alice", ALICES)),
                Says::Nothing => ("200 OK", "{\"data\":{\"user\":\"alice\",\"token\":null}}".to_owned()),
                Says::Failure => ("500 Internal Server Error", String::new()),
            };
            let answer = format!(
                "HTTP/1.1 {head}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            // Who asked may be gone.
            drop(wire.stream.write_all(answer.as_bytes()));
        });
        Self { double, inner }
    }

    fn url(&self) -> String {
        format!("http://{}/app", self.double.address)
    }

    fn says(&self, says: Says) {
        self.inner.lock().unwrap().says = says;
    }

    fn asked(&self) -> Vec<(String, String, String)> {
        self.inner.lock().unwrap().asked.clone()
    }

    /// A school with this page, `sources` and further lines of its table.
    fn school(&self, sources: &str, more: &str) -> Option<School> {
        let school = School::start(&self.tokens(sources, more))?;
        self.knows(&school);
        Some(school)
    }

    fn tokens(&self, sources: &str, more: &str) -> String {
        format!(
            "{sources}\n[moodle.campus.page]\nurl = {:?}\ntoken = \"/data/token\"\n{more}\n",
            self.url()
        )
    }

    /// It asks this school's CAS server, and Moodle knows its tokens.
    fn knows(&self, school: &School) {
        self.inner.lock().unwrap().cas = Some(school.cas.address);
        for (token, user) in [(ALICES, "alice"), (BOBS, "bob")] {
            school.moodle.site().give(token, user, "moodle_mobile_app");
        }
    }
}

/// Signs somebody in at the gateway alone.
fn signed_in<'a>(school: &'a School, name: &str) -> Browser<'a> {
    let (person, browser) = (school.cas.person(name), school.browser());
    browser
        .open(&person, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    browser
}

#[test]
fn the_page_gives_the_token_for_a_proxy_ticket() {
    let portal = Portal::start();
    let Some(school) = portal.school("[\"page\"]", "username = \"/data/user\"") else {
        return;
    };
    let browser = signed_in(&school, "alice");
    let (_, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    let prospect = &report["moodle"]["sources"][0]["prospect"];
    assert_eq!(prospect, "the page would be asked with a proxy ticket");
    assert_eq!(portal.asked(), [], "explaining asks nobody");
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    let callback = format!("{}/_janua/cas/campus/pgt", school.origin());
    assert_eq!(portal.asked(), [("POST".to_owned(), "alice".to_owned(), callback)]);
    // Kept: nobody is asked again.
    browser.call(SITE_INFO).expect(200);
    assert_eq!(portal.asked().len(), 1);
    let metrics = school.gateway.admin("/metrics").text();
    assert!(metrics.contains("janua_moodle_tokens_total{moodle=\"campus\",outcome=\"ok\",source=\"page\"} 1"));
    // Whom the page does not know.
    let other = signed_in(&school, "bob");
    other.call(SITE_INFO).expect(502);
    school
        .gateway
        .logged(&["no token", "source=\"page\"", "it answered 404"]);
    school.keeps_its_secrets();
}

#[test]
fn a_page_may_be_asked_by_get_and_a_dead_token_is_asked_for_again() {
    let portal = Portal::start();
    let Some(school) = portal.school("[\"page\"]", "method = \"GET\"") else {
        return;
    };
    let browser = signed_in(&school, "alice");
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().tokens.retain(|row| row.token != ALICES);
    browser.call(SITE_INFO).expect(502);
    school
        .gateway
        .logged(&["no token", "it gives a token that Moodle does not know"]);
    assert_eq!(portal.asked().len(), 2);
    assert!(portal.asked().iter().all(|(method, ..)| method == "GET"));
    school.keeps_its_secrets();
}

#[test]
fn a_page_that_lies_or_fails_gives_way_to_the_next_source() {
    let portal = Portal::start();
    let sources = "[\"page\", \"cas-launch\"]";
    let Some(school) = portal.school(sources, "username = \"/data/user\"") else {
        return;
    };
    for (says, expected) in [
        (Says::Bobs, "Moodle's account is another"),
        (Says::BobsAsAlices, "Moodle's account is another"),
        (Says::NoJson, "its answer is no JSON"),
        (Says::Elsewhere, "it redirects, which is not followed"),
        (Says::Nothing, "there is no token at `token` of its answer"),
        (Says::Failure, "it answered 500"),
    ] {
        portal.says(says);
        let before = portal.asked().len();
        let browser = signed_in(&school, "alice");
        let told = browser.call(SITE_INFO).expect(401).json();
        assert_eq!(told["reason"], "moodle_sign_in_required");
        assert!(portal.asked().len() > before, "the page was not asked");
        school.gateway.logged(&["no token", "source=\"page\"", expected]);
    }
    let browser = signed_in(&school, "alice");
    browser.sign_in(&school.cas.person("alice")).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    school.keeps_its_secrets();
}

#[test]
fn a_page_that_is_away_keeps_nobody_from_signing_in() {
    let portal = Portal::start();
    let Some(school) = portal.school("[\"page\"]", "") else {
        return;
    };
    let browser = signed_in(&school, "alice");
    drop(portal.double);
    browser.call(SITE_INFO).expect(502);
    school
        .gateway
        .logged(&["no token", "source=\"page\"", "it cannot be asked"]);
    signed_in(&school, "bob");
}

#[test]
fn the_ticket_for_tickets_ends_with_the_session() {
    let portal = Portal::start();
    let Some(school) = portal.school("[\"page\"]", "") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser
        .open(&alice, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    browser.call(SITE_INFO).expect(200);
    alice.sign_out();
    eventually("the session is over", || {
        (browser.call(SITE_INFO).status == 401).then_some(())
    });
    assert_eq!(portal.asked().len(), 1);
    school.keeps_its_secrets();
}

#[test]
fn the_cas_server_may_call_another_replica_back_than_the_one_that_asks() {
    let Some(valkey) = Valkey::start() else { return };
    let (portal, site) = (Portal::start(), Site::new());
    let key = site.write("master.key", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n");
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"));
    let Some(school) = School::at(&site, config, &portal.tokens("[\"page\"]", "")) else {
        return;
    };
    portal.knows(&school);
    // Its own address is not the one that the CAS server calls.
    let (second, host) = (school.replica(), school.gateway.http().to_string());
    let get = |target: &str, cookies: &[String]| {
        let request = Request::get(target).host(&host).header("Cookie", &cookies.join("; "));
        second.send(script(request))
    };
    let cookie = |answer: &Response| {
        let set = answer
            .all("set-cookie")
            .into_iter()
            .map(|set| set.split(';').next().unwrap().to_owned());
        set.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>()
    };
    let began = get("/_janua/sign-in?with=campus&return=/_janua/me", &[]);
    let attempt = cookie(&began);
    let back = school.cas.person("alice").sign_in(began.header("location").unwrap());
    let back = &back[url::Position::BeforePath..];
    let session = cookie(&get(back, &attempt).expect(303));
    assert_eq!(get(SITE_INFO, &session).expect(200).json()["username"], "alice");
    assert_eq!(portal.asked().len(), 1);
}

#[test]
fn nobody_gets_anything_by_calling_the_callback() {
    let portal = Portal::start();
    let Some(school) = portal.school("[\"page\"]", "") else {
        return;
    };
    let host = school.gateway.http().to_string();
    let call = |query: &str| {
        school
            .gateway
            .send(Request::get(&format!("/_janua/cas/campus/pgt{query}")).host(&host))
    };
    // The CAS server looks whether somebody is there.
    assert_eq!(call("").expect(200).text(), "");
    assert_eq!(call("?pgtIou=PGTIOU-made-up&pgtId=PGT-made-up").expect(200).text(), "");
    for odd in [
        "?pgtIou=x&pgtId=PGT-1",
        "?pgtIou=PGTIOU-1&pgtId=ST-1",
        "?pgtIou=PGTIOU-1&pgtId=PGT-%0a",
        &format!("?pgtIou=PGTIOU-{}&pgtId=PGT-1", "x".repeat(600)),
    ] {
        assert_eq!(call(odd).status, 400, "{odd}");
    }
    // Whoever signs in has the ticket of the server's own answer, or none, and is signed in all the same.
    signed_in(&school, "alice");
    school.keeps_its_secrets();
}

#[test]
fn a_site_without_a_page_has_no_callback() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let host = school.gateway.http().to_string();
    let call = Request::get("/_janua/cas/campus/pgt?pgtIou=PGTIOU-1&pgtId=PGT-1").host(&host);
    assert_eq!(school.gateway.send(call).status, 404);
}

#[test]
fn a_back_ends_session_has_tickets_for_the_page_where_that_is_wanted() {
    for (lines, is_served) in [("back_ends = true", true), ("", false)] {
        let (portal, back_end) = (Portal::start(), ProxyingBackEnd::start());
        let Some(school) = School::with_back_end(&back_end, &portal.tokens("[\"page\"]", lines)) else {
            return;
        };
        portal.knows(&school);
        let (alice, host) = (school.cas.person("alice"), school.gateway.http().to_string());
        let service = format!("{}/_janua/cas/campus/session", school.origin());
        let ticket = school.cas.proxy_ticket(&alice, &back_end, &service);
        let bring = Request::new("POST", "/_janua/cas/campus/session")
            .host(&host)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&[("ticket", &ticket)]));
        let session = school.gateway.send(bring).expect(201).json();
        let bearer = session["session"].as_str().unwrap();
        let call = || {
            let call = Request::new("POST", SITE_INFO).host(&host).bearer(bearer);
            school.gateway.send(call.body(""))
        };
        if !is_served {
            call().refused(403, "no_moodle_token");
            assert_eq!(portal.asked(), []);
            continue;
        }
        assert_eq!(call().expect(200).json()["username"], "alice");
        // The gateway is the last of the chain, which the server names first.
        let callback = format!("{}/_janua/cas/campus/pgt", school.origin());
        assert_eq!(portal.asked(), [("POST".to_owned(), "alice".to_owned(), callback)]);
        let out = Request::new("POST", "/_janua/sign-out").host(&host).bearer(bearer);
        school.gateway.send(out.body("")).expect(204);
        assert_eq!(call().status, 401);
        school.keeps_its_secrets();
    }
}

#[test]
fn a_ticket_for_tickets_is_shown_to_the_server_that_gave_it_alone() {
    // A Moodle of the same people, who sign in for it at another server.
    let (portal, second) = (Portal::start(), Moodle::start());
    let lines = format!(
        r#"
[sign_in.second]
people = "campus"
[sign_in.second.cas]
server = "http://127.0.0.1:1/cas"

[upstreams.second]
servers = [{:?}]

[moodle.second]
upstream   = "second"
public_url = "http://second.localhost"
sign_in    = "second"
tokens     = ["page"]
[moodle.second.page]
url   = {:?}
token = "/data/token"

[[routes]]
name     = "second"
path     = "/second/webservice/{{*rest}}"
strip    = "/second"
upstream = "second"
present  = "moodle-token"
accept   = ["session"]
sign_in  = ["campus", "second"]
allow    = [{{ signed_in = true }}]
"#,
        second.url(),
        portal.url(),
    );
    let config = Config::new().section(&lines);
    let Some(school) = School::at(&Site::new(), config, &portal.tokens("[\"page\"]", "")) else {
        return;
    };
    portal.knows(&school);
    let browser = signed_in(&school, "alice");
    browser
        .call(&format!("/second{SITE_INFO}"))
        .refused(403, "no_moodle_token");
    assert_eq!(portal.asked(), []);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(portal.asked().len(), 1);
    school.keeps_its_secrets();
}
