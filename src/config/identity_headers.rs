//! `routes.headers`: in which headers an upstream learns who somebody is.

use http::HeaderName;

/// The names. No client can send either of them, on any route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The person's name.
    pub subject: HeaderName,
    /// The roles, with commas between.
    pub roles: HeaderName,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            subject: HeaderName::from_static("x-forwarded-user"),
            roles: HeaderName::from_static("x-forwarded-groups"),
        }
    }
}
