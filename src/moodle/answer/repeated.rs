//! The token of a call, left out wherever the answer to it repeats it: Moodle with debugging on puts a query's parameters
//! into `debuginfo`, and a plugin may say whatever it likes.

use memchr::memmem::{self, Finder};

use crate::moodle::token::Token;

/// Does this repeat the token?
pub fn is_in(text: &[u8], token: &Token) -> bool {
    memmem::find(text, token.reveal().as_ref()).is_some()
}

/// Takes an answer piece by piece and gives it without the token. A token is letters and digits alone: no escape of JSON, XML
/// or an address spells it otherwise.
pub struct Repeated {
    token: Finder<'static>,
    /// The end of what has come, with which the token may begin.
    held: Vec<u8>,
}

impl Repeated {
    pub fn new(token: &Token) -> Self {
        Self {
            token: Finder::new(token.reveal()).into_owned(),
            held: Vec::new(),
        }
    }

    /// The next piece in; `out` gets what stands around the token, in order.
    pub fn push(&mut self, piece: &[u8], mut out: impl FnMut(&[u8])) {
        let mut joined = std::mem::take(&mut self.held);
        let mut rest = match joined.is_empty() {
            true => piece,
            false => {
                joined.extend_from_slice(piece);
                &joined
            }
        };
        let length = self.token.needle().len();
        while let Some((before, found)) = self.token.find(rest).and_then(|at| rest.split_at_checked(at)) {
            out(before);
            rest = found.get(length..).unwrap_or_default();
        }
        let begun = self.begun(rest);
        if let Some((before, begun)) = rest.split_at_checked(rest.len() - begun) {
            out(before);
            self.held.extend_from_slice(begun);
        }
    }

    /// The end of the answer: what was held back.
    pub fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// So many bytes at the end are a beginning of the token.
    fn begun(&self, text: &[u8]) -> usize {
        let token = self.token.needle();
        let longest = token.len().saturating_sub(1).min(text.len());
        let is_begun = |length: &usize| token.get(..*length).is_some_and(|begun| text.ends_with(begun));
        (1..=longest).rev().find(is_begun).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn without(token: &str, pieces: &[&[u8]]) -> String {
        let mut repeated = Repeated::new(&Token::parse(token).unwrap());
        let mut out = Vec::new();
        for piece in pieces {
            repeated.push(piece, |text| out.extend_from_slice(text));
        }
        out.extend(repeated.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_token_goes_and_nothing_else() {
        const TOKEN: &str = "0123456789abcdef0123456789abcdef";
        for (text, expected) in [
            (
                r#"{"debuginfo":"token = 'TOKEN' AND"}"#,
                r#"{"debuginfo":"token = '' AND"}"#,
            ),
            ("TOKENTOKEN", ""),
            ("<VALUE>TOKEN</VALUE>TOKE", "<VALUE></VALUE>TOKE"),
            (r"https:\/\/m\/?wstoken=TOKEN&x", r"https:\/\/m\/?wstoken=&x"),
            ("0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcde"),
            ("0123456789abcdefTOKEN", "0123456789abcdef"),
            ("", ""),
        ] {
            assert_eq!(without(TOKEN, &[text.replace("TOKEN", TOKEN).as_bytes()]), expected);
        }
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            body in "(aab|aabaaabaab|aabaaabaabc|b|c|\"){0,12}",
            cuts in proptest::collection::vec(any::<usize>(), 0..8),
        ) {
            const TOKEN: &str = "aabaaabaabc";
            let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
            places.extend([0, body.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|ends| &body.as_bytes()[ends[0]..ends[1]]).collect();
            prop_assert_eq!(without(TOKEN, &pieces), body.replace(TOKEN, ""));
        }
    }
}
