//! Those who are told of views by requests: a queue for each, and a task that empties it in batches.
//!
//! While the server is away, a batch is sent again and again, less and less often; the queue fills up, and what no longer fits
//! is dropped and counted. What a server does not want is dropped at once. A batch whose answer was lost is told twice.

use std::path::PathBuf;
use std::time::Duration;

use prometheus::IntCounter;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use super::View;
use super::matomo::Matomo;
use super::usertracking::Usertracking;
use crate::backchannel::BackchannelError;
use crate::config;
use crate::key_file::PasswordError;

/// Views that wait.
const QUEUE: usize = 10_000;
/// Views of one request.
const BATCH: usize = 100;
/// How long a batch waits to be full.
const GATHER: Duration = Duration::from_secs(5);
/// Between two attempts: at first, and at last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// So often a server may answer that it has failed before the batch is given up: it may be the batch's fault.
const FAILURES: usize = 10;

/// Why nothing can be told. Each text names the place.
#[derive(Debug, Error)]
pub enum ExportError {
    #[error("file: {path}: {error}")]
    File { path: PathBuf, error: std::io::Error },
    #[error("matomo.token_file: {0}")]
    Token(#[from] PasswordError),
    #[error("{0}")]
    Backchannel(#[from] BackchannelError),
}

/// What became of an attempt to tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// All but so many, which the server did not take.
    But(usize),
    /// The server does not want them, and would not want them later.
    Refused(String),
    /// It may want them later.
    Failed(String),
    /// Nobody was there.
    Away(String),
}

/// Whom views are told.
enum Whom {
    Matomo(Matomo),
    Usertracking(Usertracking),
}

impl Whom {
    fn name(&self) -> &'static str {
        match self {
            Self::Matomo(_) => "matomo",
            Self::Usertracking(_) => "usertracking",
        }
    }

    /// How many of the views, from the first on, this attempt was about, and what became of them.
    async fn tell(&self, views: &[View]) -> (usize, Told) {
        match self {
            Self::Matomo(matomo) => (views.len(), matomo.tell(views).await),
            Self::Usertracking(service) => match views.first() {
                Some(view) => (1, service.tell(view).await),
                None => (0, Told::But(0)),
            },
        }
    }
}

/// The entrance of one queue.
pub(super) struct Export {
    queue: mpsc::Sender<View>,
    dropped: IntCounter,
    closing: watch::Sender<bool>,
}

impl Export {
    pub(super) fn matomo(config: &config::Matomo, dropped: IntCounter) -> Result<Self, ExportError> {
        Ok(Self::start(Whom::Matomo(Matomo::new(config)?), dropped))
    }

    pub(super) fn usertracking(config: &config::Usertracking, dropped: IntCounter) -> Result<Self, ExportError> {
        Ok(Self::start(Whom::Usertracking(Usertracking::new(config)?), dropped))
    }

    fn start(whom: Whom, dropped: IntCounter) -> Self {
        let (queue, views) = mpsc::channel(QUEUE);
        let (closing, closed) = watch::channel(false);
        tokio::spawn(Exporter::new(whom, dropped.clone(), closed).empty(views));
        Self {
            queue,
            dropped,
            closing,
        }
    }

    /// Returns when all that waits has been told, or tried.
    pub(super) async fn end(&self) {
        self.closing.send_replace(true);
        self.queue.closed().await;
    }

    /// Takes a view, or drops it where too many wait.
    pub(super) fn tell(&self, view: &View) {
        if self.queue.try_send(view.clone()).is_err() {
            self.dropped.inc();
        }
    }
}

/// Empties one queue.
struct Exporter {
    whom: Whom,
    dropped: IntCounter,
    closing: watch::Receiver<bool>,
}

impl Exporter {
    fn new(whom: Whom, dropped: IntCounter, closing: watch::Receiver<bool>) -> Self {
        Self { whom, dropped, closing }
    }

    /// Tells what comes, batch by batch; at the end of the process what has come so far.
    async fn empty(mut self, mut views: mpsc::Receiver<View>) {
        let mut batch = Vec::new();
        while self.gather(&mut views, &mut batch).await {
            self.deliver(&mut batch).await;
        }
    }

    /// The next batch. False: there is none any more.
    async fn gather(&mut self, views: &mut mpsc::Receiver<View>, batch: &mut Vec<View>) -> bool {
        let mut full_at = None;
        while batch.len() < BATCH && !self.is_closing() {
            let until = full_at.unwrap_or_else(|| Instant::now() + 2 * PAUSES.1);
            tokio::select! {
                next = timeout_at(until, views.recv()) => match next {
                    Ok(Some(view)) => batch.push(view),
                    Ok(None) => break,
                    Err(_) if batch.is_empty() => continue,
                    Err(_) => break,
                },
                _ = self.closing.changed() => {}
            }
            full_at = full_at.or_else(|| Some(Instant::now() + GATHER));
        }
        while batch.len() < BATCH
            && let Ok(view) = views.try_recv()
        {
            batch.push(view);
        }
        !batch.is_empty()
    }

    /// Until the batch is empty.
    async fn deliver(&mut self, batch: &mut Vec<View>) {
        let (mut pause, mut failures) = (PAUSES.0, 0);
        while !batch.is_empty() {
            let (about, told) = self.whom.tell(batch).await;
            let name = self.whom.name();
            let lost = match told {
                Told::But(refused) => {
                    if refused > 0 {
                        tracing::warn!(statistics = name, views = refused, "views were not taken");
                    }
                    Some(refused)
                }
                Told::Refused(why) => {
                    tracing::error!(statistics = name, error = why, views = about, "views were refused");
                    Some(about)
                }
                Told::Failed(why) => {
                    failures += 1;
                    tracing::warn!(
                        statistics = name,
                        error = why,
                        attempt = failures,
                        "views cannot be told now"
                    );
                    (failures >= FAILURES).then_some(about)
                }
                Told::Away(why) => {
                    tracing::warn!(statistics = name, error = why, "views cannot be told now");
                    None
                }
            };
            // Nobody waits for another attempt at the end of the process.
            let lost = lost.or_else(|| self.is_closing().then_some(about));
            if let Some(lost) = lost {
                self.dropped.inc_by(lost as u64);
                batch.drain(..about.min(batch.len()));
                (pause, failures) = (PAUSES.0, 0);
                continue;
            }
            // Over early if the process ends.
            drop(timeout(pause, self.closing.changed()).await);
            pause = (2 * pause).min(PAUSES.1);
        }
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
}
