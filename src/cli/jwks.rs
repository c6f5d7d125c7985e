//! `janua keys jwks`: one key set to publish, out of keys in PEM, single JWKs and other key sets.
//!
//! Private keys may go in; only public parts come out.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::pkcs8::SubjectPublicKeyInfoRef;
use p256::pkcs8::der::asn1::UintRef;
use p256::pkcs8::der::{Decode, Reader, SliceReader};
use rustls::pki_types::pem::{PemObject, SectionKind};
use serde_json::{Map, Value, json};

use super::keys::write_new;
use crate::authenticate::token::inspect;
use crate::config::public_keys::{MAX_KEY_SET, public_part};
use crate::text::without_mark;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keys in PEM (PKCS#8 or public), a JWK, or a key set; `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where to write the key set; must not exist yet [default: stdout]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  janua keys jwks moodle.pem > jwks.json
  janua keys jwks old.jwks.json new.pem --out jwks.json     both keys, while the issuer changes from one to the other

Of private keys only the public part is written. The same key is written once; a kid is kept.";

type Jwk = Map<String, Value>;

/// Runs the command. Errors: a file without keys, a key that cannot verify tokens, an output that exists.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut set = Vec::new();
    for path in &args.files {
        let context = || path.display().to_string();
        for (number, jwk) in (1..).zip(keys_of(path).with_context(context)?) {
            add(&mut set, jwk).with_context(|| format!("{}: key {number} is of no use", path.display()))?;
        }
    }
    let keys: Vec<&Jwk> = set.iter().map(|(_, jwk)| jwk).collect();
    let text = format!("{:#}\n", json!({ "keys": keys }));
    match &args.out {
        Some(path) => write_new(path, 0o644, text.as_bytes())?,
        None => super::put(&text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds a key to those that are there, known by their thumbprints. The same key under two names stays twice: tokens
/// may name either.
fn add(set: &mut Vec<(String, Jwk)>, jwk: Jwk) -> anyhow::Result<()> {
    let thumbprint = inspect::thumbprint(&jwk).map_err(anyhow::Error::msg)?;
    let same = |(known, other): &&mut (String, Jwk)| {
        let names = (other.get("kid"), jwk.get("kid"));
        *known == thumbprint && (names.0.is_none() || names.1.is_none() || names.0 == names.1)
    };
    match set.iter_mut().find(same) {
        Some((_, known)) => {
            if let (None, Some(kid)) = (known.get("kid"), jwk.get("kid")) {
                known.insert("kid".to_owned(), kid.clone());
            }
        }
        None => set.push((thumbprint, jwk)),
    }
    Ok(())
}

/// The public parts of all keys in a file.
fn keys_of(path: &Path) -> anyhow::Result<Vec<Jwk>> {
    let text = read(path)?;
    let text = without_mark(&text);
    let keys = match text.trim_ascii_start().first() {
        Some(b'{') => from_json(text)?,
        _ => from_pem(text)?,
    };
    if keys.is_empty() {
        bail!("there is no key in it: expected PEM (\"PRIVATE KEY\", \"PUBLIC KEY\"), a JWK or a key set");
    }
    Ok(keys)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    super::open(path)?.take(MAX_KEY_SET as u64 + 1).read_to_end(&mut text)?;
    if text.len() > MAX_KEY_SET {
        bail!("it is larger than {MAX_KEY_SET} bytes");
    }
    Ok(text)
}

fn from_json(text: &[u8]) -> anyhow::Result<Vec<Jwk>> {
    let value: Jwk = serde_json::from_slice(text).context("it is no JSON")?;
    match value.get("keys") {
        None => Ok(vec![public_part(&value)]),
        Some(Value::Array(keys)) => {
            let keys = keys.iter().map(|key| key.as_object().map(public_part));
            keys.collect::<Option<_>>().context("a key of the set is no object")
        }
        Some(_) => bail!("its \"keys\" is no array"),
    }
}

fn from_pem(text: &[u8]) -> anyhow::Result<Vec<Jwk>> {
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(|_| anyhow::anyhow!("it is neither JSON nor PEM"))?;
        match kind {
            SectionKind::PublicKey => keys.push(from_spki(&der)?),
            SectionKind::PrivateKey | SectionKind::EcPrivateKey => keys.push(from_spki(&public_of(&der)?)?),
            SectionKind::RsaPrivateKey => {
                bail!("this private key is not in PKCS#8: convert it with `openssl pkcs8 -topk8 -nocrypt -in FILE`")
            }
            _ => {}
        }
    }
    Ok(keys)
}

/// The public part of a private key in PKCS#8 (RFC 5958) or, of an elliptic curve, SEC 1 (RFC 5915), as a SubjectPublicKeyInfo.
fn public_of(private: &[u8]) -> anyhow::Result<Vec<u8>> {
    for curve in [
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        &ECDSA_P384_SHA384_FIXED_SIGNING,
        &ECDSA_P521_SHA512_FIXED_SIGNING,
    ] {
        if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, private) {
            return der(pair.public_key());
        }
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(private) {
        return der(pair.public_key());
    }
    match RsaKeyPair::from_pkcs8(private) {
        Ok(pair) => der(pair.public_key()),
        Err(_) => bail!("this private key is of no known kind: P-256, P-384, P-521, Ed25519, or RSA from 2048 bits"),
    }
}

fn der(key: &impl AsDer<PublicKeyX509Der<'static>>) -> anyhow::Result<Vec<u8>> {
    let der = key
        .as_der()
        .map_err(|_| anyhow::anyhow!("its public part cannot be had"))?;
    Ok(der.as_ref().to_vec())
}

/// A SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7; RFC 5480, 8410, 8017) as a JWK.
fn from_spki(der: &[u8]) -> anyhow::Result<Jwk> {
    let broken = || anyhow::anyhow!("this public key is broken");
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| broken())?;
    let key = info.subject_public_key.as_bytes().ok_or_else(broken)?;
    let algorithm = info.algorithm.oid.to_string();
    let curve = info.algorithm.parameters_oid().map(|oid| oid.to_string()).ok();
    let jwk = match (algorithm.as_str(), curve.as_deref()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => elliptic(key, "P-256", "ES256"),
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => elliptic(key, "P-384", "ES384"),
        ("1.2.840.10045.2.1", Some("1.3.132.0.35")) => elliptic(key, "P-521", "ES512"),
        ("1.3.101.112", _) => json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": URL_SAFE_NO_PAD.encode(key),
        }),
        ("1.2.840.113549.1.1.1", _) => {
            let (modulus, exponent) = rsa(key).ok_or_else(broken)?;
            // No alg: the same key makes RS256, PS512 and all between them.
            json!({
                "kty": "RSA", "use": "sig",
                "n": URL_SAFE_NO_PAD.encode(modulus.as_bytes()), "e": URL_SAFE_NO_PAD.encode(exponent.as_bytes()),
            })
        }
        _ => bail!("this public key is of no known kind: P-256, P-384, P-521, Ed25519 or RSA"),
    };
    jwk.as_object().cloned().ok_or_else(broken)
}

/// An uncompressed point (SEC 1 section 2.3.3): the byte 4, then x and y. Any other is refused with the thumbprint.
pub(super) fn elliptic(point: &[u8], curve: &str, algorithm: &str) -> Value {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    json!({
        "kty": "EC", "crv": curve, "use": "sig", "alg": algorithm,
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    })
}

/// Modulus and exponent (RFC 8017 appendix A.1.1).
fn rsa(key: &[u8]) -> Option<(UintRef<'_>, UintRef<'_>)> {
    let mut reader = SliceReader::new(key).ok()?;
    let numbers = reader
        .sequence(|numbers| Ok::<_, p256::pkcs8::der::Error>((UintRef::decode(numbers)?, UintRef::decode(numbers)?)));
    numbers.ok()
}
