//! What becomes of Moodle's errors, which come with status 200.

use super::school::{SITE_INFO, School};
use crate::support::moodle::Site;

type Case = (&'static str, fn(&mut Site), u16, &'static str);

#[test]
fn each_trouble_has_its_own_answer_and_names_a_setting() {
    let cases: [Case; 4] = [
        (
            "suspended",
            |site| site.accounts.get_mut("alice").unwrap().suspended = true,
            403,
            "no_moodle_token",
        ),
        (
            "maintenance",
            |site| site.settings.maintenance = true,
            503,
            "moodle_maintenance",
        ),
        ("rest off", |site| site.settings.rest = false, 502, "upstream_failed"),
        (
            "web services off",
            |site| site.settings.web_services = false,
            502,
            "upstream_failed",
        ),
    ];
    for (name, change, status, reason) in cases {
        let Some(school) = School::start("[\"cas-launch\"]") else {
            return;
        };
        let (alice, browser) = (school.cas.person("alice"), school.browser());
        browser.sign_in(&alice).expect(200);
        browser.call(SITE_INFO).expect(200);
        change(&mut school.moodle.site());
        let told = browser.call(SITE_INFO);
        assert_eq!(
            (told.status, told.json()["reason"].as_str()),
            (status, Some(reason)),
            "{name}"
        );
        let asked = school.moodle.site().requests.len();
        browser.call(SITE_INFO).expect(status);
        // Whoever is not served is not asked about again at every call.
        assert!(school.moodle.site().requests.len() <= asked + 1, "{name}");
        school.keeps_its_secrets();
    }
}

#[test]
fn an_expired_token_is_replaced_and_a_denial_is_passed_on() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    for row in &mut school.moodle.site().tokens {
        row.expired = true;
    }
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(school.moodle.site().made, 2);
    let functions = Some(vec!["core_webservice_get_site_info".to_owned()]);
    school
        .moodle
        .site()
        .services
        .get_mut("moodle_mobile_app")
        .unwrap()
        .functions = functions;
    let courses = "/webservice/rest/server.php?wsfunction=core_course_get_courses&moodlewsrestformat=json";
    assert_eq!(browser.call(courses).expect(200).json()["errorcode"], "accessexception");
    assert_eq!(school.moodle.site().made, 2);
    school.keeps_its_secrets();
}
