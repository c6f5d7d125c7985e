//! A stream whose small writes are held back until they are flushed, or a large one takes them along.
//!
//! tokio's `BufWriter` sends what it holds alone before a write that it has no room for: a response's header
//! would always travel in a packet of its own, and wake the client for it. Here it leaves with the first part of the
//! body, in one system call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads go straight to the stream within.
#[derive(Debug)]
pub(super) struct Coalesce<S> {
    stream: S,
    /// Bytes that wait to be written.
    waiting: Vec<u8>,
    most: usize,
}

impl<S: AsyncWrite + Unpin> Coalesce<S> {
    /// Holds back at most so many bytes.
    pub(super) fn new(most: usize, stream: S) -> Self {
        let waiting = Vec::with_capacity(most);
        Self { stream, waiting, most }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Does anything wait to be written?
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn poll_write_waiting(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_waiting() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.waiting))?;
            self.left(written)?;
        }
        Poll::Ready(Ok(()))
    }

    /// So many bytes have left, those that waited first. Returns how many of them were none of those.
    fn left(&mut self, written: usize) -> io::Result<usize> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let waited = written.min(self.waiting.len());
        self.waiting.drain(..waited);
        Ok(written - waited)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Coalesce<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.waiting.len() + total <= self.most {
            slices.iter().for_each(|slice| self.waiting.extend_from_slice(slice));
            return Poll::Ready(Ok(total));
        }
        while self.is_waiting() {
            let Self { stream, waiting, .. } = &mut *self;
            let first = slices.iter().find(|slice| !slice.is_empty());
            let both = [IoSlice::new(waiting), IoSlice::new(first.map_or(&[], |slice| slice))];
            let written = ready!(Pin::new(stream).poll_write_vectored(context, &both))?;
            let beyond = self.left(written)?;
            if beyond > 0 {
                return Poll::Ready(Ok(beyond));
            }
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_waiting(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_waiting(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Coalesce<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// Takes at each call as many bytes as it is told, and notes what came; without a number it takes everything, and
    /// with 0 it is not ready.
    #[derive(Default)]
    struct Wire {
        takes: VecDeque<usize>,
        calls: Vec<usize>,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Wire {
        fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(context, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let takes = self.takes.pop_front().unwrap_or(all.len()).min(all.len());
            if takes == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.calls.push(takes);
            self.bytes.extend(&all[..takes]);
            Poll::Ready(Ok(takes))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(stream: &mut Coalesce<Wire>, bytes: &[u8]) {
        stream.write_all(bytes).now_or_never().unwrap().unwrap();
    }

    #[test]
    fn a_header_leaves_with_its_body() {
        let mut stream = Coalesce::new(8, Wire::default());
        write(&mut stream, b"head");
        write(&mut stream, b"er");
        assert!(stream.is_waiting() && stream.get_ref().calls.is_empty());
        write(&mut stream, b" and a body");
        assert!(!stream.is_waiting());
        assert_eq!(stream.get_ref().calls, [17]);
        write(&mut stream, b"12345678");
        stream.flush().now_or_never().unwrap().unwrap();
        assert_eq!(stream.get_ref().calls, [17, 8]);
    }

    proptest! {
        #[test]
        fn every_byte_arrives_once_and_in_order(
            writes in proptest::collection::vec(1_usize..20, 1..20),
            takes in proptest::collection::vec(0_usize..12, 0..40),
        ) {
            let wire = Wire { takes: takes.into(), ..Wire::default() };
            let mut stream = Coalesce::new(8, wire);
            let sent: Vec<u8> = (0..writes.iter().sum::<usize>()).map(|n| n as u8).collect();
            let mut rest = &sent[..];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                for length in writes {
                    let (now, later) = rest.split_at(length);
                    stream.write_all(now).await.unwrap();
                    rest = later;
                }
                stream.shutdown().await.unwrap();
            });
            prop_assert_eq!(&stream.get_ref().bytes, &sent);
        }
    }
}
