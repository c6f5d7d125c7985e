//! The CAS client against a real CAS server: every protocol, every way in which a ticket is none, and proxy tickets.

use std::io::Write as _;
use std::sync::mpsc;

use janua::backchannel::Backchannel;
use janua::config::Outgoing;
use janua::sign_in::cas::{Attributes, Client, FailureCode, Login, Principal, Protocol, Ticket, ValidateError, logout};
use serde_json::json;

use crate::support::cas::{PASSWORD, ProxyingBackEnd};
use crate::support::double::Double;
use crate::support::http::values as values_of;
use crate::support::wait::DEADLINE;
use crate::support::{CasServer, Upstream, browse};

/// Registered at the server, with a query that has to come through unchanged.
const SERVICE: &str = "http://127.0.0.1:9/_janua/cas/campus/callback?a=b+c%20d&e=%C3%BC";

fn client(server: &CasServer, protocol: Protocol) -> Client {
    let backchannel = Backchannel::new(&Outgoing::default()).unwrap();
    Client::new(&server.url().parse().unwrap(), protocol, backchannel)
}

/// Asks as a gateway does, with a runtime of its own.
fn validate(client: &Client, service: &str, ticket: &str, renew: bool) -> Result<Principal, ValidateError> {
    let ticket = Ticket::service(ticket).unwrap();
    block_on(client.validate(service, &ticket, renew))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(future)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ValidateError>) -> FailureCode {
    match result {
        Err(ValidateError::Refused(failure)) => failure.code,
        other => panic!("{other:?}"),
    }
}

fn values<'a>(attributes: &'a Attributes, name: &str) -> Vec<&'a str> {
    attributes.get(name).iter().map(String::as_str).collect()
}

#[test]
fn each_protocol_tells_who_signed_in() {
    let Some(server) = CasServer::start() else { return };
    let alice = server.person("alice");
    for protocol in [Protocol::Cas1, Protocol::Cas2, Protocol::Cas3] {
        let client = client(&server, protocol);
        let to = alice.sign_in(client.login_url(SERVICE, Login::Usual).as_str());
        assert!(
            to.as_str()
                .starts_with("http://127.0.0.1:9/_janua/cas/campus/callback?"),
            "{to}"
        );
        let ticket = to.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
        let principal = validate(&client, SERVICE, &ticket, false).unwrap();
        assert_eq!(principal.user, "alice", "{protocol:?}");
        assert!(principal.proxies.is_empty());
        if protocol == Protocol::Cas1 {
            assert!(principal.attributes.is_empty());
            continue;
        }
        let attributes = &principal.attributes;
        assert_eq!(values(attributes, "eduPersonAffiliation"), ["student", "member"]);
        assert_eq!(values(attributes, "sn"), ["Liddell & <Söhne>"]);
        assert_eq!(values(attributes, "displayName"), ["Alicia Núñez"]);
        assert_eq!(principal.username("uid"), Some("a.liddell"));
        assert_eq!(principal.username("email"), None, "there are two");
    }
}

#[test]
fn a_ticket_is_good_once_and_for_its_service_only() {
    let Some(server) = CasServer::start() else { return };
    let (alice, client) = (server.person("alice"), client(&server, Protocol::Cas3));

    let ticket = alice.ticket(SERVICE);
    assert_eq!(validate(&client, SERVICE, &ticket, false).unwrap().user, "alice");
    let replayed = validate(&client, SERVICE, &ticket, false);
    assert_eq!(refused(replayed), FailureCode::InvalidTicket);

    let ticket = alice.ticket(SERVICE);
    let elsewhere = validate(&client, "http://127.0.0.1:9/other", &ticket, false);
    assert_eq!(refused(elsewhere), FailureCode::InvalidService);
    let burnt = validate(&client, SERVICE, &ticket, false);
    assert_eq!(refused(burnt), FailureCode::InvalidTicket);

    let made_up = validate(&client, SERVICE, "ST-made-up", false);
    assert_eq!(refused(made_up), FailureCode::InvalidTicket);
    block_on(client.probe(SERVICE)).unwrap();
    block_on(self::client(&server, Protocol::Cas1).probe(SERVICE)).unwrap();
}

#[test]
fn renew_takes_only_what_came_from_the_form() {
    let Some(server) = CasServer::start() else { return };
    let (alice, client) = (server.person("alice"), client(&server, Protocol::Cas3));
    alice.ticket(SERVICE);
    let by_session = alice.ticket(SERVICE);
    assert_eq!(
        refused(validate(&client, SERVICE, &by_session, true)),
        FailureCode::InvalidTicket
    );
    let renewed = alice.sign_in(client.login_url(SERVICE, Login::Renew).as_str());
    let ticket = renewed.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
    assert_eq!(validate(&client, SERVICE, &ticket, true).unwrap().user, "alice");
    let by_form = alice.renewed_ticket(SERVICE);
    assert_eq!(validate(&client, SERVICE, &by_form, true).unwrap().user, "alice");
}

#[test]
fn passive_brings_back_a_ticket_or_none() {
    let Some(server) = CasServer::start() else { return };
    let (alice, client) = (server.person("alice"), client(&server, Protocol::Cas3));
    let passive = client.login_url(SERVICE, Login::Passive);
    let nobody = alice.sign_in(passive.as_str());
    assert!(!nobody.query_pairs().any(|(name, _)| name == "ticket"), "{nobody}");
    alice.ticket(SERVICE);
    let somebody = alice.sign_in(passive.as_str());
    let ticket = somebody.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
    assert_eq!(validate(&client, SERVICE, &ticket, false).unwrap().user, "alice");
}

#[test]
fn a_service_may_be_told_less_or_another_name() {
    let Some(server) = CasServer::start() else { return };
    let client = client(&server, Protocol::Cas3);
    let alice = server.person("alice");
    let renamed = "http://renamed.test/x";
    let principal = validate(&client, renamed, &alice.ticket(renamed), false).unwrap();
    assert_eq!(principal.user, "a.liddell");
    let silent = "http://noattr.test/x";
    let principal = validate(&client, silent, &alice.ticket(silent), false).unwrap();
    assert!(principal.attributes.get("mail").is_empty());
    let bobs = client.login_url("http://bobs.test/x", Login::Usual);
    alice.look(bobs.as_str()).expect(200);
    let bob = server.person("bob");
    assert!(
        bob.sign_in(bobs.as_str())
            .as_str()
            .starts_with("http://bobs.test/x?ticket=")
    );
}

#[test]
fn a_proxy_ticket_names_the_back_ends_it_came_through() {
    let Some(server) = CasServer::start() else { return };
    let back_end = ProxyingBackEnd::start();
    let alice = server.person("alice");
    for protocol in [Protocol::Cas2, Protocol::Cas3] {
        let client = client(&server, protocol);
        let proxy_ticket = || Ticket::proxy(&server.proxy_ticket(&alice, &back_end, SERVICE)).unwrap();
        let ticket = proxy_ticket();
        assert!(ticket.as_str().starts_with("PT-"));
        let principal = block_on(client.proxy_validate(SERVICE, &ticket)).unwrap();
        assert_eq!(
            (principal.user.as_str(), principal.proxies.as_slice()),
            ("alice", &[back_end.url()][..])
        );
        assert!(principal.came_through(&[vec![back_end.url()]]));
        assert_eq!(
            refused(block_on(client.proxy_validate(SERVICE, &ticket))),
            FailureCode::InvalidTicket
        );
        // Not where service tickets are taken,
        assert_eq!(
            refused(block_on(client.validate(SERVICE, &proxy_ticket(), false))),
            FailureCode::InvalidTicket
        );
        // nor a service ticket where proxy tickets are: it came through nobody.
        let plain = Ticket::proxy(&alice.ticket(SERVICE)).unwrap();
        let error = block_on(client.proxy_validate(SERVICE, &plain)).unwrap_err();
        assert!(matches!(error, ValidateError::NotProxied), "{error}");
    }
}

#[test]
fn single_logout_names_every_ticket_at_the_service_it_was_made_for() {
    let Some(server) = CasServer::start() else { return };
    let (called, calls) = mpsc::channel();
    let service = Double::start(move |mut wire| {
        let Ok((line, headers)) = wire.head() else { return };
        let Ok((body, _)) = wire.body(&headers, false) else {
            return;
        };
        let content_type = values_of(&headers, "content-type")
            .first()
            .map(|value| (*value).to_owned());
        // The test may have heard enough.
        drop(called.send((line, content_type, body)));
        drop(
            wire.stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        );
    });
    let alice = server.person("alice");
    let services = ["/callback?state=1", "/callback?state=2"].map(|path| format!("http://{}{path}", service.address));
    let tickets: Vec<String> = services.iter().map(|service| alice.ticket(service)).collect();
    validate(&client(&server, Protocol::Cas3), &services[0], &tickets[0], false).unwrap();
    alice.sign_out();
    let (line, content_type, body) = calls.recv_timeout(DEADLINE).unwrap();
    let index = logout::logout_request(content_type.as_deref(), &body).unwrap();
    assert_eq!(line, "POST /callback?state=2 HTTP/1.1");
    let ended: Vec<&str> = index.iter().map(|index| index.as_str()).collect();
    assert_eq!(ended, [&tickets[1]]);
    assert!(calls.try_recv().is_err(), "of one path the last ticket alone is named");
}

#[test]
fn a_browser_fills_in_the_form_and_comes_back() {
    let Some(server) = CasServer::start() else { return };
    let page = Upstream::start();
    let service = format!("{}/deep/link?a=b&c=d", page.url());
    let login = client(&server, Protocol::Cas3).login_url(&service, Login::Usual);
    let script = r#"
        await page.goto(args.login);
        await signIn(page, "alice", args.password);
        const tab = await context.newPage();
        await tab.goto(args.login);
        return [page.url(), tab.url()];
    "#;
    let args = json!({ "login": login.as_str(), "password": PASSWORD });
    let Some(told) = browse(script, &args) else { return };
    let client = client(&server, Protocol::Cas3);
    for url in told.as_array().unwrap() {
        let url: url::Url = url.as_str().unwrap().parse().unwrap();
        let ticket = url.query_pairs().find(|(name, _)| name == "ticket").unwrap().1;
        assert_eq!(validate(&client, &service, &ticket, false).unwrap().user, "alice");
    }
}
