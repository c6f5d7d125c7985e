//! Diagnostics: what is logged at which level, and that no secret is at any.
//!
//! Our own lines obey `log.level`. Other crates' lines are capped, whatever that level is: below `warn`, pingora, h2
//! and their like print whole headers, queries and bodies, and with them tokens. The list is `cap`. Lines that pass
//! still lose whatever looks like a token, and their line breaks.

use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tokio::signal::unix::Signal;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;

use super::access_log::AccessLog;
use super::log_file::{LogFile, Rotation};
use super::look::Look;
use super::mask;
use super::metrics::LogMetrics;
pub use super::sink::Guard;
use super::sink::{Sink, Target};
use crate::config::{Log, LogFormat, LogLevel, When};
use crate::redact;
use crate::text::safe;
use crate::time::write_rfc3339;

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("cannot open the log file {}: {}", path.display(), unopened(path, error))]
    Open { path: PathBuf, error: io::Error },
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(io::Error),
    #[error("the log is set up already")]
    Twice,
}

fn unopened(path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "; its folder is not there, or that of what it is a link to: make it",
        io::ErrorKind::PermissionDenied => "; let the gateway's user write there",
        _ if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
            let is_socket = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket());
            return match is_socket {
                // As stdout and stderr are where systemd keeps the log.
                true => "it is a socket: leave `log.file` out, and the log goes to stderr".to_owned(),
                false => "it is a FIFO that nobody reads: start its reader first, or name a file".to_owned(),
            };
        }
        _ => "",
    };
    format!("{error}{remedy}")
}

/// Sets up the process's log: access lines and diagnostics in one format, to one target. To be called once, early; what
/// is masked is known before ([`mask::install`]). In "combined" a file has the access lines alone, and stderr the others:
/// programs that read this format know no other line.
///
/// `color` goes before `log.color`. `metrics` counts lines that were lost, and files. Access lines count as `info`: `log.level = "warn"` turns them off.
/// Keep the guard until the process ends: the last lines are written when it is dropped.
///
/// # Errors
/// The file cannot be opened, no thread can be started, or the log is set up already.
pub fn init(log: &Log, color: Option<When>, metrics: &LogMetrics) -> Result<(AccessLog, Guard), LogError> {
    let log = &Log {
        color: color.unwrap_or(log.color),
        ..log.clone()
    };
    let target = match &log.file {
        None => Target::Stderr,
        Some(path) => {
            let rotation = log.rotate.map(|rotate| {
                let (done, failed) = (metrics.rotated.clone(), metrics.not_rotated.clone());
                Rotation::new(rotate, done, failed)
            });
            Target::File(LogFile::open(path, rotation).map_err(|error| LogError::Open {
                path: path.clone(),
                error,
            })?)
        }
    };
    let dropped = || metrics.dropped.clone();
    let (sink, mut guard) = Sink::start(target, dropped()).map_err(LogError::Thread)?;
    let look = Look::of(log, log.file.is_none());
    let diagnostics = match log.format {
        LogFormat::Combined if log.file.is_some() => {
            let (sink, mut other) = Sink::start(Target::Stderr, dropped()).map_err(LogError::Thread)?;
            guard.join(&mut other);
            Diagnostics {
                sink,
                look: Look::of(log, true),
            }
        }
        _ => Diagnostics {
            sink: sink.clone(),
            look,
        },
    };
    let level = level(log.level);
    tracing::subscriber::set_global_default(subscriber(level, log.format, diagnostics)).map_err(|_| LogError::Twice)?;
    log::set_boxed_logger(Box::new(Bridge)).map_err(|_| LogError::Twice)?;
    // No crate's records pass beyond `info`; what is off here costs a request nothing.
    log::set_max_level(match level {
        Level::ERROR => log::LevelFilter::Error,
        Level::WARN => log::LevelFilter::Warn,
        _ => log::LevelFilter::Info,
    });
    Ok((AccessLog::new(sink, log, look, level >= Level::INFO), guard))
}

/// At each SIGUSR1, which is `asked`: whoever moved the log's file away may have it for themselves, even if nothing is logged.
pub async fn reopen(mut asked: Signal, log: AccessLog) {
    while asked.recv().await.is_some() {
        log.reopen();
        tracing::info!("SIGUSR1 received: the log's file is opened anew");
    }
}

/// From now on a panic, on any thread, is one line of the log like any other. To be called after [`init`].
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::error!("{}", panic_line(panic))));
}

/// The most that a target may tell.
///
/// | target | at most | because |
/// | --- | --- | --- |
/// | `janua` | `log.level` | our own; holds no secrets |
/// | `pingora_proxy` | nothing | each of its lines is about one request, and the gateway tells of each itself; its errors quote raw bytes of headers that do not parse (`buf: …`), its summaries quote the query |
/// | `pingora_core::apps` | nothing | the same |
/// | `pingora_core::protocols` | `error` | its warnings quote `Content-Length`, and any client can cause them |
/// | `rustls` | `error` | its warnings are alerts that any client can cause |
/// | `rustls_platform_verifier` | nothing | each of its lines is about a certificate, which the gateway tells of itself |
/// | `pingora_load_balancing` | `info` | servers that come and go |
/// | every other | `warn` | below it stand headers and bodies |
fn cap(target: &str, configured: Level) -> LevelFilter {
    let within = |module: &str| {
        target
            .strip_prefix(module)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let most = match () {
        () if within("janua") => LevelFilter::TRACE,
        () if within("pingora_proxy") || within("pingora_core::apps") => LevelFilter::OFF,
        () if within("rustls_platform_verifier") => LevelFilter::OFF,
        () if within("pingora_core::protocols") || within("rustls") => LevelFilter::ERROR,
        () if within("pingora_load_balancing") => LevelFilter::INFO,
        () => LevelFilter::WARN,
    };
    most.min(LevelFilter::from_level(configured))
}

fn subscriber<W>(level: Level, format: LogFormat, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let passes = move |metadata: &Metadata<'_>| *metadata.level() <= cap(metadata.target(), level);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_timer(Clock)
        .with_writer(writer);
    let lines = match format {
        LogFormat::Text | LogFormat::Combined => lines.boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    let filter = filter_fn(passes).with_max_level_hint(LevelFilter::from_level(level));
    tracing_subscriber::registry().with(lines.with_filter(filter))
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
}

/// Takes the records of crates that log through `log`, pingora above all, to `tracing`.
struct Bridge;

impl log::Log for Bridge {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        // The subscriber decides.
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // pingora tells a client's failed TLS handshake as its own error, beside errors of the listener itself.
        let is_of_client = record.target() == "pingora_core::services::listening"
            && record.args().to_string().starts_with("Downstream handshake");
        // And as an error that a kept connection was closed by its server: another one is opened.
        let is_of_pool = record.target() == "pingora_core::connectors"
            && record
                .args()
                .to_string()
                .starts_with("failed to acquire reusable stream");
        if is_of_client {
            tracing::debug!(target: "janua::listen", "{}", record.args());
        } else if is_of_pool {
            tracing::debug!(target: "janua::upstream", "{}", record.args());
        } else if let Err(error) = tracing_log::format_trace(record) {
            tracing::debug!(%error, "a record of {} is lost", record.target());
        }
    }

    fn flush(&self) {}
}

fn panic_line(panic: &PanicHookInfo<'_>) -> String {
    let payload = panic.payload();
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("without a message");
    match panic.location() {
        Some(location) => format!("panicked at {location}: {text}"),
        None => format!("panicked: {text}"),
    }
}

/// Where diagnostic lines go, and how they look there.
struct Diagnostics {
    sink: Sink,
    look: Look,
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = Diagnostic<'a>;

    fn make_writer(&'a self) -> Diagnostic<'a> {
        Diagnostic(self, Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Diagnostic<'a> {
        Diagnostic(self, *metadata.level())
    }
}

/// Writes one diagnostic line of a level, made harmless, to the sink.
struct Diagnostic<'a>(&'a Diagnostics, Level);

impl Write for Diagnostic<'_> {
    /// `tracing-subscriber` hands over one whole line a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Self(Diagnostics { sink, look }, level) = self;
        let mut told = String::with_capacity(line.len() + 32);
        look.line(&mut told, *level, &harmless(&String::from_utf8_lossy(line)));
        sink.push(told.as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A line without tokens, masked addresses and control characters, ended by one line feed. Quotes stay: they are the format's own.
fn harmless(line: &str) -> String {
    let line = redact::tokens(line.trim_end_matches('\n'));
    let line = mask::text(&line);
    let mut told = safe(&line).into_owned();
    told.push('\n');
    told
}

struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        write_rfc3339(out, std::time::SystemTime::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::metrics::Metrics;
    use log::Log as _;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::writer::BoxMakeWriter;

    const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjF9.c2lnbmF0dXJl";

    /// What is written while `act` runs at this level.
    fn written(level: Level, format: LogFormat, act: impl FnOnce()) -> String {
        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<String>>);
        impl Write for Kept {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                self.0
                    .lock()
                    .unwrap()
                    .push_str(&harmless(&String::from_utf8_lossy(line)));
                Ok(line.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let lines = kept.clone();
        let writer = BoxMakeWriter::new(move || lines.clone());
        tracing::subscriber::with_default(subscriber(level, format, writer), act);
        kept.0.lock().unwrap().clone()
    }

    fn record(target: &str, level: log::Level, text: &str) {
        Bridge.log(
            &log::Record::builder()
                .target(target)
                .level(level)
                .args(format_args!("{text}"))
                .build(),
        );
    }

    #[test]
    fn our_own_lines_obey_the_level_and_no_other_crate_goes_below_its_cap() {
        for configured in [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
            assert_eq!(cap("janua::server", configured), LevelFilter::from_level(configured));
            for target in [
                "pingora_proxy",
                "pingora_proxy::proxy_h1",
                "pingora_core::apps::http_app",
            ] {
                assert_eq!(cap(target, configured), LevelFilter::OFF, "{target}");
            }
            for target in [
                "h2::codec",
                "hyper",
                "reqwest::connect",
                "pingora_core::server",
                "janua_like",
                "access",
            ] {
                assert!(cap(target, configured) <= LevelFilter::WARN, "{target}");
            }
            assert_eq!(
                cap("pingora_core::protocols::http::v1::common", configured),
                LevelFilter::ERROR
            );
        }
        assert_eq!(cap("pingora_load_balancing", Level::TRACE), LevelFilter::INFO);
        assert_eq!(cap("pingora_load_balancing", Level::WARN), LevelFilter::WARN);
    }

    #[test]
    fn what_pingora_tells_of_requests_never_shows() {
        let line = format!("Fail to proxy: buf: GET /v.mp4?jwt={TOKEN}");
        for level in [
            log::Level::Error,
            log::Level::Warn,
            log::Level::Info,
            log::Level::Debug,
            log::Level::Trace,
        ] {
            for target in ["pingora_proxy", "pingora_core::apps::http_app"] {
                assert_eq!(
                    written(Level::TRACE, LogFormat::Text, || record(target, level, &line)),
                    ""
                );
            }
        }
        let told = written(Level::TRACE, LogFormat::Text, || {
            record("pingora_core::server", log::Level::Error, "Accept() failed");
        });
        assert!(
            told.ends_with("ERROR pingora_core::server: Accept() failed\n"),
            "{told}"
        );
    }

    #[test]
    fn a_clients_failed_handshake_is_no_error_of_ours() {
        let failed = || {
            let target = "pingora_core::services::listening";
            record(
                target,
                log::Level::Error,
                "Downstream handshake error from 192.0.2.1:9: eof",
            );
            record(target, log::Level::Error, "Accept() failed");
        };
        let told = written(Level::INFO, LogFormat::Text, failed);
        assert!(
            told.contains("Accept() failed") && !told.contains("handshake"),
            "{told}"
        );
        assert!(written(Level::DEBUG, LogFormat::Text, failed).contains("DEBUG janua::listen: Downstream handshake"));
    }

    #[test]
    fn a_line_is_one_line_without_tokens() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let told = written(Level::INFO, format, || {
                tracing::info!(target: "janua::server", why = %TOKEN, "two\nlines \u{1b}[31m of {TOKEN}");
            });
            assert_eq!(told.matches('\n').count(), 1, "{told}");
            assert!(
                told.contains("***") && !told.contains("eyJ") && !told.contains('\u{1b}'),
                "{told}"
            );
        }
    }

    #[test]
    fn json_lines_begin_as_those_of_the_access_log() {
        let told = written(
            Level::INFO,
            LogFormat::Json,
            || tracing::info!(target: "janua::server", port = 1, "up"),
        );
        let line: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "janua::server");
        assert_eq!(line["message"], "up");
        assert_eq!(line["port"], 1);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }

    #[test]
    fn the_log_is_set_up_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("janua.log");
        let log = Log {
            level: LogLevel::Info,
            format: LogFormat::Json,
            file: Some(path.clone()),
            fields: None,
            mask: Vec::new(),
            rotate: None,
            color: When::Auto,
            priority: When::Auto,
        };
        let metrics = Metrics::new().log();
        let (access, guard) = init(&log, None, &metrics).unwrap();
        assert!(access.is_enabled());
        tracing::warn!(target: "janua::server", "first");
        log::warn!(target: "pingora_core::server", "second");
        assert!(matches!(init(&log, None, &metrics), Err(LogError::Twice)));
        drop(guard);
        let told = std::fs::read_to_string(&path).unwrap();
        assert!(told.contains("first") && told.contains("second"), "{told}");
        let nowhere = Log {
            file: Some(folder.path().join("no/such/log")),
            ..log
        };
        let opened = init(&nowhere, None, &metrics);
        assert!(matches!(opened, Err(LogError::Open { .. })));
    }
}
