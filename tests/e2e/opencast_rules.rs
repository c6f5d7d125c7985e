//! The Opencast section of gateway.toml, with its comment signs taken off: it is a good configuration, and its rules are
//! Opencast's own, closed where those say nothing.

use std::collections::HashMap;
use std::fs;

use serde_json::json;

use crate::support::tools::janua;
use crate::support::{Gateway, Opencast, Request, Signer, Site, Upstream, eventually, in_seconds};

/// Everyone who comes to each address, by the roles of their token; `None` is who brings nothing.
const CALLERS: [Option<&[&str]>; 9] = [
    None,
    Some(&["4_Learner"]),
    Some(&["4_Instructor", "4_Learner"]),
    Some(&["ROLE_STUDIO"]),
    // Of the External API, as integrations have it.
    Some(&[
        "ROLE_API",
        "ROLE_API_EVENTS_VIEW",
        "ROLE_API_EVENTS_ACL_VIEW",
        "ROLE_API_SERIES_VIEW",
        "ROLE_API_SERIES_ACL_VIEW",
    ]),
    Some(&["ROLE_CAPTURE_AGENT"]),
    Some(&["ROLE_ADMIN_UI", "ROLE_UI_EVENTS_VIEW"]),
    Some(&["ROLE_ADMIN"]),
    Some(&["role_admin"]),
];

/// Which roles Spring Security asks for at which address, with the list of Opencast 17.
const BY_SPRING: &str = "src/config/opencast_security/by_spring.txt";
/// That list.
const LIST: &str = "src/config/opencast_security/defaults.txt";

/// Whom the list of the event "one" names, and administrators.
const READERS: &[&str] = &["4_Learner", "ROLE_ADMIN"];
const EVERYONE: &[&str] = &["ROLE_ANONYMOUS"];
const SIGNED_IN: &[&str] = &["ROLE_USER"];
const ADMIN: &[&str] = &["ROLE_ADMIN"];

/// What the gateway judges otherwise than Opencast's list, and who may.
const OTHERWISE: [(&str, &str, &[&str]); 16] = [
    // Opencast's list takes everybody for files, since Opencast then looks at each. The gateway does, and reads them itself.
    ("GET", "/static/mh_default_org/engage-player/one/a/b.mp4", READERS),
    ("HEAD", "/static/mh_default_org/engage-player/one/a/b.mp4", READERS),
    ("GET", "/static/mh_default_org/api/one/a/b.mp4", READERS),
    ("GET", "/static/mh_default_org/internal/one/a/b.mp4", READERS),
    ("GET", "/static/mh_default_org/oaipmh-default/one/a/b.mp4", EVERYONE),
    ("GET", "/static/mh_default_org/unknown/one/a/b.mp4", ADMIN),
    ("GET", "/static/mh_default_org/engage-player/other/a/b.mp4", ADMIN),
    ("GET", "/static/x", ADMIN),
    // Opencast 17 answers HEAD by another entry, and refuses it where everybody may GET.
    ("HEAD", "/search/episode.json", EVERYONE),
    ("HEAD", "/series/one.json", EVERYONE),
    // The list of Opencast 18 has these before the entry that takes all of Tobira.
    ("GET", "/tobira/version", EVERYONE),
    ("GET", "/graphql", EVERYONE),
    // Newer ones know Paella 8, and the annotation tool is installed beside.
    ("GET", "/paella8/ui/watch.html?id=one", EVERYONE),
    ("GET", "/paella8/ui/auth.html", SIGNED_IN),
    ("GET", "/annotation-tool/index.html?id=one", EVERYONE),
    ("POST", "/extended-annotations/videos", EVERYONE),
];

/// Addresses as browsers write them, with what the list says of them.
const AS_WRITTEN: [(&str, &str, &[&str]); 8] = [
    ("GET", "/play/one?t=12s", EVERYONE),
    ("GET", "/search/episode.json?id=one", EVERYONE),
    ("GET", "/studio?upload.seriesId=two", &["ROLE_ADMIN", "ROLE_STUDIO"]),
    ("GET", "/studio/static/css/main.css", &["ROLE_ADMIN", "ROLE_STUDIO"]),
    ("GET", "/editor-ui/index.html?id=one", &["ROLE_ADMIN", "ROLE_USER"]),
    ("DELETE", "/editor/one/lock/4f2a", &["ROLE_ADMIN", "ROLE_USER"]),
    ("GET", "/studiox/index.html", ADMIN),
    ("GET", "//studio//index.html", &["ROLE_ADMIN", "ROLE_STUDIO"]),
];

/// Would Opencast let in somebody with the roles of their token, where one of `wanted` is asked for?
fn holds(caller: Option<&[&str]>, wanted: &[&str]) -> bool {
    let of_all = |role: &&str| *role == "ROLE_ANONYMOUS" || (*role == "ROLE_USER" && caller.is_some());
    wanted.iter().any(of_all) || caller.is_some_and(|held| held.iter().any(|role| wanted.contains(role)))
}

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

    /// Was a request of somebody with these roles let in?
    fn is_let_in(&self, method: &str, target: &str, roles: Option<&[&str]>) -> bool {
        let mut request = Request::new(method, target);
        if let Some(roles) = roles {
            let claims = json!({ "exp": in_seconds(60), "sub": "anna", "roles": roles });
            request = request.bearer(&self.signer.token(&claims));
        }
        if method == "POST" || method == "PUT" {
            request = request.body("x");
        }
        let asked = target.replace("//", "/");
        let before = self.opencast.asked(&asked);
        let answer = self.gateway.send(request);
        let arrived = self.opencast.asked(&asked) > before;
        // Opencast's own refusals are no problem documents.
        let refused_here = answer.header("content-type") == Some("application/problem+json");
        assert!(
            !(arrived && refused_here),
            "{method} {target} {roles:?}: {}",
            answer.status
        );
        arrived || (target.starts_with("/static/") && answer.status == 200)
    }

    /// Whom it judges otherwise than it is to.
    fn wrong(&self, (method, target, wanted): (&str, &str, &[&str])) -> impl Iterator<Item = String> {
        let judge = move |caller: &Option<&[&str]>| {
            let expected = holds(*caller, wanted);
            let wrong = self.is_let_in(method, target, *caller) != expected;
            wrong.then(|| format!("{method} {target} as {caller:?}: expected {expected}, {wanted:?}"))
        };
        let wrong: Vec<_> = CALLERS.iter().filter_map(judge).collect();
        wrong.into_iter()
    }
}

/// An address that a pattern of the list is for.
fn example(pattern: &str) -> String {
    let path = pattern.replace("/**", "/x/y.html").replace('*', "x");
    path.replace("//", "/")
}

/// Every entry of Opencast's list, with every caller: as Spring Security says.
#[test]
fn the_rules_are_opencasts_own() {
    let stage = Stage::new();
    let (list, by_spring) = (
        fs::read_to_string(LIST).unwrap(),
        fs::read_to_string(BY_SPRING).unwrap(),
    );
    let said: HashMap<(&str, &str), Vec<&str>> = by_spring
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(((words.next()?, words.next()?), words.collect()))
        })
        .collect();
    let (mut wrong, mut entries) = (Vec::new(), 0);
    for line in list
        .lines()
        .filter(|line| line.starts_with(|first: char| first == '*' || first.is_ascii_uppercase()))
    {
        let mut words = line.split(' ');
        let method = words
            .next()
            .map(|method| if method == "*" { "GET" } else { method })
            .unwrap();
        let path = example(words.next().unwrap());
        let wanted = &said[&(method, path.as_str())];
        entries += 1;
        if path.starts_with("/static") || OTHERWISE.iter().any(|(_, otherwise, _)| *otherwise == path) {
            continue;
        }
        wrong.extend(stage.wrong((method, &path, wanted)));
    }
    assert_eq!(entries, 283, "entries that both versions have");
    for case in OTHERWISE.into_iter().chain(AS_WRITTEN) {
        wrong.extend(stage.wrong(case));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let post = stage
        .gateway
        .send(Request::new("POST", "/static/mh_default_org/engage-player/one/a/b.mp4").body("x"));
    assert_eq!(post.status, 405, "files are for reading");
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
    // Studio and Editor show the event's files; who may, the event's list says.
    let files = |event: &str| {
        let file = format!("/static/mh_default_org/internal/{event}/a/b.mp4");
        stage.gateway.send(Request::get(&file).header("Cookie", cookie)).status
    };
    assert_eq!((files("one"), files("other")), (403, 403), "ROLE_STUDIO reads neither");
    // An account of Opencast's, as Moodle's plugin has one, is known there wherever its list counts.
    for path in ["/info/me.json", "/api/events/one", "/editor/one/edit.json"] {
        let by_account = Request::get(path).header("Authorization", "Basic Z2F0ZXdheTpsZXRtZWlu");
        assert_eq!(stage.gateway.send(by_account).status, 200, "{path}");
    }
    let me = Request::get("/info/me.json").header("Authorization", "Basic Z2F0ZXdheTpsZXRtZWlu");
    assert_eq!(stage.gateway.send(me).json()["user"]["username"], "gateway");
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

#[test]
fn the_example_of_a_whole_opencast_checks_clean() {
    let site = Site::new();
    let example = janua(["config", "example", "opencast"]);
    assert_eq!(example.code, Some(0), "{example:?}");
    site.write("secrets/opencast", "letmein\n");
    let file = site.write("gateway.toml", &example.stdout);
    let ran = janua(["check", "--offline", "--config", file.to_str().unwrap()]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
}

/// An Opencast's own file stands in the place of the lists that the gateway has, and a reload takes its changes.
#[test]
fn an_opencasts_own_file_is_read_and_read_again() {
    let (site, opencast, signer) = (Site::new(), Upstream::start(), Signer::new());
    site.write_keys("keys/jwks.json", &[&signer]);
    let list = |role: &str| {
        let entries = format!(
            "<sec:intercept-url pattern=\"/lab/**\" method=\"GET\" access=\"{role}\"/>\n\
             <sec:intercept-url pattern=\"/**\" access=\"ROLE_ADMIN\"/>"
        );
        let spring = "http://www.springframework.org/schema";
        format!(
            "<beans xmlns=\"{spring}/beans\" xmlns:sec=\"{spring}/security\">\n<sec:http>\n{entries}\n</sec:http></beans>"
        )
    };
    site.write("security.xml", list("ROLE_LAB"));
    let config = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\npublic_url = \"http://localhost\"\n\
         [[jwt.issuers]]\nname = \"m\"\njwks = \"keys/jwks.json\"\nallow_roles = [\"ROLE_*\"]\n\
         [upstreams.opencast]\nservers = [\"{}\"]\n\
         [[routes]]\nname = \"opencast\"\npath = \"/{{*rest}}\"\nupstream = \"opencast\"\n\
         allow = [{{ opencast_security = \"security.xml\" }}]\n",
        opencast.url()
    );
    let gateway = Gateway::start(&site, &config);
    let token = |role: &str| signer.token(&json!({ "exp": in_seconds(60), "sub": "anna", "roles": [role] }));
    let status = |path: &str, role: &str| gateway.get_with(path, &token(role)).status;
    assert_eq!(status("/lab/1", "ROLE_LAB"), 200);
    assert_eq!(status("/lab/1", "ROLE_ADMIN"), 403, "the first entry counts");
    assert_eq!(status("/lab", "ROLE_OTHER"), 403);
    assert_eq!(status("/other", "ROLE_ADMIN"), 200);
    let file = site.path("gateway.toml");
    let token_file = site.write("token", token("ROLE_ADMIN"));
    let (file, token_file) = (file.to_str().unwrap(), token_file.to_str().unwrap());
    let why = janua(["explain", "GET", "/lab/1", "--config", file, "--token-file", token_file]);
    assert!(
        why.stdout
            .contains("GET /lab/** (line 3) needs ROLE_LAB; held: ROLE_ADMIN"),
        "{why:?}"
    );
    site.write("security.xml", list("ROLE_ANONYMOUS"));
    gateway.signal("HUP");
    eventually("the new list is in effect", || {
        (gateway.get("/lab/1").status == 200).then_some(())
    });
    assert_eq!(gateway.get("/other").status, 401);
}
