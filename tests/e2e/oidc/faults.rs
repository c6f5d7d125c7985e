//! The provider is gone: who is signed in goes on, who is not gets a page, and what was known is known afterwards.

use std::time::{Duration, Instant};

use serde_json::json;

use super::campus::{Campus, PAGE, Plan, by_double, doubled, leads_to, parameter, sign_in, start};
use crate::sign_in::campus::{restart, target};
use crate::support::cas::query;
use crate::support::oidc::Reply;
use crate::support::oidc::double::Endpoint;
use crate::support::{Config, OidcDouble, Request, eventually, secrets};

#[test]
fn without_the_provider_sessions_go_on_and_new_ones_wait() {
    let Some(mut campus) = start() else { return };
    let visitor = campus.visitor();
    sign_in(&visitor, &campus.provider.person("alice"), PAGE).expect(303);
    let late = campus.visitor();
    let callback = {
        let bob = campus.provider.person("bob");
        bob.sign_in(&leads_to(&late.open(PAGE)))
    };
    campus.provider.kill();
    for _ in 0..3 {
        visitor.fetch("/app/x").expect(200);
    }
    visitor.fetch("/staff/x").expect(200);
    assert_eq!(visitor.me()["user"], "a.liddell");
    campus.refuses(&late, &callback, "unreachable");
    // Signing out here needs nobody.
    visitor.post("/_janua/sign-out", "").expect(200);
    assert!(!visitor.is_signed_in());

    campus.provider.revive();
    let alice = campus.provider.person("alice");
    eventually("it is back, and so is she", || {
        let back = campus.visitor();
        let callback = alice.sign_in(&leads_to(&back.open(PAGE)));
        (back.open(target(&callback)).status == 303 && back.is_signed_in()).then_some(())
    });
}

#[test]
fn a_gateway_starts_without_the_provider_and_finds_it_later() {
    let double = OidcDouble::start();
    double.set_down(true);
    let campus = by_double(double, Plan::default());
    let page = campus.visitor().open(PAGE).expect(502);
    assert_eq!(page.header("location"), None);
    let kind = page.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "{kind}");
    let text = page.text();
    assert!(text.contains("not possible at the moment"), "{text}");
    // A script is told a reason.
    campus.visitor().fetch("/app/x").expect(401);
    campus.provider.set_down(false);
    eventually("the provider is found", || {
        (campus.visitor().open(PAGE).status == 303).then_some(())
    });
    campus.signs_in("alice");
}

#[test]
fn known_keys_and_endpoints_outlive_an_outage() {
    let campus = doubled();
    campus.signs_in("alice");
    for endpoint in [Endpoint::Keys, Endpoint::Discovery] {
        campus.provider.answer(endpoint, Reply::hang_up());
    }
    campus.signs_in("bob");
    for endpoint in [Endpoint::Keys, Endpoint::Discovery] {
        campus.provider.answer(endpoint, Reply::html(503));
    }
    campus.signs_in("alice");
}

#[test]
fn known_keys_and_endpoints_outlive_a_reload_in_an_outage() {
    let campus = doubled();
    campus.signs_in("alice");
    for endpoint in [Endpoint::Keys, Endpoint::Discovery] {
        campus.provider.answer(endpoint, Reply::html(503));
    }
    let reloads = || {
        let series = r#"janua_config_reloads_total{outcome="ok"}"#;
        campus.gateway.metric(series).unwrap_or_default()
    };
    let before = reloads();
    campus.gateway.signal("HUP");
    eventually("it is reloaded", || (reloads() > before).then_some(()));
    campus.signs_in("bob");
}

#[test]
fn sessions_and_their_logout_outlive_a_restart() {
    let mut campus = by_double(
        OidcDouble::start(),
        Plan {
            config: Config::new().set("state", "store", "\"embedded\""),
            ..Plan::default()
        },
    );
    let (alices, bobs) = (campus.signs_in("alice"), campus.signs_in("bob"));
    restart(&mut campus.gateway, &campus.config);
    assert!(alices.is_signed_in() && bobs.is_signed_in());
    let token = campus.provider.logout_token("alice", &json!({}));
    let told = Request::new("POST", &campus.endpoint("backchannel-logout"))
        .host(&campus.gateway.http().to_string())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(query(&[("logout_token", &token)]));
    campus.gateway.send(told).expect(200);
    assert!(!alices.is_signed_in() && bobs.is_signed_in());
    let to = leads_to(&bobs.post("/_janua/sign-out", "everywhere=1"));
    let hint = parameter(&to, "id_token_hint").expect("the ID token is kept as well");
    secrets::register_signature(&hint);
}

fn outcome_with(campus: &Campus<OidcDouble>, endpoint: Endpoint, reply: Reply, outcome: &str) {
    campus.provider.answer(endpoint, reply);
    campus.refuses_somebody(outcome);
    campus.provider.set_down(false);
}

#[test]
fn each_fault_has_its_word() {
    let campus = doubled();
    campus.signs_in("alice");
    // Somebody listens there, and says nothing.
    outcome_with(&campus, Endpoint::Token, Reply::hang_up(), "bad_answer");
    outcome_with(&campus, Endpoint::Token, Reply::never(), "timeout");
    outcome_with(&campus, Endpoint::Token, Reply::html(200), "bad_answer");
    outcome_with(
        &campus,
        Endpoint::Token,
        Reply::json(400, &json!({ "error": "invalid_grant" })),
        "invalid_code",
    );
    campus.signs_in("alice");
}

/// Who is signed in is not asked for again when the second tab's code cannot be judged.
#[test]
fn a_second_tab_goes_on_without_the_provider() {
    let campus = doubled();
    let visitor = campus.visitor();
    let first = campus.callback(&visitor, "alice", PAGE);
    let second = campus.callback(&visitor, "alice", "/app/second");
    visitor.open(target(&first)).expect(303);
    campus.provider.set_down(true);
    let on = visitor.open(target(&second)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/app/second", campus.origin())));
    assert!(visitor.is_signed_in());
}

/// Many who come at once to a provider that hangs do not wait for it one after another, and whoever is known does not wait.
#[test]
fn a_provider_that_hangs_is_waited_for_once() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    campus.provider.answer(Endpoint::Token, Reply::never());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let late = campus.visitor();
                let callback = campus.callback(&late, "bob", PAGE);
                let page = late.open(target(&callback));
                assert!([502, 503].contains(&page.status), "{page:?}");
            });
        }
        for _ in 0..10 {
            visitor.fetch("/app/x").expect(200);
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());

    let double = OidcDouble::start();
    double.answer(Endpoint::Discovery, Reply::never());
    let campus = by_double(double, Plan::default());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| campus.visitor().open(PAGE).expect(502));
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let asked = campus.provider.asked(Endpoint::Discovery).len();
    assert!(asked <= 2 * 8, "{asked} times");
}
