//! One call of Moodle: a request goes out with a body that is there or still comes, and an answer's head is held back
//! until it is clear what it means.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::act::proxy::Chosen;
use crate::backchannel::{BackchannelError, Incoming};
use crate::moodle::Moodle;
use crate::moodle::answer::{Judging, Verdict};
use crate::rejection::{Reason, Rejection};

/// An answer of which nothing was sent on yet.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Pieces of the body that were looked at.
    pub seen: Vec<Bytes>,
    incoming: Incoming,
}

/// A body that comes in pieces from somebody else.
pub(super) struct Pieces(pub(super) mpsc::Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = self.get_mut().0.poll_recv(context);
        piece.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

impl Moodle {
    /// Sends a request to a server and waits for the head of the answer. `target` is path and query there.
    pub async fn send(
        &self,
        chosen: &Chosen,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Answer, BackchannelError> {
        let url = chosen.server.url(target);
        let url = url.ok_or_else(|| BackchannelError::Setup("no address for a call of Moodle".to_owned()))?;
        let sent = self
            .backchannel
            .open(method, &url, headers, body, self.read_timeout)
            .await?;
        Ok(Answer {
            status: sent.status,
            headers: sent.headers,
            seen: Vec::new(),
            incoming: sent.incoming,
        })
    }
}

impl Answer {
    /// Reads as much of the body as the verdict needs.
    pub async fn judge(&mut self, judging: Judging, moodle: &Moodle) -> Result<Option<Verdict>, BackchannelError> {
        let mut judge = match judging {
            Judging::Decided(verdict) => return Ok(verdict),
            Judging::Open(judge) => judge,
        };
        while let Some(piece) = self.read(moodle).await? {
            let verdict = judge.push(&piece);
            self.seen.push(piece);
            if let Some(verdict) = verdict {
                return Ok(verdict);
            }
        }
        Ok(judge.finish())
    }

    /// The next piece behind those that were seen.
    pub async fn read(&mut self, moodle: &Moodle) -> Result<Option<Bytes>, BackchannelError> {
        let piece = timeout(moodle.read_timeout, self.incoming.next()).await;
        piece.unwrap_or_else(|_| {
            Err(BackchannelError::Timeout {
                host: moodle.upstream.name.to_string(),
                limit: moodle.read_timeout,
            })
        })
    }
}

/// What a client is told of a call that did not reach Moodle, or brought no answer.
pub(in crate::moodle) fn rejection(error: &BackchannelError) -> Rejection {
    let reason = match error {
        BackchannelError::Timeout { .. } => Reason::UpstreamTimeout,
        BackchannelError::Broken { .. } | BackchannelError::TooLarge { .. } => Reason::UpstreamFailed,
        _ => Reason::UpstreamUnavailable,
    };
    Rejection::because(reason, error.to_string())
}
