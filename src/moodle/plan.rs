//! Where a person's token would come from, found out without obtaining one: what `service` would do, in its order.
//!
//! Nothing is asked of Moodle, so nobody knows here what Moodle would say.

use std::time::SystemTime;

use super::Moodle;
use super::caller::Caller;
use super::service::unavailable;
use super::tokens::source::{Availability, Person};
use crate::config::MoodleSource;
use crate::rejection::{Reason, Rejection};

/// What would be done for a person.
#[derive(Debug)]
pub struct TokenPlan {
    /// In Moodle.
    pub username: String,
    /// A token is kept: no source is asked.
    pub kept: bool,
    /// In their order, also when none is asked.
    pub sources: Vec<(MoodleSource, Availability)>,
    /// Nobody would be asked, and this is the answer.
    pub refusal: Option<Rejection>,
}

impl TokenPlan {
    /// The source that would bring the token: the first that needs no browser, or else the first that does.
    pub fn source(&self) -> Option<MoodleSource> {
        let mut refusal = self.refusal.iter();
        let is_open = refusal.all(|refusal| refusal.reason == Reason::MoodleSignInRequired);
        let source = self.first(is_asked).or_else(|| self.first(is_by_browser));
        source.filter(|_| !self.kept && is_open)
    }

    fn first(&self, wanted: fn(Availability) -> bool) -> Option<MoodleSource> {
        let mut sources = self.sources.iter();
        sources
            .find(|(_, availability)| wanted(*availability))
            .map(|(source, _)| *source)
    }
}

impl Moodle {
    /// For whoever it may be.
    pub fn availability_for_anybody(&self) -> Vec<(MoodleSource, Availability)> {
        let sources = self.config.tokens.iter();
        sources
            .map(|source| (*source, source.availability_for_anybody()))
            .collect()
    }

    /// For whoever calls. `Err`: who gets none at all, and why; or the store does not say.
    pub async fn token_plan(&self, caller: Caller<'_>, now: SystemTime) -> Result<TokenPlan, Rejection> {
        let person = Person {
            moodle: self,
            caller,
            username: self.username(caller)?,
            password: None,
            now,
        };
        let key = person.key();
        let remembered = self.remembered(&key).await.is_some();
        let refused = self.refused(&key).await.filter(|_| !remembered);
        let stored = self.tokens.kept(&key).await.map_err(unavailable)?.is_some();
        let mut plan = TokenPlan {
            username: person.username.clone(),
            kept: remembered || (refused.is_none() && stored),
            sources: Vec::new(),
            refusal: refused,
        };
        for source in &self.config.tokens {
            let availability = source.availability(&person).await.map_err(unavailable)?;
            plan.sources.push((*source, availability));
        }
        if !plan.kept && plan.refusal.is_none() {
            plan.refusal = match (plan.first(is_asked), plan.first(is_by_browser)) {
                (Some(_), _) => None,
                (None, Some(_)) => Some(Reason::MoodleSignInRequired.into()),
                (None, None) => Some(Rejection::because(
                    Reason::NoMoodleToken,
                    "no source has a token for this person",
                )),
            };
        }
        Ok(plan)
    }
}

fn is_asked(availability: Availability) -> bool {
    matches!(availability, Availability::Asked(_))
}

fn is_by_browser(availability: Availability) -> bool {
    matches!(availability, Availability::Browser(_))
}
