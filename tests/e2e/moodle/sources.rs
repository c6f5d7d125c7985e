//! Each source: from a sign-in at CAS to a call that is answered.

use super::school::{SITE_INFO, School};
use crate::support::cas::{ProxyingBackEnd, query};
use crate::support::{Request, eventually};

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

#[test]
fn a_facade_whose_ticket_is_refused_says_why() {
    let elsewhere = FACADE.replace("127.0.0.0/8", "192.0.2.0/24");
    let Some(school) = School::start(&elsewhere) else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice);
    browser.call(SITE_INFO).expect(502);
    school
        .gateway
        .logged(&["no token", "127.0.0.1, which is not in moodle.facade.from"]);
    // Moodle asks somebody else about the ticket.
    school.moodle.site().settings.cas = Some(school.cas.url());
    browser.call(SITE_INFO).expect(502);
    school.gateway.logged(&["no token", "it did not ask the gateway"]);
}

#[test]
fn a_back_end_is_told_how_its_person_gets_a_token() {
    let back_end = ProxyingBackEnd::start();
    let Some(school) = School::with_back_end(&back_end, "[\"cas-launch\"]") else {
        return;
    };
    let (alice, host) = (school.cas.person("alice"), school.gateway.http().to_string());
    let service = format!("{}/_janua/cas/campus/session", school.origin());
    let ticket = school.cas.proxy_ticket(&alice, &back_end, &service);
    let bring = Request::new("POST", "/_janua/cas/campus/session")
        .host(&host)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(query(&[("ticket", &ticket)]));
    let session = school.gateway.send(bring).expect(201).json();
    let bearer = session["session"].as_str().unwrap();
    let call = || {
        let call = Request::new("POST", SITE_INFO).host(&host).bearer(bearer);
        school.gateway.send(call.body(""))
    };
    let told = call().expect(403).json();
    assert_eq!(told["reason"], "no_moodle_token");
    let sign_in = told["sign_in"].as_str().unwrap().to_owned();
    assert_eq!(
        sign_in,
        format!("{}/_janua/sign-in?with=campus&moodle=campus", school.origin())
    );
    // The person's browser goes there once.
    let back = query(&[("return", "/_janua/me")]);
    school.browser().open(&alice, &format!("{sign_in}&{back}")).expect(200);
    assert_eq!(call().expect(200).json()["username"], "alice");
    // An end of the session is told as such.
    let out = Request::new("POST", "/_janua/sign-out").host(&host).bearer(bearer);
    school.gateway.send(out.body("")).expect(204);
    let told = call().expect(401).json();
    assert_eq!(told["reason"], "no_credentials");
    assert!(told["detail"].as_str().unwrap().contains("has ended"), "{told}");
}
