//! The one place that writes the gateway's own answers to the socket.
//!
//! It settles framing (`Content-Length`, bodies of HEAD) and what becomes of the connection. It must be called once
//! per request, and what it is given must be whole: nothing is decided here about what to answer.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::{EXPECT, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, OrErr, Result};
use tokio::time::timeout;

use super::Reply;
use crate::headers::content_length;

/// How long a refused upload is read on after its answer, so that the client meets the answer and not a reset connection
/// (RFC 9112 section 9.6): some send all of a recording before they look. The connection ends sooner when nothing comes.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_IDLE: Duration = Duration::from_secs(2);

/// A body that comes in pieces. (A trait rather than a closure: pingora wants futures that may move between threads,
/// and the future of a borrowing closure cannot be said to.)
pub trait Pieces: Send {
    /// The next piece, or `None` after the last.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Bytes>>> + Send;
}

/// Writes a whole answer. A HEAD request gets the header of the GET, with its `Content-Length` (RFC 9110 section
/// 9.3.2); 204 and 304 have no body.
///
/// # Errors
/// The client went, or was too slow.
pub async fn write(session: &mut Session, reply: &Reply) -> Result<()> {
    let mut header = head(reply.status, reply.headers.iter().cloned())?;
    let bodiless = is_bodiless(reply.status);
    if !bodiless {
        header.set_content_length(reply.body.len())?;
    }
    let body = (!bodiless && !is_head(session) && !reply.body.is_empty()).then(|| reply.body.clone());
    let unread = settle_connection(session, reply.status);
    let begun = session.write_response_header(Box::new(header), body.is_none());
    begun.await.map_err(lost)?;
    session.write_response_body(body, true).await.map_err(lost)?;
    if unread {
        linger(session).await;
    }
    Ok(())
}

/// Writes an answer whose body comes in pieces, as fast as the client takes them. Returns after the last one.
///
/// `headers` name the `Content-Length`, where it is known; `body` is not asked for HEAD.
///
/// # Errors
/// The client went, or was too slow; `body` failed, or ended before the length that was promised. The answer is then
/// never ended cleanly: with the error handed on, pingora drops the connection (HTTP/2: resets the stream), which is
/// how a client learns that it does not have the whole body (RFC 9112 section 8).
pub async fn write_stream(
    session: &mut Session,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: &mut impl Pieces,
) -> Result<()> {
    let mut header = head(status, headers.into_iter())?;
    let promised = content_length(&header.headers);
    let bodiless = is_bodiless(status);
    if promised.is_none() && !bodiless && session.req_header().version == Version::HTTP_11 {
        // pingora would end the body by closing the connection: no client could tell a cut from the end.
        header.insert_header(TRANSFER_ENCODING, "chunked")?;
    }
    let unread = settle_connection(session, status);
    let is_empty = bodiless || is_head(session);
    let begun = session.write_response_header(Box::new(header), is_empty);
    begun.await.map_err(lost)?;
    if !is_empty {
        let sent = pump(session, body).await.inspect_err(|_| session.set_keepalive(None))?;
        if promised.is_some_and(|promised| promised != sent) {
            session.set_keepalive(None);
            return Error::e_explain(ErrorType::InternalError, "the body is not as long as was promised");
        }
    }
    session.write_response_body(None, true).await.map_err(lost)?;
    if unread {
        linger(session).await;
    }
    Ok(())
}

/// pingora does not say of its own session whose side failed: it is the client's.
fn lost(error: Box<Error>) -> Box<Error> {
    error.into_down()
}

async fn pump(session: &mut Session, body: &mut impl Pieces) -> Result<u64> {
    let mut sent = 0;
    while let Some(piece) = body
        .next()
        .await
        .or_err(ErrorType::FileReadError, "while reading the body to send")?
    {
        // An empty piece would end a chunked body.
        if !piece.is_empty() {
            sent += piece.len() as u64;
            session.write_response_body(Some(piece), false).await.map_err(lost)?;
        }
    }
    Ok(sent)
}

/// Put together outside of pingora's own builder, which reads every name anew.
fn head(
    status: StatusCode,
    headers: impl ExactSizeIterator<Item = (HeaderName, HeaderValue)>,
) -> Result<ResponseHeader> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = HeaderMap::with_capacity(headers.len() + 3); // framing and connection come later
    for (name, value) in headers {
        // Appended, not set: `Vary` may stand twice.
        let appended = parts.headers.try_append(name, value);
        appended.or_err(ErrorType::InternalError, "more headers than a map can hold")?;
    }
    Ok(parts.into())
}

/// RFC 9110 sections 15.3.5 and 15.4.5: such an answer ends with its header, and announces no body (RFC 9112 section 6.1).
pub fn is_bodiless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn is_head(session: &Session) -> bool {
    session.req_header().method == Method::HEAD
}

/// Decides before the header is written whether the connection ends with this answer. `true`: the request has a body
/// that nobody has read.
///
/// A body left over would be read on reuse, without bound (pingora drains it), or be taken for the next request
/// (smuggling); so the connection ends. It ends, too, after requests whose framing was in doubt: 400 and 501, and
/// those that never came whole: 408 and 431.
fn settle_connection(session: &mut Session, status: StatusCode) -> bool {
    let unread = !session.is_body_done();
    let doubtful = matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            | StatusCode::NOT_IMPLEMENTED
    );
    if unread || doubtful {
        session.set_keepalive(None);
    }
    unread
}

/// Reads on what a client is still sending, within bounds: on HTTP/2 too, where some clients drop an answer that is
/// followed at once by a reset of the stream. A client that waits for `100 Continue` sends nothing.
async fn linger(session: &mut Session) {
    if session.req_header().headers.contains_key(EXPECT) {
        return;
    }
    let reading = async { while let Ok(Ok(Some(_piece))) = timeout(LINGER_IDLE, session.read_request_body()).await {} };
    if timeout(LINGER, reading).await.is_err() {
        tracing::debug!("a refused upload did not end in time; its connection is closed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    /// A session that has read the header of `request`, and the client's end of its connection.
    async fn session(request: &str) -> (Session, DuplexStream) {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        client.write_all(request.as_bytes()).await.unwrap();
        let mut session = Session::new_h1(Box::new(server));
        assert!(session.as_downstream_mut().read_request().await.unwrap());
        (session, client)
    }

    /// Everything the client got by the time the connection closed.
    ///
    /// In lower case: names of headers have none of their own.
    async fn heard(session: Session, mut client: DuplexStream) -> String {
        drop(session);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text.to_ascii_lowercase()
    }

    fn reply(status: StatusCode, body: &'static str) -> Reply {
        Reply {
            status,
            headers: vec![
                (http::header::VARY, HeaderValue::from_static("Accept")),
                (http::header::VARY, HeaderValue::from_static("Origin")),
            ],
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn length(length: u64) -> Vec<(HeaderName, HeaderValue)> {
        vec![(http::header::CONTENT_LENGTH, HeaderValue::from(length))]
    }

    struct Canned(VecDeque<io::Result<Bytes>>);

    impl Pieces for Canned {
        async fn next(&mut self) -> io::Result<Option<Bytes>> {
            tokio::task::yield_now().await;
            self.0.pop_front().transpose()
        }
    }

    fn pieces(pieces: &[Result<&'static str, io::ErrorKind>]) -> Canned {
        let piece = |piece: &Result<&'static str, io::ErrorKind>| match piece {
            Ok(text) => Ok(Bytes::from_static(text.as_bytes())),
            Err(kind) => Err((*kind).into()),
        };
        Canned(pieces.iter().map(piece).collect())
    }

    #[tokio::test]
    async fn a_get_hears_everything_and_keeps_its_connection() {
        let (mut session, client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        write(&mut session, &reply(StatusCode::NOT_FOUND, "nothing"))
            .await
            .unwrap();
        assert!(session.as_downstream().as_http1().unwrap().will_keepalive());
        let text = heard(session, client).await;
        assert!(text.starts_with("http/1.1 404 not found\r\n"), "{text}");
        assert!(
            text.contains("vary: accept\r\n") && text.contains("vary: origin\r\n"),
            "{text}"
        );
        assert!(
            text.contains("content-length: 7\r\n") && text.ends_with("\r\n\r\nnothing"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_head_hears_the_length_without_the_body() {
        let (mut session, client) = session("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        write(&mut session, &reply(StatusCode::NOT_FOUND, "nothing"))
            .await
            .unwrap();
        let text = heard(session, client).await;
        assert!(
            text.contains("content-length: 7\r\n") && text.ends_with("\r\n\r\n"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_204_has_neither_body_nor_length() {
        let (mut session, client) = session("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        write(&mut session, &reply(StatusCode::NO_CONTENT, "")).await.unwrap();
        let text = heard(session, client).await;
        assert!(
            !text.contains("content-length") && !text.contains("transfer-encoding"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_refused_upload_ends_the_connection_and_is_never_taken_for_a_request() {
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n.";
        let (mut session, client) = session(request).await;
        write(&mut session, &reply(StatusCode::UNAUTHORIZED, "no"))
            .await
            .unwrap();
        assert!(!session.as_downstream().as_http1().unwrap().will_keepalive());
        let text = heard(session, client).await;
        assert!(
            text.contains("connection: close\r\n") && text.ends_with("\r\n\r\nno"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_malformed_request_is_the_last_of_its_connection() {
        let (mut session, client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        write(&mut session, &reply(StatusCode::BAD_REQUEST, "odd"))
            .await
            .unwrap();
        assert!(heard(session, client).await.contains("connection: close\r\n"));
    }

    #[tokio::test]
    async fn a_client_waiting_for_100_continue_is_answered_at_once() {
        let request = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
        let (mut session, client) = session(request).await;
        write(&mut session, &reply(StatusCode::FORBIDDEN, "no")).await.unwrap();
        assert!(heard(session, client).await.starts_with("http/1.1 403 forbidden\r\n"));
    }

    #[tokio::test]
    async fn pieces_arrive_in_order() {
        let (mut session, client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut body = pieces(&[Ok("lec"), Ok(""), Ok("ture")]);
        write_stream(&mut session, StatusCode::OK, length(7), &mut body)
            .await
            .unwrap();
        assert!(heard(session, client).await.ends_with("\r\n\r\nlecture"));
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_has_an_end_of_its_own() {
        let (mut session, client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut body = pieces(&[Ok("lec"), Ok("ture")]);
        write_stream(&mut session, StatusCode::OK, Vec::new(), &mut body)
            .await
            .unwrap();
        assert!(session.as_downstream().as_http1().unwrap().will_keepalive());
        let text = heard(session, client).await;
        assert!(text.ends_with("\r\n\r\n3\r\nlec\r\n4\r\nture\r\n0\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_head_asks_for_no_piece() {
        let (mut session, client) = session("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut body = pieces(&[Err(io::ErrorKind::Unsupported)]);
        write_stream(&mut session, StatusCode::OK, length(7), &mut body)
            .await
            .unwrap();
        assert!(heard(session, client).await.contains("content-length: 7\r\n"));
    }

    /// Without a length the body is chunked: its end would be a last chunk, and there must be none.
    #[tokio::test]
    async fn a_body_that_breaks_off_is_never_ended_cleanly() {
        for headers in [length(7), Vec::new()] {
            let (mut session, client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            let mut body = pieces(&[Ok("lec"), Err(io::ErrorKind::Other)]);
            write_stream(&mut session, StatusCode::OK, headers, &mut body)
                .await
                .unwrap_err();
            assert!(!session.as_downstream().as_http1().unwrap().will_keepalive());
            let text = heard(session, client).await;
            assert!(text.contains("lec") && !text.contains("\r\n0\r\n"), "{text}");
            let length_known = text.contains("content-length: 7\r\n");
            assert_eq!(length_known, !text.contains("transfer-encoding: chunked\r\n"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_body_shorter_than_promised_is_an_error() {
        let (mut session, _client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut body = pieces(&[Ok("lec")]);
        write_stream(&mut session, StatusCode::OK, length(7), &mut body)
            .await
            .unwrap_err();
        assert!(!session.as_downstream().as_http1().unwrap().will_keepalive());
    }

    /// `ProxyHttp` wants futures that may move between threads.
    #[tokio::test]
    async fn the_futures_are_send() {
        fn send<F: Future + Send>(future: F) -> F {
            future
        }
        let (mut session, client) = session("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let mut body = pieces(&[Ok("lecture")]);
        send(write_stream(&mut session, StatusCode::OK, length(7), &mut body))
            .await
            .unwrap();
        assert!(heard(session, client).await.ends_with("lecture"));
    }
}
