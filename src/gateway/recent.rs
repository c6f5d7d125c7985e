//! What is kept of the latest requests, so that an operator can ask later why one of them was refused: what was looked at, what
//! came of it, and how it ended.
//!
//! Nothing secret is in it, by construction: no header, no value of a query, no body; text is cut, cleared of tokens and of
//! what turns a terminal's direction. Of a request that was allowed and answered well nothing is gathered, unless the
//! operator wants those as well.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::parts;
use super::rules::Case;
use super::trace::Trace;
use crate::authenticate::token::{Outcome, carrier};
use crate::authorize::Facts;
use crate::authorize::explain::{self as rules, Verdict};
use crate::config::{self, Credential};
use crate::context::{Context, Found, Looked};
use crate::fair::Asker;
use crate::observe::access_log;
use crate::observe::denials::harmless;
use crate::observe::mask;
use crate::observe::request_id::RequestId;
use crate::observe::ring::{Reach, Ring};
use crate::redact;
use crate::rejection::Reason;
use crate::snapshot::{Action, Route};

/// Bytes of text that one entry has at most.
const MOST_TEXT: usize = 8 * 1024;
/// Of rules, roles and grants so many are told,
const MAX_LISTED: usize = 16;
/// and of each text so many bytes.
const LONGEST: usize = 256;
const LONGEST_PATH: usize = 1024;

/// How a request ended: why, and whether it was sent elsewhere instead of being refused.
type Kind = (Option<Reason>, bool);

/// The latest requests.
pub struct Recent {
    /// Refused, failed, or answered by an upstream with 400 or more.
    refusals: Ring<Kind, Entry>,
    allowed: Ring<Kind, Entry>,
}

/// What is kept of one. Text is harmless already.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When its header was there.
    pub at: SystemTime,
    pub took: Duration,
    pub id: RequestId,
    /// Of the snapshot that judged it.
    pub generation: u64,
    pub client: IpAddr,
    pub https: bool,
    pub method: String,
    pub host: String,
    /// `None`: it had no canonical one.
    pub path: Option<String>,
    /// The names of the query's parameters.
    pub query: Option<String>,
    /// Name and path.
    pub route: Option<(String, String)>,
    pub params: Vec<(String, String)>,
    pub anonymous: bool,
    pub else_asked: bool,
    pub allowed: bool,
    pub reason: Option<Reason>,
    pub detail: Option<String>,
    /// 0: the client went before the answer.
    pub status: u16,
    /// Whose credential counts.
    pub who: Option<Who>,
    /// Where each kind stood, and what became of it.
    pub credentials: Vec<(String, Found)>,
    pub deny: Vec<Verdict>,
    pub allow: Vec<Verdict>,
    pub upstream: Option<Upstream>,
}

#[derive(Debug, Clone)]
pub struct Who {
    /// The issuer, sign-in or bearer.
    pub source: String,
    /// As the log has it.
    pub subject: Option<String>,
    pub roles: Vec<String>,
    pub grants: Vec<String>,
}

/// Who was asked for the answer.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub name: String,
    /// `None`: none of its servers could be chosen.
    pub server: Option<String>,
    /// To the header of its answer.
    pub answered_after: Option<Duration>,
}

impl Recent {
    pub fn new(room: config::Recent) -> Self {
        Self {
            refusals: Ring::new(room.refusals),
            allowed: Ring::new(room.allowed),
        }
    }

    /// The refusals, the latest first.
    pub fn refusals(&self) -> Vec<Arc<Entry>> {
        self.refusals.latest()
    }

    /// All whose id begins so; refusals first.
    pub fn beginning(&self, id: &str) -> Vec<Arc<Entry>> {
        let all = self.refusals.latest().into_iter().chain(self.allowed.latest());
        all.filter(|entry| entry.id.as_str().starts_with(id)).collect()
    }

    /// How far the refusals reach back; the requests that were allowed, if they are kept.
    pub fn reach(&self) -> (Reach, Option<Reach>) {
        let allowed = self.allowed.is_enabled().then(|| self.allowed.reach());
        (self.refusals.reach(), allowed)
    }
}

/// At the end of a request; `told` is what the log has of it.
pub(super) fn tell(recent: &Recent, headers: &HeaderMap, ctx: &Context, told: &access_log::Entry<'_>) {
    let ring = match told.reason.is_some() || told.status >= 400 {
        true => &recent.refusals,
        false => &recent.allowed,
    };
    if ring.is_enabled() {
        let whose = Asker::of(ctx.who.as_deref(), ctx.client.address);
        let kind = (told.reason, told.status < 400);
        ring.add(whose, kind, ctx.at, entry(headers, ctx, told));
    }
}

fn entry(headers: &HeaderMap, ctx: &Context, told: &access_log::Entry<'_>) -> Entry {
    let mut room = Room(MOST_TEXT);
    let route = ctx.target.as_ref().map(|target| &target.route).or(ctx.route.as_ref());
    let (deny, allow) = route.map_or_else(Default::default, |route| judged(ctx, route, &mut room));
    let params = ctx.target.as_ref().map_or(&ctx.params, |target| &target.params);
    let (method, path) = match ctx.target.as_deref() {
        Some(target) => (&target.request.method, target.path.encoded()),
        None => (told.method, told.path),
    };
    let names: Vec<&str> = told.query.map(redact::query_names).into_iter().flatten().collect();
    Entry {
        at: ctx.at,
        took: told.took,
        id: ctx.id,
        generation: ctx.snapshot.generation,
        client: mask::address(told.client),
        https: ctx.client.https,
        method: room.text(method.as_str(), 32),
        host: room.text(told.host, LONGEST),
        path: Some(path)
            .filter(|path| *path != "-")
            .map(|path| room.text(&redact::path(path), LONGEST_PATH)),
        query: (!names.is_empty()).then(|| names.join(",")),
        route: route.map(|route| {
            let config = &route.config;
            (room.text(&config.name, LONGEST), room.text(&config.path, LONGEST))
        }),
        params: params
            .iter()
            .take(MAX_LISTED)
            .map(|(name, value)| (name.to_owned(), room.text(&redact::path(value), LONGEST)))
            .collect(),
        anonymous: route.is_some_and(|route| route.anonymous),
        else_asked: ctx.looked.else_asked,
        allowed: told.outcome == access_log::Outcome::Allow,
        reason: told.reason,
        detail: told.detail.map(|detail| room.text(&mask::text(detail), 512)),
        status: told.status,
        credentials: credentials(ctx, headers),
        who: ctx.who.as_ref().map(|who| Who {
            source: room.text(&who.source, LONGEST),
            subject: told
                .subject
                .map(|(people, name)| room.text(&format!("{people}/{}", mask::subject(name)), LONGEST)),
            roles: room.list(who.roles.iter().map(String::as_str)),
            grants: room.list(who.grants.iter().map(rules::grant)),
        }),
        deny,
        allow,
        upstream: route.and_then(|route| upstream(route, told)),
    }
}

/// The rules as they were judged, where they were asked.
fn judged(ctx: &Context, route: &Route, room: &mut Room) -> (Vec<Verdict>, Vec<Verdict>) {
    let by_rules = ctx
        .rejection
        .as_ref()
        .is_some_and(|refusal| refusal.reason.is_by_rules());
    if !ctx.looked.rules && !by_rules {
        return Default::default();
    }
    let (case, events) = match ctx.target.as_deref() {
        Some(target) => {
            let case = Case {
                request: &target.request,
                path: &target.path,
                params: &target.params,
                ..Case::of(ctx, route)
            };
            (case, &target.events)
        }
        None => (Case::of(ctx, route), &ctx.events),
    };
    let facts = case.facts(ctx.who.as_deref(), events);
    let mut told = |all: &[config::Rule]| {
        let mut verdicts = rules::explain(all.get(..MAX_LISTED).unwrap_or(all), &facts);
        for condition in verdicts.iter_mut().flat_map(|verdict| &mut verdict.conditions) {
            condition.condition = room.text(&condition.condition, LONGEST);
            condition.met = room.text(&masked(ctx, &condition.met), LONGEST);
        }
        verdicts
    };
    (told(&route.config.deny), told(&route.config.allow))
}

/// What a rule has met, without what `log.mask` hides.
fn masked(ctx: &Context, met: &str) -> String {
    let met = mask::text(met);
    let subject = ctx.who.as_deref().and_then(|who| who.subject.as_deref());
    match subject.map(|subject| (subject, mask::subject(subject))) {
        Some((subject, hidden)) if hidden != subject => met.replace(&format!("{subject:?}"), &format!("{hidden:?}")),
        _ => met.into_owned(),
    }
}

/// Where the credentials stood that were looked at.
fn credentials(ctx: &Context, headers: &HeaderMap) -> Vec<(String, Found)> {
    if let Some(brought) = &ctx.upstream_auth {
        return vec![(format!("{}, for the upstream", brought.scheme.label()), Found::Valid)];
    }
    let looked = ctx.looked.credentials.iter().map_while(|one| *one);
    let told = looked.map(|(kind, found)| (place(kind, found, ctx, headers), found));
    told.collect()
}

fn place(kind: Credential, found: Found, ctx: &Context, headers: &HeaderMap) -> String {
    let place = match kind {
        Credential::Jwt => "token",
        Credential::Session => "session",
        Credential::Bearer => "access token: header authorization",
        Credential::Launch => "launch session: cookie",
        Credential::Watch => "watch pass",
        Credential::SignedUrl => "signed address",
        Credential::Basic => "Basic",
        Credential::Digest => "Digest",
    };
    if kind != Credential::Jwt || found == Found::None {
        return place.to_owned();
    }
    let sources = &ctx.snapshot.token_sources;
    let carried = carrier::find(sources, headers, ctx.request.query.as_deref());
    let places = carried.with_sources().filter_map(|(source, _)| sources.get(source));
    let places: Vec<String> = places.map(parts::place).collect();
    match places.is_empty() {
        true => place.to_owned(),
        false => format!("{place}: {}", places.join(", ")),
    }
}

fn upstream(route: &Route, told: &access_log::Entry<'_>) -> Option<Upstream> {
    let Action::Upstream(upstream) = &route.action else {
        return None;
    };
    let was_asked = told.outcome == access_log::Outcome::Allow || told.upstream.is_some();
    was_asked.then(|| Upstream {
        name: upstream.name.to_string(),
        server: told.upstream.map(str::to_owned),
        answered_after: told.upstream_took,
    })
}

/// What is left of the text that an entry may have.
struct Room(usize);

impl Room {
    fn text(&mut self, text: &str, longest: usize) -> String {
        let kept = harmless(text, longest.min(self.0));
        self.0 = self.0.saturating_sub(kept.len());
        kept
    }

    /// At most so many, and a word about the others.
    fn list(&mut self, items: impl ExactSizeIterator<Item = impl AsRef<str>>) -> Vec<String> {
        let others = items.len().saturating_sub(MAX_LISTED);
        let told = items.take(MAX_LISTED).map(|item| self.text(item.as_ref(), 128));
        let told: Vec<String> = told.collect();
        told.into_iter()
            .chain((others > 0).then(|| format!("{others} more")))
            .collect()
    }
}

impl Looked {
    fn add(&mut self, kind: Credential, found: Found) {
        // Of several passes the last one is told.
        let is_its = |one: &&mut Option<(Credential, Found)>| one.is_none_or(|(known, _)| known == kind);
        if let Some(free) = self.credentials.iter_mut().find(is_its) {
            *free = Some((kind, found));
        }
    }
}

impl Trace for Looked {
    fn admission(&mut self, _route: &Route) {
        *self = Self::default();
    }

    fn credential(&mut self, kind: Credential, outcome: &Outcome) {
        let found = match outcome {
            Outcome::Nobody => Found::None,
            Outcome::Person(_) => Found::Valid,
            Outcome::Refused(refusal) => Found::Refused(refusal.reason),
        };
        self.add(kind, found);
    }

    fn rules(&mut self, _route: &Route, _facts: &Facts<'_>) {
        self.rules = true;
    }

    fn else_asked(&mut self) {
        self.else_asked = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_entry_is_bounded_and_harmless() {
        let mut room = Room(MOST_TEXT);
        let long = "ä".repeat(10_000);
        let mut length = 0;
        for _ in 0..1000 {
            length += room.text(&long, LONGEST_PATH).len();
        }
        assert!(length < MOST_TEXT + 8000, "{length}");
        let mut room = Room(MOST_TEXT);
        assert_eq!(room.text("a\u{1b}[2J", LONGEST), "a\\u001b[2J");
        let items: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let told = room.list(items.iter());
        assert_eq!((told.len(), told.last().map(String::as_str)), (17, Some("24 more")));
    }

    #[test]
    fn what_was_looked_at_stands_in_its_order() {
        let mut looked = Looked::default();
        looked.credential(Credential::Jwt, &Outcome::Refused(Reason::TokenExpired.into()));
        for _ in 0..20 {
            looked.credential(Credential::Session, &Outcome::Nobody);
        }
        assert_eq!(
            looked.credentials[0],
            Some((Credential::Jwt, Found::Refused(Reason::TokenExpired)))
        );
        // Of one kind that comes several times, the last one is told.
        assert_eq!(looked.credentials[1], Some((Credential::Session, Found::None)));
        assert_eq!(looked.credentials[2], None);
        assert!(size_of::<Looked>() <= 32, "{}", size_of::<Looked>());
    }
}
