//! The sources of tokens by their names in `moodle.tokens`. What one does stands in its own file; that it is that file, here.

use std::time::{Duration, SystemTime};

use super::oidc_launch::Brought;
use super::site::{Finding, SiteConfig};
use super::{
    Conversation, Cookie, TokenError, attribute, cas_facade, cas_launch, cas_token, clearpass, launch, oidc_launch,
    page, vault,
};
use crate::config::{self, MoodleSource};
use crate::moodle::caller::Caller;
use crate::moodle::no_token::refusal_ttl;
use crate::moodle::service::{NO_STORE, session_key};
use crate::moodle::token::{Kept, Token};
use crate::moodle::{Moodle, MoodleTokens};
use crate::store::{Store, StoreError, Table};

/// For whom a token is wanted, and when.
pub struct Person<'a> {
    pub moodle: &'a Moodle,
    pub caller: Caller<'a>,
    /// In Moodle, lower case.
    pub username: String,
    /// What the CAS server has just told as the password, encrypted (`clearpass`).
    pub password: Option<&'a str>,
    pub now: SystemTime,
}

/// What a source would do for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Be asked for a token.
    Asked(&'static str),
    /// Send the browser to Moodle.
    Browser(&'static str),
    /// It has nothing to ask with.
    Nothing(&'static str),
    /// That depends on the person.
    Depends(&'static str),
}

/// What came of a ticket: a token or none, and a session in Moodle that makes another one.
pub struct Spent {
    pub obtained: Result<Token, TokenError>,
    pub session: Option<Cookie>,
}

/// What a person's browser does for a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It brings a ticket of the CAS server's that is made for this address below `wwwroot`.
    Ticket(&'static str),
    /// It goes through `launch.php` itself.
    Launch,
    /// It brings a code of the provider's at which people log in to Moodle.
    Provider,
}

impl MoodleSource {
    /// What a browser does for it; `None`: nothing.
    pub fn way(self) -> Option<Way> {
        match self {
            Self::CasLaunch => Some(Way::Ticket(cas_launch::SERVICE)),
            Self::CasToken => Some(Way::Ticket(cas_token::SERVICE)),
            Self::Launch => Some(Way::Launch),
            Self::OidcLaunch => Some(Way::Provider),
            Self::Vault | Self::CasFacade | Self::Attribute | Self::ClearPass | Self::Page => None,
        }
    }

    /// Does it take part in how Moodle signs people in?
    pub fn needs_sign_in(self) -> bool {
        matches!(
            self,
            Self::CasLaunch | Self::CasToken | Self::CasFacade | Self::Launch | Self::OidcLaunch
        )
    }

    /// Does Moodle have to ask a CAS server about it?
    pub fn asks_cas(self) -> bool {
        self.is_facade() || matches!(self.way(), Some(Way::Ticket(_)))
    }

    /// Does Moodle have to ask the gateway, as its CAS server?
    pub fn is_facade(self) -> bool {
        self == Self::CasFacade
    }

    /// A token, which has not said yet whose it is. `Ok(None)`: this source has nothing to ask with.
    pub async fn ask(self, moodle: &Conversation, person: &Person<'_>) -> Result<Option<Token>, TokenError> {
        match self {
            Self::Vault => vault::ask(person).await,
            // Both keep a session in Moodle.
            Self::CasLaunch | Self::OidcLaunch => cas_launch::ask(moodle, person).await,
            Self::CasToken | Self::Launch => Ok(None),
            Self::CasFacade => person.vouched_for(moodle).await.map(Some),
            Self::Attribute => attribute::ask(person).await,
            Self::ClearPass => clearpass::ask(moodle, person).await,
            Self::Page => page::ask(person).await,
        }
    }

    /// Why a token of this source is dead.
    pub fn died(self, person: &Person<'_>) -> TokenError {
        match self {
            Self::Vault => vault::DIED,
            Self::Attribute => attribute::DIED,
            Self::Page => page::died(person),
            Self::CasLaunch | Self::CasToken | Self::CasFacade | Self::Launch | Self::OidcLaunch | Self::ClearPass => {
                TokenError::Died
            }
        }
    }

    /// Has it what the caller has brought, and another call of the same person may bring something else?
    pub fn is_by_caller(self) -> bool {
        match self {
            Self::Attribute | Self::ClearPass | Self::Page => true,
            Self::Vault | Self::CasLaunch | Self::CasToken | Self::CasFacade | Self::Launch | Self::OidcLaunch => false,
        }
    }

    /// For how long the person is not served because of this error, whoever calls.
    pub fn refusal_ttl(self, person: &Person<'_>, error: &TokenError) -> Duration {
        let is_by_token = person.caller.session().is_none();
        match error {
            // The source itself does not ask again.
            TokenError::Denied(_) | TokenError::OtherAccount if self == Self::Attribute => Duration::ZERO,
            TokenError::OtherAccount if self == Self::Page && is_by_token => Duration::ZERO,
            error => refusal_ttl(error),
        }
    }

    /// Moodle said this of a token of this source: where the source would give the same one again, it may not be asked about
    /// any more.
    pub async fn is_unfit(self, person: &Person<'_>, token: &Token, error: &TokenError) -> Result<(), TokenError> {
        match self {
            Self::Attribute => attribute::is_unfit(person, token, error).await,
            Self::Page => page::is_unfit(person, error).await,
            // The operator may import another one at any time, and Moodle gives another one.
            Self::Vault
            | Self::CasLaunch
            | Self::CasToken
            | Self::CasFacade
            | Self::Launch
            | Self::OidcLaunch
            | Self::ClearPass => Ok(()),
        }
    }

    /// Spends a browser's ticket. The token has said whose it is.
    pub async fn spend(self, moodle: &Conversation, username: &str, ticket: &str) -> Spent {
        match self {
            Self::CasLaunch => cas_launch::spend(moodle, username, ticket).await,
            Self::CasToken => cas_token::spend(moodle, username, ticket).await,
            Self::Vault
            | Self::CasFacade
            | Self::Launch
            | Self::OidcLaunch
            | Self::Attribute
            | Self::ClearPass
            | Self::Page => Spent::changed(),
        }
    }

    /// Spends the code that a browser has brought. The token has said whose it is. `session` becomes the one that Moodle gives on
    /// the way, also where no token comes of it, or nobody waits for the end.
    pub async fn complete(
        self,
        moodle: &Conversation,
        username: &str,
        brought: Brought<'_>,
        session: &mut Option<Cookie>,
    ) -> Result<Token, TokenError> {
        match self.way() {
            Some(Way::Provider) => oidc_launch::complete(moodle, username, brought, session).await,
            _ => Spent::changed().obtained,
        }
    }

    /// Keeps a token under `key`. `None`: it has left the vault while it was looked at.
    pub async fn keep(self, tokens: &MoodleTokens, key: &str, token: &Token) -> Result<Option<Kept>, StoreError> {
        match self {
            Self::Vault => tokens.keep_provided(key, token, SystemTime::now()).await,
            Self::CasLaunch
            | Self::CasToken
            | Self::CasFacade
            | Self::Launch
            | Self::OidcLaunch
            | Self::Attribute
            | Self::ClearPass
            | Self::Page => tokens.keep(key, token).await.map(Some),
        }
    }

    /// What it would do for a person. Moodle is not asked.
    pub async fn availability(self, person: &Person<'_>) -> Result<Availability, StoreError> {
        match self {
            Self::Vault => vault::availability(person).await,
            Self::CasLaunch => cas_launch::availability(person).await,
            Self::CasToken => Ok(person.by_browser()),
            Self::CasFacade => Ok(Availability::Asked("the gateway would vouch for the person")),
            Self::Launch => Ok(launch::availability(person)),
            Self::OidcLaunch => oidc_launch::availability(person).await,
            Self::Attribute => attribute::availability(person).await,
            Self::ClearPass => clearpass::availability(person).await,
            Self::Page => page::availability(person).await,
        }
    }

    /// The same for whoever it may be.
    pub fn availability_for_anybody(self) -> Availability {
        match self {
            Self::Vault => Availability::Depends("asked if the vault has a token for the person"),
            Self::CasLaunch => Availability::Depends(
                "makes one from a session in Moodle that is kept; without, a browser is sent to the CAS server",
            ),
            Self::CasToken => Availability::Depends("a browser is sent to the CAS server for a ticket"),
            Self::CasFacade => Availability::Asked("the gateway vouches for the person"),
            Self::Launch => {
                Availability::Depends("a browser is sent through Moodle's launch.php, where the person signs in")
            }
            Self::OidcLaunch => Availability::Depends(
                "makes one from a session in Moodle that is kept; without, a browser is sent to the provider",
            ),
            Self::Attribute => Availability::Depends("asked if the sign-in server tells one for the person"),
            Self::ClearPass => {
                Availability::Depends("asked by the person's password, at the moment of signing in alone")
            }
            Self::Page => Availability::Depends(
                "the page is asked if the session has a ticket for it, or an access token may be shown to it",
            ),
        }
    }

    /// What of the site's settings concerns it.
    pub fn finding(self, site: &SiteConfig, moodle: &config::Moodle) -> Finding {
        match self {
            Self::Vault => Finding::Good("asks Moodle for no token".to_owned()),
            Self::CasLaunch => cas_launch::finding(site),
            Self::CasToken => cas_token::finding(moodle),
            Self::CasFacade => cas_facade::finding(moodle),
            Self::Launch => launch::finding(site),
            Self::OidcLaunch => oidc_launch::finding(site, moodle),
            Self::Attribute => attribute::finding(moodle),
            Self::ClearPass => clearpass::finding(moodle),
            Self::Page => page::finding(moodle),
        }
    }
}

impl Spent {
    /// The source that the ticket was for takes none.
    pub fn changed() -> Self {
        Self {
            obtained: Err(TokenError::Misconfigured("moodle.tokens has changed meanwhile")),
            session: None,
        }
    }
}

impl Person<'_> {
    /// A token by a ticket of the gateway's own.
    async fn vouched_for(&self, moodle: &Conversation) -> Result<Token, TokenError> {
        let told = self.moodle.told_of(self.caller);
        let vouched = cas_facade::vouch(cas_facade::token_service(moodle), &self.username, told);
        self.tokens().vouch(moodle, &vouched).await
    }

    pub fn tokens(&self) -> &MoodleTokens {
        self.moodle.tokens()
    }

    pub fn store(&self) -> &Store {
        self.tokens().store()
    }

    /// Under what the token is kept.
    pub fn key(&self) -> String {
        self.moodle.key(&self.username)
    }

    /// The session in Moodle that is kept for the session, as [`Cookie`] writes it.
    pub async fn kept_session(&self) -> Result<Option<Cookie>, StoreError> {
        let Some(key) = self.session_key() else { return Ok(None) };
        let kept = self.store().get(Table::MoodleSessions, &key).await?;
        Ok(kept.as_deref().and_then(Cookie::kept))
    }

    /// Forgets that session.
    pub async fn forget_session(&self) -> Result<(), TokenError> {
        let Some(key) = self.session_key() else { return Ok(()) };
        let forgotten = self.store().delete(Table::MoodleSessions, &key).await;
        forgotten.map(drop).map_err(|_| NO_STORE)
    }

    /// The same of one that has not ended in Moodle: it ends there, too.
    pub async fn leave(&self) -> Result<(), TokenError> {
        let Some(session) = self.caller.session() else {
            return Ok(());
        };
        self.moodle.leave(session).await.map_err(|_| NO_STORE)
    }

    fn session_key(&self) -> Option<String> {
        let session = self.caller.session()?;
        Some(session_key(&self.moodle.config.name, &session.key.text()))
    }

    /// Of a source that takes tickets.
    pub fn by_browser(&self) -> Availability {
        match (self.caller.is_browser(), self.caller) {
            (true, _) => Availability::Browser("the browser would be sent to the CAS server for a ticket"),
            (false, Caller::Session(_)) => {
                Availability::Nothing("only a browser can bring a ticket, and this session is a back end's")
            }
            (false, Caller::Token { .. }) => {
                Availability::Nothing("only a browser can bring a ticket, and an access token is an application's")
            }
        }
    }
}
