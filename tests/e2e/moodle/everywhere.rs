//! One gateway in front of Moodles with every source of tokens: nobody is ever served by another one's token, whatever ends
//! or dies meanwhile.

use std::collections::HashMap;
use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::Url;

use super::crowd::at_once;
use super::school::{SITE_INFO, script};
use crate::support::cas::query;
use crate::support::double::Double;
use crate::support::http::Response;
use crate::support::moodle::Account;
use crate::support::secrets::{Kind, register};
use crate::support::tools::janua;
use crate::support::{Config, Connection, Gateway, Moodle, Request, Reserved, Site};

const PEOPLE: usize = 200;
const CALLS: usize = 20;
/// Of one call, until it is served: each time something of what it needs may die.
const ATTEMPTS: usize = 8;

/// Names in the configuration, and where tokens come from. Each has a host of its own: 127.0.0.1, 127.0.0.2, …
pub const MOODLES: [(&str, &str); 10] = [
    ("given", "[\"vault\", \"cas-facade\"]"),
    ("begun", "[\"cas-launch\"]\ndrop_at_logout = true"),
    ("spent", "[\"cas-token\"]"),
    ("vouched", "[\"cas-facade\"]\ndrop_at_logout = true"),
    ("walked", "[\"launch\"]"),
    (
        "told",
        "[\"attribute\", \"cas-facade\"]\nattribute = { name = \"moodleToken\" }",
    ),
    (
        "typed",
        "[\"clearpass\"]\nclearpass = { key_file = \"clearpass.pem\" }\ndrop_at_logout = true",
    ),
    ("paged", "[\"page\"]"),
    // By auth_oauth2, and by auth_oidc.
    (
        "led",
        "[\"oidc-launch\"]\noidc_launch = { provider = \"https://idp.example.edu\" }",
    ),
    (
        "sent",
        "[\"oidc-launch\"]\noidc_launch = { provider = \"https://idp.example.edu\" }\ndrop_at_logout = true",
    ),
];

/// Where people log in to the last two. Nothing but browsers goes there.
const PROVIDER: &str = "https://idp.example.edu";

/// Everybody's, where people log in at Moodle themselves.
const PASSWORD: &str = "open-sesame-and-close";

pub fn name(number: usize) -> String {
    format!("u{number}x")
}

/// A person's token that somebody has made beforehand, for the Moodle of this name.
fn made(of: &str, user: &str) -> String {
    let digits: String = format!("{of}\n{user}")
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{digits:0<32}")[..32].to_owned()
}

fn ticket(kind: &str, user: &str) -> String {
    let ticket = format!("{kind}-{user}-{:032x}", rand::random::<u128>());
    register(Kind::Ticket, &ticket);
    ticket
}

fn user_of(ticket: &str) -> &str {
    ticket.split('-').nth(1).unwrap_or_default()
}

fn parameter(target: &str, wanted: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.into_owned())
}

/// A CAS server at which a ticket says who it is. It tells a token and a password, and gives proxy-granting tickets.
fn cas(sealed: Arc<OnceLock<HashMap<String, String>>>) -> Double {
    Double::start(move |mut wire| {
        let Ok((line, _)) = wire.head() else { return };
        let target = line.split(' ').nth(1).unwrap_or_default();
        let user = |ticket: &str| user_of(ticket).to_owned();
        let inner = match parameter(target, "pgt") {
            Some(pgt) => {
                let ticket = ticket("ST", &user(&pgt));
                format!("<cas:proxySuccess><cas:proxyTicket>{ticket}</cas:proxyTicket></cas:proxySuccess>")
            }
            None => {
                let user = user(&parameter(target, "ticket").unwrap_or_default());
                let grant = parameter(target, "pgtUrl")
                    .map(|to| grant(&to, &user))
                    .unwrap_or_default();
                let sealed = sealed.get().and_then(|sealed| sealed.get(&user));
                format!(
                    "<cas:authenticationSuccess><cas:user>{user}</cas:user><cas:attributes><cas:moodleToken>{}</cas:moodleToken>\
                     <cas:credential>{}</cas:credential></cas:attributes>{grant}</cas:authenticationSuccess>",
                    made("told", &user),
                    sealed.map_or("", String::as_str),
                )
            }
        };
        let body =
            format!("<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">{inner}</cas:serviceResponse>");
        answer(&mut wire.stream, "text/xml", &body);
    })
}

/// Gives the gateway a proxy-granting ticket, and says under what name.
fn grant(to: &str, user: &str) -> String {
    let (pgt, iou) = (ticket("PGT", user), ticket("PGTIOU", user));
    let to: Url = to.parse().unwrap();
    let address = (to.host_str().unwrap(), to.port().unwrap());
    let address = std::net::ToSocketAddrs::to_socket_addrs(&address)
        .unwrap()
        .next()
        .unwrap();
    let target = format!("{}?{}", to.path(), query(&[("pgtId", &pgt), ("pgtIou", &iou)]));
    let asked = Request::get(&target)
        .host(&address.to_string())
        .header("Connection", "close");
    Connection::open(address)
        .exchange_raw(asked.bytes())
        .unwrap()
        .expect(200);
    format!("<cas:proxyGrantingTicket>{iou}</cas:proxyGrantingTicket>")
}

/// The campus's page: it gives whom a ticket names the token of the "paged" Moodle, a new one if that has died.
fn page(moodle: Arc<OnceLock<Arc<Moodle>>>) -> Double {
    Double::start(move |mut wire| {
        let Ok((_, headers)) = wire.head() else { return };
        let Ok((body, _)) = wire.body(&headers, false) else {
            return;
        };
        let target = format!("?{}", String::from_utf8_lossy(&body));
        let Some(ticket) = parameter(&target, "ticket") else {
            return;
        };
        let user = user_of(&ticket);
        let mut site = moodle.get().unwrap().site();
        let known = site.tokens.iter().find(|row| row.user == user && !row.expired);
        let token = known.map(|row| row.token.clone()).unwrap_or_else(|| {
            let new = format!("{:032x}", rand::random::<u128>());
            site.give(&new, user, "moodle_mobile_app");
            new
        });
        drop(site);
        answer(
            &mut wire.stream,
            "application/json",
            &json!({ "token": token }).to_string(),
        );
    })
}

fn answer(stream: &mut impl std::io::Write, content_type: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    // Who asked may be gone.
    drop(stream.write_all((head + body).as_bytes()));
}

/// A private key in a file of the site, and everybody's password as CAS tells it.
fn passwords(site: &Site) -> HashMap<String, String> {
    let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'static> = private.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    let file = site.write("clearpass.pem", &pem);
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let public = Pkcs1PublicEncryptingKey::new(private.public_key()).unwrap();
    let sealed = |number| {
        let mut room = vec![0; public.ciphertext_size()];
        let password = format!("secret-of-{}", name(number));
        (
            name(number),
            STANDARD.encode(public.encrypt(password.as_bytes(), &mut room).unwrap()),
        )
    };
    (0..PEOPLE).map(sealed).collect()
}

pub struct Campus {
    gateway: Gateway,
    pub moodles: Vec<Arc<Moodle>>,
    address: SocketAddr,
    cas: Double,
    _page: Double,
    _port: Reserved,
}

/// A person with a browser.
pub struct Person {
    name: String,
    /// The session's cookie.
    session: String,
    /// By which it began.
    ticket: String,
    /// Other cookies, by host.
    cookies: HashMap<(usize, String), String>,
}

impl Campus {
    /// `upstream`: lines of the upstream of each Moodle.
    pub fn start(upstream: &str) -> Self {
        let site = Site::new();
        let (sealed, paged) = (Arc::default(), Arc::<OnceLock<Arc<Moodle>>>::default());
        let (cas, page) = (cas(Arc::clone(&sealed)), page(Arc::clone(&paged)));
        sealed.set(passwords(&site)).unwrap();
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let origin = |at: usize| format!("http://127.0.0.{}:{}", at + 1, address.port());
        let origins: Vec<_> = (0..MOODLES.len()).map(origin).collect();
        let mut config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("{origins:?}"))
            .section(&format!(
                "[sign_in.campus.cas]\nserver = \"http://{}/cas\"\n",
                cas.address
            ));
        let mut moodles = Vec::new();
        for (at, (name, tokens)) in MOODLES.iter().enumerate() {
            let (moodle, origin) = (Moodle::start(), &origins[at]);
            populate(&mut moodle.site(), name);
            let facade = format!("/_janua/facade-{name}");
            let mut double = moodle.site();
            let settings = &mut double.settings;
            settings.wwwroot.clone_from(origin);
            settings.cas_public = format!("http://{}/cas", cas.address);
            settings.cas = Some(match tokens.contains("cas-facade") {
                true => format!("http://{address}{facade}"),
                false => settings.cas_public.clone(),
            });
            if *name == "walked" {
                (settings.auth_cas, settings.type_of_login) = (false, 2);
                settings.password = Some(PASSWORD.to_owned());
            }
            if tokens.contains("oidc-launch") {
                settings.auth_oauth2 = *name == "led";
                settings.auth_oidc = !settings.auth_oauth2;
                settings.provider = format!("{PROVIDER}/authorize");
            }
            drop(double);
            let mut more = (*tokens).to_owned();
            if tokens.contains("cas-facade") {
                more += &format!("\nfacade = {{ path = \"{facade}\", from = [\"127.0.0.1\"] }}");
            }
            if tokens.contains("page") {
                more += &format!(
                    "\npage = {{ url = \"http://{}/app\", token = \"/token\" }}",
                    page.address
                );
            }
            let host = format!("127.0.0.{}", at + 1);
            config = config.upstream(name, &[moodle.url()], upstream).section(&format!(
                "[moodle.{name}]\nupstream = \"{name}\"\npublic_url = \"{origin}\"\nsign_in = \"campus\"\ntokens = {more}\n\
                 [[routes]]\nname = \"calls of {name}\"\nhost = \"{host}\"\npath = \"/webservice/{{*rest}}\"\nupstream = \"{name}\"\n\
                 present = \"moodle-token\"\naccept = [\"session\"]\nsign_in = \"campus\"\nallow = [{{ signed_in = true }}]\n\
                 [[routes]]\nname = \"{name}\"\nhost = \"{host}\"\npath = \"/{{*rest}}\"\nupstream = \"{name}\"\nallow = [{{ anyone = true }}]\n"
            ));
            moodles.push(Arc::new(moodle));
        }
        paged.set(Arc::clone(&moodles[at("paged")])).ok().unwrap();
        let campus = Self {
            gateway: site.start(&config),
            moodles,
            address,
            cas,
            _page: page,
            _port: port,
        };
        let rows: String = (0..PEOPLE)
            .map(|number| format!("{},{}\n", name(number), made("given", &name(number))))
            .collect();
        let file = campus
            .gateway
            .site
            .write("tokens.csv", format!("username,token\n{rows}"));
        campus.vault(&["import", file.to_str().unwrap(), "--moodle", "given"]);
        campus
    }

    fn vault(&self, words: &[&str]) {
        let config = self.gateway.site.path("gateway.toml");
        let words = ["vault"].iter().chain(words).copied();
        janua(words.chain(["--config", config.to_str().unwrap()])).ok();
    }

    fn host(&self, at: usize) -> String {
        format!("127.0.0.{}:{}", at + 1, self.address.port())
    }

    pub fn signs_in(&self, name: &str) -> Person {
        let mut person = Person {
            name: name.to_owned(),
            session: String::new(),
            ticket: String::new(),
            cookies: HashMap::new(),
        };
        self.open(&mut person, 0, "/_janua/sign-in?with=campus&return=/_janua/me")
            .expect(200);
        assert!(!person.session.is_empty());
        person
    }

    fn send(&self, person: &mut Person, at: usize, request: Request) -> Response {
        let own = person.cookies.iter().filter(|((host, _), _)| *host == at);
        let mut all: Vec<_> = own.map(|((_, name), value)| format!("{name}={value}")).collect();
        all.push(format!("janua={}", person.session));
        let answer = self
            .gateway
            .send(request.host(&self.host(at)).header("Cookie", &all.join("; ")));
        for set in answer.all("set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let is_over = attributes.to_ascii_lowercase().contains("max-age=0");
            match (name, is_over) {
                ("janua", true) => person.session.clear(),
                ("janua", false) => value.clone_into(&mut person.session),
                (_, true) => drop(person.cookies.remove(&(at, name.to_owned()))),
                (_, false) => drop(person.cookies.insert((at, name.to_owned()), value.to_owned())),
            }
        }
        answer
    }

    /// Opens an address as a page, and goes wherever it leads: through the CAS server, and Moodle's form. The last answer.
    fn open(&self, person: &mut Person, at: usize, target: &str) -> Response {
        let mut url: Url = format!("http://{}{target}", self.host(at)).parse().unwrap();
        let mut form: Option<String> = None;
        for _ in 0..24 {
            if url.port() == Some(self.cas.address.port()) {
                let service = url
                    .query_pairs()
                    .find(|(name, _)| name == "service")
                    .unwrap()
                    .1
                    .into_owned();
                let ticket = ticket("ST", &person.name);
                let separator = if service.contains('?') { '&' } else { '?' };
                url = format!("{service}{separator}ticket={ticket}").parse().unwrap();
                if url.path().ends_with("/callback") {
                    person.ticket = ticket;
                }
            }
            if url.as_str().starts_with(PROVIDER) {
                url = self.back_from_provider(&url, &person.name);
            }
            let host = url
                .host_str()
                .unwrap()
                .strip_prefix("127.0.0.")
                .and_then(|last| last.parse::<usize>().ok());
            let at = host.expect("at a Moodle") - 1;
            let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
            let request = match form.take() {
                Some(form) => Request::new("POST", target)
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .header("Origin", &format!("http://{}", self.host(at)))
                    .body(form),
                None => Request::get(target),
            };
            let request = request
                .header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Dest", "document")
                .header("Sec-Fetch-Site", "same-origin")
                .header("Accept", "text/html");
            let answer = self.send(person, at, request);
            let refresh = answer.header("refresh").and_then(|told| told.split_once("url="));
            let to = refresh
                .map(|(_, to)| to)
                .or(answer.header("location").filter(|_| answer.status < 400));
            match to {
                Some(to) => url = url.join(to).unwrap(),
                None if answer.status == 200 && url.path() == "/login/index.php" => {
                    form = Some(format!("username={}&password={PASSWORD}", person.name));
                    url.set_query(None);
                }
                None => return answer,
            }
        }
        panic!("{} is led in circles to {}", person.name, url.path())
    }

    /// The provider knows the person already, and gives the browser a code for Moodle.
    fn back_from_provider(&self, url: &Url, user: &str) -> Url {
        let said = |wanted: &str| parameter(url.as_str(), wanted).unwrap();
        let mut back: Url = said("redirect_uri").parse().unwrap();
        let at = back.port() == Some(self.address.port());
        let at = back
            .host_str()
            .filter(|_| at)
            .and_then(|host| host.strip_prefix("127.0.0."));
        let at = at.and_then(|last| last.parse::<usize>().ok()).unwrap() - 1;
        let code = self.moodles[at].site().code_for(user);
        back.query_pairs_mut()
            .append_pair("code", &code)
            .append_pair("state", &said("state"));
        back
    }

    pub fn calls(&self, person: &mut Person, at: usize) -> Response {
        self.send(person, at, script(Request::get(SITE_INFO)))
    }

    fn signs_out(&self, person: &mut Person, at: usize) {
        let out = script(Request::new("POST", "/_janua/sign-out")).body("");
        self.send(person, at, out).expect(200);
    }

    /// The CAS server says that the session is over.
    fn is_logged_out(&self, person: &Person) {
        let recorded = include_str!("../../recorded/cas/logout-request.xml");
        let (before, after) = recorded.split_once("<samlp:SessionIndex>").unwrap();
        let (_, after) = after.split_once('<').unwrap();
        let told = format!("{before}<samlp:SessionIndex>{}<{after}", person.ticket);
        let post = Request::new("POST", "/_janua/cas/campus/callback")
            .host(&self.host(0))
            .header("Content-Type", "application/x-www-form-urlencoded");
        self.gateway
            .send(post.body(query(&[("logoutRequest", &told)])))
            .expect(200);
    }

    /// Calls until it is served, with whatever a browser has to do for that. What came in the end.
    fn is_served(&self, person: &mut Person, at: usize) -> String {
        let mut told = Vec::new();
        for _ in 0..ATTEMPTS {
            let answer = self.calls(person, at);
            if answer.status == 200 {
                let text = answer.text();
                if !text.contains("\"exception\"") {
                    return text;
                }
                // Its token, and the one after it, have ended just now: Moodle's own word reaches the app.
                told.push(text);
                continue;
            }
            let reason = answer.reason();
            self.fetches_after(person, at, &reason);
            told.push(reason);
        }
        panic!("{} is not served by {}: {told:?}", person.name, MOODLES[at].0)
    }

    /// Calls, and once more after what the browser has to do for that.
    pub fn tries(&self, person: &mut Person, at: usize) -> Response {
        let answer = self.calls(person, at);
        if answer.status != 401 {
            return answer;
        }
        self.fetches(person, at);
        self.calls(person, at)
    }

    /// Calls, and does what the answer asks for if that brings nothing. Is the person served?
    pub fn serves(&self, person: &mut Person, at: usize) -> Option<()> {
        let answer = self.calls(person, at);
        if answer.status == 200 {
            let text = answer.text();
            assert!(text.contains(&format!("\"username\":\"{}\"", person.name)), "{text}");
            return Some(());
        }
        self.fetches_after(person, at, &answer.reason());
        None
    }

    /// What a browser does for another token.
    fn fetches_after(&self, person: &mut Person, at: usize, reason: &str) {
        match reason {
            "moodle_sign_in_required" => self.fetches(person, at),
            // The password comes with a sign-in alone.
            "no_moodle_token" | "no_credentials" => *person = self.signs_in(&person.name),
            _ => {}
        }
    }

    fn fetches(&self, person: &mut Person, at: usize) {
        let way = format!("/_janua/sign-in?with=campus&moodle={}&return=/_janua/me", MOODLES[at].0);
        self.open(person, at, &way);
    }

    /// Somebody's token dies, whoever's it is.
    fn kills_one(&self, number: usize, at: usize) {
        let mut site = self.moodles[at].site();
        let some = number * 31 % site.tokens.len().max(1);
        if number.is_multiple_of(2) && some < site.tokens.len() {
            site.tokens.swap_remove(some);
        } else if let Some(row) = site.tokens.get_mut(some) {
            row.expired = true;
        }
    }
}

/// The place of a Moodle.
fn at(name: &str) -> usize {
    MOODLES.iter().position(|(known, _)| *known == name).unwrap()
}

fn populate(site: &mut crate::support::moodle::Site, of: &str) {
    for number in 0..PEOPLE {
        let user = name(number);
        let account = Account {
            id: 100 + number as u64,
            first_name: user.clone(),
            password: (of == "typed").then(|| format!("secret-of-{user}")),
            ..Account::default()
        };
        site.accounts.insert(user.clone(), account);
        if ["given", "told"].contains(&of) {
            site.give(&made(of, &user), &user, "moodle_mobile_app");
        }
    }
}

#[test]
fn nobody_is_served_by_anothers_token_whatever_the_source() {
    let campus = Campus::start("");
    let (served, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    at_once(PEOPLE, |number| {
        let name = name(number);
        let mut person = campus.signs_in(&name);
        for call in 0..CALLS {
            let at = (number + call) % MOODLES.len();
            let text = campus.is_served(&mut person, at);
            assert!(
                text.contains(&format!("\"username\":\"{name}\"")),
                "{name} got {text} of {}",
                MOODLES[at].0
            );
            served.fetch_add(1, Ordering::Relaxed);
            match (number + 3 * call) % 17 {
                0 | 5 | 9 => campus.kills_one(number + call, (number + 5 * call) % MOODLES.len()),
                3 => {
                    let before = person.session.clone();
                    campus.signs_out(&mut person, at);
                    person.session = before;
                    assert_eq!(campus.calls(&mut person, at).reason(), "no_credentials");
                    ended.fetch_add(1, Ordering::Relaxed);
                    person = campus.signs_in(&name);
                }
                7 => {
                    campus.is_logged_out(&person);
                    assert_eq!(campus.calls(&mut person, at).reason(), "no_credentials");
                    ended.fetch_add(1, Ordering::Relaxed);
                    person = campus.signs_in(&name);
                }
                _ => {}
            }
            if number % 40 == 9 && call == 10 {
                campus.vault(&["remove", &name, "--moodle", "given"]);
            }
        }
    });
    assert_eq!(served.into_inner(), PEOPLE * CALLS);
    assert!(ended.into_inner() > 2 * PEOPLE);
    let metrics = campus.gateway.admin("/metrics").text();
    for source in [
        "vault",
        "cas-launch",
        "cas-token",
        "cas-facade",
        "launch",
        "attribute",
        "clearpass",
        "page",
        "oidc-launch",
    ] {
        let of_source = |line: &&str| {
            line.starts_with("janua_moodle_tokens_total{") && line.contains(&format!("source=\"{source}\""))
        };
        let good = metrics
            .lines()
            .filter(of_source)
            .any(|line| line.contains("outcome=\"ok\""));
        assert!(
            good,
            "{source} gave none: {:?}",
            metrics.lines().filter(of_source).collect::<Vec<_>>()
        );
    }
    for counted in ["dead_total", "dropped_total"] {
        assert!(
            campus.gateway.metric_sum(&format!("janua_moodle_tokens_{counted}")) > 0.0,
            "{counted}"
        );
    }
}
