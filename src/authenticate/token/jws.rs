//! Signed tokens of one server that is known beforehand (RFC 7515): ID tokens and logout tokens of a sign-in server.
//!
//! They are read as strictly as the tokens of issuers. What their claims must say is decided by the caller.

use serde_json::{Map, Value};

use super::header::{Parts, split_by};
use super::json;
use super::jwk::{Key, KeySet};
use super::signature::verifies;
use crate::config::Algorithm;

/// The most keys that one token is tried with.
const MOST_TRIALS: usize = 8;

/// The public keys of one server.
pub struct ServerKeys(KeySet);

/// A token whose signature is good.
pub struct Signed {
    pub typ: Option<String>,
    pub algorithm: Algorithm,
    pub claims: Map<String, Value>,
}

/// Why a token is not believed. It quotes nothing of the token but names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    #[error("it is malformed: {0}")]
    Malformed(String),
    #[error("its algorithm is not among `algorithms` (the key set at the server says which it signs by)")]
    Algorithm,
    /// Newer keys may help.
    #[error("no key of the server fits it")]
    UnknownKey,
    /// Newer keys may help: there are servers that give a new key the name of the former one.
    #[error("its signature is wrong")]
    Signature,
}

impl ServerKeys {
    /// Reads a JWK set. Error: why it holds no key that can be used, in words.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        KeySet::parse(text).map(Self).map_err(|error| error.to_string())
    }

    /// For people: a line for each key that may verify by one of these algorithms.
    pub fn told(&self, algorithms: &[Algorithm]) -> Vec<String> {
        self.0.told(algorithms).0
    }

    /// What the token says, if one of these keys has signed it by one of these algorithms.
    pub fn verify(&self, token: &str, algorithms: &[Algorithm]) -> Result<Signed, Unbelieved> {
        let malformed = |why: String| Unbelieved::Malformed(why);
        let parts = split_by(token, algorithms).map_err(|refusal| match refusal.detail {
            Some(detail) => malformed(detail),
            None => Unbelieved::Algorithm,
        })?;
        let claims = json::parse_object(&parts.claims).map_err(|error| malformed(format!("claims: {error}")))?;
        let candidates = self.candidates(&parts);
        if candidates.is_empty() {
            return Err(Unbelieved::UnknownKey);
        }
        let input = parts.signing_input.as_bytes();
        let is_good = |key: &&Key| verifies(key, parts.algorithm, input, &parts.signature);
        if !candidates.iter().any(is_good) {
            return Err(Unbelieved::Signature);
        }
        Ok(Signed {
            typ: parts.typ,
            algorithm: parts.algorithm,
            claims,
        })
    }

    /// Keys of the token's `kid`; for a token without one, the only key that fits (OIDC Core 1.0 section 10.1).
    fn candidates(&self, parts: &Parts<'_>) -> Vec<&Key> {
        let fitting = self.0.keys.iter().filter(|key| key.fits(parts.algorithm));
        match &parts.kid {
            Some(kid) => {
                let named = fitting.filter(|key| key.kid.as_ref().is_none_or(|known| known == kid));
                named.take(MOST_TRIALS).collect()
            }
            None => {
                let all: Vec<&Key> = fitting.collect();
                if all.len() == 1 { all } else { Vec::new() }
            }
        }
    }
}
