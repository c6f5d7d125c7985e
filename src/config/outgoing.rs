//! How the gateway reaches those whom it asks itself: whose certificates it trusts, and by which proxy.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use url::Url;

use super::read::{FromText, Refusal};

/// How one server, or those of one section, are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Further roots for https.
    pub ca_file: Option<PathBuf>,
    /// By which proxy; `None`: by none.
    pub proxy: Option<Arc<Proxy>>,
}

impl Outgoing {
    /// Past any proxy.
    pub fn direct(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, proxy: None }
    }
}

/// `[outgoing]`, with `proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// `http:` or `https:`, a host and a port.
    pub url: Url,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    pub no_proxy: Vec<NoProxy>,
}

impl Proxy {
    /// Does a request for this address go by the proxy? Never one to this very machine.
    pub fn is_for(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let is_here = bare == "localhost" || address.is_some_and(|address| address.is_loopback());
        let to = To {
            name: bare.trim_end_matches('.'),
            address,
            port: url.port_or_known_default(),
        };
        !is_here && !self.no_proxy.iter().any(|entry| entry.has(&to))
    }

    /// Host and port, for messages.
    pub fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or("-");
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{host}:{port}")
    }
}

/// Where a request goes.
struct To<'a> {
    name: &'a str,
    address: Option<IpAddr>,
    port: Option<u16>,
}

/// One entry of `no_proxy`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NoProxy {
    hosts: Hosts,
    /// This one alone.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Hosts {
    All,
    /// Only where the address itself is asked: names are not looked up.
    Network(IpNet),
    /// The name, and all below it.
    Name(String),
    /// All below the name.
    Below(String),
}

impl NoProxy {
    fn has(&self, to: &To<'_>) -> bool {
        let below = |name: &str| {
            to.name
                .strip_suffix(name)
                .is_some_and(|label| label.len() > 1 && label.ends_with('.'))
        };
        let is_host = match &self.hosts {
            Hosts::All => true,
            Hosts::Network(network) => to.address.is_some_and(|address| network.contains(&address)),
            Hosts::Name(name) => to.name == name || below(name),
            Hosts::Below(name) => below(name),
        };
        is_host && self.port.is_none_or(|port| to.port == Some(port))
    }
}

impl FromText for NoProxy {
    const EXPECTED: &'static str =
        "a name such as \"example.edu\" or \".example.edu\", an address, a network such as \"10.0.0.0/8\", or \"*\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let all_ports = |hosts| Ok(Self { hosts, port: None });
        if text == "*" {
            return all_ports(Hosts::All);
        }
        if text.contains(',') || text.contains(char::is_whitespace) {
            return Err(Refusal::new("this is more than one").help("write a list: [\"example.edu\", \"10.0.0.0/8\"]"));
        }
        if text.contains("://") {
            return Err(Refusal::new("this is a URL").help("write the host alone"));
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return all_ports(Hosts::Network(address.into()));
        }
        if text.contains('/') {
            return IpNet::from_text(text).and_then(|network| all_ports(Hosts::Network(network)));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse().map_err(|_| Refusal::new("there is no valid port in it"))?;
                (host, Some(port))
            }
            None => (text, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let hosts = Hosts::Network(address.into());
            return Ok(Self { hosts, port });
        }
        // As Go and others write it.
        let host = host.strip_prefix('*').unwrap_or(host);
        let (is_below, name) = host.strip_prefix('.').map_or((false, host), |name| (true, name));
        let name = name.trim_end_matches('.');
        let name = url::Host::parse(name).ok().map(|host| host.to_string());
        let name = name.filter(|name| !name.contains('*') && host.len() > 1);
        let name = name.ok_or_else(|| Refusal::new("this is no host"))?;
        let hosts = match is_below {
            true => Hosts::Below(name),
            false => Hosts::Name(name),
        };
        Ok(Self { hosts, port })
    }
}

/// `outgoing.proxy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProxyUrl(pub(super) Url);

impl FromText for ProxyUrl {
    const EXPECTED: &'static str = "a scheme, a host and a port, such as \"http://proxy.example.edu:3128\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text.starts_with("socks") {
            return Err(Refusal::new("SOCKS is not spoken").help("name the proxy's address for HTTP"));
        }
        if text.contains('@') {
            return Err(Refusal::new("user and password do not stand here")
                .help("they are `username` and `password_file` beside it"));
        }
        // A slash at its end is how such addresses stand in environment variables.
        let text = text.strip_suffix('/').unwrap_or(text);
        let (url, _) = super::net::base_url(text)?;
        Ok(Self(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(no_proxy: &str, url: &str) -> bool {
        let proxy = Proxy {
            url: Url::parse("http://proxy.test:3128").unwrap(),
            username: None,
            password_file: None,
            no_proxy: no_proxy
                .split_whitespace()
                .map(|entry| NoProxy::from_text(entry).unwrap_or_else(|_| panic!("{entry}")))
                .collect(),
        };
        !proxy.is_for(&Url::parse(url).unwrap())
    }

    /// What Go's httpproxy and curl agree on; where they do not, it is Go's: a leading dot leaves the name itself out.
    #[test]
    fn no_proxy_is_read_as_elsewhere() {
        for (no_proxy, url, expected) in [
            ("", "https://keys.example.edu/", false),
            ("*", "https://keys.example.edu/", true),
            ("example.edu", "https://example.edu/", true),
            ("example.edu", "https://keys.EXAMPLE.edu/", true),
            ("Example.edu", "https://a.b.example.edu./", true),
            ("example.edu", "https://badexample.edu/", false),
            ("example.edu", "https://example.edu.evil.test/", false),
            (".example.edu", "https://keys.example.edu/", true),
            (".example.edu", "https://example.edu/", false),
            ("*.example.edu", "https://keys.example.edu/", true),
            ("müller.test", "https://xn--mller-kva.test/", true),
            ("example.edu:8443", "https://example.edu:8443/", true),
            ("example.edu:443", "https://example.edu/", true),
            ("example.edu:8443", "https://example.edu/", false),
            ("10.0.0.0/8", "http://10.1.2.3/", true),
            ("10.0.0.0/8", "http://11.1.2.3/", false),
            ("10.0.0.0/8", "http://ten.example.edu/", false),
            ("192.0.2.7", "http://192.0.2.7:8080/", true),
            ("192.0.2.7:81", "http://192.0.2.7:8080/", false),
            ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/", true),
            ("2001:db8::/32", "http://[2001:db8::1]/", true),
            ("[2001:db8::1]", "http://[2001:db8::1]:8080/", true),
            ("other.test keys.example.edu", "https://keys.example.edu/", true),
        ] {
            assert_eq!(past(no_proxy, url), expected, "{no_proxy} {url}");
        }
    }

    #[test]
    fn this_machine_is_never_asked_by_a_proxy() {
        for here in [
            "127.0.0.1",
            "127.8.8.8",
            "localhost",
            "LOCALHOST",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
        ] {
            assert!(past("", &format!("http://{here}:8080/")), "{here}");
        }
        assert!(!past("", "http://localhost.example.edu/"));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for wrong in [
            "",
            ".",
            "*.",
            "a.test,b.test",
            "a b",
            "https://a.test",
            "a.test:x",
            "10.1.2.3/8",
            "a.*.test",
        ] {
            assert!(NoProxy::from_text(wrong).is_err(), "{wrong}");
        }
        for wrong in [
            "proxy.test:3128",
            "socks5://a.test:1080",
            "http://u:p@a.test:3128",
            "http://a.test/x",
        ] {
            assert!(ProxyUrl::from_text(wrong).is_err(), "{wrong}");
        }
        assert!(ProxyUrl::from_text("http://proxy.test:3128/").is_ok());
        assert_eq!(
            ProxyUrl::from_text("http://proxy.test")
                .unwrap()
                .0
                .port_or_known_default(),
            Some(80)
        );
    }
}
