//! What the gateway leans on fails in every way there is: key endpoints, the disk of the log, the process itself.
//! Playback goes on. (Upstreams: `upstream_faults.rs`.)

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::support::double::Double;
use crate::support::gateway::LOG_FILE;
use crate::support::{Config, Connection, Gateway, JwksServer, MEDIA, Request, Signer, Site, eventually};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

// ---- key endpoints ----

/// A key endpoint that answers with exactly these bytes, or never (`None`).
struct Endpoint {
    double: Option<Double>,
    address: SocketAddr,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Endpoint {
    fn start(signer: &Signer) -> Self {
        let answer = Arc::new(Mutex::new(Some(keys_as("application/json", signer))));
        let given = Arc::clone(&answer);
        let double = Double::start(move |mut wire| {
            while wire.head().is_ok() {
                let answer = given.lock().unwrap().clone();
                match answer {
                    // Gone as soon as a part of it is too much for the other side.
                    Some(answer) if wire.stream.write_all(&answer).is_err() => return,
                    Some(_) => {}
                    None => drop(wire.read(&mut [0])),
                }
            }
        });
        Self {
            address: double.address,
            double: Some(double),
            answer,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    fn answers(&self, bytes: impl Into<Option<Vec<u8>>>) {
        *self.answer.lock().unwrap() = bytes.into();
    }
}

fn keys_as(kind: &str, signer: &Signer) -> Vec<u8> {
    answer_of(kind, &Signer::jwks(&[signer]))
}

fn answer_of(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// One way to fail, and what it is called as an issuer.
type Failure = (&'static str, fn(&mut Endpoint));

const FAILURES: [Failure; 7] = [
    ("down", |endpoint| drop(endpoint.double.take())),
    ("slow", |endpoint| endpoint.answers(None)),
    ("error", |endpoint| {
        endpoint.answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec());
    }),
    ("garbage", |endpoint| {
        endpoint.answers(b"\x16\x03\x01 no web server\r\n\r\n".to_vec());
    }),
    ("page", |endpoint| {
        endpoint.answers(answer_of("text/html", "<html>maintenance</html>"));
    }),
    ("huge", |endpoint| {
        // 50 MiB whose length is not told.
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3200000\r\n".to_vec();
        answer.resize(answer.len() + 0x320_0000, b' ');
        answer.extend(b"\r\n0\r\n\r\n");
        endpoint.answers(answer);
    }),
    ("redirect", |endpoint| {
        endpoint.answers(b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".to_vec());
    }),
];

/// One issuer for each failure, all with good keys at first.
fn issuers(config: impl FnOnce(Config) -> Config) -> (Gateway, Vec<(&'static str, Signer, Endpoint)>) {
    let site = Site::with_lecture();
    let issuers: Vec<_> = FAILURES
        .iter()
        .map(|(name, _)| {
            let signer = Signer::new();
            let endpoint = Endpoint::start(&signer);
            (*name, signer, endpoint)
        })
        .collect();
    let config = issuers
        .iter()
        .fold(config(Config::new()), |config, (name, _, endpoint)| {
            config.issuer(name, &endpoint.url(), "")
        });
    let gateway = site.start(&config.section(MEDIA));
    for (name, signer, _) in &issuers {
        eventually(name, || plays(&gateway, signer).then_some(()));
    }
    (gateway, issuers)
}

fn plays(gateway: &Gateway, signer: &Signer) -> bool {
    gateway.get_with(PATH, &signer.read("lecture-1")).status == 200
}

fn failed_refreshes(gateway: &Gateway, issuer: &str) -> f64 {
    let series = format!(r#"janua_keyset_refreshes_total{{issuer="{issuer}",outcome="error"}}"#);
    gateway.metric(&series).unwrap_or_default()
}

/// Makes every endpoint fail, and waits until the gateway has met that: a token of an unknown key makes it ask.
fn fail_all(gateway: &Gateway, issuers: &mut [(&'static str, Signer, Endpoint)]) {
    for ((_, fail), (_, _, endpoint)) in FAILURES.iter().zip(issuers.iter_mut()) {
        fail(endpoint);
    }
    let stranger = Signer::new();
    for (name, ..) in issuers {
        eventually(&format!("a failed refresh of {name}"), || {
            assert!(!plays(gateway, &stranger));
            (failed_refreshes(gateway, name) >= 1.0).then_some(())
        });
    }
}

#[test]
fn playback_goes_on_however_a_key_endpoint_fails() {
    let (gateway, mut issuers) = issuers(|config| config);
    let memory = gateway.memory("VmRSS");
    fail_all(&gateway, &mut issuers);
    for (name, signer, _) in &issuers {
        assert!(plays(&gateway, signer), "{name}");
        let keys = gateway.metric(&format!(r#"janua_keyset_keys{{issuer="{name}"}}"#));
        assert_eq!(keys, Some(1.0), "{name}");
    }
    assert_eq!(gateway.admin("/readyz").status, 200);
    let peak = gateway.memory("VmHWM");
    assert!(peak < memory + (32 << 20), "{} MiB for a key set", peak >> 20);
}

#[test]
fn keep_stale_ends_playback_however_a_key_endpoint_fails() {
    let (gateway, mut issuers) = issuers(|config| config.jwt("keep_stale", r#""1s""#));
    fail_all(&gateway, &mut issuers);
    for (name, signer, _) in &issuers {
        eventually(&format!("the end of {name}"), || {
            (!plays(&gateway, signer)).then_some(())
        });
        let keys = format!(r#"janua_keyset_keys{{issuer="{name}"}}"#);
        assert_eq!(gateway.metric(&keys), Some(0.0), "{name}");
    }
    let unready = gateway.admin("/readyz");
    assert_eq!(unready.status, 503);
}

#[test]
fn the_content_type_of_a_key_set_does_not_matter() {
    // What web servers say of a file without a type they know.
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let endpoint = Endpoint::start(&signer);
    endpoint.answers(keys_as("application/octet-stream", &signer));
    let gateway = site.start(&Config::new().issuer("moodle", &endpoint.url(), "").section(MEDIA));
    eventually("the keys are there", || plays(&gateway, &signer).then_some(()));
}

#[test]
fn swapped_keys_end_the_old_ones_even_under_the_same_name() {
    let site = Site::with_lecture();
    let (old, new) = (Signer::new().named("key"), Signer::new().named("key"));
    let endpoint = Endpoint::start(&old);
    let gateway = site.start(&Config::new().issuer("moodle", &endpoint.url(), "").section(MEDIA));
    eventually("the old key verifies", || plays(&gateway, &old).then_some(()));
    let remembered = old.read("lecture-1");
    gateway.get_with(PATH, &remembered).expect(200);
    endpoint.answers(keys_as("application/json", &new));
    eventually("the new key verifies", || plays(&gateway, &new).then_some(()));
    assert!(!plays(&gateway, &old));
    gateway.get_with(PATH, &remembered).refused(401, "bad_signature");
}

#[test]
fn killed_in_the_middle_of_its_work_it_starts_on_the_stored_keys_alone() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    let config = Config::new()
        .issuer("moodle", &server.url(), "")
        .section(MEDIA)
        .set("state", "store", r#""embedded""#)
        .set("state", "path", r#""state/janua.redb""#);
    for round in 0..3 {
        let mut gateway = site.start(&config);
        eventually("the keys are there", || plays(&gateway, &signer).then_some(()));
        if round == 0 {
            server.fail(503);
        }
        let address = gateway.http();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Requests until it is gone: some are cut.
                let request = Request::get(PATH).bearer(&signer.read("lecture-1")).bytes();
                while Connection::try_open(address).is_ok_and(|mut open| open.exchange_raw(&request).is_ok()) {}
            });
            gateway.signal("KILL");
            gateway.ended();
        });
    }
}

// ---- the log ----

/// Takes the link to /dev/full away again, before anybody reads it as a log: it never ends.
struct FullDisk(PathBuf);

impl FullDisk {
    fn at(path: PathBuf) -> Self {
        let link = path.with_file_name("full");
        std::os::unix::fs::symlink("/dev/full", &link).unwrap();
        fs::rename(&link, &path).unwrap();
        Self(path)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn a_full_disk_costs_log_lines_and_nothing_else() {
    let site = Site::new();
    fs::create_dir_all(site.path(LOG_FILE).parent().unwrap()).unwrap();
    let config = Config::new().set("log", "file", &format!("{LOG_FILE:?}")).open_route();
    let gateway = site.start(&config);
    gateway.get("/open").expect(204);
    let dropped = || gateway.metric("janua_log_lines_dropped_total").unwrap();
    assert!(dropped() < 1.0);
    let full = FullDisk::at(site.path(LOG_FILE));
    eventually("dropped lines are counted", || {
        gateway.get("/open").expect(204);
        (dropped() >= 10.0).then_some(())
    });
    // Room again: the log goes on.
    drop(full);
    eventually("the log goes on", || {
        gateway.get("/after").expect(404);
        gateway.said().contains("/after").then_some(())
    });
}
