//! What does not count: used messages, other browsers', other clients', forged ones.

use serde_json::{Value, json};

use super::*;
use crate::support::Valkey;
use crate::support::oidc::{hs256, unsigned};

#[test]
fn a_message_counts_once_and_in_its_own_browser() {
    let stage = Stage::new();
    let (location, cookie_of_login) = stage.begun();
    let (_, others) = stage.begun();
    let form = stage.platform.auth(&location).unwrap();
    let send = |form: &Form, cookie: &str| stage.gateway.send(form.posted().header("Cookie", cookie));
    send(&form, &others).told_refused(401, "launch_stale");
    send(&form, "a=b").told_refused(401, "launch_stale");
    for state in ["", "x", &format!("{}x", form.get("state"))] {
        send(&form.clone().set("state", state), &cookie_of_login).told_refused(401, "launch_stale");
    }
    send(&form, &cookie_of_login).expect(303);
    send(&form, &cookie_of_login).told_refused(401, "launch_stale");
    stage.gateway.logged(&["launch_stale", "used already"]);
    // The same message for another question of the same browser.
    let (_, again) = stage.begun();
    send(&form, &format!("{cookie_of_login}; {again}")).told_refused(401, "launch_stale");
    let other = stage.platform.auth(&stage.begun().0).unwrap();
    send(&form.set("id_token", other.get("id_token")), &cookie_of_login).told_refused(401, "launch_stale");
}

#[test]
fn a_message_counts_once_at_all_replicas() {
    let Some(valkey) = Valkey::start() else { return };
    let (platform, zoo) = (LtiPlatform::start(TOOL), Upstream::start());
    platform.behaviour().target = format!("{ORIGIN}/play/");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let replica = || {
        let site = Site::new();
        site.write_keys("other.json", &[&Signer::new()]);
        site.write("master.key", key);
        let config = config(&[("moodle", &platform, "")], &zoo);
        let config = config
            .set("state", "store", "\"valkey\"")
            .set("state", "url", &format!("{:?}", valkey.url()));
        site.start(&config.set("state", "key_file", "\"master.key\""))
    };
    let (here, there) = (replica(), replica());
    let (location, cookie_of_login) = begun(&here, &platform);
    let form = platform.auth(&location).unwrap();
    let launched = there.send(form.posted().header("Cookie", &cookie_of_login)).expect(303);
    here.send(form.posted().header("Cookie", &cookie_of_login))
        .told_refused(401, "launch_stale");
    let session = cookie(&launched, "janua-launch");
    here.send(Request::get("/play/").header("Cookie", &session)).expect(200);
}

#[test]
fn what_a_message_says_must_be_meant_here() {
    let stage = Stage::new();
    for (claims, status, reason) in [
        (json!({ "iss": "https://evil.test" }), 401, "wrong_issuer"),
        (json!({ "aud": "another" }), 401, "wrong_audience"),
        (json!({ "aud": ["client-of-janua", "another"] }), 401, "wrong_audience"),
        (json!({ "azp": "another" }), 401, "wrong_audience"),
        (json!({ "exp": 1 }), 401, "token_expired"),
        (json!({ "iat": 4_000_000_000_u64 }), 401, "token_not_yet_valid"),
        (json!({ "nonce": "guessed" }), 401, "launch_stale"),
        (json!({ "nonce": null }), 401, "launch_stale"),
        (json!({ claim("deployment_id"): "2" }), 401, "wrong_audience"),
        (json!({ claim("version"): "1.1" }), 401, "malformed_token"),
        (
            json!({ claim("message_type"): "LtiSubmissionReviewRequest" }),
            401,
            "wrong_type",
        ),
        (
            json!({ claim("target_link_uri"): format!("{ORIGIN}/play/other") }),
            400,
            "bad_request",
        ),
        (
            json!({ claim("target_link_uri"): "https://evil.test/" }),
            400,
            "bad_request",
        ),
    ] {
        let refused = stage.launch_with(&claims);
        assert!(
            !refused
                .all("set-cookie")
                .iter()
                .any(|line| line.contains("janua-launch")),
            "{claims}"
        );
        refused.told_refused(status, reason);
    }
    // What is not told to the person is in the log: which deployment to add.
    stage.gateway.logged(&["wrong_audience", "deployment_ids"]);
    let series = "janua_lti_total{outcome=\"token_expired\",platform=\"moodle\",step=\"launch\"}";
    assert_eq!(stage.gateway.metric(series), Some(1.0));
}

#[test]
fn a_signature_is_the_platforms_own() {
    let stage = Stage::new();
    let (location, cookie_of_login) = stage.begun();
    let form = stage.platform.auth(&location).unwrap();
    let claims = form.get("id_token").split('.').nth(1).unwrap().to_owned();
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let send = |token: &str| {
        let form = form.clone().set("id_token", token);
        stage.gateway.send(form.posted().header("Cookie", &cookie_of_login))
    };
    let foreign = Signer::rs256().named("of-the-platform");
    send(&foreign.token(&claims)).told_refused(401, "bad_signature");
    send(&Signer::rs256().named("unknown").token(&claims)).told_refused(401, "unknown_key");
    send(&Signer::new().named("of-the-platform").token(&claims)).told_refused(401, "algorithm_not_allowed");
    send(&unsigned(&json!({ "alg": "none", "typ": "JWT" }), &claims)).told_refused(401, "algorithm_not_allowed");
    let public = stage.platform.behaviour().keys.clone();
    send(&hs256(
        public.as_bytes(),
        &json!({ "alg": "HS256", "typ": "JWT" }),
        &claims,
    ))
    .told_refused(401, "algorithm_not_allowed");
    send("").told_refused(401, "malformed_token");
    send("a.b.c").told_refused(401, "malformed_token");
    // None of them has used the launch up.
    stage
        .gateway
        .send(form.posted().header("Cookie", &cookie_of_login))
        .expect(303);
}

#[test]
fn a_login_names_what_is_configured() {
    let stage = Stage::new();
    let login = |name: &str, value: &str| stage.gateway.send(stage.platform.login().set(name, value).posted());
    for (name, value, told) in [
        ("iss", "https://other.test", "https://other.test"),
        ("iss", "", "names no `iss`"),
        ("client_id", "another", "client_id is \\\"another\\\""),
        ("lti_deployment_id", "9", "lti_deployment_id is \\\"9\\\""),
        ("target_link_uri", "", "names no `target_link_uri`"),
        ("login_hint", "", "names no `login_hint`"),
        ("login_hint", &"x".repeat(5_000), "longer than"),
    ] {
        let refused = login(name, value);
        assert_eq!(refused.status, 400, "{name} {value}");
        assert!(!refused.text().contains("other.test"), "{}", refused.text());
        stage.gateway.logged(&["bad_request", told]);
    }
    let twice = stage.platform.login();
    let twice = Form {
        fields: [twice.fields.clone(), vec![("iss".into(), "https://lms.test".into())]].concat(),
        ..twice
    };
    stage.gateway.send(twice.posted()).told_refused(400, "bad_request");
    for (method, path, status) in [
        ("GET", "/_janua/lti/moodle/launch", 405),
        ("HEAD", "/_janua/lti/moodle/login", 405),
        ("POST", "/_janua/lti/unknown/login", 404),
        ("GET", "/_janua/lti/moodle/else", 404),
        ("GET", "/_janua/lti/moodle", 404),
    ] {
        assert_eq!(
            stage.gateway.send(Request::new(method, path)).status,
            status,
            "{method} {path}"
        );
    }
    // A script posts nothing, and JSON is no form.
    let scripted = |request: Request| stage.gateway.send(request).told_refused(400, "bad_request");
    scripted(
        Request::new("POST", "/_janua/lti/moodle/launch")
            .header("Content-Type", "application/json")
            .body("{}"),
    );
    scripted(
        Request::new("POST", "/_janua/lti/moodle/login")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Sec-Fetch-Mode", "cors")
            .body("iss=a"),
    );
}

#[test]
fn the_platforms_refusal_is_told_in_plain_words() {
    let stage = Stage::new();
    let (location, cookie_of_login) = stage.begun();
    let form = stage.platform.auth(&location).unwrap();
    let fields = vec![
        ("error".to_owned(), "access_denied".to_owned()),
        ("error_description".to_owned(), "<script>".to_owned()),
        ("state".to_owned(), form.get("state").to_owned()),
    ];
    let refused = Form { fields, ..form };
    let page = stage
        .gateway
        .send(refused.posted().header("Cookie", &cookie_of_login))
        .expect(403);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(!page.text().contains("script"), "{}", page.text());
    assert!(
        !page
            .header("content-security-policy")
            .unwrap()
            .contains("frame-ancestors"),
        "it is read in a frame"
    );
    stage.gateway.logged(&["sign_in_refused", "access_denied"]);
}

#[test]
fn a_platform_without_keys_is_told_from_a_bad_message() {
    let stage = Stage::new();
    stage.platform.behaviour().keys = "{}".to_owned();
    stage.launch().told_refused(503, "keys_unavailable");
}
