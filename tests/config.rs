//! Good gateway.toml files: the repository's own, and what is filled in where a file says nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use janua::config::{
    Action, Algorithm, Balance, Config, Credential, Health, JwksLocation, Limits, LogFormat, LogLevel, MoodleSource,
    NameOf, Pages, Present, State, TokenSource, When, load_with,
};
use janua::rate::Rate;
use proptest::prelude::*;
use serde_json::Value;

const SMALLEST: &str = r#"
    [server]
    listen = ["127.0.0.1:8080"]
    public_url = "https://video.example.edu"

    [[jwt.issuers]]
    name = "moodle"
    jwks = "https://moodle.example.edu/.well-known/jwks.json"
    allow_roles = ["*_Learner"]

    [upstreams.opencast]
    servers = ["http://127.0.0.1:8081"]

    [[routes]]
    name = "media"
    path = "/static/{event}/{*file}"
    files = "."
    allow = [{ grant = "read", event = "{event}" }]

    [[routes]]
    name = "rest"
    path = "/{*rest}"
    upstream = "opencast"
    limits = { rate = "90/m" }
    allow = [{ signed_in = true }]
"#;

fn load(text: &str) -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, text).unwrap();
    let loaded = load_with(&path, &|name| (name == "PORT").then(|| "8080".to_owned())).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    (folder, loaded.config)
}

#[test]
fn the_repositorys_own_file_runs_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("sample/keys")).unwrap();
    fs::create_dir_all(folder.path().join("sample/downloads")).unwrap();
    fs::write(folder.path().join("sample/keys/jwks.json"), "{}").unwrap();
    let path = folder.path().join("gateway.toml");
    fs::copy("gateway.toml", &path).unwrap();
    let loaded = load_with(&path, &|_| None).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let config = loaded.config;
    assert_eq!(
        config.jwt.issuers[0].jwks,
        JwksLocation::File(folder.path().join("sample/keys/jwks.json"))
    );
    assert_eq!(
        config.routes[0].action,
        Action::Files(folder.path().join("sample/downloads"))
    );
    assert_eq!(config.routes[0].strip, "/static");
}

/// The folder of the configuration is a ConfigMap, where nothing can be made.
#[test]
fn what_the_gateway_makes_in_kubernetes_lies_on_its_volume() {
    let manifest = fs::read_to_string("deploy/kubernetes.yaml").unwrap();
    let (_, block) = manifest.split_once("  gateway.toml: |\n").unwrap();
    let (block, _) = block.split_once("\n---").unwrap();
    // A folder that exists, and an address that is not worth a warning outside of a pod.
    let (_folder, config) = load(
        &block
            .replace("/lectures", ".")
            .replace("0.0.0.0:9090", "127.0.0.1:9090"),
    );
    assert!(
        config.server.control.starts_with("/state"),
        "{:?}",
        config.server.control
    );
    let State::Embedded { path, key_file } = config.state else {
        panic!("one store for each replica: {:?}", config.state);
    };
    assert!(path.starts_with("/state"), "{path:?}");
    // The same for all replicas: what one has signed counts at the others.
    assert!(key_file.starts_with("/secrets"), "{key_file:?}");
    assert!(manifest.contains("mountPath: /secrets") && manifest.contains("create secret generic janua"));
    assert!(
        config.routes.iter().all(|route| route.watch.is_some()),
        "players outlive their tokens"
    );
}

/// As its first line says, `docker compose -f deploy/compose.yaml up` starts with what is in the repository.
#[test]
fn compose_mounts_a_configuration_that_is_there() {
    let compose = fs::read_to_string("deploy/compose.yaml").unwrap();
    let mounted = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ./")?.split(':').next());
    let mounted: Vec<&str> = mounted.collect();
    assert_eq!(mounted, ["gateway.toml"]);
    let text = fs::read_to_string("deploy/gateway.toml").unwrap();
    let (_folder, config) = load(
        &text
            .replace("/srv/opencast/downloads", ".")
            .replace("0.0.0.0:9090", "127.0.0.1:9090"),
    );
    // A published port leads to the container's address, not to its loopback.
    assert!(config.server.listen.iter().all(|address| address.ip().is_unspecified()));
    assert!(text.contains("\"0.0.0.0:9090\"") && compose.contains("127.0.0.1:9090:9090"));
    assert!(
        config.routes.iter().all(|route| route.watch.is_some()),
        "players outlive their tokens"
    );
}

#[test]
fn without_its_sample_the_repositorys_own_file_says_how_to_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::copy("gateway.toml", &path).unwrap();
    let told = load_with(&path, &|_| None).unwrap_err().to_string();
    assert_eq!(told.matches("# made by `make run`").count(), 2, "{told}");
    assert!(told.ends_with("2 errors\n"), "{told}");
}

/// Every commented-out default in the repository's own file is a default indeed: with them, nothing changes.
#[test]
fn the_defaults_that_the_repositorys_own_file_tells_are_true() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("sample/keys")).unwrap();
    fs::create_dir_all(folder.path().join("sample/downloads")).unwrap();
    fs::write(folder.path().join("sample/keys/jwks.json"), "{}").unwrap();
    let path = folder.path().join("gateway.toml");
    let text = fs::read_to_string("gateway.toml").unwrap();
    let defaults = [
        "admin =",
        "shutdown_grace",
        "timeouts    ",
        "connections",
        "threads",
        "sources",
        "refresh",
        "keep_stale",
        "leeway",
        "allow_actions",
    ];
    let mut told = text.clone();
    for key in defaults {
        let commented = format!("\n# {key}");
        assert_eq!(told.matches(&commented).count(), 1, "{key}");
        told = told.replacen(&commented, &format!("\n{key}"), 1);
    }
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        format!("{:?}", load_with(&path, &|_| None).unwrap().config)
    };
    assert_eq!(load(&told), load(&text));
}

/// The lines of a commented example, from one text to another; what is no TOML stays a comment.
fn uncommented(text: &str, from: &str, to: &str) -> String {
    let (_, rest) = text.split_once(from).unwrap();
    let (example, _) = rest.split_once(to).unwrap();
    let lines = example.lines().map(|line| {
        let code = line.strip_prefix("# ").filter(|code| {
            let key = code.split_once('=').map(|(key, _)| key.trim_end());
            let is_key = key.is_some_and(|key| {
                !key.is_empty() && key.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            });
            code.starts_with('[') || is_key
        });
        code.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The example for a Moodle runs with what it says that it needs: the example for a sign-in, and a second public URL.
#[test]
fn the_example_for_a_moodle_in_the_repositorys_own_file_runs() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("sample/keys")).unwrap();
    fs::create_dir_all(folder.path().join("sample/downloads")).unwrap();
    fs::write(folder.path().join("sample/keys/jwks.json"), "{}").unwrap();
    let text = fs::read_to_string("gateway.toml").unwrap();
    let one = "\npublic_url = \"http://localhost:8080\"";
    assert_eq!(text.matches(one).count(), 1);
    let two = "\npublic_urls = [\"http://localhost:8080\", \"https://moodle.example.edu\"]";
    let sign_in = uncommented(
        &text,
        "\n# What to register at the CAS server is told by `janua check`.\n",
        "\n\n",
    );
    let moodle_example = uncommented(&text, "\n# Moodle, where people sign in by CAS", "\n\n");
    let path = folder.path().join("gateway.toml");
    let load = |moodle: &str| {
        fs::write(&path, format!("{}\n{sign_in}\n#{moodle}\n", text.replacen(one, two, 1))).unwrap();
        load_with(&path, &|_| None).unwrap().config
    };

    let Config {
        moodles,
        routes,
        sign_ins,
        upstreams,
        ..
    } = load(&moodle_example);
    let moodle = &moodles[0];
    assert_eq!(
        (&*sign_ins[moodle.sign_in].name, &*upstreams[moodle.upstream].name),
        ("campus", "moodle")
    );
    assert_eq!(
        (moodle.tokens.as_slice(), moodle.never.as_slice()),
        ([MoodleSource::CasLaunch].as_slice(), ["admin".to_owned()].as_slice())
    );
    let there: Vec<_> = routes
        .iter()
        .filter(|route| route.hosts.rank("moodle.example.edu").is_some())
        .collect();
    let told: Vec<_> = there
        .iter()
        .map(|route| (route.path.as_str(), route.present == Present::MoodleToken))
        .collect();
    assert_eq!(
        told,
        [
            ("/webservice/rest/server.php", true),
            ("/webservice/upload.php", true),
            ("/webservice/pluginfile.php/{*file}", true),
            ("/{*rest}", false),
        ]
    );
    assert_eq!(there[0].functions.as_ref().map(Vec::len), Some(3));
    assert_eq!(there[1].limits.body, Some(150_000_000));

    // Some of it is told to be the default: without those lines, nothing changes.
    let defaults = ["username ", "service ", "tokens "];
    let rest = moodle_example
        .lines()
        .filter(|line| !defaults.iter().any(|key| line.starts_with(key)));
    let rest: Vec<&str> = rest.collect();
    assert_eq!(rest.len() + defaults.len(), moodle_example.lines().count());
    assert_eq!(load(&rest.join("\n")).moodles, moodles);
}

/// README's example for a Moodle, with a sign-in of the name that it says.
#[test]
fn the_example_for_a_moodle_in_the_readme_runs() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, section) = readme.split_once("\n## Web apps call Moodle").unwrap();
    let example = section.split("```").nth(1).unwrap().strip_prefix("toml\n").unwrap();
    let before = r#"
        [server]
        listen = ["127.0.0.1:8080"]
        public_url = "https://moodle.example.edu"

        [sign_in.campus.cas]
        server = "https://cas.example.edu/cas"
    "#;
    let (_folder, config) = load(&format!("{before}\n{example}"));
    let injects = config
        .routes
        .iter()
        .filter(|route| route.present == Present::MoodleToken);
    assert_eq!((config.moodles.len(), injects.count()), (1, 1));
}

/// The one for apps, whole as it stands.
#[test]
fn the_example_for_apps_runs() {
    let guide = fs::read_to_string("docs/moodle-app.md").unwrap();
    let (_, example) = guide.split_once("\n```toml\n").unwrap();
    let (_folder, config) = load(example.split("```").next().unwrap());
    let injects = config
        .routes
        .iter()
        .filter(|route| route.present == Present::MoodleToken);
    assert_eq!((config.moodles.len(), config.bearers.len(), injects.count()), (1, 1, 2));
}

#[test]
fn what_is_not_said_has_the_contracts_defaults() {
    let (folder, config) = load(SMALLEST);
    let seconds = Duration::from_secs;
    let Config {
        server,
        pages,
        log,
        state,
        jwt,
        upstreams,
        routes,
        sign_ins,
        bearers,
        lti,
        moodles,
        opencasts,
        proxy,
        statistics,
        signed_urls,
    } = config;
    assert_eq!((proxy, statistics), (None, None));

    assert!(server.tls.is_empty() && server.trusted_proxies.is_empty());
    assert_eq!(server.admin.to_string(), "127.0.0.1:9090");
    assert!(server.control.ends_with("state/control.sock") && server.control.is_absolute());
    assert!(server.threads > 0);
    assert_eq!(server.shutdown_grace, seconds(30));
    let timeouts = server.timeouts;
    assert_eq!((timeouts.header, timeouts.keep_alive), (seconds(10), seconds(75)));
    assert_eq!((timeouts.read, timeouts.write), (seconds(60), seconds(60)));
    assert_eq!((server.connections.max, server.connections.per_address), (20_000, 500));

    // What the pages of a gateway are like that says nothing about them is written in two places.
    assert_eq!(pages, Pages::default());
    assert_eq!(
        (log.level, log.format, log.file),
        (LogLevel::Info, LogFormat::Text, None)
    );
    assert_eq!((log.fields, log.mask, log.rotate), (None, Vec::new(), None));
    assert_eq!((log.color, log.priority), (When::Auto, When::Auto));
    let path = folder.path().join("state/janua.redb");
    let key_file = path.with_file_name("master.key");
    assert_eq!(state, State::Embedded { path, key_file });

    assert!(sign_ins.is_empty() && moodles.is_empty() && opencasts.is_empty() && bearers.is_empty() && lti.is_empty());
    assert!(signed_urls.is_empty());
    assert_eq!(jwt.algorithms, [Algorithm::Es256]);
    let bearer = TokenSource::Header {
        name: http::header::AUTHORIZATION,
        scheme: "Bearer".to_owned(),
    };
    let parameter = "jwt".to_owned();
    assert_eq!(jwt.sources, [bearer, TokenSource::Query { parameter }]);
    assert_eq!(jwt.roles_claims, ["oc-roles", "roles"]);
    assert_eq!(
        (jwt.leeway, jwt.refresh, jwt.keep_stale),
        (seconds(3), seconds(600), seconds(86_400))
    );
    assert_eq!(jwt.cache, 128 * 1024 * 1024);
    let rate = |per_second, burst| Rate { per_second, burst };
    assert_eq!(jwt.bad_signatures, rate(200.0, 200));
    let issuer = &jwt.issuers[0];
    assert_eq!(issuer.allow_actions, ["read", "write", "annotate", "annotate-admin"]);
    assert_eq!((issuer.max_lifetime, issuer.may_name_users), (seconds(86_400), false));

    let upstream = &upstreams[0];
    assert_eq!((upstream.balance, upstream.host.as_ref()), (Balance::RoundRobin, None));
    assert_eq!(
        upstream.health,
        Health {
            path: None,
            every: seconds(5)
        }
    );
    assert_eq!(
        (upstream.connect_timeout, upstream.read_timeout),
        (seconds(2), seconds(60))
    );

    let (media, rest) = (&routes[0], &routes[1]);
    assert_eq!(
        (
            media.hosts.names().next().unwrap(),
            media.strip.as_str(),
            media.path_params
        ),
        ("video.example.edu", "", false)
    );
    assert_eq!(
        media.methods.as_deref(),
        Some([http::Method::GET, http::Method::HEAD].as_slice())
    );
    assert_eq!(media.action, Action::Files(folder.path().join(".")));
    assert_eq!(
        (media.accept.as_slice(), media.issuers.as_ref()),
        ([Credential::Jwt].as_slice(), None)
    );
    assert_eq!(
        (media.cors.as_ref(), media.limits, media.present),
        (None, Limits::default(), Present::Pass)
    );
    assert!(media.deny.is_empty());
    assert_eq!(
        (rest.action.clone(), rest.methods.as_ref()),
        (Action::Upstream(0), None)
    );
    assert_eq!(rest.limits.rate, Some(rate(1.5, 2)));
}

/// A table of every kind, so that each key with a default is absent somewhere.
const EVERY_TABLE: &str = r#"
    [pages.colours]

    [log]
    file = "janua.log"

    [log.rotate]
    keep = 7

    [sign_in.campus.cas]
    server = "https://cas.example.edu/cas"

    [sign_in.older.session]
    absolute = "4h"

    [sign_in.older.oauth2]
    server = "https://cas.example.edu/cas"
    client_id = "janua"

    [sign_in.idp.oidc]
    issuer = "https://idp.example.edu"
    client_id = "janua"

    [bearer.apps]
    audience = "https://video.example.edu"

    [bearer.apps.jwks]
    issuer = "https://idp.example.edu"

    [bearer.opaque]
    clients = ["portal"]

    [bearer.opaque.introspection]
    endpoint = "https://idp.example.edu/introspect"
    client_id = "janua"
    client_secret_file = "gateway.toml"

    [bearer.profiles]
    clients = ["portal"]

    [bearer.profiles.profile]
    endpoint = "https://cas.example.edu/cas/oauth2.0/profile"

    [lti.main]
    issuer = "https://moodle.example.edu"
    client_id = "janua"
    auth_login_url = "https://moodle.example.edu/mod/lti/auth.php"
    jwks_url = "https://moodle.example.edu/mod/lti/certs.php"
    deployment_ids = ["1"]

    [upstreams.zoo]
    servers = ["http://127.0.0.1:8082"]

    [moodle.main]
    upstream = "zoo"
    public_url = "https://video.example.edu"
    sign_in = "campus"

    [upstreams.zoo_passwords]
    servers = ["http://127.0.0.1:8083"]

    [moodle.of_passwords]
    upstream = "zoo_passwords"
    public_url = "https://video.example.edu"
    sign_in = "campus"
    tokens = ["clearpass"]

    [moodle.of_passwords.clearpass]
    key_file = "gateway.toml"

    [upstreams.zoo_tokens]
    servers = ["http://127.0.0.1:8084"]

    [moodle.of_tokens]
    upstream = "zoo_tokens"
    public_url = "https://video.example.edu"
    sign_in = "campus"
    tokens = ["page"]

    [moodle.of_tokens.page]
    url = "https://portal.example.edu/moodle-token"
    token = "/token"

    [upstreams.zoom]
    servers = ["http://127.0.0.1:8083"]

    [moodle.second]
    upstream = "zoom"
    sign_in = "idp"
    public_url = "https://lms.example.edu"
    tokens = ["cas-facade"]
    facade = { path = "/_janua/cas-facade", from = ["127.0.0.1/32"] }

    [outgoing]
    proxy = "http://proxy.example.edu:3128"

    [opencast.main]
    upstream = "opencast"
    username = "gateway"
    password_file = "gateway.toml"

    [upstreams.zoom_archive]
    servers = ["https://s3.example.edu"]

    [upstreams.zoom_archive.s3]
    bucket = "lectures"
    credentials_file = "gateway.toml"

    [signed_urls.opencast]
    keys = [{ id = "demoKeyOne", secret_file = "gateway.toml" }]

    [[routes]]
    name = "cdn"
    path = "/cdn/{*rest}"
    upstream = "zoo"
    present = "signed-url"
    sign = { by = "opencast", base = "https://cdn.example.edu" }
    allow = [{ anyone = true }]

    [[routes]]
    name = "pages"
    path = "/pages/{event}/{*file}"
    files = "."
    accept = ["jwt", "launch", "watch"]
    allow = [{ signed_in = true }]
    cors = { origins = ["https://moodle.example.edu"] }
    launch = {}
    watch = {}
    views = {}

    [[routes]]
    name = "moodle"
    path = "/moodle/{*rest}"
    upstream = "zoo"
    accept = ["session"]
    allow = [{ signed_in = true }]
    else_ask = { upstream = "zoo" }
    present = "headers"

    [[routes]]
    name = "apps"
    path = "/apps/{*rest}"
    upstream = "zoo"
    accept = ["bearer"]
    allow = [{ scope = "video" }]

    [[routes]]
    name = "decides"
    path = "/_decide"
    respond = { decide = { uri = "X-Original-URI", method = "X-Original-Method" } }
    allow = [{ from = ["127.0.0.1/32"] }]
"#;

/// Places of keys, and their defaults, as the schema tells them; `*` is any element of a list, or any name.
fn defaults(schema: &Value, place: &str, found: &mut Vec<(String, Value)>) {
    for (name, key) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}/{name}");
        if let Some(default) = key.get("default") {
            found.push((place.clone(), default.clone()));
        }
        defaults(key, &place, found);
        defaults(&key["items"], &format!("{place}/*"), found);
        defaults(&key["additionalProperties"], &format!("{place}/*"), found);
    }
}

/// Puts a value in the place of each one that is there and was not `written`; how many are there.
fn put(file: &mut Value, written: &Value, place: &str, value: &Value) -> usize {
    let (name, rest) = place.split_once('/').unwrap_or((place, ""));
    let members: Vec<(&mut Value, &Value)> = match (name, file) {
        ("*", Value::Array(all)) => all
            .iter_mut()
            .enumerate()
            .map(|(index, one)| (one, &written[index]))
            .collect(),
        ("*", Value::Object(all)) => all.iter_mut().map(|(name, one)| (one, &written[name])).collect(),
        (name, file) => file
            .get_mut(name)
            .map(|one| (one, &written[name]))
            .into_iter()
            .collect(),
    };
    let put_below = |(member, written): (&mut Value, &Value)| {
        if !rest.is_empty() {
            return put(member, written, rest, value);
        }
        if written.is_null() {
            *member = value.clone();
        }
        1
    };
    members.into_iter().map(put_below).sum()
}

/// One declaration is what an absent key compiles to, what `janua config show` fills in and what the schema tells: with all
/// of them written, the configuration is the same.
#[test]
fn a_default_is_the_same_wherever_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    let load = |text: &str| {
        fs::write(&path, text).unwrap();
        load_with(&path, &|_| None).unwrap().config
    };
    let text = SMALLEST.replacen("public_url", "trusted_proxies = [\"127.0.0.1/32\"]\n    public_url", 1) + EVERY_TABLE;
    let config = load(&text);
    let shown = janua::config::show(&text, &config).unwrap();
    // All issuers, and what the upstream says of websockets, are filled in by name.
    let told = |mut config: Config| {
        for route in config.routes.iter_mut().map(Arc::make_mut) {
            (route.issuers, route.websocket) = (None, None);
        }
        // A table written anew has its members in another order.
        let mut sign_ins = config.sign_ins.clone();
        sign_ins.sort_by_key(|sign_in| sign_in.name.clone());
        for moodle in &mut config.moodles {
            let name = &config.sign_ins[moodle.sign_in].name;
            moodle.sign_in = sign_ins.iter().position(|sign_in| sign_in.name == *name).unwrap();
        }
        config.sign_ins = sign_ins;
        config.bearers.sort_by_key(|bearer| bearer.name.clone());
        format!("{config:?}")
    };
    assert_eq!(told(load(&shown)), told(config.clone()));

    let json = |text: &str| serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
    let (mut file, written) = (json(&shown), json(&text));
    let mut known = Vec::new();
    defaults(&janua::config::schema(), "", &mut known);
    assert!(known.len() > 60, "{known:?}");
    for (place, default) in &known {
        let is_there = put(&mut file, &written, place.trim_start_matches('/'), default) > 0;
        assert!(is_there, "{place} is shown nowhere");
    }
    let complete = toml::to_string(&file).unwrap();
    assert_eq!(told(load(&complete)), told(config), "{complete}");
}

/// `janua config show` fills it in, and its output can be read again.
#[test]
fn the_default_header_of_a_questions_host_may_be_written() {
    let question = r#"
        [[routes]]
        name = "decides"
        path = "/_decide"
        respond = { decide = { uri = "X-Original-URI", method = "X-Original-Method", host = "Host" } }
        allow = [{ from = ["127.0.0.1/32"] }]
    "#;
    let trusting = SMALLEST.replacen("public_url", "trusted_proxies = [\"127.0.0.1/32\"]\n    public_url", 1);
    let (_folder, config) = load(&(trusting + question));
    assert!(matches!(&config.routes[2].action, Action::Decide(decide) if decide.host == http::header::HOST));
}

#[test]
fn variables_are_replaced_in_any_string() {
    let (_folder, config) = load(&SMALLEST.replace(":8080", ":${PORT}"));
    assert_eq!(config.server.listen[0].port(), 8080);
}

#[test]
fn what_a_variable_holds_is_not_expanded_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.toml");
    fs::write(&path, SMALLEST.replace("\"media\"", "\"${A}\"")).unwrap();
    let loaded = load_with(&path, &|name| (name == "A").then(|| "${A}".to_owned())).unwrap();
    assert_eq!(&*loaded.config.routes[0].name, "${A}");
}

#[test]
fn two_dollars_write_one() {
    let (_folder, config) = load(&SMALLEST.replace("\"media\"", "\"a$$b$${PORT}$c$${\""));
    assert_eq!(&*config.routes[0].name, "a$$b${PORT}$c${");
}

#[test]
fn the_order_in_the_file_means_nothing_to_references() {
    let (before, after) = SMALLEST.split_once("[[jwt.issuers]]").unwrap();
    let (sections, routes) = after.split_once("[[routes]]").unwrap();
    let routes = routes.replacen("allow", "issuers = [\"moodle\"]\nallow", 1);
    let (_folder, config) = load(&format!("{before}[[routes]]{routes}\n[[jwt.issuers]]{sections}"));
    assert_eq!(config.routes[0].issuers.as_deref(), Some([0].as_slice()));
}

proptest! {
    /// Whatever an editor leaves behind: never a panic, and never a refusal without a reason.
    #[test]
    fn a_damaged_file_is_told_about(case in 0usize..1000, from in 0.0..1.0f64, length in 0usize..40, with in r#"[\[\]{}"'=,.*$é\n #a-z0-9/:]{0,6}"#) {
        let mut sources: Vec<_> = fs::read_dir("tests/config_errors").unwrap().map(|entry| entry.unwrap().path()).collect();
        sources.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        sources.push("gateway.toml".into());
        sources.sort();
        let text: Vec<char> = fs::read_to_string(&sources[case % sources.len()]).unwrap().chars().collect();
        let start = (text.len() as f64 * from) as usize;
        let end = (start + length).min(text.len());
        let damaged: String = text[..start].iter().copied().chain(with.chars()).chain(text[end..].iter().copied()).collect();

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        fs::write(&path, &damaged).unwrap();
        if let Err(problems) = load_with(&path, &|name| Some(name.to_lowercase())) {
            prop_assert!(problems.has_errors());
            prop_assert!(problems.render(false).starts_with("error") || problems.render(false).starts_with("warning"));
        }
    }
}

#[test]
fn a_moodle_needs_little_to_be_said() {
    let moodle = r#"
[sign_in.campus.cas]
server = "https://cas.example.edu/cas"
[moodle.main]
upstream = "moodle"
public_url = "https://moodle.example.edu/lms"
sign_in = "campus"
never = ["Admin"]
[[routes]]
name = "web services"
path = "/lms/webservice/rest/server.php"
upstream = "moodle"
accept = ["session"]
present = "moodle-token"
functions = ["core_enrol_*", { names = ["mod_assign_*"], role = "ROLE_STUDENT" }]
allow = [{ signed_in = true }]
[upstreams.moodle]
servers = ["http://127.0.0.1:8082"]
[server]
listen = ["127.0.0.1:8080"]
public_url = "https://moodle.example.edu"
"#;
    let (_folder, config) = load(moodle);
    let moodle = &config.moodles[0];
    assert_eq!((moodle.upstream, moodle.sign_in), (0, 0));
    assert_eq!(moodle.wwwroot, "https://moodle.example.edu/lms");
    assert_eq!(
        (&moodle.username.of, moodle.service.as_str()),
        (&NameOf::User, "moodle_mobile_app")
    );
    assert_eq!(moodle.tokens, [MoodleSource::CasLaunch]);
    assert_eq!(
        (moodle.never.as_slice(), &moodle.facade),
        (["admin".to_owned()].as_slice(), &None)
    );
    let route = &config.routes[0];
    assert_eq!(route.present, Present::MoodleToken);
    let functions = route.functions.as_deref().unwrap();
    assert!(functions[0].names[0].matches("core_enrol_get_users_courses") && functions[0].roles.is_none());
    assert!(functions[1].roles.as_ref().is_some_and(|roles| roles.len() == 1));
}
