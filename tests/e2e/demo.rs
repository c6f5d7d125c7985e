//! `janua demo` shows what it promises, without any set-up, and leaves nothing behind.

mod apps;
mod around;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::http::Response;
use crate::support::tools::{missing, run, signal};
use crate::support::wait::DEADLINE;
use crate::support::{Connection, Request, browse, eventually};

/// What can be tried on the page, and what the gateway answers.
const PROMISES: [(&str, u16, Option<&str>); 12] = [
    ("event", 206, None),
    ("role", 206, None),
    ("playlist", 200, None),
    ("upstream", 200, None),
    ("nothing", 401, Some("no_credentials")),
    ("expired", 401, Some("token_expired")),
    ("other-event", 403, Some("event_not_granted")),
    ("other-role", 403, Some("missing_role")),
    ("denied", 403, Some("denied_by_rule")),
    ("rewritten", 401, Some("bad_signature")),
    ("unsigned", 401, Some("algorithm_not_allowed")),
    ("crooked", 400, Some("bad_path")),
];

/// A running demo. Killed on drop.
struct Demo {
    child: Child,
    address: SocketAddr,
    /// The lines of its invitation.
    told: Vec<String>,
    /// The folder that it made for itself,
    folder: PathBuf,
    /// in this one, which is gone even if the demo had to be killed.
    above: TempDir,
}

impl Demo {
    fn start() -> Self {
        Self::started(&["--port", "0"])
    }

    fn started(arguments: &[&str]) -> Self {
        let above = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_janua"))
            .args(["demo", "--no-open"])
            .args(arguments)
            .env("TMPDIR", above.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let told = invitation(child.stdout.take().unwrap());
        let word = |before: &str| {
            let line = told.iter().find(|line| line.contains(before));
            let line = line.unwrap_or_else(|| panic!("no {before:?} in {told:?}"));
            line.split_whitespace().last().unwrap().to_owned()
        };
        let link = word("http://");
        let config = PathBuf::from(word("gateway.toml"));
        Self {
            child,
            address: link
                .trim_start_matches("http://")
                .trim_end_matches('/')
                .parse()
                .unwrap(),
            folder: config.parent().unwrap().to_owned(),
            told,
            above,
        }
    }

    fn link(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn send(&self, request: Request) -> Response {
        let host = self.address.to_string();
        Connection::open(self.address).exchange(request.host(&host).header("Connection", "close"))
    }

    fn get(&self, path: &str) -> Response {
        self.send(Request::get(path))
    }

    /// Asks what a button of the page asks.
    fn attempt(&self, case: &Value) -> Response {
        let mut request = Request::get(case["url"].as_str().unwrap());
        for (name, value) in case["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        self.send(request)
    }

    fn cases(&self) -> Vec<Value> {
        let told = self.get("/demo/cases.json").expect(200).json();
        told["cases"].as_array().unwrap().clone()
    }

    fn case(&self, id: &str) -> Value {
        let mut cases = self.cases().into_iter();
        cases.find(|case| case["id"] == id).unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The lines of the invitation, up to how it ends.
fn invitation(stdout: ChildStdout) -> Vec<String> {
    let (send, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // The test may have heard enough.
            drop(send.send(line));
        }
    });
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.contains("Ctrl-C")) {
        let line = lines.recv_timeout(DEADLINE);
        told.push(line.unwrap_or_else(|_| panic!("no whole invitation: {told:?}")));
    }
    told
}

#[test]
fn every_button_gets_the_promised_answer() {
    let demo = Demo::start();
    let cases = demo.cases();
    assert_eq!(cases.len(), PROMISES.len());
    for (case, (id, status, reason)) in cases.iter().zip(PROMISES) {
        assert_eq!(case["id"], id);
        assert_eq!(case["promise"]["status"], status, "{id}");
        assert_eq!(case["promise"]["reason"].as_str(), reason, "{id}");
        let answer = demo.attempt(case).expect(status);
        if let Some(reason) = reason {
            assert_eq!(answer.json()["reason"], reason, "{id}");
        }
    }
    let metrics = demo.get("/demo/metrics").expect(200).text();
    for (id, _, reason) in PROMISES {
        let Some(reason) = reason else { continue };
        let counted = format!(r#"janua_decisions_total{{outcome="deny",reason="{reason}""#);
        assert!(metrics.contains(&counted), "{id}: {metrics}");
    }
}

#[test]
fn the_upstream_of_the_demo_is_shown_no_token() {
    let demo = Demo::start();
    let case = demo.case("upstream");
    let told = demo.attempt(&case).expect(200).json();
    assert_eq!(told["user"]["username"], "anonymous");
    assert_eq!(told["received"]["request"], "GET /info/me.json");
    let received = told["received"]["headers"].as_object().unwrap();
    assert!(received.contains_key("x-forwarded-for"), "{received:?}");
    assert!(!told.to_string().contains(case["token"].as_str().unwrap()));
}

#[test]
fn the_page_brings_everything_itself() {
    let demo = Demo::start();
    let page = demo.get("/").expect(200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'self'")
    );
    let text = page.text();
    assert!(!text.contains("://"), "the page names another place");
    let parts: Vec<&str> = text.split(['"']).filter(|part| part.starts_with("/demo/")).collect();
    assert!(parts.len() >= 4, "{parts:?}");
    for part in parts {
        demo.get(part).expect(200);
    }
    demo.get("/elsewhere").expect(404);
}

#[test]
fn its_configuration_is_a_real_one_and_goes_with_it() {
    let mut demo = Demo::start();
    let config = demo.folder.join("gateway.toml");
    let checked = run(
        env!("CARGO_BIN_EXE_janua"),
        ["check", "--config", config.to_str().unwrap()],
    );
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    // A token that somebody else makes with the demo's key opens the lecture too.
    let key = demo.folder.join("keys/private.pem");
    let minted = run(
        env!("CARGO_BIN_EXE_janua"),
        ["token", "mint", "--key", key.to_str().unwrap(), "--learner", "4"],
    );
    let request = Request::get("/static/mh_default_org/course/4/cover.jpg").bearer(minted.ok().stdout.trim());
    demo.send(request).expect(200);

    assert!(demo.folder.starts_with(demo.above.path()));
    signal(demo.child.id(), "INT");
    let status = eventually("the demo ends", || demo.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(!demo.folder.exists(), "{} is still there", demo.folder.display());
}

#[test]
fn a_taken_port_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ended = run(
        env!("CARGO_BIN_EXE_janua"),
        ["demo", "--no-open", "--port", port.as_str()],
    );
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains(&port) && ended.stderr.contains("choose another port"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn a_browser_shows_it_and_plays() {
    if missing("chromium") {
        return;
    }
    let demo = Demo::start();
    let profile = tempfile::tempdir().unwrap();
    let profile = format!("--user-data-dir={}", profile.path().display());
    let all = format!("{}?try=all", demo.link());
    let arguments = [
        // Seconds: a browser that never comes to an end fails the test instead of holding it.
        "120",
        "chromium",
        "--headless",
        // The browser's own walls need rights that a container may not have; it sees this page only.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--mute-audio",
        "--autoplay-policy=no-user-gesture-required",
        // Of the page's own clock, which stands still while it waits for an answer.
        "--virtual-time-budget=30000",
        &profile,
        "--dump-dom",
        &all,
    ];
    let shown = run("timeout", arguments).ok().stdout;
    for (id, status, reason) in PROMISES {
        let button = format!(r#"data-id="{id}""#);
        let button = shown.split('<').find(|part| part.contains(&button));
        let button = button.unwrap_or_else(|| panic!("no button {id} in {shown}"));
        assert!(button.contains(&format!(r#"data-status="{status}""#)), "{button}");
        let reason = format!(r#"data-reason="{}""#, reason.unwrap_or_default());
        assert!(button.contains(&reason), "{button}");
        assert!(button.contains(r#"data-kept="yes""#), "{button}");
    }
    let figure = |name: &str| -> f64 {
        let (_, rest) = shown
            .split_once(&format!(r#"data-{name}=""#))
            .unwrap_or_else(|| panic!("no data-{name}: {}", shown.lines().take(3).collect::<String>()));
        rest.split('"').next().unwrap().parse().unwrap()
    };
    // HAVE_CURRENT_DATA or more (HTML, 4.8.11.7), and time that went on; HLS was read to its end.
    assert!(figure("loaded") >= 2.0);
    assert!(figure("played") > 0.0);
    assert!(figure("buffered") > 11.5);
}

/// What the demo's own gateway.toml says of a server: `[upstreams.moodle] servers`, `[sign_in.campus.cas] server`.
fn authority(config: &toml::Table, path: &[&str]) -> String {
    let mut value = &toml::Value::Table(config.clone());
    for name in path {
        value = &value[*name];
    }
    let url = value.as_array().map_or(value, |servers| &servers[0]).as_str().unwrap();
    let url: url::Url = url.parse().unwrap();
    format!("127.0.0.1:{}", url.port().unwrap())
}

/// What Moodle would give the person's own phone: (token, private key). The same that the gateway got.
fn secrets(demo: &Demo, username: &str) -> [String; 2] {
    let config = std::fs::read_to_string(demo.folder.join("gateway.toml")).unwrap();
    let config: toml::Table = config.parse().unwrap();
    let cas = authority(&config, &["sign_in", "campus", "cas", "server"]);
    let moodle = authority(&config, &["upstreams", "moodle", "servers"]);
    let ask = |host: &str, request: Request| {
        let connection = Connection::open(host.parse().unwrap());
        { connection }.exchange(request.host(host).header("Connection", "close"))
    };
    let login = "/login/index.php?authCAS=CAS";
    let service = format!("{}{login}", demo.link().trim_end_matches('/'));
    let service: String = form_urlencoded::byte_serialize(service.as_bytes()).collect();
    let form = Request::new("POST", &format!("/cas/login?service={service}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("username={username}"));
    let led = ask(&cas, form).expect(303);
    let (_, ticket) = led.header("location").unwrap().split_once("ticket=").unwrap();
    let landed = ask(&moodle, Request::get(&format!("{login}&ticket={ticket}"))).expect(302);
    let session = landed
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let launch = Request::get("/admin/tool/mobile/launch.php?service=moodle_mobile_app&passport=1");
    let launched = ask(&moodle, launch.header("Cookie", &session)).expect(302);
    let (_, told) = launched.header("location").unwrap().split_once("://token=").unwrap();
    let told = String::from_utf8(STANDARD.decode(told).unwrap()).unwrap();
    let token = told.split(":::").nth(1).unwrap().to_owned();
    let info = format!("/webservice/rest/server.php?wstoken={token}&wsfunction=core_webservice_get_site_info");
    let info = ask(&moodle, Request::get(&info)).expect(200).json();
    assert_eq!(info["username"], username);
    [token, info["userprivateaccesskey"].as_str().unwrap().to_owned()]
}

#[test]
fn a_student_signs_in_once_and_sees_courses_and_the_browser_never_a_token() {
    let script = r##"
        const heard = [];
        context.on("request", (request) => heard.push((async () => {
            const headers = await request.allHeaders();
            return { method: request.method(), url: request.url(), headers, body: request.postData() };
        })()));
        context.on("response", (response) => heard.push((async () => {
            const body = response.status() < 300 || response.status() >= 400 ? await response.text() : "";
            return { of: response.url(), headers: await response.allHeaders(), body };
        })()));
        const shown = async () => ({
            url: page.url(),
            text: await page.innerText("main"),
            page: await page.content(),
            storage: await page.evaluate(async () => ({
                local: { ...localStorage }, session: { ...sessionStorage }, cookie: document.cookie,
                databases: await indexedDB.databases(), caches: await caches.keys(),
            })),
            cookies: await context.cookies(),
        });
        await page.goto(args.page);
        await page.click("#sign-in");
        const asked = await page.innerText("main");
        await page.click("text=Anna Atkins");
        await page.waitForSelector("#courses li");
        await page.waitForFunction(() => document.querySelectorAll("#asked li").length === 3);
        const during = await shown();
        await page.reload();
        await page.waitForSelector("#courses li");
        await page.click("#sign-out button");
        await page.waitForSelector("#sign-in");
        const after = await shown();
        await page.click("#sign-in");
        const again = await page.innerText("main");
        await page.click("text=Bertha Benz");
        await page.waitForSelector("#courses li");
        const other = await page.innerText("main");
        const heardAll = await Promise.allSettled(heard);
        return { asked, during, after, again, other, heard: heardAll.map(({ value, reason }) => value ?? String(reason)) };
    "##;
    let demo = Demo::start();
    let page = format!("{}courses/", demo.link());
    let Some(told) = browse(script, &json!({ "page": page })) else {
        return;
    };
    let text = |path: &str| {
        told.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{path} in {told}"))
    };
    assert!(
        text("/asked").contains("stand-in for your campus"),
        "{}",
        text("/asked")
    );
    let during = text("/during/text");
    for expected in [
        "Signed in as Anna Atkins",
        "British Algae in Cyanotype",
        "Light and Iron Salts",
        "Sign out",
        "/_janua/me → 200",
        "POST /webservice/rest/server.php?wsfunction=core_enrol_get_users_courses → 200",
    ] {
        assert!(during.contains(expected), "no {expected:?} in {during}");
    }
    assert_eq!(
        (text("/during/url"), text("/after/url")),
        (page.as_str(), page.as_str())
    );
    let after = text("/after/text");
    assert!(
        after.contains("Nobody is signed in.") && !after.contains("Anna"),
        "{after}"
    );
    // Signed out at the CAS server too: it asks once more.
    assert_eq!(text("/again"), text("/asked"));
    let other = text("/other");
    assert!(other.contains("Bertha Benz") && other.contains("Engines"), "{other}");
    assert!(!other.contains("Anna") && !other.contains("Algae"), "{other}");

    let heard = told["heard"].as_array().unwrap();
    let forms = heard
        .iter()
        .filter(|one| one["method"] == "POST" && one["url"].as_str().unwrap().contains("/cas/login"));
    assert_eq!(forms.count(), 2, "each has signed in once");
    let info = heard.iter().filter(|one| {
        one["of"]
            .as_str()
            .is_some_and(|of| of.contains("core_webservice_get_site_info"))
    });
    let info: Vec<&str> = info.map(|one| one["body"].as_str().unwrap()).collect();
    let blank = |body: &&str| body.contains("Anna Atkins") && body.contains("\"userprivateaccesskey\":\"\"");
    assert!(info.iter().any(blank), "the answers were heard: {info:?}");
    let everything = told.to_string();
    for secret in ["anna", "bertha"].iter().flat_map(|who| secrets(&demo, who)) {
        assert!(
            !everything.contains(&secret),
            "a secret of Moodle's came to the browser: {everything}"
        );
    }
}

#[test]
fn readme_shows_the_code_that_runs_here() {
    let (readme, script) = (
        include_str!("../../README.md"),
        include_str!("../../assets/demo/courses.js"),
    );
    let (_, example) = readme.split_once("\n```js\n").unwrap();
    let (example, _) = example.split_once("```\n").unwrap();
    assert!(
        example.contains("await moodle(") && script.contains(example),
        "{example}"
    );
}

#[test]
fn a_student_signs_in_by_openid_connect_and_out_at_the_provider_too() {
    let script = r##"
        await page.goto(args.page);
        await page.click("#studio");
        const asked = await page.innerText("main");
        await page.click("text=Bertha Benz");
        await page.waitForSelector("#sign-out");
        const during = { url: page.url(), text: await page.innerText("main") };
        await page.click("#sign-out button");
        await page.waitForURL(args.page);
        await page.goto(args.page + "studio/");
        return { asked, during, again: await page.innerText("main") };
    "##;
    let demo = Demo::start();
    let Some(told) = browse(script, &json!({ "page": demo.link() })) else {
        return;
    };
    let text = |path: &str| told.pointer(path).unwrap().as_str().unwrap();
    assert!(text("/asked").contains("OpenID provider"), "{told}");
    assert_eq!(text("/during/url"), format!("{}studio/", demo.link()));
    assert!(text("/during/text").contains("Signed in as bertha"), "{told}");
    assert!(text("/during/text").contains("ROLE_AFFILIATION_student"), "{told}");
    assert_eq!(text("/again"), text("/asked"), "the provider asks again");
    let page = demo.get("/").expect(200);
    assert!(page.text().contains("href=\"/studio/\""));
}
