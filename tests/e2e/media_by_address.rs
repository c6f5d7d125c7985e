//! A browser opens a recording by its own address, as from a link in a mail: the link that `make run` prints, and what
//! lies beside it, in a tab and in a frame of another page.

use serde_json::{Value, json};

use super::watch_browser;
use crate::support::browser::browse_with;
use crate::support::tools::{missing, run};
use crate::support::{Gateway, Site};

/// `shows(frame, kind)`: waits until the document does what it was opened for.
const SHOWS: &str = r#"
    const shows = (frame, kind) => frame.waitForFunction((kind) => {
      const media = document.querySelector("video, audio"), picture = document.querySelector("img");
      if (kind == "plays") return media && media.currentTime > 0.2;
      if (kind == "picture") return picture && picture.naturalWidth > 0;
      return document.body && document.body.innerText.startsWith("WEBVTT");
    }, kind);
    for (const [url, kind] of args.opened) {
      const tab = await context.newPage();
      await tab.goto(url);
      await shows(tab, kind);
      await tab.goto("about:blank");
      await tab.setContent("<iframe allow=autoplay></iframe>");
      const frame = tab.frames()[1];
      await frame.goto(url);
      await shows(frame, kind);
      await tab.close();
    }
    // A text of the lecture's is a document of the same origin: a script in it plays the playlist.
    await page.goto(args.text);
    await page.addScriptTag({ path: args.player });
    await page.evaluate(([url, jwt]) => {
      const video = document.body.appendChild(document.createElement("video"));
      video.muted = true;
      const hls = new Hls({ xhrSetup: (xhr) => xhr.setRequestHeader("Authorization", `Bearer ${jwt}`) });
      hls.loadSource(url);
      hls.attachMedia(video);
      video.play();
    }, args.playlist);
    await shows(page, "plays");
    return "all seen";
"#;

/// The repository's gateway with its sample lecture, on ports of the system's choice, and the link that is printed.
fn sample() -> (Gateway, String) {
    let site = Site::new();
    let script = site.write("scripts/sample.sh", include_bytes!("../../scripts/sample.sh"));
    let janua = format!("JANUA={}", env!("CARGO_BIN_EXE_janua"));
    let printed = run("env", [janua.as_ref(), "bash".as_ref(), script.as_os_str()])
        .ok()
        .stdout;
    let link = printed.lines().find_map(|line| line.strip_prefix("plays:")).unwrap();
    let lecture = site.path("sample/downloads/mh_default_org/engage-player/lecture-1");
    let (mp4, mp3) = (lecture.join("video/lecture.mp4"), lecture.join("video/sound.mp3"));
    let made = [
        "-nostdin",
        "-loglevel",
        "error",
        "-i",
        mp4.to_str().unwrap(),
        mp3.to_str().unwrap(),
    ];
    run("ffmpeg", made).ok();
    let text = include_str!("../../gateway.toml")
        .replace("listen = [\"127.0.0.1:8080\"]", "listen = [\"127.0.0.1:0\"]")
        .replace("# admin = \"127.0.0.1:9090\"", "admin = \"127.0.0.1:0\"");
    (Gateway::start(&site, &text), link.trim().to_owned())
}

#[test]
fn the_printed_link_plays_in_a_tab_and_in_a_frame() {
    if missing("ffmpeg") || missing("npm") || missing("chromium") {
        return;
    }
    let (gateway, link) = sample();
    let (address, jwt) = link.split_once("?jwt=").unwrap();
    let beside = |name: &str| {
        let folder = address.strip_suffix("video/lecture.mp4").unwrap();
        format!("{folder}{name}?jwt={jwt}")
    };
    let args = json!({
        "opened": [
            [link, "plays"],
            [beside("video/sound.mp3"), "plays"],
            [beside("cover.jpg"), "picture"],
            [beside("subtitles/lecture.en.vtt"), "text"],
        ],
        "text": beside("subtitles/lecture.en.vtt"),
        "player": watch_browser::scripts().join("node_modules/hls.js/dist/hls.min.js"),
        "playlist": [beside("hls/master.m3u8"), jwt],
    });
    let host = link.split('/').nth(2).unwrap();
    let resolve = format!("--host-resolver-rules=MAP {host} {}", gateway.http());
    let switches = [&*resolve, "--autoplay-policy=no-user-gesture-required", "--mute-audio"];
    let Some(told) = browse_with(&switches, SHOWS, &args) else {
        return;
    };
    assert_eq!(told, Value::from("all seen"));
}
