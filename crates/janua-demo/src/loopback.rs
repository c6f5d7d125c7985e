//! A small HTTP server for the gateway, for a browser that signs in, and for whoever looks at the key set on this machine.
//!
//! Text only: the lecture itself is the gateway's to serve.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Servers;

/// Connections at once, idle ones too; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// For people and programs alike.
pub(super) const PLAIN: &str = "text/plain; charset=utf-8";
/// A header must have come within this time; idle connections are closed after it too.
const HEADER: Duration = Duration::from_secs(30);
/// Bytes of a request's body: forms of a few fields.
const BODY: usize = 16 * 1024;
/// Pause after a failed `accept`: without free file descriptors it fails again at once.
const BREATHER: Duration = Duration::from_millis(100);

/// Answers until the runtime ends.
pub(super) async fn serve(listener: TcpListener, servers: Arc<Servers>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, Arc::clone(&servers)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the demo's servers cannot accept a connection");
                    tokio::time::sleep(BREATHER).await;
                }
            },
        }
    }
}

async fn connection(stream: TcpStream, servers: Arc<Servers>) {
    let service = service_fn(|request: Request<Incoming>| {
        let servers = Arc::clone(&servers);
        async move {
            let (head, mut body) = request.into_parts();
            Ok::<_, Infallible>(match tokio::time::timeout(HEADER, whole(&mut body)).await {
                Ok(Some(body)) => servers.answer(&Request::from_parts(head, body)).await,
                _ => text(StatusCode::BAD_REQUEST, PLAIN, "A small body within seconds, please.\n"),
            })
        }
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

/// The body, unless it is large or breaks off.
async fn whole(body: &mut Incoming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
        let Ok(piece) = frame.ok()?.into_data() else { continue };
        if whole.len() + piece.len() > BODY {
            return None;
        }
        whole.extend_from_slice(&piece);
    }
    Some(whole.freeze())
}

/// An answer that no cache keeps: the demo's addresses and keys are new each time.
pub(super) fn text(status: StatusCode, kind: &'static str, body: impl Into<String>) -> Response<String> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Addresses may hold a ticket.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// 303 See Other.
pub(super) fn redirect(to: &str) -> Response<String> {
    let Ok(to) = HeaderValue::from_str(to) else {
        return nothing();
    };
    let mut response = text(StatusCode::SEE_OTHER, PLAIN, "");
    response.headers_mut().insert(LOCATION, to);
    response
}

/// What is not there.
pub(super) fn nothing() -> Response<String> {
    text(StatusCode::NOT_FOUND, PLAIN, "There is no such page.\n")
}

/// A parameter, of the body's form rather than of the query, as PHP merges them.
pub(super) fn parameter(request: &Request<Bytes>, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    [request.body(), query.as_bytes()].into_iter().find_map(|form| {
        let values = form_urlencoded::parse(form).filter(|(known, _)| known == name);
        values.last().map(|(_, value)| value.into_owned())
    })
}

/// The value of a cookie.
pub(super) fn cookie<'a>(request: &'a Request<Bytes>, name: &str) -> Option<&'a str> {
    let lines = request.headers().get_all(COOKIE).into_iter();
    let mut pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split("; "));
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}
