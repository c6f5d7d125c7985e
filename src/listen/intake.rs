//! Is this a request at all? Framing, host and header hygiene, before anything is looked up.
//!
//! pingora and httparse have refused what is not HTTP. What is left here is legal enough to be parsed and odd enough
//! that a server behind us could read it differently: it is refused rather than repaired.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, Version, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pingora::http::RequestHeader;

use crate::config::Server;
use crate::headers::{self, Several, at_most_one};
use crate::rejection::{Reason, Rejection};
use crate::request::Request;

/// A header as a client would send it, for [`take`]. Errors: what no HTTP server would read.
pub fn compose(method: &str, target: &str, fields: &[(String, String)]) -> Result<RequestHeader, Rejection> {
    let unreadable = |_| bad("the method, the target or a header cannot stand in HTTP");
    let header = RequestHeader::build(method, target.as_bytes(), None);
    let header = header.or_else(|_| RequestHeader::build(method, escaped(target).as_bytes(), None));
    let mut header = header.map_err(unreadable)?;
    for (name, value) in fields {
        let unreadable = |_| bad("a header cannot stand in HTTP");
        header
            .append_header(name.to_owned(), value.as_str())
            .map_err(unreadable)?;
    }
    Ok(header)
}

/// pingora reads a target that cannot stand in HTTP as if these bytes had been sent as escapes.
fn escaped(target: &str) -> String {
    const UNSENDABLE: &AsciiSet = &CONTROLS.add(b' ').add(b'<').add(b'>').add(b'"');
    utf8_percent_encode(target, UNSENDABLE).to_string()
}

/// Removes an `Upgrade` that begins no websocket (RFC 6455 section 4.1). Whatever else it asks for, h2c above all, would
/// make a connection to the upstream on which nothing is decided any more; and pingora takes every `Upgrade` for one, named
/// in `Connection` or not (RFC 9110 section 7.8).
pub fn forget_other_upgrades(header: &mut RequestHeader) {
    if header.headers.contains_key(header::UPGRADE) && !begins_websocket(header) {
        header.remove_header(&header::UPGRADE);
    }
}

fn begins_websocket(header: &RequestHeader) -> bool {
    let mut connection = headers::list(&header.headers, header::CONNECTION);
    header.method == Method::GET
        && headers::names_websocket(&header.headers)
        && connection.any(|name| name.eq_ignore_ascii_case(b"upgrade"))
}

/// The request in the gateway's own words, or why it is none.
/// `raw` is the header as it came (HTTP/1.x only): pingora has by now removed a `Content-Length` beside
/// `Transfer-Encoding`, and that there was one must still be seen.
pub fn take(header: &RequestHeader, raw: Option<&[u8]>) -> Result<Request, Rejection> {
    check_method(header)?;
    check_names(&header.headers)?;
    check_framing(&header.headers, raw)?;
    let target = std::str::from_utf8(header.raw_path()).map_err(|_| bad("the request target is not UTF-8"))?;
    let authority = authority(header)?;
    match absolute(target)? {
        // RFC 9112 section 3.2.2: a server MUST ignore Host where the target names one.
        Some((named, target)) => request(&header.method, Some(named), &target),
        None => request(&header.method, authority, target),
    }
}

/// Host and the rest of a target in absolute form (RFC 9112 section 3.2.2), as clients send it to a proxy; `None`: it is in
/// another form. Errors: it names no host, or somebody.
fn absolute(target: &str) -> Result<Option<(&str, Cow<'_, str>)>, Rejection> {
    if target.starts_with('/') {
        return Ok(None);
    }
    let after = |scheme: &str| {
        let beginning = target.get(..scheme.len())?;
        beginning
            .eq_ignore_ascii_case(scheme)
            .then(|| target.get(scheme.len()..))?
    };
    let Some(rest) = after("http://").or_else(|| after("https://")) else {
        return Ok(None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    match target.chars().next() {
        _ if authority.is_empty() || authority.contains('@') => Err(bad("the request target names no host")),
        Some('/') => Ok(Some((authority, target.into()))),
        // An empty path is the root's (RFC 9110 section 4.2.3).
        _ => Ok(Some((authority, format!("/{target}").into()))),
    }
}

/// Puts the public URL's host and port in the place of those that the client wrote: no other ones reach an upstream, a
/// redirect or a sign-in server. Refused: a host or port of another server, where [`Server::asked_url`] knows none.
pub fn settle_host(request: &mut Request, server: &Server) -> Result<(), Rejection> {
    // Nearly always.
    if server.public_urls.iter().any(|url| url.is_written(&request.authority)) {
        return Ok(());
    }
    let port = port(&request.authority);
    let Some(url) = server.asked_url(&request.host, port) else {
        return Err(Rejection::because(
            Reason::UnknownHost,
            "no public URL has this host and port",
        ));
    };
    request.authority = url.authority();
    Ok(())
}

/// The port in an authority; empty is none (RFC 3986 section 3.2.3).
fn port(authority: &str) -> Option<u16> {
    let (_, port) = authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'))?;
    port.parse().ok()
}

/// A request that a proxy describes instead of sending it, or why it is none.
pub fn described(method: &str, authority: &str, target: &str) -> Result<Request, Rejection> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| bad("the described method is none"))?;
    known_method(&method)?;
    request(&method, Some(authority), target)
}

/// Without an authority it is for the one public URL, if there is one: see [`settle_host`].
fn request(method: &Method, authority: Option<&str>, target: &str) -> Result<Request, Rejection> {
    let host = authority.map_or_else(|| Some(String::new()), host);
    let host = host.ok_or_else(|| bad("the Host is no host name or address"))?;
    if !target.starts_with('/') {
        return Err(bad("the request target is not in origin form"));
    }
    let mark = memchr::memchr(b'?', target.as_bytes());
    let (path, query) = match mark.and_then(|mark| target.split_at_checked(mark)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (target, None),
    };
    if query.is_some_and(|query| query.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#')) {
        return Err(bad("a control character, space or `#` in the query"));
    }
    Ok(Request {
        method: method.clone(),
        authority: authority.unwrap_or_default().to_owned(),
        host,
        raw_path: path.to_owned(),
        query: query.filter(|query| !query.is_empty()).map(str::to_owned),
    })
}

fn bad(detail: &str) -> Rejection {
    Rejection::because(Reason::BadRequest, detail)
}

/// Refuses a header of more than `most` bytes. `raw` as for [`take`].
pub fn check_size(header: &RequestHeader, raw: Option<&[u8]>, most: usize) -> Result<(), Rejection> {
    let size = match raw {
        Some(raw) => raw.len(),
        // RFC 9113 section 6.5.2 counts 32 bytes for each field beside name and value.
        None => {
            let fields = header
                .headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 32);
            fields.sum::<usize>() + header.raw_path().len()
        }
    };
    if size > most {
        let detail = format!("{size} bytes; `server.max_header` allows {most}");
        return Err(Rejection::because(Reason::HeadersTooLarge, detail));
    }
    Ok(())
}

fn check_method(header: &RequestHeader) -> Result<(), Rejection> {
    if header.version < Version::HTTP_10 {
        return Err(bad("the version is older than HTTP/1.0"));
    }
    known_method(&header.method)
}

/// TRACE would echo cookies and tokens to scripts; CONNECT makes tunnels. Neither has a use here.
fn known_method(method: &Method) -> Result<(), Rejection> {
    match *method {
        Method::TRACE | Method::CONNECT => Err(Rejection::because(Reason::NotImplemented, method.to_string())),
        _ => Ok(()),
    }
}

/// Legal tokens like `a.b` or `x|y` are turned into other names by some servers behind us (CGI, WSGI).
fn check_names(headers: &HeaderMap) -> Result<(), Rejection> {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match headers.keys().find(|name| !name.as_str().bytes().all(usual)) {
        Some(_) => Err(bad("a header name with unusual characters")),
        None => Ok(()),
    }
}

/// One length, in digits. pingora takes a list of equal ones for one, as RFC 9110 section 8.6 allows, and would send the
/// list on to servers that may read it in another way.
fn check_length(headers: &HeaderMap) -> Result<(), Rejection> {
    let is_plain = |length: &HeaderValue| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    match at_most_one(headers, header::CONTENT_LENGTH) {
        Ok(length) if length.is_none_or(is_plain) => Ok(()),
        _ => Err(bad("Content-Length is not one number")),
    }
}

/// RFC 9112 section 6.1: a message with both lengths is an attempt at smuggling; codings beside chunked are unknown.
fn check_framing(headers: &HeaderMap, raw: Option<&[u8]>) -> Result<(), Rejection> {
    check_length(headers)?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    if headers.contains_key(header::CONTENT_LENGTH) || raw.is_some_and(|raw| has_field(raw, b"content-length")) {
        return Err(bad("Content-Length beside Transfer-Encoding"));
    }
    if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(Rejection::because(
            Reason::NotImplemented,
            "a transfer coding other than chunked",
        ));
    }
    Ok(())
}

/// Does a line of the raw header carry this field?
fn has_field(raw: &[u8], name: &[u8]) -> bool {
    raw.split(|byte| *byte == b'\n').any(|line| {
        let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
        line.get(..end)
            .is_some_and(|field| field.trim_ascii().eq_ignore_ascii_case(name))
    })
}

/// Exactly one: `Host`, or `:authority` of HTTP/2, and no difference between the two. `None`: HTTP/1.0 has no Host, and load
/// balancers ask so whether a server is there.
fn authority(header: &RequestHeader) -> Result<Option<&str>, Rejection> {
    let host = at_most_one(&header.headers, header::HOST).map_err(|Several| bad("more than one Host"))?;
    let host = host
        .map(|host| host.to_str().map_err(|_| bad("the Host is not ASCII")))
        .transpose()?;
    let pseudo = (header.version == Version::HTTP_2)
        .then(|| header.uri.authority())
        .flatten();
    match (pseudo.map(http::uri::Authority::as_str), host) {
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            Err(bad("Host and :authority differ"))
        }
        (Some(authority), _) => Ok(Some(authority)),
        (None, None | Some("")) if header.version == Version::HTTP_10 => Ok(None),
        (None, Some(host)) => Ok(Some(host)),
        (None, None) => Err(bad("no Host")),
    }
}

/// `Video.example.edu:443` → `video.example.edu`; a trailing dot and the port go, brackets of IPv6 stay.
fn host(authority: &str) -> Option<String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    // An empty port is the default one (RFC 3986 section 3.2.3).
    let is_port =
        |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok());
    if port.is_some_and(|port| !is_port(port)) {
        return None;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address
            .parse::<std::net::Ipv6Addr>()
            .ok()
            .map(|_| host.to_ascii_lowercase());
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let sound = !host.is_empty() && host.len() <= 253 && host.bytes().all(usual);
    sound.then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(method: &str, target: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut header = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            header.append_header(*name, *value).unwrap();
        }
        header
    }

    fn reason(method: &str, target: &str, fields: &[(&'static str, &'static str)]) -> Option<Reason> {
        take(&header(method, target, fields), None)
            .err()
            .map(|rejection| rejection.reason)
    }

    #[test]
    fn a_usual_request_is_taken_apart() {
        let request = take(
            &header("GET", "/a/b?x=1&jwt=t", &[("host", "Video.Example.edu.:8443")]),
            None,
        )
        .unwrap();
        assert_eq!(request.host, "video.example.edu");
        assert_eq!(request.authority, "Video.Example.edu.:8443");
        assert_eq!(request.raw_path, "/a/b");
        assert_eq!(request.query.as_deref(), Some("x=1&jwt=t"));
    }

    #[test]
    fn the_host_of_an_absolute_target_counts() {
        let asked = |target: &str| take(&header("GET", target, &[("host", "other.test:99")]), None);
        for (target, authority, path, query) in [
            ("http://Video.test/a?b=1", "Video.test", "/a", Some("b=1")),
            ("HTTPS://video.test:8443/a", "video.test:8443", "/a", None),
            ("http://[::1]:80", "[::1]:80", "/", None),
            ("http://video.test?a", "video.test", "/", Some("a")),
            ("/http://video.test/a", "other.test:99", "/http://video.test/a", None),
        ] {
            let request = asked(target).unwrap();
            assert_eq!(
                (request.authority.as_str(), request.raw_path.as_str()),
                (authority, path),
                "{target}"
            );
            assert_eq!(request.query.as_deref(), query);
        }
        for target in [
            "http://",
            "http:///a",
            "http://user@video.test/",
            "ftp://video.test/",
            "http:/a",
        ] {
            assert_eq!(asked(target).unwrap_err().reason, Reason::BadRequest, "{target}");
        }
        assert_eq!(reason("GET", "/", &[("host", "video:")]), None);
        assert_eq!(reason("GET", "/", &[("host", "video:+80")]), Some(Reason::BadRequest));
    }

    type Fields = &'static [(&'static str, &'static str)];
    const HOST: (&str, &str) = ("host", "video");

    #[test]
    fn odd_requests_are_refused() {
        let cases: [(&str, &str, Fields, Reason); 15] = [
            ("POST", "/", &[HOST, ("content-length", "6, 6")], Reason::BadRequest),
            (
                "POST",
                "/",
                &[HOST, ("content-length", "6"), ("content-length", "6")],
                Reason::BadRequest,
            ),
            ("GET", "/", &[], Reason::BadRequest),
            ("GET", "/", &[HOST, HOST], Reason::BadRequest),
            ("GET", "/", &[("host", "")], Reason::BadRequest),
            ("GET", "/", &[("host", "a b")], Reason::BadRequest),
            ("GET", "/", &[("host", "user@video")], Reason::BadRequest),
            ("GET", "/", &[("host", "video:99999")], Reason::BadRequest),
            ("GET", "/", &[("host", "video/x")], Reason::BadRequest),
            ("GET", "http:///", &[HOST], Reason::BadRequest),
            ("OPTIONS", "*", &[HOST], Reason::BadRequest),
            ("TRACE", "/", &[HOST], Reason::NotImplemented),
            ("GET", "/", &[HOST, ("x.y", "1")], Reason::BadRequest),
            (
                "POST",
                "/",
                &[HOST, ("transfer-encoding", "gzip, chunked")],
                Reason::NotImplemented,
            ),
            (
                "POST",
                "/",
                &[HOST, ("transfer-encoding", "chunked"), ("content-length", "3")],
                Reason::BadRequest,
            ),
        ];
        for (method, target, fields, expected) in cases {
            assert_eq!(
                reason(method, target, fields),
                Some(expected),
                "{method} {target} {fields:?}"
            );
        }
        assert_eq!(reason("GET", "/", &[("host", "[::1]:8080")]), None);
        assert_eq!(reason("POST", "/", &[HOST, ("transfer-encoding", "Chunked")]), None);
    }

    #[test]
    fn a_length_that_pingora_removed_is_still_seen() {
        let header = header("POST", "/", &[("host", "video"), ("transfer-encoding", "chunked")]);
        let raw = b"POST / HTTP/1.1\r\nHost: video\r\nCONTENT-length : 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(take(&header, Some(raw)).unwrap_err().reason, Reason::BadRequest);
        let raw = b"POST / HTTP/1.1\r\nHost: video\r\nX-A: content-length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(take(&header, Some(raw)).is_ok());
    }

    #[test]
    fn only_a_websocket_is_an_upgrade() {
        let left = |method: &str, fields: &[(&'static str, &'static str)]| {
            let mut header = header(method, "/", fields);
            forget_other_upgrades(&mut header);
            header.headers.contains_key("upgrade")
        };
        let named = ("connection", "keep-alive, Upgrade");
        assert!(left("GET", &[HOST, named, ("upgrade", "WebSocket")]));
        assert!(left(
            "GET",
            &[HOST, ("connection", "x"), named, ("upgrade", "websocket")]
        ));
        assert!(!left("POST", &[HOST, named, ("upgrade", "websocket")]));
        assert!(!left("GET", &[HOST, ("upgrade", "websocket")]));
        assert!(!left(
            "GET",
            &[HOST, ("connection", "upgrades"), ("upgrade", "websocket")]
        ));
        for other in ["h2c", "websocket, h2c", "h2c, websocket", "TLS/1.2", "websocket/13", ""] {
            assert!(!left("GET", &[HOST, named, ("upgrade", other)]), "{other}");
        }
        assert!(!left(
            "GET",
            &[HOST, named, ("upgrade", "websocket"), ("upgrade", "h2c")]
        ));
    }

    #[test]
    fn headers_are_bounded() {
        let header = header("GET", "/", &[("host", "video")]);
        let raw = [b'a'; 100];
        assert!(check_size(&header, Some(&raw), 100).is_ok());
        let refusal = check_size(&header, Some(&raw), 99).unwrap_err();
        assert_eq!(refusal.reason, Reason::HeadersTooLarge);
        assert!(
            refusal
                .detail
                .is_some_and(|detail| detail.contains("`server.max_header` allows 99"))
        );
    }
}
