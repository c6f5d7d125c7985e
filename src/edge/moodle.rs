//! Moodle between pingora's session and [`crate::moodle`]: what is not Moodle's although it was sent there, and calls
//! that get a token.

mod back;
mod call;
mod facade;

use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, header};
use pingora::http::ResponseHeader;
use pingora::prelude::Result as PingoraResult;
use pingora::proxy::Session;

pub use self::call::{plan, serve};
use super::{Stop, taken};
use crate::context::Context;
use crate::moodle::Moodle;
use crate::own::{self, Here};
use crate::present::moodle::redact;
use crate::respond::Reply;
use crate::snapshot::Route;

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
    let reply = match facade::answer(ctx, now).await? {
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
    if request.method == Method::GET {
        let query = request.query.as_deref().unwrap_or_default();
        let landed = own::moodle::landing(&here, &moodle, &below, query, &headers).await;
        return Ok(landed.transpose()?);
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if request.method != Method::POST || !is_form || length.is_none_or(|length| length > LONGEST_LOGOUT) {
        return Ok(None);
    }
    // What is read here, pingora sends to the upstream if it was no logout.
    session.as_mut().enable_retry_buffering();
    let mut body = Vec::new();
    while let Some(piece) = session.read_request_body().await? {
        body.extend_from_slice(&piece);
    }
    let ended = own::moodle::logout(&here, &moodle, content_type, &body).await;
    Ok(ended.transpose()?)
}

/// Takes out of an ordinary page of Moodle's what would hand a browser a token, or hijack its next sign-in there.
pub fn cleared(answer: &mut ResponseHeader, route: &Route) -> PingoraResult<()> {
    let Some(moodle) = &route.moodle else { return Ok(()) };
    if let Some(kept) = redact::cookies_without_launch(&answer.headers) {
        answer.remove_header(&header::SET_COOKIE);
        for cookie in kept {
            answer.append_header(header::SET_COOKIE, cookie)?;
        }
    }
    let location = answer.headers.get(header::LOCATION);
    if location.is_some_and(|location| find(location.as_bytes(), b"://token=")) {
        answer.insert_header(header::LOCATION, moodle.config.wwwroot.as_str())?;
    }
    Ok(())
}

fn find(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The Moodle at whose login address this request is, and which of them.
fn login(ctx: &Context) -> Option<(Arc<Moodle>, String)> {
    let (request, path) = ctx.request.as_ref().zip(ctx.path.as_ref())?;
    let mut moodles = ctx.snapshot.moodles.iter();
    let moodle = moodles.find(|moodle| moodle.config.public_url.host_str() == Some(&request.host))?;
    let below = moodle.below(path.decoded())?;
    LOGINS.contains(&below).then(|| (Arc::clone(moodle), below.to_owned()))
}
