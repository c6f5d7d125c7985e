//! One peer for a conversation with Moodle: which server, under which name, with which cookies.
//!
//! Redirects are told, never followed. The user agent is the gateway's own: `launch.php` answers phones differently.

use std::fmt;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::TokenError;
use crate::backchannel::{Backchannel, Reply};
use crate::headers;

/// Pages of Moodle's are a few hundred kilobytes at most.
const MAX_ANSWER: usize = 2 << 20;

/// Moodle as it is reached from here. All requests of a conversation go to one server: `login/token.php` keeps its state
/// in a file there.
pub struct Conversation {
    backchannel: Backchannel,
    server: Url,
    host: HeaderValue,
    wwwroot: String,
    service: String,
}

/// A cookie of Moodle's, which cannot print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    value: String,
}

impl Conversation {
    /// `server` is where Moodle is reached, `host` what it is to be called there; `wwwroot` is Moodle's, exactly, and
    /// `service` the external service whose tokens are wanted.
    pub fn new(backchannel: Backchannel, server: Url, host: HeaderValue, wwwroot: &str, service: &str) -> Self {
        Self {
            backchannel,
            server,
            host,
            wwwroot: wwwroot.to_owned(),
            service: service.to_owned(),
        }
    }

    pub fn wwwroot(&self) -> &str {
        &self.wwwroot
    }

    pub fn service(&self) -> &str {
        &self.service
    }

    /// Sends one request. `target` begins below `wwwroot`. A status or redirect that says how Moodle is set up is an
    /// error; every other answer is the caller's to read.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        form: &[(&str, &str)],
        cookies: &[&Cookie],
    ) -> Result<Reply, TokenError> {
        if method != Method::POST {
            return self.exchange(method, target, None, cookies).await;
        }
        let body = Serializer::new(String::new()).extend_pairs(form).finish();
        self.post(target, "application/x-www-form-urlencoded", body.into(), cookies)
            .await
    }

    /// The same with any body.
    pub(super) async fn post(
        &self,
        target: &str,
        content_type: &'static str,
        body: Bytes,
        cookies: &[&Cookie],
    ) -> Result<Reply, TokenError> {
        self.exchange(Method::POST, target, Some((content_type, body)), cookies)
            .await
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        body: Option<(&'static str, Bytes)>,
        cookies: &[&Cookie],
    ) -> Result<Reply, TokenError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let jar = cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value));
        if let Ok(jar) = HeaderValue::from_str(&jar.collect::<Vec<_>>().join("; "))
            && !cookies.is_empty()
        {
            headers.insert(header::COOKIE, jar);
        }
        if let Some((content_type, _)) = &body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        let body = body.map(|(_, body)| body).unwrap_or_default();
        let url = self.url(target)?;
        let reply = self
            .backchannel
            .exchange(method, &url, headers, body, MAX_ANSWER)
            .await?;
        match reply.status {
            StatusCode::SERVICE_UNAVAILABLE => Err(TokenError::Maintenance),
            StatusCode::FORBIDDEN => Err(TokenError::Misconfigured(
                "403: web services or their REST protocol are off (enablewebservices, webserviceprotocols)",
            )),
            _ => Ok(reply),
        }
    }

    /// The path of `wwwroot` and `target`, at the server.
    fn url(&self, target: &str) -> Result<Url, TokenError> {
        let wrong = || TokenError::Misconfigured("moodle.public_url and the upstream's server make no URL");
        let root = Url::parse(&self.wwwroot).map_err(|_| wrong())?;
        let path = format!("{}{target}", root.path().trim_end_matches('/'));
        let mut url = self.server.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        Ok(url)
    }
}

impl Cookie {
    /// As kept in the sealed store: `name=value`.
    pub fn parse(pair: &str) -> Option<Self> {
        let (name, value) = pair.split_once('=')?;
        let sound = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';');
        (sound(name) && sound(value)).then(|| Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }

    /// What stands under a kept session.
    pub fn kept(entry: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(entry).ok()?)
    }

    pub fn reveal(&self) -> String {
        format!("{}={}", self.name, self.value)
    }

    /// The last cookie whose name begins so that the answer sets; not one that it deletes.
    pub(super) fn set_by(reply: &Reply, name: &str) -> Option<Self> {
        let set = reply.headers.get_all(header::SET_COOKIE).iter();
        let mut pairs = set.filter_map(|cookie| Self::parse(cookie.to_str().ok()?.split(';').next()?.trim()));
        pairs.rfind(|cookie| cookie.name.starts_with(name) && cookie.value != "deleted")
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=…", self.name)
    }
}

/// `Location`, if there is a readable one.
pub(super) fn location(reply: &Reply) -> &str {
    headers::text(&reply.headers, header::LOCATION).unwrap_or_default()
}
