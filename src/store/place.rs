//! Where things stand in the store: the tables and indexes, and the names that keys get inside.
//!
//! A key may be a person's name or a ticket. What is written is its SHA-256, so that who reads a store learns neither.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::digest::sha256;

/// What single values are kept for. Names are for ever: rename a variant, never its string, nor its number, by which a
/// value says of which table it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Last good key sets, by issuer and address.
    KeySets = 1,
    /// Sessions, by a hash of their id.
    Sessions = 2,
    /// Sessions' keys, by the CAS tickets that came for them.
    Tickets = 3,
    /// Launch sessions, by a hash of their id.
    Launches = 8,
    /// What ended early, by its own name, for as long as it would have lived on.
    Revocations = 4,
    /// Moodle's web-service tokens, by user and service.
    MoodleTokens = 5,
    /// Moodle's own sessions, by session of ours, from which tokens are made again.
    MoodleSessions = 6,
    /// Tokens that the operator has provided, by user and service.
    MoodleVault = 7,
    /// Tokens of Moodle's that it takes no more.
    DeadTokens = 9,
    /// Whom the gateway vouches for towards Moodle, by the ticket that it has made.
    FacadeTickets = 10,
    /// ID tokens, by session, for signing out at the provider.
    IdTokens = 11,
    /// Proxy-granting tickets of CAS, by the name that its answer holds, and then by session.
    ProxyGrants = 12,
    /// Nonces of launches by LTI that were used, by platform.
    LtiNonces = 13,
}

/// What small ordered sets are kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The keys of a subject's sessions; the group is sign-in and subject.
    SessionsBySubject,
    /// The keys of sessions that an OpenID provider may end; the group is sign-in and `sid`, or sign-in and `sub`.
    SessionsByProvider,
    /// The keys of launch sessions; the group is the person, or the token, that began them.
    LaunchesByOrigin,
    /// Watch passes that were ended, by subject and by event, with the second up to which; one group.
    Revocations,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::KeySets => "key-set",
            Self::Sessions => "session",
            Self::Tickets => "ticket",
            Self::Launches => "launch",
            Self::Revocations => "revocation",
            Self::MoodleTokens => "moodle-token",
            Self::MoodleSessions => "moodle-session",
            Self::MoodleVault => "moodle-vault",
            Self::DeadTokens => "dead-token",
            Self::FacadeTickets => "facade-ticket",
            Self::IdTokens => "id-token",
            Self::ProxyGrants => "proxy-grant",
            Self::LtiNonces => "lti-nonce",
        }
    }

    pub(super) fn tag(self) -> u8 {
        self as u8
    }

    pub(super) fn tagged(tag: u8) -> Option<Self> {
        let all = [
            Self::KeySets,
            Self::Sessions,
            Self::Tickets,
            Self::Revocations,
            Self::MoodleTokens,
            Self::MoodleSessions,
            Self::MoodleVault,
            Self::Launches,
            Self::DeadTokens,
            Self::FacadeTickets,
            Self::IdTokens,
            Self::ProxyGrants,
            Self::LtiNonces,
        ];
        all.into_iter().find(|table| table.tag() == tag)
    }

    /// Must a write be on disk when it returns? Everything else may lose the last moments before a crash: people sign
    /// in again, and tokens are obtained again.
    pub(super) fn is_durable(self) -> bool {
        // What the operator has provided, nobody can obtain again.
        matches!(self, Self::KeySets | Self::MoodleVault)
    }
}

impl Index {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SessionsBySubject => "sessions-by-subject",
            Self::SessionsByProvider => "sessions-by-provider",
            Self::LaunchesByOrigin => "launches-by-origin",
            Self::Revocations => "watch-revocations",
        }
    }
}

/// Bytes of a [`Place`].
pub(super) const PLACE: usize = 16;
/// Bytes of a [`Name`] that its place leaves out.
pub(super) const REST: usize = 16;

/// The key of one thing among everything in the store: half of a SHA-256 over where it belongs and what it is called.
/// Two keys of the same place are not found by chance; were they forced, the other half would tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place(pub(super) [u8; PLACE]);

impl Place {
    /// `name` is a table's or an index's.
    pub(super) fn new(name: &str, key: &str) -> Self {
        Self::of(&digest(name, key))
    }

    fn of(digest: &[u8; PLACE + REST]) -> Self {
        Self(digest.first_chunk().copied().unwrap_or_default())
    }

    /// As text, for stores whose keys people look at.
    pub(super) fn text(self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The way back.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

/// Where something stands, for any of the stores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location {
    /// The name of its table or index.
    pub(super) space: &'static str,
    pub(super) place: Place,
    /// Must a change of it be on disk when it returns?
    pub(super) is_durable: bool,
}

impl Location {
    /// Of a group.
    pub(super) fn of(index: Index, group: &str) -> Self {
        Self {
            space: index.name(),
            place: Place::new(index.name(), group),
            is_durable: false,
        }
    }
}

/// Table and key of a value, hashed: what it is sealed for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name {
    pub(super) table: Table,
    whole: [u8; PLACE + REST],
}

impl Name {
    pub(super) fn new(table: Table, key: &str) -> Self {
        Self {
            table,
            whole: digest(table.name(), key),
        }
    }

    pub(super) fn place(&self) -> Place {
        Place::of(&self.whole)
    }

    pub(super) fn location(&self) -> Location {
        Location {
            space: self.table.name(),
            place: self.place(),
            is_durable: self.table.is_durable(),
        }
    }

    pub(super) fn tag(&self) -> u8 {
        self.table.tag()
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.whole.get(PLACE..).unwrap_or_default()
    }

    pub(super) fn whole(&self) -> &[u8] {
        &self.whole
    }
}

/// Names hold no zero byte, so that two differ in every case.
fn digest(name: &str, key: &str) -> [u8; PLACE + REST] {
    sha256(&[name.as_bytes(), b"\0", key.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_table_has_a_place_of_its_own() {
        let place = |table: Table, key| Place::new(table.name(), key);
        assert_eq!(place(Table::Sessions, "a"), place(Table::Sessions, "a"));
        assert_ne!(place(Table::Sessions, "a"), place(Table::Sessions, "b"));
        assert_ne!(place(Table::Sessions, "a"), place(Table::Tickets, "a"));
        let name = Name::new(Table::Sessions, "a");
        assert_eq!(name.place(), place(Table::Sessions, "a"));
        assert_eq!([&name.place().0, name.rest()].concat(), name.whole());
        assert_eq!(Place::parse(&name.place().text()), Some(name.place()));
        assert_eq!(Place::parse("short"), None);
    }
}
