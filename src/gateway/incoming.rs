//! Who brings a request that is decided about: a client's connection, or somebody who only asks.

use bytes::Bytes;
use http::HeaderMap;
use pingora::proxy::Session;

use super::{Stop, body};
use crate::authenticate::token::Recent;
use crate::rejection::Rejection;

/// The beginning of a body. The upstream gets it all the same.
#[derive(Default)]
pub struct Beginning {
    pub bytes: Bytes,
    /// The body has ended.
    pub whole: bool,
    /// It is more than what pingora sends again: `bytes` have to be put in front of the rest.
    pub too_long: bool,
}

pub trait Incoming: Send + Sync {
    fn headers(&self) -> &HeaderMap;

    /// What the connection remembers of tokens.
    fn recent(&self) -> Result<&Recent, Rejection>;

    /// The body until it ends or `is_enough` of it has come.
    fn look_into_body(
        &mut self,
        is_enough: impl FnMut(&[u8]) -> bool + Send,
    ) -> impl Future<Output = Result<Beginning, Stop>> + Send;
}

impl Incoming for Session {
    fn headers(&self) -> &HeaderMap {
        &self.req_header().headers
    }

    fn recent(&self) -> Result<&Recent, Rejection> {
        super::recent(self)
    }

    async fn look_into_body(&mut self, mut is_enough: impl FnMut(&[u8]) -> bool + Send) -> Result<Beginning, Stop> {
        self.as_mut().enable_retry_buffering();
        let bytes = body::read(self, |body| Ok(is_enough(body))).await?;
        Ok(Beginning {
            bytes,
            whole: self.as_mut().is_body_done(),
            too_long: self.as_ref().retry_buffer_truncated(),
        })
    }
}
