//! Each source of tokens with a Moodle that lies, is down, or takes its time.

use std::sync::Arc;

use super::crowd::at_once;
use super::everywhere::{Campus, MOODLES, name};

use crate::support::held::Held;
use crate::support::wait::{DEADLINE, eventually};

#[test]
fn a_moodle_that_says_that_a_token_is_somebody_elses_serves_nobody() {
    let campus = Campus::start("");
    at_once(MOODLES.len(), |at| {
        let moodle = &campus.moodles[at];
        moodle.site().says = Some(name(100 + at));
        let mut person = campus.signs_in(&name(at));
        let told = campus.tries(&mut person, at);
        assert!(
            [401, 403, 502].contains(&told.status),
            "{}: {} {}",
            MOODLES[at].0,
            told.status,
            told.text()
        );
        // Nothing was kept: who it really is is asked anew.
        moodle.site().says = None;
        eventually("it says the truth", || campus.serves(&mut person, at));
    });
}

#[test]
fn a_moodle_that_is_down_is_told_and_asked_again() {
    let campus = Campus::start("");
    at_once(MOODLES.len(), |at| {
        let moodle = &campus.moodles[at];
        moodle.site().settings.php_is_down = true;
        let mut person = campus.signs_in(&name(at));
        let told = campus.calls(&mut person, at);
        let is_told = [502, 503].contains(&told.status);
        // Nobody has asked Moodle where the browser has to, and the password was spent at the sign-in.
        let is_elsewhere = ["moodle_sign_in_required", "no_moodle_token"].contains(&&*told.reason());
        assert!(
            is_told || is_elsewhere,
            "{}: {} {}",
            MOODLES[at].0,
            told.status,
            told.text()
        );
        assert_ne!(campus.tries(&mut person, at).status, 200, "{}", MOODLES[at].0);
        moodle.site().settings.php_is_down = false;
        eventually("it is up again", || campus.serves(&mut person, at));
    });
}

#[test]
fn a_moodle_that_takes_its_time_keeps_nobody_from_the_others() {
    let campus = Campus::start("timeouts = { read = \"2s\" }");
    let mut other = campus.signs_in(&name(150));
    eventually("the vault has one", || campus.serves(&mut other, 0));
    let held = Arc::new(Held::for_at_most(DEADLINE));
    for moodle in &campus.moodles[1..] {
        moodle.site().holds_at = Some(("/webservice/rest/server.php", Arc::clone(&held)));
    }
    at_once(MOODLES.len() - 1, |number| {
        let at = number + 1;
        let mut person = campus.signs_in(&name(at));
        let told = campus.tries(&mut person, at);
        assert_ne!(told.status, 200, "{}: {}", MOODLES[at].0, told.text());
        // All the others are waited for.
        let mut other = campus.signs_in(&name(150));
        let told = campus.calls(&mut other, 0).expect(200);
        assert!(told.text().contains(&format!("\"username\":\"{}\"", name(150))));
    });
    for moodle in &campus.moodles {
        moodle.site().holds_at = None;
    }
    held.let_go();
    at_once(MOODLES.len(), |at| {
        let mut person = campus.signs_in(&name(at));
        eventually("it answers at once again", || campus.serves(&mut person, at));
    });
}
