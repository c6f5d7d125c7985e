//! Why the store cannot be opened, read or written; each text says what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::rejection::{Reason, Rejection};

/// See the module.
#[derive(Debug, Error)]
pub enum StoreError {
    #[error("the state folder {path} cannot be made: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("the state file {path} cannot be opened: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the state file {path} is in use by another process: is a gateway already running on it?")]
    InUse { path: PathBuf },
    #[error("the state file {path} is damaged or no state file ({detail}); move it away to start with an empty one")]
    Damaged { path: PathBuf, detail: String },
    #[error("the state store cannot be {action}: {source}")]
    Access {
        action: &'static str,
        #[source]
        source: Arc<redb::Error>,
    },
    #[error("the state store's thread cannot be started: {source}")]
    Thread { source: io::Error },
    #[error("the state store is away ({detail})")]
    Away { detail: String },
    #[error("the state store's worker ended early")]
    Worker,
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        Self::because(Reason::StoreUnavailable, error.to_string())
    }
}

impl From<Arc<StoreError>> for Rejection {
    fn from(error: Arc<StoreError>) -> Self {
        Self::because(Reason::StoreUnavailable, error.to_string())
    }
}
