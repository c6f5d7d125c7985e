//! What the claims of an ID token and of a logout token must say, once the signature is good (OIDC Core 1.0 section 3.1.3.7,
//! OIDC Back-Channel Logout 1.0 section 2.6).

use std::time::{Duration, SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::authenticate::oauth::error::words;
use crate::authenticate::token::json;
use crate::authenticate::token::jws::Signed;
use crate::config::{self, Algorithm};
use crate::time::unix_seconds;

/// Longest `sub` (OIDC Core 1.0 section 2).
const LONGEST_SUBJECT: usize = 255;
/// Longest `sid` and `jti` that are looked up.
const LONGEST_NAME: usize = 512;
/// Seconds that a logout token counts which does not say so: Back-Channel Logout 1.0 section 2.4 advises two minutes at most.
const LOGOUT_LIVES: u64 = 120;
/// What a logout token is told by.
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a token whose signature is good is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadToken {
    #[error("it is of another kind ({0})")]
    Kind(String),
    #[error("{0} is missing or has another form than its own")]
    Missing(&'static str),
    #[error("iss is {0:?}: it must be the configured issuer to the letter")]
    Issuer(String),
    #[error("aud does not name this client")]
    Audience,
    #[error("azp names another client")]
    Party,
    #[error("it has expired; does the clock of either machine differ?")]
    Expired,
    #[error("it was made in the future; does the clock of either machine differ?")]
    Future,
    #[error("nonce is not the one that was sent")]
    Nonce,
    #[error("at_hash belongs to another access token")]
    AccessToken,
    #[error("the person has not authenticated anew (auth_time), as `renew` asks for")]
    NotRenewed,
    #[error("acr is none of acr_values")]
    Context,
}

/// What an ID token is held against.
pub(super) struct Expected<'a> {
    pub(super) config: &'a config::Oidc,
    /// Sent with the request for the code.
    pub(super) nonce: &'a str,
    pub(super) access_token: Option<&'a str>,
    /// The sign-in began then, in Unix seconds.
    pub(super) began: u64,
    pub(super) now: SystemTime,
}

/// What of an ID token outlives the sign-in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) sub: String,
    pub(super) sid: Option<String>,
    /// Unix seconds.
    pub(super) issued: u64,
}

/// What a logout token ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logout {
    pub(super) sid: Option<String>,
    pub(super) sub: Option<String>,
    pub(super) jti: String,
    /// Unix seconds.
    pub(super) issued: u64,
    /// Until then the same one could come again.
    pub(super) lives: Duration,
}

/// Who an ID token is about, if it was made for this client, in answer to this request.
pub(super) fn subject(token: &Signed, expected: &Expected<'_>) -> Result<Subject, BadToken> {
    let (claims, config) = (&token.claims, expected.config);
    // Keycloak's access tokens say `Bearer` in the claims and `JWT` in the header.
    let inner = claims.get("typ").and_then(Value::as_str).unwrap_or("ID");
    if is_typ(token, &["at+jwt", "logout+jwt"]) || !inner.eq_ignore_ascii_case("ID") {
        return Err(BadToken::Kind(words(token.typ.as_deref().unwrap_or(inner))));
    }
    if claims.contains_key("events") {
        return Err(BadToken::Kind("logout token".to_owned()));
    }
    let issued = meant_here(claims, config, expected.now)?;
    if seconds(claims, "exp")? + config.leeway.as_secs() <= unix_seconds(expected.now) {
        return Err(BadToken::Expired);
    }
    match claims.get("nonce").filter(|nonce| !nonce.is_null()) {
        None if config.accept_missing_nonce => {}
        Some(Value::String(nonce)) if is_same(nonce, expected.nonce) => {}
        _ => return Err(BadToken::Nonce),
    }
    let hash = claims.get("at_hash").filter(|hash| !hash.is_null());
    if let (Some(hash), Some(access_token)) = (hash, expected.access_token)
        && !hash
            .as_str()
            .is_some_and(|hash| is_same(hash, &at_hash(access_token, token.algorithm)))
    {
        return Err(BadToken::AccessToken);
    }
    if config.renew && seconds(claims, "auth_time")? + config.leeway.as_secs() < expected.began {
        return Err(BadToken::NotRenewed);
    }
    let is_asked_for = |acr: &str| config.acr_values.iter().any(|wanted| wanted == acr);
    if !config.acr_values.is_empty() && !claims.get("acr").and_then(Value::as_str).is_some_and(is_asked_for) {
        return Err(BadToken::Context);
    }
    Ok(Subject {
        sub: name(claims, "sub", LONGEST_SUBJECT)?.ok_or(BadToken::Missing("sub"))?,
        sid: name(claims, "sid", LONGEST_NAME)?,
        issued,
    })
}

/// What a logout token ends.
pub(super) fn logout(token: &Signed, config: &config::Oidc, now: SystemTime) -> Result<Logout, BadToken> {
    let claims = &token.claims;
    // `JWT` is what Apereo's servers say.
    if token.typ.is_some() && !is_typ(token, &["logout+jwt", "JWT"]) {
        return Err(BadToken::Kind(words(token.typ.as_deref().unwrap_or_default())));
    }
    let events = claims.get("events").and_then(Value::as_object);
    if !events.is_some_and(|events| events.get(LOGOUT).is_some_and(Value::is_object)) {
        return Err(BadToken::Missing("events"));
    }
    if claims.contains_key("nonce") {
        return Err(BadToken::Kind("a nonce is in it".to_owned()));
    }
    let issued = meant_here(claims, config, now)?;
    // Apereo's servers of version 6 write none.
    let expires = match claims.contains_key("exp") {
        true => seconds(claims, "exp")?,
        false => issued + LOGOUT_LIVES,
    };
    let lives = expires + config.leeway.as_secs();
    let lives = lives.checked_sub(unix_seconds(now)).filter(|left| *left > 0);
    let (sid, sub) = (
        name(claims, "sid", LONGEST_NAME)?,
        name(claims, "sub", LONGEST_SUBJECT)?,
    );
    if sid.is_none() && sub.is_none() {
        return Err(BadToken::Missing("sid and sub"));
    }
    Ok(Logout {
        sid,
        sub,
        jti: name(claims, "jti", LONGEST_NAME)?.ok_or(BadToken::Missing("jti"))?,
        issued,
        lives: Duration::from_secs(lives.ok_or(BadToken::Expired)?),
    })
}

/// Was the token made by this issuer for this client, and not in the future? When it was made, in Unix seconds.
fn meant_here(claims: &Map<String, Value>, config: &config::Oidc, now: SystemTime) -> Result<u64, BadToken> {
    let issuer = claims
        .get("iss")
        .and_then(Value::as_str)
        .ok_or(BadToken::Missing("iss"))?;
    if issuer != config.id_token_issuer {
        return Err(BadToken::Issuer(words(issuer)));
    }
    let audience = claims.get("aud").and_then(json::list).ok_or(BadToken::Missing("aud"))?;
    if !audience.iter().any(|one| **one == *config.client_id) {
        return Err(BadToken::Audience);
    }
    match claims.get("azp").filter(|party| !party.is_null()) {
        Some(party) if *party == *config.client_id => {}
        None if audience.len() == 1 => {}
        _ => return Err(BadToken::Party),
    }
    let latest = unix_seconds(now) + config.leeway.as_secs();
    let issued = seconds(claims, "iat")?;
    let begins = claims
        .get("nbf")
        .filter(|nbf| !nbf.is_null())
        .map(|_| seconds(claims, "nbf"));
    if issued > latest || begins.transpose()?.is_some_and(|begins| begins > latest) {
        return Err(BadToken::Future);
    }
    Ok(issued)
}

/// Is the header's `typ` one of these (RFC 7515 section 4.1.9)?
fn is_typ(token: &Signed, types: &[&str]) -> bool {
    let typ = token.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    types.iter().any(|known| known.eq_ignore_ascii_case(typ))
}

/// A NumericDate (RFC 7519 section 2) in whole seconds.
fn seconds(claims: &Map<String, Value>, name: &'static str) -> Result<u64, BadToken> {
    const YEAR_9999: f64 = 253_402_300_799.0;
    let date = claims.get(name).and_then(Value::as_f64);
    let date = date.filter(|date| (0.0..=YEAR_9999).contains(date));
    let whole = date.and_then(|date| Duration::try_from_secs_f64(date).ok());
    whole.map(|whole| whole.as_secs()).ok_or(BadToken::Missing(name))
}

/// A text that names something; too long a one, or one with control characters, is none.
fn name(claims: &Map<String, Value>, name: &'static str, longest: usize) -> Result<Option<String>, BadToken> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let text = json::text(value).filter(|text| {
        !text.is_empty() && text.len() <= longest && text.trim() == text && !text.contains(char::is_control)
    });
    text.map(Some).ok_or(BadToken::Missing(name))
}

/// OIDC Core 1.0 section 3.1.3.6: the left half of the access token's hash, by the hash of the token's algorithm.
fn at_hash(access_token: &str, algorithm: Algorithm) -> String {
    let hash = match algorithm {
        Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Ps256 => &SHA256,
        Algorithm::Es384 => &SHA384,
        Algorithm::EdDsa => &SHA512,
    };
    let hash = digest::digest(hash, access_token.as_bytes());
    let hash = hash.as_ref();
    BASE64_URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default())
}

fn is_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sign_in::oidc::testing::config;

    const NOW: u64 = 1_800_000_000;

    fn now() -> SystemTime {
        crate::time::from_unix(NOW)
    }

    fn signed(typ: Option<&str>, claims: &Value) -> Signed {
        Signed {
            typ: typ.map(str::to_owned),
            algorithm: Algorithm::Rs256,
            claims: claims.as_object().unwrap().clone(),
        }
    }

    fn good() -> Value {
        json!({
            "iss": "https://idp.test", "aud": "janua", "sub": "u1", "sid": "s1", "nonce": "n", "iat": NOW - 5, "exp": NOW + 300,
            "auth_time": NOW - 5, "acr": "2fa",
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = good();
        claims[name] = value;
        claims
    }

    fn judged(claims: &Value, change: impl FnOnce(&mut config::Oidc)) -> Result<Subject, BadToken> {
        let mut config = config("https://idp.test");
        change(&mut config);
        let expected = Expected {
            config: &config,
            nonce: "n",
            access_token: Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            began: NOW - 10,
            now: now(),
        };
        subject(&signed(Some("JWT"), claims), &expected)
    }

    #[test]
    fn a_token_for_this_client_names_its_person() {
        let subject = judged(&good(), |_| {}).unwrap();
        assert_eq!((&*subject.sub, subject.sid.as_deref()), ("u1", Some("s1")));
        for fine in [
            with("aud", json!(["janua"])),
            with("azp", json!("janua")),
            with("exp", json!(NOW - 30)),
            with("iat", json!(NOW + 30)),
            with("nbf", json!(NOW - 300)),
            with("typ", json!("ID")),
            // The example of OIDC Core 1.0 appendix A.3.
            with("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ")),
        ] {
            assert!(judged(&fine, |_| {}).is_ok(), "{fine}");
        }
        let both = with("aud", json!(["janua", "other"]));
        assert_eq!(
            judged(&both, |_| {}),
            Err(BadToken::Party),
            "of two audiences one must be told"
        );
        let mut told = both;
        told["azp"] = json!("janua");
        assert!(judged(&told, |_| {}).is_ok());
    }

    #[test]
    fn every_other_token_is_refused_with_its_reason() {
        for (name, value, why) in [
            (
                "iss",
                json!("https://idp.test/"),
                BadToken::Issuer("https://idp.test/".into()),
            ),
            ("aud", json!("other"), BadToken::Audience),
            ("aud", Value::Null, BadToken::Missing("aud")),
            ("azp", json!("other"), BadToken::Party),
            ("exp", json!(NOW - 61), BadToken::Expired),
            ("exp", json!("soon"), BadToken::Missing("exp")),
            ("iat", json!(NOW + 61), BadToken::Future),
            ("nbf", json!(NOW + 61), BadToken::Future),
            ("nonce", json!("other"), BadToken::Nonce),
            ("nonce", Value::Null, BadToken::Nonce),
            ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), BadToken::AccessToken),
            ("sub", json!(""), BadToken::Missing("sub")),
            ("sub", json!("a\nb"), BadToken::Missing("sub")),
            ("typ", json!("Bearer"), BadToken::Kind("JWT".into())),
            ("events", json!({ LOGOUT: {} }), BadToken::Kind("logout token".into())),
        ] {
            assert_eq!(judged(&with(name, value), |_| {}), Err(why), "{name}");
        }
        let old = with("auth_time", json!(NOW - 600));
        assert_eq!(judged(&old, |config| config.renew = true), Err(BadToken::NotRenewed));
        assert_eq!(
            judged(&good(), |config| config.acr_values = vec!["3fa".into()]),
            Err(BadToken::Context)
        );
        let nameless = with("nonce", Value::Null);
        assert!(judged(&nameless, |config| config.accept_missing_nonce = true).is_ok());
        assert_eq!(
            judged(&with("nonce", json!("x")), |config| config.accept_missing_nonce = true),
            Err(BadToken::Nonce)
        );
    }

    #[test]
    fn only_a_logout_token_ends_sessions() {
        let config = config("https://idp.test");
        let mut token = json!({
            "iss": "https://idp.test", "aud": ["janua"], "iat": NOW, "exp": NOW + 120, "jti": "j1", "sid": "s1",
            "events": { LOGOUT: {} },
        });
        let judged = |typ: Option<&str>, claims: &Value| logout(&signed(typ, claims), &config, now());
        for typ in [Some("logout+jwt"), Some("application/logout+jwt"), Some("JWT"), None] {
            assert_eq!(judged(typ, &token).unwrap().sid.as_deref(), Some("s1"));
        }
        assert!(judged(Some("at+jwt"), &token).is_err());
        for (name, value) in [
            ("nonce", json!("n")),
            ("events", json!({})),
            ("events", json!({ LOGOUT: true })),
            ("jti", Value::Null),
            ("aud", json!("other")),
            ("iss", json!("https://other.test")),
            ("exp", json!(NOW - 61)),
            ("sid", Value::Null),
        ] {
            let mut bad = token.clone();
            bad[name] = value;
            assert!(judged(None, &bad).is_err(), "{bad}");
        }
        token.as_object_mut().unwrap().remove("exp");
        assert!(judged(None, &token).is_ok(), "Apereo's of version 6");
        token["iat"] = json!(NOW - 181);
        assert_eq!(judged(None, &token), Err(BadToken::Expired));
        token["iat"] = json!(NOW);
        token["sub"] = json!("u1");
        token["sid"] = Value::Null;
        assert_eq!(judged(None, &token).unwrap().sub.as_deref(), Some("u1"));
        assert!(judged(None, &good()).is_err(), "an ID token is none");
    }
}
