//! The tickets by which the gateway vouches for people towards Moodle, on their way: made by one replica, asked about at
//! whichever one Moodle reaches, and taken once.
//!
//! What they look like and what is said about them is decided in `moodle::tokens::cas_facade`.

use std::net::IpAddr;
use std::time::Instant;

use super::MoodleTokens;
use super::service::NO_STORE;
use crate::moodle::token::Token;
use crate::moodle::tokens::cas_facade::{self, LIFETIME, Vouched};
use crate::moodle::tokens::{Conversation, NotAsked, TokenError};
use crate::store::{StoreError, Table};

impl MoodleTokens {
    /// Vouches for `username`, lower case, and has Moodle ask. Whatever comes of it, the ticket is good no more.
    pub(super) async fn vouch(&self, moodle: &Conversation, username: &str) -> Result<Token, TokenError> {
        let (ticket, vouched) = (cas_facade::new_ticket(), cas_facade::vouch(moodle, username));
        let (store, kept) = (&self.0.store, vouched.encode());
        let put = store.put_new(Table::FacadeTickets, &ticket, &kept, Some(LIFETIME));
        put.await.map_err(|_| NO_STORE)?;
        let started = Instant::now();
        let obtained = cas_facade::obtain(moodle, &ticket, &vouched).await;
        if obtained.is_ok() {
            return obtained;
        }
        let is_left = self.take(&ticket).await.map_err(|_| NO_STORE)?.is_some();
        match obtained {
            Err(TokenError::TicketRefused) if is_left => Err(TokenError::NotAsked(self.why_nobody_asked(started))),
            obtained => obtained,
        }
    }

    /// A question at the facade's path came from an address that is not in `facade.from`.
    pub fn turned_away(&self, address: IpAddr) {
        let mut turned_away = self.0.turned_away.lock();
        *turned_away = Some((Instant::now(), address));
    }

    /// For a ticket that was made at `started`.
    fn why_nobody_asked(&self, started: Instant) -> NotAsked {
        let turned_away = *self.0.turned_away.lock();
        match turned_away.filter(|(when, _)| *when >= started) {
            Some((_, address)) => NotAsked::From(address),
            None => NotAsked::Elsewhere,
        }
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
