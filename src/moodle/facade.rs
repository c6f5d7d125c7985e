//! The tickets by which the gateway vouches for people towards Moodle, on their way: made by one replica, asked about at
//! whichever one Moodle reaches, and taken once.
//!
//! What they look like and what is said about them is decided in `moodle::tokens::cas_facade`.

use std::net::IpAddr;
use std::time::Instant;

use super::caller::Caller;
use super::service::{NO_STORE, unavailable};
use super::{Moodle, MoodleTokens};
use crate::moodle::token::Token;
use crate::moodle::tokens::cas_facade::{self, LIFETIME, Vouched};
use crate::moodle::tokens::{Conversation, NotAsked, TokenError};
use crate::rejection::{Reason, Rejection};
use crate::store::{StoreError, Table};

impl MoodleTokens {
    /// Has Moodle ask about a person. Whatever comes of it, the ticket is good no more.
    pub(super) async fn vouch(&self, moodle: &Conversation, vouched: &Vouched) -> Result<Token, TokenError> {
        let ticket = self.ticket(vouched).await.map_err(|_| NO_STORE)?;
        let started = Instant::now();
        let obtained = cas_facade::obtain(moodle, &ticket, vouched).await;
        if obtained.is_ok() {
            return obtained;
        }
        let is_left = self.take(&ticket).await.map_err(|_| NO_STORE)?.is_some();
        match obtained {
            Err(TokenError::TicketRefused) if is_left => Err(TokenError::NotAsked(self.why_nobody_asked(started))),
            obtained => obtained,
        }
    }

    /// A new ticket that waits for Moodle's question.
    async fn ticket(&self, vouched: &Vouched) -> Result<String, StoreError> {
        let (ticket, kept) = (cas_facade::new_ticket(), vouched.encode());
        let put = self
            .0
            .store
            .put_new(Table::FacadeTickets, &ticket, &kept, Some(LIFETIME));
        put.await.map(|_| ticket)
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

impl Moodle {
    /// The address below `wwwroot` to which the browser of a session goes back, with a ticket for it. `service` is to the
    /// letter what Moodle asks about; No ticket is made for what is not Moodle's.
    pub async fn signs_in_at(&self, caller: Caller<'_>, service: &str) -> Result<String, Rejection> {
        if !self.is_service(service) {
            return Err(Rejection::because(
                Reason::BadRequest,
                "the service is no address of this Moodle",
            ));
        }
        let username = self.name(caller)?;
        let vouched = cas_facade::vouch(service.to_owned(), &username, self.told_of(caller));
        let ticket = self.tokens.ticket(&vouched).await.map_err(unavailable)?;
        Ok(cas_facade::with_ticket(service, &ticket))
    }

    /// Is this an address below `wwwroot`?
    pub fn is_service(&self, service: &str) -> bool {
        cas_facade::is_of(&self.config.public_url, service)
    }

    /// What Moodle is told of a person beside the name (`facade.attributes`).
    pub(super) fn told_of(&self, caller: Caller<'_>) -> Vec<(String, String)> {
        let names = self.config.facade.iter().flat_map(|facade| &facade.attributes);
        let pairs = names.flat_map(|name| {
            caller
                .attribute(name)
                .iter()
                .map(move |value| (name.clone(), value.clone()))
        });
        pairs.collect()
    }
}
