//! Connections to a server whose own certificate is one for a CA, as `openssl req -x509` makes it by default, and stands
//! in `ca_file`.
//!
//! pingora verifies with webpki, which takes no CA's certificate for a server's, and has no place for another verdict. So
//! such a connection is made here: pingora is given one end of a pair of sockets, the other is joined to the TLS
//! connection. Only HTTP/1.1 is spoken over it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::connectors::l4::Connect;
use pingora::prelude::{Error, ErrorType, OrErr, Result};
use pingora::protocols::l4::socket::SocketAddr as PeerAddress;
use pingora::protocols::l4::stream::Stream;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::trust;

/// How one server of an upstream is connected to.
#[derive(Debug)]
pub(super) struct Bridge {
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
    within: Duration,
    /// The same for the same name and certificates, so that idle connections are not shared with others.
    pub(super) group: u64,
}

impl Bridge {
    /// `None` where pingora can do it itself: no certificate for a CA among `certificates` names `host`. `within` bounds
    /// the TCP connection and the handshake, each.
    ///
    /// Errors: a certificate is none.
    pub(super) fn new(
        host: &str,
        certificates: &[CertificateDer<'static>],
        within: Duration,
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
            group: group.finish(),
        }))
    }

    async fn join(&self, address: SocketAddr) -> Result<UnixStream> {
        let connecting = timeout(self.within, TcpStream::connect(address)).await;
        let tcp = match connecting.or_err(ErrorType::ConnectTimedout, "connecting")? {
            Ok(tcp) => tcp,
            Err(error) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
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
        let (ours, pingoras) = UnixStream::pair().or_err(ErrorType::SocketError, "a pair of sockets")?;
        tokio::spawn(async move {
            let (mut from_server, mut to_server) = split(tls);
            let (mut from_pingora, mut to_pingora) = split(ours);
            // Whoever ends first ends the whole: neither side of HTTP closes by half.
            tokio::select! {
                _ = copy(&mut from_server, &mut to_pingora) => {}
                _ = copy(&mut from_pingora, &mut to_server) => {}
            }
            // Failing here means that the server has closed already.
            drop(to_server.shutdown().await);
        });
        Ok(pingoras)
    }
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
