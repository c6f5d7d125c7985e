//! Moodle's answer on its way to the client: what was held back and the rest as it comes, without Moodle's keys and
//! cookies.

use std::io;

use bytes::Bytes;
use http::header;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::super::{Stop, upstream};
use crate::context::Context;
use crate::moodle::Moodle;
use crate::moodle::answer::redact::{self, Redactor};
use crate::moodle::answer::repeated;
use crate::moodle::answer::rewrite::Rewriter;
use crate::moodle::call::Answer;
use crate::moodle::token::Token;
use crate::rejection::{Reason, Rejection};
use crate::respond::write::{Pieces, write_stream};

/// The answer as the client gets it: what was held back, and the rest as it comes. `redacts`: less the keys in it, and less
/// this token.
pub(super) async fn go_back(
    session: &mut Session,
    ctx: &mut Context,
    answer: Answer,
    moodle: &Moodle,
    token: &Token,
    redacts: bool,
) -> Result<(), Stop> {
    if answer.status.is_informational() {
        // No request to Moodle switches protocols.
        return Err(Rejection::because(Reason::UpstreamFailed, format!("Moodle answered {}", answer.status)).into());
    }
    let mut head = ResponseHeader::build(answer.status, None)?;
    // The address of a file script has the token in it, and a header may repeat the address (`Content-Location`).
    let others = answer
        .headers
        .iter()
        .filter(|(_, value)| !repeated::is_in(value.as_bytes(), token));
    for (name, value) in others {
        head.append_header(name.clone(), value.clone())?;
    }
    for name in redact::removals(&answer.headers) {
        head.remove_header(&name);
    }
    head.remove_header(&header::TRANSFER_ENCODING);
    if redacts {
        head.remove_header(&header::CONTENT_LENGTH);
    }
    upstream::rewrite_response_headers(session, &mut head, ctx)?;
    let headers = head.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
    let headers = headers.collect();
    let status = answer.status;
    let mut body = Going {
        seen: answer.seen.clone().into_iter(),
        answer,
        moodle,
        redactor: redacts.then(|| Redactor::new(token)),
        rewriter: rewriter(ctx, moodle).filter(|_| redacts),
        ended: false,
    };
    Ok(write_stream(session, status, headers, &mut body).await?)
}

struct Going<'a> {
    seen: std::vec::IntoIter<Bytes>,
    answer: Answer,
    moodle: &'a Moodle,
    redactor: Option<Redactor>,
    rewriter: Option<Rewriter>,
    ended: bool,
}

/// For a route that rewrites addresses: to those beside the script that was called.
fn rewriter(ctx: &Context, moodle: &Moodle) -> Option<Rewriter> {
    ctx.route.as_ref().filter(|route| route.config.rewrite_urls)?;
    let public = ctx.snapshot.config.server.public_url(&ctx.request.host)?;
    let (prefix, _) = ctx.path.encoded().split_once("/webservice/")?;
    Some(Rewriter::new(
        &moodle.config.wwwroot,
        &format!("{}{prefix}", public.origin()),
    ))
}

impl Pieces for Going<'_> {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.ended {
            let piece = match self.seen.next() {
                Some(piece) => Some(piece),
                None => self.answer.read(self.moodle).await.map_err(io::Error::other)?,
            };
            self.ended = piece.is_none();
            let piece = match (&mut self.redactor, piece) {
                (None, piece) => piece,
                (Some(redactor), Some(piece)) => Some(redactor.push(&piece)),
                (Some(redactor), None) => Some(redactor.finish()),
            };
            let piece = match (&mut self.rewriter, piece) {
                (None, piece) => piece,
                (Some(rewriter), piece) => {
                    let text = rewriter.push(&piece.unwrap_or_default());
                    match self.ended {
                        true => Some([text, rewriter.finish()].concat().into()),
                        false => Some(text),
                    }
                }
            };
            if let Some(piece) = piece.filter(|piece| !piece.is_empty()) {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}
