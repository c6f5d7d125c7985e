//! An answer that the gateway makes itself, and the kinds of them that its own addresses give.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::page::Reader;
use super::security;
use crate::rejection::{Reason, Rejection};

/// Whole. `Content-Length` is left to [`write`](super::write::write).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// As for a GET: the writer leaves it out where the method or status forbids one.
    pub body: Bytes,
}

/// The `Content-Type` of a page.
pub const HTML: &str = "text/html; charset=utf-8";

impl Reply {
    /// Without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: security::own().into(),
            body: Bytes::new(),
        }
    }

    /// To where a GET follows, 303. Error: the location has characters that no header may have.
    pub fn redirect(location: &str) -> Result<Self, Rejection> {
        let location = HeaderValue::from_str(location)
            .map_err(|_| Rejection::because(Reason::Internal, "a redirect to what is no URL"))?;
        let mut reply = Self::empty(StatusCode::SEE_OTHER);
        reply.headers.push((LOCATION, location));
        Ok(reply)
    }

    pub fn json(status: StatusCode, value: &Value) -> Self {
        let mut reply = Self::empty(status);
        reply.set_body("application/json", value.to_string());
        reply
    }

    /// A page, which no other site may frame: its buttons are for the person alone. `body` is HTML.
    pub fn page(reader: &Reader<'_>, title: &str, body: &str) -> Self {
        let mut reply = Self {
            status: StatusCode::OK,
            headers: security::form(reader).collect(),
            body: Bytes::new(),
        };
        reply.set_body(HTML, reader.whole(title, body.trim_end()));
        reply
    }

    /// Where there was none.
    pub fn set_body(&mut self, kind: &'static str, body: impl Into<Bytes>) {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static(kind)));
        self.body = body.into();
    }

    /// Adds a `Set-Cookie`, if there is one.
    pub fn set_cookie(&mut self, cookie: Option<HeaderValue>) {
        self.headers.extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    }
}
