//! Signing people in: what a sign-in server is asked and how its answer is judged, one folder a protocol.
//!
//! The way through the browser and the session that comes of it are decided elsewhere.

pub mod attempt;
pub mod cas;
pub mod target;

use std::sync::Arc;

use tokio::sync::Semaphore;

use self::attempt::Attempts;
use super::launch::Launches;
use super::session::Sessions;
use crate::observe::metrics::SessionMetrics;
use crate::sealing::MasterKeys;
use crate::store::Store;

/// Who is signed in, and who is about to be. One for the process; a reload leaves it as it is.
#[derive(Clone)]
pub struct People {
    pub sessions: Arc<Sessions>,
    pub launches: Arc<Launches>,
    pub attempts: Attempts,
    pub metrics: SessionMetrics,
    /// Tickets that may be judged at once: whoever floods a callback shall not flood the CAS server.
    pub judging: Arc<Semaphore>,
}

/// See [`People::judging`].
const JUDGED_AT_ONCE: usize = 64;

impl People {
    /// Sessions are kept in `store`; what browsers carry is sealed and signed by `keys`.
    pub fn new(store: &Store, keys: &MasterKeys, metrics: &SessionMetrics) -> Self {
        Self {
            sessions: Sessions::new(store, keys, metrics.clone()),
            launches: Launches::new(store, keys),
            attempts: Attempts::new(keys),
            metrics: metrics.clone(),
            judging: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
        }
    }
}
