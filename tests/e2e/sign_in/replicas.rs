//! Two gateways on one Valkey are one to everybody, and what needs no session goes on without it.

use std::time::{Duration, Instant};

use super::campus::{Campus, PAGE, Plan, Visitor, target};
use crate::support::{Config, Connection, Request, Signer, Site, Valkey, eventually};

/// 32 bytes, the same for all.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

const BELIEVED: Duration = Duration::from_secs(5);

fn start(valkey: &Valkey, signer: &Signer) -> Option<Campus> {
    let site = Site::with_lecture();
    let key = site.write("master.key", MASTER_KEY);
    // As the gateway wants it: nobody else may read it.
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    site.write_keys("keys.json", &[signer]);
    let config = Config::new()
        .set("state", "store", "\"valkey\"")
        .set("state", "url", &format!("{:?}", valkey.url()))
        .set("state", "key_file", &format!("{key:?}"))
        .issuer("moodle", &site.path("keys.json").display().to_string(), "")
        .section(&crate::support::MEDIA.replace("\"downloads\"", &format!("{:?}", site.path("downloads"))));
    Campus::planned(Plan {
        site,
        config,
        ..Plan::default()
    })
}

#[test]
fn signed_in_at_one_is_signed_in_at_the_other_and_signed_out_at_both() {
    let signer = Signer::new();
    let Some(valkey) = Valkey::start() else { return };
    let Some(campus) = start(&valkey, &signer) else { return };
    let replica = campus.replica();
    let (alice, visitor) = (campus.cas.person("alice"), campus.visitor());
    visitor.sign_in(&alice, PAGE).expect(303);
    let there = visitor.at(&replica);
    let asked = Instant::now();
    assert!(visitor.is_signed_in() && there.is_signed_in());
    assert_eq!(there.me()["user"], "alice");
    there.post("/_janua/sign-out", "").expect(200);
    forgets(&visitor, asked);

    // Begun here, come back there.
    let here = campus.visitor();
    let back = here.callback(&alice, PAGE);
    let there = here.at(&replica);
    there.open(target(&back)).expect(303);
    let asked = Instant::now();
    assert!(there.is_signed_in());
    // The CAS server tells the one that it knows by name.
    alice.sign_out();
    forgets(&there, asked);
}

/// A gateway believes what it knows for five seconds after it has `asked` the store: earlier than that it can only have
/// been told.
fn forgets(visitor: &Visitor, asked: Instant) {
    while visitor.is_signed_in() {
        assert!(asked.elapsed() < BELIEVED, "nobody has told this replica");
    }
}

#[test]
fn without_the_store_sessions_wait_and_tokens_go_on() {
    let signer = Signer::new();
    let Some(mut valkey) = Valkey::start() else { return };
    let Some(campus) = start(&valkey, &signer) else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    assert!(visitor.is_signed_in());
    let token = signer.read("lecture-1");
    let host = campus.gateway.http().to_string();
    let video = || {
        let request = Request::get("/static/org/player/lecture-1/video.mp4").host(&host);
        campus.gateway.send(request.bearer(&token))
    };
    video().expect(200);

    valkey.kill();
    let refused = eventually("the session needs the store", || {
        let answer = visitor.fetch("/app/x");
        (answer.status != 200).then_some(answer)
    });
    refused.refused(503, "store_unavailable");
    video().expect(200);
    visitor.fetch("/_janua/me").refused(503, "store_unavailable");
    campus.visitor().fetch("/app/x").expect(401);
    campus.visitor_with("made-up").fetch("/app/x").expect(401);

    valkey.revive();
    eventually("it is back, and so is she", || {
        (visitor.fetch("/app/x").status == 200).then_some(())
    });
}

#[test]
fn the_store_is_asked_about_a_session_once_in_five_seconds() {
    let signer = Signer::new();
    let Some(valkey) = Valkey::start() else { return };
    let Some(campus) = start(&valkey, &signer) else { return };
    let visitor = campus.visitor();
    visitor.sign_in(&campus.cas.person("alice"), PAGE).expect(303);
    let request = Request::get("/app/x")
        .host(&campus.gateway.http().to_string())
        .header("Cookie", &format!("janua={}", visitor.session().unwrap()));
    let (before, began) = (valkey.calls(), Instant::now());
    let mut connection = Connection::open(campus.gateway.http());
    for _ in 0..300 {
        // Nobody asks for explanations beside: they ask the store for themselves.
        let answer = connection.exchange_raw(request.bytes()).unwrap();
        assert_eq!(answer.status, 200);
    }
    let asked = valkey.calls() - before;
    let most = began.elapsed().as_secs() / 5 + 1;
    assert!((1..=most).contains(&asked), "{asked} times, at most {most}");
}
