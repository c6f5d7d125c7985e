//! A web service token of Moodle's, as a value that cannot print itself.
//!
//! Moodle's own are 32 hexadecimal digits; what a site made by other means may be longer. A character that would need
//! escaping in a query is in none.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::constant_time::verify_slices_are_equal;

/// Moodle's column holds 128 characters.
const MAX_LENGTH: usize = 128;

/// Cheap to clone. Compared in constant time.
#[derive(Clone)]
pub struct Token(Arc<str>);

impl Token {
    /// 8 to 128 letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (8..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        sound.then(|| Self(text.into()))
    }

    /// As long as one of Moodle's and no token of anybody's: for telling what a request with a token would look like.
    pub fn stand_in() -> Self {
        Self("x".repeat(32).into())
    }

    /// For the request to Moodle, and for the sealed store. Nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), other.0.as_bytes()).is_ok()
    }
}

impl Eq for Token {}

/// A token that serves calls, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub token: Token,
    /// From then on it serves none; `None`: Moodle says when it is over.
    pub until: Option<SystemTime>,
}

impl Kept {
    pub fn counts(&self) -> bool {
        // Hardly any has an end that is known: the clock is not read at every call.
        self.until.is_none_or(|until| SystemTime::now() < until)
    }

    /// The same for what waits for it now, and for nothing that comes later.
    pub fn for_now(self) -> Self {
        Self {
            until: Some(SystemTime::now()),
            ..self
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_letters_and_digits_and_never_printed() {
        let token = Token::parse("45e8d5226f8d38cf5f15767e0d057350").unwrap();
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert_eq!(Token::parse("45e8d5226f8d38cf5f15767e0d057350"), Some(token));
        let bad = ["", "short", "with&ampersand", "with space 1234", "ümlaut-1234"];
        assert!(bad.iter().all(|text| Token::parse(text).is_none()));
        assert_eq!(Token::parse(&"a".repeat(MAX_LENGTH + 1)), None);
    }

    #[test]
    fn a_kept_one_serves_until_its_end() {
        let kept = |until| Kept {
            token: Token::stand_in(),
            until,
        };
        let now = SystemTime::now();
        assert!(kept(None).counts());
        assert!(kept(Some(now + Duration::from_secs(3600))).counts());
        assert!(!kept(Some(now)).counts());
        assert!(!kept(None).for_now().counts());
    }
}
