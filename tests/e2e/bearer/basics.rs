//! Tokens by key set, by introspection and by profile: who counts, who does not, and what goes upstream.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::double::Double;
use crate::support::http::{HOST, values};
use crate::support::secrets::{self, Kind};
use crate::support::tools::janua;
use crate::support::{Config, Gateway, JwksServer, Request, Signer, Site, Upstream, in_seconds, now};

const ISSUER: &str = "https://idp.test/realms/campus";
const SECRET: &str = "s3cret of+the gateway";

/// The beginning of a token, and what is said of it.
type Told = (&'static str, Value);

/// An authorization server that is asked about tokens.
struct Server {
    double: Double,
    asked: Arc<AtomicUsize>,
    /// What it knows; `None`: it fails.
    known: Arc<Mutex<Option<Vec<Told>>>>,
}

impl Server {
    fn start(known: &[(&'static str, Value)]) -> Self {
        secrets::register(Kind::Token, SECRET);
        let known = Arc::new(Mutex::new(Some(known.to_vec())));
        let asked = Arc::new(AtomicUsize::new(0));
        let (served, counted) = (Arc::clone(&known), Arc::clone(&asked));
        let double = Double::start(move |mut wire| {
            while let Ok((line, headers)) = wire.head() {
                let Ok((body, _)) = wire.body(&headers, false) else {
                    return;
                };
                counted.fetch_add(1, Ordering::SeqCst);
                let (status, answer) = match &*served.lock().unwrap() {
                    None => (500, json!({})),
                    Some(known) => answer(known, &line, &values(&headers, "authorization"), &body),
                };
                let text = answer.to_string();
                let head = format!("HTTP/1.1 {status} So\r\nContent-Length: {}\r\n\r\n", text.len());
                if wire.stream.write_all((head + &text).as_bytes()).is_err() {
                    return;
                }
            }
        });
        Self { double, asked, known }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn fails(&self) {
        *self.known.lock().unwrap() = None;
    }
}

fn answer(known: &[(&'static str, Value)], line: &str, authorization: &[&str], body: &[u8]) -> (u16, Value) {
    let find = |text: &str| {
        known
            .iter()
            .find(|(token, _)| text == *token)
            .map(|(_, value)| value.clone())
    };
    if line.starts_with("GET /profile") {
        let token = authorization.first().and_then(|value| value.strip_prefix("Bearer "));
        return match token.and_then(find) {
            Some(said) => (200, said),
            None => (401, json!({ "error": "expired_accessToken" })),
        };
    }
    assert!(line.starts_with("POST /introspect"), "{line}");
    if authorization != ["Basic amFudWE6czNjcmV0K29mJTJCdGhlK2dhdGV3YXk="] {
        return (401, json!({ "error": "invalid_client" }));
    }
    let form: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let (_, token) = form.iter().find(|(name, _)| name == "token").unwrap();
    let mut said = find(token).unwrap_or_else(|| json!({ "active": false }));
    if said.get("active").is_none() {
        said["active"] = json!(true);
        said["token_type"] = json!("Bearer");
    }
    (200, said)
}

const ROUTES: &str = r#"
[[routes]]
name = "apps"
path = "/apps/{*rest}"
upstream = "zoo"
accept = ["bearer"]
allow = [{ scope = "video", client = "portal" }, { role = "ROLE_GROUP_staff" }]
present = "headers"
cors = { origins = ["https://app.test"] }

[[routes]]
name = "people"
path = "/people/{*rest}"
upstream = "zoo"
accept = ["bearer"]
allow = [{ signed_in = true }]

[[routes]]
name = "mixed"
path = "/mixed/{*rest}"
upstream = "zoo"
accept = ["session", "jwt", "bearer"]
allow = [{ role = "ROLE_ADMIN" }, { scope = "video" }]

[[routes]]
name = "open"
path = "/open/{*rest}"
upstream = "zoo"
allow = [{ anyone = true }]
"#;

struct Campus {
    signer: Signer,
    moodle: Signer,
    keys: JwksServer,
    zoo: Upstream,
    config: Config,
    site: Site,
    gateway: Gateway,
}

/// `lines` of `[bearer.campus]`; `KEYS` is where the keys are.
fn start(lines: &str) -> Campus {
    let (signer, moodle) = (Signer::new().named("campus-1"), Signer::new().named("moodle-1"));
    let (keys, zoo, site) = (JwksServer::start(&[&signer]), Upstream::start(), Site::new());
    site.write_keys("moodle.json", &[&moodle]);
    site.write("secrets/bearer", SECRET);
    let config = Config::new()
        .issuer("moodle", "moodle.json", "")
        .section("[sign_in.cas.cas]\nserver = \"https://cas.test/cas\"\n")
        .section("[bearer.campus]\nroles = [{ attribute = \"groups\", role = \"ROLE_GROUP_{value}\" }]\n")
        .section(&lines.replace("KEYS", &keys.url()))
        .upstream("zoo", &[zoo.url()], "")
        .section(ROUTES);
    let gateway = site.start(&config);
    Campus {
        signer,
        moodle,
        keys,
        zoo,
        config,
        site,
        gateway,
    }
}

fn by_keys() -> Campus {
    start(&format!(
        "audience = \"http://{HOST}\"\n[bearer.campus.jwks]\nissuer = \"{ISSUER}\"\njwks_uri = \"KEYS\"\nalgorithms = [\"ES256\"]\n"
    ))
}

fn by_introspection(server: &Server, more: &str) -> Campus {
    start(&format!(
        "clients = [\"portal\", \"other\"]\n[bearer.campus.introspection]\nendpoint = \"http://{}/introspect\"\nclient_id = \"janua\"\n\
         client_secret_file = \"secrets/bearer\"\n{more}\n",
        server.double.address
    ))
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": format!("http://{HOST}"), "sub": "anna", "client_id": "portal", "scope": "openid video",
        "exp": in_seconds(300), "iat": now(), "groups": ["students"],
    });
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

impl Campus {
    fn token(&self, more: &Value) -> String {
        let header = json!({ "typ": "at+jwt", "alg": "ES256", "kid": "campus-1" }).to_string();
        self.signer.sign(&header, &claims(more).to_string())
    }

    fn asks(&self, path: &str, token: &str) -> crate::support::http::Response {
        self.gateway.send(Request::get(path).bearer(token))
    }
}

#[test]
fn a_token_by_the_servers_keys_speaks_for_its_person_and_goes_no_further() {
    let campus = by_keys();
    let token = campus.token(&json!({}));
    for target in ["/apps/a", "/apps/b", "/apps/c"] {
        campus.asks(target, &token).expect(200);
    }
    let seen = campus.zoo.seen("/apps/a");
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("x-forwarded-user"), Some("anna"));
    assert_eq!(seen.header("x-forwarded-groups"), Some("ROLE_GROUP_students"));
    assert_eq!(campus.keys.requests(), 1);
    assert_eq!(
        campus
            .gateway
            .metric("janua_bearer_tokens_total{bearer=\"campus\",verdict=\"ok\"}"),
        Some(1.0)
    );
    campus.gateway.logged(&["subject=\"campus/anna\"", "route=\"apps\""]);
}

#[test]
fn other_tokens_are_refused_with_their_reason() {
    let campus = by_keys();
    for (more, reason) in [
        (json!({ "nonce": "n" }), "wrong_type"),
        (json!({ "at_hash": "n" }), "wrong_type"),
        (json!({ "typ": "ID" }), "wrong_type"),
        (json!({ "typ": "Refresh" }), "wrong_type"),
        (json!({ "client_id": null }), "wrong_type"),
        (
            json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
            "wrong_type",
        ),
        (json!({ "cnf": { "jkt": "x" } }), "sender_constrained"),
        (json!({ "aud": "https://other.test" }), "wrong_audience"),
        (json!({ "iss": "https://other.test" }), "wrong_issuer"),
        (json!({ "exp": now() - 61 }), "token_expired"),
        (json!({ "nbf": in_seconds(90) }), "token_not_yet_valid"),
        (json!({ "exp": in_seconds(99_999) }), "lifetime_too_long"),
    ] {
        let answer = campus.asks("/apps/a", &campus.token(&more)).refused(401, reason);
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .contains("error=\"invalid_token\"")
        );
    }
    let good = claims(&json!({})).to_string();
    let header = |alg: &str| json!({ "typ": "at+jwt", "alg": alg, "kid": "campus-1" }).to_string();
    for alg in ["none", "HS256"] {
        let token = campus.signer.sign(&header(alg), &good);
        campus.asks("/apps/a", &token).refused(401, "algorithm_not_allowed");
    }
    let stranger = Signer::new().named("campus-1").sign(&header("ES256"), &good);
    campus.asks("/apps/a", &stranger).refused(401, "bad_signature");
    campus.asks("/apps/a", "AT-1-opaque").refused(401, "malformed_token");
    assert!(campus.zoo.requests().is_empty());
}

#[test]
fn scopes_clients_and_persons_are_judged_by_the_rules() {
    let campus = by_keys();
    let challenge = |answer: crate::support::http::Response| answer.header("www-authenticate").unwrap().to_owned();
    let lacks = campus.token(&json!({ "scope": "openid" }));
    let told = challenge(campus.asks("/apps/a", &lacks).refused(403, "missing_scope"));
    assert!(
        told.contains("error=\"insufficient_scope\"") && told.contains("scope=\"video\""),
        "{told}"
    );
    let metadata = format!("resource_metadata=\"http://{HOST}/.well-known/oauth-protected-resource\"");
    assert!(told.contains(&metadata), "{told}");
    let told = challenge(campus.gateway.get("/apps/a").refused(401, "no_credentials"));
    assert!(told.contains(&metadata) && !told.contains("error="), "{told}");
    let of_other = campus.token(&json!({ "client_id": "other" }));
    campus.asks("/apps/a", &of_other).refused(403, "missing_role");
    let by_role = campus.token(&json!({ "client_id": "other", "groups": "staff" }));
    campus.asks("/apps/a", &by_role).expect(200);
    // A client's own: nobody, and yet with its scopes.
    let nobody = campus.token(&json!({ "sub": "portal", "groups": ["staff"] }));
    campus.asks("/apps/own", &nobody).expect(200);
    let seen = campus.zoo.seen("/apps/own");
    assert_eq!(
        (seen.header("x-forwarded-user"), seen.header("x-forwarded-groups")),
        (None, None)
    );
    campus.asks("/people/a", &nobody).refused(403, "not_allowed");
    campus.asks("/people/a", &campus.token(&json!({}))).expect(200);
}

#[test]
fn only_the_header_carries_it() {
    let campus = by_keys();
    let token = campus.token(&json!({}));
    campus
        .gateway
        .get(&format!("/apps/a?access_token={token}&jwt={token}"))
        .refused(401, "no_credentials");
    let twice = Request::get("/apps/a").bearer(&token).bearer("other");
    campus.gateway.send(twice).refused(401, "malformed_token");
}

#[test]
fn tokens_of_issuers_and_of_the_authorization_server_do_not_disturb_each_other() {
    let server = Server::start(&[(
        "AT-1-Lm6hxu993HPA8XUL",
        json!({ "sub": "anna", "client_id": "portal", "scope": "video" }),
    )]);
    secrets::register(Kind::Token, "AT-1-Lm6hxu993HPA8XUL");
    let campus = by_introspection(&server, "");
    campus
        .asks("/mixed/a", &campus.moodle.roles(&["ROLE_ADMIN"]))
        .expect(200);
    campus
        .asks("/apps/a", &campus.moodle.roles(&["ROLE_ADMIN"]))
        .refused(401, "issuer_not_accepted");
    assert_eq!(server.asked(), 0, "a token of an issuer is shown to nobody");
    campus.asks("/mixed/b", "AT-1-Lm6hxu993HPA8XUL").expect(200);
    campus
        .asks("/mixed/c", "AT-none-Lm6hxu993HPA8XUL")
        .refused(401, "token_not_active");
    assert_eq!(server.asked(), 2);
    let by_query = format!("/mixed/d?jwt={}", campus.moodle.roles(&["ROLE_ADMIN"]));
    campus.asks(&by_query, "AT-none-Lm6hxu993HPA8XUL").expect(200);
    for target in ["/mixed/a", "/mixed/b", "/mixed/d"] {
        assert_eq!(campus.zoo.seen(target).header("authorization"), None, "{target}");
    }
}

#[test]
fn on_a_route_open_to_everyone_it_goes_no_further() {
    let campus = by_keys();
    campus.asks("/open/ours", &campus.token(&json!({}))).expect(200);
    assert_eq!(campus.zoo.seen("/open/ours").header("authorization"), None);
    let foreign = Signer::new().token(&json!({ "iss": "https://elsewhere.test", "exp": in_seconds(60) }));
    campus.asks("/open/theirs", &foreign).expect(200);
    assert!(campus.zoo.seen("/open/theirs").header("authorization").is_some());
}

#[test]
fn an_answer_is_remembered_and_old_ones_serve_while_the_server_is_away() {
    let known = [
        (
            "AT-1-Lm6hxu993HPA8XUL",
            json!({ "sub": "anna", "client_id": "portal", "scope": "video" }),
        ),
        (
            "AT-2-Lm6hxu993HPA8XUL",
            json!({ "sub": "anna", "client_id": "evil", "scope": "video" }),
        ),
        (
            "AT-3-Lm6hxu993HPA8XUL",
            json!({ "sub": "anna", "client_id": "portal", "scope": "video", "typ": "Refresh" }),
        ),
    ];
    let server = Server::start(&known);
    known
        .iter()
        .for_each(|(token, _)| secrets::register(Kind::Token, token));
    let campus = by_introspection(&server, "cache = \"0s\"\nserve_stale = \"1h\"");
    campus.asks("/apps/a", "AT-1-Lm6hxu993HPA8XUL").expect(200);
    campus
        .asks("/apps/a", "AT-2-Lm6hxu993HPA8XUL")
        .refused(401, "wrong_audience");
    campus
        .asks("/apps/a", "AT-3-Lm6hxu993HPA8XUL")
        .refused(401, "wrong_type");
    server.fails();
    campus.asks("/apps/b", "AT-1-Lm6hxu993HPA8XUL").expect(200);
    let answer = campus
        .asks("/apps/b", "AT-4-Lm6hxu993HPA8XUL")
        .refused(503, "token_server_unavailable");
    assert!(answer.header("retry-after").is_some());
    assert!(
        campus
            .gateway
            .metric("janua_bearer_asks_total{bearer=\"campus\",result=\"stale\"}")
            >= Some(1.0)
    );
}

#[test]
fn a_profile_names_the_person_and_must_name_the_client() {
    let server = Server::start(&[
        (
            "AT-1-Lm6hxu993HPA8XUL",
            json!({ "id": "anna", "attributes": { "oauthClientId": "portal", "groups": ["staff"] } }),
        ),
        (
            "AT-2-Lm6hxu993HPA8XUL",
            json!({ "id": "anna", "attributes": { "groups": ["staff"] } }),
        ),
    ]);
    let campus = start(&format!(
        "username = \"id\"\nclients = \"portal\"\n[bearer.campus.profile]\nendpoint = \"http://{}/profile\"\n",
        server.double.address
    ));
    campus.asks("/apps/a", "AT-1-Lm6hxu993HPA8XUL").expect(200);
    assert_eq!(campus.zoo.seen("/apps/a").header("x-forwarded-user"), Some("anna"));
    campus
        .asks("/apps/a", "AT-2-Lm6hxu993HPA8XUL")
        .refused(401, "wrong_audience");
    campus
        .asks("/apps/a", "AT-3-Lm6hxu993HPA8XUL")
        .refused(401, "token_not_active");
}

#[test]
fn what_is_remembered_outlives_a_reload_of_other_things() {
    let server = Server::start(&[(
        "AT-1-Lm6hxu993HPA8XUL",
        json!({ "sub": "anna", "client_id": "portal", "scope": "video" }),
    )]);
    let campus = by_introspection(&server, "");
    campus.asks("/apps/a", "AT-1-Lm6hxu993HPA8XUL").expect(200);
    let more =
        "[[routes]]\nname = \"more\"\npath = \"/more\"\nrespond = { status = 204 }\nallow = [{ anyone = true }]\n";
    let config = campus.config.clone().section(more);
    campus.site.write("gateway.toml", config.text());
    campus.gateway.logged(&["configuration taken"]);
    campus.asks("/apps/a", "AT-1-Lm6hxu993HPA8XUL").expect(200);
    assert_eq!(server.asked(), 1);
}

#[test]
fn it_is_told_who_gives_tokens() {
    let campus = by_keys();
    let path = "/.well-known/oauth-protected-resource";
    let answer = campus.gateway.get(path).expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert!(answer.header("cache-control").unwrap().contains("max-age"));
    assert_eq!(
        answer.json(),
        json!({
            "resource": format!("http://{HOST}"), "authorization_servers": [ISSUER], "scopes_supported": ["video"],
            "bearer_methods_supported": ["header"],
        })
    );
    campus
        .gateway
        .send(Request::new("POST", path))
        .refused(405, "method_not_allowed");
    let preflight = Request::new("OPTIONS", "/apps/a")
        .header("Origin", "https://app.test")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization");
    let allowed = campus.gateway.send(preflight).expect(204);
    assert!(
        allowed
            .header("access-control-allow-headers")
            .unwrap()
            .contains("authorization")
    );
}

#[test]
fn check_asks_each_server_about_a_token_that_nobody_made() {
    let server = Server::start(&[]);
    let campus = by_introspection(&server, "");
    let config = campus.site.path("gateway.toml");
    let check = || {
        let ran = janua(["check", "--config", config.to_str().unwrap()]);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    let told = check();
    assert!(
        told.contains("bearer campus: ") && told.contains("refuses a made-up token, as it must"),
        "{told}"
    );
    campus.site.write("secrets/bearer", "wrong");
    let told = check();
    assert!(
        told.contains("BAD  bearer campus: ") && told.contains("invalid_client"),
        "{told}"
    );
}
