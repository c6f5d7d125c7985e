//! A Moodle that is down, slow, or does not say the truth.

use std::sync::Arc;

use super::{OAUTH2_CALLBACK, Plugin, VISIT, asked, lab, signed_in, to_provider, with};
use crate::moodle::launch::lab::{Lab, ROUTES};
use crate::support::Held;
use crate::support::moodle::Answer;
use crate::support::wait::DEADLINE;

#[test]
fn a_login_that_leads_elsewhere_is_followed_by_nobody() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let (origin, idp) = (lab.origin.clone(), lab.idp.origin());
    let callback: String = form_urlencoded::byte_serialize(format!("{origin}{OAUTH2_CALLBACK}").as_bytes()).collect();
    let good = format!("{idp}/authorize?response_type=code&client_id=m&redirect_uri={callback}&state=s");
    for location in [
        good.replace(&idp, "https://evil.test"),
        good.replace("http://", "http://me@"),
        good.replace(&idp, &idp.replace("127.0.0.1", "localhost")),
        good.replace(&callback, "https%3A%2F%2Fevil.test%2Fadmin%2Foauth2callback.php"),
        good.replace("=code", "=token"),
        good.replace("&state=s", ""),
        format!("{good}&response_mode=fragment"),
        "javascript:alert(1)".to_owned(),
        format!("{origin}/login/index.php"),
        format!("{origin}/auth/oauth2/login.php?id=1"),
        "//evil.test/authorize".to_owned(),
        String::new(),
    ] {
        let lie = Answer::redirect(302, &location).with("Set-Cookie", "MoodleSession=abcdefgh; path=/");
        lab.moodle.site().settings.launch = Some(lie);
        let told = alice.sign_in();
        assert!([403, 502].contains(&told.status), "{location}: {}", told.status);
        assert_eq!(alice.cookies(VISIT), [""; 0], "{location}");
        assert!(told.all("location").is_empty(), "{location}");
    }
    lab.gateway
        .logged(&["no token", "https://evil.test", "oidc_launch.provider"]);
    // The same one, from a session of Moodle's that is none.
    let long = format!("MoodleSession={}; path=/", "x".repeat(3000));
    for cookie in ["theme=dark; path=/", &long] {
        lab.moodle.site().settings.launch = Some(Answer::redirect(302, &good).with("Set-Cookie", cookie));
        alice.sign_in().expect(502);
    }
    lab.moodle.site().settings.launch = None;
    alice.sign_in().expect(200);
    alice.is_served_as("alice");
}

#[test]
fn redirects_of_moodles_are_followed_for_a_while_and_nowhere_else() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    lab.moodle.site().settings.provider = format!("{}/auth/oauth2/login.php", lab.origin);
    alice.sign_in().expect(502);
    let asked = asked(&lab, "/auth/oauth2/login.php");
    assert!(asked <= 6, "{asked}");
}

#[test]
fn another_provider_is_taken_where_it_is_written() {
    let lab = with(
        Plugin::OAuth2,
        "[\"oidc-launch\"]",
        "oidc_launch = { provider = \"https://idp.test/realms/campus\" }",
    );
    let alice = signed_in(&lab, "alice");
    alice.sign_in().expect(502);
    lab.moodle.site().settings.provider = "https://idp.test/auth".to_owned();
    let to = to_provider(&alice);
    assert_eq!(to.host_str(), Some("idp.test"));
}

#[test]
fn what_launch_php_says_that_cannot_be_believed_brings_nothing() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    for lie in ["janua://token=%%%", "janua://token=bm90aGluZw==", "https://evil.test/"] {
        let to = to_provider(&alice);
        lab.moodle.site().settings.launch = Some(Answer::redirect(302, lie));
        let told = alice.open(lab.back_to_moodle(&to, "alice").as_str());
        assert!(told.status >= 400, "{lie}: {}", told.status);
        lab.moodle.site().settings.launch = None;
        let told = alice.call();
        assert!(told.status >= 400, "{lie}: {}", told.text());
    }
    alice
        .open(lab.back_to_moodle(&to_provider(&alice), "alice").as_str())
        .expect(200);
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}

#[test]
fn a_moodle_that_is_down_is_asked_again_by_the_next_load() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    lab.moodle.site().settings.maintenance = true;
    let told = alice.sign_in();
    assert!(told.status >= 500, "{}", told.status);
    lab.moodle.site().settings.maintenance = false;
    let to = to_provider(&alice);
    let back = lab.back_to_moodle(&to, "alice");
    lab.moodle.site().settings.php_is_down = true;
    assert!(alice.step(back.as_str()).status >= 500);
    lab.moodle.site().settings.php_is_down = false;
    // The code was not seen by Moodle, but nobody knows that here.
    assert!(alice.step(back.as_str()).expect(400).text().contains("sign_in_stale"));
    alice
        .open("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
        .expect(200);
    alice.is_served_as("alice");
}

#[test]
fn a_moodle_that_takes_its_time_holds_nobody_else_up() {
    let lab = Lab::of("[\"oidc-launch\"]", 1, "", "timeouts = { read = \"2s\" }", ROUTES);
    lab.moodle.site().settings.auth_oauth2 = true;
    let (alice, bob) = (signed_in(&lab, "alice"), signed_in(&lab, "bob"));
    bob.sign_in().expect(200);
    let to = to_provider(&alice);
    let back = lab.back_to_moodle(&to, "alice");
    let held = Arc::new(Held::for_at_most(DEADLINE));
    lab.moodle.site().holds_launch = Some(Arc::clone(&held));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| alice.step(back.as_str()));
        held.holds(1);
        // Twice at once is once.
        assert!(alice.step(back.as_str()).expect(400).text().contains("sign_in_stale"));
        bob.is_served_as("bob");
        let told = waits.join().unwrap();
        assert!([502, 504].contains(&told.status), "{}", told.status);
    });
    lab.moodle.site().holds_launch = None;
    held.let_go();
    alice.sign_in().expect(200);
    alice.is_served_as("alice");
}
