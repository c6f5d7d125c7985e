//! Studio and Editor in a frame of a learning platform, in a real browser: a launch by form, everything that they ask,
//! and the end. Once with a launch session of the gateway's, once with Opencast's own session, which a browser
//! keeps in such a frame because the gateway makes its cookie so.

mod answers;

use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use crate::support::browser::browse_with;
use crate::support::double::Double;
use crate::support::http::Wire;
use crate::support::wait::DEADLINE;
use crate::support::{Config, Gateway, Opencast, Signer, Site, in_seconds, now};

const EVENT: &str = "one";
/// Bytes of the recording: more than what sockets and windows hold on the way.
const TRACK: usize = 32 << 20;

/// Pages of three sites: the tool's, which the platform alone may frame, the platform's, and somebody else's.
const PAGES: &str = r#"
[[routes]]
name    = "page"
path    = "/studio/index.html"
respond = { file = "page.html" }
PAGE
frame_ancestors = ["https://lms.test"]
permissions     = ["camera", "display-capture"]

[[routes]]
name     = "recordings"
path     = "/ingest/addTrack"
upstream = "recordings"
PAGE

[[routes]]
name     = "progress"
path     = "/ingest/progress"
upstream = "recordings"
PAGE

[[routes]]
name    = "course"
host    = "lms.test"
path    = "/course"
respond = { file = "course.html" }
allow   = [{ anyone = true }]

[[routes]]
name    = "evil"
host    = "evil.test"
path    = "/course"
respond = { file = "course.html" }
allow   = [{ anyone = true }]
"#;

/// Opencast believes the gateway, and the gateway the platform.
const BY_LAUNCH: &str = r#"
[opencast.main]
upstream = "opencast"
username = "gateway"
password_file = "secrets/opencast"

[[routes]]
name    = "launch"
path    = "/redirect/get"
respond = { launch = true }
launch  = { idle = "1h" }
allow   = [{ anyone = true }]
frame_ancestors = ["https://lms.test"]

[[routes]]
name     = "studio"
path     = "/studio-api/{*rest}"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ role = "ROLE_STUDIO" }]
present  = "opencast-jwt"

[[routes]]
name     = "ingest"
path     = "/ingest/{*rest}"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ role = "ROLE_STUDIO" }]
present  = "opencast-jwt"

[[routes]]
name     = "editor"
path     = "/editor/{event}/{*rest}"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ grant = "write", event = "{event}" }]
present  = "opencast-jwt"

[[routes]]
name     = "media"
path     = "/static/{org}/{channel}/{event}/{*file}"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ grant = "read", event = "{event}" }]
present  = "opencast-jwt"

[[routes]]
name     = "info"
path     = "/info/me.json"
upstream = "opencast"
accept   = ["launch"]
allow    = [{ anyone = true }]
present  = "opencast-jwt"

[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = true }
allow   = [{ anyone = true }]
"#;

/// Opencast believes the platform itself, and judges by its own session.
const BY_SESSION: &str = r#"
[[routes]]
name     = "opencast"
path     = "/{*rest}"
upstream = "opencast"
allow    = [{ anyone = true }]
FRAMED
"#;

/// Opencast where recordings arrive: it takes no byte of one until it has heard that the page saw progress.
fn recordings() -> Double {
    let heard = Arc::new((Mutex::new(false), Condvar::new()));
    Double::start(move |mut wire| while let Ok(true) = take(&mut wire, &heard) {})
}

fn take(wire: &mut Wire, (heard, changed): &(Mutex<bool>, Condvar)) -> io::Result<bool> {
    let (line, headers) = wire.head()?;
    let mut heard = heard.lock().unwrap();
    if line.starts_with("GET /ingest/progress ") {
        *heard = true;
        changed.notify_all();
    }
    let (heard, late) = changed.wait_timeout_while(heard, DEADLINE, |heard| !*heard).unwrap();
    drop(heard);
    if late.timed_out() {
        return Ok(false);
    }
    let mut count = 0;
    wire.body_into(&headers, false, |piece| count += piece.len())?;
    let count = count.to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", count.len());
    wire.stream.write_all(format!("{head}{count}").as_bytes())?;
    Ok(true)
}

struct Stage {
    opencast: Opencast,
    _recordings: Double,
    lms: Signer,
    gateway: Gateway,
}

impl Stage {
    /// `page`: who may have the tool's page.
    fn new(page: &str, routes: &str) -> Self {
        let (site, opencast, recordings, lms) = (Site::new(), Opencast::start(), recordings(), Signer::new());
        opencast.event(EVENT, &["ROLE_EPISODE_one_READ"]);
        let names = ["video.test", "lms.test", "evil.test"];
        let pair = rcgen::generate_simple_self_signed(names.map(str::to_owned)).unwrap();
        site.write("cert.pem", pair.cert.pem());
        site.write("key.pem", pair.signing_key.serialize_pem());
        site.write("page.html", include_str!("page.html"));
        site.write("course.html", include_str!("course.html"));
        site.write("secrets/opencast", "letmein");
        site.write_keys("lms.json", &[&lms]);
        let tls = r#"[{ listen = "127.0.0.1:0", certificate = "cert.pem", key = "key.pem" }]"#;
        let sources = r#"[{ header = "Authorization", scheme = "Bearer" }, { query = "jwt" }, { form = "jwt" }]"#;
        let config = Config::new()
            .server(
                "public_urls",
                &format!("{:?}", names.map(|name| format!("https://{name}"))),
            )
            .server("tls", tls)
            .jwt("sources", sources)
            .issuer("lms", "lms.json", "may_name_users = true")
            .upstream("opencast", &[opencast.url()], "")
            .upstream("recordings", &[format!("http://{}", recordings.address)], "")
            .section(&PAGES.replace("PAGE", page))
            .section(routes);
        let gateway = site.start(&config);
        Self {
            opencast,
            _recordings: recordings,
            lms,
            gateway,
        }
    }

    fn by_launch() -> Self {
        let page = "accept = [\"launch\"]\nallow = [{ role = \"ROLE_STUDIO\" }]";
        let stage = Self::new(page, BY_LAUNCH);
        stage.opencast.site().jwks = Some(stage.gateway.get("/.well-known/jwks.json").expect(200).json());
        stage
    }

    /// `framed`: what the route says of frames.
    fn by_session(framed: &str) -> Self {
        let stage = Self::new("allow = [{ anyone = true }]", &BY_SESSION.replace("FRAMED", framed));
        stage.opencast.site().jwks = Some(serde_json::from_str(&Signer::jwks(&[&stage.lms])).unwrap());
        stage
    }

    /// Runs a script with `open(site)`, which goes to that site's course and gives back the frame.
    fn browse(&self, script: &str) -> Option<Value> {
        self.browse_until(in_seconds(60), script)
    }

    /// The same with a token that ends then.
    fn browse_until(&self, expires: u64, script: &str) -> Option<Value> {
        let token = self.lms.token(&json!({
            "exp": expires, "sub": "anna", "name": "Anna", "email": "anna@campus.test",
            "roles": ["ROLE_STUDIO"], "oc": { format!("e:{EVENT}"): ["read", "write"] },
        }));
        let form = [
            ("tool", "https://video.test/redirect/get"),
            ("jwt", &token),
            ("target", "https://video.test/studio/index.html"),
        ];
        let mut fields = form_urlencoded::Serializer::new(String::new());
        let form = fields.extend_pairs(form).finish();
        let hosts = ["video.test", "lms.test", "evil.test"];
        let hosts = hosts
            .map(|host| format!("MAP {host}:443 {}", self.gateway.https()))
            .join(",");
        let script = format!("{OPEN}{script}");
        let args = json!({ "form": form, "event": EVENT, "size": TRACK });
        let hosts = format!("--host-resolver-rules={hosts}");
        // A frame of another site has the cookies that are its own there, and no others.
        let walls = "--test-third-party-cookie-phaseout";
        browse_with(&[&hosts, "--ignore-certificate-errors", walls], &script, &args)
    }
}

/// `open` ends when a page of the tool is in the frame, or the browser refuses to put it there.
const OPEN: &str = r#"
    const refused = [];
    page.on("console", (message) => { if (message.text().includes("frame-ancestors")) refused.push(message.text()); });
    const open = async (site) => {
        await page.goto(`https://${site}/course#${args.form}`);
        const frame = await (await page.waitForSelector("iframe")).contentFrame();
        await frame.waitForURL((url) => url.host === "video.test").catch((error) => refused.push(String(error)));
        return frame;
    };
"#;

/// Records, edits, and signs out by `way`; then asks again.
fn whole_visit(stage: &Stage, way: &str) -> Option<Value> {
    let script = r#"
        const frame = await open("lms.test");
        const devices = ["camera", "microphone", "display-capture"];
        const may = await frame.evaluate((all) => all.filter((one) => document.featurePolicy.allowsFeature(one)), devices);
        const recorded = await frame.evaluate((size) => record(size), args.size);
        const edited = await frame.evaluate((event) => edit(event), args.event);
        const before = await context.cookies("https://video.test");
        await frame.evaluate((way) => ask(way, { method: "POST" }), "WAY");
        const after = await frame.evaluate(async () => ({ me: await who(), create: (await ask("/ingest/createMediaPackage")).status }));
        return { may, recorded, edited, before, after, url: page.url() };
    "#;
    let told = stage.browse(&script.replace("WAY", way))?;
    let recorded = &told["recorded"];
    assert_eq!(recorded["me"], json!({ "status": 200, "name": "anna" }));
    let all_good = |statuses: &Value, count: usize| {
        let statuses = statuses.as_object().unwrap();
        assert_eq!(statuses.len(), count);
        assert!(statuses.values().all(|status| *status == 200), "{statuses:?}");
    };
    all_good(&recorded["statuses"], 6);
    all_good(&told["edited"], 7);
    let progress: Vec<(u64, u64)> = serde_json::from_value(recorded["progress"].clone()).unwrap();
    let (sent, whole) = progress[0];
    assert!(
        sent < whole,
        "{sent} of {whole} bytes were on their way before Opencast took one"
    );
    assert!(
        progress.is_sorted() && progress.last() == Some(&(whole, whole)),
        "{progress:?}"
    );
    assert_eq!(recorded["received"], whole.to_string());
    assert!(whole > TRACK as u64, "{whole}");
    assert_eq!(told["may"], json!(["camera", "display-capture"]));
    assert_eq!(told["after"]["me"]["name"], "anonymous");
    Some(told)
}

fn cookie<'a>(told: &'a Value, name: &str) -> &'a Value {
    let cookies = told["before"].as_array().unwrap();
    let found = cookies.iter().find(|cookie| cookie["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} among {cookies:?}"))
}

#[track_caller]
fn is_for_frames(cookie: &Value) {
    assert_eq!(
        (&cookie["secure"], &cookie["sameSite"]),
        (&json!(true), &json!("None")),
        "{cookie}"
    );
}

#[test]
fn by_a_launch_session() {
    let stage = Stage::by_launch();
    let Some(told) = whole_visit(&stage, "/_janua/sign-out") else {
        return;
    };
    is_for_frames(cookie(&told, "__Host-janua-launch"));
    assert_eq!(told["after"]["create"], 401, "a script is told, not sent elsewhere");
    let site = stage.opencast.site();
    assert!(
        site.requests.iter().all(|seen| seen.header("cookie").is_none()),
        "none of them is Opencast's"
    );
}

#[test]
fn by_opencasts_own_session() {
    let stage = Stage::by_session("frame_ancestors = [\"https://lms.test\"]");
    let Some(told) = whole_visit(&stage, "/j_spring_security_logout") else {
        return;
    };
    is_for_frames(cookie(&told, "JSESSIONID"));
    assert_eq!(told["after"]["create"], 403, "Opencast's own answer");
}

#[test]
fn opencasts_cookie_as_it_comes_is_lost_in_a_frame() {
    let stage = Stage::by_session("");
    let script = r#"const frame = await open("lms.test"); return await frame.evaluate(() => who());"#;
    let Some(told) = stage.browse(script) else { return };
    assert_eq!(told, json!({ "status": 200, "name": "anonymous" }));
}

#[test]
fn no_other_site_frames_the_tool() {
    let stage = Stage::by_launch();
    let script = r#"
        const other = await open("evil.test");
        const there = { url: other.url(), refused: refused.length };
        const own = await open("lms.test");
        return { there, own: own.url(), refused: refused.length };
    "#;
    let Some(told) = stage.browse(script) else { return };
    assert!(
        told["there"]["url"].as_str().unwrap().starts_with("chrome-error:"),
        "{told}"
    );
    assert_eq!(told["own"], "https://video.test/studio/index.html");
    assert_eq!(
        told["there"]["refused"], told["refused"],
        "the platform is refused nothing: {told}"
    );
    assert_ne!(told["refused"], 0, "{told}");
}

#[test]
fn a_refusal_is_read_in_the_platforms_frame_alone() {
    let stage = Stage::by_launch();
    let script = r#"
        const own = await open("lms.test");
        const text = await own.innerText("body");
        const before = refused.length;
        await open("evil.test");
        return { text, before, after: refused.length };
    "#;
    let Some(told) = stage.browse_until(now() - 60, script) else {
        return;
    };
    assert!(told["text"].as_str().unwrap().contains("expired"), "{told}");
    assert_eq!(told["before"], 0);
    assert_ne!(told["after"], 0);
}
