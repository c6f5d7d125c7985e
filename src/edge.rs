//! Between pingora and the rooms: reads pingora's session for a step of the gateway, and puts a step's result back.
//!
//! No step is decided here; what crosses this line is translated, nothing else.

pub mod accel;
pub mod ask;
pub mod decide;
pub mod denials;
pub mod frames;
pub mod launch;
pub mod moodle;
pub mod opencast;
pub mod own;
pub mod parts;
pub mod playlists;
pub mod rules;
mod telling;
pub mod watch;

pub use self::telling::entry;

use std::io;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, HttpPeer, Result};
use pingora::proxy::Session;

use crate::act::file::{self, Edit, FileBody, FileRequest, Root};
use crate::act::playlist;
use crate::act::proxy;
use crate::act::reply::Fixed;
use crate::config::{ClientTimeouts, Present, TokenSource};
use crate::context::Context;
use crate::listen::connection::Shared;
use crate::observe::request_id::RequestId;
use crate::present::{self, Changes, Shown};
use crate::rejection::{Hint, Reason, Rejection};
use crate::request::{REQUEST_ID, Request};
use crate::respond::write::Pieces;
use crate::respond::{self, Answering, Reply};
use crate::route::path::Path;
use crate::snapshot::{Action, Route};

/// Headers that may stand several times, beside those of the upstream; ours are the last, which count.
const SEVERAL: [HeaderName; 4] = [
    header::VARY,
    header::SET_COOKIE,
    header::CONTENT_SECURITY_POLICY,
    respond::frames::PERMISSIONS_POLICY,
];

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

/// The header is here: its deadline ends, and the limits of a request begin.
pub fn begin(session: &mut Session, timeouts: &ClientTimeouts) {
    if let Some(connection) = Shared::of(session.digest()) {
        connection.request_begins();
    }
    session.set_read_timeout(Some(timeouts.read));
    session.set_write_timeout(Some(timeouts.write));
    session.set_total_drain_timeout(Some(timeouts.read));
    // pingora keeps a connection for ever by default; a client that asked to close is not kept.
    if session.get_keepalive().is_some() {
        session.set_keepalive(Some(timeouts.keep_alive.as_secs().max(1)));
    }
}

pub fn connection(session: &Session) -> std::result::Result<&Shared, Rejection> {
    let connection = Shared::of(session.digest());
    connection.ok_or_else(|| Rejection::because(Reason::Internal, "a session without its connection"))
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
pub fn route_headers(ctx: &Context, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let beside = || parts::route_for_other_methods(ctx);
    let Some(route) = ctx.route.as_deref().or_else(beside) else {
        return Vec::new();
    };
    let mut told = route.cors.as_ref().map_or_else(Vec::new, |policy| {
        respond::cors::headers(policy, headers.get(header::ORIGIN))
    });
    told.extend(frames::headers(route));
    told
}

fn common_headers(ctx: &Context, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut common = route_headers(ctx, headers);
    common.extend(watch::headers(ctx));
    common.extend(HeaderValue::from_str(ctx.id.as_str()).ok().map(|id| (REQUEST_ID, id)));
    common
}

// ---- limits ----

/// `limits.rate`: per subject, or per address where nobody is signed in.
pub fn check_rate(route: &Route, ctx: &Context) -> std::result::Result<(), Rejection> {
    let (Some(rate), Some(client)) = (&route.rate, &ctx.client) else {
        return Ok(());
    };
    let key = parts::rate_key(ctx.who.as_deref(), client);
    rate.take(key, ctx.started).map_err(|after| {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        Rejection::new(Reason::RateLimited).with_hint(Hint::RetryAfter(seconds.max(1)))
    })
}

/// A body whose length is announced is refused before it is sent.
pub fn check_announced_body(route: &Route, headers: &HeaderMap) -> std::result::Result<(), Rejection> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match (route.max_body, announced) {
        (Some(max), Some(announced)) if announced > max => Err(Rejection::because(
            Reason::BodyTooLarge,
            format!("{announced} bytes announced, {max} allowed"),
        )),
        _ => Ok(()),
    }
}

/// A body of unknown length is counted as it passes.
pub fn count_body(ctx: &mut Context, piece: Option<&Bytes>) -> Result<()> {
    ctx.body += piece.map_or(0, |piece| piece.len() as u64);
    let max = ctx.route.as_ref().and_then(|route| route.max_body);
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
    now: SystemTime,
) -> std::result::Result<(), Stop> {
    let (_, path) = taken(ctx)?;
    let (_, below) = path.stripped(&route.strip);
    send_file(session, ctx, root, &below, Vec::new(), now).await
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
    };
    let kind = playlist::Kind::of_path(below);
    let mut answer = match watch::Rewriting::of(ctx).zip(kind) {
        Some((rewriting, kind)) => {
            let edit = Edit {
                limit: playlist::MAX_PLAYLIST as u64,
                tag: &rewriting.tag,
                edit: &|text| rewriting.rewrite(kind, text),
            };
            file::answer_edited(root, below, asked, &edit, now).await?
        }
        None => file::answer(root, below, asked, now).await?,
    };
    for (name, value) in also {
        if !answer.headers.iter().any(|(known, _)| *known == name) || name == header::SET_COOKIE {
            answer.headers.push((name, value));
        }
    }
    answer.headers.extend(common_headers(ctx, headers));
    let mut body = Chunks(answer.body);
    Ok(respond::write::write_stream(session, answer.status, answer.headers, &mut body).await?)
}

struct Chunks(FileBody);

impl Pieces for Chunks {
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send {
        self.0.next()
    }
}

/// `?download=1`, as Opencast understands it (facts 2.1).
fn wants_download(query: Option<&str>) -> bool {
    let mut pairs = query
        .into_iter()
        .flat_map(|query| form_urlencoded::parse(query.as_bytes()));
    pairs.any(|(name, value)| name == "download" && matches!(&*value, "1" | "true"))
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
    reply.headers.extend(common_headers(ctx, &session.req_header().headers));
    if !route.anonymous {
        reply.headers.retain(|(name, _)| name != header::CACHE_CONTROL);
        reply
            .headers
            .push((header::CACHE_CONTROL, HeaderValue::from_static("private")));
    }
    Ok(respond::write::write(session, &reply).await?)
}

// ---- the upstream's side ----

/// A server for this attempt. pingora calls again after a failure that may be retried.
pub fn choose_server(session: &Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
    let route = ctx.route.clone();
    let path = ctx.path.as_ref().map_or("/", Path::encoded);
    let Some(Action::Upstream(upstream)) = route.as_ref().map(|route| &route.action) else {
        return Error::e_explain(ErrorType::InternalError, "no upstream to go to");
    };
    match upstream.choose(path, &mut ctx.upstream.attempts) {
        Ok(chosen) => {
            let peer = upstream.peer(&chosen, session.is_upgrade_req());
            ctx.upstream.since = Some(Instant::now());
            ctx.upstream.chosen = Some(chosen);
            Ok(Box::new(peer))
        }
        Err(rejection) => {
            ctx.rejection.get_or_insert(rejection);
            Error::e_explain(ErrorType::ConnectError, "no server left to try")
        }
    }
}

/// Nothing was sent yet, so another server may take the request; only where a second arrival does no harm, since a
/// connect that timed out may have been one after all.
pub fn retry_elsewhere(session: &Session, ctx: &mut Context, mut error: Box<Error>) -> Box<Error> {
    if let Some(chosen) = &ctx.upstream.chosen {
        chosen.server.metrics.connect_errors.inc();
        let error = proxy::describe(&error);
        tracing::warn!(
            server = chosen.server.label,
            error,
            request_id = ctx.id.as_str(),
            "upstream server not reached"
        );
    }
    let route = ctx.route.as_ref().map(|route| &route.action);
    let more = matches!(route, Some(Action::Upstream(upstream)) if upstream.has_more(&ctx.upstream.attempts));
    error.set_retry(more && session.req_header().method.is_idempotent());
    error
}

/// A kept connection that its server was just closing says nothing of the server: it may be asked again, over another
/// connection, where a second arrival does no harm and nothing of the body is lost.
pub fn retry_kept(session: &Session, ctx: &mut Context, mut error: Box<Error>, kept: bool) -> Box<Error> {
    if session.req_header().method.is_idempotent() && !session.as_ref().retry_buffer_truncated() {
        error.retry.decide_reuse(kept);
    } else {
        error.set_retry(false);
    }
    if error.retry() {
        ctx.upstream.attempts.forget_last();
    }
    error
}

/// What is known for [`present::changes`].
pub fn shown<'a>(session: &'a Session, ctx: &'a Context) -> Result<Shown<'a>> {
    let parts = ctx.request.as_ref().zip(ctx.client.as_ref()).zip(ctx.route.as_deref());
    let Some(((request, client), route)) = parts else {
        return Error::e_explain(ErrorType::InternalError, "nothing to present");
    };
    let headers = &session.req_header().headers;
    let shown = parts::shown_on(&ctx.snapshot, route, ctx.who.as_deref(), request, headers, client);
    Ok(Shown {
        request_id: ctx.id.as_str(),
        upgrade: session.is_upgrade_req(),
        ..shown
    })
}

pub fn apply(request: &mut RequestHeader, changes: Changes) -> Result<()> {
    for name in changes.remove {
        request.remove_header(&name);
    }
    for (name, value) in changes.set {
        request.insert_header(name, value)?;
    }
    Ok(())
}

/// Path and query as the upstream gets them: the canonical path, less `strip`, and the query less the tokens.
pub fn upstream_target(ctx: &Context, sources: &[TokenSource]) -> Result<String> {
    let (Some(request), Some(path), Some(route)) = (&ctx.request, &ctx.path, &ctx.route) else {
        return Error::e_explain(ErrorType::InternalError, "no target");
    };
    Ok(parts::target_on(route, request, path, sources))
}

/// The header of an upstream's answer is here.
pub fn answered(answer: &ResponseHeader, ctx: &mut Context) {
    let upstream = ctx.route.as_ref().and_then(|route| match &route.action {
        Action::Upstream(upstream) => Some(upstream),
        _ => None,
    });
    if let (Some(upstream), Some(since), None, false) = (
        upstream,
        ctx.upstream.since,
        ctx.upstream.answered_after,
        is_interim(answer),
    ) {
        let took = since.elapsed();
        upstream.seconds.observe(took.as_secs_f64());
        ctx.upstream.answered_after = Some(took);
    }
}

fn is_interim(answer: &ResponseHeader) -> bool {
    answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS
}

/// The upstream's answer as the client gets it.
pub fn dress_answer(session: &Session, answer: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    if is_interim(answer) {
        return Ok(());
    }
    let Some(route) = ctx.route.clone() else {
        return Ok(());
    };
    let upgrade = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    for name in present::answer_removals(&answer.headers, upgrade) {
        answer.remove_header(&name);
    }
    if route.present == Present::OpencastJwt {
        // A session there would outlive what the gateway decides, and is none of the client's (facts 1.4).
        answer.remove_header(&header::SET_COOKIE);
    }
    if let Some(foreign) = present::foreign_set_cookies(&answer.headers) {
        answer.remove_header(&header::SET_COOKIE);
        for cookie in foreign {
            answer.append_header(header::SET_COOKIE, cookie)?;
        }
    }
    moodle::cleared(answer, &route)?;
    frames::dressed(answer, ctx, &route)?;
    if route.watch.is_some() {
        answer.insert_header(header::REFERRER_POLICY, "no-referrer")?;
        playlists::answered(session, answer, ctx)?;
    }
    if route.cors.is_some() {
        // The gateway answers for the route: two policies side by side would make browsers refuse both.
        let policies: Vec<HeaderName> = answer
            .headers
            .keys()
            .filter(|name| name.as_str().starts_with("access-control-"))
            .cloned()
            .collect();
        for name in policies {
            answer.remove_header(&name);
        }
    }
    if !route.anonymous {
        let private = respond::security::private_cache_control(answer.headers.get_all(header::CACHE_CONTROL));
        answer.insert_header(header::CACHE_CONTROL, private)?;
    }
    for (name, value) in common_headers(ctx, &session.req_header().headers) {
        if SEVERAL.contains(&name) {
            answer.append_header(name, value)?;
        } else {
            answer.insert_header(name, value)?;
        }
    }
    Ok(())
}
