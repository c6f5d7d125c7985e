//! Rules about what a token was made for, and for which client: alone, together with others, and where they forbid.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, counts};
use crate::support::bearer::claims::panva_answer;
use crate::support::oidc::double::merge;
use crate::support::{Request, in_seconds};

fn route(path: &str, allow: &str, more: &str) -> String {
    format!(
        "[[routes]]\nname = {path:?}\npath = \"/{path}\"\nrespond = {{ status = 204 }}\naccept = [\"bearer\"]\nallow = [{allow}]\n{more}\n"
    )
}

fn campus() -> Campus {
    let routes = [
        route("any", "{ scope = [\"moodle\", \"video\"] }", ""),
        route("both", "{ scope = \"moodle\", role = \"ROLE_GROUP_staff\" }", ""),
        route("client", "{ client = [\"app\", \"other\"], scope = \"moodle\" }", ""),
        route("either", "{ scope = \"video\" }, { role = \"ROLE_GROUP_staff\" }", ""),
        route("no-robot", "{ scope = \"moodle\" }", "deny = [{ client = \"robot\" }]"),
        route("no-video", "{ signed_in = true }", "deny = [{ scope = \"video\" }]"),
        route("person", "{ scope = \"moodle\", signed_in = true }", ""),
        route("anna", "{ subject = \"anna\" }", ""),
    ];
    Plan::by(By::Jwks).more(&routes.concat()).start()
}

#[test]
fn scopes_clients_people_and_roles_in_one_rule() {
    let campus = campus();
    let robot = json!({ "sub": "robot", "client_id": "robot" });
    let cases = [
        ("any", json!({}), 204),
        ("any", json!({ "scope": "video" }), 204),
        ("any", json!({ "scope": "a video b" }), 204),
        ("any", json!({ "scope": "moodle,video" }), 403),
        ("any", json!({ "scope": "Moodle" }), 403),
        ("any", json!({ "scope": "moodle\tvideo" }), 403),
        ("both", json!({}), 403),
        ("both", json!({ "groups": "staff" }), 204),
        ("both", json!({ "groups": "staff", "scope": "openid" }), 403),
        ("client", json!({}), 204),
        ("client", json!({ "client_id": "other" }), 204),
        ("client", json!({ "client_id": "App" }), 403),
        ("client", json!({ "client_id": "third" }), 403),
        ("either", json!({}), 403),
        ("either", json!({ "groups": ["staff"] }), 204),
        ("either", json!({ "scope": "video" }), 204),
        ("no-robot", json!({}), 204),
        ("no-robot", robot.clone(), 403),
        ("no-video", json!({}), 204),
        ("no-video", json!({ "scope": "moodle video" }), 403),
        ("person", json!({}), 204),
        ("person", robot, 403),
        ("anna", json!({}), 204),
        ("anna", json!({ "sub": "Anna" }), 403),
        ("anna", json!({ "sub": "anna", "client_id": "anna" }), 403),
    ];
    for (path, over, status) in cases {
        let answer = campus.get(&format!("/{path}"), &campus.access_token(&over));
        assert_eq!(answer.status, status, "{path}: {over} {}", answer.text());
    }
    // Without a token nothing of that holds, and a `deny` does not stand in the way of being asked.
    for path in ["any", "both", "client", "either", "no-robot", "person", "anna"] {
        campus.send(Request::get(&format!("/{path}"))).expect(401);
    }
}

/// What a token of an issuer says of scopes is no access token's word.
#[test]
fn no_other_credential_has_scopes_or_a_client() {
    let moodle = crate::support::Signer::new();
    let more = "[[routes]]\nname = \"mixed\"\npath = \"/mixed\"\nrespond = { status = 204 }\naccept = [\"jwt\", \"bearer\"]\n\
                allow = [{ scope = \"moodle\" }, { client = \"app\" }]\n";
    let plan = Plan::by(By::Jwks).more(more);
    plan.site.write_keys("moodle.json", &[&moodle]);
    let config = plan
        .config
        .clone()
        .issuer("moodle", "moodle.json", "may_name_users = true");
    let campus = Plan { config, ..plan }.start();
    let claims = json!({
        "exp": in_seconds(600), "sub": "anna", "scope": "moodle", "client_id": "app", "azp": "app", "roles": ["ROLE_A"],
    });
    campus.get("/mixed", &moodle.token(&claims)).expect(403);
    campus.get("/mixed", &campus.access_token(&json!({}))).expect(204);
}

/// A file for somebody alone is kept by no cache that others are served from.
#[test]
fn an_answer_for_one_person_is_kept_by_no_shared_cache() {
    let plan = Plan::by(By::Jwks).more(
        "[[routes]]\nname = \"files\"\npath = \"/files/{*file}\"\nfiles = \"downloads\"\nstrip = \"/files\"\naccept = [\"bearer\"]\n\
         allow = [{ signed_in = true }]\n",
    );
    plan.site.write("downloads/a.mp4", "lecture");
    let campus = plan.start();
    let token = campus.access_token(&json!({}));
    let file = campus.get("/files/a.mp4", &token).expect(200);
    let page = campus
        .get("/app/zoo/says/200?Cache-Control=public,+max-age=600", &token)
        .expect(200);
    for answer in [file, page] {
        let said = answer.header("cache-control").unwrap_or_default().to_owned();
        assert!(said.contains("private") || said.contains("no-store"), "{said}");
    }
}

/// A first call waits for the server's word with its body, all of which arrives.
#[test]
fn a_body_waits_with_its_request() {
    let campus = super::campus::by_introspection();
    let token = |who: &str| {
        let mut answer = panva_answer(&campus.server.issuer());
        merge(&mut answer, &json!({ "sub": who }));
        campus.server.issue(answer)
    };
    for who in ["anna", "bob"] {
        let first = token(who);
        for _ in 0..2 {
            let request = Request::new("POST", "/app/zoo/sink")
                .bearer(&first)
                .body(vec![b'x'; 3 << 20]);
            let told: Value = campus.send(request).expect(200).json();
            assert_eq!(told["received"], 3 << 20);
        }
    }
    counts(&campus, &token("carol"), false);
    // One that is refused reaches nobody.
    let before = campus.zoo.requests().len();
    let request = Request::new("POST", "/app/zoo/sink")
        .bearer("unknown")
        .body(vec![b'x'; 100]);
    campus.send(request).expect(401);
    assert_eq!(campus.zoo.requests().len(), before);
}
