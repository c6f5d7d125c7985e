//! A call of Moodle's web services that brings a token of its own and no session: judged as nobody, and passed on.

use bytes::BytesMut;
use http::Method;
use pingora::proxy::Session;
use tokio::time::timeout;

use super::super::rules::Case;
use super::super::{Stop, taken};
use crate::config::OwnTokens;
use crate::context::Context;
use crate::moodle::Moodle;
use crate::own;
use crate::present::moodle::endpoint::Endpoint;
use crate::present::moodle::own_token;
use crate::rejection::{Reason, Rejection};
use crate::request::Request;
use crate::route::path::Path;
use crate::snapshot::Route;

/// Longest body that is read whole to find the token in it: pingora keeps so much for the upstream. Of a longer one, the
/// first piece is looked at.
const WHOLE: u64 = 64 << 10;

/// Does such a call come, where nobody was let in, or nobody in particular? Then the context says so from now on.
pub async fn is_brought(session: &mut Session, ctx: &mut Context, refusal: Option<&Rejection>) -> Result<bool, Stop> {
    let Some(route) = ctx.route.clone().filter(|_| ctx.session.is_none() && !ctx.only_decide) else {
        return Ok(false);
    };
    let Some(moodle) = passes(&route, refusal) else {
        return Ok(false);
    };
    let (request, path) = taken(ctx)?;
    let mut is_own = in_address(moodle, &route, request, path);
    if !is_own && request.method == Method::POST && own_token::may_be_in_body(&session.req_header().headers) {
        is_own = in_body(session).await?;
    }
    if is_own {
        ctx.own_token = true;
        let script = match ctx.path.as_ref().and_then(|path| endpoint(moodle, &route, path)) {
            Some(Endpoint::Rest) => "rest",
            Some(Endpoint::Upload) => "upload",
            Some(Endpoint::File) => "file",
            None => "-",
        };
        let metrics = moodle.bridge().metrics();
        metrics.called(&moodle.config.name, script, "-", "own_token");
    }
    Ok(is_own)
}

/// The route's Moodle, if tokens of their own may pass after this refusal.
pub fn passes<'a>(route: &'a Route, refusal: Option<&Rejection>) -> Option<&'a Moodle> {
    let moodle = route.injects()?;
    let is_nobody = refusal.is_none_or(|refusal| refusal.reason.is_challenge());
    (is_nobody && moodle.config.own_tokens == OwnTokens::Pass).then_some(&**moodle)
}

/// In its path or query?
pub fn in_address(moodle: &Moodle, route: &Route, request: &Request, path: &Path) -> bool {
    let (_, decoded) = path.stripped(&route.strip);
    own_token::in_address(moodle.below(&decoded), request.query.as_deref().unwrap_or_default())
}

/// May it pass?
pub fn decide(ctx: &Context, route: &Route) -> Result<(), Rejection> {
    let (request, _) = taken(ctx)?;
    let case = Case {
        snapshot: &ctx.snapshot,
        route,
        request,
        client: ctx.client.as_ref().ok_or(Reason::Internal)?,
        params: &ctx.params,
    };
    case.decide_own_token()
}

fn endpoint(moodle: &Moodle, route: &Route, path: &Path) -> Option<Endpoint> {
    let (_, decoded) = path.stripped(&route.strip);
    Endpoint::of(moodle.below(&decoded)?).ok()
}

async fn in_body(session: &mut Session) -> Result<bool, Stop> {
    let headers = session.req_header().headers.clone();
    let length = headers.get(http::header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let is_short = length.is_some_and(|length| length <= WHOLE);
    // What is read here, pingora sends to the upstream.
    session.as_mut().enable_retry_buffering();
    let mut beginning = BytesMut::new();
    let read = async {
        while let Some(piece) = session.read_request_body().await? {
            beginning.extend_from_slice(&piece);
            if !is_short && !beginning.is_empty() {
                break;
            }
        }
        Ok::<_, Stop>(())
    };
    let late = |_| Stop::from(Reason::RequestTimeout);
    timeout(own::LONGEST_WAIT, read).await.map_err(late)??;
    Ok(own_token::in_body(&headers, &beginning))
}
