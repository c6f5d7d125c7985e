//! A real nginx: one that serves a folder, as Opencast's does, or one that stands in front of the gateway.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::Reserved;
use super::wait::eventually;

/// A running nginx; killed on drop.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
    _port: Reserved,
}

impl Nginx {
    /// Serves the files below `root` at `/`.
    pub fn start(root: &Path) -> Self {
        Self::with(&format!("root {};", root.display()))
    }

    /// Does what these lines of a `server` block say.
    pub fn with(server: &str) -> Self {
        Self::listening("", server)
    }

    /// The same, with parameters of `listen` (`ssl http2`).
    pub fn listening(how: &str, server: &str) -> Self {
        let port = Reserved::new(0).unwrap();
        let (address, folder) = (port.address(), tempfile::tempdir().unwrap());
        let mut child = spawn(&folder, &format!("{address} {how}"), server);
        eventually("nginx listens", || {
            assert!(
                child.try_wait().unwrap().is_none(),
                "nginx does not start: {}",
                errors(&folder)
            );
            TcpStream::connect(address).ok()
        });
        Self {
            child,
            address,
            folder,
            _port: port,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for a request line with status that contains this; the log up to then.
    pub fn logged(&self, part: &str) -> String {
        eventually(&format!("{part} in nginx's log"), || {
            let log = fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
            log.contains(part).then_some(log)
        })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn errors(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("error.log")).unwrap_or_default()
}

fn spawn(folder: &TempDir, listen: &str, server: &str) -> Child {
    let prefix = folder.path().display();
    // One process: it may read the test's folder, and ends when it is killed.
    let config = format!(
        r#"
        daemon off; master_process off; pid {prefix}/pid; error_log {prefix}/error.log;
        events {{ worker_connections 256; }}
        http {{
            log_format line '$request_method $request_uri $status';
            access_log {prefix}/access.log line;
            client_body_temp_path {prefix}/b; proxy_temp_path {prefix}/p; fastcgi_temp_path {prefix}/f;
            uwsgi_temp_path {prefix}/u; scgi_temp_path {prefix}/s;
            types {{ video/mp4 mp4 m4s; application/x-mpegURL m3u8; text/vtt vtt; image/jpeg jpg; }}
            server {{ listen {listen}; keepalive_timeout 60s; {server} }}
        }}"#
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, config).unwrap();
    Command::new("nginx")
        .arg("-p")
        .arg(folder.path())
        .arg("-e")
        .arg(folder.path().join("error.log"))
        .arg("-c")
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
