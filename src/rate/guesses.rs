//! Passwords that callers get wrong at an upstream which judges them itself: too many of one name at one address, or of one
//! address, and the next ones wait.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Keyed, Rate, address_key};
use crate::digest::sha256;

/// Of one name at one address: ten at once, then one in ten seconds.
const OF_NAME: Rate = Rate {
    per_second: 0.1,
    burst: 10,
};
/// Of one address, whatever the names: others may stand behind it.
const OF_ADDRESS: Rate = Rate {
    per_second: 1.0,
    burst: 100,
};

/// Who has tried, for counting alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Caller {
    address: IpAddr,
    name: [u8; 16],
}

impl Caller {
    /// `name` is what the caller says to be called, in whatever encoding.
    pub fn new(address: IpAddr, name: &[u8]) -> Self {
        let digest = sha256(name);
        Self {
            address: address_key(address),
            name: digest.first_chunk().copied().unwrap_or_default(),
        }
    }
}

/// What was got wrong at one upstream. A debt is remembered for a day.
pub struct Guesses {
    of_name: Keyed<Caller>,
    of_address: Keyed<IpAddr>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self {
            of_name: Keyed::with_debts(OF_NAME),
            of_address: Keyed::with_debts(OF_ADDRESS),
        }
    }
}

impl Guesses {
    /// May this caller try? Error: how long to wait, at the least.
    pub fn may_try(&self, caller: &Caller, now: Instant) -> Result<(), Duration> {
        let is_free = self.of_name.peek(caller, now) && self.of_address.peek(&caller.address, now);
        is_free.then_some(()).ok_or(Duration::from_secs(10))
    }

    /// The upstream has refused what the caller brought.
    pub fn refused(&self, caller: &Caller, now: Instant) {
        self.of_name.spend(*caller, 1, now);
        self.of_address.spend(caller.address, 1, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_at_an_address_waits_and_others_do_not() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let [one, other] = [[192, 0, 2, 1], [192, 0, 2, 2]].map(IpAddr::from);
        let agent = Caller::new(one, b"agent");
        for _ in 0..10 {
            assert!(guesses.may_try(&agent, now).is_ok());
            guesses.refused(&agent, now);
        }
        assert!(guesses.may_try(&agent, now).is_err());
        assert!(guesses.may_try(&Caller::new(one, b"moodle"), now).is_ok());
        assert!(guesses.may_try(&Caller::new(other, b"agent"), now).is_ok());
        assert!(guesses.may_try(&agent, now + Duration::from_secs(11)).is_ok());
        for number in 0..90_u8 {
            guesses.refused(&Caller::new(one, &[number]), now);
        }
        assert!(guesses.may_try(&Caller::new(one, b"anybody"), now).is_err());
        // What many have tried at once has its price.
        for _ in 0..500 {
            guesses.refused(&Caller::new(other, b"agent"), now);
        }
        let later = now + Duration::from_secs(3600);
        assert!(guesses.may_try(&Caller::new(other, b"agent"), later).is_err());
    }
}
