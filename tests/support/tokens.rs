//! Keys and tokens, well-formed or not, as issuers make them: no `kid` and no `iss` unless a test wants one.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The time in so many seconds, for `exp`.
pub fn in_seconds(seconds: u64) -> u64 {
    now() + seconds
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>, &'static dyn RsaEncoding),
}

/// A private key and what its JWK says.
pub struct Signer {
    alg: &'static str,
    kid: Option<&'static str>,
    pair: Pair,
}

impl Signer {
    pub fn new() -> Self {
        Self::of(
            "ES256",
            Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
        )
    }

    pub fn es384() -> Self {
        Self::of(
            "ES384",
            Pair::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
        )
    }

    pub fn eddsa() -> Self {
        Self::of("EdDSA", Pair::Ed25519(Ed25519KeyPair::generate().unwrap()))
    }

    pub fn rs256() -> Self {
        Self::of("RS256", rsa(&RSA_PKCS1_SHA256))
    }

    pub fn ps256() -> Self {
        Self::of("PS256", rsa(&RSA_PSS_SHA256))
    }

    pub fn es512() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        Self::of("ES512", Pair::Ecdsa(pair))
    }

    /// By an algorithm of RSA.
    pub fn rsa(alg: &'static str) -> Self {
        Self::of(alg, rsa(encoding(alg)))
    }

    /// The same key of RSA, which signs by another of its algorithms. Its JWK says the new one.
    pub fn by(mut self, alg: &'static str) -> Self {
        assert!(matches!(self.pair, Pair::Rsa(..)), "this is no key of RSA's");
        if let Pair::Rsa(_, old) = &mut self.pair {
            *old = encoding(alg);
        }
        self.alg = alg;
        self
    }

    fn of(alg: &'static str, pair: Pair) -> Self {
        Self { alg, kid: None, pair }
    }

    /// The same key with a name: in its JWK and in the tokens it signs.
    pub fn named(mut self, kid: &'static str) -> Self {
        self.kid = Some(kid);
        self
    }

    /// The public key (RFC 7517).
    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.pair {
            Pair::Ecdsa(pair) => {
                // An uncompressed point: 4, then two coordinates of equal length (SEC 1, section 2.3.3).
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = match x.len() {
                    32 => "P-256",
                    48 => "P-384",
                    _ => "P-521",
                };
                json!({ "kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y) })
            }
            Pair::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key()) }),
            Pair::Rsa(pair, _) => {
                let key = pair.public_key();
                let modulus = key.modulus();
                let exponent = key.exponent();
                json!({
                    "kty": "RSA",
                    "n": base64url(modulus.big_endian_without_leading_zero()),
                    "e": base64url(exponent.big_endian_without_leading_zero()),
                })
            }
        };
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.alg);
        if let Some(kid) = self.kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }

    /// The key set of these signers.
    pub fn jwks(signers: &[&Self]) -> String {
        json!({ "keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>() }).to_string()
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        let mut header = json!({ "typ": "JWT", "alg": self.alg });
        if let Some(kid) = self.kid {
            header["kid"] = json!(kid);
        }
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// A token of exactly these two texts, whatever they say.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", base64url(header), base64url(payload));
        let signature = base64url(self.signature(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// An hour of `read` on an event.
    pub fn read(&self, event: &str) -> String {
        self.token(&json!({ "exp": in_seconds(3600), "oc": { format!("e:{event}"): ["read"] } }))
    }

    /// An hour of these roles.
    pub fn roles(&self, roles: &[&str]) -> String {
        self.token(&json!({ "exp": in_seconds(3600), "roles": roles }))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// How an algorithm of RSA signs.
fn encoding(alg: &str) -> &'static dyn RsaEncoding {
    let all: [(&str, &'static dyn RsaEncoding); 6] = [
        ("RS256", &RSA_PKCS1_SHA256),
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
        ("PS384", &RSA_PSS_SHA384),
        ("PS512", &RSA_PSS_SHA512),
    ];
    let found = all.into_iter().find(|(name, _)| *name == alg);
    found.map(|(_, encoding)| encoding).unwrap()
}

fn rsa(encoding: &'static dyn RsaEncoding) -> Pair {
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    Pair::Rsa(Box::new(pair), encoding)
}
