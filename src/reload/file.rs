//! gateway.toml, and the news that its content is another.

use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use crate::watch_file;

/// The file that the gateway was started with, followed.
pub struct ConfigFile {
    path: PathBuf,
    changes: mpsc::Receiver<()>,
    watch: io::Result<watch_file::Guard>,
}

impl ConfigFile {
    /// To be called before the file is read for the first time, so that no change falls between.
    pub fn watched(path: PathBuf) -> Self {
        // One place suffices: a change only says "read again".
        let (sender, changes) = mpsc::channel(1);
        let watch = watch_file::watch(&path, move || {
            // Full: a reload is due anyway. Closed: the gateway ends.
            sender.try_send(()).ok();
        });
        Self { path, changes, watch }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why changes are not noticed, if they are not.
    pub fn unwatched(&self) -> Option<&io::Error> {
        self.watch.as_ref().err()
    }

    /// Waits for the next change; `None` if changes are not noticed.
    pub async fn changed(&mut self) -> Option<()> {
        self.changes.recv().await
    }
}
