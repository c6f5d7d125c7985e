//! `[upstreams.<name>]`.

use super::s3::OfUpstream;
use super::server::values;
use super::{Checker, Names, every};
use crate::config::diagnostics::Diagnostic;
use crate::config::net::HostHeader;
use crate::config::read::{At, Named};
use crate::config::{Health, Upstream, UpstreamAccel, UpstreamServer, file};

impl Checker<'_> {
    /// The upstreams, and their names in the order of their indices, known even when something is wrong.
    pub(super) fn upstreams(&mut self, Named(upstreams): Named<file::Upstream>) -> (Option<Vec<Upstream>>, Names) {
        let names = upstreams.iter().map(|(name, _)| name.clone()).collect();
        let compiled = upstreams
            .into_iter()
            .map(|(name, upstream)| self.upstream(&name, upstream));
        (every(compiled), names)
    }

    fn upstream(&mut self, name: &At<String>, upstream: file::Upstream) -> Option<Upstream> {
        let named = self.name(name);
        let servers = upstream.servers.into_given().and_then(|servers| {
            self.not_empty(&servers, "servers", "an upstream without a server answers nothing")?;
            let address = |server: &UpstreamServer| (server.https, server.host.to_lowercase(), server.port);
            self.unique_by("server", &servers.value, address);
            Some(values(servers.value))
        });
        let ca_file = upstream.ca_file.checked(|path| {
            let is_plain = |servers: &Vec<UpstreamServer>| !servers.iter().any(|server| server.https);
            if servers.as_ref().is_some_and(is_plain) {
                let problem = Diagnostic::error(path.at, "`ca_file` means nothing here");
                self.report(problem.help("no server of this upstream is https: remove this key"));
            }
            self.existing_file(&path, "ca_file")
        });
        let servers_at = upstream.s3.given().is_some();
        let others = [
            ("accel", upstream.accel.given().map(|given| given.at)),
            ("health.path", upstream.health.path.given().map(|given| given.at)),
        ];
        let others = others.into_iter().filter(|_| servers_at);
        let host = match &upstream.host {
            HostHeader::Send(host) => host.to_str().ok(),
            HostHeader::Keep => None,
        };
        let of_upstream = OfUpstream {
            servers: servers.as_deref(),
            host,
            others: others.filter_map(|(key, at)| Some((key, at?))).collect(),
        };
        let s3 = self.s3(upstream.s3, &of_upstream);
        let health = self.health(upstream.health);
        let accel = upstream.accel.checked(|accel| self.upstream_accel(accel.value));
        named?;
        Some(Upstream {
            name: name.value.as_str().into(),
            servers: servers?,
            balance: upstream.balance,
            health: health?,
            connect_timeout: upstream.timeouts.connect,
            read_timeout: upstream.timeouts.read,
            websocket: upstream.websocket,
            host: match upstream.host {
                HostHeader::Keep => None,
                HostHeader::Send(host) => Some(host),
            },
            ca_file: ca_file?,
            accel: accel?,
            s3: s3?,
        })
    }

    fn upstream_accel(&mut self, accel: file::UpstreamAccel) -> Option<UpstreamAccel> {
        let prefix = accel
            .prefix
            .given()
            .and_then(|prefix| self.accel_prefix(prefix, "prefix"));
        let files = accel
            .files
            .given()
            .and_then(|files| self.existing_folder(files, "files"));
        Some(UpstreamAccel {
            prefix: prefix?,
            files: files?,
        })
    }

    fn health(&mut self, health: file::Health) -> Option<Health> {
        if let Some(path) = health.path.given() {
            let is_target = path.value.starts_with('/') && path.value.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_target || path.value.contains('#') {
                let problem = Diagnostic::error(path.at, "`path`: this cannot be requested");
                self.report(problem.help("begin with `/`, percent-encode what is not printable ASCII"));
                return None;
            }
        }
        Some(Health {
            path: health.path.into_value(),
            every: health.every,
        })
    }
}
