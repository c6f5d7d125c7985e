//! However a request's framing is bent, what reaches the upstream is what the gateway judged: none splits into two,
//! none joins with the next, and no header comes into being on the way.

use crate::support::h2::{Field, Outcome};
use crate::support::http::HOST;
use crate::support::{Config, Connection, Gateway, H2, Request, Site, Upstream};

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: video.test\r\n\r\n";

fn gateway(zoo: &Upstream) -> Gateway {
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], "health = { every = \"1h\" }")
        .open_upstream_route("");
    Site::new().start(&config)
}

/// Sends the bytes as they are and sees what became of them. `allowed`: bodies of `/first` that may have arrived.
/// Afterwards another client's request over the same pool must get its own answer.
#[track_caller]
fn neither_splits_nor_joins(gateway: &Gateway, zoo: &Upstream, bytes: &[u8], allowed: &[&str]) {
    // Each case has a name of its own: a request that the client left may reach the upstream after the next one.
    let case = zoo.requests().len();
    let first = format!("/first-{case}");
    let bytes = &named(bytes, &first);
    let shown = bytes.escape_ascii().to_string();
    let mut client = Connection::open(gateway.http());
    drop(client.write(bytes));
    client.finish_sending();
    let said = client.closed().unwrap_or_else(|error| panic!("{shown}: {error}"));
    let said = String::from_utf8_lossy(&said).into_owned();
    let arrived = zoo.requests();
    let strange = |target: &str| !target.starts_with("/first") && !target.starts_with("/probe-");
    assert!(
        arrived.iter().filter(|seen| seen.target == first).count() <= 1
            && !arrived.iter().any(|seen| strange(&seen.target)),
        "{shown}: {arrived:?}"
    );
    let answers = said.matches("HTTP/1.1 ").count() - said.matches("HTTP/1.1 100").count();
    assert!(answers <= 1, "{shown}: {said}");
    if said.starts_with("HTTP/1.1 200") {
        let body = allowed.iter().any(|body| said.contains(&format!("\"body\":{body:?}")));
        assert!(body, "{shown}: {said}");
    }
    let probe = format!("/probe-{case}");
    assert_eq!(gateway.get(&probe).expect(200).json()["target"], probe, "after {shown}");
}

/// The request with its target `/first` replaced.
fn named(bytes: &[u8], target: &str) -> Vec<u8> {
    let old = b"/first";
    let place = bytes.windows(old.len()).position(|window| window == old).unwrap();
    [&bytes[..place], target.as_bytes(), &bytes[place + old.len()..]].concat()
}

#[test]
fn a_body_with_two_lengths_is_one_request_or_none() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let heads = [
        // CL.TE, TE.CL, and the ways to hide one of them.
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 60",
        "Content-Length: 6\r\nTransfer-Encoding:\tchunked",
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x",
        "Content-Length: 6\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked",
        "Content-Length: 6\r\nTransfer-Encoding: \"chunked\"",
        "Content-Length: 6\r\nTransfer-Encoding: chunked,",
        "Content-Length: 6\r\nTransfer-Encoding: ,chunked",
        "Content-Length: 6\r\nTransfer-Encoding: chun\tked",
        "Content-Length: 6\r\nTransfer-Encoding\0: chunked",
        "Content-Length: 6\r\nTransfer_Encoding: chunked",
        "Content-Length: 6\r\nX: x\rTransfer-Encoding: chunked",
        "Content-Length: 6\r\nX: x\nTransfer-Encoding: chunked",
        "Content-Length: 6\nTransfer-Encoding: chunked",
        "Content-Length: 6\r\n Transfer-Encoding: chunked",
        "Content-Length: 6\r\nX: x\r\n\tTransfer-Encoding: chunked",
        "Content-Length: 6\r\nTransfer-Encoding:\r\n chunked",
        "Content-Length: 6\r\nConnection: Content-Length",
        "Content-Length:\r\n 6",
        "Content-Length: 6\r\nContent-Length: 60",
        "Content-Length: 6, 6",
        "Content-Length: 06",
        "Content_Length: 60\r\nContent-Length: 6",
    ];
    for head in heads {
        for body in ["0\r\n\r\nX", "5\r\nabcde\r\n0\r\n\r\n"] {
            let bytes = format!("POST /first HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n\r\n{body}{SMUGGLED}");
            // A bare CR or what a body's rest looks like is no request; six bytes of it are the body.
            let six: String = format!("{body}{SMUGGLED}").chars().take(6).collect();
            neither_splits_nor_joins(&gateway, &zoo, bytes.as_bytes(), &[&six]);
        }
    }
}

#[test]
fn odd_chunks_end_the_connection_or_are_read_in_the_one_right_way() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let bodies = [
        // Sizes that overflow, are signed, spaced, prefixed, missing.
        "FFFFFFFFFFFFFFFF1\r\na\r\n0\r\n\r\n",
        "10000000000000001\r\na\r\n0\r\n\r\n",
        "-1\r\na\r\n0\r\n\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1_0\r\na\r\n0\r\n\r\n",
        " 1\r\na\r\n0\r\n\r\n",
        "1 1\r\na\r\n0\r\n\r\n",
        "\r\na\r\n0\r\n\r\n",
        ";x=1\r\na\r\n0\r\n\r\n",
        // Bare line feeds and carriage returns where CRLF belongs.
        "1\na\r\n0\r\n\r\n",
        "1\ra\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;x\ny\r\na\r\n0\r\n\r\n",
        "1;x=\r1\r\na\r\n0\r\n\r\n",
        // More or less than announced, garbage behind the data.
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\naXX0\r\n\r\n",
        "1\r\na\r\n0\r\nnot a field\r\n\r\n",
        "1\r\na\r\n0\r\n Content-Length: 5\r\n\r\n",
        "1\r\na\r\n0\n\n",
    ];
    for body in bodies {
        // The rest of the connection is garbage, and a request within it is none.
        let bytes =
            format!("POST /first HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{body}junk {SMUGGLED}");
        // A size without digits may be read as none: an empty body, and then the connection ends.
        neither_splits_nor_joins(&gateway, &zoo, bytes.as_bytes(), &["a", ""]);
    }
    // What is legal goes through, without what no one needs.
    for (body, read) in [
        ("1;ext\r\na\r\n0\r\n\r\n", "a"),
        ("1;a=\"b;c\"\r\na\r\n0;last\r\n\r\n", "a"),
        ("0001\r\na\r\n000\r\n\r\n", "a"),
        ("1\r\na\r\n0\r\nX-Trailer: 1\r\n\r\n", "a"),
    ] {
        let bytes = format!("POST /first HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let mut client = Connection::open(gateway.http());
        let told = client.exchange_raw(&bytes).unwrap().expect(200).json();
        assert_eq!(told["body"], read, "{body:?}");
        // And the connection is where it should be.
        client.exchange(Request::get("/next")).expect(200);
    }
}

#[test]
fn what_follows_a_request_without_a_body_is_the_next_request() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    for head in ["", "Content-Length: 0\r\n"] {
        let first = format!("GET /first HTTP/1.1\r\nHost: {HOST}\r\n{head}\r\n");
        let mut client = Connection::open(gateway.http());
        client.write(format!("{first}{first}")).unwrap();
        assert_eq!(client.response(false).unwrap().expect(200).json()["target"], "/first");
        // Requests that come early may be left unanswered (RFC 9112 section 9.3.2), never half answered.
        match client.response(false) {
            Ok(second) => assert_eq!(second.expect(200).json()["target"], "/first"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof),
        }
    }
    // A GET may have a body; it is no request of its own.
    let bytes = format!(
        "GET /first HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    neither_splits_nor_joins(&gateway, &zoo, bytes.as_bytes(), &[SMUGGLED]);
}

#[test]
fn http2_fields_do_not_become_http1_syntax() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let more: [Field<'_>; 17] = [
        ("x", "a\r\ntransfer-encoding: chunked"),
        ("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: video.test\r\n\r\n"),
        ("x", "a\nx-injected: 1"),
        ("x", "a\rb"),
        ("x", "a\0b"),
        ("x\r\nx-injected", "1"),
        ("x: 1\r\nx-injected", "1"),
        ("x y", "1"),
        ("X-Upper", "1"),
        ("", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive, x-inner"),
        ("keep-alive", "timeout=5"),
        ("upgrade", "websocket"),
        ("proxy-connection", "keep-alive"),
        (":path", "/smuggled"),
        (":method", "DELETE"),
    ];
    for field in more {
        refused(&gateway, &zoo, &format!("{field:?}"), |client| {
            client.request(1, "GET", "/first", &[field], true)
        });
    }
    for path in [
        "/first HTTP/1.1\r\nhost: video.test\r\n\r\nGET /smuggled",
        "/first /smuggled",
        "/first\tx",
        "first",
        "*",
        "",
        "http://video.test/smuggled",
    ] {
        refused(&gateway, &zoo, path, |client| client.request(1, "GET", path, &[], true));
    }
    for method in ["GET /smuggled", "G\r\nX", "CONNECT", "TRACE", ""] {
        refused(&gateway, &zoo, method, |client| {
            client.request(1, method, "/first", &[], true)
        });
    }
    let odd: [&[Field<'_>]; 6] = [
        // Pseudo headers twice, missing, late, unknown; another Host than the authority.
        &[(":method", "GET"), (":scheme", "http"), (":authority", HOST)],
        &[(":method", "GET"), (":scheme", "http"), (":path", "/first")],
        &[
            (":method", "GET"),
            (":path", "/first"),
            (":authority", HOST),
            (":status", "200"),
            (":scheme", "http"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "http"),
            ("x", "1"),
            (":path", "/first"),
            (":authority", HOST),
        ],
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/first"),
            (":authority", HOST),
            ("host", "other.test"),
        ],
        &[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/first"),
            (":authority", "video.test\r\nx-injected: 1"),
        ],
    ];
    for fields in odd {
        refused(&gateway, &zoo, &format!("{fields:?}"), |client| {
            client.headers(1, fields, true)
        });
    }
}

#[test]
fn an_http2_body_is_as_long_as_its_frames_or_is_none() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    for announced in ["3", "300", "-1", "+5", "5, 5", "99999999999999999999"] {
        refused(&gateway, &zoo, announced, |client| {
            client.request(1, "POST", "/first", &[("content-length", announced)], false)?;
            client.data(1, b"hello", true)
        });
    }
    let twice = [("content-length", "5"), ("content-length", "6")];
    refused(&gateway, &zoo, "two lengths", |client| {
        client.request(1, "POST", "/first", &twice, false)?;
        client.data(1, b"hello", true)
    });
    // Frames alone say how long it is, and the upstream is told in its own words.
    let mut client = H2::open(gateway.http());
    client.request(1, "POST", "/framed", &[], false).unwrap();
    client.data(1, SMUGGLED.as_bytes(), true).unwrap();
    assert_eq!(client.outcome(1), Outcome::Answered(200));
    assert_eq!(zoo.seen("/framed").header("transfer-encoding"), Some("chunked"));
}

/// Whatever the client sends on stream 1: no whole answer but a refusal, and nothing of it at the upstream beside a
/// `/first` that was cut off. Another client's request over the same pool gets its own answer.
#[track_caller]
fn refused(gateway: &Gateway, zoo: &Upstream, what: &str, send: impl FnOnce(&mut H2) -> std::io::Result<()>) {
    let before = zoo.requests().len();
    let mut client = H2::open(gateway.http());
    // The connection may be ended before all is sent.
    drop(send(&mut client));
    let outcome = client.outcome(1);
    if let Outcome::Answered(status) = outcome {
        assert!((400..600).contains(&status), "{what}: {outcome:?}");
    }
    for seen in &zoo.requests()[before..] {
        assert_eq!(seen.target, "/first", "{what}");
        let injected = ["x-injected", "x-inner", "keep-alive", "proxy-connection"];
        assert!(
            injected.iter().all(|name| seen.header(name).is_none()),
            "{what}: {seen:?}"
        );
    }
    let probe = format!("/probe-{before}");
    assert_eq!(gateway.get(&probe).expect(200).json()["target"], probe, "after {what}");
}
