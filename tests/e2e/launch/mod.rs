//! Launches: a learning platform opens a page here with a token, and the page goes on with a session of its own.

mod attacks;
mod beside;
mod browser;
mod forms;
mod lives;
mod players;
mod sessions;

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::{Config, Connection, Gateway, Opencast, Request, Signer, Site, in_seconds};

/// The origin that browsers know.
const ORIGIN: &str = "https://video.test";

const ROUTES: &str = r#"
[[routes]]
name    = "launch"
path    = "/redirect/get"
respond = { launch = true }
launch  = { LIFE }
allow   = [{ anyone = true }]

[[routes]]
name     = "studio"
path     = "/studio/{*rest}"
upstream = "opencast"
accept   = ["launch", "jwt"]
allow    = [{ role = "ROLE_STUDIO" }]
deny     = [{ role = "ROLE_SUSPENDED" }]
present  = "opencast-jwt"
launch   = { LIFE }

[[routes]]
name     = "ingest"
path     = "/ingest/{*rest}"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ role = "ROLE_STUDIO" }]
present  = "opencast-jwt"

[[routes]]
name     = "info"
path     = "/info/me.json"
upstream = "opencast"
accept   = ["launch", "jwt"]
allow    = [{ anyone = true }]
present  = "opencast-jwt"

[[routes]]
name     = "only tokens"
path     = "/search/{*rest}"
upstream = "opencast"
allow    = [{ role = "ROLE_STUDIO" }]
present  = "opencast-jwt"

[[routes]]
name     = "of the other"
path     = "/editor/{*rest}"
upstream = "opencast"
accept   = ["launch"]
issuers  = ["other"]
allow    = [{ signed_in = true }]
present  = "opencast-jwt"

[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = true }
allow   = [{ anyone = true }]
"#;

/// A gateway before an Opencast that trusts it alone.
struct Stage {
    site: Site,
    config: Config,
    opencast: Opencast,
    /// May name users, and give ROLE_STUDIO, ROLE_SUSPENDED and learners' roles.
    lms: Signer,
    /// May name nobody.
    other: Signer,
    gateway: Gateway,
}

impl Stage {
    fn new() -> Self {
        Self::with("", Config::new().server("public_urls", &format!("[{ORIGIN:?}]")))
    }

    /// `life` stands in `launch = { … }`.
    fn with(life: &str, config: Config) -> Self {
        Self::with_opencast(life, config, "")
    }

    /// The same with more lines of `[opencast.main]`.
    fn with_opencast(life: &str, config: Config, more: &str) -> Self {
        let (site, opencast) = (Site::new(), Opencast::start());
        let (lms, other) = (Signer::new(), Signer::new());
        site.write_keys("lms.json", &[&lms]);
        site.write_keys("other.json", &[&other]);
        site.write("secrets/opencast", "letmein");
        let roles = r#"allow_roles = ["ROLE_STUDIO", "ROLE_SUSPENDED", "*_Learner"]"#;
        let config = config
            .jwt("sources", r#"[{ header = "Authorization", scheme = "Bearer" }, { query = "jwt" }, { form = "jwt" }]"#)
            .issuer("lms", "lms.json", &format!("{roles}\nmay_name_users = true"))
            .issuer("other", "other.json", roles)
            .upstream("opencast", &[opencast.url()], "")
            .section("[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n")
            .section(more)
            .section(&ROUTES.replace("LIFE", life));
        let gateway = site.start(&config);
        let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
        opencast.site().jwks = Some(keys);
        Self {
            site,
            config,
            opencast,
            lms,
            other,
            gateway,
        }
    }

    /// Another gateway of the same configuration.
    fn replica(&self) -> Gateway {
        let site = Site::new();
        for name in ["lms.json", "other.json", "secrets/opencast"] {
            site.write(name, std::fs::read(self.site.path(name)).unwrap());
        }
        site.start(&self.config)
    }

    /// Anna's, for the studio.
    fn token(&self) -> String {
        self.lms.token(&claims("anna", &["ROLE_STUDIO"]))
    }

    fn launch(&self, token: &str) -> Launched {
        launched(&self.gateway.send(form(token, "/studio/index.html")))
    }

    fn me(&self, launched: &Launched) -> Value {
        let me = launched.asks(Request::get("/info/me.json"));
        self.gateway.send(me).expect(200).json()
    }
}

fn claims(subject: &str, roles: &[&str]) -> Value {
    json!({ "exp": in_seconds(60), "sub": subject, "name": subject, "email": "a@example.edu", "roles": roles })
}

/// What a browser has after a launch.
struct Launched {
    /// `name=value`.
    cookie: String,
    location: String,
}

impl Launched {
    fn asks(&self, request: Request) -> Request {
        request.header("Cookie", &self.cookie)
    }
}

fn launched(answer: &Response) -> Launched {
    assert_eq!(answer.status, 303, "{answer:?}");
    let cookies = answer.all("set-cookie");
    let cookie = cookies.iter().find(|cookie| cookie.contains("janua-launch="));
    let (cookie, _) = cookie.unwrap().split_once(';').unwrap();
    Launched {
        cookie: cookie.to_owned(),
        location: answer.header("location").unwrap().to_owned(),
    }
}

/// A browser opens a page in a frame.
fn page(target: &str) -> Request {
    Request::get(target)
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "iframe")
}

/// A learning platform's page posts the form into a frame.
fn form(token: &str, target: &str) -> Request {
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("jwt", token)
        .append_pair("target", target)
        .finish();
    posted(&body)
}

fn posted(body: &str) -> Request {
    Request::new("POST", "/redirect/get")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", "https://lms.test")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "iframe")
        .body(body)
}

/// The name that Opencast knows.
fn name(me: &Value) -> &str {
    me["user"]["username"].as_str().unwrap()
}

fn holds(me: &Value, role: &str) -> bool {
    me["roles"].as_array().unwrap().contains(&json!(role))
}

/// What comes back on a connection of its own, whatever is sent.
fn sent_raw(gateway: &Gateway, bytes: &[u8]) -> Response {
    Connection::open(gateway.http()).exchange_raw(bytes).unwrap()
}
