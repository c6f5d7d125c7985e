//! Between pingora and the rooms: reads pingora's session for a step of the gateway, and puts a step's result back.
//!
//! No step is decided here; what crosses this line is translated, nothing else.

pub mod accel;
pub mod ask;
mod body;
pub mod decide;
pub mod denials;
pub mod frames;
mod incoming;
pub mod launch;
pub mod moodle;
pub mod opencast;
pub mod own;
pub mod parts;
pub mod playlists;
pub mod rules;
mod telling;
pub mod upstream;
pub mod watch;

pub use self::incoming::{Beginning, Incoming};
pub use self::telling::entry;

use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use pingora::prelude::{Error, ErrorType, Result};
use pingora::proxy::Session;

use crate::act::file::{self, Edit, FileBody, FileRequest, Root};
use crate::act::playlist;
use crate::act::reply::Fixed;
use crate::authenticate::token::Recent;
use crate::config::ClientTimeouts;
use crate::context::Context;
use crate::fair::Asker;
use crate::gateway::trace::Trace;
use crate::headers::content_length;
use crate::listen::connection::Shared;
use crate::listen::intake;
use crate::observe::request_id::RequestId;
use crate::query;
use crate::rejection::{Hint, Reason, Rejection};
use crate::request::{Client, REQUEST_ID, Request};
use crate::respond::write::Pieces;
use crate::respond::{self, Answering, Reply};
use crate::route::path::Path;
use crate::snapshot::Route;

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

// ---- the client's side ----

/// Takes a place among the requests of an address that are under way, where its connections are not counted: one of HTTP/2
/// carries many requests, and behind a trusted proxy all are the proxy's. Without it one client would hold many times the
/// buffers and upstream connections that the bound on connections is meant for.
pub async fn in_flight(session: &Session, ctx: &mut Context) -> std::result::Result<(), Rejection> {
    let by_request = |client: &&Client| session.is_http2() || client.address != client.peer;
    let Some(client) = ctx.client.as_ref().filter(by_request) else {
        return Ok(());
    };
    let place = ctx.snapshot.in_flight.take(Asker::at(client.address)).await;
    let most = ctx.snapshot.config.server.connections.per_address;
    ctx.in_flight = Some(place.map_err(|none| Rejection {
        detail: Some(format!(
            "{most} requests of this address are under way, as server.connections.per_address allows, and {none}"
        )),
        ..none.into()
    })?);
    Ok(())
}

/// The header is here: its deadline ends, and the limits of a request begin.
pub fn begin(session: &mut Session, timeouts: &ClientTimeouts) {
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

pub fn connection(session: &Session) -> std::result::Result<&Shared, Rejection> {
    let connection = Shared::of(session.digest());
    connection.ok_or_else(|| Rejection::because(Reason::Internal, "a session without its connection"))
}

/// What the connection remembers of tokens.
pub fn recent(session: &Session) -> std::result::Result<&Recent, Rejection> {
    let recent = connection(session)?.memory::<Recent>();
    recent.ok_or_else(|| Rejection::because(Reason::Internal, "a connection that remembers something else"))
}

/// The header as it came; HTTP/2 has no such thing.
pub fn raw_header(session: &Session) -> Option<Bytes> {
    (!session.is_http2()).then(|| session.to_h1_raw())
}

/// Request and path, which the first step has put there.
pub fn taken(ctx: &Context) -> std::result::Result<(&Request, &Path), Rejection> {
    let both = ctx.request.as_ref().zip(ctx.path.as_ref());
    both.ok_or_else(|| Rejection::because(Reason::Internal, "a step before the request was taken"))
}

pub fn answering<'a>(headers: &'a HeaderMap, id: &'a RequestId) -> Answering<'a> {
    Answering {
        request_id: id.as_str(),
        accept: headers.get(header::ACCEPT),
        sec_fetch_mode: headers.get("sec-fetch-mode"),
        sec_fetch_dest: headers.get("sec-fetch-dest"),
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
pub fn refusal_headers(ctx: &Context, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut told = route_headers(ctx, headers);
    let is_call = ctx
        .request
        .as_ref()
        .is_some_and(|request| request.method != Method::OPTIONS);
    if ctx.own_token && is_call {
        told.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")));
    }
    told
}

/// What every answer on a route has; `answer` is its status and what it says to be.
fn common_headers(
    ctx: &Context,
    headers: &HeaderMap,
    answer: (StatusCode, Option<&HeaderValue>),
) -> Vec<(HeaderName, HeaderValue)> {
    let mut common = route_headers(ctx, headers);
    common.extend(watch::headers(ctx, answer));
    common.extend(HeaderValue::from_str(ctx.id.as_str()).ok().map(|id| (REQUEST_ID, id)));
    common
}

fn content_type(headers: &[(HeaderName, HeaderValue)]) -> Option<&HeaderValue> {
    let found = headers.iter().find(|(name, _)| *name == header::CONTENT_TYPE);
    found.map(|(_, value)| value)
}

// ---- limits ----

/// `limits.rate`: per subject, or per address where nobody is signed in.
pub fn check_rate<T: Trace>(route: &Route, ctx: &Context, trace: &mut T) -> std::result::Result<(), Rejection> {
    let (Some(rate), Some(client)) = (&route.rate, &ctx.client) else {
        return Ok(());
    };
    let key = parts::rate_key(ctx.who.as_deref(), client);
    if let Some(dry_run) = &ctx.dry_run {
        let spent = dry_run.budgets.is_some_and(|instant| !rate.peek(&key, instant));
        trace.budget("limits.rate", key, rate.rate(), spent);
        return match spent {
            true => Err(Reason::RateLimited.into()),
            false => Ok(()),
        };
    }
    rate.take(key, ctx.started).map_err(|after| {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Rejection::new(Reason::RateLimited).with_hint(Hint::RetryAfter(seconds.max(1)))
    })
}

/// A body whose length is announced is refused before it is sent.
pub fn check_announced_body(route: &Route, headers: &HeaderMap) -> std::result::Result<(), Rejection> {
    let Some(max) = route.config.limits.body else {
        return Ok(());
    };
    match content_length(headers) {
        Some(announced) if announced > max => Err(Rejection::because(
            Reason::BodyTooLarge,
            format!("{announced} bytes announced, {max} allowed"),
        )),
        _ => Ok(()),
    }
}

/// A body of unknown length is counted as it passes.
pub fn count_body(ctx: &mut Context, piece: Option<&Bytes>) -> Result<()> {
    ctx.body += piece.map_or(0, |piece| piece.len() as u64);
    let max = ctx.route.as_ref().and_then(|route| route.config.limits.body);
    if max.is_none_or(|max| ctx.body <= max) {
        return Ok(());
    }
    ctx.rejection = Some(Rejection::because(
        Reason::BodyTooLarge,
        format!("more than {} bytes", max.unwrap_or(0)),
    ));
    Error::e_explain(
        ErrorType::HTTPStatus(StatusCode::PAYLOAD_TOO_LARGE.as_u16()),
        "request body over the limit",
    )
}

// ---- files and fixed replies ----

pub async fn serve_file(
    session: &mut Session,
    ctx: &Context,
    route: &Route,
    root: &Root,
) -> std::result::Result<(), Stop> {
    let (_, path) = taken(ctx)?;
    let (_, below) = path.stripped(&route.config.strip);
    send_file(session, ctx, root, &below, Vec::new(), ctx.at).await
}

/// The file at `below`, with headers from elsewhere unless the file has its own.
async fn send_file(
    session: &mut Session,
    ctx: &Context,
    root: &Root,
    below: &str,
    also: Vec<(HeaderName, HeaderValue)>,
    now: SystemTime,
) -> std::result::Result<(), Stop> {
    let (request, _) = taken(ctx)?;
    let headers = &session.req_header().headers;
    let asked = FileRequest {
        method: &request.method,
        headers,
        download: wants_download(request.query.as_deref()),
        private: ctx.route.as_ref().is_none_or(|route| !route.anonymous),
        client: ctx.client.as_ref().ok_or(Reason::Internal)?.address,
    };
    let kind = playlist::Kind::of_path(below);
    let mut answer = match watch::Rewriting::of(ctx).zip(kind) {
        Some((rewriting, kind)) => {
            let edit = Edit {
                limit: playlist::MAX_PLAYLIST as u64,
                tag: &rewriting.tag,
                edit: &|text| rewriting.rewrite(kind, text),
            };
            Box::pin(file::answer_edited(root, below, asked, &edit, now)).await?
        }
        None => file::answer(root, below, asked, now).await?,
    };
    for (name, value) in also {
        if !answer.headers.iter().any(|(known, _)| *known == name) || name == header::SET_COOKIE {
            answer.headers.push((name, value));
        }
    }
    let common = common_headers(ctx, headers, (answer.status, content_type(&answer.headers)));
    answer.headers.extend(common);
    let mut body = Chunks(answer.body);
    Ok(respond::write::write_stream(session, answer.status, answer.headers, &mut body).await?)
}

struct Chunks(FileBody);

impl Pieces for Chunks {
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send {
        self.0.next()
    }
}

/// `?download=1`, as Opencast understands it.
fn wants_download(query: Option<&str>) -> bool {
    let mut values = query::values(query.unwrap_or_default().as_bytes(), "download");
    values.any(|value| matches!(&*value, "1" | "true"))
}

pub async fn serve_reply(
    session: &mut Session,
    ctx: &Context,
    route: &Route,
    fixed: &Fixed,
) -> std::result::Result<(), Stop> {
    let mut reply = Reply {
        status: fixed.status,
        headers: fixed.headers.clone(),
        body: fixed.body.clone(),
    };
    let answer = (fixed.status, content_type(&fixed.headers));
    let common = common_headers(ctx, &session.req_header().headers, answer);
    reply.headers.extend(common);
    if !route.anonymous {
        reply.headers.retain(|(name, _)| name != header::CACHE_CONTROL);
        reply
            .headers
            .push((header::CACHE_CONTROL, HeaderValue::from_static("private")));
    }
    Ok(respond::write::write(session, &reply).await?)
}
