//! From the text of a token to what it proves: shape, then signature. Pure; time and memory are added by the caller.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::cache::Verified;
use super::claims::Claims;
use super::header::{Parts, split};
use super::jwk::Key;
use super::keyring::{Entry, Keyring};
use super::required;
use super::signature::verifies;
use crate::config::{Issuer, Jwt};
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
        let parts = split(token, config)?;
        let claims = Claims::parse(&parts.claims, config)?;
        Ok(Self { parts, claims })
    }

    /// Looks for a key that verifies the signature, and gives what the token proves then.
    ///
    /// Errors: `keys_unavailable` without any key; `bad_signature` if keys fit and none verifies; `unknown_key` if none
    /// fits.
    pub(super) fn verify(self, ring: &Keyring, config: &Jwt) -> Result<Verified, NoKey> {
        let parts = &self.parts;
        let (entry, _) = parts.key(self.claims.issuer.as_deref(), ring, config)?;
        let unmet = |issuer: &Issuer| required::unmet(issuer, parts.typ.as_deref(), &self.claims);
        let at = |index: &usize| config.issuers.get(*index);
        let meeting = |index: &usize| at(index).is_some_and(|issuer| unmet(issuer).is_none());
        let issuers: Vec<usize> = entry.issuers.iter().copied().filter(meeting).collect();
        let refusal = match issuers.is_empty() {
            true => entry.issuers.iter().filter_map(at).find_map(unmet),
            false => None,
        };
        Ok(proven(self.claims, &issuers, refusal, ring.generation, config))
    }

    /// The key that verifies the signature, and whose it is. Errors as in [`verify`](Self::verify).
    pub(super) fn key<'r>(&self, ring: &'r Keyring, config: &Jwt) -> Result<(&'r Entry, &'r Key), NoKey> {
        self.parts.key(self.claims.issuer.as_deref(), ring, config)
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.claims
    }
}

impl Parts<'_> {
    /// The key that verifies the signature, and whose it is; those of the claimed `issuer` are tried first. Errors as in
    /// [`Unverified::verify`].
    pub(super) fn key<'r>(
        &self,
        issuer: Option<&str>,
        ring: &'r Keyring,
        config: &Jwt,
    ) -> Result<(&'r Entry, &'r Key), NoKey> {
        let no_key = |reason, trials| NoKey { reason, trials };
        if ring.is_empty() {
            return Err(no_key(Reason::KeysUnavailable, 0));
        }
        let Parts {
            algorithm,
            signing_input,
            ref signature,
            ref kid,
            ..
        } = *self;
        let claimed = |index: usize| issuer.is_some_and(|claimed| required::is_claimed(config, index, claimed));
        let candidates = ring.candidates(kid.as_deref(), algorithm, claimed);
        for (trial, (entry, key)) in candidates.iter().enumerate() {
            if verifies(key, algorithm, signing_input.as_bytes(), signature) {
                if trial > 0 {
                    ring.succeeded(entry);
                }
                return Ok((entry, key));
            }
        }
        let trials = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
        let reason = match trials {
            0 => Reason::UnknownKey,
            _ => Reason::BadSignature,
        };
        Err(no_key(reason, trials))
    }
}

/// No key verifies a token.
#[derive(Debug)]
pub(super) struct NoKey {
    pub(super) reason: Reason,
    /// So many signature checks it took to find out.
    pub(super) trials: u32,
}

/// Caps the claims to what these issuers may say, and fixes the times between which the token counts.
fn proven(
    claims: Claims,
    issuers: &[usize],
    refusal: Option<(Reason, Arc<str>)>,
    generation: u64,
    config: &Jwt,
) -> Verified {
    let longest = issuers
        .iter()
        .filter_map(|&index| config.issuers.get(index))
        .map(|issuer| issuer.max_lifetime)
        .min()
        // Nobody vouches for it: that is told, and not how long it lives.
        .unwrap_or(Duration::MAX);
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
        refusal,
        generation,
    }
}
