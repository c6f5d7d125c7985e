//! A view as a line of JSON, and as an address.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::json;

use super::View;
use crate::time::rfc3339;

/// What does not stand for itself in a segment of a path (RFC 3986 section 3.3).
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// With its line feed.
pub(super) fn json(view: &View) -> Vec<u8> {
    let line = json!({
        "time": rfc3339(view.at),
        "event": view.event,
        "view": view.view,
        "viewer": view.viewer,
        "kind": view.kind.word(),
        "route": view.route,
        "host": view.host,
    });
    let mut bytes = line.to_string().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// The event's own address at the gateway's: the same for all views of it.
pub(super) fn url(origin: &str, route: &str, event: &str) -> String {
    let segment = |text| utf8_percent_encode(text, SEGMENT);
    format!("{origin}/{}/{}", segment(route), segment(event))
}
