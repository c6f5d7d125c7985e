//! `else_ask`: where no rule of a route speaks, what does an upstream say to the client's own credentials?
//!
//! It is asked about the same path with either the session cookie or Basic, never both (an `Authorization`
//! ends the session), and never a token: what the issuer's caps took from it would be given back there. Answers are
//! remembered for a short time, and a question that is on its way is not asked a second time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use moka::sync::Cache;
use tokio::sync::OnceCell;

use crate::act::proxy::{Attempts, Upstream};
use crate::backchannel::{Backchannel, BackchannelError};
use crate::config::{self, Outgoing};
use crate::digest::sha256_of_parts;
use crate::fair::{Asker, Places, Shares};
use crate::headers::cookies;
use crate::observe::metrics::ElseAskMetrics;
use crate::rejection::{Reason, Rejection};
use crate::request::{Client, REQUEST_ID, Request};
use crate::text::starts_in_any_case;

/// For all servers that are tried, together.
const TIME_LIMIT: Duration = Duration::from_secs(3);
/// How long a yes holds.
const ALLOWED_FOR: Duration = Duration::from_secs(30);
/// How long any answer holds for the very same question, counted from when it was asked.
const ANSWER_FOR: Duration = Duration::from_secs(5);
/// Entries of each cache; an entry is a hash and a short answer.
const MAX_ENTRIES: u64 = 20_000;
/// Questions on their way at once, for each route. Made-up credentials leave half of them to those that were good before.
const SHARES: Shares = Shares {
    all: 64,
    each: 16,
    kept: 32,
    queue: 512,
    wait: Duration::from_secs(5),
};
const MAX_CHALLENGES: usize = 4;
/// The cookies that make a session of Opencast's.
const SESSION_COOKIES: [&str; 2] = ["JSESSIONID=", "oc-remember-me="];

/// What the upstream said.
#[derive(Debug, Clone)]
pub enum Answer {
    Allowed,
    /// With the challenges that came along.
    Unauthorized(Vec<HeaderValue>),
    NotFound,
    /// Anything else: it allows nothing.
    Silent,
    Failed(Rejection),
}

/// One request's question.
pub struct Question<'a> {
    pub request: &'a Request,
    /// Canonical and encoded.
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub client: &'a Client,
    pub request_id: &'a str,
}

/// A SHA-256: no credential is kept.
type Key = [u8; 32];

/// The `else_ask` of one route.
pub struct ElseAsk {
    upstream: Arc<Upstream>,
    method: Method,
    event_depth: Option<usize>,
    backchannel: Backchannel,
    allowed: Cache<Key, ()>,
    answers: Cache<Key, Arc<OnceCell<Answer>>>,
    places: Places,
    metrics: ElseAskMetrics,
}

impl ElseAsk {
    /// `ca_file` is the upstream's. Errors: it cannot be read.
    pub fn new(
        config: &config::ElseAsk,
        upstream: Arc<Upstream>,
        ca_file: Option<&Path>,
        metrics: ElseAskMetrics,
    ) -> Result<Self, BackchannelError> {
        Ok(Self {
            upstream,
            method: config.method.clone(),
            event_depth: config.event_depth,
            backchannel: Backchannel::for_questions(&Outgoing::direct(ca_file.map(Path::to_owned)))?,
            allowed: Cache::builder()
                .max_capacity(MAX_ENTRIES)
                .time_to_live(ALLOWED_FOR)
                .build(),
            answers: Cache::builder()
                .max_capacity(MAX_ENTRIES)
                .time_to_live(ANSWER_FOR)
                .build(),
            places: Places::new(SHARES),
            metrics,
        })
    }

    /// The answer, from memory where there is one. A yes holds for the whole event, everything else for the path.
    pub async fn ask(&self, question: &Question<'_>) -> Answer {
        let credential = credential(question.headers);
        let key = |path: &str| key(&question.request.authority, credential.as_ref(), path);
        let about = key(self.event_of(question.path));
        if self.allowed.contains_key(&about) {
            self.metrics.hit.inc();
            return Answer::Allowed;
        }
        let answer = self.answers.get_with(key(question.path), Arc::default);
        // No path is empty.
        let person = key("");
        let asker = Asker::at(question.client.address);
        let asker = match self.allowed.contains_key(&person) {
            true => asker.known(),
            false => asker,
        };
        // Before the question: nobody else who asks it waits for the turn of this client.
        let _place = match answer.initialized() {
            true => None,
            false => match self.places.take(asker).await {
                Ok(place) => Some(place),
                Err(none) => return Answer::Failed(none.into()),
            },
        };
        let mut is_asked = false;
        let asking = answer.get_or_init(|| {
            is_asked = true;
            self.ask_upstream(question, credential.clone())
        });
        let answer = asking.await.clone();
        match is_asked {
            true => self.metrics.miss.inc(),
            false => self.metrics.hit.inc(),
        }
        if matches!(answer, Answer::Allowed) {
            self.allowed.insert(about, ());
            if credential.is_some() {
                self.allowed.insert(person, ());
            }
        }
        answer
    }

    /// The path up to its event, or all of it.
    fn event_of<'a>(&self, path: &'a str) -> &'a str {
        let end = self
            .event_depth
            .and_then(|depth| path.match_indices('/').nth(depth).map(|(end, _)| end));
        end.and_then(|end| path.get(..end)).unwrap_or(path)
    }

    async fn ask_upstream(&self, question: &Question<'_>, credential: Option<Credential>) -> Answer {
        let failed = |reason, detail: String| {
            let detail = format!("else_ask of upstream `{}`: {detail}", self.upstream.name);
            Answer::Failed(Rejection::because(reason, detail))
        };
        let asking = self.ask_servers(question, credential);
        match tokio::time::timeout(TIME_LIMIT, asking).await {
            Ok(Ok((status, headers))) => judge(status, &headers),
            Ok(Err(Some(BackchannelError::Timeout { host, .. }))) => failed(Reason::UpstreamTimeout, host),
            Ok(Err(Some(error))) => failed(Reason::UpstreamUnavailable, error.to_string()),
            Ok(Err(None)) => failed(Reason::UpstreamUnavailable, "no server to ask".to_owned()),
            Err(_) => failed(Reason::UpstreamTimeout, format!("no answer within {TIME_LIMIT:?}")),
        }
    }

    /// Asks the server that a request would go to; another one if it takes no connection.
    async fn ask_servers(
        &self,
        question: &Question<'_>,
        credential: Option<Credential>,
    ) -> Result<(StatusCode, HeaderMap), Option<BackchannelError>> {
        let headers = self.headers(question, credential);
        let mut attempts = Attempts::default();
        let mut last = None;
        while let Ok(chosen) = self.upstream.choose(question.path, &mut attempts) {
            let Some(url) = chosen.server.url(question.path) else {
                break;
            };
            match self.backchannel.ask(self.method.clone(), &url, headers.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    tracing::debug!(server = chosen.server.label, %error, "else_ask");
                    last = Some(error);
                }
            }
        }
        Err(last)
    }

    fn headers(&self, question: &Question<'_>, credential: Option<Credential>) -> HeaderMap {
        let authority = question.request.authority.as_str();
        let proto = if question.client.https { "https" } else { "http" };
        let chain = question.client.chain();
        let said = [
            (header::HOST, authority),
            (HeaderName::from_static("x-forwarded-host"), authority),
            (HeaderName::from_static("x-forwarded-proto"), proto),
            (HeaderName::from_static("x-forwarded-for"), chain.as_str()),
            (REQUEST_ID, question.request_id),
        ];
        let said = said
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?)));
        let mut headers: HeaderMap = said.collect();
        if let Some(host) = &self.upstream.host {
            headers.insert(header::HOST, host.clone());
        }
        headers.extend(credential);
        headers
    }
}

fn judge(status: StatusCode, headers: &HeaderMap) -> Answer {
    match status {
        StatusCode::UNAUTHORIZED => {
            let challenges = headers.get_all(header::WWW_AUTHENTICATE).iter();
            Answer::Unauthorized(challenges.take(MAX_CHALLENGES).cloned().collect())
        }
        StatusCode::NOT_FOUND => Answer::NotFound,
        status if status.is_success() => Answer::Allowed,
        _ => Answer::Silent,
    }
}

type Credential = (HeaderName, HeaderValue);

/// The one credential that is sent: the cookies of a session, else Basic, else whatever cookies there are.
fn credential(headers: &HeaderMap) -> Option<Credential> {
    let cookies = cookies::foreign(headers);
    let is_session = |cookies: &HeaderValue| {
        let mut pairs = cookies.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        pairs.any(|pair| SESSION_COOKIES.iter().any(|name| pair.starts_with(name.as_bytes())))
    };
    let mut authorizations = headers.get_all(header::AUTHORIZATION).iter();
    let basic = authorizations.find(|value| starts_in_any_case(value.as_bytes(), b"basic "));
    match (cookies, basic) {
        (Some(cookies), _) if is_session(&cookies) => Some((header::COOKIE, cookies)),
        (_, Some(basic)) => Some((header::AUTHORIZATION, basic.clone())),
        (cookies, None) => cookies.map(|cookies| (header::COOKIE, cookies)),
    }
}

/// Every part is preceded by its length, so that no two questions run together.
fn key(authority: &str, credential: Option<&Credential>, path: &str) -> Key {
    let (name, value) = credential.map_or(("", &b""[..]), |(name, value)| (name.as_str(), value.as_bytes()));
    sha256_of_parts([authority.as_bytes(), name.as_bytes(), value, path.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(fields: &[(&'static str, &'static str)]) -> Option<(String, String)> {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers = fields.iter().map(field).collect();
        credential(&headers).map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn one_credential_is_sent_and_never_a_token() {
        let (session, basic) = (
            ("cookie", "a=1; JSESSIONID=x; __Host-janua=y"),
            ("authorization", "basic eDp5"),
        );
        let cookie = |text: &str| Some(("cookie".to_owned(), text.to_owned()));
        assert_eq!(sent(&[session, basic]), cookie("a=1; JSESSIONID=x"));
        let as_basic = Some(("authorization".to_owned(), "basic eDp5".to_owned()));
        assert_eq!(sent(&[basic]), as_basic);
        assert_eq!(sent(&[("cookie", "a=1"), basic]), as_basic);
        assert_eq!(
            sent(&[("cookie", "a=1"), ("authorization", "Bearer x.y.z")]),
            cookie("a=1")
        );
        assert_eq!(sent(&[("authorization", "Bearer x.y.z")]), None);
        assert_eq!(sent(&[("cookie", "__Host-janua=y")]), None);
    }

    #[test]
    fn no_two_questions_share_a_key() {
        let cookie = (header::COOKIE, HeaderValue::from_static("a"));
        let other = (header::COOKIE, HeaderValue::from_static("a/b"));
        let keys = [
            key("h", None, "/a"),
            key("h", None, "/b"),
            key("i", None, "/a"),
            key("h", Some(&cookie), "/b/c"),
            key("h", Some(&other), "/c"),
        ];
        let distinct: std::collections::HashSet<_> = keys.into_iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn only_success_allows() {
        let of = |status: u16| judge(StatusCode::from_u16(status).unwrap(), &HeaderMap::new());
        assert!(matches!((of(200), of(206)), (Answer::Allowed, Answer::Allowed)));
        assert!(matches!(
            (of(401), of(404)),
            (Answer::Unauthorized(_), Answer::NotFound)
        ));
        for status in [302, 403, 405, 429, 500, 503] {
            assert!(matches!(of(status), Answer::Silent), "{status}");
        }
    }
}
