//! Tokens that are kept and tokens that Moodle takes no more.
//!
//! A dead token is marked and not removed: whoever finds it dead a moment too late would remove the one that has taken its
//! place, here or at another replica. A mark is of one token alone, and outlives what is kept of it.

use std::time::SystemTime;

use super::service::KEPT;
use super::{MoodleTokens, vault as provided};
use crate::moodle::token::{Kept, Token};
use crate::moodle::tokens::vault;
use crate::store::{StoreError, Table};

impl MoodleTokens {
    /// The token that is kept under `key`, unless it is known to be dead.
    pub(super) async fn kept(&self, key: &str) -> Result<Option<Kept>, StoreError> {
        let kept = self.0.store.get(Table::MoodleTokens, key).await?;
        let Some(kept) = kept.as_deref().and_then(vault::decode).filter(Kept::counts) else {
            return Ok(None);
        };
        let mark = self.0.store.get(Table::DeadTokens, kept.token.reveal()).await?;
        Ok(mark.is_none().then_some(kept))
    }

    /// Keeps a token that has just said whose it is, so that it is alive whatever was known of it.
    pub(super) async fn keep(&self, key: &str, token: &Token) -> Result<Kept, StoreError> {
        let kept = Kept {
            token: token.clone(),
            until: None,
        };
        let (store, entry) = (&self.0.store, vault::encode(&kept));
        store.delete(Table::DeadTokens, token.reveal()).await?;
        store.put(Table::MoodleTokens, key, &entry, Some(KEPT)).await?;
        Ok(kept)
    }

    /// The same for a token of the vault's. `None`: it has left the vault while it was looked at.
    pub(super) async fn keep_provided(
        &self,
        key: &str,
        token: &Token,
        now: SystemTime,
    ) -> Result<Option<Kept>, StoreError> {
        let store = &self.0.store;
        store.delete(Table::DeadTokens, token.reveal()).await?;
        provided::keep(store, key, token, KEPT, now).await
    }

    /// Marks a token as dead. True: nobody had found that out before.
    pub(super) async fn mark_revoked(&self, token: &Token) -> Result<bool, StoreError> {
        let store = &self.0.store;
        store.put_new(Table::DeadTokens, token.reveal(), b"", Some(KEPT)).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::MoodleTokens;
    use super::super::service::session_key;
    use super::*;
    use crate::moodle::tokens::page::grant_key;
    use crate::observe::metrics::Metrics;
    use crate::sealing::MasterKeys;
    use crate::store::Store;

    fn token(text: &str) -> Token {
        Token::parse(text).unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_for_a_session_goes_with_it() {
        let store = Store::in_memory();
        let tokens = MoodleTokens::new(&store, &MasterKeys::random(), Metrics::new().moodle());
        tokens.0.names.lock().insert("main".to_owned());
        let kept = [
            (Table::ProxyGrants, grant_key("s")),
            (Table::MoodleSessions, session_key("main", "s")),
        ];
        for (table, key) in &kept {
            store.put(*table, key, b"secret", None).await.unwrap();
        }
        tokens.forget_session("other").await;
        for (table, key) in &kept {
            assert!(store.get(*table, key).await.unwrap().is_some(), "{table:?}");
        }
        tokens.forget_session("s").await;
        for (table, key) in &kept {
            assert!(store.get(*table, key).await.unwrap().is_none(), "{table:?}");
        }
    }

    #[tokio::test]
    async fn who_is_late_removes_no_other_token() {
        let tokens = MoodleTokens::new(&Store::in_memory(), &MasterKeys::random(), Metrics::new().moodle());
        let (old, new) = (
            token("11111111111111111111111111111111"),
            token("22222222222222222222222222222222"),
        );
        let kept = async || tokens.kept("alice").await.unwrap().map(|kept| kept.token);
        tokens.keep("alice", &old).await.unwrap();
        assert!(tokens.mark_revoked(&old).await.unwrap());
        assert_eq!(kept().await, None);
        tokens.keep("alice", &new).await.unwrap();
        assert!(!tokens.mark_revoked(&old).await.unwrap(), "known already");
        assert_eq!(kept().await, Some(new));
        // Moodle gives it again, and it works.
        tokens.keep("alice", &old).await.unwrap();
        assert_eq!(kept().await, Some(old));
    }
}
