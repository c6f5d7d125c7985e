//! `page`: a page of the campus's own knows people's tokens, and gives one for a proxy ticket of CAS.
//!
//! The ticket is made for the page's own address (CAS 3.0 section 2.7) from the proxy-granting ticket that the gateway got
//! when the person signed in; the page has the CAS server tell whose it is, and answers with JSON. What it says is believed
//! no more than any other source.

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;
use url::Url;

use super::TokenError;
use super::site::Finding;
use super::source::{Availability, Person};
use crate::backchannel::{Backchannel, BackchannelError, authority};
use crate::config::{self, PageMethod};
use crate::moodle::service::NO_STORE;
use crate::moodle::token::Token;
use crate::sign_in::cas::{self, ProxyError};
use crate::store::{StoreError, Table};
use crate::text::without_mark;

/// Bytes of an answer.
const LONGEST: usize = 64 << 10;

/// Asks one page, and its CAS server for tickets.
pub struct Page {
    config: config::Page,
    cas: cas::Client,
    backchannel: Backchannel,
}

impl Page {
    /// `cas` is the server at which the people of the Moodle sign in.
    pub fn new(config: &config::Page, cas: &config::Cas) -> Result<Self, BackchannelError> {
        let questions = Backchannel::new(cas.ca_file.as_deref())?;
        Ok(Self {
            config: config.clone(),
            cas: cas::Client::new(&cas.server, cas.protocol, questions),
            backchannel: Backchannel::new(config.ca_file.as_deref())?,
        })
    }

    fn failed(&self, why: impl Into<String>) -> TokenError {
        TokenError::Page {
            host: authority(&self.config.url),
            why: why.into(),
        }
    }

    /// What the page says for this ticket. Nothing of its answer is quoted.
    async fn ask(&self, ticket: &str, username: &str) -> Result<Token, TokenError> {
        let pair = [(self.config.parameter.as_str(), ticket)];
        let (mut url, mut headers) = (self.config.url.clone(), HeaderMap::new());
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let (method, body) = match self.config.method {
            PageMethod::Get => {
                url.query_pairs_mut().extend_pairs(pair);
                (Method::GET, String::new())
            }
            PageMethod::Post => {
                let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(header::CONTENT_TYPE, kind);
                let form = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(pair)
                    .finish();
                (Method::POST, form)
            }
        };
        let answer = self
            .backchannel
            .exchange(method, &url, headers, body.into(), LONGEST)
            .await;
        let answer = answer.map_err(|error| self.failed(format!("it cannot be asked: {error}")))?;
        if answer.status.is_redirection() {
            return Err(self.failed("it redirects, which is not followed: name the final address as `url`"));
        }
        if !answer.status.is_success() {
            return Err(self.failed(format!("it answered {}", answer.status)));
        }
        let answer: Value = serde_json::from_slice(without_mark(&answer.body))
            .map_err(|_| self.failed("its answer is no JSON: is there a login page in front of it?"))?;
        if let Some(named) = &self.config.username {
            let told = answer.pointer(named).and_then(Value::as_str);
            if !told.is_some_and(|told| told.eq_ignore_ascii_case(username)) {
                return Err(TokenError::OtherAccount);
            }
        }
        let token = answer.pointer(&self.config.token).and_then(Value::as_str);
        token
            .and_then(Token::parse)
            .ok_or_else(|| self.failed("there is no token at `token` of its answer"))
    }
}

pub(super) async fn ask(person: &Person<'_>) -> Result<Option<Token>, TokenError> {
    let (Some(page), Some(key)) = (&person.moodle.page, grant_of(person)) else {
        return Ok(None);
    };
    let found = person
        .store()
        .get(Table::ProxyGrants, &key)
        .await
        .map_err(|_| NO_STORE)?;
    let Some(grant) = found.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return Ok(None);
    };
    let ticket = match page.cas.proxy_ticket(&grant, page.config.url.as_str()).await {
        Ok(ticket) => ticket,
        Err(ProxyError::Over(_)) => {
            // The person has signed out at the CAS server, or its session there is over.
            person
                .store()
                .delete(Table::ProxyGrants, &key)
                .await
                .map_err(|_| NO_STORE)?;
            return Ok(None);
        }
        Err(error) => return Err(page.failed(format!("no proxy ticket for it: {error}"))),
    };
    page.ask(&ticket, &person.username).await.map(Some)
}

/// The page gives dead ones.
pub(super) fn died(person: &Person<'_>) -> TokenError {
    match &person.moodle.page {
        Some(page) => page.failed("it gives a token that Moodle does not know: deleted, expired, or of another Moodle"),
        None => TokenError::Died,
    }
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    const NONE: &str = "no proxy-granting ticket is kept for this session: the next sign-in brings one";
    let Some(key) = grant_of(person) else {
        return Ok(Availability::Nothing("only a session by CAS has a ticket for the page"));
    };
    Ok(match person.store().get(Table::ProxyGrants, &key).await? {
        Some(_) => Availability::Asked("the page would be asked with a proxy ticket"),
        None => Availability::Nothing(NONE),
    })
}

fn grant_of(person: &Person<'_>) -> Option<String> {
    Some(grant_key(&person.caller.session()?.key.text()))
}

/// Under what a session's proxy-granting ticket is kept.
pub(in crate::moodle) fn grant_key(session: &str) -> String {
    format!("session\n{session}")
}

pub(super) fn finding(moodle: &config::Moodle) -> Finding {
    let url = moodle
        .page
        .as_ref()
        .map(|page: &config::Page| &page.url)
        .map_or("", Url::as_str);
    Finding::Note(format!(
        "the CAS server must give the gateway proxy tickets for {url}: the gateway's service there needs a proxy policy that allows \
         the callback (told with sign_in), and the page a service of its own. The page must take only tickets that came through \
         that callback"
    ))
}
