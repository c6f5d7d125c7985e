//! What is known of one request so far. pingora makes it before the header is looked at: until then nobody asks for nothing,
//! which no route has.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::act::file::Root;
use crate::act::playlist::Kind;
use crate::act::playlist::collect::Collecting;
use crate::act::proxy::{Attempts, Chosen};
use crate::authenticate::session::Session;
use crate::authenticate::upstream_auth::Brought;
use crate::authenticate::watch::Pass;
use crate::config::{Credential, Launch};
use crate::event::Events;
use crate::fair::Place;
use crate::identity::{Identity, ViewerId};
use crate::observe::request_id::RequestId;
use crate::rejection::{Reason, Rejection};
use crate::request::{Client, Request};
use crate::route::path::Path;
use crate::route::table::Params;
use crate::snapshot::{Route, Snapshot};

pub struct Context {
    /// What the request is judged by from its beginning to its end, whatever is reloaded meanwhile.
    pub snapshot: Arc<Snapshot>,
    /// When its header was there, by either clock.
    pub started: Instant,
    pub at: SystemTime,
    pub id: RequestId,
    /// The request is only asked about: nothing is used up, counted or obtained.
    pub dry_run: Option<DryRun>,
    pub client: Client,
    pub request: Request,
    pub path: Path,
    /// The route that the request belongs to, once it is found.
    pub route: Option<Arc<Route>>,
    pub params: Params,
    pub who: Option<Arc<Identity>>,
    /// What was asked about events to decide.
    pub events: Events,
    /// Whose credential counts, if it was a session's.
    pub session: Option<Arc<Session>>,
    /// A browser opens a page with a token in the query, which alone counts: it gets this launch session.
    pub launching: Option<Launch>,
    /// The request brings a token of Moodle's and no session: it is judged as nobody's and goes on as it is.
    pub own_token: bool,
    /// The request brings credentials that its upstream judges, and goes on with them.
    pub upstream_auth: Option<Brought>,
    /// It asks for a challenge where the rules let nobody in as well.
    pub nobody_may: bool,
    /// The page behind a form, where that is what the rules have refused.
    pub target: Option<Box<Target>>,
    /// The rules allow the request. What is refused afterwards was allowed and failed.
    pub allowed: bool,
    pub rejection: Option<Rejection>,
    /// What was looked at to decide, for whoever asks why.
    pub looked: Looked,
    /// A proxy asks about the request that stands here, or is about to: the decision is the answer, and nothing is done.
    pub only_decide: bool,
    pub upstream: UpstreamPart,
    /// Until the answer has left.
    pub in_flight: Option<Place>,
    pub watch: WatchPart,
    /// Bytes of the body that have gone upstream.
    pub body: u64,
}

/// How a request is judged that nobody has sent.
pub struct DryRun {
    /// When budgets are looked at; `None`: for the time that is asked about nobody knows them.
    pub budgets: Option<Instant>,
}

/// The part that only a proxied request has.
#[derive(Default)]
pub struct UpstreamPart {
    pub attempts: Attempts,
    pub chosen: Option<Chosen>,
    pub since: Option<Instant>,
    /// What tells the upstream who it is, instead of the client's credentials.
    pub authorization: Option<HeaderValue>,
    /// A token that would count elsewhere stands in the headers, on a route open to everyone.
    pub carries_ours: bool,
    /// Of the client's body, which the gateway has read and the upstream still has to get.
    pub beginning: Option<Bytes>,
    /// The answer named a file of ours instead of holding it.
    pub redirect: Option<Redirect>,
    /// From the choice of the server to the header of its answer.
    pub answered_after: Option<Duration>,
}

/// The part of a request on a route with watch passes.
#[derive(Default)]
pub struct WatchPart {
    /// The pass by which the request is judged.
    pub pass: Option<HeldPass>,
    /// The `Set-Cookie` of a pass that was earned.
    pub cookie: Option<HeaderValue>,
    /// The pass that goes into a playlist, if the answer is one.
    pub rewrite: Option<String>,
    /// By whom views are counted, where a token was told apart from others of the viewer's.
    pub viewer: Option<ViewerId>,
    /// A playlist on its way from an upstream.
    pub collecting: Option<(Kind, Collecting)>,
    /// The media addresses of a JSON answer get passes (`watch_urls`).
    pub links: bool,
    /// Such an answer on its way.
    pub json: Option<Collecting>,
}

/// A request that was judged in place of the one that came.
pub struct Target {
    pub route: Arc<Route>,
    pub request: Request,
    pub path: Path,
    pub params: Params,
    pub events: Events,
}

/// What a decision has looked at. It stands in every request, so that it is small and nothing of it is allocated.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looked {
    /// In the order in which they were looked at: no more than there are kinds.
    pub credentials: [Option<(Credential, Found)>; 8],
    /// The rules were asked about somebody, or nobody.
    pub rules: bool,
    /// No rule spoke, and the upstream of `else_ask` had the last word.
    pub else_asked: bool,
}

/// What became of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The request has none of this kind.
    None,
    Valid,
    Refused(Reason),
}

/// A pass that a request brought, and that is good.
pub struct HeldPass {
    pub pass: Pass,
    pub text: String,
    pub in_query: bool,
    /// How many of the request's passes were looked at, itself included.
    pub seen: usize,
}

/// An `X-Accel-Redirect` that is followed.
#[derive(Clone)]
pub struct Redirect {
    pub root: Arc<Root>,
    /// Below the folder, decoded and canonical.
    pub path: String,
    /// Of the upstream's answer, what belongs to the client.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Why the file was not sent to its end.
    pub broke_off: Option<String>,
}

impl Context {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            started: Instant::now(),
            at: SystemTime::now(),
            id: RequestId::random(),
            dry_run: None,
            client: Client::default(),
            request: Request::default(),
            path: Path::default(),
            route: None,
            params: Params::default(),
            who: None,
            events: Events::default(),
            session: None,
            launching: None,
            own_token: false,
            upstream_auth: None,
            nobody_may: false,
            target: None,
            allowed: false,
            rejection: None,
            looked: Looked::default(),
            only_decide: false,
            upstream: UpstreamPart::default(),
            in_flight: None,
            watch: WatchPart::default(),
            body: 0,
        }
    }

    /// What an upstream is told that is asked about the request.
    pub fn request_id(&self) -> &str {
        match &self.dry_run {
            None => self.id.as_str(),
            Some(_) => "explain",
        }
    }
}
