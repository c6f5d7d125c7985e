//! Tokens that come to their end while they are kept: Moodle gives the same one again until then, so nothing renews them
//! ahead of time, and a call that finds one dead is made with another one where the source has it.

use serde_json::json;

use super::launch::lab::Lab;
use super::school::{Browser, SITE_INFO, School};
use super::sources::FACADE;
use crate::support::tools::janua;
use crate::support::{Site, eventually, now};

const GIVEN: &str = "7e57ab1e0ddba11c0ffee0d15ea5e333";

fn signs_in(school: &School, browser: &Browser<'_>) {
    browser
        .open(
            &school.cas.person("alice"),
            "/_janua/sign-in?with=campus&return=/_janua/me",
        )
        .expect(200);
}

fn import(school: &School, rows: &str) {
    let (site, file) = (&school.gateway.site, "tokens.csv");
    let (file, config) = (site.write(file, rows), site.path("gateway.toml"));
    janua([
        "vault".as_ref(),
        "import".as_ref(),
        file.as_os_str(),
        "--config".as_ref(),
        config.as_os_str(),
    ])
    .ok();
}

/// The next call with any of them is told so, and Moodle deletes it.
fn expire(school: &School) {
    for row in &mut school.moodle.site().tokens {
        row.expired = true;
    }
}

#[test]
fn moodle_gives_the_same_token_until_it_is_over() {
    let Some(school) = School::start(&format!("{FACADE}\ndrop_at_logout = true")) else {
        return;
    };
    for _ in 0..3 {
        let browser = school.browser();
        signs_in(&school, &browser);
        browser.call(SITE_INFO).expect(200);
        browser.send(super::school::script(crate::support::Request::new("POST", "/_janua/sign-out")).body(""));
    }
    assert_eq!(school.moodle.site().asked("/login/token.php"), 6);
    assert_eq!(school.moodle.site().made, 1);
    assert_eq!(school.gateway.metric_sum("janua_moodle_tokens_dead_total"), 0.0);
}

#[test]
fn a_source_that_can_replaces_an_expired_token_unnoticed() {
    let fallback = FACADE.replace("[\"cas-facade\"]", "[\"vault\", \"cas-facade\"]");
    for tokens in [FACADE, "[\"cas-launch\"]", &fallback] {
        let Some(school) = School::start(tokens) else { return };
        let browser = school.browser();
        if tokens == fallback {
            school.moodle.site().give(GIVEN, "alice", "moodle_mobile_app");
            import(&school, &format!("username,token\nalice,{GIVEN}\n"));
        }
        browser.sign_in(&school.cas.person("alice")).expect(200);
        browser.call(SITE_INFO).expect(200);
        let made = school.moodle.site().made;
        for round in 1..=3 {
            expire(&school);
            let info = browser.call(SITE_INFO).expect(200).json();
            assert_eq!(info["username"], "alice", "{tokens}");
            assert_eq!(school.moodle.site().made, made + round, "{tokens}");
        }
        assert_eq!(
            school.gateway.metric_sum("janua_moodle_tokens_dead_total"),
            3.0,
            "{tokens}"
        );
        school.keeps_its_secrets();
    }
}

#[test]
fn where_only_the_browser_brings_another_one_the_app_is_told_where() {
    let Some(school) = School::start("[\"cas-token\"]") else {
        return;
    };
    let browser = school.browser();
    browser.sign_in(&school.cas.person("alice")).expect(200);
    browser.call(SITE_INFO).expect(200);
    expire(&school);
    let told = browser.call(SITE_INFO).refused(401, "moodle_sign_in_required").json();
    assert!(told["sign_in"].as_str().unwrap().contains("moodle=campus"), "{told}");
    browser.sign_in(&school.cas.person("alice")).expect(200);
    browser.call(SITE_INFO).expect(200);
}

#[test]
fn after_the_way_through_launch_php_too() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
    for row in &mut lab.moodle.site().tokens {
        row.expired = true;
    }
    let told = alice.call().refused(401, "moodle_sign_in_required").json();
    assert!(told["sign_in"].as_str().unwrap().contains("moodle=campus"), "{told}");
    // She is still logged in at Moodle.
    alice.sign_in().expect(200);
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}

#[test]
fn a_token_that_somebody_else_has_made_is_not_made_again() {
    let told = json!({ "alice": { "moodleToken": GIVEN } });
    let tokens = "[\"attribute\"]\nattribute = { name = \"moodleToken\" }";
    let attribute = || School::telling(&told, &Site::new(), tokens);
    let vault = || {
        let school = School::start("[\"vault\"]")?;
        import(&school, &format!("username,token\nalice,{GIVEN}\n"));
        Some(school)
    };
    let schools: [(&dyn Fn() -> Option<School>, &str); 2] =
        [(&attribute, "moodle.attribute"), (&vault, "janua vault import")];
    for (start, remedy) in schools {
        let Some(school) = start() else { return };
        school.moodle.site().give(GIVEN, "alice", "moodle_mobile_app");
        let browser = school.browser();
        signs_in(&school, &browser);
        browser.call(SITE_INFO).expect(200);
        expire(&school);
        browser.call(SITE_INFO).refused(403, "no_moodle_token");
        school.gateway.logged(&["no token", remedy]);
        school.keeps_its_secrets();
    }
}

#[test]
fn a_provided_token_serves_no_call_after_its_end() {
    let Some(school) = School::start("[\"vault\"]") else {
        return;
    };
    school.moodle.site().give(GIVEN, "alice", "moodle_mobile_app");
    let browser = school.browser();
    signs_in(&school, &browser);
    import(
        &school,
        &format!("username,token,valid_until\nalice,{GIVEN},{}\n", now() + 5),
    );
    browser.call(SITE_INFO).expect(200);
    // Sooner than anything else that is remembered of it would be over.
    eventually("it is over", || (browser.call(SITE_INFO).status == 403).then_some(()));
    let asked = school.moodle.site().asked("/webservice/rest/server.php");
    browser.call(SITE_INFO).refused(403, "no_moodle_token");
    assert_eq!(school.moodle.site().asked("/webservice/rest/server.php"), asked);
    school.keeps_its_secrets();
}

#[test]
fn one_that_was_over_before_its_first_call_is_told_as_such() {
    let Some(school) = School::start("[\"vault\"]") else {
        return;
    };
    school.moodle.site().give(GIVEN, "alice", "moodle_mobile_app");
    expire(&school);
    import(&school, &format!("username,token\nalice,{GIVEN}\n"));
    let browser = school.browser();
    signs_in(&school, &browser);
    browser.call(SITE_INFO).refused(403, "no_moodle_token");
    school.gateway.logged(&["no token", "its token in the vault is dead"]);
}
