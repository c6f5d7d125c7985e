//! Another configuration while the gateway runs: on SIGHUP, and when gateway.toml changes.
//!
//! First everything is made that can fail, then all of it is put in place: a request meets one configuration or the
//! other, never a mixture, and no connection is touched. A file that cannot be used changes nothing. What only a
//! restart can change is told (`fixed`); what runs beside the requests is handed over (`background`).

pub mod background;
mod file;
mod fixed;

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};

use self::background::Background;
pub use self::file::ConfigFile;
use crate::authenticate::token::Tokens;
use crate::backchannel::BackchannelError;
use crate::config::{self, Config, Diagnostics, TlsListener};
use crate::key_file::{self, Looking, OpenFile};
use crate::listen::accept::Bounds;
use crate::listen::connection::HeaderBounds;
use crate::listen::tls::{Certificate, CertificateError, Shown};
use crate::named_file::{self, UnfitFile};
use crate::observe::mask;
use crate::observe::metrics::Metrics;
use crate::observe::reload_status::ReloadStatus;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::store::Store;

/// All that a reload reaches.
pub struct Running {
    /// What the process began with: some of it stays for good.
    pub started: Arc<Config>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub background: Background,
    /// The TLS listeners, each with the files that its certificate comes from.
    pub certificates: Vec<(TlsListener, Arc<Shown>)>,
    pub bounds: Arc<Bounds>,
    pub header: watch::Sender<HeaderBounds>,
    pub store: Store,
    pub metrics: Arc<Metrics>,
    pub status: Arc<ReloadStatus>,
}

/// Reloads whenever that is asked for.
pub struct Reloader {
    file: ConfigFile,
    hangup: Signal,
    running: Running,
}

/// Why a configuration is not taken.
#[derive(Debug, Error)]
enum Refusal {
    #[error("{}", .0.summary())]
    File(Diagnostics),
    #[error("server.tls: {0}")]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Unfit(#[from] UnfitFile),
    #[error("jwt: {0}")]
    Tokens(#[from] BackchannelError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("a defect of the gateway: {0}")]
    Panicked(#[from] JoinError),
}

/// A configuration, ready to be put in place.
struct Made {
    snapshot: Snapshot,
    warnings: Diagnostics,
    open_files: Vec<OpenFile>,
    /// Where another certificate is to be shown: the listener by its place, its files, their content.
    certificates: Vec<(usize, TlsListener, Certificate)>,
}

/// SIGHUP asks for a reload. To be called early: until then it ends the process.
pub fn hangup() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

impl Reloader {
    pub fn new(file: ConfigFile, hangup: Signal, running: Running) -> Self {
        if let Some(error) = file.unwatched() {
            tracing::warn!(%error, "changes of gateway.toml are not noticed; SIGHUP reloads it");
        }
        Self { file, hangup, running }
    }

    /// Reloads one time after the other; never ends by itself. Dropping it leaves the configuration as it is.
    pub async fn serve(&mut self) -> Infallible {
        loop {
            let why = tokio::select! {
                Some(()) = self.file.changed() => "gateway.toml has changed",
                _ = self.hangup.recv() => "SIGHUP received",
            };
            tracing::info!("{why}: reloading {}", self.file.path().display());
            match self.running.make(self.file.path()).await {
                Ok(made) => self.running.take(made).await,
                Err(refusal) => self.running.refuse(&refusal),
            }
        }
    }
}

impl Running {
    /// Reads and makes everything, on a thread that may wait for a disk. Changes nothing.
    async fn make(&self, path: &Path) -> Result<Made, Refusal> {
        let (path, store, metrics) = (path.to_owned(), self.store.clone(), Arc::clone(&self.metrics));
        let before = self.snapshot.load_full();
        let listeners: Vec<TlsListener> = self.certificates.iter().map(|(files, _)| files.clone()).collect();
        spawn_blocking(move || Made::new(&path, &before, &listeners, &store, &metrics)).await?
    }

    /// Puts it in place.
    async fn take(&mut self, made: Made) {
        mask::spare(&made.snapshot.config);
        log_lines(&made.warnings, |line| tracing::warn!("{line}"));
        key_file::tell(&made.open_files);
        let (before, next) = (self.snapshot.load_full(), Arc::new(made.snapshot));
        self.background.follow(&next, Some(&before)).await;
        let server = &next.config.server;
        self.bounds.set(server.into());
        self.header.send_replace(HeaderBounds::of(server));
        for (place, files, certificate) in made.certificates {
            if let Some((shown_files, shown)) = self.certificates.get_mut(place) {
                shown.replace(certificate);
                *shown_files = files;
            }
        }
        self.snapshot.store(Arc::clone(&next));
        forget_removed(&before, &next, &self.metrics);
        for key in fixed::differing(&self.started, &next.config) {
            tracing::warn!(
                key,
                "this change takes effect with a restart; everything else is in effect"
            );
        }
        self.status.taken();
        tracing::info!(
            routes = next.routes.len(),
            issuers = next.config.jwt.issuers.len(),
            upstreams = next.upstreams.len(),
            "configuration taken"
        );
    }

    fn refuse(&self, refusal: &Refusal) {
        if let Refusal::File(diagnostics) = refusal {
            log_lines(diagnostics, |line| tracing::error!("{line}"));
        }
        self.status.refused(refusal.to_string());
        tracing::error!("not reloaded, the configuration before serves on: {refusal}");
    }
}

impl Made {
    fn new(
        path: &Path,
        before: &Snapshot,
        listeners: &[TlsListener],
        store: &Store,
        metrics: &Metrics,
    ) -> Result<Self, Refusal> {
        let loaded = config::load(path).map_err(Refusal::File)?;
        let config = Arc::new(loaded.config);
        named_file::all_fit(&config)?;
        let mut certificates = Vec::new();
        for (place, shown) in listeners.iter().enumerate() {
            let mut wanted = config.server.tls.iter();
            let wanted = wanted.find(|wanted| wanted.listen == shown.listen);
            if let Some(other) = wanted.filter(|wanted| *wanted != shown) {
                let expiry = metrics.certificate_expiry(other.listen);
                certificates.push((place, other.clone(), Certificate::watched(other, &expiry)?));
            }
        }
        let tokens = if before.tokens.are_of(&config.jwt) {
            Arc::clone(&before.tokens)
        } else {
            Arc::new(Tokens::new(&config.jwt, store, metrics, Some(&before.tokens))?)
        };
        Ok(Self {
            snapshot: Snapshot::new(
                &config,
                tokens,
                before.people.clone(),
                before.passes.clone(),
                before.moodle_tokens.clone(),
                Some(before),
                metrics,
            )?,
            warnings: loaded.warnings,
            open_files: key_file::open_files(&config, Looking::Gateway),
            certificates,
        })
    }
}

/// A line of the log for each line of text, so that it reads as on a terminal.
fn log_lines(diagnostics: &Diagnostics, log: impl Fn(&str)) {
    let text = diagnostics.render(false);
    text.lines().filter(|line| !line.trim().is_empty()).for_each(log);
}

/// Ends the gauges of what is gone, which would show its last state for ever.
fn forget_removed(before: &Snapshot, next: &Snapshot, metrics: &Metrics) {
    let issuers: HashSet<_> = next.config.jwt.issuers.iter().map(|issuer| &issuer.name).collect();
    for issuer in &before.config.jwt.issuers {
        if !issuers.contains(&issuer.name) {
            metrics.forget_issuer(&issuer.name);
        }
    }
    let servers = |snapshot: &Snapshot| -> HashSet<(Arc<str>, String)> {
        let upstreams = snapshot.upstreams.iter();
        let servers = upstreams.flat_map(|upstream| {
            let servers = upstream.servers().into_iter();
            servers.map(|(server, _)| (Arc::clone(&upstream.name), server))
        });
        servers.collect()
    };
    for (upstream, server) in servers(before).difference(&servers(next)) {
        metrics.forget_upstream_server(upstream, server);
    }
}
