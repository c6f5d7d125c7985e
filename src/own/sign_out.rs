//! `/_janua/sign-out`: a page with a button, and the POST that it sends. What is posted elsewhere ends nothing.
//! All sessions that a browser may have end, the one of a sign-in and those of launches.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use url::Url;

use super::is_isolated;
use super::isolation::Purpose;
use crate::authenticate::session::cookie::SESSION;
use crate::authenticate::session::{Carrier, Session};
use crate::headers::cookies;
use crate::moodle::Moodle;
use crate::rejection::Rejection;
use crate::respond::Reply;
use crate::respond::page::{Escaped, Reader, filled};
use crate::sign_in::attempt::SignedOut;
use crate::sign_in::{Asked, Callback, SignOut, no_way_back, target};
use crate::text::safe;

pub(super) async fn answer(asked: &Asked<'_>, moodles: &[Arc<Moodle>]) -> Result<Reply, Rejection> {
    let (here, people) = (&asked.here, asked.here.people);
    let session = here.session(asked.headers).await?;
    let launch = here.launch(asked.headers, |_| true).await?;
    if *asked.method != Method::POST {
        let texts = here.reader().texts;
        return Ok(match (session, launch) {
            (Some(session), _) => {
                let user = session.identity.subject.as_deref().unwrap_or_default();
                let sign_in = here.sign_in_named(&session.identity.source);
                let server = sign_in.and_then(|sign_in| sign_in.config.provider.server().host_str());
                let user = format!("<strong>{}</strong>", Escaped(&safe(user)));
                let who = filled(texts.you_are, &[("user", &user)]);
                let has_moodle = !of_moodle(asked, &session, moodles).is_empty();
                ask(asked, &who, Some((server.unwrap_or_default(), has_moodle)))
            }
            (None, Some(launch)) => {
                let source = format!("<strong>{}</strong>", Escaped(&launch.identity.source));
                ask(asked, &filled(texts.you_are_by_a_link, &[("source", &source)]), None)
            }
            (None, None) => done(&here.reader(), &[texts.not_signed_in], ""),
        });
    }
    let origins = here.app_origins();
    let is_bearer = session
        .as_ref()
        .is_some_and(|session| session.carrier == Carrier::Bearer);
    if !is_bearer {
        is_isolated(here, Purpose::Change, (asked.method, asked.headers), &origins, None)?;
    }
    let of_moodle = session.as_deref().map(|session| of_moodle(asked, session, moodles));
    let of_moodle = of_moodle.unwrap_or_default();
    let mut reply = gone(asked, session.as_deref(), &origins, !of_moodle.is_empty()).await?;
    if let Some(session) = &session {
        people.sessions.end(session.key, "sign_out").await?;
    }
    reply.set_cookie(here.jar().remove(SESSION));
    for gone in of_moodle {
        reply.set_cookie(Some(gone));
    }
    let names: BTreeSet<&str> = here.launches(asked.headers).iter().map(|(name, _)| *name).collect();
    for name in names {
        reply.set_cookie(here.jar().set_framed(name, "", Some(0)));
    }
    for (_, launch) in here.launch_sessions(asked.headers).await? {
        people.launches.end(launch.key, "sign_out").await?;
    }
    Ok(reply)
}

/// What takes away the sessions that the browser has at the person's Moodle on this host: nobody else ends them, since Moodle
/// takes no notice of a logout elsewhere, and whoever uses the browser next would be there as this person.
fn of_moodle(asked: &Asked<'_>, session: &Session, moodles: &[Arc<Moodle>]) -> Vec<HeaderValue> {
    const SESSIONS: &str = "MoodleSession";
    let (here, headers) = (&asked.here, asked.headers);
    let origin = here.public.origin();
    let site = if origin.starts_with("https:") { "; Secure" } else { "" };
    let is_theirs = |moodle: &&Arc<Moodle>| moodle.origin() == origin && moodle.is_of(&session.identity);
    let mut gone = Vec::new();
    for moodle in moodles.iter().filter(is_theirs) {
        let below = moodle.config.public_url.path().trim_end_matches('/');
        let paths = ["/".to_owned(), below.to_owned(), format!("{below}/")];
        let paths: BTreeSet<&str> = paths
            .iter()
            .map(String::as_str)
            .filter(|path| !path.is_empty())
            .collect();
        for (name, _) in cookies::pairs(headers) {
            let name = std::str::from_utf8(name).ok().filter(|name| name.starts_with(SESSIONS));
            let removals = name
                .into_iter()
                .flat_map(|name| paths.iter().map(move |path| (name, path)));
            gone.extend(removals.filter_map(|(name, path)| cookies::set(name, "", path, 0, site)));
        }
    }
    gone
}

/// What follows: the sign-in server's own sign-out if `everywhere` is asked for, the page that `return` names, or a page
/// of ours. A back end gets 204. `has_moodle`: sessions at Moodle end with it.
async fn gone(
    asked: &Asked<'_>,
    session: Option<&Session>,
    origins: &[String],
    has_moodle: bool,
) -> Result<Reply, Rejection> {
    if session.is_some_and(|session| session.carrier == Carrier::Bearer) {
        return Ok(Reply::empty(StatusCode::NO_CONTENT));
    }
    let here = &asked.here;
    let origin = here.public.origin();
    let back = asked.in_form("return");
    let back = back.map(|back| target::judged(&back, &origin, origins).ok_or_else(no_way_back));
    let back = back.transpose()?;
    let sign_in = match (session, here.providers) {
        (Some(session), _) => here.sign_in_named(&session.identity.source),
        // Its session here has ended; the one at the server, which is meant as well, need not have.
        (None, [_only]) => here.sign_in(0),
        (None, _) => None,
    };
    let reader = here.reader();
    let texts = reader.texts;
    let mut ended = vec![texts.signed_out_here];
    ended.extend(has_moodle.then_some(texts.moodle_has_ended));
    let server = sign_in.and_then(|sign_in| sign_in.config.provider.server().host_str());
    if let Some(sign_in) = sign_in.filter(|_| asked.in_form("everywhere").is_some()) {
        let url = sign_in.callback(&origin);
        let state = back.map(|target| {
            here.people.attempts.signed_out(&SignedOut {
                sign_in: sign_in.config.name.to_string(),
                origin,
                target,
            })
        });
        let callback = state.as_deref().map(|state| Callback { url: &url, state });
        let id_token = match session {
            Some(session) => here.people.sessions.id_token(session).await?,
            None => None,
        };
        match sign_in.provider.sign_out(callback, id_token).await {
            SignOut::At(url) => return Reply::redirect(url.as_str()),
            SignOut::Form { action, fields } => {
                ended.push(texts.not_yet_at_server);
                let form = on_by_form(&reader, &action, &fields);
                let body: String = ended.iter().map(|text| reader.says(text)).collect();
                return Ok(Reply::page(&reader, texts.signed_out_title, &(body + &form)));
            }
            SignOut::Nowhere => {
                ended.push(texts.no_way_at_server);
                return Ok(done(&reader, &ended, ""));
            }
        }
    }
    // Of who had a session here it is known that there is one at the server.
    let server = server.filter(|_| session.is_some());
    let still = server.map(|server| filled(texts.still_at_server, &[("server", &Escaped(server).to_string())]));
    match back {
        Some(back) => Reply::redirect(&back),
        None => Ok(done(
            &reader,
            &ended,
            &still.map_or_else(String::new, |still| format!("<p>{still}</p>\n")),
        )),
    }
}

/// What is too long for an address goes by a form.
fn on_by_form(reader: &Reader<'_>, action: &Url, fields: &[(&'static str, String)]) -> String {
    let mut form = format!("<form method=\"post\" action=\"{}\">\n", Escaped(action.as_str()));
    for (name, value) in fields {
        form += &format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", Escaped(value));
    }
    let button = Escaped(reader.texts.sign_out_there);
    form + &format!("<p class=\"buttons\"><button class=\"button\">{button}</button></p>\n</form>")
}

/// A page that says what has ended, and what has not, which is HTML.
fn done(reader: &Reader<'_>, ended: &[&str], not: &str) -> Reply {
    let mut body: String = ended.iter().map(|text| reader.says(text)).collect();
    body += not;
    body += &reader.to_start(Some("/"));
    Reply::page(reader, reader.texts.signed_out_title, &body)
}

/// `who` is HTML. `at`: the host of the sign-in server, which may be signed out of, too, and whether Moodle's sessions end.
fn ask(asked: &Asked<'_>, who: &str, at: Option<(&str, bool)>) -> Reply {
    let reader = asked.here.reader();
    let texts = reader.texts;
    let back = asked.in_query("return");
    let back = back.map(|back| format!("<input type=\"hidden\" name=\"return\" value=\"{}\">\n", Escaped(&back)));
    let (everywhere, here) = (Escaped(texts.sign_out_everywhere), Escaped(texts.sign_out_here));
    // The first one is what most people need, above all at a computer that others use.
    let (warning, buttons) = match at {
        Some((server, has_moodle)) => (
            format!(
                "<p>{}</p>\n{}",
                filled(texts.only_here, &[("server", &Escaped(server).to_string())]),
                if has_moodle {
                    reader.says(texts.moodle_ends_too)
                } else {
                    String::new()
                },
            ),
            format!(
                "<button class=\"button\" name=\"everywhere\" value=\"1\">{everywhere}</button>\n\
                 <button class=\"button quiet\">{here}</button>"
            ),
        ),
        None => (String::new(), format!("<button class=\"button\">{here}</button>")),
    };
    let body = format!(
        "<p>{who}</p>\n{warning}<form method=\"post\" action=\"/_janua/sign-out\">\n{}\
         <p class=\"buttons\">{buttons}</p>\n</form>",
        back.unwrap_or_default(),
    );
    Reply::page(&reader, texts.sign_out_title, &body)
}
