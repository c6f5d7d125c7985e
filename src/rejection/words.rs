//! The label, the status and the sentence of each reason.

use http::StatusCode;

use super::Reason;

impl Reason {
    /// Label, status, and one sentence for the client.
    pub(super) fn describe(self) -> (&'static str, StatusCode, &'static str) {
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
            Self::PathTooLong => (
                "path_too_long",
                S::URI_TOO_LONG,
                "The path is longer than this server accepts.",
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
            Self::MoodlePolicyNotAgreed => (
                "moodle_policy_not_agreed",
                S::FORBIDDEN,
                "Moodle has a policy that you have not agreed to yet: open Moodle, agree to it, then try again.",
            ),
            Self::MoodleProfileIncomplete => (
                "moodle_profile_incomplete",
                S::FORBIDDEN,
                "Something is missing in your profile in Moodle: open Moodle, fill it in, then try again.",
            ),
            Self::MoodlePasswordChange => (
                "moodle_password_change",
                S::FORBIDDEN,
                "Moodle wants you to choose a new password: open Moodle, change it, then try again.",
            ),
            Self::MoodlePasswordUnchangeable => (
                "moodle_password_unchangeable",
                S::FORBIDDEN,
                "Your account in Moodle is marked for a new password, and has none that you could change: ask your support \
                 desk to remove the mark.",
            ),
            Self::MoodleSecondFactor => (
                "moodle_second_factor",
                S::FORBIDDEN,
                "Moodle asks for a second factor, which can be given in Moodle itself only: open Moodle and go on there, or \
                 ask your support desk.",
            ),
            Self::MoodleVisitRequired => (
                "moodle_visit_required",
                S::FORBIDDEN,
                "Moodle wants something of you first: open Moodle, do what it asks, then try again.",
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
