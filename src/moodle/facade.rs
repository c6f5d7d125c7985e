//! The tickets by which the gateway vouches for people towards Moodle, on their way: made by one replica, asked about at
//! whichever one Moodle reaches, and taken once.
//!
//! What they look like and what is said about them is decided in `moodle::tokens::cas_facade`.

use std::net::IpAddr;
use std::time::Instant;

use super::caller::Caller;
use super::service::{NO_STORE, unavailable};
use super::{Moodle, MoodleTokens};
use crate::authenticate::session::Session;
use crate::moodle::token::Token;
use crate::moodle::tokens::cas_facade::{self, LIFETIME, Vouched};
use crate::moodle::tokens::{Conversation, NotAsked, TokenError};
use crate::rate::Rate;
use crate::rejection::{Hint, Reason, Rejection};
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

/// Values that Moodle is told of one person.
const MOST_TOLD: usize = 200;
/// Sign-ins of one person to one Moodle: each leaves a ticket in the store for a while.
pub(super) const SIGN_INS: Rate = Rate {
    per_second: 1.0,
    burst: 20,
};

impl Moodle {
    /// The address of Moodle's to which the browser of a session goes back, with a ticket for it. `service` is to the letter
    /// what Moodle asks about; no ticket is made for what is not Moodle's login. `is_here`: the browser shows its session
    /// there, too, so that nobody else can carry the ticket.
    pub async fn signs_in_at(&self, session: &Session, service: &str, is_here: bool) -> Result<String, Rejection> {
        let refused = |detail: &str| Rejection::because(Reason::NotAllowed, format!("no sign-in to Moodle: {detail}"));
        if !self.is_service(service) {
            return Err(refused("the service is no address of its login"));
        }
        let caller = Caller::Session(session);
        let username = self.username(caller).map_err(|why| match why.reason {
            Reason::NoMoodleToken => refused(&why.detail.unwrap_or_default()),
            _ => why,
        })?;
        // Some databases find the account of `alice` by a name with an accent.
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._@".contains(&byte);
        if !username.bytes().all(is_plain) {
            let detail = "Moodle takes names of a to z, digits, `-`, `.`, `_` and `@` alone";
            return Err(refused(detail));
        }
        let person = format!("{}\n{username}", self.config.name);
        if let Err(wait) = self.tokens.0.sign_ins.take(person, Instant::now()) {
            let refusal = Rejection::because(Reason::RateLimited, "too many sign-ins to Moodle by one person");
            return Err(refusal.with_hint(Hint::RetryAfter(wait.as_secs() + 1)));
        }
        let carried_by = is_here.then(|| session.key.text());
        let vouched = cas_facade::vouch(service.to_owned(), &username, self.told_of(caller)).carried_by(carried_by);
        let ticket = self.tokens.ticket(&vouched).await.map_err(unavailable)?;
        Ok(cas_facade::with_ticket(service, &ticket))
    }

    /// May a browser with this session carry this ticket of the gateway's own to Moodle? Who carries somebody else's would be signed in as that person (login CSRF). Nothing is used up.
    pub async fn may_carry(&self, ticket: &str, session: Option<&Session>) -> Result<bool, Rejection> {
        let kept = self.tokens.0.store.get(Table::FacadeTickets, ticket).await;
        let vouched = kept.map_err(unavailable)?.and_then(|kept| Vouched::decode(&kept));
        let needed = vouched.as_ref().and_then(Vouched::session);
        let has = |needed: &str| session.is_some_and(|session| session.key.text() == needed);
        Ok(needed.is_none_or(has))
    }

    /// Does this ticket wait to be asked about?
    pub async fn is_waiting(&self, ticket: &str) -> bool {
        let kept = self.tokens.0.store.get(Table::FacadeTickets, ticket).await;
        kept.is_ok_and(|kept| kept.is_some())
    }

    /// Is this an address below `wwwroot`?
    pub fn is_service(&self, service: &str) -> bool {
        cas_facade::is_of(&self.config.public_url, service)
    }

    /// What Moodle is told of a person beside the name (`facade.attributes`).
    pub(super) fn told_of(&self, caller: Caller<'_>) -> Vec<(String, String)> {
        let names = self.config.facade.iter().flat_map(|facade| &facade.attributes);
        // An address that the person has not confirmed may be somebody else's.
        let is_unconfirmed = caller.attribute("email_verified").iter().any(|told| told != "true");
        let names = names.filter(|name| !is_unconfirmed || *name != "email");
        let pairs = names.flat_map(|name| {
            caller
                .attribute(name)
                .iter()
                .map(move |value| (name.clone(), value.clone()))
        });
        pairs.take(MOST_TOLD).collect()
    }
}
