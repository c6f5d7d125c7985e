//! The id of a request: in the log, in the answer, and to the upstream.
//!
//! It is always the gateway's own. What a client (or a proxy in front) sends as `X-Request-Id` is dropped, so that
//! nobody can point a complaint at another request's line, or write into the log.

use std::fmt;

/// 128 random bits as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 32]);

impl RequestId {
    /// From the thread's own generator: no system call, no lock.
    pub fn random() -> Self {
        Self::from_bits(rand::random())
    }

    pub fn as_str(&self) -> &str {
        // Hex digits are UTF-8.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    fn from_bits(bits: u128) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; 32];
        for (place, nibble) in text
            .iter_mut()
            .rev()
            .zip((0..32).map(|place| (bits >> (place * 4)) & 0xf))
        {
            *place = DIGITS.get(nibble as usize).copied().unwrap_or(b'0');
        }
        Self(text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_bits_in_hex() {
        for bits in [0, 1, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210, u128::MAX] {
            assert_eq!(RequestId::from_bits(bits).as_str(), format!("{bits:032x}"));
        }
    }

    #[test]
    fn no_two_are_alike() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| RequestId::random()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
