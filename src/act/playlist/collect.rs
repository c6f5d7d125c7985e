//! A playlist, or another text to be rewritten, that comes in pieces from an upstream, gzip-encoded or not: gathered until it
//! is whole. One that grows too large is let go, piece by piece as it comes, decoded all the same: its headers are out already.

use std::io::{self, Write as _};
use std::mem::take;

use flate2::write::MultiGzDecoder;

use super::MAX_PLAYLIST;

/// What has come so far.
pub struct Collecting {
    text: Text,
    /// Too large to be rewritten: nothing is held back any more.
    let_go: bool,
}

enum Text {
    Plain(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Collecting {
    pub fn new(is_gzip: bool) -> Self {
        Self {
            text: match is_gzip {
                true => Text::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
                false => Text::Plain(Vec::new()),
            },
            let_go: false,
        }
    }

    /// Takes a piece in. What it returns goes out at once: nothing, unless the playlist is too large.
    ///
    /// Errors: this is no gzip.
    pub fn add(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match &mut self.text {
            Text::Plain(text) => text.extend(piece),
            Text::Gzip(decoder) => decoder.write_all(piece)?,
        }
        Ok(self.released())
    }

    /// Nothing more comes: the rest, and whether it is the whole playlist.
    ///
    /// Errors: the gzip stream is not at its end.
    pub fn finish(&mut self) -> io::Result<(Vec<u8>, bool)> {
        if let Text::Gzip(decoder) = &mut self.text {
            decoder.try_finish()?;
        }
        let released = self.released();
        let rest = take(self.held());
        match self.let_go {
            true => Ok(([released, rest].concat(), false)),
            false => Ok((rest, true)),
        }
    }

    fn released(&mut self) -> Vec<u8> {
        self.let_go |= self.held().len() > MAX_PLAYLIST;
        if self.let_go { take(self.held()) } else { Vec::new() }
    }

    fn held(&mut self) -> &mut Vec<u8> {
        match &mut self.text {
            Text::Plain(text) => text,
            Text::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn collected(pieces: &[u8], is_gzip: bool) -> io::Result<(Vec<u8>, bool)> {
        let mut collecting = Collecting::new(is_gzip);
        let mut out = Vec::new();
        for piece in pieces.chunks(1000) {
            out.extend(collecting.add(piece)?);
        }
        let (rest, is_whole) = collecting.finish()?;
        assert!(!is_whole || out.is_empty());
        out.extend(rest);
        Ok((out, is_whole))
    }

    #[test]
    fn what_comes_in_pieces_is_whole_at_the_end() {
        let text = b"#EXTM3U\nsegment.ts\n".repeat(1000);
        assert_eq!(collected(&text, false).unwrap(), (text.clone(), true));
        assert_eq!(collected(&gzip(&text), true).unwrap(), (text, true));
        assert_eq!(collected(b"", false).unwrap(), (Vec::new(), true));
    }

    #[test]
    fn what_is_too_large_goes_out_as_it_is() {
        let text = b"0123456789abcdef".repeat(MAX_PLAYLIST / 16 + 100);
        assert_eq!(collected(&text, false).unwrap(), (text.clone(), false));
        assert_eq!(collected(&gzip(&text), true).unwrap(), (text, false));
    }

    #[test]
    fn a_broken_encoding_is_an_error() {
        let whole = gzip(b"#EXTM3U\n");
        assert!(collected(&whole[..whole.len() - 4], true).is_err());
        assert!(collected(b"#EXTM3U\n", true).is_err());
    }
}
