//! Routes to a bucket (`upstreams.<name>.s3`): what the object store is asked, and what of its answer a client gets. `act::s3`
//! signs.
//!
//! Of the client's headers the store gets ranges and conditions; of its answers clients get the object and what describes it. Its
//! errors name buckets and keys in XML: they become refusals of the gateway, with their sense in the log.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{Error, ErrorType, Result};
use pingora::proxy::Session;
use url::Url;

use super::files::wants_download;
use super::upstream::{is_interim, proxied};
use super::{Stop, common_headers};
use crate::act::file;
use crate::act::proxy::Upstream;
use crate::act::s3::{OWN_REQUESTS, S3};
use crate::context::Context;
use crate::headers;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::{self, Reply};
use crate::snapshot::Route;

/// What the store gets of a request. The last ones frame a body, which it does not look at.
const ASKED: [HeaderName; 8] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// What clients get of an answer.
const ANSWERED: [HeaderName; 13] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_DISPOSITION,
    header::ACCEPT_RANGES,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CACHE_CONTROL,
    header::EXPIRES,
    header::DATE,
    header::TRANSFER_ENCODING,
];

/// A clock that differs by more is told of. AWS refuses what is signed more than 15 minutes away.
const CLOCKS_DIFFER: Duration = Duration::from_secs(240);

const BUCKET_REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// The signed address of the object that a request asks for.
pub fn address(ctx: &Context, route: &Route, s3: &S3, valid: Duration) -> Result<Url, Rejection> {
    let (_, path) = ctx.path.stripped(&route.config.strip);
    if file::is_hidden(&path, false) {
        return Err(Reason::FileNotFound.into());
    }
    s3.address(&ctx.request.method, &path, ctx.at, valid)
}

/// The same for the log and for `explain`: without what signs it.
pub fn told(address: &Url) -> &str {
    address.path()
}

/// Before the way there: is there an object that could be asked for?
pub(super) fn prepare(ctx: &Context, route: &Route, upstream: &Upstream) -> Result<(), Rejection> {
    match &upstream.s3 {
        Some(s3) => address(ctx, route, s3, OWN_REQUESTS).map(drop),
        None => Ok(()),
    }
}

/// The request as the store gets it. `false`: the upstream is none.
pub(super) fn ask(request: &mut RequestHeader, ctx: &Context) -> Result<bool> {
    let (route, upstream) = proxied(ctx.route.as_deref())?;
    let Some(s3) = &upstream.s3 else { return Ok(false) };
    // Each attempt is signed anew: its time is now.
    let (_, path) = ctx.path.stripped(&route.config.strip);
    let address = s3.address(&ctx.request.method, &path, SystemTime::now(), OWN_REQUESTS);
    let address = address.map_err(|_| Error::explain(ErrorType::InternalError, "an address that cannot be signed"))?;
    let host =
        authority(&address).ok_or_else(|| Error::explain(ErrorType::InternalError, "a bucket without a host"))?;
    let kept: HeaderMap = shown(&request.headers)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
    for name in names {
        request.remove_header(&name);
    }
    for (name, value) in &kept {
        request.append_header(name, value)?;
    }
    request.insert_header(header::HOST, host)?;
    let query = address.query().unwrap_or_default();
    request.set_raw_path(format!("{}?{query}", address.path()).as_bytes())?;
    Ok(true)
}

fn authority(address: &Url) -> Option<HeaderValue> {
    let host = address.host_str()?;
    let text = match address.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::from_str(&text).ok()
}

/// Of a request's headers those that the store gets.
pub fn shown(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    headers.iter().filter(|(name, _)| ASKED.contains(name))
}

/// The header of the store's answer is here. An object stays, with what is said of files; anything else becomes a refusal, which
/// ends the exchange with the store.
pub(super) fn answered(answer: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    let (route, upstream) = proxied(ctx.route.as_deref())?;
    if upstream.s3.is_none() || is_interim(answer) {
        return Ok(());
    }
    if let Some(refusal) = refusal(answer.status, &answer.headers, &upstream.name) {
        ctx.rejection = Some(refusal);
        return Error::e_explain(ErrorType::InternalError, "no object");
    }
    let others: Vec<HeaderName> = answer
        .headers
        .keys()
        .filter(|name| !ANSWERED.contains(name))
        .cloned()
        .collect();
    for name in others {
        answer.remove_header(&name);
    }
    let (_, path) = ctx.path.stripped(&route.config.strip);
    let download = wants_download(ctx.request.query.as_deref());
    for (name, value) in file::entrusted(&path, download, !route.anonymous) {
        // What the store says of keeping stays, and is made private elsewhere.
        let is_said = name == header::CACHE_CONTROL && answer.headers.contains_key(header::CACHE_CONTROL);
        let has_body = answer.status != StatusCode::NOT_MODIFIED;
        if !is_said && (has_body || name != header::CONTENT_TYPE) {
            answer.insert_header(name, value)?;
        }
    }
    Ok(())
}

/// `None`: the answer is the object, a part of it, or that it is the same.
fn refusal(status: StatusCode, headers: &HeaderMap, upstream: &str) -> Option<Rejection> {
    let because = |reason, detail: String| {
        Some(Rejection::because(
            reason,
            format!("the bucket of `{upstream}` {detail}"),
        ))
    };
    match status.as_u16() {
        200 | 206 | 304 => None,
        404 => because(Reason::FileNotFound, "has no such object (404), or the bucket itself is not there".to_owned()),
        412 => Some(Reason::PreconditionFailed.into()),
        416 => {
            let range = headers::text(headers, header::CONTENT_RANGE);
            let complete = range.and_then(|range| range.strip_prefix("bytes */")?.parse().ok());
            let hint = complete.map_or(Hint::None, Hint::CompleteLength);
            Some(Rejection::new(Reason::RangeNotSatisfiable).with_hint(hint))
        }
        403 => because(
            Reason::UpstreamFailed,
            match clocks_differ(headers) {
                Some(by) => format!("refuses the signature (403): its clock and the gateway's differ by {by} s"),
                None => "refuses the gateway (403): the key, its secret or its rights are wrong; or there is no such object, and the \
                         key may not list the bucket (s3:ListBucket), without which S3 does not say so"
                    .to_owned(),
            },
        ),
        300..=400 => because(
            Reason::UpstreamFailed,
            match headers::text(headers, BUCKET_REGION) {
                Some(region) => format!("is in another region ({status}): {:?}", region.chars().take(40).collect::<String>()),
                None => format!("is in another region, or at another address ({status}): see `region` and `path_style`"),
            },
        ),
        503 => because(Reason::Overloaded, "asks for fewer requests (503)".to_owned()),
        _ => because(Reason::UpstreamFailed, format!("answers {status}")),
    }
}

/// By so many seconds, if it matters.
fn clocks_differ(headers: &HeaderMap) -> Option<u64> {
    let there = httpdate::parse_http_date(headers::text(headers, header::DATE)?).ok()?;
    let now = SystemTime::now();
    let by = now.duration_since(there).or_else(|_| there.duration_since(now)).ok()?;
    (by > CLOCKS_DIFFER).then_some(by.as_secs())
}

/// The answer that sends the client to the object itself. No cache may keep it: it is a credential.
pub fn redirect(headers: &HeaderMap, ctx: &Context, route: &Route, upstream: &Upstream) -> Result<Reply, Rejection> {
    let missing = || Rejection::because(Reason::Internal, "a route to an upstream that is no bucket");
    let s3 = upstream.s3.as_ref().ok_or_else(missing)?;
    let mut reply = Reply::redirect(address(ctx, route, s3, s3.valid)?.as_str())?;
    // The method stays, which is signed.
    reply.status = StatusCode::FOUND;
    reply.headers.extend(common_headers(ctx, headers, (reply.status, None)));
    Ok(reply)
}

pub(super) async fn serve_redirect(
    session: &mut Session,
    ctx: &Context,
    route: &Route,
    upstream: &Upstream,
) -> Result<(), Stop> {
    let reply = redirect(&session.req_header().headers, ctx, route, upstream)?;
    Ok(respond::write::write(session, &reply).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        fields.collect()
    }

    #[test]
    fn errors_of_a_store_become_refusals_that_say_what_is_wrong() {
        let long_ago = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(3600));
        let now = httpdate::fmt_http_date(SystemTime::now());
        for (status, fields, reason, said) in [
            (404, vec![], Reason::FileNotFound, "no such object"),
            (
                403,
                vec![("date", long_ago.as_str())],
                Reason::UpstreamFailed,
                "differ by 36",
            ),
            (
                403,
                vec![("date", now.as_str())],
                Reason::UpstreamFailed,
                "s3:ListBucket",
            ),
            (403, vec![], Reason::UpstreamFailed, "s3:ListBucket"),
            (
                301,
                vec![("x-amz-bucket-region", "eu-west-1")],
                Reason::UpstreamFailed,
                "\"eu-west-1\"",
            ),
            (
                307,
                vec![("location", "https://x")],
                Reason::UpstreamFailed,
                "another region",
            ),
            (400, vec![], Reason::UpstreamFailed, "`region`"),
            (503, vec![], Reason::Overloaded, "fewer requests"),
            (500, vec![], Reason::UpstreamFailed, "500"),
            (204, vec![], Reason::UpstreamFailed, "204"),
        ] {
            let refusal = refusal(StatusCode::from_u16(status).unwrap(), &headers(&fields), "archive").unwrap();
            assert_eq!(refusal.reason, reason, "{status}");
            assert!(refusal.detail.unwrap().contains(said), "{status} {said}");
        }
        let range = refusal(
            StatusCode::RANGE_NOT_SATISFIABLE,
            &headers(&[("content-range", "bytes */7")]),
            "a",
        )
        .unwrap();
        assert_eq!(range.hint, Hint::CompleteLength(7));
        for status in [200, 206, 304] {
            assert!(refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), "a").is_none());
        }
    }

    #[test]
    fn a_store_gets_ranges_and_conditions_alone() {
        let sent = headers(&[
            ("range", "bytes=0-1"),
            ("if-none-match", "\"a\""),
            ("authorization", "Bearer x"),
            ("cookie", "a=1"),
            ("x-amz-acl", "public-read"),
            ("x-forwarded-for", "192.0.2.7"),
            ("host", "video.test"),
        ]);
        let names: Vec<&str> = shown(&sent).map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["range", "if-none-match"]);
    }
}
