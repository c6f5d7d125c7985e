//! Single values of the network as they are written in gateway.toml: addresses, URLs, origins, methods, header names.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use url::{Host, Url};

use super::read::{FromText, Refusal};
use super::{PublicUrl, UpstreamServer};

/// One entry of `cors.origins`, as a browser serialises it; or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin(pub(super) String);

/// One entry of `frame_ancestors`, as `Content-Security-Policy` has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FrameAncestor(pub(super) String);

impl FrameAncestor {
    pub(super) fn is_none(&self) -> bool {
        self.0 == "'none'"
    }

    /// Is it a page of another origin than the framed one?
    pub(super) fn is_elsewhere(&self) -> bool {
        !self.0.starts_with('\'')
    }
}

/// `upstreams.<name>.host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HostHeader {
    Keep,
    Send(HeaderValue),
}

/// Text that may stand in a `Location` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location(pub(super) HeaderValue);

/// Is this host this very machine? By address, or by the name `localhost` (RFC 6761 section 6.3).
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl FromText for SocketAddr {
    const EXPECTED: &'static str = "an IP address and a port, such as \"0.0.0.0:8080\" or \"[::]:8080\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| {
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            if text.parse::<IpAddr>().is_ok() {
                Refusal::new("the port is missing").help("write \"127.0.0.1:8080\", or \"[::1]:8080\" for IPv6")
            } else if port.parse::<u16>().is_err() {
                Refusal::new("there is no valid port in it")
            } else if host.is_empty() || host == "*" {
                Refusal::new("the address is missing").help("every address is \"0.0.0.0\", with IPv6 too \"[::]\"")
            } else if host == "localhost" {
                Refusal::new("a name is no address").help("this machine alone is \"127.0.0.1\"")
            } else {
                Refusal::new("this is no IP address").help("names are not looked up: write the address itself")
            }
        })
    }
}

impl FromText for IpNet {
    const EXPECTED: &'static str = "a network such as \"10.0.0.0/8\", or one address";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let network: Self = text.parse().map_err(|_| Refusal::new("this is no network"))?;
        match network.addr() == network.network() {
            true => Ok(network),
            false => Err(Refusal::new("the address has bits beyond the prefix length")
                .help("write the network's first address, or /32 (IPv6: /128) for one address")),
        }
    }
}

impl FromText for PublicUrl {
    const EXPECTED: &'static str = "a scheme and a host, such as \"https://video.example.edu\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let (url, host) = base_url(text)?;
        Ok(Self {
            https: url.scheme() == "https",
            host: host.to_string(),
            port: url.port(),
        })
    }
}

impl FromText for Origin {
    const EXPECTED: &'static str = "an origin such as \"https://moodle.example.edu\", or \"*\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        match text {
            "*" => Ok(Self(text.to_owned())),
            "null" => Err(Refusal::new("`null` is the origin of every sandboxed page").help("name real origins")),
            _ if text.contains('*') => {
                Err(Refusal::new("a `*` within an origin matches nothing").help("name each origin in full"))
            }
            _ => base_url(text).map(|(url, _)| Self(url.origin().ascii_serialization())),
        }
    }
}

impl FromText for FrameAncestor {
    const EXPECTED: &'static str =
        "an origin such as \"https://moodle.example.edu\" or \"https://*.example.edu\", or \"'self'\", or \"'none'\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        match text {
            "'self'" | "'none'" => return Ok(Self(text.to_owned())),
            "self" | "none" => {
                return Err(Refusal::new("this would be the name of a host")
                    .help(format!("the word is written \"'{text}'\", with its own quotes")));
            }
            "*" => return Err(Refusal::new("every web site could frame the page").help("remove the key for that")),
            _ => {}
        }
        let any_below = text.replacen("://*.", "://", 1);
        let (url, host) = base_url(&any_below)?;
        // What a URL may hold and a policy would read as its end.
        if matches!(&host, Host::Domain(name) if name.contains(|c: char| !c.is_ascii_alphanumeric() && !"-._".contains(c)))
        {
            return Err(Refusal::new("this is no host"));
        }
        let origin = url.origin().ascii_serialization();
        match any_below == text {
            true => Ok(Self(origin)),
            false => Ok(Self(origin.replacen("://", "://*.", 1))),
        }
    }
}

impl FromText for UpstreamServer {
    const EXPECTED: &'static str = "a server such as \"http://127.0.0.1:8081\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let (url, host) = base_url(text)?;
        Ok(Self {
            https: url.scheme() == "https",
            host: match host {
                Host::Ipv6(address) => address.to_string(),
                other => other.to_string(),
            },
            port: url
                .port_or_known_default()
                .ok_or_else(|| Refusal::new("the port is missing"))?,
        })
    }
}

/// `scheme://host[:port]` and not a letter more: no path (so no slash either), no user, no query.
pub(super) fn base_url(text: &str) -> Result<(Url, Host), Refusal> {
    let after_scheme = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
        .ok_or_else(|| Refusal::new("it does not begin with https:// or http://"))?;
    match after_scheme.find(['/', '?', '#', '\\', '@']) {
        Some(slash) if slash + 1 == after_scheme.len() && after_scheme.ends_with('/') => {
            return Err(Refusal::new("there is a slash at the end").help("remove the slash"));
        }
        Some(_) => return Err(Refusal::new("there is more than a scheme, a host and a port")),
        None => {}
    }
    if after_scheme.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Refusal::new("there is white space in it"));
    }
    let url = Url::parse(text).map_err(|error| Refusal::new(error.to_string()))?;
    if url.port() == Some(0) {
        return Err(Refusal::new("there is no port 0"));
    }
    match url.host().map(|host| host.to_owned()) {
        Some(Host::Domain(name)) if name.ends_with('.') => {
            Err(Refusal::new("the host ends with a dot").help("remove the dot"))
        }
        Some(host) => Ok((url, host)),
        None => Err(Refusal::new("the host is missing")),
    }
}

impl FromText for HostHeader {
    const EXPECTED: &'static str = "\"keep\", or a host such as \"opencast.example.edu\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        if text == "keep" {
            return Ok(Self::Keep);
        }
        let refused = || Refusal::new("this is no host");
        let authority: Authority = text.parse().map_err(|_| refused())?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(refused());
        }
        HeaderValue::from_str(authority.as_str())
            .map(Self::Send)
            .map_err(|_| refused())
    }
}

impl FromText for Location {
    const EXPECTED: &'static str = "a URL, or a path such as \"/studio/\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || text.is_empty() {
            return Err(Refusal::new("a location is printable ASCII without spaces").help("percent-encode the rest"));
        }
        if !text.starts_with('/') && Url::parse(text).is_err() {
            return Err(Refusal::new("this is neither a URL nor a path from the root"));
        }
        HeaderValue::from_str(text)
            .map(Self)
            .map_err(|error| Refusal::new(error.to_string()))
    }
}

impl FromText for Method {
    const EXPECTED: &'static str = "a method such as \"GET\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        let method = Self::from_bytes(text.as_bytes()).map_err(|_| Refusal::new("this is no method"))?;
        match text.bytes().any(|byte| byte.is_ascii_lowercase()) {
            true => Err(Refusal::new("methods are written in capitals").help("they are case-sensitive")),
            false => Ok(method),
        }
    }
}

impl FromText for HeaderName {
    const EXPECTED: &'static str = "the name of a header, such as \"Authorization\"";

    fn from_text(text: &str) -> Result<Self, Refusal> {
        text.parse().map_err(|_| Refusal::new("this is no header name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_read<T: FromText>(text: &str) -> bool {
        T::from_text(text).is_ok()
    }

    #[test]
    fn public_urls_are_taken_apart() {
        let url = PublicUrl::from_text("https://Video.Example.EDU:8443").unwrap();
        assert_eq!(url.origin(), "https://video.example.edu:8443");
        let url = PublicUrl::from_text("http://[::1]:80").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.https), ("[::1]", None, false));
        for wrong in [
            "video.example.edu",
            "https://",
            "https://v/",
            "https://v/x",
            "https://v?x",
            "https://u@v",
            "https://v#",
            "ftp://v",
            "https:\\\\v",
            "https://v:0",
            "https://v:99999",
            "https://a b",
            "https://v.",
            " https://v",
            "",
        ] {
            assert!(!is_read::<PublicUrl>(wrong), "{wrong}");
        }
    }

    #[test]
    fn upstream_servers_lose_their_brackets() {
        let server = UpstreamServer::from_text("https://[::1]").unwrap();
        assert_eq!((server.host.as_str(), server.port, server.https), ("::1", 443, true));
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        assert_eq!(
            Origin::from_text("https://A.example:443").unwrap().0,
            "https://a.example"
        );
        assert!(!is_read::<Origin>("https://*.example"));
        assert!(!is_read::<Origin>("null") && !is_read::<Origin>("https://a/") && !is_read::<Origin>("a.example"));
    }

    #[test]
    fn networks_name_their_first_address() {
        assert_eq!(IpNet::from_text("10.0.0.7").unwrap().to_string(), "10.0.0.7/32");
        assert!(is_read::<IpNet>("10.0.0.0/8") && is_read::<IpNet>("fd00::/8"));
        assert!(!is_read::<IpNet>("10.0.0.1/8") && !is_read::<IpNet>("10.0.0.0/33"));
    }

    #[test]
    fn methods_addresses_and_hosts() {
        assert!(is_read::<Method>("PROPFIND") && !is_read::<Method>("get") && !is_read::<Method>("G T"));
        assert!(is_read::<SocketAddr>("127.0.0.1:0") && is_read::<SocketAddr>("[::]:80"));
        assert!(!is_read::<SocketAddr>("localhost:80") && !is_read::<SocketAddr>(":80"));
        assert!(is_read::<HostHeader>("keep") && is_read::<HostHeader>("a.example:8080"));
        assert!(!is_read::<HostHeader>("a/b") && !is_read::<HostHeader>("u@a") && !is_read::<HostHeader>(""));
        assert!(is_loopback("LocalHost") && is_loopback("[::1]") && is_loopback("127.9.9.9") && !is_loopback("a.b"));
    }
}
