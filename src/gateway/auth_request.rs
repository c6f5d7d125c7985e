//! `respond.decide`: puts the request that a trusted proxy names in the place of the one that asks.
//!
//! The steps of the gateway then judge it like any other; only what would be done about it is left out.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header};

use super::complete;
use crate::config::{Decide, PublicUrl};
use crate::context::Context;
use crate::listen::intake;
use crate::present::unsaid::is_method_override;
use crate::rejection::{Reason, Rejection};
use crate::request::{Client, Request};
use crate::respond::Reply;
use crate::route::path::Path;
use crate::route::table::{Found, Miss};
use crate::snapshot::{Action, Snapshot};

/// From here on the context tells of the request in question. Its credentials and its client are those of the request
/// that asks: the proxy passes them on.
pub fn put_in_place(headers: &HeaderMap, ctx: &mut Context, names: &Decide) -> Result<(), Rejection> {
    ctx.allowed = false;
    ctx.who = None;
    ctx.session = None;
    let request = in_question(headers, ctx, names)?;
    ctx.path = Path::parse(&request.raw_path)?;
    ctx.request = request;
    ctx.route = None;
    Ok(())
}

/// The request that a trusted proxy names in its headers.
fn in_question(headers: &HeaderMap, ctx: &Context, names: &Decide) -> Result<Request, Rejection> {
    if !is_trusted(&ctx.client, &ctx.snapshot) {
        return Err(not_trusted());
    }
    let (named, target) = taken_apart(the_one(headers, &names.uri)?);
    let authority = match &names.host {
        name if *name == header::HOST => named.unwrap_or(&ctx.request.authority),
        name => the_one(headers, name)?,
    };
    let method = the_one(headers, &names.method)?;
    // RFC 8441: over HTTP/2 a websocket begins with CONNECT, which every server behind gets as GET.
    let is_websocket = method == "CONNECT" && headers.contains_key(header::UPGRADE);
    let method = if is_websocket { "GET" } else { method };
    let mut request = intake::described(method, authority, target)?;
    if let Some(named) = named
        && intake::described(method, named, target)?.host != request.host
    {
        let detail = format!("{} and {} name two hosts", names.uri, names.host);
        return Err(Rejection::because(Reason::BadRequest, detail));
    }
    let says = |name: &HeaderName| is_method_override(name).then(|| headers.get_all(name).iter());
    let mut others = headers
        .keys()
        .filter(|name| **name != names.method)
        .filter_map(says)
        .flatten();
    if others.any(|other| !other.as_bytes().eq_ignore_ascii_case(method.as_bytes())) {
        // It goes from the proxy to the server in question, where it counts.
        let detail = "a header asks the server in question for another method";
        return Err(Rejection::because(Reason::BadRequest, detail));
    }
    intake::settle_host(&mut request, &ctx.snapshot.config.server)?;
    Ok(request)
}

fn not_trusted() -> Rejection {
    Rejection::because(
        Reason::NotAllowed,
        "who asks for decisions must be one of server.trusted_proxies",
    )
}

/// Puts a public host in the place of the one that the client wrote, as [`intake::settle_host`] does. A trusted proxy that
/// asks for a decision may do so by any name: it mostly has the gateway's address in its own network. What it wrote stays
/// the authority: where `Host` names the host in question, that one is judged.
pub fn settle_host(request: &mut Request, client: &Client, snapshot: &Snapshot) -> Result<(), Rejection> {
    let server = &snapshot.config.server;
    let Err(refusal) = intake::settle_host(request, server) else {
        return Ok(());
    };
    let path = Path::parse(&request.raw_path)?;
    let (url, _) = asked_at(snapshot, &path, &request.method).ok_or(refusal)?;
    if !is_trusted(client, snapshot) {
        return Err(not_trusted());
    }
    request.host.clone_from(&url.host);
    Ok(())
}

/// Is a decision asked for, whatever the host?
pub fn is_asked_anywhere(request: &Request, snapshot: &Snapshot) -> bool {
    Path::parse(&request.raw_path).is_ok_and(|path| asked_at(snapshot, &path, &request.method).is_some())
}

/// The public URL that has a route at this path which decides.
fn asked_at<'a>(snapshot: &'a Snapshot, path: &Path, method: &Method) -> Option<(&'a PublicUrl, Found)> {
    let mut urls = snapshot.config.server.public_urls.iter();
    urls.find_map(|url| {
        let found = snapshot.table.find(&url.host, path.decoded(), method).ok()?;
        let route = snapshot.routes.get(found.route)?;
        matches!(route.action, Action::Decide(_)).then_some((url, found))
    })
}

/// The route of a request. Proxies ask with the host in question, which need not be the one that has the route for
/// decisions.
pub fn find(snapshot: &Snapshot, request: &Request, path: &Path, client: &Client) -> Result<Found, Miss> {
    let found = snapshot.table.find(&request.host, path.decoded(), &request.method);
    match found {
        Err(Miss::NoRoute) if is_trusted(client, snapshot) => {
            let elsewhere = asked_at(snapshot, path, &request.method);
            elsewhere.map(|(_, found)| found).ok_or(Miss::NoRoute)
        }
        found => found,
    }
}

fn is_trusted(client: &Client, snapshot: &Snapshot) -> bool {
    snapshot.trusted_proxies.iter().any(|net| net.contains(&client.peer))
}

/// The authority and the target of what may be a whole URL, as ingress-nginx sends it, or a path.
fn taken_apart(uri: &str) -> (Option<&str>, &str) {
    let Some((scheme, rest)) = uri.split_once("://").filter(|(scheme, _)| !scheme.contains(['/', '?'])) else {
        return (None, uri);
    };
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return (None, uri);
    }
    match rest.find(['/', '?']).and_then(|at| rest.split_at_checked(at)) {
        Some((authority, target)) => (Some(authority), target),
        None => (Some(rest), "/"),
    }
}

fn the_one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Rejection> {
    let mut values = headers.get_all(name).iter();
    // nginx passes on the bytes of a request line as they came: they may be UTF-8.
    let text = values.next().map(|value| std::str::from_utf8(value.as_bytes()));
    match (text, values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        (None, _) => Err(Rejection::because(
            Reason::BadRequest,
            format!("the proxy sent no {name}"),
        )),
        _ => Err(Rejection::because(
            Reason::BadRequest,
            format!("{name} stands twice or is not UTF-8"),
        )),
    }
}

/// The request in question is allowed.
pub fn answer(headers: &HeaderMap, ctx: &Context) -> Reply {
    let reply = Reply {
        status: StatusCode::NO_CONTENT,
        headers: vec![(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"))],
        body: Bytes::new(),
    };
    complete(ctx, headers, reply)
}
