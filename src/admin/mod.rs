//! The admin listener: `/metrics`, `/healthz`, `/readyz`, a status page at `/`, at `/denials` what the rules refused lately,
//! and at `/why/REQUEST-ID` why one request was refused. Read only, nothing secret.
//!
//! What it tells comes from a [`Source`]; it decides only who is answered. It asks for no credentials, so that probes
//! and scrapers need none: it belongs on loopback or a private network, and a page in somebody's browser cannot reach
//! it by a name of its own (`host`).

mod denials;
mod host;
pub mod status;
mod why;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use self::status::Status;
pub use self::why::Why;
use crate::observe::denials::Denial;

/// Connections answered at once; more wait to be accepted.
const CONNECTIONS: usize = 64;
/// A client must have sent its header within this time,
const HEADER: Duration = Duration::from_secs(5);
/// and have taken its answer within this one.
const WHOLE: Duration = Duration::from_secs(30);
/// Answers under way may finish for so long once the end has come.
const GRACE: Duration = Duration::from_secs(2);
/// Pause after a failed `accept`: without free file descriptors it fails again at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// What the gateway tells of itself. Asked anew for every request; must not block.
pub trait Source: Send + Sync + 'static {
    /// The metrics in the text exposition format.
    fn metrics(&self) -> Vec<u8>;
    fn readiness(&self) -> Readiness;
    fn status(&self) -> Status;
    /// The operator's own names for the admin listener, in lower case.
    fn hosts(&self) -> Vec<String>;
    /// What the rules refused lately, the latest first.
    fn denials(&self) -> Vec<Denial>;
    /// Why a recent request was refused, by its id or a beginning of it.
    fn why(&self, id: &str) -> Why;
    /// So many of the latest refusals at most, as the JSON of `janua explain`; the latest first.
    fn refusals(&self, most: usize) -> Vec<serde_json::Value>;
}

/// Should requests be sent here?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    pub ready: bool,
    /// What is wrong, a line each; may be told although `ready`.
    pub problems: Vec<String>,
}

/// Answers requests until `shutdown` is done; those under way then get two seconds more.
pub async fn serve(listener: TcpListener, source: Arc<dyn Source>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    open.spawn(connection(stream, Arc::clone(&source)));
                }
                Err(error) => {
                    tracing::warn!(%error, "the admin listener cannot accept a connection");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            },
        }
    }
    drop(listener);
    let rest = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, rest).await.is_err() {
        tracing::debug!("admin connections were cut at the end");
    }
}

/// One request, one answer: probes and scrapers come seldom, and what does not stay open needs no limits of its own.
async fn connection(stream: TcpStream, source: Arc<dyn Source>) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = answer(&request, source.as_ref());
        async { Ok::<_, Infallible>(response) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(WHOLE, serving).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection failed"),
        Err(_) => tracing::debug!("an admin client was too slow"),
    }
}

fn answer<B>(request: &Request<B>, source: &dyn Source) -> Response<String> {
    const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
    if !host::is_own(request, &source.hosts()) {
        let told =
            "Ask by address, as localhost, or by a name in server.admin_hosts: other names are not answered here.\n";
        return response(StatusCode::MISDIRECTED_REQUEST, TEXT, told.to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Only GET and HEAD.\n".to_owned());
        refused
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/healthz" => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
        "/readyz" => readyz(&source.readiness(), TEXT),
        "/metrics" => {
            let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            let metrics = String::from_utf8_lossy(&source.metrics()).into_owned();
            response(StatusCode::OK, format, metrics)
        }
        "/" => page(status::render(&source.status(), &source.readiness())),
        "/denials.json" => denials_json(source),
        "/denials" if denials::wants_json(request.headers()) => denials_json(source),
        "/denials" => page(denials::render(&source.denials())),
        path if path == "/why" || path == "/why.json" || path.starts_with("/why/") => {
            why::answer(path, request.headers(), source)
        }
        _ => response(
            StatusCode::NOT_FOUND,
            TEXT,
            "Here are /metrics /healthz /readyz /denials /why and /.\n".to_owned(),
        ),
    }
}

fn readyz(readiness: &Readiness, format: HeaderValue) -> Response<String> {
    let (status, word) = match readiness.ready {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
    };
    let lines: Vec<&str> = [word]
        .into_iter()
        .chain(readiness.problems.iter().map(String::as_str))
        .collect();
    response(status, format, lines.join("\n") + "\n")
}

fn page(html: String) -> Response<String> {
    page_of(StatusCode::OK, html)
}

fn page_of(status: StatusCode, html: String) -> Response<String> {
    let mut page = response(status, HeaderValue::from_static("text/html; charset=utf-8"), html);
    let policy = HeaderValue::from_static(status::POLICY);
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    page
}

fn denials_json(source: &dyn Source) -> Response<String> {
    json(StatusCode::OK, denials::json(&source.denials()))
}

fn json(status: StatusCode, body: String) -> Response<String> {
    response(status, HeaderValue::from_static("application/json"), body)
}

/// hyper leaves the body out for HEAD and keeps its length.
fn response(status: StatusCode, format: HeaderValue, body: String) -> Response<String> {
    const COMMON: [(HeaderName, HeaderValue); 2] = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, format);
    response.headers_mut().extend(COMMON);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    struct Fake {
        ready: bool,
    }

    impl Source for Fake {
        fn metrics(&self) -> Vec<u8> {
            b"janua_build_info 1\n".to_vec()
        }
        fn readiness(&self) -> Readiness {
            Readiness {
                ready: self.ready,
                problems: if self.ready {
                    Vec::new()
                } else {
                    vec!["no usable key of moodle".to_owned()]
                },
            }
        }
        fn status(&self) -> Status {
            Status::default()
        }
        fn hosts(&self) -> Vec<String> {
            vec!["janua-1".to_owned()]
        }
        fn denials(&self) -> Vec<Denial> {
            Vec::new()
        }
        fn why(&self, id: &str) -> Why {
            Why::Nothing(id.to_owned())
        }
        fn refusals(&self, _most: usize) -> Vec<serde_json::Value> {
            Vec::new()
        }
    }

    fn asked(method: Method, path: &str, ready: bool) -> Response<String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "127.0.0.1:9090")
            .body(())
            .unwrap();
        answer(&request, &Fake { ready })
    }

    #[test]
    fn the_four_addresses_answer_and_no_other() {
        for (path, told) in [
            ("/healthz", "ok\n"),
            ("/readyz", "ready\n"),
            ("/metrics", "janua_build_info 1\n"),
        ] {
            let response = asked(Method::GET, path, true);
            assert_eq!(
                (response.status(), response.body().as_str()),
                (StatusCode::OK, told),
                "{path}"
            );
            assert_eq!(response.headers()["cache-control"], "no-store");
        }
        assert!(asked(Method::GET, "/", true).body().contains("<!doctype html>"));
        assert_eq!(asked(Method::GET, "/metrics/", true).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_gateway_that_is_not_ready_says_why_and_is_healthy_all_the_same() {
        let response = asked(Method::GET, "/readyz", false);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.body(), "not ready\nno usable key of moodle\n");
        assert_eq!(asked(Method::GET, "/healthz", false).status(), StatusCode::OK);
    }

    #[test]
    fn nothing_can_be_changed_here() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let response = asked(method, "/healthz", true);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
    }

    /// The whole answer to these bytes.
    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn it_answers_on_a_socket_until_it_is_told_to_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, Arc::new(Fake { ready: true }), async {
            ended.await.unwrap_or_default();
        }));

        let got = exchange(address, &format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
        assert!(
            got.starts_with("HTTP/1.1 200 OK\r\n") && got.ends_with("\r\n\r\njanua_build_info 1\n"),
            "{got}"
        );
        let head = exchange(address, "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        assert!(
            head.contains("content-length: 19\r\n") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        let strange = exchange(address, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
        assert!(
            strange.starts_with("HTTP/1.1 421 ") && strange.contains("server.admin_hosts"),
            "{strange}"
        );

        end.send(()).unwrap();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_never_asks_does_not_hold_up_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut idle = TcpStream::connect(address).await.unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, Arc::new(Fake { ready: true }), async {
            ended.await.unwrap_or_default();
        }));
        // Accepted in order: when this one is answered, the idle one is held.
        exchange(address, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        // From here on, time passes as soon as nothing else can happen.
        tokio::time::pause();
        end.send(()).unwrap();
        serving.await.unwrap();
        assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
