//! The doubles are held to what the other tests rely on.

use serde_json::json;

use crate::support::config::bytes;
use crate::support::http::values;
use crate::support::witness::{Said, by_request_id};
use crate::support::{Connection, JwksServer, Nginx, Request, Signer, Site, Upstream, tools};

fn address(url: &str) -> std::net::SocketAddr {
    let rest = url.strip_prefix("http://").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

#[test]
fn the_zoo_tells_what_it_was_sent_and_counts_connections() {
    let zoo = Upstream::named("one");
    let mut connection = Connection::open(address(&zoo.url()));
    let told = connection.exchange(Request::new("POST", "/a?b=1").header("X-One", "1").body("hello"));
    assert_eq!(told.header("x-zoo"), Some("one"));
    let told = told.json();
    assert_eq!(
        (told["method"].as_str(), told["target"].as_str()),
        (Some("POST"), Some("/a?b=1"))
    );
    assert_eq!(told["body"], "hello");
    connection.exchange(Request::get("/b")).expect(200);
    assert_eq!((zoo.connections(), zoo.requests().len()), (1, 2));
    assert_eq!(zoo.seen("/a").header("x-one"), Some("1"));
}

#[test]
fn the_zoo_streams_gates_cuts_and_switches() {
    let zoo = Upstream::start();
    let at = address(&zoo.url());

    let mut upload = Connection::open(at);
    upload
        .write("POST /zoo/sink HTTP/1.1\r\nHost: z\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .unwrap();
    zoo.received(5);
    upload.write("0\r\n\r\n").unwrap();
    assert_eq!(upload.response(false).unwrap().json()["received"], 5);

    let mut gate = Connection::open(at);
    gate.write(Request::get("/zoo/gate").bytes()).unwrap();
    gate.response_head().unwrap();
    assert_eq!(gate.read(5).unwrap(), b"first");
    zoo.release();
    assert_eq!(gate.read(6).unwrap(), b"second");

    let cut = Connection::open(at).exchange_raw(Request::get("/zoo/cut/10").bytes());
    assert!(cut.is_err(), "{cut:?}");
    let trailers = Connection::open(at).exchange(Request::get("/zoo/trailers"));
    assert_eq!(values(&trailers.trailers, "x-checksum"), ["4f2a"]);
    assert_eq!(
        Connection::open(at)
            .exchange(Request::get("/zoo/source/100000"))
            .body
            .len(),
        100_000
    );

    let mut socket = Connection::open(at);
    socket.write(Request::get("/zoo/websocket").bytes()).unwrap();
    assert_eq!(socket.response_head().unwrap().status, 101);
    socket.write("ping").unwrap();
    assert_eq!(socket.read(4).unwrap(), b"ping");

    let mut hangup = Connection::open(at);
    hangup.write(Request::get("/zoo/hangup").bytes()).unwrap();
    assert!(hangup.closed().unwrap().is_empty());
}

#[test]
fn a_jwks_server_fails_and_recovers() {
    let signer = Signer::new().named("a");
    let server = JwksServer::start(&[&signer]);
    let ask = || Connection::open(address(&server.url())).exchange_raw(Request::get("/").bytes());
    assert_eq!(ask().unwrap().json()["keys"][0]["kid"], "a");
    server.fail(500);
    assert_eq!(ask().unwrap().status, 500);
    server.hang_up();
    assert!(ask().is_err());
    server.stall();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(ask);
        server.asked(4);
        server.header("Cache-Control", "max-age=60");
        server.serve(&[]);
        let answer = waiting.join().unwrap().unwrap();
        assert_eq!(answer.header("cache-control"), Some("max-age=60"));
        assert_eq!(answer.text(), r#"{"keys":[]}"#);
    });
    assert_eq!(server.requests(), 4);
}

#[test]
fn nginx_serves_a_folder_with_ranges() {
    if tools::missing("nginx") {
        return;
    }
    let site = Site::new();
    site.write("a/video.mp4", bytes(1000));
    let nginx = Nginx::start(site.root());
    let part = Connection::open(nginx.address).exchange(Request::get("/a/video.mp4").header("Range", "bytes=10-19"));
    assert_eq!(part.expect(206).body, bytes(20)[10..]);
    nginx.logged("GET /a/video.mp4 206");
}

#[test]
fn every_kind_of_signer_makes_tokens_that_verify() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for (signer, kty) in [
        (Signer::new(), "EC"),
        (Signer::es384(), "EC"),
        (Signer::eddsa(), "OKP"),
        (Signer::rs256(), "RSA"),
        (Signer::ps256(), "RSA"),
    ] {
        assert_eq!(signer.jwk()["kty"], kty);
        assert_eq!(signer.read("a").split('.').count(), 3);
    }
    let signer = Signer::new();
    let token = signer.roles(&["a"]);
    let (input, signature) = token.rsplit_once('.').unwrap();
    let jwk = signer.jwk();
    let coordinate = |name: &str| engine.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(input.as_bytes(), &engine.decode(signature).unwrap())
        .unwrap();
}

#[test]
fn the_witness_sees_each_way_in_which_two_words_differ() {
    let routes = json!([{ "name": "a", "won": false }, { "name": "media", "won": true }]);
    let said = Said::by(&json!({ "outcome": "deny", "status": 403, "reason": "missing_role", "routes": routes }));
    let line = |status: u16, route: &str, outcome: &str, reason: &str| {
        let text = format!(
            "2026-11-21T03:22:33.192Z  INFO access: path=\"/a \\\" status=200\" status={status} route={route} \
             outcome={outcome} reason={reason} request_id=\"1\" trace_id=-\n"
        );
        by_request_id(&text).remove("1").unwrap()
    };
    assert!(line(403, "\"media\"", "deny", "missing_role").is(&said));
    for other in [
        line(401, "\"media\"", "deny", "missing_role"),
        line(403, "\"other\"", "deny", "missing_role"),
        line(403, "-", "deny", "missing_role"),
        line(403, "\"media\"", "allow", "missing_role"),
        line(403, "\"media\"", "deny", "not_allowed"),
        line(403, "\"media\"", "deny", "-"),
    ] {
        assert!(!other.is(&said), "{other:?}");
    }
    // An upstream's status is its own; whether it was asked is not.
    let passed = Said::by(&json!({ "outcome": "allow", "status": null, "reason": null, "routes": routes }));
    assert!(line(502, "\"media\"", "allow", "upstream_failed").is(&passed));
    assert!(!line(502, "\"media\"", "deny", "not_allowed").is(&passed));
    let object =
        r#"{"target":"access","status":403,"route":"media","outcome":"deny","reason":"missing_role","request_id":"1"}"#;
    assert!(by_request_id(object)["1"].is(&said));
    let other = object.replace("\"access\"", "\"janua::server\"");
    assert!(by_request_id(&other).is_empty());
}
