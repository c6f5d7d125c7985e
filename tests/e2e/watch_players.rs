//! ffmpeg plays a lecture in real time with a token that is over after a few seconds: HLS and DASH, by cookie and by
//! addresses, from disk and through an nginx that compresses its playlists.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::json;

use super::players;
use super::watch::{config, cookie};
use crate::support::tools::{missing, run};
use crate::support::{Config, Connection, Gateway, Nginx, Request, Signer, Site, eventually, in_seconds};

const EVENT: &str = "/static/org/player/lecture-1";

/// The lecture of the other tests, and a DASH version of it, in segments of its own.
pub fn site() -> Site {
    static DASH: OnceLock<PathBuf> = OnceLock::new();
    let site = players::site();
    let lecture = site.path("downloads/org/player/lecture-1");
    let dash = DASH.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lecture-dash");
        if !kept.exists() {
            let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            make_dash(&lecture.join("mp4/lecture.mp4"), new.path());
            std::fs::rename(new.keep(), &kept).unwrap();
        }
        kept
    });
    run(
        "cp",
        ["-r".as_ref(), dash.as_os_str(), lecture.join("dash").as_os_str()],
    )
    .ok();
    site
}

fn make_dash(mp4: &Path, folder: &Path) {
    let (mp4, manifest) = (mp4.to_str().unwrap(), folder.join("manifest.mpd"));
    let cut = "-map 0:v -c copy -f dash -seg_duration 2 -use_template 1 -use_timeline 1";
    let from = ["-nostdin", "-loglevel", "error", "-i", mp4];
    run(
        "ffmpeg",
        from.into_iter()
            .chain(cut.split(' '))
            .chain([manifest.to_str().unwrap()]),
    )
    .ok();
}

/// Plays the whole lecture at the speed of a viewer, and counts the frames.
fn frames(url: &str) -> usize {
    let asked = [
        "-nostdin",
        "-loglevel",
        "error",
        "-xerror",
        "-re",
        "-i",
        url,
        "-map",
        "0:v:0",
        "-f",
        "framecrc",
        "-",
    ];
    let played = run("ffmpeg", asked).ok();
    played.stdout.lines().filter(|line| !line.starts_with('#')).count()
}

/// All at once, each with a token of its own that ends long before the lecture does.
fn all_play(gateway: &Gateway, signer: &Signer, playlists: &[&str]) {
    std::thread::scope(|scope| {
        for playlist in playlists {
            scope.spawn(move || {
                let token = signer.token(&json!({ "exp": in_seconds(3), "oc": { "e:lecture-1": ["read"] } }));
                let url = gateway.url(&format!("{EVENT}/{playlist}?jwt={token}"));
                let count = frames(&url);
                assert!((298..=302).contains(&count), "{playlist}: {count} frames, not 300");
                let over = gateway
                    .get(&format!("{EVENT}/mp4/lecture.mp4?jwt={token}"))
                    .refused(401, "token_expired");
                assert!(over.header("set-cookie").is_none());
            });
        }
    });
}

fn no_leeway(config: Config) -> Config {
    config.jwt("leeway", "\"0s\"")
}

#[test]
fn hls_and_dash_play_to_the_end_from_disk() {
    if missing("ffmpeg") {
        return;
    }
    for carry in ["\"rewrite\"", "\"cookie\""] {
        let (site, signer) = (site(), Signer::new());
        let gateway = site.start(&no_leeway(config(&site, &signer, "files = \"downloads\"", carry)));
        // ffmpeg's DASH reader keeps no cookies.
        let playlists: &[&str] = match carry {
            "\"rewrite\"" => &["hls/master.m3u8", "fmp4/fmp4.m3u8", "dash/manifest.mpd"],
            _ => &["hls/master.m3u8"],
        };
        all_play(&gateway, &signer, playlists);
    }
}

#[test]
fn hls_and_dash_play_to_the_end_through_an_nginx_that_compresses() {
    if missing("ffmpeg") || missing("nginx") {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    let nginx = Nginx::with(&format!(
        "root {}; gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any; gzip_http_version 1.0; \
         types {{ video/mp4 mp4 m4s; application/x-mpegURL m3u8; application/dash+xml mpd; }}",
        site.path("downloads").display()
    ));
    let direct = Request::get("/org/player/lecture-1/ts/ts.m3u8").header("Accept-Encoding", "gzip");
    let direct = Connection::open(nginx.address).exchange(direct).expect(200);
    assert_eq!(direct.header("content-encoding"), Some("gzip"));
    let config =
        config(&site, &signer, "upstream = \"opencast\"", "\"rewrite\"").upstream("opencast", &[nginx.url()], "");
    let gateway = site.start(&no_leeway(config));
    all_play(&gateway, &signer, &["hls/master.m3u8", "dash/manifest.mpd"]);

    // Compressed on its way here, plain and rewritten from here on; conditions are about what is sent.
    let path = format!("{EVENT}/ts/ts.m3u8?jwt={}", signer.read("lecture-1"));
    let by_gzip = |path: &str| Request::get(path).header("Accept-Encoding", "gzip, br");
    let first = gateway.send(by_gzip(&path)).expect(200);
    assert!(first.header("content-encoding").is_none());
    let text = first.text();
    let pass = text.split_once("?watch=").unwrap().1.lines().next().unwrap();
    assert!(
        text.starts_with("#EXTM3U") && text.ends_with("#EXT-X-ENDLIST\n"),
        "{text}"
    );
    let path = format!("{EVENT}/ts/ts.m3u8?watch={pass}");
    let tag = gateway
        .send(by_gzip(&path))
        .expect(200)
        .header("etag")
        .unwrap()
        .to_owned();
    gateway.send(by_gzip(&path).header("If-None-Match", &tag)).expect(304);
    gateway
        .send(by_gzip(&path).header("If-None-Match", "\"other\""))
        .expect(200);
    let part = gateway.send(by_gzip(&path).header("Range", "bytes=0-6")).expect(200);
    assert_eq!(part.text(), text);
    let head = gateway.send(Request::new("HEAD", &path)).expect(200);
    assert_eq!(head.header("etag").map(|tag| tag.contains("-w")), Some(true));
    nginx.logged("GET /org/player/lecture-1/ts/ts.ts 206");
    assert!(
        !nginx
            .logged("GET /org/player/lecture-1/dash/manifest.mpd 200")
            .contains('?')
    );
}

/// A player of its own that comes with a pass alone, the token being over: from the start and after seeks.
#[test]
fn an_mp4_plays_and_seeks_by_its_pass_alone() {
    if missing("ffmpeg") {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    let config = config(&site, &signer, "files = \"downloads\"", "\"cookie\", \"rewrite\"");
    let gateway = site.start(&no_leeway(config));
    let token = signer.token(&json!({ "exp": in_seconds(3), "oc": { "e:lecture-1": ["read"] } }));
    let mp4 = format!("{EVENT}/mp4/lecture.mp4");
    let pass = cookie(&gateway.get_with(&mp4, &token).expect(200));
    eventually("the token is over", || {
        (gateway.get_with(&mp4, &token).status == 401).then_some(())
    });
    let (_, value) = pass.split_once('=').unwrap();
    let header = format!("Authorization: Bearer {token}\r\nCookie: {pass}\r\n");
    let by_cookie = (gateway.url(&format!("{mp4}?jwt={token}")), header.as_str());
    let by_address = (gateway.url(&format!("{mp4}?watch={value}")), "");
    for (url, headers) in [&by_cookie, &by_address] {
        for start in ["0", "7.3", "3", "9.5"] {
            let asked = [
                "-nostdin",
                "-loglevel",
                "error",
                "-xerror",
                "-headers",
                headers,
                "-ss",
                start,
                "-i",
                url,
                "-t",
                "2",
                "-map",
                "0:v:0",
                "-f",
                "framecrc",
                "-",
            ];
            let played = run("ffmpeg", asked).ok();
            let count = played.stdout.lines().filter(|line| !line.starts_with('#')).count();
            assert!((48..=51).contains(&count), "{start}: {count} frames, not 50");
        }
    }
    let other = by_address.0.replace("lecture-1", "lecture-2");
    let refused = run(
        "ffmpeg",
        ["-nostdin", "-loglevel", "error", "-i", &other, "-f", "null", "-"],
    );
    assert!(
        refused.code != Some(0) && refused.stderr.contains("403"),
        "{}",
        refused.stderr
    );
}
