//! Upstreams that fail in every way there is: the client is told the right status, nothing hangs, and nothing is left
//! behind.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::double::Double;
use crate::support::http::Wire;
use crate::support::{Config, Connection, Gateway, Request, Site, eventually};

/// What an upstream does once it has read a request's header, by the first word of its path.
fn misbehave(mut wire: Wire) {
    while let Ok((line, _)) = wire.head() {
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let said: &[u8] = match path.trim_start_matches('/') {
            "half-open" => {
                drop(wire.read(&mut [0]));
                return;
            }
            "nothing" => return,
            "garbage" => b"\x16\x03\x01\x00 this is no web server\r\n\r\n",
            "no-status" => b"HTTP/1.1 abc OK\r\n\r\n",
            "two-lengths" => b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
            "same-length" => b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nfine",
            "length-list" => b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\nfine",
            "same-coding" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"
            }
            "gzip-chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
            "chunked-comma" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked,\r\n\r\n4\r\nfine\r\n0\r\n\r\n",
            "empty-chunked" => {
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"
            }
            "bad-length" => b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
            "half-a-header" => b"HTTP/1.1 200 OK\r\nContent-Le",
            "endless-headers" => {
                // An error here is the end that is hoped for.
                if wire.stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok() {
                    while wire.stream.write_all(b"X-More: and more\r\n").is_ok() {}
                }
                return;
            }
            "huge-header" => {
                let mut said = b"HTTP/1.1 200 OK\r\nX-Huge: ".to_vec();
                said.resize(4 << 20, b'a');
                drop(wire.stream.write_all(&said));
                return;
            }
            "killed" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf of",
            "killed-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nhalf of",
            "killed-between" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "bad-chunk" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n",
            _ => {
                let fine = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine";
                if wire.stream.write_all(fine).is_err() {
                    return;
                }
                continue;
            }
        };
        drop(wire.stream.write_all(said));
        return;
    }
}

fn before(upstream: SocketAddr) -> Gateway {
    let timeouts = "health = { every = \"1h\" }\ntimeouts = { connect = \"2s\", read = \"1s\" }";
    let config = Config::new()
        .upstream("zoo", &[format!("http://{upstream}")], timeouts)
        .open_upstream_route("");
    Site::new().start(&config)
}

/// File descriptors that the gateway has open.
fn descriptors(gateway: &Gateway) -> usize {
    let folder = PathBuf::from("/proc").join(gateway.process().to_string()).join("fd");
    fs::read_dir(folder).unwrap().count()
}

/// Waits until nothing is left but what a gateway at rest has, and at most `pooled` connections to upstreams.
fn at_rest(gateway: &Gateway, base: usize, pooled: usize) {
    eventually("no connection is open", || {
        (gateway.metric("janua_connections_open") == Some(0.0)).then_some(())
    });
    eventually("no descriptor is left", || {
        (descriptors(gateway) <= base + pooled).then_some(())
    });
}

#[test]
fn an_upstream_that_fails_is_told_and_leaves_nothing_behind() {
    let upstream = Double::start(misbehave);
    let gateway = before(upstream.address);
    gateway.get("/fine").expect(200);
    let base = descriptors(&gateway);
    let told = [
        ("/half-open", 504),
        ("/nothing", 502),
        ("/garbage", 502),
        ("/no-status", 502),
        ("/two-lengths", 502),
        ("/gzip-chunked", 502),
        ("/chunked-comma", 502),
        ("/empty-chunked", 502),
        ("/bad-length", 502),
        ("/half-a-header", 502),
        ("/endless-headers", 502),
        ("/huge-header", 502),
    ];
    std::thread::scope(|scope| {
        for (path, status) in told {
            let gateway = &gateway;
            scope.spawn(move || {
                for _ in 0..4 {
                    let answer = gateway.get(path);
                    assert_eq!(answer.status, status, "{path}: {}", answer.text());
                }
            });
        }
        for path in ["/killed", "/killed-chunk", "/killed-between", "/bad-chunk"] {
            let gateway = &gateway;
            scope.spawn(move || {
                for _ in 0..4 {
                    // The client must be able to see that it does not have all.
                    let cut = Connection::open(gateway.http()).exchange_raw(Request::get(path).bytes());
                    assert!(
                        cut.is_err() || cut.as_ref().is_ok_and(|cut| cut.status == 502),
                        "{path}: {cut:?}"
                    );
                }
            });
        }
    });
    // The pool has kept nothing of all that.
    for _ in 0..10 {
        assert_eq!(gateway.get("/fine").expect(200).text(), "fine");
    }
    at_rest(&gateway, base, 2);
}

/// A server that resets every connection after its first byte. (Closing a socket with unread bytes does that.)
struct Resetter {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Resetter {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Nothing comes on the connection of a health check.
                drop(stream.read(&mut [0]));
            }
        });
        Self { address, ended }
    }
}

impl Drop for Resetter {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it has ended.
        drop(TcpStream::connect(self.address));
    }
}

#[test]
fn an_upstream_that_resets_is_a_502() {
    let upstream = Resetter::start();
    let gateway = before(upstream.address);
    gateway.get("/first").expect(502);
    let base = descriptors(&gateway);
    for _ in 0..10 {
        gateway.get("/a").expect(502);
        gateway
            .send(Request::new("POST", "/b").body(vec![b'j'; 100_000]))
            .expect(502);
    }
    at_rest(&gateway, base, 0);
}

#[test]
fn pooled_connections_that_the_upstream_closes_are_not_noticed() {
    // Answers one request a connection and never says that it will close.
    let answered = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&answered);
    let upstream = Double::start(move |mut wire| {
        for number in 0..2 {
            let Ok((line, _)) = wire.head() else { return };
            if number == 1 {
                // The second one comes in while the first is forgotten: hang up on it.
                seen.lock().unwrap().push(line);
                return;
            }
            drop(
                wire.stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"),
            );
        }
    });
    let gateway = before(upstream.address);
    for _ in 0..20 {
        gateway.get("/a").expect(200);
    }
    assert!(!answered.lock().unwrap().is_empty(), "no pooled connection was used");
    // What may not be sent twice is not (RFC 9110 section 9.2.2), unless nothing of it had been sent.
    for _ in 0..10 {
        let posts = || {
            answered
                .lock()
                .unwrap()
                .iter()
                .filter(|line| line.starts_with("POST"))
                .count()
        };
        let before = posts();
        gateway.get("/warm").expect(200);
        let answer = gateway.send(Request::new("POST", "/b").body("once"));
        let hung_up = posts() - before;
        assert_eq!((hung_up, answer.status), if hung_up == 0 { (0, 200) } else { (1, 502) });
    }
}

#[test]
fn what_an_upstream_says_twice_is_said_once() {
    let upstream = Double::start(misbehave);
    let gateway = before(upstream.address);
    for (path, name, value) in [
        ("/same-length", "content-length", "4"),
        ("/length-list", "content-length", "4"),
        ("/same-coding", "transfer-encoding", "chunked"),
    ] {
        let told = gateway.get(path).expect(200);
        assert_eq!(crate::support::http::values(&told.headers, name), [value], "{path}");
        assert_eq!(told.text(), "fine", "{path}");
    }
}
