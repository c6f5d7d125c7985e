//! Launches between pingora's session and [`crate::own::launch`]: the token in a page's address, which the steps of the
//! gateway judge like any other, and the form, whose token is judged by the rules at its target.

use std::sync::Arc;

use http::{HeaderMap, Method};
use pingora::proxy::Session;

use super::rules::Case;
use super::{Stop, complete, endpoints as own_pages};
use crate::authenticate::launch::NewLaunch;
use crate::authenticate::token::carrier::Carried;
use crate::authenticate::token::{Outcome, Recent};
use crate::config::{Credential, Launch};
use crate::context::{self, Context};
use crate::event::Events;
use crate::identity::Identity;
use crate::own::launch::{asked as launch_asked, form, without_token};
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::snapshot::{Action, Route};

/// Does a browser open this page with a token in the query? Then that token alone counts. A proxy that asks for a decision
/// can begin nothing.
pub fn asked(headers: &HeaderMap, ctx: &Context, route: &Route) -> Option<Launch> {
    if ctx.only_decide {
        return None;
    }
    let sources = &ctx.snapshot.token_sources;
    launch_asked(&route.config, &ctx.request, headers, sources)
}

/// The rules allow a browser with a token in the query: it gets a launch session and goes on without the token.
pub async fn begin(
    headers: &HeaderMap,
    ctx: &Context,
    route: &Route,
    granted: (&Identity, Launch),
) -> Result<Reply, Rejection> {
    let begun = begun(headers, ctx, route, granted).await;
    match &begun {
        Ok(_) => ctx.snapshot.people.metrics.launched(&route.config.name, "ok"),
        Err(refusal) => failed(ctx, refusal),
    }
    begun
}

async fn begun(
    headers: &HeaderMap,
    ctx: &Context,
    route: &Route,
    (who, launch): (&Identity, Launch),
) -> Result<Reply, Rejection> {
    let sources = &ctx.snapshot.token_sources;
    let new = NewLaunch {
        who,
        client: ctx.client.address,
        route: &route.config.name,
        said: None,
        launch,
        config: &ctx.snapshot.config,
    };
    let location = without_token(&ctx.request, &ctx.path, sources);
    let reply = own_pages::here(ctx)?.launched(new, &location, headers).await?;
    Ok(complete(ctx, headers, reply))
}

/// A launch that was refused is counted.
pub fn failed(ctx: &Context, refusal: &Rejection) {
    if let Some(route) = ctx
        .route
        .as_ref()
        .filter(|_| ctx.launching.is_some() && ctx.dry_run.is_none())
    {
        let metrics = &ctx.snapshot.people.metrics;
        metrics.launched(&route.config.name, refusal.reason.label());
    }
}

/// The answer to a form that a learning platform has posted.
pub async fn by_form(session: &mut Session, ctx: &mut Context, route: &Route, life: Launch) -> Result<Reply, Stop> {
    let answered = posted(session, ctx, route, life).await;
    match &answered {
        Ok(_) => ctx.snapshot.people.metrics.launched(&route.config.name, "ok"),
        Err(Stop::Refused(refusal)) => {
            ctx.allowed = false;
            let metrics = &ctx.snapshot.people.metrics;
            metrics.launched(&route.config.name, refusal.reason.label());
        }
        Err(Stop::Lost(_)) => {}
    }
    answered
}

async fn posted(session: &mut Session, ctx: &mut Context, route: &Route, life: Launch) -> Result<Reply, Stop> {
    form::is_form(&session.req_header().headers)?;
    let body = own_pages::body(session).await?;
    let headers = &session.req_header().headers;
    let sources = &ctx.snapshot.token_sources;
    let posted = form::read(&body, sources)?;
    let here = own_pages::here(ctx)?;
    let target = form::target(&posted.target, &here.public.origin(), &ctx.request, sources)?;
    let table = &ctx.snapshot.table;
    let found = table.find(&target.request.host, target.path.decoded(), &Method::GET);
    let found = found.map_err(Rejection::from)?;
    let leads_to = ctx.snapshot.routes.get(found.route).ok_or(Reason::NoRoute)?;
    leads_to.take_params(target.path.has_params())?;
    if !leads_to.config.accept.contains(&Credential::Launch)
        || matches!(leads_to.action, Action::Launch(_) | Action::Decide(_))
    {
        let detail = format!(
            "the route of the target, `{}`, takes no launch sessions",
            leads_to.config.name
        );
        return Err(Rejection::because(Reason::NotAllowed, detail).into());
    }
    let carried = Carried::of_form(posted.tokens);
    let tokens = &ctx.snapshot.tokens;
    let (issuers, recent) = (leads_to.config.issuers.as_deref(), Recent::default());
    let judged = tokens.authenticate(&carried, issuers, ctx.client.address, &recent, ctx.at);
    let who = match judged.await {
        Outcome::Person(who) => who,
        Outcome::Refused(refusal) => return Err(at_target(refusal, &leads_to.config.name).into()),
        Outcome::Nobody => return Err(Reason::NoCredentials.into()),
    };
    let case = Case {
        request: &target.request,
        path: &target.path,
        params: &found.params,
        ..Case::of(ctx, leads_to)
    };
    let mut events = Events::default();
    let decided = case.decide(Some(&who), &mut events).await;
    let new = NewLaunch {
        who: &who,
        client: ctx.client.address,
        route: &route.config.name,
        said: None,
        launch: life,
        config: &ctx.snapshot.config,
    };
    let launched = match decided {
        Ok(()) => here.launched(new, &target.location, headers).await,
        Err(refusal) => {
            let refusal = at_target(refusal, &leads_to.config.name);
            ctx.target = Some(Box::new(context::Target {
                route: Arc::clone(leads_to),
                request: target.request,
                path: target.path,
                params: found.params,
                events,
            }));
            Err(refusal)
        }
    };
    ctx.who = Some(who);
    Ok(complete(ctx, &session.req_header().headers, launched?))
}

/// The log tells whose rules have refused: the address in it is the form's.
fn at_target(refusal: Rejection, route: &str) -> Rejection {
    let mut detail = format!("by the target's route `{route}`");
    if let Some(more) = &refusal.detail {
        detail.extend([": ", more]);
    }
    Rejection {
        detail: Some(detail),
        ..refusal
    }
}
