//! `routes.watch`: what a route needs so that a watch pass means something there.

use std::sync::Arc;

use super::Checker;
use super::server::values;
use crate::config::diagnostics::{Diagnostic, Span};
use crate::config::path_pattern::PathPattern;
use crate::config::read::At;
use crate::config::{Action, Carry, Credential, OfPlaylist, Route, Rule, Watch, file};

impl Checker<'_> {
    pub(super) fn watch(
        &mut self,
        watch: file::Watch,
        (accept, accept_at): (&[Credential], Span),
        path: Option<&At<PathPattern>>,
        (action, allow): (Option<&Action>, &[Rule]),
    ) -> Option<Watch> {
        let place = watch.place;
        let before = self.problems.len();
        let carry = watch.carry;
        self.not_empty(&carry, "carry", "remove it for [\"cookie\"], or name at least one way")?;
        self.unique("way", &carry.value);
        let carry = values(carry.value);
        if !accept.contains(&Credential::Watch) || !accept.contains(&Credential::Jwt) {
            let problem =
                Diagnostic::error(place, "passes that are earned or taken by nobody").also(accept_at, "by this");
            self.report(
                problem.help("accept = [\"jwt\", \"watch\"]: a token earns a pass, which then takes its place"),
            );
        }
        match action {
            Some(Action::Respond(_) | Action::KeySet(_) | Action::Decide(_)) => {
                let problem = Diagnostic::error(place, "`watch` means nothing for a fixed answer");
                self.report(problem.help("remove this key"));
            }
            Some(Action::Accel(_)) if carry.contains(&Carry::Rewrite) => {
                let problem = Diagnostic::error(
                    place,
                    "the nginx in front sends the playlists: they cannot be rewritten",
                );
                self.report(problem.help("carry = [\"cookie\"], or serve the folder with `files`"));
            }
            Some(Action::Presigned(_) | Action::SignedRedirect) if carry.contains(&Carry::Rewrite) => {
                let problem = Diagnostic::error(place, "another server sends the playlists: they cannot be rewritten");
                self.report(
                    problem.help("carry = [\"cookie\"], or fetch the objects through the gateway (`upstream`)"),
                );
            }
            _ => {}
        }
        let path = path?;
        let Some((params, depth)) = path.value.params_before_rest() else {
            let problem = Diagnostic::error(place, "a pass for the whole route").also(path.at, "this path");
            self.report(problem.help("a pass is for one thing and all below it: path = \"/static/{event}/{*file}\""));
            return None;
        };
        (self.problems.len() == before).then_some(Watch {
            carry,
            ttl: watch.ttl,
            params,
            depth,
            of_playlist: allow.iter().find_map(Rule::event_of_pass).and_then(|name| {
                Some(OfPlaylist {
                    param: path.value.params().position(|known| known == name)?,
                    depth: path.value.depth_of(name)?.checked_sub(1)?,
                })
            }),
        })
    }

    /// `watch_urls` on a route that takes no token.
    pub(super) fn urls_nobody_earns(&mut self, given: Option<Span>, (accept, accept_at): (&[Credential], Span)) {
        if let Some(at) = given.filter(|_| !accept.contains(&Credential::Jwt)) {
            let problem =
                Diagnostic::error(at, "`watch_urls` on a route that takes no token").also(accept_at, "by this");
            self.report(problem.help("add \"jwt\" to accept, or remove this key"));
        }
    }

    /// `watch_urls` where no route takes passes from addresses.
    pub(super) fn urls_of_nothing(&mut self, at: Span, routes: &[Arc<Route>]) {
        let takes = |route: &Arc<Route>| {
            route
                .watch
                .as_ref()
                .is_some_and(|watch| watch.carry.contains(&Carry::Rewrite))
        };
        if !routes.iter().any(takes) {
            let problem = Diagnostic::warning(at, "no route takes passes from addresses: nothing is put into answers");
            self.report(problem.help("watch = { carry = [\"cookie\", \"rewrite\"] } on the route of the media"));
        }
    }

    /// `accept` names "watch" where there is no `watch`.
    pub(super) fn passes_nobody_earns(&mut self, accept: &[Credential], at: Span) {
        if accept.contains(&Credential::Watch) {
            let problem = Diagnostic::error(at, "nothing on this route earns a watch pass");
            self.report(problem.help("add watch = { carry = [\"cookie\"] }, or remove \"watch\""));
        }
    }
}
