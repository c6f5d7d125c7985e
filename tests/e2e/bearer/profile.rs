//! The server is shown each token and tells of its person: Apereo CAS, and others without introspection. For whom the token was
//! made is the answer's to say.

use serde_json::{Value, json};

use super::campus::{By, Campus, Plan, by_profile, counts};
use crate::support::bearer::Endpoint;
use crate::support::bearer::claims::{cas_flat, cas_nested, cas_of_client, cas5};
use crate::support::bearer::double::opaque;
use crate::support::eventually;
use crate::support::http::values;
use crate::support::oidc::Reply;
use crate::support::oidc::double::merge;

fn changed(mut profile: Value, over: &Value) -> Value {
    merge(&mut profile, over);
    profile
}

/// The nested profile with other attributes.
fn nested(over: &Value) -> Value {
    let mut profile = cas_nested();
    merge(&mut profile["attributes"], over);
    profile
}

#[test]
fn both_shapes_of_apereo_cas_count() {
    let campus = by_profile();
    for profile in [
        cas_nested(),
        cas_flat(),
        changed(cas_flat(), &json!({ "client_id": null })),
        changed(cas_flat(), &json!({ "oauthClientId": null })),
        changed(
            cas_flat(),
            &json!({ "client_id": null, "oauthClientId": null, "clientId": "app" }),
        ),
        changed(cas_flat(), &json!({ "client_id": ["app"], "oauthClientId": ["app"] })),
        nested(&json!({ "client_id": null, "oauthClientId": null })),
    ] {
        let token = campus.server.issue(profile);
        counts(&campus, &token, true);
        assert_eq!(
            campus.named(&token),
            (Some("anna".to_owned()), Some("ROLE_GROUP_staff".to_owned()))
        );
    }
    for question in campus.server.questions(Endpoint::Profile) {
        assert!(
            !question.target.contains('?'),
            "the token is in a header alone: {}",
            question.target
        );
        assert_eq!(values(&question.headers, "authorization").len(), 1);
    }
}

/// It is sent wherever the operator says; the other kind of answer is no answer.
#[test]
fn a_profile_that_names_no_client_of_ours_is_refused() {
    let campus = by_profile();
    for profile in [
        cas5(),
        json!({ "id": "anna" }),
        changed(cas_flat(), &json!({ "client_id": null, "oauthClientId": null })),
        changed(cas_flat(), &json!({ "client_id": "portal", "oauthClientId": "portal" })),
        // What it says must be one thing.
        changed(cas_flat(), &json!({ "client_id": "portal" })),
        changed(cas_flat(), &json!({ "oauthClientId": "portal" })),
        changed(cas_flat(), &json!({ "client_id": ["app", "portal"] })),
        changed(
            cas_flat(),
            &json!({ "client_id": ["portal", "app"], "oauthClientId": null }),
        ),
        changed(cas_flat(), &json!({ "client_id": "", "oauthClientId": null })),
        changed(
            cas_flat(),
            &json!({ "client_id": { "app": true }, "oauthClientId": null }),
        ),
        // An attribute of a person's does not speak for the server.
        changed(cas_nested(), &json!({ "client_id": "portal" })),
        changed(
            nested(&json!({ "client_id": "portal", "oauthClientId": "portal" })),
            &json!({ "client_id": null }),
        ),
    ] {
        let status = campus.get("/app/x", &campus.server.issue(profile.clone())).status;
        assert_eq!(status, 401, "{profile}");
    }
}

#[test]
fn a_clients_own_profile_is_nobodys() {
    let campus = by_profile();
    for profile in [
        cas_of_client(),
        changed(cas_of_client(), &json!({ "grant_type": null })),
        changed(cas_of_client(), &json!({ "id": "somebody" })),
        changed(cas_of_client(), &json!({ "id": null, "grant_type": null })),
    ] {
        let token = campus.server.issue(profile.clone());
        campus.is_nobody(&token);
        campus.get("/robot/x", &token).expect(200);
        assert_eq!(campus.named(&token), (None, None), "{profile}");
    }
}

/// 401 without a challenge, with an error of either age; some say it with 200.
#[test]
fn a_token_that_is_none_is_refused() {
    let campus = by_profile();
    campus.refuses_as(&opaque(), "token_not_active");
    for (name, reply) in [
        ("CAS 7", Reply::json(401, &json!({ "error": "expired_accessToken" }))),
        ("CAS 5", Reply::json(401, &json!({ "error": ["expired_accessToken"] }))),
        ("Keycloak", Reply::new(401, "text/plain", "")),
        (
            "by its body",
            Reply::json(200, &json!({ "error": "expired_accessToken" })),
        ),
        (
            "by its body",
            Reply::json(200, &json!({ "error": ["missing_accessToken"] })),
        ),
        ("RFC 6750", Reply::json(400, &json!({ "error": "invalid_token" }))),
    ] {
        campus.server.answer(Endpoint::Profile, reply);
        eprintln!("{name}");
        campus.refuses(&opaque());
        campus.server.recover();
    }
}

#[test]
fn what_the_server_cannot_say_is_no_refusal() {
    let campus = Plan::by(By::Profile)
        .bearer("username = \"id\"\nbad_tokens = \"2/m\"")
        .start();
    let known = campus.server.issue(cas_nested());
    campus.get("/app/x", &known).expect(200);
    for (name, fault) in [
        ("it fails", Reply::html(500)),
        ("a page to sign in at", Reply::html(200)),
        ("not there", Reply::html(404)),
        ("no JSON", Reply::new(200, "application/json", "id=anna")),
        ("a list", Reply::new(200, "application/json", "[]")),
        ("too much", Reply::huge()),
        ("half of it", Reply::halfway()),
        ("hangs up", Reply::hang_up()),
    ] {
        let fresh = campus.server.issue(cas_flat());
        campus.server.answer(Endpoint::Profile, fault);
        eprintln!("{name}");
        let told = campus.get("/app/x", &fresh).refused(503, "token_server_unavailable");
        assert!(told.header("retry-after").is_some(), "{told:?}");
        campus.get("/app/x", &known).expect(200);
        campus.server.recover();
        eventually(&format!("after: {name}"), || {
            (campus.get("/app/x", &fresh).status == 200).then_some(())
        });
    }
}

#[test]
fn a_profile_is_asked_for_once_and_then_again() {
    let campus = Plan::by(By::Profile)
        .bearer("username = \"id\"")
        .lines("cache = \"2s\"")
        .start();
    let token = campus.server.issue(cas_nested());
    for _ in 0..3 {
        campus.get("/quiet", &token).expect(204);
    }
    assert!(campus.server.asked() <= 2, "{}", campus.server.asked());
    // Somebody has left the staff.
    campus.get("/staff/x", &token).expect(200);
    campus.server.know(&token, nested(&json!({ "groups": "all" })));
    eventually("the groups of now count", || {
        (campus.get("/staff/x", &token).status == 403).then_some(())
    });
    campus.server.revoke(&token);
    eventually("it has ended", || {
        (campus.get("/quiet", &token).status == 401).then_some(())
    });
}

/// What stands beside the attributes in the nested shape is the server's; a claim of the same name in them is another.
#[test]
fn the_name_is_the_servers_to_say() {
    let campus = by_profile();
    let token = campus.server.issue(nested(&json!({ "id": "root" })));
    assert_eq!(campus.named(&token).0.as_deref(), Some("anna"));
    for id in [json!(null), json!(""), json!(["anna", "bob"])] {
        let profile = changed(cas_nested(), &json!({ "id": id }));
        nobody(&campus, profile);
    }
}

fn nobody(campus: &Campus, profile: Value) {
    campus.is_nobody(&campus.server.issue(profile));
}
