//! Each algorithm, with a key of the test's own: what it signs is taken where it is listed, and by no other hash or padding.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::testing::{at_file, config, jwks, unsigned};
use super::{all_powerful, ask, claims, tokens};
use crate::config::Algorithm;
use crate::rejection::Reason;

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

const RSA: [(&str, &dyn RsaEncoding); 6] = [
    ("RS256", &signature::RSA_PKCS1_SHA256),
    ("RS384", &signature::RSA_PKCS1_SHA384),
    ("RS512", &signature::RSA_PKCS1_SHA512),
    ("PS256", &signature::RSA_PSS_SHA256),
    ("PS384", &signature::RSA_PSS_SHA384),
    ("PS512", &signature::RSA_PSS_SHA512),
];

/// What is said of a token of this header and signature, where the key set is that one and all algorithms are listed.
async fn judged(jwk: &Value, alg: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Result<(), Reason> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, jwks(std::slice::from_ref(jwk))).unwrap();
    let mut config = config(vec![at_file(all_powerful("moodle"), &path)]);
    config.algorithms = Algorithm::ALL.to_vec();
    let input = unsigned(&format!(r#"{{"alg":"{alg}","kid":"k"}}"#), &claims(""));
    let token = format!("{input}.{}", encode(&sign(input.as_bytes())));
    ask(&*tokens(&config).await, &token).await.map(drop)
}

#[tokio::test]
async fn an_rsa_key_verifies_by_the_hash_and_padding_that_its_set_names() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
    let bare = json!({ "kty": "RSA", "kid": "k", "n": encode(modulus), "e": "AQAB" });
    let sign = |encoding: &'static dyn RsaEncoding| {
        let pair = &pair;
        move |input: &[u8]| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), input, &mut signature)
                .unwrap();
            signature
        }
    };
    for (alg, encoding) in RSA {
        assert_eq!(judged(&bare, alg, sign(encoding)).await, Ok(()), "{alg}");
        let mut named = bare.clone();
        named["alg"] = json!(alg);
        assert_eq!(judged(&named, alg, sign(encoding)).await, Ok(()), "{alg}");
        for (other, wrong) in RSA.into_iter().filter(|(other, _)| *other != alg) {
            let said = judged(&bare, alg, sign(wrong)).await;
            assert_eq!(said, Err(Reason::BadSignature), "{alg} signed by {other}");
            // RFC 7517 section 4.4: the key is for the one algorithm alone, however well the signature is made.
            let said = judged(&named, other, sign(wrong)).await;
            assert_eq!(said, Err(Reason::UnknownKey), "{other} by a key for {alg}");
        }
    }
}

#[tokio::test]
async fn a_curve_has_one_algorithm() {
    let curves: [(&str, &str, &'static EcdsaSigningAlgorithm); 3] = [
        ("ES256", "P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        ("ES384", "P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        ("ES512", "P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
    ];
    for (alg, crv, signing) in curves {
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point = &pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        let jwk = json!({ "kty": "EC", "kid": "k", "crv": crv, "x": encode(x), "y": encode(y) });
        let sign = |input: &[u8]| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
        assert_eq!(judged(&jwk, alg, sign).await, Ok(()), "{alg}");
        for other in Algorithm::ALL
            .map(Algorithm::name)
            .into_iter()
            .filter(|other| *other != alg)
        {
            assert_eq!(
                judged(&jwk, other, sign).await,
                Err(Reason::UnknownKey),
                "{other} by {crv}"
            );
        }
    }
    // A hash that is not the curve's: P-521 with SHA-384 and P-384 with SHA-256 are names of nothing in a token.
    let pair = EcdsaKeyPair::generate(&signature::ECDSA_P521_SHA384_FIXED_SIGNING).unwrap();
    let point = &pair.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    let jwk = json!({ "kty": "EC", "kid": "k", "crv": "P-521", "x": encode(x), "y": encode(y) });
    let sign = |input: &[u8]| pair.sign(&SystemRandom::new(), input).unwrap().as_ref().to_vec();
    assert_eq!(judged(&jwk, "ES512", sign).await, Err(Reason::BadSignature));
}
