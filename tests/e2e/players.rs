//! Real players read a lecture to the end and jump about in it: MP4 and HLS, from disk and through a real upstream.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::support::tools::{missing, run};
use crate::support::{Config, Gateway, Nginx, Signer, Site};

const EVENT: &str = "/static/org/player/lecture-1";
/// Seconds of the lecture.
const LENGTH: f64 = 12.0;

/// A lecture in the layout that Opencast publishes: each file in a folder of its own, playlists that
/// point to their neighbours. Made once and kept below the target folder.
fn lecture() -> &'static Path {
    static LECTURE: OnceLock<PathBuf> = OnceLock::new();
    LECTURE.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lecture");
        if !kept.exists() {
            let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            make_lecture(new.path());
            std::fs::rename(new.keep(), &kept).unwrap();
        }
        kept
    })
}

fn make_lecture(folder: &Path) {
    for name in ["mp4", "hls", "ts", "fmp4", "subtitles"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mp4 = at("mp4/lecture.mp4");
    let video = format!("testsrc2=size=320x180:rate=25:duration={LENGTH}");
    let sound = format!("sine=frequency=330:duration={LENGTH}");
    let code = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -sc_threshold 0 -c:a aac -movflags +faststart";
    let from = [
        "-nostdin",
        "-loglevel",
        "error",
        "-f",
        "lavfi",
        "-i",
        &video,
        "-f",
        "lavfi",
        "-i",
        &sound,
    ];
    let make = from.into_iter().chain(code.split(' ')).chain([mp4.as_str()]);
    run("ffmpeg", make).ok();
    // One file each for all segments, as Opencast has it: the playlists name byte ranges of it.
    for (name, kind) in [("ts", "mpegts"), ("fmp4", "fmp4")] {
        let playlist = at(&format!("{name}/{name}.m3u8"));
        let cut = "-map 0:v -c copy -f hls -hls_time 2 -hls_playlist_type vod -hls_flags single_file -hls_segment_type";
        let from = ["-nostdin", "-loglevel", "error", "-i", &mp4];
        run(
            "ffmpeg",
            from.into_iter().chain(cut.split(' ')).chain([kind, playlist.as_str()]),
        )
        .ok();
    }
    let master = "#EXTM3U\n#EXT-X-VERSION:7\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=320x180\n../ts/ts.m3u8\n";
    std::fs::write(folder.join("hls/master.m3u8"), master).unwrap();
    std::fs::write(
        folder.join("subtitles/a.vtt"),
        "WEBVTT\n\n00:00.000 --> 00:05.000\nHello\n",
    )
    .unwrap();
}

/// A site whose downloads hold the lecture.
pub fn site() -> Site {
    let site = Site::new();
    let place = site.path("downloads/org/player");
    std::fs::create_dir_all(&place).unwrap();
    let to = place.join("lecture-1");
    run("cp", ["-r".as_ref(), lecture().as_os_str(), to.as_os_str()]).ok();
    site
}

/// Plays two seconds from `start` and counts the video frames that came out of the decoder.
fn frames(url: &str, token: Option<&str>, start: &str) -> usize {
    let headers = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let mut arguments = vec!["-nostdin", "-loglevel", "error", "-xerror"];
    if let Some(headers) = &headers {
        arguments.extend(["-headers", headers]);
    }
    // Even a seek to 0 is one, and not the same as reading from the start.
    if start != "0" {
        arguments.extend(["-ss", start]);
    }
    arguments.extend(["-i", url, "-t", "2", "-map", "0:v", "-f", "framecrc", "-"]);
    let played = run("ffmpeg", arguments).ok();
    assert_eq!(played.stderr, "", "{url}");
    played.stdout.lines().filter(|line| !line.starts_with('#')).count()
}

fn plays(gateway: &Gateway, signer: &Signer) {
    let token = signer.read("lecture-1");
    let mp4 = gateway.url(&format!("{EVENT}/mp4/lecture.mp4"));
    let hls = gateway.url(&format!("{EVENT}/hls/master.m3u8"));
    let fragments = gateway.url(&format!("{EVENT}/fmp4/fmp4.m3u8"));
    let full = |url: &str, token: Option<&str>, start: &str| {
        let count = frames(url, token, start);
        assert!((48..=51).contains(&count), "{url} at {start}: {count} frames, not 50");
    };
    for start in ["0", "7.3", "3", "9.5"] {
        full(&mp4, Some(&token), start);
        full(&format!("{mp4}?jwt={token}"), None, start);
        full(&hls, Some(&token), start);
    }
    // ffmpeg before version 6 cannot seek in these, wherever they come from.
    full(&fragments, Some(&token), "0");
    for url in [&mp4, &hls] {
        let headers = format!("Authorization: Bearer {token}\r\n");
        let asked = [
            "-loglevel",
            "error",
            "-headers",
            &headers,
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
            url,
        ];
        let seconds: f64 = run("ffprobe", asked).ok().stdout.trim().parse().unwrap();
        assert!((seconds - LENGTH).abs() < 0.5, "{url}: {seconds} s");
        let refused = run("ffprobe", ["-loglevel", "error", url]);
        assert!(
            refused.code != Some(0) && refused.stderr.contains("401"),
            "{url}: {}",
            refused.stderr
        );
    }
}

#[test]
fn ffmpeg_plays_and_seeks_from_disk() {
    if missing("ffmpeg") || missing("ffprobe") {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    plays(&site.start(&Config::media(&site, &signer)), &signer);
}

#[test]
fn ffmpeg_plays_and_seeks_through_nginx() {
    if missing("ffmpeg") || missing("ffprobe") || missing("nginx") {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    let nginx = Nginx::start(&site.path("downloads"));
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("moodle", "keys.json", "")
        .upstream("opencast", &[nginx.url()], "")
        .section(
            r#"
            [[routes]]
            name = "media"
            path = "/static/{org}/{channel}/{event}/{*file}"
            upstream = "opencast"
            strip = "/static"
            allow = [{ grant = "read", event = "{event}" }]"#,
        );
    plays(&site.start(&config), &signer);
    let log = nginx.logged("GET /org/player/lecture-1/mp4/lecture.mp4 206");
    assert!(!log.contains("jwt"), "{log}");
}
