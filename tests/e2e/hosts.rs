//! The Host is known, single and well-formed, and ranks before the path.

use crate::support::h2::{H2, Outcome};
use crate::support::tools::janua;
use crate::support::{Config, Connection, Gateway, Request, Site, Upstream};

fn two_hosts() -> Gateway {
    let site = Site::new();
    let config = Config::new()
        .server("public_urls", r#"["http://video.test", "http://moodle.test:8080"]"#)
        .section(
            r#"
            [[routes]]
            name = "everything on the first host"
            path = "/{*rest}"
            respond = { status = 204 }
            allow = [{ anyone = true }]

            [[routes]]
            name = "one page on the second"
            host = "moodle.test"
            path = "/page"
            respond = { status = 410 }
            allow = [{ anyone = true }]"#,
        );
    site.start(&config)
}

fn raw(gateway: &Gateway, request: &str) -> u16 {
    Connection::open(gateway.http()).exchange_raw(request).unwrap().status
}

#[test]
fn host_ranks_before_path() {
    let gateway = two_hosts();
    let status = |host: &str, path: &str| gateway.send(Request::get(path).host(host)).status;
    assert_eq!(status("video.test", "/page"), 204);
    assert_eq!(status("moodle.test", "/page"), 410);
    assert_eq!(status("moodle.test:8080", "/page"), 410);
    assert_eq!(status("MOODLE.test", "/page"), 410);
    // The first host's catch-all is not the second's.
    assert_eq!(status("moodle.test", "/other"), 404);
}

#[test]
fn an_unknown_host_among_several_is_misdirected() {
    let gateway = two_hosts();
    for host in ["other.test", "video.test.evil.test", "127.0.0.1"] {
        let told = gateway.send(Request::get("/page").host(host));
        told.refused(421, "unknown_host");
    }
}

#[test]
fn a_missing_double_or_odd_host_is_refused() {
    let gateway = two_hosts();
    assert_eq!(gateway.send(Request::get("/page").without_host()).status, 400);
    let double = Request::get("/page").header("Host", "moodle.test");
    assert_eq!(gateway.send(double).status, 400);
    let same_twice = Request::get("/page").header("Host", "video.test");
    assert_eq!(gateway.send(same_twice).status, 400);
    for host in [
        "",
        "video.test/",
        "video.test@evil.test",
        "video.test, moodle.test",
        "video.test:x",
        "a b",
    ] {
        let status = gateway.send(Request::get("/page").host(host)).status;
        assert_eq!(status, 400, "{host:?}");
    }
}

/// HAProxy's and keepalived's plainest checks are such requests.
#[test]
fn http_1_0_without_a_host_is_for_the_one_public_url() {
    let zoo = Upstream::start();
    let config = Config::new().upstream("zoo", &[zoo.url()], "").open_upstream_route("");
    let one = Site::new().start(&config);
    for (path, host) in [("/a", ""), ("/b", "Host:\r\n"), ("/c", "Host: \r\n")] {
        assert_eq!(
            raw(&one, &format!("GET {path} HTTP/1.0\r\n{host}\r\n")),
            200,
            "{host:?}"
        );
        assert_eq!(zoo.seen(path).header("host"), Some("video.test"), "{host:?}");
        let told = format!("GET /page HTTP/1.0\r\n{host}\r\n");
        assert_eq!(raw(&two_hosts(), &told), 421, "{host:?}");
    }
    let strict = Site::new().start(&config.server("strict_host", "true"));
    assert_eq!(raw(&strict, "GET /a HTTP/1.0\r\n\r\n"), 421);
    assert_eq!(raw(&one, "GET /a HTTP/1.1\r\n\r\n"), 400);
}

#[test]
fn a_target_in_absolute_form_is_taken_as_clients_of_a_proxy_send_it() {
    let gateway = two_hosts();
    // RFC 9112 section 3.2.2: a server must accept it.
    let status = |target: &str, host: &str| {
        raw(
            &gateway,
            &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        )
    };
    assert_eq!(status("http://moodle.test:8080/page", "moodle.test:8080"), 410);
    assert_eq!(status("HTTP://video.test/page?a=1", "video.test"), 204);
    assert_eq!(status("http://other.test/page", "other.test"), 421);
    // Whatever Host says, it is ignored.
    assert_eq!(status("http://moodle.test:8080/page", "video.test"), 410);
    assert_eq!(status("HTTP://VIDEO.test:/page", "moodle.test:8080"), 204);
    assert_eq!(status("http://video.test/page", "other.test"), 204);
    assert_eq!(status("http://other.test/page", "video.test"), 421);
    assert_eq!(raw(&gateway, "GET http://video.test/page HTTP/1.0\r\n\r\n"), 204);
    let doubled = "GET http://video.test/page HTTP/1.1\r\nHost: video.test\r\nHost: video.test\r\n\r\n";
    assert_eq!(raw(&gateway, doubled), 400);
    for target in ["http://user@video.test/page", "ftp://video.test/page", "http:///page"] {
        let told = status(target, "video.test");
        assert!([400, 404].contains(&told), "{target}: {told}");
    }
}

#[test]
fn among_several_a_wrong_port_is_misdirected_and_an_empty_one_is_none() {
    let gateway = two_hosts();
    let status = |host: &str, path: &str| gateway.send(Request::get(path).host(host)).status;
    assert_eq!(status("moodle.test:", "/page"), 410);
    assert_eq!(status("video.test:80", "/page"), 204);
    for wrong in ["moodle.test:80", "moodle.test:8081", "video.test:8080"] {
        let told = gateway.send(Request::get("/page").host(wrong));
        told.refused(421, "unknown_host");
    }
}

#[test]
fn the_only_public_url_stands_in_for_every_host_and_port() {
    let zoo = Upstream::start();
    let config = |more: &str| {
        let config = Config::new()
            .server("public_urls", r#"["https://video.test:8443"]"#)
            .upstream("zoo", &[zoo.url()], "")
            .open_upstream_route("");
        match more {
            "" => config,
            strict => config.server("strict_host", strict),
        }
    };
    let gateway = Site::new().start(&config(""));
    for (path, host) in [
        ("/a", "evil.test"),
        ("/b", "video.test"),
        ("/c", "VIDEO.test:99"),
        ("/d", "[::1]:1"),
    ] {
        gateway.send(Request::get(path).host(host)).expect(200);
        let seen = zoo.seen(path);
        assert_eq!(seen.header("host"), Some("video.test:8443"), "{host}");
        assert_eq!(seen.header("x-forwarded-host"), Some("video.test:8443"), "{host}");
    }
    let strict = Site::new().start(&config("true"));
    let status = |host: &str| strict.send(Request::get("/e").host(host)).status;
    assert_eq!(status("video.test:8443"), 200);
    assert_eq!(status("video.test"), 200);
    for host in ["evil.test", "video.test:443", "127.0.0.1"] {
        assert_eq!(status(host), 421, "{host}");
    }
}

/// Four names, and routes that have them by name, by wildcard, and all of them.
fn listed() -> Config {
    let route = |name: &str, hosts: &str, path: &str, status: u16| {
        format!(
            "[[routes]]\nname = \"{name}\"\n{hosts}\npath = \"{path}\"\nrespond = {{ status = {status} }}\n\
             allow = [{{ anyone = true }}]\n"
        )
    };
    let urls =
        r#"["http://video.test", "http://a.tenants.test", "http://b.x.tenants.test", "http://xn--mller-kva.test"]"#;
    let routes = [
        route("all", r#"hosts = ["*"]"#, "/page", 200),
        route("tenants", r#"hosts = ["*.Tenants.test"]"#, "/page", 410),
        route("named", r#"hosts = ["A.tenants.test", "MÜLLER.test"]"#, "/page", 404),
        route("tenants' files", r#"hosts = ["*.tenants.test"]"#, "/page/{*rest}", 410),
        route("all files", r#"hosts = ["*"]"#, "/page/{file}", 200),
        route("the first's", "", "/own", 204),
    ];
    Config::new().server("public_urls", urls).section(&routes.concat())
}

#[test]
fn a_route_is_for_the_hosts_that_it_lists() {
    let gateway = Site::new().start(&listed());
    let status = |host: &str, path: &str| gateway.send(Request::get(path).host(host)).status;
    assert_eq!(status("video.test", "/page"), 200);
    assert_eq!(status("A.Tenants.TEST", "/page"), 404);
    assert_eq!(status("b.x.tenants.test", "/page"), 410);
    assert_eq!(status("xn--mller-kva.test", "/page"), 404);
    assert_eq!(status("XN--MLLER-KVA.test:80", "/page"), 404);
    // The more specific path ranks before the more specific host.
    assert_eq!(status("a.tenants.test", "/page/x"), 200);
    assert_eq!(status("a.tenants.test", "/page/x/y"), 410);
    assert_eq!(status("video.test", "/own"), 204);
    for host in ["a.tenants.test", "b.x.tenants.test", "xn--mller-kva.test"] {
        let told = gateway.send(Request::get("/own").host(host));
        told.refused(404, "no_route");
    }
    for unknown in [
        "tenants.test",
        "c.tenants.test",
        "a.tenants.test:8080",
        "a.tenants.test.evil.test",
    ] {
        let told = gateway.send(Request::get("/page").host(unknown));
        told.refused(421, "unknown_host");
    }
}

/// RFC 1034 section 3.1: the dot at the end says that the name is a whole one.
#[test]
fn a_dot_behind_the_host_changes_nothing() {
    let gateway = Site::new().start(&listed());
    let status = |host: &str| gateway.send(Request::get("/page").host(host)).status;
    assert_eq!((status("video.test."), status("a.tenants.test.")), (200, 404));
    assert_eq!((status("video.test.:80"), status("b.x.tenants.test.:")), (200, 410));
    assert_eq!((status("video.test.."), status(".")), (421, 400));
}

#[test]
fn listed_hosts_count_over_http2_and_in_absolute_form() {
    let site = Site::new();
    let gateway = site.start(&listed());
    let raw_status = |target: &str| {
        raw(
            &gateway,
            &format!("GET {target} HTTP/1.1\r\nHost: video.test\r\nConnection: close\r\n\r\n"),
        )
    };
    assert_eq!(raw_status("http://a.tenants.test/page"), 404);
    assert_eq!(raw_status("http://b.x.tenants.test./page"), 410);
    let mut streams = H2::open(gateway.http());
    let asked = [("a.tenants.test", 404), ("video.test", 200), ("c.tenants.test", 421)];
    for (stream, (authority, status)) in [1, 3, 5].into_iter().zip(asked) {
        let fields = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", authority),
            (":path", "/page"),
        ];
        streams.headers(stream, &fields, true).unwrap();
        assert_eq!(streams.outcome(stream), Outcome::Answered(status), "{authority}");
    }
}

#[test]
fn explain_says_which_word_for_the_host_won() {
    let site = Site::new();
    let gateway = site.start(&listed());
    let config = gateway.site.path("gateway.toml");
    let ran = janua([
        "explain",
        "--config",
        config.to_str().unwrap(),
        "GET",
        "http://a.tenants.test/page",
    ]);
    let told = ran.stdout;
    assert!(
        told.contains("a route that names the host more precisely wins"),
        "{told}"
    );
    assert!(!told.contains("the first's"), "{told}");
}
