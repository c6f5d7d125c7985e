//! `state.url`: where a Valkey (or Redis) is, alone, behind sentinels or as a cluster.
//!
//! The scheme says how: `redis`, or `rediss` over TLS, alone or with `+sentinel` or `+cluster` behind it.

use std::fmt;

use url::Host;

use super::read::{FromText, Refusal};
use super::{ValkeyAddress, ValkeyKind};

/// Nodes that are named at most; the others of a cluster are found through them.
const MOST_NODES: usize = 32;

impl FromText for ValkeyAddress {
    const EXPECTED: &'static str = "a URL such as \"redis://127.0.0.1:6379\", \"rediss://valkey.example.edu:6380/0\", \
         \"redis+sentinel://a:26379,b:26379/mymaster\" or \"redis+cluster://a:6379,b:6379\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| Refusal::new("it has no scheme"))?;
        let (scheme, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match scheme {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(Refusal::new("this scheme is none of Valkey").help("redis:// or, over TLS, rediss://")),
        };
        if rest.contains('@') {
            return Err(Refusal::new("there is a user or password in it")
                .help("write the user as `username` and put the password into a file that `password_file` names"));
        }
        if rest.contains(['?', '#']) {
            return Err(Refusal::new("there is a query or fragment in it").help("remove what stands behind ? or #"));
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if kind == "sentinel" { 26379 } else { 6379 };
        let nodes: Vec<_> = hosts
            .split(',')
            .map(|host| node(host, port))
            .collect::<Result<_, _>>()?;
        let kind = match kind {
            "" if nodes.len() > 1 => {
                return Err(Refusal::new("there are several servers in it")
                    .help("write redis+cluster://… or redis+sentinel://…/name-of-the-master"));
            }
            "" => ValkeyKind::Single {
                database: database(path)?,
            },
            "cluster" if path.is_empty() => ValkeyKind::Cluster,
            "cluster" => return Err(Refusal::new("a cluster has one database").help("remove the path")),
            "sentinel" => sentinel(path)?,
            _ => return Err(Refusal::new("this scheme is none of Valkey").help("+sentinel or +cluster, or neither")),
        };
        if nodes.len() > MOST_NODES {
            return Err(Refusal::new("there are more than 32 servers in it").help("name a few: they know the others"));
        }
        Ok(Self { kind, tls, nodes })
    }
}

/// Without what is behind the hosts.
impl fmt::Display for ValkeyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            ValkeyKind::Single { .. } => "",
            ValkeyKind::Sentinel { .. } => "+sentinel",
            ValkeyKind::Cluster => "+cluster",
        };
        write!(f, "redis{}{kind}://", if self.tls { "s" } else { "" })?;
        for (index, (host, port)) in self.nodes.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match host.contains(':') {
                true => write!(f, "{comma}[{host}]:{port}")?,
                false => write!(f, "{comma}{host}:{port}")?,
            }
        }
        Ok(())
    }
}

/// `master`, or `master/database`.
fn sentinel(path: &str) -> Result<ValkeyKind, Refusal> {
    let (master, number) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() {
        return Err(Refusal::new("the master's name is missing").help("add it: redis+sentinel://a:26379/mymaster"));
    }
    Ok(ValkeyKind::Sentinel {
        master: master.to_owned(),
        database: database(number)?,
    })
}

fn database(path: &str) -> Result<u16, Refusal> {
    match path {
        "" => Ok(0),
        number => number
            .parse()
            .map_err(|_| Refusal::new("the path is no number of a database").help("write /0, or nothing")),
    }
}

fn node(text: &str, default_port: u16) -> Result<(String, u16), Refusal> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            let port = port.parse().map_err(|_| Refusal::new("there is no valid port in it"))?;
            (host, port)
        }
        _ => (text, default_port),
    };
    match Host::parse(host) {
        Ok(Host::Domain(name)) if !name.is_empty() => Ok((name, port)),
        Ok(Host::Ipv4(address)) => Ok((address.to_string(), port)),
        Ok(Host::Ipv6(address)) => Ok((address.to_string(), port)),
        _ => Err(Refusal::new("there is no valid host in it")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ValkeyAddress, String> {
        ValkeyAddress::from_text(text).map_err(|refusal| refusal.why)
    }

    #[test]
    fn each_kind_is_understood() {
        let address = |kind, tls, nodes: &[(&str, u16)]| ValkeyAddress {
            kind,
            tls,
            nodes: nodes.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect(),
        };
        let single = |database| ValkeyKind::Single { database };
        assert_eq!(
            read("redis://valkey"),
            Ok(address(single(0), false, &[("valkey", 6379)]))
        );
        assert_eq!(read("valkeys://[::1]:1/2"), Ok(address(single(2), true, &[("::1", 1)])));
        assert_eq!(
            read("rediss+cluster://a:1,b"),
            Ok(address(ValkeyKind::Cluster, true, &[("a", 1), ("b", 6379)]))
        );
        assert_eq!(read("valkeys://[::1]:1/2").unwrap().to_string(), "rediss://[::1]:1");
        let kind = ValkeyKind::Sentinel {
            master: "main".to_owned(),
            database: 3,
        };
        assert_eq!(
            read("redis+sentinel://a,b:1/main/3"),
            Ok(address(kind, false, &[("a", 26379), ("b", 1)]))
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in [
            "127.0.0.1:6379",
            "http://a",
            "redis+other://a",
            "redis://",
            "redis://a,b",
            "redis://a:x",
            "redis://a/x",
            "redis://a?password=x",
            "redis+cluster://a/1",
            "redis+sentinel://a",
            "redis://:secret@a",
            "redis://user:secret@a",
        ] {
            let refused = read(wrong).unwrap_err();
            assert!(!refused.contains("secret"), "{wrong}");
        }
    }
}
