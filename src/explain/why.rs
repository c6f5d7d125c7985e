//! Why a recent request was refused: what the gateway has kept of it, as a report.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::Outcome;
use super::report::{Capped, Credential, Moment, Past, PastUpstream, Report, RouteFate, Seen, moment};
use crate::context::Found;
use crate::gateway::recent::{Entry, Recent};
use crate::rejection::Reason;

/// A shorter beginning of an id is not looked for.
pub const SHORTEST_ID: usize = 6;
/// Of several that begin alike so many are named.
const MOST_NAMED: usize = 10;

/// Which request is meant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Which {
    /// Of this id, or the only one whose id begins so.
    Id(String),
    /// The last refusal; of this route, if one is named.
    Last { route: Option<String> },
}

/// What is known of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Found(Box<Report>),
    /// Whose ids begin so.
    Several(Vec<String>),
    /// Why not: how far what is kept reaches back.
    Nothing(String),
}

/// The id as the gateway writes it: people copy it in groups, and in capitals.
pub fn plain_id(id: &str) -> String {
    let kept = id.chars().filter(|letter| !letter.is_whitespace() && *letter != '-');
    kept.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// `generation` is the one in force.
pub fn answer(recent: &Recent, which: &Which, generation: u64, now: SystemTime) -> Answer {
    let found = match which {
        Which::Id(id) => {
            let id = plain_id(id);
            if id.len() < SHORTEST_ID || id.contains(|letter: char| !letter.is_ascii_hexdigit()) {
                return Answer::Nothing(format!(
                    "A request id has 32 hex digits; {SHORTEST_ID} at least are needed."
                ));
            }
            recent.beginning(&id)
        }
        Which::Last { route } => {
            let is_meant = |entry: &Entry| {
                let name = entry.route.as_ref().map(|(name, _)| name.as_str());
                // Who has left was refused nothing.
                entry.reason != Some(Reason::ClientGone) && route.as_deref().is_none_or(|wanted| name == Some(wanted))
            };
            recent
                .refusals()
                .into_iter()
                .filter(|entry| is_meant(entry))
                .take(1)
                .collect()
        }
    };
    match found.as_slice() {
        [] => Answer::Nothing(nothing(recent, now)),
        [entry] => Answer::Found(Box::new(report(entry, generation, now))),
        several => Answer::Several(
            several
                .iter()
                .take(MOST_NAMED)
                .map(|entry| entry.id.to_string())
                .collect(),
        ),
    }
}

/// How far what is kept reaches back.
fn nothing(recent: &Recent, now: SystemTime) -> String {
    let since = |since: Option<SystemTime>| match since {
        Some(since) => {
            let Moment { utc, words, .. } = moment(since, now);
            format!("every one after {utc} ({words})")
        }
        None => "every one since the gateway started".to_owned(),
    };
    let (refusals, allowed) = recent.reach();
    let mut told = format!(
        "Nothing is kept of it. Of requests that were refused or failed {} are kept: {}",
        refusals.kept,
        since(refusals.since)
    );
    if refusals.crowded.is_some() {
        told += ", but of clients with very many only their latest";
    }
    told += &match allowed {
        Some(allowed) => format!(
            ". Of those that were allowed {} are kept: {}.",
            allowed.kept,
            since(allowed.since)
        ),
        None => ". Those that were allowed are not kept (server.recent).".to_owned(),
    };
    told
}

/// What is kept of a request, in the shape of an explanation.
pub fn report(entry: &Entry, generation: u64, now: SystemTime) -> Report {
    let mut report = Report {
        outcome: if entry.allowed { Outcome::Allow } else { Outcome::Deny },
        reason: entry.reason.map(|reason| reason.label().to_owned()),
        text: entry.reason.map(|reason| reason.public_text().to_owned()),
        status: Some(entry.status).filter(|status| *status > 0),
        detail: entry.detail.clone(),
        at: moment(entry.at, now),
        request: Some(Seen {
            method: entry.method.clone(),
            host: entry.host.clone(),
            path: entry.path.clone(),
            client: entry.client.to_string(),
            https: entry.https,
        }),
        params: entry.params.clone(),
        anonymous: entry.anonymous,
        else_asked: entry.else_asked,
        credentials: credentials(entry),
        deny: entry.deny.clone(),
        allow: entry.allow.clone(),
        past: Some(Past {
            request_id: entry.id.to_string(),
            query: entry.query.clone(),
            milliseconds: u64::try_from(entry.took.as_millis()).unwrap_or(u64::MAX),
            subject: entry.who.as_ref().and_then(|who| who.subject.clone()),
            generation: entry.generation,
            is_in_force: entry.generation == generation,
            upstream: entry.upstream.as_ref().map(|upstream| PastUpstream {
                name: upstream.name.clone(),
                server: upstream.server.clone(),
                answered_after: upstream
                    .answered_after
                    .map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            }),
        }),
        ..Report::default()
    };
    if let Some((name, path)) = entry.route.clone() {
        report.routes = vec![RouteFate {
            name,
            path,
            won: true,
            why: None,
        }];
    }
    report.advise();
    report
}

/// The roles and grants are those of the person whose credential counts: the last one that was valid.
fn credentials(entry: &Entry) -> Vec<Credential> {
    let valid = entry.credentials.iter().rposition(|(_, found)| *found == Found::Valid);
    let told = entry.credentials.iter().enumerate().map(|(number, (place, found))| {
        let who = entry.who.as_ref().filter(|_| valid == Some(number));
        let capped = |kept: Option<&Vec<String>>| Capped {
            kept: kept.cloned().unwrap_or_default(),
            dropped: Vec::new(),
        };
        Credential {
            place: place.clone(),
            valid: *found == Found::Valid,
            counts: who.is_some(),
            reason: match found {
                Found::Refused(reason) => Some(reason.label().to_owned()),
                Found::None | Found::Valid => None,
            },
            issuers: who.map(|who| who.source.clone()).into_iter().collect(),
            roles: capped(who.map(|who| &who.roles)),
            grants: capped(who.map(|who| &who.grants)),
            ..Credential::default()
        }
    });
    told.collect()
}
