//! Which ID tokens say who somebody is (OpenID Connect Core 3.1.3.7), and which do not.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::campus::{PAGE, Plan, by_double, doubled, doubled_with, leads_to};
use crate::sign_in::campus::target;
use crate::support::oidc::double::{Endpoint, merge};
use crate::support::oidc::{CLIENT, CLIENT_SECRET, hs256, unsigned};
use crate::support::{OidcDouble, Signer, in_seconds, now};

/// The public key in the shapes in which it could be taken for a secret.
fn as_secrets(key: &Value) -> Vec<Vec<u8>> {
    let jwk = key.to_string();
    let set = json!({ "keys": [key] }).to_string();
    let modulus = key["n"].as_str().unwrap().to_owned();
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(&modulus)
        .unwrap();
    vec![
        jwk.into_bytes(),
        set.into_bytes(),
        modulus.into_bytes(),
        bytes,
        Vec::new(),
    ]
}

#[test]
fn a_token_without_a_signature_is_none() {
    let campus = doubled();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        campus
            .provider
            .behave()
            .forge(move |_, claims| unsigned(&json!({ "alg": alg }), claims));
        campus.refuses_somebody("bad_token");
    }
    campus
        .provider
        .behave()
        .forge(|_, claims| unsigned(&json!({ "alg": "RS256", "kid": "rsa" }), claims));
    campus.refuses_somebody("bad_token");
    campus.provider.behave().forge(|_, claims| unsigned(&json!({}), claims));
    campus.refuses_somebody("bad_token");
}

#[test]
fn a_public_key_is_no_secret() {
    let campus = doubled();
    let key = campus.provider.behave().jwk();
    for secret in as_secrets(&key) {
        campus
            .provider
            .behave()
            .forge(move |_, claims| hs256(&secret, &json!({ "alg": "HS256", "kid": "rsa" }), claims));
        campus.refuses_somebody("bad_token");
    }
    // Nor does the client's own secret sign, which providers and clients share.
    campus
        .provider
        .behave()
        .forge(|_, claims| hs256(CLIENT_SECRET.as_bytes(), &json!({ "alg": "HS256" }), claims));
    campus.refuses_somebody("bad_token");
}

/// Somebody else's key, however the token leads there.
#[test]
fn a_token_brings_no_key_of_its_own() {
    let campus = doubled();
    let evil = Arc::new(Signer::rs256().named("rsa"));
    let own = evil.jwk();
    for header in [
        json!({ "alg": "RS256", "kid": "rsa" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "RS256", "kid": "other" }),
        json!({ "alg": "RS256", "kid": "../../../../dev/null" }),
        json!({ "alg": "RS256", "kid": "rsa", "jwk": own }),
        json!({ "alg": "RS256", "kid": "rsa", "jku": "https://evil.test/keys" }),
        json!({ "alg": "RS256", "kid": "rsa", "x5u": "https://evil.test/cert", "x5c": ["AAAA"] }),
        json!({ "alg": "RS256", "kid": ["rsa"] }),
        json!({ "alg": "RS256", "kid": { "a": 1 } }),
        json!({ "alg": "RS256", "kid": null }),
    ] {
        let evil = Arc::clone(&evil);
        campus
            .provider
            .behave()
            .forge(move |_, claims| evil.sign(&header.to_string(), &claims.to_string()));
        campus.refuses_somebody("bad_token");
    }
}

#[test]
fn a_key_signs_by_its_own_algorithm_and_for_its_own_use() {
    // An elliptic key under the name of the RSA one.
    let campus = doubled();
    let evil = Signer::new().named("rsa");
    campus.provider.behave().forge(move |_, claims| {
        evil.sign(
            &json!({ "alg": "ES256", "kid": "rsa" }).to_string(),
            &claims.to_string(),
        )
    });
    campus.refuses_somebody("bad_token");

    // A key for encryption signs nothing.
    let double = OidcDouble::start();
    let mut key = double.behave().jwk();
    key["use"] = json!("enc");
    double.behave().keys = Some(json!({ "keys": [key] }).to_string());
    by_double(double, Plan::default()).refuses_somebody("bad_answer");

    // A header that must be understood and is not.
    let campus = doubled();
    campus.provider.behave().header = json!({ "crit": ["exp"], "exp": 1 });
    campus.refuses_somebody("bad_token");
}

#[test]
fn an_algorithm_that_is_not_listed_is_none() {
    let campus = doubled_with("algorithms = [\"ES256\"]");
    campus.refuses_somebody("bad_token");
    let double = OidcDouble::signing_by(Signer::new().named("ec"));
    let campus = by_double(
        double,
        Plan {
            oidc: "algorithms = [\"ES256\"]".to_owned(),
            ..Plan::default()
        },
    );
    campus.signs_in("alice");
}

#[test]
fn each_algorithm_of_the_list_signs() {
    for signer in [
        Signer::new().named("es256"),
        Signer::es384().named("es384"),
        Signer::eddsa().named("eddsa"),
        Signer::ps256().named("ps256"),
    ] {
        by_double(OidcDouble::signing_by(signer), Plan::default()).signs_in("alice");
    }
}

/// Apereo CAS and Keycloak publish keys for encryption beside those for signatures, and keys of kinds that are new.
#[test]
fn keys_of_other_kinds_stand_in_nobodys_way() {
    let double = OidcDouble::start();
    let key = double.behave().jwk();
    let mut encrypts = Signer::rs256().named("enc").jwk();
    merge(&mut encrypts, &json!({ "use": "enc", "alg": "RSA-OAEP" }));
    let odd = json!({ "kty": "HMAC", "alg": "HS256", "k": "c2VjcmV0" });
    let new = json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" });
    let keys = json!({ "keys": [encrypts, odd, new, key] });
    double.behave().keys = Some(keys.to_string());
    by_double(double, Plan::default()).signs_in("alice");
}

/// One key, and no name for it: legal by OpenID Connect Core 10.1.
#[test]
fn a_key_without_a_name_signs_where_it_is_the_only_one() {
    let campus = by_double(OidcDouble::signing_by(Signer::rs256()), Plan::default());
    campus.signs_in("alice");
    campus.provider.rotate(Signer::rs256());
    crate::support::eventually("the new key is known", || {
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        (visitor.open(target(&callback)).status == 303).then_some(())
    });
}

#[test]
fn a_token_for_somebody_else_is_none() {
    let campus = doubled();
    for claims in [
        json!({ "aud": "other" }),
        json!({ "aud": ["other"] }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": format!("{CLIENT} ") }),
        json!({ "aud": { CLIENT: true } }),
        // Several need the one that asked.
        json!({ "aud": [CLIENT, "other"] }),
        json!({ "aud": [CLIENT, "other"], "azp": "other" }),
        json!({ "azp": "other" }),
    ] {
        campus.provider.behave().claims = claims;
        campus.refuses_somebody("bad_token");
    }
    for claims in [
        json!({ "aud": [CLIENT] }),
        json!({ "azp": CLIENT }),
        json!({ "aud": ["other", CLIENT], "azp": CLIENT }),
    ] {
        campus.provider.behave().claims = claims;
        campus.signs_in("alice");
    }
}

#[test]
fn a_token_of_another_issuer_is_none() {
    let campus = doubled();
    let issuer = campus.provider.issuer();
    for iss in [
        json!(null),
        json!("https://evil.test"),
        json!(format!("{issuer}/")),
        json!(issuer.to_uppercase()),
        json!(issuer.replace("127.0.0.1", "localhost")),
        json!([issuer]),
    ] {
        campus.provider.behave().claims = json!({ "iss": iss });
        campus.refuses_somebody("bad_token");
    }
}

#[test]
fn a_token_of_another_time_is_none() {
    let campus = doubled();
    for claims in [
        json!({ "exp": now() - 61 }),
        json!({ "exp": null }),
        json!({ "exp": "soon" }),
        json!({ "iat": null }),
        json!({ "iat": in_seconds(3600) }),
        json!({ "nbf": in_seconds(3600) }),
    ] {
        campus.provider.behave().claims = claims;
        campus.refuses_somebody("bad_token");
    }
    // Clocks differ, and Apereo CAS dates its tokens back.
    for claims in [
        json!({ "exp": now() - 20 }),
        json!({ "iat": in_seconds(20), "nbf": in_seconds(20) }),
        json!({ "nbf": now() - 300 }),
    ] {
        campus.provider.behave().claims = claims;
        campus.signs_in("alice");
    }
}

#[test]
fn a_token_of_another_attempt_is_none() {
    let campus = doubled();
    for nonce in [json!(null), json!("other"), json!(""), json!(7), json!(["x"])] {
        campus.provider.behave().claims = json!({ "nonce": nonce });
        campus.refuses_somebody("bad_token");
    }
    // One that was good a moment ago.
    let kept: Arc<Mutex<Option<Value>>> = Arc::default();
    let signer = campus.provider.behave().signer();
    campus.provider.behave().claims = json!({ "at_hash": null });
    campus.provider.behave().forge(move |_, claims| {
        let mut kept = kept.lock().unwrap();
        signer.token(kept.get_or_insert_with(|| claims.clone()))
    });
    campus.signs_in("alice");
    campus.refuses_somebody("bad_token");
}

#[test]
fn a_missing_nonce_is_accepted_where_the_operator_says_so_and_a_wrong_one_never() {
    let campus = doubled_with("accept_missing_nonce = true");
    campus.provider.behave().claims = json!({ "nonce": null });
    campus.signs_in("alice");
    campus.provider.behave().claims = json!({ "nonce": "other" });
    campus.refuses_somebody("bad_token");
}

#[test]
fn another_token_of_the_provider_is_no_id_token() {
    let campus = doubled_with("accept_missing_nonce = true");
    let double = &campus.provider;
    // An access token by RFC 9068, and what ends sessions.
    double.behave().header = json!({ "typ": "at+jwt" });
    double.behave().claims = json!({ "nonce": null, "client_id": CLIENT, "jti": "x", "scope": "openid" });
    campus.refuses_somebody("bad_token");
    double.behave().header = json!({ "typ": "logout+jwt" });
    double.behave().claims = json!({ "nonce": null });
    campus.refuses_somebody("bad_token");
    double.behave().header = json!({});
    double.behave().claims = json!({
        "nonce": null, "jti": "x", "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    campus.refuses_somebody("bad_token");
}

#[test]
fn an_opaque_access_token_is_no_id_token() {
    let campus = doubled();
    for token in [
        json!("opaque-access-token"),
        json!(null),
        json!(""),
        json!(7),
        json!("a.b.c"),
        json!(".."),
    ] {
        campus.provider.behave().token = json!({ "id_token": token });
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        let page = visitor.open(target(&callback));
        assert!(
            [403, 502].contains(&page.status),
            "{token}: {:?}",
            campus.all_outcomes()
        );
        assert!(!visitor.is_signed_in(), "{token}");
    }
}

#[test]
fn the_access_token_belongs_to_the_id_token() {
    let campus = doubled();
    campus.provider.behave().claims = json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" });
    campus.refuses_somebody("bad_token");
    campus.provider.behave().claims = json!({ "at_hash": null });
    campus.signs_in("alice");
}

#[test]
fn a_subject_is_a_text() {
    let campus = doubled();
    for sub in [json!(null), json!(""), json!(["alice"])] {
        campus.provider.behave().claims = json!({ "sub": sub });
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        visitor.open(target(&callback)).expect(403);
        assert!(!visitor.is_signed_in(), "{sub}");
    }
}

#[test]
fn who_must_type_the_password_again_has_done_so_just_now() {
    let campus = doubled_with("renew = true");
    for time in [json!(null), json!(now() - 3600), json!("now")] {
        campus.provider.behave().claims = json!({ "auth_time": time });
        campus.refuses_somebody("bad_token");
    }
    campus.provider.behave().claims = json!({});
    campus.signs_in("alice");
}

#[test]
fn a_demanded_class_of_authentication_must_be_met() {
    let campus = doubled_with("acr_values = [\"urn:mfa\", \"urn:token\"]");
    let to = leads_to(&campus.visitor().open(PAGE));
    assert_eq!(
        super::campus::parameter(&to, "acr_values").as_deref(),
        Some("urn:mfa urn:token")
    );
    for acr in [
        json!(null),
        json!("urn:password"),
        json!("urn:mfa urn:token"),
        json!(["urn:mfa"]),
    ] {
        campus.provider.behave().claims = json!({ "acr": acr });
        campus.refuses_somebody("bad_token");
    }
    campus.provider.behave().claims = json!({ "acr": "urn:token" });
    campus.signs_in("alice");
}

#[test]
fn a_key_that_was_replaced_is_fetched_and_a_flood_of_unknown_names_is_not() {
    let campus = doubled();
    campus.signs_in("alice");
    campus.provider.rotate(Signer::rs256().named("next"));
    crate::support::eventually("the new key is known", || {
        let visitor = campus.visitor();
        let callback = campus.callback(&visitor, "alice", PAGE);
        (visitor.open(target(&callback)).status == 303).then_some(())
    });
    let before = campus.provider.asked(Endpoint::Keys).len();
    for number in 0..20 {
        campus.provider.behave().header = json!({ "kid": format!("made-up-{number}") });
        campus.refuses_somebody("bad_token");
    }
    let fetched = campus.provider.asked(Endpoint::Keys).len() - before;
    assert!(fetched <= 3, "{fetched} times");
}
