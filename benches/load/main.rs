//! Load on a release build, side by side with its peers: `make bench`.
//!
//! One core serves, the other loads (wrk, and nginx where it is the upstream). Every pair of a case runs alternately,
//! round by round, so that a machine whose speed drifts drifts for both; what counts is the ratio of the medians, and the
//! processor time that a request costs the server. Peers are those found on PATH (nginx, haproxy) and, if `OCTOKA` names its binary, Octoka.
//!
//! `ROUNDS` (5) and `ROUND_SECONDS` (4) bound the time; `CASES` (substring) picks some. Output: a table, and RESULTS.md
//! with `--write`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::let_underscore_must_use,
    reason = "a measurement that cannot go on stops; nothing here is reachable by input"
)]

mod bare;
mod chart;
mod generate;
mod idle;
mod instructions;
mod latency;
mod nginx;
mod peers;
mod report;
mod session;
mod tokens;
mod watch;

use std::path::{Path, PathBuf};

use peers::{Files, Peer};
use report::{Case, Measured, Round};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The core that serves and the core that loads.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

fn main() -> Result<()> {
    bare::run_if_asked();
    latency::run_if_asked();
    // `cargo test --benches` runs this too: there is nothing to test.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let rounds = number("ROUNDS", 5);
    let seconds = number("ROUND_SECONDS", 4);
    let wanted = std::env::var("CASES").unwrap_or_default();
    let folder = tempfile::tempdir()?;
    let files = Files::new(folder.path())?;
    let tokens = tokens::Tokens::new(folder.path())?;
    let known = tokens.header(0);
    let cookie = session::cookie(folder.path())?;
    let pass = watch::cookie(&files, folder.path(), &known)?;
    let session = peers::Load::Header(cookie.clone());
    let mut all = cases(&files, &tokens, &session);
    all.push(watch_pass(&files, &known, &pass));
    let mut measured = Vec::new();
    for case in all {
        if case.name.contains(&wanted) {
            eprintln!("{}", case.name);
            measured.push(measure(&case, folder.path(), rounds, seconds)?);
        }
    }
    if idle::NAME.contains(&wanted) {
        eprintln!("{}", idle::NAME);
        measured.push(idle::measure(&files, folder.path(), rounds)?);
    }
    let mut text = report::render(&measured, rounds, seconds);
    if latency::NAME.contains(&wanted) {
        eprintln!("{}", latency::NAME);
        text += &latency::measure(&files, folder.path(), &known, rounds, seconds)?;
    }
    if instructions::NAME.contains(&wanted) {
        eprintln!("{}", instructions::NAME);
        text += &instructions::measure(folder.path(), &tokens, &cookie, &pass)?;
    }
    println!("{text}");
    if std::env::args().any(|argument| argument == "--write") {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches");
        std::fs::write(benches.join("results.svg"), chart::draw(&measured))?;
        std::fs::write(benches.join("RESULTS.md"), text)?;
    }
    Ok(())
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// What is measured: for each case the contenders, the first one being the measure of the others.
fn cases(files: &Files, tokens: &tokens::Tokens, session: &peers::Load) -> Vec<Case> {
    let known = tokens.header(0);
    let many = tokens.script("many", 0..20_000);
    let fresh = tokens.script("fresh", 20_000..tokens.count());
    let mut cases = Vec::new();
    let mut case = |name: &str, warm_up: u32, contenders: Vec<Option<(String, Peer)>>| {
        cases.push(Case {
            name: name.to_owned(),
            warm_up,
            contenders: contenders.into_iter().flatten().collect(),
        });
    };
    let label = |name: &str, peer: Option<Peer>| peer.map(|peer| (name.to_owned(), peer));
    // Twenty thousand tokens take two seconds to be seen once; a token that must be new allows no warm-up.
    for (name, warm_up, load) in [
        ("decision, one token", 1, peers::Load::Header(known.clone())),
        ("decision, 20 000 tokens in turn", 4, peers::Load::Script(many)),
        ("decision, every token new", 0, peers::Load::Script(fresh)),
    ] {
        case(
            name,
            warm_up,
            vec![
                label(
                    "Octoka",
                    files.octoka("empty", "/static/org/engage-player/lecture-1/1k.bin", &load),
                ),
                label("HAProxy jwt_verify", files.haproxy("/decide/lecture-1", &load)),
                label(report::QUIET, files.janua_quiet("/decide/lecture-1", &load)),
                label("Janua", files.janua("/decide/lecture-1", &load)),
            ],
        );
    }
    for (name, file) in [
        ("1 KiB file", "1k.bin"),
        ("64 KiB file", "64k.bin"),
        ("1 MiB file", "1m.bin"),
    ] {
        let path = format!("/static/org/engage-player/lecture-1/{file}");
        let load = peers::Load::Header(known.clone());
        case(
            name,
            1,
            vec![
                label("nginx, no check", files.nginx(&path)),
                label("Octoka", files.octoka("file", &path, &load)),
                label(report::QUIET, files.janua_quiet(&path, &load)),
                label("Janua", files.janua(&path, &load)),
            ],
        );
    }
    let bad = peers::Load::Beside {
        flood: tokens.header_with_bad_signature(1),
        header: known.clone(),
    };
    case(
        "decision, known token, beside a flood of bad signatures",
        1,
        vec![
            label(
                "Janua, no flood",
                files.janua_quiet("/decide/lecture-1", &peers::Load::Header(known.clone())),
            ),
            label("Janua", files.janua_quiet("/decide/lecture-1", &bad)),
        ],
    );
    let big = "/static/org/engage-player/lecture-1/256m.bin";
    let script = tokens.readers(256 << 20, 1 << 20);
    let cold = peers::Load::ColdReaders {
        script: script.clone(),
        file: files.downloads.join("org/engage-player/lecture-1/256m.bin"),
    };
    for (name, load) in [
        ("256 MiB file, 64 readers of 1 MiB ranges", peers::Load::Readers(script)),
        ("the same, never in the page cache", cold),
    ] {
        case(
            name,
            1,
            vec![
                label("nginx, no check", files.nginx_under(big, &load)),
                label("Janua", files.janua(big, &load)),
            ],
        );
    }
    let http2 = peers::Load::Http2(known.clone());
    let file = "/static/org/engage-player/lecture-1/64k.bin";
    case(
        "64 KiB file, HTTP/2 over TLS",
        1,
        vec![
            label("nginx, no check", files.nginx_tls(file, &http2)),
            label("Janua", files.janua_tls(file, &http2)),
        ],
    );
    for (name, file) in [("proxied 1 KiB", "1k.bin"), ("proxied 1 MiB", "1m.bin")] {
        let path = |prefix: &str| format!("{prefix}/org/engage-player/lecture-1/{file}");
        let load = peers::Load::Header(known.clone());
        case(
            name,
            1,
            vec![
                label("nginx proxy_pass, no check", files.nginx_proxy(&path("/proxied"))),
                label("a bare pingora program", files.bare(&path(""))),
                label("Janua, open route", files.janua(&path("/open"), &peers::Load::Plain)),
                label("Janua, token", files.janua(&path("/proxied"), &load)),
            ],
        );
    }
    for (name, open, signed_in) in [
        ("session, decision", "/anyone/lecture-1", "/session/lecture-1"),
        (
            "session, proxied 1 KiB",
            "/open/org/engage-player/lecture-1/1k.bin",
            "/signed-in/org/engage-player/lecture-1/1k.bin",
        ),
    ] {
        case(
            name,
            1,
            vec![
                label("open route", files.janua_with_store(open, &peers::Load::Plain)),
                label("Janua, a known session", files.janua_with_store(signed_in, session)),
            ],
        );
    }
    // As a script of the page's own origin sends it: by GET, with the session's cookie.
    let call = match session {
        peers::Load::Header(cookie) => peers::Load::Headers(vec![
            cookie.clone(),
            "Sec-Fetch-Site: same-origin".to_owned(),
            "Sec-Fetch-Mode: cors".to_owned(),
            "Sec-Fetch-Dest: empty".to_owned(),
            "X-Requested-With: fetch".to_owned(),
        ]),
        other => other.clone(),
    };
    let path = |prefix: &str| {
        format!(
            "{prefix}{}?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json",
            peers::CALL
        )
    };
    case(
        "moodle, a call of 1 KiB with a known session",
        1,
        vec![
            label("ordinary route", files.janua_with_store(&path("/as-it-is"), &call)),
            label("Janua, a known token put in", files.janua_with_store(&path(""), &call)),
        ],
    );
    cases
}

/// A pass costs a MAC instead of a look at the tokens that are known.
fn watch_pass(files: &Files, known: &str, pass: &str) -> Case {
    let known = peers::Load::Header(known.to_owned());
    let pass = peers::Load::Header(pass.to_owned());
    let plain = files.janua_with_store("/static/org/engage-player/lecture-1/1k.bin", &known);
    let contenders = [
        ("a known token", plain),
        ("Janua, a watch pass", files.janua_with_store(watch::PATH, &pass)),
    ];
    let named = contenders
        .into_iter()
        .filter_map(|(name, peer)| Some((name.to_owned(), peer?)));
    Case {
        name: "watch pass, 1 KiB file".to_owned(),
        warm_up: 1,
        contenders: named.collect(),
    }
}

/// Runs the contenders in turn, round by round; a fresh process for each run, so that nothing is remembered.
fn measure(case: &Case, folder: &Path, rounds: u32, seconds: u32) -> Result<Measured> {
    let mut measured = vec![Vec::new(); case.contenders.len()];
    for round in 0..rounds {
        for ((name, peer), rounds) in case.contenders.iter().zip(&mut measured) {
            let running = peer.start(folder)?;
            if case.warm_up > 0 {
                generate::load(&running.url(&peer.path), &peer.load, case.warm_up)?;
            }
            let before = running.processor_time()?;
            let loaded = generate::load(&running.url(&peer.path), &peer.load, seconds)?;
            let spent = running.processor_time()?.saturating_sub(before);
            let done = Round {
                value: loaded.rate,
                microseconds: Some(spent.as_secs_f64() * 1e6 / loaded.requests),
            };
            eprintln!("  round {} {name}: {}", round + 1, done.told());
            rounds.push(done);
        }
    }
    Ok(Measured {
        name: case.name.clone(),
        unit: report::Unit::RequestsPerSecond,
        contenders: case
            .contenders
            .iter()
            .map(|(name, _)| name.clone())
            .zip(measured)
            .collect(),
    })
}

/// A program on PATH, if it is there.
fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let places = std::env::split_paths(&paths).chain([PathBuf::from("/usr/sbin")]);
    places.map(|folder| folder.join(name)).find(|file| file.is_file())
}
