//! `cas-facade`: where Moodle asks the gateway as its CAS server.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::super::taken;
use crate::context::Context;
use crate::moodle::Moodle;
use crate::moodle::tokens::cas_facade::{self, Facade};
use crate::rejection::{Reason, Rejection};
use crate::respond::{Reply, security};
use crate::sign_in::Provider;

/// Bytes of a CAS server's answer.
const LONGEST: usize = 256 << 10;

/// What a request to a facade's path asks for.
pub struct Asked {
    pub question: Facade,
    moodle: Arc<Moodle>,
    /// Behind the facade's own path.
    below: String,
}

/// Nothing is used up; `Ok(None)`: the request is at no facade's path.
pub(super) fn asked(ctx: &Context) -> Result<Option<Asked>, Rejection> {
    let (request, path) = taken(ctx)?;
    let client = ctx.client.as_ref().ok_or(Reason::Internal)?;
    let found = ctx.snapshot.moodles.iter().find_map(|moodle| {
        let facade = moodle.config.facade.as_ref()?;
        let below = path.decoded().strip_prefix(facade.path.as_str())?;
        below.starts_with('/').then_some((moodle, facade, below))
    });
    let Some((moodle, facade, below)) = found else {
        return Ok(None);
    };
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Err(Reason::MethodNotAllowed.into());
    }
    let query = request.query.as_deref().unwrap_or_default();
    match cas_facade::judge(below, query, client.address, &facade.from) {
        Facade::Forbidden => {
            if ctx.dry_run.is_none() {
                moodle.tokens().turned_away(client.address);
            }
            let detail = "the facade answers only the addresses in moodle.facade.from";
            Err(Rejection::because(Reason::NotAllowed, detail))
        }
        Facade::Unknown => Err(Reason::NoRoute.into()),
        question => Ok(Some(Asked {
            question,
            moodle: Arc::clone(moodle),
            below: below.to_owned(),
        })),
    }
}

/// The answer at a facade's path.
pub(super) async fn answer(ctx: &Context, asked: Asked) -> Result<Reply, Rejection> {
    let (request, _) = taken(ctx)?;
    let Asked {
        question,
        moodle,
        below,
    } = asked;
    let provider = ctx.snapshot.providers.get(moodle.config.sign_in);
    let real = &provider.and_then(Provider::as_cas).ok_or(Reason::Internal)?.client;
    let query = request.query.as_deref();
    Ok(match question {
        Facade::Asked(question) => {
            let told = question.answer(moodle.tokens().take(question.ticket()).await?);
            let kind = HeaderValue::from_static(told.content_type);
            reply(StatusCode::OK, header::CONTENT_TYPE, kind, told.body.into())
        }
        Facade::Redirect => {
            let location =
                HeaderValue::try_from(real.url_at(&below, query).as_str()).map_err(|_| Reason::BadRequest)?;
            reply(StatusCode::FOUND, header::LOCATION, location, Bytes::new())
        }
        Facade::PassOn => {
            let failed = |error| Rejection::because(Reason::SignInUnavailable, format!("{error}"));
            let said = real.ask_at(&below, query, LONGEST).await.map_err(failed)?;
            let kind = said.headers.get(header::CONTENT_TYPE).cloned();
            let kind = kind.unwrap_or_else(|| HeaderValue::from_static("text/plain"));
            reply(said.status, header::CONTENT_TYPE, kind, said.body)
        }
        // Refused already.
        Facade::Forbidden | Facade::Unknown => return Err(Reason::Internal.into()),
    })
}

fn reply(status: StatusCode, name: header::HeaderName, value: HeaderValue, body: Bytes) -> Reply {
    let mut headers: Vec<_> = security::own().into_iter().collect();
    headers.push((name, value));
    Reply { status, headers, body }
}
