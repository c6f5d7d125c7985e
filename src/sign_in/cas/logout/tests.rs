use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
const RECORDED_FORM: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/cas/logout-request.form"
));
const RECORDED: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/recorded/cas/logout-request.xml"
));
const INDEX: &str = "ST-DruXReMnEG6UDhXSxKltiTpZuGhaD8bfdwrO2lPHg2wAa9X0ov7lFITut0F23";

/// As Apereo's servers write it.
const APEREO: &str = "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"LR-1\" Version=\"2.0\" \
    IssueInstant=\"2026-11-20T21:50:24Z\"><saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">@NOT_USED@\
    </saml:NameID><samlp:SessionIndex>ST-1-a.cas01</samlp:SessionIndex></samlp:LogoutRequest>";

fn form(request: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("logoutRequest", request)
        .finish()
}

fn joined(ended: &[SessionIndex]) -> String {
    let all: Vec<&str> = ended.iter().map(SessionIndex::as_str).collect();
    all.join(" ")
}

fn posted(request: &str) -> Option<String> {
    logout_request(FORM, form(request).as_bytes()).map(|ended| joined(&ended))
}

fn zlib(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn deflated(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn called(packed: &[u8]) -> Option<String> {
    let query = form(&STANDARD.encode(packed));
    logout_query(&query).map(|ended| joined(&ended))
}

#[test]
fn recorded_requests_name_their_ticket() {
    let index = logout_request(FORM, RECORDED_FORM.as_bytes()).unwrap();
    assert_eq!(joined(&index), INDEX);
    assert_eq!(format!("{index:?}"), "[SessionIndex(…)]");
    assert!(posted(RECORDED).unwrap().starts_with("PGT-"));
    assert_eq!(posted(APEREO).as_deref(), Some("ST-1-a.cas01"));
    let with_charset = Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8");
    let further = format!("RelayState=x&{}&callback=y", form(APEREO));
    assert!(logout_request(with_charset, further.as_bytes()).is_some());
}

#[test]
fn a_request_may_come_as_bare_xml() {
    for kind in ["application/xml", "Text/XML; charset=utf-8"] {
        let ended = logout_request(Some(kind), APEREO.as_bytes()).map(|ended| joined(&ended));
        assert_eq!(ended.as_deref(), Some("ST-1-a.cas01"), "{kind}");
        assert!(logout_request(Some(kind), form(APEREO).as_bytes()).is_none());
        assert!(logout_request(Some(kind), b"<a/>").is_none());
    }
    assert!(logout_request(Some("text/plain"), APEREO.as_bytes()).is_none());
    let (before, after) = APEREO.split_once("@NOT_USED@").unwrap();
    let latin = [
        b"<?xml version='1.0' encoding='ISO-8859-1'?>",
        before.as_bytes(),
        b"M\xfcller",
        after.as_bytes(),
    ];
    let ended = logout_request(Some("text/xml"), &latin.concat()).map(|ended| joined(&ended));
    assert_eq!(ended.as_deref(), Some("ST-1-a.cas01"));
    assert!(logout_request(Some("text/xml"), &b" ".repeat(MAX_BYTES + 1)).is_none());
}

#[test]
fn the_namespace_does_not_count() {
    for request in [
        // As RubyCAS-Server writes it.
        "<samlp:LogoutRequest ID=\"a\" Version=\"2.0\" IssueInstant=\"2026-11-20\">\n<saml:NameID></saml:NameID>\n\
         <samlp:SessionIndex>ST-1-a.cas01</samlp:SessionIndex>\n</samlp:LogoutRequest>",
        "<LogoutRequest><SessionIndex>ST-1-a.cas01</SessionIndex></LogoutRequest>",
        &APEREO.replace("SAML:2.0:protocol", "SAML:1.0:protocol"),
    ] {
        assert_eq!(posted(request).as_deref(), Some("ST-1-a.cas01"), "{request}");
        let untyped = logout_request(None, form(request).as_bytes());
        assert!(untyped.is_some(), "{request}");
    }
}

#[test]
fn a_request_may_end_several_sessions() {
    let with = |further: usize| {
        let further = "<samlp:SessionIndex>ST-2</samlp:SessionIndex>".repeat(further);
        APEREO.replace("<samlp:SessionIndex>", &format!("{further}<samlp:SessionIndex>"))
    };
    assert_eq!(posted(&with(1)).as_deref(), Some("ST-2 ST-1-a.cas01"));
    assert!(posted(&with(MAX_SESSIONS - 1)).is_some());
    assert!(posted(&with(MAX_SESSIONS)).is_none());
}

#[test]
fn the_front_channel_may_deflate() {
    assert_eq!(called(&zlib(APEREO)).as_deref(), Some("ST-1-a.cas01"));
    assert_eq!(called(&deflated(APEREO)).as_deref(), Some("ST-1-a.cas01"));
    assert_eq!(joined(&logout_query(&form(APEREO)).unwrap()), "ST-1-a.cas01");
    // A server that does not escape base64's `+` in a query.
    let packed = (0..100)
        .map(|number| STANDARD.encode(deflated(&APEREO.replace("LR-1", &format!("LR-{number}")))))
        .find(|packed| packed.contains('+'))
        .unwrap();
    assert!(logout_query(&format!("callback=x&logoutRequest={packed}")).is_some());
}

#[test]
fn what_is_no_logout_request_ends_nothing() {
    for body in [
        "",
        "logoutRequest=",
        "logoutRequest=x",
        "logoutrequest=x",
        "a=b",
        RECORDED,
    ] {
        assert!(logout_request(FORM, body.as_bytes()).is_none(), "{body}");
    }
    assert!(logout_request(Some("text/xml"), RECORDED_FORM.as_bytes()).is_none());
    let twice = format!("{RECORDED_FORM}&{}", form(APEREO));
    assert!(logout_request(FORM, twice.as_bytes()).is_none());
    for (from, to) in [
        ("samlp:LogoutRequest", "samlp:LogoutResponse"),
        ("samlp:SessionIndex", "samlp:NotUsed"),
        ("<samlp:LogoutRequest", "<!DOCTYPE x><samlp:LogoutRequest"),
        ("ST-1-a.cas01", ""),
        ("ST-1-a.cas01", "alice"),
        ("ST-1-a.cas01", "ST-1 ST-2"),
        ("ST-1-a.cas01", "<samlp:x/>ST-1"),
        (
            "<samlp:SessionIndex>",
            "<samlp:SessionIndex>alice</samlp:SessionIndex><samlp:SessionIndex>",
        ),
        (
            "<samlp:SessionIndex>",
            "<samlp:Extensions><samlp:SessionIndex>ST-2</samlp:SessionIndex>",
        ),
        ("</samlp:LogoutRequest>", ""),
    ] {
        let odd = APEREO.replace(from, to);
        assert_ne!(odd, APEREO, "{from}");
        assert_eq!(posted(&odd), None, "{odd}");
        assert_eq!(called(&zlib(&odd)), None, "{odd}");
    }
}

#[test]
fn sizes_are_bounded_before_and_after_inflating() {
    let padded = |size: usize| APEREO.replace("@NOT_USED@", &"x".repeat(size));
    assert!(posted(&padded(10_000)).is_some());
    assert!(posted(&padded(MAX_BYTES)).is_none());
    assert!(called(&zlib(&padded(10_000))).is_some());
    let bomb = zlib(&padded(10 << 20));
    assert!(bomb.len() < MAX_BYTES, "it looks small: {}", bomb.len());
    assert!(called(&bomb).is_none());
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        drop(logout_request(FORM, &bytes));
        drop(logout_query(&text));
        drop(posted(&text));
        drop(called(&bytes));
    }
}
