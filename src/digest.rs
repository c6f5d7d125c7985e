//! Digests, and bytes as hexadecimal digits.

use std::fmt::Write as _;
use std::io;

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use md5::{Digest as _, Md5};

/// SHA-256 (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    array(&digest(&SHA256, bytes))
}

/// SHA-256 of several parts. Each is preceded by its length, so that no two lists of parts have one text.
pub fn sha256_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    array(&context.finish())
}

/// SHA-256 of all that is left to read.
pub fn sha256_of(mut reader: impl io::Read) -> io::Result<[u8; 32]> {
    let mut context = Context::new(&SHA256);
    let mut block = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut block)? {
            0 => return Ok(array(&context.finish())),
            read => context.update(block.get(..read).unwrap_or_default()),
        }
    }
}

fn array(digest: &Digest) -> [u8; 32] {
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

/// MD5 (RFC 1321) in hexadecimal, as PHP's `md5` gives it. It protects nothing: Moodle names and marks things by it.
pub fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text))
}

/// Two lower-case hexadecimal digits for each byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            // Writing to a String does not fail.
            write!(hex, "{byte:02x}").unwrap_or_default();
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_their_standards() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&sha256(b"abc")), abc);
        assert_eq!(hex(&sha256_of(&b"abc"[..]).unwrap()), abc);
        assert_eq!(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
        // As recorded: wwwroot and passport of a launch of Moodle's.
        assert_eq!(
            md5_hex("https://moodle.test:84430.123456789"),
            "368bf093d8f9efb41191861ef80dd067"
        );
    }

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: &[&'static [u8]]| sha256_of_parts(parts.iter().copied());
        assert_eq!(of(&[b"ab", b"c"]), of(&[b"ab", b"c"]));
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
        assert_ne!(of(&[b"abc"]), of(&[b"abc", b""]));
    }
}
