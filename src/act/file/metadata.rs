//! What is told of a file in every answer, made once for all who ask within a moment; of a small one, its bytes too.
//!
//! It belongs to one version of the file: `open_file_cache` finds out whether that is still the one on disk.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;

use super::ascii;
use super::conditional::Validators;
use super::mime::{self, Kind};

/// Files up to so many bytes are remembered whole: below it, asking the kernel costs more than the bytes.
const SMALL: u64 = 16 << 10;
/// A file that was changed so recently may change again without a sign: the kernel counts `ctime` in steps of some
/// milliseconds, some file systems in seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// One version of a file, under one name.
pub(super) struct Described {
    pub(super) validators: Validators,
    pub(super) etag: HeaderValue,
    pub(super) last_modified: Option<HeaderValue>,
    /// `Content-Length` of the whole.
    pub(super) length: HeaderValue,
    pub(super) kind: Kind,
    content: OnceLock<Bytes>,
}

impl Described {
    /// `name` is the last segment of the path; `now` bounds the date that is shown.
    pub(super) fn new(name: &str, metadata: &Metadata, now: SystemTime) -> Self {
        let (inode, size) = (metadata.ino(), metadata.len());
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        // Strong: a file replaced or written to changes inode, size or modification time, which is kept in ns.
        let etag = entity_tag([inode, size, seconds as u64, nanoseconds as u64]);
        let last_modified = Validators::last_modified(seconds, now);
        Self {
            etag: ascii(etag.clone()),
            last_modified: last_modified.map(|date| ascii(httpdate::fmt_http_date(date))),
            validators: Validators { etag, last_modified },
            length: HeaderValue::from(size),
            kind: mime::kind(name),
            content: OnceLock::new(),
        }
    }

    /// The whole file, if it was remembered.
    pub(super) fn content(&self) -> Option<&Bytes> {
        self.content.get()
    }

    /// Remembers what was just read from the start of the file, if that is all of a small file which has not changed
    /// lately: whoever changes it from now on leaves a sign in its metadata.
    pub(super) fn remember(&self, read: &Bytes, metadata: &Metadata, now: SystemTime) {
        let whole = metadata.len() <= SMALL && read.len() as u64 == metadata.len();
        if whole && self.content.get().is_none() && is_settled(metadata, now) {
            self.content.get_or_init(|| read.clone());
        }
    }
}

fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let changed = u64::try_from(metadata.ctime()).ok().map(Duration::from_secs);
    let age = changed.and_then(|changed| now.duration_since(UNIX_EPOCH.checked_add(changed)?).ok());
    age.is_some_and(|age| age >= SETTLED)
}

/// Four numbers in hexadecimal. Digit by digit: the formatting machinery takes five times as long.
fn entity_tag(numbers: [u64; 4]) -> String {
    let mut tag = String::with_capacity(64);
    for (number, before) in numbers.into_iter().zip(['"', '-', '-', '.']) {
        tag.push(before);
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
        tag.extend(
            (0..digits)
                .rev()
                .filter_map(|place| char::from_digit((number >> (4 * place)) as u32 & 0xf, 16)),
        );
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_of_a_small_file_that_rests_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let file = |length: u64| {
            let path = dir.path().join("file");
            std::fs::write(&path, vec![b'x'; length as usize]).unwrap();
            std::fs::metadata(path).unwrap()
        };
        let remembers = |length, read: u64, age: Duration| {
            let metadata = file(length);
            let now = UNIX_EPOCH + Duration::from_secs(metadata.ctime() as u64) + age;
            let described = Described::new("file", &metadata, now);
            described.remember(&vec![b'x'; read as usize].into(), &metadata, now);
            described.content().is_some()
        };
        assert!(remembers(SMALL, SMALL, SETTLED));
        assert!(
            !remembers(SMALL, SMALL, SETTLED - Duration::from_millis(1)),
            "too fresh"
        );
        assert!(!remembers(SMALL, SMALL - 1, SETTLED), "not all of it");
        assert!(!remembers(SMALL + 1, SMALL + 1, SETTLED), "too large");
    }
}
