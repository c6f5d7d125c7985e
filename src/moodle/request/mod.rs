//! A request of Moodle's web services on its way in: what it calls, whether it may, and where the token goes.
//!
//! `endpoint`, `params`, `urlencoded` and `multipart` read a request, `functions` decides about what it calls, and why, `inject` puts the
//! token in; `own_token` finds a token that the client has brought itself. All of it is pure and takes bodies piece by piece.

pub mod endpoint;
pub mod functions;
pub mod inject;
pub mod multipart;
pub mod own_token;
pub mod params;
pub mod urlencoded;

use http::Method;

use crate::rejection::{Hint, Reason, Rejection};

/// Why a request gets no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("only rest/server.php, upload.php, pluginfile.php and draftfile.php below /webservice/ take tokens")]
    Endpoint,
    /// With those that it takes.
    #[error("this script takes no such method")]
    Method(&'static [Method]),
    #[error("a parameter would take the place of the token that the gateway puts in")]
    Override,
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the web service function `{0}` is not allowed here")]
    Function(String),
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let reason = match refusal {
            Refusal::Endpoint => Reason::MoodleEndpoint,
            Refusal::Method(_) => Reason::MethodNotAllowed,
            Refusal::Override => Reason::TokenOverride,
            Refusal::Malformed(_) => Reason::BadRequest,
            Refusal::Function(_) => Reason::FunctionNotAllowed,
        };
        let rejection = Self::because(reason, refusal.to_string());
        match refusal {
            Refusal::Method(methods) => rejection.with_hint(Hint::Allow(methods.to_vec())),
            Refusal::Malformed(text) => rejection.with_hint(Hint::Fault(text)),
            _ => rejection,
        }
    }
}
