//! The gateway's own addresses, and the way to sign in, between pingora's session and [`crate::own`].

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::Method;
use pingora::proxy::Session;

use super::{Stop, taken};
use crate::authenticate::token::Outcome;
use crate::context::Context;
use crate::own::{self, Asked, Here};
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::Reply;
use crate::route::path::Path;
use crate::snapshot::Route;

/// Is this request for the gateway itself?
pub fn is_asked(ctx: &Context) -> bool {
    ctx.path.as_ref().is_some_and(|path| own::is_own(path.decoded()))
}

/// The gateway's own answer.
pub async fn answer(session: &mut Session, ctx: &mut Context, now: SystemTime) -> Result<Reply, Stop> {
    let body = body(session).await?;
    let (request, path) = taken(ctx)?;
    let asked = Asked {
        method: &request.method,
        path: path.decoded(),
        query: request.query.as_deref(),
        headers: &session.req_header().headers,
        body,
        request_id: ctx.id.as_str(),
        here: here(ctx, now)?,
    };
    let reply = own::answer(&asked).await?;
    ctx.allowed = true;
    Ok(reply)
}

/// Whole, and not longer than anything that is for the gateway itself.
async fn body(session: &mut Session) -> Result<Bytes, Stop> {
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_request_body().await? {
        if body.len() + piece.len() > own::LONGEST_BODY {
            return Err(Reason::BodyTooLarge.into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Whose is the session that the request carries, if this route takes it?
pub async fn session(session: &Session, ctx: &mut Context, route: &Route, now: SystemTime) -> Outcome {
    let found = find(session, ctx, route, now).await;
    match found {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Outcome::Nobody,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

async fn find(
    session: &Session,
    ctx: &mut Context,
    route: &Route,
    now: SystemTime,
) -> Result<Option<Outcome>, Rejection> {
    let headers = &session.req_header().headers;
    let here = here(ctx, now)?;
    let Some(found) = here.session(headers).await? else {
        return Ok(None);
    };
    let sign_ins = &here.snapshot.config.sign_ins;
    let place = sign_ins
        .iter()
        .position(|sign_in| sign_in.name == found.identity.source);
    let Some((place, sign_in)) = place.and_then(|place| Some((place, sign_ins.get(place)?))) else {
        return Ok(None);
    };
    if route.sign_ins.as_ref().is_some_and(|taken| !taken.contains(&place)) {
        return Ok(None);
    }
    let acts = route.injects().is_some() || changes_something(ctx, session);
    if found.is_by_cookie() && acts && !here.is_from_here(headers, &sign_in.app_origins) {
        return Err(Reason::CrossSite.into());
    }
    let identity = std::sync::Arc::clone(&found.identity);
    ctx.session = Some(found);
    Ok(Some(Outcome::Person(identity)))
}

/// Is it more than reading? Who opens a websocket talks both ways, and any site's page may open one.
fn changes_something(ctx: &Context, session: &Session) -> bool {
    let method = ctx.request.as_ref().map(|request| &request.method);
    let reads = method.is_some_and(|method| matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS));
    !reads || session.is_upgrade_req()
}

/// What a browser that nobody knows gets instead of the refusal: the way to the sign-in. Programs get the refusal, and
/// it tells where one signs in.
pub fn instead(session: &Session, ctx: &Context, refusal: Rejection, now: SystemTime) -> Result<Reply, Rejection> {
    let sign_ins = ctx.route.as_ref().and_then(|route| route.sign_ins.as_deref());
    let (Some(sign_ins), false, true) = (sign_ins, ctx.only_decide, refusal.reason.is_challenge()) else {
        return Err(refusal);
    };
    let (Ok(here), Some(request)) = (here(ctx, now), &ctx.request) else {
        return Err(refusal);
    };
    let headers = &session.req_header().headers;
    let sent = match sign_ins {
        [only] if refusal.reason == Reason::NoCredentials && own::page_load(&request.method, headers) => {
            let silently = own::asks_silently(&here, headers, sign_ins).is_some();
            own::begin(&here, headers, *only, &target(ctx, &here)?, silently).ok()
        }
        _ if refusal.reason == Reason::NoCredentials && own::page_load(&request.method, headers) => {
            own::choose(&here, sign_ins, &target(ctx, &here)?).ok()
        }
        _ => None,
    };
    match (sent, &refusal.hint) {
        (Some(reply), _) => Ok(reply),
        (None, Hint::None) => {
            let mut sign_in = own::where_to(&here, sign_ins);
            if let Some(moodle) = ctx.route.as_ref().and_then(|route| route.injects()) {
                sign_in.extend(["&moodle=", &moodle.config.name]);
            }
            Err(refusal.with_hint(Hint::SignIn(sign_in)))
        }
        (None, _) => Err(refusal),
    }
}

/// For a page that is open to everyone, but shows more to somebody: is the browser known at a passive sign-in?
pub fn silently(session: &Session, ctx: &Context, route: &Route, now: SystemTime) -> Option<Reply> {
    let (sign_ins, request) = (route.sign_ins.as_deref()?, ctx.request.as_ref()?);
    let here = here(ctx, now).ok()?;
    let headers = &session.req_header().headers;
    if ctx.who.is_some() || ctx.only_decide || !own::page_load(&request.method, headers) {
        return None;
    }
    let asked = own::asks_silently(&here, headers, sign_ins)?;
    own::begin(&here, headers, asked, &target(ctx, &here).ok()?, true).ok()
}

pub(super) fn here(ctx: &Context, now: SystemTime) -> Result<Here<'_>, Rejection> {
    let request = ctx.request.as_ref().ok_or(Reason::Internal)?;
    let public = ctx.snapshot.config.server.public_url(&request.host);
    Ok(Here {
        snapshot: &ctx.snapshot,
        public: public.ok_or(Reason::UnknownHost)?,
        now,
    })
}

/// The very address that was asked for, the query byte for byte, at the origin that clients know.
pub(super) fn target(ctx: &Context, here: &Here<'_>) -> Result<String, Rejection> {
    let (request, path) = taken(ctx)?;
    let path = Path::encoded(path);
    Ok(match &request.query {
        Some(query) => format!("{}{path}?{query}", here.public.origin()),
        None => format!("{}{path}", here.public.origin()),
    })
}
