//! What a way leaves behind in Moodle, and what is not done twice.

use std::sync::Arc;

use super::{BOTH, Plugin, VISIT, asked, lab, signed_in, to_provider};
use crate::moodle::launch::lab::{Browser, Lab};
use crate::support::moodle::provider::CLIENT;
use crate::support::wait::DEADLINE;
use crate::support::{Held, Request, eventually};

const LAUNCH: &str = "/admin/tool/mobile/launch.php";
const LOGOUT: &str = "/login/logout.php";

/// Nobody is signed in there, and it has not just run out.
fn is_over(lab: &Lab) {
    eventually("the session in Moodle is over", || {
        (lab.moodle.site().sessions_of("alice") == 0).then_some(())
    });
    assert_eq!(asked(lab, LOGOUT), 2);
}

#[test]
fn a_browser_that_comes_back_when_its_session_is_over_leaves_none_in_moodle() {
    for plugin in BOTH {
        let lab = lab(plugin);
        let alice = signed_in(&lab, "alice");
        let back = lab.back_to_moodle(&to_provider(&alice), "alice");
        let held = Arc::new(Held::for_at_most(DEADLINE));
        lab.moodle.site().holds_at = Some(("/webservice/rest/server.php", Arc::clone(&held)));
        std::thread::scope(|scope| {
            let comes = scope.spawn(|| alice.step(back.as_str()));
            held.holds(1);
            assert_eq!(lab.moodle.site().sessions_of("alice"), 1);
            alice.post("/_janua/sign-out", "").expect(200);
            held.let_go();
            let told = comes.join().unwrap();
            assert!(told.expect(400).text().contains("sign_in_stale"));
        });
        is_over(&lab);
        lab.keeps_its_tokens();
    }
}

#[test]
fn a_session_in_moodle_that_makes_no_token_is_not_left_there() {
    // Before `launch.php` is asked, and by what that says.
    let changes: [fn(&mut crate::support::moodle::Account); 2] = [
        |account| account.new_password = true,
        |account| account.policy_open = true,
    ];
    for plugin in BOTH {
        for change in changes {
            let lab = lab(plugin);
            change(lab.moodle.site().accounts.get_mut("alice").unwrap());
            let alice = signed_in(&lab, "alice");
            alice.sign_in().expect(403);
            is_over(&lab);
        }
    }
}

/// The address by which a login in Moodle begins.
fn start(browser: &Browser<'_>) -> String {
    let answer = browser.step("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me");
    let start = answer.expect(303).header("location").unwrap().to_owned();
    assert!(start.contains("/_janua/moodle/campus/start?state="), "{start}");
    start
}

#[test]
fn an_address_begins_one_login() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let start = start(&alice);
    let target = start.strip_prefix(&lab.origin).unwrap();
    let told = alice.ask(Request::new("HEAD", target));
    assert_eq!((told.status, told.header("allow")), (405, Some("GET")));
    assert_eq!(asked(&lab, LAUNCH), 0);
    let begun = alice.step(target).expect(303);
    let to = begun.header("location").unwrap();
    assert!(to.contains(CLIENT), "{to}");
    let (launches, cookies) = (asked(&lab, LAUNCH), alice.cookies(VISIT));
    assert_eq!((launches, cookies.len()), (1, 1));
    let told = alice.step(target).expect(400).text();
    assert!(told.contains("sign_in_stale") && told.contains("/my/"), "{told}");
    assert_eq!((asked(&lab, LAUNCH), alice.cookies(VISIT)), (launches, cookies));
    // The first is as good as before.
    let back = lab.back_to_moodle(&to.parse().unwrap(), "alice");
    alice.open(back.as_str()).expect(200);
    alice.is_served_as("alice");
}

#[test]
fn an_address_that_reached_no_moodle_begins_a_login_later() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let start = start(&alice);
    lab.moodle.site().settings.maintenance = true;
    let told = alice.step(&start);
    assert!(told.status >= 500, "{}", told.status);
    lab.moodle.site().settings.maintenance = false;
    alice.open(&start).expect(200);
    alice.is_served_as("alice");
}
