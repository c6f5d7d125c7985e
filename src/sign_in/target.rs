//! Where a browser may be sent after a sign-in or sign-out: to the gateway's own origin, or to one of the site's apps.
//!
//! An address that came from outside is judged as browsers will read it (WHATWG URL), and it is the judged form that they
//! get, never the text that came: `//evil`, `/\evil` and `https:evil` are not what they look like.

use percent_encoding::percent_decode_str;
use url::Url;

/// Longest address to go on to, in bytes: it travels sealed in another one.
pub const LONGEST: usize = 8 << 10;

/// The whole URL that `asked` means at `origin`, if it lies there or at one of `app_origins`, and is no page of the
/// sign-in itself, where nobody arrives. `None` for everything else.
pub fn judged(asked: &str, origin: &str, app_origins: &[String]) -> Option<String> {
    if asked.len() > LONGEST || asked.contains(|letter: char| letter.is_control()) {
        return None;
    }
    let base = Url::parse(origin).ok()?;
    let url = base.join(asked).ok()?;
    let lands_at = url.origin().ascii_serialization();
    let is_own = lands_at == base.origin().ascii_serialization();
    let is_allowed = is_own || app_origins.contains(&lands_at);
    let has_user = !url.username().is_empty() || url.password().is_some();
    // The gateway decodes paths before it looks at them.
    let path = percent_decode_str(url.path()).decode_utf8_lossy();
    let is_loop = is_own && path.starts_with("/_janua/") && path != "/_janua/me";
    (is_allowed && !has_user && !is_loop && url.as_str().len() <= LONGEST).then(|| url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "https://video.example.edu";

    fn at(asked: &str) -> Option<String> {
        judged(asked, OWN, &["https://app.example.edu".to_owned()])
    }

    #[test]
    fn own_addresses_and_those_of_apps_are_gone_on_to() {
        for (asked, whole) in [
            (
                "/studio/?a=%2F&b=c%20d#x",
                "https://video.example.edu/studio/?a=%2F&b=c%20d#x",
            ),
            ("https://video.example.edu/", "https://video.example.edu/"),
            ("https://VIDEO.example.edu:443/x", "https://video.example.edu/x"),
            (
                "https://app.example.edu/courses?id=1",
                "https://app.example.edu/courses?id=1",
            ),
            // No scheme's slashes: browsers read these as paths.
            ("https:evil.example", "https://video.example.edu/evil.example"),
            ("https:/evil.example", "https://video.example.edu/evil.example"),
            ("", "https://video.example.edu/"),
            ("/_janua/me", "https://video.example.edu/_janua/me"),
        ] {
            assert_eq!(at(asked).as_deref(), Some(whole), "{asked}");
        }
    }

    #[test]
    fn whatever_leads_elsewhere_is_not() {
        for asked in [
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "https:\\\\evil.example",
            "http://video.example.edu/",
            "https://video.example.edu:8443/",
            "https://video.example.edu@evil.example/",
            "https://video.example.edu.evil.example/",
            "https://user@video.example.edu/",
            "https://app.example.edu.evil.example/",
            "https://evil.example/https://video.example.edu",
            "javascript:alert(1)",
            "data:text/html,x",
            "/x\r\nSet-Cookie: a=b",
            "/x\nLocation: //evil.example",
            "/_janua/sign-in?return=/",
            "/_janua/sign-out",
            "/%5Fjanua/sign-out",
            "/a/../_janua/cas/campus/callback",
            &format!("/{}", "x".repeat(LONGEST)),
        ] {
            assert_eq!(at(asked), None, "{asked:?}");
        }
    }
}
