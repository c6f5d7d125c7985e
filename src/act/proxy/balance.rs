//! Which server of an upstream: pingora's load balancer over addresses that are looked up again and again.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use parking_lot::Mutex;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::health_check::HealthCheck;
use pingora::lb::selection::{Consistent, RoundRobin};
use pingora::lb::{Backend, Backends, Extensions, LoadBalancer};
use pingora::prelude::Result;
use pingora::protocols::tls::CaType;
use pingora::services::background::BackgroundService;
use tokio::sync::watch;

use super::failure::Unwell;
use super::health::Probe;
use super::{Chosen, Server};
use crate::config;

/// How often names are looked up again: a moved container is found within this time.
const LOOK_UP_EVERY: Duration = Duration::from_secs(30);
/// Addresses looked at to find one for a request, and taken from one name.
const MAX_ADDRESSES: usize = 64;

/// pingora's two balancers behind one face.
pub(super) struct Balancer {
    servers: Vec<Arc<Server>>,
    probe: Probe,
    kind: Kind,
}

enum Kind {
    RoundRobin(LoadBalancer<RoundRobin>),
    Consistent(LoadBalancer<Consistent>),
}

impl Balancer {
    pub(super) fn new(config: &config::Upstream, servers: Vec<Arc<Server>>, ca: Option<Arc<CaType>>) -> Self {
        let names = Names {
            servers: servers.clone(),
            known: Mutex::default(),
        };
        let mut backends = Backends::new(Box::new(names));
        let probe = Probe::new(config, &servers, ca);
        backends.set_health_check(Box::new(probe.clone()));
        let look_up = servers
            .iter()
            .any(|server| !is_address(&server.host))
            .then_some(LOOK_UP_EVERY);
        let kind = match config.balance {
            config::Balance::RoundRobin => Kind::RoundRobin(balancer(backends, config.health.every, look_up)),
            config::Balance::Consistent => Kind::Consistent(balancer(backends, config.health.every, look_up)),
        };
        Self { servers, probe, kind }
    }

    pub(super) fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    pub(super) async fn watch(&self, shutdown: watch::Receiver<bool>) {
        match &self.kind {
            Kind::RoundRobin(balancer) => balancer.start(shutdown).await,
            Kind::Consistent(balancer) => balancer.start(shutdown).await,
        }
    }

    pub(super) async fn resolve(&self) {
        for server in &self.servers {
            server.metrics.healthy.set(1); // until a check says otherwise
        }
        let resolved = match &self.kind {
            Kind::RoundRobin(balancer) => balancer.update().await,
            Kind::Consistent(balancer) => balancer.update().await,
        };
        if let Err(error) = resolved {
            tracing::warn!(%error, "the names of an upstream's servers could not be looked up yet");
        }
    }

    /// Checks every address once, all at the same time, and tells each answer when it is there. A check that only connects
    /// is followed by `shake`.
    pub(super) async fn probe(
        &self,
        shake: impl AsyncFn(Chosen) -> Result<()>,
        tell: impl Fn(&Server, std::result::Result<(), Unwell>),
    ) {
        self.resolve().await;
        let shake = &shake;
        let backends = self.backends().get_backend();
        let tell = &tell;
        let mut checks = Vec::new();
        for server in &self.servers {
            let of_server = |backend: &&Backend| {
                let known = backend.ext.get::<Arc<Server>>();
                known.is_some_and(|known| known.label == server.label)
            };
            let mut addresses = backends.iter().filter(of_server).peekable();
            if addresses.peek().is_none() {
                let unwell = Unwell {
                    error: "the name cannot be looked up".to_owned(),
                    is_away: true,
                };
                tell(server, Err(unwell));
            }
            checks.extend(addresses.map(|backend| async move {
                let mut answer = self.probe.check(backend).await;
                if let (Ok(()), Some(address)) = (&answer, backend.addr.as_inet().filter(|_| !self.probe.asks())) {
                    let (server, address) = (Arc::clone(server), *address);
                    answer = shake(Chosen { server, address }).await;
                }
                tell(server, answer.map_err(|error| Unwell::of(&error, server)));
            }));
        }
        join_all(checks).await;
    }

    /// Every address, in no order. Unlike a selection this does not move the round robin on.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let backends = self.backends().get_backend();
        backends
            .iter()
            .filter_map(|backend| backend.addr.as_inet().copied())
            .collect()
    }

    fn backends(&self) -> &Backends {
        match &self.kind {
            Kind::RoundRobin(balancer) => balancer.backends(),
            Kind::Consistent(balancer) => balancer.backends(),
        }
    }

    /// The next server in the balancer's order that `accept` takes; it is told the address and whether it is healthy.
    pub(super) fn select(&self, key: &str, accept: impl Fn(&SocketAddr, bool) -> bool) -> Option<Chosen> {
        let takes =
            |backend: &Backend, healthy: bool| backend.addr.as_inet().is_some_and(|address| accept(address, healthy));
        let backend = match &self.kind {
            Kind::RoundRobin(balancer) => balancer.select_with(b"", MAX_ADDRESSES, takes),
            Kind::Consistent(balancer) => balancer.select_with(key.as_bytes(), MAX_ADDRESSES, takes),
        }?;
        chosen(&backend)
    }

    /// The same server for a client each time, of those that `accept` takes.
    pub(super) fn select_for(&self, client: IpAddr, accept: impl Fn(&SocketAddr, bool) -> bool) -> Option<Chosen> {
        let backends = self.backends();
        let all = backends.get_backend();
        let taken = all.iter().filter_map(|backend| {
            let address = backend.addr.as_inet()?;
            accept(address, backends.ready(backend)).then_some((score(client, address), backend))
        });
        let (_, backend) = taken.max_by_key(|(score, _)| *score)?;
        chosen(backend)
    }
}

/// The one with the highest of numbers that client and address make (rendezvous hashing): another server that comes or goes
/// moves few clients.
fn score(client: IpAddr, address: &SocketAddr) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client, address).hash(&mut hasher);
    hasher.finish()
}

fn chosen(backend: &Backend) -> Option<Chosen> {
    Some(Chosen {
        address: *backend.addr.as_inet()?,
        server: Arc::clone(backend.ext.get::<Arc<Server>>()?),
    })
}

fn balancer<S>(backends: Backends, check_every: Duration, look_up_every: Option<Duration>) -> LoadBalancer<S>
where
    S: pingora::lb::selection::BackendSelection + 'static,
    S::Iter: pingora::lb::selection::BackendIter,
{
    let mut balancer = LoadBalancer::from_backends(backends);
    balancer.health_check_frequency = Some(check_every);
    balancer.update_frequency = look_up_every;
    balancer.parallel_health_check = true;
    balancer
}

fn is_address(host: &str) -> bool {
    host.parse::<IpAddr>().is_ok()
}

/// Names and their addresses. While a name cannot be looked up, its last addresses stay.
struct Names {
    servers: Vec<Arc<Server>>,
    known: Mutex<HashMap<String, Vec<SocketAddr>>>,
}

#[async_trait]
impl ServiceDiscovery for Names {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut backends = BTreeSet::new();
        for server in &self.servers {
            let looked_up = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
            let mut known = self.known.lock();
            let addresses = match looked_up {
                Ok(addresses) => {
                    let addresses: Vec<_> = addresses.take(MAX_ADDRESSES).collect();
                    known.insert(server.label.clone(), addresses.clone());
                    addresses
                }
                Err(error) => {
                    tracing::warn!(server = server.label, %error, "name look-up failed; its last addresses stay in use");
                    known.get(&server.label).cloned().unwrap_or_default()
                }
            };
            for address in addresses {
                let mut ext = Extensions::new();
                ext.insert(Arc::clone(server));
                backends.insert(Backend {
                    addr: address.into(),
                    weight: 1,
                    ext,
                });
            }
        }
        Ok((backends, HashMap::new()))
    }
}
