//! `/_janua/sign-out`: a page with a button, and the POST that it sends. What is posted elsewhere ends nothing.
//! Both sessions that a browser may have end, the one of a sign-in and that of a launch.

use bytes::Bytes;
use http::{Method, StatusCode};

use super::callback::unavailable;
use super::isolation::Purpose;
use super::sign_in::{no_way_back, service, set};
use super::{Asked, app_origins, html, redirect};
use crate::authenticate::session::cookie::{LAUNCH, SESSION};
use crate::authenticate::session::{Carrier, Session};
use crate::config::Provider;
use crate::rejection::Rejection;
use crate::respond::page::Escaped;
use crate::respond::{Reply, security};
use crate::sign_in::attempt::SignedOut;
use crate::sign_in::target;
use crate::text::safe;

pub(super) async fn answer(asked: &Asked<'_>) -> Result<Reply, Rejection> {
    let session = asked.here.session(asked.headers).await?;
    let launch = asked.here.launch(asked.headers).await?;
    if *asked.method != Method::POST {
        return Ok(match (session, launch) {
            (Some(session), _) => {
                let user = session.identity.subject.as_deref().unwrap_or_default();
                let mut sign_ins = asked.here.snapshot.config.sign_ins.iter();
                let known = sign_ins.find(|sign_in| sign_in.name == session.identity.source);
                let server = known.and_then(|sign_in| {
                    let Provider::Cas(cas) = &sign_in.provider;
                    cas.server.host_str()
                });
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
    let origins = app_origins(asked.here.snapshot);
    let is_bearer = session
        .as_ref()
        .is_some_and(|session| session.carrier == Carrier::Bearer);
    if !is_bearer {
        let request = (asked.method, asked.headers);
        asked.here.is_isolated(Purpose::Change, request, &origins, None)?;
    }
    let mut reply = gone(asked, session.as_deref(), &origins)?;
    if let Some(session) = &session {
        let ended = asked.here.snapshot.people.sessions.end(session.key, "sign_out").await;
        ended.map_err(|error| unavailable(&error))?;
    }
    set(&mut reply, asked.here.jar().remove(SESSION));
    if !asked.here.launches(asked.headers).is_empty() {
        set(&mut reply, asked.here.jar().set_framed(LAUNCH, "", Some(0)));
    }
    if let Some(launch) = launch {
        let ended = asked.here.snapshot.people.launches.end(launch.key, "sign_out").await;
        ended.map_err(|error| unavailable(&error))?;
    }
    Ok(reply)
}

/// What follows: the CAS server's own logout if `everywhere` is asked for, the page that `return` names, or a page of
/// ours. A back end gets 204.
fn gone(asked: &Asked<'_>, session: Option<&Session>, origins: &[String]) -> Result<Reply, Rejection> {
    if session.is_some_and(|session| session.carrier == Carrier::Bearer) {
        return Ok(Reply {
            status: StatusCode::NO_CONTENT,
            headers: security::own().into_iter().collect(),
            body: Bytes::new(),
        });
    }
    let origin = asked.here.public.origin();
    let back = super::parameter(&asked.body, "return").map(|back| target::judged(&back, &origin, origins));
    let back = match back {
        Some(back) => Some(back.ok_or_else(no_way_back)?),
        None => None,
    };
    let snapshot = asked.here.snapshot;
    let everywhere = super::parameter(&asked.body, "everywhere").is_some();
    let mut sign_ins = snapshot.config.sign_ins.iter().zip(&snapshot.cas);
    let client = match (session, snapshot.cas.as_slice()) {
        (Some(session), _) => sign_ins.find(|(config, _)| config.name == session.identity.source),
        // Its session here has ended; the one at the server, which is meant as well, need not have.
        (None, [_only]) => sign_ins.next(),
        (None, _) => None,
    };
    match (client.filter(|_| everywhere), back) {
        (Some((config, client)), back) => {
            let back = back.map(|target| {
                let (sign_in, origin) = (config.name.to_string(), origin.clone());
                let state = snapshot.people.attempts.signed_out(&SignedOut {
                    sign_in,
                    origin,
                    target,
                });
                service(&asked.here.public.origin(), &config.name, &state)
            });
            redirect(client.logout_url(back.as_deref()).as_str())
        }
        (None, Some(back)) => redirect(&back),
        (None, None) => Ok(html("Signed out", &format!("<p>You are signed out here.</p>\n{ON}"))),
    }
}

/// Where to go from a page that ends something.
const ON: &str = "<p><a href=\"/\">To the start page</a></p>";

/// `who` is HTML. `server`: the host of the sign-in server, which may be signed out of, too.
fn ask(asked: &Asked<'_>, who: &str, server: Option<&str>) -> Reply {
    let back = super::parameter(asked.query.unwrap_or_default().as_bytes(), "return");
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
    html("Sign out?", &body)
}

fn nobody() -> Reply {
    html("Signed out", &format!("<p>You are not signed in here.</p>\n{ON}"))
}
