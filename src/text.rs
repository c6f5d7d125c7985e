//! Text as editors and servers leave it.

/// The text without the byte order mark that Windows' editors put before UTF-8. A JSON parser may pass over it (RFC 8259
/// section 8.1), and PEM's markers stand at the beginning of a line.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
