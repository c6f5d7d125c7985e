//! Octoka's behaviour, row by row: each name says whether the gateway does the same or better.

mod answers;

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::{Config, Gateway, JwksServer, MEDIA, Request, Signer, Site, eventually, in_seconds, now};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

struct Bench {
    gateway: Gateway,
    signer: Signer,
}

impl Bench {
    fn new() -> Self {
        let (site, signer) = (Site::with_lecture(), Signer::new());
        let cors = "cors = { origins = [\"https://moodle.test\"] }\n";
        let config = Config::new().issuer("moodle", "keys.json", "");
        site.write_keys("keys.json", &[&signer]);
        site.write("downloads/org/player/lecture-1/grüße 1.m3u8", "#EXTM3U\n");
        let gateway = site.start(&config.section(&format!("{MEDIA}{cors}")));
        Self { gateway, signer }
    }

    fn status_of(&self, claims: &Value) -> u16 {
        self.gateway.get_with(PATH, &self.signer.token(claims)).status
    }

    fn granted(&self) -> String {
        self.signer.read("lecture-1")
    }

    fn send(&self, request: Request) -> Response {
        self.gateway.send(request.bearer(&self.granted()))
    }
}

/// An hour of these claims.
fn hour(mut claims: Value) -> Value {
    claims["exp"] = json!(in_seconds(3600));
    claims
}

// ---- routes ----

#[test]
fn equal_get_head_and_better_405_says_what_is_allowed() {
    let bench = Bench::new();
    bench.send(Request::get(PATH)).expect(200);
    let head = bench.send(Request::new("HEAD", PATH)).expect(200);
    assert_eq!(head.header("content-length"), Some("1000"));
    let told = bench.send(Request::new("DELETE", PATH)).expect(405);
    assert!(told.header("allow").unwrap().contains("GET"));
}

#[test]
fn better_a_path_of_no_route_is_404_and_prefixes_end_at_a_boundary() {
    let bench = Bench::new();
    bench.send(Request::get("/other")).expect(404);
    bench
        .send(Request::get(&PATH.replace("/static/", "/staticx/")))
        .expect(404);
}

// ---- where tokens stand ----

#[test]
fn equal_header_and_query_and_better_scheme_in_any_case() {
    let bench = Bench::new();
    let token = bench.granted();
    bench.gateway.get_with(PATH, &token).expect(200);
    bench.gateway.get(&format!("{PATH}?jwt={token}")).expect(200);
    let lower = Request::get(PATH).header("Authorization", &format!("bearer {token}"));
    bench.gateway.send(lower).expect(200);
}

#[test]
fn better_a_bad_first_token_does_not_hide_a_good_second_one() {
    let bench = Bench::new();
    let path = format!("{PATH}?jwt={}", bench.granted());
    for other in ["Bearer nonsense", "Basic dXNlcjpwYXNz"] {
        bench
            .gateway
            .send(Request::get(&path).header("Authorization", other))
            .expect(200);
    }
}

// ---- grants ----

#[test]
fn equal_read_on_the_event_or_the_admin_role() {
    let bench = Bench::new();
    assert_eq!(
        bench.status_of(&hour(json!({ "oc": { "e:lecture-1": ["read"] } }))),
        200
    );
    assert_eq!(bench.status_of(&hour(json!({ "roles": ["ROLE_ADMIN"] }))), 200);
}

#[test]
fn equal_nothing_else_is_a_grant() {
    let bench = Bench::new();
    for claims in [
        json!({ "oc": { "e:lecture-1": ["write"] } }),
        json!({ "oc": { "e:lecture-1": ["READ"] } }),
        json!({ "oc": { "e:lecture-2": ["read"] } }),
        json!({ "oc": { "s:lecture-1": ["read"] } }),
        json!({ "oc": { "p:lecture-1": ["read"] } }),
        json!({ "roles": ["ROLE_USER", "role_admin"] }),
        json!({ "roles": [] }),
    ] {
        assert_eq!(bench.status_of(&hour(claims.clone())), 403, "{claims}");
    }
}

#[test]
fn better_what_issuers_really_write_is_understood() {
    let bench = Bench::new();
    for claims in [
        // ILIAS; the guide of Moodle; Tobira's uploads.
        json!({ "oc": { "e:lecture-1": "read" } }),
        json!({ "roles": "ROLE_ADMIN" }),
        json!({ "oc-roles": ["ROLE_ADMIN"] }),
        json!({ "roles": ["ROLE_EPISODE_lecture-1_READ"] }),
        json!({ "roles": ["ROLE_ADMIN"], "sub": "unknown-jwt-user", "oc": { "e:other": "read" } }),
    ] {
        assert_eq!(bench.status_of(&hour(claims.clone())), 200, "{claims}");
    }
}

// ---- the token test matrix ----

#[test]
fn equal_extra_claims_odd_neighbours_and_types_do_no_harm() {
    let bench = Bench::new();
    let read = json!({ "e:lecture-1": ["read"], "odd": ["x"] });
    let claims = json!({ "oc": read, "iss": "https://moodle.test", "aud": "x", "jti": "1", "iat": now() });
    assert_eq!(bench.status_of(&hour(claims.clone())), 200);
    let claims = hour(claims).to_string();
    for header in [
        r#"{"typ":"at+jwt","alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":"unknown"}"#,
    ] {
        let token = bench.signer.sign(header, &claims);
        bench.gateway.get_with(PATH, &token).expect(200);
    }
}

#[test]
fn better_a_critical_header_that_is_not_understood_is_refused() {
    // RFC 7515 section 4.1.11.
    let bench = Bench::new();
    let claims = hour(json!({ "roles": ["ROLE_ADMIN"] })).to_string();
    let token = bench.signer.sign(r#"{"alg":"ES256","crit":["zzz"],"zzz":1}"#, &claims);
    bench.gateway.get_with(PATH, &token).expect(401);
}

#[test]
fn equal_expiry_is_required_and_times_are_held() {
    let bench = Bench::new();
    let grant = json!({ "e:lecture-1": ["read"] });
    for claims in [
        json!({ "oc": grant }),
        json!({ "oc": grant, "exp": now() - 60 }),
        json!({ "oc": grant, "exp": in_seconds(600), "nbf": in_seconds(300) }),
        json!({ "oc": grant, "exp": "4e9" }),
    ] {
        assert_eq!(bench.status_of(&claims), 401, "{claims}");
    }
}

#[test]
fn equal_a_claim_that_stands_twice_or_the_wrong_algorithm_is_refused() {
    let bench = Bench::new();
    let exp = in_seconds(600);
    let twice = format!(r#"{{"exp":{exp},"exp":{exp},"roles":["ROLE_ADMIN"]}}"#);
    let token = bench.signer.sign(r#"{"alg":"ES256"}"#, &twice);
    bench.gateway.get_with(PATH, &token).expect(401);
    let claims = hour(json!({ "roles": ["ROLE_ADMIN"] })).to_string();
    for header in [r#"{"alg":"ES384"}"#, r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#] {
        let token = bench.signer.sign(header, &claims);
        bench.gateway.get_with(PATH, &token).expect(401);
    }
}

#[test]
fn better_a_grant_that_stands_twice_is_refused_and_not_the_last_taken() {
    let bench = Bench::new();
    let exp = in_seconds(600);
    let twice = format!(r#"{{"exp":{exp},"oc":{{"e:lecture-1":[],"e:lecture-1":["read"]}}}}"#);
    let token = bench.signer.sign(r#"{"alg":"ES256"}"#, &twice);
    bench.gateway.get_with(PATH, &token).expect(401);
}

#[test]
fn better_refusals_say_why_and_tokens_are_never_logged() {
    let bench = Bench::new();
    let token = bench.signer.read("lecture-2");
    let path = format!("{PATH}?jwt={token}");
    bench.gateway.get(&path).refused(403, "event_not_granted");
    bench.gateway.get(PATH).refused(401, "no_credentials");
    bench.gateway.logged(&["no_credentials"]);
    assert!(!bench.gateway.said().contains(&token));
}

// ---- keys ----

#[test]
fn equal_a_known_kid_names_its_key_and_without_one_all_are_tried() {
    let site = Site::with_lecture();
    let (named, other, unnamed) = (Signer::new().named("a"), Signer::new().named("b"), Signer::new());
    site.write_keys("keys.json", &[&named, &other, &unnamed]);
    let gateway = site.start(&Config::new().issuer("moodle", "keys.json", "").section(MEDIA));
    for signer in [&named, &other, &unnamed] {
        gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    }
    let claims = hour(json!({ "roles": ["ROLE_ADMIN"] })).to_string();
    gateway
        .get_with(PATH, &named.sign(r#"{"alg":"ES256"}"#, &claims))
        .expect(200);
    gateway
        .get_with(PATH, &other.sign(r#"{"alg":"ES256","kid":"a"}"#, &claims))
        .expect(401);
}

#[test]
fn better_one_kid_in_two_key_sets_names_both_keys() {
    let site = Site::with_lecture();
    let (one, two) = (Signer::new().named("key"), Signer::new().named("key"));
    site.write_keys("one.json", &[&one]);
    site.write_keys("two.json", &[&two]);
    let config = Config::new()
        .issuer("one", "one.json", "")
        .issuer("two", "two.json", "");
    let gateway = site.start(&config.section(MEDIA));
    for signer in [&one, &two] {
        gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    }
}

#[test]
fn better_keys_outlive_a_failing_endpoint() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    let gateway = site.start(&Config::new().issuer("moodle", &server.url(), "").section(MEDIA));
    let plays = || gateway.get_with(PATH, &signer.read("lecture-1")).status == 200;
    eventually("the keys are there", || plays().then_some(()));
    server.fail(500);
    let stranger = Signer::new();
    eventually("a refresh fails", || {
        gateway.get_with(PATH, &stranger.read("lecture-1")).expect(401);
        let failed = gateway.metric(r#"janua_keyset_refreshes_total{issuer="moodle",outcome="error"}"#);
        failed.is_some_and(|failed| failed >= 1.0).then_some(())
    });
    assert!(plays());
}

// ---- the file server ----

#[test]
fn better_encoded_names_are_decoded() {
    let bench = Bench::new();
    bench.send(Request::get(&PATH.replace("video", "%76ideo"))).expect(200);
    let playlist = bench
        .send(Request::get("/static/org/player/lecture-1/gr%C3%BC%C3%9Fe%201.m3u8"))
        .expect(200);
    assert_eq!(playlist.header("content-type"), Some("application/vnd.apple.mpegurl"));
}

#[test]
fn better_ranges_are_complete() {
    let bench = Bench::new();
    let several = bench
        .send(Request::get(PATH).header("Range", "bytes=0-9,100-109"))
        .expect(206);
    assert!(
        several
            .header("content-type")
            .unwrap()
            .starts_with("multipart/byteranges")
    );
    let stale = Request::get(PATH)
        .header("Range", "bytes=0-9")
        .header("If-Range", "\"another\"");
    assert_eq!(bench.send(stale).expect(200).body.len(), 1000);
    let beyond = bench
        .send(Request::get(PATH).header("Range", "bytes=5000-"))
        .expect(416);
    assert_eq!(beyond.header("content-range"), Some("bytes */1000"));
}

#[test]
fn better_a_folder_is_no_file() {
    Bench::new()
        .send(Request::get("/static/org/player/lecture-1/"))
        .expect(404);
}

#[test]
fn better_cors_on_refusals_and_for_ranges() {
    let bench = Bench::new();
    let origin = "https://moodle.test";
    let ask = |request: Request| bench.gateway.send(request.header("Origin", origin));
    let missing = PATH.replace("video", "none");
    let answers = [
        ask(Request::get(PATH)).expect(401),
        ask(Request::get(PATH).bearer(&bench.signer.read("lecture-2"))).expect(403),
        ask(Request::get(&missing).bearer(&bench.granted())).expect(404),
        ask(Request::get(PATH)
            .bearer(&bench.granted())
            .header("Range", "bytes=5000-"))
        .expect(416),
    ];
    for answer in answers {
        assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{answer:?}");
        assert!(answer.all("vary").join(",").to_lowercase().contains("origin"));
    }
    let asked = Request::new("OPTIONS", PATH)
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization,range");
    let allowed = ask(asked)
        .header("access-control-allow-headers")
        .unwrap_or_default()
        .to_lowercase();
    assert!(
        allowed.contains("authorization") && allowed.contains("range"),
        "{allowed}"
    );
    let played = ask(Request::get(PATH).bearer(&bench.granted())).expect(200);
    let exposed = played.header("access-control-expose-headers").unwrap().to_lowercase();
    assert!(exposed.contains("content-range"));
}

#[test]
fn better_nobody_elses_cache_keeps_a_lecture() {
    let answer = Bench::new().send(Request::get(PATH)).expect(200);
    assert!(answer.header("cache-control").unwrap().contains("private"));
}

#[test]
fn equal_download_makes_an_attachment() {
    let answer = Bench::new()
        .send(Request::get(&format!("{PATH}?download=1")))
        .expect(200);
    assert!(answer.header("content-disposition").unwrap().starts_with("attachment"));
}
