//! What Moodle wants of somebody before it serves them: `require_login` in `lib/moodlelib.php`, and `tool_mfa`.

use crate::rejection::Reason;

/// One thing at a time, as Moodle asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To agree to the site's policy, the built-in one or that of `tool_policy`.
    Policy,
    /// To fill in the profile.
    Profile,
    /// To choose a new password, by a method that has one.
    NewPassword,
    /// The same of an account whose method has no password in Moodle, as CAS.
    NoPassword,
    /// A second factor, in each MoodleSession anew: nobody can give it in the gateway's.
    Factor,
    /// To confirm by e-mail that the account is theirs, before auth_oauth2 links it (`requireconfirmation` of the issuer).
    Confirmation,
    /// What only Moodle's own page says.
    Other,
}

impl Wanted {
    /// What a redirect asks for that does not lead where it should. `None`: to the login page.
    pub fn of_redirect(location: &str) -> Option<Self> {
        let path = location.split(['?', '#']).next().unwrap_or_default();
        // `$CFG->admin` may have another name.
        if path.ends_with("/user/policy.php") || path.contains("/tool/policy/") {
            return Some(Self::Policy);
        }
        if path.contains("/tool/mfa/") {
            return Some(Self::Factor);
        }
        if path.ends_with("/user/edit.php") {
            return Some(Self::Profile);
        }
        if path.ends_with("/login/change_password.php") {
            return Some(Self::NewPassword);
        }
        (!path.ends_with("/login/index.php")).then_some(Self::Other)
    }

    pub fn reason(self) -> Reason {
        match self {
            Self::Policy => Reason::MoodlePolicyNotAgreed,
            Self::Profile => Reason::MoodleProfileIncomplete,
            Self::NewPassword => Reason::MoodlePasswordChange,
            Self::NoPassword => Reason::MoodlePasswordUnchangeable,
            Self::Factor => Reason::MoodleSecondFactor,
            Self::Confirmation | Self::Other => Reason::MoodleVisitRequired,
        }
    }

    /// Can the person do it? Else it is for the administrators.
    pub fn is_for_the_person(self) -> bool {
        !matches!(self, Self::NoPassword | Self::Factor)
    }

    /// For the log, with the setting to look at.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Policy => "the site policy is not agreed to",
            Self::Profile => "the user's profile is not complete",
            Self::NewPassword => "the user must change the password",
            Self::NoPassword => {
                "auth_forcepasswordchange is set on a CAS account, which has no password to change in Moodle: take it off \
                 the account"
            }
            Self::Factor => {
                "tool_mfa asks the gateway's session for a factor: give the factor \"auth\" (the account's authentication type) its \
                 full weight, or use launch or cas-token"
            }
            Self::Confirmation => {
                "the user must confirm by e-mail that the account is theirs (\"Require email verification\" of the OAuth 2 service)"
            }
            Self::Other => "launch.php leads to another page",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_known_by_its_path() {
        for (location, expected) in [
            ("https://m/user/policy.php", Some(Wanted::Policy)),
            ("https://m/sub/admin/tool/policy/index.php", Some(Wanted::Policy)),
            (
                "https://m/verwaltung/tool/policy/view.php?returnurl=https://m/login/index.php",
                Some(Wanted::Policy),
            ),
            ("https://m/user/edit.php?id=3&course=1", Some(Wanted::Profile)),
            ("https://m/login/change_password.php", Some(Wanted::NewPassword)),
            ("https://m/verwaltung/tool/mfa/auth.php", Some(Wanted::Factor)),
            ("https://m/login/index.php", None),
            ("https://m/login/index.php?loginredirect=1#/user/policy.php", None),
            ("https://m/local/survey/?next=/user/edit.php", Some(Wanted::Other)),
            ("https://passwords.test/change", Some(Wanted::Other)),
            ("", Some(Wanted::Other)),
        ] {
            assert_eq!(Wanted::of_redirect(location), expected, "{location}");
        }
    }
}
