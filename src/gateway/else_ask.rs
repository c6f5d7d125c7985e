//! `else_ask` between the session and [`crate::ask`]: when the upstream is asked, and what its answer makes of a refusal.

use http::{HeaderMap, Method};

use crate::ask::{Answer, Question};
use crate::context::Context;
use crate::rejection::{Hint, Reason, Rejection};
use crate::snapshot::Route;

/// Is the upstream asked about this refusal? Not after a `deny`, nor about a method that changes something: that a thing may be
/// read says nothing about writing it.
pub fn is_open(ctx: &Context, route: &Route, refusal: &Rejection) -> bool {
    route.else_ask.is_some()
        && ctx.launching.is_none()
        && matches!(ctx.request.method, Method::GET | Method::HEAD)
        && !matches!(refusal.reason, Reason::DeniedByRule | Reason::Internal)
}

/// The upstream decides about a request that the rules have not allowed.
pub async fn delegate(
    headers: &HeaderMap,
    ctx: &mut Context,
    route: &Route,
    refusal: Rejection,
) -> Result<(), Rejection> {
    let Some(ask) = &route.else_ask else {
        return Err(refusal);
    };
    let question = Question {
        request: &ctx.request,
        path: ctx.path.encoded(),
        headers,
        client: &ctx.client,
        request_id: ctx.request_id(),
    };
    match ask.ask(&question).await {
        Answer::Allowed => {
            ctx.allowed = true;
            Ok(())
        }
        Answer::Unauthorized(challenges) => {
            let refusal = match refusal.reason.is_challenge() {
                true => refusal,
                false => Reason::NoCredentials.into(),
            };
            Err(match challenges.is_empty() {
                true => refusal,
                false => refusal.with_hint(Hint::Challenge(challenges)),
            })
        }
        Answer::NotFound => Err(Rejection::because(
            Reason::FileNotFound,
            "said the upstream of else_ask",
        )),
        Answer::Silent => Err(refusal),
        Answer::Failed(rejection) => Err(rejection),
    }
}
