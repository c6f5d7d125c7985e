//! W3C Trace Context (Recommendation of 2021): is a `traceparent` well-formed, and which trace does it name?
//!
//! A good one travels on unchanged with its `tracestate`; a malformed one ends here, and its `tracestate` with it
//! (section 4.3). None is made: the gateway records no spans, and a parent that nobody recorded, with the choice of
//! sampling already taken, would be worse for the tracer behind than none. `X-Request-Id` joins the two logs anyway.

use http::{HeaderMap, HeaderName};

use crate::headers::single;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// Bytes of `tracestate` that must be passed on (section 3.3.1.5); more is dropped.
const MAX_STATE: usize = 512;

/// The id of the trace that a request belongs to: 32 lower-case hex digits.
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut parts = single(headers, TRACEPARENT)?.to_str().ok()?.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_good = is_hex(version, 2)
        && version != "ff"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && [trace, parent].iter().all(|id| id.bytes().any(|digit| digit != b'0'))
        // Later versions may append parts (section 4.3).
        && (version != "00" || parts.next().is_none());
    is_good.then_some(trace)
}

/// Which of the two headers must not travel on.
pub(super) fn malformed(headers: &HeaderMap) -> Vec<HeaderName> {
    if trace_id(headers).is_none() {
        let both = [TRACEPARENT, TRACESTATE].into_iter();
        return both.filter(|name| headers.contains_key(name)).collect();
    }
    let states = || headers.get_all(TRACESTATE).iter();
    let is_member = |member: &str| member.trim().is_empty() || member.contains('=');
    let is_good = states().map(|state| state.len()).sum::<usize>() <= MAX_STATE
        && states().all(|state| state.to_str().is_ok_and(|list| list.split(',').all(is_member)));
    if is_good { Vec::new() } else { vec![TRACESTATE] }
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_parent_names_its_trace() {
        for good in [
            GOOD,
            &GOOD.replace("00-4b", "cc-4b"),
            &format!("{}-more", GOOD.replace("00-4b", "cc-4b")),
        ] {
            let headers = headers(&[("traceparent", good), ("tracestate", "congo=t61rcWkgMzE,rojo=1")]);
            assert_eq!(trace_id(&headers), Some(TRACE), "{good}");
            assert!(malformed(&headers).is_empty(), "{good}");
        }
    }

    #[test]
    fn a_bad_parent_ends_here_and_its_state_too() {
        let upper = GOOD.to_uppercase();
        let longer = format!("{GOOD}-more");
        for bad in [
            "",
            "00",
            &upper,
            &longer,
            &GOOD.replace("00-4b", "ff-4b"),
            &GOOD.replace(TRACE, &"0".repeat(32)),
            &GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            &GOOD.replace("-01", "-1"),
            &GOOD.replace("4bf9", "4bf"),
        ] {
            let headers = headers(&[("traceparent", bad), ("tracestate", "congo=1")]);
            assert_eq!(trace_id(&headers), None, "{bad}");
            assert_eq!(malformed(&headers), [TRACEPARENT, TRACESTATE], "{bad}");
        }
        assert_eq!(
            trace_id(&headers(&[("traceparent", GOOD), ("traceparent", GOOD)])),
            None
        );
    }

    #[test]
    fn a_bad_state_ends_alone() {
        for bad in ["no member", &format!("a={}", "x".repeat(MAX_STATE))] {
            let headers = headers(&[("traceparent", GOOD), ("tracestate", bad)]);
            assert_eq!(malformed(&headers), [TRACESTATE], "{bad}");
        }
    }
}
