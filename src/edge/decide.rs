//! `respond.decide`: puts the request that a trusted proxy names in the place of the one that asks.
//!
//! The steps of the gateway then judge it like any other; only what would be done about it is left out.

use bytes::Bytes;
use http::{HeaderName, StatusCode, header};
use pingora::proxy::Session;

use super::{Stop, common_headers};
use crate::config::Decide;
use crate::context::Context;
use crate::listen::intake;
use crate::rejection::{Reason, Rejection};
use crate::respond::{self, Reply};
use crate::route::path::Path;
use crate::snapshot::{Action, Route};

/// From here on the context tells of the request in question. Its credentials and its client are those of the request
/// that asks: the proxy passes them on.
pub fn put_in_place(session: &Session, ctx: &mut Context, names: &Decide) -> Result<(), Rejection> {
    ctx.allowed = false;
    ctx.who = None;
    let peer = ctx.client.as_ref().map(|client| client.peer);
    let trusted = &ctx.snapshot.trusted_proxies;
    if !peer.is_some_and(|peer| trusted.iter().any(|net| net.contains(&peer))) {
        let detail = "who asks for decisions must be one of server.trusted_proxies";
        return Err(Rejection::because(Reason::NotAllowed, detail));
    }
    let authority = match (&names.host, &ctx.request) {
        (name, Some(request)) if *name == header::HOST => request.authority.clone(),
        (name, _) => the_one(session, name)?.to_owned(),
    };
    let request = intake::described(
        the_one(session, &names.method)?,
        &authority,
        the_one(session, &names.uri)?,
    )?;
    let request = ctx.request.insert(request);
    ctx.path = Some(Path::parse(&request.raw_path)?);
    Ok(())
}

fn the_one<'a>(session: &'a Session, name: &HeaderName) -> Result<&'a str, Rejection> {
    let mut values = session.req_header().headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (None, _) => Err(Rejection::because(
            Reason::BadRequest,
            format!("the proxy sent no {name}"),
        )),
        _ => Err(Rejection::because(
            Reason::BadRequest,
            format!("{name} stands twice or is not ASCII"),
        )),
    }
}

/// The rules let it pass. A route that only decides is nobody's destination.
pub async fn answer(session: &mut Session, ctx: &mut Context, decided: &Route) -> Result<(), Stop> {
    if matches!(decided.action, Action::Decide(_)) {
        ctx.allowed = false;
        return Err(Rejection::because(Reason::NoRoute, "a decision about a decision").into());
    }
    let mut headers = common_headers(ctx, &session.req_header().headers);
    headers.push((header::CACHE_CONTROL, header::HeaderValue::from_static("no-store")));
    let reply = Reply {
        status: StatusCode::NO_CONTENT,
        headers,
        body: Bytes::new(),
    };
    Ok(respond::write::write(session, &reply).await?)
}
