//! Where log lines go: a bounded buffer, and a thread that writes it out.
//!
//! A request only copies its line into memory. If the target cannot keep up, lines are dropped and counted; a request
//! never waits for a disk or a pipe.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Bytes that may wait: some seconds of a busy gateway.
const CAPACITY: usize = 4 * 1024 * 1024;
/// Bytes that the writer takes at a time. More would no longer be in the processor's cache when they are copied again,
/// and while the writer copies them, requests on its core wait: beyond a millisecond for a megabyte.
const BATCH: usize = 128 * 1024;
/// How long the writer lets that much gather, so that it is not woken once a line.
const GATHER: Duration = Duration::from_millis(20);
/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The entrance. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something to write, a lot to write, or no more to come.
    wake: Condvar,
    /// The writer has ended.
    ended: Condvar,
    dropped: IntCounter,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    closing: bool,
    ended: bool,
}

impl Sink {
    /// Starts the writer thread.
    pub fn start(target: Target, dropped: IntCounter) -> io::Result<(Self, Guard)> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            dropped,
        });
        let writer = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || writer.write_out(target))?;
        Ok((Self(Arc::clone(&shared)), Guard(shared)))
    }

    /// Takes one line, its line feed included. It is dropped and counted if too many wait.
    pub fn push(&self, line: &[u8]) {
        let mut waiting = self.0.lock();
        let before = waiting.lines.len();
        let after = before + line.len();
        if waiting.ended || after > CAPACITY {
            self.0.dropped.inc();
            return;
        }
        waiting.lines.extend_from_slice(line);
        drop(waiting);
        if before == 0 || (before < BATCH && after >= BATCH) {
            self.0.wake.notify_one();
        }
    }
}

impl Shared {
    /// Another thread's panic leaves nothing half done here: a buffer of bytes and two flags.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_out(&self, mut target: Target) {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            if target.write(&batch).is_err() {
                // There is nowhere to say so but the metrics.
                let lines = batch.iter().filter(|byte| **byte == b'\n').count();
                self.dropped.inc_by(lines as u64);
            }
            batch.clear();
        }
        self.lock().ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines and swaps them into `batch`, which is empty. `false`: there are none, and none will come.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let waiting = self
            .wake
            .wait_while(self.lock(), |waiting| waiting.lines.is_empty() && !waiting.closing);
        let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let gathering = |waiting: &mut Waiting| !waiting.closing && waiting.lines.len() < BATCH;
        let gathered = self.wake.wait_timeout_while(waiting, GATHER, gathering);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut waiting.lines);
        !batch.is_empty()
    }
}

/// Held by the process: writes out the last lines when dropped, which waits for at most two seconds.
pub struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.lock().closing = true;
        self.0.wake.notify_one();
        let ended = self
            .0
            .ended
            .wait_timeout_while(self.0.lock(), LAST_LINES, |waiting| !waiting.ended);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }
}

/// What the lines are written to.
pub enum Target {
    Stderr,
    File(LogFile),
}

impl Target {
    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(batch),
            Self::File(file) => file.write(batch),
        }
    }
}

/// A file that is opened anew as soon as another, or none, stands under its name: logrotate needs no signal.
pub struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens for appending, made if missing; readable for owner and group: it holds addresses of people. A FIFO that nobody
    /// reads is an error (`ENXIO`).
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o640);
        // Without it, opening a FIFO waits for its reader.
        let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
        let flags = fcntl_getfl(&file)?;
        fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        if !self.is_in_place()
            && let Ok(anew) = Self::open(&self.path)
        {
            *self = anew;
        }
        self.file.write_all(batch)
    }

    fn is_in_place(&self) -> bool {
        let identity = |metadata: io::Result<std::fs::Metadata>| metadata.map(|file| (file.dev(), file.ino())).ok();
        identity(std::fs::metadata(&self.path)) == identity(self.file.metadata())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "lines").unwrap()
    }

    #[test]
    fn every_line_is_written_when_the_guard_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let dropped = counter();
        let (sink, guard) = Sink::start(Target::File(LogFile::open(&path).unwrap()), dropped.clone()).unwrap();
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let sink = sink.clone();
                std::thread::spawn(move || {
                    for line in 0..500 {
                        sink.push(format!("{thread} {line}\n").as_bytes());
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop(guard);
        let written = fs::read_to_string(&path).unwrap();
        assert_eq!(written.lines().count(), 2000);
        let of_one: Vec<_> = written.lines().filter_map(|line| line.strip_prefix("2 ")).collect();
        assert_eq!(of_one, (0..500).map(|line| line.to_string()).collect::<Vec<_>>());
        assert_eq!(dropped.get(), 0);
        sink.push(b"too late\n");
        assert_eq!(dropped.get(), 1);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::File(LogFile::open(&folder.path().join("log")).unwrap());
        let dropped = counter();
        let (sink, guard) = Sink::start(target, dropped.clone()).unwrap();
        sink.push(&vec![b'x'; CAPACITY + 1]);
        assert_eq!(dropped.get(), 1);
        drop(guard);
    }

    #[test]
    fn a_failing_target_is_counted_by_lines() {
        let dropped = counter();
        let full = Target::File(LogFile::open(Path::new("/dev/full")).unwrap());
        let (sink, guard) = Sink::start(full, dropped.clone()).unwrap();
        sink.push(b"one\n");
        sink.push(b"two\n");
        drop(guard);
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn a_rotated_file_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut file = LogFile::open(&path).unwrap();
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
        let mut file = LogFile::open(&here.join("log")).unwrap();
        fs::rename(&here, &there).unwrap();
        file.write(b"kept\n").unwrap();
        assert_eq!(fs::read_to_string(there.join("log")).unwrap(), "kept\n");
    }
}
