//! Keys, tokens and configurations for the tests of this folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::config::pattern::{Part, RolePattern};
use crate::config::{Algorithm, Issuer, JwksLocation, Jwt, Outgoing, TokenSource};
use crate::rate::Rate;

/// An ES256 key of its own.
pub(in crate::authenticate) struct Signer {
    pair: EcdsaKeyPair,
}

impl Signer {
    pub(in crate::authenticate) fn new() -> Self {
        Self {
            pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
        }
    }

    pub(in crate::authenticate) fn jwk(&self, kid: Option<&str>) -> Value {
        let point = self.public();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = json!({"kty":"EC","crv":"P-256","x":coordinate(&point[1..33]),"y":coordinate(&point[33..])});
        if let Some(kid) = kid {
            jwk["kid"] = json!(kid);
        }
        jwk
    }

    /// The uncompressed point.
    pub(in crate::authenticate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// Signs these very texts.
    pub(in crate::authenticate) fn sign(&self, header: &str, claims: &str) -> String {
        let input = unsigned(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(in crate::authenticate) fn token(&self, claims: &str) -> String {
        self.sign(r#"{"typ":"JWT","alg":"ES256"}"#, claims)
    }
}

pub(in crate::authenticate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

pub(in crate::authenticate) fn jwks(jwks: &[Value]) -> String {
    json!({ "keys": jwks }).to_string()
}

pub(in crate::authenticate) fn p256_jwk() -> Value {
    Signer::new().jwk(None)
}

/// The key of RFC 7638 section 3.1.
pub(in crate::authenticate) fn rsa_jwk() -> Value {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn\
             jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q\
             MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awap\
             JzKnqDKgw";
    json!({"kty":"RSA","n":n,"e":"AQAB"})
}

/// `*` in a pattern stands for any characters.
pub(in crate::authenticate) fn issuer(name: &str, allow_roles: &[&str], allow_actions: &[&str]) -> Issuer {
    let pattern = |text: &&str| {
        let literals = text.split('*').map(|literal| Part::Literal(Arc::from(literal)));
        let mut parts: Vec<Part> = literals.flat_map(|literal| [Part::Any, literal]).collect();
        parts.remove(0);
        RolePattern { parts }
    };
    Issuer {
        name: Arc::from(name),
        jwks: JwksLocation::File("missing.json".into()),
        outgoing: Outgoing::default(),
        allow_roles: allow_roles.iter().map(pattern).collect(),
        allow_actions: allow_actions.iter().map(|action| (*action).to_owned()).collect(),
        max_lifetime: Duration::from_secs(24 * 3600),
        may_name_users: false,
        iss: None,
        aud: Vec::new(),
        typ: None,
        watch_max: Duration::from_secs(12 * 60 * 60),
    }
}

/// The defaults, with these issuers.
pub(in crate::authenticate) fn config(issuers: Vec<Issuer>) -> Jwt {
    Jwt {
        algorithms: vec![Algorithm::Es256],
        sources: vec![
            TokenSource::Header {
                name: AUTHORIZATION,
                scheme: "Bearer".to_owned(),
            },
            TokenSource::Query {
                parameter: "jwt".to_owned(),
            },
        ],
        roles_claims: vec!["oc-roles".to_owned(), "roles".to_owned()],
        leeway: Duration::from_secs(3),
        refresh: Duration::from_secs(600),
        keep_stale: Duration::from_secs(24 * 3600),
        cache: 1 << 20,
        bad_signatures: Rate {
            per_second: 0.001,
            burst: 20,
        },
        max_token: 16 * 1024,
        max_key_set: 256 * 1024,
        max_roles: 256,
        max_grants: 256,
        issuers,
    }
}

/// The issuer with its keys in a file.
pub(in crate::authenticate) fn at_file(mut issuer: Issuer, path: &Path) -> Issuer {
    issuer.jwks = JwksLocation::File(path.to_owned());
    issuer
}

pub(in crate::authenticate) fn at_url(mut issuer: Issuer, url: &str) -> Issuer {
    issuer.jwks = JwksLocation::Url(url.parse().unwrap());
    issuer
}
