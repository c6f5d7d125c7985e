//! How often, how much and how many at once: the limits of an address and of a route.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora::prelude::{Error, ErrorType, Result as PingoraResult};
use pingora::proxy::Session;

use super::parts;
use super::trace::Trace;
use crate::context::Context;
use crate::fair::Asker;
use crate::headers::content_length;
use crate::rejection::{Hint, Reason, Rejection};
use crate::snapshot::Route;

/// Takes a place among the requests of an address that are under way, where its connections are not counted: one of HTTP/2
/// carries many requests, and behind a trusted proxy all are the proxy's. Without it one client would hold many times the
/// buffers and upstream connections that the bound on connections is meant for.
pub(super) async fn in_flight(session: &Session, ctx: &mut Context) -> Result<(), Rejection> {
    let client = &ctx.client;
    if !session.is_http2() && client.address == client.peer {
        return Ok(());
    }
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

/// `limits.rate`: per subject, or per address where nobody is signed in.
pub(super) fn check_rate<T: Trace>(route: &Route, ctx: &Context, trace: &mut T) -> Result<(), Rejection> {
    let Some(rate) = &route.rate else {
        return Ok(());
    };
    let key = parts::rate_key(ctx.who.as_deref(), &ctx.client);
    if let Some(dry_run) = &ctx.dry_run {
        let spent = dry_run.budgets.is_some_and(|instant| !rate.peek(&key, instant));
        trace.budget("limits.rate", key, rate.rate(), spent);
        return match spent {
            true => Err(Reason::RateLimited.into()),
            false => Ok(()),
        };
    }
    rate.take(key, ctx.started)
        .map_err(|after| Rejection::new(Reason::RateLimited).with_hint(retry_after(after)))
}

/// In whole seconds.
pub(super) fn retry_after(wait: Duration) -> Hint {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    Hint::RetryAfter(seconds.max(1))
}

/// A body whose length is announced is refused before it is sent.
pub(super) fn check_announced_body(route: &Route, headers: &HeaderMap) -> Result<(), Rejection> {
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
pub(super) fn count_body(ctx: &mut Context, piece: Option<&Bytes>) -> PingoraResult<()> {
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
