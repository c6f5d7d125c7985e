//! The log's file: opened anew when another, or none, stands under its name; begun anew when it has become too large.
//!
//! Only the log's own thread comes here: a disk that is slow or full never holds up a request. What could not be
//! written is told by lines, so that it can be counted.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use prometheus::IntCounter;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::config::Rotate;

/// Until it is tried again to begin a new file, after that failed.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// A file that lines are appended to. logrotate needs no signal: a file that was moved away is noticed at the next write.
pub struct LogFile {
    path: PathBuf,
    file: File,
    rotation: Option<Rotation>,
    /// The last line in it has no end, since the disk was full.
    is_torn: bool,
}

/// When this gateway itself begins a new file.
pub struct Rotation {
    pub(super) limits: Rotate,
    pub(super) done: IntCounter,
    pub(super) failed: IntCounter,
    not_before: Option<Instant>,
}

impl Rotation {
    pub(super) fn new(limits: Rotate, done: IntCounter, failed: IntCounter) -> Self {
        Self {
            limits,
            done,
            failed,
            not_before: None,
        }
    }
}

impl LogFile {
    /// Opens for appending, made if missing; readable for owner and group: it holds addresses of people. A FIFO that nobody
    /// reads is an error (`ENXIO`).
    pub fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: opened(path)?,
            rotation,
            is_torn: false,
        })
    }

    /// Writes whole lines. Error: so many of them are lost.
    pub(super) fn write(&mut self, batch: &[u8]) -> Result<(), u64> {
        let held = self.file.metadata().ok();
        if !is_same(fs::metadata(&self.path).ok().as_ref(), held.as_ref()) {
            // An error leaves the file that is open: its lines are not lost.
            self.reopen().ok();
        } else if let Some(held) = held.filter(Metadata::is_file) {
            self.rotate_before(held.len(), batch.len());
        }
        if self.is_torn && self.file.write_all(b"\n").is_ok() {
            self.is_torn = false;
        }
        self.append(batch)
    }

    /// Opens what stands under the name now, or makes it.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = opened(&self.path)?;
        self.is_torn = false;
        Ok(())
    }

    fn append(&mut self, batch: &[u8]) -> Result<(), u64> {
        let mut left = batch;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(written @ 1..) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => {
                    let written = batch.get(..batch.len() - left.len()).unwrap_or_default();
                    self.is_torn |= written.last().is_some_and(|byte| *byte != b'\n');
                    return Err(left.iter().filter(|byte| **byte == b'\n').count() as u64);
                }
            }
        }
        Ok(())
    }

    /// Begins a new file where `more` bytes would make this one, of `length` bytes, too large.
    fn rotate_before(&mut self, length: u64, more: usize) {
        let Some(rotation) = &mut self.rotation else { return };
        let is_due = length > 0 && length.saturating_add(more as u64) > rotation.limits.size;
        if !is_due || rotation.not_before.is_some_and(|time| Instant::now() < time) {
            return;
        }
        match renamed(&self.path, rotation.limits.keep).and_then(|()| opened(&self.path)) {
            Ok(file) => {
                rotation.not_before = None;
                rotation.done.inc();
                self.file = file;
                self.is_torn = false;
            }
            Err(error) => {
                rotation.not_before = Some(Instant::now() + TRY_AGAIN);
                rotation.failed.inc();
                // A line of this very log: it is written to the file that is open.
                tracing::warn!(file = %self.path.display(), %error, "the log's file is written on: no new one can be begun");
            }
        }
    }
}

fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o640);
    // Without it, opening a FIFO waits for its reader.
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let flags = fcntl_getfl(&file)?;
    fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn is_same(there: Option<&Metadata>, held: Option<&Metadata>) -> bool {
    let identity = |file: Option<&Metadata>| file.map(|file| (file.dev(), file.ino()));
    identity(there) == identity(held)
}

/// Moves `path` to `path.1`, the one before to `path.2`, and so on; what stood at the last place is gone.
fn renamed(path: &Path, keep: usize) -> io::Result<()> {
    let numbered = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    };
    for number in (0..keep.max(1)).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter() -> IntCounter {
        IntCounter::new("counter", "a counter").unwrap()
    }

    fn rotating(path: &Path, size: u64, keep: usize) -> (LogFile, [IntCounter; 2]) {
        let counters = [counter(), counter()];
        let [done, failed] = counters.clone();
        let rotation = Rotation::new(Rotate { size, keep }, done, failed);
        (LogFile::open(path, Some(rotation)).unwrap(), counters)
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut file = LogFile::open(&path, None).unwrap();
        file.write(b"before\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        file.write(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(&moved).unwrap(), "before\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    }

    #[test]
    fn a_file_that_cannot_be_opened_anew_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("here"), folder.path().join("there"));
        fs::create_dir(&here).unwrap();
        let mut file = LogFile::open(&here.join("log"), None).unwrap();
        fs::rename(&here, &there).unwrap();
        file.write(b"kept\n").unwrap();
        assert_eq!(fs::read_to_string(there.join("log")).unwrap(), "kept\n");
    }

    #[test]
    fn no_line_is_lost_by_rotation_and_old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::write(&path, "0\n").unwrap();
        let (mut file, [done, failed]) = rotating(&path, 8, 2);
        for line in 1..=9 {
            file.write(format!("{line}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("log.1"), read("log")),
            ("4\n5\n6\n7\n".to_owned(), "8\n9\n".to_owned())
        );
        assert_eq!(read("log.2"), "0\n1\n2\n3\n");
        file.write(b"a long line\n").unwrap();
        file.write(b"next\n").unwrap();
        assert_eq!(
            (read("log.2"), read("log.1"), read("log")),
            ("8\n9\n".into(), "a long line\n".into(), "next\n".into())
        );
        assert!(!folder.path().join("log.3").exists());
        assert_eq!((done.get(), failed.get()), (4, 0));
    }

    #[test]
    fn a_file_that_cannot_be_rotated_is_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        fs::create_dir(folder.path().join("log.1")).unwrap();
        let (mut file, [done, failed]) = rotating(&path, 8, 1);
        for line in ["one\n", "two\n", "three\n", "four\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\nfour\n");
        // Not tried at each write.
        assert_eq!((done.get(), failed.get()), (0, 1));
    }

    #[test]
    fn what_is_no_file_is_not_rotated() {
        let (mut file, [done, failed]) = rotating(Path::new("/dev/null"), 1, 1);
        file.write(b"one\n").unwrap();
        file.write(b"two\n").unwrap();
        assert_eq!((done.get(), failed.get()), (0, 0));
    }

    #[test]
    fn lines_that_are_lost_are_counted() {
        let mut full = LogFile::open(Path::new("/dev/full"), None).unwrap();
        assert_eq!(full.write(b"one\ntwo\n"), Err(2));
    }
}
