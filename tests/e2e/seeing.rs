//! What an operator sees: metrics, health, the access log.

use std::io::{Read as _, Write as _};

use serde_json::Value;

use crate::support::gateway::LOG_FILE;
use crate::support::{Config, Connection, Request, Signer, Site, Upstream, eventually};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

#[test]
fn metrics_tell_what_happened() {
    let (site, signer, zoo) = (Site::with_lecture(), Signer::new(), Upstream::start());
    let config = Config::media(&site, &signer)
        .upstream("zoo", &[zoo.url()], "")
        .section("[[routes]]\nname = \"up\"\npath = \"/up\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\n");
    let gateway = site.start(&config);
    let token = signer.read("lecture-1");
    gateway.get_with(PATH, &token).expect(200);
    gateway.get_with(PATH, &token).expect(200);
    gateway.get(PATH).expect(401);
    gateway.get("/nowhere").expect(404);
    gateway.send(Request::new("POST", "/up").body("hello")).expect(200);
    let expected = [
        (r#"janua_requests_total{method="GET",route="media",status="2xx"}"#, 2.0),
        (r#"janua_requests_total{method="GET",route="media",status="4xx"}"#, 1.0),
        (r#"janua_requests_total{method="GET",route="-",status="4xx"}"#, 1.0),
        (r#"janua_requests_total{method="POST",route="up",status="2xx"}"#, 1.0),
        (
            r#"janua_decisions_total{outcome="allow",reason="none",route="media"}"#,
            2.0,
        ),
        (
            r#"janua_decisions_total{outcome="deny",reason="no_credentials",route="media"}"#,
            1.0,
        ),
        (r#"janua_bytes_total{direction="in",route="up"}"#, 5.0),
        (r#"janua_token_cache_total{result="hit"}"#, 1.0),
        (r#"janua_token_cache_total{result="miss"}"#, 1.0),
        (r#"janua_keyset_keys{issuer="moodle"}"#, 1.0),
        (r#"janua_request_seconds_count{route="media"}"#, 3.0),
        (r#"janua_upstream_seconds_count{upstream="zoo"}"#, 1.0),
        ("janua_panics_total", 0.0),
    ];
    for (series, value) in expected {
        // A request is counted when it has ended, which may be a moment after its last byte.
        let last = eventually(series, || gateway.metric(series).filter(|now| *now >= value));
        assert!((last - value).abs() < f64::EPSILON, "{series}: {last}, not {value}");
    }
    assert!(
        gateway
            .metric(r#"janua_bytes_total{direction="out",route="media"}"#)
            .unwrap()
            >= 2000.0
    );
    assert!(
        gateway
            .metric(r#"janua_keyset_fetched_timestamp_seconds{issuer="moodle"}"#)
            .unwrap()
            > 1e9
    );
    let text = gateway.admin("/metrics").expect(200).text();
    assert!(text.contains("janua_build_info{"));
    assert!(text.contains("janua_connections_open "));
    assert!(!text.contains(&token[..20]));
}

/// The word of a refusal is the same in the answer, the log and the metrics, also after the rules have allowed a request.
#[test]
fn what_fails_after_the_rules_counts_under_its_own_reason() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let route = |name: &str, more: &str| {
        format!("[[routes]]\nname = \"{name}\"\npath = \"/{name}\"\nallow = [{{ anyone = true }}]\n{more}\n")
    };
    let config = Config::media(&site, &signer)
        .upstream("away", &["http://127.0.0.1:1".to_owned()], "")
        .section(&route("up", "upstream = \"away\""))
        .section(&route(
            "slow",
            "respond = { status = 204 }\nlimits = { rate = \"1/m\" }",
        ));
    let gateway = site.start(&config);
    let token = signer.read("lecture-1");
    gateway
        .get_with("/static/org/player/lecture-1/none.mp4", &token)
        .refused(404, "file_not_found");
    gateway.get("/up").refused(502, "upstream_unavailable");
    while gateway.get("/slow").status == 204 {}
    for (route, reason) in [
        ("media", "file_not_found"),
        ("up", "upstream_unavailable"),
        ("slow", "rate_limited"),
    ] {
        let series = format!("janua_decisions_total{{outcome=\"allow\",reason=\"{reason}\",route=\"{route}\"}}");
        eventually(&series, || gateway.metric(&series).filter(|count| *count >= 1.0));
        gateway.logged(&[&format!("reason={reason}")]);
    }
}

/// As a browser does at each seek: from disk and from an upstream.
#[test]
fn a_client_that_leaves_is_no_defect_of_the_gateway() {
    let site = Site::with_lecture();
    let large = site.write("large/large.mp4", "");
    let file = std::fs::File::options().write(true).open(&large).unwrap();
    file.set_len(256 << 20).unwrap();
    let route = |name: &str, action: &str| {
        format!(
            "[[routes]]\nname = \"{name}\"\npath = \"/{name}/{{*file}}\"\n{action}\nstrip = \"/{name}\"\n\
             allow = [{{ anyone = true }}]\n"
        )
    };
    let disk = site.start(&Config::new().section(&route("disk", "files = \"large\"")));
    let proxy = Site::new().start(
        &Config::new()
            .upstream("disk", &[disk.url("")], "")
            .section(&route("disk", "upstream = \"disk\"").replace("strip = \"/disk\"\n", "")),
    );
    for gateway in [&proxy, &disk] {
        let mut client = std::net::TcpStream::connect(gateway.http()).unwrap();
        client
            .write_all(b"GET /disk/large.mp4 HTTP/1.1\r\nHost: video.test\r\n\r\n")
            .unwrap();
        client.read_exact(&mut [0; 4096]).unwrap();
        drop(client);
        let line = gateway.logged(&["large.mp4", "reason="]);
        assert!(line.contains("reason=client_gone"), "{line}");
        let series = r#"janua_decisions_total{outcome="allow",reason="client_gone",route="disk"}"#;
        eventually(series, || gateway.metric(series).filter(|count| *count >= 1.0));
    }
}

#[test]
fn open_connections_are_counted() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let mut held: Vec<_> = (0..3).map(|_| Connection::open(gateway.http())).collect();
    for connection in &mut held {
        connection.exchange(Request::get("/a")).expect(404);
    }
    let open = || gateway.metric("janua_connections_open").unwrap();
    assert!(open() >= 3.0);
    drop(held);
    eventually("they are counted off", || (open() < 1.0).then_some(()));
}

#[test]
fn the_admin_listener_only_tells() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    assert_eq!(gateway.admin("/healthz").status, 200);
    assert_eq!(gateway.admin("/readyz").status, 200);
    let metrics = gateway.admin("/metrics").expect(200);
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    assert_eq!(gateway.admin("/nowhere").status, 404);
    let host = gateway.admin.to_string();
    let ask = |request: Request| {
        Connection::open(gateway.admin)
            .exchange(request.header("Connection", "close"))
            .status
    };
    for method in ["POST", "PUT", "DELETE"] {
        assert_eq!(ask(Request::new(method, "/metrics").host(&host)), 405);
    }
    // A page in a browser cannot be made to ask it under another name.
    let misdirected = ask(Request::get("/metrics").host("evil.test"));
    assert!([400, 403, 421].contains(&misdirected), "{misdirected}");
    // The public listener knows none of this.
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(gateway.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_access_log_as_text() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let token = signer.read("lecture-1");
    let answer = gateway.get(&format!("{PATH}?jwt={token}&a=1")).expect(200);
    let line = gateway.logged(&[answer.header("x-request-id").unwrap(), PATH]);
    for part in ["GET", "200", "media", "127.0.0.1"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let refused = gateway.get_with(PATH, &signer.read("lecture-2")).expect(403);
    let line = gateway.logged(&[refused.header("x-request-id").unwrap()]);
    assert!(line.contains("event_not_granted"), "{line}");
    never(&gateway.said(), &token);
}

#[test]
fn the_access_log_as_json_in_a_file() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let config =
        Config::media(&site, &signer)
            .set("log", "format", r#""json""#)
            .set("log", "file", &format!("{LOG_FILE:?}"));
    std::fs::create_dir(site.path("log")).unwrap();
    let gateway = site.start(&config);
    let token = signer.read("lecture-1");
    let answer = gateway.get_with(&format!("{PATH}?a=%22quoted%22"), &token);
    let id = answer.header("x-request-id").unwrap().to_owned();
    let log = || std::fs::read_to_string(site.path(LOG_FILE)).unwrap_or_default();
    let line = eventually("the access line", || {
        log().lines().find(|line| line.contains(&id)).map(str::to_owned)
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    let text = line.to_string();
    for part in [&id, "GET", PATH, "media"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    for line in log().lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    never(&log(), &token);
}

#[test]
fn a_log_line_cannot_be_forged() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let request = Request::get("/a%0aforged%1b[31m")
        .header("User-Agent", "a\u{9}\u{1b}[31mb")
        .header("Referer", "\"forged\" 200");
    gateway.send(request);
    gateway.get("/marker").expect(404);
    gateway.logged(&["/marker"]);
    let said = gateway.said();
    assert!(!said.contains('\u{1b}'), "{}", said.escape_debug());
    assert!(!said.lines().any(|line| line.starts_with("forged")), "{said}");
}

#[test]
fn no_level_of_the_log_shows_a_token() {
    let (site, signer, zoo) = (Site::with_lecture(), Signer::new(), Upstream::start());
    let config = Config::media(&site, &signer)
        .set("log", "level", r#""trace""#)
        .upstream("zoo", &[zoo.url()], "")
        .section(
            "[[routes]]\nname = \"up\"\npath = \"/up/{*rest}\"\nupstream = \"zoo\"\nallow = [{ anyone = true }]\n",
        );
    let gateway = site.start(&config);
    let token = signer.read("lecture-1");
    let stranger = Signer::new().read("lecture-1");
    for token in [&token, &stranger] {
        for path in [
            PATH.to_owned(),
            format!("{PATH}?jwt={token}"),
            format!("/up/a?jwt={token}"),
            "/up/b".to_owned(),
        ] {
            let request = Request::get(&path)
                .bearer(token)
                .header("Cookie", "JSESSIONID=verysecret");
            gateway.send(request);
        }
    }
    let last = gateway.get("/marker");
    gateway.logged(&[last.header("x-request-id").unwrap()]);
    let said = gateway.said();
    never(&said, &token);
    never(&said, &stranger);
    assert!(!said.contains("verysecret"));
}

/// No part of the token that anyone could use stands in the text.
fn never(text: &str, token: &str) {
    let (input, signature) = token.rsplit_once('.').unwrap();
    assert!(!text.contains(signature), "a signature stands in the log");
    assert!(
        !text.contains(input.split('.').nth(1).unwrap()),
        "claims stand in the log"
    );
}
