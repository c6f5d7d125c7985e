//! What is configured and of use to no route.

use std::sync::Arc;

use super::{Checker, Known};
use crate::config::diagnostics::Diagnostic;
use crate::config::{Action, Credential, Route};

impl Checker<'_> {
    /// Warns of what no route has a use for.
    pub(super) fn unused(&mut self, routes: &[Arc<Route>], known: &Known) {
        for (index, name) in known.upstreams.iter().enumerate() {
            let uses = |route: &Arc<Route>| {
                [Action::Upstream(index), Action::Presigned(index)].contains(&route.action)
                    || route.else_ask.as_ref().is_some_and(|ask| ask.upstream == index)
                    || route.opencast.and_then(|asked| *known.opencasts.get(asked)?) == Some(index)
            };
            if !routes.iter().any(uses) {
                let message = format!("no route uses the upstream `{}`", name.value);
                let problem = Diagnostic::warning(name.at, message);
                self.report(
                    problem.help("give a route this upstream, or remove it: its health is checked all the time"),
                );
            }
        }
        for (index, name) in known.sign_ins.iter().enumerate() {
            let takes = |route: &Arc<Route>| {
                let sign_ins = route.sign_ins.as_ref();
                route.accept.contains(&Credential::Session) && sign_ins.is_none_or(|named| named.contains(&index))
            };
            if !routes.iter().any(takes) {
                let problem = Diagnostic::warning(name.at, "no route takes sessions of this sign-in");
                self.report(problem.help("add accept = [\"session\"] and sign_in to a route, or remove it"));
            }
        }
        for (index, name) in known.bearers.iter().enumerate() {
            let takes = |route: &Arc<Route>| {
                let bearers = route.bearers.as_ref();
                route.accept.contains(&Credential::Bearer) && bearers.is_none_or(|named| named.contains(&index))
            };
            if !routes.iter().any(takes) {
                let problem = Diagnostic::warning(name.at, "no route takes access tokens of this bearer");
                self.report(problem.help("add accept = [\"bearer\"] to a route, or remove it"));
            }
        }
        for name in &known.platform_names {
            let takes = |route: &Arc<Route>| route.accept.contains(&Credential::Launch) && route.issuers.is_none();
            if !routes.iter().any(takes) {
                let problem = Diagnostic::warning(name.at, "no route takes launches of this platform");
                self.report(problem.help("add accept = [\"launch\"] to the routes of its pages, without `issuers`"));
            }
        }
        let accepts = |route: &Route, index: usize| {
            let issuers = route.issuers.as_ref();
            let by_token = [Credential::Jwt, Credential::Launch];
            by_token.iter().any(|kind| route.accept.contains(kind))
                && issuers.is_none_or(|issuers| issuers.contains(&index))
        };
        for (index, name) in known.issuers.iter().enumerate() {
            if !routes.iter().any(|route| accepts(route, index)) {
                let problem = Diagnostic::warning(name.at, "no route accepts tokens of this issuer");
                self.report(
                    problem.help("name it in a route's `issuers`, or remove it: its keys are fetched all the time"),
                );
            }
        }
    }
}
