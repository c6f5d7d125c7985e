//! The way to a token, by what Moodle asks on it.

use super::super::school::{FILE, SITE_INFO};
use super::lab::Lab;
use crate::support::Request;

const VISIT: &str = "janua-moodle-campus-";

/// What the button of a page to sign in once more posts.
#[track_caller]
pub fn visit(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"visit\" value=\"").expect(page);
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn a_call_leads_through_moodles_login_to_a_token() {
    for (type_of_login, scheme) in [(2, "moodlemobile"), (3, ""), (1, "campus-app"), (1, "")] {
        let lab = Lab::start(type_of_login);
        lab.moodle.site().settings.forced_url_scheme = scheme.to_owned();
        let alice = lab.browser("alice");
        alice.call().refused(401, "no_credentials");
        let form = alice.sign_in().expect(200);
        assert!(form.text().contains("Log in to the site"), "{}", form.text());
        assert_eq!(alice.call().json()["reason"], "moodle_sign_in_required");
        assert_eq!(alice.cookies(VISIT).len(), 1);
        assert_eq!(alice.cookies("tool_mobile_launch").len(), 1);
        // A wrong password changes nothing of that.
        alice.post("/login/index.php", "username=alice&password=x").expect(200);
        alice.log_in("alice").expect(200);
        assert_eq!(alice.last().path(), "/_janua/me");
        alice.is_served_as("alice");
        assert_eq!(lab.moodle.site().made, 1);
        assert_eq!(alice.cookies(VISIT), [""; 0]);
        assert_eq!(alice.cookies("tool_mobile_launch"), [""; 0]);
        assert_eq!(
            (lab.counted("ok"), lab.gateway.metric_sum("janua_moodle_tokens_total")),
            (1.0, 1.0)
        );
        // The token is the person's: another browser of hers is served without a visit.
        let launches = lab.launches();
        let other = lab.browser("alice");
        other
            .open("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
            .expect(200);
        other.is_served_as("alice");
        assert_eq!(lab.launches(), launches);
        lab.keeps_its_tokens();
    }
}

#[test]
fn a_page_that_is_opened_leads_there_and_back() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.open(FILE).expect(200);
    assert_eq!(alice.last().path(), "/login/index.php");
    // There is no such file, which only a token tells.
    alice.log_in("alice").expect(404);
    assert_eq!(alice.last().path(), FILE);
    // Whoever is logged in at Moodle sees nothing of the next visit.
    lab.moodle.site().tokens.clear();
    alice.call().refused(401, "moodle_sign_in_required");
    alice.open(FILE).expect(404);
    assert_eq!(lab.moodle.site().made, 2);
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}

#[test]
fn a_phone_gets_no_page_with_the_token() {
    let lab = Lab::start(2);
    let mut alice = lab.browser("alice");
    alice.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148 Safari/604.1";
    alice.sign_in().expect(200);
    alice.log_in("alice").expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}

#[test]
fn whoever_has_seen_a_page_of_moodles_signs_in_once_more_where_it_wants_that() {
    let lab = Lab::start(1);
    let alice = lab.browser("alice");
    alice.log_in("alice");
    alice.step("/my/").expect(200);
    let before = alice.cookies.lock().unwrap().clone();
    let page = alice.sign_in().expect(200).text();
    let button = "<form method=\"post\" action=\"/_janua/moodle/campus/again\">";
    assert!(page.contains(button) && page.contains("once more"), "{page}");
    let visit = &visit(&page);
    // A form of another site's does not press the button.
    let foreign = Request::new("POST", "/_janua/moodle/campus/again")
        .host(&lab.gateway.http().to_string())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Sec-Fetch-Site", "cross-site")
        .header("Origin", "https://elsewhere.test");
    lab.gateway
        .send(foreign.body(format!("visit={visit}")))
        .refused(403, "cross_site");
    let form = alice
        .post("/_janua/moodle/campus/again", &format!("visit={visit}"))
        .expect(200);
    assert!(form.text().contains("Log in to the site"), "{}", form.text());
    let session = |cookies: &[(String, String)]| cookies.iter().find(|(name, _)| name == "MoodleSession").cloned();
    assert_ne!(session(&before), session(&alice.cookies.lock().unwrap()));
    alice.log_in("alice").expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
    assert_eq!((lab.counted("ok"), alice.cookies(VISIT)), (1.0, vec![]));
    // It is good for once.
    let again = alice.post("/_janua/moodle/campus/again", &format!("visit={visit}"));
    assert!(again.expect(400).text().contains("sign_in_stale"));
    lab.keeps_its_tokens();
}

#[test]
fn a_guest_of_moodles_is_asked_to_sign_in() {
    for type_of_login in [1, 2] {
        let lab = Lab::start(type_of_login);
        let alice = lab.browser("alice");
        alice.log_in("guest");
        alice.step("/my/").expect(200);
        let page = alice.sign_in().expect(200).text();
        let visit = &visit(&page);
        alice
            .post("/_janua/moodle/campus/again", &format!("visit={visit}"))
            .expect(200);
        assert_eq!(alice.last().path(), "/login/index.php");
        alice.log_in("alice").expect(200);
        alice.is_served_as("alice");
    }
}

#[test]
fn the_person_answers_what_moodle_wants_first() {
    for (page, form) in [
        ("/user/policy.php", "done=1"),
        ("/admin/tool/policy/index.php", "done=1"),
        ("/admin/tool/mfa/auth.php", "done=1"),
        ("/login/change_password.php", "done=1"),
    ] {
        let lab = Lab::start(2);
        {
            let mut site = lab.moodle.site();
            site.settings.policy_page = page.to_owned();
            site.settings.mfa = page.contains("/mfa/");
            let account = site.accounts.get_mut("alice").unwrap();
            account.policy_open = page.contains("policy");
            account.new_password = page.contains("password");
        }
        let alice = lab.browser("alice");
        alice.sign_in().expect(200);
        let asked = alice.log_in("alice").expect(200);
        assert!(asked.text().contains("Moodle asks alice"), "{}", asked.text());
        assert_eq!(alice.last().path(), page);
        alice.call().refused(401, "moodle_sign_in_required");
        alice.post(page, form).expect(200);
        assert_eq!(alice.last().path(), "/_janua/me", "after {page}");
        alice.is_served_as("alice");
        lab.keeps_its_tokens();
    }
}

#[test]
fn a_profile_leads_elsewhere_and_the_next_visit_through() {
    let lab = Lab::start(2);
    lab.moodle.site().accounts.get_mut("alice").unwrap().incomplete_profile = true;
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    alice.log_in("alice").expect(200);
    assert_eq!(alice.last().path(), "/user/edit.php");
    alice.post("/user/edit.php", "done=1").expect(200);
    assert_eq!(alice.last().path(), "/my/");
    alice.sign_in().expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
}

#[test]
fn after_a_policy_who_must_have_just_signed_in_does_so_once_more() {
    let lab = Lab::start(1);
    lab.moodle.site().accounts.get_mut("alice").unwrap().policy_open = true;
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    alice.log_in("alice").expect(200);
    assert_eq!(alice.last().path(), "/user/policy.php");
    let page = alice.post("/user/policy.php", "done=1").expect(200).text();
    let visit = &visit(&page);
    alice
        .post("/_janua/moodle/campus/again", &format!("visit={visit}"))
        .expect(200);
    alice.log_in("alice").expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
}

#[test]
fn a_factor_each_time_is_no_way_round_in_circles() {
    let lab = Lab::start(1);
    lab.moodle.site().settings.mfa = true;
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    let mut pressed = 0;
    let told = loop {
        alice.log_in("alice").expect(200);
        let answer = alice.post("/admin/tool/mfa/auth.php", "done=1");
        if answer.status != 200 {
            break answer;
        }
        let page = answer.text();
        let visit = &visit(&page);
        alice.post("/_janua/moodle/campus/again", &format!("visit={visit}"));
        pressed += 1;
        assert!(pressed < 4, "round in circles");
    };
    assert!(pressed >= 1, "never asked");
    assert!(told.expect(403).text().contains("no_moodle_token"));
    lab.gateway.logged(&["no token", "typeoflogin"]);
    alice.call().refused(401, "moodle_sign_in_required");
}

#[test]
fn a_token_that_moodle_has_deleted_is_had_again_by_the_next_visit() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in();
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
    lab.moodle.site().tokens.clear();
    let told = alice.call().expect(401).json();
    assert_eq!(told["reason"], "moodle_sign_in_required");
    assert!(told["sign_in"].as_str().unwrap().ends_with("&moodle=campus"), "{told}");
    alice.sign_in().expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
    assert_eq!(lab.gateway.metric_sum("janua_moodle_tokens_dead_total"), 1.0);
}

#[test]
fn a_new_browser_signs_in_once_where_moodle_has_deleted_the_kept_token() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in();
    alice.log_in("alice").expect(200);
    lab.moodle.site().tokens.clear();
    let other = lab.browser("alice");
    other.sign_in();
    other.log_in("alice").expect(200);
    other.is_served_as("alice");
}

#[test]
fn ten_tabs_come_each_to_their_own_end() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    let tabs: Vec<_> = (0..10)
        .map(|tab| {
            alice.open(&format!("{FILE}?tab={tab}")).expect(200);
            (tab, alice.launch())
        })
        .collect();
    assert_eq!(alice.cookies(VISIT).len(), 10);
    alice.log_in("alice").expect(404);
    for (tab, launch) in tabs.iter().take(9) {
        alice.open(launch.as_str()).expect(404);
        assert_eq!(alice.last().query(), Some(&*format!("tab={tab}")));
    }
    assert_eq!((lab.moodle.site().made, lab.counted("ok")), (1, 10.0));
    assert_eq!(alice.cookies(VISIT), [""; 0]);
    // Of many more that nobody ends, some are kept.
    lab.moodle.site().tokens.clear();
    alice.call().refused(401, "moodle_sign_in_required");
    lab.moodle.site().settings.password = None;
    alice
        .cookies
        .lock()
        .unwrap()
        .retain(|(name, _)| name != "MoodleSession");
    for tab in 0..30 {
        alice.open(&format!("{FILE}?tab={tab}")).expect(200);
    }
    assert!(alice.cookies(VISIT).len() <= 12, "{:?}", alice.cookies(VISIT));
    lab.keeps_its_tokens();
}

#[test]
fn two_people_in_two_browsers_are_never_mixed() {
    let lab = Lab::start(1);
    let (alice, bob) = (lab.browser("alice"), lab.browser("bob"));
    alice.sign_in().expect(200);
    bob.sign_in().expect(200);
    bob.log_in("bob").expect(200);
    bob.is_served_as("bob");
    alice.call().refused(401, "moodle_sign_in_required");
    alice.log_in("alice").expect(200);
    for _ in 0..3 {
        alice.is_served_as("alice");
        bob.is_served_as("bob");
    }
    lab.keeps_its_tokens();
}

#[test]
fn what_an_explanation_tells_of_it() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    let config = lab.gateway.site.path("gateway.toml");
    let explain = |target: &str| {
        let cookies = alice.cookies.lock().unwrap().clone();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (cookie, url) = (format!("Cookie: {}", all.join("; ")), format!("{}{target}", lab.origin));
        let mut words = vec!["explain", "--config", config.to_str().unwrap(), "--live", "GET", &url];
        for header in [
            cookie.as_str(),
            "Sec-Fetch-Mode: cors",
            "Sec-Fetch-Dest: empty",
            "Sec-Fetch-Site: same-origin",
            "X-Requested-With: fetch",
        ] {
            words.extend(["--header", header]);
        }
        crate::support::tools::janua(words).stdout
    };
    let before = lab.moodle.site().requests.len();
    let words = explain(SITE_INFO);
    assert!(
        words.contains("launch: the browser would be sent through Moodle's launch.php"),
        "{words}"
    );
    assert!(words.contains("moodle_sign_in_required"), "{words}");
    assert_eq!(lab.moodle.site().requests.len(), before, "Moodle was asked");
    alice.sign_in().expect(200);
    let launch = alice.launch();
    let words = explain(&launch[url::Position::BeforePath..]);
    assert!(
        words.contains("Moodle is asked for a token in the place of the browser"),
        "{words}"
    );
    alice.log_in("alice").expect(200);
    let words = explain(&launch[url::Position::BeforePath..]);
    assert!(words.contains("sign_in_stale"), "{words}");
}
