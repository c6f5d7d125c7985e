//! Several ranges in one answer: the framing of `multipart/byteranges` (RFC 9110 section 14.6, RFC 2046 section 5.1).
//!
//! Decides the texts around the ranges and their exact length. Which ranges, is decided in `range`.

use bytes::Bytes;
use http::HeaderValue;

use super::ascii;
use super::range::ByteRange;
use super::stream::Piece;

/// A multipart body, not yet read from disk.
pub(super) struct Multipart {
    pub(super) content_type: HeaderValue,
    pub(super) content_length: u64,
    pub(super) pieces: Vec<Piece>,
}

/// Frames `ranges` of a file of `complete` bytes. `boundary` has to be random: whoever uploads a file must not be able
/// to write part headers into it.
pub(super) fn frame(ranges: &[ByteRange], complete: u64, part_type: &HeaderValue, boundary: u128) -> Multipart {
    let boundary = format!("{boundary:032x}");
    let mut pieces = Vec::with_capacity(ranges.len() * 2 + 1);
    let mut content_length = 0;
    let mut line_end = "";
    for &range in ranges {
        let mut head = format!("{line_end}--{boundary}\r\nContent-Type: ").into_bytes();
        head.extend_from_slice(part_type.as_bytes());
        head.extend_from_slice(format!("\r\nContent-Range: {}\r\n\r\n", range.content_range(complete)).as_bytes());
        content_length += head.len() as u64 + range.len();
        pieces.push(Piece::Text(Bytes::from(head)));
        pieces.push(Piece::File(range));
        line_end = "\r\n";
    }
    let close = format!("\r\n--{boundary}--\r\n");
    content_length += close.len() as u64;
    pieces.push(Piece::Text(Bytes::from(close)));
    Multipart {
        content_type: ascii(format!("multipart/byteranges; boundary={boundary}")),
        content_length,
        pieces,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_parts_to_the_letter() {
        let ranges = [ByteRange { start: 0, end: 2 }, ByteRange { start: 90, end: 100 }];
        let multipart = frame(&ranges, 100, &HeaderValue::from_static("video/mp4"), 0xabc);
        let boundary = "00000000000000000000000000000abc";
        assert_eq!(
            multipart.content_type,
            format!("multipart/byteranges; boundary={boundary}")
        );
        let body: Vec<u8> = multipart
            .pieces
            .into_iter()
            .flat_map(|piece| match piece {
                Piece::Text(text) => text.to_vec(),
                Piece::File(range) => vec![b'#'; range.len() as usize],
            })
            .collect();
        let expected = format!(
            "--{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes 0-1/100\r\n\r\n##\r\n\
             --{boundary}\r\nContent-Type: video/mp4\r\nContent-Range: bytes 90-99/100\r\n\r\n##########\r\n\
             --{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(multipart.content_length, expected.len() as u64);
    }
}
