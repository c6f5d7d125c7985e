//! Puts a watch pass into the addresses of a playlist: HLS (RFC 8216 with its low-latency tags) and DASH (ISO/IEC
//! 23009-1). Bytes in, bytes out: whatever is no address that leads to the same lecture stays as it is, to the byte.
//!
//! Whether a playlist is to be rewritten, and what leads to the same lecture, is decided by the caller.

pub mod collect;
pub mod json;

mod m3u8;
mod mpd;
mod reference;

use url::{Origin, Url};

use self::reference::{Judge, place};

/// Larger playlists are served as they are.
pub const MAX_PLAYLIST: usize = 10 << 20;
/// What a playlist may grow to; one that would grow beyond is served as it is.
const MAX_REWRITTEN: usize = 64 << 20;

/// The two kinds of playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    M3u8,
    Mpd,
}

impl Kind {
    /// By the name of a file or the last segment of a path.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        match extension {
            _ if extension.eq_ignore_ascii_case("m3u8") || extension.eq_ignore_ascii_case("m3u") => Some(Self::M3u8),
            _ if extension.eq_ignore_ascii_case("mpd") => Some(Self::Mpd),
            _ => None,
        }
    }

    /// By a `Content-Type`: those registered, and those that servers have for HLS besides (RFC 8216 section 4; Opencast
    /// sends `application/x-mpegURL`).
    pub fn of_content_type(value: &str) -> Option<Self> {
        let essence = value.split(';').next().unwrap_or_default().trim();
        let is = |known: &str| essence.eq_ignore_ascii_case(known);
        let hls = [
            "application/vnd.apple.mpegurl",
            "application/x-mpegurl",
            "audio/mpegurl",
            "audio/x-mpegurl",
        ];
        if hls.into_iter().any(is) {
            return Some(Self::M3u8);
        }
        is("application/dash+xml").then_some(Self::Mpd)
    }
}

/// What goes into a playlist, and where it may.
pub struct RewriteContext<'a> {
    /// Where the client found the playlist: its references are relative to this.
    pub here: &'a Url,
    /// Another origin that is this gateway, too.
    pub also_here: Option<&'a Origin>,
    /// The parameter to add: `watch=…`, of characters that stand for themselves in a query and in XML.
    pub parameter: &'a str,
    /// Does this path (percent-encoded) lead to the same lecture?
    pub covers: &'a dyn Fn(&str) -> bool,
}

/// The playlist with the parameter in every address that leads to the same lecture. `None`: it goes out as it is, since
/// it is no such playlist, too large, or cannot be read for certain.
pub fn rewrite(kind: Kind, playlist: &[u8], context: &RewriteContext<'_>) -> Option<Vec<u8>> {
    if playlist.len() > MAX_PLAYLIST {
        return None;
    }
    match kind {
        Kind::M3u8 => m3u8::rewrite(playlist, context),
        Kind::Mpd => mpd::rewrite(std::str::from_utf8(playlist).ok()?, context),
    }
}

/// One address with the parameter in it. `None`: it leads elsewhere, or has one already.
pub fn rewrite_one(reference: &str, context: &RewriteContext<'_>) -> Option<String> {
    let leads_here = Judge::new(context).covers(0, std::slice::from_ref(context.here), reference);
    let (at, between) = place(reference, context.parameter).filter(|_| leads_here)?;
    let (before, after) = reference.split_at_checked(at)?;
    Some(format!("{before}{between}{}{after}", context.parameter))
}

/// What is known of a text already copied: its length may not pass the bound.
fn within_bounds(length: usize) -> Option<()> {
    (length <= MAX_REWRITTEN).then_some(())
}

#[cfg(test)]
mod tests;
