//! What only a restart can change: sockets that are open, threads that run, files that are held.

use std::collections::BTreeSet;

use crate::config::{Config, Server};

/// The keys by which `wanted` differs from what the process `started` with and cannot be given.
pub(super) fn differing(started: &Config, wanted: &Config) -> Vec<&'static str> {
    let (old, new) = (&started.server, &wanted.server);
    let tls = |server: &Server| {
        server
            .tls
            .iter()
            .map(|listener| listener.listen)
            .collect::<BTreeSet<_>>()
    };
    let listen = |server: &Server| server.listen.iter().copied().collect::<BTreeSet<_>>();
    let keys = [
        ("server.listen", listen(old) != listen(new)),
        ("server.tls.listen", tls(old) != tls(new)),
        ("server.admin", old.admin != new.admin),
        ("server.denials", old.denials != new.denials),
        ("server.recent", old.recent != new.recent),
        ("server.control", old.control != new.control),
        ("server.threads", old.threads != new.threads),
        (
            "server.timeouts.keep_alive of HTTP/2",
            old.timeouts.keep_alive != new.timeouts.keep_alive,
        ),
        ("a larger server.max_header of HTTP/2", old.max_header < new.max_header),
        ("log.level", started.log.level != wanted.log.level),
        ("log.format", started.log.format != wanted.log.format),
        ("log.file", started.log.file != wanted.log.file),
        ("log.fields", started.log.fields != wanted.log.fields),
        ("log.mask", started.log.mask != wanted.log.mask),
        ("log.rotate", started.log.rotate != wanted.log.rotate),
        ("log.color", started.log.color != wanted.log.color),
        ("log.priority", started.log.priority != wanted.log.priority),
        ("state", started.state != wanted.state),
        ("statistics", started.statistics != wanted.statistics),
    ];
    let differing = keys.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(key, _)| key).collect()
}
