//! A file's bytes on their way: read in chunks, as many as were announced, never more and never padded.
//!
//! What the kernel holds in memory is read on the spot (`RWF_NOWAIT`); everything else where waiting is allowed, so
//! that a slow disk never stalls a worker. Decides nothing about which bytes.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::take;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::metadata::Described;
use super::range::ByteRange;
use super::resolve::{Opened, Root};

/// Bytes read at a time where waiting is allowed: what has to be fetched is fetched in few pieces.
const CHUNK: usize = 256 << 10;
/// Bytes read at a time on the spot: as many as the kernel puts into one piece of a socket's memory. They are in the
/// processor's cache still when they are copied there. Larger and smaller pieces took longer (docs/scaling.md).
const WARM: usize = 32 << 10;
/// A body that is no longer is read at once, and leaves with its header.
const AT_ONCE: usize = 64 << 10;
/// Bytes read at a time when very many downloads are under way.
const SMALLEST_CHUNK: usize = 16 << 10;
/// Bytes that all downloads from a root should hold together.
const BUDGET: usize = 64 << 20;

/// Smaller buffers are not worth passing on from one download to the next.
const WORTH_KEEPING: usize = 32 << 10;

/// A part of a body.
pub(super) enum Piece {
    Text(Bytes),
    File(ByteRange),
}

impl Piece {
    /// Bytes of a file that is remembered whole need not be read.
    fn take_from(&mut self, content: &Bytes) {
        let Self::File(range) = *self else { return };
        let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        if let Some((start, end)) = bounds.filter(|(start, end)| start <= end && *end <= content.len()) {
            *self = Self::Text(content.slice(start..end));
        }
    }
}

/// The body of an answer; yields exactly the bytes that its `Content-Length` announced, or an error.
pub struct FileBody(State);

enum State {
    Empty,
    Whole(
        Bytes,
        #[expect(dead_code, reason = "its end is what it is for: the memory goes on")] Spent,
    ),
    Streaming(Box<Streaming>),
}

impl FileBody {
    pub(super) fn empty() -> Self {
        Self(State::Empty)
    }

    pub(super) fn whole(bytes: Bytes) -> Self {
        Self(State::Whole(bytes, Spent::default()))
    }

    /// Reads the first chunk at once: most bodies consist of it, and a file that cannot be read is found out while the
    /// answer can still say so.
    pub(super) async fn start(
        root: &Root,
        opened: &Opened,
        client: IpAddr,
        mut pieces: Vec<Piece>,
    ) -> io::Result<Self> {
        let described = opened.described.get();
        if let Some(content) = described.and_then(Described::content) {
            pieces.iter_mut().for_each(|piece| piece.take_from(content));
        }
        let from_the_start = matches!(pieces.first(), Some(Piece::File(ByteRange { start: 0, .. })));
        let mut streaming = Streaming {
            ahead: None,
            pieces: pieces.into(),
            reader: Reader::new(root, Arc::clone(&opened.file), client),
        };
        let Some(first) = streaming.next().await? else {
            return Ok(Self::empty());
        };
        if let Some(described) = described.filter(|_| from_the_start) {
            described.remember(&first, &opened.metadata, SystemTime::now());
        }
        if streaming.pieces.is_empty() {
            return Ok(Self(State::Whole(first, streaming.reader.spent)));
        }
        streaming.ahead = Some(first);
        Ok(Self(State::Streaming(Box::new(streaming))))
    }

    /// Is there nothing (more) to send?
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            State::Empty => true,
            State::Whole(bytes, _) => bytes.is_empty(),
            State::Streaming(streaming) => streaming.ahead.is_none() && streaming.pieces.is_empty(),
        }
    }

    /// The next bytes, never none of them; `None` is the end. After an error (the file became shorter, the disk failed)
    /// the connection has to be cut: the announced length cannot be kept. A chunk that was dropped before the next one
    /// is asked for lends its memory to it.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        match &mut self.0 {
            State::Empty => Ok(None),
            State::Whole(bytes, _) => Ok(Some(take(bytes)).filter(|bytes| !bytes.is_empty())),
            State::Streaming(streaming) => streaming.next().await,
        }
    }
}

struct Streaming {
    /// Read by [`FileBody::start`].
    ahead: Option<Bytes>,
    /// What is still to be sent; no range in it is empty.
    pieces: VecDeque<Piece>,
    reader: Reader,
}

impl Streaming {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(bytes) = self.ahead.take() {
            return Ok(Some(bytes));
        }
        let Some(Piece::File(range)) = self.pieces.front_mut() else {
            return Ok(self.pieces.pop_front().and_then(|piece| match piece {
                Piece::Text(text) => Some(text),
                Piece::File(_) => None,
            }));
        };
        let chunk = self.reader.read(*range).await?;
        range.start += chunk.len() as u64;
        if range.len() == 0 {
            self.pieces.pop_front();
        }
        // A small body alone is not worth the counting of its holders.
        if chunk.len() >= WORTH_KEEPING || !self.pieces.is_empty() {
            self.reader.spent = Spent(chunk.clone());
        }
        Ok(Some(chunk))
    }
}

struct Reader {
    root: Root,
    file: Arc<File>,
    client: IpAddr,
    /// Does the file system know `RWF_NOWAIT`? Until it says no.
    inline: bool,
    spent: Spent,
    /// Counts this download.
    downloads: Arc<()>,
}

impl Reader {
    fn new(root: &Root, file: Arc<File>, client: IpAddr) -> Self {
        Self {
            root: root.clone(),
            file,
            client,
            inline: true,
            spent: Spent::default(),
            downloads: root.downloads().clone(),
        }
    }

    /// Reads at the start of `range`: at least one byte, at most the range.
    async fn read(&mut self, range: ByteRange) -> io::Result<Bytes> {
        let chunk = chunk_size(Arc::strong_count(&self.downloads));
        let left = usize::try_from(range.len()).unwrap_or(usize::MAX);
        let is_first = self.spent.0.is_empty();
        let most = if is_first && left <= AT_ONCE { AT_ONCE } else { WARM };
        let warm = left.min(most).min(chunk);
        let mut buffer = recycle(self.spent.take(warm), warm, chunk);
        if self.inline {
            match preadv2(
                &*self.file,
                &mut [IoSliceMut::new(&mut buffer)],
                range.start,
                ReadWriteFlags::NOWAIT,
            ) {
                // Nothing at all is left to the blocking read: some kernels say so of what they only have to fetch.
                Ok(0) | Err(Errno::AGAIN | Errno::INTR) => {}
                Ok(count) => return Ok(first(buffer, count)),
                Err(_) => self.inline = false,
            }
        }
        buffer.resize(left.min(chunk), 0);
        let file = self.file.clone();
        let read = move || read_at(&file, &mut buffer, range.start).map(|count| first(buffer, count));
        let chunk = self.root.places().run(self.client, read).await??;
        if chunk.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was sent",
            ));
        }
        Ok(chunk)
    }
}

/// The chunk handed out last: its memory is used again when nobody else holds it any more, by this download, and at its
/// end by the next one of the same thread. A buffer that goes round stays in the processor's cache and is never zeroed.
#[derive(Default)]
struct Spent(Bytes);

thread_local! {
    static SPARE: Cell<Option<BytesMut>> = const { Cell::new(None) };
}

impl Spent {
    /// This download's own, else the thread's if a buffer so large is worth it.
    fn take(&mut self, wanted: usize) -> Option<BytesMut> {
        let own = take(&mut self.0).try_into_mut().ok().filter(|own| own.capacity() > 0);
        own.or_else(|| (wanted >= WORTH_KEEPING).then(|| SPARE.take()).flatten())
    }
}

impl Drop for Spent {
    fn drop(&mut self) {
        if let Ok(buffer) = take(&mut self.0).try_into_mut()
            && (WORTH_KEEPING..=CHUNK).contains(&buffer.capacity())
        {
            SPARE.set(Some(buffer));
        }
    }
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn first(mut buffer: BytesMut, count: usize) -> Bytes {
    buffer.truncate(count);
    buffer.freeze()
}

/// A buffer of `wanted` bytes: the `spent` one if its size fits, so that its pages are still warm and need no zeroing;
/// else a new one.
fn recycle(spent: Option<BytesMut>, wanted: usize, chunk: usize) -> BytesMut {
    match spent {
        Some(mut buffer) if (wanted..=chunk).contains(&buffer.capacity()) => {
            buffer.resize(wanted, 0);
            buffer
        }
        _ => BytesMut::zeroed(wanted),
    }
}

/// Shared evenly, in powers of two so that buffers keep fitting while downloads come and go.
fn chunk_size(downloads: usize) -> usize {
    let share = (BUDGET / downloads.max(1)).clamp(SMALLEST_CHUNK, CHUNK);
    1 << share.ilog2()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    struct Fixture {
        dir: tempfile::TempDir,
        content: Vec<u8>,
    }

    impl Fixture {
        fn new(length: usize) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let content: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
            std::fs::write(dir.path().join("file"), &content).unwrap();
            Self { dir, content }
        }

        fn opened(&self) -> Opened {
            let file = File::open(self.dir.path().join("file")).unwrap();
            Opened {
                metadata: file.metadata().unwrap(),
                file: Arc::new(file),
                described: Arc::default(),
            }
        }

        /// Inline as far as the kernel can, and always by way of the blocking threads.
        async fn bodies(&self, pieces: impl Fn() -> Vec<Piece>) -> [FileBody; 2] {
            let root = Root::open(self.dir.path()).unwrap();
            let inline = FileBody::start(&root, &self.opened(), CLIENT, pieces()).await.unwrap();
            let mut reader = Reader::new(&root, self.opened().file, CLIENT);
            reader.inline = false;
            let patient = Streaming {
                ahead: None,
                pieces: pieces().into(),
                reader,
            };
            [inline, FileBody(State::Streaming(Box::new(patient)))]
        }
    }

    fn range(start: u64, end: u64) -> Piece {
        Piece::File(ByteRange { start, end })
    }

    async fn collect(body: &mut FileBody) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = body.next().await? {
            assert!(!bytes.is_empty() && bytes.len() <= CHUNK);
            all.extend_from_slice(&bytes);
        }
        assert!(body.is_empty() && body.next().await?.is_none());
        Ok(all)
    }

    #[tokio::test]
    async fn sends_exactly_the_range() {
        let fixture = Fixture::new(CHUNK * 3 + 17);
        let end = fixture.content.len() as u64;
        for (from, to) in [
            (0, end),
            (0, 1),
            (end - 1, end),
            (5, CHUNK as u64 + 5),
            (1, end - 1),
            (17, CHUNK as u64 * 2),
        ] {
            for mut body in fixture.bodies(|| vec![range(from, to)]).await {
                let sent = collect(&mut body).await.unwrap();
                assert!(sent == fixture.content[from as usize..to as usize], "{from}..{to}");
            }
        }
    }

    #[tokio::test]
    async fn texts_and_ranges_alternate() {
        let fixture = Fixture::new(1000);
        let text = |text| Piece::Text(Bytes::from_static(text));
        let pieces = || vec![text(b"<"), range(0, 3), text(b"|"), range(990, 1000), text(b">")];
        let expected = [b"<", &fixture.content[..3], b"|", &fixture.content[990..], b">"].concat();
        for mut body in fixture.bodies(pieces).await {
            assert_eq!(collect(&mut body).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_small_body_is_read_whole_and_its_file_closed() {
        let fixture = Fixture::new(1000);
        let [body, _] = fixture.bodies(|| vec![range(0, 1000)]).await;
        assert!(matches!(&body.0, State::Whole(bytes, _) if *bytes == fixture.content));
    }

    #[tokio::test]
    async fn a_file_that_shrinks_is_an_error_and_never_an_early_end() {
        let fixture = Fixture::new(CHUNK * 3);
        for mut body in fixture.bodies(|| vec![range(0, CHUNK as u64 * 3)]).await {
            body.next().await.unwrap().unwrap();
            let file = File::options()
                .write(true)
                .open(fixture.dir.path().join("file"))
                .unwrap();
            file.set_len(CHUNK as u64 + 1).unwrap();
            assert_eq!(
                collect(&mut body).await.unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
            assert_eq!(body.next().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            std::fs::write(fixture.dir.path().join("file"), &fixture.content).unwrap();
        }
    }

    #[tokio::test]
    async fn a_file_that_grows_is_sent_as_announced() {
        let fixture = Fixture::new(CHUNK * 2);
        for mut body in fixture.bodies(|| vec![range(0, CHUNK as u64 * 2)]).await {
            let mut file = File::options()
                .append(true)
                .open(fixture.dir.path().join("file"))
                .unwrap();
            file.write_all(b"more").unwrap();
            assert!(collect(&mut body).await.unwrap() == fixture.content);
        }
    }

    #[tokio::test]
    async fn a_released_chunk_lends_its_memory_and_a_held_one_keeps_it() {
        let fixture = Fixture::new(CHUNK * 4);
        for mut body in fixture.bodies(|| vec![range(0, CHUNK as u64 * 4)]).await {
            let first = body.next().await.unwrap().unwrap();
            let (place, length) = (first.as_ptr(), first.len());
            drop(first);
            let second = body.next().await.unwrap().unwrap();
            assert_eq!(second.as_ptr(), place);
            let third = body.next().await.unwrap().unwrap();
            assert_ne!(third.as_ptr(), place);
            assert!(second == fixture.content[length..length * 2]);
        }
    }

    #[tokio::test]
    async fn the_memory_of_a_download_goes_to_the_next_one() {
        let fixture = Fixture::new(CHUNK * 2);
        let root = Root::open(fixture.dir.path()).unwrap();
        let mut places = Vec::new();
        for length in [CHUNK * 2, CHUNK, WORTH_KEEPING, CHUNK + 1] {
            let piece = range(0, length as u64);
            let mut body = FileBody::start(&root, &fixture.opened(), CLIENT, vec![piece])
                .await
                .unwrap();
            let first = body.next().await.unwrap().unwrap();
            let read = first.len();
            assert!(first == fixture.content[..read] && read >= WARM, "{length}");
            places.push(first.as_ptr());
            drop(first);
            assert!(collect(&mut body).await.unwrap() == fixture.content[read..length]);
        }
        assert_eq!(places[..3], [places[0]; 3], "and what it held before is never sent");
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_is_an_error() {
        let fixture = Fixture::new(CHUNK * 2);
        let [_, mut body] = fixture.bodies(|| vec![range(0, CHUNK as u64 * 2)]).await;
        let State::Streaming(streaming) = &body.0 else {
            panic!("two chunks are a stream")
        };
        let _taken = streaming.reader.root.places().take_all().await;
        assert_eq!(body.next().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn all_downloads_together_keep_to_the_budget() {
        assert_eq!(chunk_size(1), CHUNK);
        assert_eq!(chunk_size(BUDGET / CHUNK), CHUNK);
        assert_eq!(chunk_size(1024), 64 << 10);
        assert_eq!(chunk_size(usize::MAX), SMALLEST_CHUNK);
        for downloads in 1..=BUDGET / SMALLEST_CHUNK {
            assert!(downloads * chunk_size(downloads) <= BUDGET);
        }
    }
}
