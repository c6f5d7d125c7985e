//! The browser on its way back from a CAS server: with a ticket, without one, or after signing out there. The CAS server's own
//! calls come to the same address.

use std::sync::Arc;
use std::time::Instant;

use http::Method;

use super::sign_in::{begin_again, nobody, service, set};
use super::{Asked, Here, app_origins, go_to, logout, redirect};
use crate::authenticate::session::cookie::SESSION;
use crate::authenticate::session::{Carried, Carrier, NewSession, Session, SignedIn, roles};
use crate::config::{Provider, SignIn};
use crate::fair::Place;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::attempt::{self, Attempt};
use crate::sign_in::cas::logout::logout_query;
use crate::sign_in::cas::{FailureCode, Principal, Ticket, ValidateError};
use crate::sign_in::target;
use crate::store::StoreError;

pub(super) async fn answer(asked: &Asked<'_>, index: usize) -> Result<Reply, Rejection> {
    let snapshot = asked.here.snapshot;
    let sign_in = snapshot.config.sign_ins.get(index).ok_or(Reason::NoRoute)?;
    let query = asked.query.unwrap_or_default();
    if *asked.method == Method::POST {
        return match logout::posted(asked) {
            Some(ticket) => logout::end(&asked.here, sign_in, &ticket).await,
            None => posted_ticket(asked),
        };
    }
    if let Some(ticket) = logout_query(query) {
        return logout::in_the_browser(asked, sign_in, &ticket).await;
    }
    if let Some(target) = signed_out(asked, sign_in) {
        return redirect(&target);
    }
    let outcome = arrive(asked, index, sign_in).await;
    let label = match &outcome {
        Ok((_, label)) => label,
        Err((_, label)) => label,
    };
    snapshot.people.metrics.signed_in(&sign_in.name, label);
    match outcome {
        Ok((reply, _)) => Ok(reply),
        Err((rejection, _)) => Err(rejection),
    }
}

/// Where a browser goes on that comes back from signing out.
fn signed_out(asked: &Asked<'_>, sign_in: &SignIn) -> Option<String> {
    let state = super::parameter(asked.query.unwrap_or_default().as_bytes(), "state")?;
    let signed_out = asked.here.snapshot.people.attempts.open_signed_out(&state)?;
    let origin = asked.here.public.origin();
    let is_this = *signed_out.sign_in == *sign_in.name && signed_out.origin == origin;
    // The list of apps may have changed since.
    let target = target::judged(&signed_out.target, &origin, &app_origins(asked.here.snapshot))?;
    is_this.then_some(target)
}

/// Some servers let the browser post the ticket (CAS 3.0 section 2.1.1, `method=POST`). Cookies that are `SameSite=Lax` do
/// not come along from another site; they do with the GET that follows.
fn posted_ticket(asked: &Asked<'_>) -> Result<Reply, Rejection> {
    let Some(ticket) = super::parameter(&asked.body, "ticket") else {
        let detail = "a POST without a logout request and without a ticket";
        return Err(Rejection::because(Reason::BadRequest, detail));
    };
    let ticket = Ticket::service(&ticket).map_err(|error| Rejection::because(Reason::BadRequest, error.to_string()))?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    let state = super::parameter(asked.query.unwrap_or_default().as_bytes(), "state");
    query.extend_pairs(state.map(|state| ("state", state)));
    query.append_pair("ticket", ticket.as_str());
    redirect(&format!(
        "{}{}?{}",
        asked.here.public.origin(),
        asked.path,
        query.finish()
    ))
}

type Arrived = Result<(Reply, &'static str), (Rejection, &'static str)>;

async fn arrive(asked: &Asked<'_>, index: usize, sign_in: &SignIn) -> Arrived {
    let (here, snapshot) = (&asked.here, asked.here.snapshot);
    let query = asked.query.unwrap_or_default().as_bytes();
    let state = super::parameter(query, "state").unwrap_or_default();
    let origin = here.public.origin();
    let attempt = snapshot.people.attempts.open(&state);
    let attempt = attempt.filter(|attempt| *attempt.sign_in == *sign_in.name && attempt.origin == origin);
    let before = here
        .session(asked.headers)
        .await
        .map_err(|refusal| (refusal, "store"))?;
    let known = before
        .as_deref()
        .filter(|session| session.identity.source == sign_in.name);
    let Provider::Cas(cas) = &sign_in.provider;
    let Some(attempt) = attempt else {
        // Neither where it came from nor where it should go can be told.
        return match known {
            Some(_) => going_on(here, &format!("{origin}/_janua/me"), "already"),
            None => Err((again(asked, index, "/"), "stale")),
        };
    };
    let is_ours = {
        let cookies = here.jar().all(asked.headers, &attempt.cookie());
        cookies.iter().any(|cookie| attempt.is_of(cookie, here.now))
    };
    let on =
        |label| going_on(here, &attempt.target, label).map(|(reply, label)| (forget(asked, reply, &attempt), label));
    // Who must type the password again is not known by an earlier session.
    let known = known.filter(|_| !cas.renew || !is_ours);
    let may_stay = known.is_some();
    if !is_ours {
        return match may_stay {
            true => on("already"),
            false => Err((again(asked, index, &attempt.target), "stale")),
        };
    }
    let Some(ticket) = super::parameter(query, "ticket") else {
        return match attempt.passive {
            _ if may_stay => on("already"),
            true => on("nobody").map(|(mut reply, label)| {
                set(&mut reply, nobody(here.jar(), &sign_in.name));
                (reply, label)
            }),
            false => Err((again(asked, index, &attempt.target), "no_ticket")),
        };
    };
    if let Some(session) = known
        && !snapshot.people.may_bring_another(session.key)
    {
        return on("already");
    }
    let service = service(&origin, &sign_in.name, &state);
    let new = match redeem(asked, index, sign_in, &attempt, (&service, &ticket)).await {
        Ok(new) => new,
        // A reload, or the way back leads here once more: the session is as good as before.
        Err(_) if may_stay => return on("already"),
        Err(refused @ (_, label)) if label == FailureCode::InvalidTicket.label() => {
            return beside_others(asked, index, &attempt).await.unwrap_or(Err(refused));
        }
        Err(error) => return Err(error),
    };
    let people = &snapshot.people;
    let _turn = people.tabs.turn(&new.subject).await;
    if let Some(session) = known.filter(|session| session.identity.subject.as_deref() == Some(&*new.subject)) {
        // Another tab was faster. The server may name the ticket of either when the person signs out there.
        let added = snapshot.people.sessions.also_by(session, &new.ticket, here.now).await;
        added.map_err(|error| (unavailable(&error), "store"))?;
        return on("already");
    }
    let begun = match begun_in_another_tab(asked, &attempt, &new).await {
        // With `renew` it may be the one whose cookie came.
        Some((_, session)) if before.as_ref().is_some_and(|before| before.key == session.key) => return on("already"),
        Some((secret, session)) => people
            .sessions
            .also_by(&session, &new.ticket, here.now)
            .await
            .map(|()| secret),
        None => {
            let subject = new.subject.clone();
            let record = SignedIn::new(sign_in, new, Carrier::Cookie, here.now);
            let begun = people.sessions.begin(record, &snapshot.config, here.now).await;
            begun
                .map(|(secret, _)| secret)
                .inspect(|secret| people.tabs.begins(&attempt, &subject, secret))
        }
    };
    let secret = begun.map_err(|error| (unavailable(&error), "store"))?;
    if let Some(before) = before.filter(|session| session.is_by_cookie()) {
        // Its cookie is about to be written over; who has kept a copy has nothing.
        let ended = snapshot.people.sessions.end(before.key, "replaced").await;
        ended.map_err(|error| (unavailable(&error), "store"))?;
    }
    let (mut reply, label) = on("ok")?;
    set(&mut reply, here.jar().set(SESSION, &secret, None));
    Ok((reply, label))
}

/// Where a tab goes on whose ticket is dead while the same browser has other attempts under way. Apereo CAS forgets a ticket
/// when it gives the next one of the same session to the same address (`only-track-most-recent-session`), so that of tabs
/// that a browser restores all at once the last one alone comes in. The others wait for it, and ask for a second ticket if
/// it does not come; not at once, since that would be the end of its ticket, too. `None`: the ticket is just dead.
async fn beside_others(asked: &Asked<'_>, index: usize, attempt: &Attempt) -> Option<Arrived> {
    let (here, people) = (&asked.here, &asked.here.snapshot.people);
    let cookies = here.jar().beginning_with(asked.headers, attempt::COOKIE);
    let others = cookies.into_iter().filter(|(name, _)| *name != attempt.cookie());
    let others: Vec<&str> = others.map(|(_, value)| value).collect();
    if others.is_empty() {
        return None;
    }
    if let Some(secret) = people.tabs.begins_soon(&others, &attempt.sign_in).await {
        let carried = Carried::cookie(&secret);
        let found = people.sessions.find(&carried, &here.snapshot.config, here.now).await;
        if found.is_ok_and(|session| session.is_some()) {
            let on = going_on(here, &attempt.target, "already");
            return Some(on.map(|(mut reply, label)| {
                set(&mut reply, here.jar().set(SESSION, &secret, None));
                (forget(asked, reply, attempt), label)
            }));
        }
    }
    let again = || begin_again(asked, index, attempt).map_err(|refusal| (refusal, "internal"));
    (!attempt.is_second).then(|| Ok((forget(asked, again()?, attempt), "invalid_ticket")))
}

/// The session of the same person that another tab of this browser has begun, and whose cookie is still on its way; with
/// its secret.
async fn begun_in_another_tab(
    asked: &Asked<'_>,
    attempt: &Attempt,
    new: &NewSession,
) -> Option<(String, Arc<Session>)> {
    let (here, people) = (&asked.here, &asked.here.snapshot.people);
    let cookies = here.jar().beginning_with(asked.headers, attempt::COOKIE);
    let cookies = cookies.into_iter().map(|(_, value)| value);
    let secret = people.tabs.began_by(cookies, attempt, &new.subject)?;
    let carried = Carried::cookie(&secret);
    let found = people.sessions.find(&carried, &here.snapshot.config, here.now).await;
    let session = found.ok()?.filter(|session| people.may_bring_another(session.key))?;
    Some((secret, session))
}

/// The person of the ticket that came with the attempt, which is spent by it.
async fn redeem(
    asked: &Asked<'_>,
    index: usize,
    sign_in: &SignIn,
    attempt: &Attempt,
    (service, ticket): (&str, &str),
) -> Result<NewSession, (Rejection, &'static str)> {
    let attempts = &asked.here.snapshot.people.attempts;
    let begin_again = |error: &ValidateError| {
        let (refusal, label) = refused(error);
        match error.is_of_ticket() {
            true => (refusal.with_hint(where_again(asked, index, &attempt.target)), label),
            false => (refusal, label),
        }
    };
    let stale = || (again(asked, index, &attempt.target), "stale");
    let ticket = Ticket::service(ticket).map_err(|error| begin_again(&error.into()))?;
    if attempts.is_spent(attempt) {
        return Err(stale());
    }
    let place = place(asked).await?;
    if !attempts.spend(attempt) {
        return Err(stale());
    }
    let Provider::Cas(cas) = &sign_in.provider;
    let client = asked.here.snapshot.cas.get(index);
    let client = client.ok_or((Reason::Internal.into(), "internal"))?;
    let question = client.validate(service, &ticket, cas.renew);
    let principal = judged(asked, sign_in, place, question)
        .await
        .map_err(|error| begin_again(&error))?;
    for (attribute, values) in roles::passed_over(&sign_in.roles, &principal.attributes) {
        tracing::info!(
            sign_in = &*sign_in.name,
            attribute,
            values,
            "become no role: they have commas, control characters or blanks at an end, or more than 512 bytes"
        );
    }
    let new = principal.signed_in(&ticket, &cas.username);
    new.ok_or_else(|| no_username(&cas.username))
}

/// A place to have the request's ticket judged; not too many are asked about at once.
pub(super) async fn place(asked: &Asked<'_>) -> Result<Place, (Rejection, &'static str)> {
    let place = asked.here.snapshot.people.place_to_judge(asked.client).await;
    place.map_err(|refusal| (refusal, "overloaded"))
}

/// What the CAS server says to a question about a ticket.
pub(super) async fn judged(
    asked: &Asked<'_>,
    sign_in: &SignIn,
    _place: Place,
    question: impl Future<Output = Result<Principal, ValidateError>>,
) -> Result<Principal, ValidateError> {
    let people = &asked.here.snapshot.people;
    let started = Instant::now();
    let answer = question.await;
    people.metrics.asked_cas(&sign_in.name, started.elapsed());
    answer.inspect_err(|error| {
        if refusal(error).reason == Reason::SignInRefused {
            people.ticket_refused(asked.client);
        }
    })
}

/// The refusal of a person whom the CAS server vouches for, without the attribute that names people here.
pub(super) fn no_username(attribute: &str) -> (Rejection, &'static str) {
    let detail = format!("the CAS server gave no usable {attribute} for this person");
    (Rejection::because(Reason::SignInRefused, detail), "no_username")
}

pub(super) fn refused(error: &ValidateError) -> (Rejection, &'static str) {
    (refusal(error), error.label())
}

/// The refusal for a ticket that did not do. Its detail names the server and no ticket.
fn refusal(error: &ValidateError) -> Rejection {
    let reason = match error {
        ValidateError::Ticket(_) | ValidateError::Refused(_) | ValidateError::NotProxied => Reason::SignInRefused,
        ValidateError::Unreachable(_)
        | ValidateError::Timeout(_)
        | ValidateError::Http(_)
        | ValidateError::Answer(_) => Reason::SignInUnavailable,
    };
    Rejection::because(reason, error.to_string())
}

pub(super) fn unavailable(error: &StoreError) -> Rejection {
    Rejection::because(Reason::StoreUnavailable, error.to_string())
}

fn going_on(here: &Here<'_>, target: &str, label: &'static str) -> Arrived {
    let reply = go_to(here, target).map_err(|refusal| (refusal, "internal"))?;
    Ok((reply, label))
}

/// The attempt is over: its cookie goes.
fn forget(asked: &Asked<'_>, mut reply: Reply, attempt: &Attempt) -> Reply {
    set(&mut reply, asked.here.jar().remove(&attempt.cookie()));
    reply
}

/// Too late, or in another browser: the page offers to begin once more, and goes nowhere by itself.
fn again(asked: &Asked<'_>, index: usize, target: &str) -> Rejection {
    Rejection::new(Reason::SignInStale).with_hint(where_again(asked, index, target))
}

fn where_again(asked: &Asked<'_>, index: usize, target: &str) -> Hint {
    Hint::SignIn(super::where_to_and_back(&asked.here, &[index], target))
}
