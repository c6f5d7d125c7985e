//! Launches by LTI 1.3: a learning platform opens a page here and names the person by a signed message.

mod attacks;
mod browser;
mod by_signature;
mod choosing;
mod targets;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::lti::{CLAIM, Form, MEMBERSHIP};
use crate::support::{Config, Gateway, LtiPlatform, Request, Signer, Site, Upstream, eventually};

/// The origin that browsers know.
const ORIGIN: &str = "https://video.test";
const TOOL: &str = "https://video.test/_janua/lti/moodle";

const ROUTES: &str = r#"
[[routes]]
name     = "play"
path     = "/play/{*rest}"
upstream = "zoo"
accept   = ["launch"]
allow    = [{ role = "4_Learner" }]
present  = "headers"
headers  = { subject = "X-Test-User", roles = "X-Test-Roles" }

[[routes]]
name     = "studio"
path     = "/studio/{*rest}"
upstream = "zoo"
accept   = ["launch"]
allow    = [{ signed_in = true }]
present  = "headers"
headers  = { subject = "X-Test-User", roles = "X-Test-Roles" }

[[routes]]
name     = "of an issuer"
path     = "/issuer/{*rest}"
upstream = "zoo"
accept   = ["launch"]
issuers  = ["other"]
allow    = [{ signed_in = true }]

[[routes]]
name     = "only tokens"
path     = "/search/{*rest}"
upstream = "zoo"
allow    = [{ signed_in = true }]
"#;

/// A gateway that a platform launches pages of.
struct Stage {
    platform: LtiPlatform,
    zoo: Upstream,
    gateway: Gateway,
}

impl Stage {
    fn new() -> Self {
        Self::with("")
    }

    /// With more lines of `[lti.moodle]`.
    fn with(more: &str) -> Self {
        let (platform, zoo) = (LtiPlatform::start(TOOL), Upstream::start());
        let gateway = start(&[("moodle", &platform, more)], &zoo);
        platform.behaviour().target = format!("{ORIGIN}/play/index.html?id=1");
        Self { platform, zoo, gateway }
    }

    /// The login in a browser that keeps cookies, and its cookies.
    fn begun(&self) -> (String, String) {
        begun(&self.gateway, &self.platform)
    }

    /// A whole launch, up to its answer.
    fn launch(&self) -> Response {
        let (location, cookie) = self.begun();
        let form = self.platform.auth(&location).unwrap();
        self.gateway.send(form.posted().header("Cookie", &cookie))
    }

    /// The same with members of the message that are otherwise than usual.
    fn launch_with(&self, claims: &Value) -> Response {
        self.platform.behaviour().claims = claims.clone();
        self.launch()
    }

    /// Who a page's upstream is told that it is: the name, and the roles.
    fn who(&self, cookie: &str, path: &str) -> (String, String) {
        let asked = self
            .gateway
            .send(Request::get(path).header("Cookie", cookie))
            .expect(200);
        let told = asked.json();
        let header = |name: &str| {
            let all = told["headers"].as_array().unwrap();
            let found = all
                .iter()
                .find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
            found.map_or_else(String::new, |pair| pair[1].as_str().unwrap().to_owned())
        };
        (header("x-test-user"), header("x-test-roles"))
    }
}

trait Told {
    /// A refusal with this reason, in a page or in a problem body.
    fn told_refused(self, status: u16, reason: &str) -> Self;
}

impl Told for Response {
    fn told_refused(self, status: u16, reason: &str) -> Self {
        if self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/problem"))
        {
            return self.refused(status, reason);
        }
        let told = format!(">{reason}-");
        assert!(
            self.status == status && self.text().contains(&told),
            "not {told}: {} {}",
            self.status,
            self.text()
        );
        self
    }
}

fn start(platforms: &[(&str, &LtiPlatform, &str)], zoo: &Upstream) -> Gateway {
    let (site, other) = (Site::new(), Signer::new());
    site.write_keys("other.json", &[&other]);
    site.start(&config(platforms, zoo))
}

fn config(platforms: &[(&str, &LtiPlatform, &str)], zoo: &Upstream) -> Config {
    let config = Config::new()
        .server("public_urls", &format!("[{ORIGIN:?}]"))
        .issuer("other", "other.json", "")
        .upstream("zoo", &[zoo.url()], "")
        .section(ROUTES);
    let sections = platforms
        .iter()
        .map(|(name, platform, more)| platform.section(name, more));
    sections.fold(config, |config, section| config.section(&section))
}

/// Where the login leads a browser that keeps cookies, and the cookie it has then.
fn begun(gateway: &Gateway, platform: &LtiPlatform) -> (String, String) {
    let login = platform.login().posted().header("Cookie", "__Host-janua-lti-keeps=1");
    let answer = gateway.send(login).expect(303);
    (location(&answer), cookie(&answer, "janua-lti-"))
}

fn location(answer: &Response) -> String {
    answer.header("location").unwrap().to_owned()
}

/// `name=value` of the first cookie whose name begins so.
fn cookie(answer: &Response, name: &str) -> String {
    let name = format!("__Host-{name}");
    let lines = answer.all("set-cookie");
    let line = lines
        .iter()
        .find(|line| line.starts_with(&name))
        .unwrap_or_else(|| panic!("no {name}: {answer:?}"));
    assert!(
        line.contains("; HttpOnly; SameSite=None; Secure; Path=/") && line.ends_with("; Partitioned"),
        "{line}"
    );
    line.split(';').next().unwrap().to_owned()
}

fn claim(name: &str) -> String {
    format!("{CLAIM}{name}")
}

#[test]
fn a_page_of_a_course_opens_as_the_person_in_the_course() {
    let stage = Stage::new();
    let (to_platform, cookie_of_login) = stage.begun();
    assert!(
        to_platform.starts_with(&stage.platform.url("/mod/lti/auth.php?")),
        "{to_platform}"
    );
    let form = stage.platform.auth(&to_platform).unwrap();
    let launched = stage
        .gateway
        .send(form.posted().header("Cookie", &cookie_of_login))
        .expect(303);
    assert_eq!(location(&launched), "/play/index.html?id=1");
    let session = cookie(&launched, "janua-launch");
    let gone = launched.all("set-cookie");
    let name = cookie_of_login.split('=').next().unwrap();
    assert!(
        gone.iter()
            .any(|line| line.starts_with(name) && line.contains("Max-Age=0")),
        "{gone:?}"
    );
    let (user, roles) = stage.who(&session, "/play/index.html?id=1");
    assert_eq!((user.as_str(), roles.as_str()), ("lti:moodle:5", "4_Learner"));
    // No route takes it that names issuers, or takes no launches.
    let ask = |path: &str| stage.gateway.send(Request::get(path).header("Cookie", &session));
    ask("/issuer/a").told_refused(401, "issuer_not_accepted");
    ask("/search/a").told_refused(401, "no_credentials");
    assert!(stage.zoo.seen("/play/index.html").header("cookie").is_none());
    for step in ["login", "launch"] {
        let series = format!("janua_lti_total{{outcome=\"ok\",platform=\"moodle\",step=\"{step}\"}}");
        assert_eq!(stage.gateway.metric(&series), Some(1.0), "{series}");
    }
}

#[test]
fn roles_are_those_of_the_course_alone() {
    let stage = Stage::with(
        "roles = [{ lti = \"Learner\", role = \"{context_id}_Learner\" }, { lti = \"Instructor\", role = \"{context_id}_Instructor\" }]",
    );
    let roles = |told: Value| {
        let launched = stage.launch_with(&json!({ claim("roles"): told })).expect(303);
        stage.who(&cookie(&launched, "janua-launch"), "/studio/").1
    };
    stage.platform.behaviour().target = format!("{ORIGIN}/studio/");
    let of = |role: &str| format!("{MEMBERSHIP}#{role}");
    assert_eq!(
        roles(json!([of("Instructor"), of("Learner")])),
        "4_Learner,4_Instructor"
    );
    assert_eq!(
        roles(json!([format!("{MEMBERSHIP}/Instructor#TeachingAssistant")])),
        "4_Instructor"
    );
    // As Moodle tells of its administrators.
    let admin = "http://purl.imsglobal.org/vocab/lis/v2";
    let admin = json!([
        format!("{admin}/institution/person#Administrator"),
        format!("{admin}/system/person#Administrator")
    ]);
    assert_eq!(roles(admin), "");
    let elsewhere = json!({ claim("context"): null, claim("roles"): [of("Instructor")] });
    let launched = stage.launch_with(&elsewhere).expect(303);
    assert_eq!(stage.who(&cookie(&launched, "janua-launch"), "/studio/").1, "");
}

#[test]
fn nobody_need_be_named() {
    let stage = Stage::new();
    let launched = stage.launch_with(&json!({ "sub": null })).expect(303);
    let (user, roles) = stage.who(&cookie(&launched, "janua-launch"), "/play/");
    assert_eq!((user.as_str(), roles.as_str()), ("", "4_Learner"));
}

/// Both call a person 5, and a course 4.
#[test]
fn people_of_two_platforms_are_two() {
    let (one, two, zoo) = (
        LtiPlatform::start(TOOL),
        LtiPlatform::start(&TOOL.replace("moodle", "ilias")),
        Upstream::start(),
    );
    two.behaviour().issuer = "https://ilias.test".to_owned();
    let more = "roles = [{ lti = \"Learner\", role = \"ilias-{context_id}_Learner\" }]";
    let gateway = start(&[("moodle", &one, ""), ("ilias", &two, more)], &zoo);
    two.behaviour().target = format!("{ORIGIN}/studio/");
    let launch = |platform: &LtiPlatform| {
        let (location, cookie) = begun(&gateway, platform);
        gateway.send(platform.auth(&location).unwrap().posted().header("Cookie", &cookie))
    };
    let launched = launch(&two).expect(303);
    let session = cookie(&launched, "janua-launch");
    let told = gateway
        .send(Request::get("/studio/").header("Cookie", &session))
        .expect(200)
        .text();
    assert!(
        told.contains("lti:ilias:5") && told.contains("ilias-4_Learner"),
        "{told}"
    );
    gateway
        .send(Request::get("/play/").header("Cookie", &session))
        .told_refused(403, "missing_role");
}

/// One platform's message is none of another one's, whoever is called what.
#[test]
fn a_message_counts_at_its_own_platform_alone() {
    let (one, two, zoo) = (
        LtiPlatform::start(TOOL),
        LtiPlatform::start(&TOOL.replace("moodle", "ilias")),
        Upstream::start(),
    );
    two.behaviour().issuer = "https://ilias.test".to_owned();
    let more = "roles = [{ lti = \"Learner\", role = \"ilias-{context_id}_Learner\" }]";
    let gateway = start(&[("moodle", &one, ""), ("ilias", &two, more)], &zoo);
    let (location, cookie) = begun(&gateway, &one);
    let form = one.auth(&location).unwrap();
    // At the other one's address.
    let elsewhere = Form {
        action: form.action.replace("moodle", "ilias"),
        ..form.clone()
    };
    gateway
        .send(elsewhere.posted().header("Cookie", &cookie))
        .told_refused(401, "launch_stale");
    // The other one answers in its place, with all the right names but by its own key.
    let url = url::Url::parse(&location).unwrap();
    let asked: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
    two.behaviour().claims = json!({ "iss": "https://lms.test", "nonce": asked["nonce"], claim("target_link_uri"): format!("{TOOL}/launch") });
    let (location, _) = begun(&gateway, &two);
    let forged = two.auth(&location).unwrap();
    let forged = form.set("id_token", forged.get("id_token"));
    gateway
        .send(forged.posted().header("Cookie", &cookie))
        .told_refused(401, "bad_signature");
    gateway.logged(&["bad_signature", "lti.moodle"]);
}

#[test]
fn a_session_is_what_the_configuration_says_by_now() {
    let (platform, zoo) = (LtiPlatform::start(TOOL), Upstream::start());
    platform.behaviour().target = format!("{ORIGIN}/studio/");
    let gateway = start(&[("moodle", &platform, "")], &zoo);
    let stage = Stage { platform, zoo, gateway };
    let launched = stage.launch().expect(303);
    let session = cookie(&launched, "janua-launch");
    assert_eq!(stage.who(&session, "/studio/").1, "4_Learner");
    let reload = |platforms: &[(&str, &LtiPlatform, &str)]| {
        stage
            .gateway
            .site
            .write("gateway.toml", config(platforms, &stage.zoo).text());
        stage.gateway.signal("HUP");
    };
    reload(&[(
        "moodle",
        &stage.platform,
        "roles = [{ role = \"ROLE_LTI\" }]\nusername_prefix = \"m:\"",
    )]);
    eventually("the new roles", || {
        (stage.who(&session, "/studio/") == ("m:5".to_owned(), "ROLE_LTI".to_owned())).then_some(())
    });
    reload(&[("ilias", &stage.platform, "")]);
    eventually("the platform is gone", || {
        let asked = stage.gateway.send(Request::get("/studio/").header("Cookie", &session));
        (asked.status == 401).then_some(())
    });
}

/// As with every other launch session: `janua revoke` ends it.
#[test]
fn a_launch_is_revoked_by_name() {
    let stage = Stage::new();
    let session = cookie(&stage.launch().expect(303), "janua-launch");
    stage.who(&session, "/play/");
    let site = stage.gateway.site.path("gateway.toml");
    crate::support::tools::janua([
        "revoke",
        "--config",
        site.to_str().unwrap(),
        "--subject",
        "lti:moodle:5",
    ])
    .ok();
    stage
        .gateway
        .send(Request::get("/play/").header("Cookie", &session))
        .told_refused(401, "no_credentials");
}

#[test]
fn a_new_key_of_the_platforms_is_fetched() {
    let stage = Stage::new();
    stage.launch().expect(303);
    let signer = Signer::rs256().named("another");
    {
        let mut behaviour = stage.platform.behaviour();
        behaviour.keys = Signer::jwks(&[&signer]);
        behaviour.signer = Arc::new(signer);
    }
    // Not more often than every five seconds.
    eventually("the new key", || (stage.launch().status == 303).then_some(()));
}
