//! The way of a person who does nothing wrong.

use super::campus::{Campus, PAGE, sign_in_to, target};
use crate::support::{Request, eventually};

#[test]
fn a_page_leads_to_cas_and_back_to_its_very_address() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let callback = visitor.callback(&alice, PAGE);
    assert!(callback.as_str().starts_with(&campus.origin()), "{callback}");
    assert!(callback.path().starts_with("/_janua/cas/campus/callback"), "{callback}");
    let back = visitor.open(target(&callback)).expect(303);
    let location = back.header("location").unwrap();
    assert_eq!(location.strip_prefix(&campus.origin()).unwrap_or(location), PAGE);
    let seen = visitor.open(PAGE).expect(200).json();
    assert_eq!(seen["target"], PAGE);
    assert!(visitor.is_signed_in());
}

#[test]
fn what_is_no_page_is_told_where_to_sign_in_and_never_sent_there() {
    let Some(campus) = Campus::start() else { return };
    let told = campus.visitor().fetch(PAGE).expect(401);
    assert_eq!(told.header("location"), None);
    let sign_in = told.json()["sign_in"].as_str().unwrap().to_owned();
    assert!(sign_in.contains("/_janua/sign-in"), "{sign_in}");
}

#[test]
fn roles_follow_from_attributes() {
    let Some(campus) = Campus::start() else { return };
    let (alices, bobs) = (campus.visitor(), campus.visitor());
    alices.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    bobs.sign_in(&campus.cas.person("bob"), PAGE).expect(303);
    alices.fetch("/students/x").expect(200);
    bobs.fetch("/students/x").expect(403);
}

#[test]
fn me_tells_who_is_signed_in_and_sign_out_ends_it() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let me = visitor.fetch("/_janua/me").expect(200).text();
    assert!(me.contains("alice"), "{me}");
    let kept = visitor.session().unwrap();
    visitor.send(
        Request::new("POST", "/_janua/sign-out")
            .header("Sec-Fetch-Site", "same-origin")
            .header("Origin", &campus.origin())
            .body(""),
    );
    assert!(!visitor.is_signed_in());
    let thief = campus.visitor();
    thief.cookies.lock().unwrap().push(("janua".to_owned(), kept));
    assert!(!thief.is_signed_in(), "the session has ended, not only its cookie");
}

#[test]
fn logging_out_at_cas_ends_the_session_here() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor, bobs) = (campus.cas.person("alice"), campus.visitor(), campus.visitor());
    visitor.sign_in(&alice, PAGE).expect(303);
    bobs.sign_in(&campus.cas.person("bob"), PAGE).expect(303);
    assert!(visitor.is_signed_in());
    alice.sign_out();
    eventually("alice is signed out", || (!visitor.is_signed_in()).then_some(()));
    assert!(bobs.is_signed_in());
}

#[test]
fn a_stale_callback_with_a_good_session_goes_on() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let callback = visitor.callback(&alice, PAGE);
    visitor.open(target(&callback)).expect(303);
    let before = visitor.session();
    let again = visitor.open(target(&callback)).expect(303);
    let location = again.header("location").unwrap();
    assert!(!location.contains("/cas/login"), "no loop: {location}");
    assert_eq!(visitor.session(), before);
}

#[test]
fn signing_in_by_hand_comes_back_to_the_address_that_was_asked_for() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let whole = format!("{}{PAGE}", campus.origin());
    let answer = visitor.sign_in(&alice, &sign_in_to(PAGE)).expect(303);
    assert_eq!(answer.header("location"), Some(&*whole));
    let answer = campus.visitor().sign_in(&alice, &sign_in_to(&whole)).expect(303);
    assert_eq!(answer.header("location"), Some(&*whole));
    let at_once = visitor.open(&sign_in_to(PAGE)).expect(303);
    assert_eq!(
        at_once.header("location"),
        Some(&*whole),
        "who is known needs no ticket"
    );
}
