//! Launches: a learning platform opens a page here with a token, in the page's own address or in a form that names the
//! page (`form`). Decides what counts as a launch and what the browser gets; whose token it is, and whether
//! the rules let that person pass, is decided by who asks.
//!
//! Any site can make a launch, with a token of its own: login CSRF, which cannot be told from the real thing. So a launch
//! session is worth exactly its token, is no sign-in, has an id that nobody knew, and ends the one that the browser had.

pub mod form;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use crate::authenticate::launch::{LaunchRecord, LaunchSession, NewLaunch};
use crate::authenticate::session::Carried;
use crate::authenticate::session::cookie::LAUNCH;
use crate::authenticate::token::carrier;
use crate::config::{Action, Config, Launch, Route, TokenSource};
use crate::headers::cookies;
use crate::identity::GrantKind;
use crate::rejection::Rejection;
use crate::request::Request;
use crate::respond::Reply;
use crate::route::path::Path;
use crate::sign_in::Here;
use crate::sign_in::begin::page_load;

/// Cookies of an Opencast that has signed somebody in. Whom it knows it goes on knowing, whatever token comes along;
/// the second one signs in again by itself.
const STALE: [&str; 2] = ["JSESSIONID", "oc-remember-me"];
/// Cookies of one request that are tried: over plain HTTP a sibling host can add one to ours.
const MOST: usize = 4;

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

impl Here<'_> {
    /// What the cookies of a request hold as the secrets of launch sessions.
    pub fn launches<'h>(&self, headers: &'h HeaderMap) -> Vec<&'h str> {
        let mut cookies = self.jar().all(headers, LAUNCH);
        cookies.truncate(MOST);
        cookies
    }

    /// The launch session that a request carries. `Ok(None)`: there is none, or it was revoked.
    pub async fn launch(&self, headers: &HeaderMap) -> Result<Option<Arc<LaunchSession>>, Rejection> {
        let carried = self.launches(headers).into_iter().map(Carried::cookie).collect();
        self.first(&self.people.launches, carried, |session| !self.is_revoked(session))
            .await
    }

    fn is_revoked(&self, session: &LaunchSession) -> bool {
        let who = &session.identity;
        let on_events = who.grants.iter().filter(|grant| grant.kind == GrantKind::Event);
        let events = on_events.map(|grant| grant.id.as_str());
        self.revocations
            .ended_since(session.created, who.subject.as_deref(), events)
    }

    /// Begins a launch session in place of the one that the browser has, and sends it on.
    pub async fn launched(&self, new: NewLaunch<'_>, location: &str, headers: &HeaderMap) -> Result<Reply, Rejection> {
        let before = self.launch(headers).await?;
        let launches = &self.people.launches;
        let record = LaunchRecord::new(new, self.now);
        let (secret, _) = launches.begin(record, self.config, self.now).await?;
        if let Some(before) = before {
            // Its cookie is about to be written over; who has kept a copy has nothing.
            launches.end(before.key, "replaced").await?;
        }
        let mut reply = Reply::redirect(location)?;
        reply.set_cookie(self.jar().set_framed(LAUNCH, &secret, None));
        for cookie in forgotten(headers, self.public.https) {
            reply.set_cookie(Some(cookie));
        }
        Ok(reply)
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
