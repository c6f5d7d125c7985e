//! What nobody who reads along may learn: tickets and the secrets of sessions stand in no log, at any level, and no
//! upstream gets them.

use super::campus::{Campus, PAGE, Plan, target};
use crate::support::Config;
use crate::support::Request;
use crate::support::cas::{ProxyingBackEnd, query};

#[test]
fn neither_log_nor_upstream_sees_tickets_or_sessions() {
    let back_end = ProxyingBackEnd::start();
    let Some(campus) = Campus::planned(Plan {
        config: Config::new().set("log", "level", "\"trace\""),
        cas: format!("proxy_chains = [{:?}]", back_end.url()),
        ..Plan::default()
    }) else {
        return;
    };
    let mut secrets = Vec::new();
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    let mut keep = |callback: &url::Url| {
        let ticket = callback.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
        secrets.push(ticket.into_owned());
    };
    let callback = visitor.callback(&alice, PAGE);
    keep(&callback);
    let attempts = visitor.cookies.lock().unwrap().clone();
    visitor.open(target(&callback)).expect(303);
    // One that comes too late, in another browser.
    let stale = campus.visitor().callback(&alice, PAGE);
    keep(&stale);
    campus.visitor().open(target(&stale)).expect(400);
    secrets.extend(attempts.into_iter().map(|(_, value)| value));
    secrets.push(visitor.session().unwrap());
    let seen = visitor.open(PAGE).expect(200).text();

    let service = format!("{}/_janua/cas/campus/session", campus.origin());
    let ticket = campus.cas.proxy_ticket(&alice, &back_end, &service);
    let host = campus.gateway.http().to_string();
    let form = query(&[("ticket", &ticket)]);
    let told = Request::new("POST", "/_janua/cas/campus/session")
        .host(&host)
        .body(form);
    let bearer = campus.gateway.send(told).expect(201).json()["session"]
        .as_str()
        .unwrap()
        .to_owned();
    let with_bearer = Request::get("/app/x").host(&host).bearer(&bearer);
    let seen_of_bearer = campus.gateway.send(with_bearer).expect(200).text();
    secrets.extend([ticket, bearer]);
    // Nobody's business, and no ticket of theirs either: it is told to the wrong address.
    let lost = Request::get("/app/x?ticket=ST-lost-and-found-123456").host(&host);
    campus.gateway.send(lost).expect(401);
    alice.sign_out();
    campus.gateway.logged(&["path=\"/app/x\"", "status=401"]);

    let said = campus.gateway.said();
    for secret in &secrets {
        assert!(!said.contains(secret.as_str()), "in the log: {secret}");
        assert!(!seen.contains(secret.as_str()), "at the upstream: {secret}");
        assert!(!seen_of_bearer.contains(secret.as_str()), "at the upstream: {secret}");
    }
}
