//! What a decision costs: by a role in a rule, and by an event's own list that Opencast has told a moment ago.
//!
//! The aim is that the list costs no more than 2 µs over the role.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up shall say so and end"
)]

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use http::Method;
use janua::authenticate::token::Tokens;
use janua::config::{Config, load};
use janua::event::Events;
use janua::gateway::rules::Case;
use janua::identity::Identity;
use janua::moodle::MoodleTokens;
use janua::observe::metrics::Metrics;
use janua::request::{Client, Request};
use janua::sealing::MasterKeys;
use janua::sign_in::People;
use janua::snapshot::{Passes, Snapshot};
use janua::store::Store;
use tokio::runtime::{Builder, Runtime};

const EVENT: &str = "2f4b0d1c-8d25-4f0e-9c5c-6a1d3b2e7f90";

/// A gateway with a route for each kind of rule, beside an Opencast that knows one event.
struct Bench {
    snapshot: Arc<Snapshot>,
    /// On which Opencast is asked.
    runtime: Runtime,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        janua::server::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let config = Arc::new(configure(folder.path(), opencast()));
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (store, keys, metrics) = (Store::in_memory(), MasterKeys::random(), Metrics::new());
        let snapshot = runtime.block_on(async {
            let snapshot = Snapshot::new(
                &config,
                Arc::new(Tokens::new(&config.jwt, &store, &metrics, None).unwrap()),
                People::new(&store, &keys, &metrics.sessions()),
                Passes::of_nobody(),
                MoodleTokens::new(&store, &keys, metrics.moodle()),
                None,
                &metrics,
            )
            .unwrap();
            for upstream in &snapshot.upstreams {
                upstream.resolve().await;
            }
            snapshot
        });
        Self {
            snapshot: Arc::new(snapshot),
            runtime,
            _folder: folder,
        }
    }

    /// The decision about somebody, ready to be made again and again.
    fn decision(&self, path: &str, who: &Identity) -> impl Fn() + use<> {
        let found = self.snapshot.table.find("localhost", path, &Method::GET).unwrap();
        let route = Arc::clone(self.snapshot.routes.get(found.route).unwrap());
        let request = Request {
            method: Method::GET,
            authority: "localhost".to_owned(),
            host: "localhost".to_owned(),
            raw_path: path.to_owned(),
            query: None,
        };
        let path = janua::route::path::Path::parse(path).unwrap();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let client = Client {
            address,
            peer: address,
            https: false,
            hops: Vec::new(),
        };
        let (snapshot, who) = (Arc::clone(&self.snapshot), who.clone());
        let decide = async move |events: &mut Events| {
            let case = Case {
                snapshot: &snapshot,
                route: &route,
                request: &request,
                path: &path,
                client: &client,
                params: &found.params,
            };
            case.decide(black_box(Some(&who)), events).await
        };
        // The first one may have to ask.
        self.runtime.block_on(decide(&mut Events::default())).unwrap();
        move || {
            let decided = decide(&mut Events::default()).now_or_never();
            decided.unwrap().unwrap();
        }
    }
}

/// `GET /api/events/…/acl`, for as long as this process lives: its port.
fn opencast() -> u16 {
    let entry = |role: &str| format!(r#"{{"allow":true,"action":"read","role":"{role}"}}"#);
    let roles = (0..20).map(|course| entry(&format!("{course}_Learner")));
    let list = format!("[{}]", roles.collect::<Vec<_>>().join(","));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{list}",
        list.len()
    );
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let answered = stream
                .read(&mut request)
                .and_then(|_| stream.write_all(answer.as_bytes()));
            answered.unwrap_or_default();
        }
    });
    port
}

fn configure(folder: &Path, opencast: u16) -> Config {
    std::fs::write(folder.join("password"), "x").unwrap();
    // Nobody's token is verified here.
    std::fs::write(folder.join("jwks.json"), r#"{"keys":[]}"#).unwrap();
    let file = folder.join("gateway.toml");
    let text = format!(
        r#"
[server]
listen     = ["127.0.0.1:0"]
public_url = "http://localhost"

[[jwt.issuers]]
name        = "moodle"
jwks        = "jwks.json"
allow_roles = ["*_Learner"]

[upstreams.opencast]
servers = ["http://127.0.0.1:{opencast}"]

[opencast.main]
upstream      = "opencast"
username      = "gateway"
password_file = "password"
acl_ttl       = "1h"

[[routes]]
name    = "role"
path    = "/role/{{event}}"
respond = {{ status = 204 }}
allow   = [{{ role = "7_Learner" }}]

[[routes]]
name    = "list"
path    = "/list/{{event}}"
respond = {{ status = 204 }}
allow   = [{{ event_acl = "read", event = "{{event}}" }}]

[[routes]]
name    = "grant, series or list"
path    = "/either/{{event}}"
respond = {{ status = 204 }}
allow   = [{{ grant = "read", event = "{{event}}" }}, {{ grant = "read", series_of = "{{event}}" }}, {{ event_acl = "read", event = "{{event}}" }}]
"#
    );
    std::fs::write(&file, text).unwrap();
    load(&file).unwrap().config
}

fn authorize(criterion: &mut Criterion) {
    let bench = Bench::new();
    let learner = Identity {
        issuers: vec![0],
        source: "moodle".into(),
        people: None,
        subject: None,
        named: false,
        roles: vec!["7_Learner".to_owned()],
        grants: Vec::new(),
        expires: SystemTime::now() + Duration::from_secs(3600),
        access: None,
    };
    for (name, path) in [
        ("authorize/role", "/role/"),
        ("authorize/event_acl, known", "/list/"),
        ("authorize/grant, series_of or event_acl, known", "/either/"),
    ] {
        let decide = bench.decision(&format!("{path}{EVENT}"), &learner);
        criterion.bench_function(name, |run| run.iter(&decide));
    }
}

criterion_group!(benches, authorize);
criterion_main!(benches);
