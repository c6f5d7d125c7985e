//! Those that are measured: how each is configured and started.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use janua_demo::Reserved;

use super::nginx::{nginx, nginx_tls};
use super::{LOAD_CORE, Result, SERVER_CORE, on_path};

/// What wrk sends.
#[derive(Clone)]
pub(super) enum Load {
    Plain,
    Header(String),
    Headers(Vec<String>),
    Script(PathBuf),
    /// The same with twice the connections.
    Readers(PathBuf),
    /// The same again, of a file that is taken out of the page cache all the while.
    ColdReaders {
        script: PathBuf,
        file: PathBuf,
    },
    /// HTTP/2, over TLS, with this header.
    Http2(String),
    /// One header, while somebody else floods the server with another.
    Beside {
        flood: String,
        header: String,
    },
}

/// Where Moodle's web services are. The upstream answers there as Moodle does, with 1 KiB of JSON.
pub(super) const CALL: &str = "/webservice/rest/server.php";

/// A program, its configuration, and the path that is asked for.
pub(super) struct Peer {
    kind: Kind,
    pub(super) path: String,
    pub(super) load: Load,
}

#[derive(Clone, Copy)]
enum Kind {
    /// The log's level: access lines count as `info`.
    Janua(&'static str),
    /// The same with the store in which sessions are.
    JanuaWithStore,
    /// The same with TLS.
    JanuaTls,
    /// The same with room for all from one address.
    JanuaCrowded,
    /// A proxy of the same frame that does nothing else.
    Bare,
    Nginx,
    NginxTls,
    NginxProxy,
    Haproxy,
    Octoka(&'static str),
}

/// The files that are served, the same for all.
pub(super) struct Files {
    pub(super) downloads: PathBuf,
}

impl Files {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        let downloads = folder.join("downloads");
        let lecture = downloads.join("org/engage-player/lecture-1");
        fs::create_dir_all(&lecture)?;
        for (name, size) in [
            ("1k.bin", 1 << 10),
            ("64k.bin", 1 << 16),
            ("1m.bin", 1 << 20),
            ("256m.bin", 1 << 28),
        ] {
            fs::write(lecture.join(name), vec![b'x'; size])?;
        }
        let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
        fs::write(folder.join("certificate.pem"), certified.cert.pem())?;
        fs::write(folder.join("key.pem"), certified.signing_key.serialize_pem())?;
        Ok(Self { downloads })
    }

    /// With an access log to a file.
    pub(super) fn janua(&self, path: &str, load: &Load) -> Option<Peer> {
        peer(Kind::Janua("info"), path, load)
    }

    /// Without one, as its peers here.
    pub(super) fn janua_quiet(&self, path: &str, load: &Load) -> Option<Peer> {
        peer(Kind::Janua("warn"), path, load)
    }

    /// Without a log, and with the store of [`session`](super::session).
    pub(super) fn janua_with_store(&self, path: &str, load: &Load) -> Option<Peer> {
        peer(Kind::JanuaWithStore, path, load)
    }

    pub(super) fn janua_tls(&self, path: &str, load: &Load) -> Option<Peer> {
        on_path("h2load").and_then(|_| peer(Kind::JanuaTls, path, load))
    }

    pub(super) fn janua_crowded(&self, path: &str) -> Option<Peer> {
        peer(Kind::JanuaCrowded, path, &Load::Plain)
    }

    /// Below the upstream's own path: it strips nothing.
    pub(super) fn bare(&self, path: &str) -> Option<Peer> {
        on_path("nginx").and_then(|_| peer(Kind::Bare, path, &Load::Plain))
    }

    pub(super) fn nginx(&self, path: &str) -> Option<Peer> {
        on_path("nginx").and_then(|_| peer(Kind::Nginx, path, &Load::Plain))
    }

    /// With another load than one request again and again.
    pub(super) fn nginx_under(&self, path: &str, load: &Load) -> Option<Peer> {
        on_path("nginx").and_then(|_| peer(Kind::Nginx, path, load))
    }

    pub(super) fn nginx_tls(&self, path: &str, load: &Load) -> Option<Peer> {
        on_path("h2load")
            .and_then(|_| on_path("nginx"))
            .and_then(|_| peer(Kind::NginxTls, path, load))
    }

    pub(super) fn nginx_proxy(&self, path: &str) -> Option<Peer> {
        on_path("nginx").and_then(|_| peer(Kind::NginxProxy, path, &Load::Plain))
    }

    pub(super) fn haproxy(&self, path: &str, load: &Load) -> Option<Peer> {
        on_path("haproxy").and_then(|_| peer(Kind::Haproxy, path, load))
    }

    pub(super) fn octoka(&self, on_allow: &'static str, path: &str, load: &Load) -> Option<Peer> {
        std::env::var_os("OCTOKA").and_then(|_| peer(Kind::Octoka(on_allow), path, load))
    }
}

fn peer(kind: Kind, path: &str, load: &Load) -> Option<Peer> {
    Some(Peer {
        kind,
        path: path.to_owned(),
        load: load.clone(),
    })
}

/// Processes of one run; ended when dropped.
pub(super) struct Running {
    scheme: &'static str,
    port: u16,
    /// The server is the last.
    processes: Vec<Child>,
}

impl Running {
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The server's memory now.
    pub(super) fn resident_kib(&self) -> Result<f64> {
        let server = self.processes.last().ok_or("there is a server")?;
        let status = fs::read_to_string(format!("/proc/{}/status", server.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.ok_or("the kernel tells no VmRSS")?.parse()?)
    }

    /// That the server has used until now, all its threads, in user and system (proc(5), `/proc/PID/stat`).
    pub(super) fn processor_time(&self) -> Result<Duration> {
        let server = self.processes.last().ok_or("nothing runs")?;
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
        // The second field is a name in brackets, which may hold blanks.
        let (_, rest) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
        let field = |number: usize| rest.split_whitespace().nth(number - 3).ok_or("/proc/PID/stat is short");
        let ticks = field(14)?.parse::<u64>()? + field(15)?.parse::<u64>()?;
        // Linux tells everybody hundredths of a second, whatever its own clock does.
        Ok(Duration::from_millis(ticks * 10))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Gone already is as good as ended.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Peer {
    /// Starts the program on the server's core and, where it needs one, an nginx upstream on the other.
    pub(super) fn start(&self, folder: &Path) -> Result<Running> {
        let port = free_port()?;
        let upstream = free_port()?;
        let mut processes = Vec::new();
        if matches!(
            self.kind,
            Kind::NginxProxy
                | Kind::Janua(_)
                | Kind::JanuaWithStore
                | Kind::JanuaTls
                | Kind::JanuaCrowded
                | Kind::Bare
                | Kind::Haproxy
        ) {
            processes.push(nginx(folder, "upstream", upstream, None, LOAD_CORE)?);
            wait_for(upstream)?;
        }
        processes.push(match self.kind {
            Kind::Janua(level) => janua(folder, port, upstream, level, "memory")?,
            Kind::JanuaWithStore => janua(folder, port, upstream, "warn", "embedded")?,
            Kind::JanuaTls => janua_beside(folder, port, upstream, &tls_section(folder, port))?,
            Kind::JanuaCrowded => janua_beside(folder, port, upstream, CROWDED)?,
            Kind::Bare => spawn_pinned(SERVER_CORE, super::bare::command(port, upstream)?)?,
            Kind::Nginx => nginx(folder, "server", port, None, SERVER_CORE)?,
            Kind::NginxTls => nginx_tls(folder, port)?,
            Kind::NginxProxy => nginx(folder, "server", port, Some(upstream), SERVER_CORE)?,
            Kind::Haproxy => haproxy(folder, port)?,
            Kind::Octoka(on_allow) => octoka(folder, port, on_allow)?,
        });
        wait_for(port)?;
        Ok(Running {
            scheme: match self.kind {
                Kind::JanuaTls | Kind::NginxTls => "https",
                _ => "http",
            },
            port,
            processes,
        })
    }
}

pub(super) fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A port for a server that is about to start; nobody else is given it while this process lives.
pub(super) fn free_port() -> Result<u16> {
    let reserved: &Reserved = Box::leak(Box::new(Reserved::new(0)?));
    Ok(reserved.address().port())
}

pub(super) fn wait_for(port: u16) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if Instant::now() > deadline {
            return Err(format!("nothing listens on port {port}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn janua(folder: &Path, port: u16, upstream: u16, level: &str, store: &str) -> Result<Child> {
    let file = configure(folder, [port, free_port()?, upstream], level, store)?;
    let mut command = pinned(SERVER_CORE, Path::new(env!("CARGO_BIN_EXE_janua")));
    Ok(command.arg("run").arg("--config").arg(file).spawn()?)
}

/// For a case that needs more of the configuration: `more` is added at its end. Where that has the port, the plain
/// listener gets another.
fn janua_beside(folder: &Path, port: u16, upstream: u16, more: &str) -> Result<Child> {
    let plain = if more.contains(&port.to_string()) {
        free_port()?
    } else {
        port
    };
    let file = configure(folder, [plain, free_port()?, upstream], "warn", "memory")?;
    fs::write(&file, fs::read_to_string(&file)? + more)?;
    let mut command = pinned(SERVER_CORE, Path::new(env!("CARGO_BIN_EXE_janua")));
    Ok(command.arg("run").arg("--config").arg(file).spawn()?)
}

const CROWDED: &str = "\n[server.connections]\nper_address = 20_000\n";

fn tls_section(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "\n[[server.tls]]\nlisten = \"127.0.0.1:{port}\"\n\
         certificate = \"{folder}/certificate.pem\"\nkey = \"{folder}/key.pem\"\n"
    )
}

/// A command of ours, whatever it is, on one core.
fn spawn_pinned(core: &str, command: Command) -> Result<Child> {
    let mut outer = pinned(core, Path::new(command.get_program()));
    Ok(outer.args(command.get_args()).spawn()?)
}

/// Writes gateway.toml: the ports of the gateway, of its admin listener, and of the upstream.
pub(super) fn configure(folder: &Path, [port, admin, upstream]: [u16; 3], level: &str, store: &str) -> Result<PathBuf> {
    let config = format!(
        r#"
[server]
listen     = ["127.0.0.1:{port}"]
public_url = "http://127.0.0.1:{port}"
admin      = "127.0.0.1:{admin}"
threads    = 1

[log]
level = "{level}"
file  = "log/access.log"

[state]
store = "{store}"

[[jwt.issuers]]
name        = "bench"
jwks        = "jwks.json"
allow_roles = ["*_Learner"]

[upstreams.nginx]
servers = ["http://127.0.0.1:{upstream}"]

[[routes]]
name    = "decide"
path    = "/decide/{{event}}"
respond = {{ status = 204 }}
allow   = [{{ grant = "read", event = "{{event}}" }}]

[[routes]]
name  = "media"
path  = "/static/{{org}}/{{channel}}/{{event}}/{{*file}}"
files = "downloads"
strip = "/static"
allow = [{{ grant = "read", event = "{{event}}" }}]

[[routes]]
name   = "watched"
path   = "/watched/{{org}}/{{channel}}/{{event}}/{{*file}}"
files  = "downloads"
strip  = "/watched"
accept = ["jwt", "watch"]
watch  = {{ ttl = "4h" }}
allow  = [{{ grant = "read", event = "{{event}}" }}]

[[routes]]
name     = "proxied"
path     = "/proxied/{{org}}/{{channel}}/{{event}}/{{*file}}"
upstream = "nginx"
strip    = "/proxied"
allow    = [{{ grant = "read", event = "{{event}}" }}]

[[routes]]
name     = "open"
path     = "/open/{{org}}/{{channel}}/{{event}}/{{*file}}"
upstream = "nginx"
strip    = "/open"
allow    = [{{ anyone = true }}]

[sign_in.campus.cas]
server = "http://127.0.0.1:9/cas"

[[routes]]
name    = "decide-anyone"
path    = "/anyone/{{event}}"
respond = {{ status = 204 }}
allow   = [{{ anyone = true }}]

[[routes]]
name    = "decide-session"
path    = "/session/{{event}}"
respond = {{ status = 204 }}
accept  = ["session"]
sign_in = "campus"
allow   = [{{ signed_in = true }}]

[[routes]]
name     = "proxied-session"
path     = "/signed-in/{{org}}/{{channel}}/{{event}}/{{*file}}"
upstream = "nginx"
strip    = "/signed-in"
accept   = ["session"]
sign_in  = "campus"
allow    = [{{ signed_in = true }}]

[upstreams.moodle]
servers = ["http://127.0.0.1:{upstream}"]

[moodle.main]
upstream   = "moodle"
public_url = "http://127.0.0.1:{port}"
sign_in    = "campus"

[[routes]]
name     = "moodle-web-services"
path     = "{CALL}"
upstream = "moodle"
accept   = ["session"]
sign_in  = "campus"
allow    = [{{ signed_in = true }}]
present  = "moodle-token"

[[routes]]
name     = "moodle-as-it-is"
path     = "/as-it-is{CALL}"
upstream = "moodle"
strip    = "/as-it-is"
accept   = ["session"]
sign_in  = "campus"
allow    = [{{ signed_in = true }}]
"#
    );
    // Apart from the configuration, as operators have it: the gateway watches that one's folder.
    fs::create_dir_all(folder.join("log"))?;
    let file = folder.join("gateway.toml");
    fs::write(&file, config)?;
    Ok(file)
}

/// As `core_webservice_get_site_info` answers: an object in which Moodle's keys are looked for.
pub(super) fn site_info() -> String {
    let functions: Vec<String> = (0..16)
        .map(|number| format!("{{\"name\":\"core_function_{number:02}\",\"version\":\"2024042212.01\"}}"))
        .collect();
    format!(
        "{{\"sitename\":\"Bench\",\"username\":\"alice\",\"userid\":3,\"userprivateaccesskey\":\"{}\",\"functions\":[{}]}}",
        "0".repeat(32),
        functions.join(",")
    )
}

/// HAProxy verifies the signature with the bare key and answers itself: no roles, no grants, no key set.
fn haproxy(folder: &Path, port: u16) -> Result<Child> {
    let key = folder.join("public.pem");
    let config = format!(
        "global\n  nbthread 1\n  maxconn 1024\n\
         defaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
         frontend bench\n  bind 127.0.0.1:{port}\n\
         http-request set-var(txn.token) http_auth_bearer\n\
         http-request deny unless {{ var(txn.token),jwt_verify(\"ES256\",\"{}\") -m int 1 }}\n\
         http-request return status 200\n",
        key.display()
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, config)?;
    let program = on_path("haproxy").ok_or("haproxy is not on PATH")?;
    Ok(pinned(SERVER_CORE, &program).arg("-db").arg("-f").arg(file).spawn()?)
}

fn octoka(folder: &Path, port: u16, on_allow: &str) -> Result<Child> {
    // Octoka fetches its keys over HTTP only: an nginx on the load core would disturb, a static file server of its
    // own kind does not, since the keys are fetched once.
    let keys = free_port()?;
    let keys_folder = folder.join("keys");
    fs::create_dir_all(&keys_folder)?;
    fs::copy(folder.join("jwks.json"), keys_folder.join("jwks.json"))?;
    serve_once(keys, fs::read(folder.join("jwks.json"))?)?;
    let config = format!(
        "[opencast]\ndownloads_path = \"{}\"\nfallback = \"none\"\n\
         [jwt]\ntrusted_keys = [\"http://localhost:{keys}/jwks.json\"]\n\
         [http]\non_allow = \"{on_allow}\"\naddress = \"127.0.0.1\"\nport = {port}\n\
         [log]\nfilters.octoka = \"warn\"\n",
        folder.join("downloads").display()
    );
    let file = folder.join("octoka.toml");
    fs::write(&file, config)?;
    let program = PathBuf::from(std::env::var_os("OCTOKA").ok_or("OCTOKA names no binary")?);
    Ok(pinned(SERVER_CORE, &program)
        .arg("--config")
        .arg(file)
        .arg("run")
        .spawn()?)
}

/// A key endpoint for as long as this process lives.
fn serve_once(port: u16, body: Vec<u8>) -> Result<()> {
    use std::io::{Read, Write};
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            // A client that went away will ask again.
            let _ = stream
                .read(&mut request)
                .and_then(|_| stream.write_all(head.as_bytes()))
                .and_then(|()| stream.write_all(&body));
        }
    });
    Ok(())
}
