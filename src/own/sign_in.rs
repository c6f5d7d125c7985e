//! The way to a sign-in server: from a page that needs somebody, or from `/_janua/sign-in`.

use http::{HeaderMap, HeaderValue, Method, header};

use super::{Asked, Here, html, redirect};
use crate::authenticate::session::cookie::Jar;
use crate::config::{Cas, Provider};
use crate::query;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::page::{self, Escaped};
use crate::respond::{Answering, Reply};
use crate::sign_in::attempt::{self, Attempt, Wanted};
use crate::sign_in::cas::Login;
use crate::sign_in::target;

/// Says for a while that a sign-in server knows nobody in this browser; the name of the sign-in follows.
const NOBODY: &str = "janua-nobody-";
/// Seconds until such a browser is sent to ask again.
const NOBODY_SECONDS: u32 = 300;

/// `GET /_janua/sign-in?return=…&with=…`: straight to the one sign-in, or to a page with a choice of several.
pub(super) async fn answer(asked: &Asked<'_>) -> Result<Reply, Rejection> {
    let query = asked.query.unwrap_or_default().as_bytes();
    let sign_ins = &asked.here.snapshot.config.sign_ins;
    let named: Vec<usize> = query::values(query, "with")
        .filter_map(|with| sign_ins.iter().position(|sign_in| *sign_in.name == *with))
        .collect();
    let choice: Vec<usize> = match named.is_empty() {
        true => (0..sign_ins.len()).collect(),
        false => named,
    };
    let given = super::parameter(query, "return");
    let &[only] = choice.as_slice() else {
        return Ok(chooser(&asked.here, &choice, given.as_deref().unwrap_or("/")));
    };
    let back = given.unwrap_or_else(|| {
        // Moodle may be below a path, beside which there need not be anything.
        let below =
            super::moodle::wanted(asked, only).map(|moodle| moodle.config.public_url.path().trim_end_matches('/'));
        format!("{}/", below.unwrap_or_default())
    });
    let sign_in = sign_ins.get(only).ok_or(Reason::NoRoute)?;
    let target = target::judged(&back, &asked.here.public.origin(), &sign_in.app_origins).ok_or_else(no_way_back)?;
    let Provider::Cas(cas) = &sign_in.provider;
    let session = asked.here.session(asked.headers).await?;
    let known = session.filter(|session| session.identity.source == sign_in.name);
    // Who was sent on to Moodle has just typed the password.
    let is_enough = !cas.renew || super::moodle::wanted(asked, only).is_some();
    if let Some(session) = known.filter(|_| is_enough) {
        return match super::moodle::wanted(asked, only) {
            Some(moodle) => super::moodle::go_on(&asked.here, moodle, &session, &target).await,
            None => super::go_to(&asked.here, &target),
        };
    }
    let target = match super::moodle::wanted(asked, only) {
        // Back here once more, as somebody who is known.
        Some(_) => format!(
            "{}/_janua/sign-in?{}",
            asked.here.public.origin(),
            asked.query.unwrap_or_default()
        ),
        None => target,
    };
    if page::is_framed(asked.headers.get("sec-fetch-dest")) {
        let tab = || Hint::SignIn(where_to_and_back(&asked.here, &[only], &target));
        let begun = begin_in_frame(&asked.here, asked.headers, &[only], &target);
        return begun.ok_or_else(|| Rejection::new(Reason::NoCredentials).with_hint(tab()));
    }
    begin(&asked.here, asked.headers, only, &target, false)
}

/// The refusal of a `return` that leads elsewhere, with what the operator can do about it.
pub(super) fn no_way_back() -> Rejection {
    const REMEDY: &str = "`return` leads to another site, or is longer than 8 KiB: it must be an address here, or begin with one of \
                          the origins that app_origins of the sign-in lists.";
    Rejection::because(
        Reason::BadRequest,
        "`return` is neither here nor at one of app_origins, or longer than 8 KiB",
    )
    .with_hint(Hint::Remedy(REMEDY))
}

/// To the sign-in server, to come back to `target`, which was judged. `passive`: as nobody, if it knows nobody.
pub fn begin(
    here: &Here<'_>,
    headers: &HeaderMap,
    sign_in: usize,
    target: &str,
    passive: bool,
) -> Result<Reply, Rejection> {
    start(here, headers, sign_in, (target, passive, false))
}

/// The same once more, in place of an attempt whose ticket was refused.
pub(super) fn begin_again(asked: &Asked<'_>, sign_in: usize, refused: &Attempt) -> Result<Reply, Rejection> {
    start(
        &asked.here,
        asked.headers,
        sign_in,
        (&refused.target, refused.passive, true),
    )
}

fn start(
    here: &Here<'_>,
    headers: &HeaderMap,
    sign_in: usize,
    (target, passive, is_second): (&str, bool, bool),
) -> Result<Reply, Rejection> {
    let snapshot = here.snapshot;
    let parts = snapshot.config.sign_ins.get(sign_in).zip(snapshot.cas.get(sign_in));
    let (sign_in, client) = parts.ok_or(Reason::Internal)?;
    let Provider::Cas(cas) = &sign_in.provider;
    let origin = here.public.origin();
    let wanted = Wanted {
        sign_in: &sign_in.name,
        target,
        origin: &origin,
        passive,
        is_second,
    };
    let started = snapshot.people.attempts.start(&wanted, here.now);
    let login = match (passive, cas.renew) {
        (true, _) => Login::Passive,
        (false, true) => Login::Renew,
        (false, false) => Login::Usual,
    };
    let service = service(&origin, &sign_in.name, &started.state);
    let mut reply = redirect(client.login_url(&service, login).as_str())?;
    let jar = here.jar();
    let (name, value) = &started.cookie;
    let life = u32::try_from(attempt::LIFE.as_secs()).ok();
    set(&mut reply, jar.set(name, value, life));
    for surplus in attempt::surplus(&jar.beginning_with(headers, attempt::COOKIE)) {
        set(&mut reply, jar.remove(surplus));
    }
    Ok(reply)
}

/// The address that a ticket is made for, and judged for, to the letter.
pub(super) fn service(origin: &str, sign_in: &str, state: &str) -> String {
    format!("{origin}/_janua/cas/{sign_in}/callback?state={state}")
}

/// To the page where the person chooses one of several sign-ins, to come back to `target`.
pub fn choose(here: &Here<'_>, sign_ins: &[usize], target: &str) -> Result<Reply, Rejection> {
    redirect(&where_to_and_back(here, sign_ins, target))
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
    };
    let says_so = headers.contains_key("sec-fetch-mode") || headers.contains_key("sec-fetch-dest");
    matches!(*method, Method::GET | Method::HEAD) && !is_guess && (says_so || !is_ajax) && page::is_wanted(&asked)
}

/// Where to sign in, to come back to `target`; to the start page, if that is too long to be taken.
pub fn where_to_and_back(here: &Here<'_>, sign_ins: &[usize], target: &str) -> String {
    let target = match target.len() > target::LONGEST {
        true => "/",
        false => target,
    };
    let mut url = where_to(here, sign_ins);
    url.push_str("&return=");
    url.extend(form_urlencoded::byte_serialize(target.as_bytes()));
    url
}

/// Where to sign in for a route: what a program may open in a browser, with its own `return` appended.
pub fn where_to(here: &Here<'_>, sign_ins: &[usize]) -> String {
    let mut url = format!("{}/_janua/sign-in", here.public.origin());
    let names = sign_ins
        .iter()
        .filter_map(|index| here.snapshot.config.sign_ins.get(*index));
    for (number, sign_in) in names.enumerate() {
        let separator = if number == 0 { '?' } else { '&' };
        url.extend([separator]);
        url.extend(["with=", &*sign_in.name]);
    }
    url
}

/// The sign-in that is to be asked whether it knows this browser, without showing anything: a passive one of the
/// route's, unless it has just said no.
pub fn asks_silently(here: &Here<'_>, headers: &HeaderMap, sign_ins: &[usize]) -> Option<usize> {
    let mut sign_ins = sign_ins.iter().copied();
    sign_ins.find(|index| may_know(here, headers, *index, |cas| cas.passive))
}

/// The way to sign in where a page of the server's could not be shown: in a frame, since servers let nobody frame their
/// forms. The only sign-in is asked whether it knows this browser, unless it has just said no, or wants the password in any
/// case. `None`: a tab is needed; so it is in a frame of another site, where no cookie comes back.
pub fn begin_in_frame(here: &Here<'_>, headers: &HeaderMap, sign_ins: &[usize], target: &str) -> Option<Reply> {
    let &[only] = sign_ins else { return None };
    let is_elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    let asks = !is_elsewhere && may_know(here, headers, only, |cas| !cas.renew);
    asks.then(|| begin(here, headers, only, target, true).ok())?
}

/// Is it a sign-in of this kind, which has not just said that it knows nobody in this browser?
fn may_know(here: &Here<'_>, headers: &HeaderMap, sign_in: usize, is: impl Fn(&Cas) -> bool) -> bool {
    here.snapshot.config.sign_ins.get(sign_in).is_some_and(|sign_in| {
        let Provider::Cas(cas) = &sign_in.provider;
        is(cas) && here.jar().all(headers, &format!("{NOBODY}{}", sign_in.name)).is_empty()
    })
}

/// Remembers in the browser that this sign-in knows nobody there.
pub(super) fn nobody(jar: Jar, sign_in: &str) -> Option<HeaderValue> {
    jar.set(&format!("{NOBODY}{sign_in}"), "1", Some(NOBODY_SECONDS))
}

pub(super) fn set(reply: &mut Reply, cookie: Option<HeaderValue>) {
    reply.headers.extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
}

fn chooser(here: &Here<'_>, choice: &[usize], back: &str) -> Reply {
    let mut body = "<p>Where do you sign in?</p>\n".to_owned();
    for sign_in in choice
        .iter()
        .filter_map(|index| here.snapshot.config.sign_ins.get(*index))
    {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("with", &sign_in.name)
            .append_pair("return", back)
            .finish();
        body += &format!(
            "<p><a class=\"button\" href=\"/_janua/sign-in?{}\">{}</a></p>\n",
            Escaped(&query),
            Escaped(&sign_in.name)
        );
    }
    html("Please sign in", &body)
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
