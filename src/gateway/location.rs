//! A redirect of an upstream's. To its own address, which clients cannot reach, it becomes the public one, as nginx's
//! `proxy_redirect default` has it. On a route with `keep_token`, one to this host has the token of the query, which the upstream
//! did not get.

use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::prelude::Result;
use url::{Host, Url};

use crate::act::proxy::Upstream;
use crate::authenticate::token::carrier;
use crate::context::Context;
use crate::snapshot::{Action, Route};

/// Of the answer's `Location`, if there is one alone.
pub(super) fn rewrite(answer: &mut ResponseHeader, ctx: &Context, route: &Route) -> Result<()> {
    let Action::Upstream(upstream) = &route.action else {
        return Ok(());
    };
    let mut locations = answer.headers.get_all(header::LOCATION).iter();
    let (Some(location), None) = (locations.next(), locations.next()) else {
        return Ok(());
    };
    let public = public(location, upstream, ctx, route);
    let with_token = with_token(public.as_ref().unwrap_or(location), ctx, route);
    match with_token.or(public) {
        Some(location) => answer.insert_header(header::LOCATION, location),
        None => Ok(()),
    }
}

/// The address with the parameters of the query in which tokens stand, if it is one of this host and has none itself.
fn with_token(location: &HeaderValue, ctx: &Context, route: &Route) -> Option<HeaderValue> {
    let query = ctx.request.query.as_deref().filter(|_| route.config.keep_token)?;
    let sources = &ctx.snapshot.token_sources;
    let tokens: Vec<&str> = carrier::in_query_pairs(sources, query).collect();
    let location = location.to_str().ok().filter(|_| !tokens.is_empty())?;
    let public = Url::parse(&ctx.snapshot.config.server.public_url(&ctx.request.host)?.origin()).ok()?;
    // As a browser reads it. `https:host` is a path for browsers, and another host for others.
    let before_path = location.split(['/', '?', '#']).next().unwrap_or_default();
    if before_path.contains(':') && !location.contains("://") {
        return None;
    }
    let to = public.join(location).ok()?;
    let has_one = to
        .query()
        .is_some_and(|query| carrier::in_query_pairs(sources, query).next().is_some());
    if to.origin() != public.origin() || has_one {
        return None;
    }
    let (address, fragment) = match location.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (location, String::new()),
    };
    let separator = if address.contains('?') { '&' } else { '?' };
    HeaderValue::try_from(format!("{address}{separator}{}{fragment}", tokens.join("&"))).ok()
}

/// `None`: it stays as it is.
fn public(location: &HeaderValue, upstream: &Upstream, ctx: &Context, route: &Route) -> Option<HeaderValue> {
    let text = location.to_str().ok()?;
    // Most are paths, or lead to where clients are already.
    let (scheme, rest) = text.split_once("://")?;
    let is_http = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let public = ctx.snapshot.config.server.public_url(&ctx.request.host)?;
    let to = Url::parse(text).ok().filter(|_| is_http)?;
    let (host, port) = (to.host()?, to.port_or_known_default()?);
    let is_public = Url::parse(&public.origin()).is_ok_and(|public| public.origin() == to.origin());
    if is_public || !upstream.is_at(&host_text(&host), port) {
        return None;
    }
    let behind = rest
        .find(['/', '?', '#'])
        .map_or("", |at| rest.get(at..).unwrap_or_default());
    let slash = if behind.starts_with('/') { "" } else { "/" };
    HeaderValue::try_from(format!("{}{}{slash}{behind}", public.origin(), route.config.strip)).ok()
}

/// Brackets around an IPv6 address removed.
fn host_text(host: &Host<&str>) -> String {
    match host {
        Host::Domain(name) => name.to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    }
}
