//! `page`: a page of the campus's own knows people's tokens, and gives one for a proxy ticket of CAS, or for an access token.
//!
//! The ticket is made for the page's own address (CAS 3.0 section 2.7) from the proxy-granting ticket that the gateway got
//! when the person signed in; the page has the CAS server tell whose it is, and answers with JSON. An access token goes there
//! as `Authorization: Bearer` (RFC 6750 section 2.1), only where the configuration says so: the one by which an application
//! calls, or the one by which a session began. What the page says is believed no more than any other source.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use url::Url;

use super::TokenError;
use super::site::Finding;
use super::source::{Availability, Person};
use crate::authenticate::session::Session;
use crate::backchannel::{Backchannel, BackchannelError, authority};
use crate::config::{self, PageMethod};
use crate::moodle::caller::Caller;
use crate::moodle::no_token::LONG;
use crate::moodle::service::NO_STORE;
use crate::moodle::token::Token;
use crate::sign_in::cas::{self, ProxyError};
use crate::store::{StoreError, Table};
use crate::text::without_mark;

/// Bytes of an answer.
const LONGEST: usize = 64 << 10;

/// What a kept access token begins with. No ticket has a blank in it.
const BEARER: &str = "Bearer ";

/// Asks one page, and its CAS server for tickets.
pub struct Page {
    config: config::Page,
    /// `None`: people sign in by another kind of server.
    cas: Option<cas::Client>,
    backchannel: Backchannel,
}

/// What a session began with, and a page is asked by. Cannot print itself.
pub enum Grant<'a> {
    /// A proxy-granting ticket.
    Ticket(&'a str),
    /// An access token, and for how long it is good.
    AccessToken(&'a str, Duration),
}

/// What somebody has to ask the page with. Cannot print itself.
enum Proof {
    None,
    /// An access token that this Moodle's page has refused.
    Refused,
    Grant(String),
    AccessToken(String),
}

impl<'a> Grant<'a> {
    /// The token and its seconds, as a sign-in tells them.
    pub fn access_token(told: &'a [String]) -> Option<Self> {
        let [token, seconds] = told else { return None };
        let life = Duration::from_secs(seconds.parse().ok()?);
        Some(Self::AccessToken(token, life)).filter(|_| !life.is_zero())
    }

    pub(in crate::moodle) fn life(&self) -> Duration {
        match self {
            Self::Ticket(_) => Duration::MAX,
            Self::AccessToken(_, life) => *life,
        }
    }

    /// As it is kept.
    pub(in crate::moodle) fn text(&self) -> String {
        match self {
            Self::Ticket(ticket) => (*ticket).to_owned(),
            Self::AccessToken(token, _) => format!("{BEARER}{token}"),
        }
    }
}

impl Page {
    /// `cas` is the server at which the people of the Moodle sign in, if they sign in by CAS.
    pub fn new(config: &config::Page, cas: Option<&config::Cas>) -> Result<Self, BackchannelError> {
        let client = |cas: &config::Cas| {
            let questions = Backchannel::new(&cas.outgoing)?;
            Ok::<_, BackchannelError>(cas::Client::new(&cas.server, cas.protocol, questions))
        };
        Ok(Self {
            config: config.clone(),
            cas: cas.map(client).transpose()?,
            backchannel: Backchannel::new(&config.outgoing)?,
        })
    }

    fn failed(&self, why: impl Into<String>) -> TokenError {
        TokenError::Page {
            host: authority(&self.config.url),
            why: why.into(),
        }
    }

    /// A ticket in the parameter, and what the page says to it.
    async fn ask_by_ticket(&self, ticket: &str, username: &str) -> Result<Token, TokenError> {
        let pair = [(self.config.parameter.as_str(), ticket)];
        let (mut url, mut headers) = (self.config.url.clone(), HeaderMap::new());
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
        self.ask((method, &url), headers, body, username).await
    }

    /// An access token in the header, and what the page says to it.
    async fn ask_by_access_token(&self, token: &str, username: &str) -> Result<Token, TokenError> {
        let mut bearer = HeaderValue::try_from(format!("{BEARER}{token}"))
            .map_err(|_| self.failed("the access token has characters that none has"))?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]);
        let method = match self.config.method {
            PageMethod::Get => Method::GET,
            PageMethod::Post => Method::POST,
        };
        self.ask((method, &self.config.url), headers, String::new(), username)
            .await
    }

    /// What the page answers. Nothing of it is quoted.
    async fn ask(
        &self,
        (method, url): (Method, &Url),
        mut headers: HeaderMap,
        body: String,
        username: &str,
    ) -> Result<Token, TokenError> {
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let is_by_token = headers.contains_key(header::AUTHORIZATION);
        let answer = self
            .backchannel
            .exchange(method, url, headers, body.into(), LONGEST)
            .await;
        let answer = answer.map_err(|error| self.failed(format!("it cannot be asked: {error}")))?;
        if answer.status.is_redirection() {
            return Err(self.failed("it redirects, which is not followed: name the final address as `url`"));
        }
        match answer.status {
            // RFC 6750 section 3.1.
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) if is_by_token => {
                let host = authority(url);
                return Err(TokenError::NotForPage { host, status });
            }
            status if !status.is_success() => return Err(self.failed(format!("it answered {status}"))),
            _ => {}
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
    let Some(page) = &person.moodle.page else {
        return Ok(None);
    };
    match proof(person, page).await.map_err(|_| NO_STORE)? {
        Proof::None | Proof::Refused => Ok(None),
        Proof::Grant(grant) => by_ticket(person, page, &grant).await,
        Proof::AccessToken(token) => {
            let answered = page.ask_by_access_token(&token, &person.username).await;
            if let Err(error) = &answered {
                is_unfit(person, error).await?;
            }
            answered.map(Some)
        }
    }
}

async fn by_ticket(person: &Person<'_>, page: &Page, grant: &str) -> Result<Option<Token>, TokenError> {
    let Some(cas) = &page.cas else { return Ok(None) };
    let ticket = match cas.proxy_ticket(grant, page.config.url.as_str()).await {
        Ok(ticket) => ticket,
        Err(ProxyError::Over(_)) => {
            // The person has signed out at the CAS server, or its session there is over.
            forget(person).await?;
            return Ok(None);
        }
        Err(error) => return Err(page.failed(format!("no proxy ticket for it: {error}"))),
    };
    page.ask_by_ticket(&ticket, &person.username).await.map(Some)
}

async fn proof(person: &Person<'_>, page: &Page) -> Result<Proof, StoreError> {
    let token = match person.caller {
        Caller::Session(session) => {
            let key = grant_key(&session.key.text());
            let kept = person.store().get(Table::ProxyGrants, &key).await?;
            let Some(kept) = kept.and_then(|bytes| String::from_utf8(bytes).ok()) else {
                return Ok(Proof::None);
            };
            match kept.strip_prefix(BEARER) {
                Some(token) => token.to_owned(),
                // The CAS server of another sign-in does not know it, which says nothing of whether it is good.
                None if is_of_sign_in(person, session) => return Ok(Proof::Grant(kept)),
                None => return Ok(Proof::None),
            }
        }
        Caller::Token { text: Some(text), .. } => text.to_owned(),
        Caller::Token { text: None, .. } => return Ok(Proof::None),
    };
    if !page.config.forward_bearer_token {
        return Ok(Proof::None);
    }
    let refused = match mark(person) {
        Some(mark) => person.store().get(Table::DeadTokens, &mark).await?,
        None => None,
    };
    Ok(match refused {
        Some(_) => Proof::Refused,
        None => Proof::AccessToken(token),
    })
}

/// Has the session begun at the sign-in whose CAS server this Moodle's page asks?
fn is_of_sign_in(person: &Person<'_>, session: &Session) -> bool {
    session.identity.source == person.moodle.people.sign_in
}

/// The page, or Moodle, said this where the page was asked: an access token that brings nothing is not shown to it again, an
/// application's for a while, since the operator of the page may put it right. The pages of other Moodles may take it.
pub(super) async fn is_unfit(person: &Person<'_>, error: &TokenError) -> Result<(), TokenError> {
    if !matches!(error, TokenError::NotForPage { .. } | TokenError::OtherAccount) {
        return Ok(());
    }
    let life = match person.caller {
        // The next sign-in brings another one.
        Caller::Session(session) if matches!(error, TokenError::NotForPage { .. }) => {
            session.expires.duration_since(person.now).unwrap_or_default()
        }
        Caller::Session(_) => return Ok(()),
        Caller::Token { .. } => LONG,
    };
    let Some(mark) = mark(person).filter(|_| !life.is_zero()) else {
        return Ok(());
    };
    let put = person.store().put(Table::DeadTokens, &mark, b"", Some(life));
    put.await.map_err(|_| NO_STORE)
}

/// Under what it is kept that the page of this Moodle has refused the access token of whoever calls: the store keeps a hash of
/// it. `None`: there is none.
fn mark(person: &Person<'_>) -> Option<String> {
    let of = match person.caller {
        // No token has a line of its own.
        Caller::Session(session) => format!("session\n{}", session.key.text()),
        Caller::Token { text, .. } => text?.to_owned(),
    };
    Some(format!("page\n{}\n{of}", person.key()))
}

async fn forget(person: &Person<'_>) -> Result<(), TokenError> {
    let Some(session) = person.caller.session() else {
        return Ok(());
    };
    let key = grant_key(&session.key.text());
    let forgotten = person.store().delete(Table::ProxyGrants, &key).await;
    forgotten.map(drop).map_err(|_| NO_STORE)
}

/// The page gives dead ones.
pub(super) fn died(person: &Person<'_>) -> TokenError {
    match &person.moodle.page {
        Some(page) => page.failed("it gives a token that Moodle does not know: deleted, expired, or of another Moodle"),
        None => TokenError::Died,
    }
}

pub(super) async fn availability(person: &Person<'_>) -> Result<Availability, StoreError> {
    const OF_CAS: &str = "no proxy-granting ticket is kept for this session: the next sign-in brings one";
    const OF_OTHERS: &str = "no access token is kept for this session: it was good for a while after the sign-in";
    const OF_ANOTHER: &str = "no access token is kept for this session, and it has begun at another sign-in than that of the page's CAS server";
    const REFUSED: &str = "the page has refused this access token a moment ago, or given another person's token for it";
    let Some(page) = &person.moodle.page else {
        return Ok(Availability::Nothing("moodle.page has changed meanwhile"));
    };
    let is_of_cas = page.cas.is_some();
    Ok(match (proof(person, page).await?, person.caller) {
        (Proof::Grant(_), _) if is_of_cas => Availability::Asked("the page would be asked with a proxy ticket"),
        (Proof::AccessToken(_), _) => Availability::Asked("the page would be asked with the access token"),
        (Proof::Refused, _) => Availability::Nothing(REFUSED),
        (_, Caller::Session(_)) if !is_of_cas => Availability::Nothing(OF_OTHERS),
        (_, Caller::Session(session)) => Availability::Nothing(match is_of_sign_in(person, session) {
            true => OF_CAS,
            false => OF_ANOTHER,
        }),
        (_, Caller::Token { .. }) => {
            Availability::Nothing("only a session by CAS has a ticket for the page, and forward_bearer_token is false")
        }
    })
}

/// Under what a session's [`Grant`] is kept.
pub(in crate::moodle) fn grant_key(session: &str) -> String {
    format!("session\n{session}")
}

pub(super) fn finding(moodle: &config::Moodle) -> Finding {
    let Some(page) = &moodle.page else {
        return Finding::Note(String::new());
    };
    let url = &page.url;
    let tickets = format!(
        "the CAS server must give the gateway proxy tickets for {url}: the gateway's service there needs a proxy policy that allows \
         the callback (told with sign_in), and the page a service of its own. The page must take only tickets that came through \
         that callback"
    );
    let tokens = format!(
        "people's access tokens are sent to {url} as `Authorization: Bearer`: it must check each of them as an API does (RFC 6750, \
         RFC 9068 section 4), be one of their audience (`aud`), and answer 401 to any other. Where people sign in by CAS it gets \
         proxy tickets as well: the gateway's service there needs a proxy policy that allows the callback (told with sign_in)"
    );
    Finding::Note(if page.forward_bearer_token { tokens } else { tickets })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_says_what_it_is() {
        let told = ["PGT-looks-like-one".to_owned(), "60".to_owned()];
        let token = Grant::access_token(&told).unwrap();
        assert_eq!(token.life(), Duration::from_secs(60));
        assert_eq!(token.text(), "Bearer PGT-looks-like-one");
        assert_eq!(Grant::Ticket("PGT-1").text(), "PGT-1");
        for odd in [
            &["AT-1", "0"][..],
            &["AT-1", "-1"],
            &["AT-1"],
            &[],
            &["AT-1", "60", "60"],
        ] {
            let odd: Vec<String> = odd.iter().map(|text| (*text).to_owned()).collect();
            assert!(Grant::access_token(&odd).is_none(), "{odd:?}");
        }
    }
}
