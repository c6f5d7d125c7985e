//! How all pages look: the site's name, logo, colours and links, and the policy that allows no more than that.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::{Escaped, Texts};
use crate::config::{Colour, Colours, Language, LogoKind, Pages, Scheme};
use crate::digest;
use crate::respond::Reply;

/// Where the logo is, at every host of the gateway.
pub const LOGO: &str = "/_janua/logo";

/// What a logo may do that somebody opens by its address: an SVG is a document that could hold a script.
const LOGO_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// A day: another logo has another address on the pages.
const LOGO_LIFE: &str = "public, max-age=86400";

/// Without the colours of the site, which are custom properties. Nothing moves.
const STYLE: &str = "*{box-sizing:border-box}\
body{margin:0;min-height:100vh;padding:1.5rem 1rem;display:flex;flex-direction:column;align-items:center;\
justify-content:center;gap:1.25rem;font:1.0625rem/1.5 system-ui,sans-serif;background:var(--behind);\
color:var(--on-behind);overflow-wrap:anywhere}\
header{display:flex;flex-wrap:wrap;align-items:center;justify-content:center;gap:.75rem;max-width:32rem;\
font-weight:600;text-align:center}\
header img{height:3rem;width:auto;max-width:14rem;object-fit:contain}\
main{width:100%;max-width:32rem;padding:2rem;border-radius:.75rem;border:1px solid;background:#fff;color:#1d2430;\
border-color:#dfe3e8}\
h1{margin:0 0 .75rem;font-size:1.375rem;line-height:1.3}\
p{margin:0 0 .75rem}\
main>:last-child,form>:last-child{margin-bottom:0}\
a{color:var(--accent)}\
small{color:#5b6573}\
data{font-family:ui-monospace,monospace;user-select:all}\
.buttons{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0}\
.button{display:inline-block;padding:.5rem 1.25rem;border:1px solid transparent;border-radius:.5rem;\
background:var(--accent);color:var(--on-accent);font:inherit;text-decoration:none;cursor:pointer}\
.quiet{background:none;color:inherit;border-color:#7b8694}\
:focus-visible{outline:3px solid var(--accent);outline-offset:3px}\
footer{display:flex;flex-wrap:wrap;justify-content:center;gap:.5rem 1.5rem;font-size:.9375rem}\
footer a{color:inherit}\
footer :focus-visible{outline-color:currentColor}\
@media(prefers-color-scheme:dark){main{background:#1c222b;color:#e6e9ee;border-color:#323a46}\
small{color:#a3aebb}}";

/// Made once of the configuration.
pub struct Look {
    pub(super) style: String,
    page_policy: HeaderValue,
    form_policy: HeaderValue,
    /// Above each page; HTML, empty where nothing is there.
    pub(super) above: String,
    /// Behind each title; HTML.
    pub(super) behind_title: String,
    pub(super) home: Option<String>,
    support: Option<String>,
    pub(super) languages: Vec<Language>,
    logo: Option<Reply>,
}

impl Look {
    /// `logo` is what its file holds.
    pub fn new(pages: &Pages, logo: Option<(LogoKind, Bytes)>) -> Self {
        let style = colours(&pages.colours) + STYLE;
        let hash = STANDARD.encode(digest::sha256(style.as_bytes()));
        let pictures = if logo.is_some() { " img-src 'self';" } else { "" };
        // Nothing else may be loaded.
        let policy = |rest: &str| {
            let policy = format!("default-src 'none';{pictures} style-src 'sha256-{hash}'; base-uri 'none'; {rest}");
            HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
        };
        let name = pages.name.as_deref();
        Self {
            page_policy: policy("form-action 'none'"),
            form_policy: policy("frame-ancestors 'none'"),
            above: above(name, logo.as_ref().map(|(_, bytes)| &**bytes)),
            behind_title: name.map_or_else(String::new, |name| format!(" – {}", Escaped(name))),
            style,
            home: pages.home.clone(),
            support: pages.support.clone(),
            languages: pages.languages.clone(),
            logo: logo.map(picture),
        }
    }

    /// Of a gateway that says nothing about its pages.
    pub fn plain() -> &'static Self {
        static PLAIN: LazyLock<Look> = LazyLock::new(|| Look::new(&Pages::default(), None));
        &PLAIN
    }

    /// What answers at [`LOGO`], if there is one.
    pub fn logo(&self) -> Option<&Reply> {
        self.logo.as_ref()
    }

    /// For a page without a form, which may be framed.
    pub(in crate::respond) fn page_policy(&self) -> HeaderValue {
        self.page_policy.clone()
    }

    /// For a page with a form, which nobody may frame.
    pub(in crate::respond) fn form_policy(&self) -> HeaderValue {
        self.form_policy.clone()
    }

    /// Below each page: who helps; HTML. `code` is the subject of a mail.
    pub(super) fn below(&self, texts: &Texts, code: &str) -> String {
        let Some(support) = &self.support else {
            return String::new();
        };
        let subject = match code {
            _ if !support.starts_with("mailto:") => String::new(),
            "" => String::new(),
            code => format!("?subject={}", Escaped(code)),
        };
        format!(
            "<footer><a href=\"{}{subject}\">{}</a></footer>\n",
            Escaped(support),
            Escaped(texts.to_support)
        )
    }
}

/// The custom properties that [`STYLE`] asks for.
fn colours(colours: &Colours) -> String {
    let mut style = String::from(":root{color-scheme:light dark;");
    let of = |Scheme { accent, background }: Scheme| {
        let [on_accent, on_behind] = [accent, background].map(Colour::text);
        format!("--accent:{accent};--on-accent:{on_accent};--behind:{background};--on-behind:{on_behind}")
    };
    let (light, dark) = (of(colours.light), of(colours.dark));
    style += &format!("{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}");
    style
}

fn above(name: Option<&str>, logo: Option<&[u8]>) -> String {
    let logo = logo.map(|bytes| {
        let [first, second, third, fourth, ..] = digest::sha256(bytes);
        let version = u32::from_be_bytes([first, second, third, fourth]);
        // The name beside it says what it shows.
        format!("<img src=\"{LOGO}?{version:08x}\" alt=\"\">")
    });
    let name = name.map(|name| format!("<span>{}</span>", Escaped(name)));
    match (logo, name) {
        (None, None) => String::new(),
        (logo, name) => format!(
            "<header>{}{}</header>\n",
            logo.unwrap_or_default(),
            name.unwrap_or_default()
        ),
    }
}

fn picture((kind, bytes): (LogoKind, Bytes)) -> Reply {
    let kind = match kind {
        LogoKind::Png => "image/png",
        LogoKind::Svg => "image/svg+xml",
    };
    let headers = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, LOGO_LIFE),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, LOGO_POLICY),
    ];
    Reply {
        status: StatusCode::OK,
        headers: headers
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .into(),
        body: bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(policy: &HeaderValue) -> &str {
        policy.to_str().unwrap()
    }

    #[test]
    fn the_policies_allow_the_style_and_nothing_else() {
        let look = Look::plain();
        let hash = STANDARD.encode(digest::sha256(look.style.as_bytes()));
        for policy in [&look.page_policy, &look.form_policy] {
            let policy = text(policy);
            assert!(policy.starts_with(&format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; "
            )));
            assert!(!policy.contains("unsafe") && !policy.contains("img-src"), "{policy}");
        }
        assert!(text(&look.page_policy).ends_with("form-action 'none'"));
        assert!(text(&look.form_policy).ends_with("frame-ancestors 'none'"));
    }

    #[test]
    fn other_colours_have_another_hash() {
        let mut pages = Pages::default();
        pages.colours.light.accent = Colour([0x80, 0, 0]);
        let look = Look::new(&pages, None);
        assert!(look.style.contains("--accent:#800000;--on-accent:#ffffff"));
        assert_ne!(look.page_policy, Look::plain().page_policy);
    }

    #[test]
    fn a_logo_is_a_picture_and_no_document() {
        let logo = (LogoKind::Svg, Bytes::from_static(b"<svg/>"));
        let look = Look::new(&Pages::default(), Some(logo));
        assert!(
            text(&look.page_policy).contains("; style-src") || text(&look.page_policy).contains(" img-src 'self';")
        );
        assert!(text(&look.form_policy).contains(" img-src 'self';"));
        assert!(look.above.contains("<img src=\"/_janua/logo?"), "{}", look.above);
        let reply = look.logo().unwrap();
        let policy = reply
            .headers
            .iter()
            .find(|(name, _)| name == CONTENT_SECURITY_POLICY)
            .unwrap();
        assert!(text(&policy.1).contains("sandbox"));
        assert!(Look::plain().logo().is_none());
    }

    #[test]
    fn a_name_is_text() {
        let pages = Pages {
            name: Some("<b>A & B</b>".to_owned()),
            ..Pages::default()
        };
        let look = Look::new(&pages, None);
        for html in [&look.above, &look.behind_title] {
            assert!(html.contains("&lt;b&gt;A &amp; B&lt;/b&gt;"), "{html}");
        }
    }

    #[test]
    fn a_mail_to_the_support_desk_has_the_code() {
        let look = |support: &str| {
            let pages = Pages {
                support: Some(support.to_owned()),
                ..Pages::default()
            };
            Look::new(&pages, None).below(Texts::of(Language::German), "no_route-12345678")
        };
        assert!(look("mailto:a@b").contains("href=\"mailto:a@b?subject=no_route-12345678\">Support kontaktieren<"));
        assert!(look("https://help.test/?a&b").contains("href=\"https://help.test/?a&amp;b\""));
        assert_eq!(Look::plain().below(Texts::of(Language::German), "x"), "");
    }
}
