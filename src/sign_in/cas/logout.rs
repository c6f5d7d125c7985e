//! The server's single logout: which tickets' sessions have ended (CAS 3.0 section 2.3.3 and appendix C).
//!
//! A request proves itself by the ticket that it names, which nobody else knows; whether a session was made by it is the
//! caller's to find out.

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::{DeflateDecoder, ZlibDecoder};

use super::answer::decoded;
use super::element::Element;
use super::ticket::Ticket;
use crate::query;

/// Longest body, query or inflated request. The real ones have some 500 bytes.
pub const MAX_BYTES: usize = 16 << 10;

/// Sessions that one request ends. CAS names one; SAML allows several (saml-core-2.0 section 3.7.1).
const MAX_SESSIONS: usize = 16;

const PARAMETER: &str = "logoutRequest";

/// The ticket that a session was made by. As good as a secret: it shows in no log.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionIndex(Ticket);

impl SessionIndex {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for SessionIndex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionIndex(…)")
    }
}

/// Back channel: the form that the server posts to a service URL, of this type or of none; or the request alone as XML, as
/// Keycloak's plugin for CAS sends it. `None`: this is no logout request.
pub fn logout_request(content_type: Option<&str>, body: &[u8]) -> Option<Vec<SessionIndex>> {
    let kind = content_type.and_then(|kind| kind.split(';').next()).map(str::trim);
    let is = |known: &[&str]| kind.is_some_and(|kind| known.iter().any(|known| kind.eq_ignore_ascii_case(known)));
    if is(&["application/xml", "text/xml"]) {
        let text = decoded(content_type, body).filter(|_| body.len() <= MAX_BYTES)?;
        return read(&text);
    }
    if kind.is_some() && !is(&["application/x-www-form-urlencoded"]) {
        return None;
    }
    let request = parameter(body)?;
    read(&request)
}

/// Front channel: the query with which the server lets the browser call a service URL. The request stands there deflated
/// and in base64 as in SAML's redirect binding (section 3.4.4.1), with zlib's frame around it as Apereo's servers send
/// it, or plain. `None`: this is no logout request.
pub fn logout_query(query: &str) -> Option<Vec<SessionIndex>> {
    let value = parameter(query.as_bytes())?;
    if value.trim_start().starts_with('<') {
        return read(&value);
    }
    // A `+` that was not escaped has become a space.
    let packed = STANDARD.decode(value.replace(' ', "+")).ok()?;
    let plain = inflated(ZlibDecoder::new(packed.as_slice()));
    let plain = plain.or_else(|| inflated(DeflateDecoder::new(packed.as_slice())));
    read(&plain?)
}

/// Exactly one `logoutRequest` among whatever parameters.
fn parameter(form: &[u8]) -> Option<Cow<'_, str>> {
    if form.len() > MAX_BYTES {
        return None;
    }
    query::single(form, PARAMETER)
}

fn inflated(decoder: impl std::io::Read) -> Option<String> {
    let mut text = String::new();
    let read = decoder.take(MAX_BYTES as u64 + 1).read_to_string(&mut text).ok()?;
    (read <= MAX_BYTES).then_some(text)
}

/// Every `SessionIndex` right below `LogoutRequest`, one at least, in whatever namespace: RubyCAS-Server declares none for
/// its prefix.
fn read(request: &str) -> Option<Vec<SessionIndex>> {
    let root = Element::parse(request.trim()).ok()?;
    if root.name != "LogoutRequest" {
        return None;
    }
    let found = root.children.iter().filter(|child| child.name == "SessionIndex");
    let ticket = |index: &Element| Ticket::of_session(index.only_text()?.trim()).ok().map(SessionIndex);
    let ended = found.map(ticket).collect::<Option<Vec<_>>>()?;
    (1..=MAX_SESSIONS).contains(&ended.len()).then_some(ended)
}

#[cfg(test)]
#[path = "logout/tests.rs"]
mod tests;
