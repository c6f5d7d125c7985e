//! What a decision tells of its way. The gateway keeps the little that fits into [`Looked`](crate::context::Looked), for whoever
//! asks about a refusal later; `explain` writes down all of it.

use std::sync::Arc;

use http::{HeaderMap, Method};

use crate::authenticate::bearer::Looked;
use crate::authenticate::launch::LaunchSession;
use crate::authenticate::session::Session;
use crate::authenticate::token::{Examined, Outcome};
use crate::authenticate::upstream_auth::Brought;
use crate::authorize::Facts;
use crate::config::Credential;
use crate::context::{Context, HeldPass};
use crate::gateway::signed_url;
use crate::rate::Rate;
use crate::rejection::Rejection;
use crate::snapshot::Route;

pub trait Trace: Send {
    /// The routes at the path of the request are compared, for this method.
    fn routes(&mut self, _ctx: &Context, _method: &Method) {}

    /// The route that was found.
    fn route(&mut self, _route: &Route) {}

    /// The credentials of this route are looked at, and then its rules.
    fn admission(&mut self, _route: &Route) {}

    /// The credential of this kind was looked at.
    fn credential(&mut self, _kind: Credential, _outcome: &Outcome) {}

    /// The tokens of the request, and which of them speaks for it.
    fn tokens(&mut self, _ctx: &Context, _tokens: Vec<Examined>) {}

    /// The access token of the request, and what is known of it.
    fn bearer(&mut self, _ctx: &Context, _looked: &Looked) {}

    /// The session that the request carries. `Ok(None)`: there is none, or it does not count here.
    fn session(&mut self, _ctx: &Context, _headers: &HeaderMap, _found: &Result<Option<Arc<Session>>, Rejection>) {}

    /// The launch session that the request carries.
    fn launch(&mut self, _ctx: &Context, _headers: &HeaderMap, _found: &Result<Option<Arc<LaunchSession>>, Rejection>) {
    }

    /// The request brings credentials that its upstream judges, and no others are looked at.
    fn upstream_auth(&mut self, _brought: Brought) {}

    /// The signature in the query, if there is one, and what it is worth.
    fn signed_url(&mut self, _ctx: &Context, _looked: Option<signed_url::Looked>) {}

    /// The watch passes of the request.
    fn pass(&mut self, _ctx: &Context, _outcome: &Outcome, _held: Option<&HeldPass>) {}

    /// The rules were asked about somebody, or nobody.
    fn rules(&mut self, _route: &Route, _facts: &Facts<'_>) {}

    /// A budget was looked at, from which nothing is taken.
    fn budget(&mut self, _key: &str, _of: String, _rate: Rate, _spent: bool) {}

    /// No rule allows the request, and the upstream of `else_ask` has the last word.
    fn else_asked(&mut self) {}
}

impl Trace for () {}
