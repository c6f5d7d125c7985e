use super::super::octoka;
use super::*;
use crate::config;

/// What is written for an Octoka with these lines in its sections, in a folder that is there.
fn written(opencast: &str, jwt: &str, http: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    written_in(folder.path(), opencast, jwt, http)
}

/// The gateway takes whatever is written.
fn written_in(folder: &Path, opencast: &str, jwt: &str, http: &str) -> String {
    let keys = match jwt.contains("trusted_keys") {
        true => "",
        false => "trusted_keys = [\"https://moodle.example.edu/jwks.json\"]",
    };
    let downloads = match opencast.contains("downloads_path") {
        true => "",
        false => "downloads_path = \".\"",
    };
    let octoka = format!("[opencast]\n{downloads}\n{opencast}\n[jwt]\n{keys}\n{jwt}\n[http]\n{http}\n");
    let written = write(&octoka::read(&octoka).unwrap(), folder).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("gateway.toml");
    std::fs::write(&file, &written).unwrap();
    if let Err(problems) = config::load(&file) {
        panic!("{octoka}\n{problems}");
    }
    written
}

fn error(opencast: &str, http: &str) -> String {
    let octoka = format!("[opencast]\n{opencast}\n[jwt]\ntrusted_keys = [\"https://a/\"]\n[http]\n{http}\n");
    let octoka = octoka::read(&octoka).unwrap();
    format!("{:#}", write(&octoka, Path::new("/")).unwrap_err())
}

#[track_caller]
fn has(written: &str, line: &str) {
    assert!(written.contains(line), "{line}\n{written}");
}

#[test]
fn keys_of_no_meaning_are_told() {
    let strange = written("use_as_fallback = 1\n\"a\\nb\" = 1", "", "foo = 1");
    has(
        &strange,
        "# NOTE: Octoka takes no notice of these keys: `http.foo`, `opencast.a\\nb`, `opencast.use_as_fallback`\n",
    );
    assert!(!written("", "", "").contains("takes no notice"));
}

#[test]
fn what_nginx_has_to_know_is_told() {
    let none = written("fallback = \"none\"", "", "");
    has(&none, "error_page 401 403 = @oc_static_files;\nallow = [");
    assert!(!written("", "", "").contains("error_page"));
    // One route for each prefix tells it, above what is told of `on_deny`.
    let both = written(
        "fallback = \"none\"\npath_prefixes = [\"/a\", \"/b\"]",
        "",
        "on_deny = \"x-accel-redirect:/x\"",
    );
    assert_eq!(both.matches("error_page 401 403").count(), 2, "{both}");
    assert_eq!(both.matches("Octoka's on_deny").count(), 2, "{both}");
}

#[test]
fn a_port_beside_octokas_is_chosen() {
    for (theirs, ours) in [
        (0, 4051),
        (80, 81),
        (4050, 4051),
        (9089, 9091),
        (9090, 9091),
        (65535, 65534),
    ] {
        let written = written("", "", &format!("port = {theirs}"));
        has(&written, &format!("\nlisten = [\"127.0.0.1:{ours}\"]\n"));
        assert_eq!(written.contains("\nadmin = "), theirs == 9090, "{written}");
    }
}

#[test]
fn durations_are_brought_within_their_bounds() {
    for (key, given, line) in [
        (
            "key_cache_duration",
            "36h",
            "24h is the longest time here.\nrefresh = \"24h\"",
        ),
        ("key_cache_duration", "7d", "refresh = \"24h\""),
        ("key_cache_duration", "1d", "\nrefresh = \"1d\""),
        (
            "key_cache_duration",
            "15s",
            "30s is the shortest time here.\nrefresh = \"30s\"",
        ),
        ("key_cache_duration", "29999ms", "refresh = \"30s\""),
        (
            "allowed_clock_skew",
            "10min",
            "5m is the longest time here.\nleeway = \"5m\"",
        ),
        ("allowed_clock_skew", "300000ms", "\nleeway = \"300000ms\""),
    ] {
        has(&written("", &format!("{key} = \"{given}\""), ""), line);
    }
    let grace = written("", "", "shutdown_timeout = \"4294967295d\"");
    has(
        &grace,
        "# NOTE: Octoka's is 4294967295d; 1h is the longest time here.\nshutdown_grace = \"1h\"",
    );
}

#[test]
fn a_prefix_of_nginxs_is_written_as_it_can_be() {
    let accel = |prefix: &str| written("", "", &format!("on_allow = \"x-accel-redirect:{prefix}\""));
    for (given, ours) in [("/protected", "/protected"), ("a/b.c/", "/a/b.c"), ("/~x//", "/~x")] {
        let written = accel(given);
        has(&written, &format!("\naccel = \"{ours}\"\n"));
        assert!(!written.contains("internal location"), "{written}");
    }
    for (given, ours) in [
        ("", "/protected"),
        ("/", "/protected"),
        ("/oc:files", "/oc-files"),
        ("/prot%20ected", "/prot-20ected"),
        ("/a//b", "/a/b"),
        ("/../a", "/a"),
        ("/a@b,c;d=e(f)+g", "/a-b-c-d-e-f--g"),
    ] {
        has(
            &accel(given),
            &format!("nginx's internal location \"{ours}\".\naccel = \"{ours}\"\n"),
        );
    }
}

#[test]
fn sources_of_tokens_without_a_counterpart_are_left_out() {
    let bearer = r#"{ source = "header", name = "Authorization", prefix = "Bearer " }"#;
    for odd in [
        r#"{ source = "header", name = "X-Jwt", prefix = "jwt:" }"#,
        r#"{ source = "header", name = "Authorization", prefix = "Token token=" }"#,
        r#"{ source = "header", name = "Authorization", prefix = " " }"#,
        r#"{ source = "header", name = "Authorization", prefix = "Bearer  " }"#,
        r#"{ source = "header", name = "Authorization", prefix = "JWT-x/1 " }"#,
        r#"{ source = "header", name = "Authorization", prefix = "é " }"#,
        r#"{ source = "header", name = "X Jwt" }"#,
        r#"{ source = "query", name = "jwt[]" }"#,
        r#"{ source = "query", name = "tökén\n" }"#,
        r#"{ source = "query", name = "" }"#,
    ] {
        let written = written("", "", &format!("jwt_sources = [{odd}, {bearer}]"));
        has(&written, "# WARNING: tokens from these sources are left out: ");
        has(
            &written,
            "\nsources = [{ header = \"Authorization\", scheme = \"Bearer\" }]\n",
        );
        assert!(error("downloads_path = \"/\"", &format!("jwt_sources = [{odd}]")).contains("jwt_sources"));
    }
    let lower = bearer.replace('A', "a");
    let doubles = written("", "", &format!("jwt_sources = [{bearer}, {lower}, {bearer}]"));
    has(
        &doubles,
        "\nsources = [{ header = \"Authorization\", scheme = \"Bearer\" }]\n",
    );
    assert!(!doubles.contains("left out"), "{doubles}");
    let cases = r#"jwt_sources = [{ source = "query", name = "jwt" }, { source = "query", name = "JWT" }]"#;
    has(
        &written("", "", cases),
        "left out: query \"JWT\"\nsources = [{ query = \"jwt\" }]\n",
    );
}

#[test]
fn addresses_are_written_as_they_are_usually() {
    for (given, ours) in [
        ("HTTPS://Oc.example.edu", "https://oc.example.edu"),
        ("http://oc.example.edu.", "http://oc.example.edu"),
        ("http://oc.example.edu.:8080/", "http://oc.example.edu:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("localhost:8080", "http://localhost:8080"),
    ] {
        let written = written(&format!("host = \"{given}\""), "", "");
        has(&written, &format!("servers = [\"{ours}\"]"));
    }
    let keys = written(
        "",
        "trusted_keys = [\"HTTPS://A.edu/J\", \"https://[::1]/j\", \"http://localhost:3080\"]",
        "",
    );
    for ours in ["https://a.edu/J", "https://[::1]/j", "http://localhost:3080/"] {
        has(&keys, &format!("\njwks = \"{ours}\"\n"));
    }
}

#[test]
fn a_folder_is_named_from_octokas_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("downloads")).unwrap();
    let written = written_in(folder.path(), "downloads_path = \"downloads\"", "", "");
    let path = folder.path().join("downloads");
    has(&written, &format!("\nfiles = {:?}\n", path.to_str().unwrap()));
    std::fs::create_dir(folder.path().join("${x}")).unwrap();
    let written = written_in(folder.path(), "downloads_path = \"${x}\"", "", "");
    has(&written, "/$${x}\"\n");
}

#[test]
fn prefixes_and_origins_that_never_count_are_left_out() {
    for never in [
        "/a//b",
        "/a;b",
        "/a%25b",
        "/{x}",
        "/a*b",
        "/x/..",
        "/static%3Fx",
        "/_janua/a",
        "/%ff",
        "/a%5Cb",
    ] {
        let written = written(
            &format!("path_prefixes = [\"{never}\", \"/static\", \"static/\"]"),
            "",
            "",
        );
        has(
            &written,
            &format!("# WARNING: these of opencast.path_prefixes are left out: {never:?}\npath = \"/static/"),
        );
        assert_eq!(written.matches("[[routes]]").count(), 1, "{written}");
        let alone = format!("downloads_path = \"/\"\npath_prefixes = [\"{never}\"]");
        assert!(error(&alone, "").contains("path_prefixes"));
    }
    let cors = |origins: &str| written("", "", &format!("cors_allowed_origins = [{origins}]"));
    let one = cors(
        r#""https://a.edu:99999", "https://A.edu", "https://a b", "https://a.edu", "https://b.", "https://a.edu\\x""#,
    );
    has(&one, "\ncors = { origins = [\"https://a.edu\"] }\n");
    has(
        &one,
        r#"# NOTE: no browser sends these origins, which are left out: "https://a.edu:99999", "https://a b", "https://b.", "https://a.edu\\x""#,
    );
    for never in ["https://", "https://*.example.edu"] {
        assert!(!cors(&format!("\"{never}\"")).contains("cors = "), "{never}");
    }
}
