//! What the processes on one store tell one another.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::valkey::Heard;
use crate::sealing::Sealer;

/// What published notices are sealed for.
pub(super) const NOTICE: &[u8] = b"notice";

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// What some process gave to [`Store::notify`](super::Store::notify).
    Message(Arc<str>),
    /// Messages may have been lost: forget whatever is remembered of the store.
    Missed,
}

/// What one subscriber has not heard yet.
pub struct Notices(pub(super) broadcast::Receiver<Notice>);

impl Notices {
    /// The next one; whoever was too slow for some of them has missed something. `None`: the store is closed.
    pub async fn next(&mut self) -> Option<Notice> {
        match self.0.recv().await {
            Ok(notice) => Some(notice),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Notice::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// What was not sealed by a gateway of ours is no notice.
pub(super) fn opened(opener: &Sealer, heard: Heard<'_>) -> Option<Notice> {
    match heard {
        Heard::Missed => Some(Notice::Missed),
        Heard::Published(payload) => {
            let text = String::from_utf8(opener.open(NOTICE, payload)?).ok()?;
            Some(Notice::Message(text.into()))
        }
    }
}
