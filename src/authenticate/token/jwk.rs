//! Public keys as issuers publish them (RFC 7517, 7518 section 6, RFC 8037): which of them may verify a token.
//!
//! Everything about a key is checked here, once, when it is loaded: what becomes a [`Key`] is a point on its curve or a
//! modulus of fit size, meant for signatures. Which key a token is tried with is decided in `keyring`.

use aws_lc_rs::error::KeyRejected;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::header::by_name;
use super::json;
use crate::config::Algorithm;
use crate::digest::sha256;

/// A public key that may verify tokens.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) kid: Option<String>,
    /// RFC 7638, SHA-256: tells equal keys under different names.
    pub(super) thumbprint: [u8; 32],
    /// What the key may be used for, made ready; one, or all of RSA for an RSA key that does not say which.
    verifying: Vec<(Algorithm, ParsedPublicKey)>,
}

/// Equal in everything a token can notice.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        (&self.kid, self.thumbprint) == (&other.kid, other.thumbprint) && self.algorithms().eq(other.algorithms())
    }
}

impl Key {
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.verifying(algorithm).is_some()
    }

    /// The key as it verifies signatures of this algorithm, if it may.
    pub(super) fn verifying(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        let mut uses = self.verifying.iter();
        uses.find_map(|(permitted, key)| (*permitted == algorithm).then_some(key))
    }

    fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifying.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Why none of these algorithms is one of the key's, in one line; `None`: one is.
    fn unpermitted(&self, permitted: &[Algorithm]) -> Option<String> {
        let is_permitted = |algorithm| permitted.contains(&algorithm);
        (!self.algorithms().any(is_permitted)).then(|| {
            let names: Vec<String> = self.algorithms().map(|one| format!("{:?}", one.name())).collect();
            let names = names.join(" or ");
            format!("{}: `jwt.algorithms` does not name {names}", self.describe())
        })
    }

    /// For people: `ES256 kid "a"`; `RSA kid "a"` of a key that does not say which algorithm of RSA it is for.
    pub(super) fn describe(&self) -> String {
        let mut algorithms = self.algorithms().map(Algorithm::name);
        let name = match (algorithms.next(), algorithms.next()) {
            (Some(only), None) => only,
            _ => "RSA",
        };
        let kid = self
            .kid
            .as_ref()
            .map_or("without kid".to_owned(), |kid| format!("kid {kid:?}"));
        format!("{name} {kid}")
    }
}

/// The keys of one issuer.
#[derive(Clone, Default)]
pub(super) struct KeySet {
    /// Never empty when it comes from [`KeySet::parse`].
    pub(super) keys: Vec<Key>,
    /// Why other keys of the set are not used, one line each.
    pub(super) refused: Vec<String>,
}

/// Why a document gives no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("it is no key set: {0}")]
    Malformed(String),
    /// Says itself what it is in place of a key set.
    #[error("{0}")]
    Other(&'static str),
    #[error("it holds no key that can verify tokens{}", list(.0))]
    NoUsableKey(Vec<String>),
}

fn list(refused: &[String]) -> String {
    if refused.is_empty() {
        String::new()
    } else {
        format!(" ({})", refused.join("; "))
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 section 5). Size is bounded by the caller. One odd key does not spoil the others; a set
    /// without a usable one is an error.
    pub(super) fn parse(text: &[u8]) -> Result<Self, KeySetError> {
        let members = json::parse_list(text).map_err(|error| match pem(text) {
            Some(what) => KeySetError::Other(what),
            None if error.is_data() => KeySetError::Malformed(error.to_string()),
            None => KeySetError::Malformed(format!("no JSON (line {}, column {})", error.line(), error.column())),
        })?;
        let Some(entries) = members.get("keys").and_then(json::list) else {
            return Err(match members.contains_key("kty") {
                true if members.contains_key("d") => KeySetError::Other(PRIVATE),
                true => KeySetError::Other("it is a single key; `janua keys jwks FILE` makes a key set of it"),
                false => KeySetError::Malformed("no array \"keys\" in it".to_owned()),
            });
        };
        let mut set = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            let read = entry.as_object().ok_or("no object").and_then(key);
            match read {
                Ok(key) => set.keys.push(key),
                Err(why) => {
                    let kid = entry.get("kid").and_then(json::text);
                    let name = kid.map_or(String::new(), |kid| format!(", kid {kid:?}"));
                    set.refused.push(format!("key {}{name}: {why}", place + 1));
                }
            }
        }
        if set.keys.is_empty() {
            return Err(KeySetError::NoUsableKey(set.refused));
        }
        Ok(set)
    }

    /// The keys that may verify tokens where these algorithms are permitted, and why the others are not used.
    pub(super) fn told(&self, permitted: &[Algorithm]) -> (Vec<String>, Vec<String>) {
        let (mut usable, mut refused) = (Vec::new(), self.refused.clone());
        for key in &self.keys {
            match key.unpermitted(permitted) {
                None => usable.push(key.describe()),
                Some(why) => refused.push(why),
            }
        }
        (usable, refused)
    }
}

const PRIVATE: &str = "it is a private key: whoever reads this file can make tokens. Keep it at the issuer, and name a key set of \
     its public part, which `janua keys jwks FILE` makes";

/// What a PEM file that was named for a key set is, and what to do.
fn pem(text: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(text);
    let (_, label) = text.split_once("-----BEGIN ")?;
    let (label, _) = label.split_once("-----")?;
    Some(match label {
        label if label.ends_with("PRIVATE KEY") => PRIVATE,
        "CERTIFICATE" => {
            "it is a certificate (PEM); `openssl x509 -pubkey -noout` tells its key, of which `janua keys jwks FILE` makes a key set"
        }
        _ => "it is a PEM file; `janua keys jwks FILE` makes a key set of it",
    })
}

type Members = Map<String, Value>;

const NO_POINT: &str = "no point on its curve";

pub(super) fn key(jwk: &Members) -> Result<Key, &'static str> {
    let kty = text(jwk, "kty")?.ok_or("no kty")?;
    if kty == "oct" {
        return Err("a shared secret (oct) verifies nothing here");
    }
    // Whoever can read the set could sign tokens with it: they would prove nothing.
    if ["d", "p", "q", "dp", "dq", "qi", "oth"]
        .iter()
        .any(|part| present(jwk, part).is_some())
    {
        return Err("this is a private key: publish the public part of a new one");
    }
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("not for signatures (use)");
    }
    let operations = present(jwk, "key_ops").map(|all| json::list(all).unwrap_or_default());
    if operations.is_some_and(|all| !all.into_iter().any(|one| one == "verify")) {
        return Err("not for verifying (key_ops)");
    }
    // Thumbprints are made of the members in the one spelling that RFC 7518 allows: equal keys have equal text, and nothing
    // needs escaping.
    let (thumbprint, mut verifying) = match kty {
        "EC" => elliptic(jwk)?,
        "OKP" => edwards(jwk)?,
        "RSA" => rsa(jwk)?,
        _ => return Err("an unknown kind of key (kty)"),
    };
    // RFC 7517 section 4.4: the one algorithm that the key is meant for.
    if let Some(alg) = text(jwk, "alg")? {
        let named = by_name(alg);
        verifying.retain(|(algorithm, _)| Some(*algorithm) == named);
        if verifying.is_empty() {
            return Err("its alg is unknown here or does not fit the key");
        }
    }
    Ok(Key {
        kid: kid(jwk).map_err(|_| "kid is no text")?,
        thumbprint,
        verifying,
    })
}

/// A thumbprint, and the key for each algorithm that it fits.
type Material = ([u8; 32], Vec<(Algorithm, ParsedPublicKey)>);

fn elliptic(jwk: &Members) -> Result<Material, &'static str> {
    let crv = needed(jwk, "crv")?;
    let (size, algorithm, verification) = match crv {
        "P-256" => (32, Algorithm::Es256, &ECDSA_P256_SHA256_FIXED),
        "P-384" => (48, Algorithm::Es384, &ECDSA_P384_SHA384_FIXED),
        // 521 bits are 66 octets (RFC 7518 section 3.4).
        "P-521" => (66, Algorithm::Es512, &ECDSA_P521_SHA512_FIXED),
        _ => return Err("an unknown curve (crv)"),
    };
    let (x, y) = (coordinate(jwk, "x", size)?, coordinate(jwk, "y", size)?);
    let mut point = vec![4]; // uncompressed (SEC 1 section 2.3.3)
    point.extend(x.iter().chain(&y));
    let verifying = ParsedPublicKey::new(verification, &point).map_err(|_| NO_POINT)?;
    let (x, y) = (encoded(&x), encoded(&y));
    let print = sha256(format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#).as_bytes());
    Ok((print, vec![(algorithm, verifying)]))
}

/// A coordinate in the full size of its curve (RFC 7518 section 6.2.1.2). It is a number: some libraries leave its
/// leading zeros out (PHP's openssl, Keycloak before 20), others write one before it, as DER does.
fn coordinate(jwk: &Members, name: &str, size: usize) -> Result<Vec<u8>, &'static str> {
    let bytes = decoded(needed(jwk, name)?)?;
    let number = without_zeros(&bytes);
    if bytes.is_empty() || number.len() > size {
        return Err("a coordinate of the wrong length");
    }
    let mut full = vec![0; size - number.len()];
    full.extend(number);
    Ok(full)
}

fn edwards(jwk: &Members) -> Result<Material, &'static str> {
    if needed(jwk, "crv")? != "Ed25519" {
        return Err("an unknown curve (crv)");
    }
    // Not a number but a string of octets (RFC 8037 section 2): its length is fixed.
    let point = decoded(needed(jwk, "x")?)?;
    let verifying = ParsedPublicKey::new(&ED25519, &point).map_err(|_| NO_POINT)?;
    let x = encoded(&point);
    let print = sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes());
    Ok((print, vec![(Algorithm::EdDsa, verifying)]))
}

fn rsa(jwk: &Members) -> Result<Material, &'static str> {
    let (modulus, exponent) = (decoded(needed(jwk, "n")?)?, decoded(needed(jwk, "e")?)?);
    // RFC 7518 section 2 wants no leading zero octets; DER, from which many take the number, has one.
    let (modulus, exponent) = (without_zeros(&modulus), without_zeros(&exponent));
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("a modulus outside 2048 to 8192 bits");
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    let exponent_fits = odd(exponent) && (1..=4).contains(&exponent.len()) && exponent != [1];
    if !odd(modulus) || !exponent_fits {
        return Err("a modulus or exponent that no RSA key has");
    }
    let (n, e) = (encoded(modulus), encoded(exponent));
    let print = sha256(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#).as_bytes());
    let key = RsaPublicKeyComponents {
        n: modulus,
        e: exponent,
    };
    let verifying = [
        (Algorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256),
        (Algorithm::Rs384, &RSA_PKCS1_2048_8192_SHA384),
        (Algorithm::Rs512, &RSA_PKCS1_2048_8192_SHA512),
        (Algorithm::Ps256, &RSA_PSS_2048_8192_SHA256),
        (Algorithm::Ps384, &RSA_PSS_2048_8192_SHA384),
        (Algorithm::Ps512, &RSA_PSS_2048_8192_SHA512),
    ]
    .map(|(algorithm, padding)| Ok((algorithm, key.to_parsed_public_key(padding)?)));
    let verifying = verifying.into_iter().collect::<Result<_, KeyRejected>>();
    Ok((
        print,
        verifying.map_err(|_| "a modulus or exponent that no RSA key has")?,
    ))
}

/// The name of a key, in a key set or in the header of a token.
pub(super) fn kid(members: &Members) -> Result<Option<String>, NoText> {
    present(members, "kid")
        .map(|kid| json::text(kid).ok_or(NoText))
        .transpose()
}

#[derive(Debug)]
pub(super) struct NoText;

/// A member that is set: an empty text is none either.
fn present<'a>(jwk: &'a Members, name: &str) -> Option<&'a Value> {
    json::set(jwk, name).filter(|value| *value != "")
}

fn text<'a>(jwk: &'a Members, name: &str) -> Result<Option<&'a str>, &'static str> {
    match present(jwk, name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member that must be a string is none"),
    }
}

fn needed<'a>(jwk: &'a Members, name: &str) -> Result<&'a str, &'static str> {
    text(jwk, name)?.ok_or("a part of the key is missing")
}

/// base64url, as RFC 7515 section 2 says; or with padding, with line breaks, or in the other alphabet of base64 (PHP's
/// `base64_encode`), all of which Opencast reads too.
fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    let bytes = text.trim_ascii_end().trim_end_matches('=').bytes();
    let url_safe = bytes.filter(|byte| !byte.is_ascii_whitespace()).map(|byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => other,
    });
    URL_SAFE_NO_PAD
        .decode(url_safe.collect::<Vec<_>>())
        .map_err(|_| "a part of the key is no base64url")
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{p256_jwk, rsa_jwk};
    use super::*;

    /// RFC 8037 appendix A.2 and A.3.
    const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn refusal(jwk: &Value) -> &'static str {
        key(jwk.as_object().unwrap()).err().unwrap_or("none")
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    #[test]
    fn thumbprints_are_those_of_the_rfcs() {
        let ed = key(json!({"kty":"OKP","crv":"Ed25519","x":ED25519_X}).as_object().unwrap())
            .ok()
            .unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(ed.thumbprint),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
        assert!(ed.fits(Algorithm::EdDsa) && !ed.fits(Algorithm::Es256));
        let rsa = key(rsa_jwk().as_object().unwrap()).ok().unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.encode(rsa.thumbprint),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }

    #[test]
    fn what_a_key_says_of_itself_must_fit() {
        let good = p256_jwk();
        for member in [
            json!({"use":"sig"}),
            json!({"key_ops":["verify"]}),
            json!({"key_ops":"verify"}),
            json!({"key_ops":{"1":"sign","3":"verify"}}),
            json!({"alg":"ES256"}),
            json!({"x5c":["?"]}),
        ] {
            let (name, value) = member.as_object().unwrap().iter().next().unwrap();
            assert_eq!(refusal(&with(good.clone(), name, value.clone())), "none");
        }
        for (name, value) in [
            ("kty", json!("oct")),
            ("kty", json!("AKP")),
            ("kty", json!("OKP")),
            ("crv", json!("P-384")),
            ("crv", json!("secp256k1")),
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("key_ops", json!("sign")),
            ("key_ops", json!(7)),
            ("alg", json!("ES384")),
            ("alg", json!("HS256")),
            ("alg", json!(7)),
            ("kid", json!(1.5)),
            ("kid", json!(["a"])),
            ("d", json!("AAAA")),
            ("x", good["y"].clone()),
            ("x", json!("AAAA")),
            ("x", json!(null)),
            ("x", json!("")),
            ("y", json!(format!("{}A", good["y"].as_str().unwrap()))),
            ("y", json!(good["y"].as_str().unwrap().replace(['-', '_'], "/") + "+")),
        ] {
            assert_ne!(
                refusal(&with(good.clone(), name, value.clone())),
                "none",
                "{name}: {value}"
            );
        }
        assert_ne!(refusal(&json!({"kty":"oct","k":"c2VjcmV0"})), "none");
        assert_ne!(refusal(&json!({"kty":"OKP","crv":"X25519","x":ED25519_X})), "none");
        assert_ne!(refusal(&json!({"kty":"OKP","crv":"Ed25519","x":"AAAA"})), "none");
        // RFC 9864 section 2.2.
        for alg in ["EdDSA", "Ed25519"] {
            let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519_X, "alg": alg });
            assert_eq!(refusal(&jwk), "none", "{alg}");
        }
    }

    #[test]
    fn rsa_keys_have_a_fit_size() {
        let good = rsa_jwk();
        let of = |alg: &str| key(with(good.clone(), "alg", json!(alg)).as_object().unwrap());
        assert!(of("PS256").is_ok_and(|key| key.fits(Algorithm::Ps256) && !key.fits(Algorithm::Rs256)));
        assert!(of("RS512").is_ok_and(|key| key.fits(Algorithm::Rs512) && !key.fits(Algorithm::Rs256)));
        assert!(of("RS1").is_err() && of("ES256").is_err());
        assert!(key(good.as_object().unwrap()).is_ok_and(|key| key.describe() == "RSA without kid"));
        for bytes in [128, 255, 1025] {
            let n = URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
            assert!(refusal(&with(good.clone(), "n", json!(n))).contains("bits"), "{bytes}");
        }
        for e in ["AQ", "AA", "Ag", "", "AAAAAQ", "AQAAAAAB"] {
            assert_ne!(refusal(&with(good.clone(), "e", json!(e))), "none", "{e}");
        }
    }

    #[test]
    fn one_odd_key_does_not_spoil_the_set() {
        let set = json!({"keys":[{"kty":"oct","k":"AA","kid":"shared"}, 7, p256_jwk(), {"kty":"new"}],"more":{}});
        let set = KeySet::parse(set.to_string().as_bytes()).ok().unwrap();
        assert_eq!(set.keys.len(), 1);
        assert_eq!(set.refused.len(), 3);
        assert!(set.refused[0].starts_with("key 1, kid \"shared\": "));
        let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
        let text = format!(
            r#"{{"meta":{{"a":1,"a":2}},"more":{nested},"keys":[{{"kty":"RSA","kty":"RSA"}},{{"x5c":{nested}}},{}]}}"#,
            p256_jwk()
        );
        let set = KeySet::parse(text.as_bytes()).ok().unwrap();
        assert_eq!((set.keys.len(), set.refused.len()), (1, 2));
    }

    #[test]
    fn an_array_with_gaps_of_php_is_a_list_of_keys() {
        let set = json!({ "keys": { "1": p256_jwk(), "3": rsa_jwk() } }).to_string();
        assert_eq!(KeySet::parse(set.as_bytes()).ok().unwrap().keys.len(), 2);
    }

    #[test]
    fn a_number_is_a_name() {
        let named = key(with(p256_jwk(), "kid", json!(5)).as_object().unwrap());
        assert_eq!(named.ok().unwrap().kid.as_deref(), Some("5"));
    }

    #[test]
    fn every_spelling_of_base64_is_read() {
        use base64::engine::general_purpose::STANDARD;
        for (good, names) in [(p256_jwk(), ["x", "y"]), (rsa_jwk(), ["n", "e"])] {
            let mut other = good.clone();
            for name in names {
                let standard = STANDARD.encode(URL_SAFE_NO_PAD.decode(good[name].as_str().unwrap()).unwrap());
                let (begin, end) = standard.split_at(3);
                other[name] = json!(format!(" {begin}\r\n{end}\n"));
            }
            assert_eq!(print(&other), print(&good));
        }
    }

    #[test]
    fn a_set_without_a_usable_key_is_none() {
        let parse = |text: &str| KeySet::parse(text.as_bytes()).err().unwrap();
        assert!(matches!(parse(r#"{"keys":[]}"#), KeySetError::NoUsableKey(_)));
        assert!(matches!(
            parse(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#),
            KeySetError::NoUsableKey(_)
        ));
        assert!(matches!(parse(r#"{"keys":{}}"#), KeySetError::NoUsableKey(_)));
        assert!(matches!(parse(r#"{"keys":{"a":{}}}"#), KeySetError::Malformed(_)));
        assert!(matches!(parse("<html>"), KeySetError::Malformed(_)));
        assert!(matches!(parse(&p256_jwk().to_string()), KeySetError::Other(_)));
    }

    /// A key whose coordinate begins with a zero, which one in 256 has.
    fn with_leading_zero(name: &str) -> Value {
        loop {
            let jwk = p256_jwk();
            if URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()[0] == 0 {
                return jwk;
            }
        }
    }

    fn print(jwk: &Value) -> [u8; 32] {
        key(jwk.as_object().unwrap()).ok().unwrap().thumbprint
    }

    #[test]
    fn a_number_may_lack_leading_zeros_or_have_more() {
        for name in ["x", "y"] {
            let good = with_leading_zero(name);
            let full = URL_SAFE_NO_PAD.decode(good[name].as_str().unwrap()).unwrap();
            let short = without_zeros(&full).to_vec();
            let long = [&[0, 0], full.as_slice()].concat();
            for other in [short, long] {
                let other = with(good.clone(), name, json!(URL_SAFE_NO_PAD.encode(other)));
                assert_eq!(print(&other), print(&good), "{name}: the same key");
            }
        }
        let good = rsa_jwk();
        for name in ["n", "e"] {
            let number = URL_SAFE_NO_PAD.decode(good[name].as_str().unwrap()).unwrap();
            let long = URL_SAFE_NO_PAD.encode([&[0], number.as_slice()].concat());
            assert_eq!(print(&with(good.clone(), name, json!(long))), print(&good), "{name}");
        }
    }

    #[test]
    fn padding_is_passed_over() {
        for (good, names) in [(p256_jwk(), ["x", "y"]), (rsa_jwk(), ["n", "e"])] {
            let mut padded = good.clone();
            for name in names {
                padded[name] = json!(format!("{}==", good[name].as_str().unwrap()));
            }
            assert_eq!(print(&padded), print(&good));
        }
    }

    #[test]
    fn a_member_that_is_null_is_not_set() {
        let good = p256_jwk();
        let mut nulls = good.clone();
        for name in ["kid", "use", "alg", "key_ops", "x5c", "d", "p", "k"] {
            nulls[name] = json!(null);
        }
        for (name, value) in [
            ("use", json!("")),
            ("alg", json!("")),
            ("d", json!("")),
            ("key_ops", json!([])),
            ("kid", json!(false)),
        ] {
            assert_eq!(refusal(&with(good.clone(), name, value)), "none", "{name}");
        }
        let set = json!({ "keys": [nulls] }).to_string();
        let set = KeySet::parse(set.as_bytes()).ok().unwrap();
        assert_eq!((set.keys[0].thumbprint, &set.keys[0].kid), (print(&good), &None));
        let nameless = key(with(good, "kid", json!("")).as_object().unwrap());
        assert_eq!(nameless.ok().unwrap().kid, None);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        let set = format!("\u{feff}{}", json!({ "keys": [p256_jwk()] }));
        assert!(KeySet::parse(set.as_bytes()).is_ok());
    }

    #[test]
    fn every_key_of_a_set_is_read() {
        let set = json!({"keys": vec![p256_jwk(); 200]});
        let set = KeySet::parse(set.to_string().as_bytes()).ok().unwrap();
        assert_eq!((set.keys.len(), set.refused.len()), (200, 0));
    }
}
