//! HLS: addresses are whole lines, and `URI="…"` attributes of `#EXT-X-` tags, known or not (RFC 8216 section 4).
//!
//! An address with a variable in it (`{$name}`, `EXT-X-DEFINE`) may lead anywhere and stays as it is.

use memchr::{memchr, memmem};

use super::reference::{Judge, place};
use super::{RewriteContext, within_bounds};

const BOM: &[u8] = b"\xef\xbb\xbf";

pub(super) fn rewrite(playlist: &[u8], context: &RewriteContext<'_>) -> Option<Vec<u8>> {
    let begin = if playlist.starts_with(BOM) { BOM.len() } else { 0 };
    if !playlist.get(begin..)?.starts_with(b"#EXTM3U") {
        return None;
    }
    let mut writer = Writer {
        playlist,
        copied: 0,
        written: Vec::with_capacity(playlist.len() + playlist.len() / 2),
        judge: Judge::new(context),
        context,
    };
    let mut start = begin;
    while let Some(rest) = playlist.get(start..).filter(|rest| !rest.is_empty()) {
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = rest.get(..length).unwrap_or_default();
        if line.starts_with(b"#EXT-X-") {
            writer.tag(start, line)?;
        } else if !line.starts_with(b"#") {
            writer.address(start, line)?;
        }
        start += length + 1;
    }
    writer.finish()
}

struct Writer<'a> {
    playlist: &'a [u8],
    /// So much of it stands in `written`.
    copied: usize,
    written: Vec<u8>,
    judge: Judge<'a>,
    context: &'a RewriteContext<'a>,
}

impl Writer<'_> {
    /// The address in `bytes`, which stand at `at`, without the space around it.
    fn address(&mut self, at: usize, bytes: &[u8]) -> Option<()> {
        let at = at + (bytes.len() - bytes.trim_ascii_start().len());
        let bytes = bytes.trim_ascii();
        let Some(reference) = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty()) else {
            return Some(());
        };
        let context = self.context;
        let has_variable = bytes.contains(&b'{') && reference.contains("{$");
        if has_variable || !self.judge.covers(0, std::slice::from_ref(context.here), reference) {
            return Some(());
        }
        let Some((place, between)) = place(reference, context.parameter) else {
            return Some(());
        };
        self.written.extend(self.playlist.get(self.copied..at + place)?);
        self.written.extend(between.as_bytes());
        self.written.extend(context.parameter.as_bytes());
        self.copied = at + place;
        within_bounds(self.written.len())
    }

    /// The tag `line`, which stands at `at`: an attribute list may follow its colon (RFC 8216 section 4.2).
    fn tag(&mut self, at: usize, line: &[u8]) -> Option<()> {
        if memmem::find(line, b"URI=\"").is_none() {
            return Some(());
        }
        let mut next = find(line, 0, b':').map_or(line.len(), |colon| colon + 1);
        while let Some(equals) = find(line, next, b'=') {
            let name = line.get(next..equals)?.trim_ascii();
            let value = equals + 1;
            let end = if line.get(value) == Some(&b'"') {
                let Some(quote) = find(line, value + 1, b'"') else {
                    return Some(()); // not closed: nothing behind it is certain
                };
                if name == b"URI" {
                    self.address(at + value + 1, line.get(value + 1..quote)?)?;
                }
                quote + 1
            } else {
                value
            };
            let Some(comma) = find(line, end, b',') else { break };
            next = comma + 1;
        }
        Some(())
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.written.extend(self.playlist.get(self.copied..)?);
        within_bounds(self.written.len())?;
        Some(self.written)
    }
}

fn find(line: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let found = memchr(wanted, line.get(from..)?)?;
    Some(from + found)
}
