use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Worker threads may hand requests to each other.
fn sendable<T: Send>(future: T) -> T {
    future
}

/// 2033: long after any file that a test writes.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(2_000_000_000)
}

struct Fixture {
    dir: tempfile::TempDir,
    root: Root,
}

/// An answer, read to its end.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Received {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn content_length(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        Self { dir, root }
    }

    fn with(name: &str, content: &[u8]) -> Self {
        let fixture = Self::new();
        fs::write(fixture.dir.path().join(name), content).unwrap();
        fixture
    }

    async fn request(&self, request: FileRequest<'_>, path: &str) -> Result<Received, Rejection> {
        let mut answer = sendable(answer(&self.root, path, request, now())).await?;
        let names: std::collections::HashSet<_> = answer.headers.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names.len(), answer.headers.len(), "a header was said twice");
        let mut body = Vec::new();
        while let Some(bytes) = sendable(answer.body.next()).await.unwrap() {
            body.extend_from_slice(&bytes);
        }
        Ok(Received {
            status: answer.status.as_u16(),
            headers: answer.headers.into_iter().collect(),
            body,
        })
    }

    async fn send(&self, method: Method, path: &str, fields: &[(&'static str, &str)]) -> Result<Received, Rejection> {
        let value = |value: &str| HeaderValue::from_str(value).unwrap();
        let mut headers = HeaderMap::new();
        for &(name, text) in fields {
            headers.append(name, value(text));
        }
        self.request(
            FileRequest {
                method: &method,
                headers: &headers,
                download: false,
                private: true,
                client: CLIENT,
            },
            path,
        )
        .await
    }

    async fn get(&self, path: &str, fields: &[(&'static str, &str)]) -> Received {
        self.send(Method::GET, path, fields).await.unwrap()
    }
}

#[tokio::test]
async fn a_whole_file_and_all_that_is_said_about_it() {
    let fixture = Fixture::with("lecture.mp4", b"0123456789");
    let received = fixture.get("/lecture.mp4", &[]).await;
    assert_eq!((received.status, received.body.as_slice()), (200, &b"0123456789"[..]));
    for (name, expected) in [
        ("content-type", "video/mp4"),
        ("content-length", "10"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(received.header(name), Some(expected), "{name}");
    }
    assert!(received.header("etag").unwrap().starts_with('"'), "a strong tag");
    let modified = fs::metadata(fixture.dir.path().join("lecture.mp4"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(
        received.header("last-modified"),
        Some(httpdate::fmt_http_date(modified).as_str())
    );
    assert_eq!(received.headers.len(), 8, "{:?}", received.headers);
}

#[tokio::test]
async fn what_needed_no_credential_may_be_cached_by_all() {
    let fixture = Fixture::with("a.mp4", b"x");
    let headers = HeaderMap::new();
    let request = FileRequest {
        method: &Method::GET,
        headers: &headers,
        download: false,
        private: false,
        client: CLIENT,
    };
    assert_eq!(
        fixture
            .request(request, "/a.mp4")
            .await
            .unwrap()
            .header("cache-control"),
        None
    );
}

#[tokio::test]
async fn head_says_what_get_would_and_knows_no_ranges() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    let get = fixture.get("/a.mp4", &[]).await;
    for fields in [&[][..], &[("range", "bytes=0-1")], &[("range", "bytes=50-")]] {
        let head = fixture.send(Method::HEAD, "/a.mp4", fields).await.unwrap();
        assert_eq!((head.status, &head.headers, head.body.len()), (200, &get.headers, 0));
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let fixture = Fixture::with("a.mp4", b"x");
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        let rejection = fixture.send(method, "/a.mp4", &[]).await.err().unwrap();
        assert_eq!(rejection.reason, Reason::MethodNotAllowed);
        assert_eq!(rejection.hint, Hint::Allow(vec![Method::GET, Method::HEAD]));
    }
}

#[tokio::test]
async fn one_range_is_partial_content() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    for (range, content_range, body) in [
        ("bytes=2-4", "bytes 2-4/10", "234"),
        ("bytes=-3", "bytes 7-9/10", "789"),
        ("bytes=7-", "bytes 7-9/10", "789"),
        ("bytes=0-", "bytes 0-9/10", "0123456789"),
        ("bytes=4-5,2-4", "bytes 2-5/10", "2345"),
    ] {
        let received = fixture.get("/a.mp4", &[("range", range)]).await;
        assert_eq!(
            (received.status, received.body.as_slice()),
            (206, body.as_bytes()),
            "{range}"
        );
        assert_eq!(received.header("content-range"), Some(content_range));
        assert_eq!(received.header("content-type"), Some("video/mp4"));
        assert_eq!(received.content_length(), body.len());
    }
}

#[tokio::test]
async fn several_ranges_are_multipart() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    let received = fixture.get("/a.mp4", &[("range", "bytes=8-,0-1")]).await;
    let boundary = received
        .header("content-type")
        .unwrap()
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let part = |range, data| {
        format!("--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes {range}/10\r\n\r\n{data}\r\n")
    };
    let expected = format!("{}{}--{boundary}--\r\n", part("0-1", "01"), part("8-9", "89"));
    assert_eq!(
        (received.status, String::from_utf8_lossy(&received.body).into_owned()),
        (206, expected)
    );
    assert_eq!(received.content_length(), received.body.len());
    assert_eq!(received.header("content-range"), None);
    let again = fixture.get("/a.mp4", &[("range", "bytes=8-,0-1")]).await;
    assert_ne!(
        again.header("content-type"),
        received.header("content-type"),
        "the boundary can be foretold"
    );
}

#[tokio::test]
async fn an_unsatisfiable_range_learns_the_length() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    fs::write(fixture.dir.path().join("empty"), b"").unwrap();
    for (path, range, length) in [
        ("/a.mp4", "bytes=10-", 10),
        ("/a.mp4", "bytes=-0", 10),
        ("/empty", "bytes=0-", 0),
    ] {
        let rejection = fixture
            .send(Method::GET, path, &[("range", range)])
            .await
            .err()
            .unwrap();
        assert_eq!(rejection.reason, Reason::RangeNotSatisfiable);
        assert_eq!(rejection.hint, Hint::CompleteLength(length));
    }
    for fields in [&[][..], &[("range", "bytes=-1")]] {
        let received = fixture.get("/empty", fields).await;
        assert_eq!(
            (received.status, received.content_length(), received.body.len()),
            (200, 0, 0)
        );
    }
}

#[tokio::test]
async fn ranges_that_do_not_count_yield_the_whole_file() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    for fields in [
        &[("range", "bytes=4-2")][..],
        &[("range", "seconds=0-1")],
        &[("range", "bytes=0-1"), ("range", "bytes=0-1")],
        &[("range", "bytes=0-1"), ("if-range", "\"another\"")],
        &[("range", "bytes=50-"), ("if-range", "\"another\"")],
    ] {
        let received = fixture.get("/a.mp4", fields).await;
        assert_eq!((received.status, received.body.len()), (200, 10), "{fields:?}");
        assert_eq!(received.header("content-range"), None);
    }
}

#[tokio::test]
async fn what_a_client_knows_is_not_sent_again() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    let known = fixture.get("/a.mp4", &[]).await;
    let (etag, modified) = (known.header("etag").unwrap(), known.header("last-modified").unwrap());
    for (method, fields) in [
        (Method::GET, &[("if-none-match", etag)][..]),
        (Method::HEAD, &[("if-none-match", "*")]),
        (Method::GET, &[("if-modified-since", modified)]),
        (Method::GET, &[("if-none-match", etag), ("range", "bytes=90-")]),
    ] {
        let received = fixture.send(method, "/a.mp4", fields).await.unwrap();
        assert_eq!((received.status, received.body.len()), (304, 0), "{fields:?}");
        let mut names: Vec<_> = received.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["cache-control", "etag", "last-modified"]);
        assert_eq!(received.header("etag"), Some(etag));
    }
    for validator in [etag, modified] {
        let received = fixture
            .get("/a.mp4", &[("if-range", validator), ("range", "bytes=0-0")])
            .await;
        assert_eq!((received.status, received.body.as_slice()), (206, &b"0"[..]));
    }
    let rejection = fixture
        .send(Method::GET, "/a.mp4", &[("if-match", "\"another\"")])
        .await
        .err()
        .unwrap();
    assert_eq!(rejection, Rejection::new(Reason::PreconditionFailed));
}

#[tokio::test]
async fn every_change_makes_another_version() {
    let fixture = Fixture::with("a.mp4", b"0123456789");
    let path = fixture.dir.path().join("a.mp4");
    let when = fs::metadata(&path).unwrap().modified().unwrap();
    let etag = async || fixture.get("/a.mp4", &[]).await.header("etag").unwrap().to_owned();
    let original = etag().await;
    assert_eq!(etag().await, original);

    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(when + Duration::from_nanos(1)).unwrap();
    assert_ne!(etag().await, original, "modified within the same second");
    file.set_len(9).unwrap();
    file.set_modified(when).unwrap();
    assert_ne!(etag().await, original, "another size");

    let replacement = fixture.dir.path().join("new");
    fs::write(&replacement, b"9876543210").unwrap();
    fs::File::options()
        .write(true)
        .open(&replacement)
        .unwrap()
        .set_modified(when)
        .unwrap();
    fs::rename(&replacement, &path).unwrap();
    assert_ne!(etag().await, original, "another file of the same size and time");
}

/// A small file's bytes stay in memory for as long as it is kept open, and not a moment after it was changed.
#[tokio::test]
async fn what_is_remembered_of_a_file_ends_with_its_version() {
    let fixture = Fixture::with("note.txt", b"on the disk");
    if !fixture.root.keeps_files() {
        return; // not every file system lets it
    }
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    // The file is kept open for a short time only: that may just end in between.
    loop {
        assert!(
            std::time::Instant::now() < deadline,
            "what was remembered is never sent"
        );
        let opened = fixture.root.open_file("/note.txt", CLIENT, now()).await.unwrap();
        let described = opened.described("note.txt", now());
        described.remember(&Bytes::from_static(b"in our head"), &opened.metadata, now());
        let whole = fixture.get("/note.txt", &[]).await.body;
        let part = fixture.get("/note.txt", &[("range", "bytes=3-5")]).await.body;
        let several = fixture.get("/note.txt", &[("range", "bytes=0-1,7-")]).await.body;
        let several = String::from_utf8(several).unwrap();
        if whole == b"in our head" && part == b"our" && several.contains("\r\n\r\nhead\r\n") {
            break;
        }
    }
    fs::write(fixture.dir.path().join("note.txt"), "changed now").unwrap();
    assert_eq!(fixture.get("/note.txt", &[]).await.body, b"changed now");
}

#[tokio::test]
async fn a_download_is_an_attachment_and_so_is_what_a_browser_would_run() {
    let fixture = Fixture::with("Prüfung.mp4", b"x");
    fs::write(fixture.dir.path().join("page.html"), b"x").unwrap();
    let (method, headers) = (Method::GET, HeaderMap::new());
    let expected = [
        ("/Prüfung.mp4", false, None),
        (
            "/Prüfung.mp4",
            true,
            Some(r#"attachment; filename="Pr_fung.mp4"; filename*=UTF-8''Pr%C3%BCfung.mp4"#),
        ),
        ("/page.html", false, Some(r#"attachment; filename="page.html""#)),
    ];
    for (path, download, disposition) in expected {
        let request = FileRequest {
            method: &method,
            headers: &headers,
            download,
            private: true,
            client: CLIENT,
        };
        assert_eq!(
            fixture
                .request(request, path)
                .await
                .unwrap()
                .header("content-disposition"),
            disposition,
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_no_file_below_the_root_is_not_found() {
    let fixture = Fixture::with(".hidden", b"x");
    fs::create_dir(fixture.dir.path().join("folder")).unwrap();
    for path in ["/", "/folder", "/folder/", "/.hidden", "/missing.mp4", "/../x"] {
        assert_eq!(
            fixture.send(Method::GET, path, &[]).await.err().unwrap().reason,
            Reason::FileNotFound,
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_large_file_arrives_whole() {
    let content: Vec<u8> = (0..3_000_001u32).map(|n| (n % 253) as u8).collect();
    let fixture = Fixture::with("a.mp4", &content);
    assert!(fixture.get("/a.mp4", &[]).await.body == content);
    let received = fixture.get("/a.mp4", &[("range", "bytes=100-1999999")]).await;
    assert!(received.body == content[100..2_000_000]);
}

/// A single range, computed in the plainest way: `None` for unsatisfiable.
fn model(content: &[u8], first: Option<usize>, last: Option<usize>) -> Option<&[u8]> {
    let length = content.len();
    let offsets: Vec<usize> = (0..length)
        .filter(|&offset| match (first, last) {
            (Some(first), Some(last)) => offset >= first && offset <= last,
            (Some(first), None) => offset >= first,
            (None, Some(suffix)) => offset + suffix >= length,
            (None, None) => true,
        })
        .collect();
    content.get(*offsets.first()?..=*offsets.last()?)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_answer_has_the_length_it_announces(
        header in "bytes=([0-9]{0,3}-[0-9]{0,3},?){1,6}",
        content in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let fixture = Fixture::with("a.mp4", &content);
        match wait(fixture.send(Method::GET, "/a.mp4", &[("range", &header)])) {
            Ok(received) => {
                prop_assert_eq!(received.content_length(), received.body.len());
                match received.header("content-range") {
                    Some(content_range) => {
                        let (bounds, complete) = content_range.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
                        let (first, last) = bounds.split_once('-').unwrap();
                        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                        prop_assert_eq!(complete, content.len().to_string());
                        prop_assert_eq!(&received.body, &content[first..=last]);
                    }
                    None if received.status == 206 => {
                        prop_assert!(received.header("content-type").unwrap().starts_with("multipart/byteranges"));
                    }
                    None => prop_assert_eq!(&received.body, &content),
                }
            }
            Err(rejection) => prop_assert_eq!(rejection.hint, Hint::CompleteLength(content.len() as u64)),
        }
    }

    #[test]
    fn one_range_agrees_with_the_model(
        content in proptest::collection::vec(any::<u8>(), 1..80),
        first in proptest::option::of(0..100usize),
        more in proptest::option::of(0..100usize),
    ) {
        prop_assume!(first.is_some() || more.is_some());
        let last = more.map(|more| first.unwrap_or(0) + more);
        let text = |bound: Option<usize>| bound.map(|n| n.to_string()).unwrap_or_default();
        let header = format!("bytes={}-{}", text(first), text(last));
        let fixture = Fixture::with("a.mp4", &content);
        let received = wait(fixture.send(Method::GET, "/a.mp4", &[("range", &header)]));
        prop_assert_eq!(received.ok().map(|received| received.body), model(&content, first, last).map(<[u8]>::to_vec));
    }
}
