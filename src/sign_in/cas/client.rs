//! The questions to a CAS server, and the addresses that a browser is sent to.
//!
//! A ticket is asked about once and never again: it is spent by the first answer. Nothing here repeats a request.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, Method, StatusCode};
use thiserror::Error;
use url::Url;

use super::answer::{self, Answer, BadAnswer};
use super::failure::{Failure, FailureCode};
use super::principal::Principal;
use super::ticket::{BadTicket, Ticket};
use super::{Login, Protocol, answer::MAX_BYTES, proxy};
use crate::backchannel::{Backchannel, BackchannelError, Reply, authority};
use crate::headers;

/// No server has made this one.
const UNKNOWN_TICKET: &str = "ST-0-janua-check";

/// One CAS server. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    server: Url,
    protocol: Protocol,
    backchannel: Backchannel,
}

/// Why nobody is signed in. For logs: it names the server and no ticket. For the person, see [`ValidateError::public`].
#[derive(Debug, Error)]
pub enum ValidateError {
    #[error("{0}")]
    Ticket(#[from] BadTicket),
    #[error("the CAS server refused the ticket with {}: {}{}", .0.code, .0.code.meaning(), quoted(&.0.text))]
    Refused(Failure),
    #[error("the ticket came through no back end: it is no proxy ticket")]
    NotProxied,
    #[error("the CAS server cannot be reached: {0}")]
    Unreachable(BackchannelError),
    #[error("the CAS server is too slow: {0}")]
    Timeout(BackchannelError),
    #[error("the CAS server's answer cannot be used: {0}")]
    Http(BackchannelError),
    #[error("the CAS server's answer cannot be used: {0}")]
    Answer(BadAnswer),
}

/// Why there is no proxy ticket. It names the server and no ticket.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// The person has signed out there, or the session there is over.
    #[error("the CAS server knows the proxy-granting ticket no more{}", quoted(&.0.text))]
    Over(Failure),
    #[error("the CAS server refused with {}: {}{}", .0.code, .0.code.meaning(), quoted(&.0.text))]
    Refused(Failure),
    #[error("{0}")]
    NotReached(BackchannelError),
    #[error("the CAS server's answer cannot be used: {0}")]
    Answer(BadAnswer),
    #[error("{0}")]
    Ticket(#[from] BadTicket),
}

impl Client {
    /// For the server at this address, `https://cas.example.edu/cas`: what stands before `/login`. A query and a
    /// fragment are dropped. Time limit and trust in certificates are the backchannel's.
    pub fn new(server: &Url, protocol: Protocol, backchannel: Backchannel) -> Self {
        let mut server = server.clone();
        server.set_query(None);
        server.set_fragment(None);
        Self {
            server,
            protocol,
            backchannel,
        }
    }

    /// Where the browser signs in, to come back to `service` with a ticket (CAS 3.0 section 2.1.1). The two parameters
    /// exclude each other.
    pub fn login_url(&self, service: &str, login: Login) -> Url {
        let further = match login {
            Login::Usual => None,
            Login::Renew => Some(("renew", "true")),
            Login::Passive => Some(("gateway", "true")),
        };
        self.url("login", [("service", service)].into_iter().chain(further))
    }

    /// Where the browser ends its session at the server, to come back to `service` if the server lets it
    /// (CAS 3.0 section 2.3.1).
    pub fn logout_url(&self, service: Option<&str>) -> Url {
        self.url("logout", service.map(|service| ("service", service)))
    }

    /// Who the service ticket was made for. `service` is to the letter what [`Self::login_url`] was given; `renew` asks
    /// the server to refuse what did not come from its form just now.
    ///
    /// Afterwards the ticket is spent, whatever the result. A chain of proxies in the answer is an error of the server.
    pub async fn validate(&self, service: &str, ticket: &Ticket, renew: bool) -> Result<Principal, ValidateError> {
        self.validate_with(service, ticket, (renew, None)).await
    }

    /// The same, and the server calls `pgtUrl` with a proxy-granting ticket, if there is one (CAS 3.0 section 2.5.4).
    pub(super) async fn validate_with(
        &self,
        service: &str,
        ticket: &Ticket,
        further: (bool, Option<&str>),
    ) -> Result<Principal, ValidateError> {
        let endpoint = match self.protocol {
            Protocol::Cas1 => "validate",
            Protocol::Cas2 => "serviceValidate",
            Protocol::Cas3 => "p3/serviceValidate",
        };
        let principal = self.ask(endpoint, self.protocol, (service, ticket), further).await?;
        match principal.proxies.is_empty() {
            true => Ok(principal),
            false => Err(ValidateError::Answer(BadAnswer::Proxies)),
        }
    }

    /// Who the proxy ticket was made for, and through which back ends it came: at least one. Whether these may bring
    /// tickets is the caller's to decide, see [`Principal::came_through`].
    ///
    /// A server of protocol 1 is asked as one of protocol 2, which is where proxy tickets begin.
    pub async fn proxy_validate(&self, service: &str, ticket: &Ticket) -> Result<Principal, ValidateError> {
        self.proxy_validate_with(service, ticket, None).await
    }

    /// The same, and the server calls `pgtUrl` (CAS 3.0 section 2.6.1).
    pub(super) async fn proxy_validate_with(
        &self,
        service: &str,
        ticket: &Ticket,
        pgt_url: Option<&str>,
    ) -> Result<Principal, ValidateError> {
        let (endpoint, protocol) = match self.protocol {
            Protocol::Cas1 | Protocol::Cas2 => ("proxyValidate", Protocol::Cas2),
            Protocol::Cas3 => ("p3/proxyValidate", Protocol::Cas3),
        };
        let principal = self
            .ask(endpoint, protocol, (service, ticket), (false, pgt_url))
            .await?;
        match principal.proxies.is_empty() {
            true => Err(ValidateError::NotProxied),
            false => Ok(principal),
        }
    }

    /// A ticket for `target`, by a proxy-granting ticket (CAS 3.0 section 2.7).
    pub async fn proxy_ticket(&self, grant: &str, target: &str) -> Result<String, ProxyError> {
        let url = self.url("proxy", [("pgt", grant), ("targetService", target)]);
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let exchange = self.backchannel.exchange(Method::GET, &url, headers, body, MAX_BYTES);
        let reply = exchange.await.map_err(ProxyError::NotReached)?;
        let text = answer::decoded(headers::text(&reply.headers, CONTENT_TYPE), &reply.body);
        match text.ok_or(BadAnswer::Encoding).and_then(|text| proxy::parse(&text)) {
            Ok(Ok(ticket)) => Ok(Ticket::proxy(&ticket)?.as_str().to_owned()),
            Ok(Err(failure)) if failure.code == FailureCode::InvalidTicket => Err(ProxyError::Over(failure)),
            Ok(Err(failure)) => Err(ProxyError::Refused(failure)),
            Err(_) if !reply.status.is_success() => Err(ProxyError::NotReached(BackchannelError::Status {
                host: authority(&url),
                status: reply.status,
            })),
            Err(error) => Err(ProxyError::Answer(error)),
        }
    }

    /// The same place below the server's address as `below`, which begins with a slash, is below the gateway's.
    pub fn url_at(&self, below: &str, query: Option<&str>) -> Url {
        let mut url = self.url(below.trim_start_matches('/'), []);
        url.set_query(query);
        url
    }

    /// What the server answers there: for whoever asks the gateway in its place. At most `longest` bytes of it.
    pub async fn ask_at(&self, below: &str, query: Option<&str>, longest: usize) -> Result<Reply, BackchannelError> {
        let url = self.url_at(below, query);
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        self.backchannel
            .exchange(Method::GET, &url, headers, body, longest)
            .await
    }

    /// Is there a CAS server that knows this protocol? It must refuse a ticket that nobody made, as unknown.
    pub async fn probe(&self, service: &str) -> Result<(), ValidateError> {
        let ticket = Ticket::service(UNKNOWN_TICKET)?;
        match self.validate(service, &ticket, false).await {
            Err(ValidateError::Refused(failure)) if failure.code == FailureCode::InvalidTicket => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(ValidateError::Answer(BadAnswer::Form)),
        }
    }

    async fn ask(
        &self,
        endpoint: &str,
        protocol: Protocol,
        (service, ticket): (&str, &Ticket),
        (renew, pgt_url): (bool, Option<&str>),
    ) -> Result<Principal, ValidateError> {
        let question = [("service", service), ("ticket", ticket.as_str())];
        let renew = renew.then_some(("renew", "true"));
        let further = renew.into_iter().chain(pgt_url.map(|url| ("pgtUrl", url)));
        let url = self.url(endpoint, question.into_iter().chain(further));
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let exchange = self.backchannel.exchange(Method::GET, &url, headers, body, MAX_BYTES);
        let reply = exchange.await.map_err(sorted)?;
        let answer = answer::parse(protocol, headers::text(&reply.headers, CONTENT_TYPE), &reply.body);
        if !reply.status.is_success() {
            let (status, host) = (reply.status, authority(&url));
            return Err(match answer {
                // RubyCAS-Server refuses with 422, Apereo's with 403.
                Ok(Answer::Failure(failure)) if status.is_client_error() => ValidateError::Refused(failure),
                _ if status.is_redirection() => ValidateError::Http(BackchannelError::Redirect { host, status }),
                _ => ValidateError::Http(BackchannelError::Status { host, status }),
            });
        }
        match answer.map_err(ValidateError::Answer)? {
            Answer::Success(_) if protocol == Protocol::Cas1 && !is_whole(&reply) => {
                Err(ValidateError::Answer(BadAnswer::Form))
            }
            Answer::Success(principal) => Ok(principal),
            Answer::Failure(failure) => Err(ValidateError::Refused(failure)),
        }
    }

    fn url<'a>(&self, endpoint: &str, query: impl IntoIterator<Item = (&'a str, &'a str)>) -> Url {
        let mut url = self.server.clone();
        url.set_path(&format!("{}/{endpoint}", self.server.path().trim_end_matches('/')));
        let mut query = query.into_iter().peekable();
        if query.peek().is_some() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl ValidateError {
    /// The word for metrics: one of a closed list.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Ticket(_) => "malformed_ticket",
            Self::Refused(failure) => failure.code.label(),
            Self::NotProxied => "not_proxied",
            Self::Unreachable(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Http(_) | Self::Answer(_) => "bad_answer",
        }
    }

    /// What the person who signs in may read: nothing of addresses and answers.
    pub fn public(&self) -> &'static str {
        match self {
            Self::Ticket(_) => "the ticket is malformed: sign in again",
            Self::Refused(failure) => failure.code.meaning(),
            Self::NotProxied => "this is no proxy ticket",
            Self::Unreachable(_) => "the sign-in server cannot be reached: try again later",
            Self::Timeout(_) => "the sign-in server does not answer: try again later",
            Self::Http(_) | Self::Answer(_) => "the sign-in server gave an answer that cannot be used",
        }
    }

    /// What an operator may look at first where the server did not even refuse a made-up ticket.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Http(BackchannelError::Status { status, .. })
                if [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR].contains(status) =>
            {
                ". Apereo's servers answer so where the service is not registered"
            }
            _ => "",
        }
    }

    /// What happened at the server, in the words of whatever else asks it.
    pub fn cause(&self) -> String {
        match self {
            Self::Unreachable(error) | Self::Timeout(error) | Self::Http(error) => error.to_string(),
            other => other.to_string(),
        }
    }

    /// Is it the ticket's fault, so that a new one may do? Otherwise it is the server's or the configuration's.
    pub fn is_of_ticket(&self) -> bool {
        match self {
            Self::Ticket(_) | Self::NotProxied => true,
            Self::Refused(failure) => matches!(
                failure.code,
                FailureCode::InvalidTicket | FailureCode::InvalidService | FailureCode::InvalidTicketSpec
            ),
            Self::Unreachable(_) | Self::Timeout(_) | Self::Http(_) | Self::Answer(_) => false,
        }
    }
}

/// Is nothing cut off? A body that ends with its connection tells so by its last line feed only.
fn is_whole(reply: &Reply) -> bool {
    let is_framed = |name| reply.headers.contains_key(name);
    is_framed(CONTENT_LENGTH) || is_framed(TRANSFER_ENCODING) || reply.body.ends_with(b"\n")
}

fn quoted(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(" (it says: {text:?})")
    }
}

fn sorted(error: BackchannelError) -> ValidateError {
    use BackchannelError as E;
    match error {
        E::Timeout { .. } => ValidateError::Timeout(error),
        E::Redirect { .. }
        | E::Status { .. }
        | E::TooLarge { .. }
        | E::Coding { .. }
        | E::BrokenCoding { .. }
        | E::Broken { .. } => ValidateError::Http(error),
        E::CaFile(_)
        | E::ProxyPassword(_)
        | E::Proxy { .. }
        | E::Setup(_)
        | E::Resolve { .. }
        | E::Refused { .. }
        | E::Tls { .. }
        | E::Connect { .. } => ValidateError::Unreachable(error),
    }
}

#[cfg(test)]
#[path = "client/tests.rs"]
mod tests;
