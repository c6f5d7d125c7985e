//! Files that were opened a moment ago, kept open for those who ask for them next: a lecture's first segment, a poster.
//!
//! What is trusted for a moment is the way to a file, never the file: its metadata are read anew for every request, and
//! a file that was written to, replaced, moved, removed or forbidden since is looked up again at once. What the file
//! itself does not tell (a folder above it was moved or forbidden, a link leads elsewhere) is noticed within
//! [`LIFETIME`]. Nothing stays open for longer than twice that, so that no removed lecture keeps its room on the disk
//! and no file system stays busy.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::metadata::Described;
use super::resolve::Opened;

/// How long the way to a file is trusted.
const LIFETIME: Duration = Duration::from_millis(100);
/// Files of one root that are kept at the same time: each is a descriptor.
const PLACES: usize = 128;

/// The kept files of one root, by the names under which they were asked for.
#[derive(Default)]
pub(super) struct OpenFileCache(Arc<Mutex<Files>>);

#[derive(Default)]
struct Files {
    by_name: HashMap<Box<str>, Entry>,
    /// A task closes what has become too old, for as long as there is anything.
    is_swept: bool,
}

struct Entry {
    file: Arc<File>,
    version: Version,
    described: Arc<OnceLock<Described>>,
    since: SystemTime,
}

impl Entry {
    /// A clock that was set back makes nothing fresh.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.since).is_ok_and(|age| age < LIFETIME)
    }
}

impl OpenFileCache {
    /// The file that was opened by this name a moment ago, with its metadata as they are now; `None` if it has to be
    /// looked up.
    pub(super) fn get(&self, name: &str, now: SystemTime) -> Option<Opened> {
        let (file, before, described) = {
            let files = self.0.lock();
            let entry = files.by_name.get(name)?;
            if !entry.is_fresh(now) {
                return None;
            }
            (Arc::clone(&entry.file), entry.version, Arc::clone(&entry.described))
        };
        let metadata = file.metadata().ok()?;
        (version(&metadata) == before).then_some(Opened {
            file,
            metadata,
            described,
        })
    }

    /// Keeps a file that was just opened, if there is a place for it.
    pub(super) fn keep(&self, name: &str, opened: &Opened, now: SystemTime) {
        // Removed between the look-up and now: nobody shall find it again.
        if opened.metadata.nlink() == 0 {
            return;
        }
        let mut files = self.0.lock();
        if files.by_name.len() >= PLACES && !files.by_name.contains_key(name) {
            return;
        }
        let entry = Entry {
            file: Arc::clone(&opened.file),
            version: version(&opened.metadata),
            described: Arc::clone(&opened.described),
            since: now,
        };
        files.by_name.insert(name.into(), entry);
        if !std::mem::replace(&mut files.is_swept, true) {
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().by_name.len()
    }
}

type Version = [i64; 7];

/// A write, rename, removal or change of permissions changes one of these. `ctime` alone would do, since no program can
/// set it, but old kernels count it in steps of some milliseconds.
fn version(metadata: &Metadata) -> Version {
    let signed = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
    [
        signed(metadata.size()),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
        signed(metadata.nlink()),
        metadata.mode().into(),
    ]
}

/// Closes the files that have become too old, until none is left or the root is gone.
async fn sweep(files: Weak<Mutex<Files>>) {
    loop {
        tokio::time::sleep(LIFETIME).await;
        let Some(files) = files.upgrade() else {
            return;
        };
        let mut files = files.lock();
        let now = SystemTime::now();
        files.by_name.retain(|_, entry| entry.is_fresh(now));
        if files.by_name.is_empty() {
            files.is_swept = false;
            return;
        }
    }
}
