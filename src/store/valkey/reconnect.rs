//! Keeps one connection: looks at it every second and whenever somebody suspects it, and makes it anew.
//!
//! Nobody else connects, so that a server that comes back is not overrun; several gateways come at different moments.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;
use rand::Rng as _;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::connect::{Connection, connect};
use super::{ANSWER, CONNECT, Heard};
use crate::config;

/// Between two looks at a good connection.
const LOOK: Duration = Duration::from_secs(1);
/// Before the first further attempt; doubled each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How things stand.
#[derive(Clone)]
pub(super) enum Link {
    /// Since the start.
    Connecting,
    Up(Connection),
    /// And why.
    Down(Arc<str>),
}

pub(super) type Hear = Arc<dyn Fn(Heard<'_>) + Send + Sync>;

pub(super) struct Reconnect {
    pub(super) config: config::Valkey,
    pub(super) link: watch::Sender<Link>,
    pub(super) suspicion: Arc<Notify>,
    pub(super) hear: Hear,
    pub(super) up: IntGauge,
}

impl Reconnect {
    /// Works until `ended` is. On a thread of its own, where no request can hold up the connection of all.
    pub(super) fn start(self, ended: oneshot::Receiver<()>) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let work = async move {
            tokio::select! {
                _ = ended => {}
                never = self.keep() => match never {},
            }
        };
        std::thread::Builder::new()
            .name("janua-store".to_owned())
            .spawn(move || runtime.block_on(work))
            .map(drop)
    }

    async fn keep(self) -> std::convert::Infallible {
        let mut pause = FIRST_PAUSE;
        let mut is_known_down = false;
        loop {
            let attempt = timeout(CONNECT, connect(&self.config, &self.hear, &self.suspicion)).await;
            let lost = match attempt.unwrap_or_else(|_| Err("no connection within two seconds".to_owned())) {
                Ok(connection) => {
                    tracing::info!("connected to the state store");
                    (pause, is_known_down) = (FIRST_PAUSE, false);
                    self.link.send_replace(Link::Up(connection.clone()));
                    self.up.set(1);
                    // Also after the first: what was read before this moment may have changed unheard.
                    (self.hear)(Heard::Missed);
                    self.watch(connection).await
                }
                Err(error) => error,
            };
            self.up.set(0);
            if !is_known_down {
                tracing::warn!(error = %lost, "the state store is away: what needs a session gets 503 until it is back");
                is_known_down = true;
            }
            self.link.send_replace(Link::Down(lost.into()));
            // Not all gateways at the same moment.
            let jitter = rand::rng().random_range(0.5..1.0);
            sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns why the connection is of no use any more.
    async fn watch(&self, mut connection: Connection) -> String {
        loop {
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.suspicion.notified() => {}
            }
            match timeout(ANSWER, connection.look()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(_) => return "no answer within a second".to_owned(),
            }
        }
    }
}
