//! `janua demo`: everything a gateway stands between, in one process on loopback, and a page to click through.
//!
//! The gateway itself is the real one, started from a real gateway.toml; here is what it meets: a learning platform that
//! publishes keys and grants tokens, a server with Opencast's manners that also shows the page, a CAS server, an OpenID
//! provider, and a Moodle with apps beside it. Nothing here is reachable by a gateway that was started otherwise.

mod cas;
mod cases;
mod folder;
mod form;
mod kept;
mod loopback;
mod moodle;
mod opencast;
mod people;
mod platform;
mod provider;
mod reserved;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpListener;

use self::cas::Cas;
pub use self::folder::Folder;
use self::moodle::Moodle;
use self::opencast::Opencast;
use self::platform::Platform;
use self::provider::Provider;
pub use self::reserved::Reserved;

/// Between two questions whether the gateway is ready.
const PAUSE: Duration = Duration::from_millis(50);
/// For an answer of the gateway's admin listener.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no demo.
#[derive(Debug, Error)]
pub enum DemoError {
    #[error(
        "{0} is open to other machines, and the demo signs in whoever says to be a student: choose 127.0.0.1 or [::1]; \
         from elsewhere, both ports that it names can be forwarded (ssh -L)"
    )]
    Open(SocketAddr),
    #[error("{address} cannot be listened on ({error}): {}", remedy(error))]
    Listen { address: SocketAddr, error: io::Error },
    #[error("the temporary folder cannot be filled: {0}")]
    Folder(io::Error),
    #[error("the platform's key cannot be used")]
    Key,
    #[error(transparent)]
    Client(#[from] reqwest::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "choose another port, or none",
        io::ErrorKind::PermissionDenied => "choose a port above 1023",
        // No IPv6, or an address of loopback that was never given to this machine.
        _ => "choose 127.0.0.1",
    }
}

/// What stands around the gateway, running. Its folder goes with it.
pub struct Demo {
    folder: Folder,
    gateway: SocketAddr,
    admin: SocketAddr,
    around: SocketAddr,
    /// The gateway's two ports and those of two back ends, which nobody else may get before they listen.
    ports: [Reserved; 4],
    client: reqwest::Client,
}

impl Demo {
    /// Writes gateway.toml and starts what stands around on the current runtime: all of it on one port of 127.0.0.1.
    ///
    /// `gateway` is where the gateway will listen, on loopback; with port 0 the system chooses one. `private` and `jwks` are
    /// files: the platform's key (P-256, PKCS#8 as PEM) and its public part as a key set. `modules` says in which module of the
    /// gateway each reason arises.
    pub async fn start(
        gateway: SocketAddr,
        folder: Folder,
        private: &Path,
        jwks: &Path,
        modules: Value,
    ) -> Result<Self, DemoError> {
        if !gateway.ip().is_loopback() {
            return Err(DemoError::Open(gateway));
        }
        let chosen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let ports = [
            reserved(gateway)?,
            reserved(chosen)?,
            reserved(chosen)?,
            reserved(chosen)?,
        ];
        let [gateway, admin, cas_app, token_app] = ports.each_ref().map(Reserved::address);
        let [cas_app, token_app] = [cas_app, token_app].map(|address| format!("http://{address}"));
        let failed = |error| DemoError::Listen { address: chosen, error };
        let listener = TcpListener::bind(chosen).await.map_err(failed)?;
        let around = listener.local_addr().map_err(failed)?;
        // Another host than the gateway's, as on a campus, so that neither ever gets the other's cookies.
        let campus = format!("http://localhost:{}", around.port());
        folder.write_config(&[
            ("@LISTEN@", &gateway.to_string()),
            ("@ADMIN@", &admin.to_string()),
            ("@CAS@", &format!("{campus}/cas")),
            ("@OPENID@", &format!("{campus}/openid")),
            ("@AROUND@", &format!("http://{around}")),
            ("@CASAPP@", &cas_app),
            ("@TOKENAPP@", &token_app),
        ])?;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let platform = Platform::new(private, jwks)?;
        let servers = Servers {
            provider: Provider::new(&campus, gateway, &token_app)?,
            moodle: Moodle::new(format!("http://{gateway}"), &campus, client.clone()),
            cas: Cas::new(gateway, &cas_app, client.clone()),
            opencast: Opencast {
                platform,
                gateway,
                campus,
                admin,
                config: folder.config(),
                client: client.clone(),
                modules,
            },
        };
        tokio::spawn(loopback::serve(listener, Arc::new(servers)));
        Ok(Self {
            folder,
            gateway,
            admin,
            around,
            ports,
            client,
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

    /// The gateway's status page.
    pub fn status(&self) -> String {
        format!("http://{}/", self.admin)
    }

    /// Where all that stands around the gateway listens.
    pub fn around(&self) -> SocketAddr {
        self.around
    }

    /// What starts the apps that have a back end of their own, in a shell: a CAS client, and one with access tokens.
    pub fn apps(&self) -> [String; 2] {
        let [_, _, cas_app, token_app] = self.ports.each_ref().map(Reserved::address);
        let (gateway, port) = (self.gateway, self.around.port());
        [
            format!(
                "JANUA=http://{gateway} CAS=http://localhost:{port}/cas APP=http://{cas_app} python3 '{}'",
                self.folder.app("cas_back_end.py").display()
            ),
            format!(
                "JANUA=http://{gateway} ISSUER=http://localhost:{port}/openid CLIENT_ID=campus-app APP=http://{token_app} \
                 node '{}'",
                self.folder.app("token_back_end.mjs").display()
            ),
        ]
    }

    /// Done as soon as the gateway has keys and serves; never, if it does not start.
    pub fn served(&self) -> impl Future<Output = ()> + Send + 'static {
        let (client, ready) = (self.client.clone(), format!("http://{}/readyz", self.admin));
        async move {
            while get(&client, &ready).await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// All that stands around the gateway, told apart by path.
struct Servers {
    cas: Cas,
    provider: Provider,
    moodle: Moodle,
    opencast: Opencast,
}

impl Servers {
    async fn answer(&self, request: &Request<Bytes>) -> Response<String> {
        if request.uri().path() == "/.well-known/jwks.json" {
            return self.opencast.platform.jwks();
        }
        if let Some(answer) = self.cas.answer(request).await {
            return answer;
        }
        if let Some(answer) = self.provider.answer(request) {
            return answer;
        }
        match self.moodle.answer(request).await {
            Some(answer) => answer,
            None => self.opencast.answer(request).await,
        }
    }
}

/// The body of a good answer.
async fn get(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send().await?.error_for_status()?.text().await
}

fn reserved(address: SocketAddr) -> Result<Reserved, DemoError> {
    Reserved::at(address).map_err(|error| DemoError::Listen { address, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_names_its_remedy() {
        let told = |kind: io::ErrorKind| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
            let error = kind.into();
            DemoError::Listen { address, error }.to_string()
        };
        assert!(told(io::ErrorKind::AddrInUse).ends_with("choose another port, or none"));
        assert!(told(io::ErrorKind::PermissionDenied).ends_with("choose a port above 1023"));
        assert!(told(io::ErrorKind::AddrNotAvailable).ends_with("choose 127.0.0.1"));
    }
}
