//! What an error of pingora's means for the client: whose fault, which status.

use pingora::prelude::{Error, ErrorSource, ErrorType};

use super::Server;
use crate::rejection::{Reason, Rejection};
use crate::text::tls;

/// `None`: the client is gone, and there is nobody to answer.
pub fn rejection(error: &Error) -> Option<Rejection> {
    let reason = match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, ErrorType::ReadTimedout) => Reason::RequestTimeout,
        (
            ErrorSource::Downstream,
            ErrorType::ReadError | ErrorType::WriteError | ErrorType::WriteTimedout | ErrorType::ConnectionClosed,
        ) => return None,
        (ErrorSource::Downstream, ErrorType::H2Error) => return None,
        (ErrorSource::Downstream, _) => Reason::BadRequest,
        (
            _,
            ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::ReadTimedout
            | ErrorType::WriteTimedout,
        ) => Reason::UpstreamTimeout,
        (
            _,
            ErrorType::ConnectRefused
            | ErrorType::ConnectError
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectProxyFailure
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError,
        ) => Reason::UpstreamUnavailable,
        (ErrorSource::Upstream, _) => Reason::UpstreamFailed,
        (ErrorSource::Internal | ErrorSource::Unset, _) => Reason::Internal,
    };
    Some(Rejection::because(reason, describe(error)))
}

/// The client has left before the whole of its answer was sent.
pub fn client_gone(error: &Error) -> Rejection {
    Rejection::because(Reason::ClientGone, describe(error))
}

/// Why a server is not well.
pub struct Unwell {
    /// In words.
    pub error: String,
    /// It gave no answer, whatever it was asked.
    pub is_away: bool,
}

impl Unwell {
    pub(super) fn of(error: &Error, server: &Server) -> Self {
        let is_odd = matches!(error.etype(), ErrorType::InvalidHTTPHeader | ErrorType::H1Error);
        let is_answer = matches!(error.etype(), ErrorType::CustomCode(..) | ErrorType::H2Error);
        let ends = matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError);
        let hint = if (is_odd || ends) && !server.is_https() {
            tls::NOT_HTTP
        } else {
            ""
        };
        Self {
            error: format!("{}{hint}", describe(error)),
            is_away: !is_odd && !is_answer,
        }
    }
}

/// An error for people, with whose side failed where that is known. pingora's own text would quote what did not parse:
/// headers, with tokens and cookies in them. Until a connection stands nothing of a request has been seen, and the cause
/// (which certificate, which system error) may be told.
pub fn describe(error: &Error) -> String {
    let side = match error.esource() {
        ErrorSource::Downstream => "client: ",
        ErrorSource::Upstream => "upstream: ",
        ErrorSource::Internal | ErrorSource::Unset => "",
    };
    let (what, has_cause) = in_words(error.etype());
    // A server that wants a client's certificate says so in TLS 1.3 when the handshake is over.
    let is_alert = |cause: &(dyn std::error::Error + Send + Sync)| cause.to_string().contains("fatal alert");
    match error.cause.as_deref().filter(|cause| has_cause || is_alert(*cause)) {
        Some(cause) => format!("{side}{what}: {}", innermost(error, cause)),
        None => format!("{side}{what}"),
    }
}

/// And whether the cause says more.
fn in_words(kind: &ErrorType) -> (String, bool) {
    let (what, has_cause) = match kind {
        ErrorType::ConnectTimedout => ("no connection in time", false),
        ErrorType::ConnectRefused => ("the connection was refused", false),
        ErrorType::ConnectNoRoute => ("no route to it", true),
        ErrorType::ConnectError | ErrorType::SocketError => ("no connection", true),
        ErrorType::TLSHandshakeFailure | ErrorType::HandshakeError => ("the TLS handshake failed", true),
        ErrorType::TLSHandshakeTimedout => ("the TLS handshake took too long: is TLS spoken there at all?", false),
        ErrorType::InvalidCert => ("its certificate is not accepted", true),
        ErrorType::ReadTimedout => ("no answer in time", false),
        ErrorType::WriteTimedout => ("it took no data in time", false),
        ErrorType::ReadError => ("reading failed", false),
        ErrorType::WriteError => ("writing failed", false),
        ErrorType::ConnectionClosed => ("the connection was closed", false),
        ErrorType::InvalidHTTPHeader => ("no valid HTTP", false),
        ErrorType::H1Error => ("an error of HTTP/1.1", false),
        ErrorType::H2Error => ("an error of HTTP/2", false),
        // What pingora's health check says of every other status.
        ErrorType::CustomCode("non 200 code", status) => return (format!("it answered {status}, not 200"), false),
        other => (other.as_str(), false),
    };
    (what.to_owned(), has_cause)
}

/// The cause below all others, which says what happened; those above it repeat it with addresses around it. Below a failed
/// TLS handshake pingora puts its own address alone, and what happened stands in the context above.
fn innermost(error: &Error, cause: &(dyn std::error::Error + 'static)) -> String {
    let mut last = cause;
    let mut context = error.context.as_ref();
    loop {
        // pingora boxes its errors before it makes them a cause.
        let pingoras = last.downcast_ref::<Box<Error>>().map(Box::as_ref);
        let next = match pingoras.or_else(|| last.downcast_ref::<Error>()) {
            Some(error) => {
                context = error.context.as_ref().or(context);
                error
                    .cause
                    .as_deref()
                    .map(|cause| cause as &(dyn std::error::Error + 'static))
            }
            None => match last.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
                Some(wrapped) => Some(wrapped as &(dyn std::error::Error + 'static)),
                None => last.source(),
            },
        };
        match next {
            Some(next) => last = next,
            None => {
                let told = last.to_string();
                let told = match context.filter(|_| told.starts_with("local address ")) {
                    Some(context) => context.as_str().to_owned(),
                    None => told,
                };
                return tls::in_words(&told);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn errors_are_told_in_plain_words_and_once() {
        let refused = Error::because(
            ErrorType::ConnectRefused,
            "Fail to connect to 127.0.0.1:2",
            io::Error::other("x"),
        );
        assert_eq!(describe(&refused), "the connection was refused");
        let tls = io::Error::new(
            io::ErrorKind::InvalidData,
            io::Error::other("invalid peer certificate: Expired"),
        );
        let below = Error::because(ErrorType::TLSHandshakeFailure, "TLS accept() failed", tls);
        let mut above = Error::because(ErrorType::TLSHandshakeFailure, "Fail to connect", below);
        above.as_up();
        assert_eq!(
            describe(&above),
            "upstream: the TLS handshake failed: its certificate has expired: renew it there (or is the clock here wrong?)"
        );
        let own = io::Error::other("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
        let own = Error::because(ErrorType::TLSHandshakeFailure, "TLS connect() failed", own);
        assert!(describe(&own).contains("subjectAltName"), "{}", describe(&own));
        let alert = Error::because(
            ErrorType::ReadError,
            "reading",
            io::Error::other("received fatal alert: CertificateRequired"),
        );
        assert!(
            describe(&alert).contains("client's certificate"),
            "{}",
            describe(&alert)
        );
        let mut quoting = Error::because(
            ErrorType::InvalidHTTPHeader,
            "cookie: secret",
            io::Error::other("secret"),
        );
        quoting.as_down();
        assert_eq!(describe(&quoting), "client: no valid HTTP");
        let unwell = Error::new(ErrorType::CustomCode("non 200 code", 503));
        assert_eq!(describe(&unwell), "it answered 503, not 200");
    }
}
