//! `event_acl` and `series_of`: what Opencast says about an event decides, and goes on deciding while Opencast is away.

use serde_json::json;

use super::watch::{cookie, with_cookie};
use crate::support::opencast::{Event, Fault};
use crate::support::tools::janua;
use crate::support::{Config, Gateway, Opencast, Request, Signer, Site, eventually, in_seconds};

const ROUTE: &str = r#"
[[routes]]
name  = "media"
path  = "/static/{org}/{channel}/{event}/{*file}"
files = "downloads"
strip = "/static"
allow = [
  { role = "ROLE_BOSS" },
  { grant = "read", event = "{event}" },
  { event_acl = "read", event = "{event}" },
  { grant = "read", series_of = "{event}" },
]
"#;

fn config(site: &Site, signer: &Signer, opencast: &Opencast, more: &str) -> Config {
    site.write_keys("keys.json", &[signer]);
    site.write("secrets/opencast", "letmein\n");
    for event in ["one", "two", "public", "none", "a b"] {
        site.write(&format!("downloads/org/player/{event}/a.mp4"), "lecture");
    }
    Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "")
        .section(&format!(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n{more}\n"
        ))
        .section(ROUTE)
}

fn start(signer: &Signer, opencast: &Opencast, more: &str) -> Gateway {
    let site = Site::new();
    let config = config(&site, signer, opencast, more);
    site.start(&config)
}

fn file(event: &str) -> String {
    format!("/static/org/player/{event}/a.mp4")
}

fn acl(event: &str) -> String {
    format!("/api/events/{event}/acl")
}

#[test]
fn the_events_own_list_decides() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    opencast.event("public", &["ROLE_ANONYMOUS"]);
    opencast.event("a b", &["4_Learner"]);
    let denying = [("4_Learner", true), ("ROLE_BARRED", false), ("4_Tutor", true)];
    let entries = denying.map(|(role, allow)| (role.to_owned(), "read".to_owned(), allow));
    let event = Event {
        acl: entries.to_vec(),
        ..Event::default()
    };
    opencast.site().events.insert("two".to_owned(), event);
    let gateway = start(&signer, &opencast, "");
    let with = |event: &str, roles: &[&str]| gateway.get_with(&file(event), &signer.roles(roles));
    with("one", &["4_Learner"]).expect(200);
    with("a%20b", &["4_Learner"]).expect(200);
    with("one", &["x", "4_learner", "44_Learner"]).refused(403, "event_not_granted");
    with("two", &["4_Learner"]).expect(200);
    with("two", &["4_Learner", "ROLE_BARRED"]).expect(403);
    with("none", &["4_Learner"]).expect(403);
    gateway.get(&file("public")).expect(200);
    with("public", &[]).expect(200);
    gateway.get(&file("one")).refused(401, "no_credentials");
    let seen = opencast
        .site()
        .requests
        .iter()
        .find(|seen| seen.target == acl("one"))
        .cloned()
        .unwrap();
    assert_eq!(seen.header("host"), Some("video.test"));
    assert_eq!(seen.header("x-forwarded-for"), None);
    assert_eq!(opencast.asked(&acl("a%20b")), 1);
}

#[test]
fn nobody_is_asked_without_need_and_nothing_twice() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    let gateway = start(&signer, &opencast, "");
    gateway
        .get_with(&file("one"), &signer.roles(&["ROLE_BOSS"]))
        .expect(200);
    gateway.get_with(&file("one"), &signer.read("one")).expect(200);
    assert_eq!(opencast.asked(&acl("one")), 0);
    for _ in 0..5 {
        gateway
            .get_with(&file("one"), &signer.roles(&["4_Learner"]))
            .expect(200);
        gateway
            .get_with(&file("one"), &signer.roles(&["5_Learner"]))
            .expect(403);
        gateway
            .get_with(&file("none"), &signer.roles(&["5_Learner"]))
            .expect(403);
    }
    assert_eq!((opencast.asked(&acl("one")), opencast.asked(&acl("none"))), (1, 1));
    assert_eq!(opencast.asked("/api/events/one"), 0, "no grant on a series is held");
    let misses = "janua_opencast_asks_total{opencast=\"main\",result=\"miss\"}";
    assert_eq!(gateway.metric(misses), Some(2.0));
}

#[test]
fn a_grant_on_a_series_opens_its_events_where_a_rule_says_so() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    for (event, series) in [("one", Some("maths")), ("two", Some("physics")), ("none", None)] {
        let event_of = Event {
            series: series.map(str::to_owned),
            ..Event::default()
        };
        opencast.site().events.insert(event.to_owned(), event_of);
    }
    let gateway = start(&signer, &opencast, "");
    let with = |event: &str, oc: serde_json::Value| {
        let token = signer.token(&json!({ "exp": in_seconds(60), "oc": oc }));
        gateway.get_with(&file(event), &token).status
    };
    assert_eq!(with("one", json!({ "s:maths": ["read"] })), 200);
    assert_eq!(with("two", json!({ "s:maths": ["read"] })), 403);
    assert_eq!(with("none", json!({ "s:maths": ["read"], "s:": ["read"] })), 403);
    assert_eq!(with("one", json!({ "s:maths": ["write"] })), 403);
    assert_eq!(with("one", json!({ "e:maths": ["read"], "p:maths": ["read"] })), 403);
}

#[test]
fn known_events_play_on_while_opencast_is_away_and_unknown_ones_fail_at_once() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    opencast.event("two", &["4_Learner"]);
    let gateway = start(&signer, &opencast, "acl_ttl = \"1s\"");
    let learner = signer.roles(&["4_Learner"]);
    gateway.get_with(&file("one"), &learner).expect(200);
    let stale = "janua_opencast_asks_total{opencast=\"main\",result=\"stale\"}";
    for fault in [Fault::Silence, Fault::Status(503)] {
        let before = gateway.metric(stale);
        opencast.fault(fault);
        // Its time runs out, and still it plays on.
        eventually("an old answer is used", || {
            gateway.get_with(&file("one"), &learner).expect(200);
            (gateway.metric(stale) > before).then_some(())
        });
        gateway
            .get_with(&file("one"), &signer.roles(&["5_Learner"]))
            .expect(403);
        gateway.get_with(&file("two"), &learner).refused(502, "acl_unavailable");
        // What needs no answer is not held up.
        gateway.get_with(&file("two"), &signer.read("two")).expect(200);
        gateway.get(&file("two")).refused(502, "acl_unavailable");
    }
    opencast.fault(Fault::None);
    eventually("it recovers by itself", || {
        (gateway.get_with(&file("two"), &learner).status == 200).then_some(())
    });
}

#[test]
fn an_answer_that_is_not_whole_decides_nothing() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner", "ROLE_MORE"]);
    let gateway = start(&signer, &opencast, "");
    let learner = signer.roles(&["4_Learner"]);
    let faults = [
        Fault::CutOff(60),
        Fault::Body(r#"[{"allow":true,"action":"read","role":"4_Learner"},{"role":"x"}]"#.to_owned()),
        Fault::Body("<html>please log in</html>".to_owned()),
        Fault::Status(302),
        Fault::Status(401),
        Fault::Status(403),
        Fault::Status(206),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        opencast.fault(fault.clone());
        // Another event each time: a failure is remembered for a moment.
        let event = format!("odd-{number}");
        opencast.event(&event, &["4_Learner"]);
        let refused = gateway.get_with(&file(&event), &learner);
        assert_eq!(
            (refused.status, refused.reason()),
            (502, "acl_unavailable".to_owned()),
            "{fault:?}"
        );
    }
    let said = gateway.said();
    assert!(!said.contains("letmein") && !said.contains("Basic "), "{said}");
}

#[test]
fn an_entry_that_is_taken_away_counts_when_the_time_is_over() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    let gateway = start(&signer, &opencast, "acl_ttl = \"1s\"");
    let learner = signer.roles(&["4_Learner"]);
    gateway.get_with(&file("one"), &learner).expect(200);
    opencast.event("one", &["ROLE_OTHER"]);
    eventually("the new list counts", || {
        (gateway.get_with(&file("one"), &learner).status == 403).then_some(())
    });
    opencast.site().events.remove("one");
    eventually("an event that is gone is nobody's", || {
        let status = gateway.get_with(&file("one"), &signer.roles(&["ROLE_OTHER"])).status;
        (status == 403).then_some(())
    });
}

/// A pass keeps that the rule held when the pass was earned; what the list says afterwards is for whoever comes with a
/// token. `janua revoke --event` ends it.
#[test]
fn a_pass_that_a_list_has_earned_outlives_the_entry_and_not_its_revocation() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    let site = Site::new();
    let config = config(&site, &signer, &opencast, "acl_ttl = \"1s\"");
    let text = config.text().replace(
        "strip = \"/static\"",
        "strip = \"/static\"\naccept = [\"jwt\", \"watch\"]\nwatch = { ttl = \"1h\" }",
    );
    let gateway = Gateway::start(&site, &text);
    let learner = signer.roles(&["4_Learner"]);
    let pass = cookie(&gateway.get_with(&file("one"), &learner).expect(200));
    opencast.event("one", &["ROLE_OTHER"]);
    eventually("the new list counts", || {
        (gateway.get_with(&file("one"), &learner).status == 403).then_some(())
    });
    let asked = opencast.asked(&acl("one"));
    with_cookie(&gateway, &file("one"), &pass).expect(200);
    with_cookie(&gateway, &file("two"), &pass).refused(403, "watch_pass_invalid");
    assert_eq!(opencast.asked(&acl("one")), asked, "a pass asks nobody");
    let file_name = gateway.site.path("gateway.toml");
    janua(["revoke", "--event", "one", "--config", file_name.to_str().unwrap()]).ok();
    with_cookie(&gateway, &file("one"), &pass).refused(403, "watch_pass_revoked");
}

#[test]
fn many_at_once_ask_once() {
    let (opencast, signer) = (Opencast::start(), Signer::new());
    opencast.event("one", &["4_Learner"]);
    let gateway = start(&signer, &opencast, "");
    let learner = signer.roles(&["4_Learner"]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| gateway.send(Request::get(&file("one")).bearer(&learner)).status))
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 20]);
    assert_eq!(opencast.asked(&acl("one")), 1);
}
