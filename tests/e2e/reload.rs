//! Another gateway.toml while the gateway runs: at once, whole, and without a connection lost.

use std::os::unix::fs::symlink;

use crate::support::{Config, Connection, Gateway, JwksServer, Request, Signer, Site, Upstream, eventually};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

/// A route that tells one configuration from another: 204 at this path only.
fn marked(config: Config, path: &str) -> Config {
    config.section(&format!(
        "[[routes]]\nname = \"mark\"\npath = {path:?}\nrespond = {{ status = 204 }}\nallow = [{{ anyone = true }}]\n"
    ))
}

/// Writes it, asks for a reload, and waits until it is in effect.
fn reload(gateway: &Gateway, config: Config, mark: &str) {
    gateway.site.write("gateway.toml", marked(config, mark).text());
    gateway.signal("HUP");
    in_effect(gateway, mark);
}

fn in_effect(gateway: &Gateway, mark: &str) {
    eventually(mark, || (gateway.get(mark).status == 204).then_some(()));
}

fn label(server: &Upstream) -> String {
    server.url().trim_start_matches("http://").to_owned()
}

fn healthy(gateway: &Gateway, server: &Upstream, upstream: &str) -> Option<f64> {
    let server = label(server);
    gateway.metric(&format!(
        r#"janua_upstream_healthy{{server="{server}",upstream="{upstream}"}}"#
    ))
}

#[test]
fn sighup_swaps_routes_rules_issuers_and_limits() {
    let (site, moodle, ilias) = (Site::with_lecture(), Signer::new(), Signer::new());
    site.write_keys("keys.json", &[&moodle]);
    site.write_keys("ilias.json", &[&ilias]);
    let open = |rule: &str, more: &str| {
        format!(
            "[[routes]]\nname = \"page\"\npath = \"/page\"\nrespond = {{ status = 204 }}\nallow = [{rule}]\n{more}\n"
        )
    };
    let first = Config::new()
        .issuer("moodle", "keys.json", "")
        .section(&open("{ role = \"ROLE_A\" }", ""));
    let gateway = site.start(&first);
    let page = |signer: &Signer, role: &str| gateway.get_with("/page", &signer.roles(&[role])).status;
    assert_eq!(page(&moodle, "ROLE_A"), 204);
    assert_eq!(page(&moodle, "ROLE_B"), 403);
    assert_eq!(page(&ilias, "ROLE_B"), 401);

    let second = Config::new()
        .issuer("ilias", "ilias.json", "")
        .section(&open("{ role = \"ROLE_B\" }", "limits = { body = \"10B\" }"));
    reload(&gateway, second, "/second");
    gateway.logged(&["SIGHUP received"]);
    assert_eq!(page(&moodle, "ROLE_A"), 401);
    assert_eq!(page(&ilias, "ROLE_A"), 403);
    assert_eq!(page(&ilias, "ROLE_B"), 204);
    let large = Request::new("POST", "/page").bearer(&ilias.roles(&["ROLE_B"]));
    gateway.send(large.body(vec![0; 100])).refused(413, "body_too_large");
    // The gauges of an issuer that is gone do not stay at their last value.
    assert_eq!(gateway.metric(r#"janua_keyset_keys{issuer="moodle"}"#), None);
    assert_eq!(gateway.metric(r#"janua_keyset_keys{issuer="ilias"}"#), Some(1.0));
    assert!(gateway.admin("/").text().contains("<td>mark</td>"));
}

#[test]
fn a_file_that_is_wrong_keeps_the_configuration_before() {
    let gateway = Site::new().start(&marked(Config::new(), "/first"));
    assert_eq!(gateway.metric("janua_config_last_reload_ok"), Some(1.0));
    assert!(gateway.metric("janua_config_loaded_timestamp_seconds") > Some(0.0));
    let wrong = marked(Config::new(), "/second").server("lisetn", "[]").text();
    let line = 1 + wrong.lines().position(|line| line.starts_with("lisetn")).unwrap();
    gateway.site.write("gateway.toml", wrong);
    gateway.signal("HUP");
    gateway.logged(&["not reloaded", "1 error"]);
    gateway.logged(&["ERROR", &format!("gateway.toml:{line}:1")]);
    gateway.logged(&["ERROR", "did you mean `listen`?"]);
    gateway.get("/first").expect(204);
    gateway.get("/second").expect(404);
    assert_eq!(gateway.metric("janua_config_last_reload_ok"), Some(0.0));
    assert!(gateway.metric(r#"janua_config_reloads_total{outcome="error"}"#) >= Some(1.0));
    assert!(gateway.admin("/").text().contains("gateway.toml was refused"));
    // It still verifies and serves: nothing to take it out of the load balancer for.
    gateway.admin("/readyz").expect(200);

    reload(&gateway, Config::new(), "/third");
    gateway.get("/first").expect(404);
    eventually("the refusal is forgotten", || {
        (gateway.metric("janua_config_last_reload_ok") == Some(1.0)).then_some(())
    });
    assert!(!gateway.admin("/").text().contains("refused"));
}

#[test]
fn what_fails_beside_the_file_keeps_the_configuration_before_too() {
    let site = Site::new();
    site.write("reply.txt", "one");
    let config = || {
        Config::new().section(
            "[[routes]]\nname = \"reply\"\npath = \"/reply\"\nrespond = { file = \"reply.txt\" }\nallow = [{ anyone = true }]\n",
        )
    };
    let gateway = site.start(&config());
    let zoo = Upstream::start();
    let url = zoo.url().replace("http:", "https:");
    site.write(
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let wrong = marked(config(), "/second").upstream("zoo", &[url], "ca_file = \"ca.pem\"");
    site.write("gateway.toml", wrong.text());
    gateway.signal("HUP");
    gateway.logged(&["not reloaded", "ca.pem"]);
    gateway.get("/second").expect(404);
    assert_eq!(gateway.get("/reply").expect(200).text(), "one");
    // SIGHUP reads again what the configuration names, be gateway.toml the same or not.
    site.write("reply.txt", "two");
    reload(&gateway, config(), "/third");
    assert_eq!(gateway.get("/reply").expect(200).text(), "two");
}

#[test]
fn a_change_is_taken_without_a_signal() {
    let site = Site::new();
    let gateway = site.start(&marked(Config::new(), "/first"));
    site.write("gateway.toml", marked(Config::new(), "/second").text());
    in_effect(&gateway, "/second");
    gateway.logged(&["gateway.toml has changed"]);
    assert!(!gateway.said().contains("SIGHUP"));

    // A mounted ConfigMap: gateway.toml → ..data/gateway.toml, ..data → a dated folder, swung by one rename.
    site.write("..1/gateway.toml", marked(Config::new(), "/third").text());
    site.write("..2/gateway.toml", marked(Config::new(), "/fourth").text());
    symlink("..1", site.path("..data")).unwrap();
    symlink("..data/gateway.toml", site.path("link")).unwrap();
    std::fs::rename(site.path("link"), site.path("gateway.toml")).unwrap();
    in_effect(&gateway, "/third");
    symlink("..2", site.path("..data_tmp")).unwrap();
    std::fs::rename(site.path("..data_tmp"), site.path("..data")).unwrap();
    in_effect(&gateway, "/fourth");
}

#[test]
fn running_transfers_and_kept_connections_survive() {
    let zoo = Upstream::start();
    let config = Config::new().upstream("zoo", &[zoo.url()], "").open_upstream_route("");
    let gateway = Site::new().start(&config);
    let mut kept = Connection::open(gateway.http());
    kept.exchange(Request::get("/a")).expect(200);
    let mut download = Connection::open(gateway.http());
    download.write(Request::get("/zoo/gate").bytes()).unwrap();
    download.response_head().unwrap();
    assert_eq!(download.read(5).unwrap(), b"first");

    // Neither route nor upstream of the download exist any more.
    reload(&gateway, Config::new(), "/second");
    kept.exchange(Request::get("/a")).expect(404);
    kept.exchange(Request::get("/second")).expect(204);
    zoo.release();
    assert_eq!(download.read(6).unwrap(), b"second");
    download.exchange(Request::get("/second")).expect(204);
}

#[test]
fn what_is_unchanged_keeps_what_it_has_learned() {
    let (site, signer, [ill, well]) = (Site::with_lecture(), Signer::new(), [(); 2].map(|()| Upstream::start()));
    ill.set_ill(true);
    let keys = JwksServer::start(&[&signer]);
    let config = || {
        Config::new()
            .issuer("moodle", &keys.url(), "")
            .section(crate::support::MEDIA)
            .upstream("zoo", &[ill.url(), well.url()], r#"health = { path = "/health", every = "200ms" }"#)
            .section(
                "[[routes]]\nname = \"rare\"\npath = \"/rare\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\nlimits = { rate = \"1/h\", burst = 1 }\n",
            )
    };
    let gateway = site.start(&config());
    let token = signer.read("lecture-1");
    gateway.get_with(PATH, &token).expect(200);
    gateway.get("/rare").expect(200);
    eventually("the ill server is left out", || {
        (healthy(&gateway, &ill, "zoo") == Some(0.0)).then_some(())
    });
    let asked = keys.requests();
    let cache = |result: &str| gateway.metric(&format!(r#"janua_token_cache_total{{result="{result}"}}"#));
    let (hits, misses) = (cache("hit").unwrap_or(0.0), cache("miss"));

    for mark in ["/one", "/two", "/three"] {
        reload(&gateway, config(), mark);
        assert_eq!(healthy(&gateway, &ill, "zoo"), Some(0.0), "{mark}");
        gateway.get_with(PATH, &token).expect(200);
        gateway.get("/rare").refused(429, "rate_limited");
    }
    assert_eq!(cache("hit"), Some(hits + 3.0));
    assert_eq!(cache("miss"), misses);
    assert_eq!(keys.requests(), asked);
}

#[test]
fn another_issuer_does_not_cost_the_others_their_keys() {
    let (site, signer, other) = (Site::with_lecture(), Signer::new(), Signer::new());
    let (keys, more) = (JwksServer::start(&[&signer]), JwksServer::start(&[&other]));
    let config = || {
        Config::new()
            .issuer("moodle", &keys.url(), "")
            .section(crate::support::MEDIA)
    };
    let gateway = site.start(&config());
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    // From now on only what is held already can verify.
    keys.fail(500);
    let asked = keys.requests();
    reload(&gateway, config().issuer("ilias", &more.url(), ""), "/second");
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    assert_eq!(keys.requests(), asked);
    gateway.get_with(PATH, &other.read("lecture-1")).expect(200);
    // Caps of an issuer are another matter: a token is never remembered with what it might say before.
    let admin = signer.roles(&["ROLE_ADMIN"]);
    gateway.get_with(PATH, &admin).expect(200);
    let capped = Config::new()
        .issuer("moodle", &keys.url(), "allow_roles = [\"ROLE_STUDIO\"]")
        .section(crate::support::MEDIA);
    reload(&gateway, capped, "/third");
    gateway.get_with(PATH, &admin).expect(403);
}

#[test]
fn what_runs_for_an_upstream_ends_with_it() {
    let [gone, stays] = [(); 2].map(|()| Upstream::start());
    let often = r#"health = { every = "100ms" }"#;
    let kept = || Config::new().upstream("stays", &[stays.url()], often);
    let gateway = Site::new().start(&marked(kept().upstream("gone", &[gone.url()], often), "/first"));
    let checked = |server: &Upstream, times: usize| {
        eventually("checks", || (server.connections() >= times).then_some(()));
    };
    checked(&gone, 2);
    reload(&gateway, kept(), "/second");
    assert_eq!(healthy(&gateway, &gone, "gone"), None);
    assert_eq!(healthy(&gateway, &stays, "stays"), Some(1.0));
    // One may have been under way.
    let last = gone.connections() + 1;
    checked(&stays, stays.connections() + 10);
    assert!(gone.connections() <= last, "{} checks, not {last}", gone.connections());
}

#[test]
fn what_needs_a_restart_is_told_and_the_rest_is_taken() {
    let gateway = Site::new().start(&marked(Config::new(), "/first"));
    let config = Config::new()
        .server("listen", r#"["127.0.0.1:0", "127.0.0.2:0"]"#)
        .server("admin", r#""127.0.0.2:0""#)
        .server("threads", "7")
        .set("log", "format", r#""json""#)
        .set("state", "store", r#""embedded""#)
        .set("state", "path", r#""state/janua.redb""#);
    reload(&gateway, config, "/second");
    for key in ["server.listen", "server.admin", "server.threads", "log.format", "state"] {
        gateway.logged(&["WARN", "restart", &format!("key=\"{key}\"")]);
    }
    assert!(!gateway.said().contains("key=\"log.level\""));
    assert_eq!(gateway.metric("janua_config_last_reload_ok"), Some(1.0));
}
