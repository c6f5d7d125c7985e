//! A real Valkey, or Redis where that is what is installed, on a port of its own: shared by gateways, counted, and killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::Reserved;
use super::tools::missing;
use super::wait::eventually;

/// A running server that keeps what it was told over a crash; killed on drop.
pub struct Valkey {
    program: &'static str,
    child: Child,
    address: SocketAddr,
    folder: TempDir,
    _port: Reserved,
}

impl Valkey {
    /// `None`: there is none here, and the test returns too.
    pub fn start() -> Option<Self> {
        let program = match which("valkey-server") {
            true => "valkey-server",
            false if missing("redis-server") => return None,
            false => "redis-server",
        };
        let port = Reserved::new(0).unwrap();
        let address = port.address();
        let folder = tempfile::tempdir().unwrap();
        let child = spawn(program, address, &folder);
        let server = Self {
            program,
            child,
            address,
            folder,
            _port: port,
        };
        server.listens();
        Some(server)
    }

    /// As `state.url` has it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The same again, with what it had.
    pub fn revive(&mut self) {
        self.child = spawn(self.program, self.address, &self.folder);
        self.listens();
    }

    /// How often records were asked for or changed, up to now.
    pub fn calls(&self) -> u64 {
        const ASIDE: [&str; 9] = [
            "info",
            "ping",
            "hello",
            "client",
            "select",
            "subscribe",
            "publish",
            "auth",
            "command",
        ];
        let told = self.ask("INFO commandstats").expect("the server answers");
        let calls = told.lines().filter_map(|line| {
            let (name, told) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let name = name.split('|').next()?;
            (!ASIDE.contains(&name)).then(|| told.split(',').next()?.parse::<u64>().ok())?
        });
        calls.sum()
    }

    fn listens(&self) {
        eventually("the store answers", || {
            self.ask("INFO server")
                .filter(|told| told.contains("loading:0") || told.contains("tcp_port"))
        });
    }

    /// An inline command that is answered with a bulk string.
    fn ask(&self, command: &str) -> Option<String> {
        let mut stream = BufReader::new(TcpStream::connect(self.address).ok()?);
        stream.get_mut().write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut length = String::new();
        stream.read_line(&mut length).ok()?;
        let mut told = vec![0; length.trim_start_matches('$').trim().parse().ok()?];
        stream.read_exact(&mut told).ok()?;
        String::from_utf8(told).ok()
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn which(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn spawn(program: &str, address: SocketAddr, folder: &TempDir) -> Child {
    Command::new(program)
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])
        .args(["--port", &address.port().to_string()])
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
