//! What the log and the metrics are told of a finished request.

use http::header;
use pingora::proxy::Session;

use crate::context::Context;
use crate::observe::access_log::{Entry, Outcome};
use crate::present;

/// All that the log and the metrics want to know of a finished request.
pub(super) fn entry<'a>(session: &'a Session, ctx: &'a Context, error: Option<&'a str>) -> Entry<'a> {
    let header = session.req_header();
    let rejection = ctx.rejection.as_ref();
    let (method, host) = match ctx.request.is_known() {
        true => (&ctx.request.method, ctx.request.host.as_str()),
        false => (&header.method, "-"),
    };
    let took = ctx.started.elapsed();
    Entry {
        time: ctx.at + took,
        request_id: ctx.id.as_str(),
        client: ctx.client.address,
        protocol: header.version,
        method,
        host,
        path: Some(ctx.path.encoded()).filter(|path| !path.is_empty()).unwrap_or("-"),
        query: ctx.request.query.as_deref(),
        status: session.response_written().map_or(0, |answer| answer.status.as_u16()),
        bytes_in: session.body_bytes_read() as u64,
        bytes_out: session.body_bytes_sent() as u64,
        took,
        route: ctx.route.as_ref().map(|route| &*route.config.name),
        outcome: if ctx.allowed { Outcome::Allow } else { Outcome::Deny },
        reason: rejection.map(|rejection| rejection.reason),
        // A body that broke off, a client that went: nothing was refused, and yet it did not end well.
        detail: rejection.map_or(error, |rejection| rejection.detail.as_deref()),
        subject: ctx
            .who
            .as_ref()
            .and_then(|who| Some((who.people(), who.subject.as_deref()?))),
        upstream: ctx.upstream.chosen.as_ref().map(|chosen| chosen.server.label.as_str()),
        upstream_took: ctx.upstream.answered_after,
        user_agent: header.headers.get(header::USER_AGENT),
        referer: header.headers.get(header::REFERER),
        trace_id: present::trace::trace_id(&header.headers),
    }
}
