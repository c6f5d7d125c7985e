//! Why nobody is signed in by a server of OAuth 2.0 or OpenID Connect: for logs and metrics; no code, token or secret is quoted.

use std::sync::Arc;

use thiserror::Error;

use crate::authenticate::token::jws::Unbelieved;
use crate::backchannel::BackchannelError;
use crate::rejection::{Reason, Rejection};
use crate::sign_in::oidc::BadToken;
use crate::sign_in::{Refusal, Retry};
use crate::text;

/// Longest part of a server's words that is kept, in characters.
const MOST_WORDS: usize = 200;

/// A question to the provider that brought nothing.
#[derive(Debug, Clone, Error)]
pub enum Failed {
    #[error("the sign-in server's {0} cannot be fetched: {1}")]
    Fetch(&'static str, Arc<BackchannelError>),
    #[error("{0}")]
    Answer(String),
    /// An error answer of the token endpoint (RFC 6749 section 5.2).
    #[error("the token endpoint refused with {code}{}", quoted(.description))]
    Refused { code: String, description: String },
    #[error("the ID token is not believed: {0}")]
    Unbelieved(#[from] Unbelieved),
    #[error("the ID token is not accepted: {0}")]
    IdToken(#[from] BadToken),
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

    /// The word for metrics: one of a closed list.
    fn label(&self) -> &'static str {
        match self {
            Self::Fetch(_, error) => match &**error {
                BackchannelError::Timeout { .. } => "timeout",
                error if error.is_unreachable() => "unreachable",
                _ => "bad_answer",
            },
            Self::Answer(_) => "bad_answer",
            Self::Refused { code, .. } if is_of_code(code) => "invalid_code",
            Self::Refused { .. } => "provider_error",
            Self::Unbelieved(_) | Self::IdToken(_) => "bad_token",
            Self::ForeignClient => "foreign_client",
            Self::NoUsername(_) => "no_username",
            Self::TooManyGroups(_) => "too_many_groups",
        }
    }
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        let reason = match &failed {
            Failed::Fetch(..) | Failed::Answer(_) => Reason::SignInUnavailable,
            // The code was used before, or is too old; all else is a mistake in the configuration of either side.
            Failed::Refused { code, .. } if !is_of_code(code) => Reason::SignInUnavailable,
            _ => Reason::SignInRefused,
        };
        let retry = match &failed {
            Failed::Refused { code, .. } if is_of_code(code) => Retry::Again,
            Failed::IdToken(_) => Retry::Again,
            _ => Retry::No,
        };
        Self {
            label: failed.label(),
            rejection: Rejection::because(reason, failed.to_string()),
            retry,
        }
    }
}

/// Does the error mean that the code is used, too old, or made up? league/oauth2-server (Moodle's local_oidcserver) says
/// `invalid_request` there.
pub fn is_of_code(code: &str) -> bool {
    matches!(code, "invalid_grant" | "invalid_request")
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
