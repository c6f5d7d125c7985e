//! A fixed reply: a status, a redirection, or one file of the site's own.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::Reply;
use crate::config::Respond;

/// Largest file that `respond = { file = … }` takes into memory.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// All of a file of at most `most` bytes.
pub fn small(path: &Path, most: u64) -> io::Result<Bytes> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(named)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(named)?;
    match bytes.len() as u64 > most {
        true => Err(named(io::Error::other(format!("larger than {} KiB", most >> 10)))),
        false => Ok(bytes.into()),
    }
}

/// The reply of a route, made once. Reads the file, if there is one. Errors: unreadable, or larger than 4 MiB.
pub fn fixed(respond: &Respond) -> io::Result<Reply> {
    match respond {
        Respond::Status { status, location } => Ok(Reply {
            status: *status,
            headers: location.iter().map(|url| (header::LOCATION, url.clone())).collect(),
            body: Bytes::new(),
        }),
        Respond::File(path) => {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let found = std::fs::metadata(path).map_err(named)?;
            if found.len() > MAX_FILE || !found.is_file() {
                let detail = match found.is_file() {
                    true => "larger than 4 MiB: serve it from a folder with `files` instead",
                    false => "no regular file: name one",
                };
                return Err(named(io::Error::new(io::ErrorKind::InvalidInput, detail)));
            }
            let kind = mime_guess::from_path(path).first_or_octet_stream();
            let kind = HeaderValue::from_str(kind.as_ref()).map_err(io::Error::other)?;
            Ok(Reply {
                status: StatusCode::OK,
                headers: vec![
                    (header::CONTENT_TYPE, kind),
                    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
                ],
                body: std::fs::read(path).map_err(named)?.into(),
            })
        }
    }
}
