//! Connections to a server whose own certificate is one for a CA, as `openssl req -x509` makes it by default, and stands
//! in `ca_file`.
//!
//! pingora verifies with webpki, which takes no CA's certificate for a server's, and has no place for another verdict. So
//! such a connection is made here: pingora is given one end of a pair of sockets, the other is joined to the TLS
//! connection. Only HTTP/1.1 is spoken over it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::prelude::{Error, ErrorType, OrErr, Result};
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::l4::stream::Stream;
use pingora::upstreams::peer::HttpPeer;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::trust;

/// Bytes sent at once.
const PIECE: usize = 16 << 10;
/// For the end of a TLS connection that is over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How one server of an upstream is connected to.
#[derive(Debug)]
pub(super) struct Bridge {
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    within: Duration,
    /// How long the server may take nothing of what is sent.
    stall_timeout: Duration,
    /// The same for the same name and certificates.
    group: u64,
}

impl Bridge {
    /// `None` where pingora can do it itself: no certificate for a CA among `certificates` names `host`. `within` bounds
    /// the TCP connection and the handshake, each; `stall_timeout`, how long the server may take nothing of what is sent.
    ///
    /// Errors: a certificate is none.
    pub(super) fn new(
        host: &str,
        certificates: &[CertificateDer<'static>],
        (within, stall_timeout): (Duration, Duration),
    ) -> Result<Option<Self>, rustls::Error> {
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Ok(None);
        };
        if !certificates.iter().any(|one| trust::is_ca_that_names(one, &name)) {
            return Ok(None);
        }
        let mut group = DefaultHasher::new();
        (host, certificates).hash(&mut group);
        Ok(Some(Self {
            tls: Arc::new(trust::listed_only(certificates.to_vec())?),
            name,
            within,
            stall_timeout,
            group: group.finish(),
        }))
    }

    async fn join(&self, address: SocketAddr) -> Result<UnixStream> {
        let connecting = timeout(self.within, TcpStream::connect(address)).await;
        let tcp = match connecting.or_err(ErrorType::ConnectTimedout, "connecting")? {
            Ok(tcp) => tcp,
            Err(error) => {
                let kind = match error.kind() {
                    io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                    _ => ErrorType::ConnectError,
                };
                return Error::e_because(kind, "connecting", error);
            }
        };
        tcp.set_nodelay(true).or_err(ErrorType::SocketError, "TCP_NODELAY")?;
        let shaking = TlsConnector::from(Arc::clone(&self.tls)).connect(self.name.clone(), tcp);
        let shaking = timeout(self.within, shaking).await;
        let shaken = shaking.or_err(ErrorType::TLSHandshakeTimedout, "TLS")?;
        let tls = shaken.or_err(ErrorType::TLSHandshakeFailure, "TLS")?;
        let stall_timeout = self.stall_timeout;
        let (ours, pingoras) = UnixStream::pair().or_err(ErrorType::SocketError, "a pair of sockets")?;
        tokio::spawn(async move {
            let (mut from_server, mut to_server) = split(tls);
            let (mut from_pingora, mut to_pingora) = split(ours);
            // Whoever ends first ends the whole: neither side of HTTP closes by half. A client that reads slowly is
            // pingora's to judge; a server that takes nothing would keep this from seeing that pingora has left.
            let mut answers = pin!(relay(&mut from_server, &mut to_pingora, None));
            tokio::select! {
                _ = &mut answers => {}
                sent = relay(&mut from_pingora, &mut to_server, Some(stall_timeout)) => {
                    // It may have answered before it closed: a 413, say.
                    if sent.is_err() {
                        drop(timeout(LAST_WORDS, answers).await);
                    }
                }
            }
            // Failing here means that the server has closed already.
            drop(timeout(LAST_WORDS, to_server.shutdown()).await);
        });
        Ok(pingoras)
    }
}

/// Copies until there is no more, as which counts whatever ends reading: many servers end without TLS's own word for it.
/// Each piece is written before the next one is read, so that none is lost. Errors: the other side has closed, or takes
/// nothing for so long.
async fn relay(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    stall_timeout: Option<Duration>,
) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let piece = buffer.get(..count).unwrap_or_default();
        let writing = async {
            to.write_all(piece).await?;
            to.flush().await
        };
        match stall_timeout {
            Some(stall_timeout) => timeout(stall_timeout, writing).await??,
            None => writing.await?,
        }
    }
    Ok(())
}

#[async_trait]
impl Connect for Bridge {
    async fn connect(&self, address: &PeerAddress) -> Result<Stream> {
        match address.as_inet() {
            Some(address) => self.join(*address).await.map(Stream::from),
            None => Error::e_explain(ErrorType::InternalError, "no address of IP"),
        }
    }
}

/// One address behind a bridge.
#[derive(Debug)]
struct End {
    bridge: Arc<Bridge>,
    address: SocketAddr,
}

#[async_trait]
impl Connect for End {
    async fn connect(&self, _: &PeerAddress) -> Result<Stream> {
        self.bridge.join(self.address).await.map(Stream::from)
    }
}

/// The peer that pingora connects to over a bridge, and uses again for this very address, name and certificates only.
/// Before it does, it compares the socket's address with the peer's, which a pair of sockets has none of: it leaves that
/// out for 0.0.0.0 alone.
pub(super) fn peer(bridge: &Arc<Bridge>, address: SocketAddr) -> HttpPeer {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
    let mut peer = HttpPeer::new(nowhere, false, String::new());
    let mut group = DefaultHasher::new();
    (bridge.group, address).hash(&mut group);
    peer.group_key = group.finish();
    peer.options.custom_l4 = Some(Arc::new(End {
        bridge: Arc::clone(bridge),
        address,
    }));
    peer
}
