//! A redirect of an upstream's to its own address, which clients cannot reach: it becomes the public one, as nginx's
//! `proxy_redirect default` has it.

use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::prelude::Result;
use url::{Host, Url};

use crate::act::proxy::Upstream;
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
    match public(location, upstream, ctx, route) {
        Some(public) => answer.insert_header(header::LOCATION, public),
        None => Ok(()),
    }
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
