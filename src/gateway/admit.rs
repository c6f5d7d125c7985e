//! Who is it, and may they? The credentials of a request one after the other, each with the route's rules.

use std::sync::Arc;

use super::trace::Trace;
use crate::authenticate::token::{Outcome, carrier};
use crate::config::Credential;
use crate::context::Context;
use crate::event::Events;
use crate::gateway::parts::Refusals;
use crate::gateway::rules::Case;
use crate::gateway::{self, Incoming};
use crate::identity::Identity;
use crate::rate::address_key;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::Route;

/// The first of the route's credentials that is valid and that its rules allow.
pub(super) async fn admit<I: Incoming, T: Trace>(
    incoming: &I,
    ctx: &mut Context,
    route: &Route,
    trace: &mut T,
) -> Result<(), Rejection> {
    if ctx.own_token {
        ctx.who = None;
        ctx.session = None;
        Case::of(ctx, route).decide_without_person()?;
        ctx.allowed = true;
        return Ok(());
    }
    let headers = incoming.headers();
    if let Some(brought) = gateway::upstream_auth::brought(ctx, route, headers)? {
        trace.upstream_auth(brought);
        Case::of(ctx, route).decide_without_person()?;
        if brought.caller.is_none() {
            let mut events = Events::default();
            ctx.nobody_may = Case::of(ctx, route).decide(None, &mut events).await.is_ok();
        }
        ctx.upstream_auth = Some(brought);
        ctx.allowed = true;
        return Ok(());
    }
    trace.admission(route);
    let mut refusals = Refusals::default();
    let mut events = Events::default();
    ctx.launching = gateway::launch::asked(headers, ctx, route);
    let accept: &[Credential] = match ctx.launching {
        Some(_) => &[Credential::Jwt],
        None => &route.accept,
    };
    'credentials: for credential in accept {
        let mut seen = 0;
        loop {
            let outcome = authenticate(incoming, ctx, route, (*credential, seen), trace).await;
            trace.credential(*credential, &outcome);
            match outcome {
                Outcome::Nobody => break,
                Outcome::Refused(refusal) => {
                    refusals.invalid(refusal);
                    break;
                }
                Outcome::Person(who) => {
                    let Err(refusal) = authorize(ctx, route, Some(&who), &mut events, trace).await else {
                        ctx.who = Some(who);
                        ctx.events = events;
                        ctx.allowed = true;
                        gateway::watch::admitted(headers, ctx, route, *credential);
                        return Ok(());
                    };
                    if refusals.refused(who, refusal).is_break() {
                        break 'credentials;
                    }
                    // Of the passes for playlists another one may have the event.
                    let held = ctx.watch.pass.as_ref();
                    match held.filter(|held| !held.pass.settled.grants.is_empty()) {
                        Some(held) => seen = held.seen,
                        None => break,
                    }
                }
            }
        }
    }
    let nobody = match refusals.somebody() || ctx.launching.is_some() {
        true => Err(Reason::NotAllowed.into()),
        false => authorize(ctx, route, None, &mut events, trace).await,
    };
    match refusals.told(nobody, route) {
        Ok(()) => {
            ctx.allowed = true;
            Ok(())
        }
        Err((who, refusal)) => {
            ctx.who = who;
            ctx.events = events;
            Err(refusal)
        }
    }
}

/// Whose is the credential of this kind? So many passes were looked at before.
async fn authenticate<I: Incoming, T: Trace>(
    incoming: &I,
    ctx: &mut Context,
    route: &Route,
    (credential, seen): (Credential, usize),
    trace: &mut T,
) -> Outcome {
    // State that another credential has left behind does not count with this one.
    ctx.watch.pass = None;
    ctx.session = None;
    let headers = incoming.headers();
    match credential {
        Credential::Jwt => tokens(incoming, ctx, route, trace).await,
        Credential::Bearer => gateway::bearer::authenticate(incoming, ctx, route, trace).await,
        Credential::Session => {
            let found = gateway::endpoints::session(headers, ctx, route).await;
            trace.session(ctx, headers, &found);
            ctx.session = found.as_ref().ok().cloned().flatten();
            whose(found, |session| &session.identity)
        }
        Credential::Launch => {
            let found = gateway::endpoints::launch(headers, ctx, route).await;
            trace.launch(ctx, headers, &found);
            whose(found, |session| &session.identity)
        }
        Credential::Watch => {
            let (outcome, held) = gateway::watch::authenticate(headers, ctx, route, seen);
            trace.pass(ctx, &outcome, held.as_ref());
            ctx.watch.pass = held;
            outcome
        }
        Credential::SignedUrl => {
            let (outcome, looked) = gateway::signed_url::authenticate(ctx, route);
            trace.signed_url(ctx, looked);
            outcome
        }
        // Looked at before all others.
        Credential::Basic | Credential::Digest => Outcome::Nobody,
    }
}

fn whose<S>(found: Result<Option<Arc<S>>, Rejection>, identity: fn(&S) -> &Arc<Identity>) -> Outcome {
    match found {
        Ok(Some(found)) => Outcome::Person(Arc::clone(identity(&found))),
        Ok(None) => Outcome::Nobody,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

async fn tokens<I: Incoming, T: Trace>(incoming: &I, ctx: &Context, route: &Route, trace: &mut T) -> Outcome {
    let address = ctx.client.address;
    let (sources, query) = (&ctx.snapshot.token_sources, ctx.request.query.as_deref());
    let mut carried = match ctx.launching {
        Some(_) => carrier::in_query(sources, query),
        None => carrier::find(sources, incoming.headers(), query),
    };
    if route.accept.contains(&Credential::Bearer) {
        let asker = match ctx.dry_run {
            Some(_) => (None, None),
            None => (Some(address), incoming.recent().ok()),
        };
        carried = gateway::bearer::without_access_token(carried, ctx, incoming.headers(), asker);
    }
    let (tokens, issuers) = (&ctx.snapshot.tokens, route.config.issuers.as_deref());
    if let Some(dry_run) = &ctx.dry_run {
        if carried.iter().next().is_some() {
            let (rate, spent) = tokens.bad_signatures(address);
            trace.budget("jwt.bad_signatures", address_key(address).to_string(), rate, spent);
        }
        let payer = dry_run.budgets.map(|_| address);
        let (outcome, examined) = Box::pin(tokens.examine(&carried, issuers, payer, ctx.at)).await;
        trace.tokens(ctx, examined);
        return outcome;
    }
    match incoming.recent() {
        Ok(recent) => tokens.authenticate(&carried, issuers, address, recent, ctx.at).await,
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// The route's rules, with what they ask about events.
async fn authorize<T: Trace>(
    ctx: &Context,
    route: &Route,
    who: Option<&Identity>,
    events: &mut Events,
    trace: &mut T,
) -> Result<(), Rejection> {
    let case = Case::of(ctx, route);
    let decided = match (&ctx.watch.pass, &route.watch) {
        (Some(held), Some(watch)) if who.is_some() => {
            case.decide_by_pass((watch, &held.pass.settled), who, events).await
        }
        _ => case.decide(who, events).await,
    };
    trace.rules(route, &case.facts(who, events));
    decided
}
