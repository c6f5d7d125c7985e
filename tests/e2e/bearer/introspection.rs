//! The server is asked about each token (RFC 7662): what it says counts, what it does not say does not, and what it cannot say
//! is nobody's fault but its own.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, by_introspection, counts, quietly};
use crate::support::bearer::Endpoint;
use crate::support::bearer::claims::{
    AUDIENCE, cas_answer, keycloak, keycloak_answer, keycloak_refresh_token, keycloak_service_account, panva_answer,
    rfc9068,
};
use crate::support::bearer::double::opaque;
use crate::support::double::Double;
use crate::support::http::values;
use crate::support::oidc::double::merge;
use crate::support::oidc::{CLIENT, CLIENT_SECRET, Reply};
use crate::support::{Request, eventually, in_seconds, now};

/// panva's answer with other members.
fn answer(campus: &Campus, over: &Value) -> Value {
    let mut answer = panva_answer(&campus.server.issuer());
    merge(&mut answer, over);
    answer
}

/// A new token of which the server says this.
fn token(campus: &Campus, over: &Value) -> String {
    campus.server.issue(answer(campus, over))
}

#[test]
fn what_each_server_says_of_a_good_token_counts() {
    let campus = Plan::by(By::Introspection).bearer("username = \"username\"").start();
    let issuer = campus.server.issuer();
    // Keycloak's tokens are JWTs, which are asked about like any other.
    let jwt = campus
        .server
        .signed(&json!({ "typ": "JWT" }), keycloak(&issuer), &json!({}));
    campus.server.know(&jwt, keycloak_answer(&issuer));
    counts(&campus, &jwt, true);
    assert_eq!(campus.named(&jwt).0.as_deref(), Some("anna"));
    assert_eq!(campus.server.asked(), 1);

    let campus = by_introspection();
    let cas = opaque();
    campus.server.know(&cas, cas_answer(&cas));
    counts(&campus, &cas, false);
    let panva = token(&campus, &json!({ "groups": ["staff"] }));
    counts(&campus, &panva, true);
    campus.get("/scoped/x", &panva).expect(200);
    campus.get("/robot/x", &panva).expect(403);
    for over in [
        json!({ "exp": null }),
        json!({ "iat": null, "sid": null, "iss": null }),
        json!({ "scope": ["openid", "moodle"] }),
        json!({ "aud": "https://anywhere.test" }),
        json!({ "cnf": {} }),
        json!({ "cnf": null }),
        json!({ "token_type": "bearer" }),
        json!({ "client_id": null, "azp": "app" }),
    ] {
        campus.get("/app/x", &token(&campus, &over)).expect(200);
    }
    campus
        .get("/scoped/x", &token(&campus, &json!({ "scope": ["moodle"] })))
        .expect(200);
}

#[test]
fn a_token_that_is_not_active_is_refused() {
    let campus = by_introspection();
    campus.refuses_as(&opaque(), "token_not_active");
    campus.refuses_as(&token(&campus, &json!({ "active": false })), "token_not_active");
    campus.refuses_as(
        &campus
            .server
            .issue(json!({ "active": false, "scope": "CAS", "cnf": {} })),
        "token_not_active",
    );
    // `active` is a boolean (RFC 7662 section 2.2), and nothing else is true.
    for active in [
        json!(null),
        json!("true"),
        json!(1),
        json!("yes"),
        json!([true]),
        json!({}),
    ] {
        let status = campus
            .get("/app/x", &token(&campus, &json!({ "active": active })))
            .status;
        assert!([401, 503].contains(&status), "{active}: {status}");
    }
}

#[test]
fn a_token_for_somebody_else_or_for_another_time_is_refused() {
    let campus = Plan::by(By::Introspection)
        .bearer(&format!("audience = [{AUDIENCE:?}]\nclients = [\"app\", \"robot\"]"))
        .lines(
            "issuer = \"{issuer}\""
                .replace("{issuer}", "https://idp.test/realms/campus")
                .as_str(),
        )
        .start();
    let good = json!({ "aud": AUDIENCE, "iss": "https://idp.test/realms/campus" });
    let with = |over: Value| {
        let mut whole = good.clone();
        for (name, value) in over.as_object().unwrap() {
            whole[name] = value.clone();
        }
        token(&campus, &whole)
    };
    campus.get("/app/x", &with(json!({}))).expect(200);
    campus.get("/app/x", &with(json!({ "iss": null }))).expect(200);
    for (over, reason) in [
        (json!({ "exp": in_seconds(0) - 300 }), "token_expired"),
        (json!({ "nbf": in_seconds(300) }), "token_not_yet_valid"),
        (json!({ "exp": "never" }), ""),
        (json!({ "exp": -5 }), ""),
        (json!({ "iss": "https://idp.evil.example" }), "wrong_issuer"),
        (json!({ "iss": ["https://idp.test/realms/campus"] }), ""),
        (json!({ "aud": "https://other.test" }), "wrong_audience"),
        (json!({ "aud": null }), "wrong_audience"),
        (json!({ "aud": [] }), ""),
        (json!({ "client_id": "portal" }), ""),
        (json!({ "client_id": null }), ""),
        (json!({ "client_id": ["app"], "azp": "portal" }), ""),
        (json!({ "client_id": "portal", "azp": "app" }), ""),
        (json!({ "client_id": "" }), ""),
        (
            json!({ "cnf": { "jkt": "MVw5NatkA8IYNcCVW_4ZF9VzAMykcnoP_UZEQr3SC30" } }),
            "sender_constrained",
        ),
        (
            json!({ "cnf": { "x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" } }),
            "sender_constrained",
        ),
        (json!({ "cnf": "jkt" }), ""),
        (json!({ "token_type": "DPoP" }), ""),
    ] {
        let told = campus.refuses(&with(over.clone())).reason();
        assert!(reason.is_empty() || told == reason, "{over}: {told}");
    }
}

/// Any client of a server may ask about any of its tokens, so any site's token would do.
#[test]
fn another_sites_token_is_refused() {
    let campus = by_introspection();
    let issuer = campus.server.issuer();
    let mut keycloaks = keycloak_answer(&issuer);
    merge(&mut keycloaks, &json!({ "client_id": "portal", "azp": "portal" }));
    campus.refuses(&campus.server.issue(keycloaks));
    let cas = opaque();
    let mut of_cas = cas_answer(&cas);
    of_cas["client_id"] = json!("portal");
    campus.server.know(&cas, of_cas);
    campus.refuses(&cas);
}

/// All of these are active: the server says of any token of its own that it is.
#[test]
fn tokens_of_another_kind_are_refused() {
    let campus = by_introspection();
    let issuer = campus.server.issuer();
    let refresh = |over: Value| {
        let mut told = keycloak_refresh_token(&issuer);
        merge(
            &mut told,
            &json!({ "active": true, "client_id": "app", "username": "anna" }),
        );
        merge(&mut told, &over);
        told
    };
    let cas = "RT-15-YK7t-8OZRnDNhXJ140alJTB55RO6Hus5-vm";
    let mut of_cas = cas_answer(cas);
    merge(&mut of_cas, &json!({ "grant_type": null }));
    campus.server.know(cas, of_cas);
    campus.refuses(cas);
    let answers = [
        ("Keycloak's refresh token", refresh(json!({}))),
        ("Keycloak's refresh token", refresh(json!({ "token_type": "Refresh" }))),
        ("Keycloak's offline token", refresh(json!({ "typ": "Offline" }))),
        ("panva's refresh token", answer(&campus, &json!({ "token_type": null }))),
        (
            "a refresh token",
            answer(&campus, &json!({ "token_type": "refresh_token" })),
        ),
        (
            "a refresh token",
            answer(&campus, &json!({ "token_use": "refresh_token" })),
        ),
        ("an ID token", answer(&campus, &json!({ "typ": "ID" }))),
        (
            "a logout token",
            answer(
                &campus,
                &json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
            ),
        ),
    ];
    for (name, told) in answers {
        let token = campus.server.issue(told.clone());
        let status = campus.get("/app/x", &token).status;
        assert_eq!(status, 401, "{name}: {told}");
    }
}

#[test]
fn a_client_by_itself_is_nobody_and_still_a_client() {
    let campus = Plan::by(By::Introspection).bearer("username = \"username\"").start();
    let issuer = campus.server.issuer();
    let service = |over: Value| {
        let mut told = keycloak_service_account(&issuer);
        merge(
            &mut told,
            &json!({ "active": true, "token_type": "Bearer", "username": "service-account-robot" }),
        );
        merge(&mut told, &over);
        campus.server.issue(told)
    };
    let cas = json!({ "grant_type": "client_credentials", "username": "robot", "sub": "robot" });
    let robots = [
        service(json!({})),
        service(json!({ "sub": "robot", "username": "robot" })),
        service(json!({ "sub": null, "username": null, "preferred_username": null })),
        service(cas),
    ];
    for token in robots {
        campus.is_nobody(&token);
        campus.get("/robot/x", &token).expect(200);
        campus.get("/scoped/x", &token).expect(200);
        assert_eq!(campus.named(&token), (None, None));
    }
}

/// What is no form is no question: the token could name parameters of its own.
#[test]
fn the_question_is_the_token_and_nothing_else() {
    for (auth, in_form) in [("basic", false), ("post", true)] {
        let campus = Plan::by(By::Introspection)
            .lines(&format!("client_auth = {auth:?}"))
            .start();
        for odd in ["known+with/all.~_-chars", "a+b", "/+/"] {
            let token = format!("{odd}.{}==", opaque());
            campus.server.know(&token, answer(&campus, &json!({})));
            campus.get("/app/x", &token).expect(200);
            assert_eq!(campus.server.asked_about(&token), 1, "{odd}");
        }
        let good = token(&campus, &json!({}));
        let questions = campus.server.questions(Endpoint::Introspection);
        for question in &questions {
            assert!(!question.target.contains('?'), "{}", question.target);
            let of = |wanted: &str| {
                let values = question.form.iter().filter(|(name, _)| name == wanted);
                values.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
            };
            assert_eq!(of("token").len(), 1);
            assert_eq!(of("client_secret"), if in_form { vec![CLIENT_SECRET] } else { vec![] });
            assert_eq!(of("client_id"), if in_form { vec![CLIENT] } else { vec![] });
            assert_eq!(values(&question.headers, "authorization").len(), usize::from(!in_form));
            assert_eq!(of("token_type_hint"), vec!["access_token"], "no refresh token is meant");
        }
        // Outside of what a token may be made of (RFC 6750 section 2.1).
        for odd in [
            format!("{good}&client_id=evil"),
            format!("x&token={good}"),
            format!("{good} {good}"),
            format!("{good},{good}"),
            format!("\"{good}\""),
            format!("{good}\u{e4}"),
            format!("{good}%00"),
            format!("a%26client_id%3Devil%26token%3D{good}"),
            format!("=={good}"),
            format!("{good}=x"),
            String::new(),
            " ".to_owned(),
        ] {
            let status = campus.get("/app/x", &odd).status;
            assert!([400, 401].contains(&status), "{odd}: {status}");
        }
        campus.get("/app/x", &good).expect(200);
    }
}

fn is_away(campus: &Campus, token: &str) {
    let told = campus.get("/app/x", token).refused(503, "token_server_unavailable");
    let after: u64 = told.header("retry-after").expect("when to come back").parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(told.header("www-authenticate"), None, "another token would not help");
}

/// Neither a person nor a token can do anything about it; it is not remembered, and nobody's budget pays for it.
#[test]
fn what_the_server_cannot_say_is_no_refusal() {
    let campus = Plan::by(By::Introspection).bearer("bad_tokens = \"2/m\"").start();
    let known = token(&campus, &json!({}));
    campus.get("/app/x", &known).expect(200);
    let long = json!({ "active": true, "sub": "anna", "client_id": "app", "padding": "x".repeat(10 << 20) });
    let faults = [
        (
            "a wrong secret",
            Reply::json(401, &json!({ "error": "invalid_client" })),
        ),
        (
            "a client that may not",
            Reply::json(403, &json!({ "error": "access_denied" })),
        ),
        (
            "a client that is none",
            Reply::json(400, &json!({ "error": "invalid_client" })),
        ),
        ("it fails", Reply::json(500, &json!({ "error": "server_error" }))),
        ("it is full", Reply::html(503)),
        ("not there", Reply::html(404)),
        ("a page", Reply::html(200)),
        (
            "a page that says it is JSON",
            Reply::new(200, "application/json", "<!DOCTYPE html>"),
        ),
        (
            "JSON that ends early",
            Reply::new(200, "application/json", "{\"active\":true,\"sub\":\"an"),
        ),
        (
            "too deep",
            Reply::new(200, "application/json", format!("{{\"active\":{}", "[".repeat(200_000))),
        ),
        (
            "both",
            Reply::new(
                200,
                "application/json",
                "{\"active\":false,\"active\":true,\"sub\":\"anna\",\"client_id\":\"app\"}",
            ),
        ),
        ("no object", Reply::new(200, "application/json", "[true]")),
        ("nothing", Reply::new(200, "application/json", "")),
        ("10 MiB", Reply::json(200, &long)),
        ("64 MiB", Reply::huge()),
        ("half of it", Reply::halfway()),
        ("hangs up", Reply::hang_up()),
        (
            "a signed answer",
            Reply::new(
                200,
                "application/token-introspection+jwt",
                "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
            ),
        ),
        ("too many", Reply::json(429, &json!({ "error": "slow_down" }))),
    ];
    for (name, fault) in faults {
        let fresh = token(&campus, &json!({}));
        campus.server.answer(Endpoint::Introspection, fault);
        eprintln!("{name}");
        is_away(&campus, &fresh);
        campus.get("/app/x", &known).expect(200);
        campus.get("/free", &fresh).expect(204);
        campus.server.recover();
        eventually(&format!("after: {name}"), || {
            (campus.get("/app/x", &fresh).status == 200).then_some(())
        });
    }
    assert!(
        campus.gateway.memory("VmHWM") < 400 << 20,
        "{}",
        campus.gateway.memory("VmHWM")
    );
}

#[test]
fn the_log_tells_the_operator_of_a_wrong_secret() {
    let campus = by_introspection();
    let site = crate::support::Site::new();
    site.write("secrets/bearer", "not the secret\n");
    let other = site.start(&campus.config);
    let fresh = token(&campus, &json!({}));
    let answer = quietly(&other, Request::get("/app/x").bearer(&fresh));
    answer.refused(503, "token_server_unavailable");
    other.logged(&["WARN", "campus", "client_id"]);
}

/// It would be shown the secret and the token.
#[test]
fn nobody_is_followed_elsewhere() {
    let elsewhere = Double::start(|mut wire| drop(wire.head()));
    let to = format!("http://{}/introspect", elsewhere.address);
    let redirecting = Double::start(move |mut wire| {
        while let Ok((_, headers)) = wire.head() {
            if wire.body(&headers, false).is_err() {
                return;
            }
            let answer = format!("HTTP/1.1 307 Elsewhere\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            if std::io::Write::write_all(&mut wire.stream, answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    let mut plan = Plan::by(By::Introspection);
    plan.endpoint = Some(format!("http://{}/introspect", redirecting.address));
    let campus = plan.start();
    is_away(&campus, &opaque());
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn an_answer_holds_for_a_while_and_no_longer() {
    let campus = Plan::by(By::Introspection).lines("cache = \"1s\"").start();
    let good = token(&campus, &json!({}));
    for _ in 0..5 {
        campus.get("/quiet", &good).expect(204);
    }
    assert!(campus.server.asked() <= 3, "{}", campus.server.asked());
    campus.server.revoke(&good);
    eventually("it was revoked", || {
        (campus.get("/quiet", &good).status == 401).then_some(())
    });
    campus.refuses_as(&good, "token_not_active");
}

/// What a connection remembers ends with what the gateway knows.
#[test]
fn a_connection_knows_a_token_for_no_longer() {
    let campus = Plan::by(By::Introspection).lines("cache = \"1s\"").start();
    let good = token(&campus, &json!({}));
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    let mut again = || {
        kept.exchange_raw(Request::get("/quiet").bearer(&good).bytes())
            .unwrap()
            .status
    };
    for _ in 0..4 {
        assert_eq!(again(), 204);
    }
    campus.server.revoke(&good);
    eventually("it was revoked", || (again() == 401).then_some(()));
    campus.refuses_as(&good, "token_not_active");
}

/// Some want to know of a revocation at once.
#[test]
fn without_a_memory_each_request_is_a_question() {
    let campus = Plan::by(By::Introspection).lines("cache = \"0s\"").start();
    let good = token(&campus, &json!({}));
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    let mut again = || {
        kept.exchange_raw(Request::get("/quiet").bearer(&good).bytes())
            .unwrap()
            .status
    };
    for _ in 0..5 {
        assert_eq!(again(), 204);
    }
    assert_eq!(campus.server.asked(), 5);
    campus.server.revoke(&good);
    assert_eq!(again(), 401);
}

/// One connection of a back end's is many people's.
#[test]
fn a_connection_mixes_nobody_up() {
    let campus = by_introspection();
    let people = ["anna", "bob", "carol", "dora"];
    let tokens = people.map(|name| token(&campus, &json!({ "sub": name })));
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    for round in [0, 1, 1, 2, 0, 0, 0, 3, 1, 0, 3, 3, 2, 2, 1] {
        let path = format!("/named/{}/", campus.zoo.requests().len());
        let answer = kept
            .exchange_raw(Request::get(&path).bearer(&tokens[round]).bytes())
            .unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(campus.zoo.seen(&path).header("x-person"), Some(people[round]));
        let nobody = kept.exchange_raw(Request::get("/named/nobody").bytes()).unwrap();
        assert_eq!(nobody.status, 401);
    }
    assert_eq!(campus.server.asked(), 4);
}

/// A token that counts by one section is nothing to another one, though the server be the same.
#[test]
fn what_one_section_knows_is_nothing_to_another() {
    let server = crate::support::AuthServer::start();
    let more = format!(
        "[bearer.portal]\nclients = [\"portal\"]\n[bearer.portal.introspection]\nendpoint = {:?}\nclient_id = {CLIENT:?}\n\
         client_secret_file = \"secrets/bearer\"\n\
         [[routes]]\nname = \"one\"\npath = \"/one\"\nrespond = {{ status = 204 }}\naccept = [\"bearer\"]\nbearer = \"campus\"\n\
         allow = [{{ signed_in = true }}]\n\
         [[routes]]\nname = \"two\"\npath = \"/two\"\nrespond = {{ status = 204 }}\naccept = [\"bearer\"]\nbearer = \"portal\"\n\
         allow = [{{ signed_in = true }}]\n",
        server.url(Endpoint::Introspection)
    );
    let campus = Plan::by(By::Introspection).more(&more).with(server);
    let [app, portal] = ["app", "portal"].map(|client| token(&campus, &json!({ "client_id": client })));
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    for _ in 0..3 {
        for (path, token, status) in [
            ("/one", &app, 204),
            ("/two", &app, 401),
            ("/two", &portal, 204),
            ("/one", &portal, 401),
        ] {
            let answer = kept.exchange_raw(Request::get(path).bearer(token).bytes()).unwrap();
            assert_eq!(answer.status, status, "{path}");
        }
    }
}

/// As servers behind a web server send it; and what unpacks to far more.
#[test]
fn a_compressed_answer_is_read_within_bounds() {
    let campus = by_introspection();
    let packed = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packer, text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let kind = "application/json\r\nContent-Encoding: gzip";
    let bomb = format!(
        "{{\"active\":true,\"sub\":\"anna\",\"client_id\":\"app\",\"x\":\"{}\"}}",
        "x".repeat(64 << 20)
    );
    campus
        .server
        .answer(Endpoint::Introspection, Reply::new(200, kind, packed(&bomb)));
    is_away(&campus, &opaque());
    let good = answer(&campus, &json!({})).to_string();
    campus
        .server
        .answer(Endpoint::Introspection, Reply::new(200, kind, packed(&good)));
    let status = campus.get("/app/x", &opaque()).status;
    assert!([200, 503].contains(&status), "{status}");
    assert!(
        campus.gateway.memory("VmHWM") < 400 << 20,
        "{}",
        campus.gateway.memory("VmHWM")
    );
}

#[test]
fn an_answer_holds_for_long_where_it_may() {
    let campus = Plan::by(By::Introspection).lines("cache = \"1h\"").start();
    let good = token(&campus, &json!({}));
    for path in ["/quiet", "/app/x", "/open/x", "/named/x", "/quiet"] {
        assert!(campus.get(path, &good).status < 300);
    }
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    for _ in 0..20 {
        let answer = kept.exchange_raw(Request::get("/quiet").bearer(&good).bytes()).unwrap();
        assert_eq!(answer.status, 204);
    }
    campus.server.go_down();
    campus.get("/quiet", &good).expect(204);
    assert_eq!(campus.server.asked(), 1);
}

/// Never beyond the token's own end, on a connection that was there before either.
#[test]
fn no_answer_holds_beyond_the_tokens_end() {
    let campus = Plan::by(By::Introspection)
        .lines("cache = \"1h\"\nserve_stale = \"24h\"")
        .start();
    let short = token(&campus, &json!({ "exp": now() + 3 }));
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    let mut again = || {
        kept.exchange_raw(Request::get("/quiet").bearer(&short).bytes())
            .unwrap()
            .status
    };
    assert_eq!(again(), 204);
    campus.server.go_down();
    eventually("it has ended", || (again() != 204).then_some(()));
    let status = campus.get("/quiet", &short).status;
    assert!([401, 503].contains(&status), "{status}");
}

/// A token may be looked at before its server knows of it: replicas of its own lag behind.
#[test]
fn a_token_that_was_unknown_is_asked_about_again() {
    let campus = by_introspection();
    let late = opaque();
    for _ in 0..5 {
        campus.get("/quiet", &late).expect(401);
    }
    assert!(
        campus.server.asked() <= 2,
        "{} questions at once",
        campus.server.asked()
    );
    campus.server.know(&late, answer(&campus, &json!({})));
    eventually("it is known by now", || {
        (campus.get("/quiet", &late).status == 204).then_some(())
    });
}

#[test]
fn a_known_token_goes_on_without_the_server_for_so_long() {
    let campus = Plan::by(By::Introspection)
        .lines("cache = \"1s\"\nserve_stale = \"1h\"")
        .start();
    let good = token(&campus, &json!({}));
    campus.get("/quiet", &good).expect(204);
    let asked = campus.server.asked();
    for fault in [
        Reply::hang_up(),
        Reply::html(503),
        Reply::html(200),
        Reply::json(401, &json!({ "error": "invalid_client" })),
    ] {
        campus.server.answer(Endpoint::Introspection, fault);
        let before = campus.server.asked();
        eventually("it is asked in vain", || {
            campus.get("/quiet", &good).expect(204);
            (campus.server.asked() > before).then_some(())
        });
        campus.get("/quiet", &good).expect(204);
    }
    assert!(campus.server.asked() > asked);
    // Others are not let in by that.
    campus.get("/quiet", &token(&campus, &json!({}))).expect(503);
    // A word of the server's ends it.
    campus.server.revoke(&good);
    campus.server.recover();
    eventually("it was revoked", || {
        (campus.get("/quiet", &good).status == 401).then_some(())
    });
    campus.server.go_down();
    let status = campus.get("/quiet", &good).status;
    assert!(
        [401, 503].contains(&status),
        "{status}: what was revoked does not come back"
    );
}

#[test]
fn without_serve_stale_nothing_goes_on() {
    let campus = Plan::by(By::Introspection).lines("cache = \"1s\"").start();
    let good = token(&campus, &json!({}));
    campus.get("/quiet", &good).expect(204);
    campus.server.go_down();
    eventually("its answer has ended", || {
        (campus.get("/quiet", &good).status == 503).then_some(())
    });
}

/// A server that goes away and comes back asks nobody to wait for a restart.
#[test]
fn a_reload_keeps_what_is_known_while_the_section_is_the_same() {
    let campus = Plan::by(By::Introspection).lines("cache = \"1h\"").start();
    let good = token(&campus, &json!({}));
    let mut kept = crate::support::Connection::open(campus.gateway.http());
    let mut again = || {
        kept.exchange_raw(Request::get("/quiet").bearer(&good).bytes())
            .unwrap()
            .status
    };
    for _ in 0..3 {
        assert_eq!(again(), 204);
    }
    campus.reload(&campus.config, "/second");
    assert_eq!(again(), 204);
    campus.get("/quiet", &good).expect(204);
    assert_eq!(campus.server.asked(), 1);
    // With another section nothing that was said before counts.
    let site = campus.gateway.site.clone();
    let other = campus
        .config
        .text()
        .replace("clients = [\"app\", \"robot\"]", "clients = [\"portal\"]");
    assert_ne!(other, campus.config.text());
    site.write("gateway.toml", other);
    campus.gateway.signal("HUP");
    eventually("the other section counts", || {
        (campus.get("/quiet", &good).status == 401).then_some(())
    });
    assert_eq!(again(), 401, "on a connection that has known it");
}

/// The same for a secret that was changed in its file: the one of now is shown.
#[test]
fn a_secret_is_read_anew_with_the_configuration() {
    let campus = by_introspection();
    let site = campus.gateway.site.clone();
    site.write("secrets/bearer", "not the secret\n");
    campus.reload(&campus.config, "/wrong");
    eventually("the other secret is shown", || {
        (campus.get("/quiet", &token(&campus, &json!({}))).status == 503).then_some(())
    });
    site.write("secrets/bearer", format!("{CLIENT_SECRET}\n"));
    campus.reload(&campus.config, "/right");
    eventually("the right one is", || {
        (campus.get("/quiet", &token(&campus, &json!({}))).status == 204).then_some(())
    });
}

/// A person is somebody of this server, whatever a JWT says of itself: only the answer counts.
#[test]
fn what_a_jwt_says_of_itself_does_not_count() {
    let campus = by_introspection();
    let evil = crate::support::Signer::rs256().named("rsa");
    let mut claims = rfc9068(&campus.server.issuer());
    claims["sub"] = json!("root");
    claims["groups"] = json!(["staff"]);
    let made_up = evil.sign(
        &json!({ "alg": "RS256", "typ": "at+jwt", "kid": "rsa" }).to_string(),
        &claims.to_string(),
    );
    campus.refuses_as(&made_up, "token_not_active");
    campus.server.know(&made_up, answer(&campus, &json!({ "sub": "bob" })));
    eventually("it is asked about again", || {
        (campus.get("/quiet", &made_up).status == 204).then_some(())
    });
    assert_eq!(campus.named(&made_up), (Some("bob".to_owned()), None));
}

/// The section is the same, and so is the question.
#[test]
fn a_reload_takes_no_answer_from_who_waits() {
    let campus = by_introspection();
    let good = token(&campus, &json!({}));
    let hold = campus.server.hold_for(std::time::Duration::from_secs(3), |_| true);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| quietly(&campus.gateway, Request::get("/quiet").bearer(&good)).status);
        campus.server.is_asked(1);
        campus.reload(&campus.config, "/second");
        let second = scope.spawn(|| quietly(&campus.gateway, Request::get("/quiet").bearer(&good)).status);
        hold.let_go();
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (204, 204));
    });
    assert_eq!(campus.server.asked(), 1);
}
