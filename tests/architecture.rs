//! The import rules of `src/lib.rs`, held by reading the source as text. A rule that has to give way gives way here,
//! with its reason, and not silently in some file.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The steps of a request, in their order.
const STEPS: [&str; 8] = [
    "listen",
    "route",
    "authenticate",
    "authorize",
    "present",
    "act",
    "respond",
    "observe",
];

/// What every step may import.
const SHARED: [&str; 16] = [
    "config",
    "digest",
    "event",
    "headers",
    "identity",
    "private_file",
    "query",
    "redact",
    "rejection",
    "request",
    "rate",
    "fair",
    "sealing",
    "text",
    "time",
    "trust",
];

/// What one place may import beyond that, and why.
const EXCEPTIONS: [(&str, &str, &str); 11] = [
    (
        "config/rule.rs",
        "authorize",
        "a condition declares its keys in the file that judges it",
    ),
    (
        "authenticate/",
        "backchannel",
        "key sets are fetched through the one way out",
    ),
    (
        "authenticate/",
        "key_file",
        "the secret by which an authorization server knows the gateway stands in a file",
    ),
    ("authenticate/", "store", "the last good keys outlive a restart"),
    (
        "authenticate/",
        "client_key",
        "a server that is asked about tokens wants to know who asks",
    ),
    ("authenticate/", "observe", "handles of counters, handed in"),
    (
        "respond/key_set.rs",
        "watch_file",
        "a published key set that is replaced while the gateway runs",
    ),
    ("act/", "observe", "handles of counters, handed in"),
    (
        "act/s3.rs",
        "watch_file",
        "the keys of a bucket that are replaced while the gateway runs",
    ),
    ("listen/", "observe", "handles of counters, handed in"),
    (
        "listen/tls.rs",
        "watch_file",
        "certificates that are replaced while the gateway runs",
    ),
];

/// Every module below `src`, in the one layer that it belongs to. A module imports what stands in a lower layer; the lowest,
/// vocabulary, imports itself.
const LAYERS: [(&str, &[&str]); 9] = [
    (
        "vocabulary",
        &[
            "digest",
            "event",
            "fair",
            "headers",
            "identity",
            "private_file",
            "query",
            "rate",
            "redact",
            "rejection",
            "request",
            "text",
            "time",
            "trust",
            "watch_file",
        ],
    ),
    ("configuration", &["config"]),
    (
        "means",
        &["backchannel", "client_key", "key_file", "observe", "sealing", "store"],
    ),
    (
        "engine",
        &["act", "ask", "authorize", "listen", "present", "respond", "route"],
    ),
    (
        "capabilities",
        &["authenticate", "moodle", "opencast", "own", "sign_in", "statistics"],
    ),
    ("what is in force", &["context", "snapshot"]),
    ("gateway", &["gateway"]),
    (
        "around it",
        &[
            "admin",
            "control",
            "explain",
            "named_file",
            "overview",
            "reload",
            "server",
        ],
    ),
    ("commands", &["cli"]),
];

/// Imports within a layer, and the one upwards that stays, each with its reason.
const EDGES: [(&str, &str, &str); 23] = [
    (
        "config",
        "authorize",
        "a condition declares its keys in the file that judges it",
    ),
    (
        "observe",
        "sealing",
        "names are masked by a key derived from the master key",
    ),
    ("reload", "named_file", "files that cannot be used stop a reload"),
    ("server", "named_file", "wiring"),
    ("store", "key_file", "passwords of a server stand in files"),
    ("backchannel", "key_file", "the password of a proxy stands in a file"),
    ("store", "observe", "handles of counters, handed in"),
    ("store", "sealing", "records are sealed"),
    ("ask", "act", "an upstream is asked"),
    ("moodle", "authenticate", "tokens are for the person of a session"),
    (
        "moodle",
        "sign_in",
        "a page that gives tokens wants a proxy ticket of the CAS server",
    ),
    ("own", "authenticate", "launches begin sessions, signing out ends them"),
    ("own", "sign_in", "browsers go to a sign-in server and come back"),
    ("own", "moodle", "a browser brings a ticket for Moodle"),
    ("sign_in", "authenticate", "who signs in gets a session"),
    (
        "context",
        "snapshot",
        "a request is judged by one snapshot from its beginning to its end",
    ),
    ("control", "explain", "an explanation is asked for over the socket"),
    ("server", "admin", "wiring"),
    ("server", "control", "wiring"),
    ("server", "overview", "wiring"),
    ("server", "reload", "wiring"),
    ("overview", "admin", "the status page is the admin listener's"),
    (
        "overview",
        "explain",
        "what is kept of a request is told as an explanation",
    ),
];

/// Where pingora's types may appear.
const EDGE: [&str; 5] = ["server", "gateway", "listen", "act/proxy", "respond/write"];

/// What computes values from values: no clock, no files, no network. `now` comes as an argument.
const MIDDLE: [&str; 38] = [
    "act/file/conditional.rs",
    "act/file/mime.rs",
    "act/file/range.rs",
    "act/playlist/",
    "authenticate/bearer/claims.rs",
    "authenticate/bearer/shape.rs",
    "authenticate/lti/message.rs",
    "authenticate/lti/said.rs",
    "identity/attributes.rs",
    "authenticate/session/roles.rs",
    "sign_in/cas/",
    "authenticate/oauth/claims.rs",
    "authenticate/oauth/metadata.rs",
    "sign_in/oidc/id_token.rs",
    "sign_in/oidc/metadata.rs",
    "authenticate/token/carrier.rs",
    "authenticate/token/claims.rs",
    "authenticate/token/json.rs",
    "authenticate/token/verify.rs",
    "authenticate/watch.rs",
    "authorize/",
    "config/pattern.rs",
    "config/value.rs",
    "event.rs",
    "explain/",
    "identity.rs",
    "moodle/answer/",
    "moodle/request/",
    "own/isolation.rs",
    "present/",
    "rejection.rs",
    "respond/cors.rs",
    "respond/frames.rs",
    "respond/page.rs",
    "respond/page/",
    "respond/problem.rs",
    "respond/security.rs",
    "route/",
];

/// What exists in several kinds, and the module that alone tells them apart, beside the configuration.
const VARIANTS: [(&[&str], &str); 2] = [
    (
        &["State::Memory", "State::Embedded", "State::Valkey", "Backend::"],
        "store/",
    ),
    (&["MoodleSource::"], "moodle/tokens/"),
];

const OUTSIDE_WORLD: [&str; 8] = [
    "SystemTime::now",
    "Instant::now",
    "std::fs",
    "std::env",
    "std::process",
    "tokio::",
    "TcpStream",
    "reqwest",
];

/// What stands around the gateway of `janua demo`.
const DEMO: &str = "crates/janua-demo/src";

/// Lines of a file without its tests; above it, it is two files.
const LONGEST: usize = 400;

/// One file of the library.
struct Source {
    /// Below `src/`, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// What is compiled into the gateway: no comments, no tests.
    fn code(&self) -> String {
        let code = self
            .without_tests()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        code.collect::<Vec<_>>().join("\n")
    }

    fn without_tests(&self) -> &str {
        self.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default()
    }

    /// The module right below `src/` that this belongs to.
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// First segments of every `crate::…` path.
    fn imports(&self) -> BTreeSet<String> {
        let code = self.code();
        let mut found = BTreeSet::new();
        for (place, before) in code.match_indices("crate::") {
            let rest = &code[place + before.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(first_segments(group)),
                None => found.extend(identifier(rest)),
            }
        }
        found
    }
}

/// The names at the start of the members of a `{…}` group, whose opening brace is gone.
fn first_segments(group: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expects_name = true;
    for (place, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects_name = true,
            letter if depth == 0 && expects_name && !letter.is_whitespace() => {
                names.extend(identifier(&group[place..]));
                expects_name = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> Option<String> {
    let name: String = text
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect();
    // `crate::Type` does not exist here: everything lives in a module.
    name.starts_with(|letter: char| letter.is_lowercase()).then_some(name)
}

fn sources() -> Vec<Source> {
    sources_in("src")
}

fn sources_in(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("tests.rs") || path.parent().is_some_and(|folder| folder.ends_with("tests")) {
                // Tests beside a file that would be long with them inside.
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source {
                    path: path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(sources.len() > 5, "the source is found");
    sources
}

/// A path into one of pingora's crates; their names as text, in a log filter, are no import.
fn imports_pingora(code: &str) -> bool {
    code.match_indices("pingora").any(|(place, word)| {
        let rest =
            code[place + word.len()..].trim_start_matches(|letter: char| letter.is_alphanumeric() || letter == '_');
        let quoted = code[..place].ends_with('"');
        !quoted && rest.starts_with("::")
    })
}

/// All violations at once: each names its file and rule.
fn hold(rule: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn a_step_imports_no_other_step() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| STEPS.contains(&source.module())) {
        for import in source.imports() {
            let excepted = EXCEPTIONS
                .iter()
                .any(|(place, allowed, _)| source.path.starts_with(place) && import == *allowed);
            if import != source.module() && !SHARED.contains(&import.as_str()) && !excepted {
                broken.push(format!("{} imports {import}", source.path));
            }
        }
    }
    hold(
        "a step imports vocabulary and configuration, never another step",
        broken,
    );
}

#[test]
fn every_module_imports_lower_layers_only() {
    let layer = |module: &str| LAYERS.iter().position(|(_, modules)| modules.contains(&module));
    let mut broken = Vec::new();
    let mut unused: BTreeSet<(&str, &str)> = EDGES.iter().map(|(from, to, _)| (*from, *to)).collect();
    let mut unseen: BTreeSet<&str> = LAYERS.iter().flat_map(|(_, modules)| modules.iter().copied()).collect();
    for source in sources()
        .iter()
        .filter(|source| !matches!(source.path.as_str(), "lib.rs" | "main.rs"))
    {
        let from = source.module();
        unseen.remove(from);
        let Some(high) = layer(from) else {
            broken.push(format!("{from} stands in no layer"));
            continue;
        };
        for to in source.imports().iter().filter(|to| *to != from) {
            let lower = layer(to).is_some_and(|low| low < high || (low, high) == (0, 0));
            let excepted = EDGES
                .iter()
                .any(|(one, other, _)| (*one, *other) == (from, to.as_str()));
            unused.retain(|edge| *edge != (from, to.as_str()));
            if !lower && !excepted {
                broken.push(format!("{} imports {to}", source.path));
            }
        }
    }
    broken.extend(
        unused
            .iter()
            .map(|(from, to)| format!("{from} imports {to} no more: the list is stale")),
    );
    broken.extend(
        unseen
            .iter()
            .map(|module| format!("{module} is not there: the list is stale")),
    );
    hold("a module imports lower layers", broken);
}

#[test]
fn vocabulary_imports_nothing_but_vocabulary() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| SHARED.contains(&source.module())) {
        for import in source.imports() {
            let excepted = EXCEPTIONS
                .iter()
                .any(|(place, allowed, _)| source.path.starts_with(place) && import == *allowed);
            if !SHARED.contains(&import.as_str()) && !excepted {
                broken.push(format!("{} imports {import}", source.path));
            }
        }
    }
    hold("vocabulary knows no other module", broken);
}

#[test]
fn pingora_stays_at_the_edge() {
    let sources = sources();
    let inside = sources
        .iter()
        .filter(|source| !EDGE.iter().any(|edge| source.path.starts_with(edge)));
    let broken = inside
        .filter(|source| imports_pingora(&source.code()))
        .map(|source| source.path.clone())
        .collect();
    hold("pingora's types appear at the edge only", broken);
}

#[test]
fn the_middle_has_no_clock_and_does_no_io() {
    let sources = sources();
    let mut broken = Vec::new();
    for place in MIDDLE {
        let mut files = sources
            .iter()
            .filter(|source| source.path.starts_with(place))
            .peekable();
        if files.peek().is_none() {
            broken.push(format!("{place} is not there: the list is stale"));
        }
        for source in files {
            let code = source.code();
            let used = OUTSIDE_WORLD.iter().filter(|word| code.contains(**word));
            broken.extend(used.map(|word| format!("{} uses {word}", source.path)));
        }
    }
    hold("the middle takes `now` as an argument and touches nothing", broken);
}

#[test]
fn only_configuration_sees_what_was_written() {
    let broken = sources()
        .iter()
        .filter(|source| source.module() != "config" && source.code().contains("config::file"))
        .map(|source| source.path.clone())
        .collect();
    hold(
        "the running code meets what was checked, never what was written",
        broken,
    );
}

/// So that a condition is one file and its line in the list.
#[test]
fn no_condition_is_named_outside_of_its_folder() {
    const FOLDER: &str = "authorize/conditions/";
    let names_one = |code: &str| {
        let mut paths = code.match_indices("AnyCondition::");
        paths.any(|(place, path)| {
            let rest = &code[place + path.len()..];
            rest.starts_with(|next: char| next.is_uppercase() || "{*".contains(next))
        })
    };
    assert!(names_one("AnyCondition::Role(_)") && !names_one("map(AnyCondition::about)"));
    let sources = sources();
    let (inside, outside): (Vec<&Source>, Vec<&Source>) =
        sources.iter().partition(|source| source.path.starts_with(FOLDER));
    assert!(inside.len() > 10, "the conditions are found");
    let broken = outside.iter().filter(|source| names_one(&source.code()));
    let broken = broken.map(|source| source.path.clone()).collect();
    hold("a condition is known to its own file and to the list", broken);
}

#[test]
fn only_its_own_module_and_the_configuration_ask_which_variant_it_is() {
    let mut broken = Vec::new();
    for source in sources() {
        for (words, place) in VARIANTS {
            let is_elsewhere = ![place, "config/"].iter().any(|place| source.path.starts_with(place));
            let named = words.iter().find(|word| source.code().contains(**word));
            broken.extend(
                named
                    .filter(|_| is_elsewhere)
                    .map(|word| format!("{} names {word}", source.path)),
            );
        }
    }
    hold(
        "another variant is a file of its module and a word of the configuration",
        broken,
    );
}

#[test]
fn only_sign_in_and_its_configuration_ask_which_kind_of_server_it_is() {
    let names_one = |code: &str| {
        let mut paths = code.match_indices("Provider::");
        paths.any(|(place, path)| code[place + path.len()..].starts_with(|next: char| next.is_uppercase()))
    };
    assert!(names_one("let Provider::Cas(cas)") && !names_one("Provider::new(sign_in)"));
    let sources = sources();
    let (inside, outside): (Vec<&Source>, Vec<&Source>) = sources
        .iter()
        .partition(|source| ["sign_in", "config"].contains(&source.module()));
    assert!(inside.iter().any(|source| names_one(&source.code())));
    let broken = outside.iter().filter(|source| names_one(&source.code()));
    hold(
        "another kind of sign-in is a folder of `sign_in`, and a variant there and in the configuration",
        broken.map(|source| source.path.clone()).collect(),
    );
}

#[test]
fn every_file_says_what_it_decides_and_is_short() {
    let mut broken = Vec::new();
    for source in sources().into_iter().chain(sources_in(DEMO)) {
        if !source.text.starts_with("//! ") {
            broken.push(format!("{} has no header", source.path));
        }
        let lines = source.without_tests().lines().count();
        if lines > LONGEST {
            broken.push(format!("{} has {lines} lines", source.path));
        }
    }
    hold("a header, and at most 400 lines without tests", broken);
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules = map
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let broken: Vec<String> = modules
        .filter(|module| !map.contains(&format!("[`{module}`]")))
        .map(str::to_owned)
        .collect();
    hold("src/lib.rs is the map", broken);
}

#[test]
fn imports_are_found_however_they_are_written() {
    let source = Source {
        path: "route/table.rs".to_owned(),
        text: "//! A file.\nuse crate::{act::{self, file}, rejection::Reason};\nuse crate::config::Route;\n\
               // use crate::observe;\nfn f() { crate::store::open() }\n#[cfg(test)]\nmod tests { use crate::server; }"
            .to_owned(),
    };
    let expected = ["act", "config", "rejection", "store"].map(str::to_owned);
    assert_eq!(source.imports(), BTreeSet::from(expected));
    assert_eq!(source.module(), "route");
}

/// What is compiled in from beside `src/` must be copied into the image's build too.
#[test]
fn the_container_is_built_from_all_that_the_source_includes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/Containerfile");
    let file = fs::read_to_string(file).unwrap();
    let copied: BTreeSet<&str> = file
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "))
        .flat_map(str::split_whitespace)
        .collect();
    let mut included = BTreeSet::from(["crates".to_owned()]);
    for source in sources().into_iter().chain(sources_in(DEMO)) {
        for (_, after) in source
            .text
            .split("include_")
            .skip(1)
            .filter_map(|rest| rest.split_once("!(\""))
        {
            let below = after.trim_start_matches("../");
            let up = (after.len() - below.len()) / "../".len();
            if up > source.path.matches('/').count() {
                included.extend(below.split(['"', '/']).next().map(str::to_owned));
            }
        }
    }
    assert!(included.len() >= 3, "{included:?}");
    let missing: Vec<_> = included.iter().filter(|name| !copied.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "deploy/Containerfile does not copy {missing:?}");
}
