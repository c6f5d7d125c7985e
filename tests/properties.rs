//! Whatever outsiders send, and operators mistype: no panic, no more memory than a bound, and nothing accepted that was
//! not written so. Valid requests, tokens, key sets and configurations are mutated; 2 000 of each, with `JANUA_LONG`
//! 100 000.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the end-to-end tests use the rest of the support module"
)]

#[path = "support/tokens.rs"]
mod tokens;

use std::fs;
use std::path::Path as FilePath;
use std::time::SystemTime;

use http::HeaderMap;
use janua::act::file;
use janua::authenticate::token::{carrier, offline};
use janua::config::load_with;
use janua::listen::intake;
use janua::respond::cors;
use janua::route::path::{Path, PathError};
use pingora::http::RequestHeader;
use proptest::prelude::*;

/// What the whole of these tests may come to have in memory, in bytes: nothing grows with the number of cases.
const MEMORY: u64 = 512 << 20;

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: if std::env::var_os("JANUA_LONG").is_some() {
            100_000
        } else {
            2_000
        },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// One change of a text at a place that is taken modulo its length.
#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, Vec<u8>),
    Replace(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize, usize),
    Cut(usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let odd = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..8),
        prop::sample::select(vec![
            "\r\n",
            "\n",
            "\0",
            "%2e%2e/",
            "%2f",
            "../",
            "\"",
            "\\u0000",
            "{",
            "[[",
            "]]",
            "}",
            ",",
            "=",
            ";",
            ":",
            "-1",
            "99999999999999999999",
            "1e999",
            "\u{fc}",
            "\u{202e}",
            "null",
            "true",
            "''",
            "${X}",
            "*",
            "bytes=",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let place = 0..1_000_000_usize;
    let edit = prop_oneof![
        (place.clone(), odd.clone()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place.clone(), odd).prop_map(|(at, bytes)| Edit::Replace(at, bytes)),
        (place.clone(), 1..40_usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (place.clone(), 1..40_usize, 1..300_usize).prop_map(|(at, count, times)| Edit::Repeat(at, count, times)),
        place.prop_map(Edit::Cut),
    ];
    prop::collection::vec(edit, 0..5)
}

fn mutated(seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut text = seed.to_vec();
    for edit in edits {
        let within = |at: usize| at % (text.len() + 1);
        let to = |at: usize, count: usize| (within(at) + count).min(text.len());
        match edit {
            Edit::Insert(at, bytes) => {
                let at = within(*at);
                text.splice(at..at, bytes.iter().copied());
            }
            Edit::Replace(at, bytes) => {
                let range = within(*at)..to(*at, bytes.len());
                text.splice(range, bytes.iter().copied());
            }
            Edit::Remove(at, count) => {
                let range = within(*at)..to(*at, *count);
                text.drain(range);
            }
            Edit::Repeat(at, count, times) => {
                let range = within(*at)..to(*at, *count);
                let again = text[range.clone()].repeat(*times);
                text.splice(range, again);
            }
            Edit::Cut(at) => text.truncate(within(*at)),
        }
    }
    text
}

/// The most that this process ever had in memory.
fn memory_is_bounded() {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes * 1024 < MEMORY, "{} MiB", kibibytes / 1024);
}

const REQUEST: &[u8] = b"POST /static/org/player/lecture%201/a;x=1/video.mp4?jwt=a.b.c&download=1 HTTP/1.1\r\n\
    Host: video.test:8080\r\nAuthorization: Bearer a.b.c\r\nCookie: a=b; __Host-session=\"x\"; a=c\r\n\
    Range: bytes=0-9,-5,100-\r\nIf-Range: \"tag\"\r\nOrigin: https://moodle.test\r\n\
    Access-Control-Request-Method: GET\r\nTransfer-Encoding: chunked\r\nX-Forwarded-For: 10.0.0.1, ::1\r\n\r\n";

/// A header as pingora would hand it on; `None` where it would not.
fn header(raw: &[u8]) -> Option<RequestHeader> {
    let mut lines = raw.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut words = lines.next()?.split(|byte| *byte == b' ');
    let method = http::Method::from_bytes(words.next()?).ok()?;
    let mut header = RequestHeader::build(method, words.next()?, None).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let name = String::from_utf8_lossy(name).into_owned();
        // What is no header field pingora refuses by itself.
        if header
            .append_header(name, value.get(1..).unwrap_or_default().trim_ascii())
            .is_err()
        {
            continue;
        }
    }
    Some(header)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn requests(edits in edits()) {
        let raw = mutated(REQUEST, &edits);
        let Some(header) = header(&raw) else { return Ok(()) };
        carriers_hold(&header.headers, None);
        cors::requested_method(&header.method, &header.headers);
        if let Ok(request) = intake::take(&header, Some(&raw)) {
            prop_assert!(!request.host.is_empty() && request.raw_path.starts_with('/'));
            carriers_hold(&header.headers, request.query.as_deref());
            if let Ok(path) = Path::parse(&request.raw_path) {
                prop_assert!(path.decoded().split('/').all(|segment| segment != ".." && segment != "."));
                prop_assert!(path.encoded().bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
        memory_is_bounded();
    }

    #[test]
    fn paths(edits in edits()) {
        let raw = mutated(b"/static/org/player/lecture%201/%C3%BC;x=1/video.mp4", &edits);
        if let Ok(path) = Path::parse(&String::from_utf8_lossy(&raw)) {
            prop_assert!(path.decoded().split('/').all(|segment| segment != ".." && segment != "."));
            // Read by the next server it is the same path.
            match Path::parse(path.encoded()) {
                Ok(again) => prop_assert_eq!(again.encoded(), path.encoded()),
                // Encoding what came in the clear makes it longer.
                Err(error) => prop_assert_eq!(error, PathError::TooLong),
            }
        }
    }

    #[test]
    fn ranges(edits in edits(), complete in prop_oneof![0..1000_u64, any::<u64>()]) {
        let value = mutated(b"bytes=0-9, -5, 100-, 18446744073709551615-", &edits);
        let ranges = file::ranges(&value, complete).unwrap_or_default();
        prop_assert!(ranges.len() <= 16);
        prop_assert!(ranges.iter().all(|(start, end)| start < end && *end <= complete));
        prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        memory_is_bounded();
    }
}

/// Every token that is found can be taken out of the query again, so that it does not travel on.
fn carriers_hold(headers: &HeaderMap, query: Option<&str>) {
    let sources = repository_config().jwt.sources;
    let found = carrier::find(&sources, headers, query);
    assert!(found.iter().all(|token| !token.is_empty()));
    let rest = query.and_then(|query| carrier::strip_query(&sources, query));
    let none = HeaderMap::new();
    assert!(carrier::find(&sources, &none, rest.as_deref()).is_empty(), "{query:?}");
}

fn repository_config() -> janua::config::Config {
    static LOADED: std::sync::LazyLock<janua::config::Config> = std::sync::LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        fs::write(&file, SMALLEST).unwrap();
        load_with(&file, &|_| None).unwrap().config
    });
    LOADED.clone()
}

const SMALLEST: &str = r#"
    [server]
    listen = ["127.0.0.1:8080"]
    public_url = "https://video.example.edu"

    [[jwt.issuers]]
    name = "moodle"
    jwks = "https://moodle.example.edu/.well-known/jwks.json"
    allow_roles = ["*_Learner"]

    [[routes]]
    name = "media"
    path = "/static/{event}/{*file}"
    files = "."
    allow = [{ grant = "read", event = "{event}" }]
"#;

#[test]
fn tokens_and_key_sets() {
    let (signer, named) = (tokens::Signer::new(), tokens::Signer::new().named("a"));
    let keys = tokens::Signer::jwks(&[&named, &signer]).into_bytes();
    let claims = serde_json::json!({
        "exp": tokens::in_seconds(3600), "nbf": 0, "sub": "anna", "name": "A", "oc": { "e:lecture-1": ["read"] },
        "roles": ["1_Learner", "ROLE_EPISODE_x_READ"], "oc-roles": "2_Learner",
    });
    let token = signer.token(&claims);
    let jwt = repository_config().jwt;
    let now = SystemTime::now();
    assert!(offline::judge(&token, &keys, &jwt, now).is_ok());
    let mut runner = prop::test_runner::TestRunner::new(cases());
    let both = (edits(), edits());
    runner
        .run(&both, |(of_token, of_keys)| {
            let forged = String::from_utf8_lossy(&mutated(token.as_bytes(), &of_token)).into_owned();
            let judged = offline::judge(&forged, &keys, &jwt, now);
            prop_assert!(judged.is_err() || forged == token, "{} counts", forged);
            // Signed, whatever it says: claims are read only then.
            let odd = mutated(claims.to_string().as_bytes(), &of_token);
            let signed = signer.sign(r#"{"alg":"ES256"}"#, &String::from_utf8_lossy(&odd));
            drop(offline::judge(&signed, &keys, &jwt, now));
            let odd = mutated(&keys, &of_keys);
            if let Ok(found) = offline::read_keys(&odd) {
                prop_assert!(!found.usable.is_empty());
            }
            drop(offline::judge(&token, &odd, &jwt, now));
            memory_is_bounded();
            Ok(())
        })
        .unwrap();
}

#[test]
fn configurations() {
    let root = FilePath::new(env!("CARGO_MANIFEST_DIR"));
    let repository = fs::read(root.join("gateway.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let seeds = prop::sample::select(vec![repository, SMALLEST.as_bytes().to_vec()]);
    let mut runner = prop::test_runner::TestRunner::new(cases());
    runner
        .run(&(seeds, edits()), |(seed, edits)| {
            fs::write(&file, mutated(&seed, &edits)).unwrap();
            // Good or not: what is said about it can be said.
            match load_with(&file, &|_| Some("value".to_owned())) {
                Ok(loaded) => drop(loaded.warnings.to_string()),
                Err(problems) => prop_assert!(!problems.to_string().is_empty()),
            }
            memory_is_bounded();
            Ok(())
        })
        .unwrap();
}
