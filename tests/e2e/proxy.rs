//! The way through to an upstream: streaming in both directions, pools, several servers, and what goes wrong there.

use crate::support::config::bytes;
use crate::support::http::values;
use crate::support::{
    Config, Connection, Gateway, Nginx, Request, Reserved, Signer, Site, Upstream, eventually, tools,
};

fn gateway(servers: &[String], more: &str) -> Gateway {
    let config = Config::new().upstream("zoo", servers, more).open_upstream_route("");
    Site::new().start(&config)
}

/// The URL of a port on which nobody listens.
fn nobody(port: &Reserved) -> String {
    format!("http://{}", port.address())
}

#[test]
fn requests_and_answers_go_through_unchanged() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    let request = Request::new("PUT", "/thing?a=1&b=%20")
        .header("X-Own", "ü1")
        .header("Accept", "a/b");
    let told = gateway.send(request.body("hello")).expect(200);
    let seen = told.json();
    assert_eq!(
        (seen["method"].as_str(), seen["body"].as_str()),
        (Some("PUT"), Some("hello"))
    );
    assert_eq!(seen["target"], "/thing?a=1&b=%20");
    assert_eq!(zoo.seen("/thing").header("accept"), Some("a/b"));
    for status in [201, 302, 404, 418, 500, 503] {
        let answer = gateway.get(&format!("/zoo/status/{status}")).expect(status);
        assert_eq!(answer.header("location"), Some("/elsewhere?a=1"));
        assert_eq!(answer.header("x-zoo"), Some("zoo"));
    }
}

#[test]
fn a_token_never_travels_on() {
    let (site, signer, zoo) = (Site::new(), Signer::new(), Upstream::start());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .section(
            r#"
            [[routes]]
            name = "guarded"
            path = "/{event}/{*rest}"
            upstream = "zoo"
            allow = [{ grant = "read", event = "{event}" }]"#,
        );
    let gateway = site.start(&config);
    let token = signer.read("a");
    for (sent, seen) in [
        (format!("/a/one?jwt={token}"), "/a/one"),
        (format!("/a/two?x=1&jwt={token}&y=2"), "/a/two?x=1&y=2"),
        (format!("/a/three?jwt={token}&jwt=other"), "/a/three"),
        (format!("/a/four?x&j%77t={token}&y="), "/a/four?x&y="),
    ] {
        let told = gateway.get(&sent).expect(200);
        assert_eq!(told.json()["target"], seen);
        assert!(!told.text().contains(&token));
        // What needed a credential is for its holder alone.
        assert!(told.header("cache-control").unwrap().contains("private"));
    }
    let public = gateway.get_with("/a/zoo/status/200", &token).expect(200);
    let cache = public.all("cache-control").join(",");
    assert!(cache.contains("private") && !cache.contains("public"), "{cache}");
    let held = format!("/a/five?jwt={token}");
    assert!(!format!("{:?}", gateway.get(&held).headers).contains(&token));
    assert!(!format!("{:?}", zoo.requests()).contains(&token));
    gateway.logged(&["/a/five"]);
    assert!(!gateway.said().contains(&token[20..]), "a token stands in the log");
}

#[test]
fn upstream_connections_are_kept() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], r#"health = { every = "1h" }"#);
    gateway.get("/warm").expect(200);
    let before = zoo.connections();
    for _ in 0..20 {
        gateway.get("/a").expect(200);
    }
    // A client may have its answer a moment before the connection is back in the pool: then the next one opens another.
    assert!(
        zoo.connections() - before <= 10,
        "{} more connections for 20 requests",
        zoo.connections() - before
    );
}

#[test]
fn answers_are_not_buffered() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    let mut connection = Connection::open(gateway.http());
    connection.write(Request::get("/zoo/gate").bytes()).unwrap();
    let head = connection.response_head().unwrap();
    assert_eq!(connection.read(5).unwrap(), b"first");
    // Only now does the upstream have the rest.
    zoo.release();
    assert_eq!(connection.read(6).unwrap(), b"second");
    assert_eq!(values(&head.headers, "content-length"), ["11"]);
}

#[test]
fn uploads_are_not_buffered() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    for framing in ["Content-Length: 2000000", "Transfer-Encoding: chunked"] {
        let chunked = framing.starts_with('T');
        let half = vec![b'j'; 1_000_000];
        let mut connection = Connection::open(gateway.http());
        connection
            .write(format!(
                "POST /zoo/sink HTTP/1.1\r\nHost: video.test\r\n{framing}\r\n\r\n"
            ))
            .unwrap();
        let send = |connection: &mut Connection| {
            if chunked {
                connection.write("f4240\r\n").unwrap();
            }
            connection.write(&half).unwrap();
            if chunked {
                connection.write("\r\n").unwrap();
            }
        };
        send(&mut connection);
        // The first half is there before the second is sent.
        zoo.received(if chunked { 3_000_000 } else { 1_000_000 });
        send(&mut connection);
        if chunked {
            connection.write("0\r\n\r\n").unwrap();
        }
        assert_eq!(
            connection.response(false).unwrap().expect(200).json()["received"],
            2_000_000
        );
    }
}

#[test]
fn an_expectation_is_answered_by_the_upstream() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    let head = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: video.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut connection = Connection::open(gateway.http());
    connection.write(head("/body")).unwrap();
    let go_on = connection.read_until("\r\n\r\n").unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{}", go_on.escape_ascii());
    connection.write("hello").unwrap();
    let told = connection.response(false).unwrap().expect(200);
    assert_eq!(told.json()["body"], "hello");
    // Refused before a byte of the body is sent.
    let mut connection = Connection::open(gateway.http());
    connection.write(head("/zoo/refuses")).unwrap();
    assert_eq!(connection.response(false).unwrap().status, 417);
}

#[test]
fn a_refused_upload_is_told_before_it_is_sent() {
    let (site, signer, zoo) = (Site::new(), Signer::new(), Upstream::start());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .section(
            r#"
            [[routes]]
            name = "ingest"
            path = "/ingest"
            upstream = "zoo"
            allow = [{ role = "ROLE_STUDIO" }]"#,
        );
    let gateway = site.start(&config);
    let head =
        "POST /ingest HTTP/1.1\r\nHost: video.test\r\nExpect: 100-continue\r\nContent-Length: 5000000000\r\n\r\n";
    let answer = Connection::open(gateway.http()).exchange_raw(head).unwrap();
    assert!(answer.informational.is_empty(), "{:?}", answer.informational);
    answer.refused(401, "no_credentials");
    assert!(zoo.requests().is_empty());
}

#[test]
fn trailers_do_no_harm() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    let mut connection = Connection::open(gateway.http());
    let told = connection.exchange(Request::get("/zoo/trailers").header("TE", "trailers"));
    assert_eq!(told.text(), "body");
    // Trailers may be dropped on the way (RFC 9110 section 6.5.1), but never become headers.
    assert!(told.header("x-checksum").is_none());
    assert!(["", "4f2a"].contains(&values(&told.trailers, "x-checksum").concat().as_str()));
    // The connection is whole afterwards.
    connection.exchange(Request::get("/next")).expect(200);
    let request = "POST /up HTTP/1.1\r\nHost: video.test\r\nTransfer-Encoding: chunked\r\nTrailer: x-run-as-user\r\n\r\n\
                   3\r\nabc\r\n0\r\nx-run-as-user: admin\r\n\r\n";
    let told = connection.exchange_raw(request).unwrap().expect(200);
    assert_eq!(told.json()["body"], "abc");
    assert_eq!(zoo.seen("/up").header("x-run-as-user"), None);
}

#[test]
fn websockets_go_through_even_when_the_upstream_is_quick() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "websocket = true");
    for round in 0..50 {
        let mut socket = Connection::open(gateway.http());
        let request = Request::get("/zoo/websocket")
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        socket.write(request.bytes()).unwrap();
        let head = socket.response_head().unwrap();
        assert_eq!(head.status, 101, "round {round}");
        assert_eq!(head.header("upgrade"), Some("websocket"));
        for size in [1, 10, 1000, 5000] {
            let message = bytes(size);
            socket.write(&message).unwrap();
            assert_eq!(socket.read(size).unwrap(), message, "round {round}");
        }
    }
}

#[test]
fn several_servers_share_and_failing_ones_are_left_out() {
    let [one, two] = [Upstream::named("one"), Upstream::named("two")];
    let port = Reserved::new(0).unwrap();
    let gateway = gateway(&[one.url(), nobody(&port), two.url()], r#"health = { every = "1s" }"#);
    let mut served = std::collections::BTreeSet::new();
    for round in 0..30 {
        // A connect that fails is tried elsewhere: no client sees it, whatever it sends.
        let (method, body) = [("GET", ""), ("POST", "a"), ("PUT", "b")][round % 3];
        let told = gateway.send(Request::new(method, "/a").body(body)).expect(200);
        assert_eq!(told.json()["body"], body);
        served.insert(told.header("x-zoo").unwrap().to_owned());
    }
    assert_eq!(served.len(), 2);
    let healthy = |server: &Upstream| {
        let server = server.url();
        let server = server.strip_prefix("http://").unwrap();
        gateway.metric(&format!(
            r#"janua_upstream_healthy{{server="{server}",upstream="zoo"}}"#
        ))
    };
    eventually("two are healthy", || {
        (healthy(&one) == Some(1.0) && healthy(&two) == Some(1.0)).then_some(())
    });
    drop(two);
    for _ in 0..30 {
        assert_eq!(gateway.get("/a").expect(200).header("x-zoo"), Some("one"));
    }
}

#[test]
fn a_server_that_says_it_is_ill_gets_no_requests_until_it_is_well() {
    let [one, two] = [Upstream::named("one"), Upstream::named("two")];
    two.set_ill(true);
    let health = r#"health = { path = "/health", every = "1s" }"#;
    let gateway = gateway(&[one.url(), two.url()], health);
    let reached = || -> std::collections::BTreeSet<String> {
        let answers = (0..10).map(|_| gateway.get("/a").expect(200));
        answers
            .map(|answer| answer.header("x-zoo").unwrap().to_owned())
            .collect()
    };
    one.arrived("/health");
    two.arrived("/health");
    eventually("the ill one is left out", || (reached().len() == 1).then_some(()));
    assert_eq!(reached(), ["one".to_owned()].into());
    two.set_ill(false);
    eventually("the well one is back", || (reached().len() == 2).then_some(()));
}

#[test]
fn consistent_balance_keeps_a_path_on_one_server() {
    let servers = [Upstream::named("one"), Upstream::named("two"), Upstream::named("three")];
    let gateway = gateway(&servers.each_ref().map(Upstream::url), r#"balance = "consistent""#);
    let who = |path: &str| gateway.get(path).expect(200).header("x-zoo").unwrap().to_owned();
    let mut used = std::collections::BTreeSet::new();
    for number in 0..30 {
        let path = format!("/{number}");
        let first = who(&path);
        assert!((0..3).all(|_| who(&path) == first), "{path}");
        used.insert(first);
    }
    assert!(used.len() > 1, "all paths on one server");
}

#[test]
fn nobody_behind_is_a_502() {
    let port = Reserved::new(0).unwrap();
    let gateway = gateway(&[nobody(&port)], "");
    let told = gateway.get("/a").refused(502, "upstream_unavailable");
    assert_eq!(told.header("retry-after"), None);
    let errors = gateway.metric_sum("janua_upstream_connect_errors_total");
    assert!(errors >= 1.0);
}

#[test]
fn what_is_no_answer_is_a_502() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    for path in ["/zoo/hangup", "/zoo/garbage"] {
        let told = gateway.get(path).expect(502);
        assert!(["upstream_failed", "upstream_unavailable"].contains(&told.reason().as_str()));
    }
    // The upload of a client that hung up half-way is not sent twice.
    let posts = |zoo: &Upstream| zoo.requests().iter().filter(|seen| seen.method == "POST").count();
    gateway
        .send(Request::new("POST", "/zoo/hangup").body("hello"))
        .expect(502);
    assert_eq!(posts(&zoo), 1);
}

#[test]
fn no_answer_in_time_is_a_504() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], r#"timeouts = { connect = "2s", read = "1s" }"#);
    gateway.get("/zoo/stall").refused(504, "upstream_timeout");
}

#[test]
fn an_answer_cut_short_is_cut_short_for_the_client_too() {
    let zoo = Upstream::start();
    let gateway = gateway(&[zoo.url()], "");
    let cut = Connection::open(gateway.http()).exchange_raw(Request::get("/zoo/cut/1000").bytes());
    assert!(cut.is_err(), "{cut:?}");
    // And the gateway lives on.
    gateway.get("/a").expect(200);
}

#[test]
fn bodies_have_a_limit_where_one_is_set() {
    let zoo = Upstream::start();
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route(r#"limits = { body = "1KiB" }"#);
    let gateway = Site::new().start(&config);
    gateway
        .send(Request::new("POST", "/a").body(vec![b'j'; 1024]))
        .expect(200);
    gateway
        .send(Request::new("POST", "/b").body(vec![b'j'; 1025]))
        .refused(413, "body_too_large");
    assert!(!zoo.requests().iter().any(|seen| seen.target == "/b"));
    // A length that is not told is counted.
    let mut connection = Connection::open(gateway.http());
    let chunk = format!("400\r\n{}\r\n", "j".repeat(1024));
    let request =
        format!("POST /c HTTP/1.1\r\nHost: video.test\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    match connection.exchange_raw(request) {
        Ok(answer) => assert_eq!(answer.status, 413),
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock),
    }
    gateway.get("/next").expect(200);
}

#[test]
fn a_body_limit_of_nothing() {
    let zoo = Upstream::start();
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route(r#"limits = { body = "0" }"#);
    let gateway = Site::new().start(&config);
    gateway.get("/a").expect(200);
    gateway
        .send(Request::new("POST", "/b").body("x"))
        .refused(413, "body_too_large");
}

#[test]
fn a_real_nginx_answers_ranges_and_conditions() {
    if tools::missing("nginx") {
        return;
    }
    let site = Site::new();
    site.write("files/a b.mp4", bytes(100_000));
    let nginx = Nginx::start(&site.path("files"));
    let gateway = gateway(&[nginx.url()], "");
    let whole = gateway.get("/a%20b.mp4").expect(200);
    assert_eq!(whole.body, bytes(100_000));
    let part = gateway
        .send(Request::get("/a%20b.mp4").header("Range", "bytes=99990-"))
        .expect(206);
    assert_eq!(part.body, bytes(100_000)[99_990..]);
    let etag = whole.header("etag").unwrap();
    let same = gateway.send(Request::get("/a%20b.mp4").header("If-None-Match", etag));
    assert_eq!((same.status, same.body.len()), (304, 0));
    let head = gateway.send(Request::new("HEAD", "/a%20b.mp4")).expect(200);
    assert_eq!(head.header("content-length"), Some("100000"));
    nginx.logged("HEAD /a%20b.mp4 200");
}
