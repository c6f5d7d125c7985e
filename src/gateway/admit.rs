//! Who is it, and may they? The credentials of a request one after the other, each with the route's rules.

use std::time::SystemTime;

use pingora::prelude::Result;
use pingora::proxy::Session;

use super::Gateway;
use crate::authenticate::token::{Outcome, carrier};
use crate::config::Credential;
use crate::context::Context;
use crate::edge;
use crate::edge::parts::Refusals;
use crate::edge::rules::Case;
use crate::event::Events;
use crate::identity::Identity;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::Route;

impl Gateway {
    /// The first of the route's credentials that is valid and that its rules let pass.
    pub(super) async fn admit(
        &self,
        session: &Session,
        ctx: &mut Context,
        route: &Route,
        now: SystemTime,
    ) -> Result<(), Rejection> {
        if ctx.own_token {
            ctx.who = None;
            ctx.session = None;
            edge::moodle::own::decide(ctx, route)?;
            ctx.allowed = true;
            return Ok(());
        }
        let mut refusals = Refusals::default();
        let mut events = Events::default();
        ctx.launching = edge::launch::is_asked(session, ctx, route);
        let accept: &[Credential] = match ctx.launching {
            true => &[Credential::Jwt],
            false => &route.accept,
        };
        for credential in accept {
            match self.authenticate(session, ctx, route, *credential, now).await {
                Outcome::Nobody => {}
                Outcome::Refused(refusal) => refusals.invalid(refusal),
                Outcome::Person(who) => {
                    let decided = self.authorize(ctx, route, Some(&who), &mut events).await;
                    let Err(refusal) = decided else {
                        ctx.who = Some(who);
                        ctx.events = events;
                        ctx.allowed = true;
                        edge::watch::admitted(session, ctx, route, *credential, now);
                        return Ok(());
                    };
                    if refusals.refused(who, refusal).is_break() {
                        break;
                    }
                }
            }
        }
        let nobody = match refusals.somebody() || ctx.launching {
            true => Err(Reason::NotAllowed.into()),
            false => self.authorize(ctx, route, None, &mut events).await,
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

    /// authenticate: whose is the credential of this kind?
    async fn authenticate(
        &self,
        session: &Session,
        ctx: &mut Context,
        route: &Route,
        credential: Credential,
        now: SystemTime,
    ) -> Outcome {
        // What another credential has left behind does not count with this one.
        ctx.watch.pass = None;
        ctx.session = None;
        let (Some(client), Some(request)) = (&ctx.client, &ctx.request) else {
            return Outcome::Nobody;
        };
        let headers = &session.req_header().headers;
        match credential {
            Credential::Jwt => {
                let (sources, query) = (&ctx.snapshot.token_sources, request.query.as_deref());
                let carried = match ctx.launching {
                    true => carrier::in_query(sources, query),
                    false => carrier::find(sources, headers, query),
                };
                let (tokens, issuers) = (&ctx.snapshot.tokens, route.config.issuers.as_deref());
                match edge::recent(session) {
                    Ok(recent) => {
                        tokens
                            .authenticate(&carried, issuers, client.address, recent, now)
                            .await
                    }
                    Err(refusal) => Outcome::Refused(refusal),
                }
            }
            Credential::Session => edge::own::session(session, ctx, route, now).await,
            Credential::Launch => edge::own::launch(session, ctx, route, now).await,
            Credential::Watch => edge::watch::authenticate(session, ctx, route, now),
        }
    }

    /// authorize: the route's rules, with what they ask about events.
    async fn authorize(
        &self,
        ctx: &Context,
        route: &Route,
        who: Option<&Identity>,
        events: &mut Events,
    ) -> Result<(), Rejection> {
        let (Some(request), Some(client)) = (&ctx.request, &ctx.client) else {
            return Err(Reason::Internal.into());
        };
        let case = Case {
            snapshot: &ctx.snapshot,
            route,
            request,
            client,
            params: &ctx.params,
        };
        match (&ctx.watch.pass, &route.watch) {
            (Some(held), Some(watch)) if who.is_some() => {
                let decided = watch.rules.decide(&held.pass.settled, &case.facts(who, events));
                decided.map_err(Into::into)
            }
            _ => case.decide(who, events).await,
        }
    }
}
