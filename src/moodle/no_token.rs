//! Why somebody has no token, and for how long Moodle is left alone about it.
//!
//! Who has put the trouble right shall not wait long, and a Moodle that is broken, or says no, shall not be asked at every
//! call. What only the moment is to blame for is asked again at once; and signing in asks anew in every case.

use std::time::{Duration, Instant};

use super::Moodle;
use super::caller::Caller;
use crate::moodle::answer::wanted::Wanted;
use crate::moodle::tokens::TokenError;
use crate::rejection::{Hint, NEEDS_BROWSER, Reason, Rejection, SIGN_IN_AGAIN};

/// What an administrator has to change. Also what the longest refusal is believed for.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// What the person can do in Moodle, and what ends by itself.
const SHORT: Duration = Duration::from_secs(3);
/// Seconds after which a Moodle in maintenance may be asked again.
const MAINTENANCE: u64 = 30;

/// All sources were asked, and none has brought a token.
#[derive(Clone)]
pub(super) struct NoToken {
    /// A source had nothing to ask with, and a browser would help it.
    pub(super) needs_ticket: bool,
    /// What a source has depends on who calls, beside the person: another call may bring what this one lacks.
    pub(super) is_by_caller: bool,
    /// What the last source said that was asked, and for how long that is believed.
    pub(super) told: Option<(Rejection, Duration)>,
}

/// Of one person.
#[derive(Clone)]
pub(super) struct Refused {
    rejection: Rejection,
    until: Instant,
}

impl NoToken {
    /// Before any source was asked.
    pub(super) fn because(rejection: Rejection) -> Self {
        Self {
            needs_ticket: false,
            is_by_caller: false,
            told: Some((rejection, Duration::ZERO)),
        }
    }

    /// May another call of the same person find more? Where a server did not answer, it would only wait for it once more.
    pub(super) fn may_differ(&self) -> bool {
        let told = self.told.as_ref();
        let is_told = told.is_none_or(|(told, _)| told.reason == Reason::NoMoodleToken);
        self.needs_ticket || (self.is_by_caller && is_told)
    }

    /// What this means for whoever calls, and for how long it is so for whoever is the same person.
    pub(super) fn for_caller(self, caller: Caller<'_>) -> (Rejection, Duration) {
        let nobody = |detail: &str| Rejection::because(Reason::NoMoodleToken, detail);
        const BY_BROWSER: &str = "a back end brings no ticket for Moodle: send the person's browser once to sign_in with \
                                  `return`, or use another source (cas-facade, vault)";
        match self.told {
            _ if self.needs_ticket && caller.is_browser() => (Reason::MoodleSignInRequired.into(), Duration::ZERO),
            // A browser of the same person may bring a ticket.
            Some((rejection, _)) if self.needs_ticket && rejection.reason == Reason::NoMoodleToken => {
                (rejection.with_hint(Hint::Remedy(NEEDS_BROWSER)), Duration::ZERO)
            }
            Some((rejection, _)) if self.needs_ticket => (rejection, Duration::ZERO),
            Some(told) => told,
            None if self.needs_ticket => (
                nobody(BY_BROWSER).with_hint(Hint::Remedy(NEEDS_BROWSER)),
                Duration::ZERO,
            ),
            None => (nobody("no source has a token for this person"), Duration::ZERO),
        }
    }
}

impl Moodle {
    /// What a client is told of a token that was not to be had, with Moodle's address where something is to be done there.
    pub(crate) fn rejection(&self, error: &TokenError) -> Rejection {
        let rejection = rejection(error);
        match error {
            TokenError::Wants(_) => rejection.with_hint(Hint::Visit(self.to_visit())),
            TokenError::NotQuietly(_) => rejection.with_hint(Hint::Remedy(SIGN_IN_AGAIN)),
            _ => rejection,
        }
    }

    /// The same of what Moodle has said to a call.
    pub(crate) fn wants(&self, wanted: Wanted) -> Rejection {
        self.rejection(&TokenError::Wants(wanted))
    }

    /// Is Moodle to be left alone about whoever is kept under `key`?
    pub(super) async fn refused(&self, key: &str) -> Option<Rejection> {
        let refused = self.tokens.0.refused.get(key).await?;
        (refused.until > Instant::now()).then_some(refused.rejection)
    }

    pub(super) async fn refuse(&self, key: String, rejection: Rejection, ttl: Duration) {
        if !ttl.is_zero() {
            let until = Instant::now() + ttl;
            self.tokens.0.refused.insert(key, Refused { rejection, until }).await;
        }
    }
}

/// For how long Moodle is not asked again.
pub(super) fn refusal_ttl(error: &TokenError) -> Duration {
    match error {
        TokenError::NoAccount
        | TokenError::OtherAccount
        | TokenError::Never
        | TokenError::OddName
        | TokenError::Denied(_) => LONG,
        TokenError::Wants(wanted) if !wanted.is_for_the_person() => LONG,
        TokenError::Wants(_)
        | TokenError::Maintenance
        | TokenError::Misconfigured(_)
        | TokenError::OtherProvider { .. }
        | TokenError::Page { .. } => SHORT,
        TokenError::NotReached(_)
        | TokenError::TicketRefused
        | TokenError::NotAsked(_)
        | TokenError::NotForPage { .. }
        | TokenError::SessionEnded
        | TokenError::NotQuietly(_)
        | TokenError::ProviderRefused(_)
        | TokenError::Died => Duration::ZERO,
    }
}

/// What a client is told of a token that was not to be had.
pub(crate) fn rejection(error: &TokenError) -> Rejection {
    let reason = match error {
        TokenError::NotReached(_) => Reason::UpstreamUnavailable,
        TokenError::NoAccount
        | TokenError::OtherAccount
        | TokenError::Never
        | TokenError::OddName
        | TokenError::NotForPage { .. }
        | TokenError::NotQuietly(_)
        | TokenError::ProviderRefused(_)
        | TokenError::Denied(_) => Reason::NoMoodleToken,
        TokenError::Wants(wanted) => wanted.reason(),
        TokenError::Maintenance => return maintenance(error.to_string()),
        TokenError::TicketRefused
        | TokenError::NotAsked(_)
        | TokenError::SessionEnded
        | TokenError::Died
        | TokenError::Page { .. }
        | TokenError::OtherProvider { .. }
        | TokenError::Misconfigured(_) => Reason::UpstreamFailed,
    };
    Rejection::because(reason, error.to_string())
}

pub(crate) fn maintenance(detail: impl Into<String>) -> Rejection {
    Rejection::because(Reason::MoodleMaintenance, detail).with_hint(Hint::RetryAfter(MAINTENANCE))
}
