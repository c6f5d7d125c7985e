//! Every reason why a request ends early: whose fault it is, the status, the public text, the metric label.
//!
//! One closed list. The label of a [`Reason`] is at once the metric label, the log field and the `reason`
//! member of a problem body, so that an operator can search for one word everywhere. How a rejection looks on
//! the wire (problem JSON or page, challenge headers) is decided in `respond`.

mod hint;
mod words;

use http::StatusCode;

pub use self::hint::{Hint, NEEDS_BROWSER};

/// Why a request is refused. The variants are in the order in which a request can meet them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    // listen
    RequestTimeout,
    HeadersTooLarge,
    BadRequest,
    NotImplemented,
    // route
    BadPath,
    PathTooLong,
    UnknownHost,
    NoRoute,
    MethodNotAllowed,
    BodyTooLarge,
    // authenticate
    NoCredentials,
    MalformedToken,
    AlgorithmNotAllowed,
    BadSignature,
    UnknownKey,
    KeysUnavailable,
    TokenExpired,
    TokenNotYetValid,
    LifetimeTooLong,
    WrongIssuer,
    WrongAudience,
    WrongType,
    IssuerNotAccepted,
    WatchPassInvalid,
    WatchPassExpired,
    WatchPassRevoked,
    StoreUnavailable,
    CrossSite,
    SignInStale,
    SignInRefused,
    SignInUnavailable,
    // authorize
    DeniedByRule,
    MissingRole,
    EventNotGranted,
    NotAllowed,
    AclUnavailable,
    RateLimited,
    // present
    MoodleEndpoint,
    TokenOverride,
    MoodleSignInRequired,
    NoMoodleToken,
    MoodlePolicyNotAgreed,
    MoodleProfileIncomplete,
    MoodlePasswordChange,
    MoodlePasswordUnchangeable,
    MoodleSecondFactor,
    MoodleVisitRequired,
    MoodleMaintenance,
    MoodleTokenRenewed,
    FunctionNotAllowed,
    // act
    FileNotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    Overloaded,
    UpstreamUnavailable,
    UpstreamFailed,
    UpstreamTimeout,
    ClientGone,
    Internal,
}

impl Reason {
    /// Every reason, for metrics that must exist before they first happen and for documentation.
    pub const ALL: &[Self] = &[
        Self::RequestTimeout,
        Self::HeadersTooLarge,
        Self::BadRequest,
        Self::NotImplemented,
        Self::BadPath,
        Self::PathTooLong,
        Self::UnknownHost,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::NoCredentials,
        Self::MalformedToken,
        Self::AlgorithmNotAllowed,
        Self::BadSignature,
        Self::UnknownKey,
        Self::KeysUnavailable,
        Self::TokenExpired,
        Self::TokenNotYetValid,
        Self::LifetimeTooLong,
        Self::WrongIssuer,
        Self::WrongAudience,
        Self::WrongType,
        Self::IssuerNotAccepted,
        Self::WatchPassInvalid,
        Self::WatchPassExpired,
        Self::WatchPassRevoked,
        Self::StoreUnavailable,
        Self::CrossSite,
        Self::SignInStale,
        Self::SignInRefused,
        Self::SignInUnavailable,
        Self::DeniedByRule,
        Self::MissingRole,
        Self::EventNotGranted,
        Self::NotAllowed,
        Self::AclUnavailable,
        Self::RateLimited,
        Self::MoodleEndpoint,
        Self::TokenOverride,
        Self::MoodleSignInRequired,
        Self::NoMoodleToken,
        Self::MoodlePolicyNotAgreed,
        Self::MoodleProfileIncomplete,
        Self::MoodlePasswordChange,
        Self::MoodlePasswordUnchangeable,
        Self::MoodleSecondFactor,
        Self::MoodleVisitRequired,
        Self::MoodleMaintenance,
        Self::MoodleTokenRenewed,
        Self::FunctionNotAllowed,
        Self::FileNotFound,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::Overloaded,
        Self::UpstreamUnavailable,
        Self::UpstreamFailed,
        Self::UpstreamTimeout,
        Self::ClientGone,
        Self::Internal,
    ];

    /// The word for metrics, logs and problem bodies.
    pub fn label(self) -> &'static str {
        self.describe().0
    }

    /// The status this reason is answered with (RFC 9110 section 15, RFC 6585 for 429 and 431).
    pub fn status(self) -> StatusCode {
        self.describe().1
    }

    /// One sentence for the client. It never quotes what the client sent.
    pub fn public_text(self) -> &'static str {
        self.describe().2
    }

    /// May a (better) credential change the answer? Then it is a 401 and carries a challenge.
    pub fn is_challenge(self) -> bool {
        self.status() == StatusCode::UNAUTHORIZED
    }

    /// Did the rules of a route refuse somebody, or nobody, whom they were asked about?
    pub fn is_by_rules(self) -> bool {
        matches!(
            self,
            Self::DeniedByRule | Self::MissingRole | Self::EventNotGranted | Self::NotAllowed
        )
    }
}

/// A refused request: the reason, a detail for the log only, and what the answer's headers must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: Reason,
    /// For the log only, never for the client. Holds no token, cookie or other secret.
    pub detail: Option<String>,
    pub hint: Hint,
}

impl Rejection {
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            detail: None,
            hint: Hint::None,
        }
    }

    /// The same with a detail for the log.
    pub fn because(reason: Reason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: Some(detail.into()),
            hint: Hint::None,
        }
    }

    pub fn with_hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::HashSet;

    #[test]
    fn labels_are_unique_and_every_status_is_an_error() {
        let labels: HashSet<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
        assert_eq!(labels.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(
                reason.status().is_client_error() || reason.status().is_server_error(),
                "{reason:?}"
            );
        }
    }
}
