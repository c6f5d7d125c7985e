//! Requests that go to an upstream: which of its servers, and what a failure means.
//!
//! pingora moves the bytes. This module chooses the server, remembers which were tried, and turns pingora's errors into
//! rejections.

mod balance;
mod bridge;
mod failure;
mod health;

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use pingora::connectors::TransportConnector;
use pingora::prelude::{Error, ErrorType};
use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use prometheus::Histogram;
use rustls::pki_types::CertificateDer;
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;
use tokio::time::timeout;

use self::balance::Balancer;
use self::bridge::Bridge;
use super::file::Root;
use super::s3::S3;
use crate::config;
use crate::headers::content_length;
use crate::observe::metrics::{Metrics, UpstreamServerMetrics};
use crate::rate::guesses::Guesses;
use crate::rejection::{Reason, Rejection};
use crate::trust;
use crate::trust::file::CaFile;

pub use self::failure::{Unwell, client_gone, describe, rejection};

/// How long an unused connection to an upstream is kept. Shorter than what common servers grant (nginx 75 s, Jetty
/// 30 s and more), so that it is mostly us who close.
const IDLE: Duration = Duration::from_secs(25);

/// Requests side by side on one HTTP/2 connection to a server; RFC 9113 section 6.5.2 advises servers to allow no fewer.
const H2_STREAMS: usize = 100;

/// How long `janua check` waits for what a server says of a handshake that is over.
const AFTER_HANDSHAKE: Duration = Duration::from_millis(300);

/// Bytes of a request body that may go over HTTP/2.
const H2_BODY: u64 = 1 << 20;

/// Must a request with these headers go over HTTP/1.1, where a server could choose HTTP/2? An upgrade exists there only.
/// And pingora counts the patience with an HTTP/2 answer from the request's first byte and hears no `100 Continue` on
/// the way: a recording that is sent for longer would be given up while it is still coming in.
pub fn needs_h1(headers: &HeaderMap, is_upgrade: bool, has_body: bool) -> bool {
    let is_long = || has_body && content_length(headers).is_none_or(|length| length > H2_BODY);
    is_upgrade || headers.contains_key(header::EXPECT) || is_long()
}

/// One upstream, its servers balanced and watched.
pub struct Upstream {
    pub name: Arc<str>,
    /// What `Host` becomes; `None` keeps the client's.
    pub host: Option<http::HeaderValue>,
    /// Seconds to the header of an answer.
    pub seconds: Histogram,
    balancer: Balancer,
    connect_timeout: Duration,
    read_timeout: Duration,
    ca: Option<Ca>,
    /// `None`: its `X-Accel-Redirect` is dropped.
    pub accel: Option<Accel>,
    /// It is an object store, of which one bucket is read.
    pub s3: Option<S3>,
    /// What callers whom it judges have got wrong.
    pub guesses: Guesses,
}

/// Further roots, and the text they come from.
struct Ca {
    pem: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<CaType>,
}

/// The folder that stands for a prefix of `X-Accel-Redirect`.
pub struct Accel {
    pub prefix: String,
    pub root: Arc<Root>,
}

/// A server as configured; it may have several addresses.
pub struct Server {
    /// `host:port`, for metrics and logs.
    pub label: String,
    pub metrics: UpstreamServerMetrics,
    https: bool,
    host: String,
    port: u16,
    /// How pingora connects where it cannot verify the server's certificate itself.
    bridge: Option<Arc<Bridge>>,
}

impl Server {
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Does pingora speak TLS there?
    fn has_pingora_tls(&self) -> bool {
        self.https && self.bridge.is_none()
    }

    /// The address of a path there, for requests that the gateway makes itself. `path` is canonical and encoded.
    pub fn url(&self, path: &str) -> Option<url::Url> {
        let scheme = if self.https { "https" } else { "http" };
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        format!("{scheme}://{host}:{}{path}", self.port).parse().ok()
    }
}

/// The server chosen for one attempt.
#[derive(Clone)]
pub struct Chosen {
    pub server: Arc<Server>,
    address: SocketAddr,
}

/// The attempts of one request.
#[derive(Default)]
pub struct Attempts {
    tried: Vec<SocketAddr>,
}

impl Attempts {
    /// The last server was not to blame: it may be chosen again. pingora bounds how often.
    pub fn forget_last(&mut self) {
        self.tried.pop();
    }
}

impl Upstream {
    /// Reads the CA file and prepares the balancer. Nothing is connected yet.
    pub fn new(config: &config::Upstream, metrics: &Metrics) -> io::Result<Self> {
        let ca = config.ca_file.as_deref().map(Ca::read).transpose()?;
        let roots = ca.as_ref().map(|ca| Arc::clone(&ca.roots));
        let listed = ca.as_ref().map_or(&[][..], |ca| &ca.certificates);
        let servers = config.servers.iter().map(|server| {
            let label = format!("{}:{}", server.host, server.port);
            let bridge = match server.https {
                true => Bridge::new(&server.host, listed, (config.connect_timeout, config.read_timeout))
                    .map_err(io::Error::other)?,
                false => None,
            };
            Ok::<_, io::Error>(Arc::new(Server {
                metrics: metrics.upstream_server(&config.name, &label),
                label,
                https: server.https,
                host: server.host.clone(),
                port: server.port,
                bridge: bridge.map(Arc::new),
            }))
        });
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        let accel = config.accel.as_ref().map(|accel| {
            let root = Root::open(&accel.files)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", accel.files.display())))?;
            Ok::<_, io::Error>(Accel {
                prefix: accel.prefix.clone(),
                root: Arc::new(root),
            })
        });
        Ok(Self {
            accel: accel.transpose()?,
            s3: config.s3.as_ref().map(S3::new).transpose()?,
            name: Arc::clone(&config.name),
            host: config.host.clone(),
            seconds: metrics.upstream_seconds(&config.name),
            balancer: Balancer::new(config, servers, roots),
            connect_timeout: config.connect_timeout,
            read_timeout: config.read_timeout,
            ca,
            guesses: Guesses::default(),
        })
    }

    /// Would the CA file, read now, make another upstream of the same configuration? `path` is that configuration's.
    pub fn has_ca_of(&self, path: Option<&Path>) -> bool {
        let now = path.and_then(|path| fs::read(path).ok());
        now.as_ref() == self.ca.as_ref().map(|ca| &ca.pem)
    }

    /// Looks names up and checks health until shutdown. Comes back only then.
    pub async fn watch(&self, shutdown: watch::Receiver<bool>) {
        self.balancer.watch(shutdown).await;
    }

    /// Asks every server once, all at the same time, for `janua check`: for the page of its health check, or for a
    /// connection as a request has one, with TLS.
    pub async fn probe(&self, tell: impl Fn(&Server, Result<(), Unwell>)) {
        let connector = TransportConnector::new(None);
        let shake = async |chosen: Chosen| {
            if !chosen.server.https {
                return Ok(());
            }
            let shaken = connector.new_stream(&self.peer(&chosen, false)).await;
            let mut stream = shaken.map_err(|mut error| {
                // It takes connections: that has been looked at.
                if *error.etype() == ErrorType::ConnectTimedout {
                    error.etype = ErrorType::TLSHandshakeTimedout;
                }
                error
            })?;
            // A server that wants a client's certificate says so in TLS 1.3 when the handshake is over.
            match timeout(AFTER_HANDSHAKE, stream.read(&mut [0])).await {
                Ok(Err(error)) => Error::e_because(ErrorType::ReadError, "after the TLS handshake", error),
                Ok(Ok(_)) | Err(_) => Ok(()),
            }
        };
        self.balancer.probe(shake, tell).await;
    }

    /// Looks the servers' names up once, so that the first request finds addresses.
    pub async fn resolve(&self) {
        self.balancer.resolve().await;
    }

    /// A server that was not tried yet: a healthy one, or any, since a server may be back before the next check tells.
    /// `key` is the canonical path; only `balance = "consistent"` looks at it.
    pub fn choose(&self, key: &str, attempts: &mut Attempts) -> Result<Chosen, Rejection> {
        self.choose_for(None, key, attempts)
    }

    /// The same for a client who, as long as the servers stay the same, has always the same one.
    pub fn choose_for(&self, client: Option<IpAddr>, key: &str, attempts: &mut Attempts) -> Result<Chosen, Rejection> {
        let tried = &attempts.tried;
        let select = |is_healthy: bool| {
            let takes = |address: &SocketAddr, healthy: bool| (healthy || !is_healthy) && !tried.contains(address);
            match client {
                Some(client) => self.balancer.select_for(client, takes),
                None => self.balancer.select(key, takes),
            }
        };
        let chosen = select(true).or_else(|| select(false)).ok_or_else(|| {
            let detail = format!("no server of upstream `{}` is left to try", self.name);
            Rejection::because(Reason::UpstreamUnavailable, detail)
        })?;
        attempts.tried.push(chosen.address);
        Ok(chosen)
    }

    /// Is there a server that was not tried?
    pub fn has_more(&self, attempts: &Attempts) -> bool {
        self.balancer
            .addresses()
            .iter()
            .any(|address| !attempts.tried.contains(address))
    }

    /// Where and how pingora connects. Over TLS a server may choose HTTP/2, which alone carries trailers through, unless
    /// `h1_only`: see [`needs_h1`].
    pub fn peer(&self, chosen: &Chosen, h1_only: bool) -> HttpPeer {
        let server = &chosen.server;
        let sni = if server.https {
            server.host.clone()
        } else {
            String::new()
        };
        let mut peer = match &server.bridge {
            Some(bridge) => bridge::peer(bridge, chosen.address),
            None => HttpPeer::new(chosen.address, server.https, sni),
        };
        peer.options.connection_timeout = Some(self.connect_timeout);
        // TCP and TLS together.
        peer.options.total_connection_timeout = Some(self.connect_timeout * 2);
        peer.options.read_timeout = Some(self.read_timeout);
        peer.options.write_timeout = Some(self.read_timeout);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.alpn = if h1_only { ALPN::H1 } else { ALPN::H2H1 };
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.ca = self.ca.as_ref().map(|ca| Arc::clone(&ca.roots));
        peer
    }

    /// Is this one of its servers, or what they are called (`upstreams.host`)? `host` is lower case, without brackets.
    pub fn is_at(&self, host: &str, port: u16) -> bool {
        let called = self.host.as_ref().and_then(|name| name.to_str().ok());
        // With its port, if it has one.
        let is_called = called.is_some_and(|called| {
            let (name, its_port) = called.rsplit_once(':').unwrap_or((called, ""));
            let of_port = its_port.is_empty() || its_port.parse() == Ok(port);
            of_port && name.eq_ignore_ascii_case(host)
        });
        let mut servers = self.balancer.servers().iter();
        is_called || servers.any(|server| server.host.eq_ignore_ascii_case(host) && server.port == port)
    }

    /// `host:port` and whether the server takes requests, for the status page.
    pub fn servers(&self) -> Vec<(String, bool)> {
        let servers = self.balancer.servers().iter();
        servers
            .map(|server| (server.label.clone(), server.metrics.healthy.get() == 1))
            .collect()
    }
}

impl Ca {
    /// PEM certificates as pingora takes them. Each can be a root: pingora panics on a bad one.
    fn read(path: &Path) -> io::Result<Self> {
        let CaFile { text, certificates } = trust::file::read(path).map_err(io::Error::other)?;
        let wrapped = certificates
            .iter()
            .map(|one| WrappedX509::new(one.to_vec(), parse_x509));
        Ok(Self {
            pem: text,
            roots: wrapped.collect::<Vec<_>>().into(),
            certificates,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_uncertain_bodies_go_over_http_1() {
        let sent = |fields: &[(&'static str, &'static str)], has_body| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            needs_h1(&fields.collect(), false, has_body)
        };
        assert!(!sent(&[], false));
        assert!(!sent(&[("content-length", "1048576")], true));
        assert!(sent(&[("content-length", "1048577")], true));
        assert!(sent(&[("transfer-encoding", "chunked")], true));
        assert!(sent(&[], true), "HTTP/2 bodies need not name a length");
        assert!(sent(&[("content-length", "5"), ("expect", "100-continue")], true));
        assert!(needs_h1(&HeaderMap::new(), true, false));
    }
}
