//! What becomes of a sign-in by OAuth 2.0 or OpenID Connect where the server gives no answer that names somebody.

use crate::authenticate::oauth::Failed;
use crate::backchannel::BackchannelError;
use crate::rejection::{Reason, Rejection};
use crate::sign_in::oidc::BadToken;
use crate::sign_in::{Refusal, Retry};

/// The word for metrics: one of a closed list.
fn label(failed: &Failed) -> &'static str {
    match failed {
        Failed::Fetch(_, error) => match &**error {
            BackchannelError::Timeout { .. } => "timeout",
            error if error.is_unreachable() => "unreachable",
            _ => "bad_answer",
        },
        Failed::Answer(_) => "bad_answer",
        Failed::Refused { code, .. } if is_of_code(code) => "invalid_code",
        Failed::Refused { .. } => "provider_error",
        Failed::Unbelieved(_) | Failed::IdToken(_) => "bad_token",
        Failed::ForeignClient => "foreign_client",
        Failed::NoUsername(_) => "no_username",
        Failed::TooManyGroups(_) => "too_many_groups",
    }
}

impl From<BadToken> for Failed {
    fn from(bad: BadToken) -> Self {
        Self::IdToken(bad.to_string())
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
            label: label(&failed),
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
