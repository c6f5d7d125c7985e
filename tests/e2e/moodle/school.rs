//! A gateway in front of a Moodle, a real CAS server that both ask, and browsers.

use std::sync::Mutex;

use serde_json::Value;
use url::Url;

use crate::support::cas::{Person, ProxyingBackEnd};
use crate::support::http::Response;
use crate::support::{CasServer, Config, Gateway, Moodle, Request, Reserved, Site};

/// `/webservice/…` gets tokens, everything else is Moodle as it is.
const ROUTES: &str = r#"
[[routes]]
name      = "calls"
path      = "/webservice/{*rest}"
upstream  = "moodle"
present   = "moodle-token"
accept    = ["session"]
sign_in   = "campus"
functions = ["core_*", "mod_*", { names = ["tool_*"], role = "ROLE_STAFF" }]
allow     = [{ signed_in = true }]
cors      = { origins = ["https://app.test"], credentials = true }
limits    = { body = "300MB" }

[[routes]]
name    = "private"
path    = "/private/{*rest}"
respond = { status = 204 }
accept  = ["session"]
sign_in = "campus"
allow   = [{ signed_in = true }]

[[routes]]
name     = "moodle"
path     = "/{*rest}"
upstream = "moodle"
allow    = [{ anyone = true }]
"#;

pub const SITE_INFO: &str =
    "/webservice/rest/server.php?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json";

/// What a browser may open as a page.
pub const FILE: &str = "/webservice/pluginfile.php/5/a/b/1/a.pdf";

pub struct School {
    pub cas: CasServer,
    pub moodle: Moodle,
    pub gateway: Gateway,
    config: Config,
    origin: String,
    _port: Reserved,
    /// Everything that came back to anybody.
    pub answered: Mutex<String>,
}

/// Somebody's browser, as far as the gateway sees it.
pub struct Browser<'a> {
    school: &'a School,
    cookies: Mutex<Vec<(String, String)>>,
    /// Every address of the gateway that was opened as a page, in order.
    pub visited: Mutex<Vec<Url>>,
}

impl School {
    /// `tokens` and what else stands in `[moodle.campus]`. `None`: there is no CAS server here, and the test returns too.
    pub fn start(tokens: &str) -> Option<Self> {
        Self::at(&Site::new(), Config::new(), tokens)
    }

    /// The same in a folder of the test's own.
    pub fn at(site: &Site, config: Config, tokens: &str) -> Option<Self> {
        Self::called("127.0.0.1", site, config, tokens)
    }

    /// The same under another name, which only browsers know.
    pub fn called(host: &str, site: &Site, config: Config, tokens: &str) -> Option<Self> {
        let cas = CasServer::start()?;
        Some(Self::planned((host, site, config), cas, (tokens, "")))
    }

    /// One whose CAS server tells further attributes, see [`CasServer::telling`].
    pub fn telling(more: &Value, site: &Site, tokens: &str) -> Option<Self> {
        let cas = CasServer::telling(more)?;
        Some(Self::planned(("127.0.0.1", site, Config::new()), cas, (tokens, "")))
    }

    /// One at which this back end may bring proxy tickets.
    pub fn with_back_end(back_end: &ProxyingBackEnd, tokens: &str) -> Option<Self> {
        let lines = format!("proxy_chains = [\"{}\"]\n", back_end.url());
        let cas = CasServer::start()?;
        Some(Self::planned(
            ("127.0.0.1", &Site::new(), Config::new()),
            cas,
            (tokens, &lines),
        ))
    }

    /// `cas` are lines of `[sign_in.campus.cas]`.
    fn planned((host, site, config): (&str, &Site, Config), cas: CasServer, (tokens, cas_lines): (&str, &str)) -> Self {
        let moodle = Moodle::start();
        // An app that may use the session may read the answers.
        let apps = config.text();
        let apps = apps
            .split_once("app_origins = [")
            .map(|(_, apps)| apps.split(']').next().unwrap());
        let apps = apps.unwrap_or("\"https://app.test\"").to_owned();
        // The gateway has to know its own address before it starts.
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let origin = format!("http://{host}:{}", address.port());
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot.clone_from(&origin);
            settings.cas_public = cas.url();
            settings.cas = Some(match tokens.contains("cas-facade") {
                true => format!("{origin}/_janua/cas-facade"),
                false => cas.url(),
            });
        }
        let config = config
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"{origin}\"]"))
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!("[sign_in.campus.cas]\nserver = \"{}\"\n{cas_lines}", cas.url()))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"{origin}\"\nsign_in = \"campus\"\ntokens = {tokens}\n"
            ))
            .section(&ROUTES.replace("\"https://app.test\"", &apps));
        let gateway = site.start(&config);
        Self {
            cas,
            moodle,
            gateway,
            config,
            origin,
            _port: port,
            answered: Mutex::default(),
        }
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser {
            school: self,
            cookies: Mutex::default(),
            visited: Mutex::default(),
        }
    }

    /// Another gateway with the same configuration, at an address of its own.
    pub fn replica(&self) -> Gateway {
        let config = self.config.clone().server("listen", "[\"127.0.0.1:0\"]");
        Site::new().start(&config)
    }

    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    /// Nothing that Moodle has handed out stands in anything that the gateway wrote or answered.
    pub fn keeps_its_secrets(&self) {
        let metrics = self.gateway.admin("/metrics").text();
        let (said, answered) = (self.gateway.said(), self.answered.lock().unwrap());
        let secrets = self.moodle.site().secrets.clone();
        assert!(!secrets.is_empty());
        for secret in secrets {
            for (place, text) in [("log", &said), ("metrics", &metrics), ("answers", &*answered)] {
                assert!(!text.contains(&secret), "a secret in the {place}");
            }
        }
    }
}

impl Browser<'_> {
    /// What it sends as `Cookie`.
    pub fn cookies(&self) -> String {
        let cookies = self.cookies.lock().unwrap();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        all.join("; ")
    }

    pub fn send(&self, request: Request) -> Response {
        let cookies = self.cookies.lock().unwrap().clone();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let host = self.school.gateway.http().to_string();
        let request = request.host(&host).header("Cookie", &all.join("; "));
        let answer = self.school.gateway.send(request);
        let mut cookies = self.cookies.lock().unwrap();
        for set in answer.all("set-cookie") {
            let (pair, attributes) = set.split_once(';').unwrap_or((set, ""));
            let (name, value) = pair.split_once('=').unwrap();
            cookies.retain(|(known, _)| known != name);
            if !attributes.to_ascii_lowercase().contains("max-age=0") {
                cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        let told = format!(
            "{:?}\n{}\n",
            answer.all("location"),
            String::from_utf8_lossy(&answer.body)
        );
        self.school.answered.lock().unwrap().push_str(&told);
        answer
    }

    /// Opens an address as a page, and goes wherever it leads, through the CAS server too. The last answer.
    pub fn open(&self, person: &Person<'_>, address: &str) -> Response {
        let base: Url = self.school.origin().parse().unwrap();
        let mut at = base.join(address).unwrap();
        let mut site = "same-origin";
        for _ in 0..12 {
            if at.as_str().starts_with(&self.school.cas.url()) {
                at = person.sign_in(at.as_str());
                site = "cross-site";
            }
            assert_eq!(at.origin(), base.origin(), "led away");
            let answer = self.step(&at, site);
            if let Some((_, to)) = answer.header("refresh").and_then(|told| told.split_once("url=")) {
                (at, site) = (at.join(to).unwrap(), "same-origin");
                continue;
            }
            let Some(to) = answer.header("location").filter(|_| answer.status < 400) else {
                return answer;
            };
            at = at.join(to).unwrap();
        }
        panic!("led in circles to {at}")
    }

    /// Opens an address of the gateway as a page, and goes on to where that leads within the gateway. The address at the
    /// CAS server to which it leads in the end, and where nobody goes.
    pub fn depart(&self, address: &str) -> Url {
        let base: Url = self.school.origin().parse().unwrap();
        let mut at = base.join(address).unwrap();
        while at.origin() == base.origin() {
            let answer = self.step(&at, "same-origin");
            let to = answer
                .header("location")
                .unwrap_or_else(|| panic!("{at} leads nowhere: {}", answer.text()));
            at = at.join(to).unwrap();
        }
        at
    }

    /// One page load. `site`: how the pages that have led there, by links and redirects, belong to its address. No
    /// `Referer`, which each of them may have forbidden.
    pub fn step(&self, at: &Url, site: &str) -> Response {
        self.visited.lock().unwrap().push(at.clone());
        self.send(
            Request::get(&at[url::Position::BeforePath..url::Position::AfterQuery])
                .header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Dest", "document")
                .header("Sec-Fetch-Site", site)
                .header("Accept", "text/html"),
        )
    }

    /// Has this browser a cookie of that name?
    pub fn has_cookie(&self, name: &str) -> bool {
        self.cookies.lock().unwrap().iter().any(|(known, _)| known == name)
    }

    /// Calls as a script of the same origin does.
    pub fn call(&self, target: &str) -> Response {
        self.send(script(Request::get(target)))
    }

    /// Does what an app does with a 401: opens `sign_in` and comes back to `/_janua/me`.
    pub fn sign_in(&self, person: &Person<'_>) -> Response {
        let told = self.call(SITE_INFO).expect(401).json();
        let sign_in = told["sign_in"].as_str().unwrap();
        self.open(person, &format!("{sign_in}&return=/_janua/me"))
    }
}

/// With what a browser says of a script of the same origin that sets the header of scripts.
pub fn script(request: Request) -> Request {
    request
        .header("X-Requested-With", "fetch")
        .header("Sec-Fetch-Mode", "cors")
        .header("Sec-Fetch-Dest", "empty")
        .header("Sec-Fetch-Site", "same-origin")
}
