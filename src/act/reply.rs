//! A fixed reply: a status, a redirection, or one file of the site's own.

use std::io;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::config::Respond;

/// Largest file that `respond = { file = … }` takes into memory.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// A reply made once, when the route is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Fixed {
    /// Reads the file, if there is one. Errors: unreadable, or larger than 4 MiB.
    pub fn new(respond: &Respond) -> io::Result<Self> {
        match respond {
            Respond::Status { status, location } => Ok(Self {
                status: *status,
                headers: location.iter().map(|url| (header::LOCATION, url.clone())).collect(),
                body: Bytes::new(),
            }),
            Respond::File(path) => {
                if std::fs::metadata(path)?.len() > MAX_FILE {
                    let detail = "larger than 4 MiB: serve it from a folder with `files` instead";
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, detail));
                }
                let kind = mime_guess::from_path(path).first_or_octet_stream();
                let kind = HeaderValue::from_str(kind.as_ref()).map_err(io::Error::other)?;
                Ok(Self {
                    status: StatusCode::OK,
                    headers: vec![
                        (header::CONTENT_TYPE, kind),
                        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                    ],
                    body: std::fs::read(path)?.into(),
                })
            }
        }
    }
}
