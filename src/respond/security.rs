//! Security headers of the gateway's own answers, and `Cache-Control` of what needed a credential.
//!
//! What files from disk carry beyond that (`sandbox`, attachment) is theirs to say.

use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, EXPIRES, PRAGMA, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::page::Reader;

/// Every answer that the gateway makes itself: kept by no cache, sniffed by no browser, and the address, which may
/// hold a token, sent on to nobody.
pub fn own() -> [(HeaderName, HeaderValue); 3] {
    [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]
}

/// [`own`], and a policy that lets a page of the gateway load nothing and apply its own style only.
///
/// Framing stays allowed: a player sits in a frame of the course, and its viewer shall read why it stays dark.
pub fn page(reader: &Reader<'_>) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    own().into_iter().chain(of_page(reader, reader.look.page_policy()))
}

/// In which language a page is, and what it may load.
fn of_page(reader: &Reader<'_>, policy: HeaderValue) -> [(HeaderName, HeaderValue); 3] {
    [
        (CONTENT_SECURITY_POLICY, policy),
        (CONTENT_LANGUAGE, HeaderValue::from_static(reader.language())),
        (VARY, HeaderValue::from(ACCEPT_LANGUAGE)),
    ]
}

/// [`own`], and a policy for a page with a form: nothing is loaded, no other site may frame it. Where a form leads is
/// not restricted: signing out ends at the sign-in server.
///
/// Of the address the origin alone is sent on: with `no-referrer` a form's `Origin` is `null` (Fetch standard section 3.2), and
/// a browser without Fetch Metadata says by nothing else that the form is the gateway's.
pub fn form(reader: &Reader<'_>) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let common = own().into_iter().filter(|(name, _)| *name != REFERRER_POLICY);
    let referrer = (REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    common
        .chain([referrer])
        .chain(of_page(reader, reader.look.form_policy()))
}

/// The same for a page that pages of this origin may frame.
pub fn form_in(reader: &Reader<'_>, origin: &str) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<> {
    let policy = reader.look.form_policy();
    let framed = policy.to_str().ok().and_then(|policy| {
        let framed = policy.replace("frame-ancestors 'none'", &format!("frame-ancestors {origin}"));
        HeaderValue::try_from(framed).ok()
    });
    let policy = framed.unwrap_or(policy);
    form(reader).map(move |(name, value)| match name == CONTENT_SECURITY_POLICY {
        true => (name, policy.clone()),
        false => (name, value),
    })
}

/// The one `Cache-Control` for an answer that needed a credential, given the values it came with: what the upstream
/// said, made `private` (RFC 9111 section 5.2.2.7), so that no shared cache hands it to somebody else.
///
/// `no-store` already says more and stays alone; `public` and `s-maxage`, which would open it again, go.
pub fn private_cache_control<'a>(existing: impl IntoIterator<Item = &'a HeaderValue>) -> HeaderValue {
    let mut kept = String::from("private");
    let values: Vec<_> = existing
        .into_iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    for directive in values.iter().flat_map(|value| value.split(',')) {
        let directive = directive.trim();
        let name = directive.split('=').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case("no-store") {
            return HeaderValue::from_static("no-store");
        }
        let contradicts = ["", "public", "private", "s-maxage"]
            .iter()
            .any(|other| name.eq_ignore_ascii_case(other));
        if !contradicts {
            kept.push_str(", ");
            kept.push_str(directive);
        }
    }
    HeaderValue::try_from(kept).unwrap_or(HeaderValue::from_static("private"))
}

/// Headers of HTTP/1.0 that would say something else beside this `Cache-Control`, to caches that know no other: a `Pragma`
/// that is not `no-cache`, and an `Expires` where `max-age` or `no-store` counts (RFC 9111 sections 5.3 and 5.4).
pub fn contradicting(headers: &HeaderMap, cache_control: &HeaderValue) -> [Option<HeaderName>; 2] {
    let is_no_cache = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"no-cache");
    let pragma = headers.get_all(PRAGMA).iter().any(|value| !is_no_cache(value));
    let says = |directive: &[u8]| memchr::memmem::find(cache_control.as_bytes(), directive).is_some();
    let expires = says(b"max-age") || says(b"no-store");
    [pragma.then_some(PRAGMA), expires.then_some(EXPIRES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::page::Look;

    fn made_private(existing: &[&'static str]) -> String {
        let existing: Vec<HeaderValue> = existing.iter().map(|value| HeaderValue::from_static(value)).collect();
        private_cache_control(&existing).to_str().unwrap().to_owned()
    }

    #[test]
    fn what_needed_a_credential_is_private_whatever_the_upstream_said() {
        assert_eq!(made_private(&[]), "private");
        assert_eq!(made_private(&["public, max-age=60"]), "private, max-age=60");
        assert_eq!(
            made_private(&["max-age=60", "S-MaxAge=9, must-revalidate"]),
            "private, max-age=60, must-revalidate"
        );
        assert_eq!(made_private(&["private=\"set-cookie\", no-cache"]), "private, no-cache");
        assert_eq!(made_private(&["No-Store, public"]), "no-store");
    }

    #[test]
    fn a_page_is_shielded_and_may_be_framed() {
        let headers: Vec<_> = page(&Reader::new(Look::plain(), None)).collect();
        let policy = headers
            .iter()
            .find(|(name, _)| name == CONTENT_SECURITY_POLICY)
            .unwrap();
        let policy = policy.1.to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        assert!(!policy.contains("frame-ancestors") && !policy.contains("unsafe"));
        assert!(
            headers
                .iter()
                .any(|(name, value)| name == REFERRER_POLICY && value == "no-referrer")
        );
    }

    #[test]
    fn headers_of_older_caches_do_not_say_otherwise() {
        let gone = |fields: &[(HeaderName, &'static str)], cache_control: &'static str| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            contradicting(&fields.collect(), &HeaderValue::from_static(cache_control))
        };
        let (old, new) = ((PRAGMA, "no-cache"), (PRAGMA, "public"));
        let expires = (EXPIRES, "Thu, 01 Jan 2099 00:00:00 GMT");
        assert_eq!(
            gone(&[new, expires.clone()], "private, max-age=60"),
            [Some(PRAGMA), Some(EXPIRES)]
        );
        assert_eq!(gone(std::slice::from_ref(&expires), "no-store"), [None, Some(EXPIRES)]);
        // How long a browser may keep it.
        assert_eq!(gone(&[old, expires], "private"), [None, None]);
    }

    #[test]
    fn a_byte_beyond_ascii_hides_no_directive() {
        let value = HeaderValue::from_bytes(b"\xfc, no-store").unwrap();
        assert_eq!(private_cache_control(&[value]), "no-store");
    }
}
