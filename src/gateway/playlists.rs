//! Playlists of an upstream on their way to a player that carries its pass in addresses: the question to the upstream is
//! put so that the answer can be rewritten, then its header and its body are.

use bytes::Bytes;
use http::{HeaderName, Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::prelude::{ErrorType, OrErr as _, Result};
use pingora::proxy::Session;

use super::watch::{Rewriting, tagged, untagged};
use crate::act::playlist::Kind;
use crate::act::playlist::collect::Collecting;
use crate::context::Context;

/// Conditions and ranges are about the text that the client gets, which is not the upstream's; of the codings only gzip
/// is read here.
pub fn ask(upstream: &mut RequestHeader, ctx: &Context) -> Result<()> {
    let Some(rewriting) = Rewriting::of(ctx) else {
        return Ok(());
    };
    ask_readable(upstream)?;
    if named(ctx).is_none() {
        return Ok(());
    }
    for name in [
        header::RANGE,
        header::IF_RANGE,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
    ] {
        upstream.remove_header(&name);
    }
    for name in [header::IF_NONE_MATCH, header::IF_MATCH] {
        let Some(condition) = condition(upstream, &name) else {
            continue;
        };
        match untagged(&condition, &rewriting.tag) {
            Some(plain) => upstream.insert_header(name, plain)?,
            // Nothing that the client has is current; `If-Match` then fails, whatever the upstream has.
            None if name == header::IF_MATCH => {}
            None => drop(upstream.remove_header(&name)),
        }
    }
    Ok(())
}

/// In a coding that is read here.
pub(super) fn ask_readable(upstream: &mut RequestHeader) -> Result<()> {
    let codings = upstream.headers.get_all(header::ACCEPT_ENCODING).iter();
    let takes_gzip = codings
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("gzip"));
    upstream.insert_header(header::ACCEPT_ENCODING, if takes_gzip { "gzip" } else { "identity" })
}

/// Is the answer gzip-encoded? `None`: in a coding that is not read here.
pub(super) fn is_gzip(answer: &ResponseHeader) -> Option<bool> {
    let coding = answer.headers.get(header::CONTENT_ENCODING);
    match coding.map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
        None | Some(b"identity") => Some(false),
        Some(b"gzip" | b"x-gzip") => Some(true),
        Some(_) => None,
    }
}

/// Takes off what describes the upstream's bytes. Is there a body to come?
pub(super) fn rewritten(session: &Session, answer: &mut ResponseHeader) -> Result<bool> {
    for name in [
        "content-length",
        "content-encoding",
        "accept-ranges",
        "content-md5",
        "digest",
        "content-digest",
    ] {
        answer.remove_header(name);
    }
    let request = session.req_header();
    if request.method == Method::HEAD {
        return Ok(false);
    }
    if request.version == Version::HTTP_11 {
        // Its length is not known yet, and pingora would end the body by closing the connection.
        answer.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(true)
}

fn condition(upstream: &RequestHeader, name: &HeaderName) -> Option<String> {
    let values = upstream
        .headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let values: Vec<&str> = values.collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// The header of the answer: a redirect inside the lecture has the pass, and a playlist has nothing that describes the
/// upstream's bytes.
pub fn answered(session: &Session, answer: &mut ResponseHeader, ctx: &mut Context) -> Result<()> {
    let Some(rewriting) = Rewriting::of(ctx) else {
        return Ok(());
    };
    if answer.status.is_redirection()
        && let Some(location) = answer
            .headers
            .get(header::LOCATION)
            .and_then(|value| str::from_utf8(value.as_bytes()).ok())
        && let Some(location) = rewriting.redirect(location)
    {
        // Without it the player would come there with nothing.
        return answer.insert_header(header::LOCATION, location);
    }
    let of_type = answer
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| Kind::of_content_type(value.to_str().ok()?));
    let Some(kind) = of_type.or_else(|| named(ctx)) else {
        return Ok(());
    };
    let is_whole = matches!(answer.status, StatusCode::OK | StatusCode::NOT_MODIFIED);
    let Some(is_gzip) = is_gzip(answer).filter(|_| is_whole) else {
        return Ok(());
    };
    match answer.headers.get(header::ETAG).map(|etag| etag.to_str()) {
        Some(Ok(etag)) => {
            let etag = tagged(etag, &rewriting.tag);
            answer.insert_header(header::ETAG, etag)?;
        }
        // It cannot be told apart from the upstream's own.
        Some(Err(_)) => drop(answer.remove_header(&header::ETAG)),
        None => {}
    }
    answer.remove_header(&header::LAST_MODIFIED);
    if answer.status == StatusCode::NOT_MODIFIED {
        return Ok(());
    }
    if rewritten(session, answer)? {
        ctx.watch.collecting = Some((kind, Collecting::new(is_gzip)));
    }
    Ok(())
}

/// A piece of the body: held back until the playlist is whole.
pub fn body(piece: &mut Option<Bytes>, end: bool, ctx: &mut Context) -> Result<()> {
    let Some((kind, mut collecting)) = ctx.watch.collecting.take() else {
        return Ok(());
    };
    let unreadable = || "a playlist of the upstream that cannot be decoded";
    let mut out = collecting
        .add(piece.as_deref().unwrap_or_default())
        .or_err_with(ErrorType::InvalidHTTPHeader, unreadable)?;
    if end {
        let (rest, is_whole) = collecting
            .finish()
            .or_err_with(ErrorType::InvalidHTTPHeader, unreadable)?;
        let rewriting = Rewriting::of(ctx).filter(|_| is_whole);
        let rewritten = rewriting.and_then(|rewriting| rewriting.rewrite(kind, &rest));
        out.extend(rewritten.unwrap_or(rest));
    } else {
        ctx.watch.collecting = Some((kind, collecting));
    }
    *piece = Some(Bytes::from(out)).filter(|out| !out.is_empty());
    Ok(())
}

fn named(ctx: &Context) -> Option<Kind> {
    Kind::of_path(ctx.path.decoded())
}
