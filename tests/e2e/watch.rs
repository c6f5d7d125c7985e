//! A player that came with a token keeps playing when the token is over: by a cookie, or by the addresses in playlists.

use serde_json::json;

use crate::support::http::Response;
use crate::support::tools::janua;
use crate::support::{Config, Gateway, Request, Signer, Site, Upstream, eventually, in_seconds};

const EVENT: &str = "/static/org/player/lecture-1";
const MEDIA: &str = r#"
    [[routes]]
    name = "media"
    path = "/static/{org}/{channel}/{event}/{*file}"
    ACTION
    strip = "/static"
    accept = ["jwt", "watch"]
    watch = { carry = [CARRY], ttl = "1h" }
    deny = [{ role = "ROLE_SUSPENDED" }]
    allow = [{ grant = "read", event = "{event}" }]"#;

pub fn config(site: &Site, signer: &Signer, action: &str, carry: &str) -> Config {
    site.write_keys("keys.json", &[signer]);
    let media = MEDIA.replace("ACTION", action).replace("CARRY", carry);
    Config::new().issuer("moodle", "keys.json", "").section(&media)
}

/// Two lectures, from disk.
fn start(signer: &Signer, carry: &str) -> Gateway {
    let site = lectures();
    site.start(&config(&site, signer, "files = \"downloads\"", carry))
}

pub fn lectures() -> Site {
    let site = Site::new();
    for event in ["lecture-1", "lecture-2"] {
        let below = |name: &str| format!("downloads/org/player/{event}/{name}");
        site.write(&below("a/video.mp4"), "0123456789");
        site.write(&below("s/captions.vtt"), "WEBVTT\n");
        let playlist = "#EXTM3U\n#EXT-X-MAP:URI=\"../a/video.mp4\"\r\n#EXTINF:1,\n../a/video.mp4\n../../lecture-2/a/video.mp4\n\
                        https://cdn.example/a.ts\n";
        site.write(&below("a/main.m3u8"), playlist);
    }
    site
}

/// The `name=value` of the pass that the answer hands out.
pub fn cookie(answer: &Response) -> String {
    let cookie = answer.header("set-cookie").expect("a pass");
    cookie.split(';').next().unwrap().to_owned()
}

pub fn with_cookie(gateway: &Gateway, path: &str, cookie: &str) -> Response {
    gateway.send(Request::get(path).header("Cookie", cookie))
}

#[test]
fn an_image_earns_no_pass() {
    let signer = Signer::new();
    let site = lectures();
    site.write("downloads/org/player/lecture-1/a/slide.jpg", "j");
    let gateway = site.start(&config(&site, &signer, "files = \"downloads\"", "\"cookie\""));
    let token = signer.read("lecture-1");
    let get = |name: &str, dest: &str| {
        let request = Request::get(&format!("{EVENT}/a/{name}?jwt={token}")).header("Sec-Fetch-Dest", dest);
        gateway.send(request).expect(200).header("set-cookie").is_some()
    };
    for (name, dest, earns) in [
        ("slide.jpg", "image", false),
        ("slide.jpg", "document", false),
        ("video.mp4", "image", false),
        ("video.mp4", "video", true),
        ("video.mp4", "document", true),
    ] {
        assert_eq!(get(name, dest), earns, "{name} as {dest}");
    }
    // A browser that does not say what it fetches for asks for images by their kinds.
    site.write("downloads/org/player/lecture-1/a/thumb", "t");
    let unsaid = |accept: &str| {
        let request = Request::get(&format!("{EVENT}/a/thumb?jwt={token}")).header("Accept", accept);
        gateway.send(request).expect(200).header("set-cookie").is_some()
    };
    assert!(!unsaid(
        "image/webp,image/png,image/svg+xml,image/*;q=0.8,video/*;q=0.8,*/*;q=0.5"
    ));
    assert!(unsaid("*/*"));
    let gone = gateway.get(&format!("{EVENT}/a/gone.mp4?jwt={token}"));
    assert!(gone.status == 404 && gone.header("set-cookie").is_none());
    // An upstream says itself what its answer is.
    let (site, zoo) = (Site::new(), Upstream::start());
    let config = config(&site, &signer, "upstream = \"zoo\"", "\"cookie\"");
    let gateway = site.start(&config.upstream("zoo", &[zoo.url()], ""));
    let said = |kind: &str| {
        let path = format!("{EVENT}/zoo/says?Content-Type={kind}&jwt={token}");
        gateway.get(&path).expect(200).header("set-cookie").is_some()
    };
    assert!(!said("Image/PNG"));
    assert!(said("video/mp4"));
    for status in [404, 500] {
        let answer = gateway.get(&format!("{EVENT}/zoo/status/{status}?jwt={token}"));
        assert!(
            answer.status == status && answer.header("set-cookie").is_none(),
            "{status}"
        );
    }
}

#[test]
fn a_token_earns_a_cookie_for_its_event_and_no_other() {
    let signer = Signer::new();
    let gateway = start(&signer, "\"cookie\"");
    let token = signer.read("lecture-1");
    let first = gateway.get(&format!("{EVENT}/a/main.m3u8?jwt={token}")).expect(200);
    let set = first.header("set-cookie").unwrap();
    assert!(set.starts_with("janua-watch="), "{set}");
    assert!(
        set.ends_with(&format!("; Path={EVENT}/; Max-Age=3600; HttpOnly; SameSite=Lax")),
        "{set}"
    );
    assert!(
        first.text().contains("\n../a/video.mp4\n"),
        "rewritten without being asked: {}",
        first.text()
    );
    let pass = cookie(&first);
    for path in ["a/video.mp4", "s/captions.vtt", "a/main.m3u8"] {
        let answer = with_cookie(&gateway, &format!("{EVENT}/{path}"), &pass).expect(200);
        assert!(answer.header("set-cookie").is_none(), "a pass earns no pass");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("private"));
    }
    let part = Request::get(&format!("{EVENT}/a/video.mp4"))
        .header("Range", "bytes=5-")
        .header("Cookie", &pass);
    assert_eq!(gateway.send(part).expect(206).text(), "56789");
    let head = Request::new("HEAD", &format!("{EVENT}/a/video.mp4")).header("Cookie", &pass);
    gateway.send(head).expect(200);
    let elsewhere = "/static/org/player/lecture-2/a/video.mp4";
    with_cookie(&gateway, elsewhere, &pass).refused(403, "watch_pass_invalid");
    gateway.get(elsewhere).refused(401, "no_credentials");
    // A query carries no pass here; other cookies of the name are in nobody's way.
    let value = pass.split_once('=').unwrap().1;
    gateway
        .get(&format!("{EVENT}/a/video.mp4?watch={value}"))
        .refused(401, "no_credentials");
    let beside = format!("janua-watch=forged; x=1; {pass}; janua-watch=");
    with_cookie(&gateway, &format!("{EVENT}/a/video.mp4"), &beside).expect(200);
    // With the token once more: there is a pass already.
    let again = Request::get(&format!("{EVENT}/a/video.mp4?jwt={token}")).header("Cookie", &pass);
    assert!(gateway.send(again).expect(200).header("set-cookie").is_none());
    let said = gateway.said();
    assert!(!said.contains(value), "{said}");
}

#[test]
fn two_lectures_side_by_side() {
    let signer = Signer::new();
    let gateway = start(&signer, "\"cookie\"");
    let passes: Vec<String> = ["lecture-1", "lecture-2"]
        .map(|event| {
            cookie(&gateway.get(&format!(
                "/static/org/player/{event}/a/video.mp4?jwt={}",
                signer.read(event)
            )))
        })
        .into();
    for order in [[0, 1], [1, 0]] {
        let both = order.map(|index| passes[index].as_str()).join("; ");
        for event in ["lecture-1", "lecture-2"] {
            with_cookie(&gateway, &format!("/static/org/player/{event}/a/video.mp4"), &both).expect(200);
        }
    }
}

#[test]
fn over_https_the_cookie_travels_into_frames_of_other_sites() {
    let signer = Signer::new();
    let site = Site::new();
    site.write("downloads/org/player/lecture-1/a.mp4", "x");
    let config =
        config(&site, &signer, "files = \"downloads\"", "\"cookie\"").server("trusted_proxies", "[\"127.0.0.1/32\"]");
    let gateway = site.start(&config);
    let path = format!("{EVENT}/a.mp4?jwt={}", signer.read("lecture-1"));
    let answer = gateway
        .send(Request::get(&path).header("X-Forwarded-Proto", "https"))
        .expect(200);
    let set = answer.header("set-cookie").unwrap();
    assert!(set.starts_with("__Secure-janua-watch="), "{set}");
    assert!(
        set.ends_with(&format!(
            "; Path={EVENT}/; Max-Age=3600; HttpOnly; Secure; SameSite=None; Partitioned"
        )),
        "{set}"
    );
    let next = Request::get(&format!("{EVENT}/a.mp4"))
        .header("X-Forwarded-Proto", "https")
        .header("Cookie", &cookie(&answer));
    gateway.send(next).expect(200);
}

#[test]
fn playlists_carry_the_pass_where_that_is_asked_for() {
    let signer = Signer::new();
    let gateway = start(&signer, "\"rewrite\"");
    let path = format!("{EVENT}/a/main.m3u8");
    let token = signer.read("lecture-1");
    let by_header = gateway.get_with(&path, &token).expect(200);
    assert!(by_header.header("set-cookie").is_none() && !by_header.text().contains("watch="));
    let plain_tag = by_header.header("etag").unwrap().to_owned();

    let asked = gateway.get(&format!("{path}?jwt={token}")).expect(200);
    let text = asked.text();
    let pass = text
        .split_once("?watch=")
        .unwrap()
        .1
        .split('"')
        .next()
        .unwrap()
        .to_owned();
    let expected = by_header
        .text()
        .replace("../a/video.mp4\"", &format!("../a/video.mp4?watch={pass}\""));
    assert_eq!(
        text,
        expected.replace("\n../a/video.mp4", &format!("\n../a/video.mp4?watch={pass}"))
    );
    assert!(asked.header("set-cookie").is_none() && asked.header("last-modified").is_none());
    assert!(!text.contains(&token));

    let with_pass = format!("{path}?watch={pass}");
    let again = gateway.get(&with_pass).expect(200);
    assert_eq!(again.text(), text, "the same pass goes in");
    let tag = again.header("etag").unwrap().to_owned();
    assert_ne!(tag, plain_tag);
    let head = gateway.send(Request::new("HEAD", &with_pass)).expect(200);
    assert_eq!(head.header("content-length"), Some(text.len().to_string().as_str()));
    assert_eq!(head.header("etag"), Some(tag.as_str()));
    gateway
        .send(Request::get(&with_pass).header("If-None-Match", &tag))
        .expect(304);
    gateway
        .send(Request::get(&with_pass).header("If-None-Match", &plain_tag))
        .expect(200);
    let part = gateway
        .send(Request::get(&with_pass).header("Range", "bytes=1-6"))
        .expect(206);
    assert_eq!(part.text(), "EXTM3U");

    gateway.get(&format!("{EVENT}/a/video.mp4?watch={pass}")).expect(200);
    let elsewhere = format!("/static/org/player/lecture-2/a/video.mp4?watch={pass}");
    gateway.get(&elsewhere).refused(403, "watch_pass_invalid");
    assert!(!gateway.said().contains(&pass));
}

#[test]
fn it_outlives_its_token_and_ends_by_revocation_alone() {
    let (site, signer) = (lectures(), Signer::new());
    let config = config(&site, &signer, "files = \"downloads\"", "\"cookie\"").set("state", "store", "\"embedded\"");
    let gateway = site.start(&config);
    let claims = |sub: &str| json!({ "exp": in_seconds(1), "sub": sub, "oc": { "e:lecture-1": ["read"], "e:lecture-2": ["read"] } });
    let path = |event: u8| format!("/static/org/player/lecture-{event}/a/video.mp4");
    let (anna, bert) = (signer.token(&claims("anna")), signer.token(&claims("bert")));
    let pass = |token: &str, event| cookie(&gateway.get_with(&path(event), token).expect(200));
    let (anna_1, bert_1, bert_2) = (pass(&anna, 1), pass(&bert, 1), pass(&bert, 2));
    eventually("the token is over", || {
        (gateway.get_with(&path(1), &anna).status == 401).then_some(())
    });
    for (event, cookie) in [(1, &anna_1), (1, &bert_1), (2, &bert_2)] {
        with_cookie(&gateway, &path(event), cookie).expect(200);
    }

    let file = gateway.site.path("gateway.toml").to_str().unwrap().to_owned();
    let revoke = |whose: &str, name: &str| janua(["revoke", whose, name, "--config", &file]);
    revoke("--subject", "anna").ok();
    let stale = Request::get(&format!("{}?jwt={anna}", path(1))).header("Cookie", &anna_1);
    gateway.send(stale).refused(403, "watch_pass_revoked");
    with_cookie(&gateway, &path(1), &anna_1).refused(403, "watch_pass_revoked");
    with_cookie(&gateway, &path(1), &bert_1).expect(200);
    revoke("--event", "lecture-1").ok();
    with_cookie(&gateway, &path(1), &bert_1).refused(403, "watch_pass_revoked");
    with_cookie(&gateway, &path(2), &bert_2).expect(200);
    assert_ne!(janua(["revoke", "--config", &file]).code, Some(0));

    // Over a restart, too: the key and the revocations are kept.
    gateway.stop();
    let gateway = site.start(&config);
    with_cookie(&gateway, &path(1), &bert_1).refused(403, "watch_pass_revoked");
    with_cookie(&gateway, &path(2), &bert_2).expect(200);
}

#[test]
fn a_pass_is_for_reading_and_keeps_to_itself() {
    let signer = Signer::new();
    let site = Site::new();
    let upstream = Upstream::start();
    let config = config(&site, &signer, "upstream = \"opencast\"", "\"cookie\", \"rewrite\"").upstream(
        "opencast",
        &[upstream.url()],
        "",
    );
    let gateway = site.start(&config);
    let path = format!("{EVENT}/a.bin");
    let token = signer.read("lecture-1");
    let answer = gateway.get(&format!("{path}?jwt={token}&a=1")).expect(200);
    let pass = cookie(&answer);
    let value = pass.split_once('=').unwrap().1;
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    gateway.get(&format!("{path}?b=2&watch={value}")).expect(200);
    with_cookie(&gateway, &path, &pass).expect(200);
    for method in ["POST", "PUT", "DELETE"] {
        gateway
            .send(Request::new(method, &path).header("Cookie", &pass))
            .refused(401, "no_credentials");
        gateway
            .send(Request::new(method, &format!("{path}?watch={value}")))
            .refused(401, "no_credentials");
    }
    let seen = upstream.requests();
    let targets: Vec<&str> = seen.iter().map(|request| request.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/org/player/lecture-1/a.bin?a=1",
            "/org/player/lecture-1/a.bin?b=2",
            "/org/player/lecture-1/a.bin"
        ]
    );
    assert!(seen.iter().all(|request| request.header("cookie").is_none()));
}

/// A player without cookies follows a redirect with what its address has.
#[test]
fn a_redirect_inside_the_lecture_keeps_the_pass() {
    let signer = Signer::new();
    let site = Site::new();
    let upstream = Upstream::start();
    let config =
        config(&site, &signer, "upstream = \"opencast\"", "\"rewrite\"").upstream("opencast", &[upstream.url()], "");
    let gateway = site.start(&config);
    let token = signer.read("lecture-1");
    let location = |status: u16, to: &str| {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("location", to)
            .append_pair("jwt", &token)
            .finish();
        let told = gateway
            .get(&format!("{EVENT}/zoo/says/{status}?{query}"))
            .expect(status);
        told.header("location").unwrap().to_owned()
    };
    let whole = format!("http://video.test{EVENT}/b.mp4");
    for (status, to) in [
        (302, "b.m3u8"),
        (307, "sub/b.m3u8?x=1"),
        (301, "../says/b.mp4"),
        (308, "\u{dc}bung.m3u8"),
        (303, &whole),
    ] {
        let told = location(status, to);
        let (before, pass) = told.split_once("watch=").expect(&told);
        assert_eq!(before.trim_end_matches(['?', '&']), to);
        gateway.get(&format!("{EVENT}/a.ts?watch={pass}")).expect(200);
    }
    for to in [
        "https://cdn.test/b.m3u8",
        "/org/player/lecture-2/b.m3u8",
        "../../../lecture-2/b.m3u8",
    ] {
        assert_eq!(location(302, to), to);
    }
}
