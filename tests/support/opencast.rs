//! An Opencast on a port of the system's choice: who somebody is, its sessions, its files, its
//! interceptor rules and its external API, as far as a gateway meets them.
//!
//! It trusts one key set only, a request with `Authorization` ends its session, and an event that a user may not read
//! does not exist for that user.

mod ingest;
mod lists;

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use self::ingest::{Body, Tap, Upload};
pub use self::lists::Playlist;
use super::double::Double;
use super::http::{Wire, values};
use super::secrets::{self, Kind};
use super::tokens::now;
use super::upstream::Seen;

pub const ANONYMOUS: &str = "ROLE_ANONYMOUS";
pub const ADMIN: &str = "ROLE_ADMIN";

/// A lecture.
#[derive(Debug, Clone, Default)]
pub struct Event {
    pub series: Option<String>,
    /// Role, action, allow.
    pub acl: Vec<(String, String, bool)>,
}

/// What goes wrong with the external API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    Status(u16),
    /// This body instead of the right one.
    Body(String),
    /// The right body, but only so many bytes of it.
    CutOff(usize),
    /// Nothing, until the connection ends.
    Silence,
}

/// Everything behind the double.
#[derive(Default)]
pub struct Site {
    pub events: HashMap<String, Event>,
    pub playlists: HashMap<String, Playlist>,
    /// What addresses of media begin with: `https://video.example`.
    pub public: String,
    /// Users of Basic: password and roles.
    pub users: HashMap<String, (String, Vec<String>)>,
    /// The one key set whose tokens are believed: `{"keys": […]}`.
    pub jwks: Option<Value>,
    pub fault: Fault,
    pub requests: Vec<Seen>,
    /// Multipart forms that came to `/ingest`.
    pub uploads: Vec<Upload>,
    tap: Arc<Tap>,
    /// `JSESSIONID` to who that is.
    sessions: HashMap<String, Person>,
}

/// Somebody signed in.
#[derive(Debug, Clone)]
struct Person {
    name: String,
    roles: BTreeSet<String>,
}

type Shared = Arc<Mutex<Site>>;

/// The running double. Ends on drop.
pub struct Opencast {
    address: SocketAddr,
    double: Option<Double>,
    shared: Shared,
}

fn serving(shared: &Shared) -> impl Fn(Wire) + Send + Sync + 'static {
    let served = Arc::clone(shared);
    move |mut wire| while let Ok(true) = serve(&mut wire, &served) {}
}

impl Opencast {
    /// With the user `gateway`, password `letmein`, who is an administrator, and no events.
    pub fn start() -> Self {
        let shared = Shared::default();
        let admin = ("letmein".to_owned(), vec![ADMIN.to_owned()]);
        shared.lock().unwrap().users.insert("gateway".to_owned(), admin);
        let double = Double::start(serving(&shared));
        Self {
            address: double.address,
            double: Some(double),
            shared,
        }
    }

    /// From now on nobody listens there, and open connections are cut.
    pub fn switch_off(&mut self) {
        self.double = None;
    }

    /// The same Opencast at the same address again.
    pub fn switch_on(&mut self) {
        self.double = Some(Double::start_again(self.address, serving(&self.shared)));
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn site(&self) -> MutexGuard<'_, Site> {
        self.shared.lock().unwrap()
    }

    /// An event with roles that may read it.
    pub fn event(&self, id: &str, readers: &[&str]) {
        let acl = readers.iter().map(|role| ((*role).to_owned(), "read".to_owned(), true));
        let event = Event {
            series: None,
            acl: acl.collect(),
        };
        self.site().events.insert(id.to_owned(), event);
    }

    /// A playlist with these events, which its administrators alone may read.
    pub fn playlist(&self, id: &str, events: &[&str]) {
        self.site().playlists.insert(id.to_owned(), Playlist::new(events, &[]));
    }

    /// The way of all bodies into it.
    pub fn tap(&self) -> Arc<Tap> {
        Arc::clone(&self.site().tap)
    }

    pub fn fault(&self, fault: Fault) {
        self.site().fault = fault;
    }

    /// How many requests with such a target have arrived.
    pub fn asked(&self, target: &str) -> usize {
        self.site().requests.iter().filter(|seen| seen.target == target).count()
    }
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    fn json(body: &Value) -> Self {
        Self::new(200, body.to_string()).with("Content-Type", "application/v1.11.0+json")
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn bytes(&self, to_head: bool) -> Vec<u8> {
        let mut text = format!(
            "HTTP/1.1 {} Told\r\nContent-Length: {}\r\n",
            self.status,
            self.body.len()
        );
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        if !to_head {
            text += &self.body;
        }
        text.into_bytes()
    }
}

/// Serves one request. `Ok(true)`: the connection may serve another.
fn serve(wire: &mut Wire, site: &Mutex<Site>) -> io::Result<bool> {
    let (line, headers) = wire.head()?;
    let mut words = line.split(' ').map(str::to_owned);
    let seen = Seen {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        headers,
    };
    let tap = Arc::clone(&site.lock().unwrap().tap);
    if !values(&seen.headers, "expect").is_empty() {
        wire.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = Body::read(wire, &seen.headers, &tap)?;
    let (answer, fault) = {
        let mut site = site.lock().unwrap();
        site.requests.push(seen.clone());
        let fault = match seen.target.starts_with("/api/") {
            true => site.fault.clone(),
            false => Fault::None,
        };
        let answer = site.answer(&seen, &body.begins);
        if answer.status == 200 && seen.target.starts_with("/ingest/") {
            site.uploads.extend(Upload::of(&seen, &body));
        }
        (answer, fault)
    };
    let to_head = seen.method == "HEAD";
    match fault {
        Fault::None => wire.stream.write_all(&answer.bytes(to_head))?,
        Fault::Status(status) => wire.stream.write_all(&Answer::new(status, "").bytes(to_head))?,
        Fault::Body(body) => wire.stream.write_all(&Answer::new(200, body).bytes(to_head))?,
        Fault::CutOff(length) => {
            let bytes = answer.bytes(to_head);
            let end = bytes.len() - answer.body.len() + length;
            wire.stream.write_all(&bytes[..end])?;
            return Ok(false);
        }
        Fault::Silence => {
            // Until the other side gives up.
            while wire.head().is_ok() {}
            return Ok(false);
        }
    }
    Ok(true)
}

impl Site {
    fn answer(&mut self, seen: &Seen, body: &[u8]) -> Answer {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let cookie = session_cookie(seen);
        if path == "/j_spring_security_logout" {
            self.sessions.retain(|id, _| Some(id) != cookie.as_ref());
            let gone = "JSESSIONID=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0";
            return Answer::new(302, "").with("Location", "/").with("Set-Cookie", gone);
        }
        let form = if seen.method == "POST" { body } else { query.as_bytes() };
        let field = |name: &str| {
            let mut pairs = form_urlencoded::parse(form);
            pairs.find_map(|(known, value)| (known == name).then(|| value.into_owned()))
        };
        let authorization = seen.header("authorization").map(str::to_owned);
        if let Some(token) = authorization.as_ref().and_then(|line| line.strip_prefix("Bearer ")) {
            secrets::register_signature(token);
        }
        let by_session = cookie.as_ref().and_then(|cookie| self.sessions.get(cookie)).cloned();
        // Who is signed in already stays so, whatever token comes along.
        let by_now = match &authorization {
            Some(credentials) => self.by_header(credentials),
            None => field("jwt").map(|token| self.by_token(&token)),
        };
        let (person, is_new) = match (by_session, by_now) {
            (Some(person), _) => (Some(person), false),
            (None, Some(Ok(person))) => (Some(person), true),
            (None, Some(Err(refusal))) => return refusal,
            (None, None) => (None, false),
        };
        let mut answer = match path {
            "/search/episode.json" => {
                let (id, roles) = (field("id").unwrap_or_default(), roles_of(person.as_ref()));
                let event = self.events.get(&id);
                self.found(&id, event.is_some_and(|event| may(event, &id, "read", &roles)))
            }
            _ => self.page(seen, path, person.as_ref(), field("target")),
        };
        if let Some(person) = person.filter(|_| is_new) {
            let id = format!("node0{:x}", rand::random::<u64>());
            secrets::register(Kind::Session, &id);
            answer = answer.with("Set-Cookie", format!("JSESSIONID={id}; Path=/; HttpOnly"));
            self.sessions.insert(id, person);
        }
        if let (Some(_), Some(cookie)) = (authorization, cookie) {
            self.sessions.remove(&cookie);
        }
        answer
    }

    fn page(&self, seen: &Seen, path: &str, person: Option<&Person>, target: Option<String>) -> Answer {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let roles = roles_of(person);
        let holds = |wanted: &[&str]| wanted.iter().any(|role| roles.contains(*role));
        let refused = || match seen.header("x-requested-auth") {
            Some("Basic") => Answer::new(401, "").with("WWW-Authenticate", "Basic realm=\"Opencast\""),
            _ if path.ends_with("/index.html") || path == "/studio/" => {
                Answer::new(302, "").with("Location", "/login.html")
            }
            _ => Answer::new(403, ""),
        };
        match segments.as_slice() {
            ["info", "me.json"] => Answer::json(&json!({
                "org": { "id": "mh_default_org", "adminRole": ADMIN, "anonymousRole": ANONYMOUS },
                "roles": roles,
                "userRole": person.map_or("ROLE_USER_ANONYMOUS".to_owned(), |person| user_role(&person.name)),
                "user": { "username": person.map_or("anonymous", |person| person.name.as_str()) },
            })),
            ["info", "health"] => Answer::json(&json!({ "status": "pass" })),
            ["redirect", "get"] if seen.method != "POST" => Answer::new(404, ""),
            ["redirect", "get"] => {
                let proto = seen.header("x-forwarded-proto").unwrap_or("http");
                let base = format!("{proto}://{}/", seen.header("host").unwrap_or_default());
                match target {
                    Some(target) if target.starts_with('/') || target.starts_with(&base) => {
                        Answer::new(303, "").with("Location", target)
                    }
                    _ => Answer::new(400, ""),
                }
            }
            ["static", "mh_default_org", "engage-player" | "api" | "internal", event, ..] => {
                match self.events.get(*event) {
                    Some(known) if may(known, event, "read", &roles) => Answer::new(200, format!("lecture {event}")),
                    _ => Answer::new(403, ""),
                }
            }
            ["paella7", "ui", "watch.html"] => Answer::new(200, "<!doctype html>the player"),
            ["studio", "manifest.json"] => Answer::new(200, "{}"),
            ["studio", ..] | ["studio-api", ..] if !holds(&[ADMIN, "ROLE_STUDIO"]) => refused(),
            ["ingest", ..] if !holds(&[ADMIN, "ROLE_CAPTURE_AGENT", "ROLE_STUDIO"]) => refused(),
            ["editor", ..] | ["editor-ui", ..] if !holds(&[ADMIN, "ROLE_USER"]) => refused(),
            ["studio" | "studio-api" | "ingest" | "editor" | "editor-ui", ..] => Answer::new(200, path),
            ["api", "events", id] if holds(&[ADMIN, "ROLE_API_EVENTS_VIEW"]) => self.api(id, &roles, |id, event| {
                json!({ "identifier": id, "title": id, "is_part_of": event.series.as_deref().unwrap_or_default() })
            }),
            ["api", "events", id, "acl"] if holds(&[ADMIN, "ROLE_API_EVENTS_ACL_VIEW"]) => {
                self.api(id, &roles, |_, event| {
                    let entry = |(role, action, allow): &(String, String, bool)| {
                        json!({ "allow": allow, "action": action, "role": role })
                    };
                    event.acl.iter().map(entry).collect()
                })
            }
            ["api", "playlists", id] if holds(&[ADMIN, "ROLE_API_PLAYLISTS_VIEW"]) => {
                self.told_playlist(id, &roles, 403)
            }
            ["playlists", file] if file.ends_with(".json") => {
                self.told_playlist(file.trim_end_matches(".json"), &roles, 401)
            }
            // The last of the interceptor rules.
            _ if !holds(&[ADMIN]) => refused(),
            _ => Answer::new(404, ""),
        }
    }

    /// An event that cannot be read is not there.
    fn api(&self, id: &str, roles: &BTreeSet<String>, tell: impl Fn(&str, &Event) -> Value) -> Answer {
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
        match self.events.get(&*id) {
            Some(event) if may(event, &id, "read", roles) => Answer::json(&tell(&id, event)),
            _ => Answer::new(404, ""),
        }
    }

    fn by_header(&self, credentials: &str) -> Option<Result<Person, Answer>> {
        match credentials.split_once(' ')? {
            ("Basic", pair) => Some(self.by_password(pair).ok_or_else(|| Answer::new(401, ""))),
            ("Bearer", token) => Some(self.by_token(token)),
            _ => None,
        }
    }

    fn by_password(&self, pair: &str) -> Option<Person> {
        let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
        let (name, password) = pair.split_once(':')?;
        let (known, roles) = self.users.get(name)?;
        (known == password).then(|| Person {
            name: name.to_owned(),
            roles: roles.iter().cloned().collect(),
        })
    }

    fn by_token(&self, token: &str) -> Result<Person, Answer> {
        let claims = self.verified(token).ok_or_else(|| Answer::new(401, ""))?;
        let text = |name: &str| claims[name].as_str().filter(|text| !text.trim().is_empty());
        let (Some(name), Some(_), Some(_)) = (text("sub"), text("name"), text("email")) else {
            return Err(Answer::new(500, "Extracted username/name is blank"));
        };
        let mut roles: BTreeSet<String> = strings(&claims["roles"]).collect();
        for (item, actions) in claims["oc"].as_object().into_iter().flatten() {
            // Grants on series and playlists are not supported there.
            if let Some(event) = item.strip_prefix("e:") {
                roles.extend(strings(actions).map(|action| episode_role(event, &action)));
            }
        }
        // A token's user is trusted: whoever has that name has all it holds.
        roles.extend(self.users.get(name).into_iter().flat_map(|(_, roles)| roles.clone()));
        Ok(Person {
            name: name.to_owned(),
            roles,
        })
    }

    fn verified(&self, token: &str) -> Option<Value> {
        let (message, signature) = token.rsplit_once('.')?;
        let (_, payload) = message.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let keys = self.jwks.as_ref()?["keys"].as_array()?;
        let good = keys.iter().any(|key| {
            let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap_or_default()).unwrap();
            let point = [vec![4], coordinate("x"), coordinate("y")].concat();
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            key.verify(message.as_bytes(), &signature).is_ok()
        });
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        (good && claims["exp"].as_u64()? > now()).then_some(claims)
    }
}

fn strings(list: &Value) -> impl Iterator<Item = String> {
    let list = list.as_array().cloned().unwrap_or_default();
    list.into_iter().filter_map(|one| Some(one.as_str()?.to_owned()))
}

fn session_cookie(seen: &Seen) -> Option<String> {
    let lines = values(&seen.headers, "cookie");
    let mut pairs = lines.iter().flat_map(|line| line.split(';'));
    pairs.find_map(|pair| Some(pair.trim().strip_prefix("JSESSIONID=")?.to_owned()))
}

fn roles_of(person: Option<&Person>) -> BTreeSet<String> {
    let mut roles = BTreeSet::from([ANONYMOUS.to_owned()]);
    if let Some(person) = person {
        roles.extend(person.roles.iter().cloned());
        roles.extend(["ROLE_USER".to_owned(), user_role(&person.name)]);
    }
    roles
}

fn user_role(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let name: String = name.chars().map(plain).collect();
    format!("ROLE_USER_{}", name.to_uppercase())
}

fn episode_role(event: &str, action: &str) -> String {
    format!("ROLE_EPISODE_{event}_{}", action.to_uppercase())
}

fn may(event: &Event, id: &str, action: &str, roles: &BTreeSet<String>) -> bool {
    let listed = |wanted: bool| {
        let mut acl = event.acl.iter();
        acl.any(|(role, known, allow)| *allow == wanted && known == action && roles.contains(role))
    };
    roles.contains(ADMIN) || roles.contains(&episode_role(id, action)) || (listed(true) && !listed(false))
}
