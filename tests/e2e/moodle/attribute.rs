//! The sign-in server itself tells a person's token, which nobody else ever sees.

use serde_json::{Value, json};

use super::explained::{SCRIPT, explain};
use super::school::{Browser, SITE_INFO, School};
use crate::support::Site;

const ALICES: &str = "7e57ab1e0ddba11c0ffee0d15ea5e111";
const BOBS: &str = "7e57ab1e0ddba11c0ffee0d15ea5e222";
const ATTRIBUTE: &str = "[\"attribute\"]\nattribute = { name = \"moodleToken\" }";

/// Alice's attribute is told as `told`; Moodle knows her token and Bob's.
fn school(told: Value, tokens: &str) -> Option<School> {
    let school = School::telling(&json!({ "alice": { "moodleToken": told } }), &Site::new(), tokens)?;
    for (token, user) in [(ALICES, "alice"), (BOBS, "bob")] {
        school.moodle.site().give(token, user, "moodle_mobile_app");
    }
    Some(school)
}

/// Signs alice in at the gateway alone.
fn signed_in(school: &School) -> Browser<'_> {
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let me = browser.open(&alice, "/_janua/sign-in?with=campus&return=/_janua/me");
    assert!(!me.expect(200).text().contains(ALICES));
    browser
}

/// What `janua explain` says about the one source.
fn prospect(school: &School, browser: &Browser<'_>) -> String {
    let (_, report) = explain(school, browser, SITE_INFO, &SCRIPT, true);
    report["moodle"]["sources"][0]["prospect"].as_str().unwrap().to_owned()
}

#[test]
fn the_token_that_the_cas_server_tells_serves_its_person() {
    let Some(school) = school(json!(ALICES), ATTRIBUTE) else {
        return;
    };
    let browser = signed_in(&school);
    assert_eq!(
        prospect(&school, &browser),
        "the sign-in server tells one for this person"
    );
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(school.moodle.site().made, 0);
    school.keeps_its_secrets();
    let metrics = school.gateway.admin("/metrics").text();
    assert!(metrics.contains("janua_moodle_tokens_total{moodle=\"campus\",outcome=\"ok\",source=\"attribute\"} 1"));
    // Whoever is told none gets none.
    let (bob, other) = (school.cas.person("bob"), school.browser());
    other
        .open(&bob, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
    assert_eq!(other.call(SITE_INFO).expect(403).json()["reason"], "no_moodle_token");
}

#[test]
fn somebody_elses_token_is_never_used_and_asked_about_once() {
    let tokens = ATTRIBUTE.replace("[\"attribute\"]", "[\"attribute\", \"cas-launch\"]");
    let Some(school) = school(json!(BOBS), &tokens) else {
        return;
    };
    let browser = signed_in(&school);
    let asked = || school.moodle.site().requests.len();
    let told = browser.call(SITE_INFO).expect(401).json();
    assert_eq!(told["reason"], "moodle_sign_in_required");
    school.gateway.logged(&["no token", "Moodle's account is another"]);
    let before = asked();
    assert_eq!(before, 1);
    browser.call(SITE_INFO).expect(401);
    assert_eq!(asked(), before, "it was asked about once more");
    assert!(prospect(&school, &browser).contains("is dead, another person's"));
    // The next source goes on.
    browser.sign_in(&school.cas.person("alice")).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    school.keeps_its_secrets();
}

#[test]
fn a_dead_token_gives_way_to_the_next_source() {
    let tokens = ATTRIBUTE.replace("[\"attribute\"]", "[\"attribute\", \"cas-launch\"]");
    let Some(school) = school(json!(ALICES), &tokens) else {
        return;
    };
    let browser = signed_in(&school);
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().tokens.retain(|row| row.token != ALICES);
    let told = browser.call(SITE_INFO).expect(401).json();
    assert_eq!(told["reason"], "moodle_sign_in_required");
    school.gateway.logged(&[
        "no token",
        "the token that the sign-in server tells (moodle.attribute) is dead",
    ]);
    let asked = school.moodle.site().requests.len();
    browser.call(SITE_INFO).expect(401);
    assert_eq!(
        school.moodle.site().requests.len(),
        asked,
        "a dead token is asked about"
    );
    browser.sign_in(&school.cas.person("alice")).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.keeps_its_secrets();
}

#[test]
fn what_is_no_token_is_shown_to_nobody() {
    let Some(school) = school(json!([ALICES, BOBS]), ATTRIBUTE) else {
        return;
    };
    let browser = signed_in(&school);
    let told = browser.call(SITE_INFO).expect(403).json();
    assert_eq!(told["reason"], "no_moodle_token");
    assert!(school.moodle.site().requests.is_empty(), "Moodle was asked");
    school.gateway.logged(&["no token", "has several values"]);
    school.keeps_its_secrets();
}

#[test]
fn a_moodle_that_is_down_is_not_the_tokens_fault() {
    let Some(school) = school(json!(ALICES), ATTRIBUTE) else {
        return;
    };
    let browser = signed_in(&school);
    school.moodle.site().settings.php_is_down = true;
    browser.call(SITE_INFO).expect(502);
    school.moodle.site().settings.php_is_down = false;
    let browser = signed_in(&school);
    let answered = crate::support::eventually("Moodle is asked again", || {
        let answer = browser.call(SITE_INFO);
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(answered.json()["username"], "alice");
    school.keeps_its_secrets();
}
