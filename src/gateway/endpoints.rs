//! The gateway's own addresses, and the way to sign in, between pingora's session and [`crate::own`].

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use pingora::proxy::Session;

use super::Stop;
use crate::authenticate::launch::LaunchSession;
use crate::authenticate::session::Session as SignedIn;
use crate::context::Context;
use crate::own;
use crate::own::visit::Visit;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::{Asked, Brought, Here, LONGEST_BODY};
use crate::snapshot::Route;

/// Is this request for the gateway itself?
pub fn is_asked(ctx: &Context) -> bool {
    own::is_own(ctx.path.decoded())
}

/// The gateway's own answer.
pub async fn answer(session: &mut Session, ctx: &mut Context) -> Result<Reply, Stop> {
    let body = body(session).await?;
    let asked = asked(&session.req_header().headers, ctx, body)?;
    let reply = own::answer(&asked, &ctx.snapshot.moodles, &ctx.snapshot.platforms).await?;
    ctx.allowed = true;
    Ok(reply)
}

/// The request as the gateway's own addresses take it.
pub fn asked<'a>(headers: &'a HeaderMap, ctx: &'a Context, body: Bytes) -> Result<Asked<'a>, Rejection> {
    Ok(Asked {
        method: &ctx.request.method,
        path: ctx.path.decoded(),
        query: ctx.request.query.as_deref(),
        headers,
        body,
        request_id: ctx.request_id(),
        client: ctx.client.address,
        here: here(ctx)?.read_by(headers),
        brought: Brought::default(),
    })
}

/// The public URL that the request was sent to, and the time.
pub fn here(ctx: &Context) -> Result<Here<'_>, Rejection> {
    ctx.snapshot.here(&ctx.request.host, ctx.at, ctx.dry_run.is_some())
}

/// Whole, in good time, and not longer than anything that is for the gateway itself.
pub(super) async fn body(session: &mut Session) -> Result<Bytes, Stop> {
    let fits = |body: &[u8]| match body.len() > LONGEST_BODY {
        true => Err(Reason::BodyTooLarge.into()),
        false => Ok(false),
    };
    super::body::read(session, fits).await
}

/// The session that the request carries, if this route takes it.
pub async fn session(headers: &HeaderMap, ctx: &Context, route: &Route) -> Result<Option<Arc<SignedIn>>, Rejection> {
    let moodle = route.injects().map(AsRef::as_ref);
    visit(headers, ctx)?.session(&route.config, moodle).await
}

/// The launch session that the request carries, if this route takes it.
pub async fn launch(
    headers: &HeaderMap,
    ctx: &Context,
    route: &Route,
) -> Result<Option<Arc<LaunchSession>>, Rejection> {
    visit(headers, ctx)?.launch(&route.config).await
}

/// What a browser that nobody knows gets instead of the refusal: see [`Visit::instead`].
pub async fn instead(headers: &HeaderMap, ctx: &Context, refusal: Rejection) -> Result<Reply, Rejection> {
    let Some(route) = ctx.route.as_deref().filter(|_| !ctx.only_decide) else {
        return Err(refusal);
    };
    match visit(headers, ctx) {
        Ok(visit) => Box::pin(visit.instead(&route.config, route.injects().map(AsRef::as_ref), refusal)).await,
        Err(_) => Err(refusal),
    }
}

/// For a page that is open to everyone, but shows more to somebody: see [`Visit::asks_silently`].
pub async fn silently(headers: &HeaderMap, ctx: &Context, route: &Route) -> Option<Reply> {
    if ctx.who.is_some() || ctx.only_decide || ctx.own_token {
        return None;
    }
    let visit = visit(headers, ctx).ok()?;
    let asked = visit.asks_silently(&route.config)?;
    Box::pin(visit.silently(asked)).await
}

pub fn visit<'a>(headers: &'a HeaderMap, ctx: &'a Context) -> Result<Visit<'a>, Rejection> {
    Ok(Visit {
        here: here(ctx)?,
        request: &ctx.request,
        path: &ctx.path,
        headers,
    })
}
