//! Recordings as Opencast Studio sends them: gigabytes in one multipart request, without a pause and without a second
//! try. They stream at the speed of whoever takes them in, and are refused before they are sent.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;

use crate::support::http::{Response, Wire};
use crate::support::wait::DEADLINE;
use crate::support::{Config, Connection, Gateway, H2, Nginx, Opencast, Request, Signer, Site, Upstream, in_seconds};
use crate::support::{h2, tools};

const MEBIBYTE: u64 = 1 << 20;

/// What an upload may add to the gateway's memory, whatever its size. It is asked for in pieces of 64 KiB, of which a few
/// are on their way; the rest is what an allocator keeps and a first request warms up.
const ALLOWANCE: u64 = 32 * MEBIBYTE;

/// What may be on its way between a sender and a taker who has stopped: the buffers of two connections in the kernel (its
/// own bounds are some 10 MiB a connection), and the pieces above.
const ON_ITS_WAY: u64 = 48 * MEBIBYTE;

const BOUNDARY: &str = "----WebKitFormBoundary7MA4YWxkTrZu0gW";

/// The route that Studio's calls take.
const INGEST: &str = r#"
[[routes]]
name     = "ingest"
path     = "/ingest/{*rest}"
upstream = "opencast"
allow    = [{ role = "ROLE_STUDIO" }]
present  = "opencast-jwt"

[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = true }
allow   = [{ anyone = true }]
"#;

struct Studio {
    opencast: Opencast,
    signer: Signer,
    gateway: Gateway,
}

impl Studio {
    fn start() -> Self {
        let (site, opencast, signer) = (Site::new(), Opencast::start(), Signer::new());
        site.write_keys("keys.json", &[&signer]);
        site.write("secrets/opencast", "letmein");
        let config = Config::new()
            .issuer("lms", "keys.json", "may_name_users = true")
            .upstream("opencast", &[opencast.url()], "")
            .section("[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n")
            .section(INGEST);
        let gateway = site.start(&config);
        opencast.site().jwks = Some(gateway.get("/.well-known/jwks.json").expect(200).json());
        Self {
            opencast,
            signer,
            gateway,
        }
    }

    fn token(&self, role: &str) -> String {
        let claims = json!({ "exp": in_seconds(600), "sub": "anna", "name": "Anna", "email": "a@b", "roles": [role] });
        self.signer.token(&claims)
    }

    /// The header of an `addTrack` with a recording of so many bytes, and what stands around the recording.
    fn add_track(&self, size: u64) -> (String, String, String) {
        let field = |name: &str, text: &str| {
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n")
        };
        let before = [
            field("mediaPackage", "<mediapackage/>"),
            field("flavor", "presenter/source"),
            field("tags", ""),
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"BODY\"; filename=\"a.webm\"\r\n\
                 Content-Type: video/webm\r\n\r\n"
            ),
        ]
        .concat();
        let after = format!("\r\n--{BOUNDARY}--\r\n");
        let length = size + (before.len() + after.len()) as u64;
        let head = format!(
            "POST /ingest/addTrack HTTP/1.1\r\nHost: video.test\r\nAuthorization: Bearer {}\r\n\
             Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {length}\r\n\r\n",
            self.token("ROLE_STUDIO")
        );
        (head, before, after)
    }
}

/// Sends so many bytes of a recording.
fn send(connection: &mut Connection, mut size: u64) {
    let piece = vec![b'j'; 256 * 1024];
    while size > 0 {
        let count = size.min(piece.len() as u64);
        connection.write(&piece[..usize::try_from(count).unwrap()]).unwrap();
        size -= count;
    }
}

fn whole_recording(size: u64) {
    let studio = Studio::start();
    for (round, size) in [MEBIBYTE, size].into_iter().enumerate() {
        let memory = studio.gateway.memory("VmRSS");
        let start = Instant::now();
        let (head, before, after) = studio.add_track(size);
        let mut connection = Connection::open(studio.gateway.http());
        connection.write(head).unwrap();
        connection.write(&before).unwrap();
        send(&mut connection, size);
        connection.write(&after).unwrap();
        connection.response(false).unwrap().expect(200);
        let site = studio.opencast.site();
        let upload = site.uploads.last().unwrap();
        assert_eq!(upload.length, size + (before.len() + after.len()) as u64);
        assert_eq!(upload.part("flavor"), Some("presenter/source"));
        // The first one warms up.
        if round > 0 {
            let peak = studio.gateway.memory("VmHWM");
            let (seconds, mebibytes) = (start.elapsed().as_secs_f64(), size / MEBIBYTE);
            println!(
                "upload: {mebibytes} MiB in {seconds:.1} s, memory {} MiB before, {} MiB at most",
                memory / MEBIBYTE,
                peak / MEBIBYTE
            );
            assert!(peak < memory + ALLOWANCE, "{} MiB", peak / MEBIBYTE);
        }
    }
}

#[test]
fn a_recording_of_two_hundred_mebibytes_in_constant_memory() {
    whole_recording(200 * MEBIBYTE);
}

#[test]
fn long_a_recording_of_five_gibibytes_in_constant_memory() {
    if std::env::var_os("JANUA_LONG").is_none() {
        eprintln!("left to `make test-long`");
        return;
    }
    whole_recording(5 * 1024 * MEBIBYTE);
}

#[test]
fn progress_is_true() {
    let studio = Studio::start();
    let tap = studio.opencast.tap();
    let size = 200 * MEBIBYTE;
    tap.close_at(MEBIBYTE);
    let (head, before, after) = studio.add_track(size);
    let mut wire = Wire::new(std::net::TcpStream::connect(studio.gateway.http()).unwrap());
    wire.stream.write_all(head.as_bytes()).unwrap();
    wire.stream.write_all(before.as_bytes()).unwrap();
    let memory = studio.gateway.memory("VmRSS");
    // Opencast has stopped reading: soon nobody takes more of it.
    wire.stream.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
    let piece = vec![b'j'; 64 * 1024];
    let mut sent = 0;
    loop {
        match wire.stream.write(&piece) {
            Ok(count) => sent += count as u64,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(
            sent < ON_ITS_WAY,
            "{sent} bytes are sent, {} have come in",
            tap.received()
        );
    }
    // It is there before the end is sent: nobody waits for the whole of it.
    tap.wait_for(MEBIBYTE);
    assert!(studio.gateway.memory("VmHWM") < memory + ALLOWANCE);
    tap.open();
    wire.stream.set_write_timeout(Some(DEADLINE)).unwrap();
    for _ in 0..(size - sent) / piece.len() as u64 {
        wire.stream.write_all(&piece).unwrap();
    }
    let rest = usize::try_from((size - sent) % piece.len() as u64).unwrap();
    wire.stream.write_all(&piece[..rest]).unwrap();
    wire.stream.write_all(after.as_bytes()).unwrap();
    let (line, _) = wire.head().unwrap();
    assert!(line.contains(" 200 "), "{line}");
}

#[test]
fn a_refusal_comes_before_the_recording() {
    let studio = Studio::start();
    let refusals = [
        (String::new(), 401, "no_credentials"),
        (studio.token("ROLE_USER"), 403, "missing_role"),
    ];
    for (token, status, reason) in refusals {
        for expects in [false, true] {
            let expect = if expects { "Expect: 100-continue\r\n" } else { "" };
            let bearer = match token.is_empty() {
                true => String::new(),
                false => format!("Authorization: Bearer {token}\r\n"),
            };
            let mut connection = Connection::open(studio.gateway.http());
            let head = format!(
                "POST /ingest/addTrack HTTP/1.1\r\nHost: video.test\r\n{bearer}{expect}Content-Length: 5000000000\r\n\r\n"
            );
            connection.write(head).unwrap();
            // Nothing of the body is sent, and the answer is here.
            let answer = connection.response(false).unwrap();
            assert!(answer.informational.is_empty(), "{:?}", answer.informational);
            assert_eq!(answer.header("connection"), Some("close"));
            answer.refused(status, reason);
            connection.finish_sending();
            assert_eq!(connection.closed().unwrap(), b"");
        }
    }
    assert_eq!(studio.opencast.asked("/ingest/addTrack"), 0);
}

#[test]
fn who_looks_up_late_reads_the_refusal_too() {
    let studio = Studio::start();
    // A recording is sent to its end before the answer is looked at, as browsers do.
    let size = 100 * MEBIBYTE;
    let mut connection = Connection::open(studio.gateway.http());
    let head = format!("POST /ingest/addTrack HTTP/1.1\r\nHost: video.test\r\nContent-Length: {size}\r\n\r\n");
    connection.write(head).unwrap();
    send(&mut connection, size);
    connection.response(false).unwrap().refused(401, "no_credentials");
    // Over HTTP/2 the others on the connection live on.
    let mut streams = H2::open(studio.gateway.http());
    let length = size.to_string();
    let fields = [("content-length", &*length)];
    streams.request(1, "POST", "/ingest/addTrack", &fields, false).unwrap();
    assert_eq!(streams.outcome(1), h2::Outcome::Answered(401));
    streams.request(3, "GET", "/.well-known/jwks.json", &[], true).unwrap();
    assert_eq!(streams.outcome(3), h2::Outcome::Answered(200));
}

#[test]
fn an_upstreams_early_refusal_is_told() {
    if tools::missing("nginx") {
        return;
    }
    // 413 as soon as the header is there; then nginx hangs up.
    let nginx = Nginx::with("client_max_body_size 1m;");
    let config = Config::new()
        .upstream("zoo", &[nginx.url()], "")
        .open_upstream_route("");
    let gateway = Site::new().start(&config);
    let head = "POST /a HTTP/1.1\r\nHost: video.test\r\nContent-Length: 5000000000\r\n\r\n";
    let mut connection = Connection::open(gateway.http());
    connection.write(head).unwrap();
    connection.response(false).unwrap().expect(413);
    // And to who looks up late.
    let begun = [head.as_bytes(), &vec![b'j'; 20 << 20]].concat();
    let answer = Connection::open(gateway.http()).exchange_raw(begun);
    answer.unwrap().expect(413);
}

#[test]
fn an_answer_may_take_long_where_it_is_allowed_to() {
    let zoo = Upstream::start();
    let upstreams = |name: &str, read: &str| {
        let route = format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*rest}}\"\nupstream = \"{name}\"\nallow = [{{ anyone = true }}]\n"
        );
        format!(
            "[upstreams.{name}]\nservers = [\"{}\"]\ntimeouts = {{ read = \"{read}\" }}\n{route}",
            zoo.url()
        )
    };
    let config = Config::new()
        .server("timeouts", r#"{ read = "1s", write = "1s", keep_alive = "1s" }"#)
        .section(&upstreams("patient", "10m"))
        .section(&upstreams("hasty", "1s"));
    let gateway = Site::new().start(&config);
    let upload = |name: &str| Request::new("POST", &format!("/{name}/zoo/late")).body("recording");
    let mut patient = Connection::open(gateway.http());
    patient.write(upload("patient").bytes()).unwrap();
    zoo.arrived("/patient/zoo/late");
    // What is begun later and has one second is over, on either side, and the patient one still waits.
    gateway.send(upload("hasty")).refused(504, "upstream_timeout");
    let mut stalled = Connection::open(gateway.http());
    stalled
        .write("POST /patient/zoo/sink HTTP/1.1\r\nHost: video.test\r\nContent-Length: 5\r\n\r\nrec")
        .unwrap();
    stalled.response(false).unwrap().refused(408, "request_timeout");
    zoo.release();
    assert_eq!(patient.response(false).unwrap().expect(200).text(), "late");
}

/// Sends for longer than the upstream may keep silent, each piece when the one before has come in.
fn sends_for_longer_than(patience: Duration, gateway: &Gateway, received: impl Fn(u64)) -> Response {
    let mut connection = Connection::open(gateway.http());
    connection
        .write("POST /zoo/sink HTTP/1.1\r\nHost: video.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        .unwrap();
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < 3 * patience {
        connection.write(format!("3e8\r\n{}\r\n", "j".repeat(1000))).unwrap();
        sent += 1000;
        received(sent);
    }
    connection.write("0\r\n\r\n").unwrap();
    connection.response(false).unwrap()
}

#[test]
fn patience_begins_anew_while_a_recording_comes_in() {
    let patience = Duration::from_secs(1);
    let read = "timeouts = { read = \"1s\" }\n";
    let zoo = Upstream::start();
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], read)
        .open_upstream_route("");
    let gateway = Site::new().start(&config);
    let told = sends_for_longer_than(patience, &gateway, |bytes| zoo.received(bytes));
    told.expect(200);
}

#[test]
fn a_server_that_speaks_http_2_gets_recordings_over_http_1() {
    if tools::missing("nginx") {
        return;
    }
    let site = Site::new();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = site.write("upstream/key.pem", signing_key.serialize_pem());
    let certificate = site.write("upstream/certificate.pem", cert.pem());
    let zoo = Upstream::start();
    let server = format!(
        "ssl_certificate {}; ssl_certificate_key {}; client_max_body_size 0; \
         location /zoo/ {{ proxy_pass {}; proxy_request_buffering off; proxy_http_version 1.1; }} \
         location / {{ add_header spoken $server_protocol; return 204; }}",
        certificate.display(),
        key.display(),
        zoo.url()
    );
    let nginx = Nginx::listening("ssl http2", &server);
    let more = "ca_file = \"upstream/certificate.pem\"\ntimeouts = { read = \"1s\" }\n";
    let url = format!("https://localhost:{}", nginx.address.port());
    let config = Config::new().upstream("zoo", &[url], more).open_upstream_route("");
    let gateway = site.start(&config);
    let spoken = |request: Request| {
        let answer = gateway.send(request).expect(204);
        answer.header("spoken").unwrap().to_owned()
    };
    assert_eq!(spoken(Request::get("/a")), "HTTP/2.0");
    assert_eq!(spoken(Request::new("POST", "/a").body("short")), "HTTP/2.0");
    let long = vec![b'j'; 1_100_000];
    assert_eq!(spoken(Request::new("POST", "/a").body(long)), "HTTP/1.1");
    let told = sends_for_longer_than(Duration::from_secs(1), &gateway, |bytes| zoo.received(bytes));
    told.expect(200);
}

type Field = (&'static str, &'static str);

#[test]
fn a_script_is_told_and_a_page_load_is_sent_to_sign_in() {
    let zoo = Upstream::start();
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], "")
        .section(
            "[sign_in.campus]\nroles = [{ role = \"ROLE_USER\" }]\n[sign_in.campus.cas]\nserver = \"http://127.0.0.1:9/cas\"\n",
        )
        .open_upstream_route("accept = [\"session\"]\nsign_in = \"campus\"")
        .server("public_urls", r#"["http://localhost"]"#);
    let config = Config::text(&config).replace("{ anyone = true }", "{ role = \"ROLE_STUDIO\" }");
    let gateway = Gateway::start(&Site::new(), &config);
    let ask = |method: &str, path: &str, fields: &[Field]| {
        let request = Request::new(method, path).host("localhost");
        let request = if method == "POST" { request.body("a=b") } else { request };
        let add = |request: Request, (name, value): &Field| request.header(name, value);
        gateway.send(fields.iter().fold(request, add))
    };
    const CORS: Field = ("Sec-Fetch-Mode", "cors");
    const EMPTY: Field = ("Sec-Fetch-Dest", "empty");
    const ANY: Field = ("Accept", "*/*");
    const HTML: Field = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    const XHR: Field = ("X-Requested-With", "XMLHttpRequest");
    // Studio's and the Editor's calls, with and without what newer browsers say about them.
    let scripts: [(&str, &str, &[Field]); 12] = [
        ("GET", "/info/me.json", &[ANY, CORS, EMPTY]),
        ("GET", "/info/me.json", &[ANY]),
        ("GET", "/info/me.json", &[("Accept", "application/json")]),
        ("GET", "/info/me.json", &[HTML, XHR]),
        ("GET", "/info/me.json", &[HTML, CORS, EMPTY]),
        ("GET", "/ui/config/studio/settings.toml", &[ANY, CORS, EMPTY]),
        ("GET", "/ingest/createMediaPackage", &[ANY, CORS, EMPTY]),
        (
            "POST",
            "/ingest/addTrack",
            &[ANY, CORS, EMPTY, ("Origin", "http://localhost")],
        ),
        ("POST", "/ingest/addTrack", &[HTML]),
        ("GET", "/editor/lecture-1/edit.json", &[ANY, CORS, EMPTY]),
        ("POST", "/editor/lecture-1/lock", &[ANY, CORS, EMPTY]),
        ("DELETE", "/editor/lecture-1/lock/one", &[ANY, CORS, EMPTY]),
    ];
    for (method, path, fields) in scripts {
        let answer = ask(method, path, fields).expect(401);
        assert_eq!(answer.header("location"), None, "{method} {path} {fields:?}");
    }
    for (mode, kind) in [("navigate", "document"), ("navigate", "iframe")] {
        let fields = [HTML, ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", kind)];
        let answer = ask("GET", "/studio/index.html", &fields).expect(303);
        let location = answer.header("location").unwrap();
        assert!(location.starts_with("http://127.0.0.1:9/cas/login?"), "{location}");
    }
    ask("GET", "/studio/index.html", &[HTML]).expect(303);
    assert!(zoo.requests().is_empty());
}
