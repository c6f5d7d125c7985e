//! The double of Moodle answers as Moodle did: every recorded exchange, sent again, is answered alike.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::double::Double;
use crate::support::http::{Connection, Response, values};
use crate::support::moodle::{Service, Site};
use crate::support::{Moodle, Request};

const ALICE: &str = "45e8d5226f8d38cf5f15767e0d057350";
const BOB: &str = "efa549d048826ff15ff5b91d1706b13b";

/// An exchange as it was written down.
struct Recorded {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    status: u16,
    answer_headers: Vec<(String, String)>,
    answer: String,
}

fn read(path: &Path) -> Recorded {
    let text = fs::read_to_string(path).unwrap();
    let (asked, answered) = text.split_once("\n< HTTP ").unwrap();
    let head = |text: &str, mark: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(mark));
        let pairs = lines.filter_map(|line| line.split_once(": ").or_else(|| line.split_once(':')));
        pairs
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect::<Vec<_>>()
    };
    let (ask_head, body) = asked.split_once("\n\n").unwrap();
    let (answer_head, answer) = answered.split_once("\n\n").unwrap_or((answered, ""));
    let mut words = asked.lines().next().unwrap().split(' ').skip(1);
    let (method, url) = (words.next().unwrap().to_owned(), words.next().unwrap());
    let at = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
    Recorded {
        method,
        target: url[at..].to_owned(),
        headers: head(ask_head, "> "),
        body: unescape(body.trim()),
        status: answer_head[..3].parse().unwrap(),
        answer_headers: head(answer_head, "< "),
        answer: answer.trim().to_owned(),
    }
}

/// Bodies with line ends were written as `b'…'` with escapes.
fn unescape(text: &str) -> Vec<u8> {
    let Some(quoted) = text.strip_prefix("b'").and_then(|text| text.strip_suffix('\'')) else {
        return text.as_bytes().to_vec();
    };
    let mut bytes = Vec::new();
    let mut rest = quoted.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next().unwrap() {
                b'r' => b'\r',
                b'n' => b'\n',
                b'x' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
                }
                other => other,
            },
            other => other,
        });
    }
    bytes
}

/// What the site was like when this was recorded.
fn arrange(name: &str, site: &mut Site) {
    site.give(ALICE, "alice", "moodle_mobile_app");
    site.give(BOB, "bob", "moodle_mobile_app");
    site.secrets.push("16471f4dec9ee9941094278bcbe50d1c".to_owned());
    let own = Service {
        custom: true,
        functions: Some(vec!["core_webservice_get_site_info".to_owned()]),
        ..Service::default()
    };
    site.services.insert("gw_ext".to_owned(), own.clone());
    site.services.insert(
        "gw_restr".to_owned(),
        Service {
            restricted: Some(Vec::new()),
            ..own
        },
    );
    for token in ["acc245e8a79445d6c8fd7f6490952815", "b6c7bfd7fdbd4d90c5e57f53560423ba"] {
        site.give(token, "alice", "gw_ext");
    }
    site.tokens
        .retain(|row| !(row.service == "gw_ext" && name.contains("cannotcreatetoken")));
    let alice = site.accounts.get_mut("alice").unwrap();
    alice.suspended = name.contains("suspended");
    alice.deleted = name.contains("deleted");
    alice.unconfirmed = name.contains("unconfirmed");
    alice.nologin = name.contains("nologin") && name.contains("user_");
    alice.no_rest = name.contains("no_rest_use_cap");
    site.settings.maintenance = name.contains("maintenance");
    site.settings.web_services = !name.contains("webservices_disabled")
        && !name.contains("webservices-disabled")
        && !name.contains("ws_disabled");
    site.settings.rest = !name.contains("rest_disabled");
    site.settings.type_of_login = if name.contains("typeoflogin2") || name.contains("public_config") {
        2
    } else {
        1
    };
    let service = site.services.get_mut("gw_ext").unwrap();
    service.disabled = name.contains("service_disabled");
    service.requires_capability = name.contains("requiredcapability");
    if name.contains("not_on_list") {
        service.restricted = Some(Vec::new());
    }
    for row in &mut site.tokens {
        row.ip_restricted = name.contains("ip_restricted");
        // A token of a session that is over dies like an expired one.
        row.expired = name.contains("sid_bound_no_session") && row.service == "gw_ext";
    }
    if name.contains("sid_bound_second") {
        site.tokens.retain(|row| row.service != "gw_ext");
    }
    for (first, token) in [
        ("expired_first", "0ab17cc3754d9556d9ec202b3920d12c"),
        ("upload_expired_token.", "7b9339f00851ef0bbccb7b422255795b"),
    ] {
        if name.starts_with(first) {
            site.give(token, "alice", "moodle_mobile_app");
            site.tokens.last_mut().unwrap().expired = true;
        }
    }
}

/// A CAS server to which every ticket is alice's.
fn cas() -> Double {
    Double::start(|mut wire| {
        if wire.head().is_ok() {
            let user = "<cas:user>alice</cas:user>";
            let answer = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{user}",
                user.len()
            );
            drop(std::io::Write::write_all(&mut wire.stream, answer.as_bytes()));
        }
    })
}

fn send(moodle: &Moodle, recorded: &Recorded, cookie: Option<&str>) -> Response {
    let url = moodle.url();
    let address = url.trim_start_matches("http://").parse().unwrap();
    let mut request = Request::new(&recorded.method, &recorded.target).host("moodle.test:8443");
    for name in [
        "User-Agent",
        "Content-Type",
        "Range",
        "If-None-Match",
        "Authorization",
        "SOAPAction",
        "Origin",
    ] {
        for value in values(&recorded.headers, name) {
            request = request.header(name, value);
        }
    }
    if let Some(cookie) = cookie.or_else(|| values(&recorded.headers, "cookie").first().copied()) {
        request = request.header("Cookie", cookie);
    }
    if !recorded.body.is_empty() {
        request = request.body(recorded.body.clone());
    }
    Connection::open(address).exchange(request)
}

/// Headers that mean something, without what changes from time to time.
fn meaning(headers: &[(String, String)]) -> BTreeMap<String, Vec<String>> {
    const NAMES: [&str; 12] = [
        "content-type",
        "content-disposition",
        "content-range",
        "access-control-allow-origin",
        "access-control-allow-headers",
        "access-control-expose-headers",
        "location",
        "set-cookie",
        "x-redirect-by",
        "cache-control",
        "pragma",
        "expires",
    ];
    let mut meaning: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let name = name.to_lowercase();
        let values: Vec<String> = match name.as_str() {
            "cache-control" => value.split(", ").map(str::to_owned).collect(),
            // Names and attributes; the rest is new every time.
            "set-cookie" => {
                let (cookie, attributes) = value.split_once(';').unwrap_or((value, ""));
                let (cookie, content) = cookie.split_once('=').unwrap();
                let flags: Vec<&str> = attributes.split("; ").filter(|one| !one.contains("xpires=")).collect();
                vec![format!("{cookie} {} {flags:?}", content == "deleted")]
            }
            "location" => vec![value.split("://token=").next().unwrap().to_owned()],
            _ => vec![value.clone()],
        };
        if NAMES.contains(&name.as_str()) {
            meaning.entry(name).or_default().extend(values);
        }
    }
    meaning.values_mut().for_each(|values| values.sort());
    meaning
}

/// Keys and types; what says which error it is, as it stands.
fn shape(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), shape(key, value)))
            .collect(),
        Value::Array(items) => items.first().map(|first| shape(key, first)).into_iter().collect(),
        Value::String(text) if matches!(key, "exception" | "errorcode" | "appsitecheck") => text.as_str().into(),
        Value::String(text) if matches!(key, "message" | "error") && !text.starts_with("Exception - CAS URL") => {
            text.as_str().into()
        }
        Value::String(_) => "text".into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

fn alike(name: &str, recorded: &Recorded, answer: &Response) {
    assert_eq!(answer.status, recorded.status, "{name}: {}", answer.text());
    assert_eq!(meaning(&answer.headers), meaning(&recorded.answer_headers), "{name}");
    let (was, is) = (recorded.answer.as_str(), answer.text());
    if was.starts_with("[an HTML page") || recorded.method == "HEAD" {
        return;
    }
    if let Some(length) = was.strip_prefix('<').and_then(|text| text.strip_suffix(" bytes>")) {
        return assert_eq!(answer.body.len().to_string(), length, "{name}");
    }
    if was.contains("<definitions") {
        // The whole point of it: the token stands in what anyone may read.
        return assert!(was.contains("?wstoken=b6c7") && is.contains("?wstoken=b6c7"), "{name}");
    }
    // Long answers were cut when they were written down.
    if let Some((begins, _)) = was.split_once("core_badges_get_user_badge_by_hash") {
        return assert!(is.starts_with(begins), "{name}: {is}");
    }
    match (serde_json::from_str::<Value>(was), serde_json::from_str::<Value>(&is)) {
        (Ok(was), Ok(is)) => assert_eq!(shape("", &is), shape("", &was), "{name}"),
        _ => assert_eq!(is.trim(), was, "{name}"),
    }
}

fn folder(name: &str) -> Vec<(String, Recorded)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/recorded/moodle")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), read(path))).collect()
}

#[test]
fn web_services_answer_as_recorded() {
    let exchanges = folder("ws");
    assert!(exchanges.len() > 80);
    for (name, recorded) in exchanges {
        let moodle = Moodle::start();
        arrange(&name, &mut moodle.site());
        alike(&name, &recorded, &send(&moodle, &recorded, None));
    }
}

/// Those that need a session follow on those that make it; what CAS answered is not for this double.
#[test]
fn sign_in_answers_as_recorded() {
    let cas = cas();
    for (name, recorded) in folder("bridge")
        .into_iter()
        .filter(|(name, _)| !name.contains("-cas-login"))
    {
        let moodle = Moodle::start();
        arrange(&name, &mut moodle.site());
        moodle.site().settings.cas = (!name.contains("ticket-reused")).then(|| format!("http://{}/cas", cas.address));
        let web_services = std::mem::replace(&mut moodle.site().settings.web_services, true);
        let before = match name.as_str() {
            "B3-GET-login-index-logged-in.txt" | "B4-GET-launch.txt" => {
                Some("GET /login/index.php?authCAS=CAS&ticket=ST-1")
            }
            name if name.starts_with("A3") || (name.starts_with("A-err") && !name.contains("ticket")) => {
                Some("POST /login/token.php?ticket=ST-1")
            }
            _ => None,
        };
        let mut cookie = before.map(|line| cookie_after(&moodle, line, None));
        if name.starts_with("B4") {
            cookie = Some(cookie_after(
                &moodle,
                "GET /login/index.php?authCAS=CAS",
                cookie.as_deref(),
            ));
        }
        moodle.site().settings.web_services = web_services;
        alike(&name, &recorded, &send(&moodle, &recorded, cookie.as_deref()));
    }
}

fn cookie_after(moodle: &Moodle, line: &str, cookie: Option<&str>) -> String {
    let (method, target) = line.split_once(' ').unwrap();
    let recorded = Recorded {
        method: method.to_owned(),
        target: target.to_owned(),
        headers: vec![(
            "Content-Type".to_owned(),
            "application/x-www-form-urlencoded".to_owned(),
        )],
        body: if method == "POST" {
            b"username=alice&password=x&service=moodle_mobile_app".to_vec()
        } else {
            Vec::new()
        },
        status: 0,
        answer_headers: Vec::new(),
        answer: String::new(),
    };
    let answer = send(moodle, &recorded, cookie);
    let cookie = answer.all("set-cookie")[0].split(';').next().unwrap().to_owned();
    assert!(cookie.to_lowercase().contains("sess"), "{cookie}");
    cookie
}
