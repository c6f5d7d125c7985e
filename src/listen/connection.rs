//! One client connection: a TCP stream with a deadline for request headers.
//!
//! pingora limits each read, not a whole header: a client that sends a byte a minute would stay forever. This wrapper
//! sits below TLS and HTTP and knows one thing of them, told by the gateway: whether a request is being served. While
//! none is, the bytes that arrive are a header, and have `timeouts.header` to be complete and a bound on their size.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::ResponseHeader;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::absolute;
use super::accept::Permit;
use super::coalesce::Coalesce;
use crate::config::Server;

/// A response's header and a small body, or the first part of a larger one, leave together, in one system call.
const WRITE_BUFFER: usize = 4096;
/// Bytes that wait in the kernel to be sent, beyond those that are under way: a client that does not read what it asked for
/// costs no more. The gateway is woken when there are fewer.
const UNSENT: u32 = 128 << 10;
/// The client connection preface of HTTP/2 (RFC 9113 section 3.4).
const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the gateway may know and tell of a connection: it travels in pingora's digest.
#[derive(Debug)]
pub struct Shared {
    peer: SocketAddr,
    tls: bool,
    phase: AtomicU8,
    memory: OnceLock<Box<dyn Any + Send + Sync>>,
    /// Counts this connection until the last holder lets go.
    _permit: Permit,
}

/// No request is served; nothing of the next one has arrived.
const IDLE: u8 = 0;
/// Bytes of a header have arrived, or the connection is new and owes its first.
const HEADER: u8 = 1;
/// A request is served, or the connection is HTTP/2, where pingora's idle timer watches.
const SERVING: u8 = 2;
/// HTTP/2 over TLS before its first request: pingora waits for the client's preface without limit. The header's time
/// holds; its size does not, since with the first request comes as much of a body as the window lets through.
const GREETING: u8 = 3;

impl Shared {
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub fn tls(&self) -> bool {
        self.tls
    }

    /// What another module keeps for as long as the connection lasts; made when it is first asked for. There is one such
    /// thing: `None` if it is of another type.
    pub fn memory<T: Any + Send + Sync + Default>(&self) -> Option<&T> {
        let memory = self.memory.get_or_init(|| Box::<T>::default());
        memory.downcast_ref()
    }

    /// The header is complete; the deadline for it ends.
    pub fn request_begins(&self) {
        self.phase.store(SERVING, Ordering::Relaxed);
    }

    /// TLS has agreed on HTTP/2; the first request is owed within the header's time.
    pub fn greets_http2(&self) {
        self.phase.store(GREETING, Ordering::Relaxed);
    }

    /// The answer is sent. On HTTP/2 other requests may still run, so nothing changes there.
    pub fn request_ends(&self, http2: bool) {
        if !http2 {
            self.phase.store(IDLE, Ordering::Relaxed);
        }
    }

    /// The connection behind a pingora session.
    pub fn of(digest: Option<&Digest>) -> Option<&Self> {
        let data = digest?.proxy_digest.as_ref()?.user_data.as_ref()?;
        data.downcast_ref::<Arc<Self>>().map(|shared| &**shared)
    }
}

/// Of a request's header, request line included.
#[derive(Debug, Clone, Copy)]
pub struct HeaderBounds {
    /// From the first byte to the last.
    pub within: Duration,
    pub bytes: usize,
}

impl HeaderBounds {
    pub fn of(server: &Server) -> Self {
        Self {
            within: server.timeouts.header,
            bytes: server.max_header,
        }
    }
}

/// A TCP stream as pingora wants it.
#[derive(Debug)]
pub struct Connection {
    stream: Coalesce<TcpStream>,
    shared: Arc<Shared>,
    /// Bytes looked at in search of the HTTP/2 preface and not yet handed on.
    peeked: Vec<u8>,
    header: HeaderBounds,
    header_deadline: Instant,
    header_bytes: usize,
    timer: Option<Pin<Box<Sleep>>>,
    /// The last write waits for the client to read.
    is_stuck: bool,
    proxy_digest: Arc<ProxyDigest>,
    socket_digest: Arc<SocketDigest>,
}

impl Connection {
    /// Takes an accepted stream. The time for the first header, a TLS handshake included, begins now.
    pub fn new(
        stream: TcpStream,
        peer: SocketAddr,
        tls: bool,
        header: HeaderBounds,
        permit: Permit,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT)?;
        let socket_digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // A fresh cell: it cannot be set already.
        let _already_set = socket_digest.peer_addr.set(Some(peer.into()));
        let shared = Arc::new(Shared {
            peer,
            tls,
            phase: AtomicU8::new(HEADER),
            memory: OnceLock::new(),
            _permit: permit,
        });
        let response = ResponseHeader::build(200, Some(0)).map_err(io::Error::other)?;
        let data: Arc<Shared> = Arc::clone(&shared);
        Ok(Self {
            stream: Coalesce::new(WRITE_BUFFER, stream),
            shared,
            peeked: Vec::new(),
            header,
            header_deadline: Instant::now() + header.within,
            header_bytes: 0,
            timer: None,
            is_stuck: false,
            proxy_digest: Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(data)))),
            socket_digest: Arc::new(socket_digest),
        })
    }

    /// Bytes have arrived while no request was served.
    fn count_header_bytes(&mut self, count: usize) -> io::Result<()> {
        if self.shared.phase.load(Ordering::Relaxed) == IDLE {
            self.shared.phase.store(HEADER, Ordering::Relaxed);
            self.header_deadline = Instant::now() + self.header.within;
            self.header_bytes = 0;
        }
        self.header_bytes += count;
        // More than a header, since the first part of a body may come along.
        if self.header_bytes > 2 * self.header.bytes {
            self.say_before_closing("431 Request Header Fields Too Large");
            return Err(io::Error::new(io::ErrorKind::InvalidData, "request header too large"));
        }
        Ok(())
    }

    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Pending or an error, once the header's time is up.
    fn poll_header_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let deadline = self.header_deadline;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        ready!(timer.as_mut().poll(context));
        self.say_before_closing("408 Request Timeout");
        Poll::Ready(io::Error::new(
            io::ErrorKind::TimedOut,
            "request header not complete in time",
        ))
    }

    /// pingora closes a connection whose header never came without a word; the client may learn why. Best effort, and
    /// only where the words are not meant to be encrypted.
    fn say_before_closing(&self, status: &str) {
        if !self.shared.tls {
            let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            if let Err(error) = self.stream.get_ref().try_write(answer.as_bytes()) {
                tracing::debug!(%error, peer = %self.shared.peer, "client gone before `{status}`");
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.peeked.is_empty() {
            let count = self.peeked.len().min(buffer.remaining());
            buffer.put_slice(self.peeked.get(..count).unwrap_or_default());
            self.peeked.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_pending() && self.stream.is_waiting() {
            // Whoever waits for the client has nothing to write now. pingora does not flush an answer of known length
            // before its end, so the part that is here would wait for a part that the upstream may be long in sending.
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.stream).poll_flush(context) {
                return Poll::Ready(Err(error));
            }
        }
        match self.shared.phase.load(Ordering::Relaxed) {
            SERVING => read,
            GREETING if read.is_ready() => read,
            GREETING => self.poll_header_deadline(context).map(Err),
            phase => match read {
                Poll::Ready(Ok(())) => Poll::Ready(self.count_header_bytes(buffer.filled().len() - before)),
                Poll::Pending if phase == HEADER => self.poll_header_deadline(context).map(Err),
                other => other,
            },
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.is_stuck = written.is_pending();
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.is_stuck = flushed.is_pending();
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        // One that gives up after a write was stuck stays stuck.
        self.is_stuck |= shut.is_pending();
        shut
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.is_stuck = written.is_pending();
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl Drop for Connection {
    /// Whoever is given up in the middle of a write did not read: the kernel forgets what is queued for it at once, instead
    /// of keeping it for as long as it goes on trying.
    fn drop(&mut self) {
        if self.is_stuck
            && let Err(error) = self.stream.get_ref().set_zero_linger()
        {
            tracing::debug!(%error, peer = %self.shared.peer, "connection was already closed");
        }
    }
}

#[async_trait]
impl Peek for Connection {
    /// Tells an HTTP/2 preface from anything else. Reads no further than the first byte that differs, so that a short
    /// HTTP/1.0 request is not waited on; but to the end of the header of a request in absolute form. `buffer` equals the preface only if all of it came.
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let mut seen = Vec::with_capacity(H2_PREFACE.len());
        while seen.len() < H2_PREFACE.len() && H2_PREFACE.starts_with(&seen) {
            let mut rest = vec![0; H2_PREFACE.len() - seen.len()];
            match self.read(&mut rest).await? {
                0 => break,
                count => seen.extend(rest.iter().take(count)),
            }
        }
        for (place, byte) in buffer.iter_mut().zip(&seen) {
            *place = *byte;
        }
        if seen == H2_PREFACE {
            self.shared.request_begins();
        } else if absolute::begins(&seen) {
            while !absolute::is_whole(&seen) && seen.len() < self.header.bytes {
                let mut more = [0; 1024];
                match self.read(&mut more).await? {
                    0 => break,
                    count => seen.extend(more.iter().take(count)),
                }
            }
            seen = absolute::in_origin_form(&seen).unwrap_or(seen);
        }
        self.peeked = seen;
        Ok(true)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        if let Err(error) = self.stream.shutdown().await {
            tracing::debug!(%error, peer = %self.shared.peer, "connection was already closed");
        }
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().as_raw_fd()
    }
}

impl Ssl for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.proxy_digest))
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket_digest))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::config::Connections;
    use crate::listen::accept::{Bounds, Limits};
    use crate::observe::metrics::Metrics;

    async fn connection() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let limits = Limits {
            connections: Connections { max: 1, per_address: 1 },
            trusted_proxies: Vec::new(),
        };
        let permit = Bounds::admit(&Bounds::new(limits, &Metrics::new()), peer.ip()).unwrap();
        let header = HeaderBounds {
            within: Duration::from_secs(5),
            bytes: 32 << 10,
        };
        let connection = Connection::new(stream, peer, false, header, permit).unwrap();
        (connection, client)
    }

    /// What a client that reads only now finds at the end.
    async fn end(mut client: TcpStream) -> io::Result<()> {
        let mut read = vec![0; 1 << 16];
        while client.read(&mut read).await? > 0 {}
        Ok(())
    }

    #[tokio::test]
    async fn little_waits_in_the_kernel_for_a_client_that_does_not_read() {
        let (connection, _client) = connection().await;
        let socket = SockRef::from(connection.stream.get_ref());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT);
    }

    #[tokio::test]
    async fn a_connection_that_is_stuck_in_a_write_is_reset() {
        let (mut connection, client) = connection().await;
        let piece = vec![0; 1 << 16];
        let write = async {
            loop {
                connection.write_all(&piece).await.unwrap();
            }
        };
        let stuck: Result<(), _> = tokio::time::timeout(Duration::from_millis(200), write).await;
        assert!(stuck.is_err());
        drop(connection);
        let error = end(client).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn one_that_has_sent_everything_is_closed() {
        let (mut connection, client) = connection().await;
        connection.write_all(b"an answer").await.unwrap();
        connection.flush().await.unwrap();
        drop(connection);
        end(client).await.unwrap();
    }
}
