//! Serve a file from disk: look it up below its root, weigh conditions and ranges, stream it.
//!
//! Decides the answer to a GET or HEAD for one file: status, headers, and which bytes. Whether the client may have it
//! was decided before; what a refusal looks like, CORS and `Vary`, are added by those who write the answer.

mod blocking;
mod conditional;
mod disposition;
mod metadata;
mod mime;
mod multipart;
mod open_file_cache;
mod range;
mod resolve;
mod stream;

use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use self::conditional::{Validators, Verdict};
use self::metadata::Described;
use self::mime::Kind;
use self::range::{ByteRange, Selection};
use self::stream::Piece;
use crate::headers::single;
use crate::rejection::{Hint, Reason, Rejection};

pub use self::mime::is_image;
pub use self::resolve::Root;
pub use self::stream::FileBody;

/// The bytes, as (first, behind the last), that a `Range` header asks for of a file so long; `None` if the header is to
/// be ignored, no bytes if it cannot be satisfied.
pub fn ranges(header: &[u8], complete: u64) -> Option<Vec<(u64, u64)>> {
    match range::select(header, complete) {
        Selection::Whole => None,
        Selection::Ranges(ranges) => Some(ranges.iter().map(|range| (range.start, range.end)).collect()),
        Selection::NotSatisfiable => Some(Vec::new()),
    }
}

/// What of a request matters to a file.
#[derive(Debug, Clone, Copy)]
pub struct FileRequest<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    /// The client wants to save the file rather than to see it: `?download=1`.
    pub download: bool,
    /// A credential was needed: shared caches must not keep the answer.
    pub private: bool,
    /// Who is served: each has a share of what a disk can do.
    pub client: IpAddr,
}

/// The answer: 200, 206 or 304.
pub struct FileAnswer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty for HEAD and 304, whatever `Content-Length` says.
    pub body: FileBody,
}

/// Answers for the file at `path` below `root`. `path` is decoded and canonical: it begins with a slash and has no
/// empty and no dot segments; one that has is not found.
///
/// Errors: `FileNotFound` for everything that is not a regular file below the root, `PreconditionFailed`,
/// `RangeNotSatisfiable` with the complete length, `Overloaded` when the file system does not keep up, `Internal` when
/// it fails, `MethodNotAllowed` for anything but GET and HEAD.
pub async fn answer(
    root: &Root,
    path: &str,
    request: FileRequest<'_>,
    now: SystemTime,
) -> Result<FileAnswer, Rejection> {
    if !matches!(*request.method, Method::GET | Method::HEAD) {
        let allow = Hint::Allow(vec![Method::GET, Method::HEAD]);
        return Err(Rejection::new(Reason::MethodNotAllowed).with_hint(allow));
    }
    let opened = root.open_file(path, request.client, now).await?;
    let complete = opened.metadata.len();
    let name = path.rsplit('/').next().unwrap_or_default();
    let described = opened.described(name, now);
    let mut headers = validator_headers(described.etag.clone(), described.last_modified.clone(), request.private);
    let selection = match conditional::evaluate(request.headers, &described.validators, now) {
        Verdict::Failed => return Err(Reason::PreconditionFailed.into()),
        Verdict::NotModified => return Ok(FileAnswer::not_modified(headers)),
        Verdict::Send { range_applies: true } => selection(&request, complete),
        Verdict::Send { range_applies: false } => Selection::Whole,
    };
    let plan = plan(selection, complete, described)?;
    headers.push((CONTENT_TYPE, plan.content_type));
    headers.push((CONTENT_LENGTH, plan.content_length));
    if let Some(content_range) = plan.content_range {
        headers.push((CONTENT_RANGE, content_range));
    }
    described_by_name(&mut headers, name, &described.kind, request.download);
    let body = if request.method == Method::HEAD {
        FileBody::empty()
    } else {
        let body = FileBody::start(root, &opened, request.client, plan.pieces).await;
        body.map_err(unreadable)?
    };
    Ok(FileAnswer {
        status: plan.status,
        headers,
        body,
    })
}

impl FileAnswer {
    fn not_modified(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self {
            status: StatusCode::NOT_MODIFIED,
            headers,
            body: FileBody::empty(),
        }
    }
}

/// A file that goes out changed.
pub struct Edit<'a> {
    /// Larger files are not changed.
    pub limit: u64,
    /// Sets the changed text's entity tag apart from the file's: letters and digits.
    pub tag: &'a str,
    /// The text instead of the file's; `None`: the file goes out as it is.
    pub edit: &'a (dyn Fn(&[u8]) -> Option<Vec<u8>> + Sync),
}

/// [`answer`] with another text than the file's. It has a tag of its own and no date, since what else makes it up may
/// change while the file does not.
pub async fn answer_edited(
    root: &Root,
    path: &str,
    request: FileRequest<'_>,
    edit: &Edit<'_>,
    now: SystemTime,
) -> Result<FileAnswer, Rejection> {
    let opened = root.open_file(path, request.client, now).await?;
    let complete = opened.metadata.len();
    let name = path.rsplit('/').next().unwrap_or_default();
    let described = opened.described(name, now);
    let validators = Validators {
        etag: described.validators.etag.trim_end_matches('"').to_owned() + "-w" + edit.tag + "\"",
        last_modified: None,
    };
    let text = match complete {
        1.. if complete <= edit.limit => {
            let whole = Piece::File(ByteRange {
                start: 0,
                end: complete,
            });
            let body = FileBody::start(root, &opened, request.client, vec![whole]).await;
            (edit.edit)(&read_whole(body, complete).await.map_err(unreadable)?)
        }
        _ => None,
    };
    let Some(text) = text else {
        return answer(root, path, request, now).await;
    };
    let mut headers = validator_headers(ascii(validators.etag.clone()), None, request.private);
    let length = text.len() as u64;
    let selection = match conditional::evaluate(request.headers, &validators, now) {
        Verdict::Failed => return Err(Reason::PreconditionFailed.into()),
        Verdict::NotModified => return Ok(FileAnswer::not_modified(headers)),
        Verdict::Send { range_applies: true } => selection(&request, length),
        Verdict::Send { range_applies: false } => Selection::Whole,
    };
    // One range at most: nobody asks for several of a playlist.
    let range = match selection {
        Selection::Ranges(ranges) if ranges.len() == 1 => ranges.first().copied(),
        Selection::NotSatisfiable => {
            return Err(Rejection::new(Reason::RangeNotSatisfiable).with_hint(Hint::CompleteLength(length)));
        }
        _ => None,
    };
    let mut body = Bytes::from(text);
    if let Some(range) = range {
        headers.push((CONTENT_RANGE, ascii(range.content_range(length))));
        // A range lies within the length that it was selected for.
        let bounds = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(body.len());
        body = body.slice(bounds(range.start)..bounds(range.end));
    }
    headers.push((CONTENT_TYPE, described.kind.content_type.clone()));
    headers.push((CONTENT_LENGTH, HeaderValue::from(body.len())));
    described_by_name(&mut headers, name, &described.kind, request.download);
    let is_head = request.method == Method::HEAD;
    Ok(FileAnswer {
        status: range.map_or(StatusCode::OK, |_| StatusCode::PARTIAL_CONTENT),
        headers,
        body: if is_head {
            FileBody::empty()
        } else {
            FileBody::whole(body)
        },
    })
}

/// As many bytes as were found; an error if the file has become shorter.
async fn read_whole(body: io::Result<FileBody>, length: u64) -> io::Result<Vec<u8>> {
    let mut body = body?;
    let mut whole = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    while let Some(chunk) = body.next().await? {
        whole.extend(&chunk);
    }
    Ok(whole)
}

/// May nobody have a file of this name, wherever it lies? Names that begin with a dot (`.git`, `.htpasswd`) are not for
/// clients, but those in `.well-known` right below the folder are if that is served.
pub fn is_hidden(path: &str, well_known: bool) -> bool {
    resolve::is_hidden(path, well_known)
}

/// The headers that are due to a file's name, whatever is in it.
fn described_by_name(headers: &mut Vec<(HeaderName, HeaderValue)>, name: &str, kind: &Kind, download: bool) {
    if download || kind.attachment {
        headers.push((CONTENT_DISPOSITION, disposition::attachment(name)));
    }
    headers.extend(every_file());
    headers.extend(sandbox(kind));
}

/// The headers of a file that another server sends: all that must be said whatever is in it.
pub fn entrusted(path: &str, download: bool, private: bool) -> Vec<(HeaderName, HeaderValue)> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut headers = Vec::with_capacity(9);
    if private {
        headers.push((CACHE_CONTROL, HeaderValue::from_static("private")));
    }
    let kind = mime::kind(name);
    described_by_name(&mut headers, name, &kind, download);
    if kind.inert {
        // What goes without the sandbox goes as what it was taken for.
        headers.push((CONTENT_TYPE, kind.content_type));
    }
    headers
}

/// Which bytes go out, and the headers that describe them.
struct Plan {
    status: StatusCode,
    content_type: HeaderValue,
    content_length: HeaderValue,
    content_range: Option<HeaderValue>,
    pieces: Vec<Piece>,
}

fn plan(selection: Selection, complete: u64, described: &Described) -> Result<Plan, Rejection> {
    let content_type = described.kind.content_type.clone();
    match selection {
        Selection::NotSatisfiable => {
            Err(Rejection::new(Reason::RangeNotSatisfiable).with_hint(Hint::CompleteLength(complete)))
        }
        Selection::Whole => Ok(Plan {
            status: StatusCode::OK,
            content_type,
            content_length: described.length.clone(),
            content_range: None,
            pieces: if complete == 0 {
                Vec::new()
            } else {
                vec![Piece::File(ByteRange {
                    start: 0,
                    end: complete,
                })]
            },
        }),
        Selection::Ranges(ranges) => Ok(match *ranges {
            [range] => Plan {
                status: StatusCode::PARTIAL_CONTENT,
                content_type,
                content_length: HeaderValue::from(range.len()),
                content_range: Some(ascii(range.content_range(complete))),
                pieces: vec![Piece::File(range)],
            },
            ref several => {
                let multipart = multipart::frame(several, complete, &content_type, rand::random());
                Plan {
                    status: StatusCode::PARTIAL_CONTENT,
                    content_type: multipart.content_type,
                    content_length: HeaderValue::from(multipart.content_length),
                    content_range: None,
                    pieces: multipart.pieces,
                }
            }
        }),
    }
}

/// `Range` is defined for GET only, and is one value, not a list of lines (RFC 9110 section 14.2).
fn selection(request: &FileRequest<'_>, complete: u64) -> Selection {
    match single(request.headers, RANGE) {
        Some(value) if request.method == Method::GET => range::select(value.as_bytes(), complete),
        _ => Selection::Whole,
    }
}

/// What a 304 carries too (RFC 9110 section 15.4.5). `private` and not `no-store`: the browser's own cache is what makes
/// seeking back cheap, and it belongs to the person who was allowed to read it.
fn validator_headers(
    etag: HeaderValue,
    last_modified: Option<HeaderValue>,
    private: bool,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::with_capacity(12);
    headers.push((ETAG, etag));
    headers.extend(last_modified.map(|date| (LAST_MODIFIED, date)));
    if private {
        headers.push((CACHE_CONTROL, HeaderValue::from_static("private")));
    }
    headers
}

/// Uploaded by many hands, served where sessions live: never sniffed, and no address with a token in it is passed on.
fn every_file() -> [(HeaderName, HeaderValue); 3] {
    [
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]
}

/// Nothing of a file is run, whatever it holds; said of all but what browsers only play, show or print.
fn sandbox(kind: &Kind) -> Option<(HeaderName, HeaderValue)> {
    (!kind.inert).then(|| (CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox")))
}

/// The first read failed, before anything was sent.
fn unreadable(error: io::Error) -> Rejection {
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => Reason::Overloaded,
        _ => Reason::Internal,
    };
    Rejection::because(reason, format!("reading the file: {error}"))
}

/// A header value from text made here of visible ASCII; nothing else comes in, and it would come out empty.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
