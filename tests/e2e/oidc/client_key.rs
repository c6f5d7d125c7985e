//! The gateway proves by a key of its own which client it is (`private_key_jwt`), at a real provider that knows the public part
//! alone.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::campus::{Campus, PAGE, Plan, callback, planned, sign_in};
use crate::support::tools::janua;
use crate::support::{OidcServer, Site};

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")
}

fn ec(curve: &'static EcdsaSigningAlgorithm) -> String {
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    pem(pair.to_pkcs8v1().unwrap().as_ref())
}

fn rsa() -> String {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'static> = pair.as_der().unwrap();
    pem(der.as_ref())
}

fn ed25519() -> String {
    pem(Ed25519KeyPair::generate().unwrap().to_pkcs8().unwrap().as_ref())
}

/// The key set of a private key's public part, as `janua keys jwks` tells it.
fn key_set(file: &Path) -> Value {
    let told = janua(["keys", "jwks", file.to_str().unwrap()]).ok().stdout;
    serde_json::from_str(&told).unwrap()
}

/// A campus whose provider knows the client by the key in `known`, and whose gateway has the one in `own`.
fn campus(own: &str, known: &str, alg: &str) -> Option<Campus<OidcServer>> {
    let site = Site::new();
    let own = site.write("secrets/client.pem", own);
    let known = site.write("known.pem", known);
    planned(Plan {
        client: json!({
            "client_secret": null,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": alg,
            "jwks": key_set(&known),
        }),
        oidc: format!("client_auth = \"private_key_jwt\"\nclient_key_file = {own:?}"),
        is_public: true,
        site,
        ..Plan::default()
    })
}

fn check(campus: &Campus<OidcServer>) -> (bool, String) {
    let site = Site::new();
    // The gateway has its address already.
    let config = campus.config.clone().server("listen", "[\"127.0.0.1:0\"]");
    let file = site.write("gateway.toml", config.text());
    let run = janua(["check", "--config", file.to_str().unwrap()]);
    (run.code == Some(0), format!("{}{}", run.stdout, run.stderr))
}

#[test]
fn people_sign_in_where_each_kind_of_key_proves_the_client() {
    for (key, alg) in [
        (ec(&ECDSA_P256_SHA256_FIXED_SIGNING), "ES256"),
        (ec(&ECDSA_P384_SHA384_FIXED_SIGNING), "ES384"),
        (ed25519(), "EdDSA"),
        (rsa(), "RS256"),
    ] {
        let Some(campus) = campus(&key, &key, alg) else { return };
        // The provider takes no assertion twice.
        for name in ["alice", "bob"] {
            let visitor = campus.visitor();
            sign_in(&visitor, &campus.provider.person(name), PAGE).expect(303);
            assert!(visitor.is_signed_in(), "{alg}: {:?}", campus.all_outcomes());
        }
        assert_eq!(campus.outcomes("ok"), 2.0, "{alg}");
    }
}

#[test]
fn check_tells_what_to_register_and_that_the_client_is_known() {
    let key = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
    let Some(campus) = campus(&key, &key, "ES256") else {
        return;
    };
    let (is_ok, told) = check(&campus);
    assert!(is_ok && told.contains("knows this client"), "{told}");
    let (_, set) = told
        .split_once("to register there as the client's key set (private_key_jwt): ")
        .unwrap_or_else(|| panic!("{told}"));
    let set: Value = serde_json::Deserializer::from_str(set)
        .into_iter()
        .next()
        .unwrap()
        .unwrap();
    let site = Site::new();
    assert_eq!(set, key_set(&site.write("key.pem", &key)), "the public part alone");
}

#[test]
fn a_key_that_is_not_registered_proves_nothing() {
    let keys = [(); 2].map(|()| ec(&ECDSA_P256_SHA256_FIXED_SIGNING));
    let Some(campus) = campus(&keys[0], &keys[1], "ES256") else {
        return;
    };
    let visitor = campus.visitor();
    let callback = callback(&visitor, &campus.provider.person("alice"), PAGE);
    campus.refuses(&visitor, &callback, "provider_error");
    let (is_ok, told) = check(&campus);
    assert!(
        !is_ok
            && told.contains(
                "refuses this client with invalid_client: look at client_id, the key that is registered there"
            ),
        "{told}"
    );
}

#[test]
fn a_file_that_is_no_key_is_told_before_anybody_signs_in() {
    let site = Site::new();
    let key = site.write("secrets/client.pem", "not a key");
    let text = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\npublic_url = \"http://localhost:8080\"\n\
         [sign_in.campus.oidc]\nissuer = \"http://127.0.0.1:9\"\nclient_id = \"janua\"\n\
         client_auth = \"private_key_jwt\"\nclient_key_file = {key:?}\n\
         [[routes]]\nname = \"app\"\npath = \"/app\"\nrespond = {{ status = 204 }}\naccept = [\"session\"]\n\
         allow = [{{ signed_in = true }}]\n"
    );
    let file = site.write("gateway.toml", text);
    let run = janua(["check", "--offline", "--config", file.to_str().unwrap()]);
    let told = format!("{}{}", run.stdout, run.stderr);
    assert_ne!(run.code, Some(0), "{told}");
    assert!(
        told.contains("sign_in.campus.oidc.client_key_file") && told.contains("holds no private key"),
        "{told}"
    );
}
