//! The key by which the gateway proves to an authorization server which client it is, without a secret that both know
//! (`private_key_jwt`: OIDC Core 1.0 section 9, RFC 7523 section 2.2).
//!
//! The server has the public part alone. Nothing of the private part is ever printed.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::{Value, json};
use thiserror::Error;
use url::Url;

use crate::config::ClientKey as Configured;
use crate::text::without_mark;
use crate::time::unix_seconds;

/// Bytes of a key file.
const LONGEST: u64 = 64 << 10;

/// Seconds for which an assertion is good. Keycloak takes none that is older, whatever its `exp` says.
const LIFE: u64 = 60;

/// What `client_assertion_type` says (RFC 7523 section 2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Why a file is no key for this. The text begins with the file and has a remedy; it never quotes what stands there.
#[derive(Debug, Error)]
pub enum ClientKeyError {
    #[error("{path} cannot be read ({source}): let the gateway's user read it, or name another file")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path} is no regular file: name one with the private key in PEM")]
    Irregular { path: PathBuf },
    #[error(
        "{path} holds no private key as PKCS#8 in PEM: `openssl pkcs8 -topk8 -nocrypt` makes that of another key, and \
         `janua keys new` makes a new one"
    )]
    NoKey { path: PathBuf },
    #[error("{path} holds several private keys: leave the one that counts")]
    Several { path: PathBuf },
    #[error(
        "{path} holds no RSA key of 2048 to 8192 bits as PKCS#8 in PEM: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048` \
         makes one"
    )]
    NoRsa { path: PathBuf },
    #[error("the key in {path} is of no kind that is used: P-256, P-384, Ed25519, or RSA from 2048 bits")]
    Kind { path: PathBuf },
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key, ready to sign.
pub struct ClientKey {
    pair: Pair,
    alg: &'static str,
    /// `client_key_id`.
    id: Option<String>,
}

impl ClientKey {
    /// Reads the file: one private key, PKCS#8 or SEC 1 in PEM.
    pub fn load(configured: &Configured) -> Result<Self, ClientKeyError> {
        let path = configured.file.as_path();
        let der = private_key(path)?;
        let (pair, alg) = pair(&der).ok_or_else(|| ClientKeyError::Kind { path: path.to_owned() })?;
        Ok(Self {
            pair,
            alg,
            id: configured.id.clone(),
        })
    }

    /// The same of a key of RSA, where the other side knows no other kind.
    pub fn load_rsa(configured: &Configured) -> Result<Self, ClientKeyError> {
        let key = Self::load(configured)?;
        match key.pair {
            Pair::Rsa(_) => Ok(key),
            Pair::Ecdsa(_) | Pair::Ed25519(_) => Err(ClientKeyError::NoRsa {
                path: configured.file.clone(),
            }),
        }
    }

    /// The public part (RFC 7517): what is registered at the server.
    pub fn jwk(&self) -> Value {
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Ecdsa(pair) => {
                // Uncompressed (SEC 1 section 2.3.3): the byte 4, then x and y.
                let coordinates = pair.public_key().as_ref().get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                let curve = if x.len() == 32 { "P-256" } else { "P-384" };
                json!({ "kty": "EC", "crv": curve, "x": encoded(x), "y": encoded(y) })
            }
            Pair::Ed25519(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encoded(pair.public_key().as_ref()) })
            }
            Pair::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": encoded(n), "e": encoded(e) })
            }
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("use".to_owned(), "sig".into());
            members.insert("alg".to_owned(), self.alg.into());
            members.extend(self.id.as_ref().map(|id| ("kid".to_owned(), id.as_str().into())));
        }
        jwk
    }

    /// The fields of a form that prove to the endpoint which client it is (RFC 7523 sections 2.2 and 3), good for one use.
    ///
    /// The audience is the address of the endpoint alone: it is the value that Keycloak, CAS and oidc-provider all take (CAS no
    /// other, Keycloak from 26.2 on no list). What it is sent to and whom it is for are one, so that no server can use
    /// it at another.
    ///
    /// Error: there is no randomness, or no signature.
    pub fn fields(&self, client_id: &str, endpoint: &Url, now: SystemTime) -> io::Result<[(&'static str, String); 2]> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let now = unix_seconds(now);
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": endpoint.as_str(), "jti": URL_SAFE_NO_PAD.encode(random),
            "iat": now, "exp": now + LIFE,
        });
        let assertion = self.signed(&claims)?;
        Ok([
            ("client_assertion_type", ASSERTION_TYPE.to_owned()),
            ("client_assertion", assertion),
        ])
    }

    /// RFC 7515 section 3.1.
    pub fn signed(&self, claims: &Value) -> io::Result<String> {
        let mut header = json!({ "typ": "JWT", "alg": self.alg });
        if let (Some(id), Some(members)) = (&self.id, header.as_object_mut()) {
            members.insert("kid".to_owned(), id.as_str().into());
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(claims));
        let signature = self.signature(message.as_bytes());
        let signature = signature.map_err(|_| io::Error::other("no signature could be made"))?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                Ok(signature)
            }
        }
    }
}

/// The only private key in a file, as PKCS#8 or, of an elliptic curve, SEC 1 (RFC 5915).
pub fn private_key(path: &Path) -> Result<Vec<u8>, ClientKeyError> {
    let at = || path.to_owned();
    let unreadable = |source| ClientKeyError::Unreadable { path: at(), source };
    // A FIFO would be waited for.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(ClientKeyError::Irregular { path: at() });
    }
    let mut text = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(LONGEST).read_to_end(&mut text).map_err(unreadable)?;
    let mut found = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(without_mark(&text)) {
        match section {
            Ok((SectionKind::PrivateKey | SectionKind::EcPrivateKey, _)) if found.is_some() => {
                return Err(ClientKeyError::Several { path: at() });
            }
            Ok((SectionKind::PrivateKey | SectionKind::EcPrivateKey, der)) => found = Some(der),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    found.ok_or_else(|| ClientKeyError::NoKey { path: at() })
}

/// The key, and the one algorithm that it signs by: of RSA's, the one that every server takes.
fn pair(der: &[u8]) -> Option<(Pair, &'static str)> {
    let ecdsa = |curve, alg| Some((Pair::Ecdsa(EcdsaKeyPair::from_private_key_der(curve, der).ok()?), alg));
    let ed25519 = || {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
        Some((Pair::Ed25519(pair), "EdDSA"))
    };
    let rsa = || Some((Pair::Rsa(RsaKeyPair::from_pkcs8(der).ok()?), "RS256"));
    ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, "ES256")
        .or_else(|| ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, "ES384"))
        .or_else(ed25519)
        .or_else(rsa)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, ED25519,
        RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
    };
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = text
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\n")
        )
    }

    fn ec(curve: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> String {
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

    fn loaded(text: &str, id: Option<&str>) -> Result<ClientKey, ClientKeyError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        fs::write(&file, text).unwrap();
        ClientKey::load(&Configured {
            file,
            id: id.map(str::to_owned),
        })
    }

    fn decoded(jwk: &Value, name: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
    }

    fn verifies(jwk: &Value, message: &[u8], signature: &[u8]) -> bool {
        let point = || [&[4][..], &decoded(jwk, "x"), &decoded(jwk, "y")].concat();
        match jwk["alg"].as_str().unwrap() {
            "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point()).verify(message, signature),
            "ES384" => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point()).verify(message, signature),
            "EdDSA" => UnparsedPublicKey::new(&ED25519, decoded(jwk, "x")).verify(message, signature),
            _ => {
                let (n, e) = (decoded(jwk, "n"), decoded(jwk, "e"));
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        }
        .is_ok()
    }

    #[test]
    fn an_assertion_is_signed_by_the_key_whose_public_part_is_told() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let endpoint = Url::parse("https://idp.example.edu/token").unwrap();
        for (text, alg) in [
            (ec(&ECDSA_P256_SHA256_FIXED_SIGNING), "ES256"),
            (ec(&ECDSA_P384_SHA384_FIXED_SIGNING), "ES384"),
            (ed25519(), "EdDSA"),
            (rsa(), "RS256"),
        ] {
            let key = loaded(&format!("\u{feff}{text}"), None).unwrap();
            let jwk = key.jwk();
            assert_eq!(
                (&jwk["alg"], &jwk["use"], jwk.get("kid")),
                (&json!(alg), &json!("sig"), None)
            );
            assert!(["d", "p", "q"].iter().all(|name| jwk.get(name).is_none()), "{alg}");
            let [(type_name, kind), (name, assertion)] = key.fields("janua", &endpoint, now).unwrap();
            assert_eq!(
                (type_name, name, &*kind),
                ("client_assertion_type", "client_assertion", ASSERTION_TYPE)
            );
            let (message, signature) = assertion.rsplit_once('.').unwrap();
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            assert!(verifies(&jwk, message.as_bytes(), &signature), "{alg}");
            assert!(!verifies(&jwk, b"another", &signature), "{alg}");
            let parts: Vec<Value> = message
                .split('.')
                .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
                .collect();
            assert_eq!(parts[0], json!({ "typ": "JWT", "alg": alg }));
            let claims = &parts[1];
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!("janua"), &json!("janua")));
            assert_eq!(claims["aud"], "https://idp.example.edu/token", "a text and no list");
            assert_eq!(
                (&claims["iat"], &claims["exp"]),
                (&json!(1_800_000_000), &json!(1_800_000_060))
            );
            let [_, (_, again)] = key.fields("janua", &endpoint, now).unwrap();
            let claims = |token: &str| token.split('.').nth(1).unwrap().to_owned();
            assert_ne!(claims(&again), claims(&assertion), "each has a jti of its own");
        }
    }

    #[test]
    fn a_key_may_have_a_name() {
        let key = loaded(&ec(&ECDSA_P256_SHA256_FIXED_SIGNING), Some("2026")).unwrap();
        assert_eq!(key.jwk()["kid"], "2026");
        let endpoint = Url::parse("https://idp.example.edu/token").unwrap();
        let [_, (_, assertion)] = key.fields("janua", &endpoint, SystemTime::UNIX_EPOCH).unwrap();
        let header = URL_SAFE_NO_PAD.decode(assertion.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["kid"], "2026");
    }

    #[test]
    fn every_other_file_is_refused_and_told() {
        let good = ec(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let sealed = good.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let small = pem(&[0x30, 0x03, 0x02, 0x01, 0x00]);
        for (text, told) in [
            (String::new(), "holds no private key as PKCS#8"),
            ("secret".to_owned(), "holds no private key as PKCS#8"),
            (sealed, "holds no private key as PKCS#8"),
            (good.replace("PRIVATE", "PUBLIC"), "holds no private key as PKCS#8"),
            (format!("{good}{good}"), "holds several private keys"),
            (small, "of no kind that is used"),
            (ec(&ECDSA_P521_SHA512_FIXED_SIGNING), "of no kind that is used"),
        ] {
            let error = loaded(&text, None).err().unwrap().to_string();
            assert!(error.contains(told), "{error}");
        }
        let file = PathBuf::from("/nowhere/key.pem");
        let missing = ClientKey::load(&Configured { file, id: None });
        assert!(matches!(missing, Err(ClientKeyError::Unreadable { .. })));
        let file = std::env::temp_dir();
        let folder = ClientKey::load(&Configured { file, id: None });
        assert!(matches!(folder, Err(ClientKeyError::Irregular { .. })));
    }
}
