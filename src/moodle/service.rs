//! Whose token serves whoever calls, and where it comes from: the sources in their order, each person's tokens asked for
//! once at a time, none kept before it has said whose it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::Moodle;
use super::caller::Caller;
use super::login_flow::LoginFlow;
use super::no_token::{LONG, NoToken, refusal_ttl, rejection};
use crate::authenticate::session::Session;
use crate::config::{self, MoodleSource, NameOf, NoUsername};
use crate::moodle::answer::Probed;
use crate::moodle::token::{Kept, Token};
use crate::moodle::tokens::source::{Person, Spent, Way};
use crate::moodle::tokens::{Conversation, TokenError, check_identity, check_never, fold, probe, vault};
use crate::rejection::{Reason, Rejection};
use crate::store::{StoreError, Table};

/// Moodle gives tokens for twelve weeks; asking again after one costs little, and a token near its end is found out.
pub(super) const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Under what a MoodleSession is kept for a session of ours.
pub(super) fn session_key(moodle: &str, session: &str) -> String {
    format!("{moodle}\n{session}")
}

impl Moodle {
    /// The token for whoever calls: a kept one, or one that Moodle gives now.
    ///
    /// # Errors
    /// `moodle_sign_in_required`: only the browser can bring one. `no_moodle_token`: nobody can. Others: not now.
    pub async fn token(&self, caller: Caller<'_>) -> Result<Token, Rejection> {
        let username = self.username(caller)?;
        let key = self.key(&username);
        if let Some(token) = self.remembered(&key).await {
            return Ok(token);
        }
        self.wait_for_arrival(&key).await;
        self.token_by(caller, None).await
    }

    /// The same with the password that the person has just signed in with.
    pub(super) async fn token_by(&self, caller: Caller<'_>, password: Option<&str>) -> Result<Token, Rejection> {
        let username = self.username(caller)?;
        let key = self.key(&username);
        if let Some(token) = self.remembered(&key).await {
            return Ok(token);
        }
        if let Some(refused) = self.refused(&key).await {
            return Err(refused);
        }
        let changes = || self.tokens.changes(&key);
        loop {
            let is_mine = AtomicBool::new(false);
            let before = changes();
            // Boxed: moka's future has three places of this size.
            let found = Box::pin(async {
                is_mine.store(true, Ordering::Relaxed);
                self.find((caller, password), &username, &key).await
            });
            let found = self.tokens.0.tokens.try_get_with(key.clone(), found).await;
            if changes() != before {
                self.tokens.0.tokens.invalidate(&key).await;
            }
            let none = match found {
                Ok(kept) => return Ok(kept.token),
                Err(none) => (*none).clone(),
            };
            // Another call of the same person was asked about, and this one may have what that one lacks.
            if none.may_differ() && !is_mine.into_inner() {
                continue;
            }
            let (refusal, ttl) = none.for_caller(caller);
            self.refuse(key, refusal.clone(), ttl).await;
            return Err(refusal);
        }
    }

    /// A token in place of one that was [dropped](Self::drop_token).
    pub async fn another_token(&self, caller: Caller<'_>, dead: &Token) -> Result<Token, Rejection> {
        const ROUNDS: usize = 3;
        for _ in 0..ROUNDS {
            let token = self.token(caller).await?;
            if token != *dead {
                return Ok(token);
            }
            // Somebody had looked it up a moment before it was known to be dead.
            self.forget(&self.key(&self.username(caller)?), dead).await;
        }
        Err(Rejection::because(
            Reason::UpstreamFailed,
            "a token that is dead comes back",
        ))
    }

    /// This token is taken no more; the next call gets another. One that has taken its place meanwhile stays.
    pub async fn drop_token(&self, caller: Caller<'_>, dead: &Token) -> Result<(), Rejection> {
        if self.tokens.mark_revoked(dead).await.map_err(unavailable)? {
            self.tokens.0.metrics.dead(&self.config.name);
        }
        self.forget(&self.key(&self.username(caller)?), dead).await;
        Ok(())
    }

    /// What is remembered of a person, if it still counts.
    pub(super) async fn remembered(&self, key: &str) -> Option<Token> {
        let kept = self.tokens.0.tokens.get(key).await?;
        if kept.counts() {
            return Some(kept.token);
        }
        self.tokens.0.tokens.invalidate(key).await;
        None
    }

    async fn forget(&self, key: &str, token: &Token) {
        let known = self.tokens.0.tokens.get(key).await;
        if known.is_some_and(|known| known.token == *token) {
            self.tokens.0.tokens.invalidate(key).await;
        }
    }

    /// Moodle serves this account no more: what was kept for it goes, and Moodle is left alone for a while.
    pub async fn end_account(&self, caller: Caller<'_>, refusal: &Rejection) -> Result<(), Rejection> {
        let key = self.key(&self.username(caller)?);
        let store = &self.tokens.0.store;
        store.delete(Table::MoodleTokens, &key).await.map_err(unavailable)?;
        if let Some(session) = caller.session() {
            // Moodle itself has ended it.
            let kept = session_key(&self.config.name, &session.key.text());
            store.delete(Table::MoodleSessions, &kept).await.map_err(unavailable)?;
        }
        self.refuse(key.clone(), refusal.clone(), LONG).await;
        self.tokens.0.tokens.invalidate(&key).await;
        Ok(())
    }

    /// Somebody signs in: whatever Moodle has said of this person until now, it is asked again.
    pub async fn ask_anew(&self, session: &Session) {
        if let Ok(username) = self.username(Caller::Session(session)) {
            self.tokens.0.refused.invalidate(&self.key(&username)).await;
        }
    }

    /// Is the token alive? Asks Moodle.
    pub async fn is_alive(&self, token: &Token) -> Result<bool, Rejection> {
        let probed = probe(&self.conversation()?, token).await;
        probed
            .map(|probed| probed == Probed::PassOn)
            .map_err(|error| rejection(&error))
    }

    /// The first source from this place on for which a browser has to do something, and what.
    pub fn by_browser(&self, from: usize) -> Option<(usize, Way)> {
        let mut sources = self.config.tokens.iter().enumerate().skip(from);
        sources.find_map(|(place, source)| Some((place, source.way()?)))
    }

    /// Spends a ticket that the session's browser has brought, and keeps what comes of it.
    pub async fn arrived(
        &self,
        session: &Session,
        visit: &LoginFlow,
        ticket: &str,
        life: Duration,
    ) -> Result<(), TokenError> {
        let source = self.config.tokens.get(visit.source);
        let username = self.username(Caller::Session(session)).map_err(|_| TokenError::Never)?;
        let moodle = self.conversation().map_err(|_| NOT_CHOSEN)?;
        let started = Instant::now();
        let spent = match source {
            Some(source) => source.spend(&moodle, &username, ticket).await,
            None => Spent::changed(),
        };
        self.keep_spent(session, (visit.source, started), spent, Some(ticket), life)
            .await
    }

    /// Keeps what has come of a ticket or a code of the session's browser, which was spent at `started` for this source: for
    /// `life` at most.
    pub(super) async fn keep_spent(
        &self,
        session: &Session,
        (source, started): (usize, Instant),
        spent: Spent,
        ticket: Option<&str>,
        life: Duration,
    ) -> Result<(), TokenError> {
        let source = self.config.tokens.get(source);
        let username = self.username(Caller::Session(session)).map_err(|_| TokenError::Never)?;
        let (name, store) = (&self.config.name, &self.tokens.0.store);
        let (obtained, signed) = (spent.obtained, spent.session);
        let label = source.map_or("-", |source| source.label());
        let outcome = obtained.as_ref().map_or_else(TokenError::outcome, |_| "ok");
        self.tokens.0.metrics.asked(name, label, outcome, started.elapsed());
        // Once the maintenance is over, it makes a token without the browser. A session of somebody who has to agree to
        // something never does: Moodle remembers in the session itself that nothing was agreed to.
        let soon = matches!(obtained, Ok(_) | Err(TokenError::Maintenance));
        let kept = async {
            match signed {
                Some(signed) if soon => self.keep_session(session, signed, life).await?,
                Some(signed) => self.end_in_moodle(&session.identity, signed),
                None => {}
            }
            if let Some(ticket) = ticket {
                // Single logout names this ticket too.
                let of = session.key.text();
                store.put(Table::Tickets, ticket, of.as_bytes(), Some(life)).await?;
            }
            Ok::<(), StoreError>(())
        };
        if let Err(error) = kept.await {
            tracing::warn!(%error, "what a browser has brought from Moodle could not be kept");
        }
        let key = self.key(&username);
        match obtained {
            Ok(token) => self.keep_brought(session, &key, &token).await,
            Err(error) => {
                self.refuse(key, self.rejection(&error), refusal_ttl(&error)).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Under what a person's token is kept.
    pub(super) fn key(&self, username: &str) -> String {
        vault::key(&self.config.name, &self.config.service, username)
    }

    /// What whoever calls is called in Moodle; nobody who may not get a token is called anything.
    pub(super) fn username(&self, caller: Caller<'_>) -> Result<String, Rejection> {
        let no = |detail: &str| Rejection::because(Reason::NoMoodleToken, detail);
        let identity = caller.identity();
        if !identity.is_somebody() {
            return Err(no("the access token is an application's own: it speaks for no person"));
        }
        if config::SURROGATE.iter().any(|name| !caller.attribute(name).is_empty()) {
            return Err(no("the person acts as somebody else (CAS surrogate)"));
        }
        let pattern = &self.config.username;
        let own_user = caller.user().filter(|_| identity.source == self.people.sign_in);
        let value = match &pattern.of {
            // What another server calls its user is nobody's name here; what both call the person is.
            NameOf::User => match own_user.or_else(|| identity.name().filter(|_| self.people.named_by_user)) {
                Some(name) => name,
                None => {
                    let why = "whoever calls is of another source, which does not tell what moodle.sign_in calls its users: name an attribute in moodle.username";
                    return Err(no(why));
                }
            },
            NameOf::Attribute(attribute) => match caller.attribute(attribute) {
                [only] => only,
                _ => return Err(no("the attribute of moodle.username has not one value")),
            },
        };
        let is_unconfirmed = |told: &String| told != "true";
        if pattern.attribute() == Some("email") && caller.attribute("email_verified").iter().any(is_unconfirmed) {
            return Err(no("the owner of the address in `email` has not confirmed it"));
        }
        let name = pattern.of_value(value).map_err(|why| match why {
            NoUsername::OtherDomain => no("the person is not at moodle.username_domain"),
            NoUsername::Characters => no("moodle.username makes no name of this person that Moodle takes"),
        })?;
        check_never(&self.config.never, &name).map_err(|error| rejection(&error))?;
        fold(&name).map_err(|error| rejection(&error))
    }

    async fn find(
        &self,
        (caller, password): (Caller<'_>, Option<&str>),
        username: &str,
        key: &str,
    ) -> Result<Kept, NoToken> {
        let away = |error| NoToken::because(unavailable(error));
        if let Some(kept) = self.tokens.kept(key).await.map_err(away)? {
            return Ok(kept);
        }
        let moodle = self.conversation().map_err(NoToken::because)?;
        let mut none = NoToken {
            needs_ticket: false,
            is_by_caller: false,
            told: None,
        };
        let person = Person {
            moodle: self,
            caller,
            username: username.to_owned(),
            password,
            now: SystemTime::now(),
        };
        for source in &self.config.tokens {
            let started = Instant::now();
            let asked = self.ask(*source, &moodle, &person).await;
            let outcome = match &asked {
                Ok(None) => {
                    none.needs_ticket |= source.way().is_some();
                    none.is_by_caller |= source.is_by_caller();
                    continue;
                }
                Ok(Some(_)) => "ok",
                Err(error) => error.outcome(),
            };
            let (metrics, name) = (&self.tokens.0.metrics, &self.config.name);
            metrics.asked(name, source.label(), outcome, started.elapsed());
            match asked {
                Ok(Some(token)) => {
                    if let Some(kept) = source.keep(&self.tokens, key, &token).await.map_err(away)? {
                        let kept = self.unless_signed_out(caller.session(), key, kept).await;
                        return kept.map_err(away);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(moodle = name, source = source.label(), %error, "no token");
                    none.is_by_caller |= source.is_by_caller();
                    none.told = Some((self.rejection(&error), source.refusal_ttl(&person, &error)));
                }
            }
        }
        Err(none)
    }

    /// `Ok(None)`: this source has nothing to ask with.
    async fn ask(
        &self,
        source: MoodleSource,
        moodle: &Conversation,
        person: &Person<'_>,
    ) -> Result<Option<Token>, TokenError> {
        let Some(token) = source.ask(moodle, person).await? else {
            return Ok(None);
        };
        match check_identity(moodle, &token, &person.username).await {
            Ok(_) => Ok(Some(token)),
            Err(error) => {
                source.is_unfit(person, &token, &error).await?;
                if matches!(error, TokenError::OtherAccount) {
                    // What made it goes as well.
                    person.leave().await?;
                }
                Err(match error {
                    TokenError::Died => source.died(person),
                    error => error,
                })
            }
        }
    }
}

pub(super) const NO_STORE: TokenError = TokenError::Misconfigured("the state store does not answer");
pub(super) const NOT_CHOSEN: TokenError = TokenError::Misconfigured("no server of moodle.upstream can be reached");

pub(super) fn unavailable(error: StoreError) -> Rejection {
    Rejection::because(Reason::StoreUnavailable, error.to_string())
}
