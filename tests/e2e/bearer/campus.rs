//! A gateway that takes access tokens, the server that they are of, and an upstream that tells what it was sent.

use serde_json::Value;

use crate::support::bearer::claims::{AUDIENCE, rfc9068};
use crate::support::bearer::{AuthServer, Endpoint};
use crate::support::http::Response;
use crate::support::oidc::{CLIENT, CLIENT_SECRET};
use crate::support::{Config, Connection, Gateway, Request, Site, Upstream, secrets};

/// `/app/…` is for every person; `/staff/…` for those of one role; `/scoped/…` and `/robot/…` go by the token alone; on
/// `/open/…` and `/named/…` everybody may, and at the latter the upstream is told who it is; `/quiet` answers by itself;
/// `/free` looks at no token.
const ROUTES: &str = r#"
[[routes]]
name     = "app"
path     = "/app/{*rest}"
upstream = "zoo"
accept   = ["bearer"]
allow    = [{ signed_in = true }]

[[routes]]
name     = "staff"
path     = "/staff/{*rest}"
upstream = "zoo"
accept   = ["bearer"]
allow    = [{ role = "ROLE_GROUP_staff" }]

[[routes]]
name     = "scoped"
path     = "/scoped/{*rest}"
upstream = "zoo"
accept   = ["bearer"]
allow    = [{ scope = "moodle" }]

[[routes]]
name     = "robot"
path     = "/robot/{*rest}"
upstream = "zoo"
accept   = ["bearer"]
allow    = [{ client = "robot" }]

[[routes]]
name     = "open"
path     = "/open/{*rest}"
upstream = "zoo"
accept   = ["bearer"]
allow    = [{ signed_in = true }, { anyone = true }]

[[routes]]
name     = "named"
path     = "/named/{*rest}"
upstream = "zoo"
accept   = ["bearer"]
allow    = [{ signed_in = true }, { client = "robot" }]
present  = "headers"
headers  = { subject = "X-Person", roles = "X-Person-Roles" }

[[routes]]
name    = "quiet"
path    = "/quiet"
respond = { status = 204 }
accept  = ["bearer"]
allow   = [{ signed_in = true }]

[[routes]]
name    = "free"
path    = "/free"
respond = { status = 204 }
allow   = [{ anyone = true }]
"#;

/// How it is found out whose a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Jwks,
    Introspection,
    Profile,
}

pub struct Plan {
    pub by: By,
    pub site: Site,
    pub config: Config,
    /// Lines of `[bearer.campus]`; without `audience` and `clients` there is one that fits. Without `bad_tokens` nobody runs
    /// out of them, since all are at one address here.
    pub bearer: String,
    /// Lines of its table of this kind.
    pub lines: String,
    /// Sections.
    pub more: String,
    /// The issuer in place of the double.
    pub issuer: Option<String>,
    pub endpoint: Option<String>,
}

impl Plan {
    pub fn by(by: By) -> Self {
        Self {
            by,
            site: Site::new(),
            config: Config::new(),
            bearer: String::new(),
            lines: String::new(),
            more: String::new(),
            issuer: None,
            endpoint: None,
        }
    }

    pub fn bearer(self, lines: &str) -> Self {
        let bearer = format!("{}\n{lines}", self.bearer);
        Self { bearer, ..self }
    }

    pub fn lines(self, lines: &str) -> Self {
        let lines = format!("{}\n{lines}", self.lines);
        Self { lines, ..self }
    }

    pub fn more(self, more: &str) -> Self {
        let more = format!("{}\n{more}", self.more);
        Self { more, ..self }
    }

    /// Clients are told apart by `X-Forwarded-For`.
    pub fn behind_a_proxy(self) -> Self {
        let config = self.config.server("trusted_proxies", r#"["127.0.0.1/32"]"#);
        Self { config, ..self }
    }

    pub fn start(self) -> Campus {
        Campus::build(AuthServer::start(), self)
    }

    pub fn with(self, server: AuthServer) -> Campus {
        Campus::build(server, self)
    }
}

pub struct Campus {
    pub server: AuthServer,
    pub gateway: Gateway,
    pub zoo: Upstream,
    pub config: Config,
}

pub fn by_jwks() -> Campus {
    Plan::by(By::Jwks).start()
}

pub fn by_introspection() -> Campus {
    Plan::by(By::Introspection).start()
}

/// As CAS: the profile names people by `id`.
pub fn by_profile() -> Campus {
    Plan::by(By::Profile).bearer("username = \"id\"").start()
}

impl Campus {
    fn build(server: AuthServer, plan: Plan) -> Self {
        let zoo = Upstream::start();
        plan.site.write("secrets/bearer", format!("{CLIENT_SECRET}\n"));
        let config = plan
            .config
            .clone()
            .upstream("zoo", &[zoo.url()], "")
            .section(&section(&server, &plan))
            .section(ROUTES);
        let gateway = plan.site.start(&config);
        Self {
            server,
            gateway,
            zoo,
            config,
        }
    }

    /// A replica with the same configuration, at an address of its own.
    pub fn replica(&self) -> Gateway {
        let site = Site::new();
        site.write("secrets/bearer", format!("{CLIENT_SECRET}\n"));
        site.start(&self.config)
    }

    /// Sends a request on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: Request) -> Response {
        self.gateway.send(request)
    }

    #[track_caller]
    pub fn get(&self, path: &str, token: &str) -> Response {
        self.send(Request::get(path).bearer(token))
    }

    /// The same from an address behind the proxy, and without an explanation beside it.
    #[track_caller]
    pub fn get_from(&self, address: &str, path: &str, token: &str) -> Response {
        let request = Request::get(path).bearer(token).header("X-Forwarded-For", address);
        quietly(&self.gateway, request)
    }

    /// The token is refused for what it is: the challenge says so, and nothing has gone upstream.
    #[track_caller]
    pub fn refuses(&self, token: &str) -> Response {
        let before = self.zoo.requests().len();
        let answer = self.get("/app/refused", token).expect(401);
        let told = challenge(&answer);
        assert!(told.contains("error=\"invalid_token\""), "{told}");
        assert_eq!(self.zoo.requests().len(), before);
        answer
    }

    /// The token is refused with this reason.
    #[track_caller]
    pub fn refuses_as(&self, token: &str, reason: &str) {
        let answer = self.refuses(token);
        assert_eq!(answer.reason(), reason);
    }

    /// What the upstream was told of who it is: name and roles.
    #[track_caller]
    pub fn named(&self, token: &str) -> (Option<String>, Option<String>) {
        let path = format!("/named/{}/", self.zoo.requests().len());
        self.get(&path, token).expect(200);
        let seen = self.zoo.seen(&path);
        let said = |name: &str| seen.header(name).map(str::to_owned);
        (said("x-person"), said("x-person-roles"))
    }

    /// It is nobody: no name, no roles, no page for people.
    #[track_caller]
    pub fn is_nobody(&self, token: &str) {
        for path in ["/app/x", "/staff/x"] {
            let answer = self.get(path, token);
            assert!([401, 403].contains(&answer.status), "{path}: {answer:?}");
        }
    }

    /// A token by RFC 9068 of the double.
    pub fn access_token(&self, over: &Value) -> String {
        self.server.access_token(rfc9068(&self.server.issuer()), over)
    }

    /// Everything of a configuration but the sections about tokens.
    pub fn reload(&self, config: &Config, mark: &str) {
        let marked = config.clone().section(&format!(
            "[[routes]]\nname = \"mark\"\npath = {mark:?}\nrespond = {{ status = 204 }}\nallow = [{{ anyone = true }}]\n"
        ));
        self.gateway.site.write("gateway.toml", marked.text());
        self.gateway.signal("HUP");
        crate::support::eventually(mark, || {
            (quietly(&self.gateway, Request::get(mark)).status == 204).then_some(())
        });
    }
}

/// Its section, for whatever server.
fn section(server: &AuthServer, plan: &Plan) -> String {
    let says = |key: &str| plan.bearer.contains(key);
    let issuer = plan.issuer.clone().unwrap_or_else(|| server.issuer());
    let endpoint = |endpoint| plan.endpoint.clone().unwrap_or_else(|| server.url(endpoint));
    let (for_whom, table) = match plan.by {
        By::Jwks => (
            format!("audience = [{AUDIENCE:?}]\n"),
            format!("[bearer.campus.jwks]\nissuer = {issuer:?}\n"),
        ),
        By::Introspection => (
            "clients = [\"app\", \"robot\"]\n".to_owned(),
            format!(
                "[bearer.campus.introspection]\nendpoint = {:?}\nclient_id = {CLIENT:?}\nclient_secret_file = \
                 \"secrets/bearer\"\n",
                endpoint(Endpoint::Introspection)
            ),
        ),
        By::Profile => (
            "clients = [\"app\", \"robot\"]\n".to_owned(),
            format!(
                "[bearer.campus.profile]\nendpoint = {:?}\n",
                endpoint(Endpoint::Profile)
            ),
        ),
    };
    let for_whom = if says("audience") || says("clients") {
        String::new()
    } else {
        for_whom
    };
    let budget = if says("bad_tokens") {
        ""
    } else {
        "bad_tokens = \"10000/s\""
    };
    format!(
        "[bearer.campus]\n{for_whom}{budget}\nroles = [{{ attribute = \"groups\", role = \"ROLE_GROUP_{{value}}\" }}]\n{}\n\
         {table}{}\n{}\n",
        plan.bearer, plan.lines, plan.more
    )
}

/// One request on a connection of its own, about which nobody is asked for an explanation: it may be one of very many, or
/// what is left of a budget changes too fast.
#[track_caller]
pub fn quietly(gateway: &Gateway, request: Request) -> Response {
    let (method, target, headers) = request.parts();
    let (method, target) = (method.to_owned(), target.to_owned());
    secrets::sending(&format!("{target} {headers:?}"));
    let request = request.header("Connection", "close");
    let mut connection = Connection::open(gateway.http());
    connection.write(request.bytes()).unwrap();
    let answer = match connection.response(method == "HEAD") {
        Ok(answer) => answer,
        Err(error) => panic!("no answer to {method} {target}: {error}"),
    };
    secrets::answered(gateway.http(), &method, &target, &answer);
    answer
}

/// The one challenge of an answer.
#[track_caller]
pub fn challenge(answer: &Response) -> String {
    let told = answer.header("www-authenticate");
    told.unwrap_or_else(|| panic!("no challenge: {answer:?}")).to_owned()
}

/// What a person may do by a token that counts: see the pages for people, and those of their role if `is_staff`.
#[track_caller]
pub fn counts(campus: &Campus, token: &str, is_staff: bool) {
    campus.get("/app/x", token).expect(200);
    let status = campus.get("/staff/x", token).status;
    assert_eq!(status, if is_staff { 200 } else { 403 });
}
