//! A real nginx: one that serves a folder, as Opencast's does, or one that stands in front of the gateway.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::wait::eventually;

/// A running nginx; killed on drop.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
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
        loop {
            // The port is free now; should another take it before nginx does, nginx ends and the next one is tried.
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let folder = tempfile::tempdir().unwrap();
            let mut child = spawn(&folder, &format!("{address} {how}"), server);
            let serves = eventually("nginx listens or ends", || match child.try_wait().unwrap() {
                Some(_) => Some(false),
                None => TcpStream::connect(address).is_ok().then_some(true),
            });
            if serves && child.try_wait().unwrap().is_none() {
                return Self { child, address, folder };
            }
            let errors = fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
            assert!(errors.contains("in use"), "nginx does not start: {errors}");
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
