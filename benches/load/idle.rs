//! What a connection costs on which nothing happens: many of them, each after one request, and the server's memory.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::Result;
use super::peers::{Files, Peer};
use super::report::{Measured, Round, Unit};

const CONNECTIONS: usize = 8_000;
pub(super) const NAME: &str = "8 000 idle connections";

/// KiB of resident memory for each connection, a value a round.
pub(super) fn measure(files: &Files, folder: &Path, rounds: u32) -> Result<Measured> {
    let path = "/static/org/engage-player/lecture-1/1k.bin";
    allow_descriptors()?;
    let mut contenders = Vec::new();
    for (name, peer) in [("nginx", files.nginx(path)), ("Janua", files.janua_crowded(path))] {
        let Some(peer) = peer else { continue };
        let values: Result<Vec<Round>> = (0..rounds).map(|_| once(&peer, folder)).collect();
        contenders.push((name.to_owned(), values?));
    }
    Ok(Measured {
        name: NAME.to_owned(),
        unit: Unit::KibPerConnection,
        contenders,
    })
}

fn once(peer: &Peer, folder: &Path) -> Result<Round> {
    let running = peer.start(folder)?;
    // What a first request makes is no connection's fault.
    let _first = connect(running.address(), &peer.path)?;
    let before = running.resident_kib()?;
    let open: Result<Vec<TcpStream>> = (0..CONNECTIONS)
        .map(|_| connect(running.address(), &peer.path))
        .collect();
    let open = open?;
    let after = running.resident_kib()?;
    Ok(Round {
        value: (after - before) / open.len() as f64,
        microseconds: None,
    })
}

/// A connection after an answer; whether the request was allowed is the same to it.
fn connect(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "HEAD {path} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut some = [0; 1024];
        match stream.read(&mut some)? {
            0 => return Err("the server closed a connection".into()),
            count => answer.extend(&some[..count]),
        }
    }
    Ok(stream)
}

/// Descriptors for this process, and so for those that it starts.
fn allow_descriptors() -> Result<()> {
    let me = std::process::id().to_string();
    let done = Command::new("prlimit")
        .args(["--pid", &me, "--nofile=20000:20000"])
        .status()?;
    done.success()
        .then_some(())
        .ok_or_else(|| "prlimit: no more descriptors to be had".into())
}
