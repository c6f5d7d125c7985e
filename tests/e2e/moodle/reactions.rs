//! What becomes of Moodle's errors, which come with status 200.

use super::explained::{SCRIPT, explain};
use super::school::{Browser, SITE_INFO, School, script};
use super::sources::FACADE;
use crate::support::http::Response;
use crate::support::moodle::{Account, Site};
use crate::support::{Request, eventually};

/// What an app opens for a token, and where it comes back to.
const SIGN_IN: &str = "/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me";

fn start() -> Option<School> {
    School::start("[\"cas-launch\"]")
}

/// How many requests Moodle gets while this is done.
fn asked(school: &School, what: impl FnOnce()) -> usize {
    let before = school.moodle.site().requests.len();
    what();
    school.moodle.site().requests.len() - before
}

/// A file of so many bytes, into the drafts.
fn upload(browser: &Browser<'_>, size: usize) -> Response {
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n".to_vec();
    body.resize(body.len() + size, b'x');
    body.extend_from_slice(b"\r\n--edge--\r\n");
    let post = Request::new("POST", "/webservice/upload.php?itemid=0");
    let post = post.header("Content-Type", "multipart/form-data; boundary=edge");
    browser.send(script(post).body(body))
}

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

#[test]
fn a_dead_token_that_many_calls_meet_is_replaced_once_and_serves_them_all() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    for round in 2..5 {
        school.moodle.site().tokens.clear();
        std::thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice"));
            }
        });
        assert_eq!(school.moodle.site().made, round);
    }
    assert_eq!(school.gateway.metric_sum("janua_moodle_tokens_dead_total"), 3.0);
    school.keeps_its_secrets();
}

#[test]
fn a_small_body_is_sent_again_and_a_large_one_by_the_app() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    school.moodle.site().tokens.clear();
    let told = upload(&browser, 10_000).expect(200).json();
    assert_eq!(told[0]["filesize"], 10_000);
    school.moodle.site().tokens.clear();
    let told = upload(&browser, 1_000_000).refused(503, "moodle_token_renewed");
    assert!(told.header("retry-after").is_some());
    assert_eq!(upload(&browser, 1_000_000).expect(200).json()[0]["filesize"], 1_000_000);
    assert_eq!(school.moodle.site().made, 3);
    school.keeps_its_secrets();
}

#[test]
fn a_call_that_is_too_large_for_php_is_no_matter_of_its_token() {
    let Some(school) = start() else { return };
    school.moodle.site().settings.post_max_size = 2 << 20;
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let call = |size: usize| {
        let body = format!(
            "wsfunction=core_webservice_get_site_info&moodlewsrestformat=json&x={}",
            "x".repeat(size)
        );
        let post = Request::new("POST", "/webservice/rest/server.php");
        browser.send(script(
            post.header("Content-Type", "application/x-www-form-urlencoded")
                .body(body),
        ))
    };
    call(3 << 20).refused(413, "body_too_large");
    call(1 << 20).expect(200);
    assert_eq!(school.moodle.site().made, 1);
    assert_eq!(school.gateway.metric_sum("janua_moodle_tokens_dead_total"), 0.0);
    school.gateway.logged(&["body_too_large", "post_max_size"]);
    school.keeps_its_secrets();
}

#[test]
fn a_suspended_account_is_left_alone_until_somebody_signs_in_again() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    let suspend = |on: bool| school.moodle.site().accounts.get_mut("alice").unwrap().suspended = on;
    suspend(true);
    browser.call(SITE_INFO).refused(403, "no_moodle_token");
    // Signing in leads to a page that says so, and in no circle.
    let page = browser.open(&alice, SIGN_IN).expect(403);
    assert!(page.text().contains("no_moodle_token"), "{}", page.text());
    let calls = || {
        for _ in 0..10 {
            browser.call(SITE_INFO).refused(403, "no_moodle_token");
        }
    };
    assert!(asked(&school, calls) < 10);
    suspend(false);
    browser.open(&alice, SIGN_IN).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    // It was never deleted, and Moodle gives it again.
    assert_eq!(school.moodle.site().made, 1);
    school.keeps_its_secrets();
}

#[test]
fn who_has_agreed_to_the_policy_gets_in_by_one_more_ticket() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let open = |on: bool| school.moodle.site().accounts.get_mut("alice").unwrap().policy_open = on;
    open(true);
    let page = browser.open(&alice, SIGN_IN).expect(403);
    assert!(page.text().contains("moodle_policy_not_agreed"), "{}", page.text());
    let moodle = school.origin();
    assert!(page.text().contains(&format!("href=\"{moodle}")), "{}", page.text());
    let told = browser.call(SITE_INFO).refused(403, "moodle_policy_not_agreed");
    let visit = told.json()["visit"].as_str().unwrap().to_owned();
    assert!(visit.starts_with(&moodle));
    let (words, report) = explain(&school, &browser, SITE_INFO, &SCRIPT, true);
    assert_eq!(report["visit"], visit.as_str());
    assert!(words.contains(&format!("to open first: {visit}")), "{words}");
    open(false);
    // The session in Moodle has not noticed, so another one is wanted.
    eventually("the browser is sent for a ticket", || {
        let told = browser.call(SITE_INFO).json();
        (told["reason"] == "moodle_sign_in_required" && told["sign_in"].is_string()).then_some(())
    });
    browser.open(&alice, SIGN_IN).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(school.moodle.site().made, 1);
    school.keeps_its_secrets();
}

/// What Moodle wants, how the site gets so, the reason, where Moodle asks for it, and what the log says.
type Want = (&'static str, fn(&mut Site), &'static str, &'static str, &'static str);

#[test]
fn what_moodle_wants_is_told_by_its_name_with_an_address_at_which_moodle_asks_for_it() {
    let wants: [Want; 6] = [
        (
            "policy",
            |site| site.accounts.get_mut("alice").unwrap().policy_open = true,
            "moodle_policy_not_agreed",
            "/user/policy.php",
            "site policy",
        ),
        (
            "policy of tool_policy",
            |site| {
                site.settings.policy_page = "/admin/tool/policy/index.php".to_owned();
                site.accounts.get_mut("alice").unwrap().policy_open = true;
            },
            "moodle_policy_not_agreed",
            "/admin/tool/policy/index.php",
            "site policy",
        ),
        (
            "profile",
            |site| site.accounts.get_mut("alice").unwrap().incomplete_profile = true,
            "moodle_profile_incomplete",
            "/user/edit.php",
            "profile is not complete",
        ),
        (
            "password",
            |site| site.accounts.get_mut("alice").unwrap().new_password = true,
            "moodle_password_change",
            "/login/change_password.php",
            "must change the password",
        ),
        (
            "no password",
            |site| site.accounts.get_mut("alice").unwrap().forced_password = true,
            "moodle_password_unchangeable",
            "/login/index.php",
            "auth_forcepasswordchange",
        ),
        (
            "factor",
            |site| site.settings.mfa = true,
            "moodle_second_factor",
            "/admin/tool/mfa/auth.php",
            "tool_mfa",
        ),
    ];
    let Some(school) = start() else { return };
    for (name, change, reason, asks, hint) in wants {
        let (alice, browser) = (school.cas.person("alice"), school.browser());
        change(&mut school.moodle.site());
        let page = browser.open(&alice, SIGN_IN).expect(403).text();
        let told = browser.call(SITE_INFO).refused(403, reason).json();
        let visit = told["visit"].as_str().unwrap();
        let detail = told["detail"].as_str().unwrap();
        assert!(visit.starts_with(&school.origin()), "{name}: {visit}");
        for text in [reason, detail, &format!("href=\"{visit}\"")] {
            assert!(page.contains(text), "{name}: {text} is not in {page}");
        }
        let led = browser.open(&alice, visit.strip_prefix(&school.origin()).unwrap());
        assert_eq!(
            browser.visited.lock().unwrap().last().unwrap().path(),
            asks,
            "{name}: {}",
            led.text()
        );
        // It leads in no circle: what Moodle wants is told again, or a ticket is asked for anew.
        let told = browser.call(SITE_INFO).json();
        assert!(
            [reason, "moodle_sign_in_required"].contains(&told["reason"].as_str().unwrap()),
            "{name}: {told}"
        );
        school.gateway.logged(&[hint]);
        let mut site = school.moodle.site();
        site.settings.mfa = false;
        let account = site.accounts.get_mut("alice").unwrap();
        *account = Account {
            id: account.id,
            first_name: account.first_name.clone(),
            ..Account::default()
        };
    }
    school.keeps_its_secrets();
}

#[test]
fn who_may_make_no_token_is_told_so_and_led_in_no_circle() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    school.moodle.site().accounts.get_mut("alice").unwrap().no_mobile_token = true;
    let page = browser.open(&alice, SIGN_IN).expect(403);
    assert!(page.text().contains("no_moodle_token"), "{}", page.text());
    browser.call(SITE_INFO).refused(403, "no_moodle_token");
    school.gateway.logged(&["createmobiletoken"]);
}

#[test]
fn a_second_factor_keeps_nobody_from_a_source_that_is_not_asked_for_one() {
    let Some(school) = School::start("[\"cas-launch\", \"cas-token\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    school.moodle.site().settings.mfa = true;
    browser.sign_in(&alice).expect(200);
    assert_eq!(browser.call(SITE_INFO).expect(200).json()["username"], "alice");
}

#[test]
fn a_token_outlives_what_moodle_wants_of_its_owner() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    for (code, reason) in [
        ("sitepolicynotagreed", "moodle_policy_not_agreed"),
        ("usernotfullysetup", "moodle_profile_incomplete"),
        ("forcepasswordchangenotice", "moodle_password_change"),
        ("nopasswordchangeforced", "moodle_password_unchangeable"),
    ] {
        school.moodle.site().settings.refuses = Some(code);
        let told = browser.call(SITE_INFO).refused(403, reason).json();
        assert!(
            told["visit"].as_str().unwrap().starts_with(&school.origin()),
            "{code}: {told}"
        );
        school.moodle.site().settings.refuses = None;
        browser.call(SITE_INFO).expect(200);
    }
    assert_eq!(school.moodle.site().made, 1);
}

#[test]
fn the_token_that_the_gateway_puts_in_comes_back_in_no_answer() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    school.moodle.site().settings.debug = true;
    let call = SITE_INFO.replace("core_webservice_get_site_info", "core_course_get_courses");
    let told = browser.call(&call).expect(200).json();
    assert_eq!(told["debuginfo"], "WHERE token = ''", "{told}");
    let told = browser.call(&call.replace("json", "xml")).expect(200);
    assert!(
        told.text().contains("<DEBUGINFO>WHERE token = ''</DEBUGINFO>"),
        "{}",
        told.text()
    );
    let told = browser
        .call("/webservice/pluginfile.php/5/a/b/1/none.pdf")
        .expect(404)
        .json();
    assert_eq!(told["debuginfo"], "token = ''", "{told}");
    school.keeps_its_secrets();
}

#[test]
fn a_host_that_moodle_does_not_know_is_no_file() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().settings.host = Some("another.test".to_owned());
    upload(&browser, 10).refused(502, "upstream_failed");
    school.gateway.logged(&["it redirects instead of answering"]);
}

#[test]
fn maintenance_costs_nobody_the_token() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    school.moodle.site().settings.maintenance = true;
    let told = browser.call(SITE_INFO).refused(503, "moodle_maintenance");
    assert!(told.header("retry-after").is_some());
    school.moodle.site().settings.maintenance = false;
    browser.call(SITE_INFO).expect(200);
    assert_eq!(school.moodle.site().made, 1);
}

#[test]
fn a_moodle_that_is_set_up_wrongly_is_not_asked_for_a_token_at_every_call() {
    let Some(school) = School::start(FACADE) else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    school.moodle.site().settings.rest = false;
    browser.open(&alice, SIGN_IN).expect(200);
    let calls = || {
        for _ in 0..20 {
            browser.call(SITE_INFO).refused(502, "upstream_failed");
        }
    };
    assert!(asked(&school, calls) < 20);
    school.moodle.site().settings.rest = true;
    eventually("Moodle is asked again", || {
        (browser.call(SITE_INFO).status == 200).then_some(())
    });
    school.keeps_its_secrets();
}

#[test]
fn pages_of_the_web_server_in_front_of_moodle_are_told_as_what_they_are() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().settings.client_max_body_size = 1 << 20;
    upload(&browser, 2 << 20).refused(413, "body_too_large");
    upload(&browser, 10).expect(200);
    school.moodle.site().settings.php_is_down = true;
    browser.call(SITE_INFO).refused(502, "upstream_failed");
    school.gateway.logged(&["php-fpm"]);
    school.moodle.site().settings.php_is_down = false;
    browser.call(SITE_INFO).expect(200);
    assert_eq!(school.moodle.site().made, 1, "nothing of it was the token's fault");
}

#[test]
fn exceptions_in_a_namespace_mean_the_same() {
    let Some(school) = start() else { return };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    school.moodle.site().settings.is_4_5 = true;
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).expect(200);
    school.moodle.site().tokens.clear();
    browser.call(&SITE_INFO.replace("json", "xml")).expect(200);
    assert_eq!(school.moodle.site().made, 3);
}
