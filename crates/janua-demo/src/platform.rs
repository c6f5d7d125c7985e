//! The learning platform of the demo: it publishes its key set and makes tokens, right and wrong ones.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::SecretKey;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use serde_json::{Value, json};

use super::DemoError;
use super::loopback::text;

/// How long a good token is valid: long enough to watch the lecture and to read the page.
const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What is to be said by a token, and what is wrong with it.
#[derive(Debug, Clone)]
pub(super) enum Wish {
    /// Claims beside `exp`, signed and valid.
    Good(Value),
    /// The same, but it ran out a while ago.
    Expired(Value),
    /// Signed with the first claims, then rewritten to say the second.
    Rewritten(Value, Value),
    /// Nobody signed it (`"alg": "none"`, RFC 7519 section 6).
    Unsigned(Value),
}

pub(super) struct Platform {
    key: EncodingKey,
    jwks: String,
}

impl Platform {
    /// Signs with the key in the file `private` (P-256, PKCS#8 as PEM) and publishes the file `jwks`.
    pub(super) fn new(private: &Path, jwks: &Path) -> Result<Self, DemoError> {
        let pem = std::fs::read_to_string(private).map_err(DemoError::Folder)?;
        let secret = SecretKey::from_pkcs8_pem(&pem).map_err(|_| DemoError::Key)?;
        let der = secret.to_pkcs8_der().map_err(|_| DemoError::Key)?;
        Ok(Self {
            key: EncodingKey::from_ec_der(der.as_bytes()),
            jwks: std::fs::read_to_string(jwks).map_err(DemoError::Folder)?,
        })
    }

    /// Makes a token. `None` if it cannot be signed.
    pub(super) fn token(&self, wish: &Wish, now: SystemTime) -> Option<String> {
        let soon = now + LIFETIME;
        match wish {
            Wish::Good(claims) => self.sign(&until(claims, soon)),
            Wish::Expired(claims) => self.sign(&until(claims, now - LIFETIME)),
            Wish::Rewritten(signed, said) => {
                let token = self.sign(&until(signed, soon))?;
                let (header, rest) = token.split_once('.')?;
                let (_, signature) = rest.split_once('.')?;
                Some(format!("{header}.{}.{signature}", encode(&until(said, soon))))
            }
            Wish::Unsigned(claims) => {
                let header = encode(&json!({ "alg": "none", "typ": "JWT" }));
                Some(format!("{header}.{}.", encode(&until(claims, soon))))
            }
        }
    }

    /// The key set.
    pub(super) fn jwks(&self) -> Response<String> {
        text(StatusCode::OK, "application/json", self.jwks.as_str())
    }

    fn sign(&self, claims: &Value) -> Option<String> {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.key).ok()
    }
}

fn until(claims: &Value, time: SystemTime) -> Value {
    let mut claims = claims.clone();
    if let Some(members) = claims.as_object_mut() {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        members.insert("exp".to_owned(), since.as_secs().into());
    }
    claims
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
