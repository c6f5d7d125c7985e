//! What an application is told: challenges (RFC 6750 section 3), the metadata of a protected resource (RFC 9728), and what a
//! browser needs to know before it sends a token (CORS).

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, by_introspection, by_jwks, challenge, quietly};
use crate::support::bearer::claims::panva_answer;
use crate::support::bearer::double::opaque;
use crate::support::{Request, in_seconds};

const METADATA: &str = "/.well-known/oauth-protected-resource";
const ORIGIN: &str = "http://video.test";

/// A parameter of a challenge, which must not stand there twice.
fn said(challenge: &str, name: &str) -> Option<String> {
    let marker = format!("{name}=\"");
    let found: Vec<&str> = challenge.split(&marker).skip(1).collect();
    assert!(found.len() < 2, "{name} in {challenge}");
    found.first().map(|rest| rest.split('"').next().unwrap().to_owned())
}

#[test]
fn a_request_without_a_token_is_told_where_tokens_come_from() {
    let campus = by_jwks();
    let told = challenge(&campus.send(Request::get("/app/x")).expect(401));
    assert!(told.starts_with("Bearer "), "{told}");
    assert_eq!(said(&told, "error"), None, "RFC 6750 section 3.1");
    assert_eq!(said(&told, "resource_metadata"), Some(format!("{ORIGIN}{METADATA}")));
    // Where no access token is taken, nothing is said of them.
    let config = campus.config.clone().section(
        "[[routes]]\nname = \"roles\"\npath = \"/roles\"\nrespond = { status = 204 }\nallow = [{ role = \"ROLE_A\" }]\n\
         [[jwt.issuers]]\nname = \"moodle\"\njwks = \"moodle.json\"\nallow_roles = [\"*\"]\n",
    );
    campus
        .gateway
        .site
        .write_keys("moodle.json", &[&crate::support::Signer::new()]);
    campus.reload(&config, "/second");
    let told = challenge(&quietly(&campus.gateway, Request::get("/roles")).expect(401));
    assert_eq!(said(&told, "resource_metadata"), None, "{told}");
}

#[test]
fn a_bad_token_is_told_what_is_wrong() {
    let campus = by_jwks();
    for token in [
        opaque(),
        campus.access_token(&json!({ "exp": in_seconds(0) - 600 })),
        campus.access_token(&json!({ "aud": "https://other.test" })),
    ] {
        let told = challenge(&campus.get("/app/x", &token).expect(401));
        assert_eq!(said(&told, "error").as_deref(), Some("invalid_token"), "{told}");
        assert_eq!(said(&told, "resource_metadata"), Some(format!("{ORIGIN}{METADATA}")));
        assert!(!told.contains(&token), "{told}");
    }
}

#[test]
fn a_missing_scope_is_told_by_its_name() {
    let campus = by_jwks();
    for scope in [
        json!(null),
        json!(""),
        json!("openid profile"),
        json!("moodles moodl MOODLE"),
        json!(7),
    ] {
        let answer = campus.get("/scoped/x", &campus.access_token(&json!({ "scope": scope })));
        let told = challenge(&answer.refused(403, "missing_scope"));
        assert_eq!(said(&told, "error").as_deref(), Some("insufficient_scope"), "{told}");
        assert_eq!(said(&told, "scope").as_deref(), Some("moodle"), "{told}");
    }
    for scope in [json!("moodle"), json!("a moodle b"), json!(["a", "moodle"])] {
        campus
            .get("/scoped/x", &campus.access_token(&json!({ "scope": scope })))
            .expect(200);
    }
    // Entra's name for it.
    campus
        .get(
            "/scoped/x",
            &campus.access_token(&json!({ "scope": null, "scp": "moodle" })),
        )
        .expect(200);
    // No other scope would help here.
    let answer = campus.get("/robot/x", &campus.access_token(&json!({}))).expect(403);
    let told = answer.header("www-authenticate").unwrap_or_default();
    assert_eq!(said(told, "scope"), None, "{told}");
}

fn document(campus: &Campus) -> Value {
    let answer = quietly(&campus.gateway, Request::get(METADATA)).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()
}

#[test]
fn the_resource_describes_itself() {
    let campus = by_jwks();
    let told = document(&campus);
    assert_eq!(told["resource"], ORIGIN);
    assert_eq!(told["authorization_servers"], json!([campus.server.issuer()]));
    assert_eq!(told["bearer_methods_supported"], json!(["header"]));
    assert_eq!(told["scopes_supported"], json!(["moodle"]));
    let of_url = |target: &str, method: &str| quietly(&campus.gateway, Request::new(method, target));
    let whole = of_url(METADATA, "GET").expect(200);
    let head = of_url(METADATA, "HEAD").expect(200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), Some(&*whole.body.len().to_string()));
    assert_eq!(head.header("content-type"), whole.header("content-type"));
    assert!(whole.header("cache-control").is_some(), "{whole:?}");
    for method in ["POST", "PUT", "DELETE"] {
        let status = of_url(METADATA, method).status;
        assert!([404, 405].contains(&status), "{method}: {status}");
    }
    // It needs no token, minds none, and is nobody's secret.
    quietly(&campus.gateway, Request::get(METADATA).bearer(&opaque())).expect(200);
    let from_page = Request::get(METADATA).header("Origin", "https://app.example.edu");
    let answer = quietly(&campus.gateway, from_page).expect(200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    quietly(&campus.gateway, Request::get(&format!("{METADATA}?x=y"))).expect(200);
}

/// The server that is asked may not be known by its issuer.
#[test]
fn what_is_not_known_is_not_told() {
    let campus = by_introspection();
    let told = document(&campus);
    assert_eq!(told["resource"], ORIGIN);
    let servers = &told["authorization_servers"];
    assert!(servers.is_null() || *servers == json!([]), "{told}");
    let text = told.to_string();
    assert!(!text.contains("introspect") && !text.contains("janua"), "{text}");
}

/// One host has such routes, the other has none.
#[test]
fn a_host_without_such_routes_describes_nothing() {
    let plan = Plan::by(By::Jwks).more(
        "[[routes]]\nname = \"elsewhere\"\nhost = \"moodle.test\"\npath = \"/x\"\nrespond = { status = 204 }\n\
         allow = [{ anyone = true }]\n",
    );
    let config = plan
        .config
        .clone()
        .server("public_urls", "[\"http://video.test\", \"https://moodle.test\"]");
    let campus = Plan { config, ..plan }.start();
    document(&campus);
    let at = |host: &str| quietly(&campus.gateway, Request::get(METADATA).host(host));
    at("moodle.test").expect(404);
    at("other.test").expect(421);
}

#[test]
fn a_gateway_without_access_tokens_describes_nothing() {
    let gateway = crate::support::Site::new().start(&crate::support::Config::new().open_route());
    gateway.get(METADATA).expect(404);
}

/// A browser asks before it sends a token: without one.
#[test]
fn a_page_elsewhere_may_send_a_token_where_cors_allows_it() {
    let campus = Plan::by(By::Jwks)
        .more(
            "[[routes]]\nname = \"api\"\npath = \"/api/{*rest}\"\nupstream = \"zoo\"\naccept = [\"bearer\"]\n\
             allow = [{ signed_in = true }]\ncors = { origins = [\"https://app.example.edu\"] }\n",
        )
        .start();
    let ask = |path: &str, origin: &str| {
        campus.send(
            Request::new("OPTIONS", path)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Headers", "authorization,content-type"),
        )
    };
    let answer = ask("/api/x", "https://app.example.edu").expect(204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example.edu")
    );
    let allowed = answer
        .header("access-control-allow-headers")
        .unwrap()
        .to_ascii_lowercase();
    assert!(
        allowed.split(',').any(|name| name.trim() == "authorization"),
        "{allowed}"
    );
    assert_eq!(
        ask("/api/x", "https://evil.example").header("access-control-allow-origin"),
        None
    );
    assert_eq!(
        ask("/app/x", "https://app.example.edu").header("access-control-allow-origin"),
        None
    );
    // Then it may read the answer, a refusal as well.
    let from_page = |token: &str| {
        campus.send(
            Request::get("/api/x")
                .bearer(token)
                .header("Origin", "https://app.example.edu"),
        )
    };
    for (token, status) in [(campus.access_token(&json!({})), 200), (opaque(), 401)] {
        let answer = from_page(&token).expect(status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://app.example.edu")
        );
    }
    assert!(campus.zoo.requests().iter().all(|seen| seen.method != "OPTIONS"));
}

/// A proxy that asks (`respond.decide`) hands on the header of its client.
#[test]
fn a_proxy_asks_about_access_tokens() {
    let campus = Plan::by(By::Introspection)
        .behind_a_proxy()
        .more(
            "[[routes]]\nname = \"asked\"\npath = \"/_decide\"\n\
             respond = { decide = { uri = \"X-Original-URI\", method = \"X-Original-Method\" } }\n\
             allow = [{ from = [\"127.0.0.1/32\"] }]\n",
        )
        .start();
    let ask = |token: &str| {
        let request = Request::get("/_decide")
            .header("X-Original-URI", "/app/x")
            .header("X-Original-Method", "GET");
        campus.send(request.bearer(token))
    };
    let good = campus.server.issue(panva_answer(&campus.server.issuer()));
    let answer = ask(&good);
    assert!(answer.status < 300, "{answer:?}");
    let told = challenge(&ask(&opaque()).expect(401));
    assert_eq!(said(&told, "error").as_deref(), Some("invalid_token"), "{told}");
    assert_eq!(campus.zoo.requests().len(), 0);
}

/// An upstream that is asked for its word learns nothing of the token.
#[test]
fn a_question_to_an_upstream_carries_no_access_token() {
    let campus = Plan::by(By::Introspection)
        .more(
            "[[routes]]\nname = \"else\"\npath = \"/else/{*rest}\"\nupstream = \"zoo\"\naccept = [\"bearer\"]\n\
             allow = [{ role = \"ROLE_GROUP_nobody\" }]\nelse_ask = { upstream = \"zoo\", method = \"GET\" }\n",
        )
        .start();
    let good = campus.server.issue(panva_answer(&campus.server.issuer()));
    campus.get("/else/x", &good);
    campus.get("/else/y", &opaque());
    for seen in campus.zoo.requests() {
        assert_eq!(seen.header("authorization"), None, "{seen:?}");
    }
}
