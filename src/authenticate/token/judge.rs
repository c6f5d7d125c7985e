//! One token's verdict: from what its connection remembers, from the cache, or by its signature; and who pays for that.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::Tokens;
use super::cache::{Digest, Verified};
use super::header::too_long;
use super::keyring::Keyring;
use super::recent::Recent;
use super::verify::{NoKey, Unverified};
use crate::digest::sha256;
use crate::identity::Identity;
use crate::rate::address_key;
use crate::rejection::{Hint, Reason, Rejection};

impl Tokens {
    /// Has this address sent so many bad signatures that no token of it is verified any more for now?
    pub(super) fn is_spent(&self, address: IpAddr) -> bool {
        !self.bad_signatures.peek(&address_key(address), Instant::now())
    }

    /// Judges one token.
    pub(super) fn judge(&self, token: &str, issuers: Option<&[usize]>, now: SystemTime, payer: Payer<'_>) -> Judged {
        if let Some(refusal) = too_long(token, &self.config) {
            return Judged {
                verdict: Err(refusal),
                remembered: true,
            };
        }
        let ring = self.keys.ring();
        let recent = payer.recent();
        if let Some(verified) = recent.and_then(|recent| recent.get(token, ring.generation)) {
            self.metrics.hit.inc();
            return Judged {
                verdict: accepted(verified, issuers, now),
                remembered: true,
            };
        }
        let digest = sha256(token.as_bytes());
        let known = self.cache.get(&digest, ring.generation);
        let remembered = known.is_some();
        let looked_up = match remembered {
            true => &self.metrics.hit,
            false => &self.metrics.miss,
        };
        looked_up.inc_by(u64::from(payer.is_request()));
        let verified = match known {
            Some(verified) => {
                recent.inspect(|recent| recent.saw(token, &digest, &verified));
                Ok(verified)
            }
            None => self.check(token, digest, &ring, payer),
        };
        Judged {
            verdict: verified.and_then(|verified| accepted(verified, issuers, now)),
            remembered,
        }
    }

    /// Checks the signature of a token that is not remembered, and remembers it if it is good.
    fn check(&self, token: &str, digest: Digest, ring: &Keyring, payer: Payer<'_>) -> Result<Verified, Rejection> {
        let unverified = Unverified::read(token, &self.config)?;
        if payer.address().is_some_and(|address| self.is_spent(address)) {
            return Err(
                Rejection::because(Reason::RateLimited, "too many bad signatures").with_hint(Hint::RetryAfter(1))
            );
        }
        let known = self.unverifiable.get(&digest);
        let known = known.filter(|(generation, _)| *generation == ring.generation);
        let verified = match known {
            // One that comes again, as from a page that was left open, costs no check.
            Some((_, reason)) => Err(NoKey { reason, trials: 1 }),
            None => unverified.verify(ring, &self.config),
        };
        let verified = verified.map_err(|no_key| {
            if let Payer::Sender(address, _) | Payer::Paid(address, _) = payer {
                // All that were needed to judge the token, which may be more than are left: the next look says so.
                self.bad_signatures
                    .spend(address_key(address), no_key.trials, Instant::now());
                if no_key.trials > 0 {
                    self.unverifiable.insert(digest, (ring.generation, no_key.reason));
                }
            }
            no_key.reason
        })?;
        if payer.is_request() {
            self.cache.insert(digest, verified.clone());
        }
        Ok(verified)
    }
}

/// A token judged.
pub(super) struct Judged {
    pub(super) verdict: Result<Arc<Identity>, Rejection>,
    /// It took no check of a signature.
    pub(super) remembered: bool,
}

/// Does a genuine token count now, and here?
fn accepted(verified: Verified, issuers: Option<&[usize]>, now: SystemTime) -> Result<Arc<Identity>, Rejection> {
    verified.counts(now)?;
    let accepted = |accepted: &[usize]| verified.identity.issuers.iter().any(|issuer| accepted.contains(issuer));
    if !issuers.is_none_or(accepted) {
        return Err(Reason::IssuerNotAccepted.into());
    }
    Ok(verified.identity)
}

/// Whose budget a bad signature is taken from.
#[derive(Clone, Copy)]
pub(super) enum Payer<'a> {
    /// With what the connection remembers.
    Sender(IpAddr, &'a Recent),
    /// The same after the first look at the budget: one counts for all tokens of a request, so that a bad one does not shut
    /// out the good one behind it.
    Paid(IpAddr, &'a Recent),
    /// Somebody asks about the token: nothing is taken, counted or remembered. An address's budget is looked at.
    Nobody(Option<IpAddr>),
}

impl<'a> Payer<'a> {
    fn address(self) -> Option<IpAddr> {
        match self {
            Self::Sender(address, _) => Some(address),
            Self::Paid(..) => None,
            Self::Nobody(address) => address,
        }
    }

    /// On whose behalf fresh keys are asked for. All who ask about tokens are one.
    pub(super) fn asker(self) -> IpAddr {
        match self {
            Self::Sender(address, _) | Self::Paid(address, _) => address,
            Self::Nobody(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// Who pays for what else is judged for the same request.
    pub(super) fn again(self) -> Self {
        match self {
            Self::Sender(address, recent) | Self::Paid(address, recent) => Self::Paid(address, recent),
            Self::Nobody(_) => self,
        }
    }

    fn recent(self) -> Option<&'a Recent> {
        match self {
            Self::Sender(_, recent) | Self::Paid(_, recent) => Some(recent),
            Self::Nobody(_) => None,
        }
    }

    fn is_request(self) -> bool {
        !matches!(self, Self::Nobody(_))
    }
}
