//! A forward proxy as squid is configured by default: tunnels to port 443 alone, absolute targets for the rest, names that it
//! looks up itself, Basic where it knows users. It writes down what goes by.
//!
//! It knows names that nobody else does: what asks for them without it comes nowhere. Of a tunnel it is both ends: it has
//! the certificate of each name, and gives the plain requests to the double that the name stands for.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::secrets::{self, Kind};
use super::wait::DEADLINE;

/// What its users are registered with.
pub const USER: &str = "janua";
pub const PASSWORD: &str = "password-of-the:proxy for tests";

/// Requests that went by: method and target, as they were written.
type Passed = Vec<(String, String)>;

struct Shared {
    /// Doubles that speak plain HTTP, by name.
    names: HashMap<String, SocketAddr>,
    knows_users: bool,
    acceptor: TlsAcceptor,
    passed: Mutex<Passed>,
    refused: Mutex<Passed>,
}

/// Ends on drop, with all its connections.
pub struct ForwardProxy {
    pub address: SocketAddr,
    /// PEM: of the names in tunnels.
    pub certificate: String,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl ForwardProxy {
    pub fn start(names: &[(&str, SocketAddr)]) -> Self {
        Self::started(names, false)
    }

    /// One that wants to know who asks: [`USER`] and [`PASSWORD`].
    pub fn with_users(names: &[(&str, SocketAddr)]) -> Self {
        secrets::register(Kind::Token, PASSWORD);
        secrets::register(Kind::Token, &STANDARD.encode(format!("{USER}:{PASSWORD}")));
        Self::started(names, true)
    }

    fn started(names: &[(&str, SocketAddr)], knows_users: bool) -> Self {
        let own: Vec<String> = names.iter().map(|(name, _)| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(own).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let shared = Arc::new(Shared {
            names: names
                .iter()
                .map(|(name, address)| ((*name).to_owned(), *address))
                .collect(),
            knows_users,
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            passed: Mutex::default(),
            refused: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                // A client or server that breaks off is no matter of the test's.
                tokio::spawn(async move { shared.serve(client).await.unwrap_or_default() });
            }
        });
        Self {
            address,
            certificate: made.cert.pem(),
            shared,
            runtime: Some(runtime),
        }
    }

    /// For `proxy` in `[outgoing]`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn passed(&self) -> Passed {
        self.shared.passed.lock().unwrap().clone()
    }

    /// What it did not ask anybody.
    pub fn refused(&self) -> Passed {
        self.shared.refused.lock().unwrap().clone()
    }

    /// Nobody listens at its address any more when this returns.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(DEADLINE);
        }
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let head = head(&mut client).await?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(": ")).collect();
        let asked = (method.to_owned(), target.to_owned());
        if self.knows_users {
            let wanted = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
            let is_user =
                |(name, value): &(&str, &str)| name.eq_ignore_ascii_case("proxy-authorization") && *value == wanted;
            if !fields.iter().any(is_user) {
                return self
                    .refuse(
                        client,
                        asked,
                        "407 Proxy Authentication Required",
                        "ERR_CACHE_ACCESS_DENIED",
                    )
                    .await;
            }
        }
        if method == "CONNECT" {
            let Some((name, "443")) = target.rsplit_once(':') else {
                return self.refuse(client, asked, "403 Forbidden", "ERR_ACCESS_DENIED").await;
            };
            let Some(address) = self.names.get(name) else {
                return self
                    .refuse(client, asked, "503 Service Unavailable", "ERR_DNS_FAIL")
                    .await;
            };
            self.passed.lock().unwrap().push(asked);
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            let mut inside = self.acceptor.accept(client).await?;
            let mut server = TcpStream::connect(address).await?;
            copy_bidirectional(&mut inside, &mut server).await?;
            return Ok(());
        }
        let Some((authority, path)) = target
            .strip_prefix("http://")
            .and_then(|rest| rest.split_at_checked(rest.find('/')?))
        else {
            return self.refuse(client, asked, "400 Bad Request", "ERR_INVALID_URL").await;
        };
        let Some(address) = self.names.get(authority) else {
            return self
                .refuse(client, asked, "503 Service Unavailable", "ERR_DNS_FAIL")
                .await;
        };
        // RFC 9112 section 3.2.2: whatever Host says, it is the target's.
        let mut sent =
            format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nVia: 1.1 squid\r\nConnection: close\r\n");
        let mut length = 0;
        for (name, value) in &fields {
            match name.to_ascii_lowercase().as_str() {
                "host" | "connection" | "proxy-authorization" | "proxy-connection" => continue,
                "content-length" => length = value.parse().unwrap_or(0),
                _ => {}
            }
            sent += &format!("{name}: {value}\r\n");
        }
        self.passed.lock().unwrap().push(asked);
        let mut body = vec![0; length];
        client.read_exact(&mut body).await?;
        let mut server = TcpStream::connect(address).await?;
        server.write_all(format!("{sent}\r\n").as_bytes()).await?;
        server.write_all(&body).await?;
        copy_bidirectional(&mut server, &mut client).await?;
        Ok(())
    }

    /// With a page of its own, and no connection after it.
    async fn refuse(
        &self,
        mut client: TcpStream,
        asked: (String, String),
        status: &str,
        error: &str,
    ) -> io::Result<()> {
        self.refused.lock().unwrap().push(asked);
        let page = format!("<html><title>ERROR: {error}</title></html>");
        let challenge = match status.starts_with("407") {
            true => "Proxy-Authenticate: Basic realm=\"squid\"\r\n",
            false => "",
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nServer: squid\r\nX-Squid-Error: {error} 0\r\nContent-Type: text/html\r\n{challenge}\
             Content-Length: {}\r\nConnection: close\r\n\r\n{page}",
            page.len()
        );
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await
    }
}

/// All up to the empty line.
async fn head(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(client.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
