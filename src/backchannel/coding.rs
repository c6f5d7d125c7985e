//! Content codings of answers (RFC 9110 section 8.4.1): gzip is asked for, deflate is read where it comes all the same.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::GzDecoder;
use flate2::read::{DeflateDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::text::safe;

/// Registered codings that make a body unreadable here. Other names are no coding but what a store of objects has kept
/// beside a body as it is (`utf-8`, `aws-chunked`), and pass as they do in browsers and curl.
const UNREADABLE: [&[u8]; 6] = [b"br", b"zstd", b"compress", b"x-compress", b"dcb", b"dcz"];

/// What a request says that it can read.
pub(super) const ACCEPTED: &str = "gzip";

/// Why a body cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CodingError {
    /// The name of the coding, or of several.
    Unknown(String),
    /// It is broken.
    Broken,
    /// It is longer than the limit when it is decompressed.
    TooLarge,
}

/// The body as it was before it was compressed, of at most `limit` bytes; the headers tell of it then.
pub(super) fn decoded(headers: &mut HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, CodingError> {
    let named = headers.get_all(CONTENT_ENCODING).iter().map(|value| value.as_bytes());
    let named = named.collect::<Vec<_>>().join(&b", "[..]).to_ascii_lowercase();
    let is_coding = |name: &&[u8]| matches!(*name, b"gzip" | b"x-gzip" | b"deflate") || UNREADABLE.contains(name);
    let all = named.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let codings: Vec<_> = all.filter(is_coding).collect();
    let plain: Result<Vec<u8>, _> = match codings.as_slice() {
        [] => return Ok(body),
        // Nothing to decompress: the answer to a HEAD, or one without a body.
        _ if body.is_empty() => return Ok(body),
        [b"gzip" | b"x-gzip"] => gunzip(&body, limit),
        // RFC 9110 section 8.4.1.2: zlib's format is meant; some send the bare one.
        [b"deflate"] => match bounded(ZlibDecoder::new(body.as_ref()), limit) {
            Err(CodingError::Broken) => bounded(DeflateDecoder::new(body.as_ref()), limit),
            read => read,
        },
        _ => {
            let name = String::from_utf8_lossy(named.get(..40).unwrap_or(&named));
            return Err(CodingError::Unknown(safe(&name).into_owned()));
        }
    };
    let plain = plain?;
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(plain.into())
}

/// Every member (RFC 1952 section 2.2). What stands behind the last one, such as padding, is passed over as gzip(1) does.
fn gunzip(mut rest: &[u8], limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut plain = Vec::new();
    loop {
        let mut member = GzDecoder::new(rest);
        append(&mut member, &mut plain, limit)?;
        rest = member.into_inner();
        if !rest.starts_with(b"\x1f\x8b") {
            return Ok(plain);
        }
    }
}

fn bounded(decoder: impl Read, limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut plain = Vec::new();
    append(decoder, &mut plain, limit)?;
    Ok(plain)
}

fn append(decoder: impl Read, plain: &mut Vec<u8>, limit: usize) -> Result<(), CodingError> {
    let left = limit.saturating_sub(plain.len()) as u64;
    let read = decoder.take(left + 1).read_to_end(plain);
    read.map_err(|_| CodingError::Broken)?;
    match plain.len() > limit {
        true => Err(CodingError::TooLarge),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"{\"keys\":[]}";

    fn compressed(mut encoder: impl Read) -> Vec<u8> {
        let mut bytes = Vec::new();
        encoder.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn read(coding: &str, body: Vec<u8>, limit: usize) -> Result<Bytes, CodingError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        let read = decoded(&mut headers, body.into(), limit);
        assert!(read.is_err() || !coding.contains("gzip") || headers.is_empty());
        read
    }

    #[test]
    fn known_codings_are_read() {
        let gzip = compressed(GzEncoder::new(TEXT, Compression::best()));
        let zlib = compressed(ZlibEncoder::new(TEXT, Compression::best()));
        let bare = compressed(DeflateEncoder::new(TEXT, Compression::best()));
        let (begin, end) = TEXT.split_at(3);
        let members = [begin, end].map(|part| compressed(GzEncoder::new(part, Compression::best())));
        let padded = [gzip.as_slice(), &[0; 5]].concat();
        let of = [
            ("gzip", &gzip),
            ("gzip, identity", &gzip),
            ("gzip", &members.concat()),
            ("gzip", &padded),
            ("X-GZip", &gzip),
            ("deflate", &zlib),
            ("deflate", &bare),
        ];
        for (coding, body) in of {
            assert_eq!(read(coding, body.clone(), TEXT.len()).as_deref(), Ok(TEXT), "{coding}");
            assert_eq!(read(coding, body.clone(), TEXT.len() - 1), Err(CodingError::TooLarge));
            assert_eq!(read(coding, b"plain".to_vec(), 99), Err(CodingError::Broken));
        }
        for none in ["", "identity", "UTF-8", "aws-chunked", "aws-chunked,identity"] {
            assert_eq!(read(none, TEXT.to_vec(), 99).as_deref(), Ok(TEXT), "{none}");
        }
        assert_eq!(
            read("gzip", gzip[..gzip.len() / 2].to_vec(), 99),
            Err(CodingError::Broken)
        );
    }

    #[test]
    fn others_are_named() {
        for coding in ["br", "zstd", "gzip, gzip", "aws-chunked, br"] {
            assert_eq!(read(coding, vec![1], 99), Err(CodingError::Unknown(coding.into())));
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let zeros = vec![0; 1 << 20];
        let bomb = compressed(GzEncoder::new(zeros.as_slice(), Compression::best()));
        assert!(bomb.len() < 4096);
        assert_eq!(read("gzip", bomb, 4096), Err(CodingError::TooLarge));
    }
}
