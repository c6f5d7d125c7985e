//! A gateway in front of a Moodle, a real CAS server that both ask, and browsers.

use std::net::TcpListener;
use std::sync::Mutex;

use url::Url;

use crate::support::cas::Person;
use crate::support::http::Response;
use crate::support::{CasServer, Config, Gateway, Moodle, Request, Site};

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
name     = "moodle"
path     = "/{*rest}"
upstream = "moodle"
allow    = [{ anyone = true }]
"#;

pub const SITE_INFO: &str =
    "/webservice/rest/server.php?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json";

pub struct School {
    pub cas: CasServer,
    pub moodle: Moodle,
    pub gateway: Gateway,
    /// Everything that came back to anybody.
    pub answered: Mutex<String>,
}

/// Somebody's browser, as far as the gateway sees it.
pub struct Browser<'a> {
    school: &'a School,
    cookies: Mutex<Vec<(String, String)>>,
}

impl School {
    /// `tokens` and what else stands in `[moodle.campus]`. `None`: there is no CAS server here, and the test returns too.
    pub fn start(tokens: &str) -> Option<Self> {
        Self::with(tokens, |config| config)
    }

    /// The same with a configuration that is changed before it is used.
    pub fn with(tokens: &str, change: impl FnOnce(Config) -> Config) -> Option<Self> {
        let (cas, moodle) = (CasServer::start()?, Moodle::start());
        // The gateway has to know its own address before it starts: the port is free now, and nobody else asks for it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let origin = format!("http://{address}");
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot.clone_from(&origin);
            settings.cas_public = cas.url();
            settings.cas = Some(match tokens.contains("cas-facade") {
                true => format!("{origin}/_janua/cas-facade"),
                false => cas.url(),
            });
        }
        let config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"{origin}\"]"))
            .upstream("moodle", &[moodle.url()], "")
            .section(&format!("[sign_in.campus.cas]\nserver = \"{}\"\n", cas.url()))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"{origin}\"\nsign_in = \"campus\"\ntokens = {tokens}\n"
            ))
            .section(ROUTES);
        let gateway = Site::new().start(&change(config));
        Some(Self {
            cas,
            moodle,
            gateway,
            answered: Mutex::default(),
        })
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser {
            school: self,
            cookies: Mutex::default(),
        }
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.gateway.http())
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
        let mut cookies = self.cookies.lock().unwrap();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let host = self.school.gateway.http().to_string();
        let request = request.host(&host).header("Cookie", &all.join("; "));
        let answer = self.school.gateway.send(request);
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

    /// Opens an address of the gateway as a page, and goes wherever it leads, through the CAS server too. The last answer.
    pub fn open(&self, person: &Person<'_>, address: &str) -> Response {
        let base: Url = self.school.origin().parse().unwrap();
        let mut at = base.join(address).unwrap();
        for _ in 0..12 {
            let query = at.query().map_or(String::new(), |query| format!("?{query}"));
            let answer = self.send(
                Request::get(&format!("{}{query}", at.path()))
                    .header("Sec-Fetch-Mode", "navigate")
                    .header("Sec-Fetch-Dest", "document")
                    .header("Sec-Fetch-Site", "same-origin")
                    .header("Accept", "text/html"),
            );
            let Some(to) = answer.header("location").filter(|_| answer.status < 400) else {
                return answer;
            };
            at = at.join(to).unwrap();
            if at.as_str().starts_with(&self.school.cas.url()) {
                at = person.sign_in(at.as_str());
            }
            assert_eq!(at.origin(), base.origin(), "led away");
        }
        panic!("led in circles to {at}")
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

/// With what a browser says of a script of the same origin.
pub fn script(request: Request) -> Request {
    request
        .header("Sec-Fetch-Mode", "cors")
        .header("Sec-Fetch-Dest", "empty")
        .header("Sec-Fetch-Site", "same-origin")
}
