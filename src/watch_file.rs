//! Tells when the content of a file has changed, however it was replaced.
//!
//! Editors rename over a file and Kubernetes swings a symlink beside it, so the folder is watched, not the file. What
//! counts is the content: touching a file, or writing another one beside it, changes nothing.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::digest::sha256_of;

/// Quiet time after which a replacement counts as finished.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// A folder that is never quiet delays the look for no longer than this.
const DEBOUNCE_MAX: Duration = Duration::from_secs(2);
/// A slow look besides, for what sends no event: network file systems, a symlink's target in another folder.
const LOOK_ANYWAY: Duration = Duration::from_secs(30);

/// Ends the watching when dropped.
pub struct Guard {
    _watcher: RecommendedWatcher,
}

/// Calls `on_change`, on a thread of its own, each time the file's content has become another, also when the file
/// vanished or came back. The first comparison is with the content at the time of this call: call it before reading
/// the file, so that no change falls between.
///
/// Errors: the folder of `path` cannot be watched. The file itself may be missing.
pub fn watch(path: &Path, on_change: impl Fn() + Send + 'static) -> io::Result<Guard> {
    let path = std::path::absolute(path)?;
    let folder = path.parent().unwrap_or(&path).to_owned();
    // One place suffices: an event only says "look again".
    let (wake, woken) = sync_channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is an event too, our own included. An error (say, lost events) is a reason to look.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        // Full: a look is due anyway. Disconnected: the watching has ended.
        wake.try_send(()).ok();
    })
    .map_err(io::Error::other)?;
    watcher
        .watch(&folder, RecursiveMode::NonRecursive)
        .map_err(|error| io::Error::other(format!("{} cannot be watched: {error}", folder.display())))?;
    let seen = fingerprint(&path);
    std::thread::Builder::new()
        .name("watch-file".to_owned())
        .spawn(move || follow(&path, seen, &woken, on_change))?;
    Ok(Guard { _watcher: watcher })
}

/// Looks at the file after each event and now and then; returns when the guard, and with it the sender, is gone.
fn follow(path: &Path, mut seen: Fingerprint, woken: &Receiver<()>, on_change: impl Fn()) {
    loop {
        match woken.recv_timeout(LOOK_ANYWAY) {
            Ok(()) if !settle(woken) => return,
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
        }
        let found = fingerprint(path);
        if found != seen {
            seen = found;
            on_change();
        }
    }
}

/// Waits until the folder is quiet. False: the watching has ended.
fn settle(woken: &Receiver<()>) -> bool {
    let latest = Instant::now() + DEBOUNCE_MAX;
    loop {
        match woken.recv_timeout(DEBOUNCE) {
            Ok(()) if Instant::now() < latest => {}
            Ok(()) | Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// SHA-256 of the content; `None` while the file cannot be read.
type Fingerprint = Option<[u8; 32]>;

fn fingerprint(path: &Path) -> Fingerprint {
    File::open(path).and_then(sha256_of).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::mpsc::channel;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn every_way_of_replacing_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "1").unwrap();
        let (sender, changes) = channel();
        let copy = path.clone();
        let guard = watch(&path, move || sender.send(fs::read_to_string(&copy).ok()).unwrap()).unwrap();
        let next = || changes.recv_timeout(DEADLINE).unwrap();

        fs::write(&path, "2").unwrap();
        assert_eq!(next().as_deref(), Some("2"));

        fs::write(folder.path().join("new"), "3").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(next().as_deref(), Some("3"));

        // Neighbours and a rewrite of the same content are no change: the next message is about "4".
        fs::write(folder.path().join("neighbour"), "x").unwrap();
        fs::write(&path, "3").unwrap();
        fs::write(&path, "4").unwrap();
        assert_eq!(next().as_deref(), Some("4"));

        fs::remove_file(&path).unwrap();
        assert_eq!(next(), None);
        fs::write(&path, "5").unwrap();
        assert_eq!(next().as_deref(), Some("5"));

        drop(guard);
        // The thread drops its sender when it ends.
        assert!(changes.recv_timeout(DEADLINE).is_err());
    }

    /// A mounted ConfigMap: keys.json → ..data/keys.json, ..data → a dated folder, swung by one rename.
    #[test]
    fn a_swung_symlink_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (dated, content) in [("..1", "1"), ("..2", "2")] {
            fs::create_dir(at(dated)).unwrap();
            fs::write(at(dated).join("keys.json"), content).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/keys.json", at("keys.json")).unwrap();
        let (sender, changes) = channel();
        let _guard = watch(&at("keys.json"), move || sender.send(()).unwrap()).unwrap();
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        changes.recv_timeout(DEADLINE).unwrap();
        assert_eq!(fs::read_to_string(at("keys.json")).unwrap(), "2");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(watch(&folder.path().join("none/keys.json"), || ()).is_err());
    }
}
