//! What others try: to be somebody by a ticket, a cookie or a request that is not theirs, or to lead somebody away.

use super::campus::{Campus, GUESTS, PAGE, Plan, sign_in_to, target};
use crate::support::Request;
use crate::support::cas::query;

#[test]
fn a_return_address_elsewhere_is_refused() {
    let Some(campus) = Campus::start() else { return };
    let own = campus.origin();
    for evil in [
        "//evil.test/",
        "/\\evil.test/",
        "\\\\evil.test/",
        "/\t/evil.test/",
        "https:evil.test",
        "https://evil.test/",
        "http:///evil.test/",
        "javascript:alert(1)",
        "data:text/html,x",
        "/app/x\r\nLocation: https://evil.test/",
        &format!("{own}@evil.test/"),
        &format!("{own}.evil.test/"),
        &format!("https{}/app/x", own.strip_prefix("http").unwrap()),
    ] {
        let answer = campus.visitor().fetch(&sign_in_to(evil)).expect(400);
        assert!(answer.text().contains("app_origins"), "{}", answer.text());
        let answer = campus.visitor().open(&sign_in_to(evil)).expect(400);
        assert_eq!(answer.header("location"), None, "{evil}");
    }
}

#[test]
fn anothers_callback_signs_nobody_in() {
    let Some(campus) = Campus::start() else { return };
    let (mallory, victim) = (campus.visitor(), campus.visitor());
    let callback = mallory.callback(&campus.cas.person("bob"), PAGE);
    victim.open(target(&callback));
    assert!(!victim.is_signed_in());
    // Neither when the victim is about to sign in.
    let callback = mallory.callback(&campus.cas.person("bob"), PAGE);
    victim.open(PAGE).expect(303);
    victim.open(target(&callback));
    assert!(!victim.is_signed_in());
}

#[test]
fn a_ticket_signs_in_once() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    let callback = visitor.callback(&campus.cas.person("alice"), PAGE);
    let before = visitor.cookies.lock().unwrap().clone();
    visitor.open(target(&callback)).expect(303);
    assert!(visitor.is_signed_in());
    let thief = campus.visitor();
    *thief.cookies.lock().unwrap() = before;
    thief.open(target(&callback));
    assert!(!thief.is_signed_in(), "even with the login state");
}

#[test]
fn a_session_that_was_planted_is_not_the_one_that_is_signed_in() {
    let Some(campus) = Campus::planned(Plan {
        more: GUESTS.to_owned(),
        ..Plan::default()
    }) else {
        return;
    };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let planted = "A".repeat(43);
    visitor
        .cookies
        .lock()
        .unwrap()
        .push(("janua".to_owned(), planted.clone()));
    visitor.sign_in(&alice, PAGE).expect(303);
    let first = visitor.session().unwrap();
    assert_ne!(first, planted);
    assert!(!campus.visitor_with(&planted).is_signed_in());
    // Nor does somebody else's session become hers: signing in by another sign-in ends the one before it.
    visitor.sign_in(&alice, "/guests/x").expect(303);
    assert_ne!(visitor.session().unwrap(), first);
    visitor.fetch("/guests/x").expect(200);
    campus.visitor_with(&first).fetch("/app/x").expect(401);
}

#[test]
fn a_forged_logout_ends_nothing() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let request = include_str!("../../recorded/cas/logout-request.xml");
    for body in [query(&[("logoutRequest", request)]), "logoutRequest=%3Cx".to_owned()] {
        campus.visitor().send(
            Request::new("POST", "/_janua/cas/campus/callback")
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(body),
        );
    }
    assert!(visitor.is_signed_in());
}

#[test]
fn another_site_can_use_no_cookie_for_anything_unsafe() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    for target in ["/_janua/sign-out", "/app/x"] {
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "https://evil.test"),
            ("Origin", "null"),
        ] {
            let request = Request::new("POST", target).header(name, value).body("");
            visitor.send(request).expect(403);
        }
        visitor.send(Request::new("POST", target).body("")).expect(403);
    }
    assert!(visitor.is_signed_in());
}

#[test]
fn a_made_up_cookie_is_nobody() {
    let Some(campus) = Campus::start() else { return };
    for made_up in ["", "x", "../../", &"A".repeat(43), &"A".repeat(4000)] {
        let visitor = campus.visitor();
        visitor
            .cookies
            .lock()
            .unwrap()
            .push(("janua".to_owned(), made_up.to_owned()));
        assert!(!visitor.is_signed_in(), "{made_up:.50}");
    }
}

#[test]
fn a_ticket_for_another_address_signs_nobody_in() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let others: [&dyn Fn(&str) -> String; 4] = [
        &|_| format!("{}/elsewhere", campus.origin()),
        &|service| format!("{service}x"),
        &|service| service.replace("127.0.0.1", "localhost"),
        &|service| service.replace("/callback", "/session"),
    ];
    for other in others {
        let to_cas = visitor.open(PAGE).expect(303);
        let login: url::Url = to_cas.header("location").unwrap().parse().unwrap();
        let service = login.query_pairs().find(|(name, _)| name == "service").unwrap().1;
        let other = other(&service);
        let ticket = alice.ticket(&other);
        let callback = format!("{service}&{}", query(&[("ticket", &ticket)]));
        let answer = visitor.open(target(&callback.parse().unwrap())).expect(403);
        assert_eq!(answer.header("location"), None, "no loop");
        assert!(!visitor.is_signed_in(), "{other}");
    }
    // What was tried in vain does not stand in the way.
    visitor.sign_in(&alice, PAGE).expect(303);
    assert!(visitor.is_signed_in());
}

#[test]
fn a_cookie_from_another_gateway_is_nobody() {
    let (Some(here), Some(there)) = (Campus::start(), Campus::start()) else {
        return;
    };
    let visitor = there.visitor();
    visitor.sign_in(&there.cas.person("alice"), PAGE).expect(303);
    let theirs = visitor.session().unwrap();
    assert!(there.visitor_with(&theirs).is_signed_in());
    assert!(!here.visitor_with(&theirs).is_signed_in());
    // Neither does a sign-in that was begun there end here.
    let callback = there.visitor().callback(&there.cas.person("bob"), PAGE);
    let lost = here.visitor();
    lost.open(target(&callback)).expect(400);
    assert!(!lost.is_signed_in());
}

#[test]
fn a_cookie_that_a_sibling_host_has_added_hides_nobodys_session() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let planted = ("janua".to_owned(), "A".repeat(54));
    visitor.cookies.lock().unwrap().insert(0, planted);
    assert!(visitor.is_signed_in());
    assert_eq!(visitor.me()["user"], "alice");
}
