//! A call that gets a token, between pingora's session and [`crate::moodle::call`].

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};
use pingora::proxy::Session;

use super::super::limits::{count_body, retry_after};
use super::super::trace::Trace;
use super::super::{Stop, body, parts, upstream};
use super::back::go_back;
use super::nobody;
use crate::authenticate::bearer;
use crate::authenticate::session::Session as SignedIn;
use crate::context::Context;
use crate::identity::Identity;
use crate::moodle::Moodle;
use crate::moodle::answer;
use crate::moodle::call::{Call, Client, NO_FUNCTION, Progress};
use crate::moodle::caller::Caller;
use crate::moodle::request::Refusal;
use crate::moodle::request::endpoint::Endpoint;
use crate::moodle::request::functions::{Permit, Told};
use crate::moodle::request::inject::{self, Head, Plan};
use crate::moodle::request::params;
use crate::present;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::Route;

/// Carries out a call on a route with `present = "moodle-token"`.
pub async fn serve(session: &mut Session, ctx: &mut Context, route: &Route, moodle: &Arc<Moodle>) -> Result<(), Stop> {
    let (of_session, who) = (ctx.session.clone(), ctx.who.clone());
    let token = access_token(&session.req_header().headers, moodle).map(str::to_owned);
    let person = caller((of_session.as_deref(), who.as_deref(), token.as_deref()), moodle)?;
    let (plan, path) = judge(session, ctx, route, (moodle, person.identity()))?;
    let request_id = ctx.id;
    let counts_for = parts::rate_key(Some(person.identity()), &ctx.client);
    let mut call = Call {
        moodle,
        person,
        request_id: request_id.as_str(),
        counts_for: &counts_for,
        plan,
        method: ctx.request.method.clone(),
        path,
        headers: headers(session, ctx)?,
        length: session.req_header().headers.get(header::CONTENT_LENGTH).cloned(),
        progress: Progress::default(),
    };
    let outcome = call.carry_out(&mut Incoming { session, ctx }).await;
    let (endpoint, counted) = (call.plan.endpoint(), call.counted());
    ctx.upstream.chosen = call.progress.chosen.take();
    ctx.upstream.since = call.progress.since;
    ctx.upstream.answered_after = call.progress.answered_after;
    let count = |outcome| {
        let metrics = moodle.tokens().metrics();
        metrics.called(&moodle.config.name, endpoint.label(), counted.group, outcome);
        if moodle.config.function_metrics && endpoint == Endpoint::Rest {
            metrics.called_function(&moodle.config.name, counted.function, outcome);
        }
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

/// Whose token goes with the call: the person of the session, or whoever the access token speaks for, which is `text`.
pub fn person<'a>(ctx: &'a Context, text: Option<&'a str>, moodle: &Moodle) -> Result<Caller<'a>, Rejection> {
    caller((ctx.session.as_deref(), ctx.who.as_deref(), text), moodle)
}

/// The access token of a request, where this Moodle's page is shown it.
pub fn access_token<'a>(headers: &'a HeaderMap, moodle: &Moodle) -> Option<&'a str> {
    let forwards = moodle.forwards_bearer_token();
    bearer::carried(headers).ok().flatten().filter(|_| forwards)
}

fn caller<'a>(
    (session, who, text): (Option<&'a SignedIn>, Option<&'a Identity>, Option<&'a str>),
    moodle: &Moodle,
) -> Result<Caller<'a>, Rejection> {
    let by_token = || {
        let identity = who.filter(|who| who.access.is_some())?;
        Some(Caller::Token { identity, text })
    };
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

/// `moodle.<name>.calls`: takes one call of the person's. What a batch is besides, it takes when it is read.
pub fn limit<T: Trace>(route: &Route, ctx: &Context, trace: &mut T) -> Result<(), Rejection> {
    let moodle = route.injects().filter(|_| !ctx.own_token && !ctx.only_decide);
    let Some((moodle, rate)) = moodle.and_then(|moodle| Some((moodle, moodle.calls.as_ref()?))) else {
        return Ok(());
    };
    let (_, decoded) = ctx.path.stripped(&route.config.strip);
    let endpoint = moodle.below(&decoded).and_then(|path| Endpoint::of(path).ok());
    let (Some(endpoint @ (Endpoint::Rest | Endpoint::Upload)), Ok(person)) = (endpoint, person(ctx, None, moodle))
    else {
        return Ok(());
    };
    let (name, key) = (
        &moodle.config.name,
        parts::rate_key(Some(person.identity()), &ctx.client),
    );
    let refusal = || {
        Rejection::because(
            Reason::RateLimited,
            format!("moodle.{name}.calls of this person are used up"),
        )
    };
    if let Some(dry_run) = &ctx.dry_run {
        let spent = dry_run.budgets.is_some_and(|instant| !rate.peek(&key, instant));
        trace.budget(&format!("moodle.{name}.calls"), key, rate.rate(), spent);
        return if spent { Err(refusal()) } else { Ok(()) };
    }
    rate.take(key, ctx.started).map_err(|wait| {
        let (metrics, reason) = (moodle.tokens().metrics(), Reason::RateLimited.label());
        metrics.called(name, endpoint.label(), NO_FUNCTION, reason);
        refusal().with_hint(retry_after(wait))
    })
}

/// What the route's `functions` say to a holder of `roles` of each function that the query names.
pub fn tell_functions(moodle: &Moodle, route: &Route, ctx: &Context, roles: &[String]) -> Vec<Told> {
    let (_, decoded) = ctx.path.stripped(&route.config.strip);
    let endpoint = moodle.below(&decoded).and_then(|path| Endpoint::of(path).ok());
    let permit = Permit::new(route.config.functions.as_deref(), roles, &ctx.params);
    match endpoint {
        Some(Endpoint::Rest) => {}
        Some(Endpoint::Upload) => return permit.tell_upload().into_iter().collect(),
        Some(Endpoint::File) | None => return Vec::new(),
    }
    let target = parts::target_on(ctx, route);
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let Ok(called) = params::scan_query(query) else {
        return Vec::new();
    };
    let outer = called.function.iter().map(|function| permit.tell(function));
    let inner = called.wrapped.iter().map(|function| permit.tell_wrapped(function));
    outer.chain(inner).collect()
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
