//! Answers that are files or fixed.

use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora::proxy::Session;

use super::{Stop, common_headers, complete, content_type, watch};
use crate::act::file::{self, Edit, FileBody, FileRequest, Root};
use crate::act::playlist;
use crate::context::Context;
use crate::query;
use crate::respond::write::Pieces;
use crate::respond::{self, Reply};
use crate::snapshot::Route;

pub(super) async fn serve_file(session: &mut Session, ctx: &Context, route: &Route, root: &Root) -> Result<(), Stop> {
    let (_, below) = ctx.path.stripped(&route.config.strip);
    send_file(session, ctx, root, &below, Vec::new(), ctx.at).await
}

/// The file at `below`, with headers from elsewhere unless the file has its own.
pub(super) async fn send_file(
    session: &mut Session,
    ctx: &Context,
    root: &Root,
    below: &str,
    also: Vec<(HeaderName, HeaderValue)>,
    now: SystemTime,
) -> Result<(), Stop> {
    let headers = &session.req_header().headers;
    let asked = FileRequest {
        method: &ctx.request.method,
        headers,
        download: wants_download(ctx.request.query.as_deref()),
        private: ctx.route.as_ref().is_none_or(|route| !route.anonymous),
        client: ctx.client.address,
    };
    let kind = playlist::Kind::of_path(below);
    let mut answer = match watch::Rewriting::of(ctx).zip(kind) {
        Some((rewriting, kind)) => {
            let edit = Edit {
                limit: playlist::MAX_PLAYLIST as u64,
                tag: &rewriting.tag,
                edit: &|text| rewriting.rewrite(kind, text),
            };
            Box::pin(file::answer_edited(root, below, asked, &edit, now)).await?
        }
        None => file::answer(root, below, asked, now).await?,
    };
    for (name, value) in also {
        if !answer.headers.iter().any(|(known, _)| *known == name) || name == header::SET_COOKIE {
            answer.headers.push((name, value));
        }
    }
    let common = common_headers(ctx, headers, (answer.status, content_type(&answer.headers)));
    answer.headers.extend(common);
    let mut body = Chunks(answer.body);
    Ok(respond::write::write_stream(session, answer.status, answer.headers, &mut body).await?)
}

struct Chunks(FileBody);

impl Pieces for Chunks {
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send {
        self.0.next()
    }
}

/// `?download=1`, as Opencast understands it.
pub(super) fn wants_download(query: Option<&str>) -> bool {
    let mut values = query::values(query.unwrap_or_default().as_bytes(), "download");
    values.any(|value| matches!(&*value, "1" | "true"))
}

pub(super) async fn serve_reply(session: &mut Session, ctx: &Context, route: &Route, reply: Reply) -> Result<(), Stop> {
    let mut reply = complete(ctx, &session.req_header().headers, reply);
    if !route.anonymous {
        reply.headers.retain(|(name, _)| name != header::CACHE_CONTROL);
        reply
            .headers
            .push((header::CACHE_CONTROL, HeaderValue::from_static("private")));
    }
    Ok(respond::write::write(session, &reply).await?)
}
