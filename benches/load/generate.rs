//! Those that make the load: wrk for HTTP/1.1, h2load for HTTP/2 and for a flood beside it.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::peers::Load;
use super::{LOAD_CORE, Result};

/// What has been done.
pub(super) struct Loaded {
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) requests: f64,
}

/// Every answer must be a success.
pub(super) fn load(url: &str, load: &Load, seconds: u32) -> Result<Loaded> {
    match load {
        Load::Http2(header) => h2load(url, header, seconds),
        Load::Beside { flood, header } => {
            let mut flood = start_flood(url, flood, seconds + 1)?;
            let loaded = wrk(url, load_connections(load), &["-H", header], seconds);
            flood.kill().and_then(|()| flood.wait())?;
            loaded
        }
        Load::Plain => wrk(url, load_connections(load), &[], seconds),
        Load::Header(header) => wrk(url, load_connections(load), &["-H", header], seconds),
        Load::Headers(headers) => {
            let headers: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
            wrk(url, load_connections(load), &headers, seconds)
        }
        Load::Script(script) | Load::Readers(script) => scripted(url, load, script, seconds),
        Load::ColdReaders { script, file } => {
            let over = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| keep_cold(file, &over));
                let loaded = scripted(url, load, script, seconds);
                over.store(true, Ordering::Relaxed);
                loaded
            })
        }
    }
}

fn scripted(url: &str, load: &Load, script: &Path, seconds: u32) -> Result<Loaded> {
    let script = script.to_str().ok_or("a script's path is UTF-8")?;
    wrk(url, load_connections(load), &["-s", script], seconds)
}

/// dd drops what the page cache has of its input (`nocache`), and with `count=0` does nothing else.
fn keep_cold(file: &Path, over: &AtomicBool) {
    let mut input = OsString::from("if=");
    input.push(file);
    while !over.load(Ordering::Relaxed) {
        let dropped = on_load_core("dd")
            .arg(&input)
            .args(["iflag=nocache", "count=0", "status=none"])
            .status();
        assert!(dropped.is_ok_and(|status| status.success()), "dd drops no cache");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn load_connections(load: &Load) -> &'static str {
    match load {
        Load::Readers(_) | Load::ColdReaders { .. } => "64",
        _ => "32",
    }
}

fn on_load_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", LOAD_CORE, program]);
    command
}

fn wrk(url: &str, connections: &str, what: &[&str], seconds: u32) -> Result<Loaded> {
    let mut command = on_load_core("wrk");
    command.args(["-t", "1", "-c", connections, "-d", &format!("{seconds}s")]);
    let output = command.args(what).arg(url).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{url}: {text}").into());
    }
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let requests = text.lines().find_map(|line| line.split_once(" requests in "));
    Ok(Loaded {
        rate: rate.ok_or("wrk printed no rate")?.trim().parse()?,
        requests: requests.ok_or("wrk printed no requests")?.0.trim().parse()?,
    })
}

/// Eight connections with eight requests at a time on each.
fn h2load(url: &str, header: &str, seconds: u32) -> Result<Loaded> {
    let mut command = on_load_core("h2load");
    command.args(["-t1", "-c8", "-m8", "-D", &seconds.to_string(), "-H", header]);
    let output = command.arg(url).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let is_clean = text.contains(" 0 failed, 0 errored, 0 timeout") && text.contains(" 0 3xx, 0 4xx, 0 5xx");
    let finished = text.lines().find_map(|line| line.strip_prefix("finished in "));
    let rate = finished.and_then(|line| line.split(", ").find_map(|part| part.strip_suffix(" req/s")));
    let done = text
        .split_once(" total, ")
        .and_then(|(before, _)| before.rsplit(' ').next());
    match rate.zip(done).filter(|_| is_clean) {
        Some((rate, done)) => Ok(Loaded {
            rate: rate.parse()?,
            requests: done.parse()?,
        }),
        None => Err(format!("{url}: {text}").into()),
    }
}

/// Two thousand requests a second, whatever becomes of them.
fn start_flood(url: &str, header: &str, seconds: u32) -> Result<Child> {
    let mut command = on_load_core("h2load");
    command.args([
        "--h1",
        "-t1",
        "-c4",
        "--rps=500",
        "-D",
        &seconds.to_string(),
        "-H",
        header,
    ]);
    Ok(command.arg(url).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}
