//! Who stands behind a request: what a verified credential says, after the caps of its issuer.

pub mod attributes;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use self::attributes::Attributes;
use crate::rate::address_key;

/// A verified person or token. A person is (people, name), never the name alone: two issuers may both know an `anna`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuers whose key set holds the verifying key, as indices into the configuration; mostly one.
    /// Several mean that the narrower caps of all of them were applied.
    pub issuers: Vec<usize>,
    /// The name of the first of them, or of the sign-in: where the subject was said.
    pub source: Arc<str>,
    /// Whose people the source names, if not its own (`sign_in.<name>.people`).
    pub people: Option<Arc<str>>,
    /// `sub`, when the token names one.
    pub subject: Option<String>,
    /// May all who say so name people? A sign-in may; an issuer with `may_name_users`.
    pub named: bool,
    /// Roles held, after `allow_roles`; no duplicates.
    pub roles: Vec<String>,
    /// Grants held, after `allow_actions`.
    pub grants: Vec<Grant>,
    /// `exp` of the token.
    pub expires: SystemTime,
    /// What an access token says beside who it is, or that it is a signed address; `None` for every other credential.
    pub access: Option<Arc<Access>>,
}

/// For whom an access token was made, and what it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    pub client: Option<String>,
    pub scopes: Vec<String>,
    /// Of what it says of the person, what a Moodle of these people asks for (`config::Bearer::attributes`).
    pub attributes: Attributes,
    /// It is no access token but a signed address, which is nobody's.
    pub signed_url: bool,
}

impl Identity {
    /// The name, if it may be believed: what rules go by and upstreams are shown.
    pub fn name(&self) -> Option<&str> {
        self.subject.as_deref().filter(|_| self.named)
    }

    /// By whom the name was given that, with the name itself, is one person.
    pub fn people(&self) -> &str {
        self.people.as_deref().unwrap_or(&self.source)
    }

    /// Is it anybody? An access token may be a client's own, which is nobody: it has neither name nor roles.
    pub fn is_somebody(&self) -> bool {
        self.access.is_none() || self.subject.is_some()
    }

    /// Whose limits this person's requests count for; `None` where there is no name: the address's. A name that may not be
    /// believed counts for one `address`, since all people of its issuer may have the same.
    pub fn counts_as(&self, address: IpAddr) -> Option<String> {
        let subject = self.subject.as_ref()?;
        Some(match self.named {
            true => format!("{}/{subject}", self.people()),
            false => format!("{}/{subject}@{}", self.people(), address_key(address)),
        })
    }
}

/// One action on one item: an entry of the `oc` claim, or a role `ROLE_EPISODE_<id>_<ACTION>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub kind: GrantKind,
    pub id: String,
    pub action: String,
}

/// `e:`, `s:` and `p:` of the `oc` claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantKind {
    Event,
    Series,
    Playlist,
}

/// What a decision about a person came to, without the person: kept in a watch pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Rules of `allow` that the person met.
    pub held: Vec<Fingerprint>,
    /// Rules of `deny` that the person was asked about and did not meet.
    pub clear: Vec<Fingerprint>,
    /// Grants on playlists by which the rules held. Empty: the rules held for the one event.
    pub grants: Vec<Grant>,
}

/// Tells one viewer from another, for statistics: a digest of the person, or of what stands for one.
pub type ViewerId = [u8; 16];

/// Tells one rule from another.
pub type Fingerprint = [u8; 8];

#[cfg(test)]
mod tests {
    use super::*;

    fn anna(source: &str, people: Option<&str>) -> Identity {
        Identity {
            issuers: Vec::new(),
            source: source.into(),
            people: people.map(Arc::from),
            subject: Some("anna".to_owned()),
            named: true,
            roles: Vec::new(),
            grants: Vec::new(),
            expires: SystemTime::UNIX_EPOCH,
            access: None,
        }
    }

    #[test]
    fn limits_count_for_the_person_and_not_for_the_way_in() {
        let address: IpAddr = [192, 0, 2, 1].into();
        let counts = |who: &Identity| who.counts_as(address);
        let campus = anna("campus", None);
        assert_eq!(counts(&anna("library", Some("campus"))), counts(&campus));
        assert_ne!(counts(&anna("library", None)), counts(&campus));
        let unnamed = Identity {
            named: false,
            ..anna("library", Some("campus"))
        };
        assert_ne!(
            counts(&unnamed),
            counts(&campus),
            "a name that may not be believed is nobody's"
        );
    }
}
