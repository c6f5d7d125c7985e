//! What claims and answers must say, and what they come to.

use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::claims::{Expected, Told, judged};
use super::{ISSUER, bearer, jwks};
use crate::config::bearer::Bearer;
use crate::rejection::Reason;
use crate::time::from_unix;

const NOW: u64 = 1_800_000_000;

fn config() -> Bearer {
    bearer(jwks(ISSUER, &"https://idp.test/keys".parse().unwrap()))
}

fn good() -> Value {
    json!({
        "iss": ISSUER, "aud": ["https://janua.test", "account"], "sub": "anna", "client_id": "portal", "exp": NOW + 300,
        "iat": NOW, "scope": "openid video", "groups": ["staff", "video"], "jti": "1",
    })
}

fn with(members: Value) -> Value {
    let mut claims = good();
    for (name, value) in members.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn judge(claims: &Value, config: &Bearer, signed: bool) -> Result<Told, Reason> {
    let expected = Expected {
        config,
        issuer: Some((ISSUER, signed)),
        says_kind: false,
        signed: signed.then_some(Duration::from_secs(3600)),
        leeway: Duration::from_secs(60),
        holds: Duration::from_secs(30),
        now: now(),
    };
    let members: &Map<String, Value> = claims.as_object().unwrap();
    judged(members, &expected).map_err(|refusal| refusal.reason)
}

fn now() -> SystemTime {
    from_unix(NOW)
}

fn signed(claims: &Value) -> Result<Told, Reason> {
    judge(claims, &config(), true)
}

fn answered(claims: &Value) -> Result<Told, Reason> {
    judge(claims, &config(), false)
}

#[test]
fn a_token_says_whose_it_is_for_whom_and_what_for() {
    let who = signed(&good()).unwrap().identity;
    assert_eq!((&*who.source, who.name()), ("campus", Some("anna")));
    assert_eq!(who.roles, ["ROLE_staff", "ROLE_video", "ROLE_USER"]);
    let access = who.access.unwrap();
    assert_eq!(
        (access.client.as_deref(), access.scopes.join(" ")),
        (Some("portal"), "openid video".to_owned())
    );
    for fine in [
        with(json!({ "aud": "https://janua.test" })),
        with(json!({ "client_id": null, "azp": "portal", "typ": "Bearer" })),
        with(json!({ "azp": "portal" })),
        with(json!({ "cnf": {} })),
        with(json!({ "cnf": null, "events": null })),
        with(json!({ "exp": NOW - 30 })),
        with(json!({ "nbf": NOW + 30 })),
        with(json!({ "iat": null })),
        with(json!({ "scope": ["openid", "video"] })),
        with(json!({ "scope": null, "scp": "openid video" })),
    ] {
        assert!(signed(&fine).is_ok(), "{fine}");
    }
}

#[test]
fn other_kinds_of_tokens_are_refused() {
    for other in [
        json!({ "nonce": "n" }),
        json!({ "nonce": null }),
        json!({ "at_hash": "x" }),
        json!({ "c_hash": "x" }),
        json!({ "typ": "ID" }),
        json!({ "typ": "Refresh" }),
        json!({ "typ": "Offline" }),
        json!({ "typ": "Logout" }),
        json!({ "typ": 7 }),
        json!({ "token_use": "id" }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
        json!({ "client_id": null }),
    ] {
        assert_eq!(signed(&with(other.clone())).err(), Some(Reason::WrongType), "{other}");
    }
    for other in [
        json!({ "typ": "Refresh" }),
        json!({ "typ": "ID" }),
        json!({ "token_use": "refresh_token" }),
        json!({ "token_type": "refresh_token" }),
        json!({ "tokenType": "mac" }),
    ] {
        assert_eq!(answered(&with(other.clone())).err(), Some(Reason::WrongType), "{other}");
    }
}

#[test]
fn who_knows_refresh_tokens_must_say_what_a_token_is() {
    let config = config();
    let expected = Expected {
        config: &config,
        issuer: None,
        says_kind: true,
        signed: None,
        leeway: Duration::ZERO,
        holds: Duration::ZERO,
        now: now(),
    };
    for (members, fits) in [
        // panva's oidc-provider, Keycloak, Apereo's servers, Ory's: access tokens, and then refresh tokens.
        (json!({ "token_type": "Bearer" }), true),
        (json!({ "typ": "Bearer" }), true),
        (
            json!({ "tokenType": "Bearer", "grant_type": "authorization_code" }),
            true,
        ),
        (json!({ "token_use": "access_token" }), true),
        (json!({}), false),
        (json!({ "token_type": null }), false),
        (json!({ "typ": "Refresh" }), false),
        (json!({ "tokenType": "Bearer" }), false),
        (json!({ "token_type": "Bearer", "token_use": "refresh_token" }), false),
    ] {
        let claims = with(members.clone());
        let verdict = judged(claims.as_object().unwrap(), &expected).map_err(|refusal| refusal.reason);
        assert_eq!(verdict.err(), (!fits).then_some(Reason::WrongType), "{members}");
    }
}

#[test]
fn a_token_that_is_bound_to_a_key_is_refused() {
    for bound in [
        json!({ "cnf": { "jkt": "x" } }),
        json!({ "cnf": { "x5t#S256": "x" } }),
        json!({ "cnf": "x" }),
        json!({ "cnf": true }),
        json!({ "token_type": "DPoP" }),
    ] {
        let claims = with(bound.clone());
        for verdict in [signed(&claims), answered(&claims)] {
            assert_eq!(verdict.err(), Some(Reason::SenderConstrained), "{bound}");
        }
    }
}

/// A person may be able to write them.
#[test]
fn attributes_name_a_client_in_profiles_alone() {
    let config = Bearer {
        clients: vec!["portal".to_owned()],
        ..config()
    };
    let claims = with(json!({
        "client_id": null, "token_type": "Bearer", "attributes": { "clientId": "portal" },
    }));
    let expected = |says_kind| Expected {
        config: &config,
        issuer: None,
        says_kind,
        signed: None,
        leeway: Duration::ZERO,
        holds: Duration::ZERO,
        now: now(),
    };
    let members = claims.as_object().unwrap();
    let verdict = |says_kind| judged(members, &expected(says_kind)).map_err(|refusal| refusal.reason);
    assert_eq!(verdict(true).err(), Some(Reason::WrongAudience), "by introspection");
    assert!(verdict(false).is_ok(), "by profile");
    assert_eq!(judge(&claims, &config, true).err(), Some(Reason::WrongType), "by jwks");
}

#[test]
fn everything_must_fit() {
    for (claims, reason) in [
        (json!({ "iss": "https://idp.test/" }), Reason::WrongIssuer),
        (json!({ "iss": null }), Reason::WrongIssuer),
        (json!({ "iss": [ISSUER] }), Reason::WrongIssuer),
        (json!({ "aud": "https://other.test" }), Reason::WrongAudience),
        (json!({ "aud": null }), Reason::WrongAudience),
        (json!({ "aud": [["https://janua.test"]] }), Reason::WrongAudience),
        (json!({ "exp": NOW - 60 }), Reason::TokenExpired),
        (json!({ "exp": null }), Reason::MalformedToken),
        (json!({ "exp": "soon" }), Reason::MalformedToken),
        (json!({ "exp": -1 }), Reason::MalformedToken),
        (json!({ "exp": NOW + 3661 }), Reason::LifetimeTooLong),
        (json!({ "exp": 1e300 }), Reason::LifetimeTooLong),
        (json!({ "nbf": NOW + 61 }), Reason::TokenNotYetValid),
        (json!({ "iat": NOW + 61 }), Reason::TokenNotYetValid),
        (json!({ "nbf": {} }), Reason::MalformedToken),
        (json!({ "azp": "other" }), Reason::MalformedToken),
        (json!({ "client_id": ["a", "b"] }), Reason::MalformedToken),
        (json!({ "scope": "y".repeat(300) }), Reason::MalformedToken),
    ] {
        assert_eq!(signed(&with(claims.clone())).err(), Some(reason), "{claims}");
    }
    let many: Vec<String> = (0..300).map(|number| number.to_string()).collect();
    assert_eq!(
        signed(&with(json!({ "scope": many }))).err(),
        Some(Reason::MalformedToken)
    );
    let values: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
    assert_eq!(
        signed(&with(json!({ "groups": values }))).err(),
        Some(Reason::MalformedToken)
    );
}

#[test]
fn clients_count_beside_the_audience_or_instead_of_it() {
    let mut config = config();
    config.clients = vec!["portal".to_owned(), "app".to_owned()];
    let of = |client: &str, config: &Bearer| judge(&with(json!({ "client_id": client })), config, true).err();
    assert_eq!(of("app", &config), None);
    assert_eq!(of("other", &config), Some(Reason::WrongAudience));
    let foreign = with(json!({ "aud": "x" }));
    assert_eq!(
        judge(&foreign, &config, true).err(),
        Some(Reason::WrongAudience),
        "both must hold"
    );
    config.audience.clear();
    assert!(judge(&foreign, &config, true).is_ok());
    let nameless = with(json!({ "client_id": null }));
    assert_eq!(judge(&nameless, &config, false).err(), Some(Reason::WrongAudience));
    // As Apereo's servers tell it: beside the person's attributes, or among them.
    for profile in [
        json!({ "id": "anna", "attributes": { "oauthClientId": "portal", "client_id": "portal" }, "client_id": "portal" }),
        json!({ "id": "anna", "attributes": { "oauthClientId": ["portal"] } }),
        json!({ "id": "anna", "clientId": "portal" }),
    ] {
        assert!(judge(&profile, &config, false).is_ok(), "{profile}");
    }
    for profile in [
        json!({ "id": "anna" }),
        json!({ "id": "anna", "client_id": "evil", "attributes": { "oauthClientId": "portal" } }),
        json!({ "id": "anna", "client_id": "portal", "attributes": { "oauthClientId": "evil" } }),
    ] {
        assert!(judge(&profile, &config, false).is_err(), "{profile}");
    }
}

#[test]
fn a_token_of_no_person_is_nobody_and_keeps_client_and_scopes() {
    for nobody in [
        json!({ "sub": "portal" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": " anna" }),
        json!({ "sub": "service-account-portal" }),
        json!({ "preferred_username": "service-account-portal" }),
        json!({ "username": "service-account-x" }),
        json!({ "grant_type": "client_credentials" }),
        json!({ "gty": "client-credentials" }),
        json!({ "idtyp": "app" }),
    ] {
        let who = signed(&with(nobody.clone())).unwrap().identity;
        assert_eq!(
            (who.name(), who.roles.len(), who.is_somebody()),
            (None, 0, false),
            "{nobody}"
        );
        let access = who.access.unwrap();
        assert_eq!((access.client.as_deref(), access.scopes.len()), (Some("portal"), 2));
    }
}

#[test]
fn the_name_is_the_one_value_of_what_is_configured() {
    let mut config = config();
    let named = |config: &Bearer, more: Value| {
        let who = judge(&with(more), config, true).unwrap().identity;
        who.name().map(str::to_owned)
    };
    config.username = "preferred_username".to_owned();
    assert_eq!(
        named(&config, json!({ "preferred_username": "Anna" })).as_deref(),
        Some("Anna")
    );
    for none in [
        json!({}),
        json!({ "preferred_username": ["a", "b"] }),
        json!({ "preferred_username": "portal" }),
    ] {
        assert_eq!(named(&config, none), None);
    }
    config.username = "account.name".to_owned();
    assert_eq!(
        named(&config, json!({ "account": { "name": "anna" } })).as_deref(),
        Some("anna")
    );
    config.username = "email".to_owned();
    assert_eq!(
        named(&config, json!({ "email": "a@x.test" })).as_deref(),
        Some("a@x.test")
    );
    assert_eq!(
        named(&config, json!({ "email": "a@x.test", "email_verified": false })),
        None
    );
}

#[test]
fn groups_that_were_left_out_are_not_none() {
    let claims = with(json!({ "groups": null, "_claim_names": { "groups": "src1" } }));
    assert_eq!(signed(&claims).err(), Some(Reason::MalformedToken));
}

#[test]
fn what_a_server_says_is_never_extended() {
    let answer = |more: Value| answered(&with(more));
    assert_eq!(answer(json!({ "exp": NOW })).err(), Some(Reason::TokenExpired));
    assert_eq!(
        answer(json!({ "exp": NOW + 1 })).unwrap().until,
        Some(from_unix(NOW + 1))
    );
    let endless = answer(json!({ "exp": null, "iss": null })).unwrap();
    assert_eq!((endless.until, endless.identity.expires), (None, from_unix(NOW + 30)));
    assert!(answer(json!({ "exp": NOW + 999_999, "nonce": "of the sign-in" })).is_ok());
    assert_eq!(
        answer(json!({ "iss": "https://other.test" })).err(),
        Some(Reason::WrongIssuer)
    );
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "[a-z]{0,8}|portal|anna|https://janua.test|Bearer|DPoP".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known = [
        "iss",
        "aud",
        "sub",
        "client_id",
        "azp",
        "exp",
        "nbf",
        "iat",
        "scope",
        "scp",
        "cnf",
        "events",
        "typ",
        "token_type",
        "attributes",
        "groups",
        "_claim_names",
        "username",
        "grant_type",
        "id",
        "oauthClientId",
        "x",
    ];
    prop::sample::select(known.to_vec()).prop_map(str::to_owned)
}

proptest! {
    /// Whatever a server or a token says: no panic, and what counts was meant for here and bound to nobody else.
    #[test]
    fn whatever_is_said_is_judged(changes in prop::collection::vec((name(), value()), 0..4), is_signed in any::<bool>()) {
        let mut claims = good();
        for (name, value) in changes {
            claims[name] = value;
        }
        if let Ok(told) = judge(&claims, &config(), is_signed) {
            let aud = &claims["aud"];
            let names_it = |value: &Value| value == "https://janua.test";
            prop_assert!(names_it(aud) || aud.as_array().into_iter().flatten().any(names_it)
                || aud.as_object().is_some_and(|gaps| gaps.values().any(names_it)));
            prop_assert!(!is_signed || (claims["iss"] == ISSUER && told.until.is_some_and(|until| until > now())));
            prop_assert!(!claims.get("cnf").is_some_and(|cnf| cnf.is_object() && cnf.as_object().is_some_and(|cnf| !cnf.is_empty())));
            let who = told.identity;
            prop_assert!(who.is_somebody() || (who.roles.is_empty() && who.name().is_none()));
            let client = who.access.as_ref().and_then(|access| access.client.as_deref());
            prop_assert!(who.name().is_none() || who.name() != client);
        }
    }
}
