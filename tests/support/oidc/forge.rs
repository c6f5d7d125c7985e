//! Tokens as attackers make them.

use aws_lc_rs::hmac;
use serde_json::Value;

use super::super::tokens::base64url;

/// A token that nobody has signed.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}.", base64url(header.to_string()), base64url(claims.to_string()))
}

/// A token with an HMAC of this secret.
pub fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{input}.{}", base64url(hmac::sign(&key, input.as_bytes())))
}
