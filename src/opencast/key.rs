//! The gateway's own key for tokens that Opencast believes: ES256, in a PEM file that only its owner can read.
//!
//! What such a token says is decided in `token`.

use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::SecretKey;
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};

use crate::digest::sha256;
use crate::key_file::p256;
use crate::private_file;

const ODD: &str = "it holds no private P-256 key in PEM (PKCS#8, or SEC 1), without a passphrase; or \
                   name a file that is not there, and one is made";

/// A pair, ready to sign.
pub(super) struct SigningKey {
    pair: EcdsaKeyPair,
    /// The JWK thumbprint (RFC 7638).
    kid: String,
    jwk: Value,
}

impl SigningKey {
    /// Reads the key (P-256; PKCS#8 or SEC 1). A missing one is made, with mode 0600 and its folder, if `make` says so.
    pub(super) fn load(path: &Path, make: bool) -> io::Result<Self> {
        // A FIFO would be waited for.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file: name one",
            ));
        }
        let pem = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && make => self::make(path)?,
            read => read?,
        };
        let odd = || io::Error::new(io::ErrorKind::InvalidData, ODD);
        let secret = p256(&pem).ok_or_else(odd)?;
        let der = secret.to_pkcs8_der().map_err(io::Error::other)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_bytes());
        let point = secret.public_key().to_sec1_bytes();
        // Uncompressed (SEC 1 section 2.3.3): the byte 4, then x and y.
        let coordinates = point.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        // RFC 7638 section 3.2: these members, in this order, without space.
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let kid = URL_SAFE_NO_PAD.encode(sha256(members.as_bytes()));
        Ok(Self {
            pair: pair.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "its key cannot be used"))?,
            jwk: json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": x, "y": y }),
            kid,
        })
    }

    /// The public part (RFC 7517).
    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }

    /// A token with these claims (RFC 7515 section 3.1).
    pub(super) fn sign(&self, claims: &Value) -> io::Result<String> {
        let header = json!({ "typ": "JWT", "alg": "ES256", "kid": self.kid });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes());
        let signature = signature.map_err(|_| io::Error::other("no signature could be made"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What two processes make at once is one key.
fn make(path: &Path) -> io::Result<String> {
    let secret = SecretKey::try_generate().map_err(|error| io::Error::other(error.to_string()))?;
    let pem = secret.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    match private_file::make(path, pem.as_bytes())? {
        true => Ok(pem.to_string()),
        false => fs::read_to_string(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_missing_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/key.pem");
        assert!(SigningKey::load(&path, false).is_err());
        let made = SigningKey::load(&path, true).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = SigningKey::load(&path, false).unwrap();
        assert_eq!(made.jwk(), read.jwk());
        assert!(made.jwk().get("d").is_none());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\n").unwrap();
        assert!(SigningKey::load(&path, true).is_err(), "nothing is overwritten");
    }
}
