//! `[upstreams.<name>]`.

use std::time::Duration;

use super::server::values;
use super::{Checker, Names};
use crate::config::diagnostics::Diagnostic;
use crate::config::net::HostHeader;
use crate::config::read::{At, Key, Named};
use crate::config::{Balance, Health, Upstream, UpstreamAccel, file};

impl Checker<'_> {
    /// The upstreams, and their names in the order of their indices, known even when something is wrong.
    pub(super) fn upstreams(&mut self, upstreams: Key<Named<file::Upstream>>) -> (Option<Vec<Upstream>>, Names) {
        let Named(upstreams) = upstreams.into_value().unwrap_or(Named(Vec::new()));
        let names = upstreams.iter().map(|(name, _)| name.clone()).collect();
        let compiled: Vec<_> = upstreams
            .into_iter()
            .map(|(name, upstream)| self.upstream(&name, upstream))
            .collect();
        (compiled.into_iter().collect(), names)
    }

    fn upstream(&mut self, name: &At<String>, upstream: file::Upstream) -> Option<Upstream> {
        let named = self.name(name);
        let example = "servers = [\"http://127.0.0.1:8081\"]";
        let servers = self.required(upstream.servers, "servers", upstream.place, example);
        let servers = servers.and_then(|servers| {
            self.not_empty(&servers, "servers", "an upstream without a server answers nothing")?;
            self.unique(
                "server",
                servers
                    .value
                    .iter()
                    .map(|one| (one.at, (one.value.https, one.value.host.to_lowercase(), one.value.port))),
            );
            Some(values(servers.value))
        });
        let ca_file = match upstream.ca_file {
            Key::Given(path) => {
                if servers
                    .as_ref()
                    .is_some_and(|servers| !servers.iter().any(|server| server.https))
                {
                    let problem = Diagnostic::error(path.at, "`ca_file` means nothing here");
                    self.report(problem.help("no server of this upstream is https: remove this key"));
                }
                Some(self.existing_file(&path, "ca_file"))
            }
            Key::Absent | Key::Bad => None,
        };
        let health = self.health(upstream.health.or_default());
        let timeouts = upstream.timeouts.or_default();
        let seconds = Duration::from_secs;
        let bounds = (Duration::from_millis(10), seconds(300));
        let connect_timeout = self.duration(timeouts.connect, "connect", seconds(2), bounds);
        let bounds = (Duration::from_millis(100), seconds(24 * 3600));
        let read_timeout = self.duration(timeouts.read, "read", seconds(60), bounds);
        let accel = match upstream.accel {
            Key::Given(accel) => Some(self.upstream_accel(accel.value)),
            Key::Absent | Key::Bad => None,
        };
        named?;
        Some(Upstream {
            name: name.value.as_str().into(),
            servers: servers?,
            balance: upstream.balance.or(Balance::RoundRobin),
            health: health?,
            connect_timeout,
            read_timeout,
            websocket: upstream.websocket.or(false),
            host: match upstream.host.or(HostHeader::Keep) {
                HostHeader::Keep => None,
                HostHeader::Send(host) => Some(host),
            },
            ca_file: match ca_file {
                Some(path) => Some(path?),
                None => None,
            },
            accel: match accel {
                Some(accel) => Some(accel?),
                None => None,
            },
        })
    }

    fn upstream_accel(&mut self, accel: file::UpstreamAccel) -> Option<UpstreamAccel> {
        let prefix = self.required(accel.prefix, "prefix", accel.place, "prefix = \"/protected\"");
        let prefix = prefix.and_then(|prefix| self.accel_prefix(&prefix, "prefix"));
        let example = "files = \"/srv/opencast/downloads\", the folder that stands for the prefix";
        let files = self.required(accel.files, "files", accel.place, example);
        let files = files.and_then(|files| self.existing_folder(&files, "files"));
        Some(UpstreamAccel {
            prefix: prefix?,
            files: files?,
        })
    }

    fn health(&mut self, health: file::Health) -> Option<Health> {
        let bounds = (Duration::from_millis(100), Duration::from_secs(3600));
        let every = self.duration(health.every, "every", Duration::from_secs(5), bounds);
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
            every,
        })
    }
}
