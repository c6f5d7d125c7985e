//! What the modules may see of a request.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use http::Method;

/// A request line and host, taken apart and found sound. Headers are read where they lie. The default is that of a header
/// that is no request: no route has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    /// Host and port as the client wrote them: what an upstream is told.
    pub authority: String,
    /// Lower case, without port: what routes are matched by.
    pub host: String,
    /// Not canonical yet.
    pub raw_path: String,
    /// Without `?`; tokens and all. Never empty.
    pub query: Option<String>,
}

impl Request {
    /// Was the header one of a request? Its path begins with a slash.
    pub fn is_known(&self) -> bool {
        !self.raw_path.is_empty()
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub address: IpAddr,
    /// The other end of this connection: the client itself, or the nearest proxy.
    pub peer: IpAddr,
    /// Did the client speak TLS, with us or with a trusted proxy in front?
    pub https: bool,
    /// What trusted proxies wrote before the peer of this connection, the client first.
    pub hops: Vec<IpAddr>,
}

impl Default for Client {
    /// Nobody, until the connection has been looked at.
    fn default() -> Self {
        let nobody = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        Self {
            address: nobody,
            peer: nobody,
            https: false,
            hops: Vec::new(),
        }
    }
}

impl Client {
    /// `X-Forwarded-For` as an upstream may believe it.
    pub fn chain(&self) -> String {
        let mut chain = String::with_capacity(16 * (self.hops.len() + 1));
        for hop in self.hops.iter().chain([&self.peer]) {
            chain.push_str(if chain.is_empty() { "" } else { ", " });
            // Writing to a String does not fail.
            write!(chain, "{hop}").unwrap_or_default();
        }
        chain
    }
}

/// The request id: to the client, to the upstream, in the log.
pub const REQUEST_ID: http::HeaderName = http::HeaderName::from_static("x-request-id");
