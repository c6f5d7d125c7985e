//! The access line in Apache's Combined Log Format, as nginx writes it: for programs that read no other.
//!
//! `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`.
//! The time is UTC. Of a query the names of its parameters stand there, as in the other formats.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::access_log::{Entry, protocol};
use crate::redact;
use crate::text::is_unsafe;

/// What nginx writes where the client went before there was an answer.
const CLIENT_GONE: u16 = 499;

/// Appends the line and a line feed.
pub(super) fn line(entry: &Entry<'_>, out: &mut String) {
    // Writing to a String does not fail, here and below.
    write!(out, "{} - ", entry.client).unwrap_or_default();
    match entry.subject {
        Some((source, subject)) => {
            user(out, source, 64);
            out.push('/');
            user(out, &redact::tokens(subject), 256);
        }
        None => out.push('-'),
    }
    out.push_str(" [");
    time(out, entry.time);
    out.push_str("] \"");
    escaped(out, entry.method.as_str(), 32);
    out.push(' ');
    escaped(out, &redact::path(entry.path), 2048);
    for (place, name) in entry.query.map(redact::query_names).into_iter().flatten().enumerate() {
        out.push(if place == 0 { '?' } else { '&' });
        escaped(out, name, 32);
    }
    out.push(' ');
    out.push_str(protocol(entry.protocol));
    let status = if entry.status == 0 { CLIENT_GONE } else { entry.status };
    write!(out, "\" {status:03} {} \"", entry.bytes_out).unwrap_or_default();
    let lossy = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    match entry.referer.map(lossy) {
        Some(referer) => escaped(out, &redact::referer(&referer), 512),
        None => out.push('-'),
    }
    out.push_str("\" \"");
    match entry.user_agent.map(lossy) {
        Some(agent) => escaped(out, &redact::tokens(&agent), 256),
        None => out.push('-'),
    }
    out.push_str("\"\n");
}

/// A name stands in no quotes: its blanks would end the field.
fn user(out: &mut String, name: &str, longest: usize) {
    let mut text = String::new();
    escaped(&mut text, name, longest);
    out.push_str(&text.replace(' ', "\\x20"));
}

/// As nginx escapes a variable: quotes, backslashes and control characters as `\xXX`, and so each byte of what hides or
/// reorders; letters of other scripts stay.
fn escaped(out: &mut String, text: &str, longest: usize) {
    for (place, character) in text.char_indices() {
        if place >= longest {
            out.push('…');
            break;
        }
        if matches!(character, '"' | '\\') || is_unsafe(character) {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(out, "\\x{byte:02X}").unwrap_or_default();
            }
        } else {
            out.push(character);
        }
    }
}

/// `12/Nov/2026:10:00:00 +0000`
fn time(out: &mut String, time: SystemTime) {
    // A date of HTTP is a date of GMT with four digits for the year.
    let last = UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    let date = httpdate::fmt_http_date(time.clamp(UNIX_EPOCH, last));
    let part = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
    for text in [
        part(5, 7),
        "/",
        part(8, 11),
        "/",
        part(12, 16),
        ":",
        part(17, 25),
        " +0000",
    ] {
        out.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::access_log::example as entry;
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn written(entry: &Entry<'_>) -> String {
        let mut out = String::new();
        line(entry, &mut out);
        out
    }

    #[test]
    fn a_line_as_nginx_writes_it() {
        assert_eq!(
            written(&entry()),
            "192.0.2.1 - moodle/anna [12/Nov/2026:10:00:00 +0000] \"GET /static/o/c/e/v.mp4?jwt&t HTTP/1.1\" 206 1048576 \
             \"-\" \"-\"\n"
        );
        let agent = HeaderValue::from_bytes(b"a \"b\" \\ c\t\xff").unwrap();
        let referer = HeaderValue::from_static("https://moodle.example.edu/course?id=4");
        let other = Entry {
            subject: Some(("campus", "anna m")),
            status: 0,
            bytes_out: 0,
            query: None,
            path: "/ä\"\n",
            user_agent: Some(&agent),
            referer: Some(&referer),
            ..entry()
        };
        assert_eq!(
            written(&other),
            "192.0.2.1 - campus/anna\\x20m [12/Nov/2026:10:00:00 +0000] \"GET /ä\\x22\\x0A HTTP/1.1\" 499 0 \
             \"https://moodle.example.edu/course\" \"a \\x22b\\x22 \\x5C c\\x09\u{fffd}\"\n"
        );
        let nobody = Entry {
            subject: None,
            time: UNIX_EPOCH,
            ..entry()
        };
        assert!(written(&nobody).starts_with("192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"GET "));
    }

    proptest! {
        #[test]
        fn no_request_can_forge_a_field(
            path in any::<String>(), name in any::<String>(), agent in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let agent = HeaderValue::from_bytes(&agent).ok();
            let told = Entry { path: &path, subject: Some(("moodle", &name)), user_agent: agent.as_ref(), ..entry() };
            let line = written(&told);
            prop_assert!(line.ends_with('\n') && !line.trim_end_matches('\n').contains(is_unsafe), "{:?}", line);
            prop_assert_eq!(line.matches('"').count(), 6);
            let (before, _) = line.split_once(" [").unwrap();
            prop_assert_eq!(before.split(' ').count(), 3);
        }
    }
}
