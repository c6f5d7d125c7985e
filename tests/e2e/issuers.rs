//! Issuers as they are: what ILIAS, Moodle and Tobira really put into their tokens, here and on the
//! way to Opencast.

use serde_json::{Value, json};

use crate::support::http::Response;
use crate::support::{Config, Gateway, Opencast, Request, Signer, Site, in_seconds};

const PATH: &str = "/static/mh_default_org/engage-player/lecture-1/video.mp4";

const ROUTES: &str = r#"
[opencast.main]
upstream = "opencast"
username = "gateway"
password_file = "secrets/opencast"

[[routes]]
name     = "media"
path     = "/static/{org}/{channel}/{event}/{*file}"
upstream = "opencast"
present  = "opencast-jwt"
allow    = [{ grant = "read", event = "{event}" }]

[[routes]]
name     = "editor"
path     = "/editor/{event}/{*rest}"
upstream = "opencast"
present  = "opencast-jwt"
allow    = [{ grant = "write", event = "{event}" }, { role = "ROLE_EDITOR" }]

[[routes]]
name     = "who"
path     = "/info/me.json"
upstream = "opencast"
present  = "opencast-jwt"
allow    = [{ signed_in = true }]

[[routes]]
name    = "administration"
path    = "/admin-ui/{*rest}"
respond = { status = 204 }
allow   = [{ role = "ROLE_ADMIN" }]

[[routes]]
name    = "limited"
path    = "/limited"
respond = { status = 204 }
allow   = [{ signed_in = true }]
limits  = { rate = "1/s", burst = 2 }

[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = true }
allow   = [{ anyone = true }]
"#;

/// A campus with three issuers, each within caps that suit it, all of which may name users.
struct Campus {
    ilias: Signer,
    moodle: Signer,
    tobira: Signer,
    opencast: Opencast,
    gateway: Gateway,
}

impl Campus {
    fn new() -> Self {
        Self::with("")
    }

    fn with(trusted_by_ilias: &str) -> Self {
        let (site, opencast) = (Site::new(), Opencast::start());
        opencast.event("lecture-1", &["ROLE_EPISODE_lecture-1_READ"]);
        let [ilias, moodle, tobira] = [Signer::new(), Signer::new(), Signer::new()];
        site.write("secrets/opencast", "letmein");
        let issuers = [
            ("ilias", &ilias, format!(r#""ROLE_STUDIO"{trusted_by_ilias}"#)),
            (
                "moodle",
                &moodle,
                r#""*_Learner", "*_Instructor", "ROLE_STUDIO", "ROLE_EDITOR""#.to_owned(),
            ),
            ("tobira", &tobira, r#""ROLE_USER", "ROLE_EPISODE_*""#.to_owned()),
        ];
        let mut config = Config::new().server("trusted_proxies", r#"["127.0.0.1/32"]"#);
        for (name, signer, roles) in issuers {
            let keys = format!("{name}.json");
            site.write_keys(&keys, &[signer]);
            config = config.issuer(name, &keys, &format!("allow_roles = [{roles}]\nmay_name_users = true"));
        }
        let gateway = site.start(&config.upstream("opencast", &[opencast.url()], "").section(ROUTES));
        let keys = gateway.get("/.well-known/jwks.json").expect(200).json();
        opencast.site().jwks = Some(keys);
        Self {
            ilias,
            moodle,
            tobira,
            opencast,
            gateway,
        }
    }

    fn ask(&self, signer: &Signer, path: &str, claims: &Value) -> Response {
        self.gateway.get_with(path, &signer.token(claims))
    }

    /// Who Opencast thinks it is, and with which roles.
    fn at_opencast(&self, signer: &Signer, claims: &Value) -> (String, Value) {
        let me = self.ask(signer, "/info/me.json", claims).expect(200).json();
        (me["user"]["username"].as_str().unwrap().to_owned(), me["roles"].clone())
    }
}

/// A live token of ILIAS for an event: a placeholder for a name, an administrator, and an action that stands alone.
fn of_ilias(event: &str) -> Value {
    let item = format!("e:{event}");
    json!({
        "exp": in_seconds(60), "sub": "unknown-jwt-user", "name": "unknown", "email": "no-mail@jwt.invalid",
        "roles": ["ROLE_ADMIN", "ROLE_STUDIO"], "oc": { item: "read" },
    })
}

fn has(roles: &Value, role: &str) -> bool {
    roles.as_array().unwrap().contains(&json!(role))
}

#[test]
fn ilias_writes_one_action_as_a_string_and_makes_everybody_an_administrator() {
    let campus = Campus::new();
    let token = of_ilias("lecture-1");
    let lecture = campus.ask(&campus.ilias, PATH, &token).expect(200);
    assert_eq!(lecture.text(), "lecture lecture-1", "Opencast itself lets this in");
    let (_, roles) = campus.at_opencast(&campus.ilias, &token);
    assert!(
        has(&roles, "ROLE_STUDIO") && has(&roles, "ROLE_EPISODE_lecture-1_READ"),
        "{roles}"
    );
    assert!(!has(&roles, "ROLE_ADMIN"), "{roles}");
    campus
        .ask(&campus.ilias, "/admin-ui/index.html", &token)
        .refused(403, "missing_role");
    campus
        .ask(&campus.ilias, PATH, &of_ilias("lecture-2"))
        .refused(403, "event_not_granted");
    // A string is one action, never several.
    let mut several = of_ilias("lecture-1");
    several["oc"] = json!({ "e:lecture-1": "read,write" });
    campus
        .ask(&campus.ilias, PATH, &several)
        .refused(403, "event_not_granted");
    assert_eq!(campus.opencast.asked("/admin-ui/index.html"), 0);
}

#[test]
fn an_administrator_of_an_issuer_is_one_where_the_operator_says_so() {
    let campus = Campus::with(r#", "ROLE_ADMIN""#);
    let token = of_ilias("lecture-1");
    campus.ask(&campus.ilias, "/admin-ui/index.html", &token).expect(204);
    assert!(has(&campus.at_opencast(&campus.ilias, &token).1, "ROLE_ADMIN"));
    let other = json!({ "exp": in_seconds(60), "roles": ["ROLE_ADMIN"] });
    campus
        .ask(&campus.moodle, "/admin-ui/index.html", &other)
        .refused(403, "missing_role");
}

#[test]
fn whom_an_issuer_does_not_name_shares_nothing_with_others() {
    let campus = Campus::new();
    let nameless = |event: &str| {
        let item = format!("e:{event}");
        json!({ "exp": in_seconds(60), "roles": ["4_Learner"], "oc": { item: ["read"] } })
    };
    let mut blank = nameless("lecture-1");
    blank["sub"] = json!("");
    let shown = [
        campus.at_opencast(&campus.ilias, &of_ilias("lecture-1")),
        campus.at_opencast(&campus.ilias, &of_ilias("lecture-2")),
        campus.at_opencast(&campus.moodle, &nameless("lecture-1")),
        campus.at_opencast(&campus.moodle, &nameless("lecture-2")),
        campus.at_opencast(&campus.tobira, &nameless("lecture-1")),
    ];
    let names: std::collections::BTreeSet<_> = shown.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), shown.len(), "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("janua-")), "{names:?}");
    assert_eq!(
        campus.at_opencast(&campus.moodle, &blank),
        shown[2],
        "an empty name is none"
    );
    // What one of them may see, no other does.
    for (index, (_, roles)) in shown.iter().enumerate() {
        assert_eq!(
            has(roles, "ROLE_EPISODE_lecture-2_READ"),
            [1, 3].contains(&index),
            "{roles}"
        );
    }
}

#[test]
fn a_placeholder_has_no_budget_of_its_own() {
    let campus = Campus::new();
    let token = campus.ilias.token(&of_ilias("lecture-1"));
    let from = |address: &str| {
        let request = Request::get("/limited")
            .header("X-Forwarded-For", address)
            .bearer(&token);
        campus.gateway.send(request).status
    };
    let at_once: Vec<u16> = (0..20).map(|_| from("203.0.113.1")).collect();
    assert!(at_once.contains(&429), "{at_once:?}");
    assert_eq!(from("203.0.113.2"), 204, "somebody else");
}

#[test]
fn moodle_names_people_for_its_tools_and_nobody_for_lectures() {
    let campus = Campus::new();
    let viewer = json!({ "exp": in_seconds(15), "oc": { "e:lecture-1": ["read"] }, "roles": ["4_Learner"] });
    // Opencast fails where `sub`, `name` or `email` is blank.
    campus.ask(&campus.moodle, PATH, &viewer).expect(200);
    let (_, roles) = campus.at_opencast(&campus.moodle, &viewer);
    assert!(has(&roles, "4_Learner"), "{roles}");
    let editor = json!({
        "exp": in_seconds(15), "sub": "anna", "name": "Anna A.", "email": "anna@campus.test", "roles": ["ROLE_EDITOR"],
    });
    let (name, roles) = campus.at_opencast(&campus.moodle, &editor);
    assert_eq!(name, "anna");
    assert!(has(&roles, "ROLE_EDITOR") && has(&roles, "ROLE_USER_ANNA"), "{roles}");
    campus
        .ask(&campus.moodle, "/editor/lecture-1/edit.json", &editor)
        .expect(200);
    campus
        .ask(&campus.moodle, "/editor/lecture-1/edit.json", &viewer)
        .expect(403);
    // Its grants on series and playlists open none of their videos.
    let series = json!({ "exp": in_seconds(15), "oc": { "s:lecture-1": ["read"], "p:lecture-1": ["read"] } });
    campus
        .ask(&campus.moodle, PATH, &series)
        .refused(403, "event_not_granted");
}

#[test]
fn tobira_grants_by_roles_too() {
    let campus = Campus::new();
    let file = json!({ "exp": in_seconds(30), "oc": { "e:lecture-1": ["read"] } });
    campus.ask(&campus.tobira, PATH, &file).expect(200);
    let upload = json!({
        "exp": in_seconds(30), "sub": "berta", "name": "Berta", "email": "b@campus.test",
        "roles": ["ROLE_USER", "ROLE_EPISODE_lecture-1_READ", "ROLE_EPISODE_lecture-1_WRITE"],
    });
    campus.ask(&campus.tobira, PATH, &upload).expect(200);
    campus
        .ask(&campus.tobira, "/editor/lecture-1/edit.json", &upload)
        .expect(200);
    campus
        .ask(&campus.tobira, "/editor/lecture-2/edit.json", &upload)
        .expect(403);
    // Such a role is capped as the grant that it is: by actions, whatever roles the issuer may give.
    let odd = json!({ "exp": in_seconds(30), "roles": ["ROLE_EPISODE_lecture-1_ADMINISTER"] });
    campus.ask(&campus.tobira, PATH, &odd).refused(403, "event_not_granted");
    let (_, roles) = campus.at_opencast(&campus.tobira, &odd);
    assert!(!roles.to_string().contains("ROLE_EPISODE"), "{roles}");
}
