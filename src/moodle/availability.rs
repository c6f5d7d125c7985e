//! Where a person's token would come from, found out without obtaining one: what `service` would do, in its order.
//!
//! Nothing is asked of Moodle, so nobody knows here what Moodle would say.

use std::time::SystemTime;

use super::service::{service, session_key, unavailable};
use super::{Moodle, vault};
use crate::authenticate::session::{Carrier, Session};
use crate::config::MoodleSource;
use crate::rejection::{Reason, Rejection};
use crate::store::Table;

/// What a source would do for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Be asked for a token.
    Asked(&'static str),
    /// Have the browser bring a ticket.
    Browser(&'static str),
    /// It has nothing to ask with.
    Nothing(&'static str),
    /// That depends on the person.
    Depends(&'static str),
}

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
        let first = |wanted: fn(&Availability) -> bool| {
            let mut sources = self.sources.iter();
            sources
                .find(|(_, availability)| wanted(availability))
                .map(|(source, _)| *source)
        };
        first(|availability| matches!(availability, Availability::Asked(_)))
            .or_else(|| first(|availability| matches!(availability, Availability::Browser(_))))
            .filter(|_| !self.kept && is_open)
    }
}

impl Moodle {
    /// For whoever it may be.
    pub fn availability_for_anybody(&self) -> Vec<(MoodleSource, Availability)> {
        let of = |source: &MoodleSource| {
            let availability = match source {
                MoodleSource::Vault => Availability::Depends("asked if the vault has a token for the person"),
                MoodleSource::CasLaunch => Availability::Depends(
                    "makes one from a session in Moodle that is kept; without, a browser is sent to the CAS server",
                ),
                MoodleSource::CasToken => Availability::Depends("a browser is sent to the CAS server for a ticket"),
                MoodleSource::CasFacade => Availability::Asked("the gateway vouches for the person"),
            };
            (*source, availability)
        };
        self.config.tokens.iter().map(of).collect()
    }

    /// For the person of a session. `Err`: who gets none at all, and why; or the store does not say.
    pub async fn token_plan(&self, session: &Session, now: SystemTime) -> Result<TokenPlan, Rejection> {
        let username = self.username(session)?;
        let key = self.key(&username);
        let remembered = self.tokens.0.tokens.get(&key).await.is_some();
        let refused = self.refused(&key).await.filter(|_| !remembered);
        let stored = self.tokens.kept(&key).await.map_err(unavailable)?.is_some();
        let mut plan = TokenPlan {
            username,
            kept: remembered || (refused.is_none() && stored),
            sources: Vec::new(),
            refusal: refused,
        };
        for source in &self.config.tokens {
            let availability = self.availability(*source, session, &key, now).await?;
            plan.sources.push((*source, availability));
        }
        if !plan.kept && plan.refusal.is_none() {
            let source = plan.source();
            let is_asked = |(_, availability): &(_, Availability)| matches!(availability, Availability::Asked(_));
            plan.refusal = match source {
                None => Some(Rejection::because(
                    Reason::NoMoodleToken,
                    "no source has a token for this person",
                )),
                Some(_) if plan.sources.iter().any(is_asked) => None,
                Some(_) => Some(Reason::MoodleSignInRequired.into()),
            };
        }
        Ok(plan)
    }

    async fn availability(
        &self,
        source: MoodleSource,
        session: &Session,
        key: &str,
        now: SystemTime,
    ) -> Result<Availability, Rejection> {
        let store = &self.tokens.0.store;
        if source == MoodleSource::Vault {
            if vault::entry(store, key, now).await.map_err(unavailable)?.is_some() {
                return Ok(Availability::Asked("the vault has one for this person"));
            }
            let is_there = store.get(Table::MoodleVault, key).await.map_err(unavailable)?.is_some();
            return Ok(Availability::Nothing(match is_there {
                true => "the vault's token for this person is over (valid_until)",
                false => "the vault has none for this person",
            }));
        }
        if source == MoodleSource::CasFacade {
            return Ok(Availability::Asked("the gateway would vouch for the person"));
        }
        let key = session_key(&self.config.name, &session.key.text());
        let may_keep = source == MoodleSource::CasLaunch;
        if may_keep
            && store
                .get(Table::MoodleSessions, &key)
                .await
                .map_err(unavailable)?
                .is_some()
        {
            return Ok(Availability::Asked(
                "a session in Moodle is kept, which makes one without the browser",
            ));
        }
        Ok(match (service(source), session.carrier) {
            (Some(_), Carrier::Cookie) => {
                Availability::Browser("the browser would be sent to the CAS server for a ticket")
            }
            _ => Availability::Nothing("only a browser can bring a ticket, and this session is a back end's"),
        })
    }
}
