//! A browser's request for `launch.php` that the gateway has sent it for: made by the gateway itself, so that the token in the
//! answer ends here. Every other request there is an ordinary one.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue, Method, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use super::super::endpoints::here;
use super::super::{Stop, answering, complete, limits, refusal_headers, upstream};
use crate::backchannel;
use crate::config::Present;
use crate::context::Context;
use crate::headers::cookies;
use crate::moodle::Moodle;
use crate::moodle::launch_flow::LaunchFlow;
use crate::moodle::tokens::launch::{self, PATH};
use crate::own::moodle::launch::{self as launches, Answered, Known};
use crate::present::{self, Shown};
use crate::rejection::{Hint, Reason, Rejection};
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

/// Is this a request for `launch.php` that is the gateway's? The routes are not asked: whatever they say, no other way leads to
/// the token. Nothing is used up.
pub fn known(headers: &HeaderMap, ctx: &Context) -> Option<(Arc<Moodle>, Known)> {
    let mut moodles = ctx.snapshot.moodles.iter().filter(|moodle| moodle.launches());
    moodles.find_map(|moodle| {
        let is_its = moodle.config.public_url.host_str() == Some(&ctx.request.host)
            && moodle.below(ctx.path.decoded()).is_some_and(is_script);
        let here = is_its.then(|| here(ctx).ok()).flatten()?;
        let query = ctx.request.query.as_deref().unwrap_or_default();
        let known = launches::known(&here, moodle, (&ctx.request.method, query), headers)?;
        Some((Arc::clone(moodle), known))
    })
}

/// Would PHP run `launch.php` for this path? What stands behind it does not matter to it.
fn is_script(below: &str) -> bool {
    below
        .strip_prefix(PATH)
        .is_some_and(|info| info.is_empty() || info.starts_with('/'))
}

/// Why such a request is not answered, if it is not.
pub fn refusal(moodle: &Moodle, known: &Known) -> Option<Rejection> {
    match known {
        Known::Flow(_) => None,
        Known::OtherMethod => {
            let refusal = Rejection::because(Reason::MethodNotAllowed, "launch.php by another method");
            Some(refusal.with_hint(Hint::Allow(vec![Method::GET])))
        }
        Known::Stale => Some(with_way_out(
            moodle,
            Rejection::because(Reason::SignInStale, "launch.php without its cookie"),
        )),
    }
}

/// Whoever is told that the way is over gets to Moodle.
fn with_way_out(moodle: &Moodle, refusal: Rejection) -> Rejection {
    match (refusal.reason, &refusal.hint) {
        (Reason::SignInStale, Hint::None) => refusal.with_hint(Hint::Visit(moodle.to_visit())),
        _ => refusal,
    }
}

/// The answer to such a request.
pub async fn serve(
    session: &mut Session,
    ctx: &mut Context,
    (moodle, known): (Arc<Moodle>, Known),
) -> Result<(), Stop> {
    let mut cookies = Vec::new();
    let done = match (refusal(&moodle, &known), known) {
        (None, Known::Flow(flow)) => go_through(session, ctx, (&moodle, *flow), &mut cookies).await,
        (Some(refusal), _) => Err(refusal.into()),
        (None, Known::OtherMethod | Known::Stale) => Err(Reason::Internal.into()),
    };
    let (refusal, page) = match done {
        Ok(Done::Reply(reply)) => {
            ctx.allowed = true;
            return Ok(write(session, &with(reply, cookies)).await?);
        }
        Ok(Done::Refused(refusal, page)) => (refusal, Some(page)),
        Err(Stop::Refused(refusal)) => (with_way_out(&moodle, refusal), None),
        Err(lost) => return Err(lost),
    };
    // As every refusal, and with what Moodle has set, but for what would lead the next login here.
    let gone = launches::over(&moodle, &cookies);
    cookies.extend(gone);
    let refusal = &*ctx.rejection.insert(refusal);
    let headers = &session.req_header().headers;
    let reply = match page {
        Some(page) => complete(ctx, headers, page),
        None => {
            let mut reply = respond::rejection(refusal, &answering(headers, &ctx.id, &ctx.snapshot.look));
            reply.headers.extend(refusal_headers(ctx, headers));
            reply
        }
    };
    Ok(write(session, &with(reply, cookies)).await?)
}

/// What a browser is told.
enum Done {
    /// Whole, but for cookies.
    Reply(Reply),
    Refused(Rejection, Reply),
}

fn with(mut reply: Reply, cookies: Vec<HeaderValue>) -> Reply {
    cookies.into_iter().for_each(|cookie| reply.set_cookie(Some(cookie)));
    reply
}

/// Asks Moodle in the browser's place. What the browser is told; `cookies` are those that it gets besides.
async fn go_through(
    session: &Session,
    ctx: &mut Context,
    (moodle, flow): (&Moodle, LaunchFlow),
    cookies: &mut Vec<HeaderValue>,
) -> Result<Done, Stop> {
    ctx.route = route(ctx, moodle);
    if let Some(route) = &ctx.route {
        limits::check_rate(route, ctx, &mut ())?;
    }
    let asking = asking(shown(session, ctx, moodle)?, flow.anew);
    let target = format!(
        "{}?{}",
        moodle.launch_path(),
        launch::query(&moodle.config.service, &flow.passport)
    );
    let (snapshot, host) = (Arc::clone(&ctx.snapshot), ctx.request.host.clone());
    let here = snapshot.here(&host, ctx.at, ctx.dry_run.is_some())?;
    let here = here.read_by(&session.req_header().headers);
    let person = launches::person(&here, moodle, &flow).await?;
    let place = moodle.launching(&person).await?;
    let started = *ctx.upstream.since.insert(Instant::now());
    let reply = moodle
        .ask_for_browser(&target, asking, &mut ctx.upstream.chosen)
        .await?;
    drop(place);
    ctx.upstream.answered_after = Some(started.elapsed());
    cookies.extend(launches::cookies_of(&reply));
    match launches::answered(&here, moodle, flow, (&person, &reply, started), ctx.request_id()).await? {
        Answered::Instead { reply, left } => {
            if left {
                let gone = launches::over(moodle, cookies);
                cookies.extend(gone);
            }
            Ok(Done::Reply(complete(ctx, &session.req_header().headers, reply)))
        }
        Answered::Refused(refusal, page) => Ok(Done::Refused(refusal, page)),
        Answered::AsItIs { cookie, left } => {
            let whole = as_it_is(session, ctx, reply)?;
            // Moodle's own are in its answer.
            let set = std::mem::take(cookies);
            cookies.extend(cookie);
            if left {
                cookies.extend(launches::over(moodle, &set));
            }
            Ok(Done::Reply(whole))
        }
    }
}

/// The route that publishes `launch.php` as it is, if there is one.
fn route(ctx: &Context, moodle: &Moodle) -> Option<Arc<Route>> {
    let (snapshot, path) = (&ctx.snapshot, moodle.launch_path());
    let found = snapshot.table.find(&ctx.request.host, &path, &Method::GET).ok()?;
    let route = snapshot.routes.get(found.route)?;
    moodle.config.is_behind(&route.config).then(|| Arc::clone(route))
}

/// The browser's headers as Moodle's upstream gets them, less everybody's credentials here.
fn shown(session: &Session, ctx: &Context, moodle: &Moodle) -> Result<HeaderMap, Stop> {
    let mut headers = session.req_header().headers.clone();
    let changes = present::changes(&Shown {
        request: &ctx.request,
        headers: &headers,
        client: &ctx.client,
        request_id: ctx.id.as_str(),
        present: Present::Pass,
        person: None,
        identity_headers: &ctx.snapshot.identity_headers,
        sources: &ctx.snapshot.token_sources,
        judged: &ctx.snapshot.judged_sources,
        host: moodle.upstream.host.as_ref(),
        upgrade: false,
        upstream_auth: false,
    });
    changes.apply(&mut headers).map_err(|_| Reason::HeadersTooLarge)?;
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT] {
        headers.remove(name);
    }
    Ok(headers)
}

/// Moodle's answer as any other one goes to a client. Refused where no route publishes such.
fn as_it_is(session: &Session, ctx: &mut Context, reply: backchannel::Reply) -> Result<Reply, Stop> {
    if ctx.route.is_none() {
        return Err(Rejection::because(Reason::NoRoute, "no route leads to Moodle's launch.php as it is").into());
    }
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
    fn the_script_is_known_with_a_path_behind_it() {
        for (below, expected) in [
            ("/admin/tool/mobile/launch.php", true),
            ("/admin/tool/mobile/launch.php/x", true),
            ("/admin/tool/mobile/launch.phpx", false),
            ("/admin/tool/mobile/", false),
        ] {
            assert_eq!(is_script(below), expected, "{below}");
        }
    }

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
