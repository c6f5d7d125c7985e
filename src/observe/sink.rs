//! Where log lines go: a bounded buffer, and a thread that writes it out.
//!
//! A request only copies its line into memory. If the target cannot keep up, lines are dropped and counted; a request
//! never waits for a disk or a pipe.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

use super::log_file::LogFile;

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
    /// The file is to be opened anew.
    reopen: bool,
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
        Ok((Self(Arc::clone(&shared)), Guard(vec![shared])))
    }

    /// Opens the file anew, even if no line comes: whoever moved it away may have it for themselves.
    pub(super) fn reopen(&self) {
        self.0.lock().reopen = true;
        self.0.wake.notify_one();
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
        loop {
            let is_last = self.take(&mut batch, &mut target);
            if let Err(lost) = target.write(&batch) {
                // There is nowhere to say so but the metrics.
                self.dropped.inc_by(lost);
            }
            batch.clear();
            if is_last {
                break;
            }
        }
        self.lock().ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines and swaps them into `batch`, which is empty. `true`: none will come after them.
    fn take(&self, batch: &mut Vec<u8>, target: &mut Target) -> bool {
        let idle = |waiting: &mut Waiting| waiting.lines.is_empty() && !waiting.closing && !waiting.reopen;
        let waiting = self.wake.wait_while(self.lock(), idle);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut waiting.reopen) {
            drop(waiting);
            target.reopen();
            return false;
        }
        let gathering = |waiting: &mut Waiting| !waiting.closing && waiting.lines.len() < BATCH;
        let gathered = self.wake.wait_timeout_while(waiting, GATHER, gathering);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut waiting.lines);
        batch.is_empty() && waiting.closing
    }
}

/// Held by the process: writes out the last lines when dropped, which waits for at most two seconds a stream.
pub struct Guard(Vec<Arc<Shared>>);

impl Guard {
    /// Holds what the other holds, too.
    pub(super) fn join(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for shared in &self.0 {
            shared.lock().closing = true;
            shared.wake.notify_one();
        }
        for shared in &self.0 {
            let ended = shared
                .ended
                .wait_timeout_while(shared.lock(), LAST_LINES, |waiting| !waiting.ended);
            drop(ended.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// What the lines are written to.
pub enum Target {
    Stderr,
    File(LogFile),
}

impl Target {
    /// Error: so many lines are lost.
    fn write(&mut self, batch: &[u8]) -> Result<(), u64> {
        match self {
            Self::Stderr => io::stderr()
                .lock()
                .write_all(batch)
                .map_err(|_| batch.iter().filter(|byte| **byte == b'\n').count() as u64),
            Self::File(file) => file.write(batch),
        }
    }

    fn reopen(&mut self) {
        if let Self::File(file) = self
            && let Err(error) = file.reopen()
        {
            tracing::warn!(%error, "the log's file is written on: it cannot be opened anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "lines").unwrap()
    }

    #[test]
    fn every_line_is_written_when_the_guard_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let dropped = counter();
        let (sink, guard) = Sink::start(Target::File(LogFile::open(&path, None).unwrap()), dropped.clone()).unwrap();
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
        let target = Target::File(LogFile::open(&folder.path().join("log"), None).unwrap());
        let dropped = counter();
        let (sink, guard) = Sink::start(target, dropped.clone()).unwrap();
        sink.push(&vec![b'x'; CAPACITY + 1]);
        assert_eq!(dropped.get(), 1);
        drop(guard);
    }

    #[test]
    fn a_failing_target_is_counted_by_lines() {
        let dropped = counter();
        let full = Target::File(LogFile::open(Path::new("/dev/full"), None).unwrap());
        let (sink, guard) = Sink::start(full, dropped.clone()).unwrap();
        sink.push(b"one\n");
        sink.push(b"two\n");
        drop(guard);
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn a_file_is_opened_anew_without_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let target = Target::File(LogFile::open(&path, None).unwrap());
        let (sink, guard) = Sink::start(target, counter()).unwrap();
        fs::rename(&path, folder.path().join("log.1")).unwrap();
        sink.reopen();
        while !path.exists() {
            std::thread::yield_now();
        }
        sink.push(b"after\n");
        drop(guard);
        assert_eq!(fs::read_to_string(&path).unwrap(), "after\n");
    }
}
