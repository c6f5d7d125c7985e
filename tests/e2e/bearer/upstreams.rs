//! Whom upstreams are told of: the person of an access token, and nobody where there is none.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, quietly};
use crate::support::bearer::claims::panva_answer;
use crate::support::oidc::double::merge;
use crate::support::{Opencast, Request};

const ROUTES: &str = r#"
[upstreams.opencast]
servers = ["{opencast}"]

[opencast.main]
upstream = "opencast"
username = "gateway"
password_file = "secrets/opencast"

[[routes]]
name     = "who"
path     = "/info/me.json"
upstream = "opencast"
present  = "opencast-jwt"
accept   = ["bearer"]
allow    = [{ signed_in = true }, { client = "robot" }]

[[routes]]
name    = "keys"
path    = "/.well-known/jwks.json"
respond = { jwks = true }
allow   = [{ anyone = true }]
"#;

fn token(campus: &Campus, over: &Value) -> String {
    let mut answer = panva_answer(&campus.server.issuer());
    merge(&mut answer, over);
    campus.server.issue(answer)
}

/// Opencast learns of people by a token of the gateway's own.
#[test]
fn opencast_knows_a_person_and_no_client() {
    let opencast = Opencast::start();
    let plan = Plan::by(By::Introspection).more(&ROUTES.replace("{opencast}", &opencast.url()));
    plan.site.write("secrets/opencast", "letmein");
    let campus = plan.start();
    let keys = quietly(&campus.gateway, Request::get("/.well-known/jwks.json"))
        .expect(200)
        .json();
    opencast.site().jwks = Some(keys);
    let who = |token: &str| {
        let me = campus.get("/info/me.json", token).expect(200).json();
        (me["user"]["username"].clone(), me["roles"].to_string())
    };
    let (name, roles) = who(&token(&campus, &json!({ "groups": ["staff"] })));
    assert_eq!(name, "anna");
    assert!(roles.contains("ROLE_GROUP_staff"), "{roles}");
    let robot = token(
        &campus,
        &json!({ "sub": "robot", "client_id": "robot", "groups": ["staff"] }),
    );
    let (name, roles) = who(&robot);
    assert_eq!(name, "anonymous");
    assert!(!roles.contains("staff") && !roles.contains("robot"), "{roles}");
}

/// Names of people are the section's: no header of the client's says otherwise.
#[test]
fn nobody_names_somebody_else() {
    let campus = super::campus::by_introspection();
    let good = token(&campus, &json!({}));
    let request = Request::get("/named/forged/").bearer(&good);
    let request = request
        .header("X-Person", "root")
        .header("X_Person", "root")
        .header("X-Person-Roles", "ROLE_ADMIN");
    campus.send(request).expect(200);
    let seen = campus.zoo.seen("/named/forged/");
    assert_eq!(seen.header("x-person"), Some("anna"));
    for name in ["x_person", "x-person-roles"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

/// A role that no rule of the section gives is nobody's, whatever claims look like it.
#[test]
fn roles_come_from_the_sections_rules_alone() {
    let campus = super::campus::by_introspection();
    for over in [
        json!({ "roles": ["ROLE_ADMIN", "ROLE_GROUP_staff"] }),
        json!({ "realm_access": { "roles": ["ROLE_GROUP_staff"] } }),
        json!({ "oc": { "e:x": ["read"] } }),
        json!({ "scope": "ROLE_GROUP_staff" }),
        json!({ "groups": { "staff": true } }),
    ] {
        let token = token(&campus, &over);
        let status = campus.get("/staff/x", &token).status;
        assert!([401, 403].contains(&status), "{over}: {status}");
    }
    let roles = campus
        .named(&token(&campus, &json!({ "groups": ["a,ROLE_GROUP_staff", "b"] })))
        .1;
    assert_eq!(roles.as_deref(), Some("ROLE_GROUP_b"), "a comma would make two of one");
}
