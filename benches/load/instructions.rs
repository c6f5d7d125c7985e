//! What a request costs where there are many routes, in instructions: counted by valgrind's callgrind, so that a few in
//! a hundred can be told from the noise of a clock.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::peers::{configure, free_port, wait_for};
use super::{Result, on_path};

pub(super) const NAME: &str = "instructions of a request, by routes";
const ROUTES: [usize; 2] = [10, 1_000];
/// The difference between the two runs is what the requests of one more than the other cost, without start and end.
const FEW: usize = 500;
const MANY: usize = 4_500;

/// The section of the page.
pub(super) fn measure(folder: &Path, header: &str) -> Result<String> {
    if on_path("valgrind").is_none() {
        return Ok(String::new());
    }
    let mut text = format!(
        "\n## {NAME}\n\nA decision for a known token.\n\n| routes | instructions | |\n| ---: | ---: | ---: |\n"
    );
    let mut first = None;
    for routes in ROUTES {
        let counted = counted(folder, header, routes, MANY)? - counted(folder, header, routes, FEW)?;
        let each = counted / (MANY - FEW) as f64;
        let against = each / *first.get_or_insert(each);
        eprintln!("  {routes} routes: {each:.0}");
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {routes} | {each:.0} | {:+.1} % |", (against - 1.0) * 100.0);
    }
    Ok(text)
}

/// Instructions of a whole run with so many routes and requests.
fn counted(folder: &Path, header: &str, routes: usize, requests: usize) -> Result<f64> {
    let (port, upstream) = (free_port()?, free_port()?);
    let file = configure(folder, [port, free_port()?, upstream], "warn", "memory")?;
    let configured = fs::read_to_string(&file)?;
    let known = configured.matches("[[routes]]").count();
    let more: String = (known..routes)
        .map(|number| {
            format!(
                "\n[[routes]]\nname = \"more-{number}\"\npath = \"/course-{number}/{{event}}/{{*file}}\"\n\
                 respond = {{ status = 204 }}\nallow = [{{ grant = \"read\", event = \"{{event}}\" }}]\n"
            )
        })
        .collect();
    fs::write(&file, configured + &more)?;
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env!("CARGO_BIN_EXE_janua"))
        .args(["run", "--config"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    wait_for(port)?;
    let asked = ask(port, header, requests);
    let ended = Command::new("kill").arg(server.id().to_string()).status()?;
    let mut told = String::new();
    server.stderr.take().ok_or("no stderr")?.read_to_string(&mut told)?;
    server.wait()?;
    asked?;
    let count = told.lines().find_map(|line| line.split_once("Collected :"));
    match count.filter(|_| ended.success()) {
        Some((_, count)) => Ok(count.trim().parse()?),
        None => Err(format!("callgrind counted nothing: {told}").into()),
    }
}

fn ask(port: u16, header: &str, requests: usize) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    let request = format!("GET /decide/lecture-1 HTTP/1.1\r\nHost: bench\r\n{header}\r\n\r\n");
    for _ in 0..requests {
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut some = [0; 1024];
            match stream.read(&mut some)? {
                0 => return Err("the server closed the connection".into()),
                count => answer.extend(&some[..count]),
            }
        }
        if !answer.starts_with(b"HTTP/1.1 204") {
            return Err("not allowed".into());
        }
    }
    Ok(())
}
