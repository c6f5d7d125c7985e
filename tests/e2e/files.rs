//! Files from disk, as players need them and as many uploaders' files have to be handed out.

use std::os::unix::fs::symlink;

use crate::support::config::bytes;
use crate::support::http::Response;
use crate::support::{Config, Gateway, Request, Signer, Site};

/// A gateway whose folder `downloads` is open at `/`.
fn open(site: &Site, more: &str) -> Gateway {
    std::fs::create_dir_all(site.path("downloads")).unwrap();
    site.start(&Config::new().section(&format!(
        "[[routes]]\nname = \"files\"\npath = \"/{{*file}}\"\nfiles = \"downloads\"\nallow = [{{ anyone = true }}]\n{more}\n"
    )))
}

fn ranged(gateway: &Gateway, range: &str) -> Response {
    gateway.send(Request::get("/a.mp4").header("Range", range))
}

#[test]
fn a_file_comes_whole_with_what_players_need() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    let gateway = site.start(&Config::media(&site, &signer));
    let path = "/static/org/player/lecture-1/video.mp4";
    let got = gateway.get_with(path, &signer.read("lecture-1")).expect(200);
    assert_eq!(got.body, bytes(1000));
    assert_eq!(got.header("content-length"), Some("1000"));
    assert_eq!(got.header("content-type"), Some("video/mp4"));
    assert_eq!(got.header("accept-ranges"), Some("bytes"));
    assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(got.header("referrer-policy"), Some("no-referrer"));
    // It needed a credential.
    assert!(got.header("cache-control").unwrap().contains("private"), "{got:?}");
    assert!(got.header("etag").unwrap().contains('"') && got.header("last-modified").is_some());
    let head = gateway
        .send(Request::new("HEAD", path).bearer(&signer.read("lecture-1")))
        .expect(200);
    for name in [
        "content-length",
        "content-type",
        "etag",
        "last-modified",
        "accept-ranges",
    ] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
}

#[test]
fn ranges() {
    let site = Site::new();
    site.write("downloads/a.mp4", bytes(1000));
    site.write("downloads/empty.mp4", "");
    let gateway = open(&site, "");
    let whole = bytes(1000);
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-", 0, 999),
        ("bytes=10-19", 10, 19),
        ("bytes=990-2000", 990, 999),
        ("bytes=-10", 990, 999),
        ("bytes=-5000", 0, 999),
        ("bytes=999-", 999, 999),
        ("bytes=999-18446744073709551615", 999, 999),
        ("Bytes=10-19", 10, 19),
    ] {
        let part = ranged(&gateway, range).expect(206);
        assert_eq!(part.body, whole[from..=to], "{range}");
        assert_eq!(
            part.header("content-range"),
            Some(format!("bytes {from}-{to}/1000").as_str()),
            "{range}"
        );
        assert_eq!(
            part.header("content-length"),
            Some((to - from + 1).to_string().as_str())
        );
    }
    for range in ["bytes=1000-", "bytes=5000-6000", "bytes=-0"] {
        let told = ranged(&gateway, range).refused(416, "range_not_satisfiable");
        assert_eq!(told.header("content-range"), Some("bytes */1000"), "{range}");
    }
    // What is no range of bytes is no range (RFC 9110 section 14.2).
    for range in [
        "bytes=19-10",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "seconds=0-1",
        "bytes 0-1",
        "bytes=1-2-3",
    ] {
        let status = ranged(&gateway, range).status;
        assert!([200, 416].contains(&status), "{range}: {status}");
        if status == 200 {
            assert_eq!(ranged(&gateway, range).body, whole);
        }
    }
    let empty = |range: &str| gateway.send(Request::get("/empty.mp4").header("Range", range)).status;
    // A suffix of nothing is all of it (RFC 9110 section 14.1.2), which no Content-Range can say.
    assert_eq!((empty("bytes=0-"), empty("bytes=-5")), (416, 200));
    assert_eq!(
        gateway.get("/empty.mp4").expect(200).header("content-length"),
        Some("0")
    );
    let head = gateway.send(Request::new("HEAD", "/a.mp4").header("Range", "bytes=0-9"));
    // RFC 9110 section 14.2: Range is defined for GET only.
    assert_eq!((head.status, head.header("content-length")), (200, Some("1000")));
}

#[test]
fn several_ranges_come_in_parts() {
    let site = Site::new();
    site.write("downloads/a.mp4", bytes(1000));
    let gateway = open(&site, "");
    let told = ranged(&gateway, "bytes=0-9, 500-509,-5").expect(206);
    let kind = told.header("content-type").unwrap();
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap()
        .trim_matches('"');
    let whole = bytes(1000);
    let mut expected = Vec::new();
    for (from, to) in [(0, 9), (500, 509), (995, 999)] {
        let needle = format!("bytes {from}-{to}/1000");
        let body = told.body.as_slice();
        let at = body.windows(needle.len()).position(|part| part == needle.as_bytes());
        let after = &body[at.unwrap_or_else(|| panic!("no {needle}")) + needle.len()..];
        let start = after.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(after[start..start + to - from + 1], whole[from..=to]);
        expected.push(at);
    }
    assert!(expected.is_sorted());
    assert!(told.text().ends_with(&format!("--{boundary}--\r\n")) || told.text().ends_with(&format!("--{boundary}--")));
    assert_eq!(
        told.header("content-length"),
        Some(told.body.len().to_string().as_str())
    );
    // A bomb of many overlapping ranges costs no more than the file.
    let bomb = format!("bytes={}", vec!["0-"; 1000].join(","));
    let told = ranged(&gateway, &bomb);
    assert!(
        [200, 416].contains(&told.status) || told.body.len() < 10_000,
        "{}",
        told.body.len()
    );
}

#[test]
fn conditions() {
    let site = Site::new();
    site.write("downloads/a.mp4", bytes(1000));
    let gateway = open(&site, "");
    let first = gateway.get("/a.mp4").expect(200);
    let etag = first.header("etag").unwrap();
    let date = first.header("last-modified").unwrap();
    let old = "Thu, 01 Jan 1998 00:00:00 GMT";
    let with = |headers: &[(&str, &str)]| {
        let request = headers.iter().fold(Request::get("/a.mp4"), |request, (name, value)| {
            request.header(name, value)
        });
        gateway.send(request).status
    };
    assert_eq!(with(&[("If-None-Match", etag)]), 304);
    assert_eq!(with(&[("If-None-Match", &format!("\"x\", {etag}"))]), 304);
    assert_eq!(
        with(&[("If-None-Match", &format!("W/{}", etag.trim_start_matches("W/")))]),
        304
    );
    assert_eq!(with(&[("If-None-Match", "*")]), 304);
    assert_eq!(with(&[("If-None-Match", "\"x\"")]), 200);
    assert_eq!(with(&[("If-Modified-Since", date)]), 304);
    assert_eq!(with(&[("If-Modified-Since", old)]), 200);
    assert_eq!(with(&[("If-Modified-Since", "yesterday")]), 200);
    // RFC 9110 section 13.2.2: If-None-Match decides, the date is not looked at.
    assert_eq!(with(&[("If-None-Match", "\"x\""), ("If-Modified-Since", date)]), 200);
    assert_eq!(with(&[("If-Match", "\"x\"")]), 412);
    assert_eq!(with(&[("If-Match", "*")]), 200);
    assert_eq!(
        with(&[("If-Match", etag)]),
        if etag.starts_with("W/") { 412 } else { 200 }
    );
    assert_eq!(with(&[("If-Unmodified-Since", old)]), 412);
    assert_eq!(with(&[("If-Unmodified-Since", date)]), 200);
    assert_eq!(with(&[("Range", "bytes=0-9"), ("If-Range", etag)]), 206);
    assert_eq!(with(&[("Range", "bytes=0-9"), ("If-Range", "\"x\"")]), 200);
    assert_eq!(with(&[("Range", "bytes=0-9"), ("If-Range", old)]), 200);
    assert_eq!(with(&[("Range", "bytes=5000-"), ("If-Range", "\"x\"")]), 200);
    assert_eq!(with(&[("Range", "bytes=0-9"), ("If-None-Match", etag)]), 304);
    let unchanged = gateway.send(Request::get("/a.mp4").header("If-None-Match", etag));
    assert_eq!((unchanged.header("etag"), unchanged.body.len()), (Some(etag), 0));
    // Another file at the same place is another version.
    site.write("downloads/a.mp4", bytes(999));
    assert_eq!(with(&[("If-None-Match", etag)]), 200);
}

#[test]
fn types_downloads_and_active_content() {
    let site = Site::new();
    let types = [
        ("master.m3u8", "application/vnd.apple.mpegurl"),
        ("manifest.mpd", "application/dash+xml"),
        ("subtitles.vtt", "text/vtt"),
        ("video.mp4", "video/mp4"),
        ("video.webm", "video/webm"),
        ("segment.ts", "video/mp2t"),
        ("cover.jpg", "image/jpeg"),
    ];
    for (name, _) in types {
        site.write(&format!("downloads/{name}"), "x");
    }
    for name in [
        "page.html",
        "page.xhtml",
        "image.svg",
        "data.xml",
        "code.js",
        "CODE.JS",
        "segment.m4s",
        "odd.xyz123",
        "noname",
    ] {
        site.write(&format!("downloads/{name}"), "x");
    }
    let gateway = open(&site, "");
    for (name, kind) in types {
        let got = gateway.get(&format!("/{name}")).expect(200);
        let told = got.header("content-type").unwrap();
        assert_eq!(told.split(';').next().unwrap().to_ascii_lowercase(), kind, "{name}");
        assert_eq!(got.header("content-disposition"), None, "{name}");
    }
    let segment = gateway.get("/segment.m4s").expect(200);
    assert!(segment.header("content-type").unwrap().starts_with("video/"));
    for name in ["page.html", "page.xhtml", "image.svg", "data.xml", "code.js", "CODE.JS"] {
        let got = gateway.get(&format!("/{name}")).expect(200);
        assert!(
            got.header("content-disposition")
                .is_some_and(|told| told.starts_with("attachment")),
            "{name}"
        );
        assert_eq!(got.header("content-security-policy"), Some("sandbox"), "{name}");
    }
    for name in ["odd.xyz123", "noname"] {
        let got = gateway.get(&format!("/{name}")).expect(200);
        assert_eq!(got.header("content-security-policy"), Some("sandbox"), "{name}");
        assert_eq!(got.header("content-type"), Some("application/octet-stream"), "{name}");
    }
    let download = gateway.get("/video.mp4?download=1").expect(200);
    assert!(
        download
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment")
    );
    assert_eq!(
        gateway
            .get("/video.mp4?download=0")
            .expect(200)
            .header("content-disposition"),
        None
    );
}

#[test]
fn names_of_all_alphabets() {
    let site = Site::new();
    for name in ["Vorlesung Übung 1.mp4", "数学.mp4", "100% \"sicher\"?.mp4", "a+b.mp4"] {
        site.write(&format!("downloads/{name}"), name);
    }
    let gateway = open(&site, "");
    for (path, name) in [
        ("/Vorlesung%20%C3%9Cbung%201.mp4", "Vorlesung Übung 1.mp4"),
        ("/%e6%95%b0%e5%ad%a6.mp4", "数学.mp4"),
        ("/100%25%20%22sicher%22%3F.mp4", "100% \"sicher\"?.mp4"),
        ("/a+b.mp4", "a+b.mp4"),
        ("/a%2Bb.mp4", "a+b.mp4"),
    ] {
        assert_eq!(gateway.get(path).expect(200).text(), name);
        let download = gateway.get(&format!("{path}?download=1")).expect(200);
        let told = download.header("content-disposition").unwrap().to_owned();
        assert!(told.is_ascii() && !told.contains(['\r', '\n']), "{told}");
    }
}

#[test]
fn what_is_no_plain_file_below_the_root_is_not_there() {
    let site = Site::new();
    site.write("secret.txt", "secret");
    site.write("downloads/folder/a.mp4", "a");
    site.write("downloads/.hidden", "secret");
    site.write("downloads/.git/config", "secret");
    symlink(site.path("secret.txt"), site.path("downloads/out.mp4")).unwrap();
    symlink("../secret.txt", site.path("downloads/up.mp4")).unwrap();
    symlink(site.root(), site.path("downloads/around")).unwrap();
    symlink("/etc/passwd", site.path("downloads/passwd")).unwrap();
    symlink("nowhere", site.path("downloads/dangling")).unwrap();
    symlink("loop", site.path("downloads/loop")).unwrap();
    symlink("folder/a.mp4", site.path("downloads/inside.mp4")).unwrap();
    let fifo = site.path("downloads/fifo");
    crate::support::tools::run("mkfifo", [&fifo]).ok();
    let socket = std::os::unix::net::UnixListener::bind(site.path("downloads/socket")).unwrap();
    let gateway = open(&site, "");
    for path in [
        "/missing",
        "/folder",
        "/folder/",
        "/",
        "/.hidden",
        "/.git/config",
        "/out.mp4",
        "/up.mp4",
        "/around/secret.txt",
        "/passwd",
        "/dangling",
        "/loop",
        "/fifo",
        "/socket",
        "/folder/a.mp4/b",
        "/a\u{1}",
    ] {
        let told = gateway.get(path);
        assert!([400, 404].contains(&told.status), "{path}: {}", told.status);
        assert!(
            !told.text().contains("secret") && !told.text().contains("root:"),
            "{path}"
        );
    }
    assert_eq!(
        gateway.get("/missing").refused(404, "file_not_found").header("etag"),
        None
    );
    assert_eq!(gateway.get("/inside.mp4").expect(200).text(), "a");
    let long = format!("/{}", "a".repeat(300));
    assert_eq!(gateway.get(&long).status, 404);
    drop(socket);
}

/// `.well-known` where a route says so, and no other name that begins with a dot.
#[test]
fn well_known_is_served_where_a_route_says_so() {
    let site = Site::new();
    site.write("downloads/.well-known/acme-challenge/x", "key");
    site.write("downloads/.well-known/.git/config", "secret");
    site.write("downloads/.git/config", "secret");
    site.write("downloads/a/.well-known/x", "secret");
    let names = [
        "/.well-known/acme-challenge/x",
        "/.well-known/.git/config",
        "/.git/config",
        "/a/.well-known/x",
    ];
    for (more, served) in [("", false), ("well_known = true", true)] {
        let gateway = open(&site, more);
        let statuses = names.map(|name| gateway.get(name).status);
        assert_eq!(statuses, [if served { 200 } else { 404 }, 404, 404, 404], "{more}");
        drop(gateway);
        let config = Config::new().section(&format!(
            "[[routes]]\nname = \"told\"\npath = \"/{{*rest}}\"\naccel = \"/protected\"\nallow = [{{ anyone = true }}]\n{more}\n"
        ));
        let gateway = site.start(&config);
        let statuses = names.map(|name| gateway.get(name).status);
        assert_eq!(
            statuses,
            [if served { 200 } else { 404 }, 404, 404, 404],
            "accel, {more}"
        );
    }
}

#[test]
fn a_routes_own_headers_cross_origins_too() {
    let site = Site::new();
    site.write("downloads/a.mp4", "a");
    let gateway = open(
        &site,
        r#"cors = { origins = ["https://moodle.test"], headers = ["CMCD-Request", "Range"], expose = ["X-Played"] }"#,
    );
    let asking = || Request::new("OPTIONS", "/a.mp4").header("Origin", "https://moodle.test");
    let allowed = gateway
        .send(asking().header("Access-Control-Request-Method", "GET"))
        .expect(204);
    let headers = allowed.header("access-control-allow-headers").unwrap();
    assert!(
        headers.starts_with("authorization, range, ") && headers.ends_with(", cmcd-request"),
        "{headers}"
    );
    let told = gateway
        .send(Request::get("/a.mp4").header("Origin", "https://moodle.test"))
        .expect(200);
    let exposed = told.header("access-control-expose-headers").unwrap();
    assert!(
        exposed.starts_with("content-range, ") && exposed.ends_with(", x-played"),
        "{exposed}"
    );
}

#[test]
fn cors_on_every_answer() {
    let (site, signer) = (Site::with_lecture(), Signer::new());
    site.write_keys("keys.json", &[&signer]);
    let media = crate::support::MEDIA;
    let cors = r#"cors = { origins = ["https://moodle.test"], credentials = true }"#;
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .section(&format!("{media}\n{cors}\n"));
    let gateway = site.start(&config);
    let path = "/static/org/player/lecture-1/video.mp4";
    let token = signer.read("lecture-1");
    let from = |request: Request, origin: &str| gateway.send(request.header("Origin", origin));
    let good = || Request::get(path).bearer(&token);
    let answers = [
        from(good(), "https://moodle.test").expect(200),
        from(good().header("Range", "bytes=0-9"), "https://moodle.test").expect(206),
        from(good().header("Range", "bytes=5000-"), "https://moodle.test").expect(416),
        from(good().header("If-None-Match", "*"), "https://moodle.test").expect(304),
        from(good().header("If-Match", "\"x\""), "https://moodle.test").expect(412),
        from(Request::get(path), "https://moodle.test").expect(401),
        from(
            Request::get("/static/org/player/lecture-2/a").bearer(&token),
            "https://moodle.test",
        )
        .expect(403),
        from(
            Request::get("/static/org/player/lecture-1/missing").bearer(&token),
            "https://moodle.test",
        )
        .expect(404),
    ];
    for answer in answers {
        let status = answer.status;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://moodle.test"),
            "{status}"
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true"),
            "{status}"
        );
        let exposed = answer
            .header("access-control-expose-headers")
            .unwrap()
            .to_ascii_lowercase();
        for name in ["content-range", "accept-ranges", "content-length", "etag"] {
            assert!(exposed.contains(name), "{status}: {exposed}");
        }
        assert!(
            answer.all("vary").join(",").to_ascii_lowercase().contains("origin"),
            "{status}"
        );
    }
    for origin in [
        "https://evil.test",
        "https://moodle.test.evil.test",
        "null",
        "http://moodle.test",
    ] {
        let answer = from(good(), origin).expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
        assert!(answer.all("vary").join(",").to_ascii_lowercase().contains("origin"));
    }
    assert!(
        gateway
            .send(good())
            .all("vary")
            .join(",")
            .to_ascii_lowercase()
            .contains("origin")
    );
    let preflight = Request::new("OPTIONS", path)
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization,range");
    let answer = from(preflight.clone(), "https://moodle.test");
    assert!([200, 204].contains(&answer.status));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://moodle.test")
    );
    let allowed = answer
        .header("access-control-allow-headers")
        .unwrap()
        .to_ascii_lowercase();
    for name in [
        "authorization",
        "range",
        "if-range",
        "if-none-match",
        "if-modified-since",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert!(answer.header("access-control-allow-methods").unwrap().contains("GET"));
    assert!(answer.header("access-control-max-age").is_some());
    assert_eq!(
        from(preflight, "https://evil.test").header("access-control-allow-origin"),
        None
    );
}

#[test]
fn a_fixed_reply_and_a_fixed_file() {
    let site = Site::new();
    site.write("robots.txt", "User-agent: *\n");
    let gateway = site.start(&Config::new().section(
        r#"
        [[routes]]
        name = "robots"
        path = "/robots.txt"
        respond = { file = "robots.txt" }
        allow = [{ anyone = true }]

        [[routes]]
        name = "moved"
        path = "/old"
        respond = { status = 302, location = "https://video.example.edu/new" }
        allow = [{ anyone = true }]

        [[routes]]
        name = "nothing"
        path = "/nothing"
        respond = { status = 204 }
        allow = [{ anyone = true }]"#,
    ));
    assert_eq!(gateway.get("/robots.txt").expect(200).text(), "User-agent: *\n");
    let moved = gateway.get("/old").expect(302);
    assert_eq!(moved.header("location"), Some("https://video.example.edu/new"));
    assert!(gateway.get("/nothing").expect(204).body.is_empty());
}
