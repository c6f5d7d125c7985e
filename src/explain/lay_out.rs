//! From the values of the modules to the members of the report: names for numbers, words for times, and of credentials
//! that pass through only their kind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, header};
use serde_json::{Map, Value};

use super::report::moment;
use super::{Budget, Capped, Credential, KeySet, Moment, RouteFate, Rule, RuleCondition, Seen, SignedIn};
use crate::authenticate::launch::LaunchSession;
use crate::authenticate::session::cookie;
use crate::authenticate::session::{Carrier, Session};
use crate::authenticate::token::{Examined, KeySource, carrier};
use crate::authorize::explain::{self as rules, Verdict};
use crate::config::{JwksLocation, TokenSource};
use crate::context::{Context, HeldPass};
use crate::gateway::endpoints as own;
use crate::present;
use crate::rate::Rate;
use crate::redact;
use crate::rejection::{Hint, Rejection};
use crate::request::REQUEST_ID;
use crate::route::table::Fate;
use crate::snapshot::Route;

/// What the place of a session begins with.
pub(super) const SESSION: &str = "session";

pub(super) fn seen(ctx: &Context) -> Option<Seen> {
    let (request, client) = (&ctx.request, &ctx.client);
    request.is_known().then(|| Seen {
        method: request.method.to_string(),
        host: request.host.clone(),
        path: Some(ctx.path.encoded().to_owned()).filter(|path| !path.is_empty()),
        client: client.address.to_string(),
        https: client.https,
    })
}

/// What must not be seen in the report: tokens, tickets, and the secrets of sessions.
pub(super) fn secrets(ctx: &Context, headers: &HeaderMap) -> Vec<String> {
    let query = ctx.request.query.as_deref();
    let tokens = carrier::find(&ctx.snapshot.token_sources, headers, query);
    let mut secrets: Vec<String> = tokens.iter().map(str::to_owned).collect();
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let tickets = pairs.filter(|(name, _)| name == "ticket");
    secrets.extend(tickets.map(|(_, value)| value.into_owned()));
    if let Ok(here) = own::here(ctx) {
        secrets.extend(here.launches(headers).into_iter().map(str::to_owned));
        secrets.extend(here.carried(headers).iter().map(|one| one.secret().to_owned()));
    }
    secrets
}

/// Where the secret of a session stands in the request, if there is one.
pub(super) fn session_place(ctx: &Context, headers: &HeaderMap) -> Option<String> {
    let here = own::here(ctx).ok()?;
    Some(match here.carried(headers).first()?.carrier {
        Carrier::Cookie => format!("{SESSION}: cookie {}", here.jar().name(cookie::SESSION)),
        Carrier::Bearer => format!("{SESSION}: header authorization"),
    })
}

pub(super) fn told(rejection: &Rejection) -> Option<String> {
    match (&rejection.detail, &rejection.hint) {
        (Some(detail), _) => Some(detail.clone()),
        (None, Hint::Allow(methods)) => {
            let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
            Some(format!("allowed: {}", methods.join(", ")))
        }
        (None, _) => None,
    }
}

pub(super) fn key_set(source: &KeySource, now: SystemTime) -> KeySet {
    KeySet {
        issuer: source.state.name.to_string(),
        from: match &source.location {
            JwksLocation::File(path) => path.display().to_string(),
            JwksLocation::Url(url) => redact::referer(url.as_str()).into_owned(),
        },
        keys: source.state.keys,
        fetched: source.state.fetched.map(|fetched| moment(fetched, now)),
        problem: source.state.problem.clone(),
    }
}

pub(super) fn fate(route: &Route, fate: Fate, method: &Method) -> RouteFate {
    let why = match fate {
        Fate::Won => None,
        Fate::LessSpecific => Some("a more specific path wins".to_owned()),
        Fate::OtherMethod => Some(format!("not for {method}")),
        Fate::AnyMethod => Some("a route that names the method wins".to_owned()),
    };
    RouteFate {
        name: route.config.name.to_string(),
        path: route.config.path.clone(),
        won: fate == Fate::Won,
        why,
    }
}

pub(super) fn credential(examined: Examined, place: Option<&TokenSource>, counts: bool, now: SystemTime) -> Credential {
    let refusal = examined.verdict.as_ref().err();
    let texts = |grants: Vec<_>| grants.iter().map(rules::grant).collect();
    Credential {
        place: match place {
            Some(TokenSource::Header { name, .. }) => format!("header {name}"),
            Some(TokenSource::Query { parameter }) => format!("query {parameter}"),
            Some(TokenSource::Form { parameter }) => format!("form {parameter}"),
            None => String::new(),
        },
        valid: refusal.is_none(),
        counts,
        reason: refusal.map(|refusal| refusal.reason.label().to_owned()),
        detail: refusal.and_then(|refusal| refusal.detail.clone()),
        times: examined
            .claims
            .as_ref()
            .map(|claims| times(claims, now))
            .unwrap_or_default(),
        header: examined.header,
        claims: examined.claims,
        key: examined.key,
        issuers: examined.issuers.iter().map(ToString::to_string).collect(),
        roles: Capped {
            kept: examined.roles.kept,
            dropped: examined.roles.dropped,
        },
        grants: Capped {
            kept: texts(examined.grants.kept),
            dropped: texts(examined.grants.dropped),
        },
        session: None,
    }
}

/// A session, or why the one that is carried is none.
pub(super) fn session(place: String, found: Result<&Session, &Rejection>, now: SystemTime) -> Credential {
    let (found, refusal) = (found.ok(), found.err());
    let signed_in = found.map(|session| SignedIn {
        sign_in: session.identity.source.to_string(),
        subject: session.identity.subject.clone().unwrap_or_default(),
        created: moment(session.created, now),
        expires: moment(session.expires, now),
        idle: session.idle.as_secs(),
    });
    Credential {
        place,
        valid: found.is_some(),
        counts: found.is_some(),
        reason: refusal.map(|refusal| refusal.reason.label().to_owned()),
        detail: refusal.and_then(|refusal| refusal.detail.clone()),
        header: None,
        claims: None,
        times: Vec::new(),
        key: None,
        issuers: Vec::new(),
        roles: Capped {
            kept: found.map(|session| session.identity.roles.clone()).unwrap_or_default(),
            dropped: Vec::new(),
        },
        grants: Capped::default(),
        session: signed_in,
    }
}

/// A launch session, or why the one that is carried is none.
pub(super) fn launch(place: String, found: Result<&LaunchSession, &Rejection>, now: SystemTime) -> Credential {
    let (found, refusal) = (found.ok(), found.err());
    let times = |session: &LaunchSession| {
        let times = [("iat", session.created), ("exp", session.identity.expires)];
        times.map(|(name, time)| (name.to_owned(), moment(time, now))).to_vec()
    };
    let who = found.map(|session| &session.identity);
    let mut claims = Map::new();
    if let Some(subject) = who.and_then(|who| who.subject.clone()) {
        claims.insert("sub".to_owned(), Value::String(subject));
    }
    Credential {
        place,
        valid: found.is_some(),
        counts: found.is_some(),
        reason: refusal.map(|refusal| refusal.reason.label().to_owned()),
        detail: refusal.and_then(|refusal| refusal.detail.clone()),
        header: None,
        claims: found.map(|_| claims),
        times: found.map(times).unwrap_or_default(),
        key: found.map(|_| "the gateway, after a launch".to_owned()),
        issuers: who.map(|who| who.source.to_string()).into_iter().collect(),
        roles: Capped {
            kept: who.map(|who| who.roles.clone()).unwrap_or_default(),
            dropped: Vec::new(),
        },
        grants: Capped {
            kept: who
                .map(|who| who.grants.iter().map(rules::grant).collect())
                .unwrap_or_default(),
            dropped: Vec::new(),
        },
        session: None,
    }
}

/// A watch pass: one that is good, or why none is.
pub(super) fn pass(pass: Result<&HeldPass, &Rejection>, now: SystemTime) -> Credential {
    let (held, refusal) = (pass.ok(), pass.err());
    let times = |held: &HeldPass| {
        let times = [("iat", held.pass.issued), ("exp", held.pass.expires)];
        times.map(|(name, time)| (name.to_owned(), moment(time, now))).to_vec()
    };
    Credential {
        place: match held {
            Some(held) if held.in_query => "watch pass (query)".to_owned(),
            Some(_) => "watch pass (cookie)".to_owned(),
            None => "watch pass".to_owned(),
        },
        valid: held.is_some(),
        counts: held.is_some(),
        reason: refusal.map(|refusal| refusal.reason.label().to_owned()),
        detail: refusal.and_then(|refusal| refusal.detail.clone()),
        times: held.map(times).unwrap_or_default(),
        header: None,
        claims: None,
        key: held.map(|_| "the gateway".to_owned()),
        issuers: held.map(|held| held.pass.issuer.clone()).into_iter().collect(),
        roles: Capped::default(),
        grants: Capped::default(),
        session: None,
    }
}

/// Claims that are NumericDates (RFC 7519 section 4.1).
fn times(claims: &Map<String, Value>, now: SystemTime) -> Vec<(String, Moment)> {
    let time = |name: &str| {
        let since = Duration::try_from_secs_f64(claims.get(name)?.as_f64()?).ok()?;
        let time = UNIX_EPOCH.checked_add(since)?;
        Some((name.to_owned(), moment(time, now)))
    };
    ["exp", "nbf", "iat"].into_iter().filter_map(time).collect()
}

pub(super) fn rule(verdict: Verdict) -> Rule {
    let conditions = verdict.conditions.into_iter().map(|judged| RuleCondition {
        condition: judged.condition,
        holds: judged.holds,
        met: judged.met,
    });
    Rule {
        holds: verdict.holds,
        conditions: conditions.collect(),
    }
}

/// `live`: has the process counted that says `spent`?
pub(super) fn budget(key: &str, of: String, rate: Rate, spent: bool, live: bool) -> Budget {
    Budget {
        key: key.to_owned(),
        of,
        per_second: rate.per_second,
        burst: rate.burst,
        spent: live.then_some(spent),
    }
}

/// What arrives there. Of credentials only their kind is told.
pub(super) fn upstream_headers(
    headers: &HeaderMap,
    changes: impl IntoIterator<Item = present::Changes>,
) -> Vec<(String, String)> {
    let mut headers = headers.clone();
    for changes in changes {
        // More than a map can hold is refused, where it is carried out.
        drop(changes.apply(&mut headers));
    }
    let told = headers.iter().map(|(name, value)| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = if *name == header::AUTHORIZATION {
            text.split_once(' ')
                .map_or("***".to_owned(), |(scheme, _)| format!("{scheme} ***"))
        } else if *name == header::COOKIE {
            cookie_names(&text)
        } else if *name == REQUEST_ID {
            "(a new one for each request)".to_owned()
        } else if *name == header::REFERER {
            redact::referer(&text).into_owned()
        } else {
            text.into_owned()
        };
        (name.to_string(), text)
    });
    told.collect()
}

fn cookie_names(cookies: &str) -> String {
    let names = cookies.split(';').map(|pair| {
        let name = pair.split_once('=').map_or("", |(name, _)| name.trim());
        format!("{name}=***")
    });
    names.collect::<Vec<_>>().join("; ")
}
