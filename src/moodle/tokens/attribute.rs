//! `attribute`: the sign-in server itself tells a person's token, as an attribute of CAS or as a claim.
//!
//! It is a token of long life that somebody has made beforehand, and a secret: nothing else is made of the attribute
//! (`config`), and it serves only after Moodle has said whose it is. There is no other one before the person signs in anew, or
//! the application brings another access token; so one that is dead, or somebody else's, is not asked about again.

use std::time::Duration;

use super::TokenError;
use super::site::Finding;
use super::source::{Availability, Person};
use crate::config;
use crate::moodle::no_token::LONG;
use crate::moodle::service::{KEPT, NO_STORE};
use crate::moodle::token::Token;
use crate::store::{StoreError, Table};

pub(super) const DIED: TokenError = TokenError::Denied(
    "the token that the sign-in server tells (moodle.attribute) is dead: Moodle has deleted it, or it has expired. It is not asked \
     about again before the next sign-in",
);

/// What the attribute holds is no token.
const UNREADABLE: &str = "the attribute of moodle.attribute has several values, or one that is no token of Moodle's";

/// For how long an access token's is not asked about again, which names no session.
const HOUR: Duration = Duration::from_secs(3600);

pub(super) async fn ask(person: &Person<'_>) -> Result<Option<Token>, TokenError> {
    match told(person) {
        None => Ok(None),
        Some(None) => Err(TokenError::Denied(UNREADABLE)),
        Some(Some(token)) => {
            let unfit = is_known(person, &token).await.map_err(|_| NO_STORE)?;
            Ok(Some(token).filter(|_| !unfit))
        }
    }
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    Ok(match told(person) {
        None => Availability::Nothing("the sign-in server tells none for this person"),
        Some(None) => Availability::Nothing(UNREADABLE),
        Some(Some(token)) if is_known(person, &token).await? => Availability::Nothing(
            "the one that the sign-in server tells is dead, another person's, or was refused a moment ago: it is not asked about now",
        ),
        Some(Some(_)) => Availability::Asked("the sign-in server tells one for this person"),
    })
}

/// What Moodle said of it: that it is dead or another person's, or something that may change.
pub(super) async fn is_unfit(person: &Person<'_>, token: &Token, error: &TokenError) -> Result<(), TokenError> {
    let life = match error {
        TokenError::Died | TokenError::OtherAccount if person.caller.session().is_some() => KEPT,
        TokenError::Died | TokenError::OtherAccount => HOUR,
        TokenError::Denied(_) => LONG,
        _ => return Ok(()),
    };
    let key = mark(person, token);
    let put = person.store().put(Table::DeadTokens, &key, b"", Some(life)).await;
    put.map_err(|_| NO_STORE)
}

async fn is_known(person: &Person<'_>, token: &Token) -> Result<bool, StoreError> {
    let mark = person.store().get(Table::DeadTokens, &mark(person, token)).await?;
    Ok(mark.is_some())
}

/// Of this person and session alone: the same token may be good for whose it is. The store keeps a hash of it.
fn mark(person: &Person<'_>, token: &Token) -> String {
    let session = person.caller.session().map(|session| session.key.text());
    let (whose, session) = (person.key(), session.unwrap_or_default());
    format!("attribute\n{whose}\n{session}\n{}", token.reveal())
}

/// `None`: there is no such attribute. `Some(None)`: it holds no token.
fn told(person: &Person<'_>) -> Option<Option<Token>> {
    let name = person.moodle.config.attribute.as_deref()?;
    match person.caller.attribute(name) {
        [] => None,
        [only] => Some(Token::parse(only)),
        _ => Some(None),
    }
}

pub(super) fn finding(moodle: &config::Moodle) -> Finding {
    let name = moodle.attribute.as_deref().unwrap_or_default();
    Finding::Note(format!(
        "the sign-in server must tell `{name}`, one token of the service {} for each person, and tell it to nobody but this \
         gateway: whoever reads it acts as the person",
        moodle.service
    ))
}
