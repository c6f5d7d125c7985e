//! A browser's request for `launch.php` that the gateway has sent it for: made by the gateway itself, so that the token in the
//! answer ends here. Every other request there is an ordinary one.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::super::endpoints::here;
use super::super::{Stop, answering, complete, refusal_headers, upstream};
use super::call::headers;
use crate::backchannel;
use crate::context::Context;
use crate::headers::cookies;
use crate::moodle::Moodle;
use crate::moodle::launch_flow::LaunchFlow;
use crate::moodle::tokens::launch::{self, PATH};
use crate::own::moodle::launch::{self as launches, Answered, Known};
use crate::rejection::{Reason, Rejection};
use crate::respond::write::write;
use crate::respond::{self, Reply};
use crate::snapshot::Route;

/// What Moodle's cookie for a session is called by; a site may add to it (`$CFG->sessioncookie`).
const MOODLE_SESSION: &[u8] = b"MoodleSession";

/// What an answer to another request than a plain GET of the whole would depend on, and by what `launch.php` would take the
/// request for a phone's, which gets a page.
const NOT_ASKED: [header::HeaderName; 8] = [
    header::USER_AGENT,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::ACCEPT_ENCODING,
];

/// Is this a request for `launch.php` that is the gateway's, on a route where Moodle is as it is? Nothing is used up.
pub fn known(headers: &HeaderMap, ctx: &Context, route: &Route) -> Option<(Arc<Moodle>, Known)> {
    let moodle = route.moodle.as_ref().filter(|moodle| moodle.launches())?;
    let is_its = route.injects().is_none()
        && moodle.config.public_url.host_str() == Some(&ctx.request.host)
        && moodle.below(ctx.path.decoded()) == Some(PATH);
    if !is_its {
        return None;
    }
    let query = ctx.request.query.as_deref().unwrap_or_default();
    let asked = (&ctx.request.method, query);
    let known = launches::known(&here(ctx).ok()?, moodle, asked, headers)?;
    Some((Arc::clone(moodle), known))
}

/// The answer to such a request.
pub async fn serve(
    session: &mut Session,
    ctx: &mut Context,
    route: &Route,
    (moodle, known): (Arc<Moodle>, Known),
) -> Result<(), Stop> {
    let mut cookies = Vec::new();
    let done = match known {
        Known::Flow(flow) => go_through(session, ctx, route, (&moodle, *flow), &mut cookies).await,
        Known::Stale => Err(Rejection::because(Reason::SignInStale, "launch.php without its cookie").into()),
    };
    let (refusal, page) = match done {
        Ok(Done::Reply(reply)) => {
            let reply = complete(ctx, &session.req_header().headers, with(reply, cookies));
            return Ok(write(session, &reply).await?);
        }
        Ok(Done::Refused(refusal, page)) => (refusal, Some(page)),
        Err(Stop::Refused(refusal)) => (refusal, None),
        Err(lost) => return Err(lost),
    };
    // As every refusal, and with what Moodle has set, but for what would lead the next login here.
    cookies.extend(launches::over(&moodle));
    let refusal = &*ctx.rejection.insert(refusal);
    let headers = &session.req_header().headers;
    let reply = page.unwrap_or_else(|| respond::rejection(refusal, &answering(headers, &ctx.id)));
    let mut reply = with(reply, cookies);
    reply.headers.extend(refusal_headers(ctx, headers));
    Ok(write(session, &reply).await?)
}

/// What a browser is told.
enum Done {
    Reply(Reply),
    Refused(Rejection, Reply),
}

fn with(mut reply: Reply, cookies: Vec<HeaderValue>) -> Reply {
    cookies.into_iter().for_each(|cookie| reply.set_cookie(Some(cookie)));
    reply
}

/// Asks Moodle in the browser's place. What the browser is told; `cookies` are those that Moodle has set, where that is none
/// of its own answers.
async fn go_through(
    session: &mut Session,
    ctx: &mut Context,
    route: &Route,
    (moodle, flow): (&Moodle, LaunchFlow),
    cookies: &mut Vec<HeaderValue>,
) -> Result<Done, Stop> {
    let asking = asking(headers(session, ctx)?, flow.anew);
    let (path, _) = ctx.path.stripped(&route.config.strip);
    let target = format!("{path}?{}", launch::query(&moodle.config.service, &flow.passport));
    let (snapshot, host) = (Arc::clone(&ctx.snapshot), ctx.request.host.clone());
    let here = snapshot.here(&host, ctx.at, ctx.dry_run.is_some())?;
    let person = launches::person(&here, moodle, &flow).await?;
    let place = moodle.tokens().place(&person).await?;
    let started = *ctx.upstream.since.insert(Instant::now());
    let reply = moodle
        .ask_for_browser(&target, asking, &mut ctx.upstream.chosen)
        .await?;
    ctx.upstream.answered_after = Some(started.elapsed());
    cookies.extend(launches::cookies_of(&reply));
    let answered = launches::answered(&here, moodle, flow, (&person, &reply, started)).await;
    drop(place);
    match answered? {
        Answered::Instead(reply) => Ok(Done::Reply(reply)),
        Answered::Refused(refusal, page) => Ok(Done::Refused(refusal, page)),
        Answered::AsItIs(cookie) => {
            cookies.clear();
            cookies.extend(cookie);
            as_it_is(session, ctx, reply).map(Done::Reply)
        }
    }
}

/// Moodle's answer as any other one goes to a client.
fn as_it_is(session: &Session, ctx: &mut Context, reply: backchannel::Reply) -> Result<Reply, Stop> {
    let mut head = ResponseHeader::build(reply.status, None)?;
    for (name, value) in &reply.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    upstream::rewrite_response_headers(session, &mut head, ctx)?;
    let framing = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    let headers = head.headers.iter().filter(|(name, _)| !framing.contains(name));
    Ok(Reply {
        status: reply.status,
        headers: headers.map(|(name, value)| (name.clone(), value.clone())).collect(),
        body: reply.body,
    })
}

/// The browser's headers as `launch.php` gets them. `anew`: without its MoodleSession.
fn asking(mut headers: HeaderMap, anew: bool) -> HeaderMap {
    for name in NOT_ASKED {
        headers.remove(name);
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if anew {
        let kept = cookies::pairs(&headers).filter(|(name, _)| !name.starts_with(MOODLE_SESSION));
        let kept: Vec<_> = kept.map(|(name, value)| [name, value].join(&b'=')).collect();
        let kept = HeaderValue::from_bytes(&kept.join(&b"; "[..]));
        headers.remove(header::COOKIE);
        if let Ok(kept) = kept
            && !kept.is_empty()
        {
            headers.insert(header::COOKIE, kept);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launch_php_learns_of_no_phone_and_of_another_session_only_where_it_is_to() {
        let mut of_browser = HeaderMap::new();
        for (name, value) in [
            ("user-agent", "Mozilla/5.0 (iPhone)"),
            ("range", "bytes=0-9"),
            ("if-none-match", "\"x\""),
            ("accept-encoding", "br"),
            ("x-forwarded-for", "192.0.2.7"),
            (
                "cookie",
                "MoodleSessioncampus=a; tool_mobile_launch=b; MoodleSession=c; MOODLEID1_=d",
            ),
        ] {
            of_browser.insert(name, value.parse().unwrap());
        }
        let asked = asking(of_browser.clone(), false);
        assert_eq!(asked["cookie"], of_browser["cookie"]);
        assert_eq!(asked["x-forwarded-for"], "192.0.2.7");
        assert_eq!(asked["accept-encoding"], "identity");
        for name in ["user-agent", "range", "if-none-match"] {
            assert!(!asked.contains_key(name), "{name}");
        }
        assert_eq!(asking(of_browser, true)["cookie"], "tool_mobile_launch=b; MOODLEID1_=d");
        let mut alone = HeaderMap::new();
        alone.insert("cookie", "MoodleSession=c".parse().unwrap());
        assert!(!asking(alone, true).contains_key("cookie"));
    }
}
