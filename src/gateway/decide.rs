//! From a request to the decision about it: its route, whose credential counts, the rules, the budgets, and what a browser
//! gets instead of a refusal. Nothing is done about it: [`Gateway`](super::Gateway) carries the decision out, and `explain`
//! tells of it.

use std::sync::Arc;

use http::HeaderMap;
use pingora::http::RequestHeader;

use super::admit::admit;
use super::trace::Trace;
use crate::config::Launch;
use crate::context::Context;
use crate::gateway::moodle::Intercept;
use crate::gateway::{self, Incoming, Stop};
use crate::identity::Identity;
use crate::listen::{client, intake};
use crate::moodle::Moodle;
use crate::own::moodle::launch::Known;
use crate::rejection::{Reason, Rejection};
use crate::respond::{Reply, cors};
use crate::route::path::Path;
use crate::snapshot::{Action, Route};

/// What is to be done with a request. A refusal is the error beside it.
pub enum Decision {
    /// The gateway answers in Moodle's stead, or Moodle's question.
    Intercept(Intercept),
    /// A browser comes through `launch.php` of this Moodle for the gateway.
    Through(Arc<Moodle>, Known),
    /// The request is for an address of the gateway's own.
    Own,
    /// What is told of the host's authorization servers, to everybody.
    Metadata(Reply),
    /// The answer to a CORS preflight.
    Preflight(Reply),
    /// The browser is sent to sign in: because of a refusal, or to be asked whether it is known.
    SignIn(Reply, Option<Rejection>),
    /// The browser gets a launch session, and goes on without the token.
    Launch(Arc<Route>, Arc<Identity>, Launch),
    /// A proxy has asked, and the request that it asked about is allowed.
    Allowed,
    /// The request is allowed, and the route does what it is for.
    Serve(Arc<Route>),
}

/// Puts into the context whose request it is, what it asks for, and its one canonical path. `raw`: the header as it came;
/// HTTP/2 has no such thing. `peer` and `tls` are the connection's.
pub fn take(
    header: &RequestHeader,
    raw: Option<&[u8]>,
    (peer, tls): (std::net::SocketAddr, bool),
    ctx: &mut Context,
) -> Result<(), Rejection> {
    ctx.client = client::identify(peer, tls, &header.headers, &ctx.snapshot.trusted_proxies);
    intake::check_size(header, raw, ctx.snapshot.config.server.max_header)?;
    ctx.request = intake::take(header, raw)?;
    if let Err(refusal) = gateway::auth_request::settle_host(&mut ctx.request, &ctx.client, &ctx.snapshot) {
        ctx.only_decide = gateway::auth_request::is_asked_anywhere(&ctx.request, &ctx.snapshot);
        return Err(refusal);
    }
    ctx.path = Path::parse(&ctx.request.raw_path)?;
    Ok(())
}

/// The decision about a request that was taken. What was found out on the way is left in the context.
///
/// # Errors
/// The refusal; or that the client is gone, where its body had to be looked into.
pub async fn decide<I: Incoming, T: Trace>(
    incoming: &mut I,
    ctx: &mut Context,
    trace: &mut T,
) -> Result<Decision, Stop> {
    if let Some((moodle, known)) = gateway::moodle::launch::known(incoming.headers(), ctx) {
        return Ok(Decision::Through(moodle, known));
    }
    if let Some(intercept) = gateway::moodle::intercept(incoming, ctx).await? {
        return Ok(Decision::Intercept(intercept));
    }
    if gateway::endpoints::is_asked(ctx) {
        return Ok(Decision::Own);
    }
    if let Some(reply) = gateway::bearer::metadata(ctx, incoming.headers()) {
        return Ok(Decision::Metadata(reply?));
    }
    if let Some(route) = gateway::moodle::own::is_announced(incoming.headers(), ctx, trace)? {
        limit(incoming.headers(), ctx, &route, trace)?;
        return Ok(Decision::Serve(route));
    }
    if let Some(reply) = preflight(incoming.headers(), ctx, trace) {
        return Ok(Decision::Preflight(reply));
    }
    let mut judged = judge(incoming, ctx, trace).await;
    if gateway::moodle::own::is_brought(incoming, ctx, judged.as_ref().err()).await? && judged.is_err() {
        judged = judge(incoming, ctx, trace).await;
    }
    let headers = incoming.headers();
    let route = match judged {
        Ok(route) => route,
        Err(refusal) => {
            gateway::launch::failed(ctx, &refusal);
            let reply = gateway::endpoints::instead(headers, ctx, refusal.clone()).await?;
            return Ok(Decision::SignIn(reply, Some(refusal)));
        }
    };
    if let (Some(launch), Some(who)) = (ctx.launching, &ctx.who) {
        return Ok(Decision::Launch(route, Arc::clone(who), launch));
    }
    if let Some(reply) = gateway::endpoints::silently(headers, ctx, &route).await {
        return Ok(Decision::SignIn(reply, None));
    }
    let Action::Decide(names) = &route.action else {
        return Ok(Decision::Serve(route));
    };
    gateway::auth_request::put_in_place(headers, ctx, names)?;
    if gateway::moodle::launch::known(headers, ctx).is_some() {
        // Whoever asks would let the token through to the browser.
        ctx.allowed = false;
        return Err(Rejection::because(Reason::NoRoute, "launch.php for the gateway, which it cannot ask here").into());
    }
    if gateway::moodle::is_back(headers, ctx) {
        // Moodle would end the session that the browser has there, since the state is of another one.
        ctx.allowed = false;
        return Err(Rejection::because(Reason::NoRoute, "a code for the gateway, which cannot spend it here").into());
    }
    let decided = judge(incoming, ctx, trace).await?;
    if matches!(decided.action, Action::Decide(_)) {
        // A route that only decides is nobody's destination.
        ctx.allowed = false;
        return Err(Rejection::because(Reason::NoRoute, "a decision about a decision").into());
    }
    Ok(Decision::Allowed)
}

/// From the path to the rules: the route whose rules allow the request.
async fn judge<I: Incoming, T: Trace>(incoming: &I, ctx: &mut Context, trace: &mut T) -> Result<Arc<Route>, Rejection> {
    let route = find(ctx, trace)?;
    let refusal = admit(incoming, ctx, &route, trace).await.err();
    if let Some(refusal) = &refusal {
        if !gateway::else_ask::is_open(ctx, &route, refusal) {
            return Err(refusal.clone());
        }
        trace.else_asked();
    }
    limit(incoming.headers(), ctx, &route, trace)?;
    if let Some(refusal) = refusal {
        gateway::else_ask::delegate(incoming.headers(), ctx, &route, refusal).await?;
    }
    Ok(route)
}

/// A browser asks first whether a script may ask (CORS); nobody is signed in for that.
fn preflight<T: Trace>(headers: &HeaderMap, ctx: &mut Context, trace: &mut T) -> Option<Reply> {
    let asked = cors::requested_method(&ctx.request.method, headers)?;
    let found = ctx
        .snapshot
        .table
        .find(&ctx.request.host, ctx.path.decoded(), &asked)
        .ok()?;
    let route = ctx.snapshot.routes.get(found.route)?;
    let reply = route.preflight(&ctx.request.method, headers)?;
    ctx.route = Some(Arc::clone(route));
    ctx.allowed = reply.is_some();
    if reply.is_some() {
        trace.routes(ctx, &asked);
    }
    reply
}

/// The most specific route for host, path and method.
fn find<T: Trace>(ctx: &mut Context, trace: &mut T) -> Result<Arc<Route>, Rejection> {
    trace.routes(ctx, &ctx.request.method);
    let found = gateway::auth_request::find(&ctx.snapshot, &ctx.request, &ctx.path, &ctx.client)?;
    let route = ctx.snapshot.routes.get(found.route).ok_or(Reason::NoRoute)?;
    trace.route(route);
    let fits = route.take(&ctx.path, ctx.request.query.as_deref());
    let route = Arc::clone(ctx.route.insert(Arc::clone(route)));
    ctx.only_decide |= matches!(route.action, Action::Decide(_));
    fits?;
    ctx.params = found.params;
    Ok(route)
}

/// How often and how much.
fn limit<T: Trace>(headers: &HeaderMap, ctx: &Context, route: &Route, trace: &mut T) -> Result<(), Rejection> {
    super::limits::check_rate(route, ctx, trace)?;
    gateway::moodle::limit(route, ctx, trace)?;
    super::limits::check_announced_body(route, headers)
}
