//! The browser on its way back from a CAS server, and the CAS server's own calls: a logout is told where the ticket was
//! sent.

use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode, header};

use super::sign_in::{nobody, service, set};
use super::{Asked, redirect};
use crate::authenticate::session::cookie::SESSION;
use crate::authenticate::session::{Carrier, NewSession};
use crate::authenticate::sign_in::attempt::Attempt;
use crate::authenticate::sign_in::cas::logout::{logout_query, logout_request};
use crate::authenticate::sign_in::cas::{Principal, SessionIndex, Ticket, ValidateError};
use crate::config::{Provider, SignIn};
use crate::fair::Place;
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::{Reply, security};
use crate::store::StoreError;

pub(super) async fn answer(asked: &Asked<'_>, index: usize) -> Result<Reply, Rejection> {
    if *asked.method == Method::POST {
        return match posted_logout(asked) {
            Some(ticket) => logout(asked, index, &ticket).await,
            None => Err(Rejection::because(
                Reason::BadRequest,
                "a POST that is no logout request",
            )),
        };
    }
    let query = asked.query.unwrap_or_default();
    if let Some(ticket) = logout_query(query) {
        return logout(asked, index, &ticket).await;
    }
    let snapshot = asked.here.snapshot;
    let sign_in = snapshot.config.sign_ins.get(index).ok_or(Reason::NoRoute)?;
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

pub(super) fn posted_logout(asked: &Asked<'_>) -> Option<SessionIndex> {
    let content_type = asked.headers.get(header::CONTENT_TYPE);
    logout_request(content_type.and_then(|value| value.to_str().ok()), &asked.body)
}

/// Ends the session that the ticket began. The server is told nothing of whether there was one.
pub(super) async fn logout(asked: &Asked<'_>, index: usize, ticket: &SessionIndex) -> Result<Reply, Rejection> {
    let snapshot = asked.here.snapshot;
    let sign_in = snapshot.config.sign_ins.get(index).ok_or(Reason::NoRoute)?;
    let Provider::Cas(cas) = &sign_in.provider;
    if cas.single_logout {
        let ended = snapshot.people.sessions.end_by_ticket(ticket.as_str()).await;
        ended.map_err(|error| unavailable(&error))?;
    }
    Ok(Reply {
        status: StatusCode::OK,
        headers: security::own().into_iter().collect(),
        body: Bytes::new(),
    })
}

type Arrived = Result<(Reply, &'static str), (Rejection, &'static str)>;

async fn arrive(asked: &Asked<'_>, index: usize, sign_in: &SignIn) -> Arrived {
    let (here, snapshot) = (&asked.here, asked.here.snapshot);
    let query = asked.query.unwrap_or_default().as_bytes();
    let state = super::parameter(query, "state").unwrap_or_default();
    let origin = here.public.origin();
    let attempt = snapshot.people.attempts.open(&state);
    let attempt = attempt.filter(|attempt| *attempt.sign_in == *sign_in.name && attempt.origin == origin);
    let session = here
        .session(asked.headers)
        .await
        .map_err(|refusal| (refusal, "store"))?;
    let is_signed_in = session
        .as_ref()
        .is_some_and(|session| session.identity.source == sign_in.name);
    let Provider::Cas(cas) = &sign_in.provider;
    let Some(attempt) = attempt else {
        // Neither where it came from nor where it should go can be told.
        return match is_signed_in {
            true => going_on(&format!("{origin}/_janua/me"), "already"),
            false => Err((again(asked, index, "/"), "stale")),
        };
    };
    let is_ours = {
        let cookies = here.jar().all(asked.headers, &attempt.cookie());
        cookies.iter().any(|cookie| attempt.is_of(cookie, here.now))
    };
    if is_signed_in && (!cas.renew || !is_ours) {
        // Another tab was faster, or the way back leads here once more.
        return going_on(&attempt.target, "already").map(|(reply, label)| (forget(asked, reply, &attempt), label));
    }
    if !is_ours {
        return Err((again(asked, index, &attempt.target), "stale"));
    }
    let Some(ticket) = super::parameter(query, "ticket") else {
        if attempt.passive {
            let (mut reply, label) = going_on(&attempt.target, "nobody")?;
            set(&mut reply, nobody(here.jar(), &sign_in.name));
            return Ok((forget(asked, reply, &attempt), label));
        }
        return Err((again(asked, index, &attempt.target), "no_ticket"));
    };
    let service = service(&origin, &sign_in.name, &state);
    let stale = || (again(asked, index, &attempt.target), "stale");
    let ticket = Ticket::service(&ticket).map_err(|error| refused(&error.into()))?;
    if snapshot.people.attempts.is_spent(&attempt) {
        return Err(stale());
    }
    let place = place(asked).await?;
    if !snapshot.people.attempts.spend(&attempt) {
        return Err(stale());
    }
    let new = judge(asked, index, sign_in, &service, ticket, place).await?;
    let begun = snapshot
        .people
        .sessions
        .begin(sign_in, new, Carrier::Cookie, here.now)
        .await;
    let (secret, _) = begun.map_err(|error| (unavailable(&error), "store"))?;
    if let Some(before) = session.filter(|session| session.is_by_cookie()) {
        // Its cookie is about to be written over; who has kept a copy has nothing.
        let ended = snapshot.people.sessions.end(before.key, "replaced").await;
        ended.map_err(|error| (unavailable(&error), "store"))?;
    }
    let (mut reply, _) = going_on(&attempt.target, "ok")?;
    set(&mut reply, here.jar().set(SESSION, &secret, None));
    Ok((forget(asked, reply, &attempt), "ok"))
}

/// Asks the CAS server about the ticket, once.
async fn judge(
    asked: &Asked<'_>,
    index: usize,
    sign_in: &SignIn,
    service: &str,
    ticket: Ticket,
    place: Place,
) -> Result<NewSession, (Rejection, &'static str)> {
    let snapshot = asked.here.snapshot;
    let Provider::Cas(cas) = &sign_in.provider;
    let client = snapshot.cas.get(index).ok_or((Reason::Internal.into(), "internal"))?;
    let question = client.validate(service, &ticket, cas.renew);
    let principal = judged(asked, sign_in, place, question).await?;
    let Some(subject) = principal.username(&cas.username).map(str::to_owned) else {
        let detail = format!("the CAS server gave no usable {} for this person", cas.username);
        return Err((Rejection::because(Reason::SignInRefused, detail), "no_username"));
    };
    Ok(NewSession {
        subject,
        principal,
        ticket,
    })
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
) -> Result<Principal, (Rejection, &'static str)> {
    let people = &asked.here.snapshot.people;
    let started = Instant::now();
    let answer = question.await;
    people.metrics.asked_cas(&sign_in.name, started.elapsed());
    answer.map_err(|error| {
        let (refusal, label) = refused(&error);
        if refusal.reason == Reason::SignInRefused {
            people.ticket_refused(asked.client);
        }
        (refusal, label)
    })
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

fn going_on(target: &str, label: &'static str) -> Arrived {
    let reply = redirect(target).map_err(|refusal| (refusal, "internal"))?;
    Ok((reply, label))
}

/// The attempt is over: its cookie goes.
fn forget(asked: &Asked<'_>, mut reply: Reply, attempt: &Attempt) -> Reply {
    set(&mut reply, asked.here.jar().remove(&attempt.cookie()));
    reply
}

/// Too late, or in another browser: the page offers to begin once more, and goes nowhere by itself.
fn again(asked: &Asked<'_>, index: usize, target: &str) -> Rejection {
    let mut url = super::where_to(&asked.here, &[index]);
    url.push_str("&return=");
    url.extend(form_urlencoded::byte_serialize(target.as_bytes()));
    Rejection::new(Reason::SignInStale).with_hint(Hint::SignIn(url))
}
