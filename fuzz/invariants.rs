//! What must hold of whatever outsiders send, as functions of bytes: `fuzz_targets/` calls them with what a fuzzer makes
//! up, `tests/properties.rs` with mutated examples. Where another server reads the same bytes, it is modelled as a careless
//! one: what the gateway calls harmless must be so to a parser that finds more than the standard says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "what does not hold panics")]
#![allow(dead_code, reason = "each target of the fuzzer calls one of them")]

use std::path::Path as FilePath;

use http::{HeaderMap, HeaderValue, header};
use janua::act::{file, playlist};
use janua::authenticate::token::offline;
use janua::config::load_with;
use janua::config::{FunctionPattern, FunctionRule};
use janua::gateway::accel;
use janua::headers::cookies;
use janua::listen::intake;
use janua::moodle::request::Refusal;
use janua::moodle::request::functions::Permit;
use janua::moodle::request::multipart::Multipart;
use janua::moodle::request::urlencoded::{Form, Wanted};
use janua::request::Request;
use janua::route::path::Path;
use janua::sign_in::cas::{Answer, Protocol, answer, logout};
use percent_encoding::percent_decode;
use pingora::http::RequestHeader;
use url::Url;

/// A request that is accepted has one path, and nothing in it leads upwards.
pub fn request(header: &RequestHeader, raw: Option<&[u8]>) -> Option<Request> {
    let request = intake::take(header, raw).ok()?;
    assert!(!request.host.is_empty() && request.raw_path.starts_with('/'));
    if let Ok(path) = Path::parse(&request.raw_path) {
        assert!(leads_nowhere_up(path.decoded()), "{}", path.decoded());
        assert!(path.encoded().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    Some(request)
}

/// The ranges of a `Range` header lie within the file, apart from each other, and are few.
pub fn range(value: &[u8], complete: u64) {
    let ranges = file::ranges(value, complete).unwrap_or_default();
    assert!(ranges.len() <= 16);
    assert!(ranges.iter().all(|(start, end)| start < end && *end <= complete));
    assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
}

/// A key set without a usable key is none.
pub fn keys(text: &[u8]) {
    if let Ok(found) = offline::read_keys(text) {
        assert!(!found.usable.is_empty());
    }
}

/// What is said about a gateway.toml, good or not, can be said.
pub fn config(file: &FilePath) {
    match load_with(file, &|_| Some("value".to_owned())) {
        Ok(loaded) => drop(loaded.warnings.to_string()),
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// The `Cookie` fields of a request, one a line: nothing that goes to an upstream is a cookie of the gateway's, not to nginx,
/// which separates by commas too and compares without regard to case, nor to a reader that decodes and unquotes names. Every
/// plain cookie of somebody else's goes on, and in one field.
pub fn cookie(lines: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        if let Ok(line) = HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, line);
        }
    }
    let came: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    let goes: Vec<HeaderValue> = match cookies::must_change(&headers) {
        true => cookies::foreign(&headers).into_iter().collect(),
        false => came.clone(),
    };
    assert!(goes.len() <= 1, "{goes:?}");
    let goes = goes.first().map_or(&b""[..], HeaderValue::as_bytes);
    for pair in goes.split(|byte| matches!(byte, b';' | b',')) {
        let blank = |text: &&[u8]| text.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b'"');
        let mut names = pair.split(|byte| *byte == b'=');
        let before = names.find(|name| !blank(name)).unwrap_or_default();
        let name: Vec<u8> = percent_decode(before)
            .filter(|byte| *byte > b' ' && *byte != b'"')
            .collect();
        let name = name.to_ascii_lowercase();
        let beginnings: [&[u8]; 3] = [b"__host-janua", b"__secure-janua", b"janua-"];
        let is_own = name == b"janua" || beginnings.iter().any(|beginning| name.starts_with(beginning));
        assert!(!is_own, "{}", goes.escape_ascii());
    }
    let plain = |pair: &&[u8]| {
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
        let theirs = !name.to_ascii_lowercase().windows(5).any(|part| part == b"janua");
        let letters = |text: &[u8]| text.iter().all(u8::is_ascii_alphanumeric);
        !name.is_empty() && theirs && letters(name) && letters(value.get(1..).unwrap_or_default())
    };
    let pairs = |line: &[u8]| -> Vec<Vec<u8>> {
        let pairs = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        pairs.filter(plain).map(<[u8]>::to_vec).collect()
    };
    let all: Vec<_> = came.iter().flat_map(|line| pairs(line.as_bytes())).collect();
    assert_eq!(pairs(goes), all);
}

/// The boundary of [`multipart`].
pub const BOUNDARY: &str = "XyZ";
/// The token that the gateway puts in.
const TOKEN: &str = "wstoken=T0K3N";

/// A multipart body that is let through is unchanged, names one function, which is the one that was judged, calls no other
/// one that may not be called, and brings no token: to a reader that takes line feeds for line ends, a boundary anywhere at
/// the beginning of a line, and names without quotes.
pub fn multipart(body: &[u8], cut: usize) {
    let scanner =
        || Multipart::new(&format!("multipart/form-data; boundary={BOUNDARY}")).map(|new| new.calling(None, permit()));
    let mut whole = scanner().unwrap();
    let sent = in_pieces(body, body.len().max(1), |piece| whole.push(piece));
    let sent = sent.and_then(|sent| Ok([sent, whole.finish()?.to_vec()].concat()));
    let mut cut_up = scanner().unwrap();
    let again = in_pieces(body, cut.max(1), |piece| cut_up.push(piece));
    let again = again.and_then(|sent| Ok([sent, cut_up.finish()?.to_vec()].concat()));
    assert_eq!(sent.is_ok(), again.is_ok(), "{}", body.escape_ascii());
    let Ok(sent) = sent else { return };
    assert_eq!((&sent[..], &again.unwrap()[..]), (body, body));
    let called = whole.function().unwrap();
    judged(parts(body), called, &[]);
}

/// The same of an urlencoded body, which the token stands around.
pub fn urlencoded(body: &[u8], cut: usize) {
    let form = || {
        Form::new(Wanted {
            token: Some(TOKEN.to_owned()),
            function: None,
            permit: Some(permit()),
        })
    };
    let mut whole = form();
    let sent = in_pieces(body, body.len().max(1), |piece| whole.push(piece));
    let sent = sent.and_then(|sent| Ok([sent, whole.finish()?.to_vec()].concat()));
    let mut cut_up = form();
    let again = in_pieces(body, cut.max(1), |piece| cut_up.push(piece));
    let again = again.and_then(|sent| Ok([sent, cut_up.finish()?.to_vec()].concat()));
    assert_eq!(sent.is_ok(), again.is_ok(), "{}", body.escape_ascii());
    let Ok(sent) = sent else { return };
    let token = TOKEN.as_bytes();
    assert_eq!(sent, [token, b"&", body, b"&", token].concat());
    assert_eq!(again.unwrap(), sent);
    let pairs = sent.split(|byte| *byte == b'&').map(|pair| {
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len()));
        let decoded = |text: &[u8]| -> Vec<u8> {
            let spaced: Vec<u8> = text
                .iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect();
            percent_decode(&spaced).collect()
        };
        (decoded(name), decoded(value.get(1..).unwrap_or_default()))
    });
    judged(pairs.collect(), whole.function().unwrap(), b"T0K3N");
}

fn permit() -> Permit {
    let rule = FunctionRule {
        names: ["core_*", "tool_mobile_call_external_functions"]
            .map(|name| FunctionPattern::parse(name).unwrap())
            .into(),
        roles: None,
    };
    struct Nothing;
    impl janua::config::pattern::Params for Nothing {
        fn get(&self, _: &str) -> Option<&str> {
            None
        }
    }
    Permit::new(Some(&[rule]), &[], &Nothing)
}

fn in_pieces(
    body: &[u8],
    length: usize,
    mut push: impl FnMut(&[u8]) -> Result<bytes::Bytes, Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let pieces = body.chunks(length).map(&mut push);
    Ok(pieces.collect::<Result<Vec<_>, _>>()?.concat())
}

/// Parameters as PHP would come to know them: nothing but `token` is a token, all functions may be called.
fn judged(parameters: Vec<(Vec<u8>, Vec<u8>)>, called: &str, token: &[u8]) {
    let mut functions = 0;
    for (name, value) in parameters {
        // PHP skips spaces before a name, and nothing else.
        let spaces = name.iter().take_while(|byte| **byte == b' ').count();
        let name = name[spaces..].split(|byte| *byte == 0).next().unwrap();
        let told = || format!("{}={}", name.escape_ascii(), value.escape_ascii());
        match name.split(|byte| *byte == b'[').next().unwrap() {
            b"wstoken" | b"token" => assert!(!token.is_empty() && value == token, "{}", told()),
            b"wsfunction" => {
                functions += 1;
                assert!(
                    value == called.as_bytes() && called.starts_with("core_") || called.starts_with("tool_"),
                    "{}",
                    told()
                );
            }
            b"requests" if name.windows(10).any(|part| part == b"[function]") => {
                assert!(value.starts_with(b"core_"), "{}", told());
            }
            _ => {}
        }
    }
    assert_eq!(functions, 1, "{called}");
}

/// Names and contents of parts, found generously.
fn parts(body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text: String = body.iter().map(|byte| char::from(*byte)).collect();
    let text = text.replace("\r\n", "\n");
    let delimiter = format!("\n--{BOUNDARY}");
    let text = format!("\n{text}");
    let parts = text.split(delimiter.as_str()).filter_map(|part| {
        let (head, content) = part.split_once("\n\n")?;
        let head = head.to_ascii_lowercase().replace("filename", "");
        let (_, name) = head.split_once("name")?;
        let name = name.trim_start().strip_prefix('=')?.trim_start();
        let name = match name.strip_prefix('"') {
            Some(quoted) => quoted.split('"').next()?,
            None => name
                .split(|letter: char| letter == ';' || letter.is_whitespace())
                .next()?,
        };
        Some((
            name.bytes().collect(),
            content.chars().map(|letter| letter as u8).collect(),
        ))
    });
    parts.collect()
}

/// An answer of a CAS server: a success names one person, as names are; no document with a type of its own is one.
pub fn cas_answer(protocol: Protocol, kind: Option<&str>, body: &[u8]) {
    let Ok(Answer::Success(principal)) = answer::parse(protocol, kind, body) else {
        return;
    };
    let user = &principal.user;
    assert!(!user.is_empty() && user.trim() == user && user.len() <= 256, "{user:?}");
    assert!(!user.contains(char::is_control), "{user:?}");
    assert!(principal.attributes.get("credential").is_empty());
    let is_xml = body.trim_ascii_start().starts_with(b"<") && protocol != Protocol::Cas1;
    assert!(!is_xml || !has_document_type(body), "{}", body.escape_ascii());
}

/// A single logout by its form and by its query: what ends is a ticket that stands in it; nothing large or with a document
/// type of its own counts.
pub fn logout(text: &[u8]) {
    let encoded: String = form_urlencoded::byte_serialize(text).collect();
    let form = "application/x-www-form-urlencoded";
    for given in [text, format!("logoutRequest={encoded}").as_bytes()] {
        let by_form = logout::logout_request(Some(form), given);
        let by_query = std::str::from_utf8(given).ok().and_then(logout::logout_query);
        for index in by_form.iter().chain(&by_query).flatten() {
            let ticket = index.as_str();
            assert!(
                ["ST-", "PT-", "PGT-"]
                    .iter()
                    .any(|beginning| ticket.starts_with(beginning))
            );
            assert!(ticket.bytes().all(|byte| byte.is_ascii_graphic()) && ticket.len() <= 512);
            assert!(given.len() <= logout::MAX_BYTES && !has_document_type(text));
        }
    }
}

/// Does a document type stand there, with nothing about that could make it mere text?
fn has_document_type(text: &[u8]) -> bool {
    find(text, b"<!DOCTYPE") && !find(text, b"<!--") && !find(text, b"CDATA")
}

/// Where a lecture's files lie, and what its playlists' addresses get.
const HERE: &str = "https://video.test/static/player/lecture-1/a/master";
const LECTURE: &str = "/static/player/lecture-1/";
const PASS: &str = "watch=P-1_x";

/// A playlist: whatever gets the pass leads to the lecture, every plain name beside it gets the pass, the rest stays as it
/// is, and once is enough.
pub fn hls(text: &[u8]) {
    if find(text, b"watch=") {
        return;
    }
    let Some(written) = rewritten(playlist::Kind::M3u8, text) else {
        return;
    };
    assert!(only_adds(&written, text), "{}", written.escape_ascii());
    assert_eq!(rewritten(playlist::Kind::M3u8, &written), Some(written.clone()));
    leads_to_the_lecture(&written, &["\n", "URI=\""]);
    for line in written.split(|byte| *byte == b'\n').skip(1) {
        let name = line.trim_ascii();
        let is_plain = name.iter().all(|byte| byte.is_ascii_alphanumeric());
        assert!(name.is_empty() || !is_plain, "{}", written.escape_ascii());
    }
}

/// The same of a manifest of DASH, where entities may be written in another way.
pub fn dash(text: &[u8]) {
    if find(text, b"watch=") {
        return;
    }
    let Some(written) = rewritten(playlist::Kind::Mpd, text) else {
        return;
    };
    let plain =
        |text: &[u8]| quick_xml::escape::unescape(&String::from_utf8_lossy(text)).map(std::borrow::Cow::into_owned);
    if let Ok(before) = plain(text) {
        let after = plain(&written).unwrap();
        assert!(only_adds(after.as_bytes(), before.as_bytes()), "{after}");
    }
    assert_eq!(rewritten(playlist::Kind::Mpd, &written), Some(written.clone()));
    if !find(text, b"BaseURL") {
        leads_to_the_lecture(&written, &["=\"", "='", ">"]);
    }
}

fn rewritten(kind: playlist::Kind, text: &[u8]) -> Option<Vec<u8>> {
    let here = Url::parse(HERE).unwrap();
    let context = playlist::RewriteContext {
        here: &here,
        also_here: None,
        parameter: PASS,
        covers: &|path| path.starts_with(LECTURE) && !path.contains('%'),
    };
    playlist::rewrite(kind, text, &context)
}

/// Is `written` the text with passes put in, each as a query or behind one, and nothing else?
fn only_adds(written: &[u8], text: &[u8]) -> bool {
    // How much of the text may have been met so far: a `?` before a pass may have been there.
    let mut met = vec![0];
    let mut rest = written;
    loop {
        let end = memchr::memmem::find(rest, PASS.as_bytes());
        let piece = &rest[..end.unwrap_or(rest.len())];
        let bare = piece.strip_suffix(b"?").or_else(|| piece.strip_suffix(b"&"));
        let pieces = [Some(piece), bare.filter(|_| end.is_some())];
        let after = |from: &usize| {
            pieces.map(|piece| {
                piece
                    .filter(|piece| text[*from..].starts_with(piece))
                    .map(|piece| from + piece.len())
            })
        };
        met = met.iter().flat_map(after).flatten().collect();
        match end {
            Some(end) => rest = &rest[end + PASS.len()..],
            None => return met.contains(&text.len()),
        }
    }
}

/// Every address with a pass leads to the lecture, from one of the `beginnings` that an address may have.
fn leads_to_the_lecture(written: &[u8], beginnings: &[&str]) {
    let text = String::from_utf8_lossy(written);
    let here = Url::parse(HERE).unwrap();
    for (at, _) in text.match_indices(PASS) {
        let leads = |beginning: &&str| {
            let address = text[..at].rsplit(beginning).next().unwrap_or_default();
            let address = quick_xml::escape::unescape(address).unwrap_or(address.into());
            let url = here.join(address.trim());
            url.is_ok_and(|url| url.origin() == here.origin() && url.path().starts_with(LECTURE))
        };
        assert!(beginnings.iter().any(leads), "{text}");
    }
}

fn find(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// The name in an `X-Accel-Redirect`: what is followed is what nginx would come to, below the prefix and without a way up.
pub fn accel_name(name: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(name) else {
        return;
    };
    let Some(path) = accel::below(&value, "/protected") else {
        return;
    };
    let address = name.split(|byte| *byte == b'?').next().unwrap_or_default();
    let decoded: Vec<u8> = percent_decode(address).collect();
    let segments = |path: &[u8]| -> Vec<Vec<u8>> {
        let segments = path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
        segments.map(<[u8]>::to_vec).collect()
    };
    assert_eq!(
        segments(&decoded),
        segments(format!("/protected{path}").as_bytes()),
        "{path}"
    );
    assert!(
        path.starts_with('/') && leads_nowhere_up(&path) && !path.contains('\0'),
        "{path}"
    );
}

fn leads_nowhere_up(path: &str) -> bool {
    path.split('/').all(|segment| segment != ".." && segment != ".")
}
