//! A browser plays a lecture to its end inside an iframe of another site, with a token that is over after a few seconds:
//! hls.js and dash.js from npm, and its own `<video>`; with seeks, by cookie and without.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::json;
use tempfile::TempDir;

use super::watch::config;
use super::watch_players::site;
use crate::support::tools::{missing, run};
use crate::support::{Config, Gateway, Nginx, Signer, Site, in_seconds};

const EVENT: &str = "/static/org/player/lecture-1";
const PLAYERS: [&str; 3] = ["hls.js@1.7.4", "dashjs@5.2.1", "@opencast/jwtify@0.1.3"];

/// Plays what its address names and says in nginx's log how that ended: `/player/report?hls=ended`. A short buffer
/// makes it ask for segments until shortly before the end.
const PAGE: &str = r#"<!doctype html>
<video muted playsinline></video>
<script src="hls.js"></script>
<script src="dash.js"></script>
<script>
const asked = new URLSearchParams(location.search);
const [kind, base, jwt, credentials] = ["kind", "base", "jwt", "credentials"].map(name => asked.get(name));
const video = document.querySelector("video");
const files = { hls: "/hls/master.m3u8", dash: "/dash/manifest.mpd", video: "/mp4/lecture.mp4" };
const url = base + files[kind] + "?jwt=" + jwt;
const report = text => { fetch("report?" + kind + "=" + encodeURIComponent(text)); };
let ended = false, seeks = 0;
video.onended = () => { if (!ended) { ended = true; report("ended after " + seeks + " seeks"); } };
video.onseeked = () => { seeks++; };
// Held back until the token is over, then to and fro, each time to where nothing was loaded yet.
const jump = () => {
  const seek = to => new Promise(done => { video.addEventListener("seeked", done, { once: true }); video.currentTime = to; });
  const hold = setInterval(() => { if (video.currentTime > 1) { clearInterval(hold); video.pause(); } }, 50);
  setTimeout(async () => { clearInterval(hold); await seek(9); await seek(5); video.playbackRate = 2; video.play(); }, 7000);
};
const start = () => {
  if (kind == "hls") {
    const hls = new Hls({ maxBufferLength: 2, maxMaxBufferLength: 2,
      xhrSetup: xhr => { xhr.withCredentials = !!credentials; } });
    hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) report("failed " + data.details); });
    hls.loadSource(url);
    hls.attachMedia(video);
    video.play();
    jump();
  } else if (kind == "dash") {
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ streaming: { buffer: { bufferTimeDefault: 2, bufferTimeAtTopQuality: 2, bufferTimeAtTopQualityLongForm: 2 } } });
    if (credentials) ["MPD", "MediaSegment", "InitializationSegment"].forEach(type => player.setXHRWithCredentialsForType(type, true));
    player.on("error", event => report("failed " + event.error.message));
    player.initialize(video, url, true);
    jump();
  } else {
    if (credentials) {
      video.crossOrigin = "use-credentials";
      const captions = document.createElement("track");
      captions.default = true;
      captions.src = base + "/subtitles/a.vtt";
      video.onplaying = () => { video.onplaying = null; video.append(captions); };
    }
    // Played for a moment, then opened anew with the token that is over, by a seek.
    video.src = url;
    video.play();
    setTimeout(() => { video.src = url + "&again=1"; video.currentTime = 8; video.play(); }, 5000);
    video.onerror = () => report("failed " + video.error.message);
  }
};
start();
</script>
"#;

/// The players' scripts, from npm; kept below the target folder.
pub(super) fn scripts() -> &'static Path {
    static SCRIPTS: OnceLock<PathBuf> = OnceLock::new();
    SCRIPTS.get_or_init(|| {
        let versions = PLAYERS.join("_").replace(['@', '/'], "-");
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("players-{versions}"));
        if !kept.exists() {
            let new = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let folder = new.path().to_str().unwrap();
            let install = [
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
                folder,
            ];
            run("npm", install.into_iter().chain(PLAYERS)).ok();
            std::fs::rename(new.keep(), &kept).unwrap();
        }
        kept
    })
}

/// A page of one site that shows the player of another, as an LMS does.
pub(super) fn pages(site: &Site) -> Nginx {
    let modules = scripts().join("node_modules");
    for (name, script) in [
        ("hls.js", "hls.js/dist/hls.min.js"),
        ("dash.js", "dashjs/dist/modern/umd/dash.all.min.js"),
    ] {
        site.write(
            &format!("pages/player/{name}"),
            std::fs::read(modules.join(script)).unwrap(),
        );
    }
    site.write("pages/player/watch.html", PAGE);
    let frames = "<!doctype html><script>const frame = document.createElement('iframe'); frame.allow = 'autoplay'; \
                  frame.src = decodeURIComponent(location.hash.slice(1)); document.body.append(frame);</script>";
    site.write("pages/lms.html", frames.replace("<script>", "<body><script>"));
    let types = "types { text/html html; text/javascript js; }";
    let report = "location = /player/report { return 204; }";
    Nginx::with(&format!("root {}; {types} {report}", site.path("pages").display()))
}

struct Browser {
    child: Child,
    _profile: TempDir,
}

impl Browser {
    fn open(url: &str, resolve: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let child = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-proxy-server",
            ])
            .args([
                "--mute-audio",
                "--autoplay-policy=no-user-gesture-required",
                "--ignore-certificate-errors",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--host-resolver-rules={resolve}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            _profile: profile,
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn start(site: &Site, signer: &Signer, carry: &str, nginx: &Nginx) -> Gateway {
    let pair = rcgen::generate_simple_self_signed(["video.test".to_owned()]).unwrap();
    site.write("cert.pem", pair.cert.pem());
    site.write("key.pem", pair.signing_key.serialize_pem());
    let player =
        "[[routes]]\nname = \"player\"\npath = \"/player/{*file}\"\nupstream = \"pages\"\nallow = [{ anyone = true }]";
    let config: Config = config(site, signer, "files = \"downloads\"", carry)
        .jwt("leeway", "\"0s\"")
        .server("public_urls", "[\"https://video.test\"]")
        .server(
            "tls",
            "[{ listen = \"127.0.0.1:0\", certificate = \"cert.pem\", key = \"key.pem\" }]",
        )
        .upstream("pages", &[nginx.url()], "")
        .section(player);
    site.start(&config)
}

/// One after the other: three browsers at once would play in jerks on a small machine.
fn plays(carry: &str, kinds: &[&str]) {
    if missing("chromium") || missing("npm") || missing("nginx") || missing("ffmpeg") {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    let nginx = pages(&site);
    let gateway = start(&site, &signer, carry, &nginx);
    let by_cookie = if carry.contains("cookie") { "&credentials=1" } else { "" };
    for kind in kinds {
        let token = signer.token(&json!({ "exp": in_seconds(6), "oc": { "e:lecture-1": ["read"] } }));
        let inner = format!("https://video.test/player/watch.html?kind={kind}&base={EVENT}&jwt={token}{by_cookie}");
        let outer = format!("http://lms.test/lms.html#{inner}");
        let resolve = format!(
            "MAP video.test:443 {},MAP lms.test:80 {}",
            gateway.https(),
            nginx.address
        );
        let _browser = Browser::open(&outer, &resolve);
        let log = nginx.logged(&format!("GET /player/report?{kind}="));
        let seeks = if *kind == "video" { "" } else { "%20after%202%20seeks" };
        assert!(
            log.contains(&format!("report?{kind}=ended{seeks}")),
            "{log}\n{}",
            gateway.said()
        );
        gateway
            .get_with(&format!("{EVENT}/mp4/lecture.mp4"), &token)
            .refused(401, "token_expired");
    }
    let said = gateway.said();
    if by_cookie.is_empty() {
        return;
    }
    gateway.logged(&["subtitles/a.vtt", "status=200"]);
    assert!(!said.contains("query=\"watch\""), "nothing is in an address: {said}");
}

#[test]
fn by_cookie_in_an_iframe_of_another_site() {
    plays("\"cookie\"", &["video", "hls", "dash"]);
}

#[test]
fn without_cookies_by_addresses() {
    plays("\"rewrite\"", &["hls", "dash"]);
}
