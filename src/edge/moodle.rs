//! Moodle between pingora's session and [`crate::moodle`]: what is not Moodle's although it was sent there, and calls
//! that get a token.

mod back;
mod call;
pub mod facade;
mod nobody;
pub mod own;

use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, header};
use pingora::http::ResponseHeader;
use pingora::prelude::Result as PingoraResult;
use pingora::proxy::Session;

pub use self::call::{plan, serve};
use super::{Stop, taken};
use crate::context::Context;
use crate::headers;
use crate::moodle::Moodle;
use crate::own::{Here, moodle as visits};
use crate::request::Request;
use crate::respond::Reply;
use crate::route::path::Path;
use crate::snapshot::{Route, Snapshot};

/// A logout request of a CAS server is not longer. pingora keeps so much for the upstream, should it be none.
const LONGEST_LOGOUT: u64 = 16 << 10;
/// Where tickets for Moodle arrive, below its `wwwroot`.
const LOGINS: [&str; 2] = ["/login/index.php", "/login/token.php"];

/// What the gateway itself answers at addresses that are Moodle's, or that Moodle asks: tickets that it has sent a
/// browser for, logouts, and questions to the CAS server that it stands in for.
pub async fn aside(session: &mut Session, ctx: &mut Context, now: SystemTime) -> Result<Option<Reply>, Stop> {
    if ctx.snapshot.moodles.is_empty() {
        return Ok(None);
    }
    let reply = match facade::answer(ctx).await? {
        Some(reply) => Some(reply),
        None => at_login(session, ctx, now).await?,
    };
    ctx.allowed |= reply.is_some();
    Ok(reply)
}

async fn at_login(session: &mut Session, ctx: &Context, now: SystemTime) -> Result<Option<Reply>, Stop> {
    let Some((moodle, below)) = login(ctx) else {
        return Ok(None);
    };
    let (request, _) = taken(ctx)?;
    let here = Here::of(&ctx.snapshot, &request.host, now)?;
    let headers = session.req_header().headers.clone();
    let query = request.query.as_deref().unwrap_or_default();
    if request.method == Method::GET {
        if let Some(ticket) = visits::logged_out(query, None, &[]) {
            return Ok(Some(Box::pin(visits::log_out(&here, &moodle, &ticket)).await?));
        }
        let landed = Box::pin(visits::landing(&here, &moodle, &below, query, &headers)).await;
        return Ok(landed.transpose()?);
    }
    let content_type = headers::text(&headers, header::CONTENT_TYPE);
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    let is_short = headers::content_length(&headers).is_some_and(|length| length <= LONGEST_LOGOUT);
    if request.method != Method::POST || !is_form || !is_short {
        return Ok(None);
    }
    // What is read here, pingora sends to the upstream if it was no logout.
    session.as_mut().enable_retry_buffering();
    let body = super::body::read(session, |_| Ok(false)).await?;
    match visits::logged_out(query, content_type, &body) {
        Some(ticket) => Ok(Some(Box::pin(visits::log_out(&here, &moodle, &ticket)).await?)),
        None => Ok(None),
    }
}

/// An ordinary login at Moodle that begins ends a visit that was under way. Everything else of an ordinary page is as
/// Moodle says it: the answer of `launch.php` brings Moodle's own app its token.
pub fn departed(session: &Session, answer: &mut ResponseHeader, ctx: &Context, route: &Route) -> PingoraResult<()> {
    if route.moodle.is_none() {
        return Ok(());
    }
    let location = answer.headers.get(header::LOCATION).cloned();
    let Some(location) = location else { return Ok(()) };
    let begins = |(moodle, _): (Arc<Moodle>, String)| {
        let (request, _) = taken(ctx).ok()?;
        let here = Here::of(&ctx.snapshot, &request.host, SystemTime::now()).ok()?;
        visits::departed(&here, &moodle, &session.req_header().headers, location.to_str().ok()?)
    };
    if let Some(over) = login(ctx).and_then(begins) {
        answer.append_header(header::SET_COOKIE, over)?;
    }
    Ok(())
}

/// The Moodle at whose login address this request is, and which of them.
fn login(ctx: &Context) -> Option<(Arc<Moodle>, String)> {
    let (request, path) = ctx.request.as_ref().zip(ctx.path.as_ref())?;
    let (moodle, below) = login_address(&ctx.snapshot, request, path)?;
    Some((Arc::clone(moodle), below.to_owned()))
}

/// The same of any request.
pub fn login_address<'a>(
    snapshot: &'a Snapshot,
    request: &Request,
    path: &'a Path,
) -> Option<(&'a Arc<Moodle>, &'a str)> {
    let mut moodles = snapshot.moodles.iter();
    let moodle = moodles.find(|moodle| moodle.config.public_url.host_str() == Some(&request.host))?;
    let below = moodle.below(path.decoded())?;
    LOGINS.contains(&below).then_some((moodle, below))
}
