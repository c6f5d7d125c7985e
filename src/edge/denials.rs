//! Tells of a refusal by the rules: who held what, and what would have let them pass. Nothing is done for a request
//! that was allowed, or refused for anything else.

use std::time::SystemTime;

use super::rules::Case;
use crate::authorize::explain;
use crate::context::Context;
use crate::observe::denials::{Denials, Denied, MOST};

/// At the end of a request.
pub fn tell(denials: &Denials, ctx: &Context) {
    if ctx.allowed || !denials.is_enabled() {
        return;
    }
    // What has a detail was refused for it, beside the rules.
    let refusal = ctx.rejection.as_ref().filter(|refusal| refusal.detail.is_none());
    let Some(reason) = refusal
        .map(|refusal| refusal.reason)
        .filter(|reason| reason.is_by_rules())
    else {
        return;
    };
    let parts = ctx.request.as_ref().zip(ctx.path.as_ref()).zip(ctx.client.as_ref());
    let (Some(route), Some(((request, path), client))) = (&ctx.route, parts) else {
        return;
    };
    let who = ctx.who.as_deref();
    let case = Case {
        snapshot: &ctx.snapshot,
        route,
        request,
        client,
        params: &ctx.params,
    };
    let facts = case.facts(who, &ctx.events);
    let denied_by = explain::holding(&route.deny, &facts, MOST);
    let denied = Denied {
        time: SystemTime::now(),
        request_id: ctx.id.as_str(),
        client: client.address,
        method: &request.method,
        path: path.encoded(),
        route: &route.name,
        reason,
        source: who.map(|who| &*who.source),
        subject: who.and_then(|who| who.subject.as_deref()),
        roles: who.map_or(&[], |who| &who.roles),
        grants: who.map_or_else(Vec::new, |who| {
            who.grants.iter().take(MOST + 1).map(explain::grant).collect()
        }),
        would_allow: match denied_by.is_empty() {
            true => explain::in_question(&route.allow, &facts, MOST),
            false => Vec::new(),
        },
        denied_by,
    };
    denials.add(&denied, ctx.started);
}
