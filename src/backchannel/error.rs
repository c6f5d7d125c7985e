//! What went wrong with a request of the gateway's own, and on whose side: the server's, or the proxy's before it.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use http::StatusCode;

use super::{CONNECT_LIMIT, TIME_LIMIT};
use crate::key_file::PasswordError;
use crate::text::tls;
use crate::trust::file::CaFileError;

/// A proxy that knows others than the gateway (RFC 9110 section 15.5.8).
const PROXY_PASSWORD: &str = "wants another user or password (407): `username` and `password_file` in [outgoing]";

/// Whom a request is for, and by which proxy.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) is_http: bool,
    pub(super) proxy: Option<String>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.proxy {
            Some(proxy) => write!(f, "{} (through the proxy {proxy})", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl Peer {
    fn refused_by_proxy(&self, detail: String) -> BackchannelError {
        BackchannelError::Proxy {
            proxy: self.proxy.clone().unwrap_or_default(),
            host: self.host.clone(),
            detail,
        }
    }

    /// An answer that is the proxy's own in any case.
    pub(super) fn is_asked(&self, status: StatusCode) -> Result<(), BackchannelError> {
        match status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && self.proxy.is_some() {
            true => Err(self.refused_by_proxy(PROXY_PASSWORD.to_owned())),
            false => Ok(()),
        }
    }
}

/// What went wrong, and on whose side.
#[derive(Debug, thiserror::Error)]
pub enum BackchannelError {
    #[error(transparent)]
    CaFile(#[from] CaFileError),
    #[error("the proxy's password file {0}")]
    ProxyPassword(#[from] PasswordError),
    /// Nobody behind it was asked.
    #[error("the proxy {proxy} {detail} ({host} was to be asked)")]
    Proxy {
        proxy: String,
        host: String,
        detail: String,
    },
    #[error("no client for outgoing requests can be made: {0}")]
    Setup(String),
    #[error("the name of {host} cannot be looked up: {detail}")]
    Resolve { host: String, detail: String },
    #[error("{host} refused the connection")]
    Refused { host: String },
    #[error("no TLS connection with {host}: {detail}")]
    Tls { host: String, detail: String },
    #[error("no connection with {host}: {detail}")]
    Connect { host: String, detail: String },
    #[error("{host} did not answer completely within {} s", limit.as_secs_f64())]
    Timeout { host: String, limit: Duration },
    #[error("{host} redirected ({status}), which is not followed: name the final address")]
    Redirect { host: String, status: StatusCode },
    #[error("{host} answered {status}")]
    Status { host: String, status: StatusCode },
    #[error("{host} sent more than {limit} bytes")]
    TooLarge { host: String, limit: usize },
    #[error("{host} sent a compressed answer (`Content-Encoding: {coding}`), though gzip was asked for")]
    Coding { host: String, coding: String },
    #[error("{host} sent a compressed answer that is broken")]
    BrokenCoding { host: String },
    #[error("{host} broke off or sent no valid HTTP: {detail}")]
    Broken { host: String, detail: String },
}

impl BackchannelError {
    /// Was there no connection, whatever would have been asked over it?
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. } | Self::Refused { .. } | Self::Tls { .. } | Self::Connect { .. } | Self::Proxy { .. }
        )
    }
}

/// reqwest keeps the cause in the chain below its error: this finds it and names it.
pub(super) fn explain(peer: &Peer, error: &reqwest::Error) -> BackchannelError {
    let causes = || std::iter::successors(error.source(), |cause| below(*cause));
    if let Some(detail) = at_proxy(peer, error, causes) {
        return peer.refused_by_proxy(detail);
    }
    let host = peer.to_string();
    for cause in causes() {
        if let Some(failed) = cause.downcast_ref::<rustls::Error>() {
            let detail = tls::in_words(&failed.to_string());
            return BackchannelError::Tls { host, detail };
        }
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return BackchannelError::Refused { host };
        }
    }
    let detail = tls::in_words(&innermost(error));
    if error.is_timeout() && error.is_connect() {
        let is_https = error.url().is_some_and(|url| url.scheme() == "https");
        let what = if is_https {
            "TLS (is it spoken there at all?)"
        } else {
            "TCP"
        };
        let detail = format!("{what} took more than {} s", CONNECT_LIMIT.as_secs());
        BackchannelError::Connect { host, detail }
    } else if error.is_timeout() {
        BackchannelError::Timeout {
            host,
            limit: TIME_LIMIT,
        }
    } else if error.is_dns() {
        let detail = looked_up(&detail);
        BackchannelError::Resolve { host, detail }
    } else if error.is_connect() {
        BackchannelError::Connect { host, detail }
    } else {
        let is_http = error.url().is_some_and(|url| url.scheme() == "http");
        let hint = if is_http { tls::NOT_HTTP } else { "" };
        let detail = format!("{detail}{hint}");
        BackchannelError::Broken { host, detail }
    }
}

/// What kept the proxy from asking; `None`: there is none, or it is another's fault.
fn at_proxy<'a, I>(peer: &Peer, error: &reqwest::Error, causes: impl Fn() -> I) -> Option<String>
where
    I: Iterator<Item = &'a (dyn Error + 'static)>,
{
    peer.proxy.as_ref()?;
    // The library's own word for a failed CONNECT; its type cannot be named.
    let tunnel = causes().find_map(|cause| Some(cause.to_string().strip_prefix("tunnel error: ")?.to_owned()));
    if !error.is_connect() || (tunnel.is_none() && !peer.is_http) {
        return None;
    }
    Some(match tunnel.as_deref() {
        Some("proxy authorization required") => PROXY_PASSWORD.to_owned(),
        Some("unsuccessful") => {
            "does not lead there: it refused the tunnel (CONNECT); its log says why, such as the port or the password"
                .to_owned()
        }
        Some("unexpected end of file") => "broke off before there was a tunnel".to_owned(),
        _ if error.is_timeout() => format!("gave no connection within {} s", CONNECT_LIMIT.as_secs()),
        _ => {
            let io = || causes().filter_map(|cause| cause.downcast_ref::<io::Error>());
            match io().any(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
                true => "refused the connection".to_owned(),
                false if error.is_dns() => format!("cannot be looked up: {}", looked_up(&innermost(error))),
                false => format!("cannot be connected with: {}", tls::in_words(&innermost(error))),
            }
        }
    })
}

/// What the system says of a name that it cannot look up, once.
fn looked_up(detail: &str) -> String {
    let detail = detail.trim_start_matches("failed to lookup address information: ");
    match detail {
        "Name or service not known" | "No address associated with hostname" => "there is no such name".to_owned(),
        "Temporary failure in name resolution" => "DNS gives no answer".to_owned(),
        other => other.to_owned(),
    }
}

/// The next cause. An [`io::Error`] does not count what it wraps as its source, but rustls' errors travel inside one.
fn below<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => cause.source(),
    }
}

/// The innermost cause, which says what happened: those above it repeat it, and reqwest's own line the whole URL.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let cause = std::iter::successors(error.source(), |cause| below(*cause)).last();
    cause.map_or_else(|| "unknown error".to_owned(), ToString::to_string)
}
