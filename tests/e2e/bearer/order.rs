//! Sessions, tokens of issuers and access tokens in the same header: each is judged by whom it belongs to, and none pays for
//! another.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, quietly};
use crate::support::AuthServer;
use crate::support::bearer::claims::{keycloak, keycloak_answer, panva_answer, rfc9068};
use crate::support::bearer::double::opaque;
use crate::support::cas::{ProxyingBackEnd, query};
use crate::support::{CasServer, Request, Reserved, Signer, in_seconds};

const STRANGER: &str = "203.0.113.1";

/// A route for all of them, one for tokens of issuers alone, and one where everybody may.
const MIXED: &str = r#"
[[routes]]
name     = "mixed"
path     = "/mixed/{*rest}"
upstream = "zoo"
accept   = ["jwt", "session", "bearer"]
sign_in  = "visitors"
allow    = [{ signed_in = true }]
present  = "headers"
headers  = { subject = "X-Person", roles = "X-Person-Roles" }

[[routes]]
name     = "turned"
path     = "/turned/{*rest}"
upstream = "zoo"
accept   = ["bearer", "session", "jwt"]
sign_in  = "visitors"
allow    = [{ signed_in = true }]
present  = "headers"
headers  = { subject = "X-Person", roles = "X-Person-Roles" }

[[routes]]
name     = "tokens"
path     = "/tokens/{*rest}"
upstream = "zoo"
accept   = ["jwt"]
allow    = [{ signed_in = true }]

[[routes]]
name     = "everybody"
path     = "/everybody/{*rest}"
upstream = "zoo"
accept   = ["jwt", "session", "bearer"]
sign_in  = "visitors"
allow    = [{ signed_in = true }, { anyone = true }]
"#;

/// With the issuer `moodle`, and a sign-in at this CAS server.
fn plan(by: By, moodle: &Signer, cas: &str, budget: &str) -> Plan {
    let sign_in = format!("[sign_in.visitors.cas]\nserver = {cas:?}\n");
    let plan = Plan::by(by).behind_a_proxy().more(&sign_in).more(MIXED);
    plan.site.write_keys("moodle.json", &[moodle]);
    let config = plan
        .config
        .clone()
        .issuer("moodle", "moodle.json", "may_name_users = true")
        .jwt("bad_signatures", budget);
    Plan { config, ..plan }
}

fn by_introspection(moodle: &Signer, budget: &str) -> Campus {
    plan(By::Introspection, moodle, "http://127.0.0.1:1/cas", budget).start()
}

fn of_moodle(moodle: &Signer, name: &str) -> String {
    moodle.token(&json!({ "exp": in_seconds(600), "sub": name, "roles": ["ROLE_A"], "jti": opaque() }))
}

fn seen(campus: &Campus, path: &str, token: &str) -> Option<String> {
    let path = format!("{path}/{}/", campus.zoo.requests().len());
    quietly(&campus.gateway, Request::get(&path).bearer(token)).expect(200);
    let seen = campus.zoo.seen(&path);
    assert_eq!(seen.header("authorization"), None, "{path}");
    seen.header("x-person").map(str::to_owned)
}

#[test]
fn each_token_is_judged_by_whom_it_is_of() {
    let moodle = Signer::new();
    let campus = by_introspection(&moodle, "\"200/s\"");
    let issuer = campus.server.issuer();
    let of_moodle = of_moodle(&moodle, "maria");
    let opaque = campus.server.issue(panva_answer(&issuer));
    let jwt = campus
        .server
        .signed(&json!({ "typ": "JWT" }), keycloak(&issuer), &json!({}));
    let mut answer = keycloak_answer(&issuer);
    answer["sub"] = json!("k.user");
    campus.server.know(&jwt, answer);
    for path in ["/mixed", "/turned"] {
        assert_eq!(seen(&campus, path, &of_moodle).as_deref(), Some("maria"), "{path}");
        assert_eq!(seen(&campus, path, &opaque).as_deref(), Some("anna"), "{path}");
        assert_eq!(seen(&campus, path, &jwt).as_deref(), Some("k.user"), "{path}");
        assert_eq!(seen(&campus, "/everybody", &of_moodle), None);
        assert_eq!(seen(&campus, "/everybody", &opaque), None);
    }
    assert_eq!(
        campus.server.asked_about(&of_moodle),
        0,
        "an issuer's token is shown to nobody"
    );
    assert_eq!(campus.server.asked_about(&opaque), 1);
    assert_eq!(campus.server.asked_about(&jwt), 1);
    // A route of issuers' tokens takes no access token, and asks nobody about it.
    let fresh = campus.server.issue(panva_answer(&issuer));
    campus.get("/tokens/x", &fresh).expect(401);
    assert_eq!(campus.server.asked_about(&fresh), 0);
    // One of access tokens takes none of an issuer.
    campus.get("/app/x", &of_moodle).expect(401);
}

/// Expired tokens of an issuer are its own, too.
#[test]
fn a_token_of_an_issuer_is_shown_to_no_other_server() {
    let moodle = Signer::new();
    let campus = by_introspection(&moodle, "\"200/s\"");
    let expired = moodle.token(&json!({ "exp": in_seconds(0) - 600, "sub": "maria" }));
    let later = moodle.token(&json!({ "exp": in_seconds(600), "nbf": in_seconds(500), "sub": "maria" }));
    for token in [&expired, &later, &of_moodle(&moodle, "maria")] {
        for path in ["/mixed/x", "/turned/x", "/everybody/x"] {
            campus.get(path, token);
        }
        assert_eq!(campus.server.asked_about(token), 0, "{token}");
    }
    campus.get("/mixed/x", &expired).refused(401, "token_expired");
}

#[test]
fn a_sessions_secret_is_shown_to_no_server() {
    let moodle = Signer::new();
    let campus = by_introspection(&moodle, "\"200/s\"");
    for secret in ["jns_c2VjcmV0", "jns_", "jns_a.b.c"] {
        for path in ["/mixed/x", "/turned/x", "/app/x"] {
            campus.get(path, secret).expect(401);
        }
        let path = format!("/everybody/{}/", campus.zoo.requests().len());
        if campus.get(&path, secret).status == 200 {
            assert_eq!(campus.zoo.seen(&path).header("authorization"), None);
        }
    }
    assert_eq!(campus.server.asked(), 0);
}

#[test]
fn a_session_a_token_and_an_access_token_on_one_route() {
    let Some(cas) = CasServer::start() else { return };
    let back_end = ProxyingBackEnd::start();
    let moodle = Signer::new();
    // The gateway has to know its own address before it starts.
    let port = Reserved::new(0).unwrap();
    let origin = format!("http://{}", port.address());
    let sign_in = format!(
        "[sign_in.visitors.cas]\nserver = {:?}\nproxy_chains = [{:?}]\n",
        cas.url(),
        back_end.url()
    );
    let plan = Plan::by(By::Introspection).more(&sign_in).more(MIXED);
    plan.site.write_keys("moodle.json", &[&moodle]);
    let config = plan
        .config
        .clone()
        .server("listen", &format!("[\"{}\"]", port.address()))
        .server("public_urls", &format!("[{origin:?}]"))
        .issuer("moodle", "moodle.json", "may_name_users = true");
    let campus = Plan { config, ..plan }.start();
    let service = format!("{origin}/_janua/cas/visitors/session");
    let ticket = cas.proxy_ticket(&cas.person("alice"), &back_end, &service);
    let form = Request::new("POST", "/_janua/cas/visitors/session")
        .host(&port.address().to_string())
        .header("Content-Type", "application/x-www-form-urlencoded");
    let told = quietly(&campus.gateway, form.body(query(&[("ticket", &ticket)])))
        .expect(201)
        .json();
    let session = told["session"].as_str().unwrap();
    let access = campus.server.issue(panva_answer(&campus.server.issuer()));
    let token = of_moodle(&moodle, "maria");
    for path in ["/mixed", "/turned"] {
        for (bearer, name) in [
            (session, "alice"),
            (&*access, "anna"),
            (&*token, "maria"),
            (session, "alice"),
        ] {
            let path = format!("{path}/{}/", campus.zoo.requests().len());
            let request = Request::get(&path).host(&port.address().to_string()).bearer(bearer);
            quietly(&campus.gateway, request).expect(200);
            assert_eq!(campus.zoo.seen(&path).header("x-person"), Some(name), "{path}");
        }
    }
    assert_eq!(campus.server.asked(), 1);
}

/// Access tokens are JWTs at many servers, of keys that no issuer here has.
#[test]
fn access_tokens_never_spend_what_bad_signatures_cost() {
    let (moodle, server) = (Signer::new(), AuthServer::start());
    let issuer = server.issuer();
    let campus = plan(By::Introspection, &moodle, "http://127.0.0.1:1/cas", "\"3/m\"")
        .lines(&format!("issuer = {issuer:?}"))
        .with(server);
    let stranger = |path: &str, token: &str| campus.get_from(STRANGER, path, token).status;
    let evil = Signer::new();
    for number in 0..20 {
        let mut claims = keycloak(&issuer);
        claims["jti"] = json!(number);
        let jwt = campus
            .server
            .signed(&json!({ "typ": "JWT" }), claims.clone(), &json!({}));
        let mut answer = keycloak_answer(&issuer);
        answer["sub"] = json!(format!("person-{number}"));
        campus.server.know(&jwt, answer);
        assert_eq!(stranger("/mixed/x", &jwt), 200, "{number}");
        // Those that it does not know, which have no `kid` or that of the issuer's algorithm.
        assert_eq!(stranger("/mixed/x", &opaque()), 401);
        let unknown = evil.token(&claims);
        let status = stranger("/mixed/x", &unknown);
        assert!([401, 429].contains(&status), "{status}");
    }
    assert_eq!(
        stranger("/tokens/x", &of_moodle(&moodle, "maria")),
        200,
        "the budget was spent"
    );
    assert_eq!(
        stranger("/mixed/x", &of_moodle(&moodle, "mario")),
        200,
        "the budget was spent"
    );
}

/// The same algorithm as the issuer's, by a key that has another name: many people come at once, from one address.
#[test]
fn good_access_tokens_cost_no_check() {
    let moodle = Signer::new();
    let server = AuthServer::signing_by(Signer::new().named("ec"));
    let campus = plan(By::Jwks, &moodle, "http://127.0.0.1:1/cas", "\"3/m\"").with(server);
    for number in 0..20 {
        let token = campus.access_token(&json!({ "sub": format!("person-{number}") }));
        for path in ["/mixed/x", "/turned/x", "/app/x"] {
            let answer = quietly(&campus.gateway, Request::get(path).bearer(&token));
            assert_eq!(answer.status, 200, "{path} {number}");
        }
    }
    let token = of_moodle(&moodle, "maria");
    quietly(&campus.gateway, Request::get("/mixed/x").bearer(&token)).expect(200);
}

#[test]
fn bad_signatures_never_spend_what_bad_access_tokens_cost() {
    let moodle = Signer::new();
    let campus = by_introspection(&moodle, "\"3/m\"");
    let evil = Signer::new();
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let bad = of_moodle(&evil, "mallory");
        statuses.push(campus.get_from(STRANGER, "/tokens/x", &bad).status);
    }
    assert_eq!(statuses.last(), Some(&429), "{statuses:?}");
    for number in 0..5 {
        let mut answer = panva_answer(&campus.server.issuer());
        answer["sub"] = json!(format!("person-{number}"));
        let token = campus.server.issue(answer);
        for path in ["/app/x", "/mixed/x", "/turned/x"] {
            assert_eq!(campus.get_from(STRANGER, path, &token).status, 200, "{path}");
        }
    }
}

/// An issuer whose keys are not there yet keeps no access token waiting.
#[test]
fn access_tokens_do_not_wait_for_an_issuers_keys() {
    let keys = crate::support::JwksServer::start(&[&Signer::new()]);
    keys.stall();
    let plan = Plan::by(By::Introspection)
        .more("[sign_in.visitors.cas]\nserver = \"http://127.0.0.1:1/cas\"\n")
        .more(MIXED);
    let config = plan
        .config
        .clone()
        .issuer("moodle", &keys.url(), "may_name_users = true");
    let campus = Plan { config, ..plan }.start();
    keys.asked(1);
    let issuer = campus.server.issuer();
    let opaque = campus.server.issue(panva_answer(&issuer));
    assert_eq!(seen(&campus, "/mixed", &opaque).as_deref(), Some("anna"));
    let jwt = campus
        .server
        .signed(&json!({ "typ": "JWT" }), keycloak(&issuer), &json!({}));
    let mut answer = keycloak_answer(&issuer);
    answer["sub"] = json!("k.user");
    campus.server.know(&jwt, answer);
    assert_eq!(seen(&campus, "/mixed", &jwt).as_deref(), Some("k.user"));
}

/// Two servers for access tokens on one gateway: each route takes those that it names.
#[test]
fn a_route_takes_tokens_of_the_servers_that_it_names() {
    let other = AuthServer::start();
    let more = format!(
        "[bearer.guests]\naudience = [\"https://janua.test\"]\n[bearer.guests.jwks]\nissuer = {:?}\n\
         [[routes]]\nname = \"one\"\npath = \"/one/{{*rest}}\"\nupstream = \"zoo\"\naccept = [\"bearer\"]\nbearer = \"campus\"\n\
         allow = [{{ signed_in = true }}]\n\
         [[routes]]\nname = \"both\"\npath = \"/both/{{*rest}}\"\nupstream = \"zoo\"\naccept = [\"bearer\"]\n\
         bearer = [\"campus\", \"guests\"]\nallow = [{{ signed_in = true }}]\n",
        other.issuer()
    );
    let campus = Plan::by(By::Jwks).more(&more).start();
    let ours = campus.access_token(&json!({}));
    let theirs = other.access_token(rfc9068(&other.issuer()), &json!({}));
    // It names the one and is signed by the other.
    let mixed_up: Value = rfc9068(&campus.server.issuer());
    let mixed_up = other.access_token(mixed_up, &json!({}));
    for (path, token, status) in [
        ("/one/x", &ours, 200),
        ("/one/x", &theirs, 401),
        ("/both/x", &ours, 200),
        ("/both/x", &theirs, 200),
        ("/app/x", &theirs, 200),
        ("/one/x", &mixed_up, 401),
        ("/both/x", &mixed_up, 401),
    ] {
        assert_eq!(campus.get(path, token).status, status, "{path}");
    }
}

/// Two that are asked: a token that one knows is shown to the other only if need be, and its absence there is no refusal.
#[test]
fn two_servers_that_are_asked() {
    let other = AuthServer::start();
    let more = format!(
        "[bearer.guests]\nclients = [\"app\"]\nusername = \"id\"\n[bearer.guests.profile]\nendpoint = {:?}\n",
        other.url(crate::support::bearer::Endpoint::Profile)
    );
    let campus = Plan::by(By::Introspection).more(&more).start();
    let ours = campus.server.issue(panva_answer(&campus.server.issuer()));
    let theirs = other.issue(crate::support::bearer::claims::cas_nested());
    for _ in 0..3 {
        campus.get("/app/x", &ours).expect(200);
        campus.get("/app/x", &theirs).expect(200);
    }
    campus.refuses(&opaque());
    // One that is away keeps nobody of the other from service.
    other.go_down();
    let fresh = campus.server.issue(panva_answer(&campus.server.issuer()));
    campus.get("/app/x", &fresh).expect(200);
    campus.get("/app/x", &opaque()).expect(503);
}

/// Nothing in such a token says whose it is until its key is here; a server that is asked about access tokens is not shown it.
#[test]
fn a_new_key_of_an_issuer_is_fetched_for_a_token_that_names_none() {
    let (old, new) = (Signer::new().named("old"), Signer::new().named("new"));
    let keys = crate::support::JwksServer::start(&[&old]);
    let plan = Plan::by(By::Introspection)
        .more("[sign_in.visitors.cas]\nserver = \"http://127.0.0.1:1/cas\"\n")
        .more(MIXED);
    let config = plan
        .config
        .clone()
        .issuer("moodle", &keys.url(), "may_name_users = true");
    let campus = Plan { config, ..plan }.start();
    let token = of_moodle(&old, "maria");
    crate::support::eventually("the first keys are here", || {
        (campus.get("/mixed/x", &token).status == 200).then_some(())
    });
    keys.serve(&[&old, &new]);
    let token = of_moodle(&new, "maria");
    crate::support::eventually("the new key verifies", || {
        let status = quietly(&campus.gateway, Request::get("/mixed/x").bearer(&token)).status;
        (status == 200).then_some(())
    });
    campus.get("/app/x", &of_moodle(&Signer::new(), "mallory")).expect(401);
    assert_eq!(campus.server.asked(), 0);
}
