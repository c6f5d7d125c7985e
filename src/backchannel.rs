//! Every request that the gateway makes itself: one place for its time and size limits and its trust in certificates.
//!
//! What is fetched, how often, and what the answer means is decided by the caller.

mod coding;
mod error;
mod proxy;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use reqwest::{Client, ClientBuilder, redirect};
use url::Url;

use self::coding::CodingError;
pub use self::error::BackchannelError;
use self::error::{Peer, explain, innermost};
pub use self::proxy::Files;
use crate::config::{Outgoing, Proxy};
use crate::trust;

/// From the first byte of the name look-up to the last byte of the body.
const TIME_LIMIT: Duration = Duration::from_secs(5);

/// Of that, for TCP and TLS: a server that speaks no TLS may wait for more of what it takes for a request.
const CONNECT_LIMIT: Duration = Duration::from_secs(4);

const GZIP: HeaderValue = HeaderValue::from_static(coding::ACCEPTED);

/// A client for one peer, or for all peers that share the same further roots. Clones share its connections.
#[derive(Clone)]
pub struct Backchannel {
    client: Client,
    proxy: Option<Arc<Proxy>>,
    time_limit: Duration,
}

/// A good answer: a 2xx status and a body within the limit.
pub struct Fetched {
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Whatever was answered.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The head of an answer whose body is still to come.
pub struct Opened {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub incoming: Incoming,
}

/// A body on its way.
pub struct Incoming {
    response: reqwest::Response,
    peer: Peer,
}

impl Incoming {
    /// The next piece; `None` after the last. The time limit is the caller's.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BackchannelError> {
        self.response.chunk().await.map_err(|error| explain(&self.peer, &error))
    }
}

impl Backchannel {
    /// A client that trusts the system's roots and, besides, the certificates of a PEM file: as roots, and each of them
    /// where a server shows it itself.
    /// Redirects are not followed, and of proxies only the configured one is used: the configured address is the peer.
    pub fn new(outgoing: &Outgoing) -> Result<Self, BackchannelError> {
        Self::build(outgoing, &[b"h2", b"http/1.1"], base)
    }

    /// The same for many small questions on behalf of clients: over HTTP/1.1, where `Host` may be another name than the
    /// server's, as it may for what is proxied.
    pub fn for_questions(outgoing: &Outgoing) -> Result<Self, BackchannelError> {
        let base = || base().http1_only().pool_max_idle_per_host(16);
        Self::build(outgoing, &[b"http/1.1"], base)
    }

    fn build(
        outgoing: &Outgoing,
        protocols: &[&[u8]],
        base: impl Fn() -> ClientBuilder,
    ) -> Result<Self, BackchannelError> {
        let by_proxy = outgoing.proxy.as_ref().map(proxy::of).transpose()?;
        let base = || match &by_proxy {
            Some(proxy) => base().proxy(proxy.clone()),
            None => base(),
        };
        let client = match &outgoing.ca_file {
            Some(path) => {
                let certificates = trust::file::read(path)?.certificates;
                let tls = trust::config(certificates);
                let mut tls = tls.map_err(|error| BackchannelError::Setup(error.to_string()))?;
                tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
                base().tls_backend_preconfigured(tls).build()
            }
            // A system without roots can still fetch over http from loopback; https then fails with "unknown issuer".
            None => base().build().or_else(|error| {
                tracing::warn!(error = %innermost(&error), "no system roots: outgoing https will fail");
                base().tls_certs_only([]).build()
            }),
        };
        Ok(Self {
            client: client.map_err(|error| BackchannelError::Setup(innermost(&error)))?,
            proxy: outgoing.proxy.clone(),
            time_limit: TIME_LIMIT,
        })
    }

    /// The same with another time limit for each question. To connect it takes four seconds at most, as before.
    pub fn within(&self, time_limit: Duration) -> Self {
        Self {
            client: self.client.clone(),
            proxy: self.proxy.clone(),
            time_limit,
        }
    }

    /// GET: the headers and body of a 2xx answer of at most `max_bytes`, within five seconds in all.
    pub async fn get(&self, url: &Url, max_bytes: usize) -> Result<Fetched, BackchannelError> {
        let peer = self.peer(url);
        match tokio::time::timeout(self.time_limit, self.get_untimed(url, &peer, max_bytes)).await {
            Ok(result) => result,
            Err(_) => Err(BackchannelError::Timeout {
                host: peer.to_string(),
                limit: self.time_limit,
            }),
        }
    }

    /// Status and headers of whatever is answered; its body is left unread, redirects are not followed. The time limit
    /// is the caller's.
    pub async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
    ) -> Result<(StatusCode, HeaderMap), BackchannelError> {
        let request = self.client.request(method, url.clone()).headers(headers).send();
        let peer = self.peer(url);
        let mut response = request.await.map_err(|error| explain(&peer, &error))?;
        peer.is_asked(response.status())?;
        Ok((response.status(), std::mem::take(response.headers_mut())))
    }

    /// Sends a body, maybe an empty one, and reads whatever is answered, with at most `max_bytes` of a body; redirects are
    /// not followed. Within five seconds in all, or what [`within`](Self::within) says.
    pub async fn exchange(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        body: Bytes,
        max_bytes: usize,
    ) -> Result<Reply, BackchannelError> {
        let peer = self.peer(url);
        let exchange = async {
            headers.entry(ACCEPT_ENCODING).or_insert(GZIP);
            let request = self.client.request(method, url.clone()).headers(headers).body(body);
            let mut response = request.send().await.map_err(|error| explain(&peer, &error))?;
            peer.is_asked(response.status())?;
            let body = read(&mut response, &peer, max_bytes).await?;
            Ok(Reply {
                status: response.status(),
                headers: std::mem::take(response.headers_mut()),
                body,
            })
        };
        let limit = self.time_limit;
        let timeout = tokio::time::timeout(limit, exchange).await;
        timeout.unwrap_or_else(|_| {
            Err(BackchannelError::Timeout {
                host: peer.to_string(),
                limit,
            })
        })
    }

    /// Sends a body, which may still be coming, and waits for the head of the answer for at most `limit`. Redirects are not
    /// followed; neither body has a bound here.
    pub async fn open(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: reqwest::Body,
        limit: Duration,
    ) -> Result<Opened, BackchannelError> {
        let peer = self.peer(url);
        let request = self.client.request(method, url.clone()).headers(headers).body(body);
        let response = tokio::time::timeout(limit, request.send()).await;
        let timeout = |_| BackchannelError::Timeout {
            host: peer.to_string(),
            limit,
        };
        let response = response.map_err(timeout)?.map_err(|error| explain(&peer, &error));
        let mut response = response?;
        peer.is_asked(response.status())?;
        Ok(Opened {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            incoming: Incoming { response, peer },
        })
    }

    fn peer(&self, url: &Url) -> Peer {
        let proxy = self.proxy.as_ref().filter(|proxy| proxy.is_for(url));
        Peer {
            host: authority(url),
            is_http: url.scheme() == "http",
            proxy: proxy.map(|proxy| proxy.name()),
        }
    }

    async fn get_untimed(&self, url: &Url, peer: &Peer, max_bytes: usize) -> Result<Fetched, BackchannelError> {
        let too_large = || BackchannelError::TooLarge {
            host: peer.to_string(),
            limit: max_bytes,
        };
        let request = self.client.get(url.clone()).header(ACCEPT_ENCODING, GZIP).send();
        let mut response = request.await.map_err(|error| explain(peer, &error))?;
        let (status, host_name) = (response.status(), peer.to_string());
        peer.is_asked(status)?;
        if status.is_redirection() {
            return Err(BackchannelError::Redirect {
                host: host_name,
                status,
            });
        }
        if !status.is_success() {
            return Err(BackchannelError::Status {
                host: host_name,
                status,
            });
        }
        if response
            .content_length()
            .is_some_and(|length| length > max_bytes as u64)
        {
            return Err(too_large());
        }
        let body = read(&mut response, peer, max_bytes).await?;
        let headers = std::mem::take(response.headers_mut());
        Ok(Fetched { headers, body })
    }
}

/// The rest of an answer, decompressed if it has to be; neither form is longer than `max_bytes`.
async fn read(response: &mut reqwest::Response, peer: &Peer, max_bytes: usize) -> Result<Bytes, BackchannelError> {
    let too_large = || BackchannelError::TooLarge {
        host: peer.to_string(),
        limit: max_bytes,
    };
    let mut body = BytesMut::new();
    let broken = |error: reqwest::Error| explain(peer, &error);
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    coding::decoded(response.headers_mut(), body.freeze(), max_bytes).map_err(|error| match error {
        CodingError::TooLarge => too_large(),
        CodingError::Broken => BackchannelError::BrokenCoding { host: peer.to_string() },
        CodingError::Unknown(coding) => BackchannelError::Coding {
            host: peer.to_string(),
            coding,
        },
    })
}

fn base() -> ClientBuilder {
    Client::builder()
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_LIMIT)
        .pool_max_idle_per_host(1)
        .user_agent(concat!("janua/", env!("CARGO_PKG_VERSION")))
}

/// Host and port for messages. Path and query stay out of them.
pub fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or("-");
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use janua_demo::Reserved;

    /// Answers every connection on a port of its own with `answer`, then closes it; `None`: never answers.
    async fn peer(answer: Option<&'static [u8]>) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?secret=1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = [0; 2048];
                let length = socket.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
                let compressed = answer.is_some_and(|answer| answer.windows(5).any(|part| part == b": gzi"));
                assert!(
                    !compressed || request.contains("accept-encoding: gzip\r\n"),
                    "{request}"
                );
                match answer {
                    Some(answer) => write(&mut socket, answer).await,
                    None => std::future::pending().await,
                }
            }
        });
        url.parse().unwrap()
    }

    async fn write(socket: &mut (impl AsyncWrite + Unpin), answer: &[u8]) {
        socket.write_all(answer).await.unwrap();
        socket.shutdown().await.ok();
    }

    async fn error(url: &Url) -> BackchannelError {
        let mut backchannel = Backchannel::new(&Outgoing::default()).unwrap();
        backchannel.time_limit = Duration::from_millis(500);
        let error = backchannel.get(url, 10).await.err().unwrap();
        assert!(!error.to_string().contains("secret"), "{error}");
        error
    }

    #[tokio::test]
    async fn a_good_answer_has_headers_and_body() {
        let url = peer(Some(
            b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nhi",
        ))
        .await;
        let fetched = Backchannel::new(&Outgoing::default())
            .unwrap()
            .get(&url, 2)
            .await
            .unwrap();
        assert_eq!(fetched.body, "hi");
        assert_eq!(fetched.headers["cache-control"], "max-age=60");
    }

    #[tokio::test]
    async fn compressed_answers_are_asked_for_and_read() {
        // "hi", by gzip.
        let gzip: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 22\r\n\r\n\
            \x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\xc8\x04\x00\xac\x2a\x93\xd8\x02\x00\x00\x00";
        let backchannel = Backchannel::new(&Outgoing::default()).unwrap();
        let url = peer(Some(gzip)).await;
        let fetched = backchannel.get(&url, 22).await.unwrap();
        assert_eq!((&*fetched.body, fetched.headers.len()), (&b"hi"[..], 0));
        let exchanged = backchannel.exchange(Method::POST, &url, HeaderMap::new(), Bytes::new(), 22);
        assert_eq!(exchanged.await.unwrap().body, "hi");
        let brotli = b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 2\r\n\r\nhi";
        let error = error(&peer(Some(brotli)).await).await;
        assert!(error.to_string().contains("`Content-Encoding: br`"), "{error}");
    }

    #[tokio::test]
    async fn what_the_other_side_did_is_named() {
        use BackchannelError as E;
        let of = |answer: &'static [u8]| async move { error(&peer(Some(answer)).await).await };
        assert!(
            matches!(of(b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").await, E::Status { status, .. } if status == 404)
        );
        assert!(matches!(
            of(b"HTTP/1.1 302 Go\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n").await,
            E::Redirect { .. }
        ));
        assert!(matches!(
            of(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n01234567890").await,
            E::TooLarge { limit: 10, .. }
        ));
        assert!(matches!(
            of(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n").await,
            E::TooLarge { .. }
        ));
        assert!(matches!(
            of(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi").await,
            E::Broken { .. }
        ));
        assert!(matches!(of(b"SSH-2.0-no\r\n\r\n").await, E::Broken { .. }));
        assert!(matches!(error(&peer(None).await).await, E::Timeout { .. }));
        let port = Reserved::new(0).unwrap();
        let closed = port.address();
        assert!(matches!(
            error(&format!("http://{closed}/").parse().unwrap()).await,
            E::Refused { .. }
        ));
    }

    #[tokio::test]
    async fn an_answer_that_is_asked_for_is_told_whatever_it_is() {
        let url = peer(Some(b"HTTP/1.1 302 Go\r\nlocation: /x\r\ncontent-length: 9\r\n\r\n")).await;
        let asked = Backchannel::new(&Outgoing::default()).unwrap();
        let (status, headers) = asked.ask(Method::GET, &url, HeaderMap::new()).await.unwrap();
        assert_eq!(
            (status, &headers["location"]),
            (StatusCode::FOUND, &"/x".parse().unwrap())
        );
    }

    #[tokio::test]
    async fn https_needs_a_known_root_and_ca_file_adds_one() {
        // As `openssl req -x509` makes it: a CA, and the server's own.
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let Ok(mut socket) = acceptor.accept(socket).await else {
                    continue;
                };
                let mut request = [0; 2048];
                assert_ne!(socket.read(&mut request).await.unwrap(), 0);
                write(&mut socket, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").await;
            }
        });
        let url: Url = format!("https://localhost:{port}/").parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, format!("\u{feff}{}", certificate.pem())).unwrap();
        let trusting = Backchannel::new(&Outgoing::direct(Some(ca_file.clone()))).unwrap();
        assert_eq!(trusting.get(&url, 10).await.unwrap().body, "hi");
        let error = Backchannel::new(&Outgoing::default())
            .unwrap()
            .get(&url, 10)
            .await
            .err()
            .unwrap();
        assert!(matches!(error, BackchannelError::Tls { .. }), "{error}");
    }

    #[test]
    fn an_unusable_ca_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refused = || {
            Backchannel::new(&Outgoing::direct(Some(path.clone())))
                .err()
                .map(|error| error.to_string())
        };
        assert!(refused().unwrap().contains("cannot be read"));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(refused().unwrap().contains("holds no certificate"));
    }
}
