//! A gateway, a CAS server and an upstream that belong together, and visitors with a browser's cookies for the gateway.

use std::net::TcpListener;
use std::sync::Mutex;

use url::Url;

use crate::support::cas::{Person, query};
use crate::support::http::Response;
use crate::support::{CasServer, Config, Gateway, Request, Site, Upstream};

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

pub struct Campus {
    pub cas: CasServer,
    pub gateway: Gateway,
    _zoo: Upstream,
}

/// Somebody's browser, as far as the gateway sees it.
pub struct Visitor<'a> {
    campus: &'a Campus,
    pub cookies: Mutex<Vec<(String, String)>>,
}

impl Campus {
    /// `None`: there is no CAS server here, and the test returns too.
    pub fn start() -> Option<Self> {
        let cas = CasServer::start()?;
        let zoo = Upstream::start();
        // The gateway has to know its own address before it starts: the port is free now, and nobody else asks for it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"http://{address}\"]"))
            .upstream("zoo", &[zoo.url()], "")
            .section(&format!(
                "[sign_in.campus]\nroles = [{{ attribute = \"eduPersonAffiliation\", role = \
                 \"ROLE_AFFILIATION_{{value}}\" }}]\n[sign_in.campus.cas]\nserver = \"{}\"\n",
                cas.url()
            ))
            .section(ROUTES);
        let gateway = Site::new().start(&config);
        Some(Self {
            cas,
            gateway,
            _zoo: zoo,
        })
    }

    pub fn visitor(&self) -> Visitor<'_> {
        Visitor {
            campus: self,
            cookies: Mutex::default(),
        }
    }

    /// This gateway, as URLs begin.
    pub fn origin(&self) -> String {
        format!("http://{}", self.gateway.http())
    }
}

impl Visitor<'_> {
    pub fn send(&self, request: Request) -> Response {
        let mut cookies = self.cookies.lock().unwrap();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let host = self.campus.gateway.http().to_string();
        let answer = self
            .campus
            .gateway
            .send(request.host(&host).header("Cookie", &all.join("; ")));
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
        let to_cas = self.open(page).expect(302);
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

    pub fn session(&self) -> Option<String> {
        let cookies = self.cookies.lock().unwrap();
        let found = cookies.iter().find(|(name, _)| name == "janua");
        found.map(|(_, value)| value.clone())
    }
}

/// Path and query.
pub fn target(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}

/// Where to sign in by hand, to come back to an address.
pub fn sign_in_to(back: &str) -> String {
    format!("/_janua/sign-in?{}", query(&[("return", back)]))
}
