//! Callers whom the upstream knows by Basic or Digest, as capture agents and scripts have it: they pass on routes that say so,
//! with what they brought and nothing else, and nobody is known by it here.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::double::Double;
use crate::support::http::{Wire, values};
use crate::support::tools::{curl, janua, missing};
use crate::support::{Config, Gateway, Request, Signer, Site, in_seconds};

const AGENT: (&str, &str) = ("agent", "capture it");

/// A request as it came.
#[derive(Debug, Clone)]
struct Seen {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// A server with one user. Its nonces are known to it alone.
struct Server {
    double: Double,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start() -> Self {
        Self::serving(false)
    }

    /// It says 200 to whoever brings nothing.
    fn open_to_all() -> Self {
        Self::serving(true)
    }

    fn serving(is_open: bool) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (kept, nonces) = (Arc::clone(&seen), Arc::<Mutex<HashSet<String>>>::default());
        let double = Double::start(move |mut wire| while serve(&mut wire, is_open, &kept, &nonces).is_some() {});
        Self { double, seen }
    }

    fn url(&self) -> String {
        format!("http://{}", self.double.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn last(&self) -> Seen {
        self.seen().last().unwrap().clone()
    }
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        values(&self.headers, name).first().copied()
    }
}

fn serve(wire: &mut Wire, is_open: bool, kept: &Mutex<Vec<Seen>>, nonces: &Mutex<HashSet<String>>) -> Option<()> {
    let (line, headers) = wire.head().ok()?;
    let (_, _) = wire.body(&headers, false).ok()?;
    let mut words = line.split(' ');
    let seen = Seen {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        headers,
    };
    kept.lock().unwrap().push(seen.clone());
    let authorization = seen.header("authorization").unwrap_or_default();
    let is_known = match authorization.split_once(' ') {
        Some(("Basic", pair)) => pair == basic(AGENT.0, AGENT.1),
        Some(("Digest", fields)) => is_digest(&seen, fields, nonces),
        _ => false,
    };
    let is_open = is_open && authorization.is_empty();
    let answer = match (is_known || is_open, seen.header("x-requested-auth")) {
        // As Opencast answers whom it knows and does not let.
        (true, _) if seen.target.ends_with("known-and-not-let") => {
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        (true, _) => "HTTP/1.1 200 OK\r\nSet-Cookie: JSESSIONID=node01\r\nAuthentication-Info: rspauth=\"1\"\r\n\
                      Content-Length: 5\r\n\r\nagent"
            .to_owned(),
        (false, Some("Digest")) => {
            let nonce = format!("{:x}", rand::random::<u128>());
            nonces.lock().unwrap().insert(nonce.clone());
            format!(
                "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"Opencast\", qop=\"auth\", nonce=\"{nonce}\"\r\n\
                 Content-Length: 0\r\n\r\n"
            )
        }
        _ => "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"Opencast\"\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
    };
    wire.stream.write_all(answer.as_bytes()).ok()
}

fn basic(name: &str, password: &str) -> String {
    STANDARD.encode(format!("{name}:{password}"))
}

/// RFC 7616 section 3.4, with MD5 and `qop=auth`.
fn is_digest(seen: &Seen, fields: &str, nonces: &Mutex<HashSet<String>>) -> bool {
    let field = |name: &str| {
        let mut pairs = fields.split(',').filter_map(|pair| pair.trim().split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found
            .map(|(_, value)| value.trim_matches('"').to_owned())
            .unwrap_or_default()
    };
    let hash = |text: String| {
        use md5::Digest as _;
        let bytes = md5::Md5::digest(text);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let who = hash(format!("{}:Opencast:{}", AGENT.0, AGENT.1));
    let what = hash(format!("{}:{}", seen.method, field("uri")));
    let (nonce, count, client) = (field("nonce"), field("nc"), field("cnonce"));
    let expected = hash(format!("{who}:{nonce}:{count}:{client}:auth:{what}"));
    nonces.lock().unwrap().contains(&nonce) && field("uri") == seen.target && field("response") == expected
}

/// `/agents/…` takes both, `/basic/…` Basic alone, `/plain/…` tokens alone; all but administrators are refused by rule.
fn gateway(servers: &[&Server], signer: &Signer) -> (Site, Gateway) {
    let site = Site::new();
    site.write_keys("jwks.json", &[signer]);
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    let mut config = Config::new()
        .server("trusted_proxies", "[\"127.0.0.1\"]")
        .issuer("moodle", "jwks.json", "allow_roles = [\"ROLE_ADMIN\"]")
        .upstream("opencast", &urls, "");
    for (name, accept) in [
        ("agents", "[\"jwt\", \"basic\", \"digest\"]"),
        ("basic", "[\"jwt\", \"basic\"]"),
        ("plain", "[\"jwt\"]"),
    ] {
        config = config.section(&format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\nupstream = \"opencast\"\naccept = {accept}\n\
             allow = [{{ role = \"ROLE_ADMIN\" }}]\ndeny = [{{ methods = [\"DELETE\"] }}]\n"
        ));
    }
    let gateway = site.start(&config);
    (site, gateway)
}

fn with_password(method: &str, target: &str, password: &str) -> Request {
    Request::new(method, target).header("Authorization", &format!("Basic {}", basic(AGENT.0, password)))
}

#[test]
fn basic_goes_on_as_it_came_and_alone() {
    let (server, signer) = (Server::start(), Signer::new());
    let (site, gateway) = gateway(&[&server], &signer);
    let right = |method: &str, target: &str| with_password(method, target, AGENT.1);
    let answer = gateway.send(
        right("GET", "/agents/status?x=1")
            .header("X-Requested-Auth", "Basic")
            .header("Cookie", "JSESSIONID=mine; other=1")
            .header("X-Run-With-Roles", "ROLE_USER_ANNA")
            .header("X-Forwarded-User", "admin"),
    );
    let answer = answer.expect(200);
    assert_eq!(answer.text(), "agent");
    assert_eq!(
        answer.header("set-cookie"),
        None,
        "a session there is none of the client's"
    );
    assert_eq!(answer.header("authentication-info"), Some("rspauth=\"1\""));
    let seen = server.last();
    assert_eq!(
        seen.header("authorization"),
        Some(&*format!("Basic {}", basic(AGENT.0, AGENT.1)))
    );
    assert_eq!(seen.header("x-requested-auth"), Some("Basic"));
    assert_eq!((seen.header("cookie"), seen.header("x-forwarded-user")), (None, None));
    // Moodle's plugin narrows its account by it, and Opencast takes it from whom it lets.
    assert_eq!(seen.header("x-run-with-roles"), Some("ROLE_USER_ANNA"));
    // A rule that asks about the request counts, and nobody is an administrator by it elsewhere.
    gateway
        .send(right("DELETE", "/agents/status"))
        .refused(403, "denied_by_rule");
    let before = server.seen().len();
    gateway
        .send(right("GET", "/plain/status"))
        .refused(401, "no_credentials");
    gateway.get("/agents/status").refused(401, "no_credentials");
    let digest = Request::get("/basic/status").header("Authorization", "Digest username=\"agent\"");
    gateway.send(digest).refused(401, "no_credentials");
    assert_eq!(server.seen().len(), before);
    // The others are who they were.
    let admin = signer.token(&json!({ "exp": in_seconds(60), "sub": "anna", "roles": ["ROLE_ADMIN"] }));
    gateway.get_with("/agents/status", &admin).expect(401);
    assert_eq!(server.last().header("authorization"), None, "a token goes no further");
    let (file, header) = (
        site.path("gateway.toml"),
        format!("Authorization: Basic {}", basic(AGENT.0, AGENT.1)),
    );
    let why = janua([
        "explain",
        "GET",
        "/agents/a",
        "--header",
        &header,
        "--config",
        file.to_str().unwrap(),
    ]);
    assert!(
        why.stdout.contains("authorization, basic: the upstream judges it"),
        "{why:?}"
    );
    assert!(!why.stdout.contains(&basic(AGENT.0, AGENT.1)), "{why:?}");
    let passed = gateway.metric("janua_upstream_auth_total{outcome=\"passed\",route=\"agents\",scheme=\"basic\"}");
    assert_eq!(passed, Some(1.0));
}

#[test]
fn nothing_else_says_who_it_is_beside() {
    let (server, signer) = (Server::start(), Signer::new());
    let (_site, gateway) = gateway(&[&server], &signer);
    let token = signer.token(&json!({ "exp": in_seconds(60), "sub": "anna", "roles": ["ROLE_ADMIN"] }));
    let mixed = with_password("GET", &format!("/agents/a?jwt={token}"), AGENT.1);
    gateway.send(mixed).refused(400, "bad_request");
    let twice = with_password("GET", "/agents/a", AGENT.1).header("Authorization", "Basic YTpi");
    gateway.send(twice).refused(400, "bad_request");
    let both = with_password("GET", "/agents/a", AGENT.1).header("Authorization", &format!("Bearer {token}"));
    gateway.send(both).refused(400, "bad_request");
    assert!(server.seen().is_empty());
    // Another site's page changes nothing by the password that a browser knows.
    let post = |headers: &[(&str, &str)]| {
        let request = with_password("POST", "/agents/a", AGENT.1).body("x");
        let with = |request: Request, (name, value): &(&str, &str)| request.header(name, value);
        gateway.send(headers.iter().fold(request, with))
    };
    post(&[("Origin", "https://evil.example")]).refused(403, "cross_site");
    post(&[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")]).refused(403, "cross_site");
    post(&[("Origin", "null")]).refused(403, "cross_site");
    let websocket = with_password("GET", "/agents/a", AGENT.1)
        .header("Upgrade", "websocket")
        .header("Connection", "upgrade")
        .header("Origin", "https://evil.example");
    gateway.send(websocket).refused(403, "cross_site");
    assert!(server.seen().is_empty());
    post(&[]).expect(200);
    post(&[("Sec-Fetch-Site", "same-origin")]).expect(200);
}

#[test]
fn curl_passes_by_digest_and_stays_with_the_server_of_its_nonce() {
    if missing("curl") {
        return;
    }
    let (servers, signer) = ([Server::start(), Server::start(), Server::start()], Signer::new());
    let (_site, gateway) = gateway(&servers.each_ref(), &signer);
    let user = format!("{}:{}", AGENT.0, AGENT.1);
    let url = gateway.url("/agents/agents/room%201?q=a%20b");
    for _ in 0..6 {
        let ran = curl(&[
            "--digest",
            "-u",
            &user,
            "-H",
            "X-Requested-Auth: Digest",
            "-w",
            "%{http_code}",
            &url,
        ]);
        assert!(ran.stdout.ends_with("agent200"), "{ran:?}");
    }
    let counts = servers.each_ref().map(|server| server.seen().len());
    assert_eq!(
        counts.iter().sum::<usize>(),
        12,
        "a challenge and an answer each: {counts:?}"
    );
    assert_eq!(counts.iter().filter(|count| **count > 0).count(), 1, "{counts:?}");
    // What goes on would be spelled otherwise than what is signed.
    let header = "Digest username=\"agent\", realm=\"Opencast\", nonce=\"1\", uri=\"/agents//x\", response=\"1\"";
    for target in ["/agents//x", "/agents/%41", "/agents/x?watch=abc&a=1"] {
        let odd = Request::get(target).header("Authorization", header);
        gateway.send(odd).refused(400, "bad_path");
    }
    let challenged =
        gateway.metric("janua_upstream_auth_total{outcome=\"challenged\",route=\"agents\",scheme=\"digest\"}");
    assert_eq!(challenged, Some(6.0));
}

#[test]
fn who_guesses_passwords_is_stopped_alone() {
    let (server, signer) = (Server::start(), Signer::new());
    let (_site, gateway) = gateway(&[&server], &signer);
    let from = |address: &str, password: &str| {
        let request = with_password("GET", "/agents/a", password).header("X-Forwarded-For", address);
        gateway.send(request)
    };
    for guess in 0..10 {
        let answer = from("192.0.2.1", &format!("guess {guess}")).expect(401);
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"Opencast\""));
    }
    let refused = from("192.0.2.1", AGENT.1);
    assert!(refused.header("retry-after").is_some());
    refused.refused(429, "rate_limited");
    from("192.0.2.2", AGENT.1).expect(200);
    // Other names at the same address go on, and names are what counts, not the headers in which they stand.
    let moodle = Request::get("/agents/a")
        .header("Authorization", &format!("Basic {}", basic("moodle", "right")))
        .header("X-Forwarded-For", "192.0.2.1");
    gateway.send(moodle).expect(401);
    // Who asks for a challenge, or comes with a token, guesses nothing.
    let challenge = Request::get("/agents/a")
        .header("X-Requested-Auth", "Digest")
        .header("X-Forwarded-For", "192.0.2.1");
    let challenged = gateway.send(challenge).expect(401);
    assert!(challenged.header("www-authenticate").unwrap().starts_with("Digest "));
    let token = signer.token(&json!({ "exp": in_seconds(60), "roles": ["ROLE_ADMIN"] }));
    let with_token = Request::get("/agents/a")
        .bearer(&token)
        .header("X-Forwarded-For", "192.0.2.1");
    assert_ne!(gateway.send(with_token).status, 429);
}

/// What only asks for a challenge gets nothing else; where the upstream says less than that, it is a refusal here.
#[test]
fn who_asks_for_a_challenge_gets_a_challenge() {
    let (server, signer) = (Server::open_to_all(), Signer::new());
    let (_site, gateway) = gateway(&[&server], &signer);
    let asks = || Request::get("/agents/a").header("X-Requested-Auth", "Basic");
    gateway.send(asks()).refused(401, "no_credentials");
    assert_eq!(server.seen().len(), 1, "the upstream was asked");
    let taken_away = with_password("GET", "/agents/a", AGENT.1).header("Connection", "authorization");
    gateway.send(taken_away).refused(400, "bad_request");
    // A 401 without a challenge of this kind says that somebody may not, and no password was wrong.
    for _ in 0..20 {
        gateway
            .send(with_password("GET", "/agents/known-and-not-let", AGENT.1))
            .expect(401);
    }
    gateway.send(with_password("GET", "/agents/a", AGENT.1)).expect(200);
}

/// A proxy that only asks is told nothing that somebody else would have to judge.
#[test]
fn a_decision_counts_no_password() {
    let (server, signer) = (Server::start(), Signer::new());
    let site = Site::new();
    site.write_keys("jwks.json", &[&signer]);
    let config = Config::new()
        .server("trusted_proxies", "[\"127.0.0.1\"]")
        .issuer("moodle", "jwks.json", "allow_roles = [\"ROLE_ADMIN\"]")
        .upstream("opencast", &[server.url()], "")
        .section(
            "[[routes]]\nname = \"agents\"\npath = \"/agents/{*rest}\"\nupstream = \"opencast\"\n\
             accept = [\"jwt\", \"basic\"]\nallow = [{ role = \"ROLE_ADMIN\" }]\n\
             [[routes]]\nname = \"decide\"\npath = \"/decide\"\nrespond = { decide = { uri = \"X-Original-URI\", method = \"X-Original-Method\" } }\nallow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    let asked = |request: Request| {
        gateway
            .send(
                request
                    .header("X-Original-URI", "/agents/a")
                    .header("X-Original-Method", "GET"),
            )
            .status
    };
    assert_eq!(asked(with_password("GET", "/decide", AGENT.1)), 401);
    assert_eq!(asked(Request::get("/decide").header("X-Requested-Auth", "Basic")), 401);
    let token = signer.token(&json!({ "exp": in_seconds(60), "roles": ["ROLE_ADMIN"] }));
    assert_eq!(asked(Request::get("/decide").bearer(&token)), 204);
    assert!(server.seen().is_empty());
}
