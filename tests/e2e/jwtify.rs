//! Opencast's own service worker for players, `@opencast/jwtify` from npm, in a page of another site: it puts a fresh token into
//! each request for a file, for the event that the file is of.

use serde_json::json;

use super::watch_browser;
use super::watch_players::site;
use crate::support::browser::browse_with;
use crate::support::tools::missing;
use crate::support::{Config, Nginx, Signer, in_seconds};

/// The worker asks for tokens of several events at once. It takes each until 5 s before its end, then it asks for another one.
const WORKER: &str = r#"
import { setUpServiceWorker } from "./jwtify.js";
const tokens = TOKENS;
const asked = {};
setUpServiceWorker({
  trustedOcOrigins: ["https://video.test"],
  getJwts: async (events) => new Map([...events].map((event) => {
    asked[event] = (asked[event] ?? 0) + 1;
    // However long the browser took to come here.
    return [event, tokens[event].find(([until]) => until > Date.now() / 1000 + 6)[1]];
  })),
});
self.addEventListener("message", (event) => event.source.postMessage(asked));
"#;

const PAGE: &str = "<!doctype html><title>Portal</title><script type=module>\
    await navigator.serviceWorker.register('worker.js', { type: 'module' });\
    await navigator.serviceWorker.ready;\
    </script>";

const SCRIPT: &str = r#"
  await page.goto(args.page);
  await page.waitForFunction(() => navigator.serviceWorker.controller);
  // All at once, of two events.
  const begun = await page.evaluate(({ base, other }) => new Promise((done, failed) => {
    const picture = new Image();
    picture.crossOrigin = "anonymous";
    picture.src = other + "/cover.jpg";
    const video = document.body.appendChild(document.createElement("video"));
    video.muted = true;
    video.crossOrigin = "anonymous";
    video.src = base + "/mp4/lecture.mp4";
    const captions = document.createElement("track");
    captions.default = true;
    captions.src = base + "/subtitles/a.vtt";
    video.append(captions);
    video.onerror = () => failed(new Error(video.error.message));
    picture.onerror = () => failed(new Error("no picture"));
    captions.onerror = () => failed(new Error("no captions"));
    const loaded = (what) => new Promise((on) => { what.onload = on; });
    Promise.all([loaded(picture), loaded(captions), video.play()]).then(() => done("plays"));
  }), args);
  // The first token is over by now; what comes is asked for with another one.
  await page.waitForTimeout(args.life);
  const later = await page.evaluate(async ({ base }) => {
    const part = await fetch(base + "/mp4/lecture.mp4", { headers: { Range: "bytes=1000-1999" } });
    const playlist = await fetch(base + "/hls/master.m3u8");
    return [part.status, (await part.arrayBuffer()).byteLength, part.headers.get("content-range"), playlist.status];
  }, args);
  const foreign = await page.evaluate(async ({ foreign }) => (await fetch(foreign)).status, args);
  const asked = await page.evaluate(() => new Promise((told) => {
    navigator.serviceWorker.onmessage = (event) => told(event.data);
    navigator.serviceWorker.controller.postMessage("");
  }));
  return { begun, later, foreign, asked };
"#;

/// So long a token is used: seconds.
const LIFE: u64 = 7;

#[test]
fn a_service_worker_brings_a_token_for_each_event() {
    if missing("chromium") || missing("npm") || missing("nginx") || missing("ffmpeg") {
        return;
    }
    let (site, signer) = (site(), Signer::new());
    site.write("downloads/org/player/lecture-2/cover.jpg", COVER);
    site.write("downloads/org/player/lecture-3/cover.jpg", COVER);
    let tokens = |event: &str| -> Vec<(u64, String)> {
        let of = |number: u64| {
            let exp = in_seconds(6 + LIFE * (number + 1));
            let said = json!({ "exp": exp, "oc": { format!("e:{event}"): ["read"] } });
            (exp, signer.token(&said))
        };
        (0..20).map(of).collect()
    };
    let all =
        json!({ "lecture-1": tokens("lecture-1"), "lecture-2": tokens("lecture-2"), "lecture-3": tokens("lecture-2") });
    let pages = site.path("pages");
    let jwtify = watch_browser::scripts().join("node_modules/@opencast/jwtify/dist/index.js");
    site.write("pages/jwtify.js", std::fs::read(jwtify).unwrap());
    site.write("pages/worker.js", WORKER.replace("TOKENS", &all.to_string()));
    site.write("pages/index.html", PAGE);
    let types = "types { text/html html; text/javascript js; }";
    let nginx = Nginx::with(&format!("root {}; {types}", pages.display()));
    // Service workers need https, or this name.
    let origin = format!("http://localhost:{}", nginx.address.port());
    let pair = rcgen::generate_simple_self_signed(["video.test".to_owned()]).unwrap();
    site.write("cert.pem", pair.cert.pem());
    site.write("key.pem", pair.signing_key.serialize_pem());
    site.write_keys("keys.json", &[&signer]);
    let config = Config::new()
        .issuer("portal", "keys.json", "")
        .jwt("leeway", "\"0s\"")
        .server("public_urls", "[\"https://video.test\"]")
        .server("tls", "[{ listen = \"127.0.0.1:0\", certificate = \"cert.pem\", key = \"key.pem\" }]")
        .section(&format!(
            "[[routes]]\nname = \"media\"\npath = \"/static/{{org}}/{{channel}}/{{event}}/{{*file}}\"\nfiles = \"downloads\"\n\
             strip = \"/static\"\naccept = [\"jwt\"]\nallow = [{{ grant = \"read\", event = \"{{event}}\" }}]\n\
             cors = {{ origins = [\"{origin}\"] }}\n"
        ));
    let gateway = site.start(&config);
    let resolve = format!("--host-resolver-rules=MAP video.test:443 {}", gateway.https());
    let switches = [
        &*resolve,
        "--ignore-certificate-errors",
        "--autoplay-policy=no-user-gesture-required",
        "--mute-audio",
        // Cookies of other sites are off.
        "--test-third-party-cookie-phaseout",
    ];
    let below = |event: &str| format!("https://video.test/static/org/player/{event}");
    let args = json!({
        "page": format!("{origin}/"),
        "base": below("lecture-1"),
        "other": below("lecture-2"),
        "foreign": below("lecture-3") + "/cover.jpg",
        "life": 1000 * (LIFE + 1),
    });
    let Some(told) = browse_with(&switches, SCRIPT, &args) else {
        return;
    };
    assert_eq!(told["begun"], "plays");
    let later = told["later"].as_array().unwrap();
    assert_eq!(
        (&later[0], &later[1], &later[3]),
        (&json!(206), &json!(1000), &json!(200)),
        "{told}"
    );
    assert!(
        later[2]
            .as_str()
            .is_some_and(|range| range.starts_with("bytes 1000-1999/")),
        "{told}"
    );
    // A token for another event opens nothing, and the page may read the refusal.
    assert_eq!(told["foreign"], 403, "{told}");
    assert!(
        told["asked"]["lecture-1"].as_u64() >= Some(1),
        "another one was asked for: {told}"
    );
    gateway.logged(&["method=\"OPTIONS\"", "status=204"]);
    assert!(!gateway.said().contains("query=\"jwt\""), "nothing is in an address");
}

/// A picture of one point.
const COVER: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";
