//! A refusal for people: when a browser is about to show the answer, and the small page that it then gets.
//!
//! The page is whole in itself: no script, no image, no link; its style is allowed by hash.

use std::fmt::{self, Display, Write as _};

use http::HeaderValue;

use super::Answering;
use crate::rejection::Reason;

/// Nothing may be loaded; the style below is known by its hash, which a test recomputes.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-q4GMUFv3El3lSwtACd1JaIgG+76z4kBJPHxbAHmaCzA='; base-uri 'none'; form-action 'none'";

/// The same for a page with a form, which nobody may frame.
pub(super) const FORM_SECURITY_POLICY: &str = "default-src 'none'; \
    style-src 'sha256-q4GMUFv3El3lSwtACd1JaIgG+76z4kBJPHxbAHmaCzA='; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;\
font:1.0625rem/1.5 system-ui,sans-serif;background:#f6f7f9;color:#1d2430}\
main{max-width:32rem;margin:1.5rem;padding:2rem;border-radius:.75rem;background:#fff;border:1px solid #dfe3e8}\
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.3}\
p{margin:0 0 .75rem}\
small{color:#5b6573;overflow-wrap:anywhere}\
.button{display:inline-block;padding:.5rem 1.25rem;border:0;border-radius:.5rem;background:#1f5fbf;color:#fff;\
font:inherit;text-decoration:none;cursor:pointer}\
.buttons{display:flex;flex-wrap:wrap;gap:.75rem}\
.quiet{background:none;color:inherit;border:1px solid #9aa5b4}\
@media(prefers-color-scheme:dark){body{background:#14181f;color:#e6e9ee}\
main{background:#1c222b;border-color:#323a46}small{color:#9aa5b4}}";

/// Is a browser about to show this answer as a page?
///
/// `Sec-Fetch-Mode` and `Sec-Fetch-Dest` say it outright (Fetch Metadata): a navigation, in a tab or in a frame. A
/// client without them gets a page only if its `Accept` names `text/html` and nothing of JSON as high; `*/*`, which
/// players and command lines send, names nothing.
pub fn is_wanted(context: &Answering<'_>) -> bool {
    match (context.sec_fetch_mode, context.sec_fetch_dest) {
        (None, None) => prefers_html(context.accept),
        (mode, dest) => {
            let is = |value: Option<&HeaderValue>, word: &str| {
                value.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
            };
            is(mode, "navigate") || ["document", "iframe", "frame"].iter().any(|word| is(dest, word))
        }
    }
}

/// Is the page to be shown within another one, by its `Sec-Fetch-Dest`?
pub fn is_framed(sec_fetch_dest: Option<&HeaderValue>) -> bool {
    let dest = sec_fetch_dest.map_or(&b""[..], HeaderValue::as_bytes);
    [&b"iframe"[..], b"frame", b"embed", b"object"].contains(&dest)
}

/// The page of a refusal; `detail` says in a sentence what is refused. Everything that is not a constant of this file is
/// escaped.
pub(super) fn render(
    (reason, detail): (Reason, &str),
    context: &Answering<'_>,
    sign_in: Option<&str>,
    visit: Option<&str>,
) -> String {
    let (title, advice) = match sign_in {
        Some(_) => ("Please sign in", ""),
        None => in_plain_words(reason),
    };
    // Sign-in servers let nobody frame their forms.
    let tab = match is_framed(context.sec_fetch_dest) {
        true => " target=\"_blank\"",
        false => "",
    };
    let remedy = match (sign_in, visit) {
        (Some(url), _) => format!("<a class=\"button\" href=\"{}\"{tab}>Sign in</a>", Escaped(url)),
        (None, Some(url)) => format!("<a class=\"button\" href=\"{}\"{tab}>Open Moodle</a>", Escaped(url)),
        (None, None) => Escaped(advice).to_string(),
    };
    let body = format!(
        "<p>{text}</p>\n<p>{remedy}</p>\n<p><small>{status} {label} · {id}</small></p>",
        text = Escaped(detail),
        status = reason.status().as_u16(),
        label = Escaped(reason.label()),
        id = Escaped(context.request_id),
    );
    whole(title, &body)
}

/// A page of the gateway's own. `body` is HTML already.
pub fn whole(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n",
        title = Escaped(title),
    )
}

/// Text inside HTML, in an element or in a quoted attribute.
pub struct Escaped<'a>(pub &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => out.write_str("&amp;")?,
                '<' => out.write_str("&lt;")?,
                '>' => out.write_str("&gt;")?,
                '"' => out.write_str("&quot;")?,
                '\'' => out.write_str("&#39;")?,
                other => out.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A heading and what the reader can do about it.
fn in_plain_words(reason: Reason) -> (&'static str, &'static str) {
    const AGAIN: &str = "Go back to your course and open the video again.";
    const TELL: &str = "If this stays so, tell your support desk, with the number below.";
    const LATER: &str = "Wait a moment, then load the page again.";
    match reason {
        Reason::TokenExpired
        | Reason::TokenNotActive
        | Reason::NoCredentials
        | Reason::WatchPassExpired
        | Reason::SignedUrlExpired => ("Please open it from your course", AGAIN),
        Reason::TokenNotYetValid | Reason::SignedUrlNotYetValid => {
            ("Not open yet", "Wait a moment, then open it from your course again.")
        }
        Reason::MalformedToken
        | Reason::AlgorithmNotAllowed
        | Reason::BadSignature
        | Reason::UnknownKey
        | Reason::LifetimeTooLong
        | Reason::WrongIssuer
        | Reason::WrongAudience
        | Reason::WrongType
        | Reason::SenderConstrained
        | Reason::IssuerNotAccepted
        | Reason::WatchPassInvalid
        | Reason::SignedUrlMalformed
        | Reason::SignedUrlUnknownKey
        | Reason::SignedUrlBadSignature
        | Reason::SignedUrlOtherResource
        | Reason::SignedUrlOtherClient => (
            "This link is not accepted",
            "Go back to your course and open the video again. If it fails once more, tell your support desk, with the \
             number below.",
        ),
        Reason::DeniedByRule
        | Reason::MissingScope
        | Reason::MissingRole
        | Reason::EventNotGranted
        | Reason::NotAllowed
        | Reason::MoodleEndpoint
        | Reason::FunctionNotAllowed
        | Reason::NoMoodleToken
        | Reason::WatchPassRevoked => (
            "You have no access to this",
            "If you should have access, ask the people who run your course.",
        ),
        Reason::NoRoute | Reason::FileNotFound | Reason::UnknownHost => (
            "There is nothing here",
            "Check the address, or open it from your course.",
        ),
        Reason::MoodleSignInRequired
        | Reason::MoodlePolicyNotAgreed
        | Reason::MoodleProfileIncomplete
        | Reason::MoodlePasswordChange
        | Reason::MoodleVisitRequired => (
            "Moodle wants to see you first",
            "Open Moodle once and do what it asks, then open this page again.",
        ),
        Reason::MoodlePasswordUnchangeable | Reason::MoodleSecondFactor => {
            ("Moodle does not let you in this way", TELL)
        }
        Reason::MoodleMaintenance => ("Moodle is under maintenance", LATER),
        Reason::SignInStale => ("Please sign in again", "Open the page that you wanted once more."),
        Reason::SignInRefused => ("Signing in did not work", TELL),
        Reason::CrossSite => ("This was not done", "Go to the page itself and do it there."),
        Reason::RateLimited | Reason::Overloaded | Reason::MoodleTokenRenewed => ("Too busy at the moment", LATER),
        Reason::StoreUnavailable | Reason::SignInUnavailable => ("Signing in is not possible at the moment", LATER),
        Reason::KeysUnavailable
        | Reason::TokenServerUnavailable
        | Reason::AclUnavailable
        | Reason::UpstreamUnavailable
        | Reason::UpstreamFailed
        | Reason::UpstreamTimeout => (
            "Not available at the moment",
            "Wait a few minutes, then load the page again.",
        ),
        Reason::Internal | Reason::ClientGone => ("Something went wrong", TELL),
        Reason::RequestTimeout => ("The request took too long", LATER),
        Reason::BodyTooLarge => ("Too large to upload", "Choose a smaller file."),
        Reason::HeadersTooLarge => (
            "The request is too large",
            "Delete the cookies of this site, then load the page again.",
        ),
        Reason::BadRequest
        | Reason::TokenOverride
        | Reason::NotImplemented
        | Reason::BadPath
        | Reason::PathTooLong
        | Reason::MethodNotAllowed
        | Reason::PreconditionFailed
        | Reason::RangeNotSatisfiable => ("This request cannot be answered", TELL),
    }
}

/// Does `Accept` (RFC 9110 section 12.5.1) rate `text/html` above every JSON type that it names?
fn prefers_html(accept: Option<&HeaderValue>) -> bool {
    let Some(accept) = accept.and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let (mut html, mut json) = (0.0_f32, 0.0_f32);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        // A weight that is no number is read as "not wanted", so that nonsense chooses the plainer form.
        let weight = weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        match name.as_str() {
            "text/html" | "application/xhtml+xml" => html = html.max(weight),
            "application/json" | "application/problem+json" | "application/*" => json = json.max(weight),
            _ => {}
        }
    }
    html > json
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    fn wanted(mode: Option<&'static str>, dest: Option<&'static str>, accept: Option<&'static str>) -> bool {
        let [mode, dest, accept] = [mode, dest, accept].map(|value| value.map(HeaderValue::from_static));
        is_wanted(&Answering {
            request_id: "",
            accept: accept.as_ref(),
            sec_fetch_mode: mode.as_ref(),
            sec_fetch_dest: dest.as_ref(),
            resource_metadata: None,
        })
    }

    #[test]
    fn only_what_a_browser_shows_is_a_page() {
        assert!(wanted(Some("navigate"), Some("document"), None));
        assert!(wanted(Some("navigate"), Some("iframe"), Some("*/*")));
        // A <video> element, and a script's fetch, whatever it accepts.
        assert!(!wanted(Some("no-cors"), Some("video"), Some("text/html")));
        assert!(!wanted(Some("cors"), Some("empty"), Some("text/html")));
        // Older browsers, curl, ffmpeg, a script that wants JSON first.
        assert!(wanted(
            None,
            None,
            Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
        ));
        assert!(!wanted(None, None, Some("*/*")));
        assert!(!wanted(None, None, None));
        assert!(!wanted(None, None, Some("application/json, text/html;q=0.5")));
        assert!(!wanted(None, None, Some("text/html;q=x")));
    }

    #[test]
    fn nothing_can_break_out_of_the_page() {
        let reason = Reason::TokenExpired;
        let context = Answering {
            request_id: "\"><script>alert('1')</script>&",
            ..Answering::default()
        };
        let page = render((reason, reason.public_text()), &context, None, None);
        assert!(!page.contains("<script"));
        assert!(page.contains("&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"));
        assert!(page.contains("open the video again"));
    }

    #[test]
    fn every_reason_has_its_words() {
        let context = Answering {
            request_id: "4f2a",
            ..Answering::default()
        };
        for reason in Reason::ALL {
            let page = render((*reason, reason.public_text()), &context, None, None);
            assert!(page.contains(&Escaped(reason.public_text()).to_string()), "{reason:?}");
            assert!(page.contains(reason.label()) && page.contains("4f2a"));
        }
    }

    #[test]
    fn the_policy_names_the_hash_of_the_style() {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(
            CONTENT_SECURITY_POLICY.contains(&format!("'sha256-{hash}'")),
            "it is {hash}"
        );
    }
}
