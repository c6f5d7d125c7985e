//! A site's own back end that is a CAS client: it brings a proxy ticket and gets a session for its user.

use serde_json::Value;

use super::campus::{Campus, PAGE, Plan};
use crate::support::cas::{ProxyingBackEnd, query};
use crate::support::http::Response;
use crate::support::{Request, eventually};

const SESSION: &str = "/_janua/cas/campus/session";

/// With the address of a back end that may have sessions.
fn start(back_end: &ProxyingBackEnd) -> Option<Campus> {
    Campus::planned(Plan {
        cas: format!("proxy_chains = [{:?}]", back_end.url()),
        ..Plan::default()
    })
}

/// A back end is no browser: it has no cookies, and says nothing of where it comes from.
fn send(campus: &Campus, request: Request) -> Response {
    campus.gateway.send(request.host(&campus.gateway.http().to_string()))
}

fn bring(campus: &Campus, ticket: &str) -> Response {
    let form = Request::new("POST", SESSION).header("Content-Type", "application/x-www-form-urlencoded");
    send(campus, form.body(query(&[("ticket", ticket)])))
}

fn bearer(told: &Value) -> &str {
    told["session"].as_str().unwrap()
}

#[test]
fn a_proxy_ticket_gets_a_session_that_ends_with_the_one_at_the_server() {
    let back_end = ProxyingBackEnd::start();
    let Some(campus) = start(&back_end) else { return };
    let alice = campus.cas.person("alice");
    let ticket = campus
        .cas
        .proxy_ticket(&alice, &back_end, &format!("{}{SESSION}", campus.origin()));
    let told = bring(&campus, &ticket).expect(201).json();
    assert_eq!((&told["user"], &told["idle"]), (&"alice".into(), &7200.into()));
    assert!(told["expires_in"].as_u64().unwrap() <= 12 * 3600, "{told}");
    assert!(bearer(&told).starts_with("jns_"), "{told}");
    let ask = |method: &str| {
        send(
            &campus,
            Request::new(method, "/students/x").bearer(bearer(&told)).body(""),
        )
    };
    let seen = ask("POST").expect(200).json();
    assert!(
        !seen.to_string().contains(bearer(&told)),
        "the upstream sees no session"
    );
    bring(&campus, &ticket).expect(403);

    alice.sign_out();
    eventually("the back end's session has ended", || {
        (ask("GET").status == 401).then_some(())
    });
}

#[test]
fn a_back_end_ends_its_session_by_itself() {
    let back_end = ProxyingBackEnd::start();
    let Some(campus) = start(&back_end) else { return };
    let service = format!("{}{SESSION}", campus.origin());
    let ticket = campus
        .cas
        .proxy_ticket(&campus.cas.person("alice"), &back_end, &service);
    let told = bring(&campus, &ticket).expect(201).json();
    let sign_out = Request::new("POST", "/_janua/sign-out").bearer(bearer(&told)).body("");
    send(&campus, sign_out).expect(204);
    send(&campus, Request::get("/app/x").bearer(bearer(&told))).expect(401);
}

#[test]
fn tickets_of_others_get_nothing() {
    let (back_end, other) = (ProxyingBackEnd::start(), ProxyingBackEnd::start());
    let Some(campus) = start(&back_end) else { return };
    let alice = campus.cas.person("alice");
    let service = format!("{}{SESSION}", campus.origin());
    let foreign = campus.cas.proxy_ticket(&alice, &other, &service);
    bring(&campus, &foreign).refused(403, "sign_in_refused");
    let elsewhere = campus
        .cas
        .proxy_ticket(&alice, &back_end, &format!("{}/elsewhere", campus.origin()));
    bring(&campus, &elsewhere).refused(403, "sign_in_refused");
    // A browser's ticket, and what is none.
    bring(&campus, &alice.ticket(&service)).refused(403, "sign_in_refused");
    for none in ["", "PT-", "PT-made-up", "PT-1\r\nX: y"] {
        bring(&campus, none).refused(403, "sign_in_refused");
    }
}

#[test]
fn without_proxy_chains_back_ends_get_no_sessions() {
    let Some(campus) = Campus::start() else { return };
    bring(&campus, "PT-1").refused(404, "no_route");
}

#[test]
fn a_cookies_session_is_no_bearers() {
    let back_end = ProxyingBackEnd::start();
    let Some(campus) = start(&back_end) else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let secret = visitor.session().unwrap();
    for bearer in [secret.clone(), format!("jns_{secret}")] {
        send(&campus, Request::get("/app/x").bearer(&bearer)).expect(401);
    }
    let service = format!("{}{SESSION}", campus.origin());
    let ticket = campus
        .cas
        .proxy_ticket(&campus.cas.person("alice"), &back_end, &service);
    let told = bring(&campus, &ticket).expect(201).json();
    for cookie in [bearer(&told), bearer(&told).strip_prefix("jns_").unwrap()] {
        assert!(!campus.visitor_with(cookie).is_signed_in());
    }
}
