//! The way of a person who does nothing wrong, at a real provider.

use url::Url;

use super::campus::{PAGE, Plan, callback, leads_to, parameter, planned, sign_in, start, start_with};
use crate::sign_in::campus::{sign_in_to, target};
use crate::support::Request;
use crate::support::cas::query;
use crate::support::oidc::CLIENT;
use crate::support::secrets::{self, Kind};

#[test]
fn a_page_leads_to_the_provider_and_back_to_its_very_address() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let to = leads_to(&visitor.open(PAGE));
    assert!(to.starts_with(&format!("{}/auth?", campus.provider.issuer())), "{to}");
    let said = |name: &str| parameter(&to, name).unwrap_or_else(|| panic!("no {name} in {to}"));
    assert_eq!(
        (said("response_type"), said("client_id")),
        ("code".to_owned(), CLIENT.to_owned())
    );
    assert_eq!(
        said("redirect_uri"),
        format!("{}{}", campus.origin(), campus.endpoint("callback"))
    );
    assert_eq!(said("scope"), "openid profile email groups");
    assert_eq!(said("code_challenge_method"), "S256");
    for name in ["state", "nonce", "code_challenge"] {
        assert!(said(name).len() >= 22, "{name} can be guessed");
    }
    assert_eq!((parameter(&to, "prompt"), parameter(&to, "max_age")), (None, None));

    let callback = alice.sign_in(&to);
    assert!(callback.as_str().starts_with(&campus.origin()), "{callback}");
    let back = visitor.open(target(&callback)).expect(303);
    assert_eq!(back.header("location"), Some(&*format!("{}{PAGE}", campus.origin())));
    let seen = visitor.open(PAGE).expect(200).json();
    assert_eq!(seen["target"], PAGE);
    assert!(visitor.is_signed_in());
    let me = visitor.me();
    assert_eq!((&me["user"], &me["sign_in"]), (&"a.liddell".into(), &"campus".into()));
    assert_eq!(campus.outcomes("ok"), 1.0);
}

#[test]
fn roles_follow_from_groups() {
    let Some(campus) = start() else { return };
    let (alices, bobs) = (campus.visitor(), campus.visitor());
    sign_in(&alices, &campus.provider.person("alice"), PAGE).expect(303);
    sign_in(&bobs, &campus.provider.person("bob"), PAGE).expect(303);
    alices.fetch("/staff/x").expect(200);
    bobs.fetch("/staff/x").expect(403);
    assert_eq!(bobs.me()["user"], "b.builder");
}

#[test]
fn what_is_no_page_is_told_where_to_sign_in_and_never_sent_there() {
    let Some(campus) = start() else { return };
    let told = campus.visitor().fetch(PAGE).expect(401);
    assert_eq!(told.header("location"), None);
    let way = format!("{}/_janua/sign-in?with=campus", campus.origin());
    assert_eq!(told.json()["sign_in"], way);
}

#[test]
fn signing_in_by_hand_comes_back_to_the_address_that_was_asked_for() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let whole = format!("{}{PAGE}", campus.origin());
    let answer = sign_in(&visitor, &alice, &sign_in_to(PAGE)).expect(303);
    assert_eq!(answer.header("location"), Some(&*whole));
    let at_once = visitor.open(&sign_in_to(PAGE)).expect(303);
    assert_eq!(at_once.header("location"), Some(&*whole), "who is known needs no code");
}

#[test]
fn ten_tabs_end_where_they_began_and_have_one_session() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let pages: Vec<String> = (0..10).map(|number| format!("/app/tab?n={number}")).collect();
    let to: Vec<String> = pages.iter().map(|page| leads_to(&visitor.open(page))).collect();
    // The person fills in one form; the other tabs are led on. They come back in the other order.
    let mut callbacks: Vec<Url> = to.iter().map(|to| alice.sign_in(to)).collect();
    callbacks.reverse();
    for (callback, page) in callbacks.iter().zip(pages.iter().rev()) {
        let on = visitor.open(target(callback)).expect(303);
        assert_eq!(on.header("location"), Some(&*format!("{}{page}", campus.origin())));
    }
    assert!(visitor.is_signed_in());
    assert_eq!(campus.gateway.metric_sum("janua_sessions_begun_total"), 1.0);
    let held = visitor.cookies.lock().unwrap().clone();
    assert_eq!(held.len(), 1, "nothing but the session is left: {held:?}");
}

#[test]
fn tabs_that_come_back_at_the_same_moment_have_one_session() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let first = callback(&visitor, &alice, PAGE);
    let second = callback(&visitor, &alice, "/app/second");
    // The same browser, before the first answer is there.
    let late = visitor.at(&campus.gateway);
    visitor.open(target(&first)).expect(303);
    let on = late.open(target(&second)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/app/second", campus.origin())));
    assert_eq!(late.session(), visitor.session());
}

#[test]
fn a_stale_callback_with_a_good_session_goes_on() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let callback = callback(&visitor, &alice, PAGE);
    visitor.open(target(&callback)).expect(303);
    let before = visitor.session();
    let again = visitor.open(target(&callback)).expect(303);
    let location = again.header("location").unwrap();
    assert!(location.starts_with(&campus.origin()), "no loop: {location}");
    assert_eq!(visitor.session(), before);
}

#[test]
fn who_gives_up_at_the_provider_gets_a_page() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let callback = alice.give_up(&leads_to(&visitor.open(PAGE)));
    assert_eq!(parameter(callback.as_str(), "error").as_deref(), Some("access_denied"));
    campus.refuses(&visitor, &callback, "denied");
    // The next attempt is as good as the first.
    sign_in(&visitor, &alice, PAGE).expect(303);
    assert!(visitor.is_signed_in());
}

#[test]
fn who_has_no_name_here_is_nobody() {
    let Some(campus) = start() else { return };
    let visitor = campus.visitor();
    let callback = callback(&visitor, &campus.provider.person("carol"), PAGE);
    campus.refuses(&visitor, &callback, "no_username");
}

#[test]
fn the_subject_is_a_name_without_asking_for_more() {
    let Some(campus) = planned(Plan {
        username: "sub",
        oidc: "userinfo = \"never\"".to_owned(),
        ..Plan::default()
    }) else {
        return;
    };
    let visitor = campus.visitor();
    sign_in(&visitor, &campus.provider.person("carol"), PAGE).expect(303);
    assert_eq!(visitor.me()["user"], "carol");
    // Her groups are told by userinfo alone.
    let alices = campus.visitor();
    sign_in(&alices, &campus.provider.person("alice"), PAGE).expect(303);
    alices.fetch("/staff/x").expect(403);
}

#[test]
fn a_passive_sign_in_asks_once_and_goes_on_as_nobody() {
    let Some(campus) = start_with("passive = true") else {
        return;
    };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let to = leads_to(&visitor.open("/open/x?a=%2F"));
    assert_eq!(parameter(&to, "prompt").as_deref(), Some("none"), "{to}");
    let callback = alice.sign_in(&to);
    assert_eq!(parameter(callback.as_str(), "error").as_deref(), Some("login_required"));
    let on = visitor.open(target(&callback)).expect(303);
    assert_eq!(
        on.header("location"),
        Some(&*format!("{}/open/x?a=%2F", campus.origin()))
    );
    visitor.open("/open/x?a=%2F").expect(200);
    assert_eq!(visitor.me()["signed_in"], false);
    assert_eq!(campus.outcomes("nobody"), 1.0);
    // Where nobody may go, the question is not silent any more.
    let to = leads_to(&visitor.open(PAGE));
    assert_eq!(parameter(&to, "prompt"), None, "{to}");
}

#[test]
fn a_passive_sign_in_knows_who_is_known_to_the_provider() {
    let Some(campus) = start_with("passive = true") else {
        return;
    };
    let alice = campus.provider.person("alice");
    let elsewhere = campus.visitor();
    sign_in(&elsewhere, &alice, PAGE).expect(303);
    assert!(!elsewhere.is_signed_in(), "it was asked silently first");
    sign_in(&elsewhere, &alice, PAGE).expect(303);
    assert!(elsewhere.is_signed_in());
    let visitor = campus.visitor();
    sign_in(&visitor, &alice, "/open/x").expect(303);
    visitor.open("/open/x").expect(200);
    assert_eq!(visitor.me()["user"], "a.liddell");
}

#[test]
fn a_sign_in_that_renews_asks_for_the_password_again() {
    let Some(campus) = start_with("renew = true") else {
        return;
    };
    let alice = campus.provider.person("alice");
    sign_in(&campus.visitor(), &alice, PAGE).expect(303);
    let visitor = campus.visitor();
    let to = leads_to(&visitor.open(PAGE));
    assert_eq!(parameter(&to, "prompt").as_deref(), Some("login"), "{to}");
    assert_eq!(parameter(&to, "max_age").as_deref(), Some("0"), "{to}");
    let asked = alice.look(&to).expect(303);
    let asked = asked.header("location").unwrap();
    assert!(
        asked.contains("/interaction/"),
        "the provider knows her, and asks: {asked}"
    );
    visitor.open(target(&alice.sign_in(&to))).expect(303);
    assert!(visitor.is_signed_in());
}

#[test]
fn an_answer_by_post_is_taken() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    sign_in(&campus.visitor(), &alice, PAGE).expect(303);
    let to = leads_to(&visitor.open(PAGE));
    let page = alice.look(&format!("{to}&response_mode=form_post")).expect(200).text();
    let fields: Vec<(String, String)> = page
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split('"').next().unwrap().to_owned())
        })
        .collect();
    let code = &fields.iter().find(|(name, _)| name == "code").unwrap().1;
    secrets::register(Kind::Ticket, code);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    // Another site's form: the browser sends none of the cookies, which are `Lax`.
    let form = Request::new("POST", &campus.endpoint("callback"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", &campus.provider.issuer())
        .header("Sec-Fetch-Site", "cross-site")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "document")
        .body(query(&fields));
    let again = leads_to(&campus.visitor().send(form));
    let again: Url = format!("{}/", campus.origin())
        .parse::<Url>()
        .unwrap()
        .join(&again)
        .unwrap();
    assert_eq!(again.path(), campus.endpoint("callback"));
    let on = visitor.open(target(&again)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}{PAGE}", campus.origin())));
    assert!(visitor.is_signed_in());
}

#[test]
fn signing_out_here_ends_the_session_here() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    sign_in(&visitor, &alice, PAGE).expect(303);
    let kept = visitor.session().unwrap();
    visitor.post("/_janua/sign-out", "").expect(200);
    assert!(!visitor.is_signed_in());
    assert!(
        !campus.visitor_with(&kept).is_signed_in(),
        "the session has ended, not only its cookie"
    );
    // The provider's own session lives on.
    sign_in(&visitor, &alice, PAGE).expect(303);
    assert!(visitor.is_signed_in());
}

#[test]
fn signing_out_everywhere_goes_by_the_provider_and_comes_back() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    sign_in(&visitor, &alice, PAGE).expect(303);
    let form = query(&[("everywhere", "1"), ("return", "/open/bye?a=%2F")]);
    let to = leads_to(&visitor.post("/_janua/sign-out", &form));
    assert!(
        to.starts_with(&format!("{}/session/end?", campus.provider.issuer())),
        "{to}"
    );
    let hint = parameter(&to, "id_token_hint").expect("the provider is told who signs out");
    secrets::register_signature(&hint);
    assert_eq!(parameter(&to, "client_id").as_deref(), Some(CLIENT));
    assert!(!visitor.is_signed_in());
    let back = alice.sign_out_at(&to).expect("a registered address");
    assert_eq!(back.path(), campus.endpoint("callback"));
    let on = visitor.open(target(&back)).expect(303);
    assert_eq!(
        on.header("location"),
        Some(&*format!("{}/open/bye?a=%2F", campus.origin()))
    );
    // She is unknown to the provider.
    let to = leads_to(&visitor.open(PAGE));
    let asked = alice.look(&to).expect(303);
    assert!(asked.header("location").unwrap().contains("/interaction/"));
    // What was made for this sign-out begins nothing.
    let with_code: Url = format!("{back}&code=made-up").parse().unwrap();
    visitor.open(target(&with_code));
    assert!(!visitor.is_signed_in());
}

#[test]
fn an_id_token_that_is_not_kept_is_no_hint() {
    let Some(campus) = start_with("keep_id_token = false") else {
        return;
    };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    sign_in(&visitor, &alice, PAGE).expect(303);
    let to = leads_to(&visitor.post("/_janua/sign-out", "everywhere=1"));
    assert_eq!(parameter(&to, "id_token_hint"), None, "{to}");
    assert_eq!(parameter(&to, "client_id").as_deref(), Some(CLIENT));
    // Nor is there a way back, since none was asked for.
    assert_eq!(alice.sign_out_at(&to), None);
}
