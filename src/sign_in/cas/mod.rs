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
pub mod proxy;
mod single_logout;
pub mod ticket;
mod xml_answer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde_json::json;

pub use self::answer::{Answer, BadAnswer};
pub use self::client::{Client, ProxyError, ValidateError};
pub use self::failure::{Failure, FailureCode};
pub use self::logout::SessionIndex;
pub use self::principal::Principal;
use self::proxy::Grants;
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
use crate::time::unix_seconds;

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
    /// Where people sign in, and where back ends bring proxy tickets.
    silent: Silent,
    silent_to_back_ends: Silent,
}

/// Until when, in Unix seconds, the server is asked for no proxy-granting tickets.
#[derive(Default)]
struct Silent(AtomicU64);

impl Silent {
    /// Long enough for whoever signs in once more.
    const SECONDS: u64 = 60;

    fn begin(&self, now: SystemTime) {
        self.0
            .store(unix_seconds(now).saturating_add(Self::SECONDS), Ordering::Relaxed);
    }

    fn is_out(&self, now: SystemTime) -> bool {
        unix_seconds(now) < self.0.load(Ordering::Relaxed)
    }
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
        let backchannel = Backchannel::new(&config.outgoing)?;
        Ok(Self {
            name: Arc::clone(name),
            config: config.clone(),
            client: Client::new(&config.server, config.protocol, backchannel),
            silent: Silent::default(),
            silent_to_back_ends: Silent::default(),
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
        let pgt_url = self.pgt_url(asked);
        let question = async {
            let further = (self.config.renew, pgt_url.as_deref());
            let told = self.client.validate_with(&service, &ticket, further).await;
            told.inspect_err(|error| self.heed(error, &self.silent, asked.here.now))
        };
        let principal = asked
            .here
            .people
            .judged(asked.client, &self.name, place, question)
            .await?;
        let is_once = |name: &str| self.is_once(name) || (pgt_url.is_some() && name == proxy::GRANT);
        let mut new = self.new_session(principal, &ticket, is_once)?;
        if pgt_url.is_some() {
            self.redeem_grant(&mut new.once, &asked.here.people.grants).await;
        }
        Ok(new)
    }

    /// A server that cannot call back refuses the ticket: people shall sign in all the same, without what needs the call.
    fn heed(&self, error: &ValidateError, silent: &Silent, now: SystemTime) {
        if matches!(error, ValidateError::Refused(failure) if failure.code == FailureCode::InvalidProxyCallback) {
            silent.begin(now);
            tracing::error!(
                sign_in = &*self.name,
                "the CAS server does not call the proxy callback (pgt): is it registered, and its certificate trusted there? \
                 Whoever signs in within a minute has no proxy tickets"
            );
        }
    }

    /// The ticket in place of its name, which the server's answer holds.
    async fn redeem_grant(&self, once: &mut Attributes, grants: &Grants) {
        let named = once.take(|name| name == proxy::GRANT);
        let name = named.get(proxy::GRANT).iter().find(|name| name.starts_with("PGTIOU-"));
        let Some(name) = name else {
            tracing::warn!(
                sign_in = &*self.name,
                "the CAS server gives no proxy-granting ticket: see its proxy policy"
            );
            return;
        };
        match grants.take(&self.name, name).await {
            // One value is not too many.
            Ok(Some(ticket)) => drop(once.add(proxy::GRANT, &ticket)),
            Ok(None) => tracing::warn!(
                sign_in = &*self.name,
                "no proxy-granting ticket came to the proxy callback (pgt)"
            ),
            Err(error) => tracing::warn!(sign_in = &*self.name, %error, "a proxy-granting ticket is lost"),
        }
    }

    fn is_once(&self, name: &str) -> bool {
        self.config.once.iter().any(|once| once == name)
    }

    /// Error: the server vouches for a person without the attribute that names people here.
    fn new_session(
        &self,
        principal: Principal,
        ticket: &Ticket,
        is_once: impl Fn(&str) -> bool,
    ) -> Result<NewSession, Refusal> {
        let attribute = &self.config.username;
        principal.signed_in(ticket, attribute, is_once).ok_or_else(|| {
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
        if self.config.proxies {
            told.push(format!(
                "to allow there as a proxy callback (pgtUrl), whose certificate it must trust: {}",
                proxy::callback(origin, sign_in)
            ));
        }
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
            // The next one is asked about without it.
            ValidateError::Refused(failure) if failure.code == FailureCode::InvalidProxyCallback => Retry::Again,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_server_that_cannot_call_back_is_asked_without_it_for_a_minute() {
        let config = config::Cas {
            server: "https://cas.example.edu/cas".parse().unwrap(),
            protocol: Protocol::Cas3,
            username: "user".to_owned(),
            renew: false,
            passive: false,
            single_logout: true,
            proxy_chains: Vec::new(),
            once: Vec::new(),
            proxies: true,
            proxies_back_ends: true,
            outgoing: config::Outgoing::default(),
        };
        let cas = Cas::new(&"campus".into(), &config).unwrap();
        let refused = |code| ValidateError::Refused(Failure::new(code, ""));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        cas.heed(&refused("INVALID_TICKET"), &cas.silent, now);
        assert!(!cas.silent.is_out(now), "the ticket alone was bad");
        cas.heed(&refused("INVALID_PROXY_CALLBACK"), &cas.silent, now);
        assert!(!cas.silent_to_back_ends.is_out(now), "it may come through there");
        assert!(cas.silent.is_out(now + Duration::from_secs(59)));
        assert!(!cas.silent.is_out(now + Duration::from_secs(60)));
        let again = Refusal::from(refused("INVALID_PROXY_CALLBACK"));
        assert_eq!(again.retry, Retry::Again, "the person is offered another sign-in");
    }
}
