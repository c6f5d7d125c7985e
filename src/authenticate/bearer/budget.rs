//! How many tokens an address may bring in vain. What it paid for a token that another bearer of the route takes is given back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use moka::sync::Cache;

use super::remembered::Digest;
use crate::rate::{Keyed, Rate};

/// Charges that are remembered, and for how long: until the last of the route's bearers has judged the token.
const MOST_CHARGES: u64 = 10_000;
const CHARGED_FOR: Duration = Duration::from_secs(60);

/// `bad_tokens` of one bearer.
pub(super) struct Budget {
    limits: Keyed<IpAddr>,
    /// Which address has paid for a token.
    charged: Cache<Digest, IpAddr>,
}

impl Budget {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            limits: Keyed::new(rate),
            charged: Cache::builder()
                .max_capacity(MOST_CHARGES)
                .time_to_live(CHARGED_FOR)
                .build(),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.limits.rate()
    }

    /// May this address bring one more?
    pub(super) fn has_some(&self, address: &IpAddr) -> bool {
        self.limits.peek(address, Instant::now())
    }

    /// The address has brought this token in vain.
    pub(super) fn charge(&self, address: IpAddr, digest: Digest) {
        self.limits.spend(address, 1, Instant::now());
        self.charged.insert(digest, address);
    }

    /// The token counts elsewhere. Each charge is given back once, to whoever has paid, however many bring the token.
    pub(super) fn give_back(&self, digest: &Digest) {
        if let Some(address) = self.charged.remove(digest) {
            self.limits.give_back(&address, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_charge_is_given_back_once() {
        let budget = Budget::new(Rate {
            per_second: 0.001,
            burst: 2,
        });
        budget.charge(ADDRESS, [1; 32]);
        budget.charge(ADDRESS, [2; 32]);
        assert!(!budget.has_some(&ADDRESS));
        for _ in 0..5 {
            budget.give_back(&[1; 32]);
            budget.give_back(&[3; 32]);
        }
        assert!(budget.has_some(&ADDRESS));
        budget.charge(ADDRESS, [4; 32]);
        assert!(!budget.has_some(&ADDRESS));
    }
}
