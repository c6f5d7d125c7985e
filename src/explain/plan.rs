//! What a decision would lead to, as far as that can be known without doing it. Nothing is used up: no ticket is judged,
//! nobody is signed out, no token is obtained; what other servers would say is not known here.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use super::view::upstream_headers;
use super::{Action, CalledFunction, MoodleTokens, Report, TokenSource};
use crate::act::file::{self, FileRequest};
use crate::act::playlist;
use crate::act::s3::OWN_REQUESTS;
use crate::config::MoodleSource;
use crate::context::Context;
use crate::gateway::decide::Decision;
use crate::gateway::moodle::{self as calls, Intercept};
use crate::gateway::{self, parts};
use crate::moodle::Moodle;
use crate::moodle::request::inject::Changes;
use crate::moodle::token::Token;
use crate::moodle::tokens::cas_facade::Facade;
use crate::moodle::tokens::source::Availability;
use crate::own;
use crate::own::moodle::provider::{NOT_ITS, Returned, stale};
use crate::present;
use crate::rejection::{Reason, Rejection};
use crate::sign_in::begin::page_load;
use crate::snapshot::{self, Route};

/// Tells of what would be done. Gives the status of the answer, where the gateway says it and it is known before.
pub(super) async fn tell(
    decision: Decision,
    headers: &HeaderMap,
    ctx: &mut Context,
    report: &mut Report,
) -> Result<Option<StatusCode>, Rejection> {
    let (action, status) = match decision {
        Decision::Serve(route) => return serve(&route, headers, ctx, report).await,
        Decision::Intercept(Intercept::Returned(moodle, Returned::Stale)) => return Err(stale(&moodle, NOT_ITS)),
        Decision::Intercept(intercept) => {
            ctx.allowed = true;
            let (what, status) = beside(&intercept);
            (Action::Aside { what: what.to_owned() }, status)
        }
        Decision::Through(moodle, known) => {
            if let Some(refusal) = calls::launch::refusal(&moodle, &known) {
                return Err(refusal);
            }
            ctx.allowed = true;
            let what = "Moodle is asked for a token in the place of the browser that was sent there";
            (Action::Aside { what: what.to_owned() }, None)
        }
        Decision::Own => {
            let status = own_answer(headers, ctx).await?;
            ctx.allowed = true;
            (Action::Own, status)
        }
        Decision::Metadata(reply) => {
            ctx.allowed = true;
            (Action::Own, Some(reply.status))
        }
        Decision::Preflight(reply) => (Action::Preflight, Some(reply.status)),
        Decision::SignIn(reply, refusal) => {
            report.because(refusal.as_ref());
            (Action::SignIn, Some(reply.status))
        }
        Decision::Launch(..) => (Action::Launch, Some(StatusCode::SEE_OTHER)),
        Decision::Allowed => (Action::Decision, Some(StatusCode::NO_CONTENT)),
    };
    report.action = Some(action);
    Ok(status)
}

fn beside(intercept: &Intercept) -> (&'static str, Option<StatusCode>) {
    match intercept {
        Intercept::Facade(asked) => match asked.question {
            Facade::Asked(_) => (
                "a ticket of the gateway's own, which is good once",
                Some(StatusCode::OK),
            ),
            Facade::Browser(_) if asked.has_server => {
                ("the browser is sent on to the CAS server", Some(StatusCode::FOUND))
            }
            Facade::Browser(_) => ("the browser signs in or out here, for Moodle", None),
            _ if asked.has_server => ("the CAS server is asked, and its answer passed on", None),
            _ => ("a ticket that nobody has made is refused", Some(StatusCode::OK)),
        },
        Intercept::Foreign(_) => (
            "a ticket that was made for somebody else's browser is taken off",
            Some(StatusCode::SEE_OTHER),
        ),
        Intercept::LogOut(..) => ("the session of this ticket ends", Some(StatusCode::OK)),
        Intercept::Returned(..) => ("a token is obtained by the code that the browser was sent for", None),
        Intercept::Landing(..) => ("a token is obtained by the ticket that the browser was sent for", None),
    }
}

/// Below `/_janua/`: told where answering changes nothing.
async fn own_answer(headers: &HeaderMap, ctx: &Context) -> Result<Option<StatusCode>, Rejection> {
    let asked = gateway::endpoints::asked(headers, ctx, Bytes::new())?;
    Ok(match own::is_harmless(asked.method, asked.path) {
        true => Some(
            own::answer(&asked, &ctx.snapshot.moodles, &ctx.snapshot.platforms)
                .await?
                .status,
        ),
        false => None,
    })
}

async fn serve(
    route: &Route,
    headers: &HeaderMap,
    ctx: &mut Context,
    report: &mut Report,
) -> Result<Option<StatusCode>, Rejection> {
    let (action, status) = match &route.action {
        snapshot::Action::Files(root) => {
            let (_, below) = ctx.path.stripped(&route.config.strip);
            report.action = Some(Action::File {
                path: below.clone().into_owned(),
            });
            let asked = FileRequest {
                method: &ctx.request.method,
                headers,
                download: false,
                private: !route.anonymous,
                client: ctx.client.address,
            };
            let answer = file::answer(root, &below, asked, ctx.at).await?;
            // A playlist with passes in it has an entity tag of its own, which conditions are about.
            let may_differ = route.watch.is_some() && playlist::Kind::of_path(&below).is_some();
            let is_conditional = headers.keys().any(|name| name.as_str().starts_with("if-"));
            return Ok((!may_differ || !is_conditional).then_some(answer.status));
        }
        snapshot::Action::Accel(prefix) => {
            let (encoded, below) = ctx.path.stripped(&route.config.strip);
            if file::is_hidden(&below, route.config.well_known) {
                return Err(Reason::FileNotFound.into());
            }
            let name = format!("{prefix}{encoded}");
            (Action::Accel { name }, Some(StatusCode::OK))
        }
        snapshot::Action::Decide(_) => return Err(Reason::NoRoute.into()),
        snapshot::Action::Launch(_) => {
            if let Err(refusal) = own::launch::form::is_form(headers) {
                ctx.allowed = false;
                return Err(refusal);
            }
            (Action::Launch, None)
        }
        snapshot::Action::Reply(fixed) => (Action::Reply, Some(fixed.status)),
        snapshot::Action::Presigned(upstream) => (
            Action::Reply,
            Some(gateway::s3::redirect(headers, ctx, route, upstream)?.status),
        ),
        snapshot::Action::SignedRedirect => (
            Action::Reply,
            Some(gateway::signed_url::redirect(headers, ctx, route)?.status),
        ),
        snapshot::Action::OwnKeys => (
            Action::Reply,
            Some(gateway::opencast::own_keys(&ctx.snapshot, headers)?.status),
        ),
        snapshot::Action::KeySet(set) => (Action::Reply, Some(set.answer(headers).status)),
        snapshot::Action::Upstream(upstream) if upstream.s3.is_some() => {
            let s3 = upstream.s3.as_ref().ok_or(Reason::Internal)?;
            let address = gateway::s3::address(ctx, route, s3, OWN_REQUESTS)?;
            let shown = gateway::s3::shown(headers).map(|(name, value)| (name.clone(), value.clone()));
            let action = Action::Upstream {
                name: upstream.name.to_string(),
                method: ctx.request.method.to_string(),
                target: format!("{}?X-Amz-Signature=***", gateway::s3::told(&address)),
                headers: upstream_headers(&shown.collect(), []),
            };
            (action, None)
        }
        snapshot::Action::Upstream(upstream) => {
            let call = match call(route, headers, ctx, report).await? {
                Call::ToSignIn(status) => return Ok(Some(status)),
                Call::With(changes) => Some(changes),
                Call::AsItCame => None,
            };
            let who = ctx.who.as_deref();
            let authorization = gateway::opencast::authorization(route, who, ctx.at)?;
            let ours = parts::carries_ours(ctx, route, headers, None);
            let mut changes = present::changes(&parts::shown_on(ctx, route, headers, ours));
            changes
                .set
                .extend(authorization.map(|value| (header::AUTHORIZATION, value)));
            let mut target = parts::target_on(ctx, route);
            let mut method = &ctx.request.method;
            if let Some(call) = &call {
                method = &call.method;
                target = with_query(&target, call.query.as_deref());
            }
            let action = Action::Upstream {
                name: upstream.name.to_string(),
                method: method.to_string(),
                target,
                headers: upstream_headers(headers, [changes].into_iter().chain(call.map(|call| call.head))),
            };
            (action, None)
        }
    };
    report.action = Some(action);
    Ok(status)
}

/// What becomes of a call of Moodle's web services.
enum Call {
    /// A browser is sent for a ticket first.
    ToSignIn(StatusCode),
    With(Changes),
    /// It is none, or brings its own token.
    AsItCame,
}

/// A token that is none stands in the place of the one that would be obtained.
async fn call(route: &Route, headers: &HeaderMap, ctx: &Context, report: &mut Report) -> Result<Call, Rejection> {
    let Some(moodle) = route.injects().filter(|_| !ctx.own_token) else {
        return Ok(Call::AsItCame);
    };
    let caller = calls::person(ctx, calls::access_token(headers, moodle), moodle)?;
    let plan = calls::plan(moodle, route, ctx, caller.identity(), headers)?;
    let tokens = moodle.token_plan(caller, ctx.at).await?;
    report.moodle = Some(MoodleTokens {
        username: Some(tokens.username.clone()),
        kept: Some(tokens.kept),
        sources: sources(&tokens.sources, tokens.source()),
        ..named(moodle)
    });
    let Some(refusal) = tokens.refusal else {
        return Ok(Call::With(plan.changes(&Token::stand_in())));
    };
    let visit = gateway::endpoints::visit(headers, ctx)?;
    if let Some(session) = caller.session()
        && refusal.reason == Reason::MoodleSignInRequired
        && page_load(&visit.request.method, headers)
    {
        let reply = own::moodle::begin(&visit.here, moodle, session, &visit.target())?;
        report.because(Some(&refusal));
        report.action = Some(Action::SignIn);
        return Ok(Call::ToSignIn(reply.status));
    }
    Err(refusal)
}

/// What the route's `functions` say of a call, whatever has become of it. Where nobody is known, no role is held.
pub(super) fn functions(ctx: &Context) -> Vec<CalledFunction> {
    let route = ctx.route.as_deref().filter(|_| !ctx.own_token);
    let Some((route, moodle)) = route.and_then(|route| Some((route, route.injects()?))) else {
        return Vec::new();
    };
    let person = calls::person(ctx, None, moodle).ok();
    let roles = person.as_ref().map_or(&[][..], |person| &person.identity().roles);
    let told = calls::tell_functions(moodle, route, ctx, roles).into_iter();
    told.map(|told| CalledFunction {
        name: told.function,
        permitted: told.is_permitted,
        why: told.why,
    })
    .collect()
}

/// The target with another query, in which the stand-in for the token is not shown.
fn with_query(target: &str, query: Option<&str>) -> String {
    let path = target.split('?').next().unwrap_or_default();
    match query {
        Some(query) => format!("{path}?{}", query.replacen(Token::stand_in().reveal(), "***", 1)),
        None => path.to_owned(),
    }
}

/// A Moodle of which no more is known than its configuration says.
pub(super) fn named(moodle: &Moodle) -> MoodleTokens {
    MoodleTokens {
        moodle: moodle.config.name.clone(),
        service: moodle.config.service.clone(),
        username: None,
        kept: None,
        sources: Vec::new(),
        never: moodle.config.never.clone(),
        functions: Vec::new(),
    }
}

pub(super) fn sources(sources: &[(MoodleSource, Availability)], used: Option<MoodleSource>) -> Vec<TokenSource> {
    let one = |(source, availability): &(MoodleSource, Availability)| {
        let (Availability::Asked(text)
        | Availability::Browser(text)
        | Availability::Nothing(text)
        | Availability::Depends(text)) = availability;
        TokenSource {
            source: source.label().to_owned(),
            prospect: (*text).to_owned(),
            used: used == Some(*source),
        }
    };
    sources.iter().map(one).collect()
}
