//! One canonical path: the upstream never sees another one than the rule saw.

use crate::support::config::bytes;
use crate::support::{Config, Connection, Request, Signer, Site, Upstream};

/// A route to the zoo that a token opens for one event.
const EVENTS: &str = r#"
[[routes]]
name     = "events"
path     = "/static/{org}/{event}/{*file}"
upstream = "zoo"
allow    = [{ grant = "read", event = "{event}" }]

[[routes]]
name        = "with parameters"
path        = "/legacy/{*rest}"
path_params = true
upstream    = "zoo"
allow       = [{ anyone = true }]
"#;

fn config(site: &Site, signer: &Signer, zoo: &Upstream) -> Config {
    site.write_keys("keys.json", &[signer]);
    Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .section(EVENTS)
}

#[test]
fn the_upstream_sees_what_the_rule_saw() {
    let (site, signer, zoo) = (Site::new(), Signer::new(), Upstream::start());
    let gateway = site.start(&config(&site, &signer, &zoo));
    let token = signer.read("lecture-1");
    let cases = [
        ("/static/org/lecture-1/a.mp4", "/static/org/lecture-1/a.mp4"),
        ("//static///org//lecture-1//a.mp4", "/static/org/lecture-1/a.mp4"),
        ("/st%61tic/org/%6cecture-1/a.mp4", "/static/org/lecture-1/a.mp4"),
        (
            "/static/org/lecture-1/a%20b%c3%bc.mp4",
            "/static/org/lecture-1/a%20b%C3%BC.mp4",
        ),
        ("/static/org/lecture-1/a+b%2Bc", "/static/org/lecture-1/a+b%2Bc"),
        ("/static/org/lecture-1/a%3bv", "/static/org/lecture-1/a%3Bv"),
        ("/static/org/lecture-1/100%25", "/static/org/lecture-1/100%25"),
        ("/static/org/lecture-1/%252e%252e", "/static/org/lecture-1/%252e%252e"),
        ("/static/org/lecture-1/a..b/...", "/static/org/lecture-1/a..b/..."),
        (
            "/static/org/lecture-1/a?b=/../%2e%2F&c",
            "/static/org/lecture-1/a?b=/../%2e%2F&c",
        ),
        ("/static/org/lecture-1/a?", "/static/org/lecture-1/a"),
    ];
    for (sent, seen) in cases {
        let told = gateway.get_with(sent, &token).expect(200).json();
        let target = told["target"].as_str().unwrap();
        // An empty query may be kept or not; it names nothing.
        assert_eq!(target.trim_end_matches('?'), seen, "{sent}");
    }
    let before = zoo.requests().len();
    for other in [
        "/static/org/lecture-2/a.mp4",
        "/static/org/%6cecture-2/a.mp4",
        "/static/lecture-1/x/a",
    ] {
        gateway.get_with(other, &token).refused(403, "event_not_granted");
    }
    assert_eq!(zoo.requests().len(), before);
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let (site, signer, zoo) = (Site::new(), Signer::new(), Upstream::start());
    let gateway = site.start(&config(&site, &signer, &zoo));
    let token = signer.read("lecture-1");
    let refused = [
        "/static/org/lecture-1/../lecture-2/a",
        "/static/org/lecture-1/..",
        "/static/org/./lecture-1/a",
        "/static/org/lecture-1/..;/lecture-2/a",
        "/static/org/lecture-1/..;x=1/lecture-2/a",
        "/static/org/lecture-1/.;x/a",
        "/static/org/lecture-1/%2e%2e/lecture-2/a",
        "/static/org/lecture-1/.%2e/lecture-2/a",
        "/static/org/lecture-1/a%2Emp4",
        "/static/org/lecture-1/..%2flecture-2/a",
        "/static/org/lecture-1%2Fa",
        "/static/org/lecture-1/a\\..\\b",
        "/static/org/lecture-1/..%5clecture-2",
        "/static/org/lecture-1/a%00.mp4",
        "/static/org/lecture-1/a%0d%0aX:1",
        "/static/org/lecture-1/a%7f",
        "/static/org/lecture-1/a%",
        "/static/org/lecture-1/a%2",
        "/static/org/lecture-1/a%zz",
        "/static/org/lecture-1/%ff",
        "/static/org/lecture-1/%c0%ae",
        "/static/org/lecture-1;v=1/a",
        "/static/org/lecture-1/a;v=1",
        "/static/org/lecture-1/..%3Bv/a",
        "/legacy/a/..;x=1/b",
        "/legacy/../static/org/lecture-1/a",
    ];
    for path in refused {
        gateway.get_with(path, &token).refused(400, "bad_path");
    }
    gateway
        .get_with(&"/a".repeat(9 << 10), &token)
        .refused(414, "path_too_long");
    assert!(zoo.requests().is_empty(), "{:?}", zoo.requests());
    let told = gateway.get("/legacy/a;v=1/b").expect(200).json();
    assert_eq!(told["target"], "/legacy/a;v=1/b");
}

#[test]
fn bytes_that_are_no_path_are_refused() {
    let (site, signer, zoo) = (Site::new(), Signer::new(), Upstream::start());
    let gateway = site.start(&config(&site, &signer, &zoo));
    let targets: [&[u8]; 4] = [
        b"/static/org/lecture-1/\xff",
        b"/static/org/lecture-1/\x01",
        b"static/org/lecture-1/a",
        b"",
    ];
    for target in targets {
        let request = [
            b"GET ",
            target,
            b" HTTP/1.1\r\nHost: video.test\r\nConnection: close\r\n\r\n",
        ]
        .concat();
        let answer = Connection::open(gateway.http()).exchange_raw(&request).unwrap();
        assert_eq!(answer.status, 400, "{}", target.escape_ascii());
    }
    assert!(zoo.requests().is_empty());
}

/// Clients that forget to encode are understood, a fragment ends the path: the rule and the upstream see it alike.
#[test]
fn bytes_that_should_have_been_encoded_are() {
    let (site, signer, zoo) = (Site::new(), Signer::new(), Upstream::start());
    let gateway = site.start(&config(&site, &signer, &zoo));
    let token = signer.read("lecture-1");
    for (sent, seen) in [("a b", "a%20b"), ("a#b", "a")] {
        let request = format!(
            "GET /static/org/lecture-1/{sent} HTTP/1.1\r\nHost: video.test\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = Connection::open(gateway.http()).exchange_raw(request).unwrap();
        let target = answer.expect(200).json()["target"].as_str().unwrap().to_owned();
        assert_eq!(target, format!("/static/org/lecture-1/{seen}"), "{sent}");
    }
}

#[test]
fn strip_takes_whole_segments_off() {
    let (site, zoo) = (Site::new(), Upstream::start());
    let gateway = site.start(&Config::new().upstream("zoo", &[zoo.url()], "").section(
        r#"
        [[routes]]
        name = "stripped"
        path = "/api/{*rest}"
        upstream = "zoo"
        strip = "/api"
        allow = [{ anyone = true }]"#,
    ));
    let target = |path: &str| {
        gateway.get(path).expect(200).json()["target"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(target("/api/a/b?c=1"), "/a/b?c=1");
    assert_eq!(target("//%61pi//api/b"), "/api/b");
    gateway.get("/apix/a").refused(404, "no_route");
}

#[test]
fn the_most_specific_route_wins_whatever_the_order() {
    let site = Site::new();
    let route = |name: &str, path: &str, status: u16| {
        format!(
            "[[routes]]\nname = {name:?}\npath = {path:?}\nrespond = {{ status = {status} }}\nallow = [{{ anyone = true }}]\n"
        )
    };
    let routes = [
        route("catch-all", "/{*rest}", 204),
        route("parameter", "/a/{b}", 404),
        route("literal", "/a/b", 410),
        route("deep catch-all", "/a/{b}/{*rest}", 403),
    ];
    for order in [routes.concat(), routes.iter().rev().cloned().collect()] {
        let gateway = site.start(&Config::new().section(&order));
        for (path, status) in [
            ("/x", 204),
            ("/a/x", 404),
            ("/a/b", 410),
            ("/a/x/y", 403),
            ("/%61/%62", 410),
        ] {
            assert_eq!(gateway.get(path).status, status, "{path}");
        }
    }
}

#[test]
fn no_route_is_a_404() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    gateway.get("/elsewhere").refused(404, "no_route");
    gateway
        .get("/staticx/org/player/lecture-1/video.mp4")
        .refused(404, "no_route");
    let got = gateway.send(Request::get("//static/org//player/lecture-1/video.mp4").bearer(&signer.read("lecture-1")));
    assert_eq!(got.expect(200).body, bytes(1000));
}
