//! Servers that are asked: how often, on whose behalf, and what counts while they are away.

use std::time::SystemTime;

use futures_util::future::join_all;

use super::*;

fn secret() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "s").unwrap();
    (folder, path)
}

fn asking(server: &Server, cache: Duration, serve_stale: Duration) -> (tempfile::TempDir, Bearers) {
    let (folder, path) = secret();
    let bearers = only(&bearer(introspection(&server.url, &path, cache, serve_stale)));
    (folder, bearers)
}

const CACHE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn many_who_bring_one_token_are_one_question_and_then_none() {
    let server = Server::start(|request| {
        assert!(request.starts_with("POST /asked"), "{request}");
        assert!(
            request.contains("authorization: Basic amFudWE6cw==") && request.contains("token=AT-1"),
            "{request}"
        );
        (200, active(&json!({})))
    })
    .await;
    let (_folder, bearers) = asking(&server, CACHE, Duration::ZERO);
    let all =
        join_all((0..5000).map(|number| bearers.judge("AT-1", None, if number % 2 == 0 { CLIENT } else { OTHER })));
    for outcome in all.await {
        assert_eq!(person(outcome).name(), Some("anna"));
    }
    assert_eq!(server.asked(), 1);
    let recent = Recent::default();
    for _ in 0..3 {
        let outcome = bearers.remembered("AT-1", None, &recent, SystemTime::now()).unwrap();
        assert_eq!(person(outcome).roles, ["ROLE_staff", "ROLE_USER"]);
    }
    assert!(recent.knows_bearer("AT-1") && !recent.knows_bearer("AT-2"));
    let later = SystemTime::now() + CACHE;
    assert!(
        bearers.remembered("AT-1", None, &recent, later).is_none(),
        "it is asked about again"
    );
    assert!(
        bearers
            .remembered("AT-1", Some(&[1]), &recent, SystemTime::now())
            .is_none(),
        "of another route"
    );
}

#[tokio::test]
async fn what_counts_nowhere_is_refused_for_a_moment_and_costs_its_address() {
    let server = Server::start(|_| (200, json!({ "active": false }).to_string())).await;
    let (_folder, bearers) = asking(&server, CACHE, Duration::ZERO);
    for _ in 0..10 {
        assert_eq!(
            refused(bearers.judge("AT-1", None, CLIENT).await),
            Reason::TokenNotActive
        );
    }
    assert_eq!(server.asked(), 1);
    for number in 0..30 {
        bearers.judge(&format!("junk-{number}"), None, CLIENT).await;
    }
    assert_eq!(refused(bearers.judge("junk", None, CLIENT).await), Reason::RateLimited);
    assert_eq!(server.asked(), 20, "so many as its budget has");
    let explained = |payer| {
        let bearers = &bearers;
        async move {
            bearers
                .look("junk", None, SystemTime::now(), payer)
                .await
                .verdict
                .unwrap_err()
                .reason
        }
    };
    assert_eq!(explained(Some(CLIENT)).await, Reason::RateLimited);
    assert_eq!(explained(None).await, Reason::TokenServerUnavailable);
    assert_eq!(
        refused(bearers.judge("junk", None, OTHER).await),
        Reason::TokenNotActive
    );
}

/// Behind one address there may be many people.
#[tokio::test]
async fn a_token_that_was_good_is_no_junk() {
    let server = Server::start(|request| match request.contains("AT-1") {
        true => (200, active(&json!({}))),
        false => (200, json!({ "active": false }).to_string()),
    })
    .await;
    let (_folder, bearers) = asking(&server, Duration::ZERO, Duration::ZERO);
    person(bearers.judge("AT-1", None, CLIENT).await);
    let all = join_all((0..60).map(|number| {
        let bearers = &bearers;
        async move { bearers.judge(&format!("junk-{number}"), None, CLIENT).await }
    }));
    let all = all.await;
    assert!(
        server.asked() <= 1 + 20 + 16,
        "what comes at once costs, too: {}",
        server.asked()
    );
    assert!(all.into_iter().any(|outcome| refused(outcome) == Reason::RateLimited));
    let asked = server.asked();
    person(bearers.judge("AT-1", None, CLIENT).await);
    assert_eq!(server.asked(), asked + 1, "asked about anew");
    assert_eq!(refused(bearers.judge("AT-2", None, CLIENT).await), Reason::RateLimited);
}

#[tokio::test]
async fn a_server_that_fails_costs_nobody_anything() {
    let server = Server::start(|request| match request.contains("AT-1") {
        true => (200, active(&json!({}))),
        false => (500, String::new()),
    })
    .await;
    let (_folder, bearers) = asking(&server, CACHE, Duration::ZERO);
    for number in 0..40 {
        let outcome = bearers.judge(&format!("new-{number}"), None, CLIENT).await;
        assert_eq!(refused(outcome), Reason::TokenServerUnavailable);
    }
    person(bearers.judge("AT-1", None, CLIENT).await);
}

#[tokio::test]
async fn an_answer_for_others_counts_nowhere() {
    let server = Server::start(|request| {
        let more = match request {
            request if request.contains("AT-aud") => json!({ "aud": "https://other.test" }),
            request if request.contains("AT-cnf") => json!({ "cnf": { "jkt": "x" } }),
            request if request.contains("AT-old") => json!({ "exp": 1 }),
            _ => json!({ "typ": "Refresh" }),
        };
        (200, active(&more))
    })
    .await;
    let (_folder, bearers) = asking(&server, CACHE, Duration::ZERO);
    for (token, reason) in [
        ("AT-aud", Reason::WrongAudience),
        ("AT-cnf", Reason::SenderConstrained),
        ("AT-old", Reason::TokenExpired),
        ("AT-refresh", Reason::WrongType),
    ] {
        assert_eq!(refused(bearers.judge(token, None, CLIENT).await), reason, "{token}");
    }
    assert_eq!(
        refused(bearers.judge(&"x".repeat(20_000), None, CLIENT).await),
        Reason::MalformedToken
    );
    assert_eq!(server.asked(), 4, "a longer one is not asked about");
}

#[tokio::test]
async fn while_the_server_is_away_nothing_new_counts_and_old_answers_as_long_as_they_may() {
    let is_away = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let away = Arc::clone(&is_away);
    let server = Server::start(move |_| match away.load(Ordering::SeqCst) {
        true => (500, String::new()),
        false => (200, active(&json!({}))),
    })
    .await;
    for (serve_stale, outcome) in [
        (Duration::ZERO, Some(Reason::TokenServerUnavailable)),
        (Duration::from_secs(600), None),
    ] {
        is_away.store(false, Ordering::SeqCst);
        let (_folder, bearers) = asking(&server, Duration::ZERO, serve_stale);
        person(bearers.judge("AT-1", None, CLIENT).await);
        is_away.store(true, Ordering::SeqCst);
        match (bearers.judge("AT-1", None, CLIENT).await, outcome) {
            (Outcome::Refused(refusal), Some(reason)) => assert_eq!(refusal.reason, reason),
            (Outcome::Person(who), None) => assert_eq!(who.name(), Some("anna")),
            other => panic!("{other:?}"),
        }
        assert_eq!(
            refused(bearers.judge("AT-2", None, CLIENT).await),
            Reason::TokenServerUnavailable
        );
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_left_alone_for_a_moment() {
    let port = janua_demo::Reserved::new(0).unwrap();
    let url = format!("http://{}/introspect", port.address()).parse().unwrap();
    let (_folder, path) = secret();
    let bearers = only(&bearer(introspection(&url, &path, CACHE, Duration::ZERO)));
    for number in 0..50 {
        let outcome = bearers.judge(&format!("AT-{number}"), None, CLIENT).await;
        assert_eq!(
            refused(outcome),
            Reason::TokenServerUnavailable,
            "and costs nobody anything"
        );
    }
}

#[tokio::test]
async fn who_explains_asks_no_server() {
    let server = Server::start(|_| (200, active(&json!({})))).await;
    let (_folder, bearers) = asking(&server, CACHE, Duration::ZERO);
    let look = || bearers.look("AT-1", None, SystemTime::now(), None);
    let looked = look().await.verdict;
    assert_eq!(looked.unwrap_err().reason, Reason::TokenServerUnavailable);
    assert_eq!(server.asked(), 0);
    person(bearers.judge("AT-1", None, CLIENT).await);
    let looked = look().await;
    assert_eq!(looked.bearer.as_deref(), Some("campus"));
    assert_eq!(looked.verdict.unwrap().identity.name(), Some("anna"));
}

#[tokio::test]
async fn a_profile_must_name_the_client() {
    let server = Server::start(|request| {
        assert!(request.starts_with("GET /asked"), "{request}");
        match request {
            request if request.contains("Bearer AT-portal") => (
                200,
                json!({ "id": "anna", "attributes": { "client_id": "portal" } }).to_string(),
            ),
            request if request.contains("Bearer AT-other") => {
                (200, json!({ "id": "anna", "client_id": "other" }).to_string())
            }
            request if request.contains("Bearer AT-old") => (200, json!({ "id": "anna" }).to_string()),
            _ => (401, json!({ "error": "expired_accessToken" }).to_string()),
        }
    })
    .await;
    let config = Bearer {
        username: "id".to_owned(),
        audience: Vec::new(),
        clients: vec!["portal".to_owned()],
        ..bearer(profile(&server.url))
    };
    let bearers = only(&config);
    assert_eq!(
        person(bearers.judge("AT-portal", None, CLIENT).await).name(),
        Some("anna")
    );
    for (token, reason) in [
        ("AT-other", Reason::WrongAudience),
        ("AT-old", Reason::WrongAudience),
        ("AT-none", Reason::TokenNotActive),
    ] {
        assert_eq!(refused(bearers.judge(token, None, CLIENT).await), reason, "{token}");
    }
}

#[tokio::test]
async fn a_bearer_stays_the_same_while_its_files_do() {
    let server = Server::start(|_| (200, active(&json!({})))).await;
    let (_folder, path) = secret();
    let config = bearer(introspection(&server.url, &path, CACHE, Duration::ZERO));
    let bearers = only(&config);
    assert!(bearers.same(&config).is_some());
    let other = Bearer {
        username: "id".to_owned(),
        ..config.clone()
    };
    assert!(bearers.same(&other).is_none());
    std::fs::write(&path, "another").unwrap();
    assert!(bearers.same(&config).is_none());
}

/// Two servers that are asked, and no token tells of which it is.
#[tokio::test]
async fn the_server_that_knew_a_token_is_asked_first_and_no_other_charges_for_it() {
    let inactive = || (200, json!({ "active": false }).to_string());
    let first = Server::start(move |_| inactive()).await;
    let second = Server::start(move |request| match request.contains("AT-") {
        true => (200, active(&json!({}))),
        false => inactive(),
    })
    .await;
    let (_folder, path) = secret();
    let section = |server: &Server| {
        let config = bearer(introspection(&server.url, &path, Duration::ZERO, Duration::ZERO));
        Arc::new(Section::new(&config, Metrics::new().bearer("x")).unwrap())
    };
    let bearers = Bearers::new(vec![section(&first), section(&second)], 16 << 10);
    for _ in 0..2 {
        for number in 0..40 {
            person(bearers.judge(&format!("AT-{number}"), None, CLIENT).await);
        }
    }
    assert_eq!((first.asked(), second.asked()), (40, 80));
    assert!(bearers.budgets(None, CLIENT).all(|(.., is_spent)| !is_spent));
    for number in 0..30 {
        bearers.judge(&format!("junk-{number}"), None, CLIENT).await;
    }
    assert!(bearers.budgets(None, CLIENT).all(|(.., is_spent)| is_spent));
    assert!(bearers.knew("AT-1", None, SystemTime::now()) && !bearers.knew("junk-1", None, SystemTime::now()));
}

/// RFC 7662 says `active: false` of these; not every server does.
#[tokio::test]
async fn a_server_that_calls_a_token_invalid_has_answered() {
    let server = Server::start(|_| (400, json!({ "error": "invalid_request" }).to_string())).await;
    let (_folder, bearers) = asking(&server, CACHE, Duration::ZERO);
    for number in 0..20 {
        let outcome = bearers.judge(&format!("junk-{number}"), None, CLIENT).await;
        assert_eq!(refused(outcome), Reason::TokenNotActive);
    }
    assert_eq!(refused(bearers.judge("junk", None, CLIENT).await), Reason::RateLimited);
    let (_folder, path) = secret();
    let config = bearer(introspection(&server.url, &path, CACHE, Duration::ZERO));
    let section = Section::new(&config, Metrics::new().bearer("x")).unwrap();
    assert!(section.check().await.is_err(), "a made-up token must be inactive");
}
