//! What others try with JWTs: tokens of another kind, for somebody else, or of nobody; by keys of their own.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, by_jwks, counts};
use crate::support::bearer::claims::{
    keycloak, keycloak_id_token, keycloak_refresh_token, keycloak_service_account, rfc9068,
};
use crate::support::oidc::hs256;
use crate::support::tokens::base64url;
use crate::support::{Request, in_seconds, now};

/// As an operator of Keycloak without an audience mapper writes it.
fn at_keycloak() -> Campus {
    Plan::by(By::Jwks)
        .bearer("clients = [\"app\", \"robot\"]\nusername = \"preferred_username\"")
        .lines("types = [\"at+jwt\", \"JWT\"]")
        .start()
}

fn jwt(campus: &Campus, claims: Value, over: &Value) -> String {
    campus.server.signed(&json!({ "typ": "JWT" }), claims, over)
}

#[test]
fn a_token_by_rfc_9068_counts() {
    let campus = by_jwks();
    let token = campus.access_token(&json!({ "groups": ["staff", "video"] }));
    counts(&campus, &token, true);
    let (name, roles) = campus.named(&token);
    assert_eq!(name.as_deref(), Some("anna"));
    assert_eq!(roles.as_deref(), Some("ROLE_GROUP_staff,ROLE_GROUP_video"));
    for over in [
        json!({ "aud": ["https://other.test", "https://janua.test"] }),
        // No binding at all (Apereo CAS says it in answers).
        json!({ "cnf": {} }),
        json!({ "exp": in_seconds(0) - 20 }),
        json!({ "nbf": in_seconds(20) }),
        json!({ "scope": null }),
        json!({ "jti": null }),
    ] {
        campus.get("/app/x", &campus.access_token(&over)).expect(200);
    }
    // Its whole media type (RFC 9068 section 2.1).
    let whole = json!({ "typ": "application/at+jwt" });
    let token = campus
        .server
        .signed(&whole, rfc9068(&campus.server.issuer()), &json!({}));
    campus.get("/app/x", &token).expect(200);
}

#[test]
fn a_token_for_somebody_else_or_for_another_time_is_refused() {
    let campus = by_jwks();
    let issuer = campus.server.issuer();
    let cases = [
        (json!({ "exp": in_seconds(0) - 300 }), "token_expired"),
        (json!({ "nbf": in_seconds(300) }), "token_not_yet_valid"),
        (json!({ "exp": null }), ""),
        (json!({ "exp": in_seconds(600).to_string() }), ""),
        (json!({ "exp": -1 }), ""),
        (json!({ "exp": 1e300 }), ""),
        (json!({ "exp": in_seconds(400 * 86_400) }), "lifetime_too_long"),
        (json!({ "nbf": "soon" }), ""),
        (json!({ "iss": "https://idp.evil.example" }), "wrong_issuer"),
        (json!({ "iss": format!("{issuer}/") }), "wrong_issuer"),
        (json!({ "iss": issuer.to_uppercase() }), "wrong_issuer"),
        (json!({ "iss": [issuer] }), ""),
        (json!({ "iss": null }), ""),
        (json!({ "aud": "https://other.test" }), "wrong_audience"),
        (json!({ "aud": ["https://other.test"] }), "wrong_audience"),
        (json!({ "aud": "https://janua.test/" }), "wrong_audience"),
        (json!({ "aud": "https://janua.test.evil.example" }), "wrong_audience"),
        (json!({ "aud": [] }), ""),
        (json!({ "aud": null }), ""),
        (json!({ "aud": { "https://janua.test": true } }), ""),
        (json!({ "aud": [["https://janua.test"]] }), ""),
    ];
    for (over, reason) in cases {
        let token = campus.access_token(&over);
        let told = campus.refuses(&token).reason();
        assert!(reason.is_empty() || told == reason, "{over}: {told}");
        // Nor does anybody else's rule hold for it.
        for path in ["/scoped/x", "/named/x", "/staff/x"] {
            campus.get(path, &token).expect(401);
        }
    }
}

#[test]
fn a_token_of_another_kind_is_refused() {
    let campus = by_jwks();
    let claims = || rfc9068(&campus.server.issuer());
    for typ in [
        json!("JWT"),
        json!("id+jwt"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!("token-introspection+jwt"),
        json!("secevent+jwt"),
        json!(null),
        json!(7),
        json!(["at+jwt"]),
        json!("at+jwt "),
        json!("x/at+jwt"),
    ] {
        let token = campus.server.signed(&json!({ "typ": typ }), claims(), &json!({}));
        campus.refuses(&token);
    }
    for over in [
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
        json!({ "nonce": "n" }),
        json!({ "at_hash": "WdD-NQAJwKh1L_9xiDSoIQ" }),
    ] {
        campus.refuses(&campus.access_token(&over));
    }
}

/// A client that steals one cannot use it here without the key, so neither may anybody else.
#[test]
fn a_token_that_is_bound_to_a_key_is_refused() {
    let campus = by_jwks();
    for cnf in [
        json!({ "jkt": "MVw5NatkA8IYNcCVW_4ZF9VzAMykcnoP_UZEQr3SC30" }),
        json!({ "x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" }),
        json!({ "kid": "k" }),
        json!({ "something-new": true }),
    ] {
        campus.refuses_as(&campus.access_token(&json!({ "cnf": cnf })), "sender_constrained");
    }
    // What nobody can read is no empty one.
    for cnf in [json!("jkt"), json!(["jkt"]), json!(1)] {
        campus.refuses(&campus.access_token(&json!({ "cnf": cnf })));
    }
}

#[test]
fn a_keycloak_says_jwt_of_all_its_tokens_and_one_kind_counts() {
    let campus = at_keycloak();
    let issuer = campus.server.issuer();
    // It writes its header with blanks.
    let access = jwt(&campus, keycloak(&issuer), &json!({}));
    counts(&campus, &access, true);
    assert_eq!(campus.named(&access).0.as_deref(), Some("anna"));
    campus.get("/scoped/x", &access).expect(403);

    let logout = json!({
        "iss": issuer, "aud": "app", "iat": now(), "exp": in_seconds(120), "jti": "x", "sub": "anna", "azp": "app",
        "preferred_username": "anna", "typ": "Logout",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    let others = [
        ("ID token", keycloak_id_token(&issuer), json!({})),
        // After a refresh.
        ("ID token", keycloak_id_token(&issuer), json!({ "nonce": null })),
        (
            "ID token",
            keycloak_id_token(&issuer),
            json!({ "nonce": null, "at_hash": null }),
        ),
        (
            "ID token",
            keycloak_id_token(&issuer),
            json!({ "nonce": null, "typ": null }),
        ),
        (
            "ID token",
            keycloak_id_token(&issuer),
            json!({ "at_hash": null, "typ": null }),
        ),
        ("refresh token", keycloak_refresh_token(&issuer), json!({})),
        (
            "offline token",
            keycloak_refresh_token(&issuer),
            json!({ "typ": "Offline", "exp": null }),
        ),
        (
            "offline token",
            keycloak_refresh_token(&issuer),
            json!({ "typ": "Offline" }),
        ),
        ("refresh token", keycloak_refresh_token(&issuer), json!({ "aud": null })),
        ("logout token", logout.clone(), json!({})),
        ("logout token", logout.clone(), json!({ "typ": null })),
        (
            "another kind",
            keycloak(&issuer),
            json!({ "typ": "RegistrationAccessToken" }),
        ),
        ("another kind", keycloak(&issuer), json!({ "typ": "UserInfo" })),
        ("another kind", keycloak(&issuer), json!({ "typ": "DPoP" })),
        ("another client's", keycloak(&issuer), json!({ "azp": "portal" })),
        ("nobody's", keycloak(&issuer), json!({ "azp": null })),
        // Only one of the two may count, and both must be the same.
        ("two clients'", keycloak(&issuer), json!({ "client_id": "portal" })),
        (
            "two clients'",
            keycloak(&issuer),
            json!({ "azp": "portal", "client_id": "app" }),
        ),
        (
            "a list of clients'",
            keycloak(&issuer),
            json!({ "azp": ["app", "portal"] }),
        ),
    ];
    for (name, claims, over) in others {
        let token = jwt(&campus, claims, &over);
        let status = campus.get("/app/x", &token).status;
        assert_eq!(status, 401, "{name} {over}");
        campus.refuses(&token);
    }
    let logout = campus
        .server
        .signed(&json!({ "typ": "logout+jwt" }), logout, &json!({}));
    campus.refuses(&logout);
    // As it signs them in fact: by a secret that nobody else has.
    let secret = json!({ "alg": "HS512", "typ": "JWT", "kid": "9ab7236d-f5f2-4464-bf9f-df5d577f8e5e" });
    campus.refuses(&hs256(
        b"a secret of the realm",
        &secret,
        &keycloak_refresh_token(&issuer),
    ));
}

#[test]
fn a_service_account_is_nobody() {
    let campus = at_keycloak();
    let issuer = campus.server.issuer();
    let mut robots = vec![jwt(&campus, keycloak_service_account(&issuer), &json!({}))];
    for over in [
        json!({ "sub": "robot", "preferred_username": null }),
        json!({ "sub": null, "preferred_username": null }),
        json!({ "sub": "robot", "azp": "robot", "client_id": null, "preferred_username": null }),
    ] {
        robots.push(jwt(&campus, keycloak_service_account(&issuer), &over));
    }
    for token in robots {
        campus.is_nobody(&token);
        campus.get("/robot/x", &token).expect(200);
        campus.get("/scoped/x", &token).expect(200);
        assert_eq!(campus.named(&token), (None, None));
    }
    // Nor may the claim that names people make somebody of a client's own account.
    let campus = by_jwks();
    let own = campus.access_token(&json!({ "sub": "robot", "client_id": "robot", "groups": ["staff"] }));
    campus.is_nobody(&own);
    campus.get("/robot/x", &own).expect(200);
}

#[test]
fn what_is_no_name_names_nobody() {
    let campus = by_jwks();
    for sub in [json!(null), json!(""), json!(["anna", "bob"]), json!({ "a": 1 })] {
        let token = campus.access_token(&json!({ "sub": sub, "groups": ["staff"] }));
        campus.is_nobody(&token);
    }
    // It would end one header and begin another, or hide in a log.
    for sub in [
        "an\r\nX-Person: root",
        "an\u{0}na",
        "an\u{202e}na\u{7f}",
        &"a".repeat(5000),
    ] {
        let token = campus.access_token(&json!({ "sub": sub }));
        let path = format!("/named/{}/", campus.zoo.requests().len());
        let answer = campus.get(&path, &token);
        if answer.status == 200 {
            let seen = campus.zoo.seen(&path);
            assert_eq!(seen.header("x-person"), None, "{sub:?}: {seen:?}");
        }
    }
    campus.get("/free", "x").expect(204);
}

#[test]
fn a_token_that_was_changed_is_refused() {
    let campus = by_jwks();
    let token = campus.access_token(&json!({}));
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!()
    };
    let mut root = rfc9068(&campus.server.issuer());
    root["sub"] = json!("root");
    let other = base64url(root.to_string());
    for changed in [
        format!("{header}.{other}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{signature}.{signature}.{signature}"),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 4]),
        format!("{header}.{payload}.{signature}AAAA"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}=.{payload}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        ".".to_owned(),
        "..".to_owned(),
        "eyJ".to_owned(),
        "a".repeat(20_000),
    ] {
        let status = campus.get("/app/x", &changed).status;
        assert_eq!(status, 401, "{changed}");
    }
    campus.get("/app/x", &token).expect(200);
}

/// What the header demands to be understood is not understood.
#[test]
fn a_token_with_demands_is_refused() {
    let campus = by_jwks();
    for header in [
        json!({ "typ": "at+jwt", "crit": ["exp"] }),
        json!({ "typ": "at+jwt", "crit": [], "b64": false }),
        json!({ "typ": "at+jwt", "crit": ["b64"], "b64": false }),
        json!({ "typ": "at+jwt", "zip": "DEF", "crit": ["zip"] }),
        json!({ "typ": "at+jwt", "alg": "RS512" }),
    ] {
        campus.refuses(
            &campus
                .server
                .signed(&header, rfc9068(&campus.server.issuer()), &json!({})),
        );
    }
}

/// A longer one is not looked at.
#[test]
fn a_token_of_any_length_is_answered() {
    let campus = by_jwks();
    let token = campus.access_token(&json!({ "padding": "x".repeat(17 << 10) }));
    campus.get("/app/x", &token).expect(401);
    let groups: Vec<String> = (0..400).map(|number| format!("group-{number}")).collect();
    let answer = campus.get("/app/x", &campus.access_token(&json!({ "groups": groups })));
    assert!([200, 401].contains(&answer.status), "{answer:?}");
    let scopes = vec!["s"; 4000].join(" ");
    let answer = campus.get("/app/x", &campus.access_token(&json!({ "scope": scopes })));
    assert!([200, 401].contains(&answer.status), "{answer:?}");
    campus.get("/app/x", &campus.access_token(&json!({}))).expect(200);
}

/// RFC 6750 section 2.1 alone: what stands in an address is in every log on the way.
#[test]
fn a_token_in_a_query_or_a_form_is_not_taken() {
    let campus = by_jwks();
    let token = campus.access_token(&json!({}));
    for name in ["access_token", "bearer", "token", "jwt", "authorization"] {
        let answer = campus.send(Request::get(&format!("/app/x?{name}={token}")));
        answer.expect(401);
    }
    let form = Request::new("POST", "/app/x")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("access_token={token}"));
    campus.send(form).expect(401);
    for (name, value) in [
        ("Authorization", format!("DPoP {token}")),
        ("Authorization", format!("Basic {token}")),
        ("Authorization", format!("Token {token}")),
        ("Authorization", token.clone()),
        ("Authorization", format!("Bearer{token}")),
        ("Proxy-Authorization", format!("Bearer {token}")),
        ("X-Authorization", format!("Bearer {token}")),
        ("X-Access-Token", token.clone()),
        (
            "Cookie",
            format!("access_token={token}; Authorization=Bearer {token}; janua={token}"),
        ),
    ] {
        let status = campus.send(Request::get("/app/x").header(name, &value)).status;
        assert_eq!(status, 401, "{name}: {value}");
    }
    // Letter case of the scheme does not count (RFC 9110 section 11.1).
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let header = format!("{scheme} {token}");
        campus
            .send(Request::get("/app/x").header("Authorization", &header))
            .expect(200);
    }
    assert!(
        campus
            .zoo
            .requests()
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
}

/// Which of two would count is nothing to guess at.
#[test]
fn of_two_headers_none_goes_upstream() {
    let campus = by_jwks();
    let (anna, bob) = (
        campus.access_token(&json!({})),
        campus.access_token(&json!({ "sub": "bob" })),
    );
    let both = |path: &str| {
        let request = Request::get(path).bearer(&anna).bearer(&bob);
        super::campus::quietly(&campus.gateway, request)
    };
    for path in ["/app/two/", "/open/two/", "/named/two/"] {
        let answer = both(path);
        if answer.status == 200 {
            let seen = campus.zoo.seen(path);
            assert_eq!(
                crate::support::http::values(&seen.headers, "authorization"),
                Vec::<&str>::new()
            );
            assert_ne!(seen.header("x-person"), Some("bob"), "the first one counts if any");
        }
    }
}

#[test]
fn an_accepted_token_goes_no_further() {
    let campus = by_jwks();
    let token = campus.access_token(&json!({ "client_id": "robot" }));
    for path in [
        "/app/strip/",
        "/open/strip/",
        "/named/strip/",
        "/robot/strip/",
        "/scoped/strip/",
    ] {
        campus.get(path, &token).expect(200);
        let seen = campus.zoo.seen(path);
        assert_eq!(seen.header("authorization"), None, "{path}");
        let told = format!("{seen:?}");
        assert!(!told.contains(token.rsplit('.').next().unwrap()), "{told}");
    }
    for (place, scheme) in ["Bearer\t", "bearer  ", "BEARER ", "  Bearer "].into_iter().enumerate() {
        for path in [format!("/open/spelled-{place}/"), format!("/named/spelled-{place}/")] {
            let request = Request::get(&path).header("Authorization", &format!("{scheme}{token}"));
            super::campus::quietly(&campus.gateway, request);
            let seen = campus.zoo.requests();
            let seen = seen.iter().filter(|seen| seen.target == path);
            assert!(
                seen.clone().all(|seen| seen.header("authorization").is_none()),
                "{scheme:?}"
            );
        }
    }
    // Where everybody may, one that does not count is not handed on either: it is somebody's all the same.
    for over in [
        json!({ "aud": "https://other.test" }),
        json!({ "exp": in_seconds(0) - 3600 }),
        json!({ "cnf": { "jkt": "x" } }),
    ] {
        let path = format!("/open/refused/{}/", campus.zoo.requests().len());
        let answer = campus.get(&path, &campus.access_token(&over));
        if answer.status == 200 {
            assert_eq!(campus.zoo.seen(&path).header("authorization"), None, "{over}");
        }
    }
}

/// It is read before anybody has looked at the signature.
#[test]
fn a_token_of_any_shape_is_answered() {
    let campus = by_jwks();
    let header = base64url(r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa"}"#);
    for claims in [
        format!("{{\"iss\":{}", "[".repeat(9000)),
        format!("{{\"iss\":{}{}}}", "[".repeat(5000), "]".repeat(5000)),
        format!("{{\"a\":{}1{}}}", "{\"a\":".repeat(1000), "}".repeat(1000)),
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        String::new(),
        "\u{feff}{}".to_owned(),
        "{\"exp\":1e400}".to_owned(),
        "{\"exp\":18446744073709551616,\"nbf\":-9223372036854775809}".to_owned(),
    ] {
        for signature in ["", "AAAA", "!", "====="] {
            let token = format!("{header}.{}.{signature}", base64url(&claims));
            let answer = super::campus::quietly(&campus.gateway, Request::get("/app/x").bearer(&token));
            assert_eq!(answer.status, 401, "{claims}");
        }
        // Signed, too.
        let token = campus
            .server
            .sign_text(r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa"}"#, &claims);
        campus.get("/app/x", &token).expect(401);
        let token = campus
            .server
            .sign_text(&claims, &rfc9068(&campus.server.issuer()).to_string());
        campus.get("/app/x", &token).expect(401);
    }
    campus.get("/app/x", &campus.access_token(&json!({}))).expect(200);
}

/// What is said twice is said otherwise to whoever reads the other one.
#[test]
fn a_claim_that_stands_twice_counts_for_nobody() {
    let campus = by_jwks();
    let claims = rfc9068(&campus.server.issuer()).to_string();
    let claims = claims.strip_prefix('{').unwrap();
    let header = r#"{"alg":"RS256","typ":"at+jwt","kid":"rsa"}"#;
    for first in [
        "\"aud\":\"https://other.test\"",
        "\"sub\":\"root\"",
        "\"client_id\":\"robot\"",
    ] {
        let token = campus.server.sign_text(header, &format!("{{{first},{claims}"));
        assert!(claims.contains(first.split(':').next().unwrap()));
        let answer = campus.get("/app/x", &token);
        assert_eq!(answer.status, 401, "{first}");
    }
}
