//! Who signs out at the provider is signed out here: by the back channel, by the front channel, and by nobody else's word.

use serde_json::{Value, json};

use super::campus::{Campus, PAGE, callback, doubled, doubled_with, sign_in, start};
use crate::sign_in::campus::target;
use crate::support::cas::query;
use crate::support::http::Response;
use crate::support::oidc::double::{Endpoint, merge, session_of};
use crate::support::oidc::{CLIENT, hs256, unsigned};
use crate::support::{OidcDouble, Request, Signer, eventually, in_seconds, now};

/// As a provider's server posts it, which is no browser.
fn post(campus: &Campus<OidcDouble>, form: &str) -> Response {
    campus.gateway.send(
        Request::new("POST", &campus.endpoint("backchannel-logout"))
            .host(&campus.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Sec-Fetch-Mode", "cors")
            .header("User-Agent", "")
            .body(form),
    )
}

fn tell(campus: &Campus<OidcDouble>, token: &str) -> Response {
    post(campus, &query(&[("logout_token", token)]))
}

#[track_caller]
fn taken(answer: Response) {
    let answer = answer.expect(200);
    assert!(
        answer.header("cache-control").unwrap_or_default().contains("no-store"),
        "{answer:?}"
    );
}

#[track_caller]
fn not_taken(answer: Response) {
    let answer = answer.expect(400);
    assert_eq!(answer.json()["error"], "invalid_request");
    assert!(
        answer.header("cache-control").unwrap_or_default().contains("no-store"),
        "{answer:?}"
    );
}

#[test]
fn signing_out_at_the_provider_ends_the_session_here() {
    let Some(campus) = start() else { return };
    let (alice, bob) = (campus.provider.person("alice"), campus.provider.person("bob"));
    let (visitor, bobs, elsewhere) = (campus.visitor(), campus.visitor(), campus.visitor());
    sign_in(&visitor, &alice, PAGE).expect(303);
    sign_in(&bobs, &bob, PAGE).expect(303);
    // The same person at another computer, where nobody signs out.
    let again = campus.provider.person("alice");
    sign_in(&elsewhere, &again, PAGE).expect(303);
    assert!(visitor.is_signed_in());
    alice.sign_out();
    eventually("alice is signed out", || (!visitor.is_signed_in()).then_some(()));
    assert!(bobs.is_signed_in());
    assert!(elsewhere.is_signed_in(), "one session has ended, not the person");
}

#[test]
fn signing_out_at_the_provider_ends_what_every_tab_has_begun() {
    let Some(campus) = start() else { return };
    let (alice, visitor, other) = (campus.provider.person("alice"), campus.visitor(), campus.visitor());
    let first = callback(&visitor, &alice, PAGE);
    let second = callback(&visitor, &alice, "/app/second");
    let late = visitor.at(&campus.gateway);
    visitor.open(target(&first)).expect(303);
    late.open(target(&second)).expect(303);
    sign_in(&other, &alice, PAGE).expect(303);
    alice.sign_out();
    eventually("all have ended", || {
        let live = [&visitor, &late, &other].map(|visitor| visitor.is_signed_in());
        (live == [false; 3]).then_some(())
    });
}

#[test]
fn a_logout_token_ends_the_session_that_it_names() {
    let campus = doubled();
    let alices = campus.signs_in("alice");
    let bobs = campus.signs_in("bob");
    taken(tell(&campus, &campus.provider.logout_token("alice", &json!({}))));
    assert!(!alices.is_signed_in());
    assert!(bobs.is_signed_in());
}

/// Apereo's servers of version 6 do not say until when.
#[test]
fn a_logout_token_without_an_end_counts_while_it_is_new() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let token = campus.provider.logout_token("alice", &json!({ "exp": null }));
    taken(tell(&campus, &token));
    assert!(!visitor.is_signed_in());
    not_taken(tell(&campus, &token));
}

#[test]
fn a_session_that_nobody_has_ends_as_well() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let over = json!({ "sub": "nobody", "sid": "unknown" });
    taken(tell(&campus, &campus.provider.logout_token("alice", &over)));
    assert!(visitor.is_signed_in());
}

#[test]
fn a_logout_of_a_person_ends_all_their_sessions_and_one_of_a_session_that_one() {
    let campus = doubled();
    let named = |sid: &str| {
        campus.provider.behave().claims = json!({ "sid": sid });
        campus.signs_in("alice")
    };
    let (one, two, three) = (named("one"), named("two"), named("three"));
    let bobs = campus.signs_in("bob");
    taken(tell(
        &campus,
        &campus
            .provider
            .logout_token("alice", &json!({ "sub": null, "sid": "one" })),
    ));
    assert_eq!(
        [&one, &two, &three].map(|visitor| visitor.is_signed_in()),
        [false, true, true]
    );
    taken(tell(
        &campus,
        &campus.provider.logout_token("alice", &json!({ "sid": null })),
    ));
    assert_eq!([&two, &three].map(|visitor| visitor.is_signed_in()), [false, false]);
    assert!(bobs.is_signed_in());
}

/// OpenID Connect Back-Channel Logout 1.0 section 2.6.
#[test]
fn what_is_no_logout_token_ends_nothing() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let double = &campus.provider;
    for over in [
        json!({ "iss": "https://evil.test" }),
        json!({ "iss": format!("{}/", double.issuer()) }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": null }),
        json!({ "exp": now() - 3600 }),
        json!({ "exp": null, "iat": now() - 3600 }),
        json!({ "iat": null }),
        json!({ "iat": in_seconds(3600) }),
        json!({ "jti": null }),
        json!({ "events": null }),
        json!({ "events": {} }),
        json!({ "events": ["http://schemas.openid.net/event/backchannel-logout"] }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": true } }),
        json!({ "events": { "https://evil.test/event": {} } }),
        json!({ "sub": null, "sid": null }),
        // An ID token has it, a logout token must not.
        json!({ "nonce": "x" }),
    ] {
        not_taken(tell(&campus, &double.logout_token("alice", &over)));
        assert!(visitor.is_signed_in(), "{over}");
    }
}

#[test]
fn a_forged_logout_token_ends_nothing() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let double = &campus.provider;
    let claims = || double.logout_claims("alice");
    let header = json!({ "alg": "RS256", "typ": "logout+jwt", "kid": "rsa" });
    let key = double.behave().jwk().to_string();
    let evil = Signer::rs256().named("rsa");
    let whole = double.logout_token("alice", &json!({}));
    let (rest, signature) = whole.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    for token in [
        evil.sign(&header.to_string(), &claims().to_string()),
        unsigned(&json!({ "alg": "none", "typ": "logout+jwt" }), &claims()),
        unsigned(&header, &claims()),
        hs256(key.as_bytes(), &json!({ "alg": "HS256", "kid": "rsa" }), &claims()),
        format!("{rest}."),
        format!("{rest}.{other}{}", &signature[1..]),
        format!("{whole}.x"),
        "x".to_owned(),
        String::new(),
        "a.b.c".to_owned(),
        "A".repeat(100_000),
    ] {
        let answer = tell(&campus, &token);
        assert!([400, 413].contains(&answer.status), "{answer:?}");
        assert!(visitor.is_signed_in());
    }
    for form in ["", "logout_token", "other=x", "logout_token=x&logout_token=y"] {
        not_taken(post(&campus, form));
    }
    assert!(visitor.is_signed_in());
}

/// An ID token is signed by the same key and names the same session.
#[test]
fn an_id_token_ends_nothing() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let double = &campus.provider;
    let mut claims = double.logout_claims("alice");
    merge(
        &mut claims,
        &json!({ "events": null, "jti": null, "nonce": "x", "auth_time": now() }),
    );
    not_taken(tell(&campus, &double.signed(&json!({ "typ": "JWT" }), &claims)));
    merge(&mut claims, &json!({ "nonce": null }));
    not_taken(tell(&campus, &double.signed(&json!({}), &claims)));
    assert!(visitor.is_signed_in());
}

/// Apereo CAS says `JWT`, and others nothing.
#[test]
fn a_logout_token_is_known_by_what_it_says() {
    let campus = doubled();
    for header in [
        json!({ "typ": "JWT" }),
        json!({}),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "application/logout+jwt" }),
    ] {
        let sid = format!("session-{header}");
        campus.provider.behave().claims = json!({ "sid": sid });
        let visitor = campus.signs_in("alice");
        let mut claims = campus.provider.logout_claims("alice");
        merge(&mut claims, &json!({ "sid": sid }));
        taken(tell(&campus, &campus.provider.signed(&header, &claims)));
        assert!(!visitor.is_signed_in(), "{header}");
    }
}

#[test]
fn a_logout_token_counts_once() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let token = campus.provider.logout_token("alice", &json!({ "sid": null }));
    taken(tell(&campus, &token));
    assert!(!visitor.is_signed_in());
    // She comes back, and somebody who has read along sends it again.
    campus.provider.behave().claims = json!({ "sid": "another", "iat": now() + 1 });
    let again = campus.signs_in("alice");
    not_taken(tell(&campus, &token));
    assert!(again.is_signed_in());
}

/// The provider is quick, the browser is not.
#[test]
fn a_logout_before_the_session_is_stored_keeps_it_from_being_begun() {
    let campus = doubled();
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    taken(tell(&campus, &campus.provider.logout_token("alice", &json!({}))));
    campus.refuses(&visitor, &callback, "stale");
    // However late the code is redeemed.
    campus.provider.behave().claims = json!({ "iat": now() + 5 });
    campus.refuses_somebody("stale");
    // Another session of hers at the provider is another thing.
    campus.provider.behave().claims = json!({ "sid": "another" });
    campus.signs_in("alice");
}

#[test]
fn no_browser_is_needed_to_tell_and_a_get_goes_home() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    // Apereo CAS sends browsers there whose way back it does not know.
    let home = visitor.open(&format!(
        "{}?state=after&client_id={CLIENT}",
        campus.endpoint("backchannel-logout")
    ));
    assert!([302, 303].contains(&home.status), "{home:?}");
    let location = home.header("location").unwrap();
    assert!(
        [&*format!("{}/", campus.origin()), "/"].contains(&location),
        "{location}"
    );
    assert!(visitor.is_signed_in());
    // From another site: what counts is the signature.
    let answer = campus.gateway.send(
        Request::new("POST", &campus.endpoint("backchannel-logout"))
            .host(&campus.gateway.http().to_string())
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Origin", "https://evil.test")
            .header("Sec-Fetch-Site", "cross-site")
            .body(query(&[(
                "logout_token",
                &campus.provider.logout_token("alice", &json!({})),
            )])),
    );
    taken(answer);
    assert!(!visitor.is_signed_in());
}

#[test]
fn the_front_channel_ends_a_session_by_issuer_and_name() {
    let campus = doubled_with("front_channel_logout = true");
    let (visitor, bobs) = (campus.signs_in("alice"), campus.signs_in("bob"));
    let issuer = campus.provider.issuer();
    // As a frame on the provider's page, without cookies.
    let frame = |pairs: &[(&str, &str)]| {
        let address = format!("{}?{}", campus.endpoint("frontchannel-logout"), query(pairs));
        campus.visitor().send(
            Request::get(&address)
                .header("Sec-Fetch-Site", "cross-site")
                .header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Dest", "iframe"),
        )
    };
    let sid = session_of("alice");
    for pairs in [
        &[][..],
        &[("iss", &*issuer)],
        &[("sid", &*sid)],
        &[("iss", "https://evil.test"), ("sid", &*sid)],
        &[("iss", &*format!("{issuer}/")), ("sid", &*sid)],
    ] {
        frame(pairs).expect(400);
        assert!(visitor.is_signed_in(), "{pairs:?}");
    }
    frame(&[("iss", &*issuer), ("sid", "unknown")]).expect(200);
    assert!(visitor.is_signed_in());
    let answer = frame(&[("iss", &*issuer), ("sid", &*sid)]).expect(200);
    assert!(
        answer.header("cache-control").unwrap_or_default().contains("no-store"),
        "{answer:?}"
    );
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.contains(&format!("frame-ancestors {}", campus.provider.origin())),
        "{policy}"
    );
    assert_eq!(
        answer.header("x-frame-options"),
        None,
        "it would forbid what the policy allows"
    );
    assert!(!visitor.is_signed_in());
    assert!(bobs.is_signed_in());
}

#[test]
fn logouts_are_not_listened_to_where_the_operator_says_so() {
    let campus = doubled_with("single_logout = false\nfront_channel_logout = true");
    let visitor = campus.signs_in("alice");
    let answer = tell(&campus, &campus.provider.logout_token("alice", &json!({})));
    assert_ne!(answer.status, 200);
    let pairs = [("iss", &*campus.provider.issuer()), ("sid", &*session_of("alice"))];
    campus
        .visitor()
        .open(&format!("{}?{}", campus.endpoint("frontchannel-logout"), query(&pairs)));
    assert!(visitor.is_signed_in());
}

#[test]
fn signing_out_where_the_provider_has_no_logout_is_signing_out_here() {
    let double = OidcDouble::start();
    double.behave().discovery["end_session_endpoint"] = Value::Null;
    let campus = super::campus::by_double(double, super::campus::Plan::default());
    let visitor = campus.signs_in("alice");
    let answer = visitor.post("/_janua/sign-out", "everywhere=1");
    if let Some(location) = answer.header("location") {
        assert!(
            location.starts_with(&campus.origin()) || location.starts_with('/'),
            "{location}"
        );
    }
    assert!(!visitor.is_signed_in());
}

/// Proxies in front of a provider refuse long addresses.
#[test]
fn a_hint_that_is_too_long_for_an_address_goes_by_a_form() {
    let campus = doubled();
    let groups: Vec<String> = (0..300).map(|number| format!("group-number-{number}")).collect();
    campus.provider.behave().claims = json!({ "groups": groups });
    let visitor = campus.signs_in("alice");
    let page = visitor.post("/_janua/sign-out", "everywhere=1").expect(200).text();
    let form = page.split_once("<form method=\"post\" action=\"").expect("a form").1;
    assert!(form.starts_with(&campus.provider.url(Endpoint::Logout)), "{form}");
    let hint = form.split_once("name=\"id_token_hint\" value=\"").expect("a hint").1;
    assert!(hint.split('"').next().unwrap().starts_with("eyJ"));
    assert!(!visitor.is_signed_in());
}

/// Nobody has to be known to post there.
#[test]
fn a_flood_of_tokens_with_unknown_keys_is_no_flood_at_the_provider() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let before = campus.provider.asked(Endpoint::Keys).len();
    for number in 0..50 {
        let header = json!({ "kid": format!("made-up-{number}") });
        let claims = campus.provider.logout_claims("alice");
        not_taken(tell(&campus, &campus.provider.signed(&header, &claims)));
    }
    let fetched = campus.provider.asked(Endpoint::Keys).len() - before;
    assert!(fetched <= 4, "{fetched} times");
    assert!(visitor.is_signed_in());
}

#[test]
fn the_front_channel_is_off_unless_it_is_asked_for() {
    let campus = doubled();
    let visitor = campus.signs_in("alice");
    let pairs = [("iss", &*campus.provider.issuer()), ("sid", &*session_of("alice"))];
    let address = format!("{}?{}", campus.endpoint("frontchannel-logout"), query(&pairs));
    campus.visitor().open(&address).expect(404);
    assert!(visitor.is_signed_in());
}

/// Anybody may open that address.
#[test]
fn the_front_channel_keeps_nobody_from_signing_in() {
    let campus = doubled_with("front_channel_logout = true");
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let pairs = [("iss", &*campus.provider.issuer()), ("sid", &*session_of("alice"))];
    let address = format!("{}?{}", campus.endpoint("frontchannel-logout"), query(&pairs));
    campus.visitor().open(&address).expect(200);
    visitor.open(target(&callback)).expect(303);
    assert!(visitor.is_signed_in());
}
