//! Is a server of an upstream well? A TCP connect, or a GET that must answer 200.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck};
use pingora::prelude::{Error, ErrorType, Result};
use pingora::protocols::tls::CaType;

use super::Server;
use crate::config;

/// Long enough for a busy Opencast, short enough to leave a hung one out soon.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// One check per configured server: they may differ in scheme and name.
#[derive(Clone)]
pub(super) struct Probe {
    by_server: Arc<HashMap<String, Check>>,
    asks: bool,
}

enum Check {
    Tcp(Box<TcpHealthCheck>),
    Http(Box<HttpHealthCheck>),
}

impl Probe {
    pub(super) fn new(config: &config::Upstream, servers: &[Arc<Server>], ca: Option<Arc<CaType>>) -> Self {
        let check = |server: &Server| match &config.health.path {
            None => {
                let mut check = TcpHealthCheck::new();
                check.peer_template.options.connection_timeout = Some(config.connect_timeout);
                Check::Tcp(check)
            }
            Some(path) => {
                let mut check = HttpHealthCheck::new(&server.host, server.has_pingora_tls());
                if let Ok(mut request) = RequestHeader::build("GET", path.as_bytes(), None) {
                    let host = config
                        .host
                        .as_ref()
                        .and_then(|host| host.to_str().ok())
                        .unwrap_or(&server.host);
                    // A host from the configuration is a valid value: it was one already.
                    if request.insert_header("host", host).is_ok() {
                        check.req = request;
                    }
                }
                let options = &mut check.peer_template.options;
                options.connection_timeout = Some(config.connect_timeout);
                options.read_timeout = Some(ANSWER_WITHIN);
                options.ca = ca.clone();
                options.custom_l4 = server.bridge.clone().map(|bridge| bridge as _);
                Check::Http(Box::new(check))
            }
        };
        Self {
            asks: config.health.path.is_some(),
            by_server: Arc::new(
                servers
                    .iter()
                    .map(|server| (server.label.clone(), check(server)))
                    .collect(),
            ),
        }
    }

    /// Does a check ask for a page? Otherwise it only connects, without TLS.
    pub(super) fn asks(&self) -> bool {
        self.asks
    }
}

#[async_trait]
impl HealthCheck for Probe {
    async fn check(&self, target: &Backend) -> Result<()> {
        let server = target.ext.get::<Arc<Server>>();
        let check = server.and_then(|server| self.by_server.get(&server.label));
        match check {
            Some(Check::Tcp(check)) => check.check(target).await,
            Some(Check::Http(check)) => check.check(target).await,
            None => Error::e_explain(ErrorType::InternalError, "a backend without a server"),
        }
    }

    async fn health_status_change(&self, target: &Backend, healthy: bool) {
        if let Some(server) = target.ext.get::<Arc<Server>>() {
            server.metrics.healthy.set(i64::from(healthy));
        }
    }

    fn backend_summary(&self, target: &Backend) -> String {
        match target.ext.get::<Arc<Server>>() {
            Some(server) => format!("upstream server {} ({})", server.label, target.addr),
            None => target.addr.to_string(),
        }
    }

    /// One good answer brings a server back; two bad ones in a row leave it out, so that one lost packet does not.
    fn health_threshold(&self, success: bool) -> usize {
        if success { 1 } else { 2 }
    }
}
