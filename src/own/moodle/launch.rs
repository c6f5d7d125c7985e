//! A browser goes through Moodle's `launch.php`: known again there by the passport in its cookie, it goes on to where it was
//! going once it has brought a token of the person for whom it was sent.
//!
//! A request with any other passport is none of this: Moodle's own app comes through there too. Somebody else's token, of an
//! account that happens to be signed in at Moodle, is dropped, and so is one that comes after the session has ended.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, header};

use super::living;
use super::tabs::{self, named};
use crate::authenticate::session::Session;
use crate::backchannel;
use crate::moodle::Moodle;
use crate::moodle::launch_flow::{LaunchFlow, id_of};
use crate::moodle::login_flow::LoginFlow;
use crate::moodle::tokens::TokenError;
use crate::moodle::tokens::launch::{self, Launched, PATH, SCHEME};
use crate::own::is_isolated;
use crate::own::isolation::Purpose;
use crate::present::sets_own_cookie;
use crate::query;
use crate::rejection::{Hint, OTHER_AT_MOODLE, Reason, Rejection};
use crate::respond::Reply;
use crate::respond::page::{Escaped, Reader};
use crate::sign_in::{Asked, Here};

/// By which Moodle leads a browser back to `launch.php`.
const MOODLES: &str = "tool_mobile_launch";

/// Places of that cookie that one answer takes away, beside the usual ones.
const MOST_PLACES: usize = 4;

/// What becomes of an answer of `launch.php`.
pub enum Answered {
    /// The browser gets this answer instead. `left`: Moodle leads it here no more.
    Instead { reply: Reply, left: bool },
    /// It is refused, with this page.
    Refused(Rejection, Reply),
    /// It gets Moodle's own, and this `Set-Cookie`.
    AsItIs { cookie: Option<HeaderValue>, left: bool },
}

/// A request for `launch.php`, which the gateway makes itself.
pub enum Known {
    Flow(Box<LaunchFlow>),
    /// By another method than GET, which `launch.php` would answer all the same.
    OtherMethod,
    /// It was to be the gateway's and is no more: its cookie is gone.
    Stale,
}

/// To `launch.php`, with a passport for this browser alone.
pub(super) fn begin(asked: &Asked<'_>, moodle: &Moodle, visit: &LoginFlow, source: usize) -> Result<Reply, Rejection> {
    let here = &asked.here;
    is_routed(here, moodle)?;
    let launch = LaunchFlow::new(visit, source, here.now);
    let mut reply = Reply::redirect(&address(moodle, &launch))?;
    let cookie = set(here, moodle, &launch);
    tabs::begin(&mut reply, here, moodle, (asked.headers, cookie));
    Ok(reply)
}

/// Does `launch.php` belong to a route that leads to this Moodle as it is? Whoever is sent there may see pages of it.
fn is_routed(here: &Here<'_>, moodle: &Moodle) -> Result<(), Rejection> {
    let (host, path) = (
        moodle.config.public_url.host_str().unwrap_or_default(),
        moodle.launch_path(),
    );
    let found = here.table.find(host, &path, &Method::GET).ok();
    let route = found.and_then(|found| here.config.routes.get(found.route));
    let name = match route {
        Some(route) if moodle.config.is_behind(route) => return Ok(()),
        Some(route) => format!("the route `{}`", route.name),
        None => "no route".to_owned(),
    };
    let name_of_moodle = &moodle.config.name;
    let detail = format!(
        "{path} belongs to {name}: moodle.{name_of_moodle} needs a route there with its upstream and present = \"pass\" for \"launch\""
    );
    tracing::warn!(moodle = name_of_moodle, detail, "nobody is sent through launch.php");
    Err(Rejection::because(Reason::NoMoodleToken, detail))
}

/// Whose is a request for `launch.php` with this query? `None`: Moodle's.
pub fn known(here: &Here<'_>, moodle: &Moodle, (method, query): (&Method, &str), headers: &HeaderMap) -> Option<Known> {
    let passport = passport_in(query);
    let flow = passport.and_then(|passport| {
        let name = named(moodle, id_of(&passport)?);
        let cookies = here.jar().all(headers, &name);
        let mut flows = cookies.iter().filter_map(|cookie| moodle.tokens().open_launch(cookie));
        flows.find(|flow| flow.moodle == moodle.config.name && flow.is_alive(here.now) && flow.is_by(&passport))
    });
    match flow {
        Some(_) if *method != Method::GET => Some(Known::OtherMethod),
        Some(flow) => Some(Known::Flow(Box::new(flow))),
        // An answer would lead to an app that there is not.
        None => {
            let scheme = query::single(query.as_bytes(), "urlscheme");
            scheme.is_some_and(|scheme| scheme == SCHEME).then_some(Known::Stale)
        }
    }
}

/// The passport of a query as PHP takes it: the last of several, blanks before its name aside, and the name up to a zero byte.
fn passport_in(query: &str) -> Option<Cow<'_, str>> {
    let is_named = |name: &str| name.trim_start_matches(' ').split('\0').next() == Some("passport");
    let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| is_named(name));
    pairs.last().map(|(_, value)| value)
}

/// For whom the browser was sent, if the session lives.
pub async fn person(here: &Here<'_>, moodle: &Moodle, flow: &LaunchFlow) -> Result<Arc<Session>, Rejection> {
    let (session, _) = living(here, moodle, flow.session()).await?;
    Ok(session)
}

/// What becomes of Moodle's answer, which was asked for at `started`.
pub async fn answered(
    here: &Here<'_>,
    moodle: &Moodle,
    flow: LaunchFlow,
    (session, reply, started): (&Session, &backchannel::Reply, Instant),
    request_id: &str,
) -> Result<Answered, Rejection> {
    let judged = launch::judge(reply, &moodle.config.wwwroot, &flow.passport);
    let count = |outcome| moodle.count_launch(&flow, started, outcome);
    match judged {
        Err(error) => {
            count(Err(&error));
            Err(moodle.rejection(&error))
        }
        Ok(Launched::Token(token)) => {
            let place = moodle.tokens().place(session).await?;
            let launched = moodle.launched(session, &token).await;
            drop(place);
            count(launched.as_ref().map(drop));
            // It may have ended meanwhile.
            person(here, moodle, &flow).await?;
            if let Err(error) = launched {
                return refused((&here.reader(), request_id), moodle, &flow, &error);
            }
            let mut reply = here.go_to(&flow.target)?;
            reply.set_cookie(here.jar().remove(&named(moodle, flow.id())));
            Ok(Answered::Instead { reply, left: true })
        }
        // Behind the button, it is no turn of its own.
        Ok(Launched::SignInFirst | Launched::SignInAgain) if !flow.may_turn() && !flow.anew => {
            let error = launch::never_just_now();
            count(Err(&error));
            Err(moodle.rejection(&error))
        }
        Ok(Launched::SignInFirst) => {
            // Moodle has set a cookie of its own (`tool_mobile_launch`), by which it leads whoever has signed in back here.
            let mut reply = Reply::redirect(&format!("{}/login/index.php", moodle.config.wwwroot))?;
            let flow = match flow.anew {
                true => Some(flow.as_usual()),
                false => flow.turned(),
            };
            reply.set_cookie(flow.and_then(|flow| set(here, moodle, &flow)));
            Ok(Answered::Instead { reply, left: false })
        }
        Ok(Launched::SignInAgain) => {
            let reader = here.reader();
            let reply = once_more(&reader, moodle, &flow, (reader.texts.at_moodle_again, ""));
            Ok(Answered::Instead { reply, left: true })
        }
        Ok(Launched::PassOn(error)) => {
            if let Some(error) = &error {
                count(Err(error));
            }
            // What the person can do something about, they do on the way.
            let left = error.is_some_and(|error| !matches!(error, TokenError::Wants(_) | TokenError::Maintenance));
            let flow = Some(flow).filter(|flow| flow.anew).map(LaunchFlow::as_usual);
            let cookie = flow.and_then(|flow| set(here, moodle, &flow));
            Ok(Answered::AsItIs { cookie, left })
        }
    }
}

fn refused(
    (reader, request_id): (&Reader<'_>, &str),
    moodle: &Moodle,
    flow: &LaunchFlow,
    error: &TokenError,
) -> Result<Answered, Rejection> {
    let rejection = moodle.rejection(error);
    if !matches!(error, TokenError::OtherAccount) {
        return Err(rejection);
    }
    let rejection = rejection.with_hint(Hint::Remedy(OTHER_AT_MOODLE));
    if !flow.may_turn() {
        return Err(rejection);
    }
    let reason = rejection.reason;
    let code = reader.code(reason, request_id);
    let mut page = once_more(reader, moodle, flow, (reader.texts.other_at_moodle, &code));
    page.status = reason.status();
    Ok(Answered::Refused(rejection, page))
}

/// A page with a button, by which one signs in at Moodle once more. `code` is HTML below it.
fn once_more(reader: &Reader<'_>, moodle: &Moodle, flow: &LaunchFlow, (text, code): (&str, &str)) -> Reply {
    let body = format!(
        "{}<form method=\"post\" action=\"/_janua/moodle/{}/again\">\n\
         <input type=\"hidden\" name=\"visit\" value=\"{}\">\n\
         <p class=\"buttons\"><button class=\"button\">{}</button></p>\n</form>\n{code}",
        reader.says(text),
        Escaped(&moodle.config.name),
        Escaped(flow.id()),
        Escaped(reader.texts.at_moodle_button),
    );
    Reply::page(reader, reader.texts.at_moodle_title, &body)
}

/// `Set-Cookie` lines by which Moodle leads nobody here any more: whoever logs in there next goes where they want to go. `set`
/// are those of Moodle's answer: its cookie goes where that has put it (`sessioncookiepath`, `sessioncookiedomain`), too.
pub fn over(moodle: &Moodle, set: &[HeaderValue]) -> Vec<HeaderValue> {
    let below = format!("{}/", moodle.config.public_url.path().trim_end_matches('/'));
    gone(&below, set)
}

fn gone(below: &str, set: &[HeaderValue]) -> Vec<HeaderValue> {
    let mut places = vec!["; Path=/".to_owned(), format!("; Path={below}")];
    places.extend(set.iter().filter_map(place_of).take(MOST_PLACES));
    let mut seen = HashSet::new();
    places.retain(|place| seen.insert(place.clone()));
    let lines = places
        .into_iter()
        .map(|place| format!("{MOODLES}=deleted; Max-Age=0{place}"));
    lines.filter_map(|line| HeaderValue::try_from(line).ok()).collect()
}

/// `Path` and `Domain` of Moodle's cookie as this line sets it; `None`: it sets another one. Of an attribute that is said twice
/// the last one counts (RFC 6265 section 5.3).
fn place_of(line: &HeaderValue) -> Option<String> {
    let (pair, attributes) = line.to_str().ok()?.split_once(';')?;
    let (name, _) = pair.split_once('=')?;
    if name.trim() != MOODLES {
        return None;
    }
    let said = |wanted: &str| {
        let pairs = attributes.split(';').filter_map(|attribute| attribute.split_once('='));
        let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        named
            .next_back()
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    };
    let path = said("path").map_or_else(String::new, |path| format!("; Path={path}"));
    let domain = said("domain").map_or_else(String::new, |domain| format!("; Domain={domain}"));
    Some(path + &domain)
}

/// `POST /_janua/moodle/<name>/again`: to `launch.php` once more, where Moodle does not learn of the MoodleSession that the
/// browser has and begins another one. The one that it had ends in its own time.
pub(in crate::own) fn again(asked: &Asked<'_>, moodles: &[Arc<Moodle>], name: &str) -> Result<Reply, Rejection> {
    let here = &asked.here;
    let moodle = super::at_its_host(here, moodles, name)?;
    is_isolated(here, Purpose::Change, (asked.method, asked.headers), &[], None)?;
    let id = asked.in_form("visit").unwrap_or_default();
    let name = named(moodle, &id);
    let cookies = here.jar().all(asked.headers, &name);
    let mut flows = cookies.iter().filter_map(|cookie| moodle.tokens().open_launch(cookie));
    let is_it = |flow: &LaunchFlow| flow.moodle == moodle.config.name && flow.is_alive(here.now) && flow.id() == id;
    let flow = flows.find(is_it).ok_or(Reason::SignInStale)?;
    let flow = flow
        .turned()
        .ok_or_else(|| moodle.rejection(&launch::never_just_now()))?;
    let flow = flow.begun_anew(here.now);
    let mut reply = Reply::redirect(&address(moodle, &flow))?;
    reply.set_cookie(here.jar().remove(&name));
    reply.set_cookie(set(here, moodle, &flow));
    Ok(reply)
}

/// Where the browser meets `launch.php`.
fn address(moodle: &Moodle, flow: &LaunchFlow) -> String {
    let query = launch::query(&moodle.config.service, &flow.passport);
    format!("{}{PATH}?{query}", moodle.config.wwwroot)
}

/// The cookies that Moodle's answer sets, none of the gateway's among them.
pub fn cookies_of(reply: &backchannel::Reply) -> impl Iterator<Item = HeaderValue> {
    let all = reply.headers.get_all(header::SET_COOKIE).iter();
    all.filter(|line| !sets_own_cookie(line)).cloned()
}

fn set(here: &Here<'_>, moodle: &Moodle, flow: &LaunchFlow) -> Option<HeaderValue> {
    let (name, sealed) = (named(moodle, flow.id()), moodle.tokens().seal_launch(flow));
    here.jar().set(&name, &sealed, Some(flow.left(here.now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passport_is_found_as_php_finds_it() {
        for (query, expected) in [
            ("service=a&passport=b&urlscheme=c", Some("b")),
            ("passport=b&passport=c", Some("c")),
            ("passport=b&+p%61ssport=c", Some("c")),
            ("passport%00x=b", Some("b")),
            ("passport[]=b&xpassport=c", None),
            ("", None),
        ] {
            assert_eq!(passport_in(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn moodles_cookie_goes_from_wherever_the_answer_has_put_it() {
        let lines = |set: &[&str]| {
            let set: Vec<_> = set.iter().map(|line| HeaderValue::from_str(line).unwrap()).collect();
            let gone = gone("/moodle/", &set);
            gone.iter()
                .map(|line| line.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let usual = ["", "moodle/"].map(|below| format!("tool_mobile_launch=deleted; Max-Age=0; Path=/{below}"));
        assert_eq!(lines(&[]), usual);
        let others = [
            "MoodleSession=x; path=/; domain=.example.edu",
            "tool_mobile_launch",
            "tool_mobile_launch2=x; Domain=y",
        ];
        assert_eq!(lines(&others), usual);
        assert_eq!(lines(&["tool_mobile_launch=x; Max-Age=900; path=/"]), usual);
        let told = lines(&[
            "tool_mobile_launch=%7B%7D; expires=x; Max-Age=900; path=/moodle/; domain=.example.edu; secure; HttpOnly",
            "tool_mobile_launch=deleted; path=/moodle/; Domain=.example.edu",
            "tool_mobile_launch=x; Domain=; path=/; domain=.other.edu",
        ]);
        assert_eq!(told[..2], usual);
        let expected = ["/moodle/; Domain=.example.edu", "/; Domain=.other.edu"];
        assert_eq!(
            told[2..],
            expected.map(|place| format!("tool_mobile_launch=deleted; Max-Age=0; Path={place}"))
        );
        let many: Vec<String> = (0..99).map(|at| format!("tool_mobile_launch=x; path=/{at}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(lines(&many).len(), 2 + MOST_PLACES);
    }
}
