//! What several steps need of pingora's session, and the headers of every answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::prelude::Error;
use pingora::proxy::Session;

use super::{frames, parts, watch};
use crate::authenticate::token::Recent;
use crate::config::ClientTimeouts;
use crate::context::Context;
use crate::listen::connection::Shared;
use crate::listen::intake;
use crate::observe::request_id::RequestId;
use crate::rejection::{Reason, Rejection};
use crate::request::REQUEST_ID;
use crate::respond::page::Look;
use crate::respond::{self, Answering, Reply};

/// Why the walk ends early.
pub enum Stop {
    /// To be answered with a refusal.
    Refused(Rejection),
    /// The client is gone, or half an answer is out.
    Lost(Box<Error>),
}

impl<R: Into<Rejection>> From<R> for Stop {
    fn from(rejection: R) -> Self {
        Self::Refused(rejection.into())
    }
}

impl From<Box<Error>> for Stop {
    fn from(error: Box<Error>) -> Self {
        Self::Lost(error)
    }
}

/// The header is here: its deadline ends, and the limits of a request begin.
pub(super) fn begin(session: &mut Session, timeouts: &ClientTimeouts) {
    intake::forget_other_upgrades(session.req_header_mut());
    if let Some(connection) = Shared::of(session.digest()) {
        connection.request_begins();
    }
    session.set_read_timeout(Some(timeouts.read));
    session.set_write_timeout(Some(timeouts.write));
    session.set_total_drain_timeout(Some(timeouts.read));
    if session.req_header().version == Version::HTTP_10 {
        // RFC 9110 section 15.2: it knows no interim answers; and section 10.1.1: it cannot ask for one.
        session.set_ignore_info_resp(true);
        session.req_header_mut().remove_header(&header::EXPECT);
    }
    // pingora keeps a connection for ever by default; a client that asked to close is not kept.
    if session.get_keepalive().is_some() {
        session.set_keepalive(Some(timeouts.keep_alive.as_secs().max(1)));
    }
}

/// pingora hands on what the listener has put into the digest of each connection.
pub(super) fn connection(session: &Session) -> Result<&Shared, Rejection> {
    let connection = Shared::of(session.digest());
    connection.ok_or_else(|| Rejection::because(Reason::Internal, "a session without its connection"))
}

/// What the connection remembers of tokens.
pub(super) fn recent(session: &Session) -> Result<&Recent, Rejection> {
    let recent = connection(session)?.memory::<Recent>();
    recent.ok_or_else(|| Rejection::because(Reason::Internal, "a connection that remembers something else"))
}

/// The header as it came; HTTP/2 has no such thing.
pub(super) fn raw_header(session: &Session) -> Option<Bytes> {
    (!session.is_http2()).then(|| session.to_h1_raw())
}

pub(super) fn answering<'a>(headers: &'a HeaderMap, id: &'a RequestId, look: &'a Look) -> Answering<'a> {
    Answering {
        request_id: id.as_str(),
        accept: headers.get(header::ACCEPT),
        accept_language: headers.get(header::ACCEPT_LANGUAGE),
        sec_fetch_mode: headers.get("sec-fetch-mode"),
        sec_fetch_dest: headers.get("sec-fetch-dest"),
        resource_metadata: None,
        look: Some(look),
    }
}

/// What a script of another origin, and a page that frames this one, must be told with every answer of a route, errors
/// too.
fn route_headers(ctx: &Context, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let beside = || parts::route_for_other_methods(ctx);
    let Some(route) = ctx.route.as_deref().or_else(beside) else {
        return Vec::new();
    };
    let policy = route.cors.as_ref().filter(|_| !ctx.own_token);
    let mut told = policy.map_or_else(Vec::new, |policy| {
        respond::cors::headers(policy, headers.get(header::ORIGIN))
    });
    told.extend(frames::headers(route));
    told
}

/// The same of a refusal. Of a call with a token of Moodle's own any page may read it, as it may read Moodle's answers.
pub(super) fn refusal_headers(ctx: &Context, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut told = route_headers(ctx, headers);
    if ctx.own_token && ctx.request.method != Method::OPTIONS {
        told.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
    }
    told
}

/// What every answer on a route has; `answer` is its status and what it says to be.
pub(super) fn common_headers(
    ctx: &Context,
    headers: &HeaderMap,
    answer: (StatusCode, Option<&HeaderValue>),
) -> Vec<(HeaderName, HeaderValue)> {
    let mut common = route_headers(ctx, headers);
    common.extend(watch::headers(ctx, answer));
    common.extend(HeaderValue::from_str(ctx.id.as_str()).ok().map(|id| (REQUEST_ID, id)));
    common
}

/// A reply with that.
pub(super) fn complete(ctx: &Context, headers: &HeaderMap, mut reply: Reply) -> Reply {
    let common = common_headers(ctx, headers, (reply.status, content_type(&reply.headers)));
    reply.headers.extend(common);
    reply
}

pub(super) fn content_type(headers: &[(HeaderName, HeaderValue)]) -> Option<&HeaderValue> {
    let found = headers.iter().find(|(name, _)| *name == header::CONTENT_TYPE);
    found.map(|(_, value)| value)
}
