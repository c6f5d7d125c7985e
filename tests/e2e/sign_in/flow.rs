//! The way of a person who does nothing wrong.

use super::campus::{Campus, PAGE, Plan, sign_in_to, target};
use crate::support::cas::query;
use crate::support::{Request, eventually};

#[test]
fn a_page_leads_to_cas_and_back_to_its_very_address() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let callback = visitor.callback(&alice, PAGE);
    assert!(callback.as_str().starts_with(&campus.origin()), "{callback}");
    assert!(callback.path().starts_with("/_janua/cas/campus/callback"), "{callback}");
    let back = visitor.open(target(&callback)).expect(303);
    let location = back.header("location").unwrap();
    assert_eq!(location.strip_prefix(&campus.origin()).unwrap_or(location), PAGE);
    let seen = visitor.open(PAGE).expect(200).json();
    assert_eq!(seen["target"], PAGE);
    assert!(visitor.is_signed_in());
}

#[test]
fn what_is_no_page_is_told_where_to_sign_in_and_never_sent_there() {
    let Some(campus) = Campus::start() else { return };
    let told = campus.visitor().fetch(PAGE).expect(401);
    assert_eq!(told.header("location"), None);
    let sign_in = told.json()["sign_in"].as_str().unwrap().to_owned();
    assert!(sign_in.contains("/_janua/sign-in"), "{sign_in}");
}

#[test]
fn roles_follow_from_attributes() {
    let Some(campus) = Campus::start() else { return };
    let (alices, bobs) = (campus.visitor(), campus.visitor());
    alices.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    bobs.sign_in(&campus.cas.person("bob"), PAGE).expect(303);
    alices.fetch("/students/x").expect(200);
    bobs.fetch("/students/x").expect(403);
}

#[test]
fn me_tells_who_is_signed_in_and_sign_out_ends_it() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let me = visitor.fetch("/_janua/me").expect(200).text();
    assert!(me.contains("alice"), "{me}");
    let kept = visitor.session().unwrap();
    visitor.send(
        Request::new("POST", "/_janua/sign-out")
            .header("Sec-Fetch-Site", "same-origin")
            .header("Origin", &campus.origin())
            .body(""),
    );
    assert!(!visitor.is_signed_in());
    let thief = campus.visitor();
    thief.cookies.lock().unwrap().push(("janua".to_owned(), kept));
    assert!(!thief.is_signed_in(), "the session has ended, not only its cookie");
}

#[test]
fn logging_out_at_cas_ends_the_session_here() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor, bobs) = (campus.cas.person("alice"), campus.visitor(), campus.visitor());
    visitor.sign_in(&alice, PAGE).expect(303);
    bobs.sign_in(&campus.cas.person("bob"), PAGE).expect(303);
    assert!(visitor.is_signed_in());
    alice.sign_out();
    eventually("alice is signed out", || (!visitor.is_signed_in()).then_some(()));
    assert!(bobs.is_signed_in());
}

#[test]
fn a_stale_callback_with_a_good_session_goes_on() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let callback = visitor.callback(&alice, PAGE);
    visitor.open(target(&callback)).expect(303);
    let before = visitor.session();
    let again = visitor.open(target(&callback)).expect(303);
    let location = again.header("location").unwrap();
    assert!(!location.contains("/cas/login"), "no loop: {location}");
    assert_eq!(visitor.session(), before);
}

#[test]
fn signing_in_by_hand_comes_back_to_the_address_that_was_asked_for() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let whole = format!("{}{PAGE}", campus.origin());
    let answer = visitor.sign_in(&alice, &sign_in_to(PAGE)).expect(303);
    assert_eq!(answer.header("location"), Some(&*whole));
    let answer = campus.visitor().sign_in(&alice, &sign_in_to(&whole)).expect(303);
    assert_eq!(answer.header("location"), Some(&*whole));
    let at_once = visitor.open(&sign_in_to(PAGE)).expect(303);
    assert_eq!(
        at_once.header("location"),
        Some(&*whole),
        "who is known needs no ticket"
    );
}

/// What a CAS server says of a session that began with this ticket.
fn logout_request(callback: &url::Url) -> String {
    let ticket = callback.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
    let recorded = include_str!("../../recorded/cas/logout-request.xml");
    let (before, after) = recorded.split_once("<samlp:SessionIndex>").unwrap();
    let (_, after) = after.split_once('<').unwrap();
    query(&[(
        "logoutRequest",
        &format!("{before}<samlp:SessionIndex>{ticket}<{after}"),
    )])
}

#[test]
fn logging_out_at_cas_ends_a_session_that_a_second_tab_has_found() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let first = visitor.callback(&alice, PAGE);
    let second = visitor.callback(&alice, "/app/second");
    visitor.open(target(&first)).expect(303);
    let session = visitor.session();
    let on = visitor.open(target(&second)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/app/second", campus.origin())));
    assert_eq!(visitor.session(), session);
    // The server names the ticket of the second tab alone.
    alice.sign_out();
    eventually("alice is signed out", || (!visitor.is_signed_in()).then_some(()));
}

#[test]
fn tabs_that_come_back_at_the_same_moment_have_one_session() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let first = visitor.callback(&alice, PAGE);
    let second = visitor.callback(&alice, "/app/second");
    let bobs = visitor.callback(&campus.cas.person("bob"), "/app/third");
    // The same browser, before the first answer is there.
    let (late, other) = (visitor.at(&campus.gateway), visitor.at(&campus.gateway));
    visitor.open(target(&first)).expect(303);
    let on = late.open(target(&second)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/app/second", campus.origin())));
    assert_eq!(late.session(), visitor.session(), "either cookie is the same one");
    // Somebody else at the same browser does not get into it.
    other.open(target(&bobs)).expect(303);
    assert_eq!(other.me()["user"], "bob");
    assert_ne!(other.session(), visitor.session());
    // The server names the last ticket alone.
    alice.sign_out();
    eventually("alice is signed out", || (!visitor.is_signed_in()).then_some(()));
}

#[test]
fn a_second_tab_that_comes_back_as_somebody_else_is_somebody_else() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    let alices = visitor.callback(&campus.cas.person("alice"), PAGE);
    let bobs = visitor.callback(&campus.cas.person("bob"), PAGE);
    visitor.open(target(&alices)).expect(303);
    let before = visitor.session().unwrap();
    visitor.open(target(&bobs)).expect(303);
    assert_eq!(visitor.me()["user"], "bob");
    assert!(!campus.visitor_with(&before).is_signed_in());
}

#[test]
fn a_used_ticket_offers_to_begin_again() {
    let Some(campus) = Campus::start() else { return };
    let callback = campus.visitor().callback(&campus.cas.person("alice"), PAGE);
    let ticket = callback.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
    let late = campus.visitor();
    let to_cas = late.open(PAGE).expect(303);
    let login: url::Url = to_cas.header("location").unwrap().parse().unwrap();
    let service = login.query_pairs().find(|(name, _)| name == "service").unwrap().1;
    let with_it = format!("{service}&{}", query(&[("ticket", &ticket)]));
    let page = late.open(target(&with_it.parse().unwrap())).expect(403).text();
    let whole = format!("{}{PAGE}", campus.origin());
    let again = format!("/_janua/sign-in?{}", query(&[("with", "campus"), ("return", &whole)]));
    assert!(page.contains(&again.replace('&', "&amp;")), "{again} in {page}");
}

/// Apereo CAS forgets the earlier of two tickets of a session that nobody has asked about yet.
#[test]
fn a_tab_whose_ticket_died_for_the_one_of_another_asks_for_a_second() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let dead = "ST-1-long-gone";
    let state = |url: &url::Url| {
        let service = url.query_pairs().find(|(name, _)| name == "service").unwrap().1;
        let service: url::Url = service.parse().unwrap();
        let state = service.query_pairs().find(|(name, _)| name == "state").unwrap().1;
        format!("{}?{}", service.path(), query(&[("state", &state), ("ticket", dead)]))
    };
    let to_cas = |path: &str| -> url::Url {
        let told = visitor.open(path).expect(303);
        told.header("location").unwrap().parse().unwrap()
    };
    let (first, other, third) = (to_cas(PAGE), to_cas("/app/second"), to_cas("/app/third"));
    let second = to_cas(&state(&first));
    assert_ne!(second, first);
    assert_eq!(second.path(), first.path());
    // One time only: the page says so then, with a button.
    visitor.open(&state(&second)).expect(403);
    // The same browser, before the answer to the other tab is there.
    let late = visitor.at(&campus.gateway);
    let on = visitor.open(target(&alice.sign_in(other.as_str()))).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/app/second", campus.origin())));
    assert!(visitor.is_signed_in());
    let on = late.open(&state(&third)).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}/app/third", campus.origin())));
    assert_eq!(late.session(), visitor.session());
}

#[test]
fn a_ticket_may_be_posted() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    let callback = visitor.callback(&campus.cas.person("alice"), PAGE);
    let state = callback.query_pairs().find(|(name, _)| name == "state").unwrap().1;
    let ticket = callback.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
    let from_cas = |form: &str| {
        // Another site's form: no cookie that is `SameSite=Lax` comes with it.
        campus.visitor().send(
            Request::new("POST", &format!("{}?{}", callback.path(), query(&[("state", &state)])))
                .header("Content-Type", "application/x-www-form-urlencoded")
                .header("Sec-Fetch-Site", "cross-site")
                .body(form.to_owned()),
        )
    };
    let on = from_cas(&query(&[("ticket", &ticket), ("_csrf", "x")])).expect(303);
    let on: url::Url = on.header("location").unwrap().parse().unwrap();
    assert_eq!(on, callback);
    visitor.open(target(&on)).expect(303);
    assert!(visitor.is_signed_in());
    for none in ["", "ticket=", "ticket=x%0d%0a", "_csrf=x"] {
        from_cas(none).expect(400);
    }
}

#[test]
fn a_browser_may_carry_the_logout_too() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    let callback = visitor.callback(&campus.cas.person("alice"), PAGE);
    visitor.open(target(&callback)).expect(303);
    assert!(visitor.is_signed_in());
    let carried = format!("/_janua/cas/campus/callback?{}", logout_request(&callback));
    // By whichever browser: the ticket is what proves it.
    campus.visitor().open(&carried).expect(200);
    assert!(!visitor.is_signed_in());
    // As a script that calls a function, or the server's page says that the logout failed.
    let script = campus
        .visitor()
        .open(&format!("{carried}&callback=jQuery36_1"))
        .expect(200);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(script.text(), "/**/jQuery36_1({});");
    let hostile = campus
        .visitor()
        .open(&format!("{carried}&callback=alert(1)//"))
        .expect(200);
    assert_eq!((hostile.header("content-type"), &*hostile.text()), (None, ""));
}

#[test]
fn logouts_are_not_listened_to_where_the_operator_says_so() {
    let Some(campus) = Campus::planned(Plan {
        cas: "single_logout = false".to_owned(),
        ..Plan::default()
    }) else {
        return;
    };
    let visitor = campus.visitor();
    let callback = visitor.callback(&campus.cas.person("alice"), PAGE);
    visitor.open(target(&callback)).expect(303);
    campus.visitor().send(
        Request::new("POST", "/_janua/cas/campus/callback")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(logout_request(&callback)),
    );
    assert!(visitor.is_signed_in());
}

#[test]
fn signing_out_everywhere_leads_to_the_servers_own_logout() {
    let Some(campus) = Campus::start() else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let to_cas = visitor.post("/_janua/sign-out", "everywhere=1").expect(303);
    let location = to_cas.header("location").unwrap();
    assert!(
        location.starts_with(&format!("{}/logout", campus.cas.url())),
        "{location}"
    );
    assert!(!visitor.is_signed_in());
    // The session at the server may outlive the one here.
    let again = visitor.post("/_janua/sign-out", "everywhere=1").expect(303);
    assert_eq!(again.header("location"), Some(location));
    // A page of ours to go on to, and nobody else's.
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    visitor
        .post("/_janua/sign-out", "return=https%3A%2F%2Fevil.test%2F")
        .expect(400);
    assert!(visitor.is_signed_in(), "what is not understood ends nothing");
    let on = visitor.post("/_janua/sign-out", "return=%2Fapp%2Fx");
    assert_eq!(
        on.expect(303).header("location"),
        Some(&*format!("{}/app/x", campus.origin()))
    );
}

#[test]
fn signing_out_everywhere_comes_back_to_the_page_that_was_asked_for() {
    let Some(campus) = Campus::start() else { return };
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    visitor.sign_in(&alice, PAGE).expect(303);
    let form = query(&[("everywhere", "1"), ("return", "/app/bye?a=%2F")]);
    let to_cas = visitor.post("/_janua/sign-out", &form).expect(303);
    // The server lets nobody sign out who would come back to an address that is not registered.
    let back = alice.look(to_cas.header("location").unwrap()).expect(302);
    let back: url::Url = back.header("location").unwrap().parse().unwrap();
    assert_eq!(back.path(), "/_janua/cas/campus/callback");
    let on = visitor.open(target(&back)).expect(303);
    assert_eq!(
        on.header("location"),
        Some(&*format!("{}/app/bye?a=%2F", campus.origin()))
    );
    assert!(!visitor.is_signed_in());
    let login = visitor.open(PAGE).expect(303);
    alice.look(login.header("location").unwrap()).expect(200);
    // What was made for this sign-out begins nothing, and leads nobody on from another name of the gateway.
    let ticketed = format!("{}&ticket=ST-1", target(&back));
    let still = visitor.open(&ticketed).expect(303);
    assert_eq!(still.header("location"), on.header("location"));
    campus.visitor_of_localhost().open(target(&back)).expect(400);
}
