//! One person, one browser, two lectures in two tabs: both play by their own cookies when the tokens are over, with
//! captions and thumbnails; a third lecture stays closed, and what is revoked ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::watch::config;
use super::watch_browser::pages;
use super::watch_players::site;
use crate::support::tools::{brought, janua, missing, run};
use crate::support::{Signer, browse, in_seconds};

const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const PAGE: &str = r#"<!doctype html>
<video muted playsinline></video>
<script src="hls.js"></script>
<script>
const asked = new URLSearchParams(location.search);
const base = asked.get("base"), video = document.querySelector("video");
const hls = new Hls({ maxBufferLength: 2, maxMaxBufferLength: 2 });
hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) window.failed = data.details; });
hls.loadSource(base + "/hls/master.m3u8?jwt=" + asked.get("jwt"));
hls.attachMedia(video);
video.play();
</script>
"#;

/// `args`: origin, tokens by lecture.
const SCRIPT: &str = r#"
    const event = (number) => `/static/org/player/lecture-${number}`;
    const open = async (tab, number) => {
        await tab.goto(`${args.origin}/player/tab.html?base=${event(number)}&jwt=${args.tokens[number - 1]}`);
        return tab;
    };
    const status = (tab, path) => tab.evaluate(async (path) =>
        (await fetch(path, { cache: "no-store", headers: { Range: "bytes=0-99" } })).status, path);
    const until = async (tab, path, wanted) => {
        for (let end = Date.now() + 30000; Date.now() < end;) {
            const got = await status(tab, path);
            if (got === wanted) return got;
            await tab.waitForTimeout(100);
        }
        return "never";
    };
    const tabs = await Promise.all([open(page, 1), open(await context.newPage(), 2)]);
    await page.evaluate(() => fetch("/player/report?open"));
    const ended = await Promise.all(tabs.map(async (tab) => {
        await tab.waitForFunction(() => window.failed || document.querySelector("video").ended);
        return tab.evaluate(() => window.failed || "ended");
    }));
    const cookies = (await context.cookies([1, 2].map((number) => `${args.origin}${event(number)}/x`)))
        .map((cookie) => cookie.path).sort();
    const shown = await Promise.all(tabs.map((tab, index) => tab.evaluate(async (base) => {
        const image = new Image();
        image.src = base + "/thumbnails/slide.png";
        await image.decode();
        const track = document.createElement("track");
        track.default = true;
        const loaded = new Promise((done, failed) => { track.onload = done; track.onerror = failed; });
        track.src = base + "/subtitles/a.vtt";
        document.querySelector("video").append(track);
        track.track.mode = "showing";
        await loaded;
        return [image.naturalWidth, track.track.cues.length];
    }, event(index + 1))));
    const token = await Promise.all([1, 2].map((number) => tabs[0].evaluate(async (url) =>
        (await fetch(url, { credentials: "omit" })).status, `${event(number)}/subtitles/a.vtt?jwt=${args.tokens[number - 1]}`)));
    const before = await Promise.all([1, 2, 3].map((number) => status(tabs[0], `${event(number)}/ts/ts.ts`)));
    await tabs[0].evaluate(() => fetch("/player/report?ready"));
    const revoked = await until(tabs[0], `${event(1)}/ts/ts.ts`, 403);
    const other = await status(tabs[1], `${event(2)}/ts/ts.ts`);
    return { ended, cookies, shown, token, before, revoked, other };
"#;

#[test]
fn two_lectures_in_two_tabs() {
    if ["chromium", "npm", "nginx", "ffmpeg"].into_iter().any(missing) || brought("browser").is_none() {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    let pixel = STANDARD.decode(PIXEL).unwrap();
    site.write("downloads/org/player/lecture-1/thumbnails/slide.png", pixel);
    for copy in ["lecture-2", "lecture-3"] {
        let (from, to) = ["lecture-1", copy]
            .map(|event| site.path(&format!("downloads/org/player/{event}")))
            .into();
        run("cp", ["-r".as_ref(), from.as_os_str(), to.as_os_str()]).ok();
    }
    site.write("pages/player/tab.html", PAGE);
    let nginx = pages(&site);
    let player =
        "[[routes]]\nname = \"player\"\npath = \"/player/{*file}\"\nupstream = \"pages\"\nallow = [{ anyone = true }]";
    let config = config(&site, &signer, "files = \"downloads\"", "\"cookie\"")
        .jwt("leeway", "\"0s\"")
        .upstream("pages", &[nginx.url()], "")
        .section(player);
    let gateway = site.start(&config);
    let token = |event: u8| {
        let grant = format!("e:lecture-{event}");
        signer.token(&json!({ "exp": in_seconds(6), "oc": { grant: ["read"] } }))
    };
    let args = json!({ "origin": gateway.url(""), "tokens": [token(1), token(2)] });
    let told: Value = std::thread::scope(|scope| {
        let browsing = scope.spawn(|| browse(SCRIPT, &args).expect("a browser, which was there a moment ago"));
        // In two parts, each of them shorter than the deadline.
        nginx.logged("GET /player/report?open");
        nginx.logged("GET /player/report?ready");
        let file = gateway.site.path("gateway.toml");
        janua(["revoke", "--event", "lecture-1", "--config", file.to_str().unwrap()]).ok();
        browsing.join().unwrap()
    });
    let expected = json!({
        "ended": ["ended", "ended"],
        "cookies": ["/static/org/player/lecture-1/", "/static/org/player/lecture-2/"],
        "shown": [[1, 1], [1, 1]],
        "token": [401, 401],
        "before": [206, 206, 401],
        "revoked": 403,
        "other": 206,
    });
    assert_eq!(told, expected);
}
