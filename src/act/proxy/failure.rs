//! What an error of pingora's means for the client: whose fault, which status.

use pingora::prelude::{Error, ErrorSource, ErrorType};

use crate::rejection::{Reason, Rejection};

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

/// An error for the log. pingora's own text would quote what did not parse: headers, with tokens and cookies in them.
/// Until a connection stands nothing of a request has been seen, and the cause (which certificate, which system error)
/// may be told.
pub fn describe(error: &Error) -> String {
    let summary = format!("{} side: {}", error.esource().as_str(), error.etype().as_str());
    match &error.cause {
        Some(cause) if before_any_request(error.etype()) => format!("{summary}: {cause}"),
        _ => summary,
    }
}

fn before_any_request(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectError
            | ErrorType::ConnectNoRoute
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError
    )
}
