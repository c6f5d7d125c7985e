//! What others try: to be somebody by a code, a cookie or an answer that is not theirs, or to lead somebody away.

use serde_json::json;
use url::Url;

use super::campus::{
    Campus, PAGE, Plan, by_double, callback, doubled, doubled_with, leads_to, parameter, sign_in, start, with_parameter,
};
use crate::sign_in::campus::{sign_in_to, target};
use crate::support::OidcDouble;
use crate::support::cas::query;
use crate::support::oidc::double::Endpoint;

/// A second sign-in, at a provider that is up to no good.
const EVIL: &str = r#"
[sign_in.evil.oidc]
issuer = "{evil}"
client_id = "janua"
client_secret_file = "secrets/oidc"

[[routes]]
name     = "evil"
path     = "/evil/{*rest}"
upstream = "zoo"
accept   = ["session"]
sign_in  = "evil"
allow    = [{ signed_in = true }]
"#;

fn with_evil(evil: &OidcDouble) -> Campus<OidcDouble> {
    by_double(
        OidcDouble::start(),
        Plan {
            more: EVIL.replace("{evil}", &evil.issuer()),
            ..Plan::default()
        },
    )
}

/// RFC 9700 section 4.4.1: the evil provider sends the browser on to the good one, and wants the good one's code.
#[test]
fn a_provider_gets_no_code_of_another() {
    for announces in [true, false] {
        let evil = OidcDouble::start();
        evil.behave().discovery["authorization_response_iss_parameter_supported"] = json!(announces);
        let campus = with_evil(&evil);
        let visitor = campus.visitor();
        let to = leads_to(&visitor.open("/evil/x"));
        let on = to.replace(
            &evil.url(Endpoint::Authorize),
            &campus.provider.url(Endpoint::Authorize),
        );
        let callback = campus.provider.authorize(&on, "alice");
        assert_eq!(callback.path(), "/_janua/oidc/evil/callback");
        let page = visitor.open(target(&callback)).expect(403);
        assert_eq!(page.header("location"), None);
        let series = "janua_sign_ins_total{outcome=\"mix_up\",sign_in=\"evil\"}";
        assert_eq!(campus.gateway.metric(series), Some(1.0), "{:?}", campus.all_outcomes());
        assert_eq!(evil.asked(Endpoint::Token).len(), 0, "it was told the code");
    }
}

/// The same, and the evil provider has the code sent where the good one's codes go: each sign-in has an address of its own.
#[test]
fn an_attempt_at_one_provider_ends_at_no_other() {
    let evil = OidcDouble::start();
    let campus = with_evil(&evil);
    let visitor = campus.visitor();
    let to: Url = leads_to(&visitor.open("/evil/x")).parse().unwrap();
    let own = format!("{}{}", campus.origin(), campus.endpoint("callback"));
    let on = with_parameter(&to, "redirect_uri", &own);
    let on = on.as_str().replace(
        &evil.url(Endpoint::Authorize),
        &campus.provider.url(Endpoint::Authorize),
    );
    let callback = campus.provider.authorize(&on, "alice");
    campus.refuses(&visitor, &callback, "stale");
    assert_eq!(campus.provider.asked(Endpoint::Token).len(), 0);
    assert_eq!(evil.asked(Endpoint::Token).len(), 0);
}

#[test]
fn anothers_code_signs_nobody_in() {
    let Some(campus) = start() else { return };
    let (alice, victim, mallory) = (campus.provider.person("alice"), campus.visitor(), campus.visitor());
    let stolen = callback(&victim, &alice, PAGE);
    let stolen = parameter(stolen.as_str(), "code").unwrap();
    let own = callback(&mallory, &campus.provider.person("bob"), PAGE);
    campus.refuses(&mallory, &with_parameter(&own, "code", &stolen), "invalid_code");
}

/// Should a provider not mind the code verifier, the nonce is there still.
#[test]
fn anothers_code_signs_nobody_in_where_the_provider_checks_nothing() {
    let campus = doubled();
    campus.provider.behave().forgets_pkce = true;
    let (victim, mallory) = (campus.visitor(), campus.visitor());
    let stolen = campus.callback(&victim, "alice", PAGE);
    let stolen = parameter(stolen.as_str(), "code").unwrap();
    let own = campus.callback(&mallory, "bob", PAGE);
    campus.refuses(&mallory, &with_parameter(&own, "code", &stolen), "bad_token");
}

#[test]
fn anothers_callback_signs_nobody_in() {
    let campus = doubled();
    let (mallory, victim) = (campus.visitor(), campus.visitor());
    let callback = campus.callback(&mallory, "bob", PAGE);
    campus.refuses(&victim, &callback, "stale");
    // Neither when the victim is about to sign in.
    victim.open(PAGE);
    campus.refuses(&victim, &callback, "stale");
    assert_eq!(
        campus.provider.asked(Endpoint::Token).len(),
        0,
        "nor is the code used up"
    );
}

#[test]
fn a_session_that_was_planted_is_not_the_one_that_is_signed_in() {
    let Some(campus) = start() else { return };
    let (alice, visitor) = (campus.provider.person("alice"), campus.visitor());
    let planted = "A".repeat(43);
    visitor
        .cookies
        .lock()
        .unwrap()
        .push(("janua".to_owned(), planted.clone()));
    sign_in(&visitor, &alice, PAGE).expect(303);
    assert_ne!(visitor.session().unwrap(), planted);
    assert!(visitor.is_signed_in());
    assert!(!campus.visitor_with(&planted).is_signed_in());
}

#[test]
fn a_callback_signs_in_once() {
    let campus = doubled();
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let before = visitor.cookies.lock().unwrap().clone();
    visitor.open(target(&callback)).expect(303);
    assert!(visitor.is_signed_in());
    let thief = campus.visitor();
    *thief.cookies.lock().unwrap() = before;
    campus.refuses(&thief, &callback, "stale");
    assert_eq!(campus.provider.asked(Endpoint::Token).len(), 1);
}

#[test]
fn a_code_signs_in_once() {
    let campus = doubled();
    let visitor = campus.visitor();
    let first = campus.callback(&visitor, "alice", PAGE);
    let used = parameter(first.as_str(), "code").unwrap();
    let other = campus.visitor();
    let second = campus.callback(&other, "alice", PAGE);
    visitor.open(target(&first)).expect(303);
    campus.refuses(&other, &with_parameter(&second, "code", &used), "invalid_code");
}

#[test]
fn a_state_that_nobody_made_here_is_none() {
    let campus = doubled();
    let visitor = campus.visitor();
    let callback = campus.callback(&visitor, "alice", PAGE);
    let state = parameter(callback.as_str(), "state").unwrap();
    let flipped = if state.ends_with('A') { "B" } else { "A" };
    for made_up in [
        "",
        "x",
        &state[1..],
        &format!("{}{flipped}", &state[..state.len() - 1]),
        &"A".repeat(4000),
    ] {
        campus.refuses(&visitor, &with_parameter(&callback, "state", made_up), "stale");
    }
    assert_eq!(campus.provider.asked(Endpoint::Token).len(), 0);
    // Another gateway's is none either.
    let elsewhere = doubled();
    let lost = elsewhere.visitor();
    *lost.cookies.lock().unwrap() = visitor.cookies.lock().unwrap().clone();
    elsewhere.refuses(&lost, &callback, "stale");
}

#[test]
fn each_attempt_has_a_nonce_and_a_verifier_of_its_own() {
    let campus = doubled();
    let visitor = campus.visitor();
    let tos: Vec<String> = (0..3).map(|_| leads_to(&visitor.open(PAGE))).collect();
    for name in ["nonce", "state", "code_challenge"] {
        let mut values: Vec<_> = tos.iter().map(|to| parameter(to, name).unwrap()).collect();
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 3, "{name}");
    }
    // What the browser holds does not stand in what everybody sees.
    let cookies = visitor.cookies.lock().unwrap().clone();
    for (to, (_, cookie)) in tos.iter().zip(&cookies) {
        let secret = cookie.rsplit('.').next().unwrap();
        assert!(!to.contains(secret), "{to}");
    }
}

#[test]
fn a_return_address_elsewhere_is_refused() {
    let campus = doubled();
    let own = campus.origin();
    for evil in [
        "//evil.test/",
        "/\\evil.test/",
        "https:evil.test",
        "https://evil.test/",
        "javascript:alert(1)",
        "/app/x\r\nLocation: https://evil.test/",
        &format!("{own}@evil.test/"),
        &format!("{own}.evil.test/"),
    ] {
        let answer = campus.visitor().open(&sign_in_to(evil)).expect(400);
        assert_eq!(answer.header("location"), None, "{evil}");
        let visitor = campus.signs_in("alice");
        let form = query(&[("everywhere", "1"), ("return", evil)]);
        visitor.post("/_janua/sign-out", &form).expect(400);
        assert!(visitor.is_signed_in(), "what is not understood ends nothing");
    }
}

/// Whatever the provider puts behind a callback, the browser goes on where it was to go.
#[test]
fn a_callback_leads_nowhere_by_its_own_parameters() {
    let campus = doubled();
    campus.provider.behave().callback_end =
        "&return=https%3A%2F%2Fevil.test%2F&target=https%3A%2F%2Fevil.test%2F&redirect_uri=https%3A%2F%2Fevil.test%2F"
            .to_owned();
    let on = campus.sign_in(&campus.visitor(), "alice", PAGE).expect(303);
    assert_eq!(on.header("location"), Some(&*format!("{}{PAGE}", campus.origin())));
}

#[test]
fn an_error_of_the_providers_is_shown_to_nobody_as_markup() {
    let campus = doubled();
    let visitor = campus.visitor();
    campus.provider.behave().callback = vec![
        ("error_description", "<script>alert(1)</script>\u{202e}".to_owned()),
        ("error_uri", "https://evil.test/".to_owned()),
    ];
    let callback = campus.provider.refuse(&leads_to(&visitor.open(PAGE)), "<img src=x>");
    let page = visitor.open(target(&callback));
    assert!(page.status >= 400, "{page:?}");
    let text = page.text();
    for bad in ["<script>alert", "<img src=x", "\u{202e}", "evil.test"] {
        assert!(!text.contains(bad), "{bad} in {text}");
    }
    assert!(!campus.gateway.said().contains('\u{202e}'));
    assert!(!visitor.is_signed_in());
}

/// Where discovery points is asked by the gateway itself: not in the clear, and not by other schemes.
#[test]
fn discovery_leads_the_gateway_nowhere_else() {
    for (member, place) in [
        ("token_endpoint", "http://evil.test/token"),
        ("token_endpoint", "http://169.254.169.254/latest/meta-data"),
        ("jwks_uri", "http://evil.test/keys"),
        ("jwks_uri", "file:///etc/passwd"),
        ("userinfo_endpoint", "ftp://evil.test/me"),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("authorization_endpoint", "data:text/html,x"),
        ("authorization_endpoint", "http://evil.test/authorize"),
    ] {
        let double = OidcDouble::start();
        double.behave().discovery[member] = json!(place);
        let campus = by_double(double, Plan::default());
        let answer = campus.visitor().open(PAGE).expect(502);
        assert_eq!(answer.header("location"), None, "{member} {place}");
    }
}

#[test]
fn discovery_of_another_issuer_counts_nothing() {
    let double = OidcDouble::start();
    let issuer = double.issuer();
    for other in [
        json!(format!("{issuer}/")),
        json!(double.origin()),
        json!("https://evil.test"),
        json!("https://login.microsoftonline.com/{tenantid}/v2.0"),
        json!([issuer]),
        json!(null),
    ] {
        let double = OidcDouble::start();
        double.behave().discovery["issuer"] = other.clone();
        let campus = by_double(double, Plan::default());
        let answer = campus.visitor().open(PAGE).expect(502);
        assert_eq!(answer.header("location"), None, "{other}");
    }
}

/// The issuer is compared as it stands, so one written with a slash is another one.
#[test]
fn an_issuer_with_a_slash_is_another_one() {
    let double = OidcDouble::start();
    let issuer = Some(format!("{}/", double.issuer()));
    let campus = by_double(
        double,
        Plan {
            issuer,
            ..Plan::default()
        },
    );
    campus.visitor().open(PAGE).expect(502);
    // And it is the right one where the provider writes it so.
    let double = OidcDouble::start();
    let issuer = format!("{}/", double.issuer());
    double.behave().discovery["issuer"] = json!(issuer);
    let campus = by_double(
        double,
        Plan {
            issuer: Some(issuer.clone()),
            ..Plan::default()
        },
    );
    campus.signs_in("alice");
    campus.provider.behave().claims["iss"] = json!(issuer.trim_end_matches('/'));
    campus.refuses_somebody("bad_token");
}

#[test]
fn the_client_secret_goes_to_the_token_endpoint_alone() {
    for (lines, by_header) in [
        ("", true),
        ("client_auth = \"basic\"", true),
        ("client_auth = \"post\"", false),
    ] {
        let campus = doubled_with(lines);
        campus.signs_in("alice");
        let double = &campus.provider;
        let asked = double.asked(Endpoint::Token);
        assert_eq!(asked.len(), 1);
        let has_header = asked[0]
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        assert_eq!(
            (has_header, asked[0].form.contains_key("client_secret")),
            (by_header, !by_header),
            "{lines}"
        );
        for endpoint in [Endpoint::Discovery, Endpoint::Keys] {
            for asked in double.asked(endpoint) {
                let has = asked
                    .headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                assert!(!has, "{endpoint:?}");
            }
        }
    }
}

#[test]
fn a_public_client_proves_itself_by_its_verifier_alone() {
    let double = OidcDouble::start();
    double.behave().takes_public_clients = true;
    let campus = by_double(
        double,
        Plan {
            is_public: true,
            ..Plan::default()
        },
    );
    campus.signs_in("alice");
    let asked = campus.provider.asked(Endpoint::Token);
    assert_eq!(asked[0].form.get("client_id").map(String::as_str), Some("janua"));
    assert!(!asked[0].form.contains_key("client_secret"));
}
