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
use crate::respond::page::Escaped;
use crate::sign_in::attempt::SignedOut;
use crate::sign_in::{Asked, Callback, SignOut, no_way_back, target};
use crate::text::safe;

pub(super) async fn answer(asked: &Asked<'_>, moodles: &[Arc<Moodle>]) -> Result<Reply, Rejection> {
    let (here, people) = (&asked.here, asked.here.people);
    let session = here.session(asked.headers).await?;
    let launch = here.launch(asked.headers).await?;
    if *asked.method != Method::POST {
        return Ok(match (session, launch) {
            (Some(session), _) => {
                let user = session.identity.subject.as_deref().unwrap_or_default();
                let sign_in = here.sign_in_named(&session.identity.source);
                let server = sign_in.and_then(|sign_in| sign_in.config.provider.server().host_str());
                let who = format!("signed in as <strong>{}</strong>", Escaped(&safe(user)));
                ask(asked, &who, Some(server.unwrap_or("the sign-in server")))
            }
            (None, Some(launch)) => {
                let from = Escaped(&launch.identity.source);
                ask(asked, &format!("here by a link from <strong>{from}</strong>"), None)
            }
            (None, None) => nobody(),
        });
    }
    let origins = here.app_origins();
    let is_bearer = session
        .as_ref()
        .is_some_and(|session| session.carrier == Carrier::Bearer);
    if !is_bearer {
        is_isolated(here, Purpose::Change, (asked.method, asked.headers), &origins, None)?;
    }
    let mut reply = gone(asked, session.as_deref(), &origins).await?;
    if let Some(session) = &session {
        people.sessions.end(session.key, "sign_out").await?;
    }
    reply.set_cookie(here.jar().remove(SESSION));
    if let Some(session) = &session {
        for gone in of_moodle(asked, session, moodles) {
            reply.set_cookie(Some(gone));
        }
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
/// of ours. A back end gets 204.
async fn gone(asked: &Asked<'_>, session: Option<&Session>, origins: &[String]) -> Result<Reply, Rejection> {
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
            SignOut::Form { action, fields } => return Ok(on_by_form(&action, &fields)),
            SignOut::Nowhere => return Ok(Reply::page("Signed out", &format!("<p>{HERE_ALONE}</p>\n{ON}"))),
        }
    }
    match back {
        Some(back) => Reply::redirect(&back),
        None => Ok(Reply::page(
            "Signed out",
            &format!("<p>You are signed out here.</p>\n{ON}"),
        )),
    }
}

const HERE_ALONE: &str = "You are signed out here. The sign-in server offers no way to sign out there, or is away: whoever uses this \
                          browser next may come in as you without a password. Close the browser.";

/// What is too long for an address goes by a form.
fn on_by_form(action: &Url, fields: &[(&'static str, String)]) -> Reply {
    let mut form = format!("<form method=\"post\" action=\"{}\">\n", Escaped(action.as_str()));
    for (name, value) in fields {
        form += &format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", Escaped(value));
    }
    form += "<p class=\"buttons\"><button class=\"button\">Sign out there, too</button></p>\n</form>";
    Reply::page(
        "Signed out",
        &format!("<p>You are signed out here, and not yet at the sign-in server.</p>\n{form}"),
    )
}

/// Where to go from a page that ends something.
const ON: &str = "<p><a href=\"/\">To the start page</a></p>";

/// `who` is HTML. `server`: the host of the sign-in server, which may be signed out of, too.
fn ask(asked: &Asked<'_>, who: &str, server: Option<&str>) -> Reply {
    let back = asked.in_query("return");
    let back = back.map(|back| format!("<input type=\"hidden\" name=\"return\" value=\"{}\">\n", Escaped(&back)));
    // The first one is what most people need, above all at a computer that others use.
    let (warning, buttons) = match server.map(Escaped) {
        Some(server) => (
            format!(
                "<p>Signing out here alone leaves you signed in at {server}: whoever uses this browser next comes in as you \
                 without a password.</p>\n"
            ),
            "<button class=\"button\" name=\"everywhere\" value=\"1\">Sign out everywhere</button>\n\
             <button class=\"button quiet\">Sign out here</button>",
        ),
        None => (String::new(), "<button class=\"button\">Sign out here</button>"),
    };
    let body = format!(
        "<p>You are {who}.</p>\n\
         {warning}<form method=\"post\" action=\"/_janua/sign-out\">\n{}\
         <p class=\"buttons\">{buttons}</p>\n</form>",
        back.unwrap_or_default(),
    );
    Reply::page("Sign out?", &body)
}

fn nobody() -> Reply {
    Reply::page("Signed out", &format!("<p>You are not signed in here.</p>\n{ON}"))
}
