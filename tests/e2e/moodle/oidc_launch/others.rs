//! Whose way it is not: somebody else's account, another browser, another state, a person's own login at Moodle.

use super::{BOTH, OAUTH2_CALLBACK, Plugin, VISIT, asked, lab, said, signed_in, to_provider, with};

#[test]
fn somebody_else_at_the_provider_is_refused_and_nothing_kept() {
    for plugin in BOTH {
        // Another source might ask who it is, but nobody is asked to be somebody else.
        let lab = with(plugin, "[\"oidc-launch\", \"launch\"]", "");
        let alice = signed_in(&lab, "alice");
        *lab.provider_says.lock().unwrap() = Some(Ok("bob"));
        let told = alice.sign_in().expect(403);
        for text in ["no_moodle_token", "Somebody else is signed in at the sign-in server"] {
            assert!(told.text().contains(text), "{}", told.text());
        }
        assert_eq!(lab.counted_of("oidc-launch", "other_account"), 1.0);
        // Of neither: no token, and no session in Moodle that would make one.
        let bob = signed_in(&lab, "bob");
        assert_eq!(bob.call().expect(401).json()["reason"], "moodle_sign_in_required");
        *lab.provider_says.lock().unwrap() = None;
        alice
            .open("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
            .expect(200);
        alice.is_served_as("alice");
        lab.keeps_its_tokens();
    }
}

#[test]
fn whoever_never_gets_a_token_is_sent_nowhere() {
    let lab = with(Plugin::OAuth2, "[\"oidc-launch\"]", "never = [\"alice\"]");
    let alice = lab.browser("alice");
    alice
        .open("/_janua/sign-in?with=campus&moodle=campus&return=/_janua/me")
        .expect(200);
    alice.call().refused(403, "no_moodle_token");
    assert_eq!((asked(&lab, "/auth/oauth2/login.php"), lab.moodle.site().made), (0, 0));
}

#[test]
fn a_callback_is_good_once_and_in_one_browser() {
    for plugin in BOTH {
        let lab = lab(plugin);
        let (alice, bob) = (signed_in(&lab, "alice"), signed_in(&lab, "bob"));
        let (hers, his) = (to_provider(&alice), to_provider(&bob));
        let back = lab.back_to_moodle(&hers, "alice");
        let before = asked(&lab, plugin.callback());
        // Bob's own way under way gives him nothing of hers: not by its name either.
        let own = bob
            .cookies
            .lock()
            .unwrap()
            .iter()
            .find(|(name, _)| name.starts_with(VISIT))
            .cloned();
        let (_, own) = own.unwrap();
        let name = alice.cookies(VISIT).remove(0);
        bob.cookies.lock().unwrap().push((name.clone(), own));
        let told = bob.step(back.as_str());
        match plugin {
            Plugin::OAuth2 => {
                assert!(told.expect(400).text().contains("sign_in_stale"));
                assert_eq!(asked(&lab, plugin.callback()), before, "Moodle was asked");
            }
            // Moodle takes this state of whoever brings it: Bob is logged in as Alice there, if he has her code.
            Plugin::Oidc => drop(told.expect(303)),
        }
        bob.cookies.lock().unwrap().retain(|(known, _)| *known != name);
        bob.call().refused(401, "moodle_sign_in_required");
        bob.open(lab.back_to_moodle(&his, "bob").as_str()).expect(200);
        bob.is_served_as("bob");
        if plugin == Plugin::OAuth2 {
            let sent = alice.cookies.lock().unwrap().clone();
            alice.open(back.as_str()).expect(200);
            alice.is_served_as("alice");
            let before = lab.moodle.site().requests.len();
            let told = alice.step(back.as_str()).expect(400).text();
            assert!(told.contains("sign_in_stale") && told.contains("/my/"), "{told}");
            // With the cookie that was taken away, as where it was loaded twice at once: where the first load led.
            *alice.cookies.lock().unwrap() = sent;
            let told = alice.step(back.as_str()).expect(303);
            assert_eq!(told.header("location"), Some(&*format!("{}/_janua/me", lab.origin)));
            assert_eq!(lab.moodle.site().requests.len(), before, "Moodle was asked");
            alice.is_served_as("alice");
        }
        lab.keeps_its_tokens();
    }
}

#[test]
fn her_code_in_his_way_brings_him_nothing() {
    for plugin in BOTH {
        let lab = lab(plugin);
        let bob = signed_in(&lab, "bob");
        let his = to_provider(&bob);
        // His state, and a code that was given in her browser.
        let back = lab.back_to_moodle(&his, "alice");
        bob.step(back.as_str()).expect(403);
        assert_eq!(lab.counted_of("oidc-launch", "other_account"), 1.0);
        let told = bob.call();
        assert!([401, 403].contains(&told.status), "{}", told.text());
    }
}

#[test]
fn a_login_of_ones_own_at_moodle_is_untouched() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    // A way of the gateway's is under way in the same browser.
    let to = to_provider(&alice);
    let visit = alice.cookies(VISIT);
    let page = alice.step("/login/index.php").expect(200).text();
    let (_, rest) = page.split_once("<a href=\"").unwrap();
    let link = rest.split('"').next().unwrap();
    let own = alice.step(link).expect(303).header("location").unwrap().to_owned();
    let own: url::Url = own.parse().unwrap();
    assert_eq!(said(&own, "prompt"), None);
    // As somebody else, even: what Moodle makes of it is Moodle's.
    let back = lab.back_to_moodle(&own, "bob");
    let page = alice.open(back.as_str()).expect(200);
    assert_eq!((alice.last().path(), asked(&lab, OAUTH2_CALLBACK)), ("/my/", 1));
    assert!(page.text().contains("of bob"), "{}", page.text());
    assert_eq!(alice.cookies(VISIT), visit);
    // And the gateway's comes to its end, and leaves that session as it is.
    alice.open(lab.back_to_moodle(&to, "alice").as_str()).expect(200);
    alice.is_served_as("alice");
    assert!(alice.step("/my/").expect(200).text().contains("of bob"));
}

#[test]
fn a_foreign_state_is_moodles() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let back = lab.back_to_moodle(&to_provider(&alice), "alice");
    let state = said(&back, "state").unwrap();
    for (number, query) in [
        "code=x&state=abc".to_owned(),
        "code=x".to_owned(),
        format!("code=x&state={}x", &state[..20]),
        format!("code=x&state=abc&state={state}"),
    ]
    .iter()
    .enumerate()
    {
        let told = alice.step(&format!("{OAUTH2_CALLBACK}?{query}"));
        assert_eq!(asked(&lab, OAUTH2_CALLBACK), number + 1, "{query}: {}", told.text());
    }
    alice.open(back.as_str()).expect(200);
    alice.is_served_as("alice");
}

#[test]
fn a_session_that_has_ended_brings_nothing() {
    let lab = lab(Plugin::OAuth2);
    let alice = signed_in(&lab, "alice");
    let back = lab.back_to_moodle(&to_provider(&alice), "alice");
    alice.post("/_janua/sign-out", "").expect(200);
    let told = alice.step(back.as_str()).expect(400).text();
    assert!(told.contains("sign_in_stale"), "{told}");
    assert_eq!((asked(&lab, OAUTH2_CALLBACK), lab.moodle.site().made), (0, 0));
}
