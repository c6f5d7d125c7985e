//! The way to a sign-in server: where a browser is sent, and whether it is one that can go there.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

use super::attempt::{self, Attempt, Wanted};
use super::{Asked, AttemptedBy, Callback, Here, Login, SignIn, target};
use crate::authenticate::session::cookie::Jar;
use crate::authenticate::token::carrier::strip_query;
use crate::config::{self, TokenSource};
use crate::headers::at_most_one;
use crate::rejection::{Reason, Rejection};
use crate::respond::page;
use crate::respond::{Answering, Reply};
use crate::time::unix_seconds;

/// Says for a while that a sign-in server knows nobody in this browser; the name of the sign-in follows.
const NOBODY: &str = "janua-nobody-";
/// Seconds until such a browser is sent to ask again.
const NOBODY_SECONDS: u32 = 300;

/// To the sign-in server, to come back to `target`, which was judged. `passive`: as nobody, if it knows nobody.
pub async fn begin(
    here: &Here<'_>,
    headers: &HeaderMap,
    sign_in: usize,
    target: &str,
    passive: bool,
) -> Result<Reply, Rejection> {
    let sign_in = here.sign_in(sign_in).ok_or(Reason::Internal)?;
    start(here, headers, sign_in, (target, passive, false)).await
}

/// The same once more, in place of an attempt whose ticket was refused.
pub(super) async fn begin_again(asked: &Asked<'_>, sign_in: SignIn<'_>, refused: &Attempt) -> Result<Reply, Rejection> {
    let wanted = (refused.target.as_str(), refused.passive, true);
    start(&asked.here, asked.headers, sign_in, wanted).await
}

async fn start(
    here: &Here<'_>,
    headers: &HeaderMap,
    sign_in: SignIn<'_>,
    (target, passive, is_second): (&str, bool, bool),
) -> Result<Reply, Rejection> {
    let origin = here.public.origin();
    let wanted = Wanted {
        sign_in: &sign_in.config.name,
        target,
        origin: &origin,
        passive,
        is_second,
    };
    let started = here.people.attempts.start(&wanted, here.now);
    let login = match passive {
        true => Login::Passive,
        false if sign_in.config.provider.renew() => Login::Renew,
        false => Login::Usual,
    };
    let callback = Callback {
        url: &sign_in.callback(&origin),
        state: &started.state,
    };
    let (name, value) = &started.cookie;
    let by = AttemptedBy {
        secret: value,
        began: unix_seconds(here.now),
    };
    let begun = sign_in.provider.begin(callback, login, by).await;
    let mut reply = Reply::redirect(begun.map_err(|refusal| refusal.rejection)?.as_str())?;
    let jar = here.jar();
    reply.set_cookie(jar.set(name, value, u32::try_from(attempt::LIFE.as_secs()).ok()));
    for surplus in attempt::surplus(&jar.beginning_with(headers, attempt::COOKIE)) {
        reply.set_cookie(jar.remove(surplus));
    }
    Ok(reply)
}

/// To the page where the person chooses one of several sign-ins, to come back to `target`.
pub fn choose(here: &Here<'_>, sign_ins: &[usize], target: &str) -> Result<Reply, Rejection> {
    Reply::redirect(&where_to_and_back(here, sign_ins, target))
}

/// Is a browser about to show the answer in a tab or frame, so that it can be sent through a sign-in? Scripts, players
/// and forms cannot: what they get must say so.
pub fn page_load(method: &Method, headers: &HeaderMap) -> bool {
    let is_ajax = headers.get("x-requested-with").is_some();
    let is_guess = ["sec-purpose", "purpose"]
        .iter()
        .any(|name| headers.contains_key(*name));
    let asked = Answering {
        request_id: "",
        accept: headers.get(header::ACCEPT),
        sec_fetch_mode: headers.get("sec-fetch-mode"),
        sec_fetch_dest: headers.get("sec-fetch-dest"),
        ..Answering::default()
    };
    let says_so = headers.contains_key("sec-fetch-mode") || headers.contains_key("sec-fetch-dest");
    matches!(*method, Method::GET | Method::HEAD) && !is_guess && (says_so || !is_ajax) && page::is_wanted(&asked)
}

/// Where to sign in, to come back to `target`; to the start page, if that is too long to be taken.
pub fn where_to_and_back(here: &Here<'_>, sign_ins: &[usize], target: &str) -> String {
    let mut url = where_to(here, sign_ins);
    let target = if target.len() > target::LONGEST { "/" } else { target };
    url.push_str("&return=");
    url.extend(form_urlencoded::byte_serialize(target.as_bytes()));
    url
}

/// Where to sign in for a route, to come back to the page whose script has asked, if it says which it is and is one that all of
/// these sign-ins return to. What the page was opened with as a credential (`jwt.sources`, watch passes) is left out. A URL that works as it is. A program may append a `return` of its own: the last one counts.
pub fn where_to_and_back_to_page(here: &Here<'_>, headers: &HeaderMap, sign_ins: &[usize]) -> String {
    let origin = here.public.origin();
    let mut named = sign_ins.iter().filter_map(|index| here.config.sign_ins.get(*index));
    let page = page_behind(headers, &here.config.jwt.sources);
    let judged =
        page.and_then(|page| target::judged(&page, &origin, named.next().map_or(&[], |first| &first.app_origins)));
    let judged = judged.filter(|page| named.all(|other| target::judged(page, &origin, &other.app_origins).is_some()));
    match judged {
        Some(page) => where_to_and_back(here, sign_ins, &page),
        None => where_to(here, sign_ins),
    }
}

/// The page that a request names as the one behind it: by `Referer`, of which browsers tell other origins the origin alone
/// (Referrer Policy, `strict-origin-when-cross-origin`), or by `Origin`. `None`: neither, or they contradict each other. Without
/// tokens, as `sources` find them, and without a fragment, which no browser tells and sign-ins put tokens into.
fn page_behind(headers: &HeaderMap, sources: &[TokenSource]) -> Option<String> {
    let one = |name| {
        let value = at_most_one(headers, name).ok()?;
        let url = value.and_then(|value| Url::parse(value.to_str().ok()?).ok());
        Some(url.filter(Url::has_host))
    };
    let (referer, origin): (Option<Url>, Option<Url>) = (one(header::REFERER)?, one(header::ORIGIN)?);
    match (referer, origin) {
        (Some(referer), Some(origin)) if referer.origin() != origin.origin() => None,
        (referer, origin) => {
            let mut page = referer.or(origin)?;
            let query = page.query().and_then(|query| strip_query(sources, query));
            let query = query.map(Cow::into_owned);
            page.set_query(query.as_deref());
            page.set_fragment(None);
            Some(page.into())
        }
    }
}

/// Where to sign in for a route: what a program may open in a browser, with its own `return` appended.
pub fn where_to(here: &Here<'_>, sign_ins: &[usize]) -> String {
    let mut url = format!("{}/_janua/sign-in", here.public.origin());
    let named = sign_ins.iter().filter_map(|index| here.config.sign_ins.get(*index));
    for (number, sign_in) in named.enumerate() {
        let with = if number == 0 { "?with=" } else { "&with=" };
        url.extend([with, &*sign_in.name]);
    }
    url
}

/// The sign-in that is to be asked whether it knows this browser, without showing anything: a passive one of the
/// route's, unless it has just said no.
pub fn asks_silently(here: &Here<'_>, headers: &HeaderMap, sign_ins: &[usize]) -> Option<usize> {
    let mut sign_ins = sign_ins.iter().copied();
    sign_ins.find(|index| may_know(here, headers, *index, config::Provider::passive))
}

/// The way to sign in where a page of the server's could not be shown: in a frame, since servers let nobody frame their
/// forms. The only sign-in is asked whether it knows this browser, unless it has just said no, or wants the password in any
/// case. `None`: a tab is needed; so it is in a frame of another site, where no cookie comes back.
pub async fn begin_in_frame(here: &Here<'_>, headers: &HeaderMap, sign_ins: &[usize], target: &str) -> Option<Reply> {
    let &[only] = sign_ins else { return None };
    let is_elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let asks = !is_elsewhere && may_know(here, headers, only, |provider| !provider.renew());
    match asks {
        true => begin(here, headers, only, target, true).await.ok(),
        false => None,
    }
}

/// Is it a sign-in of this kind, which has not just said that it knows nobody in this browser?
fn may_know(here: &Here<'_>, headers: &HeaderMap, sign_in: usize, is: impl Fn(&config::Provider) -> bool) -> bool {
    here.config.sign_ins.get(sign_in).is_some_and(|sign_in| {
        let nobody = format!("{NOBODY}{}", sign_in.name);
        is(&sign_in.provider) && here.jar().all(headers, &nobody).is_empty()
    })
}

/// Remembers in the browser that this sign-in knows nobody there.
pub(super) fn nobody(jar: Jar, sign_in: &str) -> Option<HeaderValue> {
    jar.set(&format!("{NOBODY}{sign_in}"), "1", Some(NOBODY_SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_page(method: &Method, fields: &[(&'static str, &'static str)]) -> bool {
        let fields = fields
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        page_load(method, &fields.collect())
    }

    #[test]
    fn the_page_behind_a_script_is_known_by_what_the_browser_says() {
        let sources = ["jwt", "token"].map(|parameter| TokenSource::Query {
            parameter: parameter.to_owned(),
        });
        let behind = |fields: &[(&'static str, &'static str)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()));
            page_behind(&fields.collect(), &sources)
        };
        let (page, app) = ("https://app.test/course?id=1", "https://app.test");
        for (fields, expected) in [
            (&[("referer", page)][..], Some(page)),
            (&[("referer", page), ("origin", app)], Some(page)),
            (
                &[("referer", "https://app.test/"), ("origin", app)],
                Some("https://app.test/"),
            ),
            (&[("origin", app)], Some("https://app.test/")),
            (&[("referer", page), ("origin", "null")], Some(page)),
            // What a page is opened with is not told to a sign-in.
            (
                &[(
                    "referer",
                    "https://app.test/course?jwt=e.f.g&id=1&%6Awt=e.f.g&token=x#access_token=y",
                )],
                Some(page),
            ),
            (
                &[("referer", "https://app.test/course?jwt=e.f.g")],
                Some("https://app.test/course"),
            ),
            (
                &[("referer", "https://app.test/course?#")],
                Some("https://app.test/course?"),
            ),
            (&[("referer", page), ("origin", "https://other.test")], None),
            (&[("referer", page), ("referer", page)], None),
            (&[("origin", "null")], None),
            (&[("referer", "about:client")], None),
            (&[("referer", "/course")], None),
            (&[], None),
        ] {
            assert_eq!(behind(fields).as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn only_a_page_load_is_sent_to_sign_in() {
        let navigation = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(is_page(&Method::GET, &navigation));
        assert!(!is_page(&Method::POST, &navigation), "its body would be lost");
        assert!(is_page(
            &Method::GET,
            &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")]
        ));
        assert!(is_page(&Method::GET, &[("accept", "text/html,*/*;q=0.8")]));
        for other in [
            &[
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-dest", "empty"),
                ("accept", "text/html"),
            ][..],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "video")],
            &[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "script")],
            &[("accept", "text/html"), ("x-requested-with", "XMLHttpRequest")],
            &[("accept", "application/json")],
            &[("accept", "*/*")],
            &[],
            &[
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
                ("sec-purpose", "prefetch"),
            ],
        ] {
            assert!(!is_page(&Method::GET, other), "{other:?}");
        }
    }
}
