//! `cas-facade`: where Moodle asks the gateway as its CAS server.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::super::{Stop, taken};
use crate::backchannel::Backchannel;
use crate::config::{self, Provider};
use crate::context::Context;
use crate::moodle::Moodle;
use crate::present::moodle::tokens::cas_facade::{self, Facade};
use crate::rejection::{Reason, Rejection};
use crate::request::{Client, Request};
use crate::respond::{Reply, security};
use crate::route::path::Path;
use crate::snapshot::Snapshot;
use crate::store::StoreError;

/// Bytes of a CAS server's answer.
const LONGEST: usize = 256 << 10;

/// What a request to a facade's path asks for.
pub struct Asked<'a> {
    pub question: Facade,
    moodle: &'a Moodle,
    /// Behind the facade's own path.
    below: &'a str,
}

/// Nothing is done or used up; `None`: the request is at no facade's path.
pub fn asked<'a>(
    snapshot: &'a Snapshot,
    request: &Request,
    path: &'a Path,
    client: &Client,
) -> Option<Result<Asked<'a>, Rejection>> {
    let (moodle, facade, below) = snapshot.moodles.iter().find_map(|moodle| {
        let facade = moodle.config.facade.as_ref()?;
        let below = path.decoded().strip_prefix(facade.path.as_str())?;
        below.starts_with('/').then_some((moodle, facade, below))
    })?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return Some(Err(Reason::MethodNotAllowed.into()));
    }
    let query = request.query.as_deref().unwrap_or_default();
    Some(match cas_facade::judge(below, query, client.address, &facade.from) {
        Facade::Forbidden => {
            let detail = "the facade answers only the addresses in moodle.facade.from";
            Err(Rejection::because(Reason::NotAllowed, detail))
        }
        Facade::Unknown => Err(Reason::NoRoute.into()),
        question => Ok(Asked {
            question,
            moodle,
            below,
        }),
    })
}

/// The answer at a facade's path; `None`: the request is at none.
pub(super) async fn answer(ctx: &Context) -> Result<Option<Reply>, Stop> {
    let (request, path) = taken(ctx)?;
    let client = ctx.client.as_ref().ok_or(Reason::Internal)?;
    let Some(asked) = asked(&ctx.snapshot, request, path, client) else {
        return Ok(None);
    };
    let Asked {
        question,
        moodle,
        below,
    } = asked?;
    let real = || -> Result<(Url, &config::Cas), Rejection> {
        let sign_in = ctx
            .snapshot
            .config
            .sign_ins
            .get(moodle.config.sign_in)
            .ok_or(Reason::Internal)?;
        let Provider::Cas(cas) = &sign_in.provider;
        let mut url = cas.server.clone();
        url.set_path(&format!("{}{below}", cas.server.path().trim_end_matches('/')));
        url.set_query(request.query.as_deref());
        Ok((url, cas))
    };
    let reply = match question {
        Facade::Asked(question) => {
            let taken = moodle.bridge().take(question.ticket()).await;
            let failed = |error: StoreError| Rejection::because(Reason::StoreUnavailable, error.to_string());
            let told = question.answer(taken.map_err(failed)?);
            let kind = HeaderValue::from_static(told.content_type);
            reply(StatusCode::OK, header::CONTENT_TYPE, kind, told.body.into())
        }
        Facade::Redirect => {
            let location = HeaderValue::try_from(real()?.0.as_str()).map_err(|_| Reason::BadRequest)?;
            reply(StatusCode::FOUND, header::LOCATION, location, Bytes::new())
        }
        Facade::PassOn => {
            let (url, cas) = real()?;
            let failed = |error| Rejection::because(Reason::SignInUnavailable, format!("{error}"));
            let backchannel = Backchannel::new(cas.ca_file.as_deref()).map_err(failed)?;
            let exchange = backchannel.exchange(Method::GET, &url, HeaderMap::new(), Bytes::new(), LONGEST);
            let said = exchange.await.map_err(failed)?;
            let kind = said.headers.get(header::CONTENT_TYPE).cloned();
            let kind = kind.unwrap_or_else(|| HeaderValue::from_static("text/plain"));
            reply(said.status, header::CONTENT_TYPE, kind, said.body)
        }
        // Refused already.
        Facade::Forbidden | Facade::Unknown => return Err(Reason::Internal.into()),
    };
    Ok(Some(reply))
}

fn reply(status: StatusCode, name: header::HeaderName, value: HeaderValue, body: Bytes) -> Reply {
    let mut headers: Vec<_> = security::own().into_iter().collect();
    headers.push((name, value));
    Reply { status, headers, body }
}
