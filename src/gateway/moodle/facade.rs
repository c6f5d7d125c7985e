//! `cas-facade`: where Moodle asks the gateway as its CAS server.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::super::endpoints;
use crate::context::Context;
use crate::moodle::Moodle;
use crate::moodle::tokens::cas_facade::{self, Facade};
use crate::own;
use crate::own::moodle as visits;
use crate::query::single;
use crate::rejection::{Reason, Rejection};
use crate::respond::{Reply, security};

/// Bytes of a CAS server's answer.
const LONGEST: usize = 256 << 10;

/// What a request to a facade's path asks for.
pub struct Asked {
    pub question: Facade,
    /// Is there a CAS server behind the gateway?
    pub has_server: bool,
    moodle: Arc<Moodle>,
    /// Behind the facade's own path.
    below: String,
}

/// Nothing is used up; `Ok(None)`: the request is at no facade's path.
pub(super) async fn asked(ctx: &Context) -> Result<Option<Asked>, Rejection> {
    let found = ctx.snapshot.moodles.iter().find_map(|moodle| {
        let facade = moodle.config.facade.as_ref()?;
        let below = ctx.path.decoded().strip_prefix(facade.path.as_str())?;
        below.starts_with('/').then_some((moodle, facade, below))
    });
    let Some((moodle, facade, below)) = found else {
        return Ok(None);
    };
    if !matches!(ctx.request.method, Method::GET | Method::HEAD) {
        return Err(Reason::MethodNotAllowed.into());
    }
    let query = ctx.request.query.as_deref().unwrap_or_default();
    match cas_facade::judge(below, query, ctx.client.address, &facade.from) {
        Facade::Forbidden => {
            // Whoever asks about a ticket that there is must be Moodle.
            let ticket = single(query.as_bytes(), "ticket");
            let ticket = ticket.filter(|ticket| cas_facade::is_own(ticket) && ctx.dry_run.is_none());
            if let Some(ticket) = ticket
                && moodle.is_waiting(&ticket).await
            {
                moodle.tokens().turned_away(ctx.client.address);
            }
            let detail = "the facade answers only the addresses in moodle.facade.from";
            Err(Rejection::because(Reason::NotAllowed, detail))
        }
        Facade::Unknown => Err(Reason::NoRoute.into()),
        question => Ok(Some(Asked {
            question,
            has_server: visits::cas(&ctx.snapshot.providers, moodle).is_ok(),
            moodle: Arc::clone(moodle),
            below: below.to_owned(),
        })),
    }
}

/// The answer at a facade's path.
pub(super) async fn answer(headers: &HeaderMap, ctx: &Context, asked: Asked) -> Result<Reply, Rejection> {
    let Asked {
        question,
        moodle,
        below,
        ..
    } = asked;
    // `None`: the gateway is the only CAS server that there is.
    let real = visits::cas(&ctx.snapshot.providers, &moodle)
        .ok()
        .map(|cas| &cas.client);
    let query = ctx.request.query.as_deref();
    Ok(match (question, real) {
        (Facade::Asked(question), _) => told(question.answer(moodle.tokens().take(question.ticket()).await?)),
        (Facade::Browser(_), Some(real)) => {
            let location =
                HeaderValue::try_from(real.url_at(&below, query).as_str()).map_err(|_| Reason::BadRequest)?;
            reply(StatusCode::FOUND, header::LOCATION, location, Bytes::new())
        }
        (Facade::Browser(page), None) => {
            let visit = endpoints::visit(headers, ctx)?;
            let address = visit.target();
            own::facade::answer(
                &visit.here,
                &moodle,
                page,
                (&ctx.request.method, headers, query.unwrap_or_default(), &address),
            )
            .await?
        }
        (Facade::PassOn, None) => told(cas_facade::unknown(&below)),
        (Facade::PassOn, Some(real)) => {
            let failed = |error| Rejection::because(Reason::SignInUnavailable, format!("{error}"));
            let said = real.ask_at(&below, query, LONGEST).await.map_err(failed)?;
            let kind = said.headers.get(header::CONTENT_TYPE).cloned();
            let kind = kind.unwrap_or_else(|| HeaderValue::from_static("text/plain"));
            reply(said.status, header::CONTENT_TYPE, kind, said.body)
        }
        (Facade::Forbidden, _) => return Err(Reason::NotAllowed.into()),
        (Facade::Unknown, _) => return Err(Reason::NoRoute.into()),
    })
}

/// What Moodle is told about a ticket.
fn told(answer: cas_facade::Answer) -> Reply {
    let kind = HeaderValue::from_static(answer.content_type);
    reply(StatusCode::OK, header::CONTENT_TYPE, kind, answer.body.into())
}

fn reply(status: StatusCode, name: header::HeaderName, value: HeaderValue, body: Bytes) -> Reply {
    let mut headers: Vec<_> = security::own().into_iter().collect();
    headers.push((name, value));
    Reply { status, headers, body }
}
