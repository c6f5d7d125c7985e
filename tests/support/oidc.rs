//! OpenID providers: a real one, npm's oidc-provider, on a port of its own, and people who use it by HTTP: what a browser
//! would do, without one. In [`double`] is one that does what no real provider does.
//!
//! Accounts: `alice` (staff), `bob` (student), `carol` (a `sub` and nothing else); any password is theirs. Nobody is asked
//! for consent.

pub mod double;
mod forge;
mod local_oidcserver;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;

use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

pub use self::double::{OidcDouble, Reply};
pub use self::forge::{hs256, unsigned};
use super::http::{Connection, Request, Response};
use super::secrets::{self, Kind};
use super::tools::brought;

/// As what a gateway is registered.
pub const CLIENT: &str = "janua";
pub const CLIENT_SECRET: &str = "secret+of/janua for:tests=";

/// An application with people's tokens, and one with its own: name and secret.
pub const APP: (&str, &str) = ("app", "secret-of-app-for-tests");
pub const ROBOT: (&str, &str) = ("robot", "secret-of-robot-for-tests");
/// Where the former's users come back to; nobody listens there.
pub const APP_CALLBACK: &str = "http://127.0.0.1:1/callback";

/// A running provider; killed on drop.
pub struct OidcServer {
    child: Child,
    /// It ends when this is closed, should the test not come to its end.
    _alive: ChildStdin,
    pub address: SocketAddr,
    folder: TempDir,
    registered: Registered,
}

/// What a provider knows of its clients.
struct Registered {
    /// What the gateways that it knows are called by.
    origins: Vec<String>,
    /// What is otherwise than usual of the client that they are.
    client: Value,
    has_apps: bool,
}

/// A person with a browser's cookies for this provider.
pub struct Person<'a> {
    server: &'a OidcServer,
    name: String,
    cookies: Mutex<Vec<Cookie>>,
}

#[derive(Clone)]
struct Cookie {
    name: String,
    path: String,
    value: String,
}

impl OidcServer {
    /// For the sign-in `campus` of a gateway that is called by these origins; logouts are told to the first.
    /// `None`: it cannot be had here, and the test returns too.
    pub fn start(origins: &[String]) -> Option<Self> {
        Self::start_for(origins, &json!({}))
    }

    /// The same for a client that these members say more of; `null` takes one away.
    pub fn start_for(origins: &[String], client: &Value) -> Option<Self> {
        Self::started(Registered {
            origins: origins.to_vec(),
            client: client.clone(),
            has_apps: false,
        })
    }

    /// One that gives access tokens for gateways to the clients [`APP`] and [`ROBOT`].
    pub fn with_apps() -> Option<Self> {
        Self::started(Registered {
            origins: vec!["http://127.0.0.1:1".to_owned()],
            client: json!({}),
            has_apps: true,
        })
    }

    fn started(registered: Registered) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let (child, alive, port) = spawn(&folder, &registered, 0)?;
        Some(Self {
            child,
            _alive: alive,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            folder,
            registered,
        })
    }

    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again, with its keys and without anybody's session.
    pub fn revive(&mut self) {
        let started = spawn(&self.folder, &self.registered, self.address.port());
        let (child, alive, _) = started.expect("it was there before");
        (self.child, self._alive) = (child, alive);
    }

    /// Somebody who has not signed in yet.
    pub fn person(&self, name: &str) -> Person<'_> {
        Person {
            server: self,
            name: name.to_owned(),
            cookies: Mutex::default(),
        }
    }

    /// `None`: elsewhere.
    fn target(&self, url: &Url) -> Option<String> {
        let own: Url = self.issuer().parse().unwrap();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        (url.origin() == own.origin()).then(|| target.to_owned())
    }
}

impl Drop for OidcServer {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Person<'_> {
    /// Goes to the authorization endpoint and does what is asked there: fills in the form, or nothing, if there is a
    /// session. Where the provider sends the browser then.
    pub fn sign_in(&self, to: &str) -> Url {
        let mut target = self.own(to);
        let mut answer = self.send(Request::get(&target));
        loop {
            if answer.status == 200 {
                let form = self.login_form(&target, &answer.text());
                answer = self.send(form);
            }
            let on = self.led_to(&target, answer);
            match self.server.target(&on) {
                Some(next) => target = next,
                None => return on,
            }
            answer = self.send(Request::get(&target));
        }
    }

    /// The same up to the login page, where the person gives up.
    pub fn give_up(&self, to: &str) -> Url {
        let target = self.own(to);
        let page = self.led_to(&target, self.send(Request::get(&target)));
        let target = self.own(page.as_str());
        let page = self.send(Request::get(&target)).expect(200).text();
        let abort = between(&page, "href=\"", "\"").map(|href| href.replace("&amp;", "&"));
        let abort = abort.filter(|href| href.ends_with("/abort")).expect("a way to give up");
        let mut target = self.own(&abort);
        loop {
            let on = self.led_to(&target, self.send(Request::get(&target)));
            match self.server.target(&on) {
                Some(next) => target = next,
                None => return on,
            }
        }
    }

    /// What the provider says to an address, without doing anything about it.
    pub fn look(&self, to: &str) -> Response {
        self.send(Request::get(&self.own(to)))
    }

    /// Goes to the logout endpoint and says yes. Returns when all clients have been told; where the provider sends the
    /// browser then, if anywhere.
    pub fn sign_out_at(&self, to: &str) -> Option<Url> {
        let page = self.look(to).expect(200).text();
        let xsrf = between(&page, "name=\"xsrf\" value=\"", "\"").unwrap_or_else(|| panic!("{page}"));
        let confirm = Request::new("POST", "/session/end/confirm")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("xsrf={xsrf}&logout=yes"));
        let answer = self.send(confirm);
        let location: Url = answer.expect(303).header("location").unwrap().parse().unwrap();
        self.server.target(&location).is_none().then_some(location)
    }

    /// Ends the session at the provider, which then tells every client.
    pub fn sign_out(&self) {
        let on = self.sign_out_at(&format!("{}/session/end", self.server.issuer()));
        assert_eq!(on, None);
    }

    fn login_form(&self, target: &str, page: &str) -> Request {
        assert!(page.contains("name=\"prompt\" value=\"login\""), "{page}");
        let form = [("prompt", "login"), ("login", &self.name), ("password", "any")];
        Request::new("POST", target)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(super::cas::query(&form))
    }

    /// Path and query of an address of this provider.
    fn own(&self, to: &str) -> String {
        let url: Url = to.parse().unwrap();
        self.server.target(&url).expect("this is another server")
    }

    fn led_to(&self, target: &str, answer: Response) -> Url {
        assert!(
            [302, 303].contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        let base: Url = format!("{}{target}", self.server.issuer()).parse().unwrap();
        let url = base.join(answer.header("location").unwrap()).unwrap();
        if let Some((_, code)) = url.query_pairs().find(|(name, _)| name == "code") {
            secrets::register(Kind::Ticket, &code);
        }
        url
    }

    fn send(&self, request: Request) -> Response {
        let mut cookies = self.cookies.lock().unwrap();
        let path = request.parts().1.split('?').next().unwrap().to_owned();
        let sent: Vec<String> = cookies
            .iter()
            .filter(|cookie| path.starts_with(&cookie.path))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let request = request
            .host(&self.server.address.to_string())
            .header("Cookie", &sent.join("; "))
            .header("Accept", "text/html")
            .header("Connection", "close");
        let answer = Connection::open(self.server.address).exchange(request);
        for set in answer.all("set-cookie") {
            let cookie = Cookie::of(set);
            cookies.retain(|known| (&known.name, &known.path) != (&cookie.name, &cookie.path));
            if !cookie.value.is_empty() {
                secrets::register(Kind::Session, &cookie.value);
                cookies.push(cookie);
            }
        }
        answer
    }
}

impl Cookie {
    fn of(set: &str) -> Self {
        let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
        let (name, value) = pair.split_once('=').unwrap();
        let path = attributes
            .split("; ")
            .find_map(|part| part.trim().strip_prefix("path="));
        Self {
            name: name.to_owned(),
            path: path.unwrap_or("/").to_owned(),
            value: value.to_owned(),
        }
    }
}

fn spawn(folder: &TempDir, registered: &Registered, port: u16) -> Option<(Child, ChildStdin, u16)> {
    let modules = brought("oidc")?;
    secrets::register(Kind::Token, CLIENT_SECRET);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/oidc/server.mjs");
    let mut child = Command::new("node")
        .arg(script)
        .arg(modules)
        .arg(world(folder, registered, port).to_string())
        // Should a gateway have a certificate of the tests' own.
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .env("NODE_NO_WARNINGS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("port ")?.parse().ok());
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("signed", token)) => secrets::register_signature(token),
                // It goes through the browser, as a ticket does.
                Some(("code", code)) => secrets::register(Kind::Ticket, code),
                Some(("token", token)) => secrets::register(Kind::Token, token),
                _ => {}
            }
        }
    });
    let alive = child.stdin.take().unwrap();
    Some((child, alive, port.expect("the provider says its port")))
}

fn world(folder: &TempDir, registered: &Registered, port: u16) -> Value {
    let Registered {
        origins,
        client,
        has_apps,
    } = registered;
    let callbacks: Vec<String> = origins
        .iter()
        .map(|origin| format!("{origin}/_janua/oidc/campus/callback"))
        .collect();
    let mut world = json!({
        "port": port,
        "key": folder.path().join("keys.json"),
        "client": {
            "client_id": CLIENT,
            "client_secret": CLIENT_SECRET,
            "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": callbacks,
            "post_logout_redirect_uris": callbacks,
            "backchannel_logout_uri": format!("{}/_janua/oidc/campus/backchannel-logout", origins[0]),
            "backchannel_logout_session_required": true,
        },
        "people": people(),
        "apps": has_apps.then(apps),
    });
    for (name, value) in client.as_object().into_iter().flatten() {
        let members = world["client"].as_object_mut().unwrap();
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    world
}

/// The clients of a server that gives access tokens.
fn apps() -> Value {
    for (_, secret) in [APP, ROBOT] {
        secrets::register(Kind::Token, secret);
    }
    json!([
        {
            "client_id": APP.0, "client_secret": APP.1, "token_endpoint_auth_method": "client_secret_post",
            "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "redirect_uris": [APP_CALLBACK],
        },
        {
            "client_id": ROBOT.0, "client_secret": ROBOT.1, "token_endpoint_auth_method": "client_secret_post",
            "grant_types": ["client_credentials"], "response_types": [], "redirect_uris": [],
        },
    ])
}

/// What providers tell about the accounts.
pub fn people() -> Value {
    json!({
        "alice": {
            "preferred_username": "a.liddell",
            "name": "Alicia Núñez",
            "email": "alice@example.test",
            "email_verified": true,
            "groups": ["staff", "video-editors"],
        },
        "bob": {
            "preferred_username": "b.builder",
            "name": "Bob",
            "email": "bob@example.test",
            "email_verified": true,
            "groups": ["students"],
        },
        "carol": {},
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split(after).next()
}
