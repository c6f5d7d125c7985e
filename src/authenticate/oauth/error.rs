//! A question to an authorization server that brought nothing: for logs; no code, token or secret is quoted.

use std::sync::Arc;

use http::StatusCode;
use thiserror::Error;

use crate::authenticate::token::jws::Unbelieved;
use crate::backchannel::BackchannelError;
use crate::text;

/// Longest part of a server's words that is kept, in characters.
const MOST_WORDS: usize = 200;

/// Why there is no answer that can be used.
#[derive(Debug, Clone, Error)]
pub enum Failed {
    #[error("the authorization server's {0} cannot be fetched: {1}")]
    Fetch(&'static str, Arc<BackchannelError>),
    #[error("{0}")]
    Answer(String),
    /// An error answer of the token endpoint (RFC 6749 section 5.2).
    #[error("the token endpoint refused with {code}{}", quoted(.description))]
    Refused {
        status: StatusCode,
        code: String,
        description: String,
    },
    #[error("the ID token is not believed: {0}")]
    Unbelieved(#[from] Unbelieved),
    /// What is wrong with its claims.
    #[error("the ID token is not accepted: {0}")]
    IdToken(String),
    #[error("the access token was made for another client")]
    ForeignClient,
    #[error("the sign-in server gave no usable {0} for this person: none, or several values")]
    NoUsername(String),
    #[error(
        "the sign-in server left `{0}` out because there are too many groups: let it tell those of this application only, or \
         app roles"
    )]
    TooManyGroups(String),
}

impl Failed {
    pub fn fetch(what: &'static str) -> impl FnOnce(BackchannelError) -> Self {
        move |error| Self::Fetch(what, Arc::new(error))
    }
}

/// What a server says of an error, in one line.
pub fn words(text: &str) -> String {
    text::safe(&text.chars().take(MOST_WORDS).collect::<String>()).into_owned()
}

fn quoted(words: &str) -> String {
    match words {
        "" => String::new(),
        words => format!(": {words:?}"),
    }
}
