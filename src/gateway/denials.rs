//! Tells of a refusal by the rules: who held what, and what would have let them pass. Nothing is done for a request
//! that was allowed, or refused for anything else.

use std::time::SystemTime;

use super::rules::Case;
use crate::authorize::explain;
use crate::context::Context;
use crate::observe::denials::{Denials, Denied, MAX_LISTED};

/// At the end of a request.
pub fn tell(denials: &Denials, ctx: &Context) {
    if ctx.allowed || !denials.is_enabled() {
        return;
    }
    // What has a detail was refused for it, beside the rules; unless they are those of a page behind a form.
    let target = ctx.target.as_deref();
    let refusal = ctx.rejection.as_ref();
    let refusal = refusal.filter(|refusal| refusal.detail.is_none() || target.is_some());
    let Some(reason) = refusal
        .map(|refusal| refusal.reason)
        .filter(|reason| reason.is_by_rules())
    else {
        return;
    };
    let judged = match target {
        Some(target) => Some((
            &target.route,
            &target.request,
            &target.path,
            &target.params,
            &target.events,
        )),
        None => ctx
            .route
            .as_ref()
            .map(|route| (route, &ctx.request, &ctx.path, &ctx.params, &ctx.events)),
    };
    let Some((route, request, path, params, events)) = judged else {
        return;
    };
    let who = ctx.who.as_deref();
    let case = Case {
        request,
        path,
        params,
        ..Case::of(ctx, route)
    };
    let facts = case.facts(who, events);
    let denied_by = explain::holding(&route.config.deny, &facts, MAX_LISTED);
    let denied = Denied {
        time: SystemTime::now(),
        request_id: ctx.id.as_str(),
        client: ctx.client.address,
        method: &request.method,
        path: path.encoded(),
        route: &route.config.name,
        reason,
        source: who.map(|who| &*who.source),
        subject: who.and_then(|who| who.subject.as_deref()),
        roles: who.map_or(&[], |who| &who.roles),
        grants: who.map_or_else(Vec::new, |who| {
            who.grants.iter().take(MAX_LISTED + 1).map(explain::grant).collect()
        }),
        would_allow: match denied_by.is_empty() {
            true => explain::in_question(&route.config.allow, &facts, MAX_LISTED),
            false => Vec::new(),
        },
        denied_by,
    };
    denials.add(&denied, ctx.started);
}
