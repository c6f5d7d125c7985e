//! A call that gets a token, between pingora's session and [`crate::moodle::call`].

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use pingora::proxy::Session;

use super::super::limits::count_body;
use super::super::{Stop, body, parts, upstream};
use super::back::go_back;
use super::nobody;
use crate::authenticate::session::Session as SignedIn;
use crate::context::Context;
use crate::identity::Identity;
use crate::moodle::Moodle;
use crate::moodle::answer;
use crate::moodle::call::{Call, Client, NO_FUNCTION, Progress};
use crate::moodle::caller::Caller;
use crate::moodle::request::Refusal;
use crate::moodle::request::endpoint::Endpoint;
use crate::moodle::request::functions::Permit;
use crate::moodle::request::inject::{self, Head, Plan};
use crate::present;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::Route;

/// Carries out a call on a route with `present = "moodle-token"`.
pub async fn serve(session: &mut Session, ctx: &mut Context, route: &Route, moodle: &Arc<Moodle>) -> Result<(), Stop> {
    let (of_session, who) = (ctx.session.clone(), ctx.who.clone());
    let person = person((of_session.as_deref(), who.as_deref()), moodle)?;
    let (plan, path) = judge(session, ctx, route, (moodle, person.identity()))?;
    let request_id = ctx.id;
    let mut call = Call {
        moodle,
        person,
        request_id: request_id.as_str(),
        plan,
        method: ctx.request.method.clone(),
        path,
        headers: headers(session, ctx)?,
        length: session.req_header().headers.get(header::CONTENT_LENGTH).cloned(),
        progress: Progress::default(),
    };
    let outcome = call.carry_out(&mut Incoming { session, ctx }).await;
    let (endpoint, group) = (call.plan.endpoint(), call.group());
    ctx.upstream.chosen = call.progress.chosen.take();
    ctx.upstream.since = call.progress.since;
    ctx.upstream.answered_after = call.progress.answered_after;
    let count = |outcome| {
        let metrics = moodle.tokens().metrics();
        metrics.called(&moodle.config.name, endpoint.label(), group, outcome);
    };
    match outcome {
        Ok((answer, token)) => {
            count("ok");
            let redacts = endpoint != Endpoint::File || answer::is_error_of_file(answer.status, &answer.headers);
            go_back(session, ctx, answer, moodle, &token, redacts).await
        }
        Err(Stop::Refused(refusal)) => {
            count(refusal.reason.label());
            nobody::instead(session, ctx, (moodle, person), refusal).await
        }
        Err(lost) => Err(lost),
    }
}

/// Whose token goes with the call: the person of the session, or whoever the access token speaks for.
pub fn person<'a>(
    (session, who): (Option<&'a SignedIn>, Option<&'a Identity>),
    moodle: &Moodle,
) -> Result<Caller<'a>, Rejection> {
    let by_token = || who.filter(|who| who.access.is_some()).map(Caller::Token);
    let caller = session.map(Caller::Session).or_else(by_token);
    let caller = caller.filter(|caller| moodle.is_of(caller.identity()));
    caller.ok_or_else(|| Rejection::because(Reason::NoMoodleToken, "nobody of the people of moodle.sign_in"))
}

/// What is to be done with the request, by its head; and its path at the server.
fn judge(
    session: &Session,
    ctx: &Context,
    route: &Route,
    (moodle, who): (&Moodle, &Identity),
) -> Result<(Plan, String), Rejection> {
    let plan = plan(moodle, route, ctx, who, &session.req_header().headers);
    if let Err(refusal) = &plan {
        let (metrics, name) = (moodle.tokens().metrics(), &moodle.config.name);
        metrics.called(name, NO_FUNCTION, NO_FUNCTION, refusal.reason.label());
    }
    let (encoded, _) = ctx.path.stripped(&route.config.strip);
    Ok((plan?, encoded.into_owned()))
}

/// What is to be done with a request, by its head alone.
pub fn plan(
    moodle: &Moodle,
    route: &Route,
    ctx: &Context,
    who: &Identity,
    headers: &HeaderMap,
) -> Result<Plan, Rejection> {
    let (_, decoded) = ctx.path.stripped(&route.config.strip);
    let permit = Permit::new(route.config.functions.as_deref(), &who.roles, &ctx.params);
    let target = parts::target_on(ctx, route);
    let head = Head {
        path: moodle.below(&decoded).ok_or(Refusal::Endpoint)?,
        method: &ctx.request.method,
        query: target.split_once('?').map(|(_, query)| query),
        headers,
    };
    Ok(inject::plan(&head, permit)?)
}

/// The client's headers as an upstream gets them; what frames the body is set when it is sent.
pub(super) fn headers(session: &Session, ctx: &Context) -> Result<HeaderMap, Stop> {
    let mut headers = session.req_header().headers.clone();
    let changes = present::changes(&upstream::shown(session, ctx)?);
    changes.apply(&mut headers).map_err(|_| Reason::HeadersTooLarge)?;
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT] {
        headers.remove(name);
    }
    Ok(headers)
}

/// A request whose body is read piece by piece.
struct Incoming<'a> {
    session: &'a mut Session,
    ctx: &'a mut Context,
}

impl Client for Incoming<'_> {
    type Lost = Stop;

    async fn next(&mut self) -> Result<Option<Bytes>, Stop> {
        let piece = body::next(self.session).await?;
        match count_body(self.ctx, piece.as_ref()) {
            Ok(()) => Ok(piece),
            Err(_) => Err(self.ctx.rejection.take().unwrap_or(Reason::BodyTooLarge.into()).into()),
        }
    }
}
