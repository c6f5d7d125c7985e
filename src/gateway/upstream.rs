//! The upstream's side: which server a request goes to, what it is shown, and how the headers of its answer are rewritten.

use std::time::Instant;

use http::{HeaderName, HeaderValue, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, HttpPeer, OrErr, Result};
use pingora::proxy::Session;

use super::{common_headers, frames, location, moodle, parts, playlists, watch_urls};
use crate::act::proxy::{self, Upstream};
use crate::config::{Credential, Present};
use crate::context::Context;
use crate::headers::names_websocket;
use crate::observe::mask;
use crate::present::{self, Changes, Shown};
use crate::respond;
use crate::snapshot::{Action, Route};

/// Headers that may stand several times, beside those of the upstream; ours are the last, which count.
const SEVERAL: [HeaderName; 4] = [
    header::VARY,
    header::SET_COOKIE,
    header::CONTENT_SECURITY_POLICY,
    respond::frames::PERMISSIONS_POLICY,
];

/// Before a request goes on: a websocket remains one only where the route carries them, elsewhere it is a request like any
/// other. Finds out whether it carries a token that the upstream must not see.
pub fn prepare(session: &mut Session, ctx: &mut Context, route: &Route) {
    if !route.websocket {
        session.req_header_mut().remove_header(&header::UPGRADE);
    }
    let headers = &session.req_header().headers;
    ctx.upstream.carries_ours = parts::carries_ours(ctx, route, headers, Some(ctx.client.address));
}

/// Where a request goes that is proxied. pingora asks for no other one: then this is an error.
pub(super) fn proxied(route: Option<&Route>) -> Result<(&Route, &Upstream)> {
    match route.map(|route| (route, &route.action)) {
        Some((route, Action::Upstream(upstream))) => Ok((route, upstream)),
        _ => Error::e_explain(ErrorType::InternalError, "a request that goes to no upstream"),
    }
}

/// A server for this attempt. pingora calls again after a failure that may be retried.
pub fn choose(session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
    let (_, upstream) = proxied(ctx.route.as_deref())?;
    let sticks_to = super::upstream_auth::sticks_to(ctx);
    match upstream.choose_for(sticks_to, ctx.path.encoded(), &mut ctx.upstream.attempts) {
        Ok(chosen) => {
            let has_body = !session.is_body_empty();
            let headers = &session.req_header().headers;
            let h1_only = proxy::needs_h1(headers, session.is_upgrade_req(), has_body);
            let peer = upstream.peer(&chosen, h1_only);
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
pub fn retry_elsewhere(ctx: &mut Context, mut error: Box<Error>) -> Box<Error> {
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
    let more = proxied(ctx.route.as_deref()).is_ok_and(|(_, upstream)| upstream.has_more(&ctx.upstream.attempts));
    // No server has seen any of it: any method may go on to the next.
    error.set_retry(more);
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
    let (route, _) = proxied(ctx.route.as_deref())?;
    let shown = parts::shown_on(ctx, route, &session.req_header().headers, ctx.upstream.carries_ours);
    Ok(Shown {
        request_id: ctx.id.as_str(),
        upgrade: session.is_upgrade_req(),
        ..shown
    })
}

/// Roles of a person that the upstream is not told of are told here, once a minute at most, and counted.
pub fn tell_left_out(ctx: &Context, changes: &Changes) {
    let (left_out, route) = (changes.roles_left_out, ctx.route.as_ref());
    if let Some(route) = route.filter(|route| left_out > 0 && route.metrics.roles_cut(Instant::now())) {
        let subject = ctx.who.as_deref().and_then(|who| who.name()).map(mask::subject);
        tracing::warn!(
            route = %route.config.name,
            request_id = ctx.id.as_str(),
            subject = subject.as_deref(),
            left_out,
            "a person's roles are longer than a header may be (8 KiB): the upstream is not told of the last ones"
        );
    }
}

/// The request as the upstream gets it. Names are spelled as from an HTTP/2 client: pingora keeps those of HTTP/1.x as they
/// came, in a second map that every change would have to keep in step.
pub fn apply(request: &mut RequestHeader, changes: Changes) -> Result<()> {
    let (nothing, ()) = http::Request::new(()).into_parts();
    let mut parts = http::request::Parts::from(std::mem::replace(request, nothing.into()));
    let applied = changes.apply(&mut parts.headers);
    *request = parts.into();
    applied.or_err(ErrorType::InternalError, "more headers than a map can hold")
}

/// Path and query as the upstream gets them: the canonical path, less `strip`, and the query less the tokens; signed where the
/// route signs.
pub fn target(ctx: &Context) -> Result<String> {
    let (route, _) = proxied(ctx.route.as_deref())?;
    let target = parts::target_on(ctx, route);
    let Some(sign) = &route.sign else { return Ok(target) };
    let signed = super::signed_url::target(ctx, sign, &target);
    signed.map_err(|_| Error::explain(ErrorType::InternalError, "an address that cannot be signed"))
}

/// The header of an upstream's answer is here.
pub fn answered(answer: &ResponseHeader, ctx: &mut Context) {
    if let (Ok((_, upstream)), Some(since), None, false) = (
        proxied(ctx.route.as_deref()),
        ctx.upstream.since,
        ctx.upstream.answered_after,
        is_interim(answer),
    ) {
        let took = since.elapsed();
        upstream.seconds.observe(took.as_secs_f64());
        ctx.upstream.answered_after = Some(took);
    }
}

pub(super) fn is_interim(answer: &ResponseHeader) -> bool {
    answer.status.is_informational() && answer.status != StatusCode::SWITCHING_PROTOCOLS
}

/// The upstream's answer as the client gets it.
pub fn rewrite_response_headers(session: &Session, answer: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    let upgrade = answer.status == StatusCode::SWITCHING_PROTOCOLS;
    if upgrade && !(session.is_upgrade_req() && names_websocket(&answer.headers)) {
        let detail = "the upstream switches to a protocol that nobody asked for";
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, detail).into_up());
    }
    if is_interim(answer) {
        for name in present::interim_removals(&answer.headers) {
            answer.remove_header(&name);
        }
        return Ok(());
    }
    let Some(route) = ctx.route.clone() else {
        return Ok(());
    };
    forget_spelling(answer)?;
    say_once(answer)?;
    if respond::write::is_bodiless(answer.status) {
        // Some clients wait for the body that this header announces.
        answer.remove_header(&header::TRANSFER_ENCODING);
    }
    if answer.status == StatusCode::NO_CONTENT {
        answer.remove_header(&header::CONTENT_LENGTH);
    }
    if session.req_header().version == Version::HTTP_10 {
        // RFC 9112 section 6.1: it knows no chunks, and reads to the end of the connection.
        answer.remove_header(&header::TRANSFER_ENCODING);
    }
    for name in present::answer_removals(&answer.headers, upgrade) {
        answer.remove_header(&name);
    }
    if let Err(refusal) = super::upstream_auth::answered(ctx, answer.status, &answer.headers) {
        let status = refusal.reason.status().as_u16();
        ctx.rejection = Some(refusal);
        return Error::e_explain(ErrorType::HTTPStatus(status), "an answer that is for nobody");
    }
    if route.config.present == Present::OpencastJwt || ctx.upstream_auth.is_some() {
        // A session there would outlive what the gateway decides, and is none of the client's.
        answer.remove_header(&header::SET_COOKIE);
    }
    if let Some(foreign) = present::foreign_set_cookies(&answer.headers) {
        answer.remove_header(&header::SET_COOKIE);
        for cookie in foreign {
            answer.append_header(header::SET_COOKIE, cookie)?;
        }
    }
    location::rewrite(answer, ctx, &route)?;
    moodle::departed(session, answer, ctx, &route)?;
    frames::rewrite(answer, ctx, &route)?;
    if route.watch.is_some() {
        answer.insert_header(header::REFERRER_POLICY, "no-referrer")?;
        playlists::answered(session, answer, ctx)?;
    }
    watch_urls::answered(session, answer, ctx)?;
    if !ctx.own_token {
        forget_policy(answer, &route);
    }
    if !route.anonymous {
        for name in present::answer_cache_overrides(&answer.headers) {
            answer.remove_header(&name);
        }
        let private = respond::security::private_cache_control(answer.headers.get_all(header::CACHE_CONTROL));
        let contradicting = respond::security::contradicting(&answer.headers, &private);
        for name in contradicting.into_iter().flatten() {
            answer.remove_header(&name);
        }
        answer.insert_header(header::CACHE_CONTROL, private)?;
    }
    let content_type = answer.headers.get(header::CONTENT_TYPE);
    let common = common_headers(ctx, &session.req_header().headers, (answer.status, content_type));
    for (name, value) in common {
        if SEVERAL.contains(&name) {
            answer.append_header(name, value)?;
        } else {
            answer.insert_header(name, value)?;
        }
    }
    Ok(())
}

/// Where the gateway answers for the route, two policies side by side would make browsers refuse both. Where its cookies
/// count, an upstream does not know whom it lets read with them: many allow whatever `Origin` they are told.
fn forget_policy(answer: &mut ResponseHeader, route: &Route) {
    let is_ambient =
        |credential: &Credential| !matches!(credential, Credential::Jwt | Credential::Bearer | Credential::SignedUrl);
    if route.cors.is_none() {
        if route.accept.iter().any(is_ambient) {
            answer.remove_header(&header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        }
        return;
    }
    let is_policy = |name: &&HeaderName| name.as_str().starts_with("access-control-");
    let policies: Vec<HeaderName> = answer.headers.keys().filter(is_policy).cloned().collect();
    for name in policies {
        answer.remove_header(&name);
    }
}

/// One length and one coding. pingora takes some that are said twice, and clients need not (RFC 9112 section 6.3). Errors:
/// another coding than chunked, which nobody has asked for, or a list, which pingora and clients could read in two ways.
fn say_once(answer: &mut ResponseHeader) -> Result<()> {
    let mut codings = answer.headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(first) = codings.next() {
        let is_one = |coding: &HeaderValue, known: &[u8]| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(known);
        let others: Vec<_> = codings.collect();
        let several = !others.is_empty();
        let is_chunked = is_one(first, b"chunked") && others.iter().all(|coding| is_one(coding, b"chunked"));
        if !is_chunked && (several || !is_one(first, b"identity")) {
            let detail = "the upstream answers with a transfer coding that is not chunked alone";
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, detail).into_up());
        }
        if several {
            answer.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
    }
    let mut lengths = answer.headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(first) = lengths.next().map(HeaderValue::as_bytes) else {
        return Ok(());
    };
    // pingora has refused those that differ.
    let one = first.split(|byte| *byte == b',').next().unwrap_or_default();
    if one.len() < first.len() || lengths.next().is_some() {
        let one = one.trim_ascii().to_owned();
        answer.insert_header(header::CONTENT_LENGTH, one)?;
    }
    Ok(())
}

/// As [`apply`] does it. The reason phrase stays: some clients show it to people.
fn forget_spelling(answer: &mut ResponseHeader) -> Result<()> {
    let reason = answer
        .get_reason_phrase()
        .filter(|reason| Some(*reason) != answer.status.canonical_reason());
    let reason = reason.map(str::to_owned);
    let (nothing, ()) = http::Response::new(()).into_parts();
    let parts = http::response::Parts::from(std::mem::replace(answer, nothing.into()));
    *answer = parts.into();
    match reason {
        Some(_) => answer.set_reason_phrase(reason.as_deref()),
        None => Ok(()),
    }
}
