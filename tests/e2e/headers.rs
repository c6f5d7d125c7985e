//! What an upstream is shown: nothing hop-by-hop, no identity that a client made up, and the truth about the client.

use crate::support::{Config, Connection, Gateway, Request, Signer, Site, Upstream};

fn gateway(zoo: &Upstream, change: impl FnOnce(Config) -> Config) -> Gateway {
    let config = Config::new().upstream("zoo", &[zoo.url()], "").open_upstream_route("");
    Site::new().start(&change(config))
}

#[test]
fn hop_by_hop_headers_end_here() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    gateway.send(
        Request::get("/a")
            .header("Connection", "X-Named, keep-alive")
            .header("X-Named", "1")
            .header("Keep-Alive", "timeout=5")
            .header("Proxy-Connection", "keep-alive")
            .header("Proxy-Authorization", "Basic Zm9vOmJhcg==")
            .header("TE", "trailers, deflate")
            .header("X-End-To-End", "1"),
    );
    let seen = zoo.seen("/a");
    for name in ["x-named", "keep-alive", "proxy-connection", "proxy-authorization"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(seen.header("te").is_none_or(|te| te == "trailers"));
    assert_eq!(seen.header("x-end-to-end"), Some("1"));

    let told = gateway.get("/zoo/hops").expect(200);
    assert_eq!((told.header("x-inner"), told.header("keep-alive")), (None, None));
    assert_eq!(told.header("x-outer"), Some("1"));
}

#[test]
fn connection_cannot_name_what_must_reach_the_upstream() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    let request = Request::get("/a").header("Connection", "close, Host, X-Forwarded-For, X-Request-Id");
    // Refused or ignored, but never obeyed.
    if gateway.send(request).status == 200 {
        let seen = zoo.seen("/a");
        assert_eq!(seen.header("host"), Some("video.test"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        assert!(seen.header("x-request-id").is_some());
    }
}

#[test]
fn identity_headers_are_stripped() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    // Facts 2.3, in several spellings.
    let names = [
        "X-RUN-AS-USER",
        "x-run-with-roles",
        "X-Opencast-Matterhorn-User",
        "X-Opencast-Matterhorn-Roles",
        "X-Opencast-Matterhorn-Organization",
        "X-Opencast-Matterhorn-Current-Job-Id",
        "X-Requested-Auth",
        "X-Forwarded-User",
        "X-Forwarded-Groups",
    ];
    let request = names
        .iter()
        .fold(Request::get("/a"), |request, name| request.header(name, "admin"));
    gateway.send(request).expect(200);
    let seen = zoo.seen("/a");
    for name in names {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(!format!("{:?}", seen.headers).contains("admin"), "{seen:?}");
}

#[test]
fn forwarded_headers_of_strangers_are_replaced() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    gateway.send(
        Request::get("/a")
            .header("X-Forwarded-For", "203.0.113.7")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "evil.test")
            .header("X-Forwarded-Port", "1")
            .header("X-Forwarded-Prefix", "/evil")
            .header("X-Real-IP", "203.0.113.7")
            .header("Forwarded", "for=203.0.113.7;host=evil.test"),
    );
    let seen = zoo.seen("/a");
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-forwarded-host"), Some("video.test"));
    assert_eq!(seen.header("host"), Some("video.test"));
    let all = format!("{:?}", seen.headers);
    assert!(!all.contains("203.0.113.7") && !all.contains("evil"), "{all}");
}

#[test]
fn a_trusted_proxy_tells_who_the_client_is() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| {
        config
            .server("trusted_proxies", r#"["127.0.0.0/8", "198.51.100.0/24"]"#)
            .section(
                r#"
                [[routes]]
                name = "from"
                path = "/from/{*rest}"
                upstream = "zoo"
                allow = [{ from = ["203.0.113.0/24"] }]"#,
            )
    });
    let through = |chain: &str| {
        let request = Request::get("/from/a")
            .header("X-Forwarded-For", chain)
            .header("X-Forwarded-Proto", "https");
        gateway.send(request).status
    };
    assert_eq!(through("203.0.113.7"), 200);
    let seen = zoo.seen("/from/a");
    assert!(
        seen.header("x-forwarded-for").unwrap().starts_with("203.0.113.7"),
        "{seen:?}"
    );
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    // Walked from the right: proxies are passed over, and what stands left of the client was made up by it.
    assert_eq!(through("203.0.113.7, 198.51.100.9"), 200);
    assert_eq!(through("203.0.113.7, 192.0.2.1"), 403);
    assert_eq!(through("192.0.2.1, 203.0.113.7"), 200);
    assert_eq!(gateway.get("/from/a").status, 403);
}

#[test]
fn one_request_id_for_client_upstream_and_log() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    let answer = gateway
        .send(Request::get("/a").header("X-Request-Id", "made-up\" by=the-client"))
        .expect(200);
    let id = answer.header("x-request-id").unwrap().to_owned();
    assert_eq!(zoo.seen("/a").header("x-request-id"), Some(id.as_str()));
    assert!(id.len() >= 8 && !id.contains("made-up"), "{id}");
    gateway.logged(&[&id, "/a"]);
    let refused = gateway.get("/%2e").refused(400, "bad_path");
    let id = refused.header("x-request-id").unwrap();
    assert_eq!(refused.json()["request_id"], id);
    gateway.logged(&[id, "bad_path"]);
}

#[test]
fn judged_tokens_stay_here_and_other_credentials_pass() {
    let (site, zoo, signer) = (Site::new(), Upstream::start(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .open_upstream_route("")
        .section(
            r#"
            [[routes]]
            name = "judged"
            path = "/judged"
            upstream = "zoo"
            allow = [{ signed_in = true }]

            [[routes]]
            name = "nothing presented"
            path = "/none/{*rest}"
            upstream = "zoo"
            present = "none"
            allow = [{ anyone = true }]"#,
        );
    let gateway = site.start(&config);
    let token = signer.read("a");
    gateway.send(
        Request::get(&format!("/judged?a=1&jwt={token}&b=%2F"))
            .bearer(&token)
            .header("Cookie", "JSESSIONID=abc; __Host-janua=secret; janua=secret; other=1"),
    );
    let seen = zoo.seen("/judged");
    assert_eq!(seen.target, "/judged?a=1&b=%2F");
    assert_eq!(seen.header("authorization"), None);
    let cookies = seen.header("cookie").unwrap();
    assert!(
        cookies.contains("JSESSIONID=abc") && cookies.contains("other=1"),
        "{cookies}"
    );
    assert!(!cookies.contains("secret"), "{cookies}");

    let basic = "Basic Zm9vOmJhcg==";
    gateway
        .send(Request::get("/basic").header("Authorization", basic))
        .expect(200);
    assert_eq!(zoo.seen("/basic").header("authorization"), Some(basic));

    let all = Request::get("/none/a")
        .header("Authorization", basic)
        .header("Cookie", "JSESSIONID=abc");
    gateway.send(all).expect(200);
    let seen = zoo.seen("/none/a");
    assert_eq!((seen.header("authorization"), seen.header("cookie")), (None, None));
}

#[test]
fn the_upstream_may_have_a_name_of_its_own() {
    let zoo = Upstream::start();
    let config = Config::new()
        .upstream("zoo", &[zoo.url()], r#"host = "inner.test""#)
        .open_upstream_route("");
    let gateway = Site::new().start(&config);
    gateway.get("/a").expect(200);
    let seen = zoo.seen("/a");
    assert_eq!(seen.header("host"), Some("inner.test"));
    assert_eq!(seen.header("x-forwarded-host"), Some("video.test"));
}

#[test]
fn an_upstream_cannot_make_the_gateway_serve_files() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    let answer = gateway.get("/zoo/accel").expect(200);
    assert_eq!(answer.text(), "from the upstream");
    assert_eq!(
        (answer.header("x-accel-redirect"), answer.header("x-sendfile")),
        (None, None)
    );
}

#[test]
fn an_interim_answer_has_links_and_nothing_else() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    let mut connection = Connection::open(gateway.http());
    connection.write(Request::get("/zoo/hints").bytes()).unwrap();
    let interim = connection.read_until("\r\n\r\n").unwrap();
    let interim = String::from_utf8(interim).unwrap().to_ascii_lowercase();
    let mut lines: Vec<_> = interim.trim_end().split("\r\n").collect();
    lines.sort_unstable();
    let expected = [
        "http/1.1 103 early hints",
        "link: </a.css>; rel=preload",
        "link: </b.js>; rel=preload",
    ];
    assert_eq!(lines, expected);
    assert_eq!(connection.response(false).unwrap().expect(200).text(), "final");
}

/// RFC 9110 section 15.2.
#[test]
fn a_client_of_http_1_0_gets_no_interim_answer() {
    let zoo = Upstream::start();
    let gateway = gateway(&zoo, |config| config);
    for more in ["", "Expect: 100-continue\r\n"] {
        let mut connection = Connection::open(gateway.http());
        let request = format!("GET /zoo/hints HTTP/1.0\r\nHost: video.test\r\n{more}\r\n");
        connection.write(request.as_bytes()).unwrap();
        let head = connection.read_until("\r\n\r\n").unwrap();
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{more}{head}");
    }
}
