//! Views of a route that counts them: which request is one for media, and who its viewer is.
//!
//! A viewer is the person, where a name may be believed; else the token, which the watch passes that it earned name too; else the
//! address with the browser.

use std::net::IpAddr;

use http::{HeaderMap, Method, header};
use pingora::proxy::Session;

use super::endpoints;
use crate::authenticate::token::{Whose, carrier};
use crate::config::{Credential, PublicUrl};
use crate::context::Context;
use crate::digest::sha256_of_parts;
use crate::identity::{Identity, ViewerId};
use crate::rate::address_key;
use crate::snapshot::Action;
use crate::statistics::{Kind, Seen, Statistics};

/// A request has ended: if it was allowed, and media were its answer, it belongs to a view.
pub(super) fn tell(statistics: &Statistics, session: &Session, ctx: &Context) {
    let Some(route) = ctx.route.as_ref() else { return };
    let Some(views) = route.config.views.as_ref() else {
        return;
    };
    let is_good = ctx.allowed && ctx.rejection.is_none() && ctx.request.method == Method::GET;
    let answer = session.response_written().map(|answer| answer.status.as_u16());
    // Of a decision for another proxy, which serves the file then, only that is known.
    // By a signed address the media come from another server: that the client was sent there is all that is known.
    let is_sent = matches!(route.action, Action::Presigned(_) | Action::SignedRedirect) && answer == Some(302);
    if !is_good || !(is_sent || matches!(answer, Some(200 | 204 | 206 | 304))) {
        return;
    }
    let Some(kind) = Kind::of(ctx.path.decoded()) else {
        return;
    };
    let Some(event) = views.event.filled(&ctx.params) else {
        return;
    };
    let public = ctx.snapshot.config.server.public_url(&ctx.request.host);
    statistics.seen(&Seen {
        at: ctx.at,
        viewer: viewer(&session.req_header().headers, ctx),
        event: &event,
        kind,
        route: &route.config.name,
        origin: &|| public.map(PublicUrl::origin).unwrap_or_default(),
        host: public.map_or("-", |public| public.host.as_str()),
        address: ctx.client.address,
        metrics: &route.metrics,
    });
}

/// Who views.
fn viewer(headers: &HeaderMap, ctx: &Context) -> ViewerId {
    if let Some(viewer) = ctx.watch.viewer {
        return viewer;
    }
    if let Some(held) = &ctx.watch.pass {
        return held.pass.viewer.unwrap_or_else(|| id(&[b"pass", held.text.as_bytes()]));
    }
    nobody(ctx.client.address, headers)
}

/// Who this is, whom a credential of this kind has let in.
pub(super) fn of(who: &Identity, by: Credential, headers: &HeaderMap, ctx: &Context) -> ViewerId {
    if let Some(name) = who.name() {
        return id(&[b"person", who.people().as_bytes(), name.as_bytes()]);
    }
    let known = match by {
        Credential::Jwt | Credential::Bearer => token(headers, ctx),
        Credential::Launch => launch(headers, ctx),
        _ => None,
    };
    known.unwrap_or_else(|| nobody(ctx.client.address, headers))
}

fn token(headers: &HeaderMap, ctx: &Context) -> Option<ViewerId> {
    let carried = carrier::find(&ctx.snapshot.judged_sources, headers, ctx.request.query.as_deref());
    let mut tokens = carried.iter();
    let token = match (tokens.next(), tokens.next()) {
        (one, None) => one,
        // Others beside it are anything: they tell no viewers apart.
        (_, Some(_)) => carried
            .iter()
            .find(|token| matches!(ctx.snapshot.whose(token, None), Whose::Issuers)),
    }?;
    // What is signed: of ES256 there is a second signature for it that is as good.
    let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
    Some(id(&[b"token", signed.as_bytes()]))
}

/// By the cookie, which the players of one page have in common.
fn launch(headers: &HeaderMap, ctx: &Context) -> Option<ViewerId> {
    let visit = endpoints::visit(headers, ctx).ok()?;
    let (_, secret) = visit.here.launches(headers).into_iter().next()?;
    Some(id(&[b"launch", secret.as_bytes()]))
}

fn nobody(address: IpAddr, headers: &HeaderMap) -> ViewerId {
    let browser = headers
        .get(header::USER_AGENT)
        .map_or(&b""[..], |value| value.as_bytes());
    id(&[b"address", address_key(address).to_string().as_bytes(), browser])
}

fn id(parts: &[&[u8]]) -> ViewerId {
    sha256_of_parts(parts.iter().copied())
        .first_chunk()
        .copied()
        .unwrap_or_default()
}
