//! The three parts of a token (RFC 7515 section 3.1, compact serialisation) and what its header says.
//!
//! Only `alg`, `kid`, `typ` and `crit` are looked at. A key or an address of one in the header (`jwk`, `jku`, `x5c`, `x5u`) is
//! never used: whoever made the token would choose the key that judges it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{json, jwk};
use crate::config::{Algorithm, Jwt};
use crate::rejection::{Reason, Rejection};

/// A token taken apart, nothing of it verified.
pub(super) struct Parts<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) typ: Option<String>,
    /// What the signature is over: header and claims as they came, with the dot between.
    pub(super) signing_input: &'a str,
    /// Decoded.
    pub(super) signature: Vec<u8>,
    /// The claims, decoded.
    pub(super) claims: Vec<u8>,
}

/// Takes a token apart.
///
/// Errors: `malformed_token` for anything but three strict base64url parts (no padding, no stray bits) with a header
/// object that has a string `alg`, no `crit` and, if any, a `kid` that is a text, a whole number or not set; `algorithm_not_allowed` for an `alg` that is
/// not among those configured: `none`, HMAC and unknown ones never are.
pub(super) fn split<'a>(token: &'a str, config: &Jwt) -> Result<Parts<'a>, Rejection> {
    match too_long(token, config) {
        Some(refusal) => Err(refusal),
        None => split_by(token, &config.algorithms),
    }
}

/// The same of a token of any length, with the algorithms that it may be signed by.
pub(super) fn split_by<'a>(token: &'a str, algorithms: &[Algorithm]) -> Result<Parts<'a>, Rejection> {
    let (signing_input, signature) = token.rsplit_once('.').ok_or_else(|| malformed("no dot"))?;
    let (header, claims) = signing_input.split_once('.').ok_or_else(|| malformed("only one dot"))?;
    if claims.contains('.') {
        return Err(malformed("more than two dots"));
    }
    let header = decode(header, "header")?;
    let claims = decode(claims, "claims")?;
    let signature = decode(signature, "signature")?;
    let header = json::parse_object(&header).map_err(|error| malformed(format!("header: {error}")))?;
    // RFC 7515 section 4.1.11: extensions that are not understood must not be ignored, and none is understood here. Null
    // is what libraries write where nothing is set.
    if header.get("crit").is_some_and(|crit| !crit.is_null()) {
        return Err(malformed("crit in the header"));
    }
    let kid = jwk::kid(&header).map_err(|_| malformed("kid is no text"))?;
    let Some(Value::String(name)) = header.get("alg") else {
        return Err(malformed("no alg in the header"));
    };
    let algorithm = by_name(name)
        .filter(|algorithm| algorithms.contains(algorithm))
        .ok_or(Reason::AlgorithmNotAllowed)?;
    let typ = header.get("typ").and_then(Value::as_str).map(str::to_owned);
    Ok(Parts {
        algorithm,
        kid,
        typ,
        signing_input,
        signature,
        claims,
    })
}

/// Why a token is refused unread.
pub(super) fn too_long(token: &str, config: &Jwt) -> Option<Rejection> {
    let (length, most) = (token.len(), config.max_token);
    (length > most).then(|| malformed(format!("{length} bytes long; `jwt.max_token` allows {most}")))
}

/// The algorithm of that registered name (RFC 7518 section 3.1, RFC 8037 section 3.1).
pub(super) fn by_name(name: &str) -> Option<Algorithm> {
    match name {
        // Since RFC 9864.
        "Ed25519" => Some(Algorithm::EdDsa),
        name => Algorithm::by_name(name),
    }
}

pub(super) fn malformed(detail: impl Into<String>) -> Rejection {
    Rejection::because(Reason::MalformedToken, detail)
}

fn decode(part: &str, what: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| malformed(format!("{what}: no base64url")))
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    const MAX_TOKEN: usize = 16 * 1024;

    fn allowing(algorithms: &[Algorithm]) -> Jwt {
        let mut config = config(Vec::new());
        config.algorithms = algorithms.to_vec();
        config
    }

    fn with_header(header: &str) -> String {
        format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(header))
    }

    fn refusal(token: &str) -> Reason {
        let allowed = allowing(&[Algorithm::Es256, Algorithm::Ps256]);
        split(token, &allowed).err().map(|rejection| rejection.reason).unwrap()
    }

    #[test]
    fn a_token_comes_apart() {
        let token = with_header(r#"{"alg":"ES256","kid":"k","typ":"at+jwt","jku":"https://evil.example","b64":false}"#);
        let parts = split(&token, &allowing(&[Algorithm::Es256])).unwrap();
        assert_eq!(parts.algorithm, Algorithm::Es256);
        assert_eq!(parts.kid.as_deref(), Some("k"));
        assert_eq!(parts.claims, b"{}");
        let signature = URL_SAFE_NO_PAD.encode(&parts.signature);
        assert_eq!(format!("{}.{signature}", parts.signing_input), token);
    }

    #[test]
    fn a_kid_that_names_nothing_is_none() {
        for header in [
            r#"{"alg":"ES256"}"#,
            r#"{"alg":"ES256","kid":null}"#,
            r#"{"alg":"ES256","kid":""}"#,
            r#"{"alg":"ES256","kid":false,"cty":null,"crit":null}"#,
        ] {
            let token = with_header(header);
            assert_eq!(
                split(&token, &allowing(&[Algorithm::Es256])).unwrap().kid,
                None,
                "{header}"
            );
        }
        let numbered = with_header(r#"{"alg":"ES256","kid":7}"#);
        let kid = split(&numbered, &allowing(&[Algorithm::Es256])).unwrap().kid;
        assert_eq!(kid.as_deref(), Some("7"));
    }

    #[test]
    fn everything_else_is_malformed() {
        let good = with_header(r#"{"alg":"ES256"}"#);
        for token in [
            "",
            ".",
            "..",
            "...",
            "a.b",
            &format!("{good}."),
            &format!("{good}.AAAA.AAAA"),
            &format!("{good}="),
            &format!("{good}AB"), // "AAAAAB" leaves bits over that are not zero
            &format!("{good}A/"), // base64, not base64url
            &format!("{good} "),
            &format!("\u{e4}{good}"),
            &good.replace(".e30.", ".e31.."),
            &good.replace(".e30.", ".e31."), // stray bits again
            &with_header(""),
            &with_header("[]"),
            &with_header("{}"),
            &with_header(r#"{"alg":5}"#),
            &with_header(r#"{"alg":"ES256","alg":"ES256"}"#),
            &with_header(r#"{"alg":"ES256","kid":7.5}"#),
            &with_header(r#"{"alg":"ES256","kid":["7"]}"#),
            &with_header(r#"{"alg":"ES256","crit":["zzz"]}"#),
            &with_header(r#"{"alg":"ES256","crit":[]}"#),
            &with_header(r#"{"alg":"none","crit":["b64"]}"#),
            &"A".repeat(MAX_TOKEN + 1),
            &with_header(&format!(
                r#"{{"alg":"ES256","x":{}{}}}"#,
                "[".repeat(4000),
                "]".repeat(4000)
            )),
        ] {
            assert_eq!(refusal(token), Reason::MalformedToken, "{token}");
        }
    }

    #[test]
    fn only_listed_algorithms_pass() {
        for name in [
            "none", "None", "", "HS256", "HS384", "HS512", "ES256K", "ES512", "es256", "ES384", "RS256",
        ] {
            let token = with_header(&format!(r#"{{"alg":"{name}"}}"#));
            assert_eq!(refusal(&token), Reason::AlgorithmNotAllowed, "{name}");
        }
    }
}
