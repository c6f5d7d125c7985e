//! Tokens and key sets as plain functions of their text: no network, no clock, nothing remembered. Requests are judged
//! by the same code; this is how tests that make up their input by the thousand reach it.

use std::sync::Arc;
use std::time::SystemTime;

use super::FoundKeys;
use super::jwk::KeySet;
use super::keyring::Keyring;
use super::verify::Unverified;
use crate::config::{self, Algorithm};
use crate::identity::Identity;
use crate::rejection::Rejection;

/// Reads a key set (RFC 7517 section 5).
///
/// # Errors
/// It is none, or has no usable key.
pub fn read_keys(text: &[u8]) -> Result<FoundKeys, String> {
    let set = KeySet::parse(text).map_err(|error| error.to_string())?;
    Ok(FoundKeys::of(&set, &Algorithm::ALL))
}

/// Judges a token as one of the first issuer, whose key set is `keys`; none is known where that is no key set.
///
/// # Errors
/// The token does not count.
pub fn judge(token: &str, keys: &[u8], config: &config::Jwt, now: SystemTime) -> Result<Arc<Identity>, Rejection> {
    let set = KeySet::parse(keys).ok();
    let ring = Keyring::new(1, [set.as_ref()]);
    let verified = Unverified::read(token, config)?
        .verify(&ring, config)
        .map_err(|no_key| no_key.reason)?;
    verified.counts(now)?;
    Ok(verified.identity)
}
