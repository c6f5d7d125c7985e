//! The session of a person who signed in: what the sign-in server said, and when.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::roles::roles;
use super::{Attributes, Carrier, Record, Session, SessionKey, Sessions};
use crate::config::{Config, SessionLimits, SignIn};
use crate::identity::Identity;
use crate::sealing::Purpose;
use crate::store::{Index, StoreError, Table};
use crate::time::{from_unix, unix_seconds};

/// What a session is made of.
pub struct NewSession {
    /// By what name the person is known here.
    pub subject: String,
    /// What the sign-in server calls the user.
    pub user: String,
    pub attributes: Attributes,
    /// The ticket that single logout will name.
    pub ticket: String,
}

/// Members have short names: there may be a hundred thousand in memory.
#[derive(Serialize, Deserialize)]
pub struct SignedIn {
    #[serde(rename = "i")]
    sign_in: String,
    #[serde(rename = "s")]
    subject: String,
    /// Absent: the same as the subject.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(rename = "a")]
    pub attributes: Attributes,
    #[serde(rename = "b")]
    is_bearer: bool,
    /// Seconds since 1970.
    #[serde(rename = "c")]
    created: u64,
    #[serde(rename = "e")]
    expires: u64,
    #[serde(rename = "t")]
    ticket: Option<String>,
}

impl SignedIn {
    pub fn new(sign_in: &SignIn, new: NewSession, carrier: Carrier, now: SystemTime) -> Self {
        let created = unix_seconds(now);
        Self {
            sign_in: sign_in.name.to_string(),
            user: Some(new.user).filter(|user| *user != new.subject),
            subject: new.subject,
            attributes: new.attributes,
            is_bearer: carrier == Carrier::Bearer,
            created,
            expires: created.saturating_add(sign_in.session.absolute.as_secs()),
            ticket: Some(new.ticket),
        }
    }

    /// What the sign-in server calls the user.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.subject)
    }
}

impl Record for SignedIn {
    const TABLE: Table = Table::Sessions;
    const INDEX: Index = Index::SessionsBySubject;
    const ENDED: &'static str = "session-ended ";
    const COOKIE: Purpose = Purpose::SessionCookie;
    const BEARER: Option<Purpose> = Some(Purpose::SessionBearer);

    fn longest_idle(config: &Config) -> Option<Duration> {
        config.sign_ins.iter().map(|sign_in| sign_in.session.idle).max()
    }

    fn created(&self) -> u64 {
        self.created
    }

    fn carrier(&self) -> Carrier {
        if self.is_bearer {
            Carrier::Bearer
        } else {
            Carrier::Cookie
        }
    }

    /// The name is the sign-in's, which has no slash in it.
    fn group(&self) -> Cow<'_, str> {
        format!("{}/{}", self.sign_in, self.subject).into()
    }

    fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    /// Its sign-in's, if that still is one.
    fn read(&self, config: &Config) -> Option<(SessionLimits, Identity)> {
        let sign_in = config.sign_ins.iter().find(|sign_in| *sign_in.name == *self.sign_in)?;
        let identity = Identity {
            issuers: Vec::new(),
            source: Arc::clone(&sign_in.name),
            subject: Some(self.subject.clone()),
            named: true,
            roles: roles(&sign_in.roles, &self.attributes),
            grants: Vec::new(),
            expires: from_unix(self.expires),
        };
        Some((sign_in.session, identity))
    }
}

impl Sessions {
    /// Another ticket of the same person came to this session: single logout may name either of them. The record stays as
    /// it is, since a change of it could bring back what ends meanwhile.
    pub async fn also_by(&self, session: &Session, ticket: &str, now: SystemTime) -> Result<(), StoreError> {
        let lives = session.expires.duration_since(now).unwrap_or_default();
        let name = session.key.text();
        self.store
            .put(Table::Tickets, ticket, name.as_bytes(), Some(lives))
            .await
    }

    /// Ends the session that this ticket began, or was added to.
    pub async fn end_by_ticket(&self, ticket: &str) -> Result<Option<SessionKey>, StoreError> {
        let key = self.store.get(Table::Tickets, ticket).await?;
        let key = key.and_then(|bytes| SessionKey::parse(std::str::from_utf8(&bytes).ok()?));
        let Some(key) = key else { return Ok(None) };
        Ok(self.end(key, "single_logout").await?.then_some(key))
    }
}
