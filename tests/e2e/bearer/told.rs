//! What operators are told: in the log, of refusals, by metrics, by `janua explain` and by `janua check`. Never a token:
//! everything that a gateway or a command writes is searched for them.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, by_introspection, by_jwks, quietly};
use crate::check_machine::{check, told};
use crate::support::bearer::Endpoint;
use crate::support::bearer::claims::panva_answer;
use crate::support::bearer::double::opaque;
use crate::support::oidc::Reply;
use crate::support::tools::{Ran, janua};
use crate::support::{Config, Request, eventually};

fn explain(campus: &Campus, path: &str, token: &str, more: &[&str]) -> Ran {
    let config = campus.gateway.site.path("gateway.toml");
    let url = format!("http://video.test{path}");
    let header = format!("Authorization: Bearer {token}");
    let always = [
        "explain",
        "--config",
        config.to_str().unwrap(),
        "GET",
        &url,
        "--header",
        &header,
    ];
    janua(always.iter().chain(more))
}

fn explained(campus: &Campus, path: &str, token: &str) -> Value {
    let ran = explain(campus, path, token, &["--live", "--json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// At the most talkative level, whatever comes.
#[test]
fn a_token_is_written_nowhere() {
    for (by, server) in [(By::Introspection, true), (By::Jwks, false)] {
        let plan = Plan::by(by);
        let config = plan.config.clone().set("log", "level", "\"trace\"");
        let campus = Plan { config, ..plan }.start();
        let good = match server {
            true => campus.server.issue(panva_answer(&campus.server.issuer())),
            false => campus.access_token(&json!({})),
        };
        for path in ["/app/x", "/staff/x", "/open/x", "/robot/x", "/nowhere", "/free"] {
            campus.get(path, &good);
            campus.get(path, &opaque());
        }
        campus.server.answer(Endpoint::Introspection, Reply::html(500));
        campus.get("/app/x", &opaque());
        campus.server.answer(Endpoint::Introspection, Reply::never());
        campus.get("/app/x", &opaque());
        campus.server.recover();
        // A server that repeats the token in its error, and one that says it in a name.
        let echoed = opaque();
        let error = json!({ "error": "server_error", "error_description": format!("no {echoed} here") });
        campus.server.answer(Endpoint::Introspection, Reply::json(500, &error));
        campus.get("/app/x", &echoed);
        campus.server.answer(Endpoint::Introspection, Reply::json(400, &error));
        campus.get("/app/x", &echoed);
        campus.server.recover();
        campus.gateway.admin("/denials").expect(200);
        campus.gateway.admin("/denials.json").expect(200);
        campus.gateway.admin("/").expect(200);
        for path in ["/app/x", "/staff/x"] {
            for token in [&good, &echoed] {
                explain(&campus, path, token, &["--live"]);
                explain(&campus, path, token, &["--live", "--json"]);
            }
        }
    }
}

#[test]
fn the_access_log_names_the_person() {
    let campus = by_introspection();
    let mut answer = panva_answer(&campus.server.issuer());
    answer["sub"] = json!("anna.of.the.log");
    campus.get("/app/of-the-log", &campus.server.issue(answer)).expect(200);
    campus.gateway.logged(&["/app/of-the-log", "anna.of.the.log", "campus"]);
}

#[test]
fn a_refusal_says_who_held_what() {
    let campus = by_introspection();
    let token = campus.server.issue(panva_answer(&campus.server.issuer()));
    campus.get("/staff/denied", &token).expect(403);
    let denial = eventually("it is told", || {
        let told = campus.gateway.admin("/denials.json").expect(200).json();
        told["denials"].as_array().unwrap().first().cloned()
    });
    assert_eq!(denial["subject"], "anna", "{denial}");
    assert_eq!(denial["issuer"], "campus", "{denial}");
    assert_eq!(denial["path"], "/staff/denied", "{denial}");
}

#[test]
fn an_explanation_names_client_and_scopes() {
    let campus = by_jwks();
    let token = campus.access_token(&json!({ "scope": "moodle video", "client_id": "robot" }));
    let report = explained(&campus, "/robot/x", &token);
    assert_eq!(report["outcome"], "allow", "{report}");
    let text = report.to_string();
    for part in ["robot", "moodle", "video", "anna", "campus"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = explain(&campus, "/robot/x", &token, &["--live"]).stdout;
    for part in ["robot", "moodle", "anna"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let report = explained(
        &campus,
        "/scoped/x",
        &campus.access_token(&json!({ "scope": "openid" })),
    );
    assert_eq!(
        (&report["outcome"], &report["reason"]),
        (&json!("deny"), &json!("missing_scope")),
        "{report}"
    );
}

/// The gateway's own memory is looked at; the server is not asked.
#[test]
fn an_explanation_asks_no_server() {
    let campus = by_introspection();
    let token = campus.server.issue(panva_answer(&campus.server.issuer()));
    let before = explained(&campus, "/app/x", &token);
    assert_eq!(campus.server.asked(), 0);
    assert_ne!(before["outcome"], "allow", "nobody can know that: {before}");
    campus.get("/app/x", &token).expect(200);
    let after = explained(&campus, "/app/x", &token);
    assert_eq!(after["outcome"], "allow", "{after}");
    assert_eq!(campus.server.asked(), 1);
    // Nobody is charged for it.
    for _ in 0..30 {
        explained(&campus, "/app/x", &opaque());
    }
    assert_eq!(campus.server.asked(), 1);
    campus
        .get("/app/x", &campus.server.issue(panva_answer(&campus.server.issuer())))
        .expect(200);
}

/// Each of these requests is explained before and after it.
#[test]
fn an_explanation_knows_that_nothing_is_left() {
    for by in [By::Jwks, By::Introspection] {
        let campus = Plan::by(by).bearer("bad_tokens = \"2/m\"").start();
        let bad = || match by {
            By::Jwks => campus.access_token(&json!({ "aud": "https://other.test", "jti": opaque() })),
            _ => opaque(),
        };
        eventually("nothing is left", || {
            (campus.get("/app/x", &bad()).status == 429).then_some(())
        });
        let report = explained(&campus, "/app/x", &bad());
        assert_eq!(
            (&report["status"], &report["reason"]),
            (&json!(429), &json!("rate_limited")),
            "{report}"
        );
        explain(&campus, "/app/x", &bad(), &["--live"]);
    }
}

/// There is no gateway to ask for what it knows.
#[test]
fn an_explanation_without_a_gateway_says_what_it_does_not_know() {
    let campus = by_introspection();
    let token = campus.server.issue(panva_answer(&campus.server.issuer()));
    let ran = explain(&campus, "/app/x", &token, &[]);
    assert!(!ran.stdout.is_empty(), "{ran:?}");
    assert_eq!(campus.server.asked(), 0);
}

#[test]
fn metrics_count_verdicts_and_questions() {
    let campus = by_introspection();
    let good = campus.server.issue(panva_answer(&campus.server.issuer()));
    for _ in 0..3 {
        campus.get("/app/x", &good).expect(200);
    }
    campus.refuses(&opaque());
    campus.server.go_down();
    campus.get("/app/x", &opaque()).expect(503);
    let metrics = campus.gateway.admin("/metrics").text();
    let of_bearers: Vec<&str> = metrics
        .lines()
        .filter(|line| line.contains("bearer") && line.contains("campus") && !line.starts_with('#'))
        .collect();
    assert!(!of_bearers.is_empty(), "nothing is counted");
    let is_counted = of_bearers.iter().any(|line| !line.ends_with(" 0"));
    assert!(is_counted, "{of_bearers:?}");
    let reason = "janua_rejections_total";
    assert!(metrics.contains("token_server_unavailable"), "{reason}");
}

/// A counter for each name that somebody makes up would have no end.
#[test]
fn nobody_makes_up_names_of_metrics() {
    let campus = by_jwks();
    for number in 0..30 {
        let over = json!({
            "client_id": format!("made-up-client-{number}"), "scope": format!("made-up-scope-{number}"),
            "sub": format!("made-up-person-{number}"), "jti": format!("made-up-{number}"),
        });
        campus.get("/app/x", &campus.access_token(&over)).expect(200);
        campus.get("/scoped/x", &campus.access_token(&over)).expect(403);
    }
    let metrics = campus.gateway.admin("/metrics").text();
    assert!(!metrics.contains("made-up"), "{metrics}");
}

fn text(config: &Config) -> String {
    config.text()
}

#[test]
fn check_asks_by_a_made_up_token() {
    let campus = by_introspection();
    let site = campus.gateway.site.clone();
    let config = text(&campus.config);
    let ran = check(&site, &config, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("bearer campus"), "{ran:?}");
    let asked = campus.server.questions(Endpoint::Introspection);
    assert_eq!(asked.len(), 1, "{asked:?}");
    site.write("secrets/wrong", "not the secret\n");
    let ran = check(&site, &config.replace("secrets/bearer", "secrets/wrong"), &[]);
    told(&ran, 1, "BAD  bearer campus", &["invalid_client", "client_id"]);
    for (fault, part) in [
        (Reply::html(200), ""),
        (Reply::html(404), "404"),
        (Reply::hang_up(), ""),
        // Whoever is told that made-up tokens are good believes anybody.
        (Reply::json(200, &panva_answer("x")), ""),
    ] {
        campus.server.answer(Endpoint::Introspection, fault);
        told(&check(&site, &config, &[]), 1, "BAD  bearer campus", &[part]);
    }
}

#[test]
fn check_fetches_keys_and_shows_a_profile_nothing() {
    let campus = by_jwks();
    let site = campus.gateway.site.clone();
    let config = text(&campus.config);
    let ran = check(&site, &config, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    campus.server.answer(Endpoint::Keys, Reply::html(503));
    told(&check(&site, &config, &[]), 1, "BAD  bearer campus", &["503"]);
    campus.server.recover();
    campus
        .server
        .discovery(json!({ "issuer": "https://elsewhere.example" }));
    told(
        &check(&site, &config, &[]),
        1,
        "BAD  bearer campus",
        &["https://elsewhere.example"],
    );

    let campus = super::campus::by_profile();
    let site = campus.gateway.site.clone();
    let config = text(&campus.config);
    let ran = check(&site, &config, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("bearer campus"), "{ran:?}");
    for fault in [
        Reply::json(200, &json!({ "id": "anna", "client_id": "app" })),
        Reply::html(200),
        Reply::html(404),
    ] {
        campus.server.answer(Endpoint::Profile, fault);
        told(&check(&site, &config, &[]), 1, "BAD  bearer campus", &[]);
    }
}

/// The gateway itself is asked beside each of these requests.
#[test]
fn what_is_explained_is_what_is_done() {
    let campus = by_introspection();
    let token = campus.server.issue(panva_answer(&campus.server.issuer()));
    quietly(&campus.gateway, Request::get("/app/x").bearer(&token)).expect(200);
    for path in [
        "/app/x",
        "/staff/x",
        "/scoped/x",
        "/robot/x",
        "/open/x",
        "/named/x",
        "/quiet",
        "/free",
    ] {
        campus.gateway.get_with(path, &token);
    }
    for request in [
        Request::get("/app/x"),
        Request::get("/app/x").bearer(""),
        Request::get("/app/x").header("Authorization", "Basic YTpi"),
        Request::new("POST", "/quiet").bearer(&token).body(""),
    ] {
        campus.gateway.send(request);
    }
}
