//! From the values of the modules to the members of the report: names for numbers, words for times, and of credentials
//! that pass through only their kind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Method, header};
use serde_json::{Map, Value};

use super::report::moment;
use super::{AccessToken, Budget, Capped, Credential, KeySet, Moment, RouteFate, Seen, SignedIn};
use crate::authenticate::bearer::Looked;
use crate::authenticate::launch::LaunchSession;
use crate::authenticate::session::cookie;
use crate::authenticate::session::{Carrier, Session};
use crate::authenticate::token::{Examined, KeySource, carrier};
use crate::authorize::explain as rules;
use crate::config::{JwksLocation, TokenSource};
use crate::context::{Context, HeldPass};
use crate::gateway::{self, endpoints as own, parts};
use crate::present;
use crate::rate::Rate;
use crate::redact;
use crate::rejection::{Hint, Rejection};
use crate::request::REQUEST_ID;
use crate::route::table::MatchOutcome;
use crate::snapshot::Route;

/// The place of an access token.
pub(super) const ACCESS_TOKEN: &str = "access token: header authorization";

/// What the place of a session begins with.
pub(super) const SESSION: &str = "session";
/// What stands before the place of credentials that the upstream judges.
pub(super) const FOR_UPSTREAM: &str = "for the upstream";

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
    let tokens = carrier::find(&ctx.snapshot.judged_sources, headers, query);
    let mut secrets: Vec<String> = tokens.iter().map(str::to_owned).collect();
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let tickets = pairs.filter(|(name, _)| name == "ticket" || name == "code");
    secrets.extend(tickets.map(|(_, value)| value.into_owned()));
    if let Ok(here) = own::here(ctx) {
        secrets.extend(here.launches(headers).into_iter().map(|(_, secret)| secret.to_owned()));
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

pub(super) fn outcome(route: &Route, outcome: MatchOutcome, method: &Method) -> RouteFate {
    let why = match outcome {
        MatchOutcome::Won => None,
        MatchOutcome::LessSpecific => Some("a more specific path wins".to_owned()),
        MatchOutcome::OtherMethod => Some(format!("not for {method}")),
        MatchOutcome::OtherHost => Some("a route that names the host more precisely wins".to_owned()),
        MatchOutcome::AnyMethod => Some("a route that names the method wins".to_owned()),
    };
    RouteFate {
        name: route.config.name.to_string(),
        path: route.config.path.clone(),
        won: outcome == MatchOutcome::Won,
        why,
    }
}

impl Credential {
    /// One that is valid and counts, or why it does not.
    fn looked_at<T>(place: String, found: Result<T, &Rejection>) -> Self {
        let refusal = found.as_ref().err();
        Self {
            place,
            valid: refusal.is_none(),
            counts: refusal.is_none(),
            reason: refusal.map(|refusal| refusal.reason.label().to_owned()),
            detail: refusal.and_then(|refusal| refusal.detail.clone()),
            ..Self::default()
        }
    }
}

pub(super) fn credential(examined: Examined, place: Option<&TokenSource>, counts: bool, now: SystemTime) -> Credential {
    let place = place.map(parts::place).unwrap_or_default();
    let texts = |grants: Vec<_>| grants.iter().map(rules::grant).collect();
    let claims = examined.claims.as_ref();
    Credential {
        counts,
        times: claims.map(|claims| times(claims, now)).unwrap_or_default(),
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
        ..Credential::looked_at(place, examined.verdict.as_ref())
    }
}

/// A session, or why the one that is carried is none.
pub(super) fn session(place: String, found: Result<&Session, &Rejection>, now: SystemTime) -> Credential {
    let mut told = Credential::looked_at(place, found);
    if let Ok(session) = found {
        told.roles.kept.clone_from(&session.identity.roles);
        told.session = Some(SignedIn {
            sign_in: session.identity.source.to_string(),
            subject: session.identity.subject.clone().unwrap_or_default(),
            created: moment(session.created, now),
            expires: moment(session.expires, now),
            idle: session.idle.as_secs(),
        });
    }
    told
}

/// An access token, or why it does not count.
pub(super) fn bearer(looked: &Looked, now: SystemTime) -> Credential {
    let mut told = Credential::looked_at(ACCESS_TOKEN.to_owned(), looked.verdict.as_ref());
    let bearer = looked.bearer.as_ref().map(ToString::to_string);
    let mut access = AccessToken {
        bearer,
        ..AccessToken::default()
    };
    if let Ok(known) = &looked.verdict {
        let who = &known.identity;
        access.subject.clone_from(&who.subject);
        if let Some(said) = &who.access {
            access.client.clone_from(&said.client);
            access.scopes.clone_from(&said.scopes);
        }
        told.times = vec![("exp".to_owned(), moment(who.expires, now))];
        told.roles.kept.clone_from(&who.roles);
    }
    told.access = Some(access);
    told
}

/// A launch session, or why the one that is carried is none.
pub(super) fn launch(place: String, found: Result<&LaunchSession, &Rejection>, now: SystemTime) -> Credential {
    let mut told = Credential::looked_at(place, found);
    if let Ok(session) = found {
        let who = &session.identity;
        let subject = who.subject.iter().cloned();
        told.claims = Some(
            subject
                .map(|subject| ("sub".to_owned(), Value::String(subject)))
                .collect(),
        );
        told.times = issued_and_ends(session.created, who.expires, now);
        told.key = Some("the gateway, after a launch".to_owned());
        told.issuers = vec![who.source.to_string()];
        told.roles.kept.clone_from(&who.roles);
        told.grants.kept = who.grants.iter().map(rules::grant).collect();
    }
    told
}

/// A watch pass: one that is good, or why none is.
pub(super) fn pass(pass: Result<&HeldPass, &Rejection>, now: SystemTime) -> Credential {
    let place = match pass {
        Ok(held) if held.in_query => "watch pass (query)",
        Ok(_) => "watch pass (cookie)",
        Err(_) => "watch pass",
    };
    let mut told = Credential::looked_at(place.to_owned(), pass);
    if let Ok(HeldPass { pass, .. }) = pass {
        told.times = issued_and_ends(pass.issued, pass.expires, now);
        told.key = Some("the gateway".to_owned());
        told.issuers = vec![pass.issuer.clone()];
    }
    told
}

/// A signed address: what it allows, or why it does not. What the policy says is told where its signature is good.
pub(super) fn signed_url(looked: gateway::signed_url::Looked, now: SystemTime) -> Credential {
    let mut told = Credential::looked_at("signed address (query)".to_owned(), looked.verdict.as_ref());
    if let Some(policy) = looked.policy {
        told.times = vec![("exp".to_owned(), moment(policy.until, now))];
        told.times
            .extend(policy.from.map(|from| ("nbf".to_owned(), moment(from, now))));
        let resource = [("resource".to_owned(), Value::String(policy.resource))];
        let client = policy
            .client
            .map(|client| ("client".to_owned(), Value::String(client.to_string())));
        told.claims = Some(resource.into_iter().chain(client).collect());
        told.key = Some("a key".to_owned());
    }
    told.issuers.extend(looked.by.map(|by| format!("signed_urls.{by}")));
    told
}

fn issued_and_ends(issued: SystemTime, ends: SystemTime, now: SystemTime) -> Vec<(String, Moment)> {
    vec![
        ("iat".to_owned(), moment(issued, now)),
        ("exp".to_owned(), moment(ends, now)),
    ]
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
