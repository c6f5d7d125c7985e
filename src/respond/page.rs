//! Pages for people: when a browser is about to show the answer, what a page is made of, and the one of a refusal.
//!
//! A page is whole in itself: no script, and no picture but the site's own logo; its style is allowed by hash. It speaks the
//! language that the browser wants most.

mod language;
mod look;
mod texts;
mod words;

use std::fmt::{self, Display, Write as _};

use http::HeaderValue;

pub use self::look::{LOGO, Look};
pub use self::texts::{Texts, filled};
use super::Answering;
use crate::rejection::{Hint, Reason, Rejection};

/// Digits of a request's id that a person tells the support desk.
const SHORT_ID: usize = 8;

/// For whom a page is made.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    pub look: &'a Look,
    /// In the reader's language.
    pub texts: &'static Texts,
}

impl<'a> Reader<'a> {
    /// By the `Accept-Language` of the request.
    pub fn new(look: &'a Look, accept_language: Option<&HeaderValue>) -> Self {
        Self {
            look,
            texts: Texts::of(language::wanted(accept_language, &look.languages)),
        }
    }

    /// For `Content-Language`.
    pub fn language(&self) -> &'static str {
        self.texts.language.label()
    }

    /// A paragraph.
    pub fn says(&self, text: &str) -> String {
        format!("<p>{}</p>\n", Escaped(text))
    }

    /// The way to the start page, as a paragraph; `usual` is where that is if nobody says otherwise.
    pub fn to_start(&self, usual: Option<&str>) -> String {
        let Some(home) = self.look.home.as_deref().or(usual) else {
            return String::new();
        };
        format!(
            "<p><a href=\"{}\">{}</a></p>\n",
            Escaped(home),
            Escaped(self.texts.to_start)
        )
    }

    /// What a person can tell the support desk, which finds the request by it in the log: a paragraph.
    pub fn code(&self, reason: Reason, request_id: &str) -> String {
        format!(
            "<p><small>{} <data value=\"{}\">{}</data></small></p>\n",
            Escaped(self.texts.code),
            Escaped(request_id),
            Escaped(&code(reason, request_id)),
        )
    }

    /// A page of the gateway's own. `body` is HTML already.
    pub fn whole(&self, title: &str, body: &str) -> String {
        self.written(title, body, "")
    }

    /// `code` becomes the subject of a mail to who helps.
    fn written(&self, title: &str, body: &str, code: &str) -> String {
        let Look {
            style,
            above,
            behind_title,
            ..
        } = self.look;
        format!(
            "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}{behind_title}</title>\n<style>{style}</style>\n</head>\n<body>\n{above}<main>\n\
             <h1>{title}</h1>\n{body}\n</main>\n{below}</body>\n</html>\n",
            language = self.language(),
            title = Escaped(title),
            below = self.look.below(self.texts, code),
        )
    }
}

/// `token_expired-4f2a91bc`: why, and how the id of the request begins.
fn code(reason: Reason, request_id: &str) -> String {
    let id: String = request_id.chars().take(SHORT_ID).collect();
    format!("{}-{id}", reason.label())
}

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

/// The page of a refusal. Everything that is not a constant is escaped.
pub(super) fn render(rejection: &Rejection, context: &Answering<'_>, reader: &Reader<'_>) -> String {
    let (reason, texts) = (rejection.reason, reader.texts);
    let words = words::of(reason, texts);
    let (sign_in, visit) = rejection.hint.ways();
    // Sign-in servers let nobody frame their forms.
    let tab = match is_framed(context.sec_fetch_dest) {
        true => " target=\"_blank\"",
        false => "",
    };
    let in_a_tab = match sign_in.filter(|_| !tab.is_empty()) {
        Some(_) => reader.says(texts.in_a_tab),
        None => String::new(),
    };
    let button = |url: &str, tab: &str, text: &str| {
        format!(
            "<p class=\"buttons\"><a class=\"button\" href=\"{}\"{tab}>{}</a></p>\n",
            Escaped(url),
            Escaped(text)
        )
    };
    let (title, text) = match &rejection.hint {
        Hint::SignIn(_) if reason == Reason::NoCredentials || is_of_link(reason) => {
            (texts.please_sign_in_title, texts.please_sign_in)
        }
        Hint::SignIn(_) if reason == Reason::NoMoodleToken => (words.title, texts.moodle_unknown),
        Hint::Remedy(remedy) => (words.title, words::instead(remedy, texts).unwrap_or(words.text)),
        _ => (words.title, words.text),
    };
    let remedy = match (sign_in, visit) {
        (Some(url), _) if matches!(reason, Reason::SignInStale | Reason::SignInRefused) => {
            button(url, tab, texts.sign_in_again)
        }
        (Some(url), _) => button(url, tab, texts.sign_in),
        (None, Some(url)) => button(url, tab, texts.open_moodle),
        // Of the page itself.
        (None, None) if words.passes => button("", "", texts.try_again),
        (None, None) => String::new(),
    };
    let body = [
        reader.says(text),
        in_a_tab,
        remedy,
        reader.to_start(None),
        reader.code(reason, context.request_id),
    ];
    reader.written(title, body.concat().trim_end(), &code(reason, context.request_id))
}

/// Is it about what the address brought?
fn is_of_link(reason: Reason) -> bool {
    reason.is_challenge() && reason != Reason::MoodleSignInRequired
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

    fn wanted(mode: Option<&'static str>, dest: Option<&'static str>, accept: Option<&'static str>) -> bool {
        let [mode, dest, accept] = [mode, dest, accept].map(|value| value.map(HeaderValue::from_static));
        is_wanted(&Answering {
            request_id: "",
            accept: accept.as_ref(),
            sec_fetch_mode: mode.as_ref(),
            sec_fetch_dest: dest.as_ref(),
            ..Answering::default()
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

    fn rendered(rejection: &Rejection, request_id: &str, language: &'static str) -> String {
        let context = Answering {
            request_id,
            ..Answering::default()
        };
        let accept_language = HeaderValue::from_static(language);
        render(rejection, &context, &Reader::new(Look::plain(), Some(&accept_language)))
    }

    #[test]
    fn nothing_can_break_out_of_the_page() {
        let id = "\"><script>alert('1')</script>&";
        let page = rendered(&Reason::TokenExpired.into(), id, "en");
        assert!(!page.contains("<script"));
        assert!(page.contains("&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;"));
        assert!(page.contains("open the video again"));
        let to = "https://a.test/?\"><script>".to_owned();
        for hint in [Hint::SignIn(to.clone()), Hint::Visit(to)] {
            let page = rendered(&Rejection::new(Reason::SignInStale).with_hint(hint), "1", "en");
            assert!(
                page.contains("href=\"https://a.test/?&quot;&gt;&lt;script&gt;\""),
                "{page}"
            );
        }
    }

    /// Nobody who opened a video knows what a token is.
    #[test]
    fn every_reason_has_its_words_in_every_language_and_a_code() {
        const ID: &str = "4f2a91bc5d6e7f8091a2b3c4d5e6f708";
        for language in ["en", "de", "fr", "es"] {
            for reason in Reason::ALL {
                let page = rendered(&Rejection::new(*reason), ID, language);
                assert!(page.contains(&format!("<html lang=\"{language}\">")), "{page}");
                assert!(
                    page.contains(&format!("value=\"{ID}\">{}-4f2a91bc<", reason.label())),
                    "{page}"
                );
                assert_eq!(page.matches("<h1>").count(), 1);
                let told = page.replace(reason.label(), "");
                assert!(!told.to_lowercase().contains("token"), "{reason:?} {language}: {page}");
                let (_, body) = told.split_once("<body>").unwrap();
                assert!(!body.contains('{'), "{page}");
            }
        }
    }

    #[test]
    fn what_passes_can_be_tried_again_and_what_needs_a_sign_in_leads_there() {
        let page = rendered(&Reason::Overloaded.into(), "1", "fr");
        assert!(page.contains("<a class=\"button\" href=\"\">Réessayer</a>"), "{page}");
        assert!(!rendered(&Reason::NoRoute.into(), "1", "fr").contains("class=\"button\""));
        let sign_in = Rejection::new(Reason::NoCredentials).with_hint(Hint::SignIn("/in?a&b".to_owned()));
        let page = rendered(&sign_in, "1", "de-CH");
        assert!(page.contains("<h1>Bitte melden Sie sich an</h1>") && page.contains("href=\"/in?a&amp;b\">Anmelden<"));
    }

    /// What only an app's programmer can do something about is in problem bodies.
    #[test]
    fn remedies_for_programs_are_not_on_pages() {
        let refusal = Rejection::new(Reason::CrossSite).with_hint(Hint::Remedy("list its origin in app_origins"));
        let page = rendered(&refusal, "1", "en");
        assert!(
            !page.contains("app_origins") && page.contains("Another web site"),
            "{page}"
        );
        let refusal = Rejection::new(Reason::NoMoodleToken).with_hint(Hint::Remedy(crate::rejection::OTHER_AT_MOODLE));
        assert!(rendered(&refusal, "1", "en").contains("Somebody else is signed in at Moodle"));
    }
}
