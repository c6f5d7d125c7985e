//! May a request use the session whose cookie it carries? Browsers send a cookie with whatever a page makes them ask for:
//! a page of another site, and a picture, link, frame or form that somebody has written into a page of this one.
//!
//! The resource isolation policy of the gateway, by Fetch Metadata (W3C, Fetch Metadata Request Headers), `Origin` and
//! `Referer` (Fetch standard sections 3.2 and 4.1). A session by `Authorization` is not asked: no page makes a browser send
//! that by itself.
//!
//! | asked for | Fetch Metadata | allowed from here | from `app_origins` | else |
//! | --- | --- | --- | --- | --- |
//! | a call | yes | `fetch()` by POST, or with `X-Requested-With` | the same, with `Origin` | no |
//! | a call | no | with `X-Requested-With`, and an `Origin` or `Referer` of this origin | the same | no |
//! | a file | yes | whatever shows or reads it | the same, by `Origin` or `Referer` | what the person does alone; the sign-in server's way back |
//! | a file | no | an `Origin` or `Referer` of this origin | the same | no |
//! | a change | yes | yes | by `Origin` | no |
//! | a change | no | by `Origin` | by `Origin` | no |
//!
//! A call is one of Moodle's REST and upload scripts, a file one of its file scripts, read by GET or HEAD; a change is
//! whatever is not read on another route.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use crate::headers::{Several, at_most_one};

/// Only scripts can set it, and a script of another origin only after a pre-flight.
pub const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// A browser fetches what may be wanted later; the last two are older names.
const GUESSES: [&str; 3] = ["sec-purpose", "purpose", "x-moz"];

/// For which a browser shows, plays or reads a file; nothing that it would run.
const SHOWN: [&[u8]; 11] = [
    b"audio",
    b"document",
    b"embed",
    b"empty",
    b"font",
    b"frame",
    b"iframe",
    b"image",
    b"object",
    b"track",
    b"video",
];

/// What the session is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A web service is called.
    Call,
    /// A file is asked for, by whatever method.
    File,
    /// Anything else that is not only read.
    Change,
}

/// Where a request comes from, as far as it says so.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a Method,
    pub headers: &'a HeaderMap,
    /// This origin, as clients know it: `https://moodle.example.edu`.
    pub own: &'a str,
    /// Of the session's sign-in.
    pub app_origins: &'a [String],
    /// The sign-in server, from which browsers come back.
    pub sign_in: Option<&'a Url>,
}

/// Why a request may not use the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another site is behind it, or may be.
    OtherSite,
    /// A page's markup is behind it, not a script.
    NotByScript,
    /// The browser only guesses that it will be wanted.
    Guess,
    /// `X-Requested-With` is missing.
    NoScriptHeader,
    /// What no browser sends: a header twice, or bytes that it never has.
    Odd,
}

impl Refusal {
    /// For the client and the log; nothing of what the client sent.
    pub fn text(self) -> &'static str {
        match self {
            Self::OtherSite => "Another site may not do this in your name: list its origin in app_origins.",
            Self::NotByScript => "Only fetch() may call this with a cookie: no link, picture, frame or form of a page.",
            Self::Guess => "A prefetch may not call this in your name.",
            Self::NoScriptHeader => {
                "With a cookie this is called by fetch() with the header X-Requested-With; a browser with Fetch Metadata \
                 needs none for a POST."
            }
            Self::Odd => "The request says in two ways, or in none that is known, which page has sent it.",
        }
    }
}

/// `Sec-Fetch-Site`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Site {
    SameOrigin,
    /// The person alone: the address bar, a bookmark.
    Nobody,
    Other,
}

/// Whose page has sent the request, by `Origin`, or `Referer` where there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Own,
    App,
    SignIn,
    Other,
    Unsaid,
}

/// May the session be used?
pub fn judge(purpose: Purpose, asked: &Asked<'_>) -> Result<(), Refusal> {
    let site = one(asked.headers, "sec-fetch-site")?.map(|site| match site {
        b"same-origin" => Site::SameOrigin,
        b"none" => Site::Nobody,
        _ => Site::Other,
    });
    let mode = one(asked.headers, "sec-fetch-mode")?;
    let dest = one(asked.headers, "sec-fetch-dest")?;
    let origin = one(asked.headers, header::ORIGIN.as_str())?.map(|origin| sender(asked, origin));
    let reads = matches!(*asked.method, Method::GET | Method::HEAD);
    match purpose {
        Purpose::Change => change(site, origin),
        Purpose::File if reads => {
            let sender = match origin {
                Some(origin) => origin,
                None => referring(asked)?,
            };
            file(site, mode, dest, sender)
        }
        Purpose::File | Purpose::Call => {
            if GUESSES.iter().any(|name| asked.headers.contains_key(*name)) {
                return Err(Refusal::Guess);
            }
            let is_by_script = asked.headers.contains_key(X_REQUESTED_WITH);
            if site.is_none() && mode.is_none() && dest.is_none() {
                let sender = match origin {
                    Some(origin) => origin,
                    None => referring(asked)?,
                };
                return match sender {
                    _ if !is_by_script => Err(Refusal::NoScriptHeader),
                    Sender::Own | Sender::App => Ok(()),
                    Sender::SignIn | Sender::Other | Sender::Unsaid => Err(Refusal::OtherSite),
                };
            }
            if dest != Some(b"empty") || !matches!(mode, Some(b"cors" | b"same-origin")) {
                return Err(Refusal::NotByScript);
            }
            match (site, origin) {
                // A page that forbids referrers says `null` with a POST to itself.
                (Some(Site::SameOrigin), None | Some(Sender::Own | Sender::Unsaid))
                | (Some(Site::Other), Some(Sender::App)) => {}
                _ => return Err(Refusal::OtherSite),
            }
            match *asked.method == Method::POST || is_by_script {
                true => Ok(()),
                // `<link rel="preload" as="fetch">` looks like fetch().
                false => Err(Refusal::NoScriptHeader),
            }
        }
    }
}

fn change(site: Option<Site>, origin: Option<Sender>) -> Result<(), Refusal> {
    match (site, origin) {
        (Some(Site::SameOrigin), _) | (_, Some(Sender::Own | Sender::App)) => Ok(()),
        _ => Err(Refusal::OtherSite),
    }
}

/// Reading changes nothing, and what another page is shown it cannot read.
fn file(site: Option<Site>, mode: Option<&[u8]>, dest: Option<&[u8]>, sender: Sender) -> Result<(), Refusal> {
    if dest.is_some_and(|dest| !SHOWN.contains(&dest)) || mode == Some(b"websocket") {
        return Err(Refusal::NotByScript);
    }
    let is_page = mode.is_none_or(|mode| mode == b"navigate");
    match (site, sender) {
        (Some(Site::SameOrigin), Sender::Own | Sender::Unsaid)
        | (Some(Site::Other) | None, Sender::Own | Sender::App) => Ok(()),
        // No page makes a browser say that: it loads an address from its bar, or resumes a download.
        (Some(Site::Nobody), _) => Ok(()),
        (Some(Site::Other), Sender::SignIn) if is_page => Ok(()),
        _ => Err(Refusal::OtherSite),
    }
}

/// The one value of a header. Browsers send these once, and in ASCII.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a [u8]>, Refusal> {
    let value = at_most_one(headers, name).map_err(|Several| Refusal::Odd)?;
    match value.map(HeaderValue::as_bytes) {
        Some(odd) if !odd.is_ascii() => Err(Refusal::Odd),
        value => Ok(value),
    }
}

/// The page behind a request without `Origin`. What of its address is behind the origin may be any bytes.
fn referring(asked: &Asked<'_>) -> Result<Sender, Refusal> {
    let referer = at_most_one(asked.headers, header::REFERER).map_err(|Several| Refusal::Odd)?;
    let Some(referer) = referer.map(HeaderValue::as_bytes) else {
        return Ok(Sender::Unsaid);
    };
    let scheme = referer.windows(3).position(|part| part == b"://").map(|at| at + 3);
    let rest = scheme.and_then(|scheme| Some((scheme, referer.get(scheme..)?)));
    let origin = rest.and_then(|(scheme, rest)| {
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
        referer.get(..scheme + end.unwrap_or(rest.len()))
    });
    Ok(origin.map_or(Sender::Other, |origin| sender(asked, origin)))
}

fn sender(asked: &Asked<'_>, origin: &[u8]) -> Sender {
    let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(origin);
    if origin == b"null" {
        Sender::Unsaid
    } else if is(asked.own) {
        Sender::Own
    } else if asked.app_origins.iter().any(|app| is(app)) {
        Sender::App
    } else if asked
        .sign_in
        .is_some_and(|server| is(&server.origin().ascii_serialization()))
    {
        Sender::SignIn
    } else {
        Sender::Other
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const OWN: &str = "https://moodle.test";
    const APP: &str = "https://app.test";
    const CAS: &str = "https://cas.test";
    const EVIL: &str = "https://evil.test";

    type Field = (&'static str, &'static str);

    fn judged(purpose: Purpose, method: &Method, fields: &[Field]) -> Result<(), Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let sign_in = Url::parse("https://cas.test/cas").unwrap();
        let asked = Asked {
            method,
            headers: &headers,
            own: OWN,
            app_origins: &[APP.to_owned()],
            sign_in: Some(&sign_in),
        };
        judge(purpose, &asked)
    }

    fn fetched(site: &'static str, mode: &'static str, dest: &'static str, more: &[Field]) -> Vec<Field> {
        let mut fields = vec![
            ("sec-fetch-site", site),
            ("sec-fetch-mode", mode),
            ("sec-fetch-dest", dest),
        ];
        fields.extend(more);
        fields
    }

    /// What a page can make a browser send without a script: mode and destination.
    const MARKUP: [(&str, &str); 20] = [
        ("no-cors", "image"),
        ("no-cors", "video"),
        ("no-cors", "audio"),
        ("cors", "image"),
        ("cors", "track"),
        ("cors", "font"),
        ("no-cors", "embed"),
        ("no-cors", "object"),
        ("navigate", "document"),
        ("navigate", "iframe"),
        ("navigate", "frame"),
        ("navigate", "embed"),
        ("navigate", "object"),
        // Pings, and preloads without CORS.
        ("no-cors", "empty"),
        ("no-cors", "style"),
        ("cors", "style"),
        ("no-cors", "script"),
        ("cors", "script"),
        ("cors", "manifest"),
        ("no-cors", "report"),
    ];

    const SCRIPT: Field = ("x-requested-with", "fetch");

    #[test]
    fn no_markup_calls_whatever_else_it_says() {
        for site in ["same-origin", "same-site", "cross-site", "none"] {
            for (mode, dest) in MARKUP {
                for method in [Method::GET, Method::HEAD, Method::POST] {
                    for more in [&[][..], &[("origin", OWN)], &[("origin", APP)], &[SCRIPT]] {
                        let fields = fetched(site, mode, dest, more);
                        let refused = judged(Purpose::Call, &method, &fields);
                        assert_eq!(refused, Err(Refusal::NotByScript), "{method} {fields:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_script_of_this_origin_calls_by_post_or_with_its_header() {
        for mode in ["cors", "same-origin"] {
            for more in [&[][..], &[("origin", OWN)], &[("origin", "null")]] {
                let posted = fetched("same-origin", mode, "empty", more);
                assert_eq!(judged(Purpose::Call, &Method::POST, &posted), Ok(()), "{posted:?}");
            }
            for method in [Method::GET, Method::HEAD] {
                // `<link rel="preload" as="fetch">` sends the very same.
                let bare = fetched("same-origin", mode, "empty", &[]);
                assert_eq!(judged(Purpose::Call, &method, &bare), Err(Refusal::NoScriptHeader));
                let told = fetched("same-origin", mode, "empty", &[SCRIPT]);
                assert_eq!(judged(Purpose::Call, &method, &told), Ok(()));
            }
        }
    }

    #[test]
    fn a_script_of_another_origin_needs_one_that_is_listed() {
        for site in ["same-site", "cross-site"] {
            for (origin, expected) in [
                (APP, Ok(())),
                (EVIL, Err(Refusal::OtherSite)),
                (CAS, Err(Refusal::OtherSite)),
                (OWN, Err(Refusal::OtherSite)),
                ("null", Err(Refusal::OtherSite)),
                ("https://app.test.evil.test", Err(Refusal::OtherSite)),
                ("http://app.test", Err(Refusal::OtherSite)),
            ] {
                let fields = fetched(site, "cors", "empty", &[("origin", origin), SCRIPT]);
                for method in [Method::GET, Method::POST] {
                    assert_eq!(judged(Purpose::Call, &method, &fields), expected, "{method} {fields:?}");
                }
            }
            let unsaid = fetched(site, "cors", "empty", &[SCRIPT, ("referer", "https://app.test/")]);
            assert_eq!(judged(Purpose::Call, &Method::POST, &unsaid), Err(Refusal::OtherSite));
        }
        let addressed = fetched("none", "cors", "empty", &[SCRIPT]);
        assert_eq!(judged(Purpose::Call, &Method::GET, &addressed), Err(Refusal::OtherSite));
        let contradicts = fetched("same-origin", "cors", "empty", &[("origin", EVIL), SCRIPT]);
        assert_eq!(
            judged(Purpose::Call, &Method::GET, &contradicts),
            Err(Refusal::OtherSite)
        );
    }

    #[test]
    fn a_guess_calls_nothing() {
        for guess in [
            ("sec-purpose", "prefetch"),
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "prefetch"),
            ("x-moz", "prefetch"),
        ] {
            let fields = fetched("same-origin", "cors", "empty", &[guess, SCRIPT, ("origin", OWN)]);
            for fields in [&fields[..], &fields[3..]] {
                assert_eq!(
                    judged(Purpose::Call, &Method::GET, fields),
                    Err(Refusal::Guess),
                    "{fields:?}"
                );
            }
        }
    }

    #[test]
    fn a_browser_without_fetch_metadata_calls_with_the_header_and_says_where_it_is() {
        for method in [Method::GET, Method::POST] {
            for (says, expected) in [
                (("origin", OWN), Ok(())),
                (("origin", APP), Ok(())),
                // All that Safari before 16.4 says with a GET.
                (("referer", "https://moodle.test/my/?id=1"), Ok(())),
                (("referer", "https://moodle.test"), Ok(())),
                (("referer", "https://app.test/caf\u{e9}"), Ok(())),
                (("origin", "null"), Err(Refusal::OtherSite)),
                (("origin", EVIL), Err(Refusal::OtherSite)),
                (
                    ("referer", "https://evil.test/https://moodle.test/"),
                    Err(Refusal::OtherSite),
                ),
                (("referer", "https://moodle.test@evil.test/"), Err(Refusal::OtherSite)),
                (("referer", "https://moodle.test:444/"), Err(Refusal::OtherSite)),
                (("referer", "moodle.test/"), Err(Refusal::OtherSite)),
                (("accept", "*/*"), Err(Refusal::OtherSite)),
            ] {
                assert_eq!(
                    judged(Purpose::Call, &method, &[says, SCRIPT]),
                    expected,
                    "{method} {says:?}"
                );
                // A form sends an Origin, too.
                let bare = judged(Purpose::Call, &method, &[says]);
                assert_eq!(bare, Err(Refusal::NoScriptHeader), "{method} {says:?}");
            }
            let both = [("origin", EVIL), ("referer", "https://moodle.test/"), SCRIPT];
            assert_eq!(judged(Purpose::Call, &method, &both), Err(Refusal::OtherSite));
        }
    }

    #[test]
    fn a_file_is_shown_here_and_in_the_apps_and_opened_by_its_address() {
        const LISTED: Field = ("referer", "https://app.test/page");
        for (mode, dest) in MARKUP.into_iter().chain([("cors", "empty"), ("same-origin", "empty")]) {
            let is_run = ["style", "script", "manifest", "report"].contains(&dest);
            let expected = if is_run { Err(Refusal::NotByScript) } else { Ok(()) };
            for method in [Method::GET, Method::HEAD] {
                let own = fetched("same-origin", mode, dest, &[]);
                assert_eq!(judged(Purpose::File, &method, &own), expected, "{own:?}");
                for site in ["same-site", "cross-site"] {
                    for says in [LISTED, ("origin", APP)] {
                        let app = fetched(site, mode, dest, &[says]);
                        assert_eq!(judged(Purpose::File, &method, &app), expected, "{app:?}");
                    }
                    let strangers = [("origin", EVIL), ("origin", "null"), ("referer", "https://evil.test/")];
                    for says in strangers.into_iter().chain([("accept", "*/*")]) {
                        let evil = fetched(site, mode, dest, &[says]);
                        let refused = expected.and(Err(Refusal::OtherSite));
                        assert_eq!(judged(Purpose::File, &method, &evil), refused, "{evil:?}");
                    }
                    // An Origin says more than a Referer.
                    let both = fetched(site, mode, dest, &[LISTED, ("origin", EVIL)]);
                    assert!(judged(Purpose::File, &method, &both).is_err(), "{both:?}");
                    let back = fetched(site, mode, dest, &[("referer", "https://cas.test/")]);
                    let is_back = judged(Purpose::File, &method, &back).is_ok();
                    assert_eq!(is_back, mode == "navigate", "{back:?}");
                }
                let addressed = fetched("none", mode, dest, &[]);
                assert_eq!(judged(Purpose::File, &method, &addressed), expected, "{addressed:?}");
            }
        }
        for alone in [("sec-fetch-site", "none"), ("referer", "https://moodle.test/x"), LISTED] {
            assert_eq!(judged(Purpose::File, &Method::GET, &[alone]), Ok(()), "{alone:?}");
        }
        for alone in [
            &[][..],
            &[("referer", "https://evil.test/")],
            &[("referer", "https://cas.test/")],
        ] {
            assert_eq!(
                judged(Purpose::File, &Method::GET, alone),
                Err(Refusal::OtherSite),
                "{alone:?}"
            );
        }
        // Whatever is not only read is a call.
        for form in [
            fetched("same-origin", "navigate", "document", &[("origin", OWN)]),
            fetched("none", "navigate", "document", &[]),
        ] {
            assert_eq!(judged(Purpose::File, &Method::POST, &form), Err(Refusal::NotByScript));
        }
    }

    #[test]
    fn a_change_needs_a_page_of_this_origin_or_of_an_app() {
        for (fields, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], Ok(())),
            (&[("origin", OWN)], Ok(())),
            (&[("origin", "https://APP.test")], Ok(())),
            (&[("sec-fetch-site", "cross-site"), ("origin", APP)], Ok(())),
            (&[("origin", EVIL)], Err(Refusal::OtherSite)),
            (&[("origin", "null")], Err(Refusal::OtherSite)),
            (&[("origin", CAS)], Err(Refusal::OtherSite)),
            (&[("sec-fetch-site", "same-site")], Err(Refusal::OtherSite)),
            (&[("sec-fetch-site", "none")], Err(Refusal::OtherSite)),
            (&[("referer", "https://moodle.test/")], Err(Refusal::OtherSite)),
            (&[], Err(Refusal::OtherSite)),
        ] {
            assert_eq!(judged(Purpose::Change, &Method::POST, fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn what_no_browser_sends_is_refused_for_every_purpose() {
        let usual = fetched("same-origin", "cors", "empty", &[("origin", OWN), SCRIPT]);
        for purpose in [Purpose::Call, Purpose::File, Purpose::Change] {
            assert_eq!(judged(purpose, &Method::GET, &usual), Ok(()));
            for (name, value) in &usual[..4] {
                let mut twice = usual.clone();
                twice.push((name, value));
                assert_eq!(judged(purpose, &Method::GET, &twice), Err(Refusal::Odd), "{name}");
                let mut odd = usual.clone();
                odd.retain(|(known, _)| known != name);
                odd.push((name, "same-origin\u{e9}"));
                assert_eq!(judged(purpose, &Method::GET, &odd), Err(Refusal::Odd), "{name}");
            }
        }
        for list in ["same-origin, cross-site", "same-origin;x", "Same-Origin"] {
            let fields = fetched(list, "cors", "empty", &[SCRIPT]);
            assert!(judged(Purpose::Call, &Method::GET, &fields).is_err(), "{list}");
            let alone = [("sec-fetch-site", list)];
            assert!(judged(Purpose::Change, &Method::POST, &alone).is_err(), "{list}");
        }
        // Two of the three are not the three.
        for (name, _) in &usual[..3] {
            let mut some = usual.clone();
            some.retain(|(known, _)| known != name);
            assert!(judged(Purpose::Call, &Method::GET, &some).is_err(), "without {name}");
        }
    }
}
