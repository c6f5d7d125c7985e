//! How clients call the gateway, and which of its public URLs a request is for.

use super::Server;

impl Server {
    /// The public URL that a request's host (lower case, no port) stands for: its own, or the only one there is.
    pub fn public_url(&self, host: &str) -> Option<&PublicUrl> {
        let own = self.public_urls.iter().find(|url| url.host == host);
        own.or(match self.public_urls.as_slice() {
            [only] => Some(only),
            _ => None,
        })
    }
}

impl Server {
    /// The public URL that a request with this Host (lower case, no port) and port is for. `None`: it is for another
    /// server, and `strict_host` or a second public URL says that this one does not answer in its place.
    pub fn asked_url(&self, host: &str, port: Option<u16>) -> Option<&PublicUrl> {
        let own = self.public_urls.iter().find(|url| url.host == host && url.is_at(port));
        own.or(match self.public_urls.as_slice() {
            [only] if !self.strict_host => Some(only),
            _ => None,
        })
    }
}

/// `https://video.example.edu[:port]`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    pub https: bool,
    /// Lower case, no port; an IPv6 address keeps its brackets.
    pub host: String,
    /// As written; `None` means the scheme's default.
    pub port: Option<u16>,
}

impl PublicUrl {
    /// `video.example.edu[:port]`: what an upstream is told as the host.
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Is this how [`Self::authority`] is written?
    pub fn is_written(&self, authority: &str) -> bool {
        let port = authority.strip_prefix(self.host.as_str());
        port.is_some_and(|port| match (port.strip_prefix(':'), self.port) {
            (Some(written), Some(port)) => written.parse() == Ok(port),
            (None, None) => port.is_empty(),
            _ => false,
        })
    }

    /// Does a client that says this port, or none, mean this URL?
    fn is_at(&self, port: Option<u16>) -> bool {
        let default = if self.https { 443 } else { 80 };
        port.is_none_or(|port| port == self.port.unwrap_or(default))
    }

    /// The origin as a browser serialises it (RFC 6454 section 6.2).
    pub fn origin(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        match self.port {
            Some(port) => format!("{scheme}://{}:{port}", self.host),
            None => format!("{scheme}://{}", self.host),
        }
    }
}
