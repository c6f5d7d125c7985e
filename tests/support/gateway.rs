//! The real binary as a child process.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::config::Site;
use super::http::{Connection, Request, Response};
use super::secrets;
use super::tools;
use super::wait::eventually;
use super::witness::{self, Witness};

/// Where a gateway that logs into a file is told to write, below its site.
pub const LOG_FILE: &str = "log/janua.log";

/// What it says when it takes requests; the other one while the first keys are still to come.
const SERVES: [&str; 2] = ["ready to serve", "not ready yet"];

/// A running `janua run`. Killed on drop.
pub struct Gateway {
    child: Process,
    said: Arc<Mutex<String>>,
    /// The first plain listener.
    http: Option<SocketAddr>,
    /// The first TLS listener.
    https: Option<SocketAddr>,
    pub admin: SocketAddr,
    witness: Option<Arc<Witness>>,
    /// The last metrics of one that was stopped, and what it kept of requests.
    metrics: Option<String>,
    kept: Option<String>,
    /// Kept so that the folder outlives the process.
    pub site: Site,
}

impl Gateway {
    /// Writes gateway.toml into the site, starts the gateway and waits until it says that it serves.
    pub fn start(site: &Site, config: &str) -> Self {
        let (child, said) = spawn(site, config, None);
        let mut child = Process(child);
        let process = child.0.id();
        eventually("janua serves", || {
            if let Some(status) = child.0.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{config}\n{}", said.lock().unwrap());
            }
            let said = all_said(site, &said);
            SERVES.iter().any(|line| said.contains(line)).then_some(())
        });
        let lines = all_said(site, &said);
        let gateway = Self {
            child,
            said,
            http: address(&lines, "listening on http://"),
            https: address(&lines, "listening on https://"),
            admin: address(&lines, "admin on http://").expect("the admin listener is told"),
            witness: Witness::of(site.root(), config),
            metrics: None,
            kept: None,
            site: site.clone(),
        };
        if let (Some(witness), Some(http)) = (&gateway.witness, gateway.http) {
            witness.listens_at(http);
        }
        for address in gateway.http.iter().chain(&gateway.https) {
            let gets_tokens = ["[moodle.", ".oidc]", "[bearer."]
                .iter()
                .any(|part| config.contains(part));
            secrets::listens_at(*address, gets_tokens);
        }
        assert_eq!(gateway.process(), process);
        gateway
    }

    /// Starts a gateway that is expected to end by itself: its exit status and what it said.
    /// `wrapper` is a command that the gateway is started through.
    pub fn fails(site: &Site, config: &str, wrapper: Option<&[&str]>) -> (ExitStatus, String) {
        let (mut child, said) = spawn(site, config, wrapper);
        let status = eventually("the gateway ends", || {
            if SERVES.iter().any(|line| said.lock().unwrap().contains(line)) {
                child.kill().unwrap();
                panic!("the gateway serves");
            }
            child.try_wait().unwrap()
        });
        // The reader ends with the pipe, a moment after the process.
        let said = eventually("the last line", || {
            (Arc::strong_count(&said) == 1).then(|| said.lock().unwrap().clone())
        });
        secrets::register_keys(site.root());
        secrets::hold("what a gateway said that did not start", &said);
        (status, said)
    }

    pub fn http(&self) -> SocketAddr {
        self.http.expect("the gateway has a plain listener")
    }

    pub fn https(&self) -> SocketAddr {
        self.https.expect("the gateway has a TLS listener")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http())
    }

    pub fn process(&self) -> u32 {
        self.child.0.id()
    }

    /// One request on a connection of its own.
    pub fn send(&self, request: Request) -> Response {
        Connection::open(self.http()).exchange(request.header("Connection", "close"))
    }

    pub fn get(&self, path: &str) -> Response {
        self.send(Request::get(path))
    }

    pub fn get_with(&self, path: &str, token: &str) -> Response {
        self.send(Request::get(path).bearer(token))
    }

    /// What the admin listener answers. Its Host is checked, so it is asked by its own name.
    pub fn admin(&self, path: &str) -> Response {
        let host = self.admin.to_string();
        let answer =
            Connection::open(self.admin).exchange(Request::get(path).host(&host).header("Connection", "close"));
        secrets::hold(&format!("the admin listener's {path}"), &answer.text());
        answer
    }

    /// The value of one metric, by its whole name with labels in alphabetical order.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.admin("/metrics").text();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// The sum over all label values of a metric.
    pub fn metric_sum(&self, name: &str) -> f64 {
        let metrics = self.admin("/metrics").text();
        let lines = metrics.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Everything said so far.
    pub fn said(&self) -> String {
        all_said(&self.site, &self.said)
    }

    /// Waits for a line of the log that contains all of `parts`.
    pub fn logged(&self, parts: &[&str]) -> String {
        eventually(&format!("a line with {parts:?} in the log"), || {
            self.said()
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)))
                .map(str::to_owned)
        })
    }

    pub fn signal(&self, name: &str) {
        tools::signal(self.process(), name);
    }

    /// Waits until the process has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        eventually("the gateway ends", || self.child.0.try_wait().unwrap())
    }

    /// Ends it the way an operator does.
    pub fn stop(mut self) {
        self.metrics = metrics(self.admin);
        self.kept = told(self.admin, "/why.json");
        self.signal("TERM");
        self.ended();
    }

    /// A number of `/proc/<pid>/status`, in bytes: `VmRSS`, `VmHWM`.
    pub fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(PathBuf::from("/proc").join(self.process().to_string()).join("status"));
        let status = status.unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        let kibibytes: u64 = line.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap();
        kibibytes * 1024
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(witness) = &self.witness {
            witness.leave();
        }
        secrets::leaves(self.http.into_iter().chain(self.https));
        if std::thread::panicking() {
            eprintln!("--- the gateway said:\n{}---", self.said());
            return;
        }
        if let Some(witness) = &self.witness {
            let log = || all_said(&self.site, &self.said);
            witness.hold(log, || match self.child.0.try_wait() {
                Ok(None) => lost_lines(self.admin) > 0.0,
                Ok(Some(_)) | Err(_) => true,
            });
        }
        secrets::register_keys(self.site.root());
        secrets::hold("the log", &self.said());
        let metrics = self.metrics.take().or_else(|| metrics(self.admin));
        secrets::hold("the metrics", &metrics.unwrap_or_default());
        let kept = self.kept.take().or_else(|| told(self.admin, "/why.json"));
        let kept = kept.unwrap_or_default();
        secrets::hold("what is kept of requests", &kept);
        witness::hold_kept(&kept, &self.said());
    }
}

/// Ended on drop, also where what is held at the end of a gateway does not hold.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // An error here means that it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `None`: nobody answers there.
fn metrics(admin: SocketAddr) -> Option<String> {
    told(admin, "/metrics")
}

fn told(admin: SocketAddr, path: &str) -> Option<String> {
    let mut connection = Connection::try_open(admin).ok()?;
    let request = Request::get(path)
        .host(&admin.to_string())
        .header("Connection", "close");
    Some(connection.exchange_raw(request.bytes()).ok()?.text())
}

/// Lines that the log of the gateway behind this admin listener could not take; all, if it does not say.
fn lost_lines(admin: SocketAddr) -> f64 {
    let Some(metrics) = metrics(admin) else {
        return f64::INFINITY;
    };
    let mut lost = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("janua_log_lines_dropped_total "));
    lost.next()
        .and_then(|count| count.parse().ok())
        .unwrap_or(f64::INFINITY)
}

fn spawn(site: &Site, config: &str, wrapper: Option<&[&str]>) -> (Child, Arc<Mutex<String>>) {
    let file = site.write("gateway.toml", config);
    let binary = env!("CARGO_BIN_EXE_janua");
    let mut words = wrapper
        .unwrap_or_default()
        .iter()
        .copied()
        .chain([binary, "run", "--config"]);
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .arg(file)
        .env_remove("JANUA_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let heard = Arc::clone(&said);
    std::thread::spawn(move || {
        for line in stderr.split(b'\n').map_while(Result::ok) {
            let mut heard = heard.lock().unwrap();
            heard.push_str(&String::from_utf8_lossy(&line));
            heard.push('\n');
        }
    });
    (child, said)
}

/// On stderr and in the log file.
fn all_said(site: &Site, said: &Mutex<String>) -> String {
    let said = said.lock().unwrap().clone();
    said + &std::fs::read_to_string(site.path(LOG_FILE)).unwrap_or_default()
}

fn address(lines: &str, before: &str) -> Option<SocketAddr> {
    let (_, after) = lines.split_once(before)?;
    let end = after
        .find(|letter: char| !(letter.is_ascii_hexdigit() || ".:[]".contains(letter)))
        .unwrap_or(after.len());
    after[..end].parse().ok()
}
