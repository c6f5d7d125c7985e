//! A gateway in front of a Moodle where people log in by a password, and an OpenID provider by which they sign in at the gateway.

use std::sync::Mutex;

use url::Url;

use super::super::school::{SITE_INFO, script};
use crate::support::http::Response;
use crate::support::moodle::provider;
use crate::support::oidc::double::Endpoint;
use crate::support::oidc::{CLIENT, CLIENT_SECRET};
use crate::support::{Config, Gateway, Moodle, OidcDouble, Request, Reserved, Site};

/// Everybody's at Moodle.
pub const PASSWORD: &str = "open-sesame";

pub const ROUTES: &str = r#"
[[routes]]
name     = "calls"
path     = "/webservice/{*rest}"
upstream = "moodle"
present  = "moodle-token"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]

[[routes]]
name     = "moodle"
path     = "/{*rest}"
upstream = "moodle"
allow    = [{ anyone = true }]
"#;

pub struct Lab {
    pub idp: OidcDouble,
    pub moodle: Moodle,
    pub gateway: Gateway,

    pub origin: String,
    /// What the provider says to Moodle's own client: who is signed in there, or an error. `None`: who the browser is.
    pub provider_says: Mutex<Option<Result<&'static str, &'static str>>>,
    _port: Reserved,
    answered: Mutex<String>,
}

/// A browser, in which `who` is signed in at the provider.
pub struct Browser<'a> {
    lab: &'a Lab,
    who: &'static str,
    pub agent: &'static str,
    pub cookies: Mutex<Vec<(String, String)>>,
    /// Every address of the gateway that was opened, in order.
    pub visited: Mutex<Vec<Url>>,
}

/// The source of most tests here.
const LAUNCH: &str = "[\"launch\"]";

impl Lab {
    /// With `typeoflogin`.
    pub fn start(type_of_login: u8) -> Self {
        Self::with(type_of_login, "")
    }

    /// The same with lines of `[moodle.campus]`.
    pub fn with(type_of_login: u8, lines: &str) -> Self {
        Self::routed(type_of_login, lines, "", ROUTES)
    }

    /// The same with lines of Moodle's upstream, and routes.
    pub fn routed(type_of_login: u8, lines: &str, upstream: &str, routes: &str) -> Self {
        Self::signing_in("", LAUNCH, type_of_login, lines, upstream, routes)
    }

    /// The same with lines of the sign-in's table.
    pub fn planned(type_of_login: u8, lines: &str, oidc: &str, at: (&str, &str)) -> Self {
        Self::signing_in(oidc, LAUNCH, type_of_login, lines, at.0, at.1)
    }

    /// The same with other sources.
    pub fn of(tokens: &str, type_of_login: u8, lines: &str, upstream: &str, routes: &str) -> Self {
        Self::signing_in("", tokens, type_of_login, lines, upstream, routes)
    }

    /// The same with lines of `[sign_in.campus.oidc]`.
    pub fn signing_in(
        sign_in: &str,
        tokens: &str,
        type_of_login: u8,
        lines: &str,
        upstream: &str,
        routes: &str,
    ) -> Self {
        let (idp, moodle, site) = (OidcDouble::start(), Moodle::start(), Site::new());
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let origin = format!("http://{address}");
        {
            let settings = &mut moodle.site().settings;
            settings.wwwroot.clone_from(&origin);
            settings.auth_cas = false;
            settings.password = Some(PASSWORD.to_owned());
            settings.type_of_login = type_of_login;
            settings.provider = idp.url(Endpoint::Authorize);
        }
        let secret = site.write("secrets/oidc", format!("{CLIENT_SECRET}\n"));
        let config = Config::new()
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("[\"{origin}\"]"))
            .upstream("moodle", &[moodle.url()], upstream)
            .section(&format!(
                "[sign_in.campus.oidc]\nissuer = {:?}\nclient_id = {CLIENT:?}\nclient_secret_file = {secret:?}\n{sign_in}\n",
                idp.issuer()
            ))
            .section(&format!(
                "[moodle.campus]\nupstream = \"moodle\"\npublic_url = \"{origin}\"\nsign_in = \"campus\"\ntokens = \
                 {tokens}\n{lines}\n"
            ))
            .section(routes);
        Self {
            gateway: site.start(&config),
            idp,
            moodle,

            origin,
            provider_says: Mutex::default(),
            _port: port,
            answered: Mutex::default(),
        }
    }

    pub fn browser(&self, who: &'static str) -> Browser<'_> {
        Browser {
            lab: self,
            who,
            agent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            cookies: Mutex::default(),
            visited: Mutex::default(),
        }
    }

    /// Where an authorization request of Moodle's own client leads in a browser of this person.
    pub fn back_to_moodle(&self, to: &Url, who: &str) -> Url {
        let said = |name: &str| {
            let mut pairs = to.query_pairs();
            pairs
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.into_owned())
        };
        let mut back: Url = said("redirect_uri").unwrap().parse().unwrap();
        let says = (*self.provider_says.lock().unwrap()).unwrap_or(Ok(""));
        let mut query = back.query_pairs_mut();
        match says {
            Ok(other) => {
                let who = if other.is_empty() { who } else { other };
                query.append_pair("code", &self.moodle.site().code_for(who));
            }
            Err(error) => {
                query.append_pair("error", error);
            }
        }
        query.append_pair("state", &said("state").unwrap());
        query.append_pair("iss", &self.idp.issuer());
        drop(query);
        back
    }

    /// What has come of ways through `launch.php`.
    pub fn counted(&self, outcome: &str) -> f64 {
        self.counted_of("launch", outcome)
    }

    /// The same of another source.
    pub fn counted_of(&self, source: &str, outcome: &str) -> f64 {
        let labels = format!("moodle=\"campus\",outcome=\"{outcome}\",source=\"{source}\"");
        self.gateway
            .metric(&format!("janua_moodle_tokens_total{{{labels}}}"))
            .unwrap_or_default()
    }

    /// Requests for `launch.php` that Moodle got.
    pub fn launches(&self) -> usize {
        let requests = self.moodle.site().requests.clone();
        let is_launch = |target: &str| target.starts_with("/admin/tool/mobile/launch.php");
        requests.iter().filter(|(_, target, _)| is_launch(target)).count()
    }

    /// No token of Moodle's stands in anything that the gateway wrote or answered.
    pub fn keeps_its_tokens(&self) {
        let metrics = self.gateway.admin("/metrics").text();
        let (said, answered) = (self.gateway.said(), self.answered.lock().unwrap());
        let tokens: Vec<_> = self.moodle.site().tokens.iter().map(|row| row.token.clone()).collect();
        for token in tokens {
            for (place, text) in [("log", &said), ("metrics", &metrics), ("answers", &*answered)] {
                assert!(!text.contains(&token), "a token in the {place}");
            }
        }
        for shown in ["://token=", "%3A%2F%2Ftoken%3D"] {
            assert!(!answered.contains(shown), "the answer of launch.php was shown");
        }
    }
}

impl<'a> Browser<'a> {
    pub fn lab(&self) -> &'a Lab {
        self.lab
    }

    /// Who is signed in at the provider.
    pub fn who(&self) -> &'static str {
        self.who
    }
}

impl Browser<'_> {
    fn send(&self, request: Request) -> Response {
        let cookies = self.cookies.lock().unwrap().clone();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let host = self.lab.gateway.http().to_string();
        let request = request
            .host(&host)
            .header("Cookie", &all.join("; "))
            .header("User-Agent", self.agent);
        let answer = self.lab.gateway.send(request);
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
        self.lab.answered.lock().unwrap().push_str(&told);
        answer
    }

    /// With what it has of cookies.
    pub fn ask(&self, request: Request) -> Response {
        self.send(navigation(request, "same-origin"))
    }

    fn at(&self, address: &str) -> Url {
        self.lab.origin.parse::<Url>().unwrap().join(address).unwrap()
    }

    /// One page load.
    pub fn step(&self, address: &str) -> Response {
        self.load(&self.at(address), "same-origin")
    }

    fn load(&self, at: &Url, site: &str) -> Response {
        self.visited.lock().unwrap().push(at.clone());
        self.send(navigation(
            Request::get(&at[url::Position::BeforePath..url::Position::AfterQuery]),
            site,
        ))
    }

    /// Opens an address as a page, and goes wherever it leads, through the provider too. The last answer.
    pub fn open(&self, address: &str) -> Response {
        let at = self.at(address);
        let answer = self.load(&at, "same-origin");
        self.follow(at, answer)
    }

    fn follow(&self, mut at: Url, mut answer: Response) -> Response {
        let mut site = "same-origin";
        for _ in 0..16 {
            let to = match answer.header("refresh").and_then(|told| told.split_once("url=")) {
                Some((_, to)) => {
                    site = "same-origin";
                    to.to_owned()
                }
                None => match answer.header("location").filter(|_| answer.status < 400) {
                    Some(to) => to.to_owned(),
                    None => return answer,
                },
            };
            at = at.join(&to).unwrap();
            if at.as_str().starts_with(&self.lab.idp.origin()) {
                at = match at.as_str().contains(provider::CLIENT) {
                    true => self.lab.back_to_moodle(&at, self.who),
                    false => self.lab.idp.authorize(at.as_str(), self.who),
                };
                site = "cross-site";
            }
            assert_eq!(at.origin(), self.at("/").origin(), "led away to {at}");
            answer = self.load(&at, site);
        }
        panic!("led in circles to {at}")
    }

    /// Posts the form of a page, and goes wherever that leads.
    pub fn post(&self, address: &str, form: &str) -> Response {
        let at = self.at(address);
        let target = &at[url::Position::BeforePath..url::Position::AfterQuery];
        let posted = Request::new("POST", target).header("Content-Type", "application/x-www-form-urlencoded");
        let answer = self.send(
            navigation(posted, "same-origin")
                .header("Origin", &self.lab.origin)
                .body(form),
        );
        self.follow(at, answer)
    }

    /// Logs in at Moodle by its form.
    pub fn log_in(&self, user: &str) -> Response {
        self.post(
            "/login/index.php",
            &format!("anchor=&username={user}&password={PASSWORD}"),
        )
    }

    /// Calls as a script of the same origin does.
    pub fn call(&self) -> Response {
        self.send(script(Request::get(SITE_INFO)))
    }

    /// Does what an app does with a 401: opens `sign_in` to come back to `/_janua/me`.
    pub fn sign_in(&self) -> Response {
        let told = self.call().expect(401).json();
        self.open(&format!("{}&return=/_janua/me", told["sign_in"].as_str().unwrap()))
    }

    /// The last address of `launch.php` that it was at.
    pub fn launch(&self) -> Url {
        let visited = self.visited.lock().unwrap();
        let mut visited = visited.iter().rev();
        let found = visited.find(|url| url.path() == "/admin/tool/mobile/launch.php");
        found.expect("it was at launch.php").clone()
    }

    pub fn last(&self) -> Url {
        self.visited.lock().unwrap().last().unwrap().clone()
    }

    /// Names of cookies that begin so.
    pub fn cookies(&self, beginning: &str) -> Vec<String> {
        let cookies = self.cookies.lock().unwrap();
        let names = cookies.iter().map(|(name, _)| name.clone());
        names.filter(|name| name.starts_with(beginning)).collect()
    }

    #[track_caller]
    pub fn is_served_as(&self, user: &str) {
        assert_eq!(self.call().expect(200).json()["username"], user);
    }
}

fn navigation(request: Request, site: &str) -> Request {
    request
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
        .header("Sec-Fetch-Site", site)
        .header("Accept", "text/html")
}
