//! What each provider offers besides signing in, where only a double of it is to be had: `docs/providers.md` names these.

use serde_json::json;

use super::campus::{Campus, Plan, by_double};
use crate::support::oidc::double::Endpoint;
use crate::support::secrets::{self, Kind};
use crate::support::{OidcDouble, Request};

/// As long as those of Moodle's plug-in.
const ACCESS_TOKEN: &str = "3f0c9a47d2b65e18907ac4d1f2e3b5a6978c0d1e2f3a4b5c6d7e8f9012a3b4c5d6e7f8091a2b3c4d";

fn by_moodle(role: &'static str) -> Campus<OidcDouble> {
    let double = OidcDouble::local_oidcserver();
    let oidc = format!(
        "discovery = {:?}\nid_token_issuer = {:?}\naccept_missing_nonce = true\nuserinfo = \"never\"\n\
         scopes = [\"openid\", \"profile\", \"email\"]",
        double.url(Endpoint::Discovery),
        double.origin().replace("http:", "https:"),
    );
    by_double(
        double,
        Plan {
            username: "sub",
            oidc,
            role,
            ..Plan::default()
        },
    )
}

/// It tells no groups; what else stands in its ID token counts as well.
#[test]
fn claims_of_moodles_id_token_give_roles() {
    let campus = by_moodle("{ attribute = \"locale\", role = \"ROLE_LOCALE_{value}\" }");
    let me = campus.signs_in("alice").me();
    assert_eq!(me["roles"], json!(["ROLE_LOCALE_en"]));
}

/// It announces no place to sign out at.
#[test]
fn signing_out_everywhere_of_moodle_is_signing_out_here() {
    let campus = by_moodle("");
    let visitor = campus.signs_in("alice");
    let bobs = campus.signs_in("bob");
    let page = visitor
        .post("/_janua/sign-out", "everywhere=1&return=/open/bye")
        .expect(200)
        .text();
    // Whoever uses this browser next is signed in there.
    assert!(
        page.contains("The sign-in server offers no way to sign out there"),
        "{page}"
    );
    assert!(!visitor.is_signed_in());
    assert!(bobs.is_signed_in());
    assert!(campus.provider.asked(Endpoint::Logout).is_empty());
}

/// Its single logout is a call with the access token, in a header `Authorize`.
#[test]
fn moodle_ends_a_session_by_its_access_token() {
    let campus = by_moodle("");
    secrets::register(Kind::Token, ACCESS_TOKEN);
    let bobs = campus.signs_in("bob");
    campus.provider.behave().token = json!({ "access_token": ACCESS_TOKEN });
    let visitor = campus.signs_in("alice");
    let call = |token: &str| {
        campus.gateway.send(
            Request::get(&campus.endpoint("backchannel-logout"))
                .host(&campus.gateway.http().to_string())
                .header("User-Agent", "Moodle Oauth2 OidcServer")
                .header("Authorize", &format!("Bearer {token}")),
        )
    };
    let other = ACCESS_TOKEN.replacen('3', "4", 1);
    call(&other).expect(200);
    assert!(visitor.is_signed_in(), "nobody has that token");
    call(ACCESS_TOKEN).expect(200);
    assert!(!visitor.is_signed_in());
    assert!(bobs.is_signed_in());
}
