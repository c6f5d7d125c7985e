//! Writes down in the report what a decision tells of its way.

use std::sync::Arc;

use http::{HeaderMap, Method};

use super::plan::{named, sources};
use super::view::{self, FOR_UPSTREAM};
use super::{MoodleTokens, Report};
use crate::authenticate::bearer::Looked;
use crate::authenticate::launch::LaunchSession;
use crate::authenticate::session::Session;
use crate::authenticate::session::cookie::LAUNCH;
use crate::authenticate::token::{Examined, Outcome};
use crate::authenticate::upstream_auth::Brought;
use crate::authorize::Facts;
use crate::authorize::explain as rules;
use crate::context::{Context, HeldPass};
use crate::gateway;
use crate::gateway::trace::Trace;
use crate::rate::Rate;
use crate::rejection::{Reason, Rejection};
use crate::snapshot::Route;

pub(super) struct Recorder {
    pub(super) report: Report,
    /// Is it the present that is asked about? Budgets are known for no other time.
    pub(super) at_present: bool,
}

impl Recorder {
    /// A session that was looked up. `Ok(None)`: `none` says why it does not count.
    fn looked_up<S>(
        &mut self,
        ctx: &Context,
        place: String,
        found: Result<Option<&S>, &Rejection>,
        none: [&str; 2],
        view: View<S>,
    ) {
        let [gone, offline] = none;
        let detail = if self.report.keys.live { gone } else { offline };
        let unknown = Rejection::because(Reason::NoCredentials, detail);
        let found = found.and_then(|found| found.ok_or(&unknown));
        if found.is_ok() {
            // What was looked at before is not what allows the request.
            self.report.credentials.iter_mut().for_each(|one| one.counts = false);
        }
        self.report.credentials.push(view(place, found, ctx.at));
    }
}

type View<S> = fn(String, Result<&S, &Rejection>, std::time::SystemTime) -> super::Credential;

impl Trace for Recorder {
    fn routes(&mut self, ctx: &Context, method: &Method) {
        let considered = ctx
            .snapshot
            .table
            .explain(&ctx.request.host, ctx.path.decoded(), method);
        self.report.other_routes = ctx.snapshot.routes.len().saturating_sub(considered.len());
        let fates = considered.iter().filter_map(|one| {
            let route = ctx.snapshot.routes.get(one.route)?;
            Some(view::outcome(route, one.outcome, method))
        });
        self.report.routes = fates.collect();
        self.report.budgets.clear();
        self.report.else_asked = false;
    }

    fn route(&mut self, route: &Route) {
        self.report.moodle = route.injects().map(|moodle| MoodleTokens {
            sources: sources(&moodle.availability_for_anybody(), None),
            ..named(moodle)
        });
    }

    fn admission(&mut self, route: &Route) {
        self.report.anonymous = route.anonymous;
        self.report.credentials.clear();
    }

    fn tokens(&mut self, ctx: &Context, tokens: Vec<Examined>) {
        let speaking = tokens.iter().position(|one| one.verdict.is_ok());
        let told = tokens.into_iter().enumerate().map(|(index, one)| {
            let place = ctx.snapshot.token_sources.get(one.source);
            view::credential(one, place, speaking == Some(index), ctx.at)
        });
        self.report.credentials.extend(told);
    }

    fn bearer(&mut self, ctx: &Context, looked: &Looked) {
        if looked.verdict.is_ok() {
            // What was looked at before is not what allows the request.
            self.report.credentials.iter_mut().for_each(|one| one.counts = false);
        }
        self.report.credentials.push(view::bearer(looked, ctx.at));
    }

    fn upstream_auth(&mut self, brought: Brought) {
        let header = match brought.caller.is_some() {
            true => "authorization",
            false => "x-requested-auth",
        };
        let place = format!("{FOR_UPSTREAM}: header {header}, {}", brought.scheme.label());
        self.report.credentials.push(super::Credential {
            place,
            valid: true,
            counts: true,
            ..super::Credential::default()
        });
    }

    fn session(&mut self, ctx: &Context, headers: &HeaderMap, found: &Result<Option<Arc<Session>>, Rejection>) {
        if let Some(place) = view::session_place(ctx, headers) {
            let none = [
                "it has ended, never was one, or is not for this route",
                "a session is known to the running gateway only: ask it with --live",
            ];
            let found = found.as_ref().map(Option::as_deref);
            self.looked_up(ctx, place, found, none, view::session);
        }
    }

    fn launch(&mut self, ctx: &Context, headers: &HeaderMap, found: &Result<Option<Arc<LaunchSession>>, Rejection>) {
        let Ok(visit) = gateway::endpoints::visit(headers, ctx) else {
            return;
        };
        if !visit.here.launches(headers).is_empty() {
            let place = format!("launch session: cookie {}", visit.here.jar().name(LAUNCH));
            let none = [
                "it has ended, was revoked, or never was one",
                "a launch session is known to the running gateway only: ask it with --live",
            ];
            let found = found.as_ref().map(Option::as_deref);
            self.looked_up(ctx, place, found, none, view::launch);
        }
    }

    fn signed_url(&mut self, ctx: &Context, looked: Option<gateway::signed_url::Looked>) {
        self.report
            .credentials
            .extend(looked.map(|looked| view::signed_url(looked, ctx.at)));
    }

    /// A pass is told by where it stands: what it says is the gateway's own business.
    fn pass(&mut self, ctx: &Context, outcome: &Outcome, held: Option<&HeldPass>) {
        let told = match (outcome, held) {
            (_, Some(held)) => Ok(held),
            (Outcome::Refused(refusal), None) => Err(refusal),
            _ => return,
        };
        self.report.credentials.push(view::pass(told, ctx.at));
    }

    fn rules(&mut self, route: &Route, facts: &Facts<'_>) {
        self.report.deny = rules::explain(&route.config.deny, facts);
        self.report.allow = rules::explain(&route.config.allow, facts);
    }

    fn budget(&mut self, key: &str, of: String, rate: Rate, spent: bool) {
        let is_known = self.report.keys.live && self.at_present;
        self.report.budgets.push(view::budget(key, of, rate, spent, is_known));
    }

    fn else_asked(&mut self) {
        self.report.else_asked = true;
    }
}
