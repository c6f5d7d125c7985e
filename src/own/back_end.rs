//! `POST /_janua/cas/<sign-in>/session`: a site's own back end, a CAS client itself, brings a proxy ticket that the CAS
//! server made for this address (CAS 3.0 section 2.6), and gets a session for its user to send as `Authorization: Bearer`.

use http::StatusCode;
use serde_json::json;

use super::callback::{judged, no_username, place, refused, unavailable};
use super::{Asked, json, logout};
use crate::authenticate::session::{Carrier, NewSession, SignedIn};
use crate::config::{Provider, SignIn};
use crate::rejection::{Reason, Rejection};
use crate::respond::Reply;
use crate::sign_in::cas::Ticket;

pub(super) async fn answer(asked: &Asked<'_>, index: usize) -> Result<Reply, Rejection> {
    let snapshot = asked.here.snapshot;
    let sign_in = snapshot.config.sign_ins.get(index).ok_or(Reason::NoRoute)?;
    let Provider::Cas(cas) = &sign_in.provider;
    if cas.proxy_chains.is_empty() {
        return Err(Rejection::because(
            Reason::NoRoute,
            "no proxy_chains: back ends get no sessions",
        ));
    }
    if let Some(ticket) = logout::posted(asked) {
        return logout::end(&asked.here, sign_in, &ticket).await;
    }
    let metrics = &snapshot.people.metrics;
    let judged = judge(asked, index, sign_in).await;
    let new = judged.map_err(|(rejection, label)| {
        metrics.signed_in(&sign_in.name, label);
        rejection
    })?;
    let record = SignedIn::new(sign_in, new, Carrier::Bearer, asked.here.now);
    let sessions = &snapshot.people.sessions;
    let begun = sessions.begin(record, &snapshot.config, asked.here.now).await;
    let (secret, session) = begun.map_err(|error| unavailable(&error))?;
    metrics.signed_in(&sign_in.name, "ok");
    let life = session.expires.duration_since(asked.here.now).unwrap_or_default();
    Ok(json(
        StatusCode::CREATED,
        &json!({
            "session": secret,
            "user": session.identity.subject,
            "expires_in": life.as_secs(),
            "idle": session.idle.as_secs(),
        }),
    ))
}

async fn judge(asked: &Asked<'_>, index: usize, sign_in: &SignIn) -> Result<NewSession, (Rejection, &'static str)> {
    let snapshot = asked.here.snapshot;
    let Provider::Cas(cas) = &sign_in.provider;
    let ticket = super::parameter(&asked.body, "ticket").unwrap_or_default();
    let ticket = Ticket::proxy(&ticket).map_err(|error| refused(&error.into()))?;
    let client = snapshot.cas.get(index).ok_or((Reason::Internal.into(), "internal"))?;
    let service = format!("{}/_janua/cas/{}/session", asked.here.public.origin(), sign_in.name);
    let place = place(asked).await?;
    let question = client.proxy_validate(&service, &ticket);
    let principal = judged(asked, sign_in, place, question)
        .await
        .map_err(|error| refused(&error))?;
    if !principal.came_through(&cas.proxy_chains) {
        let detail = format!(
            "the ticket came through {}, which is not in proxy_chains",
            principal.proxies.join(" ")
        );
        return Err((Rejection::because(Reason::SignInRefused, detail), "foreign_chain"));
    }
    let new = principal.signed_in(&ticket, &cas.username);
    new.ok_or_else(|| no_username(&cas.username))
}
