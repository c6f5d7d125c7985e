//! HTTP/2 in clear, frame by frame (RFC 9113): a client that can send what no library would. Header blocks are
//! literals without Huffman coding (RFC 7541 section 6.2.3); of answers only the status is read.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::http::HOST;
use super::wait::DEADLINE;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A header field as it goes out, however odd.
pub type Field<'a> = (&'a str, &'a str);

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Answered(u16),
    Reset,
    /// The whole connection was ended.
    Closed,
}

/// A connection of its own.
pub struct H2 {
    stream: TcpStream,
}

impl H2 {
    /// Connects and greets; our settings forbid the other side's compression table, so that answers can be read.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut opened = Self { stream };
        opened.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        // SETTINGS_HEADER_TABLE_SIZE (1) = 0.
        opened.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0]).unwrap();
        opened
    }

    /// The pseudo headers of a plain request, and more fields after them.
    pub fn request(&mut self, stream: u32, method: &str, path: &str, more: &[Field<'_>], end: bool) -> io::Result<()> {
        let mut fields = vec![
            (":method", method),
            (":scheme", "http"),
            (":authority", HOST),
            (":path", path),
        ];
        fields.extend(more);
        self.headers(stream, &fields, end)
    }

    /// These fields and no others.
    pub fn headers(&mut self, stream: u32, fields: &[Field<'_>], end: bool) -> io::Result<()> {
        let mut block = Vec::new();
        for (name, value) in fields {
            block.push(0x10);
            literal(&mut block, name);
            literal(&mut block, value);
        }
        self.frame(HEADERS, END_HEADERS | u8::from(end), stream, &block)
    }

    pub fn data(&mut self, stream: u32, bytes: &[u8], end: bool) -> io::Result<()> {
        self.frame(DATA, if end { END_STREAM } else { 0 }, stream, bytes)
    }

    /// CANCEL.
    pub fn reset(&mut self, stream: u32) -> io::Result<()> {
        self.frame(RESET, 0, stream, &[0, 0, 0, 8])
    }

    /// Reads on until something has become of the stream; its body is left where it is. Panics at the deadline.
    pub fn outcome(&mut self, wanted: u32) -> Outcome {
        loop {
            let (kind, flags, stream, payload) = match self.read() {
                Ok(frame) => frame,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nothing becomes of stream {wanted}"),
                Err(_) => return Outcome::Closed,
            };
            match kind {
                GO_AWAY => return Outcome::Closed,
                // Our acknowledgement may come too late for a connection that is being closed.
                SETTINGS if flags & 1 == 0 => drop(self.frame(SETTINGS, 1, 0, &[])),
                HEADERS if stream == wanted => return Outcome::Answered(status(&payload)),
                RESET if stream == wanted => return Outcome::Reset,
                _ => {}
            }
        }
    }

    /// Reads on until something has become of so many streams, whichever; none of them is waited for in turn.
    pub fn outcomes(&mut self, count: usize) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(count);
        while outcomes.len() < count {
            let (kind, flags, _, payload) = match self.read() {
                Ok(frame) => frame,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("nothing becomes of {} streams", count - outcomes.len())
                }
                Err(_) => break,
            };
            match kind {
                GO_AWAY => break,
                SETTINGS if flags & 1 == 0 => drop(self.frame(SETTINGS, 1, 0, &[])),
                HEADERS => outcomes.push(Outcome::Answered(status(&payload))),
                RESET => outcomes.push(Outcome::Reset),
                _ => {}
            }
        }
        outcomes.resize(count, Outcome::Closed);
        outcomes
    }

    /// Comes back when the other side has read all that was sent to it. Nothing may have been answered yet.
    pub fn is_read(&mut self) {
        self.frame(PING, 0, 0, &[7; 8]).unwrap();
        loop {
            let (kind, flags, stream, _) = self.read().unwrap();
            match kind {
                PING if flags & 1 == 1 => return,
                SETTINGS if flags & 1 == 0 => self.frame(SETTINGS, 1, 0, &[]).unwrap(),
                HEADERS | RESET => panic!("stream {stream} has ended already"),
                _ => {}
            }
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.stream.write_all(&frame)
    }

    fn read(&mut self) -> io::Result<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload)?;
        Ok((head[3], head[4], stream, payload))
    }
}

/// A string literal, its length as an integer with a prefix of seven bits (RFC 7541 sections 5.1 and 5.2).
fn literal(block: &mut Vec<u8>, text: &str) {
    let mut rest = text.len();
    if rest < 127 {
        block.push(rest as u8);
    } else {
        block.push(127);
        rest -= 127;
        while rest >= 128 {
            block.push((rest % 128) as u8 | 128);
            rest /= 128;
        }
        block.push(rest as u8);
    }
    block.extend(text.as_bytes());
}

/// `:status` stands first: an entry of the static table (RFC 7541 appendix A) or its name with a literal.
fn status(block: &[u8]) -> u16 {
    // Changes of the table's size may come before (section 6.3).
    let first = block.iter().position(|byte| byte >> 5 != 1).unwrap();
    let block = &block[first..];
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        _ => {
            let length = usize::from(block[1] & 0x7f);
            let text = &block[2..2 + length];
            let digits = if block[1] & 0x80 == 0 {
                text.to_vec()
            } else {
                digits(text)
            };
            String::from_utf8(digits).unwrap().parse().unwrap()
        }
    }
}

/// Three digits from their Huffman code (RFC 7541 appendix B): 0 to 2 have five bits, the others six.
fn digits(code: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = code
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |number, bit| number << 1 | bit);
    let mut place = 0;
    (0..3)
        .map(|_| {
            let short = number(&bits[place..place + 5]);
            if short <= 2 {
                place += 5;
                b'0' + short
            } else {
                place += 6;
                b'3' + number(&bits[place - 6..place]) - 0x19
            }
        })
        .collect()
}
