//! An Octoka's configuration becomes a gateway.toml that does the same.

use std::path::Path;

use serde_json::json;

use crate::support::tools::{Ran, janua};
use crate::support::{Gateway, Signer, Site, in_seconds};

fn import(file: &Path) -> Ran {
    janua(["import", "octoka", file.to_str().unwrap()])
}

/// The gateway takes what was written.
fn checks(site: &Site, written: &str) {
    let file = site.write("gateway.toml", written);
    janua(["check", "--offline", "--config", file.to_str().unwrap()]).ok();
}

/// Every key of Octoka, each with a value that is not its default.
fn full(site: &Site, fallback: &str, on_allow: &str) -> String {
    format!(
        r#"
        [opencast]
        downloads_path = {downloads:?}
        host = "http://127.0.0.1:1"
        fallback = "{fallback}"
        path_prefixes = ["/static", "/other/place"]

        [jwt]
        trusted_keys = ["https://moodle.example.edu/.well-known/jwks.json", "https://moodle.example.edu/second.json"]
        background_key_refresh = false
        key_cache_duration = "5min"
        allowed_clock_skew = "2s"

        [http]
        on_allow = "{on_allow}"
        on_deny = "x-accel-redirect:/denied"
        cors_allowed_origins = ["https://player.example.edu"]
        jwt_sources = [
            {{ source = "query", name = "token" }},
            {{ source = "header", name = "X-Token", prefix = "Bearer " }},
        ]
        port = 4051
        address = "127.0.0.1"
        shutdown_timeout = "1min"

        [log]
        filters.octoka = "debug"
        filters.hyper = "warn"
        file = {log:?}
        stdout = false
        "#,
        downloads = site.path("downloads"),
        log = site.path("octoka.log"),
    )
}

#[test]
fn every_key_of_octoka_finds_its_place() {
    let site = Site::with_lecture();
    let written = import(&site.write("octoka.toml", full(&site, "none", "file")))
        .ok()
        .stdout;
    let file = site.write("gateway.toml", &written);
    janua(["check", "--offline", "--config", file.to_str().unwrap()]).ok();
    for line in [
        "listen = [\"127.0.0.1:4052\"]",
        "with Octoka stopped: listen = [\"127.0.0.1:4051\"]",
        "store = \"memory\"",
        "accept = [\"jwt\", \"watch\"]",
        "watch = { carry = [\"cookie\"] }",
        "shutdown_grace = \"1m\"",
        "level = \"debug\"",
        "leeway = \"2s\"",
        "refresh = \"5m\"",
        "sources = [{ query = \"token\" }, { header = \"X-Token\", scheme = \"Bearer\" }]",
        "name = \"moodle.example.edu\"",
        "name = \"moodle.example.edu 2\"",
        "path = \"/static/{org}/{channel}/{event}/{*file}\"",
        "path = \"/other/place/{org}/{channel}/{event}/{*file}\"",
        "strip = \"/other/place\"",
        "cors = { origins = [\"https://player.example.edu\"] }",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }
    for word in ["octoka.log", "error_page", "one level for all", "always refreshed"] {
        assert!(written.contains(word), "{word}\n{written}");
    }
    assert!(!written.contains("\nfile = "), "Octoka's log is Octoka's: {written}");
    // What Octoka lets pass unasked is marked: ROLE_ADMIN for each issuer and route, no bound of lifetimes, algorithms.
    assert_eq!(written.matches("# WARNING").count(), 2 + 2 + 2 + 1, "{written}");
    assert!(!written.contains("upstream"), "{written}");
}

#[test]
fn the_smallest_file_has_octokas_defaults() {
    let site = Site::with_lecture();
    let text = format!(
        "opencast.downloads_path = {:?}\njwt.trusted_keys = [\"https://moodle.example.edu/jwks.json\"]\n",
        site.path("downloads")
    );
    let written = import(&site.write("octoka.toml", text)).ok().stdout;
    for line in [
        "listen = [\"127.0.0.1:4051\"]",
        "servers = [\"http://localhost:8080\"]",
        "else_ask = { upstream = \"opencast\", method = \"HEAD\" }",
        "refresh = \"10m\"",
        "leeway = \"3s\"",
        "shutdown_grace = \"3s\"",
        "level = \"info\"",
        "strip = \"/static\"",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }
    assert!(!written.contains("cors") && !written.contains("sources ="), "{written}");
    checks(&site, &written);
}

#[test]
fn what_octoka_answers_is_answered() {
    let site = Site::with_lecture();
    let write = |on_allow: &str| import(&site.write("octoka.toml", full(&site, "get", on_allow)));
    assert!(write("empty").ok().stdout.contains("respond = { status = 204 }"));
    let redirect = write("x-accel-redirect:/protected").ok().stdout;
    assert!(
        redirect.contains("accel = \"/protected\"") && redirect.contains("strip = \"/static\""),
        "{redirect}"
    );
    assert!(redirect.contains("method = \"GET\""), "{redirect}");
    checks(&site, &redirect);
    let wrong = write("nothing");
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("http.on_allow") && wrong.stdout.is_empty(),
        "{wrong:?}"
    );
}

#[test]
fn the_imported_gateway_plays_what_octoka_plays() {
    let site = Site::with_lecture();
    let moodle = Signer::new();
    site.write_keys("keys.json", &[&moodle]);
    let text = full(&site, "none", "file").replace("address = \"127.0.0.1\"", "address = \"127.0.0.1\" # loopback");
    let written = import(&site.write("octoka.toml", text)).ok().stdout;
    // Keys from a file, ports of the system's choice; the rest as it was imported.
    let file = site.path("keys.json");
    let config = written
        .replace(
            "https://moodle.example.edu/.well-known/jwks.json",
            file.to_str().unwrap(),
        )
        .replace("https://moodle.example.edu/second.json", file.to_str().unwrap())
        .replace("127.0.0.1:4052", "127.0.0.1:0")
        .replace("[server]\n", "[server]\nadmin = \"127.0.0.1:0\"\n");
    let gateway = Gateway::start(&site, &config);
    for prefix in ["/static", "/other/place"] {
        let path = format!("{prefix}/org/player/lecture-1/video.mp4");
        let (read, admin) = (moodle.read("lecture-1"), moodle.roles(&["ROLE_ADMIN"]));
        let write = moodle.token(&json!({"exp": in_seconds(600), "oc": {"e:lecture-1": ["write"]}}));
        gateway.get(&format!("{path}?token={read}")).expect(200);
        gateway.get(&format!("{path}?token={admin}")).expect(200);
        gateway.get(&format!("{path}?token={write}")).expect(403);
        gateway.get(&format!("{path}?jwt={read}")).expect(401);
        gateway.get(&path).expect(401);
    }
}

#[test]
fn what_octoka_does_not_take_is_an_error() {
    let site = Site::new();
    for text in [
        "",
        "[jwt]\ntrusted_keys = 7\n",
        "[jwt",
        "[opencast]\ndownload_path = \"/srv\"\n[jwt]\ntrusted_keys = [\"https://a.test/\"]\n",
        "[jwt]\ntrusted_keys = []\nkey_cache_duration = \"soon\"\n",
    ] {
        let told = import(&site.write("octoka.toml", text));
        assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{text}");
    }
}

#[test]
fn what_octoka_takes_in_other_spellings_is_taken() {
    let site = Site::with_lecture();
    let downloads = site.path("downloads");
    let text = format!(
        r#"
        [opencast]
        downloads_path = {downloads:?}
        host = "localhost:8080"
        use_as_fallback = true
        path_prefixes = ["/static", "/static/", "static", "/caf%C3%A9/x%20y/"]
        [jwt]
        trusted_keys = ["http://localhost:3080/jwks.json"]
        background_key_refresh = false
        key_cache_duration = "5s"
        allowed_clock_skew = "0"
        [http]
        on_allow = "x-accel-redirect:/protected/"
        shutdown_timeout = "0"
        jwt_sources = [
            {{ source = "query", name = "jwt", prefix = "x" }},
            {{ source = "query", name = "jwt" }},
            {{ source = "header", name = "Authorization", prefix = "Bearer " }},
        ]
        "#
    );
    let written = import(&site.write("octoka.toml", text)).ok().stdout;
    for line in [
        "servers = [\"http://localhost:8080\"]",
        "accel = \"/protected\"",
        "leeway = \"0s\"",
        "refresh = \"30s\"",
        "shutdown_grace = \"0s\"",
        "path = \"/café/x y/{org}/{channel}/{event}/{*file}\"",
        "sources = [{ query = \"jwt\" }, { header = \"Authorization\", scheme = \"Bearer\" }]",
    ] {
        assert!(written.contains(line), "{line}\n{written}");
    }
    assert_eq!(written.matches("\npath = ").count(), 2, "{written}");
    checks(&site, &written);
}
