//! Providers that are what they are: Moodle with `local_oidcserver`, Apereo CAS, and claims of many shapes.

use serde_json::json;

use super::campus::{Campus, PAGE, Plan, by_double, doubled, doubled_with, leads_to, parameter, with_parameter};
use crate::sign_in::campus::target;
use crate::support::OidcDouble;
use crate::support::oidc::double::Endpoint;

/// What an operator writes for Moodle.
fn with_moodle(but: &str) -> Campus<OidcDouble> {
    let double = OidcDouble::local_oidcserver();
    let lines = [
        format!("discovery = {:?}", double.url(Endpoint::Discovery)),
        format!("id_token_issuer = {:?}", double.origin().replace("http:", "https:")),
        "accept_missing_nonce = true".to_owned(),
        "userinfo = \"never\"".to_owned(),
        "scopes = [\"openid\", \"profile\", \"email\"]".to_owned(),
    ];
    let kept: Vec<String> = lines
        .into_iter()
        .filter(|line| but.is_empty() || !line.starts_with(but))
        .collect();
    by_double(
        double,
        Plan {
            username: "sub",
            oidc: kept.join("\n"),
            ..Plan::default()
        },
    )
}

#[test]
fn moodle_as_a_provider_signs_people_in() {
    let campus = with_moodle("");
    let visitor = campus.signs_in("alice");
    assert_eq!(visitor.me()["user"], "alice");
    assert_eq!(campus.provider.asked(Endpoint::Userinfo).len(), 0);
    let to = leads_to(&campus.visitor().open(PAGE));
    assert_eq!(
        parameter(&to, "scope").as_deref(),
        Some("openid profile email"),
        "any other is an error page there"
    );
}

#[test]
fn each_of_moodles_oddities_must_be_allowed() {
    for but in ["id_token_issuer", "accept_missing_nonce"] {
        with_moodle(but).refuses_somebody("bad_token");
    }
    with_moodle("discovery").visitor().open(PAGE).expect(502);
}

/// Its errors are pages with status 200 and JSON in them.
#[test]
fn an_error_of_moodles_is_an_error() {
    let campus = with_moodle("");
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    campus.refuses(
        &visitor,
        &with_parameter(&callback, "code", "def502-made-up"),
        "invalid_code",
    );
}

/// Who does not agree comes back without a parameter.
#[test]
fn a_refused_consent_of_moodles_is_a_page() {
    let campus = with_moodle("");
    let visitor = campus.visitor();
    leads_to(&visitor.open(PAGE));
    let page = visitor.open(&campus.endpoint("callback")).expect(400);
    assert_eq!(page.header("location"), None);
    assert!(!visitor.is_signed_in());
    campus.sign_in(&visitor, "alice", PAGE).expect(303);
}

/// It has one place for a request, and may answer the newest one with the state of the one before.
#[test]
fn the_state_of_an_earlier_tab_leads_to_that_tabs_page() {
    let campus = with_moodle("");
    let visitor = campus.visitor();
    let left_over = leads_to(&visitor.open("/app/earlier"));
    leads_to(&visitor.open(PAGE));
    let callback = campus.provider.authorize(&left_over, "alice");
    let on = visitor.open(target(&callback)).expect(303);
    assert_eq!(
        on.header("location"),
        Some(&*format!("{}/app/earlier", campus.origin()))
    );
    assert!(visitor.is_signed_in());
}

/// Where the web server keeps the spelling of headers, only the one that PHP's array has counts; `sub` is missing whatever
/// the spelling, so nothing that it says belongs to anybody.
#[test]
fn moodles_userinfo_names_nobody() {
    let double = OidcDouble::local_oidcserver();
    let lines = format!(
        "discovery = {:?}\nid_token_issuer = {:?}\naccept_missing_nonce = true\nuserinfo = \"always\"\n\
         scopes = [\"openid\", \"profile\", \"email\"]\n",
        double.url(Endpoint::Discovery),
        double.origin().replace("http:", "https:"),
    );
    let campus = by_double(
        double,
        Plan {
            username: "sub",
            oidc: lines,
            ..Plan::default()
        },
    );
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let page = visitor.open(target(&callback));
    assert!([403, 502].contains(&page.status), "{page:?}");
    assert!(!visitor.is_signed_in());
}

/// Apereo CAS tells attributes in an object of their own, unless it is told otherwise.
#[test]
fn nested_attributes_are_lifted() {
    let campus = doubled();
    campus.provider.behave().claims = json!({ "groups": null, "preferred_username": null });
    campus.provider.behave().userinfo = json!({
        "groups": null, "preferred_username": null, "name": null, "email": null, "email_verified": null,
        "id": "alice", "client_id": "janua", "service": "https://video.example.edu/callback",
        "attributes": { "groups": ["staff"], "preferred_username": "a.liddell", "mail": ["alice@example.test"] },
    });
    let visitor = campus.signs_in("alice");
    assert_eq!(visitor.me()["user"], "a.liddell");
    visitor.fetch("/staff/x").expect(200);
}

#[test]
fn one_value_is_told_bare_or_as_a_list_of_one() {
    let campus = doubled();
    campus.provider.behave().claims = json!({ "groups": "staff", "preferred_username": ["a.liddell"] });
    let visitor = campus.signs_in("alice");
    assert_eq!(visitor.me()["user"], "a.liddell");
    visitor.fetch("/staff/x").expect(200);
    // Two names are none.
    campus.provider.behave().claims = json!({ "preferred_username": ["a.liddell", "b.builder"] });
    campus.refuses_somebody("no_username");
}

#[test]
fn a_name_that_is_no_text_names_nobody() {
    let campus = doubled_with("userinfo = \"never\"");
    for name in [json!(""), json!([]), json!({}), json!(null)] {
        campus.provider.behave().claims = json!({ "preferred_username": name });
        campus.refuses_somebody("no_username");
    }
}

/// As Keycloak tells roles.
#[test]
fn dots_go_into_objects() {
    let double = OidcDouble::start();
    let more = "\n[[routes]]\nname = \"realm\"\npath = \"/realm/{*rest}\"\nupstream = \"zoo\"\naccept = [\"session\"]\n\
                sign_in = \"campus\"\nallow = [{ role = \"ROLE_REALM_lecturer\" }]\n";
    let campus = by_double(
        double,
        Plan {
            username: "account.login",
            more: more.to_owned(),
            role: "{ attribute = \"realm_access.roles\", role = \"ROLE_REALM_{value}\" }",
            ..Plan::default()
        },
    );
    campus.provider.behave().claims = json!({
        "account": { "login": "liddell" },
        "realm_access": { "roles": ["lecturer", "offline_access"] },
    });
    let visitor = campus.signs_in("alice");
    assert_eq!(visitor.me()["user"], "liddell");
    visitor.fetch("/realm/x").expect(200);
    // A claim whose own name has the dot is another one.
    campus.provider.behave().claims = json!({ "account.login": "liddell" });
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let page = visitor.open(target(&callback));
    assert!([303, 403].contains(&page.status), "{page:?}");
}

/// It adds its own parameters to the callback.
#[test]
fn the_callback_may_say_more() {
    let campus = doubled();
    campus.provider.behave().callback_end =
        "&nonce=x&session_state=y&scope=openid&authuser=0&hd=example.edu".to_owned();
    campus.signs_in("alice");
}

/// Whoever may write any address there would become anybody here.
#[test]
fn an_address_that_its_owner_has_not_confirmed_is_no_name() {
    let campus = by_double(
        OidcDouble::start(),
        Plan {
            username: "email",
            ..Plan::default()
        },
    );
    assert_eq!(campus.signs_in("alice").me()["user"], "alice@example.test");
    for verified in [json!(false), json!("false")] {
        campus.provider.behave().claims = json!({ "email_verified": verified });
        campus.refuses_somebody("no_username");
    }
    // There are providers that do not tell.
    campus.provider.behave().claims = json!({ "email_verified": null });
    campus.signs_in("alice");
}
