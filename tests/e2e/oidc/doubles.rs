//! The providers are held to what the other tests rely on, without a gateway.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;

use super::campus::parameter;
use crate::support::cas::query;
use crate::support::http::Response;
use crate::support::oidc::double::Endpoint;
use crate::support::oidc::{CLIENT, CLIENT_SECRET, Reply};
use crate::support::tokens::base64url;
use crate::support::{Connection, OidcDouble, OidcServer, Request};

const VERIFIER: &str = "a-code-verifier-of-more-than-forty-three-letters-0";
const GATEWAY: &str = "http://127.0.0.1:9";
const CALLBACK: &str = "http://127.0.0.1:9/_janua/oidc/campus/callback";

fn authorization(endpoint: &str, more: &[(&str, &str)]) -> String {
    let challenge = base64url(digest(&SHA256, VERIFIER.as_bytes()));
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email groups"),
        ("state", "a-state"),
        ("nonce", "a-nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    pairs.extend(more);
    format!("{endpoint}?{}", query(&pairs))
}

fn address(url: &Url) -> SocketAddr {
    url.socket_addrs(|| None).unwrap()[0]
}

fn send(url: &str, request: impl FnOnce(&str) -> Request) -> Response {
    let url: Url = url.parse().unwrap();
    let request = request(&url[url::Position::BeforePath..]).host(url.authority());
    Connection::open(address(&url)).exchange(request.header("Connection", "close"))
}

fn get(url: &str) -> Response {
    send(url, Request::get)
}

/// With the client's name and secret as parts of a form (RFC 6749 section 2.3.1).
fn redeem(endpoint: &str, code: &str, verifier: &str) -> Response {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(CLIENT_SECRET)));
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", verifier),
    ];
    send(endpoint, |target| {
        Request::new("POST", target)
            .header("Authorization", &format!("Basic {basic}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&form))
    })
}

fn part(token: &Value, place: usize) -> Value {
    let part = token.as_str().unwrap().split('.').nth(place).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn the_real_provider_signs_in_by_its_form_and_knows_who_did() {
    let Some(server) = OidcServer::start(&[GATEWAY.to_owned()]) else {
        return;
    };
    let about = get(&format!("{}/.well-known/openid-configuration", server.issuer())).json();
    assert_eq!(about["issuer"], server.issuer());
    assert_eq!(about["backchannel_logout_session_supported"], true);
    let endpoint = |name: &str| about[name].as_str().unwrap().to_owned();

    let alice = server.person("alice");
    let back = alice.sign_in(&authorization(&endpoint("authorization_endpoint"), &[]));
    let said = |name: &str| parameter(back.as_str(), name);
    assert_eq!(
        (said("state").as_deref(), said("iss")),
        (Some("a-state"), Some(server.issuer()))
    );
    let code = said("code").unwrap();
    let wrong = redeem(&endpoint("token_endpoint"), "made-up", VERIFIER)
        .expect(400)
        .json();
    assert_eq!(wrong["error"], "invalid_grant");
    let told = redeem(&endpoint("token_endpoint"), &code, VERIFIER).expect(200).json();
    let claims = part(&told["id_token"], 1);
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("alice"), &json!("a-nonce")));
    assert!(claims["sid"].is_string() && claims["groups"].is_null(), "{claims}");
    let bearer = told["access_token"].as_str().unwrap().to_owned();
    let about_her = send(&endpoint("userinfo_endpoint"), |target| {
        Request::get(target).bearer(&bearer)
    })
    .json();
    assert_eq!(
        (&about_her["sub"], &about_her["preferred_username"]),
        (&json!("alice"), &json!("a.liddell"))
    );
    assert_eq!(about_her["groups"], json!(["staff", "video-editors"]));

    // Known by now, and unknown once she has signed out.
    let quietly = authorization(&endpoint("authorization_endpoint"), &[("prompt", "none")]);
    assert!(parameter(alice.sign_in(&quietly).as_str(), "code").is_some());
    alice.sign_out();
    let back = alice.sign_in(&quietly);
    assert_eq!(parameter(back.as_str(), "error").as_deref(), Some("login_required"));
}

#[test]
fn the_real_provider_lets_people_give_up_and_comes_back_with_its_keys() {
    let Some(mut server) = OidcServer::start(&[GATEWAY.to_owned()]) else {
        return;
    };
    let keys = |server: &OidcServer| get(&format!("{}/jwks", server.issuer())).json();
    let before = keys(&server);
    let request = authorization(&format!("{}/auth", server.issuer()), &[]);
    let back = server.person("bob").give_up(&request);
    assert_eq!(parameter(back.as_str(), "error").as_deref(), Some("access_denied"));
    let known = server.person("bob");
    known.sign_in(&request);
    server.kill();
    Connection::try_open(server.address).err().expect("nobody listens");
    server.revive();
    assert_eq!(keys(&server), before);
}

#[test]
fn the_double_is_strict_where_a_provider_is() {
    let double = OidcDouble::start();
    let about = get(&double.url(Endpoint::Discovery)).json();
    assert_eq!(about["issuer"], double.issuer());
    let request = authorization(&double.url(Endpoint::Authorize), &[]);
    let code = || parameter(double.authorize(&request, "alice").as_str(), "code").unwrap();
    let first = code();
    let token = double.url(Endpoint::Token);
    let told = redeem(&token, &first, VERIFIER).expect(200).json();
    assert_eq!(part(&told["id_token"], 1)["sub"], "alice");
    assert_eq!(
        redeem(&token, &first, VERIFIER).expect(400).json()["error"],
        "invalid_grant"
    );
    redeem(&token, &code(), "another-verifier").expect(400);
    let open = send(&token, |target| {
        Request::new("POST", target).body("grant_type=authorization_code")
    });
    assert_eq!(open.expect(401).json()["error"], "invalid_client");
    let bearer = told["access_token"].as_str().unwrap().to_owned();
    let userinfo = double.url(Endpoint::Userinfo);
    assert_eq!(
        send(&userinfo, |target| Request::get(target).bearer(&bearer)).json()["sub"],
        "alice"
    );
    get(&userinfo).expect(401);
    assert_eq!(double.asked(Endpoint::Token).len(), 4);

    double.answer(Endpoint::Keys, Reply::html(503));
    get(&double.url(Endpoint::Keys)).expect(503);
    double.set_down(true);
    let url: Url = token.parse().unwrap();
    let mut connection = Connection::open(address(&url));
    connection
        .exchange_raw(Request::get("/x").bytes())
        .expect("other places answer");
    connection
        .exchange_raw(Request::get(url.path()).bytes())
        .expect_err("nobody answers");
}

/// Held against tests/recorded/oidc: what the plug-in's own PHP said.
#[test]
fn the_double_of_moodle_says_what_was_recorded() {
    let recorded: Value = serde_json::from_str(include_str!("../../recorded/oidc/local_oidcserver.json")).unwrap();
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let moodle = OidcDouble::local_oidcserver();
    let about = get(&moodle.url(Endpoint::Discovery)).json();
    assert_eq!(names(&about), names(&recorded["discovery"]));
    let keys = get(&moodle.url(Endpoint::Keys)).json();
    assert_eq!(names(&keys["keys"][0]), names(&recorded["key"]));
    assert_eq!(keys["keys"][0]["kid"], recorded["key"]["kid"]);
    STANDARD
        .decode(keys["keys"][0]["n"].as_str().unwrap())
        .expect("base64 as in mail");

    let request = authorization(&moodle.url(Endpoint::Authorize), &[]);
    let back = moodle.authorize(&request, "alice");
    assert_eq!(parameter(back.as_str(), "iss"), None);
    let code = parameter(back.as_str(), "code").unwrap();
    let told = redeem(&moodle.url(Endpoint::Token), &code, VERIFIER).expect(200).json();
    assert_eq!(part(&told["id_token"], 0), recorded["id_token"]["header"]);
    let claims = part(&told["id_token"], 1);
    assert_eq!(names(&claims), names(&recorded["id_token"]["payload"]));
    assert_eq!(claims["iss"], moodle.origin().replace("http:", "https:"));

    let error = redeem(&moodle.url(Endpoint::Token), &code, VERIFIER).expect(200);
    assert_eq!(error.header("content-type"), Some("text/html; charset=UTF-8"));
    assert!(error.json()["error"].is_string());

    let bearer = format!("Bearer {}", told["access_token"].as_str().unwrap());
    let userinfo = moodle.url(Endpoint::Userinfo);
    let about_her = send(&userinfo, |target| {
        Request::get(target).header("Authorization", &bearer)
    })
    .json();
    assert_eq!(names(&about_her), names(&recorded["userinfo"]));
    send(&userinfo, |target| {
        Request::get(target).header("authorization", &bearer)
    })
    .expect(500);
}
