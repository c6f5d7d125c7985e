//! HTTP/1.1 by hand, in both directions: a client that can send what no library would, and the parsing that it and
//! the doubles share.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::wait::DEADLINE;
use super::witness::Witness;

/// The host that requests name unless they say otherwise.
pub const HOST: &str = "video.test";

/// Headers or trailers, in order, names as they were sent.
pub type Fields = Vec<(String, String)>;

/// A request in the making.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    host: Option<String>,
    headers: Fields,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: Some(HOST.to_owned()),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    pub fn without_host(mut self) -> Self {
        self.host = None;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// A body with its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// Method, target and all headers, `Host` first.
    pub fn parts(&self) -> (&str, &str, Fields) {
        let host = self.host.iter().map(|host| ("Host".to_owned(), host.clone()));
        (
            &self.method,
            &self.target,
            host.chain(self.headers.iter().cloned()).collect(),
        )
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in self.parts().2 {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// Statuses of the 1xx answers before this one.
    pub informational: Vec<u16>,
}

impl Response {
    /// The value of a header that must not stand twice.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} stands more than once: {all:?}");
        all.first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        values(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The `reason` of a problem body.
    pub fn reason(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.text());
        self
    }

    /// A refusal with this status and reason.
    #[track_caller]
    pub fn refused(self, status: u16, reason: &str) -> Self {
        let told = self.expect(status);
        assert_eq!(told.reason(), reason);
        told
    }
}

/// All values of a header, letter case aside.
pub fn values<'a>(headers: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    headers
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

/// A client connection, used as often as the other side allows.
pub struct Connection {
    wire: Wire,
    /// Of the gateway that is talked to.
    witness: Option<Arc<Witness>>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let wire = Wire::new(TcpStream::connect(address)?);
        Ok(Self {
            wire,
            witness: Witness::at(address),
        })
    }

    /// For a client with a patience of its own instead of the tests' deadline.
    pub fn waits_at_most(&self, patience: Duration) {
        self.wire.stream.set_read_timeout(Some(patience)).unwrap();
    }

    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.wire.stream.write_all(bytes.as_ref())
    }

    /// Sends a request and reads its answer; panics if none comes, and if `janua explain` says otherwise about it.
    #[track_caller]
    pub fn exchange(&mut self, request: Request) -> Response {
        let witness = self.witness.clone();
        let from = self.wire.stream.local_addr().unwrap().ip();
        let say = || witness.as_ref().and_then(|witness| witness.ask(&request, from));
        let before = say();
        let response = self.exchange_alone(&request);
        if let (Some(witness), Some(before), Some(after)) = (&witness, before, say()) {
            witness.answered(&request, from, [before, after], &response);
        }
        response
    }

    #[track_caller]
    fn exchange_alone(&mut self, request: &Request) -> Response {
        let is_head = request.method == "HEAD";
        self.write(request.bytes()).expect("the request is taken");
        match self.response(is_head) {
            Ok(response) => response,
            Err(error) => panic!("no answer to {} {}: {error}", request.method, request.target),
        }
    }

    /// Sends bytes as they are and reads what comes: an answer, or an error if the other side hangs up.
    pub fn exchange_raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<Response> {
        // An error while writing is no news: the answer may have come before all was sent.
        drop(self.write(bytes));
        self.response(false)
    }

    /// Reads an answer whole.
    pub fn response(&mut self, to_head: bool) -> io::Result<Response> {
        let mut response = self.response_head()?;
        if !to_head && response.status >= 200 && ![204, 304].contains(&response.status) {
            (response.body, response.trailers) = self.wire.body(&response.headers, true)?;
        }
        Ok(response)
    }

    /// Reads an answer up to the end of its header; 1xx answers are counted and passed over, 101 is an answer.
    pub fn response_head(&mut self) -> io::Result<Response> {
        let mut informational = Vec::new();
        loop {
            let (line, headers) = self.wire.head()?;
            let status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other(format!("no status line: {line}")))?;
            if (100..200).contains(&status) && status != 101 {
                informational.push(status);
                continue;
            }
            return Ok(Response {
                status,
                headers,
                body: Vec::new(),
                trailers: Vec::new(),
                informational,
            });
        }
    }

    /// Reads exactly so many bytes.
    pub fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.wire.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads until a piece of text has come, and returns all up to its end.
    pub fn read_until(&mut self, text: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(text.as_bytes()) {
            bytes.extend(self.read(1)?);
        }
        Ok(bytes)
    }

    /// Waits until the other side hangs up; what it sent before. An error if it does not within the deadline.
    pub fn closed(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.wire.read_to_end(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(bytes),
            Err(error) => Err(error),
            Ok(_) => Ok(bytes),
        }
    }

    /// No more will be sent; answers may still come.
    pub fn finish_sending(&self) {
        self.wire.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// A stream with a buffer, and HTTP's framing over it.
pub struct Wire {
    pub stream: TcpStream,
    buffer: Vec<u8>,
    read: usize,
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
            read: 0,
        }
    }

    /// First line and headers.
    pub fn head(&mut self) -> io::Result<(String, Fields)> {
        let first = self.line()?;
        Ok((first, self.fields()?))
    }

    /// A body by its framing (RFC 9112 section 6.3) and its trailers. `until_close`: without framing it ends with the
    /// connection, as answers do; otherwise there is none, as for requests.
    pub fn body(&mut self, headers: &[(String, String)], until_close: bool) -> io::Result<(Vec<u8>, Fields)> {
        let mut body = Vec::new();
        let trailers = self.body_into(headers, until_close, |piece| body.extend_from_slice(piece))?;
        Ok((body, trailers))
    }

    /// The same, piece by piece.
    pub fn body_into(
        &mut self,
        headers: &[(String, String)],
        until_close: bool,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<Fields> {
        let chunked = values(headers, "transfer-encoding")
            .iter()
            .any(|value| value.eq_ignore_ascii_case("chunked"));
        if chunked {
            loop {
                let line = self.line()?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
                if size == 0 {
                    return self.fields();
                }
                self.copy(size, &mut take)?;
                self.line()?;
            }
        }
        match values(headers, "content-length").first() {
            Some(length) => self.copy(length.parse().map_err(io::Error::other)?, &mut take)?,
            None if until_close => {
                let mut piece = vec![0; 64 * 1024];
                loop {
                    match self.read(&mut piece)? {
                        0 => break,
                        count => take(&piece[..count]),
                    }
                }
            }
            None => {}
        }
        Ok(Vec::new())
    }

    fn copy(&mut self, mut length: u64, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut piece = vec![0; 64 * 1024];
        while length > 0 {
            let wanted = piece.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let count = self.read(&mut piece[..wanted])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&piece[..count]);
            length -= count as u64;
        }
        Ok(())
    }

    fn fields(&mut self) -> io::Result<Fields> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.buffer.len() {
            if into.len() >= 16 * 1024 {
                return self.stream.read(into);
            }
            self.buffer.resize(16 * 1024, 0);
            self.read = 0;
            let count = self.stream.read(&mut self.buffer);
            self.buffer.truncate(count.as_ref().map_or(0, |count| *count));
            count?;
        }
        let rest = &self.buffer[self.read..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}
