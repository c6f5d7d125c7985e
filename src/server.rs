//! Wiring: from a configuration to a gateway on duty, and its end.

mod signals;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use pingora::apps::{HttpServerApp, HttpServerOptions};
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::HttpProxy;
use pingora::server::configuration::ServerConf;
use pingora_runtime::Runtime;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::signals::Signals;
use crate::admin::{self, Source as _};
use crate::authenticate::token::Tokens;
use crate::backchannel::BackchannelError;
use crate::config::{Config, When};
use crate::control::{About, Control, ControlError};
use crate::gateway::Gateway;
use crate::gateway::recent::Recent;
use crate::key_file::{self, Looking};
use crate::listen::accept::{Bounds, Door, Listener};
use crate::listen::connection::HeaderBounds;
use crate::listen::tls::{self, CertificateError};
use crate::moodle::MoodleTokens;
use crate::named_file::{self, UnfitFile};
use crate::observe::Observer;
use crate::observe::access_log::AccessLog;
use crate::observe::denials::Denials;
use crate::observe::logging::{self, LogError};
use crate::observe::mask::{self, Mask};
use crate::observe::metrics::Metrics;
use crate::observe::reload_status::ReloadStatus;
use crate::overview::Overview;
use crate::reload::background::Background;
use crate::reload::{self, ConfigFile, Reloader, Running};
use crate::sealing::{MasterKeyError, MasterKeys, Purpose};
use crate::sign_in::People;
use crate::snapshot::{Passes, Snapshot, SnapshotError};
use crate::statistics::{ExportError, Statistics};
use crate::store::{Store, StoreError};

/// Bytes of an answer that one stream of HTTP/2 may have in memory, beyond what its pieces are read into.
const H2_UNSENT: usize = 128 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// Between two looks whether the gateway is ready at last.
const UNTIL_READY: Duration = Duration::from_millis(200);
/// Unused connections kept to all upstreams together, per worker thread.
const UPSTREAM_POOL: usize = 1024;

/// Why the gateway does not start. Each text names the place and a remedy.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("{key} = {address}: {}", remedy(.source))]
    Listen {
        key: &'static str,
        address: SocketAddr,
        source: io::Error,
    },
    #[error("state: {0}")]
    Store(#[from] StoreError),
    #[error("state: {0}")]
    Keys(#[from] MasterKeyError),
    #[error("log: {0}")]
    Log(#[from] LogError),
    #[error("server.tls: {0}")]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Unfit(#[from] UnfitFile),
    #[error("jwt: {0}")]
    Tokens(#[from] BackchannelError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("statistics: {0}")]
    Statistics(#[from] ExportError),
    #[error("server.control: {0}")]
    Control(#[from] ControlError),
    #[error("signals cannot be received: {0}")]
    Signal(#[source] io::Error),
}

impl RunError {
    /// Of a listener: what the system said.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Listen { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// Of a listener: what is wrong with its address, and what to do, without the address.
    pub fn remedy(&self) -> String {
        match self {
            Self::Listen { source, .. } => remedy(source),
            other => other.to_string(),
        }
    }
}

fn remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken by another process (`ss -ltnp` names it): end that one or choose another port".into()
        }
        io::ErrorKind::PermissionDenied => "no permission: ports below 1024 need CAP_NET_BIND_SERVICE (systemd: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE); take a higher port or grant it"
            .into(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".into(),
        _ => error.to_string(),
    }
}

/// Runs the gateway until SIGTERM or SIGINT, and until the transfers then running are done or `shutdown_grace` is
/// over. A second signal ends it at once. `file` is where `config` comes from; when it changes, it is read again. `color`
/// goes before `log.color`.
pub fn run(file: ConfigFile, config: Config, color: Option<When>) -> Result<(), RunError> {
    install_crypto();
    let metrics = Arc::new(Metrics::new());
    let key = || MasterKeys::of(&config.state).map(|keys| keys.mac(Purpose::LogSubject));
    mask::install(Mask::new(&config.log.mask, key)?);
    mask::spare(&config);
    let (access_log, _flushed_at_the_end) = logging::init(&config.log, color, &metrics.log())?;
    logging::tell_panics();
    key_file::tell(&key_file::open_files(&config, Looking::Gateway));
    named_file::all_fit(&config)?;
    let keys = MasterKeys::of(&config.state)?;
    let store = Store::open(&config.state, &keys, &metrics)?;
    let runtime = Runtime::new_no_steal(config.server.threads, "janua");
    let result = runtime
        .get_handle()
        .block_on(serve(file, Arc::new(config), &keys, store, metrics, access_log));
    runtime.shutdown_timeout(Duration::ZERO);
    result
}

/// One crypto library for TLS, tokens and everything else. pingora would take another if none were chosen.
pub fn install_crypto() {
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed already");
    }
}

async fn serve(
    file: ConfigFile,
    config: Arc<Config>,
    keys: &MasterKeys,
    store: Store,
    metrics: Arc<Metrics>,
    log: AccessLog,
) -> Result<(), RunError> {
    let server = &config.server;
    let mut signals = Signals::new().map_err(RunError::Signal)?;
    let hangup = reload::hangup().map_err(RunError::Signal)?;
    let reopen = signal(SignalKind::user_defined1()).map_err(RunError::Signal)?;
    tokio::spawn(logging::reopen(reopen, log.clone()));
    // All sockets first: nothing is asked of anybody by a gateway that cannot listen.
    let admin_socket = bind("server.admin", server.admin)?;
    let mut listeners = Vec::new();
    for address in &server.listen {
        listeners.push(Listener {
            socket: bind("server.listen", *address)?,
            tls: None,
        });
    }
    let mut certificates = Vec::new();
    for listener in &server.tls {
        let (acceptor, shown) = tls::acceptor(listener, metrics.certificate_expiry(listener.listen))?;
        certificates.push((listener.clone(), shown));
        listeners.push(Listener {
            socket: bind("server.tls.listen", listener.listen)?,
            tls: Some(acceptor),
        });
    }

    let control = control_socket(&config)?;

    let people = People::new(&store, keys, &metrics.sessions());
    people.sessions.follow();
    people.launches.follow();
    let tokens = Arc::new(Tokens::new(&config.jwt, &store, &metrics, None)?);
    let moodle_tokens = MoodleTokens::new(&store, keys, metrics.moodle());
    moodle_tokens.follow();
    let passes = Passes::new(keys, &store);
    let snapshot = Arc::new(Snapshot::new(
        &config,
        tokens,
        people,
        passes.clone(),
        moodle_tokens,
        None,
        &metrics,
    )?);
    snapshot.prepare_keys()?;
    // So that no pass that was ended before a restart is taken after it.
    passes.revocations.begin(SystemTime::now()).await?;
    tokio::spawn(passes.revocations.follow(SystemTime::now));
    let (shut_down, shutdown) = watch::channel(false);
    let mut background = Background::new(shutdown.clone());
    background.follow(&snapshot, None).await;

    let snapshot = Arc::new(ArcSwap::from(snapshot));
    let (asked_about, in_force) = (Arc::clone(&snapshot), Arc::downgrade(&snapshot));
    snapshot
        .load()
        .people
        .sessions
        .at_end(Box::new(move |key, record, how| {
            let in_force = in_force.upgrade();
            Box::pin(async move {
                if let Some(snapshot) = in_force {
                    snapshot.load_full().session_ended(key, record, how).await;
                }
            })
        }));
    let about = About {
        process: std::process::id(),
        config: file.path().to_owned(),
        listens: listeners
            .iter()
            .map(|listener| &listener.socket)
            .chain([&admin_socket])
            .filter_map(|socket| socket.local_addr().ok())
            .collect(),
    };
    let recent = Arc::new(Recent::new(server.recent));
    let told = Arc::clone(&recent);
    let control = control.map(|control| tokio::spawn(control.serve(about, told, move || asked_about.load_full())));
    let denials = Arc::new(Denials::new(server.denials));
    let observer = Observer::new(&metrics, log, Arc::clone(&denials));
    let (statistics, _written_at_the_very_end) = Statistics::start(config.statistics.as_ref(), keys, &metrics)?;
    let gateway = Gateway {
        snapshot: Arc::clone(&snapshot),
        observer,
        recent: Arc::clone(&recent),
        statistics: statistics.clone(),
    };
    let app = Arc::new(proxy(&config, gateway));
    let bounds = Bounds::new(server.into(), &metrics);
    let header = watch::Sender::new(HeaderBounds::of(server));
    let door = Door {
        app: Arc::clone(&app),
        bounds: Arc::clone(&bounds),
        header: header.subscribe(),
        shutdown,
    };
    let status = Arc::new(ReloadStatus::new(&metrics));
    let overview = Arc::new(Overview::new(
        Arc::clone(&metrics),
        Arc::clone(&snapshot),
        Arc::clone(&status),
        denials,
        recent,
    ));
    let running = Running {
        started: Arc::clone(&config),
        snapshot: Arc::clone(&snapshot),
        background,
        certificates,
        bounds,
        header,
        store,
        metrics,
        status,
    };
    let mut reloader = Reloader::new(file, hangup, running);
    announce("admin on http", &admin_socket);
    // Until the very end, so that a probe sees "not ready" while transfers finish.
    tokio::spawn(admin::serve(
        admin_socket,
        Arc::clone(&overview) as _,
        std::future::pending(),
    ));
    for listener in listeners {
        announce(
            if listener.tls.is_some() {
                "listening on https"
            } else {
                "listening on http"
            },
            &listener.socket,
        );
        tokio::spawn(door.clone().serve(listener));
    }
    tell_readiness(&overview);

    let name = tokio::select! {
        name = signals.next() => name,
        never = reloader.serve() => match never {},
    };
    let grace = snapshot.load().config.server.shutdown_grace;
    tracing::info!("{name} received: no new connections; running transfers have {grace:?}");
    overview.drain();
    // A gateway that takes over while the last transfers finish shall have the socket.
    control.inspect(JoinHandle::abort);
    shut_down.send_replace(true);
    app.http_cleanup().await;
    tokio::select! {
        () = door.bounds.all_closed() => tracing::info!("all connections are closed"),
        () = tokio::time::sleep(grace) => {
            tracing::warn!(cut = door.bounds.open(), "shutdown_grace is over: connections are cut");
        }
        name = signals.next() => tracing::warn!(cut = door.bounds.open(), "{name} again: connections are cut"),
    }
    if let Some(statistics) = statistics {
        statistics.end().await;
    }
    Ok(())
}

/// Says what `/readyz` says: at once, and once more where the first keys are still to come.
fn tell_readiness(overview: &Arc<Overview>) {
    let readiness = overview.readiness();
    if readiness.ready {
        return tracing::info!("ready to serve");
    }
    tracing::info!("not ready yet: {}", readiness.problems.join("; "));
    let overview = Arc::clone(overview);
    tokio::spawn(async move {
        while !overview.readiness().ready {
            tokio::time::sleep(UNTIL_READY).await;
        }
        tracing::info!("ready to serve");
    });
}

/// pingora's proxy around the gateway: HTTP/1.1 and HTTP/2, in clear too.
fn proxy(config: &Config, gateway: Gateway) -> HttpProxy<Gateway> {
    let conf = ServerConf {
        threads: config.server.threads,
        upstream_keepalive_pool_size: UPSTREAM_POOL,
        ..ServerConf::default()
    };
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(config.server.timeouts.keep_alive);
    let mut proxy = HttpProxy::new(gateway, Arc::new(conf));
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    // More than is let through, so that a header between the two has an answer; what is still longer ends its connection.
    let headers = u32::try_from(2 * config.server.max_header).unwrap_or(u32::MAX);
    h2.max_header_list_size(headers);
    // What one stream may hold of an answer that nobody reads.
    h2.max_send_buffer_size(H2_UNSENT);
    proxy.h2_options = Some(h2);
    proxy.handle_init_modules();
    proxy
}

/// A listening socket; within a tokio runtime. `key` is the setting that names the address.
pub fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    let open = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        // A restart must not wait for the last connections of the process before.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|source| RunError::Listen { key, address, source })
}

/// Lectures are served without it too, where the folder cannot be written; but never beside another gateway's.
fn control_socket(config: &Config) -> Result<Option<Control>, ControlError> {
    match Control::bind(&config.server.control) {
        Ok(control) => Ok(Some(control)),
        Err(error @ ControlError::Make { .. }) => {
            tracing::warn!("server.control: {error}; `janua explain --live` is not available");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// With port 0 the system chooses: what it chose stands in the log.
fn announce(what: &str, socket: &TcpListener) {
    match socket.local_addr() {
        Ok(address) => tracing::info!("{what}://{address}"),
        Err(error) => tracing::warn!(%error, "{what}: address unknown"),
    }
}
