//! Moodle between pingora's session and [`crate::moodle`]: requests that the gateway answers in Moodle's stead, and calls
//! that get a token.

mod back;
mod call;
pub mod facade;
pub mod launch;
mod nobody;
pub mod own;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, header};
use pingora::http::ResponseHeader;
use pingora::prelude::Result as PingoraResult;
use pingora::proxy::Session;

pub use self::call::{access_token, limit, person, plan, serve, tell_functions};
use super::{Incoming, Stop, endpoints as own_pages};
use crate::context::Context;
use crate::headers;
use crate::moodle::Moodle;
use crate::moodle::tokens::cas_facade::is_own;
use crate::own::moodle as visits;
use crate::own::moodle::provider::{self, Returned};
use crate::query;
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::cas::SessionIndex;
use crate::snapshot::Route;

/// A logout request of a CAS server is not longer. pingora keeps so much for the upstream, should it be none.
const LONGEST_LOGOUT: u64 = 16 << 10;
/// Where tickets for Moodle arrive, below its `wwwroot`.
const LOGINS: [&str; 2] = ["/login/index.php", "/login/token.php"];

/// What the gateway itself answers at addresses that are Moodle's, or that Moodle asks.
pub enum Intercept {
    /// A question to the CAS server that the gateway stands in for.
    Facade(facade::Asked),
    /// The sessions of these tickets end.
    LogOut(Arc<Moodle>, Vec<SessionIndex>),
    /// A browser brings a ticket of the gateway's own that was made for somebody else's browser: it goes on without, to here.
    Foreign(String),
    /// A browser is back with the ticket that it was sent for, at this address below the `wwwroot`.
    Landing(Arc<Moodle>, String),
    /// A browser is back from the provider at which people log in to this Moodle, for a login that the gateway has begun there.
    Returned(Arc<Moodle>, Returned),
}

pub async fn intercept(incoming: &mut impl Incoming, ctx: &Context) -> Result<Option<Intercept>, Stop> {
    if ctx.snapshot.moodles.is_empty() {
        return Ok(None);
    }
    if let Some((moodle, returned)) = at_callback(incoming.headers(), ctx) {
        return Ok(Some(Intercept::Returned(moodle, returned)));
    }
    match facade::asked(ctx).await? {
        Some(asked) => Ok(Some(Intercept::Facade(asked))),
        None => at_login(incoming, ctx).await,
    }
}

/// Is a browser back from the provider for a login that the gateway has begun in a Moodle?
pub fn is_back(headers: &HeaderMap, ctx: &Context) -> bool {
    at_callback(headers, ctx).is_some()
}

/// The routes are not asked: whatever they say, no other way leads to the session in Moodle that waits for the browser.
fn at_callback(headers: &HeaderMap, ctx: &Context) -> Option<(Arc<Moodle>, Returned)> {
    let query = ctx
        .request
        .query
        .as_deref()
        .filter(|_| ctx.request.method == Method::GET)?;
    let mut moodles = ctx.snapshot.moodles.iter().filter(|moodle| moodle.asks_provider());
    moodles.find_map(|moodle| {
        let is_its = moodle.config.public_url.host_str() == Some(&ctx.request.host);
        let below = moodle.below(ctx.path.decoded()).filter(|_| is_its)?;
        if !provider::is_callback(below) {
            return None;
        }
        let returned = provider::returns(&own_pages::here(ctx).ok()?, moodle, below, query, headers)?;
        Some((Arc::clone(moodle), returned))
    })
}

async fn at_login(incoming: &mut impl Incoming, ctx: &Context) -> Result<Option<Intercept>, Stop> {
    let Some((moodle, below)) = login(ctx) else {
        return Ok(None);
    };
    if let Some(elsewhere) = with_others_ticket(incoming.headers(), ctx, &moodle).await? {
        return Ok(Some(Intercept::Foreign(elsewhere)));
    }
    if visits::cas(&ctx.snapshot.providers, &moodle).is_err() {
        // People sign in here by another server: what a CAS server says there is for Moodle.
        return Ok(None);
    }
    let query = ctx.request.query.as_deref().unwrap_or_default();
    let headers = incoming.headers();
    if ctx.request.method == Method::GET {
        if let Some(tickets) = visits::logged_out(query, None, &[]) {
            return Ok(Some(Intercept::LogOut(moodle, tickets)));
        }
        let lands = visits::lands(&own_pages::here(ctx)?, &moodle, &below, query, headers).is_some();
        return Ok(lands.then_some(Intercept::Landing(moodle, below)));
    }
    let content_type = headers::text(headers, header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let is_short = headers::content_length(headers).is_some_and(|length| length <= LONGEST_LOGOUT);
    if ctx.request.method != Method::POST || !is_form || !is_short {
        return Ok(None);
    }
    let content_type = content_type.map(str::to_owned);
    let body = incoming.look_into_body(|_| false).await?.bytes;
    let tickets = visits::logged_out(query, content_type.as_deref(), &body);
    Ok(tickets.map(|tickets| Intercept::LogOut(moodle, tickets)))
}

/// The address without the ticket, where a browser at Moodle's login brings one that was made for another browser.
async fn with_others_ticket(headers: &HeaderMap, ctx: &Context, moodle: &Moodle) -> Result<Option<String>, Rejection> {
    let query = ctx.request.query.as_deref().unwrap_or_default();
    let mut tickets = query::values(query.as_bytes(), "ticket");
    if moodle.config.facade.is_none() || !tickets.any(|ticket| is_own(&ticket)) {
        return Ok(None);
    }
    let here = own_pages::here(ctx)?;
    let session = here.session(headers).await?;
    for ticket in query::values(query.as_bytes(), "ticket").filter(|ticket| is_own(ticket)) {
        if !moodle.may_carry(&ticket, session.as_deref()).await? {
            let kept = query
                .split('&')
                .filter(|pair| !query::is_named(pair.as_bytes(), "ticket"));
            let kept = kept.collect::<Vec<_>>().join("&");
            let mark = if kept.is_empty() { "" } else { "?" };
            return Ok(Some(format!(
                "{}{}{mark}{kept}",
                here.public.origin(),
                ctx.path.encoded()
            )));
        }
    }
    Ok(None)
}

/// The answer.
pub async fn answer(headers: &HeaderMap, ctx: &mut Context, intercept: Intercept) -> Result<Reply, Rejection> {
    let here = own_pages::here(ctx)?.read_by(headers);
    let query = ctx.request.query.as_deref().unwrap_or_default();
    let reply = match intercept {
        Intercept::Facade(asked) => facade::answer(headers, ctx, asked).await?,
        Intercept::Foreign(address) => Reply::redirect(&address)?,
        Intercept::LogOut(moodle, tickets) => visits::log_out(&here, &moodle, &tickets).await?,
        Intercept::Landing(moodle, below) => {
            let landed = visits::landing(&here, &moodle, &below, query, headers).await;
            landed.ok_or(Reason::SignInStale)??
        }
        Intercept::Returned(moodle, returned) => Box::pin(provider::returned(&here, &moodle, returned, query)).await?,
    };
    ctx.allowed = true;
    Ok(reply)
}

/// A login at Moodle that begins ends a login flow of the gateway's that was under way. Nothing else of an ordinary page is
/// changed: the answer of `launch.php` brings Moodle's own app its token.
pub fn departed(session: &Session, answer: &mut ResponseHeader, ctx: &Context, route: &Route) -> PingoraResult<()> {
    if route.moodle.is_none() {
        return Ok(());
    }
    let location = answer.headers.get(header::LOCATION).cloned();
    let Some(location) = location else { return Ok(()) };
    let begins = |(moodle, _): (Arc<Moodle>, String)| {
        let here = ctx.snapshot.here(&ctx.request.host, SystemTime::now(), false).ok()?;
        visits::departed(&here, &moodle, &session.req_header().headers, location.to_str().ok()?)
    };
    if let Some(over) = login(ctx).and_then(begins) {
        answer.append_header(header::SET_COOKIE, over)?;
    }
    Ok(())
}

/// The Moodle at whose login address this request is, and which of them.
fn login(ctx: &Context) -> Option<(Arc<Moodle>, String)> {
    let mut moodles = ctx.snapshot.moodles.iter();
    let moodle = moodles.find(|moodle| moodle.config.public_url.host_str() == Some(&ctx.request.host))?;
    let below = moodle.below(ctx.path.decoded())?;
    LOGINS.contains(&below).then(|| (Arc::clone(moodle), below.to_owned()))
}
