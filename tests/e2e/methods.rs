//! A path that matches with a method that does not: 405, and what would have matched.

use crate::support::{Config, Connection, Request, Signer, Site, Upstream};

#[test]
fn files_take_get_and_head() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let token = signer.read("lecture-1");
    let path = "/static/org/player/lecture-1/video.mp4";
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let told = gateway.send(Request::new(method, path).bearer(&token));
        let told = told.refused(405, "method_not_allowed");
        let mut allowed: Vec<_> = told.header("allow").unwrap().split(", ").collect();
        allowed.sort_unstable();
        assert_eq!(
            allowed.iter().filter(|method| **method != "OPTIONS").count(),
            2,
            "{allowed:?}"
        );
        assert!(allowed.contains(&"GET") && allowed.contains(&"HEAD"), "{allowed:?}");
    }
    let head = gateway.send(Request::new("HEAD", path).bearer(&token)).expect(200);
    assert_eq!((head.header("content-length"), head.body.len()), (Some("1000"), 0));
}

#[test]
fn methods_of_routes_on_one_path_are_told_together() {
    let (site, zoo) = (Site::new(), Upstream::start());
    let gateway = site.start(&Config::new().upstream("zoo", &[zoo.url()], "").section(
        r#"
        [[routes]]
        name = "read"
        path = "/thing"
        methods = ["GET"]
        upstream = "zoo"
        allow = [{ anyone = true }]

        [[routes]]
        name = "write"
        path = "/thing"
        methods = ["PUT", "DELETE"]
        respond = { status = 204 }
        allow = [{ anyone = true }]

        [[routes]]
        name = "anything"
        path = "/any"
        upstream = "zoo"
        allow = [{ anyone = true }]"#,
    ));
    assert_eq!(gateway.send(Request::new("PUT", "/thing")).status, 204);
    assert_eq!(gateway.send(Request::new("GET", "/thing")).status, 200);
    let told = gateway
        .send(Request::new("POST", "/thing").body("x"))
        .refused(405, "method_not_allowed");
    let mut allowed: Vec<_> = told.header("allow").unwrap().split(", ").map(str::to_owned).collect();
    allowed.sort_unstable();
    assert!(
        ["DELETE", "GET", "PUT"]
            .iter()
            .all(|method| allowed.iter().any(|known| known == method))
    );
    assert!(!allowed.iter().any(|method| method == "POST"));
    for method in ["GET", "POST", "REPORT", "OPTIONS"] {
        let told = gateway.send(Request::new(method, "/any")).expect(200).json();
        assert_eq!(told["method"], method);
    }
}

#[test]
fn connect_and_unknown_codings_are_not_implemented() {
    let site = Site::new();
    let zoo = Upstream::start();
    let gateway = site.start(&Config::new().upstream("zoo", &[zoo.url()], "").open_upstream_route(""));
    let status = |request: &str| Connection::open(gateway.http()).exchange_raw(request).unwrap().status;
    let connect = status("CONNECT video.test:443 HTTP/1.1\r\nHost: video.test\r\nConnection: close\r\n\r\n");
    assert!([400, 405, 501].contains(&connect), "{connect}");
    let coding = status("POST /a HTTP/1.1\r\nHost: video.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
    assert!([400, 501].contains(&coding), "{coding}");
    assert!(zoo.requests().is_empty());
}

#[test]
fn a_script_of_a_listed_origin_may_read_a_405() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let cors = "cors = { origins = [\"https://moodle.test\"] }\n";
    let closed = "[[routes]]\nname = \"closed\"\npath = \"/closed\"\nmethods = [\"PUT\"]\nrespond = { status = 204 }\n\
                  allow = [{ anyone = true }]\n";
    let gateway = site.start(&Config::media(&site, &signer).section(cors).section(closed));
    let delete = |path: &str, origin: &str| {
        let request = Request::new("DELETE", path).header("Origin", origin);
        gateway.send(request).refused(405, "method_not_allowed")
    };
    let video = "/static/org/player/lecture-1/video.mp4";
    let listed = delete(video, "https://moodle.test");
    assert_eq!(
        listed.header("access-control-allow-origin"),
        Some("https://moodle.test")
    );
    for told in [&listed, &delete(video, "https://elsewhere.test")] {
        assert_eq!(told.header("vary").map(str::to_lowercase), Some("origin".to_owned()));
    }
    let stranger = delete(video, "https://elsewhere.test");
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    // Without a policy nothing is promised.
    let silent = delete("/closed", "https://moodle.test");
    assert_eq!(silent.header("access-control-allow-origin"), None);
}
