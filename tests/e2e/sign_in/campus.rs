//! A gateway, a CAS server and an upstream that belong together, and visitors with a browser's cookies for the gateway.

use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::Value;
use url::Url;

use crate::support::cas::{Person, query};
use crate::support::http::Response;
use crate::support::{CasServer, Config, Connection, Gateway, Request, Reserved, Site, Upstream};

/// What [`Campus::start`] protects: everybody who is signed in may.
pub const PAGE: &str = "/app/deep/link?b=2&a=%20x+y&empty=&b=1";

/// `/app/…` is for who signed in as `campus`; `/students/…` for those of one role.
const ROUTES: &str = r#"
[[routes]]
name     = "app"
path     = "/app/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]

[[routes]]
name     = "students"
path     = "/students/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ role = "ROLE_AFFILIATION_student" }]
"#;

/// A second sign-in, `guests`, at the same server, and pages for those who signed in by it.
pub const GUESTS: &str = r#"
[sign_in.guests.cas]
server = "{cas}"

[[routes]]
name     = "guests"
path     = "/guests/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "guests"
allow    = [{ signed_in = true }]
"#;

/// What a campus is made of besides.
pub struct Plan {
    pub site: Site,
    pub config: Config,
    /// Lines of `[sign_in.campus]`.
    pub sign_in: String,
    /// Lines of `[sign_in.campus.cas]`.
    pub cas: String,
    /// Sections.
    pub more: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            site: Site::new(),
            config: Config::new(),
            sign_in: String::new(),
            cas: String::new(),
            more: String::new(),
        }
    }
}

pub struct Campus {
    pub cas: CasServer,
    pub gateway: Gateway,
    pub config: Config,
    _zoo: Upstream,
    _port: Reserved,
}

/// Somebody's browser, as far as the gateway sees it.
pub struct Visitor {
    address: SocketAddr,
    host: String,
    pub cookies: Mutex<Vec<(String, String)>>,
}

impl Campus {
    /// `None`: there is no CAS server here, and the test returns too.
    pub fn start() -> Option<Self> {
        Self::planned(Plan::default())
    }

    /// The same with more to it. `{cas}` in the plan's sections is the server's address. The gateway is called by its
    /// number, and as `localhost`.
    pub fn planned(plan: Plan) -> Option<Self> {
        let cas = CasServer::start()?;
        let zoo = Upstream::start();
        // The gateway has to know its own address before it starts.
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let config = plan
            .config
            .server("listen", &format!("[\"{address}\"]"))
            .server(
                "public_urls",
                &format!("[\"http://{address}\", \"http://localhost:{}\"]", address.port()),
            )
            .upstream("zoo", &[zoo.url()], "")
            .section(&format!(
                "[sign_in.campus]\n{}\nroles = [{{ attribute = \"eduPersonAffiliation\", role = \
                 \"ROLE_AFFILIATION_{{value}}\" }}]\n[sign_in.campus.cas]\nserver = \"{}\"\n{}\n",
                plan.sign_in,
                cas.url(),
                plan.cas,
            ))
            .section(&plan.more.replace("{cas}", &cas.url()))
            .section(ROUTES);
        let gateway = plan.site.start(&config);
        Some(Self {
            cas,
            gateway,
            config,
            _zoo: zoo,
            _port: port,
        })
    }

    /// A replica with the same configuration, at an address of its own.
    pub fn replica(&self) -> Gateway {
        let site = Site::new();
        site.start(&self.config.clone().server("listen", "[\"127.0.0.1:0\"]"))
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::of(&self.gateway)
    }

    /// Somebody who calls the gateway by its other name.
    pub fn visitor_of_localhost(&self) -> Visitor {
        Visitor::called(&self.gateway, "localhost")
    }

    /// Somebody who has this cookie of a session and nothing else.
    pub fn visitor_with(&self, session: &str) -> Visitor {
        let visitor = self.visitor();
        *visitor.cookies.lock().unwrap() = vec![("janua".to_owned(), session.to_owned())];
        visitor
    }

    /// This gateway, as URLs begin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.gateway.http())
    }
}

impl Visitor {
    /// Somebody who calls the gateway by its number.
    pub fn of(gateway: &Gateway) -> Self {
        let address = gateway.http();
        Self {
            address,
            host: address.to_string(),
            cookies: Mutex::default(),
        }
    }

    /// Somebody who calls it by this name.
    pub fn called(gateway: &Gateway, name: &str) -> Self {
        let host = format!("{name}:{}", gateway.http().port());
        Self {
            host,
            ..Self::of(gateway)
        }
    }

    /// The same browser as a replica sees it, which has the same name.
    pub fn at(&self, replica: &Gateway) -> Self {
        Self {
            address: replica.http(),
            host: self.host.clone(),
            cookies: Mutex::new(self.cookies.lock().unwrap().clone()),
        }
    }

    /// Sends the request with the browser's cookies, and keeps those that are set.
    pub fn send(&self, request: Request) -> Response {
        let mut cookies = self.cookies.lock().unwrap();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.host(&self.host).header("Cookie", &all.join("; "));
        let answer = Connection::open(self.address).exchange(request.header("Connection", "close"));
        for set in answer.all("set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').unwrap();
            cookies.retain(|(known, _)| known != name);
            if !attributes.to_ascii_lowercase().contains("max-age=0") {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// Opens an address of the gateway as a page.
    pub fn open(&self, target: &str) -> Response {
        self.send(
            Request::get(target)
                .header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Dest", "document")
                .header("Accept", "text/html"),
        )
    }

    /// Asks as a script of the gateway's own pages does.
    pub fn fetch(&self, target: &str) -> Response {
        self.send(
            Request::get(target)
                .header("Sec-Fetch-Mode", "cors")
                .header("Sec-Fetch-Dest", "empty")
                .header("Sec-Fetch-Site", "same-origin"),
        )
    }

    /// Goes from a page to the CAS server and signs in there; the address with the ticket, which is not opened yet.
    pub fn callback(&self, person: &Person<'_>, page: &str) -> Url {
        let to_cas = self.open(page).expect(303);
        person.sign_in(to_cas.header("location").unwrap())
    }

    /// The whole way to a page. What opening the callback answered.
    pub fn sign_in(&self, person: &Person<'_>, page: &str) -> Response {
        let callback = self.callback(person, page);
        self.open(target(&callback))
    }

    pub fn is_signed_in(&self) -> bool {
        match self.fetch("/app/x").status {
            200 => true,
            401 => false,
            other => panic!("{other} is neither"),
        }
    }

    /// Posts as a form of the gateway's own pages does.
    pub fn post(&self, target: &str, form: &str) -> Response {
        self.send(
            Request::new("POST", target)
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Sec-Fetch-Site", "same-origin")
                .body(form),
        )
    }

    /// What `/_janua/me` says.
    pub fn me(&self) -> Value {
        self.fetch("/_janua/me").expect(200).json()
    }

    pub fn session(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        let found = cookies.iter().find(|(name, _)| name == "janua");
        found.map(|(_, value)| value.clone())
    }
}

/// The gateway ends as an operator ends it, and another one begins where it was.
pub fn restart(gateway: &mut Gateway, config: &Config) {
    gateway.signal("TERM");
    gateway.ended();
    *gateway = gateway.site.clone().start(config);
}

/// Path and query.
pub fn target(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

/// Where to sign in by hand, to come back to an address.
pub fn sign_in_to(back: &str) -> String {
    format!("/_janua/sign-in?{}", query(&[("return", back)]))
}
