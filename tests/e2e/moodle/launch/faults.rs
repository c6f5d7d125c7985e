//! A Moodle that is down, slow, or does not say the truth.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::school::FILE;
use super::lab::{Lab, ROUTES};
use crate::support::Held;
use crate::support::moodle::Answer;
use crate::support::wait::DEADLINE;

#[test]
fn what_launch_php_says_that_cannot_be_believed_brings_nothing() {
    let token = "f00dfacef00dfacef00dfacef00dface";
    let answer = |signature: &str| STANDARD.encode(format!("{signature}:::{token}:::x"));
    let wrong = answer(&"0".repeat(32));
    let page = format!("<html><a id=\"launchapp\" href=\"janua://token={wrong}\">");
    let huge = vec![b'x'; 10 << 20];
    let cases = [
        Answer::redirect(302, &format!("janua://token={wrong}")),
        Answer::redirect(302, "janua://token=%%%"),
        Answer::redirect(302, "moodlemobile://token="),
        Answer::html(200, &page),
        Answer::html(404, &page),
        Answer::new(200, "text/html", huge),
        Answer::html(200, "x").with("Refresh", &format!("0; url=janua://token={wrong}")),
    ];
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    for (place, answer) in cases.into_iter().enumerate() {
        lab.moodle.site().settings.launch = Some(answer);
        let told = alice.sign_in();
        assert_eq!(told.status, 502, "{place}: {}", told.text());
        assert!(told.text().contains("upstream_failed"), "{place}: {}", told.text());
        alice.call().refused(401, "moodle_sign_in_required");
    }
    lab.gateway
        .logged(&["no token", "moodle.public_url must be $CFG->wwwroot exactly"]);
    // Once it is itself again, the same address will do.
    lab.moodle.site().settings.launch = None;
    alice.open(alice.launch().as_str()).expect(200);
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}

#[test]
fn moodles_own_answers_reach_the_browser_without_the_gateways_cookies() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    let page = Answer::html(200, "Something of the site's own")
        .with("Set-Cookie", "janua=planted; path=/")
        .with("Set-Cookie", "theme=dark; path=/")
        .with("X-Accel-Redirect", "/etc/passwd");
    lab.moodle.site().settings.launch = Some(page);
    let session = alice.cookies("janua");
    let told = alice.sign_in().expect(200);
    assert!(told.text().contains("Something of the site's own"));
    assert_eq!(told.header("x-accel-redirect"), None);
    assert_eq!(told.all("set-cookie"), ["theme=dark; path=/"]);
    assert!(alice.cookies("janua").len() > session.len(), "the visit goes on");
    // An error of Moodle's is Moodle's to tell, and the operator's to know.
    lab.moodle.site().settings.launch = None;
    lab.moodle
        .site()
        .services
        .get_mut("moodle_mobile_app")
        .unwrap()
        .disabled = true;
    let told = alice.sign_in().expect(404);
    assert!(told.text().contains("servicenotavailable"), "{}", told.text());
    assert_eq!(lab.counted("denied"), 1.0);
    lab.gateway
        .logged(&["no token", "the service of moodle.service is missing or disabled"]);
}

#[test]
fn a_moodle_that_is_down_is_asked_again_by_the_next_load() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    lab.moodle.site().settings.php_is_down = true;
    assert!(alice.open(alice.launch().as_str()).expect(502).text().contains("nginx"));
    lab.moodle.site().settings.php_is_down = false;
    lab.moodle.site().settings.maintenance = true;
    alice.open(alice.launch().as_str()).expect(503);
    lab.moodle.site().settings.maintenance = false;
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
}

#[test]
fn a_moodle_that_takes_its_time_holds_nobody_else_up() {
    let lab = Lab::routed(2, "", "timeouts = { read = \"2s\" }", ROUTES);
    let (alice, bob) = (lab.browser("alice"), lab.browser("bob"));
    bob.sign_in().expect(200);
    bob.log_in("bob").expect(200);
    alice.sign_in().expect(200);
    let held = Arc::new(Held::for_at_most(DEADLINE));
    lab.moodle.site().holds_launch = Some(Arc::clone(&held));
    let told = alice.open(alice.launch().as_str()).expect(504);
    assert!(told.text().contains("upstream_timeout"), "{}", told.text());
    lab.gateway.logged(&["did not answer completely within 2 s"]);
    bob.is_served_as("bob");
    lab.moodle.site().holds_launch = None;
    held.let_go();
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
}

#[test]
fn tabs_that_moodle_holds_up_leave_room_for_the_next() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    let tabs: Vec<_> = (0..3)
        .map(|tab| {
            alice.open(&format!("{FILE}?tab={tab}")).expect(200);
            alice.launch()
        })
        .collect();
    alice.step("/login/index.php").expect(200);
    let held = Arc::new(Held::for_at_most(DEADLINE));
    lab.moodle.site().holds_launch = Some(Arc::clone(&held));
    let [first, second, _] = &tabs[..] else {
        panic!("three tabs")
    };
    std::thread::scope(|scope| {
        for tab in [first, second] {
            scope.spawn(|| alice.step(tab.as_str()));
        }
        held.holds(2);
        lab.moodle.site().holds_launch = None;
        // Moodle leads back to where it was wanted last.
        let told = alice.log_in("alice");
        held.let_go();
        told.expect(404);
        assert_eq!(alice.last().query(), Some("tab=2"));
    });
    alice.is_served_as("alice");
}
