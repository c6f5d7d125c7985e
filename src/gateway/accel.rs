//! `X-Accel-Redirect` in both directions: told to the proxy in front, and followed where an upstream says it.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::prelude::{Error, ErrorType, Result};
use pingora::proxy::Session;

use super::files::{send_file, wants_download};
use super::upstream::{is_interim, proxied};
use super::{Stop, complete};
use crate::act::file;
use crate::act::proxy::{self, Upstream};
use crate::config::Present;
use crate::context::{Context, Redirect};
use crate::present;
use crate::rejection::{Reason, Rejection};
use crate::respond::{self, Reply};
use crate::route::path::Path;
use crate::snapshot::Route;

const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// Answers with the name of the file for the proxy in front. The canonical path has no dot segments, so what is named
/// lies below the prefix.
pub async fn tell(session: &mut Session, ctx: &Context, route: &Route, prefix: &str) -> std::result::Result<(), Stop> {
    let (encoded, decoded) = ctx.path.stripped(&route.config.strip);
    if file::is_hidden(&decoded, route.config.well_known) {
        return Err(Reason::FileNotFound.into());
    }
    // The configuration takes no prefix of which none can be made.
    let name = HeaderValue::try_from(format!("{prefix}{encoded}"))
        .map_err(|error| Rejection::because(Reason::Internal, format!("the path makes no header: {error}")))?;
    let mut headers = file::entrusted(&decoded, wants_download(ctx.request.query.as_deref()), !route.anonymous);
    headers.push((X_ACCEL_REDIRECT, name));
    let reply = Reply {
        status: StatusCode::OK,
        headers,
        body: Bytes::new(),
    };
    let reply = complete(ctx, &session.req_header().headers, reply);
    Ok(respond::write::write(session, &reply).await?)
}

/// Does the upstream's answer name a file instead of holding it? Then an error ends the exchange with the upstream, its
/// body unread, and [`follow`] answers from where pingora hands that error over: the one place where another answer may
/// take its place.
pub fn redirected(answer: &ResponseHeader, ctx: &mut Context) -> Result<()> {
    let (route, upstream) = proxied(ctx.route.as_deref())?;
    let Some(accel) = upstream.accel.as_ref().filter(|_| !is_interim(answer)) else {
        return Ok(());
    };
    let mut names = answer.headers.get_all(X_ACCEL_REDIRECT).iter();
    let Some(name) = names.next() else {
        return Ok(());
    };
    let only_one = names.next().is_none();
    match below(name, &accel.prefix).filter(|_| only_one && answer.status.is_success()) {
        Some(path) => {
            // As with any other answer: no session of Opencast's where the gateway says who it is.
            let is_kept = |name: &HeaderName, value| match *name {
                header::SET_COOKIE => route.config.present != Present::OpencastJwt && !present::sets_own_cookie(value),
                _ => *name == header::CONTENT_DISPOSITION,
            };
            let headers = answer.headers.iter().filter(|(name, value)| is_kept(name, value));
            ctx.upstream.redirect = Some(Redirect {
                root: Arc::clone(&accel.root),
                path,
                headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
                broke_off: None,
            });
        }
        None => ctx.rejection = Some(unfollowed(upstream, &accel.prefix, answer.status)),
    }
    Error::e_explain(ErrorType::InternalError, "the answer names a file")
}

fn unfollowed(upstream: &Upstream, prefix: &str, status: StatusCode) -> Rejection {
    let detail = format!(
        "upstream `{}` answered {status} with an X-Accel-Redirect that names no file below `{prefix}`",
        upstream.name
    );
    Rejection::because(Reason::UpstreamFailed, detail)
}

/// The path below the prefix, decoded as nginx would; `None` for one that is not below it, or could mean two things.
/// A query, which nginx would make the file's, means nothing to a file.
pub fn below(name: &HeaderValue, prefix: &str) -> Option<String> {
    let name = std::str::from_utf8(name.as_bytes()).ok()?;
    let path = Path::parse(name.split('?').next()?)
        .ok()
        .filter(|path| !path.has_params())?;
    let below = path.decoded().strip_prefix(prefix)?;
    below.starts_with('/').then(|| below.to_owned())
}

/// Serves the file that the upstream's answer named. `Ok` tells the status to report; 0 if the client went.
pub async fn follow(
    session: &mut Session,
    ctx: &mut Context,
    redirect: Redirect,
    now: SystemTime,
) -> std::result::Result<u16, Rejection> {
    // pingora ends the connection after an exchange that broke off; the client shall know.
    session.set_keepalive(None);
    match send_file(session, ctx, &redirect.root, &redirect.path, redirect.headers, now).await {
        Ok(()) => Ok(StatusCode::OK.as_u16()),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Lost(error)) => {
            if let Some(redirect) = &mut ctx.upstream.redirect {
                redirect.broke_off = Some(proxy::describe(&error));
            }
            Ok(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_the_prefix_is_followed() {
        let below = |name: &str| below(&HeaderValue::from_bytes(name.as_bytes()).unwrap(), "/protected");
        for (name, path) in [
            ("/protected/org/a.mp4", "/org/a.mp4"),
            ("/protected//org/a.mp4", "/org/a.mp4"),
            ("/protected/a%20b.mp4?x=1", "/a b.mp4"),
            ("/protected/a b.mp4", "/a b.mp4"),
            ("/protected/ü.mp4", "/ü.mp4"),
        ] {
            assert_eq!(below(name).as_deref(), Some(path), "{name}");
        }
        for name in [
            "",
            "/protected",
            "/protectedx/a",
            "/other/a",
            "protected/a",
            "@named",
            "/protected/../etc/passwd",
            "/protected/%2e%2e/etc/passwd",
            "/protected/a%2f..%2fb",
            "/protected/a;b",
            "/protected/a%00",
            "/protected/100%",
        ] {
            assert_eq!(below(name), None, "{name}");
        }
    }
}
