//! `vault`: tokens that the operator has provided, one for each username and service.
//!
//! This decides how an entry is named and written in the sealed store, and until when it counts; importing and listing
//! is the command line's. Even a provided token serves only after it has said whose it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::TokenError;
use super::source::{Availability, Person};
use crate::moodle::service::NO_STORE;
use crate::moodle::token::{Kept, Token};
use crate::moodle::vault::entry;
use crate::store::{StoreError, Table};
use crate::time::unix_seconds;

/// A token that is kept, written as JSON. Cannot print itself.
#[derive(Serialize, Deserialize)]
struct Entry {
    token: String,
    /// Of one that the operator has provided with an end: Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    valid_until: Option<u64>,
}

/// A token that the operator has provided, with its names, so that a list can be made of what is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provided {
    /// `[moodle.<name>]`.
    pub moodle: String,
    pub service: String,
    /// Lower case.
    pub username: String,
    #[serde(with = "revealed")]
    pub token: Token,
    /// Unix seconds from which on it is not used any more; absent: Moodle says when it is over.
    pub valid_until: Option<u64>,
}

/// A token as it is sealed, and as it goes over the control socket. Nowhere else.
mod revealed {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::moodle::token::Token;

    pub(super) fn serialize<S: Serializer>(token: &Token, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(token.reveal())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Token, D::Error> {
        let text = String::deserialize(deserializer)?;
        Token::parse(&text).ok_or_else(|| D::Error::custom("no token"))
    }
}

impl Provided {
    pub fn key(&self) -> String {
        key(&self.moodle, &self.service, &self.username)
    }

    /// As it is put into the store, which seals it.
    pub fn encode(&self) -> Vec<u8> {
        // Strings and numbers always can be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub fn decode(entry: &[u8]) -> Option<Self> {
        serde_json::from_slice(entry).ok()
    }

    /// How long it counts still; `None`: no more. Without an end it is [`Duration::MAX`].
    pub fn left(&self, now: SystemTime) -> Option<Duration> {
        let Some(until) = self.valid_until else {
            return Some(Duration::MAX);
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_secs(until).checked_sub(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// As it serves calls.
    pub fn kept(&self) -> Kept {
        Kept {
            token: self.token.clone(),
            until: self.valid_until.and_then(moment),
        }
    }
}

/// No clock gets to what is beyond its reach.
fn moment(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Moodle has deleted it.
pub(super) const DIED: TokenError = TokenError::Denied(
    "its token in the vault is dead, Moodle has deleted it: import another one (janua vault import)",
);

pub(super) async fn ask(person: &Person<'_>) -> Result<Option<Token>, TokenError> {
    let found = entry(person.store(), &person.key(), person.now).await;
    Ok(found.map_err(|_| NO_STORE)?.map(|(entry, _)| entry.token))
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    let (store, key) = (person.store(), person.key());
    if entry(store, &key, person.now).await?.is_some() {
        return Ok(Availability::Asked("the vault has one for this person"));
    }
    Ok(Availability::Nothing(
        match store.get(Table::MoodleVault, &key).await?.is_some() {
            true => "the vault's token for this person is over (valid_until)",
            false => "the vault has none for this person",
        },
    ))
}

/// The key of an entry: usernames are lower case in Moodle, and only ASCII is folded.
pub fn key(moodle: &str, service: &str, username: &str) -> String {
    format!("{moodle}\n{service}\n{}", username.to_ascii_lowercase())
}

/// A token that is kept, as it is put into the store, which seals it.
pub fn encode(kept: &Kept) -> Vec<u8> {
    let entry = Entry {
        token: kept.token.reveal().to_owned(),
        valid_until: kept.until.map(unix_seconds),
    };
    serde_json::to_vec(&entry).unwrap_or_default()
}

/// The token of either kind of entry.
pub fn decode(entry: &[u8]) -> Option<Kept> {
    let entry: Entry = serde_json::from_slice(entry).ok()?;
    Some(Kept {
        token: Token::parse(&entry.token)?,
        until: entry.valid_until.and_then(moment),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_were_written() {
        let token = Token::parse("45e8d5226f8d38cf5f15767e0d057350").unwrap();
        let endless = Kept {
            token: token.clone(),
            until: None,
        };
        assert_eq!(encode(&endless), b"{\"token\":\"45e8d5226f8d38cf5f15767e0d057350\"}");
        assert_eq!(decode(&encode(&endless)), Some(endless));
        assert_eq!(decode(b"{\"token\":\"x y\"}"), None);
        assert_eq!(decode(b""), None);
        assert_eq!(key("main", "app", "Alice"), key("main", "app", "alice"));
        assert_ne!(key("main", "app", "alice"), key("main", "other", "alice"));
        let provided = Provided {
            moodle: "main".to_owned(),
            service: "app".to_owned(),
            username: "alice".to_owned(),
            token: token.clone(),
            valid_until: Some(100),
        };
        assert_eq!(Provided::decode(&provided.encode()), Some(provided.clone()));
        let kept = provided.kept();
        assert_eq!((&kept.token, kept.until), (&token, moment(100)));
        assert_eq!(decode(&encode(&kept)), Some(kept.clone()));
        assert_eq!(decode(&provided.encode()), Some(kept));
        assert_eq!(Provided::decode(b"{}"), None);
        assert!(!format!("{provided:?}").contains("45e8"));
    }

    #[test]
    fn a_provided_token_counts_until_its_second() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let provided = Provided {
            moodle: String::new(),
            service: String::new(),
            username: String::new(),
            token: Token::parse("45e8d5226f8d38cf5f15767e0d057350").unwrap(),
            valid_until: Some(100),
        };
        assert_eq!(provided.left(at(90)), Some(Duration::from_secs(10)));
        assert_eq!(provided.left(at(100)), None);
        assert_eq!(provided.left(at(200)), None);
        let endless = Provided {
            valid_until: None,
            ..provided
        };
        assert_eq!(endless.left(at(200)), Some(Duration::MAX));
    }
}
