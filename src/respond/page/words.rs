//! What a person is told of a refusal: of each reason a heading, a text, and whether loading the page again may help.

use super::Texts;
use crate::rejection::{
    LTI_CANNOT, LTI_NO_CHOICE, LTI_NO_COOKIE, LTI_NO_PAGE, OTHER_AT_MOODLE, OTHER_AT_SERVER, Reason, SIGN_IN_AGAIN,
};

pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) text: &'static str,
    /// May it be different in a moment?
    pub(super) passes: bool,
}

/// In the language of `texts`.
pub(super) fn of(reason: Reason, texts: &Texts) -> Words {
    let (title, text) = told(reason, texts);
    Words {
        title,
        text,
        passes: passes(reason),
    }
}

/// What is told instead of the text, of a remedy that is for people.
pub(super) fn instead(remedy: &str, texts: &Texts) -> Option<&'static str> {
    match remedy {
        OTHER_AT_MOODLE => Some(texts.other_at_moodle),
        OTHER_AT_SERVER => Some(texts.other_at_server),
        SIGN_IN_AGAIN => Some(texts.server_asks),
        LTI_NO_COOKIE => Some(texts.course_keeps_nothing),
        LTI_CANNOT => Some(texts.course_asks_wrongly),
        LTI_NO_CHOICE => Some(texts.no_choice),
        LTI_NO_PAGE => Some(texts.course_names_no_page),
        // For who writes or runs an app: in problem bodies alone.
        _ => None,
    }
}

fn told(reason: Reason, texts: &Texts) -> (&'static str, &'static str) {
    match reason {
        Reason::NoCredentials => (texts.from_course_title, texts.from_course),
        Reason::TokenExpired
        | Reason::TokenNotActive
        | Reason::WatchPassExpired
        | Reason::LaunchStale
        | Reason::SignedUrlExpired => (texts.from_course_title, texts.link_over),
        Reason::TokenNotYetValid | Reason::SignedUrlNotYetValid => (texts.not_yet_title, texts.not_yet),
        Reason::MalformedToken
        | Reason::AlgorithmNotAllowed
        | Reason::BadSignature
        | Reason::UnknownKey
        | Reason::LifetimeTooLong
        | Reason::WrongIssuer
        | Reason::WrongAudience
        | Reason::WrongType
        | Reason::SenderConstrained
        | Reason::IssuerNotAccepted
        | Reason::WatchPassInvalid
        | Reason::SignedUrlMalformed
        | Reason::SignedUrlUnknownKey
        | Reason::SignedUrlBadSignature
        | Reason::SignedUrlOtherResource
        | Reason::SignedUrlOtherClient => (texts.bad_link_title, texts.bad_link),
        Reason::DeniedByRule
        | Reason::MissingScope
        | Reason::MissingRole
        | Reason::EventNotGranted
        | Reason::NotAllowed
        | Reason::MoodleEndpoint
        | Reason::FunctionNotAllowed => (texts.no_access_title, texts.no_access),
        Reason::WatchPassRevoked => (texts.no_access_title, texts.withdrawn),
        Reason::NoRoute | Reason::FileNotFound | Reason::UnknownHost => (texts.nothing_here_title, texts.nothing_here),
        Reason::MoodleSignInRequired => (texts.moodle_first_title, texts.moodle_unknown),
        Reason::MoodlePolicyNotAgreed => (texts.moodle_first_title, texts.moodle_policy),
        Reason::MoodleProfileIncomplete => (texts.moodle_first_title, texts.moodle_profile),
        Reason::MoodlePasswordChange => (texts.moodle_first_title, texts.moodle_password),
        Reason::MoodleVisitRequired => (texts.moodle_first_title, texts.moodle_visit),
        Reason::MoodlePasswordUnchangeable => (texts.moodle_closed_title, texts.moodle_mark),
        Reason::MoodleSecondFactor => (texts.moodle_closed_title, texts.moodle_factor),
        Reason::MoodleMaintenance => (texts.maintenance_title, texts.maintenance),
        Reason::NoMoodleToken => (texts.no_moodle_title, texts.no_moodle),
        Reason::SignInStale => (texts.stale_title, texts.stale),
        Reason::SignInRefused => (texts.refused_title, texts.refused),
        Reason::CrossSite => (texts.cross_site_title, texts.cross_site),
        Reason::RateLimited => (texts.too_many_title, texts.too_many),
        Reason::Overloaded | Reason::MoodleTokenRenewed => (texts.busy_title, texts.busy),
        Reason::StoreUnavailable | Reason::SignInUnavailable => (texts.sign_in_away_title, texts.sign_in_away),
        Reason::KeysUnavailable
        | Reason::TokenServerUnavailable
        | Reason::AclUnavailable
        | Reason::UpstreamUnavailable
        | Reason::UpstreamFailed
        | Reason::UpstreamTimeout => (texts.away_title, texts.away),
        Reason::Internal | Reason::ClientGone => (texts.wrong_title, texts.wrong),
        Reason::RequestTimeout => (texts.slow_title, texts.slow),
        Reason::BodyTooLarge => (texts.too_large_title, texts.too_large),
        Reason::HeadersTooLarge => (texts.headers_title, texts.headers),
        Reason::BadRequest
        | Reason::TokenOverride
        | Reason::NotImplemented
        | Reason::BadPath
        | Reason::PathTooLong
        | Reason::MethodNotAllowed
        | Reason::PreconditionFailed
        | Reason::RangeNotSatisfiable => (texts.bad_request_title, texts.bad_request),
    }
}

fn passes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TokenNotYetValid
            | Reason::SignedUrlNotYetValid
            | Reason::MoodleMaintenance
            | Reason::RateLimited
            | Reason::Overloaded
            | Reason::MoodleTokenRenewed
            | Reason::StoreUnavailable
            | Reason::SignInUnavailable
            | Reason::KeysUnavailable
            | Reason::TokenServerUnavailable
            | Reason::AclUnavailable
            | Reason::UpstreamUnavailable
            | Reason::UpstreamFailed
            | Reason::UpstreamTimeout
            | Reason::RequestTimeout
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Language;

    #[test]
    fn remedies_for_people_are_told_in_their_language() {
        let (english, german) = (Texts::of(Language::English), Texts::of(Language::German));
        for remedy in [OTHER_AT_MOODLE, OTHER_AT_SERVER] {
            assert_eq!(instead(remedy, english), Some(remedy), "as in the problem body");
        }
        for remedy in [OTHER_AT_MOODLE, OTHER_AT_SERVER, SIGN_IN_AGAIN] {
            assert!(instead(remedy, german).is_some_and(|told| told != remedy));
        }
        assert_eq!(instead("list its origin in app_origins", german), None);
    }
}
