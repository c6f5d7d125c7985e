//! A validation answer of any of the three protocols: success with a principal, failure with a code, or neither.
//!
//! Whatever is not exactly one of the two is a [`BadAnswer`], and nobody is signed in by it.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use memchr::memmem;
use thiserror::Error;

pub use super::element::XmlError;
use super::failure::Failure;
use super::principal::Principal;
use super::{Protocol, json_answer, xml_answer};
use crate::authenticate::session::MAX_VALUES;
use crate::authenticate::session::is_user;

/// Longest answer that is looked at, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// What the server says about a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Success(Principal),
    Failure(Failure),
}

/// Why an answer is none. It quotes nothing of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadAnswer {
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("it is a web page: `server` may not be the address of a CAS server, or this is its error page")]
    Page,
    #[error("it is not in the character set that it names, or in UTF-8 if it names none")]
    Encoding,
    #[error("as XML, {0}")]
    Xml(#[from] XmlError),
    #[error("it is no JSON without repeated members")]
    Json,
    #[error("it is no answer of the protocol's version")]
    Form,
    #[error("it has not exactly one user")]
    User,
    #[error("its user's name is blank, padded, too long or has control characters")]
    UserName,
    #[error("its attributes have more than {MAX_VALUES} values")]
    Attributes,
    #[error("its chain of proxies is not readable")]
    Proxies,
}

/// Reads an answer to a validation request: its `Content-Type` and its body.
///
/// Whether XML or JSON came is told by the first character: servers disagree about `format=JSON` and about the type, and
/// some send JSON unasked. The type only makes a web page's error clearer.
pub fn parse(protocol: Protocol, content_type: Option<&str>, body: &[u8]) -> Result<Answer, BadAnswer> {
    // Apereo CAS calls its XML so, too.
    let is_page = content_type.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
        && memmem::find(body, b"serviceResponse").is_none();
    let named = |error| if is_page { BadAnswer::Page } else { error };
    if body.len() > MAX_BYTES {
        return Err(BadAnswer::TooLong);
    }
    let text = decoded(content_type, body).ok_or(named(BadAnswer::Encoding))?;
    let text = &*text;
    let answer = match (
        protocol,
        text.trim_start_matches('\u{feff}').trim_start().chars().next(),
    ) {
        (Protocol::Cas1, _) => cas_1(text),
        (_, Some('<')) => xml_answer::parse(text),
        (_, Some('{')) => json_answer::parse(text),
        _ => Err(BadAnswer::Form),
    };
    answer.map_err(|error| match error {
        error @ (BadAnswer::Xml(_) | BadAnswer::Json | BadAnswer::Form) => named(error),
        error => error,
    })
}

/// The text, by its byte order mark, by the `charset` of its type, or by its XML declaration (RFC 7303 section 3). Where one
/// of the two says UTF-8 and it is UTF-8, it is that: Tomcat adds `charset=ISO-8859-1` to whatever has none. Where it is
/// not what the type says, the declaration counts: containers add `charset=UTF-8`, too.
pub(super) fn decoded<'a>(content_type: Option<&str>, body: &'a [u8]) -> Option<Cow<'a, str>> {
    if let Some((encoding, length)) = Encoding::for_bom(body) {
        return encoding.decode_without_bom_handling_and_without_replacement(body.get(length..)?);
    }
    let mut named = [content_type.and_then(charset), declared(body)];
    if named.contains(&Some(UTF_8))
        && let Ok(text) = std::str::from_utf8(body)
    {
        return Some(Cow::Borrowed(text));
    }
    if named == [None, None] {
        // The second one reads everything; RFC 2616 section 3.7.1 made its like the default of texts.
        named = [Some(UTF_8), Some(WINDOWS_1252)];
    }
    let mut encodings = named.into_iter().flatten();
    encodings.find_map(|encoding| encoding.decode_without_bom_handling_and_without_replacement(body))
}

fn charset(content_type: &str) -> Option<&'static Encoding> {
    let parameters = content_type
        .split(';')
        .skip(1)
        .filter_map(|parameter| parameter.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let (_, label) = charsets.next()?;
    Encoding::for_label(label.trim().trim_matches('"').as_bytes())
}

/// `<?xml version="1.0" encoding="…"?>` at the very beginning.
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    let inside = body.trim_ascii_start().strip_prefix(b"<?xml")?;
    let inside = inside.get(..memmem::find(inside, b"?>")?)?;
    let after = inside.get(memmem::find(inside, b"encoding")? + "encoding".len()..)?;
    let quoted = after.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, rest) = quoted.split_first()?;
    let label = rest.get(..memchr::memchr(*quote, rest)?)?;
    Encoding::for_label(label)
}

/// `yes` and the user, or `no`, a line each (CAS 3.0 section 2.4.2). Servers end lines in either way, or leave the last one
/// open, as phpCAS takes them: that the body is whole is the caller's to know. Behind the user stands nothing.
fn cas_1(text: &str) -> Result<Answer, BadAnswer> {
    let mut lines = text.lines();
    match (lines.next(), lines.next()) {
        (Some("no"), _) => Ok(Answer::Failure(Failure::new("INVALID_TICKET", ""))),
        (Some("yes"), Some(user)) if lines.all(|line| line.trim().is_empty()) => success(Principal {
            user: user.to_owned(),
            ..Principal::default()
        }),
        _ => Err(BadAnswer::Form),
    }
}

/// Without the space and line ends around it, which are the document's, as phpCAS has it: white space of XML (XML 1.0
/// section 2.3).
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// The last look at a principal, whatever form it came in.
pub(super) fn success(principal: Principal) -> Result<Answer, BadAnswer> {
    if is_user(&principal.user) {
        Ok(Answer::Success(principal.withhold()))
    } else {
        Err(BadAnswer::UserName)
    }
}

#[cfg(test)]
#[path = "answer/tests.rs"]
mod tests;
