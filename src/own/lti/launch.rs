//! The browser on its way back from a platform, with the platform's message about the person: whether it counts, and to which
//! page it leads.

use super::{choose, page};
use crate::authenticate::launch::NewLaunch;
use crate::authenticate::lti::attempt::nonce;
use crate::authenticate::lti::message::{Expected, judged};
use crate::authenticate::lti::{Attempt, Message, Platform};
use crate::authenticate::oauth::error::words;
use crate::own::launch::form::is_form;
use crate::query::{single, values};
use crate::rejection::{Hint, LTI_NO_COOKIE, Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::Asked;

pub(super) async fn answer(asked: &Asked<'_>, platform: &Platform) -> Result<Reply, Rejection> {
    is_form(asked.headers)?;
    let (here, lti) = (&asked.here, &platform.config);
    let (attempt, cookie) = begun(asked, platform)?;
    if let Some(error) = values(&asked.body, "error").next() {
        let more = values(&asked.body, "error_description").next().unwrap_or_default();
        let detail = format!(
            "lti.{}: the platform refuses: {:?} {:?}",
            lti.name,
            words(&error),
            words(&more)
        );
        return Err(Rejection::because(Reason::SignInRefused, detail));
    }
    let token = single(&asked.body, "id_token");
    let token = token.ok_or_else(|| Rejection::because(Reason::BadRequest, "a launch has one `id_token`"))?;
    if token.len() > here.config.jwt.max_token {
        return Err(Rejection::because(
            Reason::MalformedToken,
            "`jwt.max_token` is smaller than this launch's",
        ));
    }
    here.people.lti.may_try(asked.client)?;
    let message = believed(asked, platform, &token, (&attempt, &nonce(cookie))).await;
    let message = message.inspect_err(|refusal| {
        if refusal.reason != Reason::KeysUnavailable {
            here.people.lti.refuse(asked.client);
        }
    })?;
    if !here.people.lti.spend(&lti.name, &nonce(cookie)).await? {
        here.people.lti.refuse(asked.client);
        return Err(stale("this launch was used already"));
    }
    let mut reply = match message.choosing {
        Some(_) => choose::ask(asked, platform, (&message, &attempt.client_id))?,
        None => launched(asked, platform, &message).await?,
    };
    reply.set_cookie(here.jar().set_framed(&attempt.cookie(), "", Some(0)));
    Ok(reply)
}

/// The attempt that this browser has begun, with its cookie.
fn begun<'a>(asked: &Asked<'a>, platform: &Platform) -> Result<(Attempt, &'a str), Rejection> {
    let here = &asked.here;
    let state = single(&asked.body, "state");
    let state = state.ok_or_else(|| Rejection::because(Reason::BadRequest, "a launch has one `state`"))?;
    let attempt = here.people.lti.open(&state);
    let is_this =
        |attempt: &Attempt| *attempt.platform == *platform.config.name && attempt.origin == here.public.origin();
    let attempt = attempt
        .filter(is_this)
        .ok_or_else(|| stale("`state` was not made here"))?;
    if !attempt.is_young(here.now) {
        return Err(stale("the launch was begun too long ago"));
    }
    let cookies = here.jar().all(asked.headers, &attempt.cookie());
    let cookie = attempt.of_browser(&cookies).ok_or_else(|| {
        stale("the browser has no cookie of this launch's: another one has begun it, or it keeps none in this frame")
            .with_hint(Hint::Remedy(LTI_NO_COOKIE))
    })?;
    Ok((attempt, cookie))
}

fn stale(detail: &str) -> Rejection {
    Rejection::because(Reason::LaunchStale, detail)
}

/// The platform's message, if it is its, and answers this attempt.
async fn believed(
    asked: &Asked<'_>,
    platform: &Platform,
    token: &str,
    (attempt, nonce): (&Attempt, &str),
) -> Result<Message, Rejection> {
    let signed = platform.believed(token).await?;
    let message = judged(
        &signed,
        &Expected {
            config: &platform.config,
            client_id: &attempt.client_id,
            nonce,
            now: asked.here.now,
        },
    )?;
    // A client that is taken out of the configuration counts no more.
    if !platform.config.client_ids.contains(&attempt.client_id) {
        return Err(Reason::WrongAudience.into());
    }
    if !attempt.leads_to(&message.target) {
        let detail = format!(
            "lti.{}: target_link_uri is another one than the login's",
            platform.config.name
        );
        return Err(Rejection::because(Reason::BadRequest, detail));
    }
    Ok(message)
}

/// A launch session for the page that the platform means.
async fn launched(asked: &Asked<'_>, platform: &Platform, message: &Message) -> Result<Reply, Rejection> {
    let (here, lti) = (&asked.here, &platform.config);
    let location = page::of_message(asked, platform, message)?;
    let expires = here.now + lti.launch.absolute;
    let who = message.said.identity(lti, expires);
    let new = NewLaunch {
        who: &who,
        client: asked.client,
        route: "",
        said: Some(&message.said),
        launch: lti.launch,
        config: here.config,
    };
    here.launched(new, &location, asked.headers).await
}
