//! How long a session lives, and what outlives the process.

use super::campus::{Campus, PAGE, Plan, restart};
use crate::support::{Config, eventually};

fn with_session(limits: &str) -> Option<Campus> {
    Campus::planned(Plan {
        sign_in: format!("session = {{ {limits} }}"),
        ..Plan::default()
    })
}

#[test]
fn a_session_ends_when_it_is_not_used() {
    let Some(campus) = with_session("idle = \"1s\"") else {
        return;
    };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let begun = visitor.session();
    assert!(visitor.is_signed_in());
    eventually("it has ended", || (!visitor.is_signed_in()).then_some(()));
    assert_eq!(visitor.session(), begun, "the browser still has the cookie");
    visitor.open(PAGE).expect(303);
}

#[test]
fn a_session_ends_whatever_happens() {
    let Some(campus) = with_session("idle = \"1h\", absolute = \"3s\"") else {
        return;
    };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    eventually("it has ended", || (!visitor.is_signed_in()).then_some(()));
    assert_eq!(visitor.me()["signed_in"], false);
}

#[test]
fn a_person_has_so_many_sessions_and_the_oldest_one_goes() {
    let Some(campus) = with_session("per_subject = 2") else {
        return;
    };
    let alice = campus.cas.person("alice");
    let bobs = campus.visitor();
    bobs.sign_in(&campus.cas.person("bob"), PAGE).expect(303);
    let visitors: Vec<_> = (0..3).map(|_| campus.visitor()).collect();
    for visitor in &visitors {
        visitor.sign_in(&alice, PAGE).expect(303);
        assert!(visitor.is_signed_in());
    }
    let live: Vec<bool> = visitors.iter().map(|visitor| visitor.is_signed_in()).collect();
    assert_eq!(live, [false, true, true]);
    assert!(bobs.is_signed_in());
}

#[test]
fn a_file_keeps_sessions_over_a_restart_and_memory_does_not() {
    for (store, outlives) in [("embedded", true), ("memory", false)] {
        let config = Config::new().set("state", "store", &format!("{store:?}"));
        let Some(mut campus) = Campus::planned(Plan {
            config,
            ..Plan::default()
        }) else {
            return;
        };
        let alice = campus.cas.person("alice");
        let visitor = campus.visitor();
        visitor.sign_in(&alice, PAGE).expect(303);
        assert!(visitor.is_signed_in());
        let gone = campus.visitor();
        gone.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
        let kept = gone.session().unwrap();
        gone.post("/_janua/sign-out", "").expect(200);

        restart(&mut campus.gateway, &campus.config);
        assert_eq!(visitor.is_signed_in(), outlives, "{store}");
        assert!(!campus.visitor_with(&kept).is_signed_in(), "what has ended stays so");
        // Logouts are known there as well.
        alice.sign_out();
        eventually("it has ended", || (!visitor.is_signed_in()).then_some(()));
    }
}

#[test]
fn a_browser_has_so_many_sign_ins_under_way() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    for number in 0..30 {
        visitor.open(&format!("/app/tab?n={number}")).expect(303);
    }
    let held = visitor.cookies.lock().unwrap().len();
    assert!(held <= 12, "{held} cookies");
    // The newest is good.
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    assert!(visitor.is_signed_in());
}
