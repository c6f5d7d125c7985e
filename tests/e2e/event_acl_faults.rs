//! Opencast goes away while fifty people watch: whoever is known plays on, what was never known fails at once instead of
//! waiting, and all of it recovers by itself.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::opencast::Fault;
use crate::support::{Config, Connection, Gateway, Opencast, Request, Signer, Site, eventually, in_seconds};

const VIEWERS: usize = 50;
const LECTURES: usize = 10;
const SEGMENTS: usize = 8;
/// Generous: the gateway gives up after less than a second, and its upstream's own patience would be a minute.
const PATIENCE: Duration = Duration::from_secs(10);

const ROUTE: &str = r#"
[[routes]]
name   = "media"
path   = "/static/{org}/{channel}/{event}/{*file}"
files  = "downloads"
strip  = "/static"
allow  = [{ event_acl = "read", event = "{event}" }, { grant = "read", series_of = "{event}" }]
"#;

fn start(opencast: &Opencast, signer: &Signer) -> Gateway {
    let site = Site::new();
    site.write_keys("keys.json", &[signer]);
    site.write("secrets/opencast", "letmein\n");
    for lecture in 0..LECTURES {
        for segment in 0..SEGMENTS {
            site.write(&format!("downloads/org/player/known-{lecture}/{segment}.ts"), "segment");
        }
    }
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[opencast.url()], "health = { every = \"1s\" }")
        .section(
            "[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n\
             acl_ttl = \"1s\"\n",
        )
        .section(ROUTE);
    site.start(&config)
}

fn segment(event: &str, number: usize) -> String {
    format!("/static/org/player/{event}/{}.ts", number % SEGMENTS)
}

/// One person's player: segment after segment over one connection, until all have seen enough.
fn watch(gateway: &Gateway, token: &str, event: &str, played: &AtomicUsize, over: &AtomicBool) {
    let mut connection = Connection::open(gateway.http());
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let request = Request::get(&segment(event, number)).bearer(token);
        let answer = connection.exchange_raw(request.bytes()).unwrap();
        assert_eq!(answer.status, 200, "{event}: {}", answer.text());
        played.fetch_add(1, Ordering::Relaxed);
    }
}

/// Fifty people open lectures that nobody has asked for before, all at once.
fn unknown_lectures_fail(gateway: &Gateway, token: &str, prefix: &str) {
    std::thread::scope(|scope| {
        for number in 0..VIEWERS {
            scope.spawn(move || {
                let mut connection = Connection::open(gateway.http());
                connection.waits_at_most(PATIENCE);
                // Half of them want the same one.
                let event = format!("{prefix}-{}", if number % 2 == 0 { 0 } else { number });
                let request = Request::get(&segment(&event, 0)).bearer(token);
                let answer = connection
                    .exchange_raw(request.bytes())
                    .expect("an answer in good time");
                answer.refused(502, "acl_unavailable");
            });
        }
    });
}

#[test]
fn fifty_people_watch_on_while_opencast_is_away() {
    let (mut opencast, signer) = (Opencast::start(), Signer::new());
    for lecture in 0..LECTURES {
        opencast.event(&format!("known-{lecture}"), &["4_Learner"]);
    }
    let gateway = start(&opencast, &signer);
    let learner = signer.token(&json!({
        "exp": in_seconds(600), "roles": ["4_Learner"], "oc": { "s:maths": ["read"] },
    }));
    for lecture in 0..LECTURES {
        gateway
            .get_with(&segment(&format!("known-{lecture}"), 0), &learner)
            .expect(200);
    }
    let (played, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let stale = || {
        let series = "janua_opencast_asks_total{opencast=\"main\",result=\"stale\"}";
        gateway.metric(series).unwrap_or_default()
    };
    std::thread::scope(|scope| {
        for viewer in 0..VIEWERS {
            let (gateway, learner, played, over) = (&gateway, &learner, &played, &over);
            let event = format!("known-{}", viewer % LECTURES);
            scope.spawn(move || {
                // A player that fails ends the test instead of leaving the others to play for ever.
                let _ends = EndsAll(over);
                watch(gateway, learner, &event, played, over);
            });
        }
        let _ends = EndsAll(&over);
        let go_on = |what: &str| {
            let before = played.load(Ordering::Relaxed);
            eventually(what, || {
                assert!(!over.load(Ordering::Relaxed), "a player has failed");
                (played.load(Ordering::Relaxed) >= before + 4 * VIEWERS).then_some(())
            });
        };
        go_on("fifty people watch");
        for (number, fault) in [Fault::Silence, Fault::Status(503), Fault::None]
            .into_iter()
            .enumerate()
        {
            let before = stale();
            // The last one: nobody listens at all.
            if fault == Fault::None {
                opencast.switch_off();
            }
            opencast.fault(fault.clone());
            eventually("old answers are used", || (stale() > before).then_some(()));
            go_on("they watch on");
            unknown_lectures_fail(&gateway, &learner, &format!("unknown-{number}"));
            if fault == Fault::Silence {
                // It was the gateway's own clock that ended the waiting, and below a second.
                gateway.logged(&["Opencast does not answer", "no answer within 900ms"]);
            }
            go_on("and on");
        }
        opencast.event("new", &["4_Learner"]);
        gateway.site.write("downloads/org/player/new/0.ts", "segment");
        opencast.switch_on();
        eventually("a new lecture plays", || {
            (gateway.get_with(&segment("new", 0), &learner).status == 200).then_some(())
        });
        go_on("nobody has noticed");
    });
    // Known is what Opencast says now, not what was kept.
    opencast.event("known-0", &["ROLE_OTHER"]);
    eventually("the new list counts", || {
        (gateway.get_with(&segment("known-0", 0), &learner).status == 403).then_some(())
    });
}

/// Tells all players to stop, also where a test fails.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
