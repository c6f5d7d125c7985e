//! What a file is, by the end of its name, and whether a browser may show it.
//!
//! Lectures are uploaded by many hands, and the same host holds sessions: what a browser would run goes out as
//! attachment. Content is never looked at; `nosniff` binds the browser to what is decided here.

use http::HeaderValue;

/// How a file is presented.
pub(super) struct Kind {
    pub(super) content_type: HeaderValue,
    /// Must it be saved rather than shown, whatever the client asks for?
    pub(super) attachment: bool,
    /// Can a browser that opens it by its address show it without running anything that is in it?
    pub(super) inert: bool,
}

const UNKNOWN: &str = "application/octet-stream";

/// Looks at the last extension of `name`, in any case.
pub(super) fn kind(name: &str) -> Kind {
    let extension = name
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
        .to_ascii_lowercase();
    let media_type = media_type(&extension);
    let attachment = is_active(essence(media_type)) || is_active_extension(&extension);
    let sent = if is_script(essence(media_type)) {
        UNKNOWN
    } else {
        media_type
    };
    let content_type = HeaderValue::from_static(sent);
    Kind {
        content_type,
        attachment,
        inert: !attachment && is_inert(essence(sent)),
    }
}

/// Is a file of this name an image?
pub fn is_image(name: &str) -> bool {
    kind(name).content_type.as_bytes().starts_with(b"image/")
}

/// Ours first: what players are particular about, and what the general table has old names for.
fn media_type(extension: &str) -> &'static str {
    match extension {
        // RFC 8216 section 4; always UTF-8 by definition.
        "m3u8" | "m3u" => "application/vnd.apple.mpegurl",
        "mpd" => "application/dash+xml",
        // WebVTT is UTF-8 by definition; said for those who ask the header.
        "vtt" => "text/vtt; charset=utf-8",
        "srt" => "application/x-subrip",
        "ttml" | "dfxp" => "application/ttml+xml",
        // The registered type of a media segment (ISO/IEC 23009-1), and what Apple's HLS guidance names: a segment alone
        // is no playable video/mp4. Players that fetch segments look at neither.
        "m4s" => "video/iso.segment",
        "mp4" | "m4v" | "cmfv" => "video/mp4",
        "m4a" | "cmfa" => "audio/mp4",
        "ts" | "m2ts" | "mts" => "video/mp2t",
        "webm" => "video/webm",
        "weba" => "audio/webm",
        // Registered as video/matroska since RFC 9559, but this is the name that browsers and players know.
        "mkv" => "video/x-matroska",
        "mka" => "audio/x-matroska",
        "ogv" => "video/ogg",
        "oga" | "ogg" | "opus" => "audio/ogg",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "json" | "map" => "application/json",
        // Transcripts: unlabelled, browsers would take their umlauts for windows-1252.
        "txt" => "text/plain; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "" => UNKNOWN,
        other => mime_guess::from_ext(other).first_raw().unwrap_or(UNKNOWN),
    }
}

/// The type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split_once(';').map_or(media_type, |(essence, _)| essence)
}

/// Types that a browser renders as a document able to hold scripts: HTML, every kind of XML, and PDF, which besides
/// cannot be shown under `Content-Security-Policy: sandbox` but can be saved. DASH manifests are XML too, yet players
/// and apps open them by their address; the sandbox covers them.
fn is_active(media_type: &str) -> bool {
    let xml = media_type.ends_with("+xml") && media_type != "application/dash+xml";
    xml || is_script(media_type)
        || matches!(
            media_type,
            "text/html"
                | "text/xml"
                | "application/xml"
                | "text/xsl"
                | "text/cache-manifest"
                | "multipart/related"
                | "message/rfc822"
                | "application/pdf"
                | "application/x-shockwave-flash"
                | "application/java-archive"
        )
}

/// Types that browsers show in a page of their own making, in which nothing of the file is run. Under
/// `Content-Security-Policy: sandbox` that page has no origin, and Chromium's player then may not load the very file that
/// it was opened for. A list of what is known: whatever is not named here keeps the sandbox.
fn is_inert(media_type: &str) -> bool {
    let (kind, subtype) = media_type.split_once('/').unwrap_or_default();
    match kind {
        "video" | "audio" => true,
        // SVG runs scripts; so may whatever else is written in XML.
        "image" => !subtype.contains("xml") && !subtype.contains("svg"),
        _ => matches!(media_type, "application/vnd.apple.mpegurl" | "text/vtt" | "text/plain"),
    }
}

/// Programs. Being an attachment does not keep a page from loading one by `<script>` or as a service worker; a type
/// that is none does, together with `nosniff`.
fn is_script(media_type: &str) -> bool {
    media_type.ends_with("javascript") || media_type.ends_with("ecmascript") || media_type == "application/wasm"
}

/// The same by name, so that it does not hang on the general table's opinion.
fn is_active_extension(extension: &str) -> bool {
    matches!(
        extension,
        "html"
            | "htm"
            | "shtml"
            | "xhtml"
            | "xht"
            | "xml"
            | "xsl"
            | "xslt"
            | "svg"
            | "svgz"
            | "js"
            | "mjs"
            | "cjs"
            | "es"
            | "wasm"
            | "pdf"
            | "swf"
            | "jar"
            | "jnlp"
            | "mht"
            | "mhtml"
            | "hta"
            | "appcache"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_have_the_types_that_players_expect() {
        for (name, expected) in [
            ("master.m3u8", "application/vnd.apple.mpegurl"),
            ("MANIFEST.MPD", "application/dash+xml"),
            ("de.vtt", "text/vtt; charset=utf-8"),
            ("de.srt", "application/x-subrip"),
            ("chunk-1.m4s", "video/iso.segment"),
            ("lecture.mp4", "video/mp4"),
            ("lecture.v2.MP4", "video/mp4"),
            ("lecture.m4a", "audio/mp4"),
            ("segment0.ts", "video/mp2t"),
            ("lecture.webm", "video/webm"),
            ("lecture.mkv", "video/x-matroska"),
            ("sound.mp3", "audio/mpeg"),
            ("sound.wav", "audio/wav"),
            ("sound.opus", "audio/ogg"),
            ("slide.jpg", "image/jpeg"),
            ("slide.png", "image/png"),
            ("slide.gif", "image/gif"),
            ("slide.webp", "image/webp"),
            ("player.json", "application/json"),
            ("transcript.txt", "text/plain; charset=utf-8"),
            ("style.css", "text/css"),
            (
                "slides.pptx",
                "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            ),
            ("archive.zip", "application/zip"),
            ("README", UNKNOWN),
            ("mp4", UNKNOWN),
            ("lecture.", UNKNOWN),
            ("lecture.ünbekannt", UNKNOWN),
            ("lecture.mp4.xyzzy", UNKNOWN),
        ] {
            let kind = kind(name);
            assert_eq!(kind.content_type, expected, "{name}");
            assert!(!kind.attachment, "{name}");
        }
    }

    #[test]
    fn only_what_is_known_to_run_nothing_is_inert() {
        for name in [
            "a.mp4", "a.MP4", "a.webm", "a.mkv", "a.ts", "a.m4s", "a.mov", "a.mp3", "a.m4a", "a.ogg", "a.opus",
            "a.flac", "a.wav", "a.jpg", "a.png", "a.gif", "a.webp", "a.avif", "a.ico", "a.m3u8", "a.vtt", "a.txt",
        ] {
            assert!(kind(name).inert, "{name}");
        }
        for name in [
            "a.html",
            "a.xhtml",
            "a.svg",
            "a.SVGZ",
            "a.xml",
            "a.mpd",
            "a.ttml",
            "a.smil",
            "a.pdf",
            "a.js",
            "a.css",
            "a.json",
            "a.csv",
            "a.md",
            "a.zip",
            "a.srt",
            "a.swf",
            "a.mht",
            "a.xyzzy",
            "a.mp4.xyzzy",
            "mp4",
            "a.",
            "",
        ] {
            assert!(!kind(name).inert, "{name}");
        }
    }

    #[test]
    fn what_a_browser_would_run_is_an_attachment() {
        for (name, expected) in [
            ("a.html", "text/html"),
            ("a.HTM", "text/html"),
            ("a.xhtml", "application/xhtml+xml"),
            ("a.svg", "image/svg+xml"),
            ("a.svgz", "image/svg+xml"),
            ("a.xml", "text/xml"),
            ("a.rss", "application/rss+xml"),
            ("a.ttml", "application/ttml+xml"),
            ("a.smil", "application/smil+xml"),
            ("a.pdf", "application/pdf"),
            ("a.js", UNKNOWN),
            ("a.mjs", UNKNOWN),
            ("a.cjs", UNKNOWN),
            ("a.wasm", UNKNOWN),
        ] {
            let kind = kind(name);
            assert!(kind.attachment, "{name}");
            assert_eq!(kind.content_type, expected, "{name}");
        }
    }
}
