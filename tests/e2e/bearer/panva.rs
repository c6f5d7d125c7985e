//! Access tokens of a real authorization server, npm's oidc-provider: by its keys, and by asking it.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::Url;

use super::campus::{By, Campus, Plan};
use crate::support::bearer::AuthServer;
use crate::support::bearer::double::opaque;
use crate::support::cas::query;
use crate::support::http::Response;
use crate::support::oidc::{APP, APP_CALLBACK, ROBOT};
use crate::support::tokens::base64url;
use crate::support::{Connection, OidcServer, Request, Signer, eventually, now};

const JWT: &str = "https://janua.test";
const OTHER: &str = "https://other.test";
const OPAQUE: &str = "urn:opaque";

fn post(server: &OidcServer, path: &str, form: &[(&str, &str)], more: Option<(&str, &str)>) -> Response {
    let request = Request::new("POST", path)
        .host(&server.address.to_string())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Connection", "close");
    let request = match more {
        Some((name, value)) => request.header(name, value),
        None => request,
    };
    Connection::open(server.address).exchange(request.body(query(form)))
}

/// What the app gets for alice, who signs in at the server: for this resource, bound to a key where there is a proof.
fn granted(server: &OidcServer, resource: Option<&str>, proof: Option<&str>) -> Value {
    let verifier = opaque();
    let challenge = base64url(digest(&SHA256, verifier.as_bytes()));
    let scope = if resource.is_some() {
        "openid moodle"
    } else {
        "openid groups"
    };
    let mut asked = vec![
        ("client_id", APP.0),
        ("response_type", "code"),
        ("redirect_uri", APP_CALLBACK),
        ("scope", scope),
        ("state", "a-state-of-the-app"),
        ("nonce", "a-nonce-of-the-app"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    asked.extend(resource.map(|resource| ("resource", resource)));
    let to = format!("{}/auth?{}", server.issuer(), query(&asked));
    let back: Url = server.person("alice").sign_in(&to);
    let code = back.query_pairs().find(|(name, _)| name == "code");
    let code = code.unwrap_or_else(|| panic!("no code: {back}")).1.into_owned();
    let mut form = vec![
        ("client_id", APP.0),
        ("client_secret", APP.1),
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", APP_CALLBACK),
        ("code_verifier", &verifier),
    ];
    form.extend(resource.map(|resource| ("resource", resource)));
    let told = post(server, "/token", &form, proof.map(|proof| ("DPoP", proof)));
    told.expect(200).json()
}

/// A client's own token.
fn own(server: &OidcServer, resource: Option<&str>) -> String {
    let mut form = vec![
        ("client_id", ROBOT.0),
        ("client_secret", ROBOT.1),
        ("grant_type", "client_credentials"),
    ];
    form.extend(resource.map(|_| ("scope", "moodle")));
    form.extend(resource.map(|resource| ("resource", resource)));
    text(&post(server, "/token", &form, None).expect(200).json(), "access_token")
}

fn revoke(server: &OidcServer, token: &str) {
    let form = [("client_id", APP.0), ("client_secret", APP.1), ("token", token)];
    post(server, "/token/revocation", &form, None).expect(200);
}

/// A proof of possession for the token endpoint (RFC 9449 section 4.2).
fn proof(server: &OidcServer) -> String {
    let signer = Signer::new();
    let jwk = signer.jwk();
    let key = json!({ "kty": jwk["kty"], "crv": jwk["crv"], "x": jwk["x"], "y": jwk["y"] });
    let claims = json!({
        "jti": opaque(), "htm": "POST", "htu": format!("{}/token", server.issuer()), "iat": now(),
    });
    signer.sign(
        &json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key }).to_string(),
        &claims.to_string(),
    )
}

fn text(told: &Value, name: &str) -> String {
    told[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {told}"))
        .to_owned()
}

/// The gateway in front of it. The double stands by, for what the campus has besides.
fn by_jwks(server: &OidcServer, bearer: &str, lines: &str) -> Campus {
    let mut plan = Plan::by(By::Jwks).bearer(bearer).lines(lines);
    plan.issuer = Some(server.issuer());
    plan.with(AuthServer::start())
}

fn by_introspection(server: &OidcServer, lines: &str) -> Campus {
    let mut plan = Plan::by(By::Introspection).lines(lines);
    plan.endpoint = Some(format!("{}/token/introspection", server.issuer()));
    plan.with(AuthServer::start())
}

#[test]
fn a_person_comes_with_an_apps_jwt() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_jwks(&server, "", "");
    let told = granted(&server, Some(JWT), None);
    let token = text(&told, "access_token");
    assert_eq!(campus.named(&token), (Some("alice".to_owned()), None));
    campus.get("/app/x", &token).expect(200);
    campus.get("/scoped/x", &token).expect(200);
    campus.get("/staff/x", &token).expect(403);
    campus.get("/robot/x", &token).expect(403);
    // What came with it is for the app itself.
    campus.refuses(&text(&told, "id_token"));
    campus.refuses(&text(&told, "refresh_token"));
    assert_eq!(campus.server.asked(), 0);
}

/// Where `JWT` is taken as a type, for Keycloak's sake.
#[test]
fn its_id_token_is_no_access_token_where_types_are_taken_widely() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_jwks(&server, "clients = [\"app\"]", "types = [\"at+jwt\", \"JWT\"]");
    let told = granted(&server, Some(JWT), None);
    campus.get("/app/x", &text(&told, "access_token")).expect(200);
    campus.refuses(&text(&told, "id_token"));
}

#[test]
fn a_jwt_for_another_site_is_refused() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_jwks(&server, "", "");
    let token = text(&granted(&server, Some(OTHER), None), "access_token");
    campus.refuses_as(&token, "wrong_audience");
    let other_client = by_jwks(&server, "clients = [\"portal\"]", "");
    other_client.refuses(&token);
    // Both must hold where both are written.
    let token = text(&granted(&server, Some(JWT), None), "access_token");
    let both = by_jwks(
        &server,
        "clients = [\"portal\"]\naudience = [\"https://janua.test\"]",
        "",
    );
    both.refuses(&token);
}

#[test]
fn a_client_by_itself_is_nobody_and_still_a_client() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_jwks(&server, "", "");
    let token = own(&server, Some(JWT));
    campus.is_nobody(&token);
    campus.get("/robot/x", &token).expect(200);
    campus.get("/scoped/x", &token).expect(200);
    assert_eq!(campus.named(&token), (None, None));

    let campus = by_introspection(&server, "");
    let token = own(&server, Some(OPAQUE));
    campus.is_nobody(&token);
    campus.get("/robot/x", &token).expect(200);
    campus.get("/scoped/x", &token).expect(200);
    assert_eq!(campus.named(&token), (None, None));
}

#[test]
fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
    let Some(server) = OidcServer::with_apps() else { return };
    let told = granted(&server, Some(JWT), Some(&proof(&server)));
    assert_eq!(told["token_type"], "DPoP", "{told}");
    by_jwks(&server, "", "").refuses_as(&text(&told, "access_token"), "sender_constrained");
    let told = granted(&server, Some(OPAQUE), Some(&proof(&server)));
    assert_eq!(told["token_type"], "DPoP", "{told}");
    by_introspection(&server, "").refuses_as(&text(&told, "access_token"), "sender_constrained");
}

#[test]
fn a_person_comes_with_an_opaque_token_until_it_is_revoked() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_introspection(&server, "cache = \"1s\"");
    for resource in [Some(OPAQUE), None] {
        let token = text(&granted(&server, resource, None), "access_token");
        assert_eq!(campus.named(&token), (Some("alice".to_owned()), None));
        revoke(&server, &token);
        eventually("it has ended", || {
            (campus.get("/app/x", &token).status == 401).then_some(())
        });
        campus.refuses_as(&token, "token_not_active");
    }
}

/// The server calls it active, and does not say what it is.
#[test]
fn its_refresh_token_is_no_access_token() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_introspection(&server, "");
    campus.refuses(&text(&granted(&server, None, None), "refresh_token"));
}

/// It says so with 400, which is about the token and not about the gateway.
#[test]
fn a_jwt_that_it_does_not_introspect_is_the_tokens_fault() {
    let Some(server) = OidcServer::with_apps() else { return };
    let campus = by_introspection(&server, "");
    for _ in 0..3 {
        campus.refuses(&text(&granted(&server, Some(JWT), None), "access_token"));
    }
    let token = text(&granted(&server, None, None), "access_token");
    campus.get("/app/x", &token).expect(200);
}

/// Any client of the server would do, if an answer without a client would.
#[test]
fn its_userinfo_names_no_client_and_is_no_profile() {
    let Some(server) = OidcServer::with_apps() else { return };
    let mut plan = Plan::by(By::Profile);
    plan.endpoint = Some(format!("{}/me", server.issuer()));
    let campus = plan.with(AuthServer::start());
    campus.refuses(&text(&granted(&server, None, None), "access_token"));
}

#[test]
fn known_keys_outlive_the_server() {
    let Some(mut server) = OidcServer::with_apps() else {
        return;
    };
    let campus = by_jwks(&server, "", "");
    let [first, second] = [(); 2].map(|()| text(&granted(&server, Some(JWT), None), "access_token"));
    campus.get("/app/x", &first).expect(200);
    server.kill();
    campus.get("/app/x", &second).expect(200);
}
