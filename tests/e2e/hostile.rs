//! Clients that hold on: they do not read, do not send, or never go. Each is shown out, and leaves nothing behind.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::h2::Outcome;
use crate::support::wait::DEADLINE;
use crate::support::{Config, Connection, Gateway, H2, Request, Site, Upstream, eventually};

const SOURCE: &str = "/zoo/source/50000000";

/// Every limit a second, in front of the zoo, over TLS too.
fn gateway(zoo: &Upstream) -> Gateway {
    let site = Site::new();
    let made = rcgen::generate_simple_self_signed(["video.test".to_owned()]).unwrap();
    site.write("tls/key.pem", made.signing_key.serialize_pem());
    site.write("tls/certificate.pem", made.cert.pem());
    let file = site.write("files/large.mp4", "");
    fs_hole(&file);
    let config = Config::new()
        .server(
            "timeouts",
            r#"{ header = "1s", keep_alive = "1s", read = "1s", write = "1s" }"#,
        )
        .server(
            "tls",
            r#"[{ listen = "127.0.0.1:0", certificate = "tls/certificate.pem", key = "tls/key.pem" }]"#,
        )
        .upstream(
            "zoo",
            &[zoo.url()],
            "health = { every = \"1h\" }\ntimeouts = { connect = \"2s\", read = \"1s\" }",
        )
        .open_upstream_route("websocket = true")
        .section(
            "[[routes]]\nname = \"files\"\npath = \"/files/{*file}\"\nfiles = \"files\"\nstrip = \"/files\"\n\
             allow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    gateway.get("/warm").expect(200);
    gateway
}

/// 50 MB that cost no disk.
fn fs_hole(file: &std::path::Path) {
    let opened = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    opened.set_len(50_000_000).unwrap();
}

/// A TLS connection that has agreed on this protocol.
fn tls(gateway: &Gateway, protocol: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = std::fs::read(gateway.site.path("tls/certificate.pem")).unwrap();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&certificate).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let name = ServerName::try_from("video.test").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(gateway.https()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    assert_eq!(stream.conn.alpn_protocol(), Some(protocol.as_bytes()));
    stream
}

/// Waits until the other side has hung up.
fn hung_up(mut stream: impl io::Read) {
    let ended = stream.read_to_end(&mut Vec::new());
    let timed_out = ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    assert!(!timed_out, "still open");
}

/// Waits until no client is left, although those that were opened are still held.
fn all_shown_out(gateway: &Gateway) {
    eventually("no connection is open", || {
        (gateway.metric("janua_connections_open") == Some(0.0)).then_some(())
    });
    gateway.get("/after").expect(200);
}

#[test]
fn a_download_that_nobody_reads_is_given_up() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let mut held = Vec::new();
    for path in [SOURCE, "/files/large.mp4"] {
        let mut plain = TcpStream::connect(gateway.http()).unwrap();
        plain.write_all(&Request::get(path).bytes()).unwrap();
        held.push(plain);
        let mut sealed = tls(&gateway, "http/1.1");
        sealed.write_all(&Request::get(path).bytes()).unwrap();
        held.push(sealed.sock);
        // Over HTTP/2 the first 64 KiB are let through and no more.
        let mut framed = H2::open(gateway.http());
        framed.request(1, "GET", path, &[], true).unwrap();
        assert_eq!(framed.outcome(1), Outcome::Answered(200));
        assert_ne!(framed.outcome(1), Outcome::Answered(200));
    }
    all_shown_out(&gateway);
    drop(held);
}

#[test]
fn an_http2_connection_without_a_request_is_closed() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    // Greeted and silent, over TCP and over TLS.
    assert_eq!(H2::open(gateway.http()).outcome(1), Outcome::Closed);
    let mut greeted = tls(&gateway, "h2");
    greeted
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .unwrap();
    hung_up(greeted);
    // Not even greeted.
    hung_up(tls(&gateway, "h2"));
    all_shown_out(&gateway);
}

#[test]
fn an_http2_upload_that_stalls_is_ended() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    for path in ["/zoo/sink", "/files/large.mp4"] {
        let mut client = H2::open(gateway.http());
        client.request(1, "POST", path, &[], false).unwrap();
        client.data(1, b"half", false).unwrap();
        match client.outcome(1) {
            Outcome::Answered(status) => assert!((400..600).contains(&status), "{path}: {status}"),
            Outcome::Reset | Outcome::Closed => {}
        }
        // What goes on stalling is let go too.
        client.outcome(3);
    }
    all_shown_out(&gateway);
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let mut socket = Connection::open(gateway.http());
    let request = Request::get("/zoo/websocket")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    socket.write(request.bytes()).unwrap();
    assert_eq!(socket.response_head().unwrap().status, 101);
    socket.closed().expect("the tunnel is closed");
    all_shown_out(&gateway);
}

#[test]
fn requests_that_are_taken_back_at_once_cost_nothing_that_stays() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    let memory = gateway.memory("VmRSS");
    for _ in 0..4 {
        let mut client = H2::open(gateway.http());
        for stream in (1..2000).step_by(2) {
            let sent = client
                .request(stream, "GET", "/zoo/stall", &[], true)
                .and_then(|()| client.reset(stream));
            if sent.is_err() {
                break; // shown out already
            }
        }
        gateway.get("/other").expect(200);
    }
    all_shown_out(&gateway);
    assert!(gateway.memory("VmRSS") < memory + (64 << 20));
}

#[test]
fn a_client_that_goes_lets_the_upstream_go() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo);
    for _ in 0..20 {
        let mut client = Connection::open(gateway.http());
        client.write(Request::get(SOURCE).bytes()).unwrap();
        client.response_head().unwrap().expect(200);
    }
    all_shown_out(&gateway);
    eventually("the upstream's side is closed", || {
        let folder = format!("/proc/{}/net/tcp", gateway.process());
        let port = zoo.url().rsplit(':').next().unwrap().parse::<u16>().unwrap();
        let to_upstream = format!(":{port:04X} 01 ");
        let table = std::fs::read_to_string(folder).unwrap();
        // One may be kept for the next request; the other end of each stands in the table too.
        let open = table.lines().filter(|line| {
            let mut words = line.split_whitespace().skip(2);
            format!(
                "{} {} ",
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default()
            )
            .ends_with(&to_upstream)
        });
        (open.count() <= 2).then_some(())
    });
}
