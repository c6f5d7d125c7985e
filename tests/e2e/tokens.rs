//! Tokens: where they are looked for, which one counts, and every reason for which one does not.

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::tokens::base64url;
use crate::support::{Config, Gateway, Request, Signer, Site, in_seconds, now};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

/// A gateway whose issuer `moodle` trusts the signer.
fn gateway(signer: &Signer) -> Gateway {
    let site = Site::with_lecture();
    site.start(&Config::media(&site, signer))
}

/// What a lecture's file answers to these claims.
fn with_claims(gateway: &Gateway, signer: &Signer, claims: &Value) -> Response {
    gateway.get_with(PATH, &signer.token(claims))
}

#[track_caller]
fn refused(answer: Response, reason: &str) {
    let answer = answer.refused(401, reason);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\", error_description=\""),
        "{challenge}"
    );
    assert_eq!(answer.json()["status"], 401);
    let id = answer.json()["request_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.header("x-request-id"), Some(id.as_str()));
}

#[test]
fn no_token_is_told_what_is_missing() {
    let gateway = gateway(&Signer::new());
    let told = gateway.get(PATH).refused(401, "no_credentials");
    let challenge = told.header("www-authenticate").unwrap();
    // RFC 6750 section 3.1: nothing was wrong with a token that was not there.
    assert!(
        challenge.starts_with("Bearer") && !challenge.contains("error"),
        "{challenge}"
    );
    let other = Request::get(PATH).header("Authorization", "Basic Zm9vOmJhcg==");
    gateway.send(other).refused(401, "no_credentials");
}

#[test]
fn a_browser_reads_a_page_and_a_program_a_problem() {
    let gateway = gateway(&Signer::new());
    let browser = Request::get(PATH)
        .header("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document");
    let page = gateway.send(browser).expect(401);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(page.text().contains(page.header("x-request-id").unwrap()));
    let program = gateway.send(Request::get(PATH).header("Accept", "*/*"));
    program.refused(401, "no_credentials");
}

#[test]
fn the_first_valid_token_counts() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let good = signer.read("lecture-1");
    let expired = signer.token(&json!({ "exp": now() - 600, "oc": { "e:lecture-1": ["read"] } }));
    let query = |token: &str| format!("{PATH}?jwt={token}");

    gateway.get_with(PATH, &good).expect(200);
    gateway.get(&query(&good)).expect(200);
    for scheme in ["bearer", "BEARER", "Bearer  "] {
        let header = format!("{scheme} {good}");
        gateway
            .send(Request::get(PATH).header("Authorization", &header))
            .expect(200);
    }
    // A bad token before a good one does not count, in either order.
    gateway.send(Request::get(&query(&good)).bearer(&expired)).expect(200);
    gateway.send(Request::get(&query(&good)).bearer("nonsense")).expect(200);
    gateway.send(Request::get(&query(&expired)).bearer(&good)).expect(200);
    let basic = Request::get(&query(&good)).header("Authorization", "Basic Zm9vOmJhcg==");
    gateway.send(basic).expect(200);
    // The first valid one decides, whatever a later one grants.
    let other = signer.read("lecture-2");
    let both = Request::get(&query(&good)).bearer(&other);
    gateway.send(both).refused(403, "event_not_granted");
    // When none is valid, the first one's refusal is told.
    refused(
        gateway.send(Request::get(&query("nonsense")).bearer(&expired)),
        "token_expired",
    );
}

#[test]
fn sources_are_the_operators_choice() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let sources = r#"[{ header = "X-Token", scheme = "Campus" }, { query = "t" }]"#;
    let gateway = site.start(&Config::media(&site, &signer).jwt("sources", sources));
    let token = signer.read("lecture-1");
    let header = Request::get(PATH).header("X-Token", &format!("campus {token}"));
    gateway.send(header).expect(200);
    gateway.get(&format!("{PATH}?t={token}")).expect(200);
    gateway.get_with(PATH, &token).refused(401, "no_credentials");
    gateway
        .get(&format!("{PATH}?jwt={token}"))
        .refused(401, "no_credentials");
}

#[test]
fn times_are_checked_with_leeway() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let grant = json!({ "e:lecture-1": ["read"] });
    let good = [
        json!({ "exp": in_seconds(60), "oc": grant }),
        json!({ "exp": in_seconds(60) as f64 + 0.5, "oc": grant }),
        json!({ "exp": in_seconds(60), "nbf": now() - 5, "oc": grant }),
        json!({ "exp": in_seconds(60), "nbf": now() as f64 - 5.5, "iss": "x", "aud": "y", "iat": 1, "oc": grant }),
    ];
    for claims in good {
        with_claims(&gateway, &signer, &claims).expect(200);
    }
    let bad = [
        (json!({ "exp": now() - 60, "oc": grant }), "token_expired"),
        (
            json!({ "exp": (now() - 60) as f64 + 0.25, "oc": grant }),
            "token_expired",
        ),
        (json!({ "exp": 0, "oc": grant }), "token_expired"),
        (
            json!({ "exp": in_seconds(60), "nbf": in_seconds(50), "oc": grant }),
            "token_not_yet_valid",
        ),
        (
            json!({ "exp": in_seconds(48 * 3600), "oc": grant }),
            "lifetime_too_long",
        ),
        (json!({ "exp": 1e300, "oc": grant }), "lifetime_too_long"),
        (json!({ "oc": grant }), "malformed_token"),
        (json!({ "exp": "soon", "oc": grant }), "malformed_token"),
        (json!({ "exp": null, "oc": grant }), "malformed_token"),
        (
            json!({ "exp": in_seconds(60), "nbf": "now", "oc": grant }),
            "malformed_token",
        ),
    ];
    for (claims, reason) in bad {
        refused(with_claims(&gateway, &signer, &claims), reason);
    }
}

#[test]
fn a_remembered_token_still_expires() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer).jwt("leeway", r#""0s""#));
    let token = signer.token(&json!({ "exp": in_seconds(3), "oc": { "e:lecture-1": ["read"] } }));
    gateway.get_with(PATH, &token).expect(200);
    gateway.get_with(PATH, &token).expect(200);
    assert!(gateway.metric(r#"janua_token_cache_total{result="hit"}"#).unwrap() >= 1.0);
    let last = crate::support::eventually("the token expires", || {
        let answer = gateway.get_with(PATH, &token);
        (answer.status != 200).then_some(answer)
    });
    refused(last, "token_expired");
}

#[test]
fn shapes_that_issuers_really_send() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let exp = in_seconds(60);
    let allowed = [
        json!({ "exp": exp, "oc": { "e:lecture-1": ["write", "read"] } }),
        json!({ "exp": exp, "oc": { "e:lecture-1": "read" } }),
        json!({ "exp": exp, "oc": { "s:some": ["read"], "p:list": ["read"], "x": 1, "e:lecture-1": ["read"] } }),
        json!({ "exp": exp, "roles": ["ROLE_ADMIN"] }),
        json!({ "exp": exp, "roles": "ROLE_ADMIN" }),
        json!({ "exp": exp, "oc-roles": ["ROLE_ADMIN"] }),
        json!({ "exp": exp, "oc-roles": ["other"], "roles": ["ROLE_ADMIN"] }),
        json!({ "exp": exp, "roles": ["ROLE_EPISODE_lecture-1_READ"] }),
        json!({ "exp": exp, "sub": "anna", "name": "Anna", "email": "a@b", "oc": { "e:lecture-1": ["read"] } }),
    ];
    for claims in allowed {
        assert_eq!(with_claims(&gateway, &signer, &claims).status, 200, "{claims}");
    }
    let forbidden = [
        json!({ "exp": exp }),
        json!({ "exp": exp, "oc": {} }),
        json!({ "exp": exp, "oc": { "e:lecture-1": ["write"] } }),
        json!({ "exp": exp, "oc": { "e:lecture-1": ["READ"] } }),
        json!({ "exp": exp, "oc": { "e:lecture-1": [] } }),
        json!({ "exp": exp, "oc": { "s:lecture-1": ["read"] } }),
        json!({ "exp": exp, "oc": { "p:lecture-1": ["read"] } }),
        json!({ "exp": exp, "oc": { "lecture-1": ["read"] } }),
        json!({ "exp": exp, "oc": { "e:lecture-10": ["read"], "e:lecture": ["read"], "e:Lecture-1": ["read"] } }),
        json!({ "exp": exp, "oc": { "e:*": ["*"], "e:lecture-*": ["read"], "e:{event}": ["read"] } }),
        json!({ "exp": exp, "roles": ["role_admin", "ROLE_ADMIN ", "ROLE_ADMINS", "*"] }),
        json!({ "exp": exp, "roles": ["ROLE_EPISODE_lecture-1_WRITE", "ROLE_EPISODE_lecture-10_READ"] }),
        json!({ "exp": exp, "role": ["ROLE_ADMIN"], "groups": ["ROLE_ADMIN"] }),
    ];
    for claims in forbidden {
        assert_eq!(with_claims(&gateway, &signer, &claims).status, 403, "{claims}");
    }
}

#[test]
fn a_403_says_that_another_token_might_do() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let told = gateway
        .get_with(PATH, &signer.read("lecture-2"))
        .refused(403, "event_not_granted");
    let challenge = told.header("www-authenticate").unwrap_or_default();
    assert!(
        challenge.is_empty() || challenge.contains("insufficient_scope"),
        "{challenge}"
    );
}

#[test]
fn malformed_tokens_are_refused() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let good = signer.read("lecture-1");
    let parts: Vec<&str> = good.split('.').collect();
    let header = r#"{"typ":"JWT","alg":"ES256"}"#;
    let claims = json!({ "exp": in_seconds(60), "oc": { "e:lecture-1": ["read"] } }).to_string();
    let exp = in_seconds(60);
    let deep = format!(r#"{{"exp":{exp},"a":{}{}}}"#, "[".repeat(4000), "]".repeat(4000));
    let wide = json!({ "exp": exp, "oc": { "e:lecture-1": ["read"] }, "x": "a".repeat(20 * 1024) });
    let tokens = [
        "nonsense".to_owned(),
        "a.b".to_owned(),
        "..".to_owned(),
        parts[..2].join("."),
        format!("{good}.x"),
        format!("{good}="),
        format!("{}.{}.{}", parts[0], parts[1], "*"),
        format!("{}.{}.{}", base64url("no json"), parts[1], parts[2]),
        signer.sign(header, "no json"),
        signer.sign(header, "[]"),
        signer.sign(header, r#""text""#),
        signer.sign(header, &deep),
        signer.token(&wide),
        signer.sign(
            header,
            &format!(r#"{{"exp":{exp},"exp":{exp},"oc":{{"e:lecture-1":["read"]}}}}"#),
        ),
        signer.sign(
            header,
            &format!(r#"{{"exp":{exp},"oc":{{}},"oc":{{"e:lecture-1":["read"]}}}}"#),
        ),
        signer.sign(
            header,
            &format!(r#"{{"exp":{exp},"oc":{{"e:lecture-1":[],"e:lecture-1":["read"]}}}}"#),
        ),
        signer.sign(r#"{"alg":"ES256","alg":"ES256"}"#, &claims),
        // RFC 7515 section 4.1.11: what is critical must be understood.
        signer.sign(r#"{"alg":"ES256","crit":["zzz"],"zzz":1}"#, &claims),
        signer.sign(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, &claims),
        signer.sign(r#"{"alg":"ES256","crit":[]}"#, &claims),
        signer.sign(r#"{"typ":"JWT"}"#, &claims),
        signer.sign(r#"{"alg":5}"#, &claims),
        signer.sign(header, &format!(r#"{{"exp":{exp},"roles":5}}"#)),
    ];
    for token in tokens {
        let short: String = token.chars().take(80).collect();
        let answer = gateway.send(Request::get(PATH).bearer(&token));
        assert_eq!(answer.status, 401, "{short}");
        assert_eq!(answer.reason(), "malformed_token", "{short}");
    }
}

#[test]
fn signatures_are_checked() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let good = signer.read("lecture-1");
    let (input, signature) = good.rsplit_once('.').unwrap();
    let claims = json!({ "exp": in_seconds(3600), "roles": ["ROLE_ADMIN"] }).to_string();
    let swapped = format!("{}.{}.{signature}", input.split('.').next().unwrap(), base64url(claims));
    let bad = [
        swapped,
        format!("{input}.{}", base64url([0; 64])),
        format!("{input}."),
        format!("{input}.{}", base64url([1; 63])),
        format!("{input}.{}", base64url([1; 65])),
        // The zero signature in DER (CVE-2022-21449).
        format!("{input}.MAYCAQACAQA"),
        Signer::new().read("lecture-1"),
    ];
    for token in bad {
        let answer = gateway.get_with(PATH, &token);
        assert_eq!(answer.status, 401, "{token}");
        let reason = answer.reason();
        assert!(
            ["bad_signature", "malformed_token"].contains(&reason.as_str()),
            "{token}: {reason}"
        );
    }
    gateway.get_with(PATH, &good).expect(200);
}

#[test]
fn algorithms_cannot_be_confused() {
    let signer = Signer::new();
    let gateway = gateway(&signer);
    let claims = json!({ "exp": in_seconds(60), "oc": { "e:lecture-1": ["read"] } });
    for alg in [
        "none", "None", "HS256", "HS512", "ES384", "ES256K", "RS256", "EdDSA", "es256", "",
    ] {
        let header = json!({ "typ": "JWT", "alg": alg }).to_string();
        let answer = gateway.get_with(PATH, &signer.sign(&header, &claims.to_string()));
        refused(answer, "algorithm_not_allowed");
    }
    let unsigned = format!("{}.{}.", base64url(r#"{"alg":"none"}"#), base64url(claims.to_string()));
    assert_eq!(gateway.get_with(PATH, &unsigned).status, 401);
    // A key that the token brings along is no key.
    let own = json!({ "alg": "ES256", "jwk": Signer::new().jwk(), "jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/" });
    let answer = gateway.get_with(PATH, &Signer::new().sign(&own.to_string(), &claims.to_string()));
    refused(answer, "bad_signature");
}

#[test]
fn symmetric_keys_in_a_set_are_no_keys() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let config = Config::media(&site, &signer);
    let symmetric = json!({ "kty": "oct", "k": base64url([7; 32]), "alg": "HS256", "use": "sig" });
    let for_encryption = {
        let mut jwk = Signer::new().jwk();
        jwk["use"] = json!("enc");
        jwk
    };
    site.write(
        "keys.json",
        json!({ "keys": [symmetric, { "kty": "odd" }, for_encryption, signer.jwk()] }).to_string(),
    );
    let gateway = site.start(&config);
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    let claims = json!({ "exp": in_seconds(60), "oc": { "e:lecture-1": ["read"] } }).to_string();
    refused(
        gateway.get_with(PATH, &signer.sign(r#"{"alg":"HS256"}"#, &claims)),
        "algorithm_not_allowed",
    );
}

#[test]
fn every_listed_algorithm_verifies() {
    let site = Site::with_lecture();
    let all = [
        Signer::new(),
        Signer::es384(),
        Signer::eddsa(),
        Signer::rs256(),
        Signer::ps256(),
    ];
    let config = Config::media(&site, &all[0]);
    site.write_keys("keys.json", &all.iter().collect::<Vec<_>>());
    let listed = config
        .clone()
        .jwt("algorithms", r#"["ES256", "ES384", "EdDSA", "RS256", "PS256"]"#);
    let gateway = site.start(&listed);
    for signer in &all {
        gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    }
    drop(gateway);
    let gateway = site.start(&config);
    gateway.get_with(PATH, &all[0].read("lecture-1")).expect(200);
    for signer in &all[1..] {
        refused(
            gateway.get_with(PATH, &signer.read("lecture-1")),
            "algorithm_not_allowed",
        );
    }
}

#[test]
fn a_kid_names_one_key() {
    let site = Site::with_lecture();
    let [a, b] = [Signer::new().named("a"), Signer::new().named("b")];
    let nameless = Signer::new();
    let config = Config::media(&site, &a);
    site.write_keys("keys.json", &[&a, &b, &nameless]);
    let gateway = site.start(&config);
    let claims = json!({ "exp": in_seconds(60), "oc": { "e:lecture-1": ["read"] } }).to_string();
    let signed = |signer: &Signer, header: &str| gateway.get_with(PATH, &signer.sign(header, &claims));
    signed(&a, r#"{"alg":"ES256","kid":"a"}"#).expect(200);
    // The name of another key means that one, and those without a name.
    refused(signed(&a, r#"{"alg":"ES256","kid":"b"}"#), "bad_signature");
    signed(&nameless, r#"{"alg":"ES256","kid":"a"}"#).expect(200);
    // An unknown name means the keys without one; no name means all.
    signed(&nameless, r#"{"alg":"ES256","kid":"unheard"}"#).expect(200);
    assert_eq!(signed(&b, r#"{"alg":"ES256","kid":"unheard"}"#).status, 401);
    for signer in [&a, &b, &nameless] {
        signed(signer, r#"{"alg":"ES256"}"#).expect(200);
    }
}

#[test]
fn an_unknown_key_is_told_from_a_bad_signature() {
    let site = Site::with_lecture();
    let known = Signer::new().named("a");
    let gateway = site.start(&Config::media(&site, &known));
    let stranger = Signer::new().named("b");
    refused(gateway.get_with(PATH, &stranger.read("lecture-1")), "unknown_key");
    let impostor = Signer::new().named("a");
    refused(gateway.get_with(PATH, &impostor.read("lecture-1")), "bad_signature");
}

#[test]
fn issuers_are_capped() {
    let site = Site::with_lecture();
    let [narrow, wide] = [Signer::new(), Signer::new()];
    site.write_keys("narrow.json", &[&narrow]);
    site.write_keys("wide.json", &[&wide]);
    let caps = r#"
        allow_roles = ["*_Learner", "ROLE_STUDIO"]
        allow_actions = ["annotate"]
        max_lifetime = "1h""#;
    let config = Config::new()
        .issuer("narrow", "narrow.json", caps)
        .issuer("wide", "wide.json", "")
        .section(crate::support::MEDIA)
        .section(
            r#"
            [[routes]]
            name = "learners"
            path = "/learners"
            respond = { status = 204 }
            allow = [{ role = "4_Learner" }]

            [[routes]]
            name = "annotators"
            path = "/annotate/{event}"
            respond = { status = 204 }
            allow = [{ grant = "annotate", event = "{event}" }]

            [[routes]]
            name = "only wide"
            path = "/wide"
            respond = { status = 204 }
            issuers = ["wide"]
            allow = [{ signed_in = true }]"#,
        );
    let gateway = site.start(&config);
    let exp = in_seconds(1800);
    let status = |signer: &Signer, path: &str, claims: Value| gateway.get_with(path, &signer.token(&claims)).status;

    assert_eq!(
        status(&narrow, "/learners", json!({ "exp": exp, "roles": ["4_Learner"] })),
        204
    );
    assert_eq!(
        status(&narrow, PATH, json!({ "exp": exp, "roles": ["ROLE_ADMIN"] })),
        403
    );
    assert_eq!(status(&wide, PATH, json!({ "exp": exp, "roles": ["ROLE_ADMIN"] })), 200);
    // Actions are capped alike in `oc` and in magic roles.
    let both = json!({ "exp": exp, "oc": { "e:lecture-1": ["read", "annotate"] } });
    assert_eq!(status(&narrow, PATH, both.clone()), 403);
    assert_eq!(status(&narrow, "/annotate/lecture-1", both), 204);
    let magic = json!({ "exp": exp, "roles": ["ROLE_EPISODE_lecture-1_READ", "ROLE_EPISODE_lecture-1_ANNOTATE"] });
    assert_eq!(status(&narrow, PATH, magic.clone()), 403);
    assert_eq!(status(&narrow, "/annotate/lecture-1", magic.clone()), 204);
    assert_eq!(status(&wide, PATH, magic), 200);
    refused(
        gateway.get_with(
            "/learners",
            &narrow.token(&json!({ "exp": in_seconds(7200), "roles": ["4_Learner"] })),
        ),
        "lifetime_too_long",
    );
    assert_eq!(status(&wide, "/wide", json!({ "exp": exp })), 204);
    refused(
        gateway.get_with("/wide", &narrow.token(&json!({ "exp": exp }))),
        "issuer_not_accepted",
    );
}

#[test]
fn a_key_in_two_sets_gets_the_narrower_caps() {
    let (site, shared) = (Site::with_lecture(), Signer::new());
    site.write_keys("one.json", &[&shared]);
    site.write_keys("two.json", &[&shared]);
    let config = Config::new()
        .issuer("one", "one.json", r#"allow_roles = ["*"]"#)
        .issuer("two", "two.json", r#"allow_roles = ["*_Learner"]"#)
        .section(crate::support::MEDIA);
    let gateway = site.start(&config);
    assert_eq!(gateway.get_with(PATH, &shared.roles(&["ROLE_ADMIN"])).status, 403);
    gateway.get_with(PATH, &shared.read("lecture-1")).expect(200);
}

const MEMBERS: &str = r#"
[[routes]]
name    = "members"
path    = "/members"
respond = { status = 204 }
allow   = [{ role = "A" }]
"#;

#[test]
fn a_token_without_kid_is_tried_with_the_keys_of_all_issuers() {
    let (site, signers) = (Site::new(), [(); 12].map(|()| Signer::new()));
    let mut config = Config::new().section(MEMBERS);
    for (number, signer) in signers.iter().enumerate() {
        let file = format!("{number}.json");
        site.write_keys(&file, &[signer]);
        config = config.issuer(&format!("lms{number}"), &file, "");
    }
    let gateway = site.start(&config);
    for signer in &signers {
        gateway.get_with("/members", &signer.roles(&["A"])).expect(204);
    }
    let stranger = Signer::new();
    refused(gateway.get_with("/members", &stranger.roles(&["A"])), "bad_signature");
}

#[test]
fn an_issuer_may_require_iss_aud_and_typ() {
    let (site, signer) = (Site::new(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let required = "iss = \"https://login.test\"\naud = [\"janua\", \"video\"]\ntyp = \"at+jwt\"";
    let gateway = site.start(&Config::new().issuer("login", "keys.json", required).section(MEMBERS));
    let with = |typ: &str, iss: &str, aud: Value| {
        let header = json!({ "alg": "ES256", "typ": typ });
        let claims = json!({ "exp": in_seconds(600), "roles": ["A"], "iss": iss, "aud": aud });
        gateway.get_with("/members", &signer.sign(&header.to_string(), &claims.to_string()))
    };
    with("at+jwt", "https://login.test", json!(["other", "video"])).expect(204);
    with("application/AT+JWT", "https://login.test", json!("janua")).expect(204);
    // Twice: the second time from memory.
    for _ in 0..2 {
        refused(with("JWT", "https://login.test", json!("janua")), "wrong_type");
        refused(with("at+jwt", "https://other.test", json!("janua")), "wrong_issuer");
        refused(with("at+jwt", "https://login.test", json!("other")), "wrong_audience");
    }
    refused(gateway.get_with("/members", &signer.roles(&["A"])), "wrong_type");
}

#[test]
fn bounds_are_settings_and_a_header_may_hold_the_token_alone() {
    let (site, signer) = (Site::new(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .jwt("max_roles", "300")
        .jwt("sources", r#"[{ header = "X-Token", scheme = "" }]"#)
        .issuer("lms", "keys.json", "")
        .section(MEMBERS);
    let gateway = site.start(&config);
    let with = |count: usize| {
        let mut roles: Vec<String> = (1..count).map(|number| format!("r{number}")).collect();
        roles.push("A".to_owned());
        let token = signer.token(&json!({ "exp": in_seconds(600), "roles": roles }));
        gateway.send(Request::get("/members").header("X-Token", &token))
    };
    with(300).expect(204);
    refused(with(301), "malformed_token");
}
