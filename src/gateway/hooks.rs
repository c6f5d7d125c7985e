//! pingora's hooks, in the order in which it calls them: where the walk begins, how a request goes on to an upstream
//! and its answer comes back, and where both end. What happens in each stands in the file of its name.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::prelude::{Error, HttpPeer, Result};
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::{Gateway, Next};
use crate::act;
use crate::context::Context;
use crate::gateway::{self, Stop};
use crate::listen::connection::Shared;
use crate::present;

#[async_trait]
impl ProxyHttp for Gateway {
    /// Boxed: pingora moves it from one future into the next, and its futures are large enough.
    type CTX = Box<Context>;

    fn new_ctx(&self) -> Box<Context> {
        Box::new(Context::new(self.snapshot.load_full()))
    }

    /// None of pingora's modules (compression) is used.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<()> {
        gateway::begin(session, &ctx.snapshot.timeouts);
        Ok(())
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<bool> {
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

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        gateway::upstream::choose(session, ctx)
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        upstream: &mut RequestHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        if gateway::s3::ask(upstream, ctx)? {
            return gateway::playlists::ask(upstream, ctx);
        }
        let shown = gateway::upstream::shown(session, ctx)?;
        let mut changes = present::changes(&shown);
        gateway::upstream::tell_left_out(ctx, &changes);
        let authorization = ctx.upstream.authorization.iter().cloned();
        changes.set.extend(authorization.map(|value| (AUTHORIZATION, value)));
        gateway::upstream::apply(upstream, changes)?;
        gateway::playlists::ask(upstream, ctx)?;
        gateway::watch_urls::ask(upstream, ctx)?;
        upstream.set_raw_path(gateway::upstream::target(ctx)?.as_bytes())
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        gateway::moodle::own::give_back(ctx, body);
        super::limits::count_body(ctx, body.as_ref())
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        gateway::upstream::answered(answer, ctx);
        gateway::s3::answered(answer, ctx)?;
        gateway::accel::redirected(answer, ctx)
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        answer: &mut ResponseHeader,
        ctx: &mut Self::CTX,
    ) -> Result<()> {
        gateway::upstream::rewrite_response_headers(session, answer, ctx)
    }

    fn response_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Context>,
    ) -> Result<Option<Duration>> {
        gateway::playlists::body(body, end, ctx)?;
        gateway::watch_urls::body(body, end, ctx).map(|()| None)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Self::CTX,
        error: Box<Error>,
    ) -> Box<Error> {
        gateway::upstream::retry_elsewhere(ctx, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Self::CTX,
        kept: bool,
    ) -> Box<Error> {
        gateway::upstream::retry_kept(session, ctx, error, kept)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Self::CTX) -> FailToProxy {
        let failed = |error_code| FailToProxy {
            error_code,
            can_reuse_downstream: false,
        };
        let mut rejection = ctx.rejection.take();
        if let Some(redirect) = ctx.upstream.redirect.clone() {
            match gateway::accel::follow(session, ctx, redirect, SystemTime::now()).await {
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
            ctx.rejection = rejection.or_else(|| Some(act::proxy::client_gone(error)));
        } else if let Some(rejection) = rejection
            && self.refuse(session, ctx, rejection).await.is_err()
        {
            tracing::debug!(request_id = ctx.id.as_str(), "client gone before its refusal");
        } else if ctx.rejection.is_none() {
            ctx.rejection = Some(act::proxy::client_gone(error));
        }
        failed(status)
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Self::CTX) {
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
        let entry = super::access_entry::entry(session, ctx, error.as_deref());
        self.observer.finished(route, &entry);
        gateway::denials::tell(&self.observer.denials, ctx);
        gateway::recent::tell(&self.recent, &session.req_header().headers, ctx, &entry);
        if let Some(statistics) = &self.statistics {
            gateway::views::tell(statistics, session, ctx);
        }
    }

    /// pingora would log the whole request line, token and all.
    fn request_summary(&self, _session: &Session, ctx: &Self::CTX) -> String {
        format!("request {}", ctx.id.as_str())
    }

    /// One line a request, and `logging` writes it.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Self::CTX, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Self::CTX, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
