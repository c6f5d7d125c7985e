//! The control socket: how commands on the same machine ask the running gateway. Who may open the file may ask.
//!
//! One JSON object a line, each way. Everything is bounded: a line, the time of a connection, connections at once.
//! A lock beside the socket tells the file of a dead process from that of a living one.

pub mod vault;

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::authenticate::watch::{RevocationError, Revoked};
use crate::explain::{self, Question, Report, why};
use crate::gateway::recent::Recent;
use crate::observe::mask;
use crate::private_file::{folder_of, make_folder};
use crate::snapshot::Snapshot;

/// Bytes of one request.
pub const MAX_REQUEST: u64 = 64 * 1024;
/// Bytes of one answer that a command reads.
const MAX_ANSWER: u64 = 4 << 20;
/// Connections at once; more wait to be accepted.
const CONNECTIONS: usize = 4;
const BACKLOG: u32 = 16;
/// Until a request has come, and until its answer is made and taken.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed `accept`.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Why there is no control socket, or no answer from it.
#[derive(Debug, Error)]
pub enum ControlError {
    #[error(
        "{path}: another running gateway has this control socket: end that one, or give this one its own `server.control`"
    )]
    InUse { path: PathBuf },
    #[error("{path}: something else than a socket is in its place: move it away, or name another `server.control`")]
    NotASocket { path: PathBuf },
    #[error("{path}: the control socket cannot be made: {source}")]
    Make { path: PathBuf, source: io::Error },
    #[error("{path}: no gateway answers there: {source}")]
    NobodyThere { path: PathBuf, source: io::Error },
    #[error("{path}: the gateway did not answer properly: {detail}")]
    Answer { path: PathBuf, detail: String },
    #[error("the gateway refuses: {0}")]
    Refused(String),
}

impl ControlError {
    /// A gateway may be there, but this user may not ask it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::NobodyThere { source, .. } if source.kind() == io::ErrorKind::PermissionDenied)
    }
}

/// What may be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Verb {
    Explain(Question),
    Why(why::Which),
    Revoke(Revoked),
    Vault(vault::Request),
    About,
}

/// Which gateway this is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct About {
    /// The id of its process.
    pub process: u32,
    /// Its gateway.toml.
    pub config: PathBuf,
    /// Where it listens, the admin listener included.
    pub listens: Vec<SocketAddr>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Explain(Box<Report>),
    Why(why::Answer),
    /// It holds here already; on other replicas within a second.
    Revoked,
    Vault(vault::Response),
    About(About),
    Error(String),
}

/// What may be asked about, beside what requests are judged by.
struct Asked {
    about: About,
    recent: Arc<Recent>,
}

/// A bound control socket; its file goes when this is dropped.
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket's file is gone already");
        }
    }
}

/// May the socket be made here? True: one is there already. Errors: something else is, or it cannot be told.
pub fn place(path: &Path) -> Result<bool, ControlError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if is_socket(&found) => Ok(true),
        Ok(_) => Err(ControlError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ControlError::Make {
            path: path.to_owned(),
            source,
        }),
    }
}

impl Control {
    /// Makes the socket (0600) and, if missing, its folder (0700). A file that a dead gateway left is replaced.
    ///
    /// Must be called within a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let make = |source| ControlError::Make {
            path: path.to_owned(),
            source,
        };
        folder_of(path).map_or(Ok(()), make_folder).map_err(make)?;
        let lock = lock(path)?;
        if place(path)? {
            std::fs::remove_file(path).map_err(make)?;
        }
        let socket = UnixSocket::new_stream().map_err(make)?;
        socket.bind(path).map_err(make)?;
        // Nobody can connect before `listen`, so nobody connects under a wider mode.
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(make)?;
        Ok(Self {
            listener: socket.listen(BACKLOG).map_err(make)?,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Answers until dropped. `recent` is what is kept of requests, `snapshot` gives what the gateway decides by at that
    /// moment.
    pub async fn serve(self, about: About, recent: Arc<Recent>, snapshot: impl Fn() -> Arc<Snapshot>) {
        let asked = Arc::new(Asked { about, recent });
        let free = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&free).acquire_owned().await else {
                return; // it is never closed
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                }
            };
            let (snapshot, asked) = (snapshot(), Arc::clone(&asked));
            tokio::spawn(async move {
                match timeout(TIMEOUT, converse(stream, &snapshot, &asked)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::debug!(%error, "a control connection failed"),
                    Err(_) => tracing::debug!("a control client was too slow"),
                }
                drop(place);
            });
        }
    }
}

/// Asks the gateway behind `path`. Waits for its answer ten seconds and a little.
pub async fn explain(path: &Path, question: Question) -> Result<Report, ControlError> {
    match ask(path, &Verb::Explain(question)).await? {
        Answer::Explain(report) => Ok(*report),
        other => Err(other.unexpected(path)),
    }
}

/// Asks the gateway behind `path` about a request that it has answered.
pub async fn why(path: &Path, which: why::Which) -> Result<why::Answer, ControlError> {
    match ask(path, &Verb::Why(which)).await? {
        Answer::Why(told) => Ok(told),
        other => Err(other.unexpected(path)),
    }
}

/// Has the gateway behind `path` end watch passes and launch sessions.
pub async fn revoke(path: &Path, revoked: Revoked) -> Result<(), ControlError> {
    match ask(path, &Verb::Revoke(revoked)).await? {
        Answer::Revoked => Ok(()),
        other => Err(other.unexpected(path)),
    }
}

/// Asks the gateway behind `path` about its vault or its master key.
pub async fn vault(path: &Path, asked: vault::Request) -> Result<vault::Response, ControlError> {
    match ask(path, &Verb::Vault(asked)).await? {
        Answer::Vault(told) => Ok(told),
        other => Err(other.unexpected(path)),
    }
}

/// Asks the gateway behind `path` which one it is.
pub async fn about(path: &Path) -> Result<About, ControlError> {
    match ask(path, &Verb::About).await? {
        Answer::About(about) => Ok(about),
        other => Err(other.unexpected(path)),
    }
}

/// Does a gateway answer behind `path`? Errors: that cannot be found out, as without the right to ask.
pub async fn is_answered(path: &Path) -> Result<bool, ControlError> {
    match UnixStream::connect(path).await {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(false),
        Err(source) => Err(ControlError::NobodyThere {
            path: path.to_owned(),
            source,
        }),
    }
}

impl Answer {
    fn unexpected(self, path: &Path) -> ControlError {
        match self {
            Self::Error(error) => ControlError::Refused(error),
            Self::Explain(_) | Self::Why(_) | Self::Revoked | Self::Vault(_) | Self::About(_) => ControlError::Answer {
                path: path.to_owned(),
                detail: "an answer to another question".to_owned(),
            },
        }
    }
}

async fn ask(path: &Path, verb: &Verb) -> Result<Answer, ControlError> {
    let nobody = |source| ControlError::NobodyThere {
        path: path.to_owned(),
        source,
    };
    let odd = |detail: String| ControlError::Answer {
        path: path.to_owned(),
        detail,
    };
    let mut request = serde_json::to_vec(verb).map_err(|error| odd(error.to_string()))?;
    request.push(b'\n');
    if request.len() as u64 > MAX_REQUEST {
        return Err(odd(format!("the question is larger than {MAX_REQUEST} bytes")));
    }
    let mut stream = UnixStream::connect(path).await.map_err(nobody)?;
    let exchange = async {
        stream.write_all(&request).await?;
        let mut answer = String::new();
        BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = timeout(TIMEOUT + Duration::from_secs(1), exchange)
        .await
        .map_err(|_| odd("it took too long".to_owned()))?
        .map_err(|error| odd(error.to_string()))?;
    serde_json::from_str(&answer).map_err(|error| odd(error.to_string()))
}

async fn converse(stream: UnixStream, snapshot: &Arc<Snapshot>, asked: &Asked) -> io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut request = Vec::new();
    let mut reading = BufReader::new(reading.take(MAX_REQUEST));
    reading.read_until(b'\n', &mut request).await?;
    if request.is_empty() {
        return Ok(());
    }
    let answer = if request.ends_with(b"\n") {
        answer(&request, snapshot, asked).await
    } else {
        Answer::Error(format!("a request is one line of at most {MAX_REQUEST} bytes"))
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    writing.write_all(&line).await
}

async fn answer(request: &[u8], snapshot: &Arc<Snapshot>, asked: &Asked) -> Answer {
    match serde_json::from_slice(request) {
        Ok(Verb::Explain(question)) => {
            let keys = snapshot.tokens.key_sources();
            let (time, instant) = (SystemTime::now(), Instant::now());
            let report = explain::explain(snapshot, &question, &keys, true, time, instant).await;
            Answer::Explain(Box::new(report))
        }
        Ok(Verb::Why(which)) => Answer::Why(why::answer(
            &asked.recent,
            &which,
            snapshot.generation,
            SystemTime::now(),
        )),
        Ok(Verb::Revoke(revoked)) => {
            let told = match &revoked {
                Revoked::Subject(subject) => Revoked::Subject(mask::subject(subject).into_owned()),
                event @ Revoked::Event(_) => event.clone(),
            };
            tracing::info!(revoked = ?told, "watch passes and launch sessions are revoked");
            let subject = match &revoked {
                Revoked::Subject(subject) => Some(subject.clone()),
                Revoked::Event(_) => None,
            };
            let mut done = snapshot.passes.revocations.revoke(revoked, SystemTime::now()).await;
            if let (Ok(()), Some(subject)) = (&done, subject) {
                // None of them counts any more; what is left of them goes.
                done = snapshot.launches_ended(&subject).await.map_err(Into::into);
            }
            match done {
                Ok(()) => Answer::Revoked,
                Err(error @ RevocationError::Name) => Answer::Error(error.to_string()),
                Err(RevocationError::Store(error)) => {
                    let remedy =
                        "it holds for this process until it ends; run the command again when the store is back";
                    Answer::Error(format!("{error}; {remedy}"))
                }
            }
        }
        Ok(Verb::Vault(wanted)) => {
            let told = vault::answer(wanted, snapshot.moodle_tokens.store(), &snapshot.config).await;
            told.map_or_else(Answer::Error, Answer::Vault)
        }
        Ok(Verb::About) => Answer::About(asked.about.clone()),
        // Its text may quote what was sent, a token too.
        Err(error) => Answer::Error(format!("no request that is known here (column {})", error.column())),
    }
}

/// The lock file beside the socket, held by this process.
fn lock(path: &Path) -> Result<File, ControlError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let make = |source| ControlError::Make {
        path: path.to_owned(),
        source,
    };
    let file = options.open(&name).map_err(make)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ControlError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(make(source)),
    }
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    found.file_type().is_socket()
}
