//! Signature algorithms beyond those that providers use by default: each is taken where it is listed, and nowhere else.

use serde_json::json;

use crate::oidc::campus::{Plan, by_double};
use crate::support::tools::janua;
use crate::support::{Config, OidcDouble, Signer, Site};

const PATH: &str = "/static/org/player/lecture-1/video.mp4";

const FURTHER: [&str; 5] = ["ES512", "RS384", "RS512", "PS384", "PS512"];

fn signer(alg: &'static str) -> Signer {
    match alg {
        "ES512" => Signer::es512(),
        rsa => Signer::rsa(rsa),
    }
}

#[test]
fn each_is_taken_where_it_is_listed_alone() {
    let site = Site::with_lecture();
    let signers = FURTHER.map(signer);
    let config = Config::media(&site, &signers[0]);
    site.write_keys("keys.json", &signers.iter().collect::<Vec<_>>());
    for (alg, listed) in FURTHER.into_iter().zip(&signers) {
        let gateway = site.start(&config.clone().jwt("algorithms", &format!("[{alg:?}]")));
        gateway.get_with(PATH, &listed.read("lecture-1")).expect(200);
        for (other, signer) in FURTHER.into_iter().zip(&signers).filter(|(other, _)| *other != alg) {
            let answer = gateway.get_with(PATH, &signer.read("lecture-1"));
            assert_eq!(
                (answer.status, &*answer.reason()),
                (401, "algorithm_not_allowed"),
                "{other}, not {alg}"
            );
        }
    }
}

#[test]
fn none_of_them_is_listed_by_default() {
    let site = Site::with_lecture();
    let signers = FURTHER.map(signer);
    let config = Config::media(&site, &signers[0]);
    let mut known: Vec<&Signer> = signers.iter().collect();
    let usual = Signer::new();
    known.push(&usual);
    site.write_keys("keys.json", &known);
    let gateway = site.start(&config);
    gateway.get_with(PATH, &usual.read("lecture-1")).expect(200);
    for signer in &signers {
        gateway
            .get_with(PATH, &signer.read("lecture-1"))
            .refused(401, "algorithm_not_allowed");
    }
}

#[test]
fn a_key_for_one_hash_verifies_by_no_other() {
    let site = Site::with_lecture();
    let signer = Signer::rsa("RS256").named("a");
    let config = Config::media(&site, &signer).jwt("algorithms", r#"["RS256", "RS512", "PS512"]"#);
    site.write_keys("keys.json", &[&signer]);
    let gateway = site.start(&config);
    gateway.get_with(PATH, &signer.read("lecture-1")).expect(200);
    // The same key and a good signature, by an algorithm that is listed, but not by the key set.
    let mut signer = signer;
    for alg in ["RS512", "PS512"] {
        signer = signer.by(alg);
        let answer = gateway.get_with(PATH, &signer.read("lecture-1"));
        assert_eq!((answer.status, &*answer.reason()), (401, "unknown_key"), "{alg}");
    }
}

#[test]
fn key_sets_are_made_of_keys_on_p521() {
    let site = Site::new();
    site.write("key.jwk.json", Signer::es512().named("a").jwk().to_string());
    let set = janua(["keys", "jwks", site.path("key.jwk.json").to_str().unwrap()])
        .ok()
        .stdout;
    let set: serde_json::Value = serde_json::from_str(&set).unwrap();
    assert_eq!(
        (&set["keys"][0]["crv"], &set["keys"][0]["alg"]),
        (&json!("P-521"), &json!("ES512"))
    );
}

/// With `at_hash` by the hash of the algorithm, which the double writes into each ID token.
#[test]
fn an_id_token_is_taken_by_an_algorithm_that_is_listed_alone() {
    for alg in FURTHER {
        let campus = |oidc: &str| {
            let double = OidcDouble::signing_by(signer(alg).named("k"));
            let oidc = oidc.to_owned();
            by_double(
                double,
                Plan {
                    oidc,
                    ..Plan::default()
                },
            )
        };
        campus(&format!("algorithms = [{alg:?}]")).signs_in("alice");
        campus("").refuses_somebody("bad_token");
    }
}
