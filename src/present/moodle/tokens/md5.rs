//! MD5 (RFC 1321), for the one thing that Moodle signs with it: what `launch.php` answers.
//!
//! It proves nothing about who answered; it shows that the answer belongs to the question.

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

/// 32 lower-case hexadecimal digits, as PHP's `md5` gives them.
pub(crate) fn hex(text: &str) -> String {
    Md5::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a String cannot fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_digest_that_moodle_makes() {
        assert_eq!(hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
        // As recorded: wwwroot and passport of a launch.
        assert_eq!(
            hex("https://moodle.test:84430.123456789"),
            "368bf093d8f9efb41191861ef80dd067"
        );
    }
}
