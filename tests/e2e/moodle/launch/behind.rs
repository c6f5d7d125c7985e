//! `launch` behind other sources: what those cannot do, the person's browser does.

use super::super::school::{FILE, SITE_INFO, School};
use super::super::sources::FACADE;
use crate::support::Request;

const GATEWAY: &str = "/_janua/sign-in?with=campus&return=/_janua/me";

#[test]
fn the_person_agrees_to_a_policy_that_a_session_of_the_gateways_cannot() {
    let Some(school) = School::start("[\"cas-launch\", \"launch\"]") else {
        return;
    };
    {
        let mut site = school.moodle.site();
        site.settings.type_of_login = 2;
        site.accounts.get_mut("alice").unwrap().policy_open = true;
    }
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.open(&alice, GATEWAY).expect(200);
    let asked = browser.open(&alice, FILE).expect(200);
    assert!(asked.text().contains("Moodle asks alice"), "{}", asked.text());
    let agreed = Request::new("POST", "/user/policy.php")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body("done=1");
    let agreed = browser.send(agreed).expect(303);
    // There is no such file, which only a token tells.
    browser.open(&alice, agreed.header("location").unwrap()).expect(404);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    let by = |source: &str, outcome: &str| {
        let labels = format!("moodle=\"campus\",outcome=\"{outcome}\",source=\"{source}\"");
        school.gateway.metric(&format!("janua_moodle_tokens_total{{{labels}}}"))
    };
    assert_eq!(by("cas-launch", "moodle_policy_not_agreed"), Some(1.0));
    assert_eq!((by("launch", "ok"), school.moodle.site().made), (Some(1.0), 1));
    // From now on the first source does.
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).expect(401);
    browser.open(&alice, FILE).expect(404);
    assert_eq!(by("cas-launch", "ok"), Some(1.0));
}

#[test]
fn a_facade_that_brings_nothing_leaves_the_way_by_the_browser() {
    let tokens = FACADE.replace("[\"cas-facade\"]", "[\"cas-facade\", \"launch\"]");
    let Some(school) = School::start(&tokens.replace("127.0.0.0/8", "192.0.2.0/24")) else {
        return;
    };
    {
        let settings = &mut school.moodle.site().settings;
        (settings.type_of_login, settings.cas) = (2, Some(school.cas.url()));
    }
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.open(&alice, GATEWAY).expect(200);
    let told = browser.call(SITE_INFO).expect(401).json();
    assert_eq!(told["reason"], "moodle_sign_in_required");
    browser.open(&alice, FILE).expect(404);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
}

#[test]
fn moodles_own_login_by_cas_is_no_matter_of_the_gateways() {
    let Some(school) = School::start("[\"launch\"]") else {
        return;
    };
    for type_of_login in [2, 1] {
        school.moodle.site().settings.type_of_login = type_of_login;
        school.moodle.site().tokens.clear();
        let (alice, browser) = (school.cas.person("alice"), school.browser());
        browser.open(&alice, GATEWAY).expect(200);
        browser.call(SITE_INFO);
        browser.open(&alice, FILE).expect(404);
        assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
        // A visit that was given up ends where the person logs in next, within its time.
        school.moodle.site().tokens.clear();
        browser.call(SITE_INFO).expect(401);
        let page = browser.open(&alice, "/course/view.php?id=2").expect(200);
        assert!(page.text().contains("Course of alice"), "{}", page.text());
    }
}
