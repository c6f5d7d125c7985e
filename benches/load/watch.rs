//! A player that came with a token: the pass that a gateway gave it, which the next ones with the same master key take.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use super::Result;
use super::peers::{Files, Load};

/// Below the route with passes.
pub(super) const PATH: &str = "/watched/org/engage-player/lecture-1/1k.bin";

/// The header with the pass that `token`, a header too, has earned.
pub(super) fn cookie(files: &Files, folder: &Path, token: &str) -> Result<String> {
    let gateway = files.janua_with_store(PATH, &Load::Plain).ok_or("there is a gateway")?;
    let running = gateway.start(folder)?;
    let url = running.url("");
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))?;
    write!(
        stream,
        "GET {PATH} HTTP/1.1\r\nHost: localhost\r\n{token}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: "));
    let pass = line.and_then(|line| line.split(';').next()).ok_or("a pass is earned")?;
    Ok(format!("Cookie: {pass}"))
}
