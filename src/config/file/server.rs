//! `[server]` and `[log]`, as they are written.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::read::At;
use crate::config::section::section;
use crate::config::value::Size;
use crate::config::{LogFormat, LogLevel, PublicUrl};

section! {
    /// `[server]`
    struct Server {
        /// Addresses for plain HTTP/1.1 and h2c: `["0.0.0.0:8080"]`; port 0 lets the system choose. Required unless `tls`.
        listen: Vec<At<SocketAddr>>,
        /// Addresses for HTTP/1.1 and HTTP/2 over TLS. Default: none.
        tls: Vec<At<Tls>>,
        /// How clients call the gateway: `["https://video.example.edu"]`. With several, an unknown Host or port gets 421;
        /// with one, every Host is replaced by it, unless `strict_host`. Required; or `public_url`.
        public_urls: Vec<At<PublicUrl>>,
        /// The short form for one.
        public_url: PublicUrl,
        /// Does an unknown Host or port get 421 with one public URL, too? Default: false.
        strict_host: bool,
        /// Address for /metrics, /healthz, /readyz and /denials. Default: `127.0.0.1:9090`.
        admin: SocketAddr,
        /// Names under which the admin listener may be asked, besides IP addresses and `localhost`: `["janua-1"]`, as a
        /// Prometheus in the same network calls it. Without port. Default: none.
        admin_hosts: Vec<At<String>>,
        /// How many of the requests that rules refused the admin listener tells of: who, with which roles, and what would
        /// have let them pass. In memory only, at most 1000. 0: none, and no line in the log about them. Default: 100.
        denials: u64,
        /// The socket file through which commands ask the running gateway. Default: `state/control.sock`.
        control: String,
        /// Longest header of a request, request line and cookies included; more is 431. HTTP/2 counts 32 bytes for each field
        /// besides (RFC 9113 section 6.5.2). From 24KiB to 512KiB. Default: 32KiB.
        max_header: Size,
        /// Networks of proxies whose `X-Forwarded-*` and `Forwarded` are believed. Default: nobody.
        trusted_proxies: Vec<At<IpNet>>,
        /// Worker threads. Default: 0, one per core.
        threads: u64,
        /// How long running transfers may go on after SIGTERM or SIGINT. Default: 30s.
        shutdown_grace: Duration,
        /// Patience with clients.
        timeouts: ClientTimeouts,
        /// How many clients at once.
        connections: Connections,
    }
}

section! {
    /// An element of `server.tls`. The files are read again when they change.
    struct Tls {
        /// Required.
        listen: SocketAddr,
        /// PEM file: the certificate, then its intermediates. Required.
        certificate: String,
        /// PEM file: the private key. Required.
        key: String,
    }
}

section! {
    /// `server.timeouts`: towards clients.
    struct ClientTimeouts {
        /// From the first byte of a request to the end of its headers. Default: 10s.
        header: Duration,
        /// Between two requests of one connection. Default: 75s.
        keep_alive: Duration,
        /// Without a byte of a request's body. Default: 60s.
        read: Duration,
        /// Without a byte taken of the answer. Default: 60s.
        write: Duration,
    }
}

section! {
    /// `server.connections`
    struct Connections {
        /// Altogether. Default: 20000.
        max: u64,
        /// From one address that is none of trusted_proxies; over HTTP/2, and behind such a proxy, as many of its requests are
        /// under way, and the others wait. Default: 500.
        per_address: u64,
    }
}

section! {
    /// `[log]`
    struct Log {
        /// error, warn, info, debug or trace. Default: info.
        level: LogLevel,
        /// text or json. Default: text.
        format: LogFormat,
        /// Default: stderr.
        file: String,
    }
}
