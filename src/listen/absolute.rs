//! The first request of a connection in clear, if its target is in absolute form, as clients send it to a proxy: its own
//! authority counts, whatever `Host` says (RFC 9112 section 3.2.2). pingora refuses two that differ, so the target becomes
//! one in origin form before pingora sees it, and `Host` what it has named.
//!
//! Only the first bytes of a connection are known to be a header. Later ones are left alone, where the end of a body that
//! nobody has read would look like one.

/// Is this the beginning of such a request? A method, a space, and what no other form begins with.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let mut words = bytes.splitn(2, |byte| *byte == b' ');
    let method = words.next().unwrap_or_default();
    let scheme = words.next().and_then(|target| target.first());
    method.iter().all(u8::is_ascii_uppercase) && scheme.is_some_and(|first| first.eq_ignore_ascii_case(&b'h'))
}

/// Has the header ended?
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, b"\r\n\r\n").is_some()
}

/// The same request in origin form. `None`: it is no such one, or names its host in a way that is judged elsewhere.
pub(super) fn in_origin_form(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memmem::find(bytes, b"\r\n\r\n")? + 2;
    let (header, rest) = bytes.split_at_checked(end)?;
    let mut lines = header.split_inclusive(|byte| *byte == b'\n');
    let mut words = lines.next()?.splitn(3, |byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let scheme = target.windows(3).position(|part| part == b"://")?;
    let (scheme, target) = target.split_at_checked(scheme)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let target = target.get(3..)?;
    let path = target.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, path) = target.split_at_checked(path.unwrap_or(target.len()))?;
    let of_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    if authority.is_empty() || !authority.iter().all(of_host) {
        return None;
    }
    let (hosts, others): (Vec<&[u8]>, Vec<&[u8]>) = lines.partition(|line| is_host(line));
    // Two are refused, whatever they say (section 3.2).
    if hosts.len() > 1 {
        return None;
    }
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    let first = [method, b" ", slash, path, b" ", version, b"Host: ", authority, b"\r\n"].concat();
    Some([first, others.concat(), rest.to_vec()].concat())
}

fn is_host(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"host")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(request: &str) -> Option<String> {
        in_origin_form(request.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn the_target_names_the_host() {
        for (request, expected) in [
            (
                "GET http://video.test:8080/a?b=c HTTP/1.1\r\nHost: evil.test\r\nAccept: */*\r\n\r\nbody",
                "GET /a?b=c HTTP/1.1\r\nHost: video.test:8080\r\nAccept: */*\r\n\r\nbody",
            ),
            (
                "POST HTTPS://VIDEO.test HTTP/1.1\r\nA: b\r\nhOst: x\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: VIDEO.test\r\nA: b\r\n\r\n",
            ),
            (
                "GET http://[::1]:80?a HTTP/1.0\r\n\r\n",
                "GET /?a HTTP/1.0\r\nHost: [::1]:80\r\n\r\n",
            ),
        ] {
            assert!(begins(request.as_bytes()) && is_whole(request.as_bytes()));
            assert_eq!(rewritten(request).as_deref(), Some(expected), "{request}");
        }
    }

    #[test]
    fn whatever_else_it_is_stays_as_it_came() {
        for request in [
            "GET http://user@video.test/ HTTP/1.1\r\nHost: video.test\r\n\r\n",
            "GET http:///a HTTP/1.1\r\nHost: video.test\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n",
            "GET http://a/\r\n\r\n",
            "GET /a HTTP/1.1\r\nReferer: http://a/ x\r\n\r\n",
        ] {
            assert_eq!(rewritten(request), None, "{request}");
        }
        assert!(!begins(b"GET /http://a/") && !begins(b"GET ") && !begins(b"http://a") && !begins(b"\x16\x03 h"));
    }
}
