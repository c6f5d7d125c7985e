//! A request to a route, as far as sessions and the way to sign in are concerned: whose session it carries, and where a
//! browser that nobody knows is sent. The gateway asks for its answer, and `explain` for its reasons.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, header};
use tokio::time::timeout;

use super::is_isolated;
use super::isolation::Purpose;
use crate::authenticate::launch::LaunchSession;
use crate::authenticate::session::{Carrier, Session};
use crate::config::Route;
use crate::moodle::Moodle;
use crate::moodle::request::endpoint::Endpoint;
use crate::rejection::{Hint, Reason, Rejection};
use crate::request::Request;
use crate::respond::{Reply, page};
use crate::route::path::Path;
use crate::sign_in::Here;
use crate::sign_in::begin::{
    asks_silently, begin, begin_in_frame, choose, page_load, where_to_and_back, where_to_and_back_to_page,
};

/// A page that is open to everyone waits so long for a sign-in server.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a back end is told that brings a session which counts no more.
const ENDED: &str = "This session has ended or never was one: bring another proxy ticket for a new one.";

/// What of the request is looked at.
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    pub here: Here<'a>,
    pub request: &'a Request,
    pub path: &'a Path,
    pub headers: &'a HeaderMap,
}

impl Visit<'_> {
    /// The session that the request carries, if this route takes it. `moodle`: the one whose calls get a token there.
    /// Refused where another site may be behind the request, and where the store does not say.
    pub async fn session(&self, route: &Route, moodle: Option<&Moodle>) -> Result<Option<Arc<Session>>, Rejection> {
        let Some(found) = self.here.session(self.headers).await? else {
            return Ok(None);
        };
        let Some(sign_in) = self.here.sign_in_named(&found.identity.source) else {
            return Ok(None);
        };
        let taken = route.sign_ins.as_ref();
        if taken.is_some_and(|taken| !taken.contains(&sign_in.index)) {
            return Ok(None);
        }
        if let Some(purpose) = self.purpose(route, moodle).filter(|_| found.is_by_cookie()) {
            let sign_in = sign_in.config;
            is_isolated(&self.here, purpose, self.asked(), &sign_in.app_origins, Some(sign_in))?;
        }
        Ok(Some(found))
    }

    /// The same of a launch session. Its cookie comes with whatever other sites' pages send, so that nothing is changed
    /// by it but by pages from here.
    pub async fn launch(&self, route: &Route) -> Result<Option<Arc<LaunchSession>>, Rejection> {
        let is_taken = |session: &LaunchSession| {
            let is_of = |issuers: &Vec<usize>| issuers.iter().any(|issuer| session.identity.issuers.contains(issuer));
            route.issuers.as_ref().is_none_or(is_of)
        };
        let Some(found) = self.here.launch(self.headers, is_taken).await? else {
            return match self.here.launch_sessions(self.headers).await?.is_empty() {
                true => Ok(None),
                false => Err(Reason::IssuerNotAccepted.into()),
            };
        };
        if self.changes_something() {
            is_isolated(&self.here, Purpose::Change, self.asked(), &[], None)?;
        }
        Ok(Some(found))
    }

    /// What a session would be used for; `None`: only for reading, which every page may make a browser do.
    fn purpose(&self, route: &Route, moodle: Option<&Moodle>) -> Option<Purpose> {
        let Some(moodle) = moodle else {
            return self.changes_something().then_some(Purpose::Change);
        };
        let (_, decoded) = self.path.stripped(&route.strip);
        // A web service changes things by GET too.
        Some(match moodle.below(&decoded).map(Endpoint::of) {
            Some(Ok(Endpoint::File)) => Purpose::File,
            _ => Purpose::Call,
        })
    }

    fn asked(&self) -> (&Method, &HeaderMap) {
        (&self.request.method, self.headers)
    }

    /// Is it more than reading? Who opens a websocket talks both ways, and any site's page may open one. A proxy that asks
    /// for a decision has mostly taken off `Upgrade`, but leaves what else a browser says of a websocket.
    fn changes_something(&self) -> bool {
        changes_something(&self.request.method, self.headers)
    }

    /// What a browser that nobody knows gets instead of the refusal: the way to the sign-in. Programs get the refusal,
    /// and it tells where one signs in.
    pub async fn instead(
        &self,
        route: &Route,
        moodle: Option<&Moodle>,
        refusal: Rejection,
    ) -> Result<Reply, Rejection> {
        let (Some(sign_ins), true) = (route.sign_ins.as_deref(), refusal.reason.is_challenge()) else {
            return Err(refusal);
        };
        let is_sent = refusal.reason == Reason::NoCredentials && page_load(&self.request.method, self.headers);
        let is_framed = is_sent && page::is_framed(self.headers.get("sec-fetch-dest"));
        let sent = match sign_ins {
            _ if !is_sent => None,
            _ if is_framed => begin_in_frame(&self.here, self.headers, sign_ins, &self.target()).await,
            [only] => {
                let silently = asks_silently(&self.here, self.headers, sign_ins).is_some();
                match begin(&self.here, self.headers, *only, &self.target(), silently).await {
                    Err(away) if away.reason == Reason::SignInUnavailable => return Err(away),
                    begun => begun.ok(),
                }
            }
            several => choose(&self.here, several, &self.target()).ok(),
        };
        match (sent, &refusal.hint) {
            (Some(reply), _) => Ok(reply),
            (None, Hint::None) if self.brings_a_secret() => Err(refusal.with_hint(Hint::Remedy(ENDED))),
            (None, Hint::None) => {
                let mut sign_in = if is_framed {
                    // A person sees it, and no program that knows where to come back to.
                    where_to_and_back(&self.here, sign_ins, &self.target())
                } else {
                    where_to_and_back_to_page(&self.here, self.headers, sign_ins)
                };
                if let Some(moodle) = moodle {
                    sign_in.extend(["&moodle=", &moodle.config.name]);
                }
                Err(refusal.with_hint(Hint::SignIn(sign_in)))
            }
            (None, _) => Err(refusal),
        }
    }

    /// Does a back end ask, by the secret of a session?
    fn brings_a_secret(&self) -> bool {
        let carried = self.here.carried(self.headers);
        carried.iter().any(|carried| carried.carrier == Carrier::Bearer)
    }

    /// For a page that is open to everyone, but shows more to somebody: is the browser known at a passive sign-in?
    pub fn asks_silently(&self, route: &Route) -> Option<usize> {
        let sign_ins = route.sign_ins.as_deref()?;
        let is_page = page_load(&self.request.method, self.headers);
        is_page.then(|| asks_silently(&self.here, self.headers, sign_ins))?
    }

    /// The way there. `None`: the sign-in server is away, and the page is shown without.
    pub async fn silently(&self, sign_in: usize) -> Option<Reply> {
        let target = self.target();
        let begun = begin(&self.here, self.headers, sign_in, &target, true);
        timeout(PATIENCE, begun).await.ok()?.ok()
    }

    /// The very address that was asked for, the query byte for byte, at the origin that clients know.
    pub fn target(&self) -> String {
        let (origin, path) = (self.here.public.origin(), self.path.encoded());
        match &self.request.query {
            Some(query) => format!("{origin}{path}?{query}"),
            None => format!("{origin}{path}"),
        }
    }
}

/// Does a request with this method and these headers do more than read? A websocket does.
pub fn changes_something(method: &Method, headers: &HeaderMap) -> bool {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let said = |name: &str, value: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.any(|said| said.as_bytes() == value)
    };
    !reads
        || headers.contains_key(header::UPGRADE)
        || headers.contains_key(header::SEC_WEBSOCKET_KEY)
        || headers.contains_key(header::SEC_WEBSOCKET_VERSION)
        || said("sec-fetch-mode", b"websocket")
        || said("sec-fetch-dest", b"websocket")
}
