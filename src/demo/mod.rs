//! `janua demo`: everything a gateway stands between, in one process on loopback, and a page to click through.
//!
//! The gateway itself is the real one, started from a real gateway.toml by [`crate::server`]; here is what it meets: a
//! learning platform that publishes keys and grants tokens, a server with Opencast's manners that also shows the page, a
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
pub mod reserved;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use url::Url;

use self::cas::Cas;
use self::folder::Folder;
use self::moodle::Moodle;
use self::opencast::Opencast;
use self::platform::Platform;
use self::reserved::Reserved;
use crate::backchannel::{Backchannel, BackchannelError};
use crate::cli::keys::KeysError;

/// Between two questions whether the gateway is ready.
const PAUSE: Duration = Duration::from_millis(50);
/// More than `/readyz` ever says, in bytes.
const READINESS: usize = 64 * 1024;

/// Why there is no demo.
#[derive(Debug, Error)]
pub enum DemoError {
    #[error("127.0.0.1:{port} cannot be listened on ({error}): choose another port, or none")]
    Port { port: u16, error: io::Error },
    #[error("the temporary folder cannot be filled: {0}")]
    Folder(io::Error),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error("the platform's key cannot be used")]
    Key,
    #[error(transparent)]
    Backchannel(#[from] BackchannelError),
    #[error("{0} is no address")]
    Address(#[from] url::ParseError),
}

/// What stands around the gateway, running. Its folder goes with it.
pub struct Demo {
    folder: Folder,
    gateway: SocketAddr,
    /// The gateway's two ports, which nobody else may get before it listens.
    _ports: [Reserved; 2],
    backchannel: Backchannel,
    ready: Url,
}

impl Demo {
    /// Makes keys, folder and gateway.toml, and starts what stands around on the current runtime.
    /// `port` is the gateway's; 0 lets the system choose.
    pub async fn start(port: u16) -> Result<Self, DemoError> {
        let ports = [reserved(port)?, reserved(0)?];
        let [gateway, admin] = ports.each_ref().map(Reserved::address);
        let folder = Folder::new()?;
        let platform = Arc::new(Platform::new(folder.path())?);
        let backchannel = Backchannel::new(None)?;
        let metrics = Url::parse(&format!("http://{admin}/metrics"))?;
        let opencast = Opencast::new(Arc::clone(&platform), gateway, metrics, backchannel.clone());

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
            backchannel,
            ready: Url::parse(&format!("http://{admin}/readyz"))?,
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
        let (backchannel, ready) = (self.backchannel.clone(), self.ready.clone());
        async move {
            while backchannel.get(&ready, READINESS).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
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
