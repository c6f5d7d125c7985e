//! A launch session as it stands in the store: what the token said within the caps of its issuers, and when. The caps
//! that are in force when it is read are applied once more: they may have become narrower.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::authenticate::session::SessionKey;
use crate::authenticate::session::secret::key_of;
use crate::authenticate::token;
use crate::config::{Config, Launch};
use crate::identity::{Grant, GrantKind, Identity};
use crate::rate::address_key;
use crate::time::{from_unix, unix_millis, unix_seconds};

/// A launch session, alive when it was looked up.
#[derive(Debug, Clone)]
pub struct LaunchSession {
    pub key: SessionKey,
    /// Ends when the session does.
    pub identity: Arc<Identity>,
    pub created: SystemTime,
    /// After the last request.
    pub idle: Duration,
}

/// What a launch session is made of.
pub struct NewLaunch<'a> {
    /// Whom the token speaks for.
    pub who: &'a Identity,
    /// The client's address.
    pub client: IpAddr,
    /// Where it begins.
    pub route: &'a str,
    pub launch: Launch,
    pub config: &'a Config,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Record {
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
    pub(super) group: String,
}

/// Launch sessions of one person; beyond it the oldest one ends. A page with many players in frames begins one for each.
pub(super) const MOST: usize = 100;
/// The same of tokens that name nobody, say the very same, and come from one address, behind which a whole course may be.
const MOST_OF_NOBODY: usize = 1000;
/// What the group of these begins with.
const OF_NOBODY: &str = "token ";

/// The group of a person's.
pub(super) fn of_subject(issuer: &str, subject: &str) -> String {
    format!("subject {issuer}/{subject}")
}

/// The group of a token that names nobody: of all that say the very same at one address. A course's people may all have
/// such a token, and none of them ends the sessions of the others.
fn of_nobody(who: &Identity, client: IpAddr) -> String {
    let grants: Vec<_> = who.grants.iter().map(written).collect();
    let said = serde_json::json!([*who.source, who.subject, who.roles, grants, unix_millis(who.expires)]);
    let said = format!("{said} {}", address_key(client));
    format!("{OF_NOBODY}{}", key_of(&said).text())
}

/// Launch sessions of such a group: one of a person, or of all that say the same behind one address.
pub(super) fn most(group: &str) -> usize {
    match group.starts_with(OF_NOBODY) {
        true => MOST_OF_NOBODY,
        false => MOST,
    }
}

impl Record {
    pub(super) fn new(new: NewLaunch<'_>, now: SystemTime) -> Self {
        let (who, all) = (new.who, &new.config.jwt.issuers);
        let issuers = who.issuers.iter().filter_map(|index| all.get(*index));
        // A name that the issuer may not give is nobody's: some give all their people the same.
        let named = issuers.clone().all(|issuer| issuer.may_name_users);
        let created = unix_seconds(now);
        Self {
            route: new.route.to_owned(),
            issuers: issuers.map(|issuer| issuer.name.to_string()).collect(),
            group: match who.subject.as_deref().filter(|_| named) {
                Some(subject) => of_subject(&who.source, subject),
                None => of_nobody(who, new.client),
            },
            subject: who.subject.clone(),
            roles: who.roles.clone(),
            grants: who.grants.iter().map(written).collect(),
            created,
            expires: created.saturating_add(new.launch.absolute.as_secs()),
        }
    }

    /// `None` for what an older or newer version wrote differently: that page is launched again.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists always can be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The session, if launches still begin at its route and its issuers still are some.
    pub(super) fn session(&self, key: SessionKey, config: &Config) -> Option<LaunchSession> {
        let route = config.routes.iter().find(|route| *route.name == *self.route)?;
        let launch = route.launch?;
        let all = &config.jwt.issuers;
        let place = |name: &String| all.iter().position(|issuer| *issuer.name == **name);
        let issuers: Vec<usize> = self.issuers.iter().map(place).collect::<Option<_>>()?;
        let created = from_unix(self.created);
        let mut who = Identity {
            source: Arc::clone(&all.get(*issuers.first()?)?.name),
            issuers,
            subject: self.subject.clone(),
            named: false,
            roles: self.roles.clone(),
            grants: self.grants.iter().filter_map(read).collect(),
            // A shorter life in the configuration counts for those that are there already, a longer one does not.
            expires: from_unix(self.expires).min(created + launch.absolute),
        };
        token::cap(&mut who, all);
        Some(LaunchSession {
            key,
            identity: Arc::new(who),
            created,
            idle: launch.idle,
        })
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
