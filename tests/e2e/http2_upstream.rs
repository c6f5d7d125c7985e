//! An upstream that speaks HTTP/2: bodies, uploads and trailers pass; a server whose certificate is not believed is
//! not spoken to.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::support::config::bytes;
use crate::support::tools::{curl, missing, run};
use crate::support::{Config, Gateway, Reserved, Site, eventually};

/// nghttpd that serves the site's `files` folder and ends every answer with a trailer; killed on drop.
struct Nghttpd {
    child: Child,
    address: SocketAddr,
    _port: Reserved,
}

impl Nghttpd {
    fn start(site: &Site) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = site.write("upstream/key.pem", signing_key.serialize_pem());
        let certificate = site.write("upstream/certificate.pem", cert.pem());
        let files = site.path("files");
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let mut child = Command::new("nghttpd")
            .args(["--trailer=x-checksum: abc", "-a", "127.0.0.1", "-d"])
            .arg(&files)
            .arg(address.port().to_string())
            .args([&key, &certificate])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("nghttpd listens", || {
            assert!(child.try_wait().unwrap().is_none(), "nghttpd does not start");
            TcpStream::connect(address).ok()
        });
        Self {
            child,
            address,
            _port: port,
        }
    }
}

impl Drop for Nghttpd {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A gateway over TLS in front of nghttpd, believing the certificate in `authority`.
fn gateway(site: &Site, upstream: &Nghttpd, authority: &str) -> Gateway {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    site.write("tls/key.pem", signing_key.serialize_pem());
    site.write("tls/certificate.pem", cert.pem());
    let server = format!("https://localhost:{}", upstream.address.port());
    let config = Config::new()
        .server(
            "tls",
            r#"[{ listen = "127.0.0.1:0", certificate = "tls/certificate.pem", key = "tls/key.pem" }]"#,
        )
        .upstream("zoo", &[server], &format!("ca_file = \"{authority}\""))
        .open_upstream_route("");
    site.start(&config)
}

#[test]
fn bodies_and_trailers_pass_from_http_2_to_http_2() {
    if missing("nghttpd") || missing("nghttp") || missing("curl") {
        return;
    }
    let site = Site::new();
    let content = bytes(300_000);
    site.write("files/a.bin", &content);
    let upstream = Nghttpd::start(&site);
    let gateway = gateway(&site, &upstream, "upstream/certificate.pem");

    let plain = gateway.get("/a.bin").expect(200);
    assert_eq!(plain.body, content, "an HTTP/1.1 client gets the same bytes");

    let url = format!("https://localhost:{}/a.bin", gateway.https().port());
    let told = run("nghttp", ["-v", "-n", url.as_str()]).ok();
    assert!(told.stdout.contains(":status: 200"), "{}", told.stdout);
    assert!(told.stdout.contains("x-checksum: abc"), "no trailer: {}", told.stdout);
}

#[test]
fn an_upload_reaches_an_http_2_upstream() {
    if missing("nghttpd") || missing("curl") {
        return;
    }
    let site = Site::new();
    site.write("files/echo", "");
    let upload = site.write("upload.bin", bytes(1_000_000));
    let upstream = Nghttpd::start(&site);
    let gateway = gateway(&site, &upstream, "upstream/certificate.pem");
    let url = gateway.url("/echo");
    let data = format!("@{}", upload.display());
    curl(&["--data-binary", &data, "-o", "/dev/null", &url]).ok();
    let line = gateway.logged(&["path=\"/echo\"", "status=200"]);
    assert!(line.contains("bytes_in=1000000"), "{line}");
}

#[test]
fn an_upstream_with_a_strange_certificate_is_not_spoken_to() {
    if missing("nghttpd") {
        return;
    }
    let site = Site::new();
    site.write("files/a.bin", "x");
    let upstream = Nghttpd::start(&site);
    let CertifiedKey { cert, .. } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(site.path("other.pem"), cert.pem()).unwrap();
    let gateway = gateway(&site, &upstream, "other.pem");
    gateway.get("/a.bin").refused(502, "upstream_unavailable");
    gateway.logged(&[
        "upstream server not reached",
        "the TLS handshake failed: ",
        "certificate",
    ]);
}
