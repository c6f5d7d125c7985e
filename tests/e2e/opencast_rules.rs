//! The Opencast section of gateway.toml, with its comment signs taken off: it is a good configuration, and its rules are
//! Opencast's own, closed where those say nothing.

use std::fs;

use serde_json::json;

use crate::support::tools::janua;
use crate::support::{Gateway, Opencast, Request, Signer, Site, in_seconds};

/// Everyone who comes to each address; `None` is who brings nothing.
const ROLES: [Option<&str>; 14] = [
    None,
    Some("4_Learner"),
    Some("ROLE_USER"),
    Some("ROLE_STUDIO"),
    Some("ROLE_CAPTURE_AGENT"),
    Some("ROLE_ADMIN"),
    Some("ROLE_ADMIN_UI"),
    Some("ROLE_UI_EVENTS_VIEW"),
    Some("ROLE_API"),
    Some("ROLE_API_EVENTS_VIEW"),
    Some("ROLE_API_EVENTS_ACL_VIEW"),
    Some("ROLE_API_SERIES_VIEW"),
    Some("ROLE_API_SERIES_ACL_VIEW"),
    Some("role_admin"),
];

/// Who may, at an address.
enum May {
    Everyone,
    /// Who holds one of these.
    Roles(&'static [&'static str]),
    /// Nobody: it is not published with this method.
    NotPublished,
}

use May::{Everyone, NotPublished, Roles};

const ADMIN: May = Roles(&["ROLE_ADMIN"]);
const STUDIO: May = Roles(&["ROLE_ADMIN", "ROLE_STUDIO"]);
const EDITOR: May = Roles(&["ROLE_ADMIN", "ROLE_USER"]);
const INGEST: May = Roles(&["ROLE_ADMIN", "ROLE_CAPTURE_AGENT", "ROLE_STUDIO"]);
/// Whom the list of the event "one" names, and administrators.
const READERS: May = Roles(&["ROLE_ADMIN", "4_Learner"]);

const TABLE: [(&str, &str, May); 58] = [
    ("GET", "/static/mh_default_org/engage-player/one/a/b.mp4", READERS),
    ("HEAD", "/static/mh_default_org/engage-player/one/a/b.mp4", READERS),
    ("POST", "/static/mh_default_org/engage-player/one/a/b.mp4", NotPublished),
    ("GET", "/static/mh_default_org/api/one/a/b.mp4", READERS),
    ("GET", "/static/mh_default_org/internal/one/a/b.mp4", READERS),
    ("GET", "/static/mh_default_org/oaipmh-default/one/a/b.mp4", Everyone),
    ("GET", "/static/mh_default_org/unknown/one/a/b.mp4", ADMIN),
    ("GET", "/static/mh_default_org/engage-player/other/a/b.mp4", ADMIN),
    ("GET", "/play/one", Everyone),
    ("POST", "/play/one", NotPublished),
    ("GET", "/paella7/ui/watch.html?id=one", Everyone),
    ("GET", "/paella8/ui/watch.html?id=one", Everyone),
    ("POST", "/paella8/ui/watch.html", NotPublished),
    ("GET", "/paella7/ui/auth.html", Roles(&["ROLE_USER"])),
    ("GET", "/paella8/ui/auth.html", Roles(&["ROLE_USER"])),
    ("GET", "/ui/config/studio/settings.toml", Everyone),
    ("GET", "/search/episode.json?id=one", Everyone),
    ("POST", "/search/add", NotPublished),
    ("GET", "/info/me.json", Everyone),
    ("PUT", "/info/me.json", NotPublished),
    ("GET", "/series/two.json", Everyone),
    ("PUT", "/series/two", ADMIN),
    ("GET", "/playlists/three", Everyone),
    ("DELETE", "/playlists/three", ADMIN),
    ("PUT", "/usertracking/", Everyone),
    ("GET", "/i18n/languages.json", Everyone),
    ("GET", "/favicon.ico", Everyone),
    ("GET", "/studio?upload.seriesId=two", STUDIO),
    ("GET", "/annotation-tool?id=one", Everyone),
    ("GET", "/admin-ui", Roles(&["ROLE_ADMIN_UI"])),
    ("POST", "/redirect/get", Everyone),
    ("GET", "/annotation-tool/index.html?id=one", Everyone),
    ("POST", "/extended-annotations/videos", Everyone),
    ("GET", "/studio/manifest.json", Everyone),
    ("GET", "/studio/static/js/main.js", Everyone),
    ("GET", "/studio/index.html", STUDIO),
    ("GET", "/studio/", STUDIO),
    ("GET", "/studio/static/css/main.css", STUDIO),
    ("GET", "/studio-api/series.json", STUDIO),
    ("GET", "/ingest/createMediaPackage", INGEST),
    ("POST", "/ingest/addTrack", INGEST),
    ("GET", "/editor-ui/index.html?id=one", EDITOR),
    ("GET", "/editor/one/edit.json", EDITOR),
    ("POST", "/editor/one/edit.json", EDITOR),
    ("DELETE", "/editor/one/lock/4f2a", EDITOR),
    ("GET", "/api/version", Roles(&["ROLE_ADMIN", "ROLE_API"])),
    ("GET", "/api/events/one", Roles(&["ROLE_ADMIN", "ROLE_API_EVENTS_VIEW"])),
    ("DELETE", "/api/events/one", ADMIN),
    (
        "GET",
        "/api/events/one/acl",
        Roles(&["ROLE_ADMIN", "ROLE_API_EVENTS_ACL_VIEW"]),
    ),
    ("PUT", "/api/events/one/acl", ADMIN),
    ("GET", "/api/series/two", Roles(&["ROLE_ADMIN", "ROLE_API_SERIES_VIEW"])),
    (
        "GET",
        "/api/series/two/acl",
        Roles(&["ROLE_ADMIN", "ROLE_API_SERIES_ACL_VIEW"]),
    ),
    ("GET", "/api/groups", ADMIN),
    ("GET", "/admin-ui/index.html", Roles(&["ROLE_ADMIN_UI"])),
    ("GET", "/admin-ui/assets/logo.svg", Everyone),
    (
        "GET",
        "/admin-ng/event/events.json",
        Roles(&["ROLE_ADMIN", "ROLE_UI_EVENTS_VIEW"]),
    ),
    ("GET", "/services/services.json", ADMIN),
    ("GET", "/studiox/index.html", ADMIN),
];

struct Stage {
    gateway: Gateway,
    opencast: Opencast,
    signer: Signer,
}

/// The repository's own file, with the section in force.
fn in_force() -> String {
    let mut text = fs::read_to_string("gateway.toml").unwrap();
    let section = text.find("# A whole Opencast behind this gateway").unwrap();
    let lines = text.split_off(section);
    for line in lines.lines() {
        let in_force = line
            .strip_prefix('#')
            .filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        text += in_force.unwrap_or(line);
        text += "\n";
    }
    text
}

/// The same; what has to be changed anywhere is changed, and no more.
fn config(opencast: &Opencast) -> String {
    let mut text = in_force();
    let changes = [
        (
            "listen = [\"127.0.0.1:8080\"]",
            "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"".to_owned(),
        ),
        ("store = \"embedded\"", "store = \"memory\"".to_owned()),
        ("path = \"state/janua.redb\"\n", String::new()),
        (
            "allow_roles = [\"*_Learner\", \"*_Instructor\", \"ROLE_USER\", \"ROLE_STUDIO\", \"ROLE_API*\", \"ROLE_ADMIN*\"]",
            "allow_roles = [\"*\"]".to_owned(),
        ),
        (
            "servers  = [\"http://127.0.0.1:8081\"]",
            format!("servers  = [\"{}\"]", opencast.url()),
        ),
        ("username      = \"janua\"", "username      = \"gateway\"".to_owned()),
    ];
    for (from, to) in changes {
        assert_eq!(text.matches(&format!("\n{from}")).count(), 1, "{from}");
        text = text.replacen(&format!("\n{from}"), &format!("\n{to}"), 1);
    }
    text
}

impl Stage {
    fn new() -> Self {
        let (site, opencast, signer) = (Site::new(), Opencast::start(), Signer::new());
        opencast.event("one", &["4_Learner"]);
        opencast.event("other", &["ROLE_OTHER"]);
        site.write_keys("sample/keys/jwks.json", &[&signer]);
        site.write("secrets/opencast", "letmein\n");
        for channel in ["engage-player", "api", "internal", "oaipmh-default", "unknown"] {
            for event in ["one", "other"] {
                site.write(
                    &format!("sample/downloads/mh_default_org/{channel}/{event}/a/b.mp4"),
                    "lecture",
                );
            }
        }
        let config = config(&opencast);
        let file = site.write("gateway.toml", &config);
        let ran = janua(["check", "--offline", "--config", file.to_str().unwrap()]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let gateway = Gateway::start(&site, &config);
        let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
        opencast.site().jwks = Some(keys);
        Self {
            gateway,
            opencast,
            signer,
        }
    }

    /// Was a request of somebody with this role let in?
    fn is_let_in(&self, method: &str, target: &str, role: Option<&str>) -> bool {
        let mut request = Request::new(method, target);
        if let Some(role) = role {
            let claims = json!({ "exp": in_seconds(60), "sub": "anna", "roles": [role] });
            request = request.bearer(&self.signer.token(&claims));
        }
        if method == "POST" || method == "PUT" {
            request = request.body("x");
        }
        let before = self.opencast.asked(target);
        let answer = self.gateway.send(request);
        let arrived = self.opencast.asked(target) > before;
        match target.starts_with("/static/") {
            true => answer.status == 200,
            false => {
                // Opencast's own refusals are no problem documents.
                let refused_here = answer.header("content-type") == Some("application/problem+json");
                assert_ne!(arrived, refused_here, "{method} {target} {role:?}: {}", answer.status);
                arrived
            }
        }
    }
}

#[test]
fn the_rules_are_opencasts_own() {
    let stage = Stage::new();
    let mut wrong = Vec::new();
    for (method, target, may) in &TABLE {
        for role in ROLES {
            let expected = match may {
                Everyone => true,
                NotPublished => false,
                Roles(roles) => role.is_some_and(|role| roles.contains(&role)),
            };
            if stage.is_let_in(method, target, role) != expected {
                wrong.push(format!("{method} {target} as {role:?}: expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What the gateway lets in, Opencast lets in for the same reason: the token that it is shown says so.
#[test]
fn opencast_hears_who_it_is() {
    let stage = Stage::new();
    let token = |roles: &[&str]| {
        let claims = json!({ "exp": in_seconds(60), "sub": "anna", "roles": roles });
        stage.signer.token(&claims)
    };
    let get = |path: &str, roles: &[&str]| stage.gateway.get_with(path, &token(roles));
    get("/studio/index.html", &["ROLE_STUDIO"]).expect(200);
    get("/ingest/createMediaPackage", &["ROLE_CAPTURE_AGENT"]).expect(200);
    get("/editor/one/edit.json", &["ROLE_USER"]).expect(200);
    get("/api/events/one", &["ROLE_ADMIN"]).expect(200);
    let me = get("/info/me.json", &["ROLE_STUDIO"]).expect(200).json();
    assert!(me["roles"].as_array().unwrap().contains(&json!("ROLE_STUDIO")), "{me}");
    let nobody = stage.gateway.get("/info/me.json").expect(200).json();
    assert_eq!(nobody["user"]["username"], "anonymous");
    // A page that a learning platform opens with a token goes on with a session of the gateway's own.
    let page = format!("/studio/index.html?jwt={}", token(&["ROLE_STUDIO"]));
    let launched = stage
        .gateway
        .send(Request::get(&page).header("Sec-Fetch-Mode", "navigate"));
    let launched = launched.expect(303);
    assert_eq!(launched.header("location"), Some("/studio/index.html"));
    let cookies = launched.all("set-cookie");
    let cookie = cookies
        .iter()
        .find(|cookie| cookie.starts_with("janua-launch="))
        .unwrap();
    let (cookie, _) = cookie.split_once(';').unwrap();
    for path in [
        "/studio/index.html",
        "/studio-api/series.json",
        "/ingest/createMediaPackage",
    ] {
        stage
            .gateway
            .send(Request::get(path).header("Cookie", cookie))
            .expect(200);
    }
    stage
        .gateway
        .send(Request::get("/api/events/one").header("Cookie", cookie))
        .refused(401, "no_credentials");
    // A token for the event alone, and one for another.
    let file = "/static/mh_default_org/engage-player/one/a/b.mp4";
    stage.gateway.get_with(file, &stage.signer.read("one")).expect(200);
    stage.gateway.get_with(file, &stage.signer.read("other")).expect(403);
}

#[test]
fn the_section_as_it_is_shipped_checks_clean() {
    let (site, signer) = (Site::new(), Signer::new());
    site.write_keys("sample/keys/jwks.json", &[&signer]);
    site.write("sample/downloads/a.mp4", "lecture");
    site.write("secrets/opencast", "letmein\n");
    let file = site.write("gateway.toml", in_force());
    let ran = janua(["check", "--offline", "--config", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert!(!ran.stdout.contains("note") && !ran.stdout.contains("BAD"), "{ran:?}");
}
