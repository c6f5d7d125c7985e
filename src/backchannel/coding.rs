//! Content codings of answers (RFC 9110 section 8.4.1): gzip is asked for, deflate is read where it comes all the same.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::text::safe;

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
    let plain: Result<Vec<u8>, _> = match named.trim_ascii() {
        b"" | b"identity" => return Ok(body),
        // Nothing to decompress: the answer to a HEAD, or one without a body.
        _ if body.is_empty() => return Ok(body),
        b"gzip" | b"x-gzip" => bounded(MultiGzDecoder::new(body.as_ref()), limit),
        // RFC 9110 section 8.4.1.2: zlib's format is meant; some send the bare one.
        b"deflate" => match bounded(ZlibDecoder::new(body.as_ref()), limit) {
            Err(CodingError::Broken) => bounded(DeflateDecoder::new(body.as_ref()), limit),
            read => read,
        },
        other => {
            let name = String::from_utf8_lossy(other.get(..40).unwrap_or(other));
            return Err(CodingError::Unknown(safe(&name).into_owned()));
        }
    };
    let plain = plain?;
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok(plain.into())
}

fn bounded(decoder: impl Read, limit: usize) -> Result<Vec<u8>, CodingError> {
    let mut plain = Vec::new();
    let read: io::Result<usize> = decoder.take(limit as u64 + 1).read_to_end(&mut plain);
    match read {
        Ok(length) if length > limit => Err(CodingError::TooLarge),
        Ok(_) => Ok(plain),
        Err(_) => Err(CodingError::Broken),
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
        assert!(read.is_err() || coding == "identity" || headers.is_empty());
        read
    }

    #[test]
    fn known_codings_are_read() {
        let gzip = compressed(GzEncoder::new(TEXT, Compression::best()));
        let zlib = compressed(ZlibEncoder::new(TEXT, Compression::best()));
        let bare = compressed(DeflateEncoder::new(TEXT, Compression::best()));
        let of = [
            ("gzip", &gzip),
            ("X-GZip", &gzip),
            ("deflate", &zlib),
            ("deflate", &bare),
        ];
        for (coding, body) in of {
            assert_eq!(read(coding, body.clone(), TEXT.len()).as_deref(), Ok(TEXT), "{coding}");
            assert_eq!(read(coding, body.clone(), TEXT.len() - 1), Err(CodingError::TooLarge));
            assert_eq!(read(coding, b"plain".to_vec(), 99), Err(CodingError::Broken));
        }
        assert_eq!(read("identity", TEXT.to_vec(), 99).as_deref(), Ok(TEXT));
        assert_eq!(
            read("gzip", gzip[..gzip.len() / 2].to_vec(), 99),
            Err(CodingError::Broken)
        );
    }

    #[test]
    fn others_are_named() {
        for coding in ["br", "zstd", "gzip, gzip"] {
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
