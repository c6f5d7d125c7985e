//! A gateway, a provider and an upstream that belong together.

use std::net::SocketAddr;

use serde_json::Value;
use url::Url;

use crate::sign_in::campus::{Visitor, target};
use crate::support::http::Response;
use crate::support::oidc::{CLIENT, CLIENT_SECRET, Person};
use crate::support::{Config, Gateway, OidcDouble, OidcServer, Reserved, Site, Upstream};

/// What a campus protects: everybody who is signed in may.
pub const PAGE: &str = "/app/deep/link?b=2&a=%20x+y&empty=&b=1";

/// `/app/…` is for who signed in as `campus`; `/staff/…` for those of one role; `/open/…` is told who it is.
pub const ROUTES: &str = r#"
[[routes]]
name     = "app"
path     = "/app/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }]

[[routes]]
name     = "staff"
path     = "/staff/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ role = "ROLE_GROUP_staff" }]

[[routes]]
name     = "open"
path     = "/open/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "campus"
allow    = [{ signed_in = true }, { anyone = true }]
"#;

/// What a campus is made of besides.
pub struct Plan {
    pub site: Site,
    pub config: Config,
    /// Lines of `[sign_in.campus]`.
    pub sign_in: String,
    /// Lines of `[sign_in.campus.oidc]`.
    pub oidc: String,
    /// The claim that names people, and where the provider is found: what only few tests change.
    pub username: &'static str,
    pub role: &'static str,
    pub issuer: Option<String>,
    pub is_public: bool,
    /// What the real provider knows of its client besides: members of its registration.
    pub client: Value,
    /// Sections.
    pub more: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            site: Site::new(),
            config: Config::new(),
            sign_in: String::new(),
            oidc: String::new(),
            username: "preferred_username",
            role: "{ attribute = \"groups\", role = \"ROLE_GROUP_{value}\" }",
            issuer: None,
            is_public: false,
            client: Value::Null,
            more: String::new(),
        }
    }
}

/// Who people sign in at.
pub trait Provider {
    fn issuer(&self) -> String;
}

impl Provider for OidcServer {
    fn issuer(&self) -> String {
        self.issuer()
    }
}

impl Provider for OidcDouble {
    fn issuer(&self) -> String {
        self.issuer()
    }
}

pub struct Campus<P> {
    pub provider: P,
    pub gateway: Gateway,
    pub config: Config,
    _zoo: Upstream,
    _port: Reserved,
}

/// With the real provider. `None`: there is none here, and the test returns too.
pub fn start() -> Option<Campus<OidcServer>> {
    planned(Plan::default())
}

/// The same with lines of `[sign_in.campus.oidc]`.
pub fn start_with(oidc: &str) -> Option<Campus<OidcServer>> {
    planned(Plan {
        oidc: oidc.to_owned(),
        ..Plan::default()
    })
}

pub fn planned(plan: Plan) -> Option<Campus<OidcServer>> {
    // The gateway has to know its own address before it starts, and the provider the gateway's.
    let port = Reserved::new(0).unwrap();
    let provider = OidcServer::start_for(&origins(port.address()), &plan.client)?;
    Some(Campus::build(provider, port, plan))
}

/// With the double.
pub fn doubled() -> Campus<OidcDouble> {
    doubled_with("")
}

/// The same with lines of `[sign_in.campus.oidc]`.
pub fn doubled_with(oidc: &str) -> Campus<OidcDouble> {
    by_double(
        OidcDouble::start(),
        Plan {
            oidc: oidc.to_owned(),
            ..Plan::default()
        },
    )
}

pub fn by_double(double: OidcDouble, plan: Plan) -> Campus<OidcDouble> {
    Campus::build(double, Reserved::new(0).unwrap(), plan)
}

/// What the gateway is called by.
fn origins(address: SocketAddr) -> [String; 2] {
    [
        format!("http://{address}"),
        format!("http://localhost:{}", address.port()),
    ]
}

impl<P: Provider> Campus<P> {
    /// `{issuer}` in the plan's lines and sections is the provider's.
    fn build(provider: P, port: Reserved, plan: Plan) -> Self {
        let zoo = Upstream::start();
        let address = port.address();
        let secret = plan.site.write("secrets/oidc", format!("{CLIENT_SECRET}\n"));
        let issuer = plan.issuer.unwrap_or_else(|| provider.issuer());
        let scopes = match plan.oidc.contains("scopes") {
            true => "",
            false => "scopes = [\"openid\", \"profile\", \"email\", \"groups\"]",
        };
        let secret = match plan.is_public {
            true => String::new(),
            false => format!("client_secret_file = {secret:?}"),
        };
        let sign_in = format!(
            "[sign_in.campus]\n{}\nroles = [{}]\n\
             [sign_in.campus.oidc]\nissuer = {issuer:?}\nclient_id = {CLIENT:?}\n{secret}\n\
             username = {:?}\n{scopes}\n{}\n{}",
            plan.sign_in, plan.role, plan.username, plan.oidc, plan.more,
        );
        let config = plan
            .config
            .server("listen", &format!("[\"{address}\"]"))
            .server("public_urls", &format!("{:?}", origins(address)))
            .upstream("zoo", &[zoo.url()], "")
            .section(&sign_in.replace("{issuer}", &provider.issuer()))
            .section(ROUTES);
        let gateway = plan.site.start(&config);
        Self {
            provider,
            gateway,
            config,
            _zoo: zoo,
            _port: port,
        }
    }

    /// A replica with the same configuration, at an address of its own.
    pub fn replica(&self) -> Gateway {
        let site = Site::new();
        site.start(&self.config.clone().server("listen", "[\"127.0.0.1:0\"]"))
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::of(&self.gateway)
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

    pub fn endpoint(&self, name: &str) -> String {
        format!("/_janua/oidc/campus/{name}")
    }

    /// How many sign-ins have ended so.
    pub fn outcomes(&self, outcome: &str) -> f64 {
        let series = format!("janua_sign_ins_total{{outcome=\"{outcome}\",sign_in=\"campus\"}}");
        self.gateway.metric(&series).unwrap_or_default()
    }

    /// How all have ended so far.
    pub fn all_outcomes(&self) -> Vec<String> {
        let told = self.gateway.admin("/metrics").text();
        let told = told.lines().filter(|line| line.starts_with("janua_sign_ins_total"));
        told.map(str::to_owned).collect()
    }

    /// A visitor who is not signed in comes back by this address: a page refuses, with a way to begin again and no way to
    /// go round in a circle.
    #[track_caller]
    pub fn refuses(&self, visitor: &Visitor, callback: &Url, outcome: &str) {
        let before = self.outcomes(outcome);
        let page = visitor.open(target(callback));
        assert_eq!(page.status, status_of(outcome), "{:?}", self.all_outcomes());
        assert_eq!(page.header("location"), None, "no loop");
        let kind = page.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{kind}");
        assert_eq!(
            self.outcomes(outcome),
            before + 1.0,
            "{outcome}: {:?}",
            self.all_outcomes()
        );
        assert!(!visitor.is_signed_in());
    }
}

/// Of the page for a sign-in that ended so.
fn status_of(outcome: &str) -> u16 {
    match outcome {
        "stale" | "no_ticket" => 400,
        "unreachable" | "timeout" | "bad_answer" | "provider_error" => 502,
        _ => 403,
    }
}

impl Campus<OidcDouble> {
    /// Goes from a page to the double, where `who` signs in; the address with the code, which is not opened yet.
    pub fn callback(&self, visitor: &Visitor, who: &str, page: &str) -> Url {
        self.provider.authorize(&leads_to(&visitor.open(page)), who)
    }

    /// The whole way. What opening the callback answered.
    pub fn sign_in(&self, visitor: &Visitor, who: &str, page: &str) -> Response {
        let callback = self.callback(visitor, who, page);
        visitor.open(target(&callback))
    }

    /// Signs in somebody new, which works.
    #[track_caller]
    pub fn signs_in(&self, who: &str) -> Visitor {
        let visitor = self.visitor();
        self.sign_in(&visitor, who, PAGE).expect(303);
        assert!(visitor.is_signed_in());
        visitor
    }

    /// Somebody new comes back as `who`, and is refused.
    #[track_caller]
    pub fn refuses_somebody(&self, outcome: &str) {
        let visitor = self.visitor();
        let callback = self.callback(&visitor, "alice", PAGE);
        self.refuses(&visitor, &callback, outcome);
    }
}

/// Goes from a page to the real provider and signs in there; the address with the code, which is not opened yet.
pub fn callback(visitor: &Visitor, person: &Person<'_>, page: &str) -> Url {
    person.sign_in(&leads_to(&visitor.open(page)))
}

/// The whole way to a page. What opening the callback answered.
pub fn sign_in(visitor: &Visitor, person: &Person<'_>, page: &str) -> Response {
    visitor.open(target(&callback(visitor, person, page)))
}

/// Where a browser is sent.
#[track_caller]
pub fn leads_to(answer: &Response) -> String {
    assert!(
        [302, 303].contains(&answer.status),
        "{} {}",
        answer.status,
        answer.text()
    );
    answer.header("location").unwrap().to_owned()
}

/// A parameter of an address that must not stand there twice.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url: Url = url.parse().unwrap();
    let all: Vec<String> = url
        .query_pairs()
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .collect();
    assert!(all.len() < 2, "{name} in {url}");
    all.into_iter().next()
}

/// The same address with another value for a parameter.
pub fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(
        url.query_pairs()
            .map(|(known, old)| (known.clone(), if known == name { value.into() } else { old })),
    );
    changed
}
