//! Each source: from a sign-in at CAS to a call that is answered.

use super::school::{SITE_INFO, School};
use crate::support::eventually;

pub const FACADE: &str = "[\"cas-facade\"]\nfacade = { path = \"/_janua/cas-facade\", from = [\"127.0.0.0/8\"] }";

#[test]
fn one_sign_in_and_only_redirects_until_the_calls_work() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let info = browser.call(SITE_INFO).expect(200).json();
    assert_eq!(info["username"], "alice");
    assert_eq!(info["userprivateaccesskey"].as_str().unwrap_or_default(), "");
    assert_eq!(school.moodle.site().made, 1);
    // The kept session makes another token without the browser.
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).expect(200);
    assert_eq!(school.moodle.site().made, 2);
    assert_eq!(school.gateway.metric_sum("janua_moodle_tokens_dead_total"), 1.0);
    school.keeps_its_secrets();
}

#[test]
fn a_ticket_for_the_token_script() {
    let Some(school) = School::start("[\"cas-token\"]") else {
        return;
    };
    let (bob, browser) = (school.cas.person("bob"), school.browser());
    browser.sign_in(&bob).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "bob");
    // Without the browser there is no other.
    school.moodle.site().tokens.clear();
    let told = browser.call(SITE_INFO).expect(401).json();
    assert_eq!(told["reason"], "moodle_sign_in_required");
    browser.sign_in(&bob).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.keeps_its_secrets();
}

#[test]
fn the_gateway_vouches_at_once_where_moodle_asks_it() {
    let Some(school) = School::start(FACADE) else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).expect(200);
    school.keeps_its_secrets();
}

#[test]
fn a_session_in_moodle_ends_with_the_sign_out_at_cas() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    let made = school.moodle.site().made;
    alice.sign_out();
    eventually("the session is over", || {
        (browser.call(SITE_INFO).status == 401).then_some(())
    });
    let told = browser.call(SITE_INFO).expect(401).json();
    assert_eq!(told["reason"], "no_credentials");
    assert_eq!(school.moodle.site().made, made);
    // The CAS server told Moodle's login address as well, and Moodle never heard of it.
    let posted = school.moodle.site().requests.clone();
    assert!(posted.iter().all(|(_, _, body)| !body.contains("logoutRequest")));
}

#[test]
fn whoever_is_never_served_is_told_so_without_a_way() {
    let Some(school) = School::start("[\"cas-launch\"]\nnever = [\"alice\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let told = browser.call(SITE_INFO).expect(403).json();
    assert_eq!(told["reason"], "no_moodle_token");
    assert!(told.get("sign_in").is_none());
    assert_eq!(school.moodle.site().made, 0);
}
