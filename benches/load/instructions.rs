//! What a request costs in instructions, by its kind and where there are many routes: counted by valgrind's callgrind, so
//! that a few in a thousand can be told from the noise of a clock.
//!
//! `BEFORE` names another binary of the gateway, an older one: the page then tells by how much each count has changed. `JANUA`
//! names the one that is counted, if that is not the one that was built beside this.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::nginx::nginx;
use super::peers::{CALL, configure, free_port, wait_for};
use super::tokens::{ISSUER, Tokens};
use super::{LOAD_CORE, Result, on_path, watch};

pub(super) const NAME: &str = "instructions of a request";
const ROUTES: [usize; 2] = [10, 1_000];
/// The difference between the two runs is what the requests of one more than the other cost, without start and end.
const RUNS: usize = 3;
const FEW: usize = 500;
const MANY: usize = 4_500;
/// Tokens that no other case has used.
const FRESH: usize = 20_000;

/// One kind of request.
struct Kind {
    name: String,
    path: String,
    /// Header lines of each request in turn.
    headers: Vec<String>,
    store: &'static str,
    /// In the configuration.
    routes: usize,
    /// Of an access token, whose server's keys nginx publishes. Older binaries know none.
    is_bearer: bool,
}

/// The route beside the others that takes access tokens.
const BEARER: &str = r#"
[bearer.apps]
clients = ["bench"]

[bearer.apps.jwks]
issuer     = "@ISSUER@"
jwks_uri   = "http://127.0.0.1:@UPSTREAM@/jwks.json"
algorithms = ["ES256"]

[[routes]]
name    = "decide-bearer"
path    = "/bearer/{event}"
respond = { status = 204 }
accept  = ["bearer"]
allow   = [{ client = "bench" }]
"#;

impl Kind {
    fn new(name: &str, path: &str, headers: Vec<String>, store: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            path: path.to_owned(),
            headers,
            store,
            routes: 0,
            is_bearer: false,
        }
    }
}

/// The section of the page. `session` and `pass` are header lines.
pub(super) fn measure(folder: &Path, tokens: &Tokens, session: &str, pass: &str) -> Result<String> {
    if on_path("valgrind").is_none() || on_path("nginx").is_none() {
        return Ok(String::new());
    }
    let binary = std::env::var_os("JANUA").unwrap_or_else(|| env!("CARGO_BIN_EXE_janua").into());
    let before = std::env::var_os("BEFORE");
    let mut text = format!(
        "\n## {NAME}\n\n| request | instructions | {} |\n| --- | ---: | ---: |\n",
        match before {
            Some(_) => "before",
            None => "",
        }
    );
    for kind in kinds(tokens, session, pass) {
        let counted = each(&binary, folder, &kind)?;
        let told = match &before {
            Some(before) if !kind.is_bearer => {
                let before = each(before, folder, &kind)?;
                format!("{before:.0} ({:+.2} %)", (counted / before - 1.0) * 100.0)
            }
            _ => String::new(),
        };
        eprintln!("  {}: {counted:.0} {told}", kind.name);
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {} | {counted:.0} | {told} |", kind.name);
    }
    Ok(text)
}

fn kinds(tokens: &Tokens, session: &str, pass: &str) -> Vec<Kind> {
    let known = || vec![tokens.header(0)];
    let fresh = (FRESH..FRESH + MANY).map(|number| tokens.header(number)).collect();
    let file = "org/engage-player/lecture-1/1k.bin";
    let call = format!("{CALL}?wsfunction=core_webservice_get_site_info&moodlewsrestformat=json");
    // As a script of the page's own origin sends it.
    let by_script = format!(
        "{session}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nX-Requested-With: fetch"
    );
    let mut kinds = vec![
        Kind::new("decision, a known token", "/decide/lecture-1", known(), "memory"),
        Kind {
            is_bearer: true,
            ..Kind::new(
                "decision, a known access token",
                "/bearer/lecture-1",
                vec![tokens.bearer()],
                "memory",
            )
        },
        Kind::new("decision, every token new", "/decide/lecture-1", fresh, "memory"),
        Kind::new(
            "1 KiB file, a known token",
            &format!("/static/{file}"),
            known(),
            "memory",
        ),
        Kind::new(
            "1 KiB file, a watch pass",
            watch::PATH,
            vec![pass.to_owned()],
            "embedded",
        ),
        Kind::new(
            "proxied 1 KiB, a known token",
            &format!("/proxied/{file}"),
            known(),
            "memory",
        ),
        Kind::new(
            "decision, a known session",
            "/session/lecture-1",
            vec![session.to_owned()],
            "embedded",
        ),
        Kind::new(
            "Moodle call of 1 KiB, a known session",
            &call,
            vec![by_script],
            "embedded",
        ),
    ];
    kinds.extend(ROUTES.map(|routes| Kind {
        routes,
        ..Kind::new(
            &format!("decision, a known token, {routes} routes"),
            "/decide/lecture-1",
            known(),
            "memory",
        )
    }));
    kinds
}

/// Instructions of one request. A worker that finds nothing to do between two requests parks, and waking it costs as much as
/// a third of a request: the lowest of some runs is the one in which that happened least.
fn each(binary: &OsString, folder: &Path, kind: &Kind) -> Result<f64> {
    let lowest = |requests| {
        let mut lowest = f64::MAX;
        for _ in 0..RUNS {
            lowest = lowest.min(counted(binary, folder, kind, requests)?);
        }
        Ok::<_, Box<dyn std::error::Error>>(lowest)
    };
    Ok((lowest(MANY)? - lowest(FEW)?) / (MANY - FEW) as f64)
}

/// Instructions of a whole run with so many requests.
fn counted(binary: &OsString, folder: &Path, kind: &Kind, requests: usize) -> Result<f64> {
    let (port, upstream) = (free_port()?, free_port()?);
    let file = configure(folder, [port, free_port()?, upstream], "warn", kind.store)?;
    let configured = fs::read_to_string(&file)?;
    let known = configured.matches("[[routes]]").count();
    let more: String = (known..kind.routes)
        .map(|number| {
            format!(
                "\n[[routes]]\nname = \"more-{number}\"\npath = \"/course-{number}/{{event}}/{{*file}}\"\n\
                 respond = {{ status = 204 }}\nallow = [{{ grant = \"read\", event = \"{{event}}\" }}]\n"
            )
        })
        .collect();
    let mut configured = configured + &more;
    if kind.is_bearer {
        fs::copy(folder.join("jwks.json"), folder.join("downloads/jwks.json"))?;
        let bearer = BEARER.replace("@UPSTREAM@", &upstream.to_string());
        configured.push_str(&bearer.replace("@ISSUER@", ISSUER));
    }
    fs::write(&file, configured)?;
    let mut nginx = nginx(folder, "upstream", upstream, None, LOAD_CORE)?;
    let counted = wait_for(upstream).and_then(|()| {
        let mut server = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(binary)
            .args(["run", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        wait_for(port)?;
        let asked = ask(port, kind, requests);
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
    });
    // Gone already is as good as ended.
    let _ = nginx.kill();
    let _ = nginx.wait();
    counted
}

fn ask(port: u16, kind: &Kind, requests: usize) -> Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", port))?);
    for headers in kind.headers.iter().cycle().take(requests) {
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n\r\n",
            kind.path
        );
        stream.get_mut().write_all(request.as_bytes())?;
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 20") {
            return Err(format!("{}: {line:?}", kind.name).into());
        }
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            if let Some((_, value)) = line
                .split_once(':')
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse()?;
            }
        }
        std::io::copy(&mut stream.by_ref().take(length), &mut std::io::sink())?;
    }
    Ok(())
}
