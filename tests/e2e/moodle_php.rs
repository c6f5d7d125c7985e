//! What PHP itself makes of requests that went through the injection: the injected token and the allowed function, or
//! the request was refused.

use std::io::Write as _;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use janua::config::pattern::Params;
use janua::config::{FunctionPattern, FunctionRule};
use janua::moodle::request::functions::Permit;
use janua::moodle::request::inject::{Head, plan};
use janua::moodle::token::Token;
use serde_json::{Value, json};

use crate::support::tools::missing;

const TOKEN: &str = "45e8d5226f8d38cf5f15767e0d057350";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=BoUnDaRy";
const SCRIPT: &str = "<?php $all = array_merge($_GET, $_POST); echo json_encode(['token' => $all['wstoken'] ?? null, \
                      'other' => $all['token'] ?? null, 'function' => $all['wsfunction'] ?? null]);";

struct Nobody;

impl Params for Nobody {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// What Moodle would read, or `None` if the request is refused.
fn through(script: &std::path::Path, method: Method, query: &str, content_type: &str, body: &str) -> Option<Value> {
    let rules = [FunctionRule {
        names: vec![FunctionPattern::parse("core_*").unwrap()],
        roles: None,
    }];
    let permit = Permit::new(Some(&rules), &[], &Nobody);
    let mut headers = HeaderMap::new();
    if method == Method::POST {
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    }
    let head = Head {
        path: "/webservice/rest/server.php",
        method: &method,
        query: Some(query),
        headers: &headers,
    };
    let plan = plan(&head, permit).ok()?;
    let token = Token::parse(TOKEN).unwrap();
    let changes = plan.changes(&token);
    let mut transformer = plan.body(&token).unwrap();
    let mut sent = Vec::new();
    for piece in body.as_bytes().chunks(7) {
        sent.extend(transformer.push(Bytes::copy_from_slice(piece)).ok()?);
    }
    sent.extend(transformer.finish().ok()?);
    let new_type = changes.head.set.iter().find(|(name, _)| *name == header::CONTENT_TYPE);
    let content_type = new_type.map_or(content_type, |(_, value)| value.to_str().unwrap());
    Some(php(
        script,
        changes.method.as_str(),
        &changes.query.unwrap_or_default(),
        content_type,
        &sent,
    ))
}

fn php(script: &std::path::Path, method: &str, query: &str, content_type: &str, body: &[u8]) -> Value {
    let mut php = Command::new("php-cgi")
        .env_clear()
        .envs([
            ("REDIRECT_STATUS", "1"),
            ("REQUEST_METHOD", method),
            ("QUERY_STRING", query),
        ])
        .envs([
            ("CONTENT_TYPE", content_type),
            ("CONTENT_LENGTH", &body.len().to_string()),
        ])
        .env("SCRIPT_FILENAME", script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    php.stdin.take().unwrap().write_all(body).unwrap();
    let output = php.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, json) = text.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Pieces of requests that look like trouble, put together at random.
fn trouble(pieces: &[&str], separator: &str) -> String {
    let count = rand::random_range(0..5);
    let chosen = (0..count).map(|_| pieces[rand::random_range(0..pieces.len())]);
    chosen.collect::<Vec<_>>().join(separator)
}

fn part(name: &str) -> String {
    format!("--BoUnDaRy\r\nContent-Disposition: form-data; {name}\r\n\r\nevil\r\n")
}

#[test]
fn php_reads_the_injected_token_and_the_allowed_function() {
    if missing("php-cgi") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("names.php");
    std::fs::write(&script, SCRIPT).unwrap();
    let pairs = [
        "a=1",
        "wstoken=evil",
        "%20wstoken=evil",
        "+token=evil",
        "ws%74oken=evil",
        "wstoken%00x=evil",
        "wstoken[]=evil",
        "wstoken%5B=evil",
        "wsfunction=mod_evil",
        "+wsfunction=core_b",
        "wsfunction[]=x",
        "WSTOKEN=x",
        "wstoken%20=x",
        "%09wstoken=x",
        "wstoken.=x",
        "b[wstoken]=x",
        "=wstoken",
        "",
        "%=1",
        "a;wstoken=x",
        "token%2500=x",
        "%2574oken=x",
        "_wstoken=1",
        "\0wstoken=1",
        "wstoken\0=evil",
        "wsfunction",
        "[wstoken=x",
        "[wsfunction]=x",
    ];
    let parts = [
        part("name=\"a\""),
        part("name=\"wstoken\""),
        part("name=\" token\""),
        part("name=wstoken"),
        part("name=\"a\"; name=\"wstoken\""),
        part("name=\"a]\"; filename=\"x\""),
        part("name=\"x'; name=wstoken; y='\""),
        part("name=\"a\"\r\n; name=\"wstoken\""),
        part("x=\"; name=\"wstoken\"; y=\"\""),
        part("name=\"a\"; filename=\"--BoUnDaRy\"")
            .replace("evil", &format!("{}{}", "y".repeat(5120 - 4), part("name=\"wstoken\""))),
        part("name=\"wsfunction\""),
        part("name=\"a\"").replace("\r\n\r\n", "\n\n"),
        part("name=\"a\0\"; name=\"wstoken\""),
        "\r\n".to_owned(),
        "--BoUnDaRy--\r\n".to_owned(),
        part("name=\"wstoken.\""),
        part("name=\"wsfunction \""),
        part("name=\"a\\\"; name=\"wstoken\""),
    ];
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let expected = json!({ "token": TOKEN, "other": null, "function": "core_a" });
    let mut passed = [0; 3];
    for round in 0..240 {
        let (method, query, content_type, body) = match round % 3 {
            0 => (
                Method::GET,
                format!("{}&wsfunction=core_a", trouble(&pairs, "&")),
                "",
                String::new(),
            ),
            1 => (
                Method::POST,
                String::new(),
                FORM,
                format!("wsfunction=core_a&{}", trouble(&pairs, "&")),
            ),
            _ => (
                Method::POST,
                "wsfunction=core_a".to_owned(),
                MULTIPART,
                trouble(&parts, "") + &part("name=\"end\"") + "--BoUnDaRy--\r\n",
            ),
        };
        if query.contains('\0') {
            continue;
        }
        if let Some(read) = through(&script, method, &query, content_type, &body) {
            assert_eq!(read, expected, "{query:?} {body:?}");
            passed[round % 3] += 1;
        }
    }
    assert!(
        passed.iter().all(|passed| *passed > 5),
        "what is harmless goes through: {passed:?}"
    );
}
