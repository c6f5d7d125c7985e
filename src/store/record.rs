//! The contract of a store that keeps everything itself: what each change does to what stands at a place.
//!
//! Where records lie, in memory or in a file, is the business of the [`Shelf`]; what is in them is its owner's.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::place::Place;
use crate::time::unix_millis;

/// Milliseconds since 1970.
pub(super) type Millis = u64;

/// The expiry of what stays until it is deleted.
pub(super) const NEVER: Millis = Millis::MAX;

/// What stands at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) expires: Millis,
    /// Shared: a change of the expiry leaves them where they are.
    pub(super) bytes: Arc<[u8]>,
}

/// A change to one place. `ttl`: how long it lives from now; `None`: until it is deleted.
#[derive(Debug)]
pub(super) enum Change {
    Put {
        bytes: Vec<u8>,
        ttl: Option<Duration>,
        /// Only if nothing stands there.
        only_new: bool,
    },
    /// Another expiry for what stands there.
    Extend {
        ttl: Duration,
    },
    /// Other bytes that mean the same, if nobody has changed them meanwhile; the expiry stays.
    Replace {
        before: Arc<[u8]>,
        bytes: Vec<u8>,
    },
    Delete,
    AddMember {
        member: String,
        score: u64,
        ttl: Option<Duration>,
    },
    RemoveMember {
        member: String,
    },
}

/// Somewhere records lie.
pub(super) trait Shelf {
    type Error;

    /// Whatever stands there, expired or not.
    fn get(&self, place: Place) -> Result<Option<Record>, Self::Error>;
    fn set(&mut self, place: Place, record: Record) -> Result<(), Self::Error>;
    fn remove(&mut self, place: Place) -> Result<(), Self::Error>;
}

pub(super) fn now() -> Millis {
    unix_millis(SystemTime::now())
}

/// When something expires that lives for `ttl` from `now` on.
fn expiry(ttl: Option<Duration>, now: Millis) -> Millis {
    match ttl {
        Some(ttl) => now.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(NEVER)),
        None => NEVER,
    }
}

/// The bytes of a record that counts.
pub(super) fn alive(record: Option<Record>, now: Millis) -> Option<Record> {
    record.filter(|record| record.expires > now)
}

/// Makes `change`; true if it was made, false if there was nothing to do: a new one had a predecessor, or what should
/// go was not there.
pub(super) fn apply<S: Shelf>(shelf: &mut S, place: Place, change: Change, now: Millis) -> Result<bool, S::Error> {
    let standing = || Ok::<_, S::Error>(alive(shelf.get(place)?, now));
    let next = match change {
        Change::Put { only_new: true, .. } if standing()?.is_some() => None,
        Change::Put { bytes, ttl, .. } => Some(Record {
            expires: expiry(ttl, now),
            bytes: bytes.into(),
        }),
        Change::Extend { ttl } => standing()?.map(|record| Record {
            expires: expiry(Some(ttl), now),
            ..record
        }),
        Change::Replace { before, bytes } => {
            let same = standing()?.filter(|record| record.bytes == before);
            same.map(|record| Record {
                bytes: bytes.into(),
                ..record
            })
        }
        Change::Delete => {
            let was_there = standing()?.is_some();
            shelf.remove(place)?;
            return Ok(was_there);
        }
        Change::AddMember { member, score, ttl } => {
            let standing = standing()?;
            let mut members = members(standing.as_ref().map(|record| &*record.bytes));
            members.retain(|(name, _)| *name != member);
            members.push((member, score));
            Some(Record {
                expires: expiry(ttl, now).max(standing.map_or(0, |record| record.expires)),
                bytes: encode(members),
            })
        }
        Change::RemoveMember { member } => {
            let Some(record) = standing()? else { return Ok(false) };
            let mut members = members(Some(&record.bytes));
            let before = members.len();
            members.retain(|(name, _)| *name != member);
            if members.is_empty() && before > 0 {
                shelf.remove(place)?;
                return Ok(true);
            }
            (members.len() < before).then(|| Record {
                bytes: encode(members),
                ..record
            })
        }
    };
    let Some(record) = next else { return Ok(false) };
    shelf.set(place, record)?;
    Ok(true)
}

/// The members of a group, the lowest score first, and by name among equals. What is no group has none.
pub(super) fn members(bytes: Option<&[u8]>) -> Vec<(String, u64)> {
    bytes
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default()
}

/// Is it a group, and no sealed value? Random bytes never look like one.
pub(super) fn is_group(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Vec<(String, u64)>>(bytes).is_ok()
}

fn encode(mut members: Vec<(String, u64)>) -> Arc<[u8]> {
    members.sort_by(|(a, first), (b, second)| first.cmp(second).then_with(|| a.cmp(b)));
    // Strings and numbers always can be written.
    serde_json::to_vec(&members).unwrap_or_default().into()
}
