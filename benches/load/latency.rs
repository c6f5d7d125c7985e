//! How long single requests take at half of the load that Janua can bear, for it and for nginx at the same rate.
//!
//! Requests are sent when they are due, and their time begins when they were due: a server that stalls is charged for
//! every request that would have come meanwhile (no coordinated omission).
//!
//! A virtual machine is stopped by its host now and then, for milliseconds, whatever runs on it. So beside the
//! percentiles of all requests stands the 99th of the median tenth of a second, which such stops do not reach.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::peers::{Files, Load, Peer, pinned};
use super::{LOAD_CORE, Result, generate};

/// The argument by which this program knows that it is the load; port, path, header, rate and seconds follow.
const ARGUMENT: &str = "--constant-rate";
const CONNECTIONS: u32 = 32;
/// Answers that came before are not counted: connections are opened, caches filled.
const WARM_UP: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_millis(100);
pub(super) const NAME: &str = "latency at half load, 1 KiB file";

/// Microseconds from the time a request was due to the end of its answer.
#[derive(Clone, Copy)]
struct Percentiles {
    p50: f64,
    p99: f64,
    p999: f64,
    /// The 99th of the median [`WINDOW`].
    typical: f64,
}

/// The section of the page.
pub(super) fn measure(files: &Files, folder: &Path, header: &str, rounds: u32, seconds: u32) -> Result<String> {
    let path = "/static/org/engage-player/lecture-1/1k.bin";
    let load = Load::Header(header.to_owned());
    let Some(janua) = files.janua(path, &load) else {
        return Ok(String::new());
    };
    let running = janua.start(folder)?;
    let most = generate::load(&running.url(path), &load, seconds)?.rate;
    drop(running);
    let rate = most / 2.0;
    let contenders = [("nginx, no check", files.nginx(path)), ("Janua", Some(janua))];
    let mut measured = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for ((name, peer), rounds) in contenders.iter().zip(&mut measured) {
            let Some(peer) = peer else { continue };
            let one = once(peer, folder, header, rate, seconds)?;
            eprintln!(
                "  round {} {name}: p99 {:.0} µs, {:.0} µs in the median tenth of a second",
                round + 1,
                one.p99,
                one.typical
            );
            rounds.push(one);
        }
    }
    let mut text = format!(
        "\n## {NAME}\n\n{rate:.0} requests/s for both, half of what Janua bore in this run, evenly over {CONNECTIONS} \
         connections; medians of the rounds' percentiles in µs, from the time a request was due. The machine's own stops are in all of them but the last: the 99th percentile \
         of the median tenth of a second.\n\n\
         | | p50 | p99 | p99.9 | p99, median 0.1 s |\n| --- | ---: | ---: | ---: | ---: |\n"
    );
    for ((name, _), rounds) in contenders
        .iter()
        .zip(&measured)
        .filter(|(_, rounds)| !rounds.is_empty())
    {
        let of = |part: fn(&Percentiles) -> f64| super::report::median_of(rounds.iter().map(part));
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} |",
            of(|one| one.p50),
            of(|one| one.p99),
            of(|one| one.p999),
            of(|one| one.typical)
        );
    }
    Ok(text)
}

/// In a process of its own, since this one is not pinned.
fn once(peer: &Peer, folder: &Path, header: &str, rate: f64, seconds: u32) -> Result<Percentiles> {
    let running = peer.start(folder)?;
    let mut command = pinned(LOAD_CORE, &std::env::current_exe()?);
    command.args([ARGUMENT, &running.address().to_string(), &peer.path, header]);
    command.args([rate.to_string(), seconds.to_string()]);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers: std::result::Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    match numbers?[..] {
        [p50, p99, p999, typical] if output.status.success() => Ok(Percentiles {
            p50,
            p99,
            p999,
            typical,
        }),
        _ => Err(format!("no percentiles: {text}").into()),
    }
}

/// Never returns if this process is the load.
pub(super) fn run_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, address, path, header, rate, seconds] = &arguments[..] else {
        return;
    };
    if what != ARGUMENT {
        return;
    }
    let address = address.parse().expect("an address");
    let request = format!("GET {path} HTTP/1.1\r\nHost: bench\r\n{header}\r\n\r\n");
    let (rate, seconds) = (rate.parse().expect("a rate"), seconds.parse().expect("seconds"));
    let took = send(address, request.as_bytes(), rate, Duration::from_secs(seconds)).expect("a server that answers");
    let mut windows: Vec<Vec<Duration>> = Vec::new();
    for (due, took) in &took {
        let window = (due.as_nanos() / WINDOW.as_nanos()) as usize;
        windows.resize(windows.len().max(window + 1), Vec::new());
        windows[window].push(*took);
    }
    let typical = super::report::median_of(windows.into_iter().map(|window| percentile(window, 0.99)));
    let all: Vec<Duration> = took.into_iter().map(|(_, took)| took).collect();
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| percentile(all.clone(), share));
    println!("{p50} {p99} {p999} {typical}");
    std::process::exit(0);
}

/// In microseconds.
fn percentile(mut took: Vec<Duration>, share: f64) -> f64 {
    took.sort_unstable();
    took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6
}

struct Connection {
    stream: TcpStream,
    /// When the next request is due.
    due: Instant,
    /// When the one that is on its way was due.
    asked: Option<Instant>,
    answer: Answer,
}

/// Sends at the rate and tells of each request when it was due, from the beginning, and how long it took. It never sleeps: a timer would be coarser than an answer.
fn send(address: SocketAddr, request: &[u8], rate: f64, time: Duration) -> Result<Vec<(Duration, Duration)>> {
    let every = Duration::from_secs_f64(f64::from(CONNECTIONS) / rate);
    let start = Instant::now() + Duration::from_millis(50);
    let mut connections: VecDeque<Connection> = VecDeque::new();
    for number in 0..CONNECTIONS {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        connections.push_back(Connection {
            stream,
            due: start + every * number / CONNECTIONS,
            asked: None,
            answer: Answer::default(),
        });
    }
    let (counted_from, end) = (start + WARM_UP, start + WARM_UP + time);
    let mut took = Vec::with_capacity((rate * time.as_secs_f64()) as usize);
    loop {
        let mut busy = false;
        for connection in &mut connections {
            if let Some(due) = connection.asked
                && connection.answer.is_whole(&mut connection.stream)?
            {
                connection.asked = None;
                if due >= counted_from {
                    took.push((due - counted_from, due.elapsed()));
                }
            }
            if connection.asked.is_none() && connection.due < end && Instant::now() >= connection.due {
                connection.stream.write_all(request)?;
                connection.asked = Some(connection.due);
                connection.due += every;
            }
            busy |= connection.asked.is_some() || connection.due < end;
        }
        if !busy {
            return Ok(took);
        }
    }
}

/// What is here of an answer.
#[derive(Default)]
struct Answer {
    received: Vec<u8>,
    /// Of header and body, once the header is here.
    length: Option<usize>,
}

impl Answer {
    /// Reads what there is. After `true` the next answer may begin.
    fn is_whole(&mut self, stream: &mut TcpStream) -> Result<bool> {
        let mut some = [0; 8192];
        match stream.read(&mut some) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(count) => self.received.extend(&some[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if self.length.is_none() {
            let end = self.received.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return Ok(false) };
            let head = std::str::from_utf8(&self.received[..end])?.to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(head.into());
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            self.length = Some(end + 4 + length.ok_or("no length")?.trim().parse::<usize>()?);
        }
        let whole = self.length.is_some_and(|length| self.received.len() >= length);
        if whole {
            self.received.clear();
            self.length = None;
        }
        Ok(whole)
    }
}
