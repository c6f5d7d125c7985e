//! What Apereo CAS 7.2 gives the gateway for a Moodle: passwords (ClearPass), and proxy tickets for a page of the campus's own.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeySize, PrivateDecryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::steps;
use crate::moodle::school::{SITE_INFO, script};
use crate::sign_in::campus::{Visitor, target};
use crate::support::cas::{ProxyingBackEnd, query};
use crate::support::double::Double;
use crate::support::http::{Response, values};
use crate::support::moodle::Account;
use crate::support::peers::{Cas7, PASSWORD, wanted};
use crate::support::secrets::{self, Kind};
use crate::support::wait::within;
use crate::support::{Config, Connection, Gateway, Moodle, Request, Reserved, Site};

/// What the page knows.
const TOKENS: [(&str, &str); 2] = [
    ("anna", "9a9eab1e0ddba11c0ffee0d15ea5e777"),
    ("bert", "9a9eab1e0ddba11c0ffee0d15ea5e888"),
];

/// `/words/…` gets tokens by passwords, `/pages/…` and `/others/…` from the page; the former two for who signed in as `moodle`, and
/// the last for `cas`, of which the server allows no proxy tickets to back ends.
struct World {
    cas: Cas7,
    gateway: Gateway,
    _moodles: [Moodle; 3],
    page: Page,
    back_end: ProxyingBackEnd,
    _port: Reserved,
}

/// A page that asks the server whose a ticket is, and by way of whom it came.
struct Page {
    double: Double,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Page {
    fn start(cas: std::net::SocketAddr) -> Self {
        let seen: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let kept = Arc::clone(&seen);
        let double = Double::start(move |mut wire| {
            let Ok((_, headers)) = wire.head() else { return };
            let Ok((body, _)) = wire.body(&headers, false) else {
                return;
            };
            let ticket = form_urlencoded::parse(&body).find(|(name, _)| name == "ticket");
            let Some((_, ticket)) = ticket else { return };
            secrets::register(Kind::Ticket, &ticket);
            let service = format!("http://{}/page", values(&headers, "host")[0]);
            let asked = query(&[("service", &service), ("ticket", &ticket)]);
            let asked = Request::get(&format!("/cas/p3/proxyValidate?{asked}")).host(&cas.to_string());
            let told = Connection::open(cas)
                .exchange(asked.header("Connection", "close"))
                .text();
            let all = |element: &str| {
                let opens = format!("<cas:{element}>");
                let pieces = told.split(opens.as_str()).skip(1);
                pieces
                    .map(|piece| piece.split('<').next().unwrap_or_default().to_owned())
                    .collect::<Vec<_>>()
            };
            kept.lock().unwrap().push([all("user"), all("proxy")].concat());
            let token = TOKENS
                .iter()
                .find(|(name, _)| all("user") == [*name])
                .map(|(_, token)| token);
            let answer = json!({ "user": all("user").first(), "token": token }).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            // Who asked may be gone.
            drop(wire.stream.write_all(format!("{head}{answer}").as_bytes()));
        });
        Self { double, seen }
    }

    fn seen(&self) -> Vec<Vec<String>> {
        self.seen.lock().unwrap().clone()
    }
}

#[test]
fn apereo_cas_7_for_moodle() {
    if !wanted() {
        return;
    }
    let Some(world) = World::start() else { return };
    steps!(
        &world,
        a_password_is_deciphered,
        a_page_gets_a_proxy_ticket,
        a_back_end_gets_one_too,
        a_back_end_without_goes_on_after_a_refusal,
    );
}

fn moodle(host: &str) -> Moodle {
    let moodle = Moodle::start();
    let mut site = moodle.site();
    site.settings.wwwroot = format!("http://{host}.localhost");
    for (id, (name, token)) in (8..).zip(TOKENS) {
        let account = Account {
            id,
            password: Some(PASSWORD.to_owned()),
            ..Account::default()
        };
        site.accounts.insert(name.to_owned(), account);
        site.give(token, name, "moodle_mobile_app");
    }
    drop(site);
    moodle
}

impl World {
    fn start() -> Option<Self> {
        let (port, site) = (Reserved::new(0).unwrap(), Site::new());
        let (address, private) = (
            port.address(),
            PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap(),
        );
        let der: Pkcs8V1Der<'static> = private.as_der().unwrap();
        let text = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
        let file = site.write("clearpass.pem", &pem);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let public: PublicKeyX509Der<'static> = private.public_key().as_der().unwrap();
        let cas = Cas7::with_moodle(address, public.as_ref())?;
        secrets::register(Kind::Token, PASSWORD);
        let (page, back_end) = (Page::start(cas.address()), ProxyingBackEnd::start());
        let moodles = ["words", "pages", "others"].map(moodle);
        let mut config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"http://{address}\"]"));
        for sign_in in ["moodle", "cas"] {
            config = config.section(&format!(
                "[sign_in.{sign_in}.cas]\nserver = {:?}\nproxy_chains = [{:?}]\n",
                cas.url(),
                back_end.url()
            ));
        }
        let of_page = format!(
            "[\"page\"]\npage = {{ url = \"http://{}/page\", token = \"/token\", username = \"/user\", back_ends = true }}",
            page.double.address
        );
        for (name, sign_in, tokens, moodle) in [
            (
                "words",
                "moodle",
                "[\"clearpass\"]\nclearpass = { key_file = \"clearpass.pem\" }",
                &moodles[0],
            ),
            ("pages", "moodle", &*of_page, &moodles[1]),
            ("others", "cas", &*of_page, &moodles[2]),
        ] {
            config = config.upstream(name, &[moodle.url()], "").section(&format!(
                "[moodle.{name}]\nupstream = {name:?}\npublic_url = \"http://{name}.localhost\"\nsign_in = {sign_in:?}\ntokens = \
                 {tokens}\n[[routes]]\nname = {name:?}\npath = \"/{name}/webservice/{{*rest}}\"\nstrip = \"/{name}\"\nupstream = \
                 {name:?}\npresent = \"moodle-token\"\naccept = [\"session\"]\nsign_in = {sign_in:?}\nallow = [{{ signed_in = true }}]\n"
            ));
        }
        let gateway = site.start(&config);
        let world = Self {
            cas,
            gateway,
            _moodles: moodles,
            page,
            back_end,
            _port: port,
        };
        // Each part of the server is made when it is first asked for.
        within(super::WARM, "the server is quick", || {
            let visitor = world.signs_in()?;
            (visitor.me()["user"] == "anna").then_some(())
        });
        Some(world)
    }

    /// `None`: the gateway has not waited for the server.
    fn signs_in(&self) -> Option<Visitor> {
        let visitor = Visitor::of(&self.gateway);
        let away = visitor.open("/_janua/sign-in?with=moodle&return=/_janua/me");
        let callback = self.cas.person("anna").sign_in(away.header("location")?);
        (visitor.open(target(&callback)).status == 303).then_some(visitor)
    }

    /// A proxy ticket of a person's for back ends' sessions of a sign-in, by way of the back end.
    fn proxy_ticket(&self, sign_in: &str, who: &str) -> String {
        let get = |target: &str| {
            let request = Request::get(target).host(&self.cas.address().to_string());
            let answer = Connection::open(self.cas.address()).exchange(request.header("Connection", "close"));
            secrets::register_tickets(&answer.text());
            answer.text()
        };
        let between = |text: &str, element: &str| {
            let rest = text.split_once(&format!("<cas:{element}>"));
            let rest = rest.unwrap_or_else(|| panic!("no {element} in {text}")).1;
            rest.split('<').next().unwrap().to_owned()
        };
        let service = self.back_end.service();
        let login = format!("{}/login?{}", self.cas.url(), query(&[("service", &service)]));
        let back = self.cas.person(who).sign_in(&login);
        let ticket = back
            .query_pairs()
            .find(|(name, _)| name == "ticket")
            .unwrap()
            .1
            .into_owned();
        let asked = query(&[
            ("service", &service),
            ("ticket", &ticket),
            ("pgtUrl", &self.back_end.url()),
        ]);
        let told = get(&format!("/cas/p3/serviceValidate?{asked}"));
        let grant = self.back_end.granted(&between(&told, "proxyGrantingTicket"));
        let session = format!("http://{}/_janua/cas/{sign_in}/session", self.gateway.http());
        let asked = query(&[("pgt", &grant), ("targetService", &session)]);
        between(&get(&format!("/cas/proxy?{asked}")), "proxyTicket")
    }

    fn bring(&self, sign_in: &str, who: &str) -> Response {
        let ticket = self.proxy_ticket(sign_in, who);
        let bring = Request::new("POST", &format!("/_janua/cas/{sign_in}/session"))
            .host(&self.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&[("ticket", &ticket)]));
        self.gateway.send(bring)
    }

    fn call_by(&self, place: &str, session: &Response) -> Response {
        let told = session.json();
        let call = Request::new("POST", &format!("/{place}{SITE_INFO}"))
            .host(&self.gateway.http().to_string())
            .bearer(told["session"].as_str().unwrap());
        self.gateway.send(call.body(""))
    }

    fn callback(&self, sign_in: &str) -> String {
        format!("http://{}/_janua/cas/{sign_in}/pgt", self.gateway.http())
    }
}

fn a_password_is_deciphered(world: &World) {
    let visitor = world.signs_in().unwrap();
    let told = visitor.send(script(Request::get(&format!("/words{SITE_INFO}"))));
    assert_eq!(told.expect(200).json()["username"], "anna");
}

fn a_page_gets_a_proxy_ticket(world: &World) {
    let visitor = world.signs_in().unwrap();
    let told = visitor.send(script(Request::get(&format!("/pages{SITE_INFO}"))));
    assert_eq!(told.expect(200).json()["username"], "anna");
    assert_eq!(
        world.page.seen().last().unwrap(),
        &["anna".to_owned(), world.callback("moodle")]
    );
}

fn a_back_end_gets_one_too(world: &World) {
    let session = world.bring("moodle", "bert").expect(201);
    assert_eq!(world.call_by("pages", &session).expect(200).json()["username"], "bert");
    // The last proxy comes first.
    let chain = ["bert".to_owned(), world.callback("moodle"), world.back_end.url()];
    assert_eq!(world.page.seen().last().unwrap(), &chain);
}

/// The server's definition of the address of these sessions has no proxy policy: one ticket is lost a minute.
fn a_back_end_without_goes_on_after_a_refusal(world: &World) {
    world.bring("cas", "bert").refused(403, "sign_in_refused");
    world
        .gateway
        .logged(&["the CAS server does not call the proxy callback", "sign_in=\"cas\""]);
    let session = world.bring("cas", "bert").expect(201);
    let seen = world.page.seen().len();
    world.call_by("others", &session).refused(403, "no_moodle_token");
    assert_eq!(world.page.seen().len(), seen);
}
