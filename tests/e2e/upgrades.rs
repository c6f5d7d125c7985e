//! A connection becomes a websocket where a route says so, and never anything else.

use crate::support::{Config, Connection, Gateway, Request, Site, Upstream};

fn gateway(zoo: &Upstream, of_upstream: &str, of_route: &str) -> Gateway {
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], of_upstream)
        .open_upstream_route(of_route);
    Site::new().start(&config)
}

/// A handshake with this `Connection` and `Upgrade`.
fn asking(method: &str, target: &str, connection: &str, upgrade: &str) -> Request {
    Request::new(method, target)
        .header("Connection", connection)
        .header("Upgrade", upgrade)
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
}

fn status(gateway: &Gateway, request: Request) -> u16 {
    let mut connection = Connection::open(gateway.http());
    connection.write(request.bytes()).unwrap();
    connection.response_head().unwrap().status
}

#[test]
fn the_route_or_its_upstream_says_whether_websockets_pass() {
    let zoo = Upstream::start();
    for (of_upstream, of_route, expected) in [
        ("", "", 502),
        ("websocket = true", "", 101),
        ("", "websocket = true", 101),
        ("websocket = true", "websocket = false", 502),
    ] {
        let gateway = gateway(&zoo, of_upstream, of_route);
        // This upstream switches even if it is not asked: nobody gets a tunnel that way.
        let told = status(&gateway, asking("GET", "/zoo/websocket", "Upgrade", "websocket"));
        assert_eq!(told, expected, "{of_upstream} {of_route}");
    }
}

#[test]
fn nothing_but_a_websocket_is_switched_to() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, "websocket = true", "");
    for (connection, upgrade) in [
        ("Upgrade", "h2c"),
        ("Upgrade, HTTP2-Settings", "h2c"),
        ("Upgrade", "websocket, h2c"),
        ("Upgrade", "TLS/1.3"),
        ("keep-alive", "websocket"),
        ("", "h2c"),
    ] {
        // An ordinary request is left, and the upstream is not told what was asked for.
        let path = format!("/plain/{}/", zoo.requests().len());
        let request = asking("GET", &path, connection, upgrade);
        assert_eq!(status(&gateway, request), 200, "{connection}: {upgrade}");
        let seen = zoo.seen(&path);
        for name in ["upgrade", "http2-settings", "x-forwarded-upgrade"] {
            assert_eq!(seen.header(name), None, "{connection}: {upgrade}");
        }
        // One that switches all the same gets no tunnel.
        let told = status(&gateway, asking("GET", "/zoo/switches", connection, upgrade));
        assert_eq!(told, 502, "{connection}: {upgrade}");
    }
    assert_eq!(
        status(&gateway, asking("GET", "/zoo/switches", "Upgrade", "WebSocket")),
        101
    );
    let posted = asking("POST", "/posted", "Upgrade", "websocket");
    assert_eq!(status(&gateway, posted), 200);
    assert_eq!(zoo.seen("/posted").header("upgrade"), None);
}
