//! Signed addresses of a request: does the one that it came with allow what it asks for, and how is the one signed to which it
//! goes on. `authenticate::signed_url` knows keys and policies.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use pingora::proxy::Session;
use url::Url;

use super::{Stop, common_headers, parts};
use crate::authenticate::signed_url::{self, Policy, Signed, SignedUrls};
use crate::authenticate::token::Outcome;
use crate::context::Context;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::{self, Reply};
use crate::route::path::Path;
use crate::snapshot::{Route, RouteSign};

/// What was found out about the signature in a request's query.
pub struct Looked {
    /// Whose key it was, if the signature is good: `signed_urls.<name>`.
    pub by: Option<Arc<str>>,
    pub policy: Option<Policy>,
    pub verdict: Result<(), Rejection>,
}

/// Whom the address of a request allows what it asks for: nobody by name. `None` beside it: it is not signed.
pub fn authenticate(ctx: &Context, route: &Route) -> (Outcome, Option<Looked>) {
    let (section, policy) = match signed_url::verify(&route.signed_urls, ctx.request.query.as_deref()) {
        Ok(None) => return (Outcome::Nobody, None),
        Ok(Some((section, policy))) => (section, policy),
        Err(refusal) => {
            let looked = Looked {
                by: None,
                policy: None,
                verdict: Err(refusal.clone()),
            };
            return (Outcome::Refused(refusal), Some(looked));
        }
    };
    let verdict = allows(ctx, section, &policy);
    let outcome = match &verdict {
        Ok(()) => Outcome::Person(Arc::new(section.bearer(&policy))),
        Err(refusal) => Outcome::Refused(refusal.clone()),
    };
    let looked = Looked {
        by: Some(Arc::clone(&section.name)),
        policy: Some(policy),
        verdict,
    };
    (outcome, Some(looked))
}

/// Is the policy one for this request?
fn allows(ctx: &Context, section: &SignedUrls, policy: &Policy) -> Result<(), Rejection> {
    if !matches!(ctx.request.method, Method::GET | Method::HEAD) {
        let fault = "A signed address can only be read, with GET or HEAD.";
        return Err(Rejection::because(Reason::SignedUrlOtherResource, fault).with_hint(Hint::Fault(fault)));
    }
    is_asked_for(ctx, section, &policy.resource)?;
    policy.check(ctx.client.address, ctx.at, section.leeway)
}

/// Does the request ask for this resource? The path is compared in its canonical form, and where `strict` says so scheme and
/// host. If the resource has a query, it must be the request's; else any is taken, as Opencast takes it.
fn is_asked_for(ctx: &Context, section: &SignedUrls, resource: &str) -> Result<(), Rejection> {
    let other =
        |fault: &'static str| Rejection::because(Reason::SignedUrlOtherResource, fault).with_hint(Hint::Fault(fault));
    let resource = resource.split('#').next().unwrap_or_default();
    let (address, query) = match resource.split_once('?') {
        Some((address, query)) => (address, Some(query)),
        None => (resource, None),
    };
    let (host, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", address),
    };
    let is_path = Path::parse(path).is_ok_and(|path| path.encoded() == ctx.path.encoded() && !path.has_params());
    if !is_path || ctx.path.has_params() {
        return Err(other("The signature is for another path."));
    }
    let rest = || ctx.request.query.as_deref().and_then(signed_url::strip_query);
    if query.is_some_and(|query| rest().as_deref() != Some(query)) {
        return Err(other("The signature is for another query."));
    }
    if !section.strict {
        return Ok(());
    }
    let public = ctx.snapshot.config.server.public_url(&ctx.request.host);
    let public = public.and_then(|public| Url::parse(&public.origin()).ok());
    let signed = Url::parse(address).ok().filter(|_| !host.is_empty());
    match (public, signed) {
        (Some(public), Some(signed)) if public.origin() == signed.origin() => Ok(()),
        _ => Err(other(
            "The signature is for another host or scheme, and both are compared.",
        )),
    }
}

/// The address at which the server behind a route gets what it asks for, and the query that signs it. `target`: path and query
/// as they would go there unsigned.
fn signed(ctx: &Context, sign: &RouteSign, target: &str) -> Result<(String, String), Rejection> {
    let path = target.split('?').next().unwrap_or_default();
    let resource = format!("{}{path}", sign.config.base);
    let internal = || Rejection::because(Reason::Internal, "an address that cannot be signed");
    let whole = Url::parse(&resource).map_err(|_| internal())?;
    let decoded = percent_encoding::percent_decode_str(whole.path()).decode_utf8_lossy();
    let until = ctx.at.checked_add(sign.config.valid).ok_or_else(internal)?;
    let query = sign.by.sign(Signed {
        resource: resource.clone(),
        path: &decoded,
        until,
        client: sign.config.client.then_some(ctx.client.address),
    });
    Ok((resource, query.ok_or_else(internal)?))
}

/// The client's own query with that behind it, without what would be read as a part of it.
fn with_signature(sign: &RouteSign, target: &str, signature: &str) -> String {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let kept = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !sign.by.would_sign(pair));
    kept.chain([signature]).collect::<Vec<_>>().join("&")
}

/// Path and query with the signature, as the upstream gets them.
pub fn target(ctx: &Context, sign: &RouteSign, target: &str) -> Result<String, Rejection> {
    let (_, signature) = signed(ctx, sign, target)?;
    let path = target.split('?').next().unwrap_or_default();
    Ok(format!("{path}?{}", with_signature(sign, target, &signature)))
}

/// The answer that sends the client to the signed address. No cache may keep it: it is a credential.
pub fn redirect(headers: &HeaderMap, ctx: &Context, route: &Route) -> Result<Reply, Rejection> {
    let missing = || Rejection::because(Reason::Internal, "a route that signs nothing");
    let sign = route.sign.as_ref().ok_or_else(missing)?;
    let target = parts::target_on(ctx, route);
    let (address, signature) = signed(ctx, sign, &target)?;
    let location = format!("{address}?{}", with_signature(sign, &target, &signature));
    let mut reply = Reply::redirect(&location)?;
    // The method stays: HEAD is asked there as HEAD.
    reply.status = StatusCode::FOUND;
    reply.headers.extend(common_headers(ctx, headers, (reply.status, None)));
    Ok(reply)
}

pub(super) async fn serve_redirect(session: &mut Session, ctx: &Context, route: &Route) -> Result<(), Stop> {
    let reply = redirect(&session.req_header().headers, ctx, route)?;
    Ok(respond::write::write(session, &reply).await?)
}
