//! A server in Java, in a process group of its own.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::super::http::{Connection, Request};
use super::super::tools::run;
use super::super::wait::within;

/// A start on two busy cores has taken five minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Bytes of what a server said that are shown where it does not start.
const SHOWN: usize = 8000;

/// Killed on drop, and where the tests end without one.
pub struct Java {
    child: Child,
    guard: Guard,
    said: PathBuf,
}

/// A process that outlives the tests for a moment: it kills the server when its input ends.
struct Guard {
    child: Child,
    _alive: ChildStdin,
}

impl Java {
    /// Starts what the arguments say with the newest Java from `least` on. What it says goes into a file in `folder`.
    pub fn start(least: u32, folder: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/java.sh");
        let java = run(script, [least.to_string()]).ok().stdout;
        let said = folder.join("said.log");
        let output = File::create(&said).unwrap();
        let child = Command::new(java.trim())
            .args(arguments)
            .envs(environment.iter().copied())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .process_group(0)
            .spawn()
            .unwrap();
        let guard = Guard::of(child.id());
        Self { child, guard, said }
    }

    /// Waits until it answers this address with 200.
    pub fn answers(&mut self, url: &str) {
        let url: url::Url = url.parse().unwrap();
        let address = url.socket_addrs(|| None).unwrap()[0];
        within(PATIENCE, &format!("{url} is there"), || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.said());
            }
            let request = Request::get(&url[url::Position::BeforePath..])
                .host(url.authority())
                .header("Connection", "close");
            let mut connection = Connection::try_open(address).ok()?;
            let answer = connection.exchange_raw(request.bytes()).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// The end of what it has said.
    pub fn said(&self) -> String {
        let mut bytes = Vec::new();
        File::open(&self.said).unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(SHOWN)..]).into_owned()
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server said:\n{}---", self.said());
        }
        // First, so that it kills nobody who has the number by then. Errors mean that something has ended already.
        drop(self.guard.child.kill());
        drop(self.guard.child.wait());
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).unwrap_or_default();
        drop(self.child.wait());
    }
}

impl Guard {
    fn of(process: u32) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", "read -r _; kill -s KILL -- \"-$0\"", &process.to_string()])
            .stdin(Stdio::piped())
            // An interrupt from the terminal is not for it.
            .process_group(0)
            .spawn()
            .unwrap();
        let alive = child.stdin.take().unwrap();
        Self { child, _alive: alive }
    }
}

/// Writes a file and the folders above it.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}
