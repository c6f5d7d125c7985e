//! Launch sessions: what a token allowed when a learning platform opened a page here with it, remembered by the server
//! for as long as the page is used.
//!
//! A launch session is no sign-in. It holds the roles and grants of one token, and lives by a clock of its own. What
//! stands in the store is what the token said within the caps of its issuers, and when; the caps that are in force when
//! it is read are applied once more: they may have become narrower. Where one may begin and where it counts is decided
//! by the routes.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::lti::Said;
use super::session::cookie::LAUNCH;
use super::session::secret::key_of;
use super::session::{Record, Session, SessionStore};
use super::token;
use crate::config::{Config, Launch, SessionLimits};
use crate::digest::{hex, sha256};
use crate::identity::{Grant, GrantKind, Identity};
use crate::rate::address_key;
use crate::sealing::Purpose;
use crate::store::{Index, StoreError, Table};
use crate::time::{from_unix, unix_millis, unix_seconds};

/// A launch session, alive when it was looked up.
pub type LaunchSession = Session<LaunchRecord>;

/// All launch sessions.
pub type Launches = SessionStore<LaunchRecord>;

/// What a launch session is made of.
pub struct NewLaunch<'a> {
    /// Whom the token speaks for.
    pub who: &'a Identity,
    /// The client's address.
    pub client: IpAddr,
    /// Where it begins; by LTI at no route.
    pub route: &'a str,
    /// What an LTI platform has said, whose launch it is.
    pub said: Option<&'a Said>,
    pub launch: Launch,
    pub config: &'a Config,
}

#[derive(Serialize, Deserialize)]
pub struct LaunchRecord {
    #[serde(rename = "r")]
    route: String,
    /// Names.
    #[serde(rename = "i")]
    issuers: Vec<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(rename = "o")]
    roles: Vec<String>,
    /// Kind, id, action.
    #[serde(rename = "g")]
    grants: Vec<(char, String, String)>,
    /// Seconds since 1970.
    #[serde(rename = "c")]
    created: u64,
    #[serde(rename = "e")]
    expires: u64,
    /// Among which it is counted.
    #[serde(rename = "n")]
    group: String,
    /// Of a launch by LTI: then neither route nor issuers, and the rest follows from it.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    said: Option<Said>,
}

/// Launch sessions of one person; beyond it the oldest one ends. A page with many players in frames begins one for each.
const MOST: usize = 100;
/// The same of tokens that name nobody, say the very same, and come from one address, behind which a whole course may be.
const MOST_OF_NOBODY: usize = 1000;
/// Hexadecimal digits behind the name of a cookie.
const MARK: usize = 12;
/// What the group of these begins with.
const OF_NOBODY: &str = "token ";

/// The group of a person's.
fn of_subject(issuer: &str, subject: &str) -> String {
    format!("subject {issuer}/{subject}")
}

/// The group of a token that names nobody: of all that say the very same at one address. A course's people may all have
/// such a token, and none of them ends the sessions of the others.
/// `by_token`: a token may come again, and a platform's messages do not, which are one for all of a course.
fn of_nobody(who: &Identity, by_token: bool, client: IpAddr) -> String {
    let grants: Vec<_> = who.grants.iter().map(written).collect();
    let expires = by_token.then(|| unix_millis(who.expires));
    let said = serde_json::json!([*who.source, who.subject, who.roles, grants, expires]);
    let said = format!("{said} {}", address_key(client));
    format!("{OF_NOBODY}{}", key_of(&said).text())
}

/// Is this the name of a cookie of a session that stands beside others?
pub fn is_beside(name: &str) -> bool {
    let mark = name.strip_prefix(LAUNCH).and_then(|behind| behind.strip_prefix('-'));
    mark.is_some_and(|mark| mark.len() == MARK && mark.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl LaunchRecord {
    pub fn new(new: NewLaunch<'_>, now: SystemTime) -> Self {
        let (who, all) = (new.who, &new.config.jwt.issuers);
        let issuers = who.issuers.iter().filter_map(|index| all.get(*index));
        // A name that the issuer may not give is nobody's: some give all their people the same. A platform has one for each.
        let named = new.said.is_some() || issuers.clone().all(|issuer| issuer.may_name_users);
        let created = unix_seconds(now);
        Self {
            route: new.route.to_owned(),
            issuers: issuers.map(|issuer| issuer.name.to_string()).collect(),
            group: match who.subject.as_deref().filter(|_| named) {
                Some(subject) => of_subject(&who.source, subject),
                None => of_nobody(who, new.said.is_none(), new.client),
            },
            subject: who.subject.clone().filter(|_| new.said.is_none()),
            roles: match new.said {
                Some(_) => Vec::new(),
                None => who.roles.clone(),
            },
            grants: who.grants.iter().map(written).collect(),
            created,
            expires: created.saturating_add(new.launch.absolute.as_secs()),
            said: new.said.cloned(),
        }
    }

    /// What its cookie is called, without the prefix. A token that names nobody and grants something has a name of its own, and
    /// the next one that says the same takes it over.
    pub fn cookie(&self) -> Cow<'static, str> {
        if self.grants.is_empty() || !self.group.starts_with(OF_NOBODY) {
            return LAUNCH.into();
        }
        let said = serde_json::json!([self.issuers, self.subject, self.roles, self.grants]).to_string();
        let mark = hex(&sha256(said.as_bytes()));
        format!("{LAUNCH}-{}", mark.get(..MARK).unwrap_or_default()).into()
    }

    /// Its route's times and its token's person, if launches still begin there and the issuers still are some.
    fn of_route(&self, config: &Config) -> Option<(Launch, Identity)> {
        let route = config.routes.iter().find(|route| *route.name == *self.route)?;
        let life = route.launch?;
        let all = &config.jwt.issuers;
        let place = |name: &String| all.iter().position(|issuer| *issuer.name == **name);
        let issuers: Vec<usize> = self.issuers.iter().map(place).collect::<Option<_>>()?;
        let mut who = Identity {
            source: Arc::clone(&all.get(*issuers.first()?)?.name),
            people: None,
            issuers,
            subject: self.subject.clone(),
            named: false,
            roles: self.roles.clone(),
            grants: self.grants.iter().filter_map(read).collect(),
            expires: from_unix(self.expires),
            access: None,
        };
        token::cap(&mut who, all);
        Some((life, who))
    }

    /// The platform's times and its person, if its launches still are taken.
    fn of_platform(&self, said: &Said, config: &Config) -> Option<(Launch, Identity)> {
        let lti = config.lti.iter().find(|lti| *lti.name == *said.platform)?;
        Some((lti.launch, said.identity(lti, from_unix(self.expires))))
    }
}

impl Record for LaunchRecord {
    const TABLE: Table = Table::Launches;
    const INDEX: Index = Index::LaunchesByOrigin;
    const ENDED: &'static str = "launch-ended ";
    const COOKIE: Purpose = Purpose::LaunchCookie;

    fn longest_idle(config: &Config) -> Option<Duration> {
        let launches = config.routes.iter().filter_map(|route| route.launch);
        let by_lti = config.lti.iter().map(|lti| lti.launch);
        launches.chain(by_lti).map(|launch| launch.idle).max()
    }

    fn created(&self) -> u64 {
        self.created
    }

    fn group(&self) -> Cow<'_, str> {
        self.group.as_str().into()
    }

    fn read(&self, config: &Config) -> Option<(SessionLimits, Identity)> {
        let (Launch { idle, absolute }, who) = match &self.said {
            Some(said) => self.of_platform(said, config)?,
            None => self.of_route(config)?,
        };
        let per_subject = if self.group.starts_with(OF_NOBODY) {
            MOST_OF_NOBODY
        } else {
            MOST
        };
        let limits = SessionLimits {
            idle,
            absolute,
            per_subject,
        };
        Some((limits, who))
    }
}

impl Launches {
    /// Ends those of a person whom the issuer, or the platform, may name.
    pub async fn end_all(&self, issuer: &str, subject: &str) -> Result<(), StoreError> {
        let group = of_subject(issuer, subject);
        let all = self.store.index_members(Index::LaunchesByOrigin, &group).await?;
        self.end_each(&group, all, "revoked").await
    }
}

fn written(grant: &Grant) -> (char, String, String) {
    let kind = match grant.kind {
        GrantKind::Event => 'e',
        GrantKind::Series => 's',
        GrantKind::Playlist => 'p',
    };
    (kind, grant.id.clone(), grant.action.clone())
}

fn read((kind, id, action): &(char, String, String)) -> Option<Grant> {
    let kind = match kind {
        'e' => GrantKind::Event,
        's' => GrantKind::Series,
        'p' => GrantKind::Playlist,
        _ => return None,
    };
    Some(Grant {
        kind,
        id: id.clone(),
        action: action.clone(),
    })
}

#[cfg(test)]
mod tests;
