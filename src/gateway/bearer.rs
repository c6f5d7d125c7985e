//! Access tokens between a request and [`crate::authenticate::bearer`]: whose kind of credential `Authorization: Bearer` is,
//! and what a client is told of where tokens come from (RFC 9728).

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};

use super::Incoming;
use super::trace::Trace;
use crate::authenticate::bearer;
use crate::authenticate::token::carrier::Carried;
use crate::authenticate::token::{Outcome, Recent, Whose};
use crate::config::Credential;
use crate::context::Context;
use crate::rate::address_key;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::{Reply, cors};
use crate::snapshot::{PROTECTED_RESOURCE, Route, Snapshot};

/// Whom the access token of a request speaks for.
pub(super) async fn authenticate<I: Incoming, T: Trace>(
    incoming: &I,
    ctx: &Context,
    route: &Route,
    trace: &mut T,
) -> Outcome {
    let (bearers, allowed) = (&ctx.snapshot.bearers, route.config.bearers.as_deref());
    let token = match bearer::carried(incoming.headers()) {
        Ok(Some(token)) => token,
        Ok(None) => return Outcome::Nobody,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    if ctx.dry_run.is_some() {
        return Box::pin(look(ctx, route, token, trace)).await;
    }
    let recent = match incoming.recent() {
        Ok(recent) => recent,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    if let Some(outcome) = bearers.remembered(token, allowed, recent, ctx.at) {
        return outcome;
    }
    let was_good = bearers.knew(token, allowed, ctx.at);
    if !was_good && let Some(outcome) = of_issuers(ctx, route, token, Some(ctx.client.address)) {
        return outcome;
    }
    // Boxed: few requests come here, and each would be larger by it.
    Box::pin(bearers.judge(token, allowed, ctx.client.address)).await
}

/// What becomes of a token that an issuer of `[jwt]` has made: no server is shown it. `None`: none has.
fn of_issuers(ctx: &Context, route: &Route, token: &str, client: Option<IpAddr>) -> Option<Outcome> {
    match ctx.snapshot.whose(token, client) {
        Whose::Others | Whose::Nobodys => None,
        Whose::Issuers if route.accept.contains(&Credential::Jwt) => Some(Outcome::Nobody),
        Whose::Issuers => Some(Outcome::Refused(Reason::IssuerNotAccepted.into())),
        Whose::Untold => {
            let detail = "too many tokens that had to be checked (jwt.bad_signatures)";
            let refusal = Rejection::because(Reason::RateLimited, detail).with_hint(Hint::RetryAfter(1));
            Some(Outcome::Refused(refusal))
        }
    }
}

/// The same for who explains.
async fn look<T: Trace>(ctx: &Context, route: &Route, token: &str, trace: &mut T) -> Outcome {
    let (bearers, allowed) = (&ctx.snapshot.bearers, route.config.bearers.as_deref());
    if let Some(outcome) = of_issuers(ctx, route, token, None) {
        return outcome;
    }
    let client = ctx.client.address;
    for (name, rate, spent) in bearers.budgets(allowed, client) {
        trace.budget(
            &format!("bearer.{name}.bad_tokens"),
            address_key(client).to_string(),
            rate,
            spent,
        );
    }
    let payer = ctx.dry_run.as_ref().and_then(|dry_run| dry_run.budgets).map(|_| client);
    let looked = bearers.look(token, allowed, ctx.at, payer).await;
    let outcome = match &looked.verdict {
        Ok(known) => Outcome::Person(Arc::clone(&known.identity)),
        Err(refusal) => Outcome::Refused(refusal.clone()),
    };
    trace.bearer(ctx, &looked);
    outcome
}

/// Of the tokens that a request carries, those that issuers of `[jwt]` are to judge: on a route that takes access tokens, too,
/// the one in `Authorization` is left to the bearers where it is no issuer's. `client`: whose budget a check is taken from.
pub(super) fn without_access_token<'a>(
    carried: Carried<'a>,
    ctx: &Context,
    headers: &HeaderMap,
    (client, recent): (Option<IpAddr>, Option<&Recent>),
) -> Carried<'a> {
    let Ok(Some(token)) = bearer::carried(headers) else {
        return carried;
    };
    let snapshot = &ctx.snapshot;
    let is_known = |recent: &Recent| snapshot.tokens.recalls(token, recent);
    if recent.is_some_and(is_known) {
        return carried;
    }
    let is_bearers =
        recent.is_some_and(|recent| recent.knows_bearer(token)) || snapshot.whose(token, client) != Whose::Issuers;
    match is_bearers {
        true => carried.without(token, &snapshot.token_sources),
        false => carried,
    }
}

/// Does a request that nobody is judged by carry an access token that may count elsewhere?
pub(super) fn carries_theirs(snapshot: &Snapshot, headers: &HeaderMap) -> bool {
    match bearer::carried(headers) {
        Ok(Some(token)) => snapshot.bearers.are_theirs(token),
        Ok(None) => false,
        Err(_) => !snapshot.bearers.is_empty(),
    }
}

/// The answer at the address where is told who gives tokens for this host, which anybody may read: also the pages of other
/// sites. `None`: the request is for something else.
pub fn metadata(ctx: &Context, headers: &HeaderMap) -> Option<Result<Reply, Rejection>> {
    if ctx.path.decoded() != PROTECTED_RESOURCE {
        return None;
    }
    let reply = ctx.snapshot.protected.get(&ctx.request.host)?;
    const READ: [Method; 2] = [Method::GET, Method::HEAD];
    let policy = crate::config::Cors {
        origins: vec!["*".to_owned()],
        ..crate::config::Cors::default()
    };
    if let Some(preflight) = cors::preflight(&policy, &ctx.request.method, headers, Some(&READ)) {
        return Some(Ok(preflight));
    }
    Some(match READ.contains(&ctx.request.method) {
        true => Ok(reply.clone()),
        false => Err(Rejection::new(Reason::MethodNotAllowed).with_hint(Hint::Allow(READ.to_vec()))),
    })
}

/// Where that is, for challenges on a route that takes access tokens.
pub fn metadata_url(ctx: &Context) -> Option<String> {
    let takes = |route: &&Arc<Route>| route.accept.contains(&Credential::Bearer);
    ctx.route.as_ref().filter(takes)?;
    let public = ctx.snapshot.config.server.public_url(&ctx.request.host)?;
    ctx.snapshot.protected.get(&public.host)?;
    Some(format!("{}{PROTECTED_RESOURCE}", public.origin()))
}
