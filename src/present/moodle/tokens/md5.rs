//! MD5 (RFC 1321), for the one thing that Moodle signs with it: what `launch.php` answers (facts 2.1).
//!
//! It proves nothing about who answered; it shows that the answer belongs to the question.

use std::fmt::Write as _;

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// 32 lower-case hexadecimal digits, as PHP's `md5` gives them.
pub(crate) fn hex(text: &str) -> String {
    let mut message = text.as_bytes().to_vec();
    let bits = (message.len() as u64).wrapping_mul(8);
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend(bits.to_le_bytes());
    let (blocks, _) = message.as_chunks::<64>();
    let digest = blocks.iter().fold(START, block);
    digest
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .fold(String::new(), |mut hex, byte| {
            // Writing into a String cannot fail.
            write!(hex, "{byte:02x}").unwrap_or_default();
            hex
        })
}

fn block(state: [u32; 4], block: &[u8; 64]) -> [u32; 4] {
    let (words, _) = block.as_chunks::<4>();
    let [mut a, mut b, mut c, mut d] = state;
    for step in 0..64_usize {
        let (round, inner) = (step / 16, step % 16);
        let (mixed, word) = match round {
            0 => ((b & c) | (!b & d), inner),
            1 => ((d & b) | (!d & c), (5 * inner + 1) % 16),
            2 => (b ^ c ^ d, (3 * inner + 5) % 16),
            _ => (c ^ (b | !d), (7 * inner) % 16),
        };
        let word = words.get(word).map_or(0, |word| u32::from_le_bytes(*word));
        // RFC 1321 section 3.4: 2^32 times the sine of the step's number.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let sine = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
        let shift = SHIFTS
            .get(round)
            .and_then(|shifts| shifts.get(step % 4))
            .copied()
            .unwrap_or(0);
        let sum = a.wrapping_add(mixed).wrapping_add(sine).wrapping_add(word);
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(shift)));
    }
    let [x, y, z, w] = state;
    [
        x.wrapping_add(a),
        y.wrapping_add(b),
        z.wrapping_add(c),
        w.wrapping_add(d),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1321 section A.5, and lengths around a block's end.
    #[test]
    fn known_digests() {
        let digests = [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
            // As recorded: wwwroot and passport of a launch.
            (
                "https://moodle.test:84430.123456789",
                "368bf093d8f9efb41191861ef80dd067",
            ),
        ];
        for (text, digest) in digests {
            assert_eq!(hex(text), digest, "{text}");
        }
        assert_eq!(hex(&"a".repeat(55)), "ef1772b6dff9a122358552954ad0df65");
        assert_eq!(hex(&"a".repeat(56)), "3b0c8ac703f828b04c6c197006d17218");
        assert_eq!(hex(&"a".repeat(63)), "b06521f39153d618550606be297466d5");
        assert_eq!(hex(&"a".repeat(64)), "014842d480b571495a4a0363793f7367");
    }
}
