//! `else_ask`: where no rule speaks, an upstream's word about the client's own credentials counts.

use crate::support::{Config, Gateway, Request, Signer, Site, Upstream};

fn config(site: &Site, signer: &Signer, servers: &[String], more: &str) -> Config {
    site.write_keys("keys.json", &[signer]);
    for path in ["org/zoo/source", "org/zoo/login", "org/zoo/stall", "org/zoo/hangup"] {
        for file in ["a.mp4", "b.mp4"] {
            site.write(&format!("downloads/{path}/{file}"), "lecture");
        }
    }
    for status in [200, 204, 302, 403, 404, 500] {
        site.write(&format!("downloads/org/zoo/status/{status}"), "lecture");
    }
    Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", servers, "")
        .section(&format!(
            r#"
[[routes]]
name     = "media"
path     = "/static/{{org}}/{{channel}}/{{event}}/{{*file}}"
files    = "downloads"
strip    = "/static"
allow    = [{{ grant = "read", event = "{{event}}" }}]
deny     = [{{ role = "ROLE_SUSPENDED" }}]
else_ask = {{ upstream = "zoo" }}
{more}
"#
        ))
}

fn gateway(zoo: &Upstream, signer: &Signer) -> Gateway {
    let site = Site::new();
    let config = config(&site, signer, &[zoo.url()], "");
    site.start(&config)
}

/// All questions about targets that begin so.
fn questions(zoo: &Upstream, target: &str) -> Vec<crate::support::upstream::Seen> {
    let requests = zoo.requests();
    requests
        .into_iter()
        .filter(|seen| seen.target.starts_with(target))
        .collect()
}

const OK: &str = "/static/org/zoo/source/a.mp4";

#[test]
fn a_session_opens_what_the_upstream_says_it_opens() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer);
    let request = Request::get(&format!("{OK}?jwt=x.y.z&a=1"));
    let request = request
        .header("Cookie", "JSESSIONID=s; __Host-janua=own")
        .header("Authorization", "Basic eDp5");
    let answer = gateway.send(request).expect(200);
    assert_eq!(answer.text(), "lecture");
    assert_eq!(answer.header("cache-control"), Some("private"));
    let seen = zoo.seen("/static");
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("HEAD", OK));
    assert_eq!(seen.header("cookie"), Some("JSESSIONID=s"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(seen.header("host"), Some("video.test"));
    assert_eq!(seen.header("x-forwarded-host"), Some("video.test"));
}

#[test]
fn basic_goes_alone_and_a_token_never_goes() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer);
    gateway
        .send(Request::get(OK).header("Authorization", "Basic eDp5"))
        .expect(200);
    assert_eq!(zoo.seen("/static").header("authorization"), Some("Basic eDp5"));
    let other = signer.read("another");
    gateway.get_with(OK, &other).expect(200);
    let asked = questions(&zoo, "/static");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].header("authorization").is_none() && asked[1].header("cookie").is_none());
}

#[test]
fn nobody_is_asked_where_a_rule_has_spoken() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer);
    gateway.get_with(OK, &signer.read("source")).expect(200);
    let suspended = Request::get(OK).bearer(&signer.roles(&["ROLE_SUSPENDED"]));
    let refused = gateway.send(suspended.header("Cookie", "JSESSIONID=s"));
    refused.refused(403, "denied_by_rule");
    assert!(questions(&zoo, "/static").is_empty());
}

#[test]
fn each_answer_means_something() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer);
    let status = |status: u16| gateway.get(&format!("/static/org/zoo/status/{status}"));
    status(404).refused(404, "file_not_found");
    for other in [302, 403, 500] {
        status(other).refused(401, "no_credentials");
    }
    let bad = gateway.get_with("/static/org/zoo/status/403", &signer.read("another"));
    bad.refused(403, "event_not_granted");
    let login = gateway
        .get("/static/org/zoo/login/a.mp4")
        .refused(401, "no_credentials");
    assert_eq!(login.header("www-authenticate"), Some("Basic realm=\"Opencast\""));
    // A yes comes last: it holds for the event, which is `status` here.
    assert_eq!(status(204).expect(200).text(), "lecture");
}

#[test]
fn a_yes_is_remembered_for_the_event_and_for_this_credential() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer);
    let get = |file: &str, session: &str| {
        let path = format!("/static/org/zoo/source/{file}");
        gateway
            .send(Request::get(&path).header("Cookie", &format!("JSESSIONID={session}")))
            .expect(200);
        questions(&zoo, "/static").len()
    };
    assert_eq!(get("a.mp4", "one"), 1);
    assert_eq!(get("a.mp4", "one"), 1);
    assert_eq!(get("b.mp4", "one"), 1);
    assert_eq!(get("a.mp4", "two"), 2);
    for (result, times) in [("hit", 2.0), ("miss", 2.0)] {
        let series = format!("janua_else_ask_total{{result={result:?},route=\"media\"}}");
        let counted = gateway.metric(&series).unwrap();
        assert!((counted - times).abs() < f64::EPSILON, "{series}: {counted}");
    }
}

#[test]
fn a_question_on_its_way_is_not_asked_twice() {
    let (zoo, signer) = (Upstream::start(), Signer::new());
    let gateway = gateway(&zoo, &signer);
    let stalled = || {
        gateway
            .get("/static/org/zoo/stall/a.mp4")
            .refused(504, "upstream_timeout")
    };
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(stalled);
        }
    });
    assert_eq!(questions(&zoo, "/static").len(), 1);
}

#[test]
fn an_upstream_that_cannot_be_asked_is_a_bad_gateway() {
    let signer = Signer::new();
    let zoo = Upstream::start();
    let dead = zoo.url();
    drop(zoo);
    let site = Site::new();
    let gateway = site.start(&config(&site, &signer, &[dead], ""));
    gateway.get(OK).refused(502, "upstream_unavailable");
    gateway.get_with(OK, &signer.read("source")).expect(200);
}

#[test]
fn a_method_that_changes_something_is_never_asked_about() {
    let (zoo, signer, site) = (Upstream::start(), Signer::new(), Site::new());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .section(
            r#"
[[routes]]
name     = "all"
path     = "/{*rest}"
upstream = "zoo"
allow    = [{ role = "ROLE_NOBODY" }]
else_ask = { upstream = "zoo", method = "GET" }
"#,
        );
    let gateway = site.start(&config);
    let session = |method: &str| gateway.send(Request::new(method, "/thing").header("Cookie", "JSESSIONID=s"));
    session("DELETE").refused(401, "no_credentials");
    assert!(questions(&zoo, "/thing").is_empty());
    session("GET").expect(200);
    // The question, and the request itself with its cookie.
    assert_eq!(questions(&zoo, "/thing").len(), 2);
}

#[test]
fn who_asks_too_often_asks_nobody() {
    let (zoo, signer, site) = (Upstream::start(), Signer::new(), Site::new());
    let limits = r#"limits = { rate = "1/m", burst = 2 }"#;
    let gateway = site.start(&config(&site, &signer, &[zoo.url()], limits));
    let status = |status: u16| gateway.get(&format!("/static/org/zoo/status/{status}"));
    status(403).refused(401, "no_credentials");
    status(404).refused(404, "file_not_found");
    status(200).refused(429, "rate_limited");
    assert_eq!(questions(&zoo, "/static").len(), 2);
}
