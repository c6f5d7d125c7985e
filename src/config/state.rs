//! `[state]`, checked: which store it is, and what each of them has of files and servers.

use std::path::{Path, PathBuf};

use super::Valkey;

/// Where last good key sets, sessions, tokens and revocations are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// redb without a file: gone with the process.
    Memory,
    /// redb in one crash-safe file; what is in it is sealed with the master key.
    Embedded { path: PathBuf, key_file: PathBuf },
    /// One server or several, shared by gateways; what is in it is sealed with the master key.
    Valkey(Valkey),
}

impl State {
    /// The file with the master key. `None`: nothing is kept beyond the process, and its key is nowhere.
    pub fn key_file(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::Embedded { key_file, .. } => Some(key_file),
            Self::Valkey(valkey) => Some(&valkey.key_file),
        }
    }

    /// The store's own file on this machine.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Embedded { path, .. } => Some(path),
            Self::Memory | Self::Valkey(_) => None,
        }
    }

    /// What several gateways may share.
    pub fn valkey(&self) -> Option<&Valkey> {
        match self {
            Self::Valkey(valkey) => Some(valkey),
            Self::Memory | Self::Embedded { .. } => None,
        }
    }
}
