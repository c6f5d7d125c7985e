//! A request's body, where the gateway reads it itself.

use bytes::{Bytes, BytesMut};
use http::{Version, header};
use pingora::prelude::Result as PingoraResult;
use pingora::proxy::Session;
use tokio::time::timeout;

use super::Stop;
use crate::rejection::Reason;
use crate::sign_in::LONGEST_WAIT;

/// The next piece; `None` at the end.
pub(super) async fn next(session: &mut Session) -> PingoraResult<Option<Bytes>> {
    invite(session).await?;
    session.read_request_body().await
}

/// Reads, in good time, until it ends or `is_enough` of it has come.
pub(super) async fn read(
    session: &mut Session,
    mut is_enough: impl FnMut(&[u8]) -> Result<bool, Stop>,
) -> Result<Bytes, Stop> {
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(piece) = next(session).await? {
            body.extend_from_slice(&piece);
            if is_enough(&body)? {
                break;
            }
        }
        Ok(body.freeze())
    };
    let late = |_| Stop::from(Reason::RequestTimeout);
    timeout(LONGEST_WAIT, reading).await.map_err(late)?
}

/// A client may wait to be asked for its body (RFC 9110 section 10.1.1). Who gets the request behind the gateway need not ask
/// once more.
async fn invite(session: &mut Session) -> PingoraResult<()> {
    let header = session.req_header_mut();
    let Some(expected) = header.remove_header(&header::EXPECT) else {
        return Ok(());
    };
    let waits = expected.as_bytes().eq_ignore_ascii_case(b"100-continue");
    match waits && header.version >= Version::HTTP_11 {
        true => session.as_mut().write_continue_response().await,
        false => Ok(()),
    }
}
