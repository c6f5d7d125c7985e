//! A call of Moodle's web services that brings a token of its own and no session: judged as nobody, and passed on; so is the
//! pre-flight of one.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::super::rules::Case;
use super::super::{Incoming, Stop};
use crate::config::OwnTokens;
use crate::context::Context;
use crate::gateway::trace::Trace;
use crate::moodle::Moodle;
use crate::moodle::request::endpoint::Endpoint;
use crate::moodle::request::own_token;
use crate::own::isolation::X_REQUESTED_WITH;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::respond::cors;
use crate::route::path::Path;
use crate::snapshot::Route;

/// So much of a body is read to find the token in it.
const LOOKED_AT: usize = 64 << 10;

/// Is this such a call, refused for want of credentials or allowed without any? Then the context says so from now on.
pub async fn is_brought(
    incoming: &mut impl Incoming,
    ctx: &mut Context,
    refusal: Option<&Rejection>,
) -> Result<bool, Stop> {
    let Some(route) = ctx
        .route
        .clone()
        .filter(|_| ctx.session.is_none() && ctx.who.is_none() && !ctx.only_decide)
    else {
        return Ok(false);
    };
    let Some(moodle) = passes(&route, refusal) else {
        return Ok(false);
    };
    let (_, decoded) = ctx.path.stripped(&route.config.strip);
    let headers = incoming.headers();
    let mut is_own = in_address(moodle, &route, &ctx.request, &ctx.path);
    if !is_own && ctx.request.method == Method::POST && own_token::may_be_in_body(moodle.below(&decoded), headers) {
        is_own = in_body(incoming, ctx).await?;
    }
    if is_own && ctx.dry_run.is_none() {
        let script = endpoint(moodle, &route, &ctx.path).map_or("-", Endpoint::label);
        let metrics = moodle.tokens().metrics();
        metrics.called(&moodle.config.name, script, "-", "own_token");
    }
    ctx.own_token |= is_own;
    Ok(is_own)
}

/// The route's Moodle, if tokens of their own may pass after this refusal.
fn passes<'a>(route: &'a Route, refusal: Option<&Rejection>) -> Option<&'a Moodle> {
    let moodle = route.injects()?;
    let is_nobody = refusal.is_none_or(|refusal| refusal.reason.is_challenge());
    (is_nobody && moodle.config.own_tokens == OwnTokens::Pass).then_some(&**moodle)
}

/// In its path or query?
fn in_address(moodle: &Moodle, route: &Route, request: &Request, path: &Path) -> bool {
    let (_, decoded) = path.stripped(&route.config.strip);
    own_token::in_address(moodle.below(&decoded), request.query.as_deref().unwrap_or_default())
}

/// A pre-flight that is Moodle's to answer, as it would be without a gateway: of a call at a place for tokens, from a page of
/// whose origin nothing is known here. It carries no credentials. One that asks for the header of scripts which call with a
/// session is about such a call. Gives its route, and whether it may pass: what it announces is judged as a call with a token
/// of its own.
fn preflight<T: Trace>(
    headers: &HeaderMap,
    ctx: &Context,
    trace: &mut T,
) -> Option<(Arc<Route>, Result<(), Rejection>)> {
    let (snapshot, request, path) = (&*ctx.snapshot, &ctx.request, &ctx.path);
    let method = cors::requested_method(&request.method, headers)?;
    let found = snapshot.table.find(&request.host, path.decoded(), &method).ok()?;
    let route = snapshot.routes.get(found.route)?;
    let moodle = passes(route, None)?;
    let (_, decoded) = path.stripped(&route.config.strip);
    let is_known = route.cors.as_ref().is_some_and(|policy| cors::lists(policy, headers));
    let is_with_session = cors::asks_for(&X_REQUESTED_WITH, headers);
    if is_known || is_with_session || !own_token::is_place(moodle.below(&decoded)) {
        return None;
    }
    trace.routes(ctx, &method);
    let announced = Request {
        method,
        ..request.clone()
    };
    let case = Case {
        request: &announced,
        path,
        params: &found.params,
        ..Case::of(ctx, route)
    };
    let fits = route.take(path, request.query.as_deref());
    Some((Arc::clone(route), fits.and_then(|()| case.decide_without_person())))
}

/// Its route, if a request is such a pre-flight. The context says so from now on.
pub fn is_announced<T: Trace>(
    headers: &HeaderMap,
    ctx: &mut Context,
    trace: &mut T,
) -> Result<Option<Arc<Route>>, Rejection> {
    let Some((route, allowed)) = preflight(headers, ctx, trace) else {
        return Ok(None);
    };
    ctx.own_token = true;
    ctx.route = Some(Arc::clone(&route));
    allowed?;
    ctx.allowed = true;
    Ok(Some(route))
}

fn endpoint(moodle: &Moodle, route: &Route, path: &Path) -> Option<Endpoint> {
    let (_, decoded) = path.stripped(&route.config.strip);
    Endpoint::of(moodle.below(&decoded)?).ok()
}

async fn in_body(incoming: &mut impl Incoming, ctx: &mut Context) -> Result<bool, Stop> {
    let headers = incoming.headers().clone();
    let (mut is_own, mut judged) = (false, 0);
    let is_enough = |beginning: &[u8]| {
        // Never piece by piece: that would be quadratic.
        let is_all = beginning.len() >= LOOKED_AT;
        if is_all || beginning.len() >= 2 * judged {
            (is_own, judged) = (own_token::in_body(&headers, beginning), beginning.len());
        }
        is_own || is_all
    };
    let beginning = incoming.look_into_body(is_enough).await?;
    if judged < beginning.bytes.len() {
        is_own = own_token::in_body(&headers, &beginning.bytes);
    }
    if beginning.too_long {
        // A body that has ended with the piece that was too much cannot be given back any more.
        is_own &= !beginning.whole;
        ctx.upstream.beginning = Some(beginning.bytes);
    }
    Ok(is_own)
}

/// Puts what was read of a body in front of the piece that comes next.
pub fn give_back(ctx: &mut Context, piece: &mut Option<Bytes>) {
    let Some(beginning) = ctx.upstream.beginning.take() else {
        return;
    };
    let rest = piece.take().unwrap_or_default();
    *piece = Some([beginning, rest].concat().into());
}
