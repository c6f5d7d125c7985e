//! A session as it stands in the store: what the CAS server said, and when. Roles are not in it: they follow from the
//! configuration that runs when it is read.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{Carrier, Session, SessionKey};
use crate::authenticate::sign_in::cas::{Attributes, Principal, Ticket, roles};
use crate::config::SignIn;
use crate::identity::Identity;
use crate::time::{from_unix, unix_seconds};

/// What a session is made of.
pub struct NewSession {
    /// By what name the person is known here.
    pub subject: String,
    pub principal: Principal,
    /// The ticket that single logout will name.
    pub ticket: Ticket,
}

impl NewSession {
    /// `username` is what the person is named by, as [`Principal::username`] takes it. `None`: this person has no such name.
    pub fn of(principal: Principal, ticket: Ticket, username: &str) -> Option<Self> {
        let subject = principal.username(username)?.to_owned();
        Some(Self {
            subject,
            principal,
            ticket,
        })
    }
}

/// Members have short names: there may be a hundred thousand in memory.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    #[serde(rename = "i")]
    pub(super) sign_in: String,
    #[serde(rename = "s")]
    pub(super) subject: String,
    /// Absent: the same as the subject.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(rename = "a")]
    attributes: Vec<(String, Vec<String>)>,
    #[serde(rename = "b")]
    is_bearer: bool,
    /// Seconds since 1970.
    #[serde(rename = "c")]
    created: u64,
    #[serde(rename = "e")]
    expires: u64,
    #[serde(rename = "t")]
    pub(super) ticket: Option<String>,
}

impl Record {
    pub(super) fn new(sign_in: &SignIn, new: NewSession, carrier: Carrier, now: SystemTime) -> Self {
        let created = unix_seconds(now);
        let attributes = new.principal.attributes.iter();
        Self {
            sign_in: sign_in.name.to_string(),
            user: Some(new.principal.user).filter(|user| *user != new.subject),
            subject: new.subject,
            attributes: attributes
                .map(|(name, values)| (name.to_owned(), values.to_vec()))
                .collect(),
            is_bearer: carrier == Carrier::Bearer,
            created,
            expires: created.saturating_add(sign_in.session.absolute.as_secs()),
            ticket: Some(new.ticket.as_str().to_owned()),
        }
    }

    /// `None` for what an older or newer version wrote differently: that person signs in again.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists always can be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The session, if its sign-in still is one.
    pub(super) fn session(self, key: SessionKey, sign_ins: &[SignIn]) -> Option<Session> {
        let sign_in = sign_ins.iter().find(|sign_in| *sign_in.name == *self.sign_in)?;
        let mut attributes = Attributes::default();
        for (name, values) in &self.attributes {
            for value in values {
                attributes.add(name, value).ok()?;
            }
        }
        let principal = Principal {
            user: self.user.unwrap_or_else(|| self.subject.clone()),
            attributes,
            proxies: Vec::new(),
        };
        let created = from_unix(self.created);
        // A shorter life in the configuration counts for those who are signed in already, a longer one does not.
        let expires = from_unix(self.expires).min(created + sign_in.session.absolute);
        Some(Session {
            key,
            carrier: match self.is_bearer {
                true => Carrier::Bearer,
                false => Carrier::Cookie,
            },
            identity: Arc::new(Identity {
                issuers: Vec::new(),
                source: Arc::clone(&sign_in.name),
                subject: Some(self.subject),
                named: true,
                roles: roles(&sign_in.roles, &principal),
                grants: Vec::new(),
                expires,
            }),
            user: principal.user,
            attributes: principal.attributes,
            created,
            expires,
            idle: sign_in.session.idle,
        })
    }
}
