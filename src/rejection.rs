//! Every reason why a request ends early: whose fault it is, the status, the public text, the metric label.
//!
//! One closed list. The label of a [`Reason`] is at once the metric label, the log field and the `reason`
//! member of a problem body, so that an operator can search for one word everywhere. How a rejection looks on
//! the wire (problem JSON or page, challenge headers) is decided in `respond`.

mod hint;

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

    fn describe(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::RequestTimeout => (
                "request_timeout",
                S::REQUEST_TIMEOUT,
                "The request did not arrive in time.",
            ),
            Self::HeadersTooLarge => (
                "headers_too_large",
                S::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request's headers are larger than this server accepts.",
            ),
            Self::BadRequest => ("bad_request", S::BAD_REQUEST, "The request is malformed."),
            Self::NotImplemented => (
                "not_implemented",
                S::NOT_IMPLEMENTED,
                "The method or transfer coding is not implemented here.",
            ),
            Self::BadPath => (
                "bad_path",
                S::BAD_REQUEST,
                "The path is not in a form this server accepts.",
            ),
            Self::UnknownHost => (
                "unknown_host",
                S::MISDIRECTED_REQUEST,
                "This server does not answer for the requested host.",
            ),
            Self::NoRoute => ("no_route", S::NOT_FOUND, "Nothing is published at this address."),
            Self::MethodNotAllowed => (
                "method_not_allowed",
                S::METHOD_NOT_ALLOWED,
                "The method is not allowed at this address.",
            ),
            Self::BodyTooLarge => (
                "body_too_large",
                S::PAYLOAD_TOO_LARGE,
                "The request body is larger than this address accepts.",
            ),
            Self::NoCredentials => ("no_credentials", S::UNAUTHORIZED, "A token is needed here."),
            Self::MalformedToken => ("malformed_token", S::UNAUTHORIZED, "The token is malformed."),
            Self::AlgorithmNotAllowed => (
                "algorithm_not_allowed",
                S::UNAUTHORIZED,
                "The token's signature algorithm is not accepted here.",
            ),
            Self::BadSignature => (
                "bad_signature",
                S::UNAUTHORIZED,
                "The token's signature does not verify.",
            ),
            Self::UnknownKey => (
                "unknown_key",
                S::UNAUTHORIZED,
                "The token was signed by a key unknown here.",
            ),
            Self::KeysUnavailable => (
                "keys_unavailable",
                S::SERVICE_UNAVAILABLE,
                "Tokens cannot be verified at the moment.",
            ),
            Self::TokenExpired => ("token_expired", S::UNAUTHORIZED, "The token has expired."),
            Self::TokenNotYetValid => ("token_not_yet_valid", S::UNAUTHORIZED, "The token is not valid yet."),
            Self::LifetimeTooLong => (
                "lifetime_too_long",
                S::UNAUTHORIZED,
                "The token is valid for longer than its issuer may grant.",
            ),
            Self::WrongIssuer => (
                "wrong_issuer",
                S::UNAUTHORIZED,
                "The token does not name the issuer whose key signed it.",
            ),
            Self::WrongAudience => (
                "wrong_audience",
                S::UNAUTHORIZED,
                "The token is meant for another service.",
            ),
            Self::WrongType => (
                "wrong_type",
                S::UNAUTHORIZED,
                "The token is of another kind than is used here.",
            ),
            Self::IssuerNotAccepted => (
                "issuer_not_accepted",
                S::UNAUTHORIZED,
                "Tokens of this issuer are not accepted at this address.",
            ),
            Self::WatchPassInvalid => (
                "watch_pass_invalid",
                S::FORBIDDEN,
                "The watch pass is not good for this address.",
            ),
            Self::WatchPassExpired => (
                "watch_pass_expired",
                S::UNAUTHORIZED,
                "The watch pass has expired; a token is needed again.",
            ),
            Self::WatchPassRevoked => ("watch_pass_revoked", S::FORBIDDEN, "The watch pass was revoked."),
            Self::StoreUnavailable => (
                "store_unavailable",
                S::SERVICE_UNAVAILABLE,
                "Whether you are signed in cannot be found out right now; try again shortly.",
            ),
            Self::CrossSite => ("cross_site", S::FORBIDDEN, "Another site may not do this in your name."),
            Self::SignInStale => (
                "sign_in_stale",
                S::BAD_REQUEST,
                "This sign-in was begun too long ago or in another browser.",
            ),
            Self::SignInRefused => (
                "sign_in_refused",
                S::FORBIDDEN,
                "The sign-in server did not accept this sign-in.",
            ),
            Self::SignInUnavailable => (
                "sign_in_unavailable",
                S::BAD_GATEWAY,
                "The sign-in server gives no usable answer; try again shortly.",
            ),
            Self::DeniedByRule => (
                "denied_by_rule",
                S::FORBIDDEN,
                "A rule of this address forbids the access.",
            ),
            Self::MissingRole => (
                "missing_role",
                S::FORBIDDEN,
                "None of the roles held allows the access.",
            ),
            Self::EventNotGranted => (
                "event_not_granted",
                S::FORBIDDEN,
                "The token does not grant this access to this item.",
            ),
            Self::NotAllowed => (
                "not_allowed",
                S::FORBIDDEN,
                "No rule of this address allows the access.",
            ),
            Self::AclUnavailable => (
                "acl_unavailable",
                S::BAD_GATEWAY,
                "Who may see this cannot be found out right now; try again shortly.",
            ),
            Self::RateLimited => (
                "rate_limited",
                S::TOO_MANY_REQUESTS,
                "Too many requests; try again shortly.",
            ),
            Self::MoodleEndpoint => (
                "moodle_endpoint",
                S::FORBIDDEN,
                "This address takes calls of Moodle's REST, upload and file scripts only.",
            ),
            Self::MoodleSignInRequired => (
                "moodle_sign_in_required",
                S::UNAUTHORIZED,
                "Open the address under `sign_in` in the browser once, to be known in Moodle.",
            ),
            Self::NoMoodleToken => (
                "no_moodle_token",
                S::FORBIDDEN,
                "Moodle's web services cannot be called in your name.",
            ),
            Self::MoodleVisitRequired => (
                "moodle_visit_required",
                S::FORBIDDEN,
                "Moodle wants something of you first: open it in the browser once.",
            ),
            Self::MoodleMaintenance => (
                "moodle_maintenance",
                S::SERVICE_UNAVAILABLE,
                "Moodle is under maintenance; try again later.",
            ),
            Self::MoodleTokenRenewed => (
                "moodle_token_renewed",
                S::SERVICE_UNAVAILABLE,
                "The call was not carried out; send it once more.",
            ),
            Self::TokenOverride => (
                "token_override",
                S::BAD_REQUEST,
                "The token is put in here; a request must not name one.",
            ),
            Self::FunctionNotAllowed => (
                "function_not_allowed",
                S::FORBIDDEN,
                "This web service function may not be called here.",
            ),
            Self::FileNotFound => ("file_not_found", S::NOT_FOUND, "There is no such file."),
            Self::PreconditionFailed => (
                "precondition_failed",
                S::PRECONDITION_FAILED,
                "The file is not in the version that the request names.",
            ),
            Self::RangeNotSatisfiable => (
                "range_not_satisfiable",
                S::RANGE_NOT_SATISFIABLE,
                "The requested range lies outside the file.",
            ),
            Self::Overloaded => (
                "overloaded",
                S::SERVICE_UNAVAILABLE,
                "The server is busy; try again shortly.",
            ),
            Self::UpstreamUnavailable => (
                "upstream_unavailable",
                S::BAD_GATEWAY,
                "The service behind this gateway cannot be reached.",
            ),
            Self::UpstreamFailed => (
                "upstream_failed",
                S::BAD_GATEWAY,
                "The service behind this gateway gave no usable answer.",
            ),
            Self::UpstreamTimeout => (
                "upstream_timeout",
                S::GATEWAY_TIMEOUT,
                "The service behind this gateway did not answer in time.",
            ),
            // Nobody is left to be told; the status is never sent.
            Self::ClientGone => (
                "client_gone",
                S::BAD_REQUEST,
                "The connection was closed before the whole answer was sent.",
            ),
            Self::Internal => (
                "internal",
                S::INTERNAL_SERVER_ERROR,
                "Something went wrong inside the gateway.",
            ),
        }
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
