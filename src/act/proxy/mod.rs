//! Requests that go to an upstream: which of its servers, and what a failure means.
//!
//! pingora moves the bytes. This room picks the server, remembers which were tried, and turns pingora's errors into
//! rejections.

mod balance;
mod failure;
mod health;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::protocols::tls::CaType;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::{WrappedX509, parse_x509};
use prometheus::Histogram;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;

use self::balance::Balancer;
use crate::config;
use crate::observe::metrics::{Metrics, UpstreamServerMetrics};
use crate::rejection::{Reason, Rejection};

pub use self::failure::{describe, rejection};

/// How long an unused connection to an upstream is kept. Shorter than what common servers grant (nginx 75 s, Jetty
/// 30 s and more), so that it is mostly us who close.
const IDLE: Duration = Duration::from_secs(25);

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
    ca: Option<Arc<CaType>>,
}

/// A server as configured; it may have several addresses.
pub struct Server {
    /// `host:port`, for metrics and logs.
    pub label: String,
    pub metrics: UpstreamServerMetrics,
    https: bool,
    host: String,
    port: u16,
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
        let ca = config.ca_file.as_deref().map(read_ca).transpose()?;
        let servers = config.servers.iter().map(|server| {
            let label = format!("{}:{}", server.host, server.port);
            Arc::new(Server {
                metrics: metrics.upstream_server(&config.name, &label),
                label,
                https: server.https,
                host: server.host.clone(),
                port: server.port,
            })
        });
        Ok(Self {
            name: Arc::clone(&config.name),
            host: config.host.clone(),
            seconds: metrics.upstream_seconds(&config.name),
            balancer: Balancer::new(config, servers.collect(), ca.clone()),
            connect_timeout: config.connect_timeout,
            read_timeout: config.read_timeout,
            ca,
        })
    }

    /// Looks names up and checks health until shutdown. Comes back only then.
    pub async fn watch(&self, shutdown: watch::Receiver<bool>) {
        self.balancer.watch(shutdown).await;
    }

    /// Asks every server once, for `janua check`: its `host:port`, and the error if it is not well.
    pub async fn probe(&self) -> Vec<(String, Result<(), String>)> {
        self.balancer.probe().await
    }

    /// Looks the servers' names up once, so that the first request finds addresses.
    pub async fn resolve(&self) {
        self.balancer.resolve().await;
    }

    /// A server that was not tried yet: a healthy one, or any, since a server may be back before the next check tells.
    /// `key` is the canonical path; only `balance = "consistent"` looks at it.
    pub fn choose(&self, key: &str, attempts: &mut Attempts) -> Result<Chosen, Rejection> {
        let tried = &attempts.tried;
        let chosen = self
            .balancer
            .select(key, |address, healthy| healthy && !tried.contains(address))
            .or_else(|| self.balancer.select(key, |address, _| !tried.contains(address)))
            .ok_or_else(|| {
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

    /// Where and how pingora connects.
    pub fn peer(&self, chosen: &Chosen) -> HttpPeer {
        let server = &chosen.server;
        let mut peer = HttpPeer::new(chosen.address, server.https, server.host.clone());
        peer.options.connection_timeout = Some(self.connect_timeout);
        // TCP and TLS together.
        peer.options.total_connection_timeout = Some(self.connect_timeout * 2);
        peer.options.read_timeout = Some(self.read_timeout);
        peer.options.write_timeout = Some(self.read_timeout);
        peer.options.idle_timeout = Some(IDLE);
        peer.options.alpn = ALPN::H1;
        peer.options.ca = self.ca.clone();
        peer
    }

    /// `host:port` and whether the server takes requests, for the status page.
    pub fn servers(&self) -> Vec<(String, bool)> {
        let servers = self.balancer.servers().iter();
        servers
            .map(|server| (server.label.clone(), server.metrics.healthy.get() == 1))
            .collect()
    }
}

/// PEM certificates as pingora takes them. Each is held against webpki first, since pingora panics on a bad one.
fn read_ca(path: &Path) -> io::Result<Arc<CaType>> {
    let bad = |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()));
    let file =
        File::open(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let mut roots = RootCertStore::empty();
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_reader_iter(file) {
        let certificate = certificate.map_err(|error| bad(error.to_string()))?;
        roots.add(certificate.clone()).map_err(|error| bad(error.to_string()))?;
        certificates.push(WrappedX509::new(certificate.to_vec(), parse_x509));
    }
    if certificates.is_empty() {
        return Err(bad("no certificate in it".into()));
    }
    Ok(certificates.into())
}
