//! The list of reasons: word, status and sentence of each.

use http::StatusCode;

/// Declares [`Reason`]. Each is written once: its word for metrics, logs and problem bodies; its status (RFC 9110 section 15,
/// RFC 6585 for 429 and 431); one sentence for the client, which never quotes what the client sent.
macro_rules! reasons {
    ($( $name:ident = $label:literal $status:ident $text:literal )*) => {
        /// Why a request is refused. The variants are in the order in which a request can meet them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $( $name, )*
        }

        impl Reason {
            /// Every reason, for metrics that must exist before they first happen and for documentation.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            fn describe(self) -> (&'static str, StatusCode, &'static str) {
                match self {
                    $( Self::$name => ($label, StatusCode::$status, $text), )*
                }
            }
        }
    };
}

reasons! {
    // listen
    RequestTimeout = "request_timeout" REQUEST_TIMEOUT "The request did not arrive in time."
    HeadersTooLarge = "headers_too_large" REQUEST_HEADER_FIELDS_TOO_LARGE
        "The request's headers are larger than this server accepts."
    BadRequest = "bad_request" BAD_REQUEST "The request is malformed."
    NotImplemented = "not_implemented" NOT_IMPLEMENTED "The method or transfer coding is not implemented here."
    // route
    BadPath = "bad_path" BAD_REQUEST "The path is not in a form this server accepts."
    PathTooLong = "path_too_long" URI_TOO_LONG "The path is longer than this server accepts."
    UnknownHost = "unknown_host" MISDIRECTED_REQUEST "This server does not answer for the requested host."
    NoRoute = "no_route" NOT_FOUND "Nothing is published at this address."
    MethodNotAllowed = "method_not_allowed" METHOD_NOT_ALLOWED "The method is not allowed at this address."
    BodyTooLarge = "body_too_large" PAYLOAD_TOO_LARGE "The request body is larger than this address accepts."
    // authenticate
    NoCredentials = "no_credentials" UNAUTHORIZED "A token is needed here."
    MalformedToken = "malformed_token" UNAUTHORIZED "The token is malformed."
    AlgorithmNotAllowed = "algorithm_not_allowed" UNAUTHORIZED "The token's signature algorithm is not accepted here."
    BadSignature = "bad_signature" UNAUTHORIZED "The token's signature does not verify."
    UnknownKey = "unknown_key" UNAUTHORIZED "The token was signed by a key unknown here."
    KeysUnavailable = "keys_unavailable" SERVICE_UNAVAILABLE "Tokens cannot be verified at the moment."
    TokenExpired = "token_expired" UNAUTHORIZED "The token has expired."
    TokenNotYetValid = "token_not_yet_valid" UNAUTHORIZED "The token is not valid yet."
    LifetimeTooLong = "lifetime_too_long" UNAUTHORIZED "The token is valid for longer than its issuer may grant."
    WrongIssuer = "wrong_issuer" UNAUTHORIZED "The token does not name the issuer whose key signed it."
    WrongAudience = "wrong_audience" UNAUTHORIZED "The token is meant for another service."
    WrongType = "wrong_type" UNAUTHORIZED "The token is of another kind than is used here."
    SenderConstrained = "sender_constrained" UNAUTHORIZED
        "Sender-constrained tokens (DPoP, mTLS) are not supported here."
    TokenNotActive = "token_not_active" UNAUTHORIZED "The token has ended, was revoked, or never was one."
    LaunchStale = "launch_stale" UNAUTHORIZED
        "This page was opened by a link that is used up, too old, or another browser's."
    TokenServerUnavailable = "token_server_unavailable" SERVICE_UNAVAILABLE
        "Whether the token is good cannot be found out right now; try again shortly."
    IssuerNotAccepted = "issuer_not_accepted" UNAUTHORIZED "Tokens of this issuer are not accepted at this address."
    WatchPassInvalid = "watch_pass_invalid" FORBIDDEN "The watch pass is not good for this address."
    WatchPassExpired = "watch_pass_expired" UNAUTHORIZED "The watch pass has expired; a token is needed again."
    WatchPassRevoked = "watch_pass_revoked" FORBIDDEN "The watch pass was revoked."
    SignedUrlMalformed = "signed_url_malformed" BAD_REQUEST "The signature of this address cannot be read."
    SignedUrlUnknownKey = "signed_url_unknown_key" FORBIDDEN "The address was signed by a key unknown here."
    SignedUrlBadSignature = "signed_url_bad_signature" FORBIDDEN "The signature of this address does not verify."
    SignedUrlOtherResource = "signed_url_other_resource" FORBIDDEN "The signature is one of another address."
    SignedUrlOtherClient = "signed_url_other_client" FORBIDDEN "The address was signed for another client."
    SignedUrlExpired = "signed_url_expired" GONE "The signature of this address has expired."
    SignedUrlNotYetValid = "signed_url_not_yet_valid" FORBIDDEN "The signature of this address is not valid yet."
    StoreUnavailable = "store_unavailable" SERVICE_UNAVAILABLE
        "Whether you are signed in cannot be found out right now; try again shortly."
    CrossSite = "cross_site" FORBIDDEN "Another site may not do this in your name."
    SignInStale = "sign_in_stale" BAD_REQUEST "This sign-in was begun too long ago or in another browser."
    SignInRefused = "sign_in_refused" FORBIDDEN "The sign-in server did not accept this sign-in."
    SignInUnavailable = "sign_in_unavailable" BAD_GATEWAY
        "The sign-in server gives no usable answer; try again shortly."
    // authorize
    DeniedByRule = "denied_by_rule" FORBIDDEN "A rule of this address forbids the access."
    MissingScope = "missing_scope" FORBIDDEN "The token has none of the scopes that allow the access."
    MissingRole = "missing_role" FORBIDDEN "None of the roles held allows the access."
    EventNotGranted = "event_not_granted" FORBIDDEN "The token does not grant this access to this item."
    NotAllowed = "not_allowed" FORBIDDEN "No rule of this address allows the access."
    AclUnavailable = "acl_unavailable" BAD_GATEWAY "Who may see this cannot be found out right now; try again shortly."
    RateLimited = "rate_limited" TOO_MANY_REQUESTS "Too many requests; try again shortly."
    // present
    MoodleEndpoint = "moodle_endpoint" FORBIDDEN
        "This address takes calls of Moodle's REST, upload and file scripts only."
    TokenOverride = "token_override" BAD_REQUEST "The token is put in here; a request must not name one."
    MoodleSignInRequired = "moodle_sign_in_required" UNAUTHORIZED
        "Open the address under `sign_in` in the browser once, to be known in Moodle."
    NoMoodleToken = "no_moodle_token" FORBIDDEN "Moodle's web services cannot be called in your name."
    MoodlePolicyNotAgreed = "moodle_policy_not_agreed" FORBIDDEN
        "Moodle has a policy that you have not agreed to yet: open Moodle, agree to it, then try again."
    MoodleProfileIncomplete = "moodle_profile_incomplete" FORBIDDEN
        "Something is missing in your profile in Moodle: open Moodle, fill it in, then try again."
    MoodlePasswordChange = "moodle_password_change" FORBIDDEN
        "Moodle wants you to choose a new password: open Moodle, change it, then try again."
    MoodlePasswordUnchangeable = "moodle_password_unchangeable" FORBIDDEN
        "Your account in Moodle is marked for a new password, and has none that you could change: ask your support \
         desk to remove the mark."
    MoodleSecondFactor = "moodle_second_factor" FORBIDDEN
        "Moodle asks for a second factor, which can be given in Moodle itself only: open Moodle and go on there, or \
         ask your support desk."
    MoodleVisitRequired = "moodle_visit_required" FORBIDDEN
        "Moodle wants something of you first: open Moodle, do what it asks, then try again."
    MoodleMaintenance = "moodle_maintenance" SERVICE_UNAVAILABLE "Moodle is under maintenance; try again later."
    MoodleTokenRenewed = "moodle_token_renewed" SERVICE_UNAVAILABLE "The call was not carried out; send it once more."
    FunctionNotAllowed = "function_not_allowed" FORBIDDEN "This web service function may not be called here."
    // act
    FileNotFound = "file_not_found" NOT_FOUND "There is no such file."
    PreconditionFailed = "precondition_failed" PRECONDITION_FAILED
        "The file is not in the version that the request names."
    RangeNotSatisfiable = "range_not_satisfiable" RANGE_NOT_SATISFIABLE "The requested range lies outside the file."
    Overloaded = "overloaded" SERVICE_UNAVAILABLE "The server is busy; try again shortly."
    UpstreamUnavailable = "upstream_unavailable" BAD_GATEWAY "The service behind this gateway cannot be reached."
    UpstreamFailed = "upstream_failed" BAD_GATEWAY "The service behind this gateway gave no usable answer."
    UpstreamTimeout = "upstream_timeout" GATEWAY_TIMEOUT "The service behind this gateway did not answer in time."
    // Nobody is left to be told; the status is never sent.
    ClientGone = "client_gone" BAD_REQUEST "The connection was closed before the whole answer was sent."
    Internal = "internal" INTERNAL_SERVER_ERROR "Something went wrong inside the gateway."
}

impl Reason {
    /// The word for metrics, logs and problem bodies.
    pub fn label(self) -> &'static str {
        self.describe().0
    }

    /// The reason with this word.
    pub fn of_label(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.label() == label)
    }

    /// The status this reason is answered with.
    pub fn status(self) -> StatusCode {
        self.describe().1
    }

    /// One sentence for the client.
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
            Self::DeniedByRule | Self::MissingScope | Self::MissingRole | Self::EventNotGranted | Self::NotAllowed
        )
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
