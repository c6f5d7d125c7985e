//! Reload after reload while clients keep asking: none of them notices, and nothing piles up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::support::{Config, Connection, Gateway, JwksServer, MEDIA, Request, Signer, Site, Upstream, eventually};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";
const MEBIBYTE: u64 = 1 << 20;

/// What all reloads together may add to the memory in use once the first ones are over.
const ALLOWANCE: u64 = 24 * MEBIBYTE;

/// Everything that a reload replaces differs from one number to the next; what the clients ask for is there in all.
fn config(number: usize, keys: &JwksServer, zoo: &Upstream) -> Config {
    let (turn, timeout) = (number % 2, 60 + number % 7);
    Config::new()
        .jwt("leeway", &format!("\"{}s\"", 3 + turn))
        .issuer("moodle", &keys.url(), "")
        .issuer(["ilias", "tobira"][turn], &keys.url(), "")
        .upstream(
            "zoo",
            &[zoo.url()],
            &format!("timeouts = {{ connect = \"5s\", read = \"{timeout}s\" }}"),
        )
        .section(MEDIA)
        .section("[[routes]]\nname = \"zoo\"\npath = \"/through/{*rest}\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\n")
        .section(&format!(
            "[[routes]]\nname = \"mark\"\npath = \"/number-{number}\"\nrespond = {{ status = 204 }}\nallow = [{{ anyone = true }}]\n"
        ))
}

/// Asks on one connection until it is told to stop; every answer must be the right one.
fn client(gateway: &Gateway, token: &str, stop: &AtomicBool, served: &AtomicUsize) {
    let mut connection = Connection::open(gateway.http());
    while !stop.load(Ordering::Relaxed) {
        let lecture = connection.exchange(Request::get(PATH).bearer(token)).expect(200);
        assert_eq!(lecture.body.len(), 1000);
        connection.exchange(Request::get("/through/a")).expect(200);
        connection.exchange(Request::get(PATH)).expect(401);
        // A connection of its own: accepting goes on as well.
        gateway.get("/through/b").expect(200);
        served.fetch_add(4, Ordering::Relaxed);
    }
}

fn reloads(count: usize) {
    let (site, signer, zoo) = (Site::with_lecture(), Signer::new(), Upstream::start());
    let keys = JwksServer::start(&[&signer]);
    let gateway = site.start(&config(0, &keys, &zoo));
    let token = signer.read("lecture-1");
    gateway.get_with(PATH, &token).expect(200);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    let (before, after) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| client(&gateway, &token, &stop, &served)))
            .collect();
        // Also where this thread panics, so that the scope can end.
        let _stop = StopOnDrop(&stop);
        let warm = count / 5;
        let mut before = 0;
        for number in 1..=count {
            site.write("gateway.toml", config(number, &keys, &zoo).text());
            gateway.signal("HUP");
            let mark = format!("/number-{number}");
            eventually(&mark, || (gateway.get(&mark).status == 204).then_some(()));
            if number == warm {
                before = gateway.memory("VmRSS");
            }
        }
        let after = gateway.memory("VmRSS");
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("a client saw nothing but right answers");
        }
        (before, after)
    });
    let taken = gateway.metric(r#"janua_config_reloads_total{outcome="ok"}"#).unwrap();
    assert!(taken >= count as f64, "{taken}");
    assert_eq!(
        gateway.metric(r#"janua_config_reloads_total{outcome="error"}"#),
        Some(0.0)
    );
    // The first fetch of a start, and one for each time an issuer is new.
    assert!(keys.requests() <= 2 + 2 * taken as usize, "{}", keys.requests());
    println!(
        "{taken} reloads and {} requests in {:.1} s, none failed; memory {} MiB before, {} MiB after",
        served.load(Ordering::Relaxed),
        start.elapsed().as_secs_f64(),
        before / MEBIBYTE,
        after / MEBIBYTE
    );
    assert!(after < before + ALLOWANCE, "{} MiB more", (after - before) / MEBIBYTE);
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn fifty_reloads_fail_no_request() {
    reloads(50);
}

#[test]
fn long_a_thousand_reloads_fail_no_request() {
    if std::env::var_os("JANUA_LONG").is_none() {
        eprintln!("left to `make test-long`");
        return;
    }
    reloads(1000);
}
