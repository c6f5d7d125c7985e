//! The browser on its way back from a sign-in server: as somebody, as nobody, or after signing out there.

use std::sync::Arc;

use super::attempt::{self, Attempt};
use super::begin::{begin_again, nobody, where_to_and_back};
use super::{Asked, AttemptedBy, Callback, Refusal, Retry, SignIn, target};
use crate::authenticate::session::cookie::SESSION;
use crate::authenticate::session::{Carried, Carrier, NewSession, Session, SignedIn, roles};
use crate::rejection::{Hint, Reason, Rejection};
use crate::respond::Reply;

pub(super) async fn answer(asked: &Asked<'_>, sign_in: SignIn<'_>) -> Result<Reply, Rejection> {
    if let Some(reply) = sign_in.provider.notice(asked).await? {
        return Ok(reply);
    }
    if let Some(target) = signed_out(asked, sign_in) {
        return Reply::redirect(&target);
    }
    let arrived = arrive(asked, sign_in).await;
    let label = arrived
        .as_ref()
        .map_or_else(|refusal| refusal.label, |(_, label)| *label);
    asked.here.people.metrics.signed_in(&sign_in.config.name, label);
    arrived.map(|(reply, _)| reply).map_err(|refusal| refusal.rejection)
}

/// Where a browser goes on that comes back from signing out.
fn signed_out(asked: &Asked<'_>, sign_in: SignIn<'_>) -> Option<String> {
    let here = &asked.here;
    let signed_out = here.people.attempts.open_signed_out(&asked.in_query("state")?)?;
    let origin = here.public.origin();
    let is_this = *signed_out.sign_in == *sign_in.config.name && signed_out.origin == origin;
    // The list of apps may have changed since.
    let target = target::judged(&signed_out.target, &origin, &here.app_origins())?;
    is_this.then_some(target)
}

/// The answer, and its word for metrics.
type Arrived = Result<(Reply, &'static str), Refusal>;

async fn arrive(asked: &Asked<'_>, sign_in: SignIn<'_>) -> Arrived {
    let (here, people) = (&asked.here, asked.here.people);
    let state = asked.in_query("state").unwrap_or_default();
    let origin = here.public.origin();
    let attempt = people.attempts.open(&state);
    let attempt = attempt.filter(|attempt| *attempt.sign_in == *sign_in.config.name && attempt.origin == origin);
    let before = here.session(asked.headers).await.map_err(of_store)?;
    let known = before
        .as_deref()
        .filter(|session| session.identity.source == sign_in.config.name);
    let Some(attempt) = attempt else {
        // Neither where it came from nor where it should go can be told.
        return match known {
            Some(_) => going_on(asked, &format!("{origin}/_janua/me"), "already"),
            None => Err(stale(asked, sign_in, "/")),
        };
    };
    let on = |label| ended(asked, &attempt, going_on(asked, &attempt.target, label));
    let cookies = here.jar().all(asked.headers, &attempt.cookie());
    let Some(secret) = cookies.iter().find(|cookie| attempt.is_of(cookie, here.now)) else {
        return match known {
            Some(_) => on("already"),
            None => Err(stale(asked, sign_in, &attempt.target)),
        };
    };
    let by = AttemptedBy {
        secret,
        began: attempt.started,
    };
    // Who must type the password again is not known by an earlier session.
    let known = known.filter(|_| !sign_in.config.provider.renew());
    if !sign_in.provider.brings_somebody(asked) {
        return match attempt.passive {
            _ if known.is_some() => on("already"),
            true => on("nobody").map(|(mut reply, label)| {
                reply.set_cookie(nobody(here.jar(), &sign_in.config.name));
                (reply, label)
            }),
            false => Err(match sign_in.provider.absence(asked) {
                Some(refusal) => with_the_way_again(refusal, asked, sign_in, &attempt),
                None => (again(asked, sign_in, &attempt.target), "no_ticket").into(),
            }),
        };
    }
    if known.is_some_and(|session| !people.may_bring_another(session.key)) {
        return on("already");
    }
    let mut new = match redeem(asked, sign_in, &attempt, &state, by).await {
        Ok(new) => new,
        // A reload, or the way back leads here once more: the session is as good as before.
        Err(_) if known.is_some() => return on("already"),
        Err(refusal) if refusal.retry == Retry::BesideOthers => {
            return beside_others(asked, sign_in, &attempt).await.unwrap_or(Err(refusal));
        }
        Err(refusal) => return Err(refusal),
    };
    let _turn = people.tabs.turn(&new.subject).await;
    if let Some(session) = known.filter(|session| session.identity.subject.as_deref() == Some(&*new.subject)) {
        // Another tab was faster. The server may name the ticket of either when the person signs out there.
        let added = people.sessions.also_by(session, &new, here.now).await;
        added.map_err(of_store)?;
        return on("already");
    }
    let secret = match begun_in_another_tab(asked, &attempt, &new).await {
        // With `renew` it may be the one whose cookie came.
        Some((_, session)) if before.as_ref().is_some_and(|before| before.key == session.key) => return on("already"),
        Some((secret, session)) => {
            let added = people.sessions.also_by(&session, &new, here.now).await;
            added.map_err(of_store)?;
            secret
        }
        None => {
            let (subject, id_token) = (new.subject.clone(), new.id_token.take());
            let once = std::mem::take(&mut new.once);
            let record = SignedIn::new(sign_in.config, new, Carrier::Cookie, here.now);
            let begun = people.sessions.begin(record, here.config, here.now).await;
            let (secret, session) = begun.map_err(of_store)?;
            // A logout at the server may have overtaken the sign-in.
            if people.sessions.ended_meanwhile(&session).await.map_err(of_store)? {
                return Err(stale(asked, sign_in, &attempt.target));
            }
            if let Some(id_token) = id_token {
                people
                    .sessions
                    .keep_id_token(&session, &id_token)
                    .await
                    .map_err(of_store)?;
            }
            people.tabs.begins(&attempt, &subject, &secret);
            asked.brought.put(&session, once);
            secret
        }
    };
    if let Some(before) = before.filter(|session| session.is_by_cookie()) {
        // Its cookie is about to be written over; who has kept a copy has nothing.
        let ended = people.sessions.end(before.key, "replaced").await;
        ended.map_err(of_store)?;
    }
    let (mut reply, label) = on("ok")?;
    reply.set_cookie(here.jar().set(SESSION, &secret, None));
    Ok((reply, label))
}

/// Where a tab goes on whose ticket is dead while the same browser has other attempts under way. There are servers that
/// forget a ticket when they give the next one, so that of tabs that a browser restores all at once the last one alone
/// comes in. The others wait for it, and ask for a second ticket if it does not come; not at once, since that would be the
/// end of its ticket, too. `None`: the ticket is just dead.
async fn beside_others(asked: &Asked<'_>, sign_in: SignIn<'_>, attempt: &Attempt) -> Option<Arrived> {
    let here = &asked.here;
    let cookies = here.jar().beginning_with(asked.headers, attempt::COOKIE);
    let others = cookies.into_iter().filter(|(name, _)| *name != attempt.cookie());
    let others: Vec<&str> = others.map(|(_, value)| value).collect();
    if others.is_empty() {
        return None;
    }
    if let Some(secret) = here.people.tabs.begins_soon(&others, &attempt.sign_in).await
        && living(asked, &secret).await.is_some()
    {
        let on = ended(asked, attempt, going_on(asked, &attempt.target, "already"));
        return Some(on.map(|(mut reply, label)| {
            reply.set_cookie(here.jar().set(SESSION, &secret, None));
            (reply, label)
        }));
    }
    if attempt.is_second {
        return None;
    }
    let again = match begin_again(asked, sign_in, attempt).await {
        Ok(reply) => Ok((reply, "invalid_ticket")),
        Err(refusal) => Err((refusal, "internal").into()),
    };
    Some(ended(asked, attempt, again))
}

/// The session of the same person that another tab of this browser has begun, and whose cookie is still on its way; with
/// its secret.
async fn begun_in_another_tab(
    asked: &Asked<'_>,
    attempt: &Attempt,
    new: &NewSession,
) -> Option<(String, Arc<Session>)> {
    let people = asked.here.people;
    let cookies = asked.here.jar().beginning_with(asked.headers, attempt::COOKIE);
    let cookies = cookies.into_iter().map(|(_, value)| value);
    let secret = people.tabs.began_by(cookies, attempt, &new.subject)?;
    let session = living(asked, &secret).await;
    let session = session.filter(|session| people.may_bring_another(session.key))?;
    Some((secret, session))
}

async fn living(asked: &Asked<'_>, secret: &str) -> Option<Arc<Session>> {
    let here = &asked.here;
    let carried = Carried::cookie(secret);
    here.people.sessions.find(&carried, here.config, here.now).await.ok()?
}

/// The person who comes back with the attempt, which is spent by it.
async fn redeem(
    asked: &Asked<'_>,
    sign_in: SignIn<'_>,
    attempt: &Attempt,
    state: &str,
    by: AttemptedBy<'_>,
) -> Result<NewSession, Refusal> {
    let people = asked.here.people;
    let place = async {
        let stale = || stale(asked, sign_in, &attempt.target);
        if people.attempts.is_spent(attempt) {
            return Err(stale());
        }
        let place = people.place_to_judge(&sign_in.config.name, asked.client).await?;
        if people.attempts.spend(attempt) {
            Ok(place)
        } else {
            Err(stale())
        }
    };
    let url = sign_in.callback(&attempt.origin);
    let callback = Callback { url: &url, state };
    let completed = sign_in.provider.complete(asked, callback, by, place).await;
    let new = completed.map_err(|refusal| with_the_way_again(refusal, asked, sign_in, attempt))?;
    for (attribute, values) in roles::passed_over(&sign_in.config.roles, &new.attributes) {
        tracing::info!(
            sign_in = &*sign_in.config.name,
            attribute,
            values,
            "become no role: they have commas, control characters or blanks at an end, or more than 512 bytes"
        );
    }
    Ok(new)
}

/// Offers another sign-in, where that may help.
fn with_the_way_again(mut refusal: Refusal, asked: &Asked<'_>, sign_in: SignIn<'_>, attempt: &Attempt) -> Refusal {
    if refusal.retry != Retry::No {
        refusal.rejection.hint = where_again(asked, sign_in, &attempt.target);
    }
    refusal
}

fn of_store(error: impl Into<Rejection>) -> Refusal {
    (error.into(), "store").into()
}

fn going_on(asked: &Asked<'_>, target: &str, label: &'static str) -> Arrived {
    match asked.here.go_to(target) {
        Ok(reply) => Ok((reply, label)),
        Err(refusal) => Err((refusal, "internal").into()),
    }
}

/// The attempt is over: its cookie goes.
fn ended(asked: &Asked<'_>, attempt: &Attempt, arrived: Arrived) -> Arrived {
    arrived.map(|(mut reply, label)| {
        reply.set_cookie(asked.here.jar().remove(&attempt.cookie()));
        (reply, label)
    })
}

fn stale(asked: &Asked<'_>, sign_in: SignIn<'_>, target: &str) -> Refusal {
    (again(asked, sign_in, target), "stale").into()
}

/// Too late, or in another browser: the page offers to begin once more, and goes nowhere by itself.
fn again(asked: &Asked<'_>, sign_in: SignIn<'_>, target: &str) -> Rejection {
    Rejection::new(Reason::SignInStale).with_hint(where_again(asked, sign_in, target))
}

fn where_again(asked: &Asked<'_>, sign_in: SignIn<'_>, target: &str) -> Hint {
    Hint::SignIn(where_to_and_back(&asked.here, &[sign_in.index], target))
}
