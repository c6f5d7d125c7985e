//! A browser goes through Moodle's `launch.php`: known again there by the passport in its cookie, it goes on to where it was
//! going once it has brought a token of the person for whom it was sent.
//!
//! A request with any other passport is none of this: Moodle's own app comes through there too. Somebody else's token, of an
//! account that happens to be signed in at Moodle, is dropped, and so is one that comes after the session has ended.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, header};

use super::{cookie, living};
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
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::Reply;
use crate::respond::page::Escaped;
use crate::sign_in::{Asked, Here};

/// Ways of one browser and Moodle that are kept at once, beside the one that begins: tabs.
const MOST: usize = 11;
/// Bytes of their cookies: a header that is too large is refused.
const MOST_BYTES: usize = 12 << 10;
/// `Set-Cookie` lines of one answer that take cookies of others away.
const MOST_REMOVED: usize = 16;

/// What a browser is told at whose Moodle somebody else is signed in.
const OTHER_ACCOUNT: &str = "Somebody else is signed in at Moodle in this browser, and nothing is done in their name. Sign in there as yourself.";

/// By which Moodle leads a browser back to `launch.php`.
const MOODLES: &str = "tool_mobile_launch";

/// What becomes of an answer of `launch.php`.
pub enum Answered {
    /// The browser gets this answer instead.
    Instead(Reply),
    /// It is refused, with this page.
    Refused(Rejection, Reply),
    /// It gets Moodle's own, and this `Set-Cookie`.
    AsItIs(Option<HeaderValue>),
}

/// A request for `launch.php`, which the gateway makes itself.
pub enum Known {
    Flow(Box<LaunchFlow>),
    /// It was to be the gateway's and is no more: its cookie is gone.
    Stale,
}

/// To `launch.php`, with a passport for this browser alone.
pub(super) fn begin(asked: &Asked<'_>, moodle: &Moodle, visit: &LoginFlow, source: usize) -> Result<Reply, Rejection> {
    let here = &asked.here;
    let launch = LaunchFlow::new(visit, source, here.now);
    let mut reply = Reply::redirect(&address(moodle, &launch))?;
    for gone in others(here, moodle, asked.headers) {
        reply.set_cookie(here.jar().remove(&gone));
    }
    reply.set_cookie(set(here, moodle, &launch));
    Ok(reply)
}

/// Whose is a request for `launch.php` with this query? `None`: Moodle's.
pub fn known(here: &Here<'_>, moodle: &Moodle, (method, query): (&Method, &str), headers: &HeaderMap) -> Option<Known> {
    let passport = query::single(query.as_bytes(), "passport").filter(|_| *method == Method::GET);
    let flow = passport.and_then(|passport| {
        let name = named(moodle, id_of(&passport)?);
        let cookies = here.jar().all(headers, &name);
        let mut flows = cookies.iter().filter_map(|cookie| moodle.tokens().open_launch(cookie));
        flows.find(|flow| flow.moodle == moodle.config.name && flow.is_alive(here.now) && flow.is_by(&passport))
    });
    match flow {
        Some(flow) => Some(Known::Flow(Box::new(flow))),
        // An answer would lead to an app that there is not.
        None => {
            let scheme = query::single(query.as_bytes(), "urlscheme");
            scheme.is_some_and(|scheme| scheme == SCHEME).then_some(Known::Stale)
        }
    }
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
) -> Result<Answered, Rejection> {
    let judged = launch::judge(reply, &moodle.config.wwwroot, &flow.passport);
    let count = |outcome| moodle.count_launch(&flow, started, outcome);
    match judged {
        Err(error) => {
            count(Err(&error));
            Err(moodle.rejection(&error))
        }
        Ok(Launched::Token(token)) => {
            let launched = moodle.launched(session, &token).await;
            count(launched.as_ref().map(drop));
            // It may have ended meanwhile.
            person(here, moodle, &flow).await?;
            if let Err(error) = launched {
                return refused(moodle, &flow, &error);
            }
            let mut reply = here.go_to(&flow.target)?;
            reply.set_cookie(here.jar().remove(&named(moodle, flow.id())));
            Ok(Answered::Instead(reply))
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
            Ok(Answered::Instead(reply))
        }
        Ok(Launched::SignInAgain) => {
            const ASKED: &str = "You are signed in at Moodle already. For the page that you wanted, Moodle asks you to sign in once more.";
            Ok(Answered::Instead(once_more(moodle, &flow, ASKED, "")))
        }
        Ok(Launched::PassOn(error)) => {
            if let Some(error) = &error {
                count(Err(error));
            }
            let flow = Some(flow).filter(|flow| flow.anew).map(LaunchFlow::as_usual);
            Ok(Answered::AsItIs(flow.and_then(|flow| set(here, moodle, &flow))))
        }
    }
}

fn refused(moodle: &Moodle, flow: &LaunchFlow, error: &TokenError) -> Result<Answered, Rejection> {
    let rejection = moodle.rejection(error);
    if !matches!(error, TokenError::OtherAccount) {
        return Err(rejection);
    }
    let rejection = rejection.with_hint(Hint::Remedy(OTHER_ACCOUNT));
    if !flow.may_turn() {
        return Err(rejection);
    }
    let reason = rejection.reason;
    let told = format!("{} {}", reason.status().as_u16(), reason.label());
    let mut page = once_more(moodle, flow, OTHER_ACCOUNT, &told);
    page.status = reason.status();
    Ok(Answered::Refused(rejection, page))
}

/// A page with a button, by which one signs in at Moodle once more. `told` is written small.
fn once_more(moodle: &Moodle, flow: &LaunchFlow, text: &str, told: &str) -> Reply {
    let body = format!(
        "<p>{}</p>\n<form method=\"post\" action=\"/_janua/moodle/{}/again\">\n\
         <input type=\"hidden\" name=\"visit\" value=\"{}\">\n\
         <button class=\"button\">Sign in at Moodle once more</button>\n</form>\n<p><small>{}</small></p>",
        Escaped(text),
        Escaped(&moodle.config.name),
        Escaped(flow.id()),
        Escaped(told),
    );
    Reply::page("Please sign in at Moodle", &body)
}

/// `Set-Cookie` lines by which Moodle leads nobody here any more: whoever logs in there next goes where they want to go.
pub fn over(moodle: &Moodle) -> impl Iterator<Item = HeaderValue> {
    let below = format!("{}/", moodle.config.public_url.path().trim_end_matches('/'));
    let mut paths = vec!["/".to_owned(), below];
    paths.dedup();
    let lines = paths
        .into_iter()
        .map(|path| format!("{MOODLES}=deleted; Max-Age=0; Path={path}"));
    lines.filter_map(|line| HeaderValue::try_from(line).ok())
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

fn named(moodle: &Moodle, id: &str) -> String {
    format!("{}-{id}", cookie(&moodle.config.name))
}

fn set(here: &Here<'_>, moodle: &Moodle, flow: &LaunchFlow) -> Option<HeaderValue> {
    let (name, sealed) = (named(moodle, flow.id()), moodle.tokens().seal_launch(flow));
    here.jar().set(&name, &sealed, Some(flow.left(here.now)))
}

/// Cookies of other ways of this browser that make room for one more: those that are over, and the oldest ones.
fn others(here: &Here<'_>, moodle: &Moodle, headers: &HeaderMap) -> Vec<String> {
    let known = here.jar().beginning_with(headers, &named(moodle, ""));
    let began = |sealed: &str| {
        let flow = moodle.tokens().open_launch(sealed)?;
        flow.is_alive(here.now).then(|| flow.started())
    };
    let known = known
        .into_iter()
        .map(|(name, sealed)| (began(sealed), name, sealed.len()));
    let mut known: Vec<_> = known.collect();
    known.sort_by(|one, other| other.0.cmp(&one.0));
    let (mut kept, mut bytes) = (0, 0);
    let mut stays = |began: Option<u64>, length: usize| {
        (kept, bytes) = (kept + 1, bytes + length);
        began.is_some() && kept <= MOST && bytes <= MOST_BYTES
    };
    let gone = known.into_iter().filter(|(began, _, length)| !stays(*began, *length));
    gone.map(|(_, name, _)| name.to_owned()).take(MOST_REMOVED).collect()
}
