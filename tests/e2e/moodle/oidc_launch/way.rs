//! The way there and back, and what Moodle wants on it.

use super::{BOTH, Plugin, VISIT, asked, lab, said, signed_in, to_provider, with};
use crate::moodle::launch::lab::{Lab, ROUTES};
use crate::moodle::school::FILE;

#[test]
fn a_person_gets_a_token_and_the_browser_no_session_in_moodle() {
    for plugin in BOTH {
        let lab = lab(plugin);
        let alice = signed_in(&lab, "alice");
        let to = to_provider(&alice);
        // Nothing is shown there, and the answer comes by a GET.
        assert_eq!(said(&to, "prompt").as_deref(), Some("none"), "{to}");
        assert_ne!(said(&to, "response_mode").as_deref(), Some("form_post"), "{to}");
        let back = lab.back_to_moodle(&to, "alice");
        assert_eq!(back.path(), plugin.callback());
        alice.open(back.as_str()).expect(200);
        assert_eq!(alice.last().path(), "/_janua/me");
        alice.is_served_as("alice");
        assert_eq!(lab.counted_of("oidc-launch", "ok"), 1.0);
        for cookie in ["MoodleSession", "tool_mobile_launch", VISIT] {
            assert_eq!(alice.cookies(cookie), [""; 0], "{cookie}");
        }
        assert_eq!(
            asked(&lab, plugin.callback()),
            if plugin == Plugin::Oidc { 2 } else { 1 }
        );
        lab.keeps_its_tokens();
    }
}

#[test]
fn the_provider_is_told_whom_it_is_to_sign_in_by_a_name_that_it_may_know() {
    let hint = |sign_in: &str| {
        let lab = Lab::signing_in(sign_in, "[\"oidc-launch\"]", 1, "", "", ROUTES);
        lab.moodle.site().settings.auth_oauth2 = true;
        let alice = signed_in(&lab, "alice");
        said(&to_provider(&alice), "login_hint")
    };
    assert_eq!(hint("username = \"preferred_username\"").as_deref(), Some("a.liddell"));
    // A subject may be made up for this client alone.
    assert_eq!(hint(""), None);
}

#[test]
fn an_app_needs_no_more_than_to_open_sign_in() {
    for plugin in BOTH {
        let lab = lab(plugin);
        let alice = lab.browser("alice");
        alice.sign_in().expect(200);
        assert_eq!(alice.last().path(), "/_janua/me");
        alice.is_served_as("alice");
    }
}

#[test]
fn the_kept_session_makes_the_next_token_without_the_browser() {
    for plugin in BOTH {
        let lab = lab(plugin);
        let alice = signed_in(&lab, "alice");
        alice.sign_in().expect(200);
        alice.is_served_as("alice");
        let logins = asked(&lab, plugin.callback());
        lab.moodle.site().tokens.clear();
        alice.is_served_as("alice");
        assert_eq!(asked(&lab, plugin.callback()), logins);
        assert_eq!((lab.moodle.site().made, lab.counted_of("oidc-launch", "ok")), (2, 2.0));
        // It goes with the session here.
        alice.post("/_janua/sign-out", "").expect(200);
        lab.moodle.site().tokens.clear();
        let alice = signed_in(&lab, "alice");
        assert_eq!(alice.call().expect(401).json()["reason"], "moodle_sign_in_required");
        lab.keeps_its_tokens();
    }
}

#[test]
fn of_several_logins_the_one_that_is_written_is_taken() {
    for (lines, id) in [
        ("oidc_launch = { issuer_id = 7 }", Some("id=7")),
        ("oidc_launch = { plugin = \"auth_oidc\" }", None),
    ] {
        let lab = with(Plugin::OAuth2, "[\"oidc-launch\"]", lines);
        {
            let settings = &mut lab.moodle.site().settings;
            settings.oauth2_ids = vec![1, 7];
            settings.auth_oidc = true;
        }
        let alice = signed_in(&lab, "alice");
        let state = said(&to_provider(&alice), "state").unwrap();
        match id {
            Some(id) => assert!(state.ends_with(id), "{state}"),
            None => assert!(state.starts_with("state-"), "{state}"),
        }
        // Moodle need not be asked which there are.
        assert_eq!(asked(&lab, "/lib/ajax/service-nologin.php"), 0);
        alice.sign_in().expect(200);
        alice.is_served_as("alice");
    }
    // Nobody guesses.
    let lab = lab(Plugin::OAuth2);
    lab.moodle.site().settings.oauth2_ids = vec![1, 7];
    let alice = signed_in(&lab, "alice");
    assert!(alice.sign_in().expect(502).text().contains("upstream_failed"));
    lab.gateway.logged(&["no token", "several logins", "issuer_id"]);
}

#[test]
fn what_moodle_says_to_the_provider_itself_stays() {
    let lab = lab(Plugin::OAuth2);
    lab.moodle.site().settings.login_params = "&prompt=select_account&domain_hint=a%20b".to_owned();
    let alice = signed_in(&lab, "alice");
    let to = to_provider(&alice);
    let prompts = to.query_pairs().filter(|(name, _)| name == "prompt");
    assert_eq!(prompts.count(), 1);
    assert!(to.as_str().contains("&prompt=select_account&domain_hint=a%20b"), "{to}");
}

#[test]
fn two_tabs_come_each_to_their_own_end() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let tabs: Vec<_> = (0..2)
        .map(|tab| {
            let mut to = format!("{FILE}?tab={tab}");
            while !to.contains(crate::support::moodle::provider::CLIENT) {
                to = alice.step(&to).expect(303).header("location").unwrap().to_owned();
            }
            (tab, to.parse().unwrap())
        })
        .collect();
    assert_eq!(alice.cookies(VISIT).len(), 2);
    for (tab, to) in tabs.iter().rev() {
        let back = lab.back_to_moodle(to, "alice");
        alice.open(back.as_str()).expect(404);
        assert_eq!(alice.last().query(), Some(&*format!("tab={tab}")));
    }
    assert_eq!(alice.cookies(VISIT), [""; 0]);
    assert_eq!((lab.moodle.site().made, lab.counted_of("oidc-launch", "ok")), (1, 2.0));
}

#[test]
fn of_many_tabs_that_nobody_ends_some_are_kept() {
    let lab = with(Plugin::OAuth2, "[\"oidc-launch\", \"launch\"]", "");
    let alice = signed_in(&lab, "alice");
    for _ in 0..20 {
        to_provider(&alice);
    }
    // By the other source's, too.
    *lab.provider_says.lock().unwrap() = Some(Err("login_required"));
    for _ in 0..6 {
        alice.sign_in();
    }
    let kept = alice.cookies(VISIT).len();
    assert!((2..=12).contains(&kept), "{kept}");
    let cookies = alice.cookies.lock().unwrap().clone();
    let bytes: usize = cookies
        .iter()
        .filter(|(name, _)| name.starts_with(VISIT))
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(bytes <= 4 << 10, "{bytes}");
}

#[test]
fn whom_moodle_asks_something_goes_through_launch_php_if_that_is_named() {
    type Case = (fn(&mut crate::support::moodle::Site), &'static str, &'static str);
    let cases: [Case; 4] = [
        (
            |site| site.accounts.get_mut("alice").unwrap().policy_open = true,
            "moodle_policy_not_agreed",
            "/user/policy.php",
        ),
        (
            |site| site.settings.mfa = true,
            "moodle_second_factor",
            "/admin/tool/mfa/auth.php",
        ),
        (
            |site| site.accounts.get_mut("alice").unwrap().new_password = true,
            "moodle_password_change",
            "/login/change_password.php",
        ),
        (
            |site| site.settings.require_confirmation = true,
            "moodle_visit_required",
            "",
        ),
    ];
    for (change, reason, page) in cases {
        let alone = lab(Plugin::OAuth2);
        change(&mut alone.moodle.site());
        let alice = signed_in(&alone, "alice");
        let told = alice.sign_in().text();
        assert!(told.contains(reason), "{reason}: {told}");
        assert!(told.contains(&format!("{}/my/", alone.origin)), "{told}");
        assert_eq!(alice.cookies("MoodleSession"), [""; 0]);
        if page.is_empty() {
            continue;
        }
        let lab = with(Plugin::OAuth2, "[\"oidc-launch\", \"launch\"]", "");
        change(&mut lab.moodle.site());
        let alice = signed_in(&lab, "alice");
        alice.sign_in().expect(200);
        assert_eq!(alice.last().path(), "/login/index.php", "{reason}");
        alice.log_in("alice").expect(200);
        assert_eq!(alice.last().path(), page);
        alice.post(page, "done=1").expect(200);
        assert_eq!(alice.last().path(), "/_janua/me", "after {page}");
        alice.is_served_as("alice");
        assert_eq!(lab.counted("ok"), 1.0);
    }
}

#[test]
fn an_error_of_the_provider_ends_in_launch_or_in_a_refusal() {
    for (error, outcome) in [
        ("login_required", "not_quietly"),
        ("consent_required", "not_quietly"),
        ("access_denied", "provider_refused"),
        ("<script>", "provider_refused"),
    ] {
        let alone = lab(Plugin::OAuth2);
        let alice = signed_in(&alone, "alice");
        *alone.provider_says.lock().unwrap() = Some(Err(error));
        let told = alice.sign_in().expect(403).text();
        assert!(told.contains("no_moodle_token") && !told.contains("<script>"), "{told}");
        assert_eq!(told.contains("sign in again"), outcome == "not_quietly", "{told}");
        assert_eq!(alone.counted_of("oidc-launch", outcome), 1.0, "{error}");
        assert_eq!(asked(&alone, super::OAUTH2_CALLBACK), 0, "Moodle was asked");
        // The next time it may be known there.
        *alone.provider_says.lock().unwrap() = None;
        alice.sign_in().expect(200);
        alice.is_served_as("alice");

        let lab = with(Plugin::OAuth2, "[\"oidc-launch\", \"launch\"]", "");
        let alice = signed_in(&lab, "alice");
        *lab.provider_says.lock().unwrap() = Some(Err(error));
        alice.sign_in().expect(200);
        assert_eq!(alice.last().path(), "/login/index.php");
        alice.log_in("alice").expect(200);
        alice.is_served_as("alice");
    }
}

#[test]
fn the_browser_itself_goes_through_launch_php_by_the_same_provider() {
    let lab = with(Plugin::OAuth2, "[\"oidc-launch\", \"launch\"]", "");
    let alice = signed_in(&lab, "alice");
    *lab.provider_says.lock().unwrap() = Some(Err("login_required"));
    let page = alice.sign_in().expect(200).text();
    assert_eq!(alice.last().path(), "/login/index.php");
    // On the login page she chooses the provider, which asks her now.
    *lab.provider_says.lock().unwrap() = None;
    let (_, rest) = page.split_once("<a href=\"").unwrap();
    alice.open(rest.split('"').next().unwrap()).expect(200);
    assert_eq!(alice.last().path(), "/_janua/me");
    alice.is_served_as("alice");
    assert_eq!((asked(&lab, super::OAUTH2_CALLBACK), lab.counted("ok")), (1, 1.0));
}

#[test]
fn what_an_explanation_tells_of_it() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let config = lab.gateway.site.path("gateway.toml");
    let explain = |url: &str, more: &[&str]| {
        let cookies = alice.cookies.lock().unwrap().clone();
        let all: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie = format!("Cookie: {}", all.join("; "));
        let mut words = vec!["explain", "--config", config.to_str().unwrap(), "--live", "GET", url];
        for header in [&[cookie.as_str()], more].concat() {
            words.extend(["--header", header]);
        }
        crate::support::tools::janua(words).stdout
    };
    let script = [
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Dest: empty",
        "Sec-Fetch-Site: same-origin",
        "X-Requested-With: fetch",
    ];
    let before = lab.moodle.site().requests.len();
    let words = explain(&format!("{}{}", lab.origin, crate::moodle::school::SITE_INFO), &script);
    assert!(
        words.contains("oidc-launch: the browser would be sent to the provider"),
        "{words}"
    );
    assert_eq!(lab.moodle.site().requests.len(), before, "Moodle was asked");
    let to = to_provider(&alice);
    let start = alice.last();
    let begun = asked(&lab, "/admin/tool/mobile/launch.php");
    explain(start.as_str(), &[]);
    let back = lab.back_to_moodle(&to, "alice");
    let words = explain(back.as_str(), &[]);
    assert!(words.contains("a token is obtained by the code"), "{words}");
    let code = said(&back, "code").unwrap();
    assert!(!words.contains(&code), "{words}");
    assert_eq!(asked(&lab, "/admin/tool/mobile/launch.php"), begun, "a login was begun");
    alice.open(back.as_str()).expect(200);
    let words = explain(back.as_str(), &[]);
    assert!(words.contains("sign_in_stale"), "{words}");
}
