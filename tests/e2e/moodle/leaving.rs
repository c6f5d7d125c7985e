//! Who signs out leaves no session behind in Moodle, and with `drop_at_logout` no token here, whatever ends the session.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::launch::lab::{Lab, ROUTES};
use super::school::{Browser, SITE_INFO, School, script};
use super::sources::FACADE;
use crate::support::cas::{Person, query};
use crate::support::held::Held;
use crate::support::http::Response;
use crate::support::oidc::double::session_of;
use crate::support::{Config, Connection, Gateway, Request, Site, Valkey, eventually};

const TOKEN: &str = "/login/token.php";
const LAUNCH: &str = "/admin/tool/mobile/launch.php";
const LOGOUT: &str = "/login/logout.php";

fn with(tokens: &str) -> String {
    format!("{tokens}\ndrop_at_logout = true")
}

/// Signs in at the gateway alone.
fn signs_in(browser: &Browser<'_>, person: &Person<'_>) {
    browser
        .open(person, "/_janua/sign-in?with=campus&return=/_janua/me")
        .expect(200);
}

fn signs_out(browser: &Browser<'_>) -> Response {
    browser.send(script(Request::new("POST", "/_janua/sign-out")).body(""))
}

/// What the CAS server says of a session that began with the ticket by which the browser came to this path.
fn logout_request(browser: &Browser<'_>, path: &str) -> String {
    let visited = browser.visited.lock().unwrap();
    let came = visited
        .iter()
        .rfind(|url| url.path() == path && url.query().unwrap_or_default().contains("ticket="));
    let came = came.unwrap_or_else(|| panic!("nobody came to {path} with a ticket"));
    let ticket = came
        .query_pairs()
        .find(|(name, _)| name == "ticket")
        .unwrap()
        .1
        .into_owned();
    let recorded = include_str!("../../recorded/cas/logout-request.xml");
    let (before, after) = recorded.split_once("<samlp:SessionIndex>").unwrap();
    let (_, after) = after.split_once('<').unwrap();
    query(&[(
        "logoutRequest",
        &format!("{before}<samlp:SessionIndex>{ticket}<{after}"),
    )])
}

fn post(school: &School, target: &str, form: String) -> Response {
    school.gateway.send(
        Request::new("POST", target)
            .host(&school.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(form),
    )
}

type Way = (&'static str, fn(&School, &Browser<'_>));

const CALLBACK: &str = "/_janua/cas/campus/callback";
const LANDING: &str = "/login/index.php";

const WAYS: [Way; 4] = [
    ("the sign-out", |_, browser| drop(signs_out(browser).expect(200))),
    ("the back channel", |school, browser| {
        post(school, CALLBACK, logout_request(browser, CALLBACK)).expect(200);
    }),
    ("the back channel, at Moodle's login address", |school, browser| {
        let form = logout_request(browser, LANDING);
        post(school, "/login/index.php?authCAS=CAS", form).expect(200);
    }),
    ("the front channel", |school, browser| {
        let form = logout_request(browser, CALLBACK);
        let host = school.gateway.http().to_string();
        school
            .gateway
            .send(Request::get(&format!("{CALLBACK}?{form}&callback=done")).host(&host))
            .expect(200);
    }),
];

#[test]
fn every_end_of_a_session_ends_the_one_in_moodle_and_drops_the_token() {
    for (name, end) in WAYS {
        let Some(school) = School::start(&with("[\"cas-launch\"]")) else {
            return;
        };
        let (alice, browser) = (school.cas.person("alice"), school.browser());
        browser.sign_in(&alice).expect(200);
        browser.call(SITE_INFO).expect(200);
        assert_eq!(school.moodle.site().sessions_of("alice"), 1, "{name}");
        end(&school, &browser);
        browser.call(SITE_INFO).refused(401, "no_credentials");
        eventually("the session in Moodle is over", || {
            (school.moodle.site().sessions_of("alice") == 0).then_some(())
        });
        eventually("that is counted", || {
            let ok = "janua_moodle_sessions_ended_total{moodle=\"campus\",outcome=\"ok\"}";
            (school.gateway.metric(ok) == Some(1.0)).then_some(())
        });
        assert_eq!(
            school.gateway.metric_sum("janua_moodle_tokens_dropped_total"),
            1.0,
            "{name}"
        );
        // Nothing is left of which a token could be made without the browser.
        let again = school.browser();
        signs_in(&again, &alice);
        again.call(SITE_INFO).refused(401, "moodle_sign_in_required");
        school.keeps_its_secrets();
    }
}

#[test]
fn without_drop_at_logout_the_token_outlives_the_sign_out() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    browser.sign_in(&alice).expect(200);
    browser.call(SITE_INFO).expect(200);
    signs_out(&browser).expect(200);
    eventually("the session in Moodle is over", || {
        (school.moodle.site().sessions_of("alice") == 0).then_some(())
    });
    let again = school.browser();
    signs_in(&again, &alice);
    again.call(SITE_INFO).expect(200);
    assert_eq!(school.moodle.site().asked(LAUNCH), 1);
    assert_eq!(school.gateway.metric_sum("janua_moodle_tokens_dropped_total"), 0.0);
}

#[test]
fn logouts_of_an_openid_provider_drop_the_token() {
    const LINES: &str = "drop_at_logout = true";
    const OF_THE_PERSON: fn(&Lab) = |lab| {
        let token = lab.idp.logout_token("alice", &json!({ "sid": null }));
        tell(lab, &token).expect(200);
    };
    const OF_ONE_SESSION: fn(&Lab) = |lab| {
        let token = lab.idp.logout_token("alice", &json!({ "sub": null }));
        tell(lab, &token).expect(200);
    };
    const FRAME: fn(&Lab) = |lab| {
        let pairs = query(&[("iss", &lab.idp.issuer()), ("sid", &session_of("alice"))]);
        let frame = Request::get(&format!("/_janua/oidc/campus/frontchannel-logout?{pairs}"))
            .host(&lab.gateway.http().to_string())
            .header("Sec-Fetch-Site", "cross-site")
            .header("Sec-Fetch-Mode", "navigate")
            .header("Sec-Fetch-Dest", "iframe");
        lab.gateway.send(frame).expect(200);
    };
    for end in [OF_THE_PERSON, OF_ONE_SESSION, FRAME] {
        let lab = Lab::planned(2, LINES, "front_channel_logout = true\n", ("", ROUTES));
        let (alice, bob) = (lab.browser("alice"), lab.browser("bob"));
        for (browser, name) in [(&alice, "alice"), (&bob, "bob")] {
            browser.sign_in().expect(200);
            browser.log_in(name).expect(200);
            browser.is_served_as(name);
        }
        end(&lab);
        alice.call().refused(401, "no_credentials");
        assert_eq!(lab.gateway.metric_sum("janua_moodle_tokens_dropped_total"), 1.0);
        // In another session of the provider's, of another second.
        lab.idp.behave().claims = json!({ "sid": "another" });
        let again = lab.browser("alice");
        eventually("she is signed in again", || {
            let back = again.open("/_janua/sign-in?with=campus&return=/_janua/me");
            (back.status == 200).then_some(())
        });
        again.call().refused(401, "moodle_sign_in_required");
        bob.is_served_as("bob");
        lab.keeps_its_tokens();
    }
}

/// As the provider's server posts it.
fn tell(lab: &Lab, token: &str) -> Response {
    lab.gateway.send(
        Request::new("POST", "/_janua/oidc/campus/backchannel-logout")
            .host(&lab.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(query(&[("logout_token", token)])),
    )
}

#[test]
fn other_sessions_of_the_person_get_another_token_and_other_people_keep_theirs() {
    let Some(school) = School::start(&with(FACADE)) else {
        return;
    };
    let (alice, bob) = (school.cas.person("alice"), school.cas.person("bob"));
    let [one, two, bobs] = [(); 3].map(|()| school.browser());
    signs_in(&one, &alice);
    signs_in(&two, &alice);
    signs_in(&bobs, &bob);
    for browser in [&one, &two, &bobs] {
        browser.call(SITE_INFO).expect(200);
    }
    let asked = || {
        school
            .moodle
            .site()
            .requests
            .iter()
            .filter(|(_, target, _)| target.contains("ticket="))
            .count()
    };
    assert_eq!(asked(), 2);
    signs_out(&one).expect(200);
    assert_eq!(bobs.call(SITE_INFO).expect(200).json()["username"], "bob");
    assert_eq!(asked(), 2);
    assert_eq!(two.call(SITE_INFO).expect(200).json()["username"], "alice");
    assert_eq!(asked(), 3);
    two.call(SITE_INFO).expect(200);
    assert_eq!(asked(), 3, "it is kept again");
    school.keeps_its_secrets();
}

#[test]
fn a_call_that_is_under_way_brings_no_dropped_token_back() {
    let Some(school) = School::start(&with(FACADE)) else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    signs_in(&browser, &alice);
    // Moodle has made the token, and does not say yet whose it is.
    let held = Arc::new(Held::for_at_most(Duration::from_secs(20)));
    school.moodle.site().holds_at = Some(("/webservice/rest/server.php", Arc::clone(&held)));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| browser_call(&school, &browser.cookies()));
        held.holds(1);
        signs_out(&browser).expect(200);
        held.let_go();
        // Who was signed in when it called is answered.
        assert_eq!(call.join().unwrap().expect(200).json()["username"], "alice");
    });
    let again = school.browser();
    signs_in(&again, &alice);
    again.call(SITE_INFO).expect(200);
    // Each is two requests, and the second one was made in spite of the first.
    assert_eq!(school.moodle.site().asked(TOKEN), 4);
    again.call(SITE_INFO).expect(200);
    assert_eq!(school.moodle.site().asked(TOKEN), 4);
    school.keeps_its_secrets();
}

fn browser_call(school: &School, cookies: &str) -> Response {
    let host = school.gateway.http().to_string();
    let call = script(Request::get(SITE_INFO)).host(&host).header("Cookie", cookies);
    school.gateway.send(call)
}

#[test]
fn a_browser_that_lands_when_its_session_is_over_brings_nothing() {
    let Some(school) = School::start(&with("[\"cas-launch\"]")) else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    signs_in(&browser, &alice);
    let held = Arc::new(Held::for_at_most(Duration::from_secs(20)));
    school.moodle.site().holds_launch = Some(Arc::clone(&held));
    let at_cas = browser.depart("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me");
    let landing = alice.sign_in(at_cas.as_str());
    std::thread::scope(|scope| {
        let lands = scope.spawn(|| browser.step(&landing, "cross-site"));
        held.holds(1);
        let host = school.gateway.http().to_string();
        let out = script(Request::new("POST", "/_janua/sign-out")).host(&host);
        school
            .gateway
            .send(out.header("Cookie", &browser.cookies()).body(""))
            .expect(200);
        held.let_go();
        assert!(lands.join().unwrap().status >= 400);
    });
    eventually("the session in Moodle is over", || {
        (school.moodle.site().sessions_of("alice") == 0).then_some(())
    });
    let again = school.browser();
    signs_in(&again, &alice);
    again.call(SITE_INFO).refused(401, "moodle_sign_in_required");
    school.keeps_its_secrets();
}

#[test]
fn a_session_in_moodle_that_makes_no_token_is_not_left_there() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, browser) = (school.cas.person("alice"), school.browser());
    let open = |on: bool| school.moodle.site().accounts.get_mut("alice").unwrap().policy_open = on;
    let is_over = || {
        eventually("the session in Moodle is over", || {
            (school.moodle.site().sessions_of("alice") == 0).then_some(())
        });
    };
    open(true);
    browser
        .open(&alice, "/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
        .expect(403);
    is_over();
    open(false);
    eventually("the browser is sent for a ticket", || {
        (browser.call(SITE_INFO).status == 401).then_some(())
    });
    browser.sign_in(&alice).expect(200);
    assert_eq!(school.moodle.site().sessions_of("alice"), 1);
    // The kept one makes tokens no more.
    school.moodle.site().wants_policy("alice");
    school.moodle.site().tokens.clear();
    browser.call(SITE_INFO).refused(403, "moodle_policy_not_agreed");
    is_over();
    school.keeps_its_secrets();
}

#[test]
fn a_moodle_that_is_slow_to_end_sessions_keeps_nobody() {
    let Some(school) = School::start("[\"cas-launch\"]") else {
        return;
    };
    let (alice, bob) = (school.cas.person("alice"), school.cas.person("bob"));
    let bobs = school.browser();
    bobs.sign_in(&bob).expect(200);
    let held = Arc::new(Held::for_at_most(Duration::from_secs(25)));
    let mine: Vec<_> = (0..3).map(|_| school.browser()).collect();
    for browser in &mine {
        signs_in(browser, &alice);
        // So that each of her browsers has a session in Moodle.
        school.moodle.site().tokens.clear();
        browser
            .open(&alice, "/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
            .expect(200);
    }
    assert_eq!(school.moodle.site().sessions_of("alice"), mine.len());
    school.moodle.site().holds_at = Some((LOGOUT, Arc::clone(&held)));
    for browser in &mine {
        signs_out(browser).expect(200);
    }
    held.holds(1);
    assert_eq!(bobs.call(SITE_INFO).expect(200).json()["username"], "bob");
    // What one person leaves behind is ended one after the other; others do not wait for it.
    signs_out(&bobs).expect(200);
    held.holds(2);
    assert_eq!(school.moodle.site().sessions_of("alice"), mine.len());
    held.let_go();
    eventually("all are over", || {
        let site = school.moodle.site();
        (site.sessions_of("alice") + site.sessions_of("bob") == 0).then_some(())
    });
    assert_eq!(held.most(), 2);
}

/// 32 bytes, the same for both.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

#[test]
fn who_signs_out_at_one_replica_is_forgotten_at_all() {
    let Some(valkey) = Valkey::start() else { return };
    let site = Site::new();
    let key = site.write("master.key", MASTER_KEY);
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"));
    let Some(school) = School::at(&site, config, &with("[\"cas-launch\", \"vault\"]")) else {
        return;
    };
    let other = school.replica();
    let (alice, browser, second) = (school.cas.person("alice"), school.browser(), school.browser());
    browser.sign_in(&alice).expect(200);
    signs_in(&second, &alice);
    let host = school.gateway.http().to_string();
    let at = |gateway: &Gateway, request: Request, browser: &Browser<'_>| {
        let request = script(request).host(&host).header("Cookie", &browser.cookies());
        Connection::open(gateway.http()).exchange(request.header("Connection", "close"))
    };
    // Both remember the token.
    for gateway in [&school.gateway, &other] {
        at(gateway, Request::get(SITE_INFO), &second).expect(200);
    }
    at(&other, Request::new("POST", "/_janua/sign-out").body(""), &browser).expect(200);
    for gateway in [&other, &school.gateway] {
        eventually("the token is forgotten", || {
            let told = at(gateway, Request::get(SITE_INFO), &second);
            (told.status == 401).then_some(())
        });
    }
    eventually("the session in Moodle is over", || {
        (school.moodle.site().sessions_of("alice") == 0).then_some(())
    });
    // One of them has ended it.
    assert_eq!(school.moodle.site().asked(LOGOUT), 2);
    school.keeps_its_secrets();
}
