//! The tickets by which the gateway vouches for people towards Moodle, on their way: made by one replica, asked about at
//! whichever one Moodle reaches, and taken once.
//!
//! What they look like and what is said about them is decided in `present::moodle::tokens::cas_facade`.

use super::Bridge;
use super::keeper::NO_STORE;
use crate::present::moodle::token::Token;
use crate::present::moodle::tokens::cas_facade::{self, LIFETIME, Vouched};
use crate::present::moodle::tokens::{Conversation, TokenError};
use crate::store::{StoreError, Table};

impl Bridge {
    /// Vouches for `username`, lower case, and has Moodle ask. Whatever comes of it, the ticket is good no more.
    pub(super) async fn vouch(&self, moodle: &Conversation, username: &str) -> Result<Token, TokenError> {
        let (ticket, vouched) = (cas_facade::new_ticket(), cas_facade::vouch(moodle, username));
        let (store, kept) = (&self.0.store, vouched.encode());
        let put = store.put_new(Table::FacadeTickets, &ticket, &kept, Some(LIFETIME));
        put.await.map_err(|_| NO_STORE)?;
        let obtained = cas_facade::obtain(moodle, &ticket, &vouched).await;
        if obtained.is_err() && self.take(&ticket).await.is_err() {
            tracing::debug!("a ticket for Moodle waits for its end");
        }
        obtained
    }

    /// What the ticket vouches for; of several who ask at once, at whatever replica, one is told.
    pub async fn take(&self, ticket: &str) -> Result<Option<Vouched>, StoreError> {
        let Some(kept) = self.0.store.get(Table::FacadeTickets, ticket).await? else {
            return Ok(None);
        };
        let is_mine = self.0.store.delete(Table::FacadeTickets, ticket).await?;
        Ok(Vouched::decode(&kept).filter(|_| is_mine))
    }
}
