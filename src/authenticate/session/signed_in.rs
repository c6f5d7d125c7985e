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
use crate::time::{from_unix, unix_millis, unix_seconds};

/// What a session is made of.
pub struct NewSession {
    /// By what name the person is known here.
    pub subject: String,
    /// What the sign-in server calls the user.
    pub user: String,
    pub attributes: Attributes,
    /// The ticket that single logout will name (CAS).
    pub ticket: Option<String>,
    /// By what an OpenID provider will name the session.
    pub provider: Option<ProviderSession>,
    /// To be kept for the sign-out at the provider.
    pub id_token: Option<String>,
    /// What the server tells to be used once, such as a password: it is never kept.
    pub once: Attributes,
}

/// A session at an OpenID provider. Its person is called there what [`SignedIn::user`] says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderSession {
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The ID token was made then, in Unix seconds.
    #[serde(rename = "i")]
    pub issued: u64,
}

/// What has ended at an OpenID provider.
#[derive(Debug, Clone, Copy)]
pub enum EndedAt<'a> {
    /// One session, by its `sid`.
    Session(&'a str),
    /// All of a person, by `sub`.
    Person(&'a str),
}

impl EndedAt<'_> {
    /// The group of the sessions that began by it, in [`Index::SessionsByProvider`]. No name of a sign-in has a slash in it.
    fn group(self, sign_in: &str) -> String {
        match self {
            Self::Session(sid) => format!("{sign_in}/sid/{sid}"),
            Self::Person(sub) => format!("{sign_in}/sub/{sub}"),
        }
    }
}

/// A logout at a provider counts so long for sign-ins that are still on their way: as long as they may take.
const ON_THEIR_WAY: Duration = Duration::from_secs(15 * 60);

/// Members have short names: there may be a hundred thousand in memory.
#[derive(Serialize, Deserialize)]
pub struct SignedIn {
    #[serde(rename = "i")]
    sign_in: String,
    /// Absent: those of the sign-in. By what it was when the session began, it is found among those of its person.
    #[serde(rename = "P", default, skip_serializing_if = "Option::is_none")]
    people: Option<String>,
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
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    provider: Option<ProviderSession>,
}

impl SignedIn {
    pub fn new(sign_in: &SignIn, new: NewSession, carrier: Carrier, now: SystemTime) -> Self {
        let created = unix_seconds(now);
        Self {
            sign_in: sign_in.name.to_string(),
            people: (sign_in.people != sign_in.name).then(|| sign_in.people.to_string()),
            user: Some(new.user).filter(|user| *user != new.subject),
            subject: new.subject,
            attributes: new.attributes,
            is_bearer: carrier == Carrier::Bearer,
            created,
            expires: created.saturating_add(sign_in.session.absolute.as_secs()),
            ticket: new.ticket,
            provider: new.provider,
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
        format!("{}/{}", self.people.as_deref().unwrap_or(&self.sign_in), self.subject).into()
    }

    fn ticket(&self) -> Option<&str> {
        self.ticket.as_deref()
    }

    fn provider_groups(&self) -> Vec<String> {
        let Some(provider) = &self.provider else {
            return Vec::new();
        };
        groups(&self.sign_in, provider, self.user())
    }

    /// Its sign-in's, if that still is one.
    fn read(&self, config: &Config) -> Option<(SessionLimits, Identity)> {
        let sign_in = config.sign_ins.iter().find(|sign_in| *sign_in.name == *self.sign_in)?;
        let identity = Identity {
            issuers: Vec::new(),
            source: Arc::clone(&sign_in.name),
            people: (sign_in.people != sign_in.name).then(|| Arc::clone(&sign_in.people)),
            subject: Some(self.subject.clone()),
            named: true,
            roles: roles(&sign_in.roles, &self.attributes),
            grants: Vec::new(),
            expires: from_unix(self.expires),
            access: None,
        };
        Some((sign_in.session, identity))
    }
}

impl Sessions {
    /// Another sign-in of the same person came to this session: single logout may name either of them. The record stays as
    /// it is, since a change of it could bring back what ends meanwhile.
    pub async fn also_by(&self, session: &Session, new: &NewSession, now: SystemTime) -> Result<(), StoreError> {
        let lives = Some(session.expires.duration_since(now).unwrap_or_default());
        let name = session.key.text();
        if let Some(ticket) = &new.ticket {
            self.store.put(Table::Tickets, ticket, name.as_bytes(), lives).await?;
        }
        let Some(provider) = &new.provider else { return Ok(()) };
        for group in groups(&session.identity.source, provider, &new.user) {
            let index = Index::SessionsByProvider;
            self.store
                .index_add(index, &group, &name, unix_millis(now), lives)
                .await?;
        }
        if let Some(id_token) = &new.id_token {
            self.keep_id_token(session, id_token).await?;
        }
        // A logout at the provider may have overtaken this one: the next request finds nobody.
        self.ended_before(session, provider, &new.user).await?;
        Ok(())
    }

    /// Keeps the ID token that the session began by, sealed, until it ends.
    pub async fn keep_id_token(&self, session: &Session, id_token: &str) -> Result<(), StoreError> {
        let lives = session.expires.duration_since(session.created).ok();
        let name = session.key.text();
        self.store.put(Table::IdTokens, &name, id_token.as_bytes(), lives).await
    }

    /// The ID token that was kept for this session.
    pub async fn id_token(&self, session: &Session) -> Result<Option<String>, StoreError> {
        if session.record.provider.is_none() {
            return Ok(None);
        }
        let kept = self.store.get(Table::IdTokens, &session.key.text()).await?;
        Ok(kept.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Is this name of a logout, which lives for `lives`, new?
    pub async fn is_first(&self, logout: &str, lives: Duration) -> Result<bool, StoreError> {
        let name = format!("logout token {logout}");
        self.store.put_new(Table::Revocations, &name, b"1", Some(lives)).await
    }

    /// Takes back that this name of a logout came.
    pub async fn forget(&self, logout: &str) -> Result<(), StoreError> {
        let name = format!("logout token {logout}");
        self.store.delete(Table::Revocations, &name).await.map(drop)
    }

    /// Ends what has ended at the provider of this sign-in. `when`, in Unix seconds: sign-ins that are on their way end, too,
    /// which is remembered; so it has to be somebody who proved to be the provider that says so.
    pub async fn end_at_provider(
        &self,
        sign_in: &str,
        ended: EndedAt<'_>,
        when: Option<u64>,
    ) -> Result<(), StoreError> {
        let group = ended.group(sign_in);
        if let Some(when) = when.map(u64::to_be_bytes) {
            self.store
                .put(Table::Revocations, &signed_out(&group), &when, Some(ON_THEIR_WAY))
                .await?;
        }
        for (name, _) in self.store.index_members(Index::SessionsByProvider, &group).await? {
            if let Some(key) = SessionKey::parse(&name) {
                self.end(key, "single_logout").await?;
            }
            self.store
                .index_remove(Index::SessionsByProvider, &group, &name)
                .await?;
        }
        Ok(())
    }

    /// Has this session, which has just begun, ended at its provider before? Then it ends here. One that has a `sid` never
    /// begins again, however late its code was redeemed; a person who has signed out everywhere and in again meanwhile has a
    /// newer ID token.
    pub async fn ended_meanwhile(&self, session: &Session) -> Result<bool, StoreError> {
        let record = &session.record;
        let Some(provider) = &record.provider else {
            return Ok(false);
        };
        self.ended_before(session, provider, record.user()).await
    }

    /// The same of another sign-in that came to the session, with what the provider calls its session and person.
    async fn ended_before(&self, session: &Session, provider: &ProviderSession, sub: &str) -> Result<bool, StoreError> {
        let sid = provider.sid.as_deref().map(EndedAt::Session);
        for place in sid.into_iter().chain([EndedAt::Person(sub)]) {
            let name = signed_out(&place.group(&session.record.sign_in));
            let ended = self.store.get(Table::Revocations, &name).await?;
            let ended = ended.and_then(|bytes| bytes.try_into().ok().map(u64::from_be_bytes));
            let counts = |ended| matches!(place, EndedAt::Session(_)) || provider.issued <= ended;
            if ended.is_some_and(counts) {
                self.end(session.key, "single_logout").await?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the session that this ticket began, or was added to.
    pub async fn end_by_ticket(&self, ticket: &str) -> Result<Option<SessionKey>, StoreError> {
        let key = self.store.get(Table::Tickets, ticket).await?;
        let key = key.and_then(|bytes| SessionKey::parse(std::str::from_utf8(&bytes).ok()?));
        let Some(key) = key else { return Ok(None) };
        Ok(self.end(key, "single_logout").await?.then_some(key))
    }
}

fn groups(sign_in: &str, provider: &ProviderSession, sub: &str) -> Vec<String> {
    let sid = provider.sid.as_deref().map(EndedAt::Session);
    let all = sid.into_iter().chain([EndedAt::Person(sub)]);
    all.map(|ended| ended.group(sign_in)).collect()
}

fn signed_out(group: &str) -> String {
    format!("signed out {group}")
}
