//! `[server]`, as it is written.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::PublicUrl;
use crate::config::read::{At, Key};
use crate::config::section::section;
use crate::config::value::Size;

section! {
    /// `[server]`
    struct Server {
        /// Addresses for plain HTTP/1.1 and h2c: `["0.0.0.0:8080"]`; port 0 lets the system choose. Required unless `tls`.
        listen: Vec<At<SocketAddr>>,
        /// Addresses for HTTP/1.1 and HTTP/2 over TLS.
        tls: Key<Vec<At<Tls>>> = [],
        /// How clients call the gateway: `["https://video.example.edu"]`. With several, an unknown Host or port gets 421;
        /// with one, every Host is replaced by it, unless `strict_host`. Required; or `public_url`.
        public_urls: Vec<At<PublicUrl>>,
        /// The short form for one.
        public_url: PublicUrl,
        /// Does an unknown Host or port get 421 with one public URL, too?
        strict_host: bool = false,
        /// Address for /metrics, /healthz, /readyz, /denials and /why. Default: `127.0.0.1:9090`.
        admin: At<SocketAddr> = "127.0.0.1:9090",
        /// Names under which the admin listener may be asked, besides IP addresses and `localhost`: `["janua-1"]`, as a
        /// Prometheus in the same network calls it. Without port.
        admin_hosts: Vec<At<String>> = [],
        /// How many of the requests that rules refused the admin listener tells of: who, with which roles, and what would
        /// have let them pass. In memory only, at most 1000. 0: none, and no line in the log about them.
        denials: usize = 100 in 0..=1000,
        /// What is kept of the latest requests for `janua why`.
        recent: Recent = {},
        /// The socket file through which commands ask the running gateway. Default: `state/control.sock`.
        control: At<String> = "state/control.sock",
        /// Longest header of a request, request line and cookies included; more is 431. HTTP/2 counts 32 bytes for each field
        /// besides (RFC 9113 section 6.5.2). From 24KiB to 512KiB.
        max_header: Size = "32KiB" in "24KiB"..="512KiB",
        /// Networks of proxies whose `X-Forwarded-*` and `Forwarded` are believed. Default: nobody.
        trusted_proxies: Vec<At<IpNet>> = [],
        /// Worker threads. Default: 0, one per core.
        threads: usize = 0 in 0..=1024,
        /// How long running transfers may go on after SIGTERM or SIGINT.
        shutdown_grace: Duration = "30s" in "0s"..="1h",
        /// Patience with clients.
        timeouts: ClientTimeouts = {},
        /// How many clients at once.
        connections: Connections = {},
    }
}

section! {
    /// An element of `server.tls`. The files are read again when they change.
    struct Tls {
        #[required = "listen = \"0.0.0.0:8443\""]
        listen: SocketAddr,
        /// PEM file: the certificate, then its intermediates.
        #[required = "certificate = \"fullchain.pem\""]
        certificate: String,
        /// PEM file: the private key.
        #[required = "key = \"privkey.pem\""]
        key: String,
    }
}

section! {
    /// `server.timeouts`: towards clients.
    #[derive(Copy)]
    pub struct ClientTimeouts {
        /// From the first byte of a request to the end of its headers.
        header: Duration = "10s" in "100ms"..="5m",
        /// Between two requests of one connection.
        keep_alive: Duration = "75s" in "1s"..="1h",
        /// Without a byte of a request's body.
        read: Duration = "60s" in "100ms"..="1h",
        /// Without a byte taken of the answer.
        write: Duration = "60s" in "100ms"..="1h",
    }
}

section! {
    /// `server.connections`
    #[derive(Copy)]
    pub struct Connections {
        /// Altogether.
        max: usize = 20_000 in 1..=1_000_000,
        /// From one address that is none of trusted_proxies; over HTTP/2, and behind such a proxy, as many of its requests are
        /// under way, and the others wait.
        per_address: usize = 500 in 1..=1_000_000,
    }
}

section! {
    /// `server.recent`: how many requests `janua why` can tell of. In memory only.
    #[derive(Copy)]
    pub struct Recent {
        /// Refused, or failed, or answered by an upstream with 400 or more. One client has at most a quarter. 0: none.
        refusals: usize = 400 in 0..=4000,
        /// Allowed and answered well. Each costs a little.
        allowed: usize = 0 in 0..=4000,
    }
}
