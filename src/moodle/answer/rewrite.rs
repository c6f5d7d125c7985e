//! Addresses of Moodle's files in its answers, written as the gateway's: an app that calls under a prefix, or at another host,
//! opens them as they stand (`rewrite_urls`).
//!
//! `<wwwroot>/webservice/pluginfile.php` and `<wwwroot>/pluginfile.php`, which takes no token, become the file script beside the
//! one that was called. In JSON a slash is escaped, in a text within JSON twice; XML has it as it is.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem::Finder;

/// Takes an answer piece by piece and gives it with the gateway's addresses.
pub struct Rewriter {
    /// What is looked for, and what is written in its place. None begins within another.
    pairs: Vec<(Finder<'static>, Vec<u8>)>,
    /// The end of what has come, with which one of them may begin.
    held: Vec<u8>,
}

/// How a slash is written: in XML, in JSON, and in JSON within JSON.
const SLASHES: [&str; 3] = ["/", "\\/", "\\\\\\/"];

impl Rewriter {
    /// For answers of the Moodle at `wwwroot`, to calls of `<base>/webservice/…`: `https://app.example.edu/campus`.
    pub fn new(wwwroot: &str, base: &str) -> Self {
        let scripts = ["/webservice/pluginfile.php", "/pluginfile.php"];
        let pairs = scripts.into_iter().flat_map(|script| {
            SLASHES.map(|slash| {
                let written = |address: String| address.replace('/', slash).into_bytes();
                let theirs = written(format!("{wwwroot}{script}"));
                let ours = written(format!("{base}/webservice/pluginfile.php"));
                (Finder::new(&theirs).into_owned(), ours)
            })
        });
        Self {
            pairs: pairs.collect(),
            held: Vec::new(),
        }
    }

    /// The next piece of the answer in, what may be sent out.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        let mut text = std::mem::take(&mut self.held);
        text.extend_from_slice(piece);
        let mut out = BytesMut::with_capacity(text.len());
        let mut rest = text.as_slice();
        while let Some((at, length, ours)) = self.first(rest) {
            out.put_slice(rest.get(..at).unwrap_or_default());
            out.put_slice(ours);
            rest = rest.get(at + length..).unwrap_or_default();
        }
        let (sure, begun) = rest
            .split_at_checked(rest.len() - self.begun(rest))
            .unwrap_or((rest, &[]));
        out.put_slice(sure);
        self.held = begun.to_vec();
        out.freeze()
    }

    /// The end of the answer.
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).into()
    }

    /// Where the first address stands, how long it is, and what it becomes.
    fn first(&self, text: &[u8]) -> Option<(usize, usize, &[u8])> {
        let found = self.pairs.iter().filter_map(|(theirs, ours)| {
            let at = theirs.find(text)?;
            Some((at, theirs.needle().len(), ours.as_slice()))
        });
        found.min_by_key(|(at, _, _)| *at)
    }

    /// With how many bytes of the end an address may begin.
    fn begun(&self, text: &[u8]) -> usize {
        let of = |needle: &[u8]| {
            let longest = text.len().min(needle.len() - 1);
            (1..=longest)
                .rev()
                .find(|length| text.get(text.len() - length..) == needle.get(..*length))
        };
        let begun = self.pairs.iter().filter_map(|(theirs, _)| of(theirs.needle()));
        begun.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WWWROOT: &str = "https://moodle.test:8443/lms";
    const BASE: &str = "https://app.test/campus";

    fn rewritten(text: &str, size: usize) -> String {
        let mut rewriter = Rewriter::new(WWWROOT, BASE);
        let mut out = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            out.extend_from_slice(&rewriter.push(piece));
        }
        out.extend_from_slice(&rewriter.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn addresses_of_files_become_the_gateways_however_slashes_are_written() {
        let cases = [
            (
                r#"{"fileurl":"https:\/\/moodle.test:8443\/lms\/webservice\/pluginfile.php\/5\/a.pdf"}"#,
                r#"{"fileurl":"https:\/\/app.test\/campus\/webservice\/pluginfile.php\/5\/a.pdf"}"#,
            ),
            (
                "<VALUE>https://moodle.test:8443/lms/pluginfile.php/5/a.pdf?x=1&amp;y</VALUE>",
                "<VALUE>https://app.test/campus/webservice/pluginfile.php/5/a.pdf?x=1&amp;y</VALUE>",
            ),
            (
                r#"{"data":"{\"u\":\"https:\\\/\\\/moodle.test:8443\\\/lms\\\/pluginfile.php\\\/1\"}"}"#,
                r#"{"data":"{\"u\":\"https:\\\/\\\/app.test\\\/campus\\\/webservice\\\/pluginfile.php\\\/1\"}"}"#,
            ),
            // What is no file stays Moodle's.
            (
                r#"{"siteurl":"https:\/\/moodle.test:8443\/lms","u":"https:\/\/moodle.test:8443\/lms\/course\/view.php?id=2"}"#,
                r#"{"siteurl":"https:\/\/moodle.test:8443\/lms","u":"https:\/\/moodle.test:8443\/lms\/course\/view.php?id=2"}"#,
            ),
            (
                "https://moodle.test:8443/lms/webservice/pluginfile.ph",
                "https://moodle.test:8443/lms/webservice/pluginfile.ph",
            ),
            (
                "https://other.test/pluginfile.php/1",
                "https://other.test/pluginfile.php/1",
            ),
        ];
        for (text, expected) in cases {
            for size in [1, 2, 7, 64, 4096] {
                assert_eq!(rewritten(text, size), expected, "{size}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_give_the_same(parts in prop::collection::vec(0..6usize, 0..20), size in 1..40usize) {
            const PARTS: [&str; 6] = [
                "https:", r"\/\/moodle.test:8443\/lms", r"\/webservice\/pluginfile.php", "//moodle.test:8443/lms", "/pluginfile.php", "h",
            ];
            let text: String = parts.iter().map(|part| PARTS[*part]).collect();
            prop_assert_eq!(rewritten(&text, size), rewritten(&text, text.len().max(1)));
        }
    }
}
