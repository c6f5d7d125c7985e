//! The request's way: take it, find its route, learn who it is, decide, act; every refusal leaves by one door.
//!
//! One call a step and no logic of its own: what a step means stands in the room it calls. [`Gateway::walk`] leads up to
//! the decision (`admit` finds out whose it is) and serves what needs no upstream; `hooks` calls it, carries the rest to
//! an upstream and back (present), and tells of the end (observe).
//!
//! `explain::walk` asks the same steps for their reasons: what changes here changes there.

mod admit;
mod hooks;

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use pingora::prelude::Result;
use pingora::proxy::Session;

use crate::context::Context;
use crate::edge::{self, Stop};
use crate::listen::{client, intake};
use crate::observe::Observer;
use crate::rejection::{Reason, Rejection};
use crate::respond::{self, Reply};
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
    /// pingora puts this into a box for each request, and moves it there. So what few requests need, and what is large,
    /// has a box of its own.
    async fn walk(&self, session: &mut Session, ctx: &mut Context) -> Result<Next, Stop> {
        let now = ctx.at;
        self.take(session, ctx)?;
        edge::in_flight(session, ctx).await?;
        if let Some(reply) = edge::moodle::aside(session, ctx, now).await? {
            return self.reply(session, &reply).await;
        }
        if edge::own::is_asked(ctx) {
            let reply = Box::pin(edge::own::answer(session, ctx, now)).await?;
            return self.reply(session, &reply).await;
        }
        if let Some(route) = edge::moodle::own::is_announced(session, ctx)? {
            self.limit(session, ctx, &route)?;
            return self.act(session, ctx, &route, now).await;
        }
        if let Some(reply) = self.preflight(session, ctx) {
            return self.reply(session, &reply).await;
        }
        let mut judged = self.judge(session, ctx, now).await;
        if edge::moodle::own::is_brought(session, ctx, judged.as_ref().err()).await? && judged.is_err() {
            judged = self.judge(session, ctx, now).await;
        }
        let route = match judged {
            Ok(route) => route,
            Err(refusal) => {
                edge::launch::failed(ctx, &refusal);
                return self.sign_in(session, ctx, refusal, now).await;
            }
        };
        if let Some(reply) = edge::launch::begin(session, ctx, &route, now).await? {
            return self.reply(session, &reply).await;
        }
        if let Some(reply) = edge::own::silently(session, ctx, &route, now) {
            return self.reply(session, &reply).await;
        }
        if let Action::Decide(names) = &route.action {
            edge::decide::put_in_place(session, ctx, names)?;
            let decided = self.judge(session, ctx, now).await?;
            edge::decide::answer(session, ctx, &decided).await?;
            return Ok(Next::Answered);
        }
        self.act(session, ctx, &route, now).await
    }

    async fn reply(&self, session: &mut Session, reply: &Reply) -> Result<Next, Stop> {
        respond::write::write(session, reply).await?;
        Ok(Next::Answered)
    }

    /// Where signing in may help: a page load is sent there, anything else is told where.
    async fn sign_in(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        refusal: Rejection,
        now: SystemTime,
    ) -> Result<Next, Stop> {
        let reply = edge::own::instead(session, ctx, refusal.clone(), now)?;
        ctx.rejection = Some(refusal);
        self.reply(session, &reply).await
    }

    /// From the path to the decision: the route whose rules let the request pass.
    async fn judge(&self, session: &Session, ctx: &mut Context, now: SystemTime) -> Result<Arc<Route>, Rejection> {
        let route = self.find(ctx)?;
        let refusal = self.admit(session, ctx, &route, now).await.err();
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
        let raw = edge::raw_header(session);
        intake::check_size(header, raw.as_deref(), ctx.snapshot.config.server.max_header)?;
        let request = ctx.request.insert(intake::take(header, raw.as_deref())?);
        if let Some(client) = &ctx.client
            && let Err(refusal) = edge::decide::settle_host(request, client, &ctx.snapshot)
        {
            ctx.only_decide = edge::decide::is_asked_anywhere(request, &ctx.snapshot);
            return Err(refusal);
        }
        ctx.path = Some(Path::parse(&request.raw_path)?);
        Ok(())
    }

    /// respond: a browser asks first whether a script may ask (CORS); nobody is signed in for that.
    fn preflight(&self, session: &Session, ctx: &mut Context) -> Option<Reply> {
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
        let found = edge::decide::find(&ctx.snapshot, request, path, ctx.client.as_ref())?;
        let route = ctx.snapshot.routes.get(found.route).ok_or(Reason::NoRoute)?;
        let fits = route.take(path, request.query.as_deref());
        let route = Arc::clone(ctx.route.insert(Arc::clone(route)));
        ctx.only_decide |= matches!(route.action, Action::Decide(_));
        fits?;
        ctx.params = found.params;
        Ok(route)
    }

    /// How often and how much.
    fn limit(&self, session: &Session, ctx: &Context, route: &Route) -> Result<(), Rejection> {
        edge::check_rate(route, ctx)?;
        edge::check_announced_body(route, &session.req_header().headers)
    }

    /// act: what needs no upstream is answered here.
    async fn act(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        route: &Route,
        now: SystemTime,
    ) -> Result<Next, Stop> {
        match &route.action {
            Action::Upstream(_) if route.injects().is_some() && !ctx.own_token => {
                Box::pin(edge::moodle::serve(session, ctx, route, now)).await?;
            }
            Action::Upstream(_) => {
                let who = ctx.who.as_deref();
                ctx.upstream.authorization = edge::opencast::authorization(route, who, now)?;
                edge::upstream::prepare(session, ctx, route);
                return Ok(Next::Upstream);
            }
            Action::Files(root) => edge::serve_file(session, ctx, route, root, now).await?,
            Action::Accel(prefix) => edge::accel::tell(session, ctx, route, prefix).await?,
            Action::KeySet(set) => {
                let fixed = set.answer(&session.req_header().headers);
                edge::serve_reply(session, ctx, route, &fixed).await?;
            }
            Action::OwnKeys => {
                let fixed = edge::opencast::own_keys(&ctx.snapshot, &session.req_header().headers)?;
                edge::serve_reply(session, ctx, route, &fixed).await?;
            }
            Action::Reply(fixed) => edge::serve_reply(session, ctx, route, fixed).await?,
            Action::Launch => {
                let reply = Box::pin(edge::launch::by_form(session, ctx, route, now)).await?;
                return self.reply(session, &reply).await;
            }
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
        reply.headers.extend(edge::refusal_headers(ctx, headers));
        respond::write::write(session, &reply).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What one more branch adds here, each request of every kind copies.
    #[test]
    fn what_every_request_moves_is_small() {
        fn size<F: Future>(_: impl FnOnce(&'static Gateway, &'static mut Session, &'static mut Context) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(Gateway::walk);
        assert!(bytes <= 3 << 10, "{bytes} bytes: box what is large and rare");
    }
}
