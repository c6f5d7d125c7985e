//! People who sign out, and sessions in Moodle that are needed no more: what was kept for them goes.
//!
//! Two things are the gateway's to end. A MoodleSession that `cas-launch` has begun: nobody else has it, and Moodle takes no
//! notice of a logout at the sign-in server. And, with `drop_at_logout`, the person's token, which is forgotten here: Moodle has
//! no way for people to delete their own.
//!
//! Moodle is asked in the background. A slow one keeps nobody from signing out, and takes the places of its own people alone.

use std::time::{Duration, SystemTime};

use super::Moodle;
use super::caller::Caller;
use super::service::session_key;
use super::vault;
use crate::authenticate::session::Session;
use crate::fair::{Asker, Shares};
use crate::identity::Identity;
use crate::moodle::token::{Kept, Token};
use crate::moodle::tokens::{Cookie, logout};
use crate::store::{StoreError, Table};

/// MoodleSessions of one Moodle that are ended at once. Whoever has waited too long leaves one to Moodle's own timeout.
pub(super) const SHARES: Shares = Shares {
    all: 8,
    each: 1,
    kept: 0,
    queue: 8,
    wait: Duration::from_secs(60),
};

impl Moodle {
    /// A session of ours has ended, and what is kept for it goes. `drops`: the person is meant to be gone, and with
    /// `drop_at_logout` the token goes, too. What cannot be done is told in the log.
    pub async fn left(&self, session: &Session, drops: bool) {
        let name = &self.config.name;
        if let Err(error) = self.leave(session).await {
            tracing::warn!(moodle = name, %error, "a session in Moodle could not be forgotten");
        }
        if !drops || !self.config.drop_at_logout || !self.is_of(&session.identity) {
            return;
        }
        // Who is nobody in Moodle has no token.
        let Ok(username) = self.username(Caller::Session(session)) else {
            return;
        };
        let key = self.key(&username);
        let deleted = vault::forget(&self.tokens.0.store, vec![key.clone()]).await;
        // Here at once, and also what a store that does not answer has not heard of.
        self.tokens.forget_person(&key).await;
        match deleted {
            Ok(0) => {}
            Ok(_) => self.tokens.0.metrics.dropped(name),
            Err(error) => {
                tracing::warn!(moodle = name, %error, "the token of somebody who has signed out could not be deleted");
            }
        }
    }

    /// Ends the session in Moodle that is kept for a session of ours, if there is one.
    pub(super) async fn leave(&self, session: &Session) -> Result<(), StoreError> {
        let key = session_key(&self.config.name, &session.key.text());
        let store = &self.tokens.0.store;
        let Some(kept) = store.get(Table::MoodleSessions, &key).await? else {
            return Ok(());
        };
        // Of several who find it, at whatever replica, one ends it.
        let is_mine = store.delete(Table::MoodleSessions, &key).await?;
        if let Some(kept) = Cookie::kept(&kept).filter(|_| is_mine) {
            self.end_in_moodle(&session.identity, kept);
        }
        Ok(())
    }

    /// Keeps a session in Moodle for a session of ours, in place of the one that is kept.
    pub(super) async fn keep_session(
        &self,
        session: &Session,
        signed: Cookie,
        life: Duration,
    ) -> Result<(), StoreError> {
        let key = session_key(&self.config.name, &session.key.text());
        let store = &self.tokens.0.store;
        let before = store.get(Table::MoodleSessions, &key).await?;
        let pair = signed.reveal();
        let put = store.put(Table::MoodleSessions, &key, pair.as_bytes(), Some(life));
        if let Err(error) = put.await {
            self.end_in_moodle(&session.identity, signed);
            return Err(error);
        }
        if let Some(before) = before
            .as_deref()
            .and_then(Cookie::kept)
            .filter(|before| *before != signed)
        {
            self.end_in_moodle(&session.identity, before);
        }
        Ok(())
    }

    /// Ends a session in Moodle that nobody but the gateway has, in the background.
    pub(super) fn end_in_moodle(&self, who: &Identity, session: Cookie) {
        let (name, metrics) = (self.config.name.clone(), self.tokens.0.metrics.clone());
        let (places, asker, moodle) = (self.leaving.clone(), Asker::person(who), self.conversation());
        tokio::spawn(async move {
            let Ok(_place) = places.take(asker).await else {
                return metrics.ended(&name, "busy");
            };
            let Ok(moodle) = moodle else {
                return metrics.ended(&name, "not_reached");
            };
            let outcome = match logout::end(&moodle, &session).await {
                Ok(true) => "ok",
                Ok(false) => "over",
                Err(error) => {
                    tracing::warn!(moodle = name, %error, "a session in Moodle could not be ended there");
                    error.outcome()
                }
            };
            metrics.ended(&name, outcome);
        });
    }

    /// Keeps a token that the session's browser has brought, and that has said whose it is.
    pub(super) async fn keep_brought(&self, session: &Session, key: &str, token: &Token) {
        let before = self.tokens.changes(key);
        let kept = async {
            let kept = self.tokens.keep(key, token).await?;
            self.unless_signed_out(Some(session), key, kept).await
        };
        let kept = kept.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a token that a browser has brought from Moodle could not be kept");
            let until = self.config.drop_at_logout.then(SystemTime::now);
            let token = token.clone();
            Kept { token, until }
        });
        self.tokens.0.refused.invalidate(key).await;
        if kept.counts() {
            self.tokens.0.tokens.insert(key.to_owned(), kept).await;
        }
        if self.tokens.changes(key) != before {
            self.tokens.0.tokens.invalidate(key).await;
        }
    }

    /// What was just kept for a call of this session; for that call alone if the person has signed out meanwhile. Whoever ends
    /// a session takes it out before the token: one of the two sees the other.
    pub(super) async fn unless_signed_out(
        &self,
        session: Option<&Session>,
        key: &str,
        kept: Kept,
    ) -> Result<Kept, StoreError> {
        let Some(session) = session.filter(|_| self.config.drop_at_logout) else {
            return Ok(kept);
        };
        let store = &self.tokens.0.store;
        if store.get(Table::Sessions, &session.key.text()).await?.is_some() {
            return Ok(kept);
        }
        store.delete(Table::MoodleTokens, key).await?;
        Ok(kept.for_now())
    }
}
