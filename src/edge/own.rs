//! The gateway's own addresses, and the way to sign in, between pingora's session and [`crate::own`].

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use pingora::proxy::Session;

use super::{Stop, taken};
use crate::authenticate::token::Outcome;
use crate::context::Context;
use crate::own::visit::Visit;
use crate::own::{self, Asked, Here};
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::snapshot::Route;

/// Is this request for the gateway itself?
pub fn is_asked(ctx: &Context) -> bool {
    ctx.path.as_ref().is_some_and(|path| own::is_own(path.decoded()))
}

/// The gateway's own answer.
pub async fn answer(session: &mut Session, ctx: &mut Context, now: SystemTime) -> Result<Reply, Stop> {
    let body = body(session).await?;
    let (request, path) = taken(ctx)?;
    let client = ctx.client.as_ref().ok_or(Reason::Internal)?;
    let asked = Asked {
        method: &request.method,
        path: path.decoded(),
        query: request.query.as_deref(),
        headers: &session.req_header().headers,
        body,
        request_id: ctx.id.as_str(),
        client: client.address,
        here: Here::of(&ctx.snapshot, &request.host, now)?,
    };
    let reply = own::answer(&asked).await?;
    ctx.allowed = true;
    Ok(reply)
}

/// Whole, in good time, and not longer than anything that is for the gateway itself.
pub(super) async fn body(session: &mut Session) -> Result<Bytes, Stop> {
    let fits = |body: &[u8]| match body.len() > own::LONGEST_BODY {
        true => Err(Reason::BodyTooLarge.into()),
        false => Ok(false),
    };
    super::body::read(session, fits).await
}

/// Whose is the session that the request carries, if this route takes it?
pub async fn session(session: &Session, ctx: &mut Context, route: &Route, now: SystemTime) -> Outcome {
    let found = match visit(session, ctx, now) {
        Ok(visit) => visit.session(route).await,
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(Some(found)) => {
            let identity = Arc::clone(&found.identity);
            ctx.session = Some(found);
            Outcome::Person(identity)
        }
        Ok(None) => Outcome::Nobody,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// Whose is the launch session that the request carries, if this route takes it?
pub async fn launch(session: &Session, ctx: &Context, route: &Route, now: SystemTime) -> Outcome {
    let found = match visit(session, ctx, now) {
        Ok(visit) => visit.launch(route).await,
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(Some(found)) => Outcome::Person(Arc::clone(&found.identity)),
        Ok(None) => Outcome::Nobody,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// What a browser that nobody knows gets instead of the refusal: see [`Visit::instead`].
pub fn instead(session: &Session, ctx: &Context, refusal: Rejection, now: SystemTime) -> Result<Reply, Rejection> {
    let Some(route) = ctx.route.as_deref().filter(|_| !ctx.only_decide) else {
        return Err(refusal);
    };
    match visit(session, ctx, now) {
        Ok(visit) => visit.instead(route, refusal),
        Err(_) => Err(refusal),
    }
}

/// For a page that is open to everyone, but shows more to somebody: see [`Visit::silently`].
pub fn silently(session: &Session, ctx: &Context, route: &Route, now: SystemTime) -> Option<Reply> {
    if ctx.who.is_some() || ctx.only_decide || ctx.own_token {
        return None;
    }
    visit(session, ctx, now).ok()?.silently(route)
}

pub(super) fn visit<'a>(session: &'a Session, ctx: &'a Context, now: SystemTime) -> Result<Visit<'a>, Rejection> {
    let (request, path) = taken(ctx)?;
    Ok(Visit {
        here: Here::of(&ctx.snapshot, &request.host, now)?,
        request,
        path,
        headers: &session.req_header().headers,
    })
}
