//! `else_ask` between the session and [`crate::ask`]: when somebody is asked, and what the answer makes of a refusal.

use http::Method;
use pingora::proxy::Session;

use crate::ask::{Answer, ElseAsk, Question};
use crate::context::Context;
use crate::rejection::{Hint, Reason, Rejection};
use crate::request::Request;
use crate::snapshot::Route;

/// Is there somebody to ask about this refusal? Not after a `deny`, nor about a method that changes something: that a
/// thing may be read says nothing about writing it.
pub fn is_open(ctx: &Context, route: &Route, refusal: &Rejection) -> bool {
    let request = ctx.request.as_ref();
    request.is_some_and(|request| !ctx.launching && is_open_for(request, route, refusal))
}

/// The same for any request.
pub fn is_open_for(request: &Request, route: &Route, refusal: &Rejection) -> bool {
    route.else_ask.is_some()
        && matches!(request.method, Method::GET | Method::HEAD)
        && !matches!(refusal.reason, Reason::DeniedByRule | Reason::Internal)
}

/// The last word about a request that the rules did not let pass.
pub async fn otherwise(
    session: &Session,
    ctx: &mut Context,
    route: &Route,
    refusal: Rejection,
) -> Result<(), Rejection> {
    let parts = ctx.request.as_ref().zip(ctx.path.as_ref()).zip(ctx.client.as_ref());
    let (Some(ask), Some(((request, path), client))) = (&route.else_ask, parts) else {
        return Err(refusal);
    };
    let question = Question {
        request,
        path: path.encoded(),
        headers: &session.req_header().headers,
        client,
        request_id: ctx.id.as_str(),
    };
    ask_about(ask, &question, refusal).await?;
    ctx.allowed = true;
    Ok(())
}

/// Asks, and says what the answer makes of the refusal.
pub async fn ask_about(ask: &ElseAsk, question: &Question<'_>, refusal: Rejection) -> Result<(), Rejection> {
    match ask.ask(question).await {
        Answer::Allowed => Ok(()),
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
