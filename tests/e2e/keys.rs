//! Key sets: fetched, refreshed, rotated, kept while their endpoint fails.

use std::time::Instant;

use serde_json::json;

use crate::support::{Config, Gateway, JwksServer, Signer, Site, eventually};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

fn config(jwks: &str) -> Config {
    Config::new().issuer("moodle", jwks, "").section(crate::support::MEDIA)
}

fn status(gateway: &Gateway, signer: &Signer) -> u16 {
    gateway.get_with(PATH, &signer.read("lecture-1")).status
}

/// Lets the gateway ask the endpoint again: a token of a key that it does not know is reason enough, if not at once.
fn refresh(gateway: &Gateway, server: &JwksServer) {
    let asked = server.requests();
    let stranger = Signer::new();
    eventually("the endpoint is asked again", || {
        status(gateway, &stranger);
        (server.requests() > asked).then_some(())
    });
}

#[test]
fn a_new_key_is_known_as_soon_as_a_token_needs_it() {
    let (site, old, new) = (Site::with_lecture(), Signer::new(), Signer::new());
    let server = JwksServer::start(&[&old]);
    // The refresh is far away: only the token itself can bring the key.
    let gateway = site.start(&config(&server.url()));
    assert_eq!(status(&gateway, &old), 200);
    server.serve(&[&old, &new]);
    eventually("the new key verifies", || (status(&gateway, &new) == 200).then_some(()));
    assert_eq!(status(&gateway, &old), 200);
}

#[test]
fn a_flood_of_unknown_keys_asks_the_endpoint_rarely() {
    let (site, known, stranger) = (Site::with_lecture(), Signer::new().named("a"), Signer::new().named("b"));
    let server = JwksServer::start(&[&known]);
    let gateway = site.start(&config(&server.url()));
    let start = Instant::now();
    let before = server.requests();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let answer = gateway.get_with(PATH, &stranger.read("lecture-1"));
                    assert!([401, 429].contains(&answer.status), "{}", answer.status);
                }
            });
        }
    });
    // What an address may ask for at once and then every five seconds, and one fetch that was under way. Each request is
    // explained too, and who explains has a budget of its own.
    let allowed = 1 + 2 * (3 + usize::try_from(start.elapsed().as_secs()).unwrap() / 5);
    let asked = server.requests() - before;
    assert!(asked <= allowed, "asked {asked} times where {allowed} are allowed");
}

#[test]
fn a_removed_key_stops_verifying_and_its_remembered_tokens_too() {
    let (site, leaving, staying) = (Site::with_lecture(), Signer::new(), Signer::new());
    let server = JwksServer::start(&[&leaving, &staying]);
    let gateway = site.start(&config(&server.url()));
    let remembered = leaving.read("lecture-1");
    gateway.get_with(PATH, &remembered).expect(200);
    server.serve(&[&staying]);
    refresh(&gateway, &server);
    let last = eventually("the remembered token stops", || {
        let answer = gateway.get_with(PATH, &remembered);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(last.status, 401);
    assert_eq!(status(&gateway, &leaving), 401);
    assert_eq!(status(&gateway, &staying), 200);
}

#[test]
fn the_last_good_keys_serve_while_the_endpoint_fails() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    let gateway = site.start(&config(&server.url()));
    assert_eq!(status(&gateway, &signer), 200);
    let failures: [(&str, &dyn Fn()); 5] = [
        ("an error", &|| server.fail(500)),
        ("no answer", &|| server.hang_up()),
        ("no JSON", &|| server.serve_text("<html>maintenance</html>")),
        ("no keys", &|| server.serve_text(r#"{"keys":[]}"#)),
        ("no usable key", &|| {
            server.serve_text(r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#);
        }),
    ];
    for (what, fail) in failures {
        fail();
        refresh(&gateway, &server);
        assert_eq!(status(&gateway, &signer), 200, "{what}");
    }
    assert!(
        gateway
            .metric(r#"janua_keyset_refreshes_total{issuer="moodle",outcome="error"}"#)
            .unwrap()
            >= 1.0
    );
    assert_eq!(gateway.metric(r#"janua_keyset_keys{issuer="moodle"}"#), Some(1.0));
    assert_eq!(gateway.admin("/readyz").status, 200);
}

#[test]
fn the_last_good_keys_survive_a_restart() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    let config =
        config(&server.url())
            .set("state", "store", r#""embedded""#)
            .set("state", "path", r#""state/janua.redb""#);
    let gateway = site.start(&config);
    assert_eq!(status(&gateway, &signer), 200);
    gateway.stop();
    server.fail(503);
    let gateway = site.start(&config);
    eventually("the kept keys verify", || {
        (status(&gateway, &signer) == 200).then_some(())
    });
    drop(gateway);
    // Killed, not stopped: the file is as good.
    let gateway = site.start(&config);
    eventually("the kept keys verify", || {
        (status(&gateway, &signer) == 200).then_some(())
    });
}

#[test]
fn kept_keys_have_an_end() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    let config = config(&server.url()).jwt("keep_stale", r#""2s""#);
    let gateway = site.start(&config);
    assert_eq!(status(&gateway, &signer), 200);
    server.fail(500);
    refresh(&gateway, &server);
    eventually("the stale keys end", || {
        (status(&gateway, &signer) != 200).then_some(())
    });
    server.serve(&[&signer]);
    eventually("the keys are back", || (status(&gateway, &signer) == 200).then_some(()));
}

#[test]
fn it_starts_without_the_endpoint_and_says_so() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    server.fail(503);
    let gateway = site.start(&config(&server.url()).section(
        r#"
        [[routes]]
        name = "open"
        path = "/open"
        respond = { status = 204 }
        allow = [{ anyone = true }]"#,
    ));
    let unready = gateway.admin("/readyz");
    assert_eq!(unready.status, 503);
    assert!(unready.text().contains("moodle"), "{}", unready.text());
    assert_eq!(gateway.admin("/healthz").status, 200);
    let told = gateway
        .get_with(PATH, &signer.read("lecture-1"))
        .refused(503, "keys_unavailable");
    assert!(told.header("retry-after").is_some());
    assert_eq!(gateway.get("/open").status, 204);
    server.serve(&[&signer]);
    eventually("it is ready", || (gateway.admin("/readyz").status == 200).then_some(()));
    assert_eq!(status(&gateway, &signer), 200);
}

#[test]
fn an_endpoint_that_hangs_holds_no_request_for_long() {
    let (site, known, stranger) = (Site::with_lecture(), Signer::new(), Signer::new());
    let server = JwksServer::start(&[&known]);
    let gateway = site.start(&config(&server.url()));
    let remembered = known.read("lecture-1");
    gateway.get_with(PATH, &remembered).expect(200);
    server.stall();
    let asked = server.requests();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            eventually("a token of an unknown key asks the endpoint", || {
                assert_eq!(status(&gateway, &stranger), 401);
                (server.requests() > asked).then_some(())
            });
        });
        // While one waits, the others are served.
        server.asked(asked + 1);
        gateway.get_with(PATH, &remembered).expect(200);
        assert_eq!(status(&gateway, &known), 200);
        waiting.join().unwrap();
    });
}

#[test]
fn too_much_is_no_key_set() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[]);
    server.serve_text(&json!({ "keys": [signer.jwk()], "padding": "a".repeat(4 << 20) }).to_string());
    let gateway = site.start(&config(&server.url()));
    gateway
        .get_with(PATH, &signer.read("lecture-1"))
        .refused(503, "keys_unavailable");
}

#[test]
fn key_files_are_watched() {
    let (site, old, new) = (Site::with_lecture(), Signer::new(), Signer::new());
    site.write_keys("keys/moodle.json", &[&old]);
    let gateway = site.start(&config("keys/moodle.json"));
    assert_eq!((status(&gateway, &old), status(&gateway, &new)), (200, 401));
    // Replaced by rename, as editors and Kubernetes do.
    site.write_keys("keys/moodle.json", &[&new]);
    eventually("the old key is gone", || (status(&gateway, &old) == 401).then_some(()));
    assert_eq!(status(&gateway, &new), 200);
    // Half a file changes nothing.
    std::fs::write(site.path("keys/moodle.json"), "{\"keys\": [").unwrap();
    gateway.logged(&["moodle", "keys"]);
    assert_eq!(status(&gateway, &new), 200);
    // Written in place.
    std::fs::write(site.path("keys/moodle.json"), Signer::jwks(&[&old, &new])).unwrap();
    eventually("the old key is back", || (status(&gateway, &old) == 200).then_some(()));
}

#[test]
fn max_age_is_honoured_but_not_below_its_floor() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let server = JwksServer::start(&[&signer]);
    server.header("Cache-Control", "public, max-age=0");
    let start = Instant::now();
    let gateway = site.start(&config(&server.url()));
    for _ in 0..50 {
        assert_eq!(status(&gateway, &signer), 200);
    }
    if start.elapsed().as_secs() < 25 {
        assert!(
            server.requests() <= 2,
            "max-age=0 must not make a storm: {}",
            server.requests()
        );
    }
}
