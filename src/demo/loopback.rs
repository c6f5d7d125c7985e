//! A small HTTP server for one client, the gateway (and whoever looks at the key set on this machine).
//!
//! What is answered is the site's to say. Text only: the lecture itself is the gateway's to serve.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections at once, idle ones too; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// A header must have come within this time; idle connections are closed after it too.
const HEADER: Duration = Duration::from_secs(30);
/// Pause after a failed `accept`: without free file descriptors it fails again at once.
const BREATHER: Duration = Duration::from_millis(100);

/// What a server answers.
pub(super) trait Site: Send + Sync + 'static {
    fn answer(&self, request: &Request<Incoming>) -> impl Future<Output = Response<String>> + Send;
}

/// Answers until the runtime ends.
pub(super) async fn serve<S: Site>(listener: TcpListener, site: Arc<S>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, Arc::clone(&site)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a server of the demo cannot accept a connection");
                    tokio::time::sleep(BREATHER).await;
                }
            },
        }
    }
}

async fn connection<S: Site>(stream: TcpStream, site: Arc<S>) {
    let service = service_fn(|request: Request<Incoming>| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(site.answer(&request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection to the demo's servers failed");
    }
}

/// An answer that no cache keeps: the demo's addresses and keys are new each time.
pub(super) fn text(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Response<String> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What is not there.
pub(super) fn nothing() -> Response<String> {
    text(
        StatusCode::NOT_FOUND,
        "text/plain; charset=utf-8",
        "There is no such page.\n",
    )
}
