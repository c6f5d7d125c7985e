//! Credentials that the upstream judges: HTTP Basic and Digest (RFC 7617, RFC 7616), on routes whose `accept` names them. Capture
//! agents and scripts of Opencast's API come with them.
//!
//! Nobody is known by them here: what `allow` asks about people does not count, `deny` and what is asked about the request
//! itself do. They go on as they came, without cookies, and a request brings nothing else that says who it is.

use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use crate::authenticate::token::carrier;
use crate::authenticate::upstream_auth::{Brought, Scheme, WRONG};
use crate::context::Context;
use crate::own::isolation::{self, Asked, Purpose};
use crate::rate::address_key;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::Route;

/// What the request brings for its upstream, if the route takes such. Errors: it brings something else beside, or comes from
/// a page of another site, or the address has got too many passwords wrong.
pub fn brought(ctx: &Context, route: &Route, headers: &HeaderMap) -> Result<Option<Brought>, Rejection> {
    let Some(auth) = &route.upstream_auth else {
        return Ok(None);
    };
    let Some(brought) = auth.brought(headers)? else {
        return Ok(None);
    };
    let query = ctx.request.query.as_deref();
    let found = carrier::find(&ctx.snapshot.token_sources, headers, query);
    if found.iter().next().is_some() {
        let detail = "a token stands beside credentials for the upstream";
        return Err(Rejection::because(Reason::BadRequest, detail));
    }
    if brought.scheme == Scheme::Digest && ctx.request.raw_path != ctx.path.encoded() {
        let detail = "the upstream gets the path in another spelling, and Digest signs it as it was sent";
        return Err(Rejection::because(Reason::BadPath, detail));
    }
    if brought.has_credentials {
        is_from_here(ctx, headers)?;
        if !auth.may_try(ctx.client.address, ctx.started) {
            let wait = Duration::from_secs_f64(1.0 / WRONG.per_second);
            let detail = "the upstream has refused too many credentials from this address";
            return Err(Rejection::because(Reason::RateLimited, detail).with_hint(super::limits::retry_after(wait)));
        }
    }
    Ok(Some(brought))
}

/// A browser that knows a password sends it with whatever a page makes it ask for: then no other site may change anything.
/// What is no browser names no page.
fn is_from_here(ctx: &Context, headers: &HeaderMap) -> Result<(), Rejection> {
    let reads = matches!(ctx.request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let names_page = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    if reads || !names_page {
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

/// The upstream has answered with this status and these headers: what it refuses is counted, unless it only wants a newer
/// nonce (RFC 7616 section 3.3).
pub fn answered(ctx: &Context, status: StatusCode, headers: &HeaderMap) {
    let Some((route, brought)) = ctx.route.as_deref().zip(ctx.upstream_auth) else {
        return;
    };
    let mut challenges = headers.get_all(header::WWW_AUTHENTICATE).iter();
    let is_stale = |challenge: &[u8]| {
        let challenge = challenge.to_ascii_lowercase();
        memchr::memmem::find(&challenge, b"stale=true").is_some()
            || memchr::memmem::find(&challenge, b"stale=\"true\"").is_some()
    };
    let outcome = match (status, brought.has_credentials) {
        (StatusCode::UNAUTHORIZED, true) if challenges.any(|challenge| is_stale(challenge.as_bytes())) => "stale",
        (StatusCode::UNAUTHORIZED, true) => "refused",
        (StatusCode::UNAUTHORIZED, false) => "challenged",
        _ => "passed",
    };
    if let (Some(auth), "refused") = (&route.upstream_auth, outcome) {
        auth.refused(ctx.client.address, ctx.started);
    }
    route.metrics.upstream_auth(brought.scheme.label(), outcome);
}

/// Under what a request's server is found again: Digest's nonces are known to the server that has made them.
pub fn sticks_to(ctx: &Context) -> Option<IpAddr> {
    let brought = ctx.upstream_auth.filter(|brought| brought.scheme == Scheme::Digest);
    brought.map(|_| address_key(ctx.client.address))
}
