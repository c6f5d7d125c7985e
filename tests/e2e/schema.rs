//! The JSON Schema that editors use knows what the gateway takes, and nothing else; the effective configuration means
//! what the file means.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::tools::janua;
use crate::support::{Config, MEDIA, Signer, Site};

fn schema() -> Value {
    serde_json::from_str(&janua(["config", "schema"]).ok().stdout).unwrap()
}

fn complaints(schema: &Value, text: &str) -> Vec<String> {
    let file: toml::Table = toml::from_str(text).unwrap();
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let file = serde_json::to_value(file).unwrap();
    validator.iter_errors(&file).map(|error| error.to_string()).collect()
}

#[test]
fn the_schema_is_one_and_takes_the_repositorys_own_file() {
    let schema = schema();
    jsonschema::meta::validate(&schema).unwrap();
    let example = janua(["config", "example"]).ok().stdout;
    assert_eq!(complaints(&schema, &example), [""; 0]);
    assert_eq!(
        complaints(&schema, &fs::read_to_string("gateway.toml").unwrap()),
        [""; 0]
    );
    let described = &schema["properties"]["server"]["properties"]["shutdown_grace"]["description"];
    assert!(
        described
            .as_str()
            .unwrap()
            .contains("How long running transfers may go on"),
        "{described}"
    );
}

#[test]
fn what_is_misspelt_is_underlined() {
    let schema = schema();
    let example = fs::read_to_string("gateway.toml").unwrap();
    for (good, bad) in [
        ("listen =", "lisen ="),
        ("level = \"info\"", "level = \"loud\""),
        ("[[routes]]", "[[route]]"),
        ("max_lifetime = \"24h\"", "max_lifetime = 24"),
        ("\njwks = ", "\njwsk = "),
        ("role = \"ROLE_ADMIN\"", "rolle = \"ROLE_ADMIN\""),
    ] {
        assert!(example.contains(good), "{good}");
        assert_ne!(complaints(&schema, &example.replace(good, bad)), [""; 0], "{bad}");
    }
}

/// Keys that the gateway calls unknown are unknown to the schema, in every case of tests/config_errors; and a file with
/// no such key has no key that the schema does not know.
#[test]
fn schema_and_gateway_know_the_same_keys() {
    let schema = schema();
    let mut unknown = 0;
    for entry in fs::read_dir("tests/config_errors").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let Ok(_) = text.parse::<toml::Table>() else { continue };
        let told = fs::read_to_string(path.with_extension("txt")).unwrap();
        let gateway: Vec<&str> = told
            .lines()
            .filter_map(|line| line.strip_prefix("error: unknown key `")?.strip_suffix('`'))
            .collect();
        let complaints = complaints(&schema, &text).join("\n");
        for key in &gateway {
            assert!(
                complaints.contains(&format!("'{key}'")),
                "{}: {key}\n{complaints}",
                path.display()
            );
        }
        let is_later = told.contains("is not available in this version yet");
        if gateway.is_empty() && !is_later {
            assert!(
                !complaints.contains("Additional properties"),
                "{}: {complaints}",
                path.display()
            );
        }
        unknown += gateway.len();
    }
    assert!(unknown > 5, "the cases are not where they were");
}

fn shown(file: &Path) -> String {
    janua(["config", "show", "--config", file.to_str().unwrap()])
        .ok()
        .stdout
}

#[test]
fn what_is_in_force_is_shown_with_its_defaults() {
    let site = Site::with_lecture();
    let config = Config::media(&site, &Signer::new())
        .upstream("zoo", &["http://127.0.0.1:1".to_owned()], "")
        .open_upstream_route("limits = { rate = \"50/s\" }")
        .section(
            "[[routes]]\nname = \"moved\"\npath = \"/old\"\nallow = [{ anyone = true }] # from the old site\n\
             respond = { status = 302, location = \"https://anna:hunter2@example.edu/new\" }\n",
        );
    let file = site.write("gateway.toml", config.text());
    let first = shown(&file);
    for line in [
        "shutdown_grace = \"30s\"  # default",
        "connections = { max = 20000, per_address = 500 }  # default",
        "algorithms = [\"ES256\"]  # default",
        "keep_stale = \"24h\"  # default",
        "max_lifetime = \"24h\"  # default",
        "balance = \"round_robin\"  # default",
        "methods = [\"GET\", \"HEAD\"]  # default",
        "limits = { rate = \"50/s\", burst = 50 }",
        "store = \"memory\"\n",
    ] {
        assert!(first.contains(line), "{line}\n{first}");
    }
    assert!(
        !first.contains("hunter2") && first.contains("***@example.edu"),
        "{first}"
    );
    assert!(!first.contains("# from the old site"), "{first}");

    // It is a gateway.toml, and says no more and no less than the first.
    let again = site.write("gateway.toml", &first);
    janua(["check", "--offline", "--config", again.to_str().unwrap()]).ok();
    let plain = |text: &str| text.replace("  # default", "");
    assert_eq!(plain(&shown(&again)), plain(&first));
    assert_eq!(
        first.matches(MEDIA.lines().nth(2).unwrap_or_default()).count(),
        0,
        "layout is gone"
    );
}

/// A table of every kind that may be left out, each as short as it may be. The defaults of one that is not here are not
/// looked for.
const EVERY_TABLE: &str = r#"
[log]

[upstreams.zoo]
servers = ["http://127.0.0.1:1"]
health = {}

[[routes]]
name = "asked"
path = "/asked/{*rest}"
upstream = "zoo"
else_ask = { upstream = "zoo" }
cors = { origins = ["https://moodle.test"] }
limits = { rate = "5/s" }
allow = [{ signed_in = true }]

[bearer.apps]
clients = "portal"

[bearer.apps.profile]
endpoint = "https://cas.example.edu/cas/oauth2.0/profile"

[[routes]]
name = "apps"
path = "/apps/{*rest}"
upstream = "zoo"
accept = ["bearer"]
allow = [{ client = "portal" }]

[[routes]]
name = "decides"
path = "/_decide"
respond = { decide = { uri = "X-Original-URI", method = "X-Original-Method" } }
allow = [{ from = ["127.0.0.1/32"] }]
"#;

/// Where a default is that there is none of it, nothing is shown.
const ABSENCE: [&str; 8] = ["none", "nobody", "nothing", "unlimited", "stderr", "the", "that", "it"];

/// Keys with a default, as places in the file; `*` is any element of a list, or any name.
fn keys_with_defaults(schema: &Value, place: &str, found: &mut Vec<String>) {
    for (name, key) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}/{name}");
        let described = key["description"].as_str().unwrap_or_default();
        let default = described.split_once("Default: ").map(|(_, default)| default);
        let word = default.and_then(|default| default.split([' ', ',', '.', ';']).next());
        if word.is_some_and(|word| !ABSENCE.contains(&word.to_lowercase().as_str())) {
            found.push(place.clone());
        }
        keys_with_defaults(key, &place, found);
        keys_with_defaults(&key["items"], &format!("{place}/*"), found);
        keys_with_defaults(&key["additionalProperties"], &format!("{place}/*"), found);
    }
}

/// All values at a place.
fn at<'a>(value: &'a Value, place: &str) -> Vec<&'a Value> {
    let place = place.trim_start_matches('/');
    let (name, rest) = place.split_once('/').unwrap_or((place, ""));
    let found: Vec<&Value> = match (name, value) {
        ("*", Value::Array(all)) => all.iter().collect(),
        ("*", Value::Object(all)) => all.values().collect(),
        _ => value.get(name).into_iter().collect(),
    };
    match rest {
        "" => found,
        rest => found.into_iter().flat_map(|value| at(value, rest)).collect(),
    }
}

#[test]
fn no_default_is_left_out() {
    let site = Site::with_lecture();
    let config = Config::media(&site, &Signer::new())
        .server("trusted_proxies", r#"["127.0.0.1/32"]"#)
        .set("state", "store", r#""embedded""#)
        .section(EVERY_TABLE);
    let file = site.write("gateway.toml", config.text());
    let shown: toml::Table = shown(&file).parse().unwrap();
    let shown = serde_json::to_value(shown).unwrap();
    let mut keys = Vec::new();
    keys_with_defaults(&schema(), "", &mut keys);
    assert!(keys.len() > 30, "{keys:?}");
    let is_missing = |key: &&String| {
        let (table, _) = key.rsplit_once('/').unwrap_or_default();
        (table.is_empty() || !at(&shown, table).is_empty()) && at(&shown, key).is_empty()
    };
    let missing: Vec<_> = keys.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "not shown: {missing:?}\n{shown:#}");
}

#[test]
fn a_variable_stays_a_name_and_a_bad_file_is_told() {
    let site = Site::new();
    let text = Config::new()
        .open_route()
        .server("public_urls", "[\"${HOME_URL}\"]")
        .text();
    let file = site.write("gateway.toml", &text);
    let told = janua(["config", "show", "--config", file.to_str().unwrap()]);
    assert_eq!(told.code, Some(1));
    assert!(
        told.stderr.contains("`HOME_URL` is not set") && told.stdout.is_empty(),
        "{told:?}"
    );

    let text = text.replace(
        "public_urls = [\"${HOME_URL}\"]",
        "public_urls = [\"http://${PATH_OF_NOTHING}\"]",
    );
    let file = site.write("gateway.toml", text);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_janua"))
        .args(["config", "show", "--config"])
        .arg(file)
        .env("PATH_OF_NOTHING", "hunter2.example.edu")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(
        shown.contains("public_urls = [\"http://${PATH_OF_NOTHING}\"]"),
        "{shown}"
    );
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(
        !shown.contains("hunter2") && !warned.contains("hunter2"),
        "{shown}{warned}"
    );
}
