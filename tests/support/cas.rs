//! A real CAS server, django-cas-server, on a port of its own with a database of its own, and people who use it by
//! HTTP: what a browser would do, without one.
//!
//! Accounts: `alice` (two affiliations, odd letters), `bob`, `carol` (no attributes); everybody's password is
//! [`PASSWORD`]. Registered services: on loopback what lies below `/_janua/cas/`, and few other paths; `http://renamed.test/`, whose user is the attribute `uid`;
//! `http://noattr.test/`, which is told no attributes and takes no proxy tickets; `http://bobs.test/`, which only bob may
//! use; and any site with TLS. Single logout is for those on loopback, since nobody listens elsewhere, and names below
//! `localhost` are known to browsers only.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::double::Double;
use super::http::{Connection, Request, Response};
use super::secrets::{self, Kind};
use super::tools::brought;

pub const PASSWORD: &str = "wonderland";

/// A running server; killed on drop.
pub struct CasServer {
    child: Child,
    /// It ends when this is closed, should the test not come to its end.
    _alive: ChildStdin,
    pub address: SocketAddr,
    _folder: TempDir,
}

/// A person with a browser's cookies for this server.
pub struct Person<'a> {
    server: &'a CasServer,
    name: String,
    cookies: Mutex<Vec<(String, String)>>,
}

/// A back end that asks for proxy-granting tickets: it keeps what the server calls it with.
pub struct ProxyingBackEnd {
    double: Double,
    granted: Arc<Mutex<Vec<(String, String)>>>,
}

impl CasServer {
    /// `None`: it cannot be had here, and the test returns too.
    pub fn start() -> Option<Self> {
        Self::with_ticket_seconds(60)
    }

    /// The same with further attributes of accounts: `{"alice": {"moodleToken": "…"}}`.
    pub fn telling(more: &Value) -> Option<Self> {
        Self::with_world(&told(world(60), more))
    }

    /// The same with tickets that are good for so many seconds.
    pub fn with_ticket_seconds(seconds: u32) -> Option<Self> {
        Self::with_world(&world(seconds))
    }

    fn with_world(world: &Value) -> Option<Self> {
        let python = brought("cas")?.join("bin/python");
        let folder = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/cas/server.py");
        let mut child = Command::new(python)
            .arg(script)
            .arg(folder.path())
            .arg(world.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut port)
            .unwrap();
        let port: u16 = port.trim().parse().expect("the CAS server says its port");
        Some(Self {
            _alive: child.stdin.take().unwrap(),
            child,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            _folder: folder,
        })
    }

    /// What stands before `/login`.
    pub fn url(&self) -> String {
        format!("http://{}/cas", self.address)
    }

    /// Somebody who has not signed in yet.
    pub fn person(&self, name: &str) -> Person<'_> {
        Person {
            server: self,
            name: name.to_owned(),
            cookies: Mutex::default(),
        }
    }

    /// A proxy ticket for `target`, by way of a back end at which the person has signed in.
    pub fn proxy_ticket(&self, person: &Person<'_>, back_end: &ProxyingBackEnd, target: &str) -> String {
        let service = back_end.service();
        let ticket = person.ticket(&service);
        let query = query(&[("service", &service), ("ticket", &ticket), ("pgtUrl", &back_end.url())]);
        let answer = self.get(&format!("/cas/p3/serviceValidate?{query}")).expect(200).text();
        let iou = between(&answer, "<cas:proxyGrantingTicket>", "<").unwrap_or_else(|| panic!("{answer}"));
        let query = self::query(&[("pgt", &back_end.granted(iou)), ("targetService", target)]);
        let answer = self.get(&format!("/cas/proxy?{query}")).expect(200).text();
        let ticket = between(&answer, "<cas:proxyTicket>", "<");
        ticket.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn get(&self, target: &str) -> Response {
        self.send(Request::get(target))
    }

    fn send(&self, request: Request) -> Response {
        let host = self.address.to_string();
        let answer = Connection::open(self.address).exchange(request.host(&host).header("Connection", "close"));
        for location in answer.all("location") {
            secrets::register_tickets(location);
        }
        secrets::register_tickets(&answer.text());
        for set in answer.all("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            if let Some((_, id)) = pair.split_once('=').filter(|(name, _)| *name == "sessionid") {
                secrets::register(Kind::Session, id);
            }
        }
        answer
    }
}

impl Drop for CasServer {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Person<'_> {
    /// Goes to a login address of this server and does what is asked there: fills in the form, or nothing, if there is a
    /// session. Where the server sends the browser then.
    pub fn sign_in(&self, login_url: &str) -> Url {
        let target = self.target(login_url);
        let mut answer = self.send(Request::get(&target));
        if answer.status == 200 {
            answer = self.send(self.form(&target, &answer.text()));
        }
        assert_eq!(answer.status, 302, "{}", answer.text());
        answer.header("location").unwrap().parse().unwrap()
    }

    /// A service ticket, as [`Self::sign_in`] gets it.
    pub fn ticket(&self, service: &str) -> String {
        self.ticket_by(&[("service", service)])
    }

    /// One for which the form was filled in again (`renew=true`).
    pub fn renewed_ticket(&self, service: &str) -> String {
        self.ticket_by(&[("service", service), ("renew", "true")])
    }

    /// Ends the session at the server, which then tells every service. Returns when all have been told.
    pub fn sign_out(&self) {
        self.send(Request::get("/cas/logout")).expect(200);
    }

    /// What the server says to a login address, without doing anything about it.
    pub fn look(&self, login_url: &str) -> Response {
        self.send(Request::get(&self.target(login_url)))
    }

    fn ticket_by(&self, parameters: &[(&str, &str)]) -> String {
        let to = self.sign_in(&format!("{}/login?{}", self.server.url(), query(parameters)));
        let ticket = to.query_pairs().find(|(name, _)| name == "ticket");
        ticket.unwrap_or_else(|| panic!("no ticket in {to}")).1.into_owned()
    }

    fn target(&self, login_url: &str) -> String {
        let url: Url = login_url.parse().unwrap();
        let own: Url = self.server.url().parse().unwrap();
        assert_eq!(url.origin(), own.origin(), "this is another server");
        format!("{}?{}", url.path(), url.query().unwrap_or_default())
    }

    fn form(&self, target: &str, page: &str) -> Request {
        let hidden = page.split("<input type=\"hidden\" ").skip(1).map(|input| {
            let name = between(input, "name=\"", "\"").unwrap();
            let input = input.split('>').next().unwrap();
            let value = between(input, "value=\"", "\"").unwrap_or_default();
            (name, value.replace("&amp;", "&"))
        });
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(hidden);
        form.extend_pairs([("username", self.name.as_str()), ("password", PASSWORD)]);
        let own = format!("http://{}", self.server.address);
        Request::new("POST", target)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Origin", &own)
            .body(form.finish())
    }

    fn send(&self, request: Request) -> Response {
        let mut cookies = self.cookies.lock().unwrap();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = self.server.send(request.header("Cookie", &all.join("; ")));
        for set in answer.all("set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            cookies.retain(|(known, _)| known != name);
            cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }
}

impl ProxyingBackEnd {
    pub fn start() -> Self {
        let granted: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let keep = Arc::clone(&granted);
        let double = Double::start(move |mut wire| {
            let Ok((line, headers)) = wire.head() else { return };
            // Single logout comes here too, with a body.
            if wire.body(&headers, false).is_err() {
                return;
            }
            let target = line.split(' ').nth(1).unwrap_or_default();
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let value = |name: &str| {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                pairs
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.into_owned())
            };
            if let (Some(iou), Some(ticket)) = (value("pgtIou"), value("pgtId")) {
                secrets::register(Kind::Ticket, &iou);
                secrets::register(Kind::Ticket, &ticket);
                keep.lock().unwrap().push((iou, ticket));
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            // Who asked may be gone.
            drop(std::io::Write::write_all(&mut wire.stream, answer));
        });
        Self { double, granted }
    }

    /// Its own service, at which people sign in.
    pub fn service(&self) -> String {
        format!("http://{}/app", self.double.address)
    }

    /// Its `pgtUrl`: what a chain names it by.
    pub fn url(&self) -> String {
        format!("http://{}/pgt", self.double.address)
    }

    /// The ticket that the server brought by this name.
    pub fn granted(&self, iou: &str) -> String {
        let granted = self.granted.lock().unwrap();
        let found = granted.iter().find(|(known, _)| known == iou);
        found.expect("the server has called before it answered").1.clone()
    }
}

fn world(ticket_seconds: u32) -> Value {
    json!({
        "ticket_seconds": ticket_seconds,
        "accounts": {
            "alice": { "password": PASSWORD, "attributes": {
                "uid": "a.liddell",
                "mail": "alice@example.test",
                "email": ["alice@example.test", "a.liddell@example.test"],
                "sn": "Liddell & <Söhne>",
                "displayName": "Alicia Núñez",
                "eduPersonAffiliation": ["student", "member"],
            } },
            "bob": { "password": PASSWORD, "attributes": {
                "uid": "b.builder",
                "mail": "bob@example.test",
                "eduPersonAffiliation": ["faculty", "member"],
            } },
            "carol": { "password": PASSWORD, "attributes": {} },
        },
        "services": [
            { "pattern": r"^http://(127\.0\.0\.1|localhost)(:[0-9]+)?/(_janua/cas/|elsewhere|callback|deep/link|app$|pgt$|login/)" },
            { "pattern": r"^http://([a-z]+\.)+localhost(:[0-9]+)?/", "single_logout": false },
            { "pattern": r"^http://renamed\.test/", "user_field": "uid", "single_logout": false },
            { "pattern": r"^http://noattr\.test/", "attributes": [], "proxy": false, "single_logout": false },
            { "pattern": r"^http://bobs\.test/", "only": ["bob"], "single_logout": false },
            { "pattern": "^https://", "single_logout": false },
        ],
    })
}

/// With further attributes of accounts.
fn told(mut world: Value, more: &Value) -> Value {
    for (account, attributes) in more.as_object().unwrap() {
        for (name, value) in attributes.as_object().unwrap() {
            world["accounts"][account]["attributes"][name] = value.clone();
        }
    }
    world
}

/// Pairs as a query.
pub fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split(after).next()
}
