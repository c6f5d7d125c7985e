//! Whose token serves a session, and where it comes from: the sources in their order, each person's tokens asked for
//! once at a time, none kept before it has said whose it is.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use super::visit::Visit;
use super::{Moodle, vault as provided};
use crate::authenticate::session::{Carrier, Session};
use crate::config::{MoodleSource, MoodleUsername};
use crate::present::moodle::answer::Probed;
use crate::present::moodle::token::Token;
use crate::present::moodle::tokens::{
    Conversation, Cookie, TokenError, cas_facade, cas_launch, cas_token, check_identity, check_never, probe, vault,
};
use crate::rejection::{Reason, Rejection};
use crate::store::{StoreError, Table};

/// Moodle gives tokens for twelve weeks; asking again after one costs little, and a token near its end is found out.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Attributes by which Apereo's CAS says that somebody acts as another person.
const SURROGATE: [&str; 2] = ["surrogateEnabled", "surrogatePrincipal"];

/// Under what a MoodleSession is kept for a session of ours.
pub(super) fn session_key(moodle: &str, session: &str) -> String {
    format!("{moodle}\n{session}")
}

impl Moodle {
    /// The token for a session's person: a kept one, or one that Moodle gives now.
    ///
    /// # Errors
    /// `moodle_sign_in_required`: only the browser can bring one. `no_moodle_token`: nobody can. Others: not now.
    pub async fn token(&self, session: &Session, now: SystemTime) -> Result<Token, Rejection> {
        let username = self.username(session)?;
        let key = self.key(&username);
        if let Some(token) = self.bridge.0.tokens.get(&key).await {
            return Ok(token);
        }
        if let Some(refused) = self.bridge.0.refused.get(&key).await {
            return Err(refused);
        }
        let changes = || self.bridge.0.changes.load(Ordering::SeqCst);
        let before = changes();
        let found = self.find(session, &username, &key, now);
        let found = self.bridge.0.tokens.try_get_with(key.clone(), found).await;
        if changes() != before {
            self.bridge.0.tokens.invalidate(&key).await;
        }
        match found {
            Ok(token) => Ok(token),
            Err(refusal) => {
                if refusal.reason == Reason::NoMoodleToken {
                    self.bridge.0.refused.insert(key, (*refusal).clone()).await;
                }
                Err((*refusal).clone())
            }
        }
    }

    /// This token is taken no more; the next call gets another. One that has taken its place meanwhile stays.
    pub async fn drop_token(&self, session: &Session, dead: &Token) -> Result<(), Rejection> {
        let key = self.key(&self.username(session)?);
        self.bridge.0.metrics.dead(&self.config.name);
        let store = &self.bridge.0.store;
        let kept = store.get(Table::MoodleTokens, &key).await.map_err(unavailable)?;
        if kept.as_deref().and_then(vault::decode).is_none_or(|kept| kept == *dead) {
            store.delete(Table::MoodleTokens, &key).await.map_err(unavailable)?;
        }
        if self.bridge.0.tokens.get(&key).await.is_none_or(|kept| kept == *dead) {
            self.bridge.0.tokens.invalidate(&key).await;
        }
        Ok(())
    }

    /// Moodle serves this account no more: what was kept for it goes, and Moodle is left alone for a while.
    pub async fn end_account(&self, session: &Session, token: &Token, refusal: &Rejection) -> Result<(), Rejection> {
        self.drop_token(session, token).await?;
        let key = session_key(&self.config.name, &session.key.text());
        let store = &self.bridge.0.store;
        store.delete(Table::MoodleSessions, &key).await.map_err(unavailable)?;
        let key = self.key(&self.username(session)?);
        self.bridge.0.refused.insert(key, refusal.clone()).await;
        Ok(())
    }

    /// Is the token alive? Asks Moodle.
    pub async fn is_alive(&self, token: &Token) -> Result<bool, Rejection> {
        let probed = probe(&self.conversation()?, token).await;
        probed
            .map(|probed| probed == Probed::PassOn)
            .map_err(|error| rejection(&error))
    }

    /// The first source from this place on for which a browser has to bring a ticket, and what the ticket is made for.
    pub fn by_ticket(&self, from: usize) -> Option<(usize, &'static str)> {
        let mut sources = self.config.tokens.iter().enumerate().skip(from);
        sources.find_map(|(place, source)| Some((place, service(*source)?)))
    }

    /// Spends a ticket that the session's browser has brought, and keeps what comes of it.
    pub async fn arrived(
        &self,
        session: &Session,
        visit: &Visit,
        ticket: &str,
        life: Duration,
    ) -> Result<(), TokenError> {
        let source = self.config.tokens.get(visit.source);
        let username = self.username(session).map_err(|_| TokenError::Never)?;
        let moodle = self.conversation().map_err(|_| NOT_CHOSEN)?;
        let started = Instant::now();
        let (name, store) = (&self.config.name, &self.bridge.0.store);
        let obtained = match source {
            Some(MoodleSource::CasLaunch) => {
                let landed = async {
                    let signed = cas_launch::sign_in(&moodle, cas_launch::SERVICE, ticket).await?;
                    let token = cas_launch::launch(&moodle, &signed.session).await?;
                    check_identity(&moodle, &token, &username).await?;
                    Ok((token, Some(signed.session)))
                };
                landed.await
            }
            Some(MoodleSource::CasToken) => {
                let landed = async {
                    let token = cas_token::obtain(&moodle, cas_token::SERVICE, ticket, &username).await?;
                    check_identity(&moodle, &token, &username).await?;
                    Ok((token, None))
                };
                landed.await
            }
            _ => Err(TokenError::Misconfigured("moodle.tokens has changed meanwhile")),
        };
        let label = source.map_or("-", |source| source.label());
        let outcome = obtained.as_ref().map_or_else(TokenError::outcome, |_| "ok");
        self.bridge.0.metrics.asked(name, label, outcome, started.elapsed());
        let (token, signed) = obtained?;
        let kept = async {
            if let Some(signed) = signed {
                let key = session_key(name, &session.key.text());
                store
                    .put(Table::MoodleSessions, &key, signed.reveal().as_bytes(), Some(life))
                    .await?;
            }
            // Single logout names this ticket too.
            store
                .put(Table::Tickets, ticket, session.key.text().as_bytes(), Some(life))
                .await?;
            store
                .put(
                    Table::MoodleTokens,
                    &self.key(&username),
                    &vault::encode(&token),
                    Some(KEPT),
                )
                .await
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "a token of Moodle's could not be kept");
        }
        let key = self.key(&username);
        self.bridge.0.refused.invalidate(&key).await;
        self.bridge.0.tokens.insert(key, token).await;
        Ok(())
    }

    /// Under what a person's token is kept.
    pub(super) fn key(&self, username: &str) -> String {
        vault::key(&self.config.name, &self.config.service, username)
    }

    /// What the session's person is called in Moodle; nobody who may not get a token is called anything.
    pub(super) fn username(&self, session: &Session) -> Result<String, Rejection> {
        let no = |detail: &str| Rejection::because(Reason::NoMoodleToken, detail);
        if SURROGATE.iter().any(|name| !session.attributes.get(name).is_empty()) {
            return Err(no("the person acts as somebody else (CAS surrogate)"));
        }
        let name = match &self.config.username {
            MoodleUsername::User => &session.user,
            MoodleUsername::Attribute(attribute) => match session.attributes.get(attribute) {
                [only] => only,
                _ => return Err(no("the attribute of moodle.username has not one value")),
            },
        };
        check_never(&self.config.never, name).map_err(|error| rejection(&error))?;
        Ok(name.to_lowercase())
    }

    async fn find(&self, session: &Session, username: &str, key: &str, now: SystemTime) -> Result<Token, Rejection> {
        let store = &self.bridge.0.store;
        let kept = store.get(Table::MoodleTokens, key).await.map_err(unavailable)?;
        if let Some(token) = kept.as_deref().and_then(vault::decode) {
            return Ok(token);
        }
        let moodle = self.conversation()?;
        let (mut by_browser, mut last) = (false, None);
        for source in &self.config.tokens {
            let started = Instant::now();
            let asked = self.ask(*source, &moodle, session, username, now).await;
            let outcome = match &asked {
                Ok(None) => {
                    by_browser |= service(*source).is_some() && session.carrier == Carrier::Cookie;
                    continue;
                }
                Ok(Some(_)) => "ok",
                Err(error) => error.outcome(),
            };
            let (metrics, name) = (&self.bridge.0.metrics, &self.config.name);
            metrics.asked(name, source.label(), outcome, started.elapsed());
            match asked {
                Ok(Some(token)) => {
                    if self.keep(*source, key, &token, now).await.map_err(unavailable)? {
                        return Ok(token);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(moodle = name, source = source.label(), %error, "no token");
                    last = Some(error);
                }
            }
        }
        Err(match last {
            _ if by_browser => Reason::MoodleSignInRequired.into(),
            Some(error) => rejection(&error),
            None => Rejection::because(Reason::NoMoodleToken, "no source has a token for this person"),
        })
    }

    /// False: it has left the vault while it was looked at.
    async fn keep(&self, source: MoodleSource, key: &str, token: &Token, now: SystemTime) -> Result<bool, StoreError> {
        let store = &self.bridge.0.store;
        if source == MoodleSource::Vault {
            return provided::keep(store, key, token, KEPT, now).await;
        }
        let value = vault::encode(token);
        store.put(Table::MoodleTokens, key, &value, Some(KEPT)).await?;
        Ok(true)
    }

    /// `Ok(None)`: this source has nothing to ask with.
    async fn ask(
        &self,
        source: MoodleSource,
        moodle: &Conversation,
        session: &Session,
        username: &str,
        now: SystemTime,
    ) -> Result<Option<Token>, TokenError> {
        let store = &self.bridge.0.store;
        let token = match source {
            MoodleSource::Vault => {
                let entry = provided::entry(store, &self.key(username), now).await;
                let Some((entry, _)) = entry.map_err(|_| NO_STORE)? else {
                    return Ok(None);
                };
                entry.token
            }
            MoodleSource::CasLaunch => {
                let key = session_key(&self.config.name, &session.key.text());
                let kept = store.get(Table::MoodleSessions, &key).await.map_err(|_| NO_STORE)?;
                let kept = kept.and_then(|pair| Cookie::parse(std::str::from_utf8(&pair).ok()?));
                let Some(kept) = kept else { return Ok(None) };
                match cas_launch::launch(moodle, &kept).await {
                    Err(TokenError::SessionEnded) => {
                        store.delete(Table::MoodleSessions, &key).await.map_err(|_| NO_STORE)?;
                        return Ok(None);
                    }
                    launched => launched?,
                }
            }
            MoodleSource::CasToken => return Ok(None),
            MoodleSource::CasFacade => cas_facade::obtain(moodle, &self.bridge.0.tickets, username, now).await?,
        };
        check_identity(moodle, &token, username).await?;
        Ok(Some(token))
    }
}

const NO_STORE: TokenError = TokenError::Misconfigured("the state store does not answer");
pub(super) const NOT_CHOSEN: TokenError = TokenError::Misconfigured("no server of moodle.upstream can be reached");

/// What a ticket for this source is made for, below `wwwroot`.
pub(super) fn service(source: MoodleSource) -> Option<&'static str> {
    match source {
        MoodleSource::CasLaunch => Some(cas_launch::SERVICE),
        MoodleSource::CasToken => Some(cas_token::SERVICE),
        MoodleSource::Vault | MoodleSource::CasFacade => None,
    }
}

pub(super) fn unavailable(error: StoreError) -> Rejection {
    Rejection::because(Reason::StoreUnavailable, error.to_string())
}

/// What a client is told of a token that was not to be had.
pub(crate) fn rejection(error: &TokenError) -> Rejection {
    let reason = match error {
        TokenError::NotReached(_) => Reason::UpstreamUnavailable,
        TokenError::NoAccount | TokenError::OtherAccount | TokenError::Never | TokenError::Denied(_) => {
            Reason::NoMoodleToken
        }
        TokenError::VisitMoodle(_) => Reason::MoodleVisitRequired,
        TokenError::Maintenance => Reason::MoodleMaintenance,
        TokenError::TicketRefused | TokenError::SessionEnded | TokenError::Died | TokenError::Misconfigured(_) => {
            Reason::UpstreamFailed
        }
    };
    Rejection::because(reason, error.to_string())
}
