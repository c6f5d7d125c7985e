//! Whose way it is not: somebody else's account, another browser, another passport, Moodle's own app.

use super::super::school::SITE_INFO;
use super::lab::Lab;
use super::way::visit;
use crate::support::Request;

const VISIT: &str = "janua-moodle-campus-";
const APP: &str = "/admin/tool/mobile/launch.php?service=moodle_mobile_app&passport=0.123456789&urlscheme=moodlemobile";

#[test]
fn somebody_else_at_moodle_is_refused_and_the_token_dropped() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    let told = alice.log_in("bob").expect(403);
    assert_eq!(alice.last().path(), "/admin/tool/mobile/launch.php");
    for text in ["Somebody else is signed in at Moodle", "no_moodle_token"] {
        assert!(told.text().contains(text), "{}", told.text());
    }
    assert_eq!(lab.counted("other_account"), 1.0);
    // Nothing is kept of it, of neither; and Moodle leads nobody back by itself.
    alice.call().refused(401, "moodle_sign_in_required");
    assert_eq!(alice.cookies("tool_mobile_launch"), [""; 0]);
    let bob = lab.browser("bob");
    bob.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    bob.call().refused(401, "moodle_sign_in_required");
    // The button of that page lets Bob go, and she goes on where she was.
    let visit = visit(&told.text());
    alice
        .post("/_janua/moodle/campus/again", &format!("visit={visit}"))
        .expect(200);
    assert_eq!(alice.last().path(), "/login/index.php");
    alice.log_in("alice").expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
    lab.keeps_its_tokens();
}

#[test]
fn whoever_never_gets_a_token_gets_none() {
    let lab = Lab::with(2, "never = [\"alice\"]");
    let alice = lab.browser("alice");
    alice
        .open("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
        .expect(200);
    alice.call().refused(403, "no_moodle_token");
    assert_eq!((lab.launches(), lab.moodle.site().made), (0, 0));
}

#[test]
fn a_passport_is_good_once_and_in_one_browser() {
    let lab = Lab::start(2);
    let (alice, bob) = (lab.browser("alice"), lab.browser("bob"));
    alice.sign_in().expect(200);
    let launch = alice.launch();
    // Bob is at Moodle, and signed in here, and has no such cookie.
    bob.log_in("bob");
    bob.open("/_janua/sign-in?with=campus&return=/_janua/me").expect(200);
    let before = lab.launches();
    assert!(bob.step(launch.as_str()).expect(400).text().contains("sign_in_stale"));
    // Nor by a visit of his own, under the name of hers.
    bob.sign_in().expect(200);
    let own = bob
        .cookies
        .lock()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with(VISIT))
        .cloned();
    assert_eq!(own, None, "he was logged in, and is through");
    bob.is_served_as("bob");
    lab.moodle.site().tokens.clear();
    bob.call().refused(401, "moodle_sign_in_required");
    bob.cookies.lock().unwrap().retain(|(name, _)| name != "MoodleSession");
    bob.sign_in().expect(200);
    let (_, his) = bob
        .cookies
        .lock()
        .unwrap()
        .iter()
        .find(|(name, _)| name.starts_with(VISIT))
        .cloned()
        .unwrap();
    let passport = launch
        .query_pairs()
        .find(|(name, _)| name == "passport")
        .unwrap()
        .1
        .into_owned();
    bob.cookies
        .lock()
        .unwrap()
        .push((format!("{VISIT}{}", &passport[..8]), his));
    let asked = lab.launches();
    assert!(bob.step(launch.as_str()).expect(400).text().contains("sign_in_stale"));
    assert!(asked > before && lab.launches() == asked, "Moodle was asked");
    alice.log_in("alice").expect(200);
    alice.is_served_as("alice");
    // It has had its time.
    let asked = lab.launches();
    assert!(alice.step(launch.as_str()).expect(400).text().contains("sign_in_stale"));
    assert_eq!(lab.launches(), asked);
    lab.keeps_its_tokens();
}

#[test]
fn moodles_own_app_comes_through_as_it_did() {
    let lab = Lab::start(2);
    let app = lab.browser("alice");
    let form = app.step(APP).expect(303);
    assert!(form.header("location").unwrap().ends_with("/login/index.php"));
    let posted = Request::new("POST", "/login/index.php")
        .host(&lab.gateway.http().to_string())
        .header("Content-Type", "application/x-www-form-urlencoded");
    lab.gateway
        .send(posted.body("username=alice&password=open-sesame"))
        .expect(303);
    // In a browser with a visit of the gateway's under way, too.
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    alice
        .cookies
        .lock()
        .unwrap()
        .retain(|(name, _)| name != "tool_mobile_launch");
    let visit = alice.cookies(VISIT);
    let gone = alice.step("/login/index.php").expect(200);
    assert!(gone.text().contains("Log in"), "{}", gone.text());
    alice
        .cookies
        .lock()
        .unwrap()
        .retain(|(name, _)| name != "MoodleSession");
    alice.log_in("alice").expect(200);
    let told = alice.step(APP).expect(302);
    let to = told.header("location").unwrap();
    assert!(to.starts_with("moodlemobile://token="), "{to}");
    assert_eq!((alice.cookies(VISIT), lab.counted("ok")), (visit, 0.0));
    alice.call().refused(401, "moodle_sign_in_required");
    // A name that is said twice, or otherwise, is none of the gateway's.
    let launch = alice.launch();
    let own = alice
        .visited
        .lock()
        .unwrap()
        .iter()
        .find(|url| url.query().is_some_and(|query| query.contains("urlscheme=janua")))
        .cloned();
    let own = own.unwrap();
    assert_ne!(launch, own);
    let twice = own.as_str().replace("urlscheme=janua", "urlscheme=x&passport=0.1");
    let told = alice.step(&twice).expect(302);
    assert!(told.header("location").unwrap().contains("://token="));
    assert_eq!(lab.counted("ok"), 0.0);
    // And the visit is still good.
    alice.open(own.as_str()).expect(200);
    alice.is_served_as("alice");
}

#[test]
fn a_session_that_has_ended_brings_nothing() {
    let lab = Lab::start(2);
    let alice = lab.browser("alice");
    alice.sign_in().expect(200);
    alice.post("/_janua/sign-out", "").expect(200);
    let asked = lab.launches();
    let told = alice.log_in("alice").expect(400);
    assert!(told.text().contains("sign_in_stale"), "{}", told.text());
    assert_eq!((lab.launches(), lab.moodle.site().made), (asked, 0));
    // The next login at Moodle leads where the person wants to go.
    assert_eq!(alice.cookies("tool_mobile_launch"), [""; 0]);
}

#[test]
fn somebody_else_again_and_again_is_told_at_last() {
    for type_of_login in [1, 2] {
        let lab = Lab::start(type_of_login);
        let alice = lab.browser("alice");
        alice.sign_in().expect(200);
        let mut pressed = 0;
        loop {
            let page = alice.log_in("bob").expect(403).text();
            assert!(page.contains("Somebody else is signed in at Moodle"), "{page}");
            if !page.contains("<form") {
                break;
            }
            pressed += 1;
            assert!(pressed < 4, "round in circles");
            let form = format!("visit={}", visit(&page));
            alice.post("/_janua/moodle/campus/again", &form).expect(200);
        }
        assert!(pressed >= 2, "{pressed}");
        alice.call().refused(401, "moodle_sign_in_required");
        lab.keeps_its_tokens();
    }
}

#[test]
fn what_a_cas_server_says_to_such_a_moodle_reaches_it() {
    let lab = Lab::start(2);
    let told = Request::new("POST", "/login/index.php?authCAS=CAS")
        .host(&lab.gateway.http().to_string())
        .header("Content-Type", "application/x-www-form-urlencoded");
    let logout = "logoutRequest=%3Csamlp%3ALogoutRequest+xmlns%3Asamlp%3D%22urn%3Aoasis%3Anames%3Atc%3ASAML%3A2.0%3Aprotocol%22+\
                  ID%3D%22x%22%3E%3Csamlp%3ASessionIndex%3EST-1%3C%2Fsamlp%3ASessionIndex%3E%3C%2Fsamlp%3ALogoutRequest%3E";
    lab.gateway.send(told.body(logout)).expect(200);
    let requests = lab.moodle.site().requests.clone();
    assert!(requests.iter().any(|(_, _, body)| body == logout), "{requests:?}");
    // And nobody can begin a visit at the wrong place.
    let no = |target: &str, status| {
        lab.gateway
            .send(Request::get(target).host(&lab.gateway.http().to_string()))
            .expect(status)
    };
    no("/_janua/moodle/campus/start?state=x", 400);
    no("/_janua/moodle/campus/again", 405);
    no("/_janua/moodle/other/start?state=x", 404);
    assert_eq!(
        lab.browser("alice").call().expect(401).json()["reason"],
        "no_credentials",
        "{SITE_INFO}"
    );
}
