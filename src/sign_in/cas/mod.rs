//! CAS protocol 1 to 3: who a ticket was made for, and what the server's words mean.
//!
//! [`client`] asks, [`answer`] judges what comes back, [`logout`] reads the server's own calls; of these, only [`client`]
//! does I/O. [`Cas`] is what signing in needs of them, `single_logout` and `back_end` are what else comes to a sign-in's
//! addresses.

pub mod answer;
mod back_end;
pub mod client;
mod element;
pub mod failure;
mod json_answer;
pub mod logout;
pub mod principal;
mod single_logout;
pub mod ticket;
mod xml_answer;

use std::sync::Arc;

use serde_json::json;

pub use self::answer::{Answer, BadAnswer};
pub use self::client::{Client, ValidateError};
pub use self::failure::{Failure, FailureCode};
pub use self::logout::SessionIndex;
pub use self::principal::Principal;
pub use self::ticket::{BadTicket, Ticket};
pub use super::Login;
use super::{Asked, Callback, Refusal, Retry, Unfit, register};
pub use crate::authenticate::session::Attributes;
use crate::authenticate::session::NewSession;
use crate::backchannel::{Backchannel, BackchannelError};
use crate::config;
pub use crate::config::cas::Protocol;
use crate::fair::Place;
use crate::rejection::{Reason, Rejection};

/// How this kind of sign-in is called in addresses.
pub const KIND: &str = "cas";
/// `/_janua/cas/<sign-in>/session`
pub const SESSION: &str = "session";

/// A sign-in by a CAS server.
pub struct Cas {
    /// Its sign-in's.
    name: Arc<str>,
    config: config::Cas,
    pub client: Client,
}

/// The address that a ticket is made for, and judged for, to the letter.
pub fn service(callback: Callback<'_>) -> String {
    format!("{}?state={}", callback.url, callback.state)
}

/// The ticket that a browser brings.
pub fn ticket(asked: &Asked<'_>) -> Option<String> {
    asked.in_query("ticket")
}

impl Cas {
    pub fn new(name: &Arc<str>, config: &config::Cas) -> Result<Self, BackchannelError> {
        let backchannel = Backchannel::new(config.ca_file.as_deref())?;
        Ok(Self {
            name: Arc::clone(name),
            config: config.clone(),
            client: Client::new(&config.server, config.protocol, backchannel),
        })
    }

    /// Who the ticket was made for that a browser brings.
    pub async fn complete(
        &self,
        asked: &Asked<'_>,
        callback: Callback<'_>,
        place: impl Future<Output = Result<Place, Refusal>>,
    ) -> Result<NewSession, Refusal> {
        let ticket = Ticket::service(&ticket(asked).unwrap_or_default()).map_err(ValidateError::from)?;
        let place = place.await?;
        let service = service(callback);
        let question = self.client.validate(&service, &ticket, self.config.renew);
        let principal = asked
            .here
            .people
            .judged(asked.client, &self.name, place, question)
            .await?;
        self.new_session(principal, &ticket)
    }

    /// Error: the server vouches for a person without the attribute that names people here.
    fn new_session(&self, principal: Principal, ticket: &Ticket) -> Result<NewSession, Refusal> {
        let attribute = &self.config.username;
        principal.signed_in(ticket, attribute).ok_or_else(|| {
            let detail = format!("the CAS server gave no usable {attribute} for this person");
            (Rejection::because(Reason::SignInRefused, detail), "no_username").into()
        })
    }

    /// The server must refuse a ticket that nobody made.
    pub async fn check(&self, callback: &str) -> Result<String, Unfit> {
        let probed = self.client.probe(callback).await.map_err(|error| Unfit {
            text: format!("{error}{}", error.hint()),
            cause: error.cause(),
        });
        probed.map(|()| format!("{} refuses a made-up ticket, as it must", self.config.server))
    }

    /// The addresses for which the server shall make tickets.
    pub fn registration(&self, origin: &str, sign_in: &str) -> Vec<String> {
        let address = |endpoint: &str| format!("{origin}/_janua/{KIND}/{sign_in}/{endpoint}");
        let mut told = vec![format!(
            "to register at the CAS server: {}, with any `?state=` behind it",
            address("callback")
        )];
        let more = json!({ "logoutType": "BACK_CHANNEL" });
        told.push(register::apereo(
            "services.CasRegisteredService",
            "Janua",
            &address("callback"),
            more,
        ));
        if !self.config.proxy_chains.is_empty() {
            told.push(format!(
                "to register there for back ends: {}, and that their own services may have proxy tickets",
                address(SESSION)
            ));
        }
        told
    }
}

/// Its detail names the server and no ticket.
impl From<ValidateError> for Refusal {
    fn from(error: ValidateError) -> Self {
        let reason = match error {
            ValidateError::Ticket(_) | ValidateError::Refused(_) | ValidateError::NotProxied => Reason::SignInRefused,
            ValidateError::Unreachable(_)
            | ValidateError::Timeout(_)
            | ValidateError::Http(_)
            | ValidateError::Answer(_) => Reason::SignInUnavailable,
        };
        let retry = match &error {
            // Apereo CAS forgets a ticket when it gives the next one of the same session to the same address
            // (`only-track-most-recent-session`).
            ValidateError::Refused(failure) if failure.code == FailureCode::InvalidTicket => Retry::BesideOthers,
            error if error.is_of_ticket() => Retry::Again,
            _ => Retry::No,
        };
        Self {
            rejection: Rejection::because(reason, error.to_string()),
            label: error.label(),
            retry,
        }
    }
}
