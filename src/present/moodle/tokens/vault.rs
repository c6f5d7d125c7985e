//! `vault`: tokens that the operator has provided, one for each username and service.
//!
//! This decides how an entry is named and written in the sealed store; importing and listing is the command line's. Even
//! a provided token serves only after it has said whose it is.

use serde::{Deserialize, Serialize};

use super::{Conversation, TokenError, check_identity};
use crate::present::moodle::token::Token;

/// The store's table.
pub const TABLE: &str = "moodle_vault";

/// An entry, written as JSON. Cannot print itself.
#[derive(Serialize, Deserialize)]
struct Entry {
    token: String,
}

/// The key of an entry: usernames are lower case in Moodle.
pub fn key(moodle: &str, service: &str, username: &str) -> String {
    format!("{moodle}\n{service}\n{}", username.to_lowercase())
}

/// An entry as it is put into the store, which seals it.
pub fn encode(token: &Token) -> Vec<u8> {
    let entry = Entry {
        token: token.reveal().to_owned(),
    };
    serde_json::to_vec(&entry).unwrap_or_default()
}

pub fn decode(entry: &[u8]) -> Option<Token> {
    let entry: Entry = serde_json::from_slice(entry).ok()?;
    Token::parse(&entry.token)
}

/// The token of an entry, if it is alive and `username`'s.
pub async fn obtain(moodle: &Conversation, entry: &[u8], username: &str) -> Result<Token, TokenError> {
    let unreadable = TokenError::Denied("the vault's entry cannot be read: import it again");
    let token = decode(entry).ok_or(unreadable)?;
    check_identity(moodle, &token, username).await.map(|_| token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let token = Token::parse("45e8d5226f8d38cf5f15767e0d057350").unwrap();
        assert_eq!(decode(&encode(&token)), Some(token));
        assert_eq!(decode(b"{\"token\":\"x y\"}"), None);
        assert_eq!(decode(b""), None);
        assert_eq!(key("main", "app", "Alice"), key("main", "app", "alice"));
        assert_ne!(key("main", "app", "alice"), key("main", "other", "alice"));
    }
}
