//! What a decision leads to: an answer of the gateway's own, or the way to an upstream.

use pingora::prelude::Result;
use pingora::proxy::Session;

use super::decide::Decision;
use super::{Gateway, Next};
use crate::context::Context;
use crate::gateway::{self, Stop};
use crate::rejection::{Reason, Rejection};
use crate::respond;
use crate::snapshot::{Action, Route};

impl Gateway {
    pub(super) async fn perform(
        &self,
        session: &mut Session,
        ctx: &mut Context,
        decision: Decision,
    ) -> Result<Next, Stop> {
        let headers = &session.req_header().headers;
        let reply = match decision {
            Decision::Serve(route) => return self.serve(session, ctx, &route).await,
            Decision::Through(moodle, known) => {
                Box::pin(gateway::moodle::launch::serve(session, ctx, (moodle, known))).await?;
                return Ok(Next::Answered);
            }
            Decision::Intercept(intercept) => Box::pin(gateway::moodle::answer(headers, ctx, intercept)).await?,
            Decision::Own => Box::pin(gateway::endpoints::answer(session, ctx)).await?,
            Decision::Metadata(reply) => {
                ctx.allowed = true;
                reply
            }
            Decision::Preflight(reply) => reply,
            Decision::SignIn(reply, refusal) => {
                ctx.rejection = refusal;
                reply
            }
            Decision::Launch(route, who, launch) => {
                Box::pin(gateway::launch::begin(headers, ctx, &route, (&who, launch))).await?
            }
            Decision::Allowed => gateway::auth_request::answer(headers, ctx),
        };
        respond::write::write(session, &reply).await?;
        Ok(Next::Answered)
    }

    /// What needs no upstream is answered here.
    async fn serve(&self, session: &mut Session, ctx: &mut Context, route: &Route) -> Result<Next, Stop> {
        match &route.action {
            Action::Upstream(upstream) => {
                gateway::s3::prepare(ctx, route, upstream)?;
                if let Some(moodle) = route.injects().filter(|_| !ctx.own_token) {
                    Box::pin(gateway::moodle::serve(session, ctx, route, moodle)).await?;
                    return Ok(Next::Answered);
                }
                ctx.upstream.authorization = gateway::opencast::authorization(route, ctx.who.as_deref(), ctx.at)?;
                gateway::upstream::prepare(session, ctx, route);
                return Ok(Next::Upstream);
            }
            Action::Files(root) => super::files::serve_file(session, ctx, route, root).await?,
            Action::Accel(prefix) => gateway::accel::tell(session, ctx, route, prefix).await?,
            Action::KeySet(set) => {
                let reply = set.answer(&session.req_header().headers);
                super::files::serve_reply(session, ctx, route, reply).await?;
            }
            Action::OwnKeys => {
                let reply = gateway::opencast::own_keys(&ctx.snapshot, &session.req_header().headers)?;
                super::files::serve_reply(session, ctx, route, reply).await?;
            }
            Action::Presigned(upstream) => gateway::s3::serve_redirect(session, ctx, route, upstream).await?,
            Action::SignedRedirect => super::signed_url::serve_redirect(session, ctx, route).await?,
            Action::Reply(reply) => super::files::serve_reply(session, ctx, route, reply.clone()).await?,
            Action::Launch(life) => {
                let reply = Box::pin(gateway::launch::by_form(session, ctx, route, *life)).await?;
                respond::write::write(session, &reply).await?;
            }
            Action::Decide(_) => return Err(Reason::NoRoute.into()),
        }
        Ok(Next::Answered)
    }

    /// Every refusal is answered here.
    pub(super) async fn refuse(&self, session: &mut Session, ctx: &mut Context, rejection: Rejection) -> Result<()> {
        let metadata = gateway::bearer::metadata_url(ctx);
        let rejection = &*ctx.rejection.insert(rejection);
        let headers = &session.req_header().headers;
        let mut reply = match ctx.only_decide {
            true => respond::decision(rejection, ctx.id.as_str(), metadata.as_deref()),
            false => {
                let mut answering = gateway::answering(headers, &ctx.id, &ctx.snapshot.look);
                answering.resource_metadata = metadata.as_deref();
                respond::rejection(rejection, &answering)
            }
        };
        reply.headers.extend(gateway::refusal_headers(ctx, headers));
        respond::write::write(session, &reply).await
    }
}
