//! Security headers of the gateway's own answers, and `Cache-Control` of what needed a credential.
//!
//! What files from disk carry beyond that (`sandbox`, attachment) is theirs to say.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderName, HeaderValue};

use super::page;

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
pub fn page() -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let policy = HeaderValue::from_static(page::CONTENT_SECURITY_POLICY);
    own().into_iter().chain([(CONTENT_SECURITY_POLICY, policy)])
}

/// [`own`], and a policy for a page with a form: nothing is loaded, no other site may frame it. Where a form leads is
/// not restricted: signing out ends at the sign-in server.
pub fn form() -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let policy = HeaderValue::from_static(page::FORM_SECURITY_POLICY);
    own().into_iter().chain([(CONTENT_SECURITY_POLICY, policy)])
}

/// The one `Cache-Control` for an answer that needed a credential, given the values it came with: what the upstream
/// said, made `private` (RFC 9111 section 5.2.2.7), so that no shared cache hands it to somebody else.
///
/// `no-store` already says more and stays alone; `public` and `s-maxage`, which would open it again, go.
pub fn private_cache_control<'a>(existing: impl IntoIterator<Item = &'a HeaderValue>) -> HeaderValue {
    let mut kept = String::from("private");
    for directive in existing
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let headers: Vec<_> = page().collect();
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
}
