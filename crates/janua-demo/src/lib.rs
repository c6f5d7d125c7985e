//! `janua demo`: everything a gateway stands between, in one process on loopback, and a page to click through.
//!
//! The gateway itself is the real one, started from a real gateway.toml; here is what it meets: a learning platform that publishes keys and grants tokens, a server with Opencast's manners that also shows the page, a
//! CAS server, and a Moodle with an app beside it. Nothing here is reachable by a gateway that was started otherwise.

mod cas;
mod cases;
mod folder;
mod kept;
mod loopback;
mod moodle;
mod opencast;
mod people;
mod platform;
mod reserved;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpListener;

use self::cas::Cas;
pub use self::folder::Folder;
use self::moodle::Moodle;
use self::opencast::Opencast;
use self::platform::Platform;
pub use self::reserved::Reserved;

/// Between two questions whether the gateway is ready.
const PAUSE: Duration = Duration::from_millis(50);
/// For an answer of the gateway's admin listener.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no demo.
#[derive(Debug, Error)]
pub enum DemoError {
    #[error("127.0.0.1:{port} cannot be listened on ({error}): choose another port, or none")]
    Port { port: u16, error: io::Error },
    #[error("the temporary folder cannot be filled: {0}")]
    Folder(io::Error),
    #[error("the platform's key cannot be used")]
    Key,
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

/// What stands around the gateway, running. Its folder goes with it.
pub struct Demo {
    folder: Folder,
    gateway: SocketAddr,
    /// The gateway's two ports, which nobody else may get before it listens.
    _ports: [Reserved; 2],
    client: reqwest::Client,
    ready: String,
}

impl Demo {
    /// Writes gateway.toml and starts what stands around on the current runtime.
    ///
    /// `port` is the gateway's; 0 lets the system choose. `private` and `jwks` are files: the platform's key (P-256, PKCS#8
    /// as PEM) and its public part as a key set. `rooms` says in which room of the gateway each reason arises.
    pub async fn start(
        port: u16,
        folder: Folder,
        private: &Path,
        jwks: &Path,
        rooms: Value,
    ) -> Result<Self, DemoError> {
        let ports = [reserved(port)?, reserved(0)?];
        let [gateway, admin] = ports.each_ref().map(Reserved::address);
        let platform = Arc::new(Platform::new(private, jwks)?);
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let metrics = format!("http://{admin}/metrics");
        let opencast = Opencast::new(Arc::clone(&platform), gateway, metrics, client.clone(), rooms);

        let keys = listener().await?;
        let jwks = format!("http://{}/.well-known/jwks.json", address(&keys)?);
        let upstream = listener().await?;
        let (signs_in, learns) = (listener().await?, listener().await?);
        let campus = format!("http://localhost:{}", address(&signs_in)?.port());
        let cas = Arc::new(Cas::new(gateway));
        let moodle = Moodle::new(format!("http://{gateway}"), Arc::clone(&cas), &campus);
        folder.write_config(&[
            ("@LISTEN@", &gateway.to_string()),
            ("@ADMIN@", &admin.to_string()),
            ("@JWKS@", &jwks),
            ("@OPENCAST@", &format!("http://{}", address(&upstream)?)),
            ("@CAS@", &format!("{campus}/cas")),
            ("@MOODLE@", &format!("http://{}", address(&learns)?)),
        ])?;
        tokio::spawn(loopback::serve(keys, platform));
        tokio::spawn(loopback::serve(upstream, Arc::new(opencast)));
        tokio::spawn(loopback::serve(signs_in, cas));
        tokio::spawn(loopback::serve(learns, Arc::new(moodle)));
        Ok(Self {
            folder,
            gateway,
            _ports: ports,
            client,
            ready: format!("http://{admin}/readyz"),
        })
    }

    /// The gateway's configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.config()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where to look.
    pub fn link(&self) -> String {
        format!("http://{}/", self.gateway)
    }

    /// Done as soon as the gateway has keys and serves; never, if it does not start.
    pub fn served(&self) -> impl Future<Output = ()> + Send + 'static {
        let (client, ready) = (self.client.clone(), self.ready.clone());
        async move {
            while get(&client, &ready).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The body of a good answer.
async fn get(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

fn reserved(port: u16) -> Result<Reserved, DemoError> {
    Reserved::new(port).map_err(|error| DemoError::Port { port, error })
}

async fn listener() -> Result<TcpListener, DemoError> {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    listener.map_err(|error| DemoError::Port { port: 0, error })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, DemoError> {
    listener
        .local_addr()
        .map_err(|error| DemoError::Port { port: 0, error })
}
