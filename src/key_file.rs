//! Files that hold secrets, and whether others than their owner and group can read them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::config::{Config, State};

/// Read, write or search permission for everybody.
const OTHERS: u32 = 0o007;

/// A file with a secret that everybody on the machine can read or change.
#[derive(Debug, Error)]
#[error(
    "{key}: {path} is open to everybody (mode {mode:04o}): chmod 600 it, or 640 for a group; a Kubernetes secret wants \
     `defaultMode: 0400` and the pod an fsGroup"
)]
pub struct OpenToAll {
    key: String,
    path: PathBuf,
    mode: u32,
    /// `janua check` refuses it: a master key or a password. A warning is enough for other keys, which other programs use too.
    pub is_refused: bool,
}

impl OpenToAll {
    /// What is wrong with this file. `None`: nothing, or it is not there.
    fn find(key: String, path: &Path, is_refused: bool) -> Option<Self> {
        let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
        let path = path.to_owned();
        (mode & OTHERS != 0).then_some(Self {
            key,
            path,
            mode,
            is_refused,
        })
    }
}

/// All such files that the configuration names.
pub fn open_to_all(config: &Config) -> Vec<OpenToAll> {
    let mut found = Vec::new();
    match &config.state {
        State::Memory => {}
        State::Embedded { path, key_file } => {
            found.push(OpenToAll::find("state.key_file".to_owned(), key_file, true));
            found.push(OpenToAll::find("state.path".to_owned(), path, false));
        }
        State::Valkey(valkey) => {
            found.push(OpenToAll::find("state.key_file".to_owned(), &valkey.key_file, true));
            let password = valkey.password_file.as_deref();
            found.push(password.and_then(|path| OpenToAll::find("state.password_file".to_owned(), path, true)));
        }
    }
    for opencast in &config.opencasts {
        let key = |key| format!("opencast.{}.{key}", opencast.name);
        found.push(OpenToAll::find(key("password_file"), &opencast.password_file, true));
        found.push(OpenToAll::find(key("sign_key_file"), &opencast.sign_key_file, false));
    }
    for listener in &config.server.tls {
        found.push(OpenToAll::find("server.tls.key".to_owned(), &listener.key, false));
    }
    found.into_iter().flatten().collect()
}
