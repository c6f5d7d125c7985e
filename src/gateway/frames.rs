//! Frames at the edge: what a route says of who may frame its pages, put onto every answer of it.

use http::header::{CONTENT_SECURITY_POLICY, SET_COOKIE, X_FRAME_OPTIONS};
use http::{HeaderName, HeaderValue};
use pingora::http::ResponseHeader;
use pingora::prelude::Result;

use super::parts::is_https;
use crate::config::{FrameAncestors, Present};
use crate::context::Context;
use crate::respond::frames::{self, PERMISSIONS_POLICY};
use crate::snapshot::Route;

/// For every answer of the route, the gateway's own too.
pub fn headers(route: &Route) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let ancestors = route.config.frames.ancestors.as_ref().map(|known| known.policy.clone());
    let permissions = route.config.frames.permissions.clone();
    let ancestors = ancestors.map(|policy| (CONTENT_SECURITY_POLICY, policy));
    ancestors
        .into_iter()
        .chain(permissions.map(|policy| (PERMISSIONS_POLICY, policy)))
}

/// The upstream's own word about framing goes, and its sign-in's cookies are made for frames of other sites where such
/// may be: over https alone, since a browser throws an insecure one away.
pub fn rewrite(answer: &mut ResponseHeader, ctx: &Context, route: &Route) -> Result<()> {
    let Some(FrameAncestors { elsewhere, .. }) = route.config.frames.ancestors else {
        return Ok(());
    };
    answer.remove_header(&X_FRAME_OPTIONS);
    if let Some(policies) = frames::without_ancestors(&answer.headers) {
        replace(answer, &CONTENT_SECURITY_POLICY, policies)?;
    }
    let passes = matches!(route.config.present, Present::Pass | Present::Headers);
    let is_kept = elsewhere && passes && is_https(&ctx.snapshot, &ctx.client, &ctx.request.host);
    match is_kept.then(|| frames::cookies_for_frames(&answer.headers)).flatten() {
        Some(cookies) => replace(answer, &SET_COOKIE, cookies),
        None => Ok(()),
    }
}

fn replace(answer: &mut ResponseHeader, name: &HeaderName, values: Vec<HeaderValue>) -> Result<()> {
    answer.remove_header(name);
    for value in values {
        answer.append_header(name.clone(), value)?;
    }
    Ok(())
}
