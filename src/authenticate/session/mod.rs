//! Sessions: who somebody is, or what a token allowed, remembered by the server and found again by what a client carries.
//!
//! There are two kinds, each with a record of its own: of people who signed in ([`SignedIn`]), and of pages that were
//! opened with a token ([`LaunchRecord`](super::launch::LaunchRecord)). One store keeps both. Who may have a session is
//! decided by the sign-in or the launch, what a session may do by the route's rules.

pub mod cookie;
pub mod roles;
pub mod secret;
mod signed_in;
mod store;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::secret::{Carried, Carrier, SessionKey};
pub use self::signed_in::{EndedAt, NewSession, ProviderSession, SignedIn};
#[cfg(test)]
pub(super) use self::store::REMEMBERED;
pub use self::store::{AtEnd, Found, SessionStore, TOO_MANY};
use crate::config::{Config, SessionLimits};
use crate::identity::Identity;
pub use crate::identity::attributes::{Attributes, MAX_VALUES, TooMany, is_user};
use crate::sealing::Purpose;
use crate::store::{Index, Table};
use crate::time::from_unix;

/// The sessions of people who signed in.
pub type Sessions = SessionStore<SignedIn>;

/// A session as it stands in the store, and in what one kind of them differs from another. Roles are not in it: they
/// follow from the configuration that runs when it is read.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// By what clients carry.
    const TABLE: Table;
    /// Those that count as one person's, by [`group`](Self::group).
    const INDEX: Index;
    /// What a notice about an ended session begins with; its key follows.
    const ENDED: &'static str;
    /// What signs the secrets in cookies.
    const COOKIE: Purpose;
    /// What signs those of back ends; `None`: there are none.
    const BEARER: Option<Purpose> = None;

    /// The longest idle time that the configuration knows; `None`: there are no such sessions.
    fn longest_idle(config: &Config) -> Option<Duration>;

    /// Seconds since 1970.
    fn created(&self) -> u64;

    fn carrier(&self) -> Carrier {
        Carrier::Cookie
    }

    /// Among which sessions it counts.
    fn group(&self) -> Cow<'_, str>;

    /// The ticket by which a sign-in server may end it.
    fn ticket(&self) -> Option<&str> {
        None
    }

    /// The groups in [`Index::SessionsByProvider`] by which a sign-in server may end it.
    fn provider_groups(&self) -> Vec<String> {
        Vec::new()
    }

    /// How long it lives, how many of its group may, and whom it speaks for until the end that it was given. `None`:
    /// nothing in the configuration allows it any more.
    fn read(&self, config: &Config) -> Option<(SessionLimits, Identity)>;
}

/// A session, alive when it was looked up.
pub struct Session<R = SignedIn> {
    pub key: SessionKey,
    pub carrier: Carrier,
    /// Ends when the session does. Of who signed in, the source is the name of the sign-in.
    pub identity: Arc<Identity>,
    pub created: SystemTime,
    /// Whatever happens.
    pub expires: SystemTime,
    /// After the last request.
    pub idle: Duration,
    pub record: Arc<R>,
    limits: SessionLimits,
    /// By which the record was read.
    config: Arc<Config>,
}

impl<R: Record> Session<R> {
    /// As `config` reads the record; whether it still lives, nobody asks here.
    pub fn new(key: SessionKey, record: Arc<R>, config: &Arc<Config>) -> Option<Self> {
        let (limits, mut identity) = record.read(config)?;
        let created = from_unix(record.created());
        // A shorter life in the configuration counts for those that are there already, a longer one does not.
        identity.expires = identity.expires.min(created + limits.absolute);
        Some(Self {
            key,
            carrier: record.carrier(),
            created,
            expires: identity.expires,
            identity: Arc::new(identity),
            idle: limits.idle,
            record,
            limits,
            config: Arc::clone(config),
        })
    }

    /// The same session, of somebody who has more.
    pub fn with_identity(&self, identity: Identity) -> Self {
        Self {
            key: self.key,
            carrier: self.carrier,
            created: self.created,
            expires: self.expires.min(identity.expires),
            identity: Arc::new(identity),
            idle: self.idle,
            record: Arc::clone(&self.record),
            limits: self.limits,
            config: Arc::clone(&self.config),
        }
    }

    /// A cookie is sent by the browser whoever made it send the request.
    pub fn is_by_cookie(&self) -> bool {
        self.carrier == Carrier::Cookie
    }
}

#[cfg(test)]
mod tests;
