//! A real browser that keeps no cookies for frames of other sites, but for those that each framing site has of its own.

use serde_json::{Value, json};

use super::{ROUTES, claims};
use crate::support::browser::browse_with;
use crate::support::tools::missing;
use crate::support::{Config, Gateway, Nginx, Opencast, Reserved, Signer, Site, in_seconds};

/// Opencast Studio, as far as it matters here: scripts, who am I, and one upload as a script sends it.
const STUDIO: &str = r#"<!doctype html><title>Studio</title><body>
<script src="static/js/app.js"></script>"#;

const APP: &str = r#"
const step = (name, text) => { document.body.dataset[name] = text; };
fetch("/info/me.json").then(answer => answer.json()).then(me => {
  step("user", me.user.username);
  const upload = new XMLHttpRequest();
  upload.open("POST", "/ingest/addTrack");
  upload.onloadend = () => step("upload", upload.status);
  const form = new FormData();
  form.append("BODY", new Blob(["recording"]));
  upload.send(form);
});
"#;

/// The studio's files come from a web server, all else from Opencast.
const PAGES: &str = r#"
[[routes]]
name     = "studio"
path     = "/studio/{*rest}"
upstream = "pages"
accept   = ["launch"]
allow    = [{ role = "ROLE_STUDIO" }]
present  = "none"
launch   = { }
"#;

struct Stage {
    lms: Signer,
    nginx: Nginx,
    site: Site,
    gateway: Gateway,
    origin: String,
    _port: Reserved,
    _opencast: Opencast,
}

impl Stage {
    fn start() -> Option<Self> {
        if missing("nginx") {
            return None;
        }
        let (site, opencast, lms) = (Site::new(), Opencast::start(), Signer::new());
        site.write("pages/studio/index.html", STUDIO);
        site.write("pages/studio/static/js/app.js", APP);
        let types = "types { text/html html; text/javascript js; }";
        let nginx = Nginx::with(&format!("root {}; {types}", site.path("pages").display()));
        // The gateway has to know its own address before it starts.
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let origin = format!("https://video.localhost:{}", address.port());
        let pair = rcgen::generate_simple_self_signed(["video.localhost".to_owned()]).unwrap();
        site.write("cert.pem", pair.cert.pem());
        site.write("key.pem", pair.signing_key.serialize_pem());
        site.write_keys("lms.json", &[&lms]);
        site.write("secrets/opencast", "letmein");
        let others = ROUTES.split("\n[[routes]]").filter(|route| {
            ["\"launch\"", "\"ingest\"", "\"info\"", "\"keys\""].iter().any(|name| {
                let mut lines = route.lines().filter(|line| line.starts_with("name"));
                lines.any(|line| line.ends_with(name))
            })
        });
        let others: String = others.map(|route| format!("\n[[routes]]{route}")).collect();
        let config = Config::new()
            .server("public_urls", &format!("[{origin:?}]"))
            .server(
                "tls",
                &format!("[{{ listen = \"{address}\", certificate = \"cert.pem\", key = \"key.pem\" }}]"),
            )
            .jwt("sources", "[{ query = \"jwt\" }, { form = \"jwt\" }]")
            .jwt("leeway", "\"0s\"")
            .issuer("lms", "lms.json", "allow_roles = [\"ROLE_STUDIO\"]\nmay_name_users = true")
            .upstream("opencast", &[opencast.url()], "")
            .upstream("pages", &[nginx.url()], "")
            .section("[opencast.main]\nupstream = \"opencast\"\nusername = \"gateway\"\npassword_file = \"secrets/opencast\"\n")
            .section(&others.replace("LIFE", ""))
            .section(PAGES);
        let gateway = site.start(&config);
        let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
        opencast.site().jwks = Some(keys);
        Some(Self {
            lms,
            nginx,
            site,
            gateway,
            origin,
            _port: port,
            _opencast: opencast,
        })
    }

    /// A page of another site; its address.
    fn page(&self, site: &str, name: &str, body: &str) -> String {
        self.site
            .write(&format!("pages/{name}"), format!("<!doctype html><body>{body}"));
        format!("http://{site}.localhost:{}/{name}", self.nginx.address.port())
    }

    fn token(&self, until: u64) -> String {
        let mut said = claims("anna", &["ROLE_STUDIO"]);
        said["exp"] = json!(until);
        self.lms.token(&said)
    }

    /// A course's page that posts the form into a frame, as Moodle and ILIAS do.
    fn course(&self, token: &str) -> String {
        let (origin, target) = (
            &self.origin,
            format!("{}/studio/index.html?upload.seriesId=4", self.origin),
        );
        let body = format!(
            "<iframe name=studio allow='camera; microphone; display-capture'></iframe>\
             <form method=post target=studio action='{origin}/redirect/get'>\
             <input type=hidden name=jwt value='{token}'><input type=hidden name=target value='{target}'></form>\
             <script>setTimeout(() => document.forms[0].submit(), 250)</script>"
        );
        self.page("lms", "course.html", &body)
    }

    fn browse(&self, script: &str, args: &Value) -> Option<Value> {
        let script = format!("{COMMON}\n{script}");
        browse_with(&["--test-third-party-cookie-phaseout"], &script, args)
    }
}

/// `mine`: somebody who lets self-signed certificates pass; `studio(tab)`: what the studio in the tab's frame came to.
const COMMON: &str = r#"
    const mine = await browser.newContext({ ignoreHTTPSErrors: true });
    const studio = async (tab) => {
        const frame = tab.frame({ name: "studio" });
        await frame.waitForSelector("body[data-upload]", { state: "attached" });
        return { url: frame.url(), ...await frame.evaluate(() => ({ ...document.body.dataset })) };
    };
"#;

#[test]
fn the_studio_works_in_a_frame_of_another_site() {
    let Some(stage) = Stage::start() else { return };
    // As long as Moodle's, and a browser has to start meanwhile.
    let until = in_seconds(15);
    let token = stage.token(until);
    let course = stage.course(&token);
    let script = r#"
        const tab = await mine.newPage();
        await tab.goto(args.course);
        const first = await studio(tab);
        // The token is over by now; the page is not.
        await tab.waitForTimeout(Math.max(0, args.until * 1000 - Date.now()));
        await tab.frame({ name: "studio" }).goto(first.url);
        const again = await studio(tab);
        // In a frame of a third site it is nobody's.
        const other = await mine.newPage();
        const asked = other.waitForResponse((answer) => answer.url().includes("/studio/"));
        await other.goto(args.evil);
        return { first, again, other: (await asked).status(), cookies: await mine.cookies() };
    "#;
    let evil = format!("<iframe src='{}/studio/index.html'></iframe>", stage.origin);
    let evil = stage.page("evil", "frame.html", &evil);
    let args = json!({ "course": course, "evil": evil, "until": until });
    let Some(told) = stage.browse(script, &args) else {
        return;
    };
    let url = format!("{}/studio/index.html?upload.seriesId=4", stage.origin);
    for came_to in [&told["first"], &told["again"]] {
        assert_eq!(came_to["url"], url, "{told}");
        assert_eq!(
            (&came_to["user"], &came_to["upload"]),
            (&json!("anna"), &json!("200")),
            "{told}"
        );
    }
    let late = super::page(&format!("/studio/?jwt={token}"));
    assert_eq!(stage.gateway.send(late).status, 401);
    assert_eq!(told["other"], 401, "{told}");
    let cookies = told["cookies"].as_array().unwrap();
    assert_eq!(cookies.len(), 1, "{told}");
    let launch = &cookies[0];
    assert_eq!(launch["name"], "__Host-janua-launch");
    assert_eq!(
        (
            &launch["httpOnly"],
            &launch["secure"],
            &launch["sameSite"],
            &launch["path"]
        ),
        (&json!(true), &json!(true), &json!("None"), &json!("/"))
    );
    stage.gateway.logged(&["path=\"/redirect/get\"", "status=303"]);
    assert!(!told.to_string().contains("jwt"), "{told}");
}

#[test]
fn a_page_opened_with_a_token_forgets_it() {
    let Some(stage) = Stage::start() else { return };
    let page = format!(
        "{}/studio/index.html?a=1&jwt={}&b=%20",
        stage.origin,
        stage.token(in_seconds(60))
    );
    let course = stage.page(
        "lms",
        "link.html",
        &format!("<iframe name=studio src='{page}'></iframe>"),
    );
    let script = r#"
        const tab = await mine.newPage();
        await tab.goto(args.course);
        const framed = await studio(tab);
        const history = await tab.frame({ name: "studio" }).evaluate(() => [document.referrer, history.length]);
        await tab.goto(args.page);
        await tab.waitForSelector("body[data-upload]", { state: "attached" });
        return { framed, history, whole: tab.url(), user: await tab.evaluate(() => document.body.dataset.user) };
    "#;
    let Some(told) = stage.browse(script, &json!({ "course": course, "page": page })) else {
        return;
    };
    let url = format!("{}/studio/index.html?a=1&b=%20", stage.origin);
    assert_eq!(told["framed"]["url"], url);
    assert_eq!(told["framed"]["upload"], "200");
    assert_eq!((&told["whole"], &told["user"]), (&json!(url), &json!("anna")));
    assert!(!told.to_string().contains("jwt"), "{told}");
}
