//! Requests whose framing two servers could read differently are refused; slow and idle clients are shown out.

use std::io;

use crate::support::h2::{H2, Outcome};
use crate::support::http::Response;
use crate::support::tools::{curl, missing};
use crate::support::{Config, Connection, Gateway, Request, Site, Upstream, eventually};

fn open_gateway(zoo: &Upstream, change: impl FnOnce(Config) -> Config) -> Gateway {
    let config = Config::new().upstream("zoo", &[zoo.url()], "").open_upstream_route("");
    Site::new().start(&change(config))
}

fn raw(gateway: &Gateway, request: impl AsRef<[u8]>) -> io::Result<Response> {
    Connection::open(gateway.http()).exchange_raw(request)
}

#[test]
fn smuggling_is_refused_and_the_connection_ends() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| config);
    let heads = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: ",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\u{b}chunked",
        " Transfer-Encoding: chunked",
        "Content-Length : 5",
        "X Y: 1",
        "X(Y): 1",
        "X\u{fc}: 1",
        ": 1",
        "NoColon",
        "X: a\r\n b",
        "X: a\u{1}b",
        "X: a\0b",
        "X: a\rb",
    ];
    for head in heads {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: video.test\r\n\r\n";
        let request = format!("POST /first HTTP/1.1\r\nHost: video.test\r\n{head}\r\n\r\n0\r\n\r\n{smuggled}");
        let mut connection = Connection::open(gateway.http());
        match connection.exchange_raw(request) {
            Ok(answer) => assert!([400, 501].contains(&answer.status), "{head:?}: {}", answer.status),
            Err(error) => panic!("{head:?}: {error}"),
        }
        // What follows on a refused connection is not read as a request.
        connection.finish_sending();
        let rest = connection.closed().unwrap();
        assert!(
            !rest.windows(5).any(|word| word == b"HTTP/"),
            "{head:?}: {}",
            rest.escape_ascii()
        );
    }
    assert!(zoo.requests().is_empty(), "{:?}", zoo.requests());
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| config);
    for line in [
        "GET /a",
        "GET  /a HTTP/1.1",
        "GET /a HTTP/9.9",
        "G@T /a HTTP/1.1",
        "\u{16}\u{3}\u{1}",
    ] {
        let request = format!("{line}\r\nHost: video.test\r\nConnection: close\r\n\r\n");
        match raw(&gateway, request) {
            Ok(answer) => assert!((400..600).contains(&answer.status), "{line:?}: {}", answer.status),
            // Hung up without a word: as good.
            Err(error) => assert_ne!(error.kind(), io::ErrorKind::WouldBlock, "{line:?}"),
        }
    }
    assert!(zoo.requests().is_empty(), "{:?}", zoo.requests());
}

#[test]
fn oversized_headers_are_told_so() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| config);
    let one = Request::get("/a").header("X-Big", &"a".repeat(100 * 1024));
    let many = (0..300).fold(Request::get("/a"), |request, _| request.header("X-Many", "a"));
    let url = Request::get(&format!("/{}", "a".repeat(100 * 1024)));
    assert_eq!(gateway.send(one).status, 431);
    assert!([400, 431].contains(&gateway.send(many).status));
    assert!([400, 414, 431].contains(&gateway.send(url).status));
    assert!(zoo.requests().is_empty());
    // A long token is no oversized header.
    let long = Request::get("/a").header("X-Long", &"a".repeat(8 * 1024));
    gateway.send(long).expect(200);
}

#[test]
fn max_header_sets_how_long_a_header_may_be() {
    let zoo = Upstream::start();
    let long = |length: usize| Request::get(&format!("/{}", "a".repeat(9_000))).header("Cookie", &"c".repeat(length));
    let gateway = open_gateway(&zoo, |config| config);
    gateway.send(long(30_000)).refused(431, "headers_too_large");
    gateway.logged(&["`server.max_header` allows 32768"]);
    drop(gateway);
    let gateway = open_gateway(&zoo, |config| config.server("max_header", "\"128KiB\""));
    gateway.send(long(110_000)).expect(200);
    gateway.send(long(125_000)).refused(431, "headers_too_large");
    if missing("curl") {
        return;
    }
    let over_http_2 = |length: usize| {
        let (cookie, url) = (format!("Cookie: {}", "c".repeat(length)), gateway.url("/a"));
        let told = [
            "--http2-prior-knowledge",
            "-o",
            "/dev/null",
            "-w",
            "%{http_version} %{http_code}",
            "-H",
        ];
        curl(&[&told[..], &[&cookie, &url]].concat()).ok().stdout
    };
    // curl itself sends no more than 64 KiB.
    assert_eq!(over_http_2(60_000), "2 200");
}

#[test]
fn a_slow_header_is_timed_out_on_fresh_and_used_connections() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| {
        config.server("timeouts", r#"{ header = "1s", keep_alive = "2s" }"#)
    });
    let timed_out = |mut connection: Connection| {
        connection
            .write("GET /slow HTTP/1.1\r\nHost: video.test\r\nX-")
            .unwrap();
        let said = connection.closed().expect("the connection is closed");
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 408"),
            "{}",
            said.escape_ascii()
        );
    };
    timed_out(Connection::open(gateway.http()));
    let mut used = Connection::open(gateway.http());
    used.exchange(Request::get("/a")).expect(200);
    timed_out(used);
}

#[test]
fn a_header_that_trickles_is_timed_out_as_a_whole() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| config.server("timeouts", r#"{ header = "1s" }"#));
    let mut connection = Connection::open(gateway.http());
    connection
        .write("GET /slow HTTP/1.1\r\nHost: video.test\r\nX-Drop: ")
        .unwrap();
    // Each byte comes well within the limit; together they do not.
    eventually("the trickle is cut off", || connection.write("a").err());
    assert!(zoo.requests().is_empty());
}

#[test]
fn an_idle_connection_is_closed() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| {
        config.server("timeouts", r#"{ header = "1s", keep_alive = "1s" }"#)
    });
    let mut silent = Connection::open(gateway.http());
    assert!(
        silent
            .closed()
            .is_ok_and(|said| said.is_empty() || said.starts_with(b"HTTP/1.1 408"))
    );
    let mut idle = Connection::open(gateway.http());
    idle.exchange(Request::get("/a")).expect(200);
    assert_eq!(idle.closed().unwrap(), b"");
}

#[test]
fn a_stalled_upload_is_timed_out() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| config.server("timeouts", r#"{ read = "1s" }"#));
    let mut connection = Connection::open(gateway.http());
    connection
        .write("POST /zoo/sink HTTP/1.1\r\nHost: video.test\r\nContent-Length: 10\r\n\r\nhalf")
        .unwrap();
    let said = connection.closed().expect("the connection is closed");
    assert!(
        said.is_empty() || said.starts_with(b"HTTP/1.1 408"),
        "{}",
        said.escape_ascii()
    );
}

#[test]
fn connections_are_kept_and_pipelined_requests_answered_in_order() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| config);
    let mut connection = Connection::open(gateway.http());
    for number in 0..5 {
        let told = connection.exchange(Request::get(&format!("/{number}"))).expect(200);
        assert_eq!(told.json()["target"], format!("/{number}"));
    }
    let body = connection.exchange(Request::new("POST", "/body").body("hello")).json();
    assert_eq!(body["body"], "hello");
    let chunks = "POST /chunks HTTP/1.1\r\nHost: video.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
    let told = connection.exchange_raw(chunks).unwrap().json();
    assert_eq!(told["body"], "abcde");
}

/// One connection of HTTP/2 carries many requests; the bound on connections counts for these, too.
#[test]
fn requests_over_http2_are_bounded_by_address_and_wait_their_turn() {
    let zoo = Upstream::start();
    let bounded = |wait: &str| {
        open_gateway(&zoo, |config| {
            let config = config.server("connections", "{ max = 1000, per_address = 2 }");
            config.server("timeouts", &format!("{{ header = \"{wait}\" }}"))
        })
    };
    let (impatient, patient) = (bounded("300ms"), bounded("10s"));
    let ask = |gateway: &Gateway, before: usize| {
        let mut client = H2::open(gateway.http());
        let mut ask = |stream: u32| client.request(stream, "GET", "/zoo/late", &[], true).unwrap();
        ask(1);
        ask(3);
        // Streams have no order: the third one comes when the others have their places.
        eventually("two have come through", || {
            (zoo.requests().len() == before + 2).then_some(())
        });
        ask(5);
        client
    };
    let (mut refused, mut waiting) = (ask(&impatient, 0), ask(&patient, 2));
    assert_eq!(refused.outcome(5), Outcome::Answered(503));
    // Another kind of client is not concerned, nor is who comes over another connection of HTTP/1.1.
    impatient.get("/a").expect(200);
    zoo.release();
    assert_eq!(waiting.outcome(5), Outcome::Answered(200));
    impatient.logged(&["status=503", "overloaded"]);
}

/// Its clients are bounded by their own addresses, request by request.
#[test]
fn a_trusted_proxy_brings_as_many_clients_as_there_are() {
    let zoo = Upstream::start();
    let gateway = open_gateway(&zoo, |config| {
        let config = config.server("connections", "{ max = 1000, per_address = 2 }");
        let config = config.server("timeouts", "{ header = \"300ms\" }");
        config.server("trusted_proxies", "[\"127.0.0.1\"]")
    });
    let ask = |client: &str| {
        let mut connection = Connection::open(gateway.http());
        let request = Request::get("/zoo/late").header("X-Forwarded-For", client);
        connection.write(request.bytes()).unwrap();
        connection
    };
    let mut all: Vec<_> = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"].map(ask).into();
    eventually("all have come through", || (zoo.requests().len() == 4).then_some(()));
    assert_eq!(ask("192.0.2.1").response(false).unwrap().status, 503, "its third one");
    gateway.logged(&["status=503", "as server.connections.per_address allows"]);
    zoo.release();
    for connection in &mut all {
        connection.response(false).unwrap().expect(200);
    }
    assert_eq!(gateway.metric_sum("janua_connections_refused_total"), 0.0);
}

#[test]
fn connections_are_bounded_by_address_and_in_all() {
    let zoo = Upstream::start();
    for limits in ["{ max = 1000, per_address = 3 }", "{ max = 3, per_address = 1000 }"] {
        let gateway = open_gateway(&zoo, |config| config.server("connections", limits));
        let mut held: Vec<_> = (0..3).map(|_| Connection::open(gateway.http())).collect();
        for connection in &mut held {
            connection.exchange(Request::get("/a")).expect(200);
        }
        let mut refused = Connection::open(gateway.http());
        let answer = refused.exchange_raw(Request::get("/a").bytes());
        assert!(
            answer.as_ref().map_or(true, |answer| answer.status == 503),
            "{limits}: {answer:?}"
        );
        let refused = gateway.metric_sum("janua_connections_refused_total");
        assert!(refused >= 1.0, "{limits}: refused and not counted");
        // The others serve on, and a place that is left can be taken.
        held[0].exchange(Request::get("/a")).expect(200);
        drop(held);
        eventually("a place is free", || {
            let answer = Connection::open(gateway.http()).exchange_raw(Request::get("/a").bytes());
            answer.ok().filter(|answer| answer.status == 200)
        });
    }
}
