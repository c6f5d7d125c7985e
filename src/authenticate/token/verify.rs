//! From the text of a token to what it proves: shape, then signature. Pure; time and memory are added by the caller.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::cache::Verified;
use super::claims::Claims;
use super::header::{Parts, split};
use super::jwk::Key;
use super::keyring::{Entry, Keyring};
use super::signature::verifies;
use crate::config::Jwt;
use crate::rejection::{Reason, Rejection};

/// A token of the right shape that has not met a key yet.
pub(super) struct Unverified<'a> {
    parts: Parts<'a>,
    claims: Claims,
}

impl<'a> Unverified<'a> {
    /// Reads the token strictly. Cheap: nothing of it is believed yet, and no key is asked.
    ///
    /// Errors: `malformed_token`, `algorithm_not_allowed`.
    pub(super) fn read(token: &'a str, config: &Jwt) -> Result<Self, Rejection> {
        let parts = split(token, &config.algorithms)?;
        let claims = Claims::parse(&parts.claims, &config.roles_claims)?;
        Ok(Self { parts, claims })
    }

    /// Looks for a key that verifies the signature, and gives what the token proves then.
    ///
    /// Errors: `keys_unavailable` without any key; `bad_signature` if keys fit and none verifies; `unknown_key` if none
    /// fits.
    pub(super) fn verify(self, ring: &Keyring, config: &Jwt) -> Result<Verified, Reason> {
        let (entry, _) = self.key(ring)?;
        Ok(proven(self.claims, &entry.issuers, ring.generation, config))
    }

    /// The key that verifies the signature, and whose it is. Errors as in [`verify`](Self::verify).
    pub(super) fn key<'r>(&self, ring: &'r Keyring) -> Result<(&'r Entry, &'r Key), Reason> {
        if ring.is_empty() {
            return Err(Reason::KeysUnavailable);
        }
        let Parts {
            algorithm,
            signing_input,
            ref signature,
            ref kid,
            ..
        } = self.parts;
        let mut reason = Reason::UnknownKey;
        for (entry, key) in ring.candidates(kid.as_deref(), algorithm) {
            if verifies(key, algorithm, signing_input.as_bytes(), signature) {
                return Ok((entry, key));
            }
            reason = Reason::BadSignature;
        }
        Err(reason)
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }
}

/// Caps the claims to what these issuers may say, and fixes the times between which the token counts.
fn proven(claims: Claims, issuers: &[usize], generation: u64, config: &Jwt) -> Verified {
    let longest = issuers
        .iter()
        .filter_map(|&index| config.issuers.get(index))
        .map(|issuer| issuer.max_lifetime)
        .min()
        .unwrap_or_default();
    let (expires, leeway) = (claims.expires, config.leeway);
    let not_before = claims.not_before;
    Verified {
        // The configuration bounds leeway, and claims end in the year 9999: none of these leaves the clock's range.
        until: expires.checked_add(leeway).unwrap_or(expires),
        not_before: not_before.map(|from| from.checked_sub(leeway).unwrap_or(UNIX_EPOCH)),
        lifetime_from: expires
            .checked_sub(longest.saturating_add(leeway))
            .unwrap_or(UNIX_EPOCH),
        identity: Arc::new(claims.capped(issuers, &config.issuers)),
        generation,
    }
}
