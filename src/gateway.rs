//! The request's way: take it, find its route, learn who it is, decide, present, act, answer, tell.
//!
//! One call a step and no logic of its own: what a step means stands in the room it calls. The order of the hooks is
//! pingora's: [`Gateway::request_filter`] walks up to the decision and serves what needs no upstream; the hooks below
//! it carry the rest to an upstream and back.
//!
//! `explain::walk` asks the same steps for their reasons: what changes here changes there.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::{Error, HttpPeer, Result};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use crate::act;
use crate::authenticate::token::{Outcome, carrier};
use crate::authorize::{self, Facts};
use crate::context::Context;
use crate::edge::{self, Stop};
use crate::listen::connection::Shared;
use crate::listen::{client, intake};
use crate::observe::Observer;
use crate::present;
use crate::rejection::{Reason, Rejection};
use crate::respond;
use crate::route::path::Path;
use crate::snapshot::{Action, Route, Snapshot};

/// A gateway on duty.
pub struct Gateway {
    /// Taken once a request: see [`Context::snapshot`].
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub observer: Observer,
}

/// What is left to do after [`Gateway::walk`].
enum Next {
    Answered,
    Upstream,
}

impl Gateway {
    async fn walk(&self, session: &mut Session, ctx: &mut Context) -> Result<Next, Stop> {
        let now = SystemTime::now();
        self.take(session, ctx)?;
        if let Some(reply) = self.preflight(session, ctx) {
            respond::write::write(session, &reply).await?;
            return Ok(Next::Answered);
        }
        let route = self.judge(session, ctx, now).await?;
        if let Action::Decide(names) = &route.action {
            edge::decide::put_in_place(session, ctx, names)?;
            let decided = self.judge(session, ctx, now).await?;
            edge::decide::answer(session, ctx, &decided).await?;
            return Ok(Next::Answered);
        }
        self.act(session, ctx, &route, now).await
    }

    /// From the path to the decision: the route whose rules let the request pass.
    async fn judge(&self, session: &Session, ctx: &mut Context, now: SystemTime) -> Result<Arc<Route>, Rejection> {
        let route = self.find(ctx)?;
        let outcome = self.authenticate(session, ctx, &route, now).await;
        let refusal = self.authorize(ctx, &route, outcome).err();
        if let Some(refusal) = refusal
            .as_ref()
            .filter(|refusal| !edge::ask::is_open(ctx, &route, refusal))
        {
            return Err(refusal.clone());
        }
        self.limit(session, ctx, &route)?;
        if let Some(refusal) = refusal {
            edge::ask::otherwise(session, ctx, &route, refusal).await?;
        }
        Ok(route)
    }

    /// listen: is it a request, whose is it, and what is its one canonical path?
    fn take(&self, session: &Session, ctx: &mut Context) -> Result<(), Rejection> {
        let connection = edge::connection(session)?;
        let header = session.req_header();
        let (peer, tls) = (connection.peer(), connection.tls());
        ctx.client = Some(client::identify(
            peer,
            tls,
            &header.headers,
            &ctx.snapshot.trusted_proxies,
        ));
        let request = ctx
            .request
            .insert(intake::take(header, edge::raw_header(session).as_deref())?);
        ctx.path = Some(Path::parse(&request.raw_path)?);
        Ok(())
    }

    /// respond: a browser asks first whether a script may ask (CORS); nobody is signed in for that.
    fn preflight(&self, session: &Session, ctx: &mut Context) -> Option<respond::Reply> {
        let (request, path) = (ctx.request.as_ref()?, ctx.path.as_ref()?);
        let asked = respond::cors::requested_method(&request.method, &session.req_header().headers)?;
        let found = ctx.snapshot.table.find(&request.host, path.decoded(), &asked).ok()?;
        let route = ctx.snapshot.routes.get(found.route)?;
        let reply = route.preflight(&request.method, &session.req_header().headers)?;
        ctx.route = Some(Arc::clone(route));
        ctx.allowed = reply.is_some();
        reply
    }

    /// route: the most specific for host, path and method.
    fn find(&self, ctx: &mut Context) -> Result<Arc<Route>, Rejection> {
        let (request, path) = edge::taken(ctx)?;
        let found = ctx
            .snapshot
            .table
            .find(&request.host, path.decoded(), &request.method)?;
        let route = ctx.snapshot.routes.get(found.route).ok_or(Reason::NoRoute)?;
        let has_params = path.has_params();
        let route = Arc::clone(ctx.route.insert(Arc::clone(route)));
        ctx.only_decide |= matches!(route.action, Action::Decide(_));
        route.take_params(has_params)?;
        ctx.params = found.params;
        Ok(route)
    }

    /// authenticate: the first valid token, if this route can be decided by one.
    async fn authenticate(&self, session: &Session, ctx: &mut Context, route: &Route, now: SystemTime) -> Outcome {
        let (Some(client), Some(request), false) = (&ctx.client, &ctx.request, route.anonymous) else {
            return Outcome::Nobody;
        };
        let headers = &session.req_header().headers;
        let carried = carrier::find(&ctx.snapshot.token_sources, headers, request.query.as_deref());
        let tokens = &ctx.snapshot.tokens;
        let outcome = tokens
            .authenticate(&carried, route.issuers.as_deref(), client.address, now)
            .await;
        if let Outcome::Person(who) = &outcome {
            ctx.who = Some(Arc::clone(who));
        }
        outcome
    }

    /// authorize: the route's rules.
    fn authorize(&self, ctx: &mut Context, route: &Route, outcome: Outcome) -> Result<(), Rejection> {
        let (request, _) = edge::taken(ctx)?;
        let client = ctx.client.as_ref().ok_or(Reason::Internal)?;
        let facts = Facts {
            identity: ctx.who.as_deref(),
            params: &ctx.params,
            method: &request.method,
            // Who asks for decisions is the proxy itself, on whoever's behalf.
            client: match route.action {
                Action::Decide(_) => client.peer,
                _ => client.address,
            },
        };
        edge::parts::verdict(authorize::decide(&route.allow, &route.deny, &facts), outcome, route)?;
        ctx.allowed = true;
        Ok(())
    }

    /// How often and how much.
    fn limit(&self, session: &Session, ctx: &Context, route: &Route) -> Result<(), Rejection> {
        edge::check_rate(route, ctx)?;
        edge::check_announced_body(route, &session.req_header().headers)
    }

    /// act: what needs no upstream is answered here.
    async fn act(&self, session: &mut Session, ctx: &Context, route: &Route, now: SystemTime) -> Result<Next, Stop> {
        match &route.action {
            Action::Upstream(_) => return Ok(Next::Upstream),
            Action::Files(root) => edge::serve_file(session, ctx, route, root, now).await?,
            Action::Accel(prefix) => edge::accel::tell(session, ctx, route, prefix).await?,
            Action::KeySet(set) => {
                let fixed = set.answer(&session.req_header().headers);
                edge::serve_reply(session, ctx, route, &fixed).await?;
            }
            Action::Reply(fixed) => edge::serve_reply(session, ctx, route, fixed).await?,
            Action::Decide(_) => return Err(Reason::Internal.into()),
        }
        Ok(Next::Answered)
    }

    /// respond: every refusal leaves by this door.
    async fn refuse(&self, session: &mut Session, ctx: &mut Context, rejection: Rejection) -> Result<()> {
        let rejection = &*ctx.rejection.insert(rejection);
        let headers = &session.req_header().headers;
        let mut reply = match ctx.only_decide {
            true => respond::decision(rejection, ctx.id.as_str()),
            false => respond::rejection(rejection, &edge::answering(headers, &ctx.id)),
        };
        reply.headers.extend(edge::cors_headers(ctx, headers));
        respond::write::write(session, &reply).await
    }
}

#[async_trait]
impl ProxyHttp for Gateway {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.snapshot.load_full())
    }

    /// None of pingora's modules (compression) is used.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<()> {
        edge::begin(session, &ctx.snapshot.timeouts);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Context) -> Result<bool> {
        let walked = AssertUnwindSafe(self.walk(session, ctx)).catch_unwind().await;
        let stop = match walked {
            Ok(Ok(Next::Upstream)) => return Ok(false),
            Ok(Ok(Next::Answered)) => return Ok(true),
            Ok(Err(stop)) => stop,
            Err(_panic) => Stop::Refused(self.observer.panicked(&ctx.id)),
        };
        match stop {
            Stop::Refused(rejection) => self.refuse(session, ctx, rejection).await.map(|()| true),
            Stop::Lost(error) => Err(error),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
        edge::choose_server(session, ctx)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        let shown = edge::shown(session, ctx, &ctx.snapshot.token_sources)?;
        edge::apply(upstream, present::changes(&shown))?;
        upstream.set_raw_path(edge::upstream_target(ctx, &ctx.snapshot.token_sources)?.as_bytes())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Context,
    ) -> Result<()> {
        edge::count_body(ctx, body.as_ref())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        edge::answered(answer, ctx);
        edge::accel::redirected(answer, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Context,
    ) -> Result<()> {
        edge::dress_answer(session, answer, ctx)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Context,
        error: Box<Error>,
    ) -> Box<Error> {
        edge::retry_elsewhere(session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Context,
        kept: bool,
    ) -> Box<Error> {
        edge::retry_kept(session, ctx, error, kept)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Context) -> FailToProxy {
        let failed = |error_code| FailToProxy {
            error_code,
            can_reuse_downstream: false,
        };
        let mut rejection = ctx.rejection.take();
        if let Some(redirect) = ctx.upstream.redirect.clone() {
            match edge::accel::follow(session, ctx, redirect, SystemTime::now()).await {
                Ok(status) => return failed(status),
                Err(refusal) => rejection = Some(refusal),
            }
        }
        let rejection = rejection.or_else(|| act::proxy::rejection(error));
        let status = rejection
            .as_ref()
            .map_or(0, |rejection| rejection.reason.status().as_u16());
        if session.response_written().is_some() {
            // Half an answer is out already: all that is left is to end the connection, and to remember why.
            ctx.rejection = rejection;
        } else if let Some(rejection) = rejection
            && self.refuse(session, ctx, rejection).await.is_err()
        {
            tracing::debug!(request_id = ctx.id.as_str(), "client gone before its refusal");
        }
        failed(status)
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Context) {
        if let Some(connection) = Shared::of(session.digest()) {
            connection.request_ends(session.is_http2());
        }
        let route = ctx
            .route
            .as_ref()
            .map_or(&ctx.snapshot.unrouted, |route| &route.metrics);
        let error = match &ctx.upstream.redirect {
            Some(redirect) => redirect.broke_off.clone(),
            None => error.map(act::proxy::describe),
        };
        self.observer
            .finished(route, &edge::entry(session, ctx, error.as_deref()));
    }

    /// pingora would log the whole request line, token and all.
    fn request_summary(&self, _session: &Session, ctx: &Context) -> String {
        format!("request {}", ctx.id.as_str())
    }

    /// One line a request, and `logging` writes it.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Context, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Context, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
