//! The operator's tokens in the store: put, listed, taken out; and what was kept because of them goes with them, in
//! every process.
//!
//! Works on the store alone, so that it can be done without a gateway too. What stands in an entry is decided in
//! `moodle::tokens::vault`.

use std::time::{Duration, SystemTime};

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::moodle::token::{Kept, Token};
use crate::moodle::tokens::vault::{self, Provided};
use crate::store::{Store, StoreError, Table};

/// How a notice begins that names entries as JSON: nothing that is remembered of them counts any more.
pub(super) const CHANGED: &str = "moodle-vault ";

/// An entry without its token.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shown {
    pub moodle: String,
    pub username: String,
    pub service: String,
    /// Unix seconds.
    pub valid_until: Option<u64>,
}

/// Puts entries, over what stood there. On return they are on disk; after an error some may be.
pub async fn import(store: &Store, entries: &[Provided]) -> Result<(), StoreError> {
    let puts = entries.iter().map(|entry| async move {
        let (key, value) = (entry.key(), entry.encode());
        store.put(Table::MoodleVault, &key, &value, None).await
    });
    try_join_all(puts).await?;
    forget(store, entries.iter().map(Provided::key).collect())
        .await
        .map(drop)
}

/// Takes an entry out. False: there was none.
pub async fn remove(store: &Store, moodle: &str, service: &str, username: &str) -> Result<bool, StoreError> {
    let key = vault::key(moodle, service, username);
    let was_there = store.delete(Table::MoodleVault, &key).await?;
    // In any case: an earlier attempt may have come as far as the entry itself.
    forget(store, vec![key]).await?;
    Ok(was_there)
}

/// Some entries behind a cursor, and where to go on; in no order, and one may come twice.
pub async fn list(store: &Store, after: Option<&str>) -> Result<(Vec<Shown>, Option<String>), StoreError> {
    let page = store.page(Table::MoodleVault, after).await?;
    let entries = page.values.iter().filter_map(|entry| {
        let entry = Provided::decode(entry)?;
        Some(Shown {
            moodle: entry.moodle,
            username: entry.username,
            service: entry.service,
            valid_until: entry.valid_until,
        })
    });
    Ok((entries.collect(), page.next))
}

/// The entry under `key`, if it counts now.
pub(super) async fn entry(
    store: &Store,
    key: &str,
    now: SystemTime,
) -> Result<Option<(Provided, Duration)>, StoreError> {
    let entry = store.get(Table::MoodleVault, key).await?;
    let entry = entry.as_deref().and_then(Provided::decode);
    Ok(entry.and_then(|entry| {
        let left = entry.left(now)?;
        Some((entry, left))
    }))
}

/// Keeps a token of the vault's for `longest`, as for one that was obtained. `None`: it has left the vault meanwhile, and
/// is not kept.
pub(super) async fn keep(
    store: &Store,
    key: &str,
    token: &Token,
    longest: Duration,
    now: SystemTime,
) -> Result<Option<Kept>, StoreError> {
    let provided = async || {
        let found = entry(store, key, now).await?;
        let same = found.filter(|(entry, _)| entry.token == *token);
        Ok::<_, StoreError>(same.map(|(entry, left)| (entry.kept(), left.min(longest))))
    };
    let Some((kept, life)) = provided().await? else {
        return Ok(None);
    };
    let value = vault::encode(&kept);
    store.put(Table::MoodleTokens, key, &value, Some(life)).await?;
    // Who takes an entry out does so before what was kept: one of the two sees the other.
    let stays = provided().await?.is_some();
    if !stays {
        store.delete(Table::MoodleTokens, key).await?;
    }
    Ok(stays.then_some(kept))
}

/// Deletes what is kept of these people, here and at every replica. Of how many something was.
pub(super) async fn forget(store: &Store, keys: Vec<String>) -> Result<usize, StoreError> {
    let kept = keys.iter().map(|key| store.delete(Table::MoodleTokens, key));
    let deleted = try_join_all(kept).await?;
    // Strings always can be written.
    let names = serde_json::to_string(&keys).unwrap_or_default();
    store.notify(&format!("{CHANGED}{names}")).await?;
    Ok(deleted.into_iter().filter(|deleted| *deleted).count())
}

/// The entries that a notice names.
pub(super) fn changed(notice: &str) -> Option<Vec<String>> {
    serde_json::from_str(notice.strip_prefix(CHANGED)?).ok()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use crate::store::Notice;

    fn provided(username: &str, token: &str) -> Provided {
        Provided {
            moodle: "main".to_owned(),
            service: "app".to_owned(),
            username: username.to_owned(),
            token: Token::parse(token).unwrap(),
            valid_until: None,
        }
    }

    #[tokio::test]
    async fn what_is_put_is_listed_and_goes_with_all_that_was_kept() {
        let store = Store::in_memory();
        let mut heard = store.subscribe();
        let entries = [provided("alice", "alicestoken"), provided("bob", "bobs0000token")];
        import(&store, &entries).await.unwrap();
        let Some(Some(Notice::Message(told))) = heard.next().now_or_never() else {
            panic!("nobody was told")
        };
        let keys: Vec<_> = entries.iter().map(Provided::key).collect();
        assert_eq!(changed(&told), Some(keys.clone()));
        let (mut all, next) = list(&store, None).await.unwrap();
        all.sort();
        assert_eq!(next, None);
        let names: Vec<_> = all.iter().map(|entry| entry.username.as_str()).collect();
        assert_eq!(names, ["alice", "bob"]);

        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        let kept = async |key: &str| keep(&store, key, &entries[0].token, hour, now).await.unwrap();
        assert_eq!(kept(&keys[0]).await, Some(entries[0].kept()));
        assert_eq!(kept(&keys[1]).await, None);
        assert!(store.get(Table::MoodleTokens, &keys[0]).await.unwrap().is_some());
        assert_eq!(store.get(Table::MoodleTokens, &keys[1]).await.unwrap(), None);
        assert!(remove(&store, "main", "app", "ALICE").await.unwrap());
        assert_eq!(store.get(Table::MoodleTokens, &keys[0]).await.unwrap(), None);
        assert_eq!(kept(&keys[0]).await, None);
        assert!(!remove(&store, "main", "app", "alice").await.unwrap());
    }
}
