//! Launches: a learning platform opens a page here with a token, in the page's own address or in a form that names the
//! page (`form`). Decides what counts as a launch and what the browser gets; whose token it is, and whether
//! the rules let that person pass, is decided by who asks.
//!
//! Any site can make a launch, with a token of its own: login CSRF, which cannot be told from the real thing. So a launch
//! session is worth exactly its token, is no sign-in, has an id that nobody knew, and ends the one that the browser had. Tokens
//! that name nobody and grant something stand beside each other, since a page of a course has players of several events in
//! frames: what one grants is granted while the others last. Their roles are not shared.

pub mod form;

use std::cmp::Reverse;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use crate::authenticate::launch::{LaunchRecord, LaunchSession, NewLaunch, is_beside};
use crate::authenticate::session::Carried;
use crate::authenticate::session::cookie::LAUNCH;
use crate::authenticate::token::carrier;
use crate::config::{Action, Config, Launch, Route, TokenSource};
use crate::headers::cookies;
use crate::identity::{GrantKind, Identity};
use crate::rejection::Rejection;
use crate::request::Request;
use crate::respond::Reply;
use crate::route::path::Path;
use crate::sign_in::Here;
use crate::sign_in::begin::page_load;

/// Cookies of an Opencast that has signed somebody in. Whom it knows it goes on knowing, whatever token comes along;
/// the second one signs in again by itself.
const STALE: [&str; 2] = ["JSESSIONID", "oc-remember-me"];
/// Cookies of one request that are tried: over plain HTTP a sibling host can add some to ours.
const MOST_LOOKED_AT: usize = 64;
/// Launch sessions that one browser has beside each other; beyond it the oldest one ends.
const MOST_BESIDE: usize = 20;

/// Do launch sessions begin anywhere?
pub fn are_begun(config: &Config) -> bool {
    !config.lti.is_empty() || config.routes.iter().any(|route| route.launch.is_some())
}

/// The launch session that a browser begins which opens a page of this route with a token in its address. Scripts, players and
/// guesses (HEAD, prefetch) only use the token they bring, and begin nothing.
pub fn asked(route: &Route, request: &Request, headers: &HeaderMap, sources: &[TokenSource]) -> Option<Launch> {
    // Asked of every request: most routes begin none, and the rest costs more.
    let launch = route.launch.filter(|_| !matches!(route.action, Action::Launch))?;
    let begins = request.method == Method::GET
        && !carrier::in_query(sources, request.query.as_deref()).is_empty()
        && page_load(&request.method, headers);
    begins.then_some(launch)
}

/// The same page without the token: the path in its one form, all else of the query byte for byte.
pub fn without_token(request: &Request, path: &Path, sources: &[TokenSource]) -> String {
    let query = request.query.as_deref();
    match query.and_then(|query| carrier::strip_query(sources, query)) {
        Some(query) => format!("{}?{query}", path.encoded()),
        None => path.encoded().to_owned(),
    }
}

/// A launch session, and the name of its cookie without the prefix.
type Named<'h> = (&'h str, Arc<LaunchSession>);

impl Here<'_> {
    /// What the cookies of a request hold as the secrets of launch sessions, with the names of the cookies: the one that stands
    /// alone, and those that stand beside others.
    pub fn launches<'h>(&self, headers: &'h HeaderMap) -> Vec<(&'h str, &'h str)> {
        let mut all = self.jar().beginning_with(headers, LAUNCH);
        all.retain(|(name, _)| *name == LAUNCH || is_beside(name));
        all
    }

    /// The launch session that a request carries, with what others of the same issuers grant that it carries, too, of those that
    /// are `taken`. The newest one says of which issuers; of these the one that stands alone counts. `Ok(None)`: there is none, or
    /// it was revoked.
    pub async fn launch(
        &self,
        headers: &HeaderMap,
        taken: impl Fn(&LaunchSession) -> bool,
    ) -> Result<Option<Arc<LaunchSession>>, Rejection> {
        let mut held = self.launch_sessions(headers).await?;
        held.retain(|(_, session)| taken(session));
        // Of those of one second, the first one beside others.
        let age = |(place, (name, session)): &(usize, &Named<'_>)| (session.created, *name != LAUNCH, Reverse(*place));
        let newest = held.iter().enumerate().max_by_key(age);
        let Some(newest) = newest.map(|(_, (_, newest))| Arc::clone(newest)) else {
            return Ok(None);
        };
        held.retain(|(_, session)| is_of_the_same(session, &newest));
        let mut held = held.into_iter();
        let first = held.next();
        Ok(first.map(|(_, first)| with_grants(first, held.map(|(_, other)| other))))
    }

    /// All that a request carries: the one that stands alone, then the others, the newest first.
    pub async fn launch_sessions<'h>(&self, headers: &'h HeaderMap) -> Result<Vec<Named<'h>>, Rejection> {
        let mut held: Vec<Named<'h>> = Vec::new();
        for (name, secret) in self.launches(headers).into_iter().take(MOST_LOOKED_AT) {
            if held.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let carried = vec![Carried::cookie(secret)];
            let found = self.first(&self.people.launches, carried, |session| !self.is_revoked(session));
            held.extend(found.await?.map(|session| (name, session)));
        }
        // Of those of one second, the last one is the newest.
        held.reverse();
        held.sort_by_key(|(name, session)| (*name != LAUNCH, Reverse(session.created)));
        Ok(held)
    }

    fn is_revoked(&self, session: &LaunchSession) -> bool {
        let who = &session.identity;
        let on_events = who.grants.iter().filter(|grant| grant.kind == GrantKind::Event);
        let events = on_events.map(|grant| grant.id.as_str());
        self.revocations
            .ended_since(session.created, who.subject.as_deref(), events)
    }

    /// Begins a launch session, in place of the one that the browser has under the same name, and sends it on.
    pub async fn launched(&self, new: NewLaunch<'_>, location: &str, headers: &HeaderMap) -> Result<Reply, Rejection> {
        let held = self.launch_sessions(headers).await?;
        let launches = &self.people.launches;
        let record = LaunchRecord::new(new, self.now);
        let name = record.cookie();
        let (secret, _) = launches.begin(record, self.config, self.now).await?;
        let mut reply = Reply::redirect(location)?;
        reply.set_cookie(self.jar().set_framed(&name, &secret, None));
        let (same, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|(known, _)| *known == name);
        for (_, before) in same {
            // Its cookie is about to be written over; who has kept a copy has nothing.
            launches.end(before.key, "replaced").await?;
        }
        let beside: Vec<_> = others.into_iter().filter(|(other, _)| *other != LAUNCH).collect();
        let most = if name == LAUNCH { MOST_BESIDE } else { MOST_BESIDE - 1 };
        let (kept, oldest) = beside.split_at(most.min(beside.len()));
        for (_, oldest) in oldest {
            launches.end(oldest.key, "replaced").await?;
        }
        // Cookies that hold nothing any more would take the places of others.
        let is_kept = |other: &str| other == LAUNCH || other == name || kept.iter().any(|(known, _)| *known == other);
        for (other, _) in self.launches(headers) {
            if !is_kept(other) {
                reply.set_cookie(self.jar().set_framed(other, "", Some(0)));
            }
        }
        for cookie in forgotten(headers, self.public.https) {
            reply.set_cookie(Some(cookie));
        }
        Ok(reply)
    }
}

/// Only such sessions add to each other: a route may take some issuers and not others.
fn is_of_the_same(one: &LaunchSession, other: &LaunchSession) -> bool {
    one.identity.source == other.identity.source && one.identity.issuers == other.identity.issuers
}

/// A session with the grants of others.
fn with_grants(first: Arc<LaunchSession>, others: impl Iterator<Item = Arc<LaunchSession>>) -> Arc<LaunchSession> {
    let who = &first.identity;
    let mut both: Option<Identity> = None;
    for other in others {
        let both = both.get_or_insert_with(|| Identity::clone(who));
        both.expires = both.expires.min(other.identity.expires);
        for grant in &other.identity.grants {
            if !both.grants.contains(grant) {
                both.grants.push(grant.clone());
            }
        }
    }
    match both {
        Some(both) => Arc::new(first.with_identity(both)),
        None => first,
    }
}

/// Takes away what an Opencast has left of somebody else, in this frame's own cookies and in the ones outside of frames.
fn forgotten(headers: &HeaderMap, https: bool) -> Vec<HeaderValue> {
    // A cookie without `=` stands for its name.
    let names = cookies::pairs(headers).map(|(name, value)| if name.is_empty() { value } else { name });
    let names: Vec<&[u8]> = names.collect();
    let attributes: &[&str] = match https {
        true => &["; Secure; SameSite=None", cookies::IN_A_FRAME],
        false => &["; SameSite=Lax"],
    };
    let stale = STALE.iter().filter(|stale| names.contains(&stale.as_bytes()));
    let lines = stale.flat_map(|name| attributes.iter().map(|site| cookies::set(name, "", "/", 0, site)));
    lines.flatten().collect()
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    #[test]
    fn only_what_is_stale_is_taken_away() {
        let headers = |cookies: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_str(cookies).unwrap());
            headers
        };
        assert!(forgotten(&HeaderMap::new(), true).is_empty());
        assert!(forgotten(&headers("xJSESSIONID=a; JSESSIONIDx=b; c=JSESSIONID"), true).is_empty());
        assert_eq!(forgotten(&headers("a=b;JSESSIONID=c; JSESSIONID=d"), true).len(), 2);
        assert_eq!(forgotten(&headers("JSESSIONID"), false).len(), 1);
    }
}
