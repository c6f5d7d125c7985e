//! Credentials that the upstream judges: HTTP Basic and Digest (RFC 7617, RFC 7616), on routes whose `accept` names them. Capture
//! agents and scripts of Opencast's API come with them.
//!
//! Nobody is known by them here: what `allow` asks about people does not count, `deny` and what is asked about the request
//! itself do. They go on as they came, without cookies, and a request brings nothing else that says who it is.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::authenticate::token::carrier;
use crate::authenticate::upstream_auth::{Brought, Scheme};
use crate::context::Context;
use crate::gateway::parts;
use crate::own::isolation::{self, Asked, Purpose};
use crate::own::visit::changes_something;
use crate::rate::address_key;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::{Action, Route};

/// What the request brings for its upstream, if the route takes such. Errors: it brings something else beside, or comes from
/// a page of another site, or its caller has got too many passwords wrong.
///
/// Where only a decision is asked for, nothing counts that somebody else would have to judge.
pub fn brought(ctx: &Context, route: &Route, headers: &HeaderMap) -> Result<Option<Brought>, Rejection> {
    let (Some(auth), Action::Upstream(upstream), false) = (&route.upstream_auth, &route.action, ctx.only_decide) else {
        return Ok(None);
    };
    let Some(brought) = auth.brought(headers, ctx.client.address)? else {
        return Ok(None);
    };
    let query = ctx.request.query.as_deref();
    let found = carrier::find(&ctx.snapshot.token_sources, headers, query);
    if found.iter().next().is_some() {
        let detail = "a token stands beside credentials for the upstream";
        return Err(Rejection::because(Reason::BadRequest, detail));
    }
    if brought.scheme == Scheme::Digest && !goes_on_unchanged(ctx, route) {
        let detail = "the upstream gets path or query in another spelling, and Digest signs them as they were sent";
        return Err(Rejection::because(Reason::BadPath, detail));
    }
    if let Some(caller) = &brought.caller {
        is_from_here(ctx, headers)?;
        upstream.guesses.may_try(caller, ctx.started).map_err(|wait| {
            let detail = "the upstream has refused too many credentials of this name, or from this address";
            Rejection::because(Reason::RateLimited, detail).with_hint(super::limits::retry_after(wait))
        })?;
    }
    Ok(Some(brought))
}

fn goes_on_unchanged(ctx: &Context, route: &Route) -> bool {
    let target = parts::target_on(ctx, route);
    let (path, query) = target
        .split_once('?')
        .map_or((&*target, None), |(path, query)| (path, Some(query)));
    path == ctx.request.raw_path && query == ctx.request.query.as_deref()
}

/// A browser that knows a password sends it with whatever a page makes it ask for: then no other site may change anything.
/// What is no browser names no page.
fn is_from_here(ctx: &Context, headers: &HeaderMap) -> Result<(), Rejection> {
    let names_page = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if !names_page || !changes_something(&ctx.request.method, headers) {
        return Ok(());
    }
    let public = ctx.snapshot.config.server.public_url(&ctx.request.host);
    let own = public.ok_or(Reason::UnknownHost)?.origin();
    let asked = Asked {
        method: &ctx.request.method,
        headers,
        own: &own,
        app_origins: &[],
        sign_in: None,
    };
    let judged = isolation::judge(Purpose::Change, &asked);
    judged.map_err(|refusal| Rejection::because(Reason::CrossSite, refusal.text()))
}

/// The upstream has answered with this status and these headers. What it refuses is counted: a 401 that asks for other
/// credentials of this kind, and not only for a newer nonce (RFC 7616 section 3.3). Opencast says 401 without such a challenge
/// to whom it knows and does not let. Error: a request that brought none has got more than a challenge, which is for nobody.
pub fn answered(ctx: &Context, status: StatusCode, headers: &HeaderMap) -> Result<(), Rejection> {
    let (Some(route), Some(brought)) = (ctx.route.as_deref(), ctx.upstream_auth) else {
        return Ok(());
    };
    let challenges = headers
        .get_all(header::WWW_AUTHENTICATE)
        .iter()
        .map(HeaderValue::as_bytes);
    let mut challenges = challenges
        .filter(|challenge| brought.scheme.is_asked_by(challenge))
        .peekable();
    let is_challenge = status == StatusCode::UNAUTHORIZED && challenges.peek().is_some();
    let outcome = match (is_challenge, &brought.caller) {
        (true, Some(_)) if challenges.any(is_stale) => "stale",
        (true, Some(caller)) => {
            if let Action::Upstream(upstream) = &route.action {
                upstream.guesses.refused(caller, ctx.started);
            }
            "refused"
        }
        (false, Some(_)) => "passed",
        (true, None) => "challenged",
        (false, None) => "no_challenge",
    };
    route.metrics.upstream_auth(brought.scheme.label(), outcome);
    match outcome {
        "no_challenge" if !ctx.nobody_may => {
            let detail = "the upstream answers without a challenge, and nobody may have that";
            Err(Rejection::because(Reason::NoCredentials, detail))
        }
        _ => Ok(()),
    }
}

fn is_stale(challenge: &[u8]) -> bool {
    let challenge = challenge.to_ascii_lowercase();
    [&b"stale=true"[..], b"stale=\"true\""]
        .iter()
        .any(|said| memchr::memmem::find(&challenge, said).is_some())
}

/// Under what a request's server is found again: Digest's nonces are known to the server that has made them.
pub fn sticks_to(ctx: &Context) -> Option<IpAddr> {
    let brought = ctx.upstream_auth.filter(|brought| brought.scheme == Scheme::Digest);
    brought.map(|_| address_key(ctx.client.address))
}
