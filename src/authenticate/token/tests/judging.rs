//! What passes, and what is refused with which reason.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::json;

use super::super::keyring::Keyring;
use super::super::testing::{Signer, unsigned};
use super::super::verify::Unverified;
use super::*;
use crate::config::Algorithm;

/// The tokens that Octoka was tried with, with the outcome expected here: `Ok(true)` reads event `e`.
#[tokio::test]
async fn the_matrix_of_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let tokens = trusting(&folder.path().join("keys"), &[signer.jwk(None)]).await;
    let header = r#"{"typ":"JWT","alg":"ES256"}"#;
    let read = r#","oc":{"e:e":["read"]}"#;
    let exp = |exp: &str| format!(r#"{{"exp":{exp},"oc":{{"e:e":["read"]}}}}"#);
    let cases: Vec<(&str, &str, String, Result<bool, Reason>)> = vec![
        ("grant as array", header, claims(read), Ok(true)),
        ("grant as string", header, claims(r#","oc":{"e:e":"read"}"#), Ok(true)),
        (
            "more claims",
            header,
            claims(&format!(r#"{read},"iss":"x","aud":["y"],"jti":"z""#)),
            Ok(true),
        ),
        (
            "odd oc key",
            header,
            claims(r#","oc":{"zzz":1,"e:e":["read"]}"#),
            Ok(true),
        ),
        (
            "typ at+jwt",
            r#"{"typ":"at+jwt","alg":"ES256"}"#,
            claims(read),
            Ok(true),
        ),
        (
            "unknown kid, keys without",
            r#"{"alg":"ES256","kid":"zzz"}"#,
            claims(read),
            Ok(true),
        ),
        (
            "crit",
            r#"{"alg":"ES256","crit":["zzz"]}"#,
            claims(read),
            Err(Reason::MalformedToken),
        ),
        ("float exp", header, exp(&format!("{}.5", NOW + 60)), Ok(true)),
        ("exponent exp", header, exp("1.80000006e9"), Ok(true)),
        (
            "no exp",
            header,
            r#"{"oc":{"e:e":["read"]}}"#.to_owned(),
            Err(Reason::MalformedToken),
        ),
        (
            "exp as string",
            header,
            exp(r#""1800000060""#),
            Err(Reason::MalformedToken),
        ),
        (
            "expired",
            header,
            exp(&(NOW - 4).to_string()),
            Err(Reason::TokenExpired),
        ),
        ("expired within leeway", header, exp(&(NOW - 2).to_string()), Ok(true)),
        (
            "future nbf",
            header,
            claims(&format!(r#","nbf":{}"#, NOW + 10)),
            Err(Reason::TokenNotYetValid),
        ),
        (
            "nbf within leeway",
            header,
            claims(&format!(r#","nbf":{}{read}"#, NOW + 2)),
            Ok(true),
        ),
        (
            "too long",
            header,
            exp(&(NOW + 25 * 3600).to_string()),
            Err(Reason::LifetimeTooLong),
        ),
        ("centuries too long", header, exp("1e300"), Err(Reason::LifetimeTooLong)),
        (
            "magic role",
            header,
            claims(r#","roles":["ROLE_EPISODE_e_READ"]"#),
            Ok(true),
        ),
        ("write only", header, claims(r#","oc":{"e:e":["write"]}"#), Ok(false)),
        (
            "READ in capitals",
            header,
            claims(r#","oc":{"e:e":["READ"]}"#),
            Ok(false),
        ),
        (
            "a series' grant",
            header,
            claims(r#","oc":{"s:e":["write"]}"#),
            Ok(false),
        ),
        (
            "role in oc-roles",
            header,
            claims(r#","oc-roles":["ROLE_ADMIN"]"#),
            Ok(false),
        ),
        (
            "ES384 not listed",
            r#"{"alg":"ES384"}"#,
            claims(read),
            Err(Reason::AlgorithmNotAllowed),
        ),
        (
            "duplicate exp",
            header,
            claims(r#","exp":1"#),
            Err(Reason::MalformedToken),
        ),
        (
            "duplicate oc entry",
            header,
            claims(r#","oc":{"e:e":"read","e:e":"write"}"#),
            Err(Reason::MalformedToken),
        ),
        (
            "nesting bomb",
            header,
            claims(&format!(r#","x":{}1{}"#, "[".repeat(2000), "]".repeat(2000))),
            Err(Reason::MalformedToken),
        ),
    ];
    for (name, header, claims, expected) in cases {
        let token = signer.sign(header, &claims);
        // The second time it comes from memory, and must come out the same.
        for round in ["first", "again"] {
            let outcome = ask(&tokens, &token)
                .await
                .map(|identity| event_grant(&identity, "e", "read"));
            assert_eq!(outcome, expected, "{name}, {round}");
        }
    }
    let both = signer.token(&claims(r#","roles":"ROLE_A","oc-roles":["ROLE_ADMIN"],"sub":"anna""#));
    let identity = ask(&tokens, &both).await.unwrap();
    assert_eq!(identity.roles, ["ROLE_ADMIN", "ROLE_A"]);
    assert_eq!(
        (identity.subject.as_deref(), &*identity.source),
        (Some("anna"), "moodle")
    );
}

#[tokio::test]
async fn the_first_valid_token_counts() {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let tokens = trusting(&folder.path().join("keys"), &[signer.jwk(None)]).await;
    let (good, better) = (
        signer.token(&claims(r#","sub":"a""#)),
        signer.token(&claims(r#","sub":"b""#)),
    );
    let judge = async |bearer: &str, query: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer.parse().unwrap());
        let carried = find(&tokens.config.sources, &headers, Some(query));
        tokens
            .authenticate(&carried, None, CLIENT, &Recent::default(), now())
            .await
    };
    let subject = |outcome: Outcome| match outcome {
        Outcome::Person(identity) => identity.subject.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        subject(judge("Bearer broken", &format!("jwt={good}")).await).as_deref(),
        Some("a")
    );
    assert_eq!(
        subject(judge("Basic dTpw", &format!("jwt={good}")).await).as_deref(),
        Some("a")
    );
    assert_eq!(
        subject(judge(&format!("bearer {better}"), &format!("jwt={good}")).await).as_deref(),
        Some("b")
    );
    assert!(matches!(judge("Basic dTpw", "a=b").await, Outcome::Nobody));
    let expired = signer.token(r#"{"exp":1}"#);
    let refused = judge(&format!("Bearer {expired}"), "jwt=broken").await;
    assert!(matches!(refused, Outcome::Refused(rejection) if rejection.reason == Reason::TokenExpired));
}

#[tokio::test]
async fn forged_signatures_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let jwk = signer.jwk(Some("k"));
    let mut config = config(vec![at_file(all_powerful("moodle"), &folder.path().join("keys"))]);
    std::fs::write(folder.path().join("keys"), jwks(std::slice::from_ref(&jwk))).unwrap();
    config.algorithms = vec![
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Ps256,
    ];
    config.bad_signatures.burst = 1000;
    let tokens = tokens(&config).await;
    let good = signer.token(&claims(""));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with_signature = |bytes: &[u8]| format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes));

    // HMAC with what everybody knows of the key, and no signature at all.
    for (alg, algorithm) in [
        ("HS256", hmac::HMAC_SHA256),
        ("HS384", hmac::HMAC_SHA384),
        ("HS512", hmac::HMAC_SHA512),
    ] {
        let input = unsigned(&format!(r#"{{"alg":"{alg}","kid":"k"}}"#), &claims(""));
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n",
            URL_SAFE_NO_PAD.encode(signer.public())
        );
        for secret in [signer.public(), jwk.to_string().as_bytes(), pem.as_bytes(), b""] {
            let tag = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
            let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag));
            assert_eq!(ask(&tokens, &token).await.err(), Some(Reason::AlgorithmNotAllowed));
        }
    }
    let none = unsigned(r#"{"alg":"none"}"#, &claims(""));
    assert_eq!(
        ask(&tokens, &format!("{none}.")).await.err(),
        Some(Reason::AlgorithmNotAllowed)
    );
    // A listed algorithm that is not the key's.
    for alg in ["ES384", "EdDSA", "RS256", "PS256"] {
        let token = signer.sign(&format!(r#"{{"alg":"{alg}","kid":"k"}}"#), &claims(""));
        assert_eq!(ask(&tokens, &token).await.err(), Some(Reason::UnknownKey), "{alg}");
    }
    // CVE-2022-21449: zeros, in both encodings, and its published token.
    let published = "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJhZG1pbiI6InRydWUifQ.MAYCAQACAQA";
    assert_eq!(
        ask(&tokens, published).await.err(),
        Some(Reason::MalformedToken),
        "it has no exp"
    );
    let mut swapped = raw.clone();
    swapped.rotate_left(32);
    let der = [&[0x30, 0x44, 2, 32][..], &raw[..32], &[2, 32], &raw[32..]].concat();
    let long = [&raw[..], &[0]].concat();
    let cases: [&[u8]; 9] = [
        &[],
        &[0; 64],
        &[0xff; 64],
        &[0x30, 6, 2, 1, 0, 2, 1, 0],
        &raw[..63],
        &long,
        &swapped,
        &der,
        &[0; 16],
    ];
    for bytes in cases {
        assert_eq!(
            ask(&tokens, &with_signature(bytes)).await.err(),
            Some(Reason::BadSignature),
            "{bytes:?}"
        );
    }
    // A key that the token brings itself, and another's key under the right name.
    let stranger = Signer::new();
    let header = json!({"alg":"ES256","kid":"k","jwk":stranger.jwk(Some("k"))}).to_string();
    assert_eq!(
        ask(&tokens, &stranger.sign(&header, &claims(""))).await.err(),
        Some(Reason::BadSignature)
    );
    // One bit of the claims, of the header, of the signature.
    assert!(ask(&tokens, &good).await.is_ok());
    for flipped in [
        good.replacen("eyJ0", "eyJ1", 1),
        good.replace(input, &unsigned(r#"{"typ":"JWT","alg":"ES256"}"#, &claims(r#","a":1"#))),
    ] {
        assert!(ask(&tokens, &flipped).await.is_err());
    }
}

#[tokio::test]
async fn every_listed_algorithm_verifies() {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let rng = SystemRandom::new();
    let p384 = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let point = p384.public_key().as_ref();
    let modulus = rsa.public_key().modulus().big_endian_without_leading_zero();
    let keys = [
        json!({"kty":"EC","crv":"P-384","alg":"ES384","x":encode(&point[1..49]),"y":encode(&point[49..])}),
        json!({"kty":"OKP","crv":"Ed25519","x":encode(ed.public_key().as_ref())}),
        json!({"kty":"RSA","n":encode(modulus),"e":"AQAB"}),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, jwks(&keys)).unwrap();
    let mut config = config(vec![at_file(all_powerful("tobira"), &path)]);
    config.algorithms = vec![Algorithm::Es384, Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Ps256];
    let tokens = tokens(&config).await;
    let sign_rsa = |padding: &'static dyn signature::RsaEncoding, input: &[u8]| {
        let mut signature = vec![0; modulus.len()];
        rsa.sign(padding, &rng, input, &mut signature).unwrap();
        signature
    };
    for alg in ["ES384", "EdDSA", "RS256", "PS256"] {
        let input = unsigned(&format!(r#"{{"alg":"{alg}"}}"#), &claims(""));
        let signed = match alg {
            "ES384" => p384.sign(&rng, input.as_bytes()).unwrap().as_ref().to_vec(),
            "EdDSA" => ed.sign(input.as_bytes()).as_ref().to_vec(),
            "RS256" => sign_rsa(&signature::RSA_PKCS1_SHA256, input.as_bytes()),
            _ => sign_rsa(&signature::RSA_PSS_SHA256, input.as_bytes()),
        };
        assert!(
            ask(&tokens, &format!("{input}.{}", encode(&signed))).await.is_ok(),
            "{alg}"
        );
        let other = input.replace(input.split('.').next().unwrap(), &encode(br#"{"alg":"ES256"}"#));
        let refused = ask(&tokens, &format!("{other}.{}", encode(&signed))).await;
        assert_eq!(refused.err(), Some(Reason::AlgorithmNotAllowed));
    }
}

#[tokio::test]
async fn a_route_sees_its_issuers_only_whoever_looked_first() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, shared) = (Signer::new(), Signer::new(), Signer::new());
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("a"), jwks(&[a.jwk(None), shared.jwk(None)])).unwrap();
    std::fs::write(at("b"), jwks(&[b.jwk(Some("b")), shared.jwk(Some("shared"))])).unwrap();
    let mut narrow = at_file(issuer("b", &["ROLE_*"], &["read"]), &at("b"));
    narrow.max_lifetime = Duration::from_secs(30);
    let tokens = tokens(&config(vec![at_file(all_powerful("a"), &at("a")), narrow])).await;
    let told = async |token: &str, issuers: &[usize]| ask_as(&tokens, token, Some(issuers), CLIENT, now()).await;

    let of_a = a.token(&claims(r#","roles":["1_Learner"]"#));
    for _ in 0..2 {
        assert_eq!(told(&of_a, &[1]).await.err(), Some(Reason::IssuerNotAccepted));
        assert_eq!(told(&of_a, &[0]).await.unwrap().issuers, [0]);
    }
    // The shared key gets the narrower caps of both: roles, actions, lifetime.
    let long = shared.token(&claims(""));
    assert_eq!(ask(&tokens, &long).await.err(), Some(Reason::LifetimeTooLong));
    let exp = NOW + 20;
    let short = format!(r#"{{"exp":{exp},"roles":["1_Learner","ROLE_X"],"oc":{{"e:e":["read","write"]}}}}"#);
    let identity = told(&shared.token(&short), &[0]).await.unwrap();
    assert_eq!((identity.issuers.as_slice(), &*identity.source), (&[0, 1][..], "a"));
    assert_eq!(identity.roles, ["ROLE_X"]);
    assert!(event_grant(&identity, "e", "read") && !event_grant(&identity, "e", "write"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever is sent: no panic, and nobody gets in.
    #[test]
    fn arbitrary_tokens_never_verify(
        noise in proptest::collection::vec(any::<u8>(), 0..200),
        header in r#"\{("alg":"(ES256|none|HS256)"|"kid":"[a-z]?"|,|"x":[0-9]|[ -~]){0,4}\}"#,
        claims in r#"\{("exp":[0-9e.]{1,12}|"oc":|,|[ -~]){0,4}\}"#,
        cut in 0_usize..300,
    ) {
        let config = config(vec![all_powerful("moodle")]);
        let signer = Signer::new();
        let set = KeySet::parse(jwks(&[signer.jwk(None)]).as_bytes()).ok().unwrap();
        let ring = Keyring::new(1, [Some(&set)]);
        let signed = signer.token(&self::claims(""));
        let cut = cut.min(signed.len() - 1);
        let noise_64 = URL_SAFE_NO_PAD.encode(&noise);
        for token in [
            String::from_utf8_lossy(&noise).into_owned(),
            format!("{}.{noise_64}", unsigned(&header, &claims)),
            format!("{}.{}", unsigned(r#"{"alg":"ES256"}"#, r#"{"exp":1}"#), noise_64),
            signed[..cut].to_owned(),
            format!("{}{}", &signed[..cut], noise_64),
        ] {
            let verified = Unverified::read(&token, &config).map(|read| read.verify(&ring, &config).is_ok());
            prop_assert!(!verified.unwrap_or(false) || token == signed);
        }
    }
}
