//! What a refused client is told beyond the reason.

use http::{HeaderValue, Method};

/// What a refusal owes to the client beside status and text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Hint {
    #[default]
    None,
    /// `Allow` of a 405 (RFC 9110 section 10.2.1).
    Allow(Vec<Method>),
    /// Complete length in bytes for `Content-Range: bytes */N` of a 416 (RFC 9110 section 14.4).
    CompleteLength(u64),
    /// `Retry-After` in whole seconds.
    RetryAfter(u64),
    /// `WWW-Authenticate` of a 401 that somebody else has decided, line by line.
    Challenge(Vec<HeaderValue>),
    /// The scope that an access token lacks (RFC 6750 section 3).
    Scope(String),
    /// Where one signs in: a whole URL.
    SignIn(String),
    /// What has to be opened in the browser once: a whole URL.
    Visit(String),
    /// What the client is told instead of the reason's own sentence. It never quotes what the client sent.
    Remedy(&'static str),
    /// What is wrong with the request, told behind the reason's own sentence. It never quotes what the client sent.
    Fault(&'static str),
}

impl Hint {
    /// Where to sign in, and what to open first: whole URLs.
    pub fn ways(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::SignIn(url) => (Some(url), None),
            Self::Visit(url) => (None, Some(url)),
            _ => (None, None),
        }
    }
}

/// What a back end is told whose person's browser has to bring Moodle a ticket.
pub const NEEDS_BROWSER: &str = "Moodle gives no token without a browser: open `sign_in` once in the person's browser.";

/// What a person is told at whose Moodle somebody else is signed in.
pub const OTHER_AT_MOODLE: &str = "Somebody else is signed in at Moodle in this browser, and nothing is done in their name. Sign in there as yourself.";

/// The same of the sign-in server.
pub const OTHER_AT_SERVER: &str = "Somebody else is signed in at the sign-in server in this browser, or Moodle knows you by another name, and nothing \
                                   is done in their name. Sign out there, and sign in here once more.";

/// What a person is told whose browser has not kept the cookie of a launch by LTI.
pub const LTI_NO_COOKIE: &str = "Your browser did not keep the cookie that it got a moment ago. Allow cookies for this site, or let your \
                                 course open this page in a new window.";

/// The same of a login by LTI that is not as it has to be.
pub const LTI_CANNOT: &str =
    "Your course could not open this page: it was not asked for as LTI 1.3 wants it. Tell your support desk.";

/// The same where a course wants to choose pages.
pub const LTI_NO_CHOICE: &str = "Pages cannot be chosen here for a course. Tell your support desk.";

/// The same where a launch names no page of this host.
pub const LTI_NO_PAGE: &str = "Your course names no page that it could open here. Tell the people who run it.";

/// What a person is told whom the sign-in server does not know any more, or wants to ask something.
pub const SIGN_IN_AGAIN: &str = "The sign-in server wants to ask you something before it signs you in to Moodle, or your session there has \
                                 ended. Sign out here and sign in again; if that does not help, log in to Moodle once.";
