//! Every reason why a request ends early: whose fault it is, the status, the public text, the metric label.
//!
//! One closed list. The label of a [`Reason`] is at once the metric label, the log field and the `reason`
//! member of a problem body, so that an operator can search for one word everywhere. How a rejection looks on
//! the wire (problem JSON or page, challenge headers) is decided in `respond`.

mod hint;
mod reason;
mod remedy;

pub use self::hint::{
    Hint, LTI_CANNOT, LTI_NO_CHOICE, LTI_NO_COOKIE, LTI_NO_PAGE, NEEDS_BROWSER, OTHER_AT_MOODLE, OTHER_AT_SERVER,
    SIGN_IN_AGAIN,
};
pub use self::reason::Reason;
pub use self::remedy::PLACES;

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
