//! Objects of a bucket behind the gateway's rules: asked for by signed requests that carry nothing of the client's, or fetched by
//! the client itself from an address that is signed for a while.

use crate::support::http::Response;
use crate::support::s3::{BUCKET, KEY, ObjectStore, SECRET};
use crate::support::secrets::{self, Kind};
use crate::support::tools::janua;
use crate::support::{Config, Connection, Gateway, Request, Signer, Site, eventually};

fn credentials(site: &Site, secret: &str, more: &str) {
    site.write(
        "secrets/s3",
        format!("[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {secret}\n{more}"),
    );
}

fn config(site: &Site, store: &ObjectStore, more: &str) -> Config {
    credentials(site, SECRET, "");
    secrets::register(Kind::Token, SECRET);
    Config::new()
        .upstream(
            "archive",
            &[store.url()],
            &format!(
                "[upstreams.archive.s3]\nbucket = \"{BUCKET}\"\nregion = \"eu-test-1\"\ncredentials_file = \"secrets/s3\"\n{more}\n"
            ),
        )
        .section(
            "[[routes]]\nname = \"objects\"\npath = \"/objects/{*rest}\"\nupstream = \"archive\"\nstrip = \"/objects\"\n\
             allow = [{ anyone = true }]\n\
             [[routes]]\nname = \"private\"\npath = \"/private/{*rest}\"\nupstream = \"archive\"\nstrip = \"/private\"\n\
             allow = [{ role = \"A\" }]\n\
             [[routes]]\nname = \"sent\"\npath = \"/sent/{*rest}\"\nstrip = \"/sent\"\nrespond = { presigned = \"archive\" }\n\
             allow = [{ role = \"A\" }]\n",
        )
}

fn started(store: &ObjectStore, signer: &Signer, more: &str) -> (Site, Gateway) {
    let site = Site::new();
    site.write_keys("keys.json", &[signer]);
    let gateway = site.start(&config(&site, store, more).issuer("moodle", "keys.json", ""));
    (site, gateway)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.header(name)
}

#[test]
fn an_object_comes_as_a_file_and_the_store_sees_nothing_of_the_client() {
    let (store, signer) = (ObjectStore::start(), Signer::new());
    let (_site, gateway) = started(&store, &signer, "prefix = \"opencast/\"");
    store.put("opencast/org/v.mp4", bytes(1000));
    let asked = Request::get("/objects/org/v.mp4?x=1&list-type=2&X-Amz-Signature=mine")
        .bearer("abc")
        .header("Cookie", "a=1")
        .header("X-Amz-Acl", "public-read")
        .header("X-Amz-Date", "20130524T000000Z")
        .header("X-Forwarded-For", "192.0.2.7")
        .header("User-Agent", "player")
        .header("If-None-Match", "\"other\"");
    let answer = gateway.send(asked).expect(200);
    assert_eq!(answer.body, bytes(1000));
    assert_eq!(header(&answer, "etag"), Some("\"tag\""));
    assert_eq!(header(&answer, "last-modified"), Some("Wed, 12 Oct 2009 17:50:00 GMT"));
    assert_eq!(header(&answer, "content-type"), Some("video/mp4"), "as for files");
    assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
    for name in [
        "x-amz-request-id",
        "x-amz-id-2",
        "x-amz-meta-owner",
        "server",
        "set-cookie",
    ] {
        assert_eq!(header(&answer, name), None, "{name}");
    }
    let seen = store.last();
    let (path, query) = seen.target.split_once('?').unwrap();
    assert_eq!(path, "/lectures/opencast/org/v.mp4");
    assert!(!query.contains("list-type") && !query.contains("mine"), "{query}");
    let names: Vec<String> = seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert!(
        names
            .iter()
            .all(|name| ["host", "if-none-match", "connection"].contains(&name.as_str())),
        "{names:?}"
    );

    let range = Request::get("/objects/org/v.mp4").header("Range", "bytes=10-19");
    let part = gateway.send(range).expect(206);
    assert_eq!(part.body, &bytes(1000)[10..20]);
    assert_eq!(header(&part, "content-range"), Some("bytes 10-19/1000"));
    let head = gateway.send(Request::new("HEAD", "/objects/org/v.mp4")).expect(200);
    assert_eq!((header(&head, "content-length"), head.body.len()), (Some("1000"), 0));
    assert_eq!(store.last().method, "HEAD");
    let same = Request::get("/objects/org/v.mp4").header("If-None-Match", "\"tag\"");
    gateway.send(same).expect(304);
    // A page of the store's is no page of the gateway's.
    store.put("opencast/page.html", "<script>alert(1)</script>");
    let page = gateway.get("/objects/page.html").expect(200);
    assert!(
        header(&page, "content-security-policy").unwrap().contains("sandbox"),
        "{page:?}"
    );
}

#[test]
fn every_byte_of_a_key_is_signed_as_it_is_sent() {
    let (store, signer) = (ObjectStore::start(), Signer::new());
    let (_site, gateway) = started(&store, &signer, "");
    for (key, path) in [
        ("a b+c.mp4", "/objects/a%20b+c.mp4"),
        ("a b+c.mp4", "/objects/a%20b%2Bc.mp4"),
        ("Vorlesung über.mp4", "/objects/Vorlesung%20%C3%BCber.mp4"),
        ("a!'()*$&,:=@~.mp4", "/objects/a!'()*$&,:=@~.mp4"),
        ("日本/語.mp4", "/objects/%E6%97%A5%E6%9C%AC/%E8%AA%9E.mp4"),
        ("a?b#c.mp4", "/objects/a%3Fb%23c.mp4"),
        ("a%2fb.mp4", "/objects/a%252fb.mp4"),
        ("a/b.mp4", "/objects//a///b.mp4"),
    ] {
        store.put(key, key);
        assert_eq!(gateway.get(path).expect(200).text(), key, "{path}");
    }
    let before = store.seen().len();
    for path in ["/objects", "/objects/", "/objects/a/", "/objects/.hidden"] {
        gateway.get(path).refused(404, "file_not_found");
    }
    for path in [
        "/objects/../lectures/a",
        "/objects/%2e%2e/%2e%2e/other/a",
        "/objects/a/./b",
    ] {
        assert_eq!(gateway.get(path).status, 400, "{path}");
    }
    for method in ["PUT", "DELETE", "POST"] {
        let asked = Request::new(method, "/objects/a/b.mp4").body("x");
        gateway.send(asked).refused(405, "method_not_allowed");
    }
    assert_eq!(store.seen().len(), before, "the store is asked for nothing of that");
}

#[test]
fn what_the_store_refuses_is_told_in_the_gateways_words() {
    let (store, signer) = (ObjectStore::start(), Signer::new());
    let (site, gateway) = started(&store, &signer, "");
    store.put("a", "object");
    let told = gateway.get("/objects/none").refused(404, "file_not_found");
    assert!(
        !told.text().contains(BUCKET) && !told.text().contains(KEY),
        "{}",
        told.text()
    );
    assert_eq!(header(&told, "x-amz-request-id"), None);
    gateway.logged(&["no such object"]);
    for (status, headers, expected, reason, log) in [
        (
            301,
            "x-amz-bucket-region: eu-west-1\r\n",
            502,
            "upstream_failed",
            "another region",
        ),
        (400, "", 502, "upstream_failed", "path_style"),
        (412, "", 412, "precondition_failed", "precondition_failed"),
        (
            416,
            "Content-Range: bytes */6\r\n",
            416,
            "range_not_satisfiable",
            "range_not_satisfiable",
        ),
        (503, "", 503, "overloaded", "fewer requests"),
        (500, "", 502, "upstream_failed", "answers 500"),
        (
            403,
            "Date: Mon, 12 Oct 2009 17:50:00 GMT\r\n",
            502,
            "upstream_failed",
            "clock",
        ),
    ] {
        store.answers(Some((status, headers)));
        let answer = gateway.get("/objects/a").refused(expected, reason);
        assert!(
            !answer.text().contains(BUCKET) && !answer.text().contains("<Error>"),
            "{}",
            answer.text()
        );
        gateway.logged(&[log]);
    }
    store.answers(None);
    gateway.get("/objects/a").expect(200);
    // Another secret in the file counts without a reload, and back.
    credentials(&site, "another secret of nobody", "");
    eventually("the secret is wrong", || {
        (gateway.get("/objects/a").status == 502).then_some(())
    });
    gateway.logged(&["s3:ListBucket"]);
    // One that cannot be used changes nothing.
    credentials(&site, SECRET, "");
    eventually("the secret is right", || {
        (gateway.get("/objects/a").status == 200).then_some(())
    });
    site.write("secrets/s3", "[default]\n");
    gateway.logged(&["the credentials for S3 stay as they were"]);
    gateway.get("/objects/a").expect(200);
    // With a session's token.
    store.wants_token("a/session+token=");
    credentials(&site, SECRET, "aws_session_token = a/session+token=\n");
    eventually("the token is there", || {
        (gateway.get("/objects/a").status == 200).then_some(())
    });
}

#[test]
fn large_objects_stream_and_private_ones_stay_private() {
    let (store, signer) = (ObjectStore::start(), Signer::new());
    let (_site, gateway) = started(&store, &signer, "");
    let large = bytes(32 << 20);
    store.put("large.mp4", large.clone());
    gateway.get("/private/large.mp4").refused(401, "no_credentials");
    gateway
        .get_with("/private/large.mp4", &signer.roles(&["B"]))
        .refused(403, "missing_role");
    assert!(store.seen().is_empty());
    let answer = gateway
        .get_with("/private/large.mp4", &signer.roles(&["A"]))
        .expect(200);
    assert!(answer.body == large);
    assert!(
        header(&answer, "cache-control").unwrap().contains("private"),
        "{:?}",
        answer.headers
    );
    assert!(gateway.memory("VmHWM") < 400 << 20, "it is not held");
}

#[test]
fn a_client_fetches_the_object_itself_for_a_while() {
    let (store, signer) = (ObjectStore::start(), Signer::new());
    let (site, gateway) = started(&store, &signer, "valid = \"2h\"");
    store.put("a b.mp4", "object");
    gateway.get("/sent/a%20b.mp4").refused(401, "no_credentials");
    let token = signer.roles(&["A"]);
    for method in ["GET", "HEAD"] {
        let asked = Request::new(method, &format!("/sent/a%20b.mp4?jwt={token}"));
        let answer = gateway.send(asked).expect(302);
        assert_eq!(answer.all("cache-control"), ["no-store"]);
        let location = header(&answer, "location").unwrap();
        let target = location.strip_prefix(&store.url()).unwrap();
        assert!(
            target.starts_with("/lectures/a%20b.mp4?") && target.contains("X-Amz-Expires=7200"),
            "{target}"
        );
        assert!(!target.contains(&token), "{target}");
        let address = store.url().trim_start_matches("http://").to_owned();
        let asked = Request::new(method, target).host(&address);
        Connection::open(address.parse().unwrap()).exchange(asked).expect(200);
        // For this method alone.
        let other = if method == "GET" { "HEAD" } else { "GET" };
        let asked = Request::new(other, target).host(&address);
        Connection::open(address.parse().unwrap()).exchange(asked).expect(403);
        secrets::register(Kind::Signature, target.rsplit_once('=').unwrap().1);
    }
    gateway.get_with("/sent/", &token).refused(404, "file_not_found");
    let post = Request::new("POST", "/sent/a").bearer(&token).body("x");
    gateway.send(post).refused(405, "method_not_allowed");
    let file = site.path("gateway.toml");
    let told = janua([
        "explain",
        "GET",
        "/objects/a%20b.mp4",
        "--config",
        file.to_str().unwrap(),
    ])
    .stdout;
    assert!(told.contains("/lectures/a%20b.mp4?X-Amz-Signature=***"), "{told}");
    assert!(!told.contains(SECRET) && !told.contains("X-Amz-Credential"), "{told}");
}
