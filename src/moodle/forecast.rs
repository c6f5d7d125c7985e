//! Where a person's token would come from, found out without obtaining one: what `keeper` would do, in its order.
//!
//! Nothing is asked of Moodle, so nobody knows here what Moodle would say.

use std::time::SystemTime;

use super::keeper::{service, session_key, unavailable};
use super::{Moodle, vault};
use crate::authenticate::session::{Carrier, Session};
use crate::config::MoodleSource;
use crate::rejection::{Reason, Rejection};
use crate::store::Table;

/// What a source would do for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
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
pub struct Forecast {
    /// In Moodle.
    pub username: String,
    /// A token is kept: no source is asked.
    pub kept: bool,
    /// In their order, also when none is asked.
    pub sources: Vec<(MoodleSource, Prospect)>,
    /// Nobody would be asked, and this is the answer.
    pub refusal: Option<Rejection>,
}

impl Forecast {
    /// The source that would bring the token: the first that needs no browser, or else the first that does.
    pub fn source(&self) -> Option<MoodleSource> {
        let mut refusal = self.refusal.iter();
        let is_open = refusal.all(|refusal| refusal.reason == Reason::MoodleSignInRequired);
        let first = |wanted: fn(&Prospect) -> bool| {
            let mut sources = self.sources.iter();
            sources
                .find(|(_, prospect)| wanted(prospect))
                .map(|(source, _)| *source)
        };
        first(|prospect| matches!(prospect, Prospect::Asked(_)))
            .or_else(|| first(|prospect| matches!(prospect, Prospect::Browser(_))))
            .filter(|_| !self.kept && is_open)
    }
}

impl Moodle {
    /// For whoever it may be.
    pub fn forecast_for_anybody(&self) -> Vec<(MoodleSource, Prospect)> {
        let of = |source: &MoodleSource| {
            let prospect = match source {
                MoodleSource::Vault => Prospect::Depends("asked if the vault has a token for the person"),
                MoodleSource::CasLaunch => Prospect::Depends(
                    "makes one from a session in Moodle that is kept; without, a browser is sent to the CAS server",
                ),
                MoodleSource::CasToken => Prospect::Depends("a browser is sent to the CAS server for a ticket"),
                MoodleSource::CasFacade => Prospect::Asked("the gateway vouches for the person"),
            };
            (*source, prospect)
        };
        self.config.tokens.iter().map(of).collect()
    }

    /// For the person of a session. `Err`: who gets none at all, and why; or the store does not say.
    pub async fn forecast(&self, session: &Session, now: SystemTime) -> Result<Forecast, Rejection> {
        let username = self.username(session)?;
        let key = self.key(&username);
        let store = &self.bridge.0.store;
        let remembered = self.bridge.0.tokens.get(&key).await.is_some();
        let refused = self.bridge.0.refused.get(&key).await.filter(|_| !remembered);
        let stored = store
            .get(Table::MoodleTokens, &key)
            .await
            .map_err(unavailable)?
            .is_some();
        let mut forecast = Forecast {
            username,
            kept: remembered || (refused.is_none() && stored),
            sources: Vec::new(),
            refusal: refused,
        };
        for source in &self.config.tokens {
            let prospect = self.prospect(*source, session, &key, now).await?;
            forecast.sources.push((*source, prospect));
        }
        if !forecast.kept && forecast.refusal.is_none() {
            let source = forecast.source();
            let is_asked = |(_, prospect): &(_, Prospect)| matches!(prospect, Prospect::Asked(_));
            forecast.refusal = match source {
                None => Some(Rejection::because(
                    Reason::NoMoodleToken,
                    "no source has a token for this person",
                )),
                Some(_) if forecast.sources.iter().any(is_asked) => None,
                Some(_) => Some(Reason::MoodleSignInRequired.into()),
            };
        }
        Ok(forecast)
    }

    async fn prospect(
        &self,
        source: MoodleSource,
        session: &Session,
        key: &str,
        now: SystemTime,
    ) -> Result<Prospect, Rejection> {
        let store = &self.bridge.0.store;
        if source == MoodleSource::Vault {
            if vault::entry(store, key, now).await.map_err(unavailable)?.is_some() {
                return Ok(Prospect::Asked("the vault has one for this person"));
            }
            let is_there = store.get(Table::MoodleVault, key).await.map_err(unavailable)?.is_some();
            return Ok(Prospect::Nothing(match is_there {
                true => "the vault's token for this person is over (valid_until)",
                false => "the vault has none for this person",
            }));
        }
        if source == MoodleSource::CasFacade {
            return Ok(Prospect::Asked("the gateway would vouch for the person"));
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
            return Ok(Prospect::Asked(
                "a session in Moodle is kept, which makes one without the browser",
            ));
        }
        Ok(match (service(source), session.carrier) {
            (Some(_), Carrier::Cookie) => Prospect::Browser("the browser would be sent to the CAS server for a ticket"),
            _ => Prospect::Nothing("only a browser can bring a ticket, and this session is a back end's"),
        })
    }
}
