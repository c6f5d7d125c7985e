//! Whatever outsiders send, and operators mistype: no panic, no more memory than a bound, and nothing accepted that was
//! not written so. Valid requests, cookies, bodies, playlists, answers, tokens, key sets and configurations are mutated;
//! 2 000 of each, with `JANUA_LONG` 100 000. What must hold of them stands in `fuzz/invariants.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the end-to-end tests use the rest of the support module"
)]

#[path = "../fuzz/invariants.rs"]
mod invariants;
#[path = "support/tokens.rs"]
mod tokens;

use std::fs;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::write::ZlibEncoder;
use http::HeaderMap;
use janua::authenticate::token::{carrier, offline};
use janua::config::load_with;
use janua::respond::cors;
use janua::route::path::{Path, PathError};
use janua::sign_in::cas::{Protocol, logout};
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
        if let Some(request) = invariants::request(&header, Some(&raw)) {
            carriers_hold(&header.headers, request.query.as_deref());
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
        invariants::range(&value, complete);
        memory_is_bounded();
    }

    #[test]
    fn cookies(edits in edits()) {
        invariants::cookie(&mutated(COOKIES, &edits));
        memory_is_bounded();
    }

    #[test]
    fn multipart_bodies(edits in edits(), cut in 1..64_usize) {
        invariants::multipart(&mutated(MULTIPART, &edits), cut);
        memory_is_bounded();
    }

    #[test]
    fn urlencoded_bodies(edits in edits(), cut in 1..64_usize) {
        invariants::urlencoded(&mutated(URLENCODED, &edits), cut);
        memory_is_bounded();
    }

    #[test]
    fn answers_of_cas_servers(seed in prop::sample::select(&CAS_ANSWERS[..]), edits in edits()) {
        let (protocol, kind, text) = seed;
        invariants::cas_answer(protocol, kind, &mutated(text.as_bytes(), &edits));
        memory_is_bounded();
    }

    #[test]
    fn single_logouts(edits in edits()) {
        invariants::logout(&mutated(LOGOUT, &edits));
        memory_is_bounded();
    }

    #[test]
    fn playlists(edits in edits()) {
        invariants::hls(&mutated(HLS, &edits));
        invariants::dash(&mutated(DASH, &edits));
        memory_is_bounded();
    }

    #[test]
    fn names_of_files_from_upstreams(edits in edits()) {
        invariants::accel_name(&mutated(b"/protected/org//lecture%201/%C3%BC.mp4?x=1", &edits));
    }
}

const COOKIES: &[u8] = b"a=1; __Host-janua=s3cret; x=\xfc; \"janua\"=t; JSESSIONID=9\n\
    MoodleSession=7; =janua=u; __Secure-janua-watch=\"p\", b=2;%6aanua-login-1=x; last=z";

const MULTIPART: &[u8] = b"--XyZ\r\nContent-Disposition: form-data; name=\"wsfunction\"\r\n\r\ncore_x\r\n\
    --XyZ\r\nContent-Disposition: form-data; name=\"requests[0][function]\"\r\n\r\ncore_y\r\n\
    --XyZ\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n\
    --Xy\n\r\n--XyZ--\r\n";

const URLENCODED: &[u8] =
    b"wsfunction=core_x&requests%5B0%5D%5Bfunction%5D=core_y&moodlewsrestformat=json&a+b=%C3%BC&c";

const CAS_ANSWERS: [(Protocol, Option<&str>, &str); 4] = [
    (Protocol::Cas1, None, "yes\nanna\n"),
    (
        Protocol::Cas3,
        Some("application/xml;charset=UTF-8"),
        "<?xml version=\"1.0\"?>\n<cas:serviceResponse xmlns:cas=\"http://www.yale.edu/tp/cas\">\
         <cas:authenticationSuccess><cas:user>anna</cas:user><cas:attributes><cas:mail>a&amp;b</cas:mail>\
         <cas:credential>pw</cas:credential></cas:attributes><cas:proxies><cas:proxy>https://a/b</cas:proxy></cas:proxies>\
         </cas:authenticationSuccess></cas:serviceResponse>",
    ),
    (
        Protocol::Cas2,
        Some("text/xml; charset=ISO-8859-1"),
        "<serviceResponse><!-- x --><authenticationSuccess><user> anna\n</user><attribute name='a' value='b'/>\
         </authenticationSuccess></serviceResponse>",
    ),
    (
        Protocol::Cas3,
        None,
        r#"{"serviceResponse":{"authenticationSuccess":{"user":"anna","attributes":{"mail":["a"],"credential":"pw"}}}}"#,
    ),
];

const LOGOUT: &[u8] =
    b"<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"a\" Version=\"2.0\">\
    <saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">@NOT_USED@</saml:NameID>\
    <samlp:SessionIndex>ST-1-abc-cas01</samlp:SessionIndex></samlp:LogoutRequest>";

const HLS: &[u8] =
    b"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",URI=\"../b/a.m3u8?x=1\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\n\
    ../b/v 0.m3u8\r\n#EXTINF:4,\nsegment\nhttps://other.test/a.ts\n//other.test/b.ts\n/static/player/lecture-2/c.ts\n\
    /static/player/lecture-1/d.ts#f\n{$var}/e.ts\n";

const DASH: &[u8] = b"<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" xmlns:xlink=\"http://www.w3.org/1999/xlink\">\
    <Location>manifest.mpd?a=1&amp;b</Location><Period xlink:href='p.xml'><AdaptationSet><SegmentTemplate \
    media=\"$RepresentationID$/$Number$.m4s\" initialization=\"i.mp4\"/><Representation id=\"v0\"><SegmentList>\
    <Initialization sourceURL=\"../i.mp4\"/><SegmentURL media=\"https://other.test/s.m4s\"/></SegmentList>\
    </Representation></AdaptationSet></Period></MPD>";

/// A small logout request may inflate to no more than is looked at.
#[test]
fn a_logout_that_inflates_is_none() {
    let mut packed = ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&LOGOUT.repeat(1 << 16)).unwrap();
    let packed = STANDARD.encode(packed.finish().unwrap());
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("logoutRequest", &packed)
        .finish();
    assert!(logout::logout_query(&query).is_none());
    memory_is_bounded();
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
            invariants::keys(&odd);
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
            invariants::config(&file);
            memory_is_bounded();
            Ok(())
        })
        .unwrap();
}
