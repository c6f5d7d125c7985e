//! An upstream that speaks HTTP/2: bodies, uploads and trailers pass; a server whose certificate is not believed is
//! not spoken to.

use std::collections::HashSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, generate_simple_self_signed};

use crate::support::config::bytes;
use crate::support::nginx::Nginx;
use crate::support::tools::{curl, missing, run};
use crate::support::{Config, Gateway, Request, Reserved, Site, eventually};

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

/// nginx with a certificate as `openssl req -x509` makes it by default, one for a CA, for this name.
fn nginx_with_a_ca(site: &Site, name: &str, server: &str) -> Nginx {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signing_key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&signing_key).unwrap();
    let key = site.write("upstream/key.pem", signing_key.serialize_pem());
    let certificate = site.write("upstream/certificate.pem", certificate.pem());
    let of_tls = format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        certificate.display(),
        key.display()
    );
    Nginx::listening("ssl http2", &format!("{of_tls} {server}"))
}

fn in_front_of(site: &Site, nginx: &Nginx, ca_file: &str, more: &str) -> Gateway {
    let server = format!("https://localhost:{}", nginx.address.port());
    let more = format!("ca_file = \"{ca_file}\"\n{more}");
    let config = Config::new().upstream("zoo", &[server], &more).open_upstream_route("");
    site.start(&config)
}

#[test]
fn a_server_whose_own_certificate_is_a_ca_s_and_stands_in_ca_file_is_spoken_to() {
    if missing("nginx") {
        return;
    }
    let site = Site::new();
    let content = bytes(3_000_000);
    site.write("files/a.bin", &content);
    let server = format!(
        "client_max_body_size 0; root {}; location /zoo/ {{ return 404; }} \
         location /took {{ add_header spoken $server_protocol; add_header connection-number $connection; return 204; }}",
        site.path("files").display()
    );
    let nginx = nginx_with_a_ca(&site, "localhost", &server);
    let health = "health = { path = \"/took\", every = \"1s\" }\n";
    let gateway = in_front_of(&site, &nginx, "upstream/certificate.pem", "");
    for _ in 0..3 {
        assert_eq!(gateway.get("/a.bin").expect(200).body, content);
    }
    let uploaded = gateway.send(Request::new("POST", "/took").body(content)).expect(204);
    assert_eq!(uploaded.header("spoken"), Some("HTTP/1.1"));
    let number = || {
        gateway
            .get("/took")
            .expect(204)
            .header("connection-number")
            .unwrap()
            .to_owned()
    };
    // Of those that are left idle, any is taken.
    let numbers: HashSet<String> = (0..8).map(|_| number()).collect();
    assert!(numbers.len() < 8, "no connection is used again");
    drop(gateway);

    // nginx answers 204, which is no 200: the check over TLS has an answer.
    let gateway = in_front_of(&site, &nginx, "upstream/certificate.pem", health);
    gateway.logged(&["becomes unhealthy", "non 200 code"]);
    drop(gateway);

    // Another certificate of the same kind and name, and none that the system's roots know.
    let other = CertificateParams::new(["localhost".to_owned()]).map(|mut params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    });
    site.write("other.pem", other.unwrap().pem());
    let gateway = in_front_of(&site, &nginx, "other.pem", "");
    gateway.get("/a.bin").refused(502, "upstream_unavailable");
    gateway.logged(&["upstream server not reached", "the TLS handshake failed: "]);
}

#[test]
fn a_ca_s_certificate_in_ca_file_is_no_server_s_of_another_name() {
    if missing("nginx") {
        return;
    }
    let site = Site::new();
    let nginx = nginx_with_a_ca(&site, "elsewhere.test", "location / { return 204; }");
    let gateway = in_front_of(&site, &nginx, "upstream/certificate.pem", "");
    gateway.get("/a.bin").refused(502, "upstream_unavailable");
    gateway.logged(&["upstream server not reached", "the TLS handshake failed: "]);
}
