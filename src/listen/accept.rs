//! The loop that takes connections, counts them, and hands them to pingora.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use parking_lot::Mutex;
use pingora::apps::{HttpServerApp, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::{ALPN, IO, Stream};
use prometheus::{IntCounter, IntGauge};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{Connection, HeaderBounds};
use crate::config::{Connections, Server};
use crate::observe::metrics::Metrics;
use crate::rate::{Limiter, address_key};

/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// A socket that takes connections, with TLS or without.
pub struct Listener {
    pub socket: TcpListener,
    pub tls: Option<Arc<Acceptor>>,
}

/// What all listeners share.
pub struct Door<A> {
    pub app: Arc<A>,
    pub bounds: Arc<Bounds>,
    /// `timeouts.header`, as it is now.
    pub header: watch::Receiver<HeaderBounds>,
    /// Becomes true once, when the gateway shuts down.
    pub shutdown: watch::Receiver<bool>,
}

impl<A> Clone for Door<A> {
    fn clone(&self) -> Self {
        Self {
            app: Arc::clone(&self.app),
            bounds: Arc::clone(&self.bounds),
            header: self.header.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}

impl<A: HttpServerApp + Send + Sync + 'static> Door<A> {
    /// Takes connections until shutdown, then closes the socket: new ones are refused, those open go on.
    pub async fn serve(mut self, listener: Listener) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.socket.accept() => accepted,
                _ = self.shutdown.wait_for(|down| *down) => return,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, listener.tls.clone()),
                Err(error) => {
                    // The client's fault or a lack of descriptors: neither ends the listener.
                    tracing::warn!(%error, "a connection could not be accepted");
                    if !matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                    ) {
                        tokio::time::sleep(ACCEPT_BACKOFF).await;
                    }
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, tls: Option<Arc<Acceptor>>) {
        let Some(permit) = Bounds::admit(&self.bounds, peer.ip()) else {
            return; // dropped: closed at once, before it costs anything
        };
        let door = self.clone();
        pingora_runtime::current_handle().spawn(async move {
            let header = *door.header.borrow();
            let connection = Connection::new(stream, peer, tls.is_some(), header, permit);
            let stream = match (connection, tls) {
                (Ok(connection), None) => Box::new(connection) as Stream,
                (Ok(connection), Some(tls)) => {
                    let shared = connection.shared();
                    match tokio::time::timeout(header.within, tls.tls_handshake(connection)).await {
                        Ok(Ok(stream)) => {
                            let stream = Box::new(stream) as Stream;
                            if is_http2(&*stream) {
                                shared.greets_http2();
                            }
                            stream
                        }
                        Ok(Err(error)) => {
                            return tracing::debug!(%peer, error = error.etype().as_str(), "TLS handshake failed");
                        }
                        Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
                    }
                }
                (Err(error), _) => return tracing::debug!(%peer, %error, "connection lost at once"),
            };
            door.app.process_new(stream, &door.shutdown).await;
        });
    }
}

fn is_http2(stream: &dyn IO) -> bool {
    matches!(stream.selected_alpn_proto(), Some(ALPN::H2))
}

/// How many connections there may be, in all and by address. Behind a trusted proxy there are many clients: its address is
/// no client's, and theirs are counted request by request.
#[derive(Debug, Clone)]
pub struct Limits {
    pub connections: Connections,
    pub trusted_proxies: Vec<IpNet>,
}

impl From<&Server> for Limits {
    fn from(server: &Server) -> Self {
        Self {
            connections: server.connections,
            trusted_proxies: server.trusted_proxies.clone(),
        }
    }
}

/// How many connections there are, and how many there may be.
#[derive(Debug)]
pub struct Bounds {
    limits: ArcSwap<Limits>,
    /// Whether a refusal is told.
    telling: Limiter,
    open: Mutex<Open>,
    gauge: IntGauge,
    refused_max: IntCounter,
    refused_per_address: IntCounter,
    /// Told whenever a connection closes.
    closed: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Bounds {
    pub fn new(limits: Limits, metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            limits: ArcSwap::from_pointee(limits),
            telling: Limiter::of_log(),
            open: Mutex::default(),
            gauge: metrics.connections(),
            refused_max: metrics.connections_refused("max"),
            refused_per_address: metrics.connections_refused("per_address"),
            closed: tokio::sync::Notify::new(),
        })
    }

    /// Other limits from now on. Connections beyond them stay until they end.
    pub fn set(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
    }

    /// Counts one more, if it may be. IPv6 clients are counted by their /64, which one host commands.
    pub(super) fn admit(bounds: &Arc<Self>, address: IpAddr) -> Option<Permit> {
        let key = address_key(address);
        let limits = bounds.limits.load();
        let Connections { max, per_address } = limits.connections;
        let mut open = bounds.open.lock();
        if open.total >= max {
            bounds.refused_max.inc();
            bounds.tell(address, "connections.max", max, "");
            return None;
        }
        let count = open.by_address.entry(key).or_default();
        let is_proxy = || {
            let address = address.to_canonical();
            limits.trusted_proxies.iter().any(|net| net.contains(&address))
        };
        if *count >= per_address && !is_proxy() {
            bounds.refused_per_address.inc();
            let remedy = ": if this is a proxy, name it in server.trusted_proxies";
            bounds.tell(address, "connections.per_address", per_address, remedy);
            return None;
        }
        *count += 1;
        open.total += 1;
        bounds.gauge.inc();
        Some(Permit {
            bounds: Arc::clone(bounds),
            key,
        })
    }

    fn tell(&self, client: IpAddr, limit: &str, most: usize, remedy: &str) {
        if self.telling.take(Instant::now()).is_ok() {
            tracing::warn!(%client, "connections are refused: {limit} allows {most}{remedy}");
        }
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.lock().total
    }

    /// Comes back when no connection is open.
    pub async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// One counted connection; gives its place back when dropped.
#[derive(Debug)]
pub struct Permit {
    bounds: Arc<Bounds>,
    key: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.bounds.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(count) = open.by_address.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&self.key);
            }
        }
        drop(open);
        self.bounds.gauge.dec();
        self.bounds.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_given_back() {
        let limits = |max| Limits {
            connections: Connections { max, per_address: 2 },
            trusted_proxies: vec!["192.0.2.9/32".parse().unwrap()],
        };
        let metrics = Metrics::new();
        let bounds = Bounds::new(limits(3), &metrics);
        let address = |last| IpAddr::from([192, 0, 2, last]);
        let first = Bounds::admit(&bounds, address(1)).unwrap();
        let _second = Bounds::admit(&bounds, address(1)).unwrap();
        assert!(Bounds::admit(&bounds, address(1)).is_none(), "two per address");
        let _third = Bounds::admit(&bounds, address(2)).unwrap();
        assert!(Bounds::admit(&bounds, address(3)).is_none(), "three in all");
        bounds.set(limits(4));
        let _fourth = Bounds::admit(&bounds, address(3)).unwrap();
        drop(first);
        assert!(Bounds::admit(&bounds, address(1)).is_some());
        assert_eq!(bounds.open(), 3);
        bounds.set(limits(7));
        let proxys: Vec<_> = (0..5).map(|_| Bounds::admit(&bounds, address(9))).collect();
        let places = proxys.iter().filter(|place| place.is_some()).count();
        assert_eq!(places, 4, "a trusted proxy is bounded by what there is in all");
    }
}
